#include "observe/meter_fixture.h"

#include "base/slab.h"
#include "base/sys.h"

#include <sys/wait.h>

#define WORKERS 8
#define MODELS  20
#define NODES   64
/* Sanitizers and valgrind (its builds have plain memory) slow everything down. */
#if defined(PLAIN_MEMORY) || defined(__SANITIZE_THREAD__)
#define SCRAPE_MOST MSEC(500)
#else
#define SCRAPE_MOST MSEC(20)
#endif
static const char *promtool; /* NULL: not there */
static struct meter *meters[WORKERS];

/* A fleet in full: every worker has seen every model on every node, and something of everything else. */
static int each_begin(void **state)
{
    for (unsigned w = 0; w < WORKERS; w++) {
        meters[w] = meter_new();
        for (unsigned i = 0; meters[w] && i < MODELS * NODES; i++) {
            char model[32], node[32];
            snprintf(model, sizeof model, "library/model-%u:latest", i % MODELS);
            snprintf(node, sizeof node, "gpu-%u.example.org", i / MODELS);
            struct record r = chat_record(model, node);
            r.load_us = 1000000;
            r.route = (uint8_t)(i % ROUTE_COUNT);
            r.status = i % 10 ? 200 : 502;
            meter_record(meters[w], &r);
        }
        meter_retry(meters[w], FAIL_connect_refused);
        meter_upstream_error(meters[w], STR("gpu-1.example.org"), FAIL_upstream_cut);
        meter_add(meters[w], COUNT_connections, 5);
    }
    return 0;
}

static int each_end(void **state)
{
    for (unsigned w = 0; w < WORKERS; w++)
        meter_free(&meters[w]);
    return 0;
}

static void workers_add_up(void **state)
{
    struct text page = page_of(meters, WORKERS, false);
    static const char *const lines[] = {
        "ollamamax_tokens_total{model=\"library/model-3:latest\",node=\"gpu-63.example.org\",type=\"output\"} 400",
        "ollamamax_model_load_seconds_count{model=\"library/model-19:latest\"} 512",
        "ollamamax_model_load_seconds_sum{model=\"library/model-19:latest\"} 512.000000",
        "ollamamax_retries_total{reason=\"connect_refused\"} 8",
        "ollamamax_upstream_errors_total{node=\"gpu-1.example.org\",kind=\"upstream_cut\"} 8",
        "ollamamax_client_connections_total 40",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!has_line(text_str(&page), lines[i]))
            fail_msg("not there: %s", lines[i]);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_tokens_total{"), 2 * MODELS * NODES);
    text_free(&page);
}

/* Within a histogram each bucket holds those below it, and the last is the count. */
static void buckets_are_cumulative(void **state)
{
    struct text page = page_of(meters, WORKERS, false);
    struct str rest = text_str(&page), bucket = STR("ollamamax_added_seconds_bucket{le=\""),
               count = STR("ollamamax_added_seconds_count ");
    uint64_t before = 0, n = 0, buckets = 0;
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        struct str number = str_drop(line, (size_t)str_rchr(line, ' ') + 1);
        if (str_starts(line, bucket)) {
            assert_true(str_u64(number, &n) && n >= before);
            before = n;
            buckets++;
        }
        if (str_starts(line, count))
            assert_true(str_u64(number, &n) && n == before && n > 0);
    }
    assert_int_equal(buckets, 21);
    text_free(&page);
}

/* Every family once, its head before its samples, none between those of another. */
static void families_are_whole(void **state)
{
    struct text page = page_of(meters, WORKERS, true);
    struct str rest = text_str(&page), family = STR_NONE;
    unsigned families = 0;
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (str_starts(line, STR("# HELP "))) {
            line = str_drop(line, 7);
            family = str_cut(&line, ' ');
            families++;
        } else if (line.p[0] != '#') {
            assert_true(family.n && str_starts(line, family));
        }
    }
    assert_int_equal(families, 12 + COUNT_COUNT);
    assert_int_equal(count_lines(text_str(&page), "# HELP "), count_lines(text_str(&page), "# TYPE "));
    assert_int_equal(count_lines(text_str(&page), "# EOF"), 1);
    assert_true(has_line(text_str(&page), "# TYPE ollamamax_requests counter"));
    assert_true(has_line(text_str(&page), "# UNIT ollamamax_queue_wait_seconds seconds"));
    text_free(&page);
}

