#include "base/fail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void every_row_is_whole(void **state)
{
    for (enum fail f = OK; f < FAIL_COUNT; f++) {
        assert_true(fail_name(f).n > 0);
        assert_true(fail_sentence(f).n > 0);
        assert_in_range(fail_status(f), 200, 599);
        for (enum fail g = OK; g < f; g++)
            assert_false(str_eq(fail_name(f), fail_name(g)));
    }
}

static void rows_answer_as_written(void **state)
{
    assert_int_equal(OK, 0);
    assert_int_equal(fail_status(OK), 200);
    assert_true(str_eq(fail_name(FAIL_connect_refused), STR("connect_refused")));
    assert_true(str_eq(fail_sentence(FAIL_model_required), STR("model is required")));
    assert_int_equal(fail_status(FAIL_client_gone), 499);
}

static void flags_are_told_apart(void **state)
{
    assert_true(fail_may_go_elsewhere(FAIL_reused_dead));
    assert_true(fail_is_free_retry(FAIL_reused_dead));
    assert_false(fail_counts_against_node(FAIL_reused_dead));
    assert_false(fail_waiting_helps(FAIL_reused_dead));

    assert_false(fail_may_go_elsewhere(FAIL_upstream_cut));
    assert_true(fail_counts_against_node(FAIL_upstream_cut));
    assert_true(fail_waiting_helps(FAIL_queue_full));
    assert_false(fail_is_free_retry(FAIL_queue_full));
}

/* What may be retried for free may be retried at all; what the client did wrong is no node's fault. */
static void flags_agree_with_each_other(void **state)
{
    for (enum fail f = OK; f < FAIL_COUNT; f++) {
        assert_true(!fail_is_free_retry(f) || fail_may_go_elsewhere(f));
        assert_true(!fail_waiting_helps(f) || fail_status(f) == 503 || fail_status(f) == 429);
        assert_true(!fail_counts_against_node(f) || fail_status(f) >= 500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(rows_answer_as_written),
        cmocka_unit_test(flags_are_told_apart),
        cmocka_unit_test(flags_agree_with_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
