#include "observe/histogram.h"

#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const enum histogram_bounds all_lists[] = { BOUNDS_DURATION, BOUNDS_FIRST_TOKEN, BOUNDS_INTER_TOKEN,
                                                   BOUNDS_ADDED };

static void lists_grow_and_reach_160_s(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(all_lists); i++) {
        const struct histogram_bounds_list *list = histogram_bounds_of(all_lists[i]);
        assert_in_range(list->n, 10, HISTOGRAM_BOUNDS_MAX);
        for (unsigned b = 1; b < list->n; b++)
            assert_true(list->us[b - 1] < list->us[b]);
        assert_true(list->us[list->n - 1] >= 160 * 1000000);
        for (unsigned b = list->n; b < HISTOGRAM_BOUNDS_MAX; b++)
            assert_int_equal(list->us[b], INT32_MAX);
    }
}

/* The conventions' own bounds are all there, so boards made for them find their buckets. */
static void lists_hold_those_of_the_conventions(void **state)
{
    static const struct {
        enum histogram_bounds list;
        int32_t us[16];
    } rows[] = {
        {BOUNDS_DURATION,
         { 10000, 20000, 40000, 80000, 160000, 320000, 640000, 1280000, 2560000, 5120000, 10240000, 20480000, 40960000,
            81920000 }                                                                                           },
        { BOUNDS_FIRST_TOKEN,
         { 1000, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 250000, 500000, 750000, 1000000, 2500000, 5000000,
            7500000, 10000000 }                                                                                  },
        { BOUNDS_INTER_TOKEN,
         { 10000, 25000, 50000, 75000, 100000, 150000, 200000, 300000, 400000, 500000, 750000, 1000000, 2500000 }},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct histogram_bounds_list *list = histogram_bounds_of(rows[i].list);
        for (const int32_t *us = rows[i].us; us < rows[i].us + 16 && *us; us++) {
            unsigned at = 0;
            while (at < list->n && list->us[at] != *us)
                at++;
            assert_true(at < list->n);
        }
    }
}

static void bounds_as_text(void **state)
{
    static const struct {
        int32_t us;
        const char *text;
    } rows[] = {
        {1,          "0.000001"},
        { 200,       "0.0002"  },
        { 10000,     "0.01"    },
        { 1000000,   "1.0"     },
        { 2500000,   "2.5"     },
        { 160000000, "160.0"   },
    };
    char out[16];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str text = histogram_bound_text(rows[i].us, out);
        assert_int_equal(text.n, strlen(rows[i].text));
        assert_memory_equal(text.p, rows[i].text, text.n);
    }
}

/* A time equal to a bound belongs below it: `le` is less or equal. */
static void times_fall_into_their_buckets(void **state)
{
    struct histogram *h = histogram_new(BOUNDS_FIRST_TOKEN);
    struct histogram_sum sum = { 0 };
    static const uint32_t times[] = { 0, 1000, 1001, 100000, 100001, 160000000, 160000001, UINT32_MAX };
    assert_non_null(h);
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        histogram_record(h, times[i]);
    histogram_sum_up(&sum, h);
    assert_int_equal(sum.count, 8);
    assert_int_equal(sum.bucket[0], 2);  /* <= 1 ms */
    assert_int_equal(sum.bucket[1], 1);  /* <= 5 ms */
    assert_int_equal(sum.bucket[7], 1);  /* <= 100 ms */
    assert_int_equal(sum.bucket[8], 1);  /* <= 250 ms */
    assert_int_equal(sum.bucket[19], 1); /* <= 160 s */
    assert_int_equal(sum.bucket[20], 2); /* above */
    assert_int_equal(sum.sum_us, 0ull + 1000 + 1001 + 100000 + 100001 + 160000000 + 160000001 + INT32_MAX);
    histogram_free(&h);
    assert_null(h);
}

