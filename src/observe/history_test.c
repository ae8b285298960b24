#include "observe/history.h"

#include "base/json.h"
#include "base/slab.h"
#include "base/sys.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START 1700000000 /* a full minute would be 1699999980 and 1700000040 */
static struct history *h;
static struct pulse pulse;

static int each_begin(void **state)
{
    h = history_new();
    memset(&pulse, 0, sizeof pulse);
    pulse_clear(&pulse, SECOND(START));
    pulse.total[TOTAL_REQUESTS] = pulse.total[TOTAL_ERRORS] = 0;
    pulse.total[TOTAL_CACHE_HITS] = pulse.total[TOTAL_CACHE_LOOKUPS] = 0;
    return h ? 0 : -1;
}

static int each_end(void **state)
{
    history_free(&h);
    return h ? -1 : 0;
}

/* The second `s` after START has ended; as late as timers are. */
static void sample_at(int64_t s)
{
    pulse.wall = SECOND(START + s) + MSEC(3);
    history_sample(h, &pulse);
}

/* A gist's copy with a time recorded once more. */
static void took(struct gist_copy *c, uint32_t us)
{
    struct gist g = { 0 };
    gist_record(&g, us);
    gist_add(c, &g);
}

struct answer {
    struct text text;
    struct arena arena;
    struct json root, series;
};

static struct answer ask(const char *wanted, enum history_range r)
{
    struct answer a = { 0 };
    struct str unknown;
    assert_int_equal(history_render(h, &a.text, str_of(wanted), r, &unknown), OK);
    a.root = json_parse(text_str(&a.text), NULL);
    assert_int_equal(a.root.kind, JSON_OBJECT);
    a.series = json_get(a.root, STR("series"));
    return a;
}

static int64_t whole(const struct answer *a, const char *key)
{
    int64_t v = -1;
    assert_true(json_i64(json_get(a->root, str_of(key)), &v));
    return v;
}

/* The nth point from the end (0: the newest) of the series; NAN: null. */
static double point(const struct answer *a, const char *series, unsigned back)
{
    struct json_walk w = json_walk(json_get(a->series, str_of(series)));
    double v[1500];
    unsigned n = 0;
    while (json_next(&w)) {
        v[n] = NAN;
        json_f64(w.value, &v[n]);
        n++;
    }
    assert_true(back < n);
    return v[n - 1 - back];
}

static double ask_point(const char *series, enum history_range r, unsigned back)
{
    struct answer a = ask(series, r);
    double v = point(&a, series, back);
    text_free(&a.text);
    return v;
}

static void an_empty_history_is_all_gaps(void **state)
{
    struct answer a = ask("queue", RANGE_5M);
    assert_int_equal(whole(&a, "step_s"), 1);
    assert_true(isnan(point(&a, "queue", 0)) && isnan(point(&a, "queue", 299)));
    text_free(&a.text);
    assert_true(isnan(history_last(h, (struct series_at){ SERIES_queue, NULL })));
}

static void rates_are_growth_per_second(void **state)
{
    sample_at(0);
    assert_true(isnan(ask_point("requests_per_s", RANGE_5M, 0)));
    pulse.total[TOTAL_REQUESTS] = 5;
    sample_at(1);
    assert_true(ask_point("requests_per_s", RANGE_5M, 0) == 5);
    pulse.total[TOTAL_REQUESTS] = 6;
    sample_at(2);
    assert_true(ask_point("requests_per_s", RANGE_5M, 0) == 1);
    assert_true(ask_point("requests_per_s", RANGE_5M, 1) == 5);
    pulse.total[TOTAL_REQUESTS] = 0; /* cannot be; nothing is made up */
    sample_at(3);
    assert_true(isnan(ask_point("requests_per_s", RANGE_5M, 0)));
}

static void points_bear_the_second_they_begin_with(void **state)
{
    sample_at(0);
    sample_at(1);
    struct answer a = ask("queue", RANGE_5M);
    assert_int_equal(whole(&a, "t0") + 299, START);
    text_free(&a.text);
    a = ask("queue", RANGE_1H);
    assert_int_equal(whole(&a, "step_s"), 10);
    assert_int_equal(whole(&a, "t0") + 3590, START);
    text_free(&a.text);
    a = ask("queue", RANGE_24H);
    assert_int_equal(whole(&a, "step_s"), 60);
    assert_int_equal(whole(&a, "t0") % 60, 0);
    assert_int_equal(whole(&a, "t0") + 1439 * 60, START - START % 60);
    text_free(&a.text);
}