static void quantiles(void **state)
{
    struct meter *two[2] = { meter_new(), meter_new() };
    for (unsigned i = 1; i <= 1000; i++) {
        struct record r = chat_record(i % 2 ? "odd" : "even", "gpu1");
        r.first_us = i % 2 ? i * 1000 : 5000000;
        meter_record(two[i % 3 == 0], &r);
    }
    nsec half = metrics_quantile(two, 2, FAMILY_first_token, STR("odd"), 0.5);
    assert_true(half > MSEC(490) && half < MSEC(510));
    nsec most = metrics_quantile(two, 2, FAMILY_first_token, STR_NONE, 0.95);
    assert_true(most > MSEC(4950) && most < MSEC(5050));
    assert_int_equal(metrics_quantile(two, 2, FAMILY_first_token, STR("nobody"), 0.5), 0);
    assert_int_equal(metrics_quantile(two, 0, FAMILY_first_token, STR_NONE, 0.5), 0);
    meter_free(&two[0]);
    meter_free(&two[1]);
}

static void scrape_is_quick(void **state)
{
    nsec best = NEVER;
    size_t bytes = 0;
    for (int round = 0; round < 5; round++) {
        nsec start = sys_now();
        struct text page = page_of(meters, WORKERS, true);
        best = MIN(best, sys_now() - start);
        bytes = text_str(&page).n;
        text_free(&page);
    }
    print_message("%u workers, %u models on %u nodes: %.2f ms, %zu bytes\n", WORKERS, MODELS, NODES, (double)best / 1e6,
                  bytes);
    assert_true(best < SCRAPE_MOST);
}

/* Memory that is out fails the page as a whole; half a page would look like a restart. */
static void memory_that_is_out(void **state)
{
    for (uint64_t nth = 1; nth < 8; nth++) {
        struct text t = { 0 };
        struct metrics_page p = { .to = &t };
        memory_fail_at(nth);
        metrics_meters(&p, meters, WORKERS);
        memory_fail_at(0);
        assert_int_equal(t.failed, FAIL_no_memory);
        text_free(&t);
    }
}

static void promtool_agrees(void **state)
{
    if (!promtool)
        skip();
    struct text t = { 0 };
    struct metrics_page p = { .to = &t };
    struct metric_label label = { "node", STR("strange \" \\ \n \xFF name") };
    metrics_meters(&p, meters, WORKERS);
    metrics_family(&p, FAMILY_node_up);
    metrics_sample(&p, FAMILY_node_up, &label, 1, 0.5);
    metrics_end(&p);
    char command[512];
    snprintf(command, sizeof command, "'%s' check metrics >&2", promtool);
    FILE *pipe = popen(command, "w");
    assert_non_null(pipe);
    assert_int_equal(fwrite(text_str(&t).p, 1, text_str(&t).n, pipe), text_str(&t).n);
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    text_free(&t);
}

int main(int argc, char **argv)
{
    promtool = argc > 1 ? argv[1] : NULL;
    buf_pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(workers_add_up, each_begin, each_end),
        cmocka_unit_test_setup_teardown(buckets_are_cumulative, each_begin, each_end),
        cmocka_unit_test_setup_teardown(families_are_whole, each_begin, each_end),
        cmocka_unit_test(quantiles),
        cmocka_unit_test_setup_teardown(scrape_is_quick, each_begin, each_end),
        cmocka_unit_test_setup_teardown(memory_that_is_out, each_begin, each_end),
        cmocka_unit_test_setup_teardown(promtool_agrees, each_begin, each_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
