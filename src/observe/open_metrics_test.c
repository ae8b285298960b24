/* The page as a strict reader sees it: the reader itself, then a page with every family there is. */
#include "observe/meter_fixture.h"
#include "observe/metrics_page.h"
#include "observe/open_metrics_fixture.h"

#include "base/sys.h"

#include <sys/wait.h>

static const char *promtool; /* NULL: not there */

/* --- the reader is strict --- */

static void assert_fault(const char *text, const char *says)
{
    const char *fault = open_metrics_fault(str_of(text), NULL);
    if (!says && fault)
        fail_msg("%s", fault);
    if (says && (!fault || !strstr(fault, says)))
        fail_msg("not '%s' but '%s' about %s", says, fault ? fault : "nothing", text);
}

#define A     "# TYPE a counter\n"
#define H     "# TYPE h histogram\n"
#define EOF_  "# EOF\n"
#define H_END "h_bucket{le=\"+Inf\"} 3\nh_sum 1.5\nh_count 3\n" EOF_
static void what_is_right(void **state)
{
    assert_fault(A "a_total 3\n" EOF_, NULL);
    assert_fault("# HELP a help\n" A "a_total{x=\"\\\\\\\"\\n\",y=\"\"} 3\n# TYPE b gauge\nb -1.5e3\n" EOF_, NULL);
    assert_fault("# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes NaN\n" EOF_, NULL);
    assert_fault(H "h_bucket{le=\"0.5\"} 1\n" H_END, NULL);
    assert_fault(H "h_bucket{le=\"0.5\"} 1 # {trace_id=\"ab\"} 0.4 1700000000.5\n" H_END, NULL);
    assert_fault(H "h_bucket{m=\"a\",le=\"+Inf\"} 1\nh_sum{m=\"a\"} 1\nh_count{m=\"a\"} 1\n"
                   "h_bucket{m=\"b\",le=\"+Inf\"} 1\nh_sum{m=\"b\"} 1\nh_count{m=\"b\"} 1\n" EOF_,
                 NULL);
}

static void what_is_wrong(void **state)
{
    assert_fault(A "a_total 3\n", "# EOF");
    assert_fault(A "a_total 3\n" EOF_ "\n", "# EOF");
    assert_fault("a_total 3\n" EOF_, "without TYPE");
    assert_fault(A "a 3\n" EOF_, "without _total");
    assert_fault(A "b_total 3\n" EOF_, "not of its family");
    assert_fault(A "a_total -1\n" EOF_, "no count");
    assert_fault(A "a_total 1\na_total 1\n" EOF_, "a series twice");
    assert_fault(A "a_total{x=\"1\",x=\"2\"} 1\n" EOF_, "a label twice");
    assert_fault(A "a_total{x=\"\\t\"} 1\n" EOF_, "escape");
    assert_fault(A "a_total{x=\"\xFF\"} 1\n" EOF_, "UTF-8");
    assert_fault(A "a_total{x=\"1\"y=\"2\"} 1\n" EOF_, "comma");
    assert_fault(A "a_total{x=\"1\",} 1\n" EOF_, "comma");
    assert_fault(A "a_total{1x=\"1\"} 1\n" EOF_, "without a name");
    assert_fault(A "a_total 1 1700000000\n" EOF_, "time stamp");
    assert_fault(A "a_total 0x10\n" EOF_, "no number");
    assert_fault(A "\na_total 1\n" EOF_, "empty line");
    assert_fault(A "a_total 1\n# HELP a late\n" EOF_, "behind samples");
    assert_fault(A "a_total 1\n# TYPE b gauge\nb 1\n" A EOF_, "comes twice");
    assert_fault("# TYPE a_total counter\n" EOF_, "ends like a sample's");
    assert_fault("# TYPE a meter\n" EOF_, "type");
    assert_fault("# TYPE a gauge\n# UNIT a bytes\na 1\n" EOF_, "unit");
    assert_fault("# TYPE a gauge\na 1 # {trace_id=\"ab\"} 1 1\n" EOF_, "where none may be");
    assert_fault(H "h_bucket{le=\"1\"} 1\n" H_END, "no float");
    assert_fault(H "h_bucket{le=\"1.0\"} 4\n" H_END, "cumulative");
    assert_fault(H "h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"0.5\"} 1\n" H_END, "in order");
    assert_fault(H "h_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 4\n" EOF_, "+Inf bucket");
    assert_fault(H "h_bucket{le=\"+Inf\"} 3\nh_count 3\n" EOF_, "without");
    assert_fault(H "h_bucket{le=\"0.5\"} 3\n" EOF_, "without");
    assert_fault(H "h_bucket{le=\"0.5\"} 1 # {trace_id=\"ab\"} 0.6 1\n" H_END, "not of its bucket");
    char long_one[300];
    snprintf(long_one, sizeof long_one, H "h_bucket{le=\"0.5\"} 1 # {trace_id=\"%0125d\"} 0.4 1\n" H_END, 7);
    assert_fault(long_one, "too long");
}