/* A burst of 60 in one second of ten is 6 a second, then and when the step is over. */
static void longer_steps_are_made_from_their_ends(void **state)
{
    sample_at(0);
    for (int s = 1; s <= 20; s++) {
        pulse.total[TOTAL_REQUESTS] += s == 13 ? 60 : 0;
        pulse.gauge[GAUGE_queue] = s;
        sample_at(s);
        if (s == 15)
            assert_true(fabs(ask_point("requests_per_s", RANGE_1H, 0) - 12) < 0.01);
    }
    assert_true(ask_point("requests_per_s", RANGE_1H, 0) == 6);
    assert_true(ask_point("requests_per_s", RANGE_1H, 1) == 0);
    assert_true(ask_point("queue", RANGE_1H, 0) == 15.5);
    assert_true(ask_point("queue", RANGE_1H, 1) == 5.5);
    assert_true(ask_point("queue", RANGE_5M, 0) == 20);
}

/* 95 quick seconds and 5 slow ones of one request each: the hour's percentile is not the mean of the seconds'. */
static void percentiles_are_of_all_times_in_the_step(void **state)
{
    sample_at(0);
    for (int s = 1; s <= 10; s++) {
        for (int i = 0; i < (s == 4 ? 1 : 11); i++)
            took(&pulse.time[TIME_FIRST_TOKEN], s == 4 ? 900000 : 10000);
        sample_at(s);
    }
    assert_true(fabs(ask_point("ttft_p95_ms", RANGE_1H, 0) - 10) < 0.4);
    assert_true(fabs(ask_point("ttft_p95_ms", RANGE_5M, 6) - 900) < 30);
    assert_true(fabs(ask_point("ttft_p50_ms", RANGE_5M, 0) - 10) < 0.4);
    sample_at(11);
    assert_true(isnan(ask_point("ttft_p95_ms", RANGE_5M, 0)));
}

static void shares_where_there_was_something(void **state)
{
    sample_at(0);
    pulse.total[TOTAL_CACHE_LOOKUPS] = 8;
    pulse.total[TOTAL_CACHE_HITS] = 6;
    sample_at(1);
    assert_true(ask_point("cache_hit_ratio", RANGE_5M, 0) == 0.75);
    sample_at(2);
    assert_true(isnan(ask_point("cache_hit_ratio", RANGE_5M, 0)));
    assert_true(ask_point("cache_hit_ratio", RANGE_1H, 0) == 0.75);
}

static void a_missed_second_is_a_gap(void **state)
{
    pulse.gauge[GAUGE_queue] = 3;
    sample_at(0);
    sample_at(1);
    pulse.total[TOTAL_REQUESTS] = 8;
    sample_at(5);
    assert_true(ask_point("queue", RANGE_5M, 0) == 3);
    assert_true(ask_point("requests_per_s", RANGE_5M, 0) == 2); /* 8 in 4 seconds */
    for (unsigned back = 1; back <= 3; back++)
        assert_true(isnan(ask_point("queue", RANGE_5M, back)));
    assert_true(ask_point("queue", RANGE_5M, 4) == 3);
    sample_at(5 + 86400);
    assert_true(ask_point("queue", RANGE_24H, 0) == 3);
    assert_true(isnan(ask_point("queue", RANGE_24H, 1)));
    assert_true(isnan(ask_point("queue", RANGE_24H, 1439)));
}

/* A timer is late by some milliseconds, or early after the clock was slewed: still one point per second. */
static void timers_that_are_not_quite_on_time(void **state)
{
    for (int s = 0; s < 100; s++) {
        pulse.wall = SECOND(START + s) + (s % 7 - 3) * MSEC(100);
        pulse.gauge[GAUGE_queue] = s;
        history_sample(h, &pulse);
    }
    for (unsigned back = 0; back < 100; back++)
        assert_true(ask_point("queue", RANGE_5M, back) == 99 - back);
}

