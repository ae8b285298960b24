#include "observe/gist.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct gist_copy nothing;

static struct gist_copy copy_of(const struct gist *g)
{
    struct gist_copy c = { 0 };
    gist_add(&c, g);
    return c;
}

static void no_time_has_no_percentile(void **state)
{
    struct gist g = { 0 };
    struct gist_copy c = copy_of(&g);
    assert_true(isnan(gist_quantile(&nothing, &c, 0.95)));
    gist_record(&g, 7);
    c = copy_of(&g);
    assert_true(isnan(gist_quantile(&c, &c, 0.95)));
}

/* Every power of two and its neighbours, and the largest there is. */
static void within_three_percent(void **state)
{
    for (int bit = 0; bit < 31; bit++)
        for (int64_t near = -1; near <= 1; near++) {
            int64_t us = MIN(MAX(((int64_t)1 << bit) + near, 0), INT32_MAX);
            struct gist g = { 0 };
            gist_record(&g, (uint32_t)us);
            struct gist_copy c = copy_of(&g);
            double got = gist_quantile(&nothing, &c, 0.5);
            assert_true(fabs(got - (double)us) <= 0.032 * (double)us);
        }
    struct gist g = { 0 };
    gist_record(&g, UINT32_MAX);
    struct gist_copy c = copy_of(&g);
    assert_true(gist_quantile(&nothing, &c, 1) > 2e9);
}

static void percentiles_of_a_second(void **state)
{
    struct gist g = { 0 };
    for (int i = 0; i < 1000; i++)
        gist_record(&g, 9000000); /* an earlier second's */
    struct gist_copy before = copy_of(&g);
    for (uint32_t i = 1; i <= 100; i++)
        gist_record(&g, i * 1000);
    struct gist_copy after = copy_of(&g);
    assert_true(fabs(gist_quantile(&before, &after, 0.50) - 50000) < 1600);
    assert_true(fabs(gist_quantile(&before, &after, 0.95) - 95000) < 3000);
    assert_true(fabs(gist_quantile(&before, &after, 0) - 1000) < 32);
    assert_true(fabs(gist_quantile(&before, &after, 1) - 100000) < 3200);
}

static void a_slot_may_wrap_around(void **state)
{
    struct gist_copy before = { 0 }, after = { 0 };
    before.slot[3] = UINT32_MAX - 1;
    after.slot[3] = 2;
    assert_true(gist_quantile(&before, &after, 0.5) == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_time_has_no_percentile),
        cmocka_unit_test(within_three_percent),
        cmocka_unit_test(percentiles_of_a_second),
        cmocka_unit_test(a_slot_may_wrap_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
