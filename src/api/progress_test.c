#include "api/progress.h"
#include "base/json.h"
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct text out;
static const struct str names[] = {
    {"gpu1",  4},
    { "gpu2", 4},
    { "gpu3", 4}
};

static struct progress *begin_with(unsigned nodes)
{
    struct progress *p = progress_new(&arena, nodes, names);
    assert_non_null(p);
    return p;
}

static void says(struct progress *p, unsigned node, const char *record)
{
    progress_take(p, node, str_of(record), &out);
}

#define MANIFEST  "{\"status\":\"pulling manifest\"}\n"
#define VERIFYING "{\"status\":\"verifying sha256 digest\"}\n"
#define SUCCESS   "{\"status\":\"success\"}\n"

static void layer(struct progress *p, unsigned node, const char *digest, unsigned total, unsigned completed)
{
    char record[200];
    snprintf(record, sizeof record,
             "{\"status\":\"pulling %s\",\"digest\":\"sha256:%s\",\"total\":%u,\"completed\":%u}\n", digest, digest,
             total, completed);
    says(p, node, record);
}

static void assert_client_got(const char *want)
{
    struct str got = text_str(&out);
    assert_int_equal(out.failed, OK);
    if (!str_eq(got, str_of(want)))
        fail_msg("got\n%.*s\nwant\n%s", STR_ARG(got), want);
    text_free(&out);
}

static int clear(void **state)
{
    text_free(&out);
    out = (struct text){ 0 };
    arena_done(&arena);
    arena_init(&arena);
    return 0;
}

static void one_node_is_passed_on(void **state)
{
    struct progress *p = begin_with(1);
    says(p, 0, MANIFEST);
    layer(p, 0, "aa", 100, 0);
    layer(p, 0, "aa", 100, 60);
    layer(p, 0, "aa", 100, 100);
    says(p, 0, VERIFYING);
    says(p, 0, SUCCESS);
    progress_end(p, 0, STR_NONE, &out);
    assert_true(progress_finish(p, &out));
    assert_client_got(
        MANIFEST
        "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100}\n"
        "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":60}\n"
        "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":100}\n" VERIFYING SUCCESS);
    assert_null(progress_error(p).p);
}

static void statuses_are_said_once(void **state)
{
    struct progress *p = begin_with(3);
    for (unsigned i = 0; i < 3; i++)
        says(p, i, MANIFEST);
    assert_client_got(MANIFEST);
}

static void the_slowest_node_counts(void **state)
{
    struct progress *p = begin_with(2);
    layer(p, 0, "aa", 100, 70);
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100}\n");
    layer(p, 1, "aa", 100, 20);
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":20}\n");
    layer(p, 0, "aa", 100, 90);
    assert_client_got("");
    layer(p, 1, "aa", 100, 95);
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":90}\n");
}

static void completed_never_decreases(void **state)
{
    struct progress *p = begin_with(1);
    layer(p, 0, "aa", 100, 50);
    layer(p, 0, "aa", 100, 10);
    layer(p, 0, "aa", 100, 50);
    layer(p, 0, "aa", 100, 51);
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":50}\n"
                      "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":51}\n");
}

static void later_statuses_wait_for_the_layers(void **state)
{
    struct progress *p = begin_with(2);
    layer(p, 0, "aa", 100, 100);
    says(p, 0, VERIFYING);
    progress_end(p, 0, STR_NONE, &out);
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100}\n");
    layer(p, 1, "aa", 100, 100);
    assert_client_got(
        "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":100}\n" VERIFYING);
    says(p, 1, VERIFYING);
    assert_client_got("");
}

static void a_node_that_had_the_layer_holds_nobody_up(void **state)
{
    struct progress *p = begin_with(2);
    layer(p, 0, "aa", 100, 40);
    progress_end(p, 1, STR_NONE, &out);
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100}\n"
                      "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":40}\n");
    progress_end(p, 0, STR_NONE, &out);
    assert_true(progress_finish(p, &out));
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":100}\n" SUCCESS);
}

static void success_comes_only_at_the_end(void **state)
{
    struct progress *p = begin_with(2);
    says(p, 0, SUCCESS);
    progress_end(p, 0, STR_NONE, &out);
    says(p, 1, SUCCESS);
    progress_end(p, 1, STR_NONE, &out);
    assert_client_got("");
    assert_true(progress_finish(p, &out));
    assert_client_got(SUCCESS);
}

