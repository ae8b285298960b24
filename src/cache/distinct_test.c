/* Four standard errors, at a fixed seed: this cannot fail by chance, only by a change. */
#include "cache/distinct.h"

#include "base/slab.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <xxhash.h>

#include <cmocka.h>

#define BITS 14

static double estimated(uint64_t n, unsigned times)
{
    struct distinct d;
    assert_int_equal(distinct_init(&d, BITS), OK);
    for (unsigned t = 0; t < times; t++)
        for (uint64_t i = 0; i < n; i++)
            distinct_add(&d, XXH3_64bits_withSeed(&i, sizeof i, 1));
    double estimate = distinct_estimate(&d);
    distinct_done(&d);
    return estimate;
}

static void estimates_are_near_from_none_to_millions(void **state)
{
    const uint64_t counts[] = { 1, 10, 100, 1000, 10000, 50000, 200000, 1000000, 5000000 };
    assert_true(estimated(0, 1) == 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double n = (double)counts[i];
        assert_true(fabs(estimated(counts[i], 1) - n) <= MAX(0.6, 4 * distinct_error(BITS, 1) * n));
    }
}

static void repeats_change_nothing(void **state)
{
    assert_true(estimated(3000, 1) == estimated(3000, 5));
}

static void no_memory_is_said(void **state)
{
    struct distinct d;
    memory_fail_at(1);
    assert_int_equal(distinct_init(&d, BITS), FAIL_no_memory);
    memory_fail_at(0);
    distinct_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_near_from_none_to_millions),
        cmocka_unit_test(repeats_change_nothing),
        cmocka_unit_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