static void clocks_set_back(void **state)
{
    pulse.gauge[GAUGE_queue] = 7;
    for (int s = 0; s < 100; s++)
        sample_at(s);
    pulse.gauge[GAUGE_queue] = 8;
    sample_at(70); /* a little: waits until the clock has caught up */
    assert_true(ask_point("queue", RANGE_5M, 0) == 7);
    sample_at(-3600); /* a lot: from the beginning */
    struct answer a = ask("queue", RANGE_5M);
    assert_int_equal(whole(&a, "t0") + 299, START - 3601);
    assert_true(point(&a, "queue", 0) == 8 && isnan(point(&a, "queue", 1)));
    text_free(&a.text);
}

/* A ring's place is written again after a lap, also by a series that has nothing to say then. */
static void rings_go_round(void **state)
{
    for (int s = 0; s < 301; s++) {
        pulse.gauge[GAUGE_queue] = s ? NAN : 1;
        sample_at(s);
        assert_true(isnan(ask_point("queue", RANGE_5M, 0)) == (s > 0));
    }
    for (unsigned back = 0; back < 300; back++)
        assert_true(isnan(ask_point("queue", RANGE_5M, back)));
}

static void nodes_come_and_go(void **state)
{
    struct pulse_node *n = pulse_add_node(&pulse, STR("gpu1"));
    n->inflight = 2;
    n->tokens = 100;
    sample_at(0);
    n->tokens = 150;
    took(&n->first, 70000);
    sample_at(1);
    assert_true(ask_point("node_inflight:gpu1", RANGE_5M, 0) == 2);
    assert_true(ask_point("node_tokens_per_s:gpu1", RANGE_5M, 0) == 50);
    assert_true(fabs(ask_point("node_ttft_p95_ms:gpu1", RANGE_5M, 0) - 70) < 2.2);
    pulse.nodes = 0;
    sample_at(2);
    assert_true(isnan(ask_point("node_inflight:gpu1", RANGE_5M, 0)));
    assert_true(ask_point("node_inflight:gpu1", RANGE_5M, 1) == 2);
    assert_true(isnan(ask_point("node_inflight:never", RANGE_5M, 0)));
    pulse.nodes = 1;
    n->tokens = 950; /* while it was away; no burst of 800 */
    sample_at(3);
    assert_true(isnan(ask_point("node_tokens_per_s:gpu1", RANGE_5M, 0)));
}

static void the_sixty_fifth_node(void **state)
{
    char name[16];
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "gpu%d", i);
        pulse_add_node(&pulse, str_of(name))->inflight = i;
    }
    assert_null(pulse_add_node(&pulse, STR("gpu64")));
    sample_at(0);
    struct answer a = ask("node_inflight:*", RANGE_5M);
    assert_true(point(&a, "node_inflight:gpu0", 0) == 0 && point(&a, "node_inflight:gpu63", 0) == 63);
    text_free(&a.text);
    pulse.nodes = 63;
    sample_at(1);
    pulse_add_node(&pulse, STR("new"))->inflight = 9;
    sample_at(2); /* takes the place of gpu63, which has not been seen for longest */
    assert_true(ask_point("node_inflight:new", RANGE_5M, 0) == 9);
    assert_true(isnan(ask_point("node_inflight:new", RANGE_5M, 2)));
    assert_true(isnan(ask_point("node_inflight:gpu63", RANGE_5M, 2)));
    assert_true(ask_point("node_inflight:gpu62", RANGE_5M, 0) == 62);
}

static void what_is_asked_for(void **state)
{
    struct text t = { 0 };
    struct str unknown = STR_NONE;
    sample_at(0);
    assert_int_equal(history_render(h, &t, STR("queue,nonsense"), RANGE_5M, &unknown), FAIL_bad_value);
    assert_true(str_eq(unknown, STR("nonsense")));
    assert_int_equal(history_render(h, &t, STR("queue:gpu1"), RANGE_5M, &unknown), FAIL_bad_value);
    assert_int_equal(text_str(&t).n, 0);
    text_free(&t);
    struct answer a = ask("", RANGE_1H);
    struct json_walk w = json_walk(a.series);
    unsigned n = 0;
    while (json_next(&w))
        n++;
    assert_int_equal(n, SERIES_COUNT);
    text_free(&a.text);
    enum history_range r;
    assert_true(history_range_of(STR("24h"), &r) && r == RANGE_24H);
    assert_true(history_range_of(STR_NONE, &r) && r == RANGE_5M);
    assert_false(history_range_of(STR("2h"), &r));
}

