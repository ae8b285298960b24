/* The schedules: equal gaps to the nanosecond, and chance that has the right mean and comes out the same again. */
#include "bench/arrival.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void constant_arrivals_do_not_drift(void **state)
{
    struct arrival a;

    arrival_init(&a, ARRIVAL_CONSTANT, 1000, 1);
    for (int i = 0; i < 100000; i++)
        assert_in_range(arrival_next(&a) - MSEC(i) + 1, 0, 2);
}

static void poisson_has_the_rate_and_the_spread_of_chance(void **state)
{
    enum { N = 200000 };
    struct arrival a;
    double sum = 0, squares = 0;
    nsec last = 0;

    arrival_init(&a, ARRIVAL_POISSON, 1000, 7);
    assert_int_equal(arrival_next(&a), 0);
    for (int i = 0; i < N; i++) {
        nsec at = arrival_next(&a);
        double gap = (double)(at - last) / 1e6;
        assert_true(at >= last);
        sum += gap;
        squares += gap * gap;
        last = at;
    }
    double mean = sum / N, deviation = sqrt(squares / N - mean * mean);
    assert_float_equal(mean, 1.0, 0.02); /* five standard errors are 0.011 */
    assert_float_equal(deviation, 1.0, 0.03);
}

static void the_same_seed_makes_the_same_schedule(void **state)
{
    struct arrival a, b, other;
    int same = 0;

    arrival_init(&a, ARRIVAL_POISSON, 50000, 3);
    arrival_init(&b, ARRIVAL_POISSON, 50000, 3);
    arrival_init(&other, ARRIVAL_POISSON, 50000, 4);
    arrival_next(&other);
    assert_int_equal(arrival_next(&a), arrival_next(&b));
    for (int i = 0; i < 1000; i++) {
        nsec at = arrival_next(&a);
        assert_int_equal(at, arrival_next(&b));
        same += at == arrival_next(&other);
    }
    assert_in_range(same, 0, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_arrivals_do_not_drift),
        cmocka_unit_test(poisson_has_the_rate_and_the_spread_of_chance),
        cmocka_unit_test(the_same_seed_makes_the_same_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