/* --- a page with everything --- */

#define WORKERS 3
static struct meter *meters[WORKERS];

static int each_begin(void **state)
{
    for (unsigned w = 0; w < WORKERS; w++) {
        meters[w] = meter_new();
        for (unsigned i = 0; meters[w] && i < 300; i++) {
            struct record r = chat_record(i % 3 ? "llama3:8b" : "strange \" \\ \n \xFF", i % 2 ? "gpu1" : "gpu2");
            r.total_us = 1000u << (i % 20);
            r.first_us = r.total_us / 2;
            r.load_us = 900000;
            r.cache = (uint8_t)(i % CACHED_RESULTS);
            r.route = (uint8_t)(i % (ROUTE_COUNT + 1));
            r.wall += MSEC(i * 700);
            memset(r.trace, (int)i, sizeof r.trace);
            r.status = i % 10 ? 200 : 503;
            r.why = i % 10 ? OK : FAIL_queue_full;
            r.attempts = i % 10 != 0;
            meter_record(meters[w], &r);
        }
        meter_retry(meters[w], FAIL_connect_refused);
        meter_upstream_error(meters[w], STR("gpu1"), FAIL_upstream_cut);
    }
    return 0;
}

static int each_end(void **state)
{
    for (unsigned w = 0; w < WORKERS; w++)
        meter_free(&meters[w]);
    return 0;
}

/* What a room would do: whole families, from a snapshot of its own. */
static void collect_gauges(struct metrics_page *p, void *arg)
{
    static const struct metric_label node_model[] = {
        {"node",   { "gpu1", 4 }     },
        { "model", { "llama3:8b", 9 }}
    };
    for (int f = 0; f < FAMILY_COUNT; f++)
        if (metric_of((enum meter_family)f)->type == TYPE_GAUGE) {
            metrics_family(p, (enum meter_family)f);
            metrics_sample(p, (enum meter_family)f, node_model, 2, 0.25);
        }
}

static struct text whole_page(bool open_metrics)
{
    struct text t = { 0 };
    struct metrics_page p = { .to = &t, .open_metrics = open_metrics };
    struct metrics_collector room = { .collect = collect_gauges };
    metrics_collector_add(&room);
    metrics_meters(&p, meters, WORKERS);
    metrics_collect(&p);
    metrics_end(&p);
    metrics_collector_remove(&room);
    metrics_collector_remove(&room); /* nothing happens */
    assert_int_equal(t.failed, OK);
    return t;
}

static void the_whole_page(void **state)
{
    unsigned exemplars = 0;
    struct text t = whole_page(true);
    const char *fault = open_metrics_fault(text_str(&t), &exemplars);
    if (fault)
        fail_msg("%s", fault);
    assert_true(exemplars > 20);
    assert_true(has_line(text_str(&t), "ollamamax_breaker_state{node=\"gpu1\",model=\"llama3:8b\"} 0.25"));
    assert_true(has_line(text_str(&t), "ollamamax_cache_requests_total{result=\"joined\"} 150"));
    text_free(&t);
    t = whole_page(false);
    assert_true(str_find(text_str(&t), STR("trace_id")) < 0);
    text_free(&t);
}

/* Of a bucket the latest of all workers, whoever had it. */
static void exemplars_are_the_latest(void **state)
{
    struct meter *two[2] = { meter_new(), meter_new() };
    struct record r = chat_record("llama3", "gpu1");
    memset(r.trace, 0x11, sizeof r.trace);
    meter_record(two[0], &r);
    memset(r.trace, 0x22, sizeof r.trace);
    r.wall += SECOND(5);
    meter_record(two[1], &r);
    memset(r.trace, 0x33, sizeof r.trace);
    r.wall += MSEC(900); /* within a second of the last: not renewed */
    meter_record(two[1], &r);
    struct text t = page_of(two, 2, true);
    assert_true(has_line(text_str(&t), "ollamamax_request_duration_seconds_bucket{route=\"chat\",le=\"2.56\"} 3 # "
                                       "{trace_id=\"22222222222222222222222222222222\"} 1.500000 1700000005.000"));
    text_free(&t);
    meter_free(&two[0]);
    meter_free(&two[1]);
}

static void promtool_agrees(void **state)
{
    if (!promtool)
        skip();
    struct text t = whole_page(false);
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
        cmocka_unit_test(what_is_right),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test_setup_teardown(the_whole_page, each_begin, each_end),
        cmocka_unit_test(exemplars_are_the_latest),
        cmocka_unit_test_setup_teardown(promtool_agrees, each_begin, each_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