static void numbers_are_short(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0,                ",0]"            },
        { 1,               ",1]"            },
        { 0.12345,         ",0.1235]"       },
        { 99.5,            ",99.5]"         },
        { 1234.567,        ",1234.57]"      },
        { 123456789.0,     ",123456792]"    },
        { -0.5,            ",-0.5]"         },
        { -0.00001,        ",0]"            },
        { 0.00009,         ",0.0001]"       },
        { 1099511627776.0, ",1099511627776]"},
        { 1e30,            ",null]"         },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct text t = { 0 };
        struct str unknown;
        pulse.gauge[GAUGE_rss_bytes] = rows[i].value;
        sample_at((int64_t)i);
        assert_int_equal(history_render(h, &t, STR("rss_bytes"), RANGE_5M, &unknown), OK);
        if (str_find(text_str(&t), str_of(rows[i].text)) < 0)
            fail_msg("%g is not %s", rows[i].value, rows[i].text);
        text_free(&t);
    }
}

static void means_and_medians(void **state)
{
    struct series_at queue = { SERIES_queue, NULL };
    unsigned points = 9;
    assert_true(isnan(history_mean(h, queue, SECOND(60))));
    assert_true(isnan(history_median(h, queue, &points)) && points == 0);
    for (int s = 1; s <= 7200; s++) {
        pulse.gauge[GAUGE_queue] = s <= 3000 ? 1 : s <= 7170 ? 2 : 100;
        sample_at(s);
    }
    assert_true(history_mean(h, queue, SECOND(30)) == 100);
    assert_true(history_mean(h, queue, SECOND(60)) == 51);
    assert_true(history_mean(h, queue, SECOND(300)) == (270 * 2 + 30 * 100) / 300.0);
    assert_true(fabs(history_mean(h, queue, SECOND(3600)) - (3570 * 2 + 30 * 100) / 3600.0) < 0.001);
    assert_true(history_last(h, queue) == 100);
    assert_true(history_median(h, queue, &points) == 2);
    assert_int_equal(points, 121);
    assert_true(isnan(history_last(h, (struct series_at){ SERIES_node_inflight, "gone" })));
}

/* --- over a restart --- */

static struct buf image;

static void fill_and_save(void)
{
    struct pulse_node *n = pulse_add_node(&pulse, STR("gpu1"));
    for (int s = 0; s < 400; s++) {
        pulse.gauge[GAUGE_queue] = s;
        pulse.total[TOTAL_REQUESTS] += 3;
        n->inflight = 4;
        n->tokens += 2;
        sample_at(s);
    }
    image = (struct buf){ 0 };
    assert_int_equal(history_save(h, &image), OK);
}

static void begin_again(void)
{
    history_free(&h);
    h = history_new();
    assert_non_null(h);
}

static void a_restart_keeps_it(void **state)
{
    fill_and_save();
    begin_again();
    assert_true(history_restore(h, buf_str(&image)));
    assert_true(ask_point("queue", RANGE_5M, 0) == 399);
    assert_true(ask_point("requests_per_s", RANGE_1H, 1) == 3);
    pulse.total[TOTAL_REQUESTS] = 1; /* of the new process */
    sample_at(410);
    assert_true(ask_point("queue", RANGE_5M, 11) == 399);
    assert_true(isnan(ask_point("queue", RANGE_5M, 10)) && isnan(ask_point("queue", RANGE_5M, 1)));
    assert_true(isnan(ask_point("requests_per_s", RANGE_5M, 0)));
    assert_true(ask_point("node_inflight:gpu1", RANGE_5M, 11) == 4);
    assert_true(ask_point("node_inflight:gpu1", RANGE_5M, 0) == 4);
    buf_free(&image);
}

/* Cut anywhere, or any byte changed: the history starts empty. */
static void a_damaged_image(void **state)
{
    fill_and_save();
    struct str whole_image = buf_str(&image);
    for (size_t n = 0; n < whole_image.n; n += n < 200 ? 1 : 9973) {
        begin_again();
        assert_false(history_restore(h, str_take(whole_image, n)));
    }
    for (size_t i = 0; i < whole_image.n; i += i < 200 ? 1 : 9973) {
        image.block[image.start + i] ^= 0x20;
        assert_false(history_restore(h, buf_str(&image)));
        image.block[image.start + i] ^= 0x20;
    }
    assert_true(isnan(ask_point("queue", RANGE_24H, 0)));
    buf_free(&image);
}

