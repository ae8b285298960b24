/* fleet/breaker_test.c - when a breaker opens, tests, and closes. Moments are seconds. */
#include "fleet/breaker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIDDLE (UINT64_MAX / 2) /* no jitter */

static nsec at(double s)
{
    return (nsec)(s * 1e9);
}

static void learn(struct breaker *b, bool good, uint32_t n, double now)
{
    while (n--)
        breaker_learn(b, good, at(now), at(now), MIDDLE);
}

/* Opened at second 100 by five in a row. */
static struct breaker opened(void)
{
    struct breaker b = { 0 };
    learn(&b, false, 5, 100);
    assert_int_equal(b.state, BREAKER_OPEN);
    return b;
}

static void probe(struct breaker *b, bool good, double now)
{
    assert_true(breaker_allows(b, at(now)));
    assert_true(breaker_take_probe(b, at(now)));
    assert_false(breaker_allows(b, at(now)));
    learn(b, good, 1, now);
}

static void five_in_a_row_open_it(void **state)
{
    struct breaker b = { 0 };
    learn(&b, false, 4, 1);
    learn(&b, true, 1, 1);
    learn(&b, false, 4, 1);
    assert_int_equal(b.state, BREAKER_CLOSED); /* never five, and only nine */
    learn(&b, false, 1, 100);
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void a_run_is_counted_over_any_time(void **state)
{
    struct breaker b = { 0 };
    for (int i = 0; i < 4; i++)
        learn(&b, false, 1, 100 * i);
    assert_true(breaker_allows(&b, at(301)));
    learn(&b, false, 1, 400);
    assert_false(breaker_allows(&b, at(401)));
}

static void half_of_ten_opens_it(void **state)
{
    struct breaker b = { 0 };
    for (int i = 0; i < 4; i++)
        learn(&b, true, 1, 1 + i), learn(&b, false, 1, 1 + i);
    learn(&b, true, 1, 5.5);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_float_equal(breaker_bad_share(&b, at(5.5)), 4.0 / 9, 1e-9);
    learn(&b, false, 1, 5.6);
    assert_int_equal(b.state, BREAKER_OPEN);
}

static void less_than_half_does_not(void **state)
{
    struct breaker b = { 0 };
    for (int i = 0; i < 300; i++)
        learn(&b, i % 9 < 5, 1, i * 0.1); /* 5 good, 4 bad, again and again */
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void what_is_older_than_ten_seconds_is_forgotten(void **state)
{
    struct breaker b = { 0 };
    for (int i = 0; i < 4; i++)
        learn(&b, false, 1, 1), learn(&b, true, 1, 1);
    learn(&b, false, 4, 11.5);
    learn(&b, true, 1, 11.5);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_float_equal(breaker_bad_share(&b, at(11.5)), 0.8, 1e-9);
    assert_float_equal(breaker_bad_share(&b, at(100)), 0, 1e-9);
}

static void open_rests_and_is_tested_by_one(void **state)
{
    struct breaker b = opened();
    assert_false(breaker_allows(&b, at(104.9)));
    assert_int_equal(breaker_next_change(&b, at(101)) / MSEC(1), 105000);
    assert_int_equal(breaker_state(&b, at(105.1)), BREAKER_TRIAL);
    assert_int_equal(breaker_next_change(&b, at(105.1)), NEVER);
    probe(&b, true, 106);
    probe(&b, true, 107);
    assert_int_equal(b.state, BREAKER_CLOSED);
    learn(&b, false, 4, 108); /* the window is empty again */
    assert_true(breaker_allows(&b, at(108)));
}

static void a_bad_probe_doubles_the_rest(void **state)
{
    struct breaker b = opened();
    const double rest[] = { 10, 20, 40, 80, 160, 300, 300 };
    double now = 105.1;
    for (unsigned i = 0; i < ARRAY_LEN(rest); i++) {
        probe(&b, false, now);
        assert_false(breaker_allows(&b, at(now + rest[i] - 0.1)));
        now += rest[i] + 0.1;
        assert_true(breaker_allows(&b, at(now)));
    }
    probe(&b, true, now);
    probe(&b, false, now + 1); /* one good one is not enough */
    assert_int_equal(b.state, BREAKER_OPEN);
    now += 302;
    probe(&b, true, now);
    probe(&b, true, now);
    learn(&b, false, 5, now); /* closed in between: from the start again */
    assert_int_equal((b.until - at(now)) / MSEC(1), 5000);
}

static void a_rest_jitters(void **state)
{
    const uint64_t chance[] = { 0, UINT64_MAX };
    const int want[] = { 4000, 6000 };
    for (int i = 0; i < 2; i++) {
        struct breaker b = { 0 };
        for (int n = 0; n < 5; n++)
            breaker_learn(&b, false, at(99), at(100), chance[i]);
        assert_int_equal((b.until - at(100) + 1000) / MSEC(1), want[i]);
    }
}

static void a_probe_that_was_no_sample_makes_way(void **state)
{
    struct breaker b = opened();
    assert_true(breaker_take_probe(&b, at(106)));
    assert_false(breaker_take_probe(&b, at(106)));
    breaker_drop(&b, at(99)); /* another, from before */
    assert_false(breaker_allows(&b, at(106)));
    breaker_drop(&b, at(106));
    assert_true(breaker_allows(&b, at(106)));
    probe(&b, true, 107);
}

static void answers_from_before_change_nothing(void **state)
{
    struct breaker b = opened();
    assert_false(breaker_learn(&b, true, at(99), at(101), MIDDLE));
    assert_int_equal(b.state, BREAKER_OPEN);
    learn(&b, true, 5, 106); /* its time is over, but nobody was sent */
    assert_int_equal(b.state, BREAKER_TRIAL);
    learn(&b, false, 5, 106);
    assert_int_equal(b.state, BREAKER_TRIAL);
}

static void answers_from_before_are_no_probes(void **state)
{
    const bool good[] = { true, false };
    for (int i = 0; i < 2; i++) {
        struct breaker b = opened();
        assert_true(breaker_take_probe(&b, at(106)));
        assert_false(breaker_learn(&b, good[i], at(99), at(107), MIDDLE));
        assert_int_equal(b.state, BREAKER_TRIAL);
        assert_false(breaker_allows(&b, at(107))); /* the probe is still out */
        breaker_learn(&b, true, at(106), at(108), MIDDLE);
        assert_true(breaker_allows(&b, at(108)));
        assert_int_equal(b.good_row, 1);
    }
}

static void a_change_is_said(void **state)
{
    struct breaker b = { 0 };
    uint32_t changes = 0;
    for (int i = 0; i < 9; i++)
        changes += breaker_learn(&b, false, at(1), at(1), MIDDLE);
    assert_int_equal(changes, 1);
}

static void every_state_has_words(void **state)
{
    for (unsigned s = 0; s < BREAKER_STATES; s++)
        assert_true(strlen(breaker_name(s)) > 3 && strlen(breaker_says(s)) > 10);
}

static void a_node_starts_slowly(void **state)
{
    assert_float_equal(breaker_slow_start(at(10), at(10)), 0.1, 1e-9);
    assert_float_equal(breaker_slow_start(at(10), at(25)), 0.55, 1e-9);
    assert_float_equal(breaker_slow_start(at(10), at(40)), 1, 1e-9);
    assert_float_equal(breaker_slow_start(at(10), at(9)), 0.1, 1e-9);
    assert_float_equal(breaker_slow_start(NEVER, at(10)), 1, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_in_a_row_open_it),
        cmocka_unit_test(a_run_is_counted_over_any_time),
        cmocka_unit_test(half_of_ten_opens_it),
        cmocka_unit_test(less_than_half_does_not),
        cmocka_unit_test(what_is_older_than_ten_seconds_is_forgotten),
        cmocka_unit_test(open_rests_and_is_tested_by_one),
        cmocka_unit_test(a_bad_probe_doubles_the_rest),
        cmocka_unit_test(a_rest_jitters),
        cmocka_unit_test(a_probe_that_was_no_sample_makes_way),
        cmocka_unit_test(answers_from_before_change_nothing),
        cmocka_unit_test(answers_from_before_are_no_probes),
        cmocka_unit_test(a_change_is_said),
        cmocka_unit_test(every_state_has_words),
        cmocka_unit_test(a_node_starts_slowly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
