/* Percentiles against values counted by hand, spreads with rounds that were not measured. */
#include "bench/statistics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void percentiles_are_nearest_ranks(void **state)
{
    double v[] = { 5, 1, 4, 2, 3, 10, 9, 8, 7, 6 };

    statistics_sort(v, ARRAY_LEN(v));
    assert_float_equal(statistics_percentile(v, 10, 0.5), 5, 0);
    assert_float_equal(statistics_percentile(v, 10, 0.9), 9, 0);
    assert_float_equal(statistics_percentile(v, 10, 0.91), 10, 0);
    assert_float_equal(statistics_percentile(v, 10, 0.999), 10, 0);
    assert_float_equal(statistics_percentile(v, 10, 1), 10, 0);
    assert_float_equal(statistics_percentile(v, 10, 0), 1, 0);
}

static void one_value_is_every_percentile(void **state)
{
    double v = 7;

    assert_float_equal(statistics_percentile(&v, 1, 0.5), 7, 0);
    assert_float_equal(statistics_percentile(&v, 1, 0.999), 7, 0);
    assert_true(isnan(statistics_percentile(&v, 0, 0.5)));
}

static void a_spread_leaves_out_what_was_not_measured(void **state)
{
    struct spread odd = spread_of((double[]){ 3, NAN, 1, 2, INFINITY }, 5);
    struct spread even = spread_of((double[]){ 4, 1, 3, 2 }, 4);
    struct spread none = spread_of((double[]){ NAN, NAN }, 2);

    assert_int_equal(odd.rounds, 3);
    assert_float_equal(odd.median, 2, 0);
    assert_float_equal(odd.low, 1, 0);
    assert_float_equal(odd.high, 3, 0);
    assert_float_equal(even.median, 2.5, 0);
    assert_int_equal(none.rounds, 0);
    assert_true(isnan(none.median) && isnan(none.low) && isnan(none.high));
}

static void ratios_are_taken_round_by_round(void **state)
{
    /* The medians alone would say 20/20 = 1. */
    struct spread s = spread_of_ratios((double[]){ 10, 20, 90 }, (double[]){ 20, 40, 20 }, 3);

    assert_float_equal(s.median, 0.5, 1e-12);
    assert_float_equal(s.low, 0.5, 1e-12);
    assert_float_equal(s.high, 4.5, 1e-12);
}

static void ratios_need_both_sides_and_something_below(void **state)
{
    struct spread s = spread_of_ratios((double[]){ 1, NAN, 1, 6 }, (double[]){ 0, 1, -1, 3 }, 4);

    assert_int_equal(s.rounds, 1);
    assert_float_equal(s.median, 2, 1e-12);
    assert_int_equal(spread_of_ratios((double[]){ 1 }, (double[]){ NAN }, 1).rounds, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(one_value_is_every_percentile),
        cmocka_unit_test(a_spread_leaves_out_what_was_not_measured),
        cmocka_unit_test(ratios_are_taken_round_by_round),
        cmocka_unit_test(ratios_need_both_sides_and_something_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