static void an_image_from_the_future(void **state)
{
    fill_and_save();
    begin_again();
    assert_true(history_restore(h, buf_str(&image)));
    pulse.gauge[GAUGE_queue] = 5;
    sample_at(-86400);
    assert_true(ask_point("queue", RANGE_5M, 0) == 5);
    assert_true(isnan(ask_point("queue", RANGE_24H, 1)));
    buf_free(&image);
}

static void memory_that_is_out(void **state)
{
    struct text t = { 0 };
    struct str unknown;
    memory_fail_at(1);
    assert_null(history_new());
    fill_and_save();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        memory_fail_at(nth);
        assert_int_equal(history_render(h, &t, STR("queue"), RANGE_24H, &unknown), FAIL_no_memory);
        memory_fail_at(0);
        text_free(&t);
        t = (struct text){ 0 };
    }
    buf_free(&image);
    memory_fail_at(1);
    assert_int_equal(history_save(h, &image), FAIL_no_memory);
    memory_fail_at(0);
    buf_free(&image);
}

static void what_it_costs(void **state)
{
    char name[16];
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "gpu%d", i);
        pulse_add_node(&pulse, str_of(name))->inflight = i;
    }
    nsec best = NEVER;
    for (int s = 0; s < 120; s++) {
        for (int i = 0; i < 64; i++)
            took(&pulse.node[i].first, 50000);
        for (int i = 0; i < TIME_COUNT; i++)
            took(&pulse.time[i], 5000);
        nsec start = sys_now();
        sample_at(s);
        best = MIN(best, sys_now() - start);
    }
    nsec start = sys_now();
    struct answer a = ask("", RANGE_24H);
    print_message("a sample of 64 nodes: %d us; all series of a day: %d us, %zu bytes\n", (int)(best / 1000),
                  (int)((sys_now() - start) / 1000), text_str(&a.text).n);
    text_free(&a.text);
    assert_true(best < MSEC(20));
}

int main(void)
{
    buf_pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_history_is_all_gaps, each_begin, each_end),
        cmocka_unit_test_setup_teardown(rates_are_growth_per_second, each_begin, each_end),
        cmocka_unit_test_setup_teardown(points_bear_the_second_they_begin_with, each_begin, each_end),
        cmocka_unit_test_setup_teardown(longer_steps_are_made_from_their_ends, each_begin, each_end),
        cmocka_unit_test_setup_teardown(percentiles_are_of_all_times_in_the_step, each_begin, each_end),
        cmocka_unit_test_setup_teardown(shares_where_there_was_something, each_begin, each_end),
        cmocka_unit_test_setup_teardown(a_missed_second_is_a_gap, each_begin, each_end),
        cmocka_unit_test_setup_teardown(timers_that_are_not_quite_on_time, each_begin, each_end),
        cmocka_unit_test_setup_teardown(clocks_set_back, each_begin, each_end),
        cmocka_unit_test_setup_teardown(rings_go_round, each_begin, each_end),
        cmocka_unit_test_setup_teardown(nodes_come_and_go, each_begin, each_end),
        cmocka_unit_test_setup_teardown(the_sixty_fifth_node, each_begin, each_end),
        cmocka_unit_test_setup_teardown(what_is_asked_for, each_begin, each_end),
        cmocka_unit_test_setup_teardown(numbers_are_short, each_begin, each_end),
        cmocka_unit_test_setup_teardown(means_and_medians, each_begin, each_end),
        cmocka_unit_test_setup_teardown(a_restart_keeps_it, each_begin, each_end),
        cmocka_unit_test_setup_teardown(a_damaged_image, each_begin, each_end),
        cmocka_unit_test_setup_teardown(an_image_from_the_future, each_begin, each_end),
        cmocka_unit_test_setup_teardown(memory_that_is_out, each_begin, each_end),
        cmocka_unit_test_setup_teardown(what_it_costs, each_begin, each_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