static void a_partial_failure_names_who_did_what(void **state)
{
    struct progress *p = begin_with(3);
    layer(p, 0, "aa", 100, 40);
    says(p, 1, "{\"error\":\"no space left on \\\"device\\\"\"}\n");
    progress_end(p, 1, STR_NONE, &out);
    progress_end(p, 0, STR_NONE, &out);
    progress_end(p, 2, STR_NONE, &out);
    text_free(&out);
    assert_false(progress_finish(p, &out));
    assert_client_got("{\"error\":\"no space left on \\\"device\\\" (on gpu2); succeeded on gpu1, gpu3\"}\n");
    assert_true(str_eq(progress_error(p), STR("no space left on \"device\" (on gpu2); succeeded on gpu1, gpu3")));
}

static void equal_errors_are_said_once(void **state)
{
    struct progress *p = begin_with(3);
    progress_end(p, 0, STR("pull model manifest: file does not exist"), &out);
    progress_end(p, 1, STR("connection refused"), &out);
    progress_end(p, 2, STR("pull model manifest: file does not exist"), &out);
    assert_false(progress_finish(p, &out));
    assert_client_got("{\"error\":\"pull model manifest: file does not exist (on gpu1, gpu3); connection refused (on "
                      "gpu2)\"}\n");
}

static void the_first_error_of_a_node_stays(void **state)
{
    struct progress *p = begin_with(1);
    says(p, 0, "{\"error\":\"the cause\"}\n");
    progress_end(p, 0, STR("the stream ended"), &out);
    progress_end(p, 0, STR_NONE, &out);
    says(p, 0, MANIFEST);
    assert_false(progress_finish(p, &out));
    assert_client_got("{\"error\":\"the cause (on gpu1)\"}\n");
}

static void failing_finishes_no_bar(void **state)
{
    struct progress *p = begin_with(2);
    layer(p, 0, "aa", 100, 40);
    layer(p, 1, "aa", 100, 50);
    text_free(&out);
    progress_end(p, 0, STR("a"), &out);
    assert_client_got("{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":50}\n");
    progress_end(p, 1, STR(""), &out);
    assert_client_got("");
    assert_false(progress_finish(p, &out));
    assert_client_got("{\"error\":\"a (on gpu1); no reason was given (on gpu2)\"}\n");
}

static void who_has_not_ended_is_named(void **state)
{
    struct progress *p = begin_with(3);
    progress_end(p, 0, STR("a"), &out);
    progress_end(p, 1, STR_NONE, &out);
    assert_false(progress_finish(p, &out));
    assert_client_got("{\"error\":\"a (on gpu1); succeeded on gpu2; not finished on gpu3\"}\n");
}

static void what_is_no_record_is_passed_over(void **state)
{
    static const char *const strange[] = { "",     "\n",           "x",
                                           "null", "{\"status\":", "{\"status\":7,\"digest\":null}",
                                           "[]",   "{}",           "{\"error\":\"\"}" };
    struct progress *p = begin_with(1);
    for (unsigned i = 0; i < ARRAY_LEN(strange); i++)
        says(p, 0, strange[i]);
    says(p, 0, "{\"digest\":\"d\",\"total\":-1,\"completed\":1e300}");
    assert_client_got("{\"status\":\"\",\"digest\":\"d\"}\n");
}

static void memory_may_be_out_at_any_time(void **state)
{
    for (unsigned nth = 1; nth < 30; nth++) {
        memory_fail_at(nth);
        struct progress *p = progress_new(&arena, 2, names);
        bool good = false;
        if (p) {
            says(p, 0, "{\"status\":\"\\u0061\"}\n");
            layer(p, 1, "aa", 100, 40);
            says(p, 1, "{\"error\":\"\\u0061\"}\n");
            progress_end(p, 0, STR_NONE, &out);
            progress_end(p, 1, STR_NONE, &out);
            good = progress_finish(p, &out);
        }
        memory_fail_at(0);
        assert_false(good && !out.failed);
        clear(NULL);
    }
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    assert_int_equal(buf_bytes_live(), 0);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_node_is_passed_on, clear),
        cmocka_unit_test_teardown(statuses_are_said_once, clear),
        cmocka_unit_test_teardown(the_slowest_node_counts, clear),
        cmocka_unit_test_teardown(completed_never_decreases, clear),
        cmocka_unit_test_teardown(later_statuses_wait_for_the_layers, clear),
        cmocka_unit_test_teardown(a_node_that_had_the_layer_holds_nobody_up, clear),
        cmocka_unit_test_teardown(success_comes_only_at_the_end, clear),
        cmocka_unit_test_teardown(a_partial_failure_names_who_did_what, clear),
        cmocka_unit_test_teardown(equal_errors_are_said_once, clear),
        cmocka_unit_test_teardown(the_first_error_of_a_node_stays, clear),
        cmocka_unit_test_teardown(failing_finishes_no_bar, clear),
        cmocka_unit_test_teardown(who_has_not_ended_is_named, clear),
        cmocka_unit_test_teardown(what_is_no_record_is_passed_over, clear),
        cmocka_unit_test_teardown(memory_may_be_out_at_any_time, clear),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