static void several_add_up(void **state)
{
    struct histogram *a = histogram_new(BOUNDS_DURATION), *b = histogram_new(BOUNDS_DURATION);
    struct histogram_sum sum = { 0 };
    histogram_record(a, 15000);
    histogram_record(b, 15000);
    histogram_record(b, 30000);
    histogram_sum_up(&sum, a);
    histogram_sum_up(&sum, b);
    assert_int_equal(sum.count, 3);
    assert_int_equal(sum.sum_us, 60000);
    histogram_free(&a);
    histogram_free(&b);
}

static uint32_t median_of_one(uint32_t us)
{
    struct histogram *h = histogram_new(BOUNDS_DURATION);
    struct histogram_spread *spread = calloc(1, sizeof *spread);
    histogram_record(h, us);
    histogram_spread_up(spread, h);
    uint32_t median = histogram_quantile(spread, 0.5);
    histogram_free(&h);
    free(spread);
    return median;
}

static void percentiles_are_within_a_percent(void **state)
{
    for (uint32_t us = 1; us < INT32_MAX / 2; us += us / 7 + 1) {
        double off = ((double)median_of_one(us) - us) / us;
        assert_true(off < 0.0085 && off > -0.0085);
    }
}

static void percentiles_of_many(void **state)
{
    struct histogram *h = histogram_new(BOUNDS_DURATION);
    struct histogram_spread spread = { 0 };
    assert_int_equal(histogram_quantile(&spread, 0.99), 0);
    for (uint32_t us = 1; us <= 10000; us++)
        histogram_record(h, us);
    histogram_spread_up(&spread, h);
    assert_int_equal(spread.count, 10000);
    assert_int_equal(histogram_quantile(&spread, 0), 1);
    assert_in_range(histogram_quantile(&spread, 0.5), 4950, 5050);
    assert_in_range(histogram_quantile(&spread, 0.95), 9400, 9600);
    assert_in_range(histogram_quantile(&spread, 1), 9900, 10100);
    histogram_free(&h);
}

static void memory_that_is_out(void **state)
{
    memory_fail_at(1);
    assert_null(histogram_new(BOUNDS_ADDED));
    memory_fail_at(0);
}

static void exemplars(void **state)
{
    struct histogram *h = histogram_new(BOUNDS_DURATION);
    const uint8_t first[HISTOGRAM_TRACE] = "sixteen bytes 01", next[HISTOGRAM_TRACE] = "sixteen bytes 02";
    struct histogram_exemplar e;
    assert_false(histogram_exemplar(h, 1, &e));
    histogram_record_traced(h, 900, first, SECOND(100)); /* bucket 1: up to 1 ms */
    assert_true(histogram_exemplar(h, 1, &e));
    assert_memory_equal(e.trace, first, sizeof first);
    assert_int_equal(e.us, 900);
    assert_int_equal(e.wall, SECOND(100));
    histogram_record_traced(h, 800, next, SECOND(101) - 1);
    assert_true(histogram_exemplar(h, 1, &e) && e.us == 900);
    histogram_record_traced(h, 800, next, SECOND(101));
    assert_true(histogram_exemplar(h, 1, &e) && e.us == 800);
    assert_false(histogram_exemplar(h, 2, &e));
    struct histogram_sum sum = { 0 };
    histogram_sum_up(&sum, h);
    assert_int_equal(sum.bucket[1], 3);
    histogram_free(&h);
    h = histogram_new(BOUNDS_DURATION);
    memory_fail_at(1);
    histogram_record_traced(h, 900, first, SECOND(100));
    memory_fail_at(0);
    assert_false(histogram_exemplar(h, 1, &e));
    sum = (struct histogram_sum){ 0 };
    histogram_sum_up(&sum, h);
    assert_int_equal(sum.count, 1); /* counted all the same */
    histogram_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_grow_and_reach_160_s),
        cmocka_unit_test(lists_hold_those_of_the_conventions),
        cmocka_unit_test(bounds_as_text),
        cmocka_unit_test(times_fall_into_their_buckets),
        cmocka_unit_test(several_add_up),
        cmocka_unit_test(percentiles_are_within_a_percent),
        cmocka_unit_test(percentiles_of_many),
        cmocka_unit_test(memory_that_is_out),
        cmocka_unit_test(exemplars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
