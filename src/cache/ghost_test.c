/* The ghost remembers as long as it should, in as much memory as it was given. */
#include "cache/ghost.h"

#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t hash_no(uint64_t n)
{
    n = (n + 1) * 0x9e3779b97f4a7c15;
    n = (n ^ n >> 32) * 0xd6e8feb86659fd93;
    return n ^ n >> 32;
}

static void it_remembers_for_a_span_of_weight(void **state)
{
    struct ghost g;
    assert_int_equal(ghost_init(&g, 1000, 1), OK);
    ghost_put(&g, hash_no(0), 1);
    for (uint64_t i = 1; i < 100; i++)
        ghost_put(&g, hash_no(i), 1);
    assert_true(ghost_has(&g, hash_no(0), 100));
    assert_false(ghost_has(&g, hash_no(0), 99));
    assert_true(ghost_has(&g, hash_no(99), 1));
    assert_false(ghost_has(&g, hash_no(100), 1000));
    ghost_done(&g);
}

static void what_is_forgotten_is_not_there(void **state)
{
    struct ghost g;
    assert_int_equal(ghost_init(&g, 10, 1), OK);
    ghost_put(&g, hash_no(7), 1);
    ghost_forget(&g, hash_no(7));
    ghost_forget(&g, hash_no(8));
    assert_false(ghost_has(&g, hash_no(7), 10));
    ghost_done(&g);
}

static void few_are_lost_before_it_is_full(void **state)
{
    struct ghost g;
    unsigned lost = 0;
    assert_int_equal(ghost_init(&g, 10000, 1), OK);
    for (uint64_t i = 0; i < 50000; i++)
        ghost_put(&g, hash_no(i), 1);
    for (uint64_t i = 40000; i < 50000; i++)
        lost += !ghost_has(&g, hash_no(i), 10001);
    assert_true(lost < 250);
    assert_true(ghost_memory(&g) <= 10000 * 2 * 8 + 64);
    ghost_done(&g);
}

static void weights_count_in_grains(void **state)
{
    struct ghost g;
    assert_int_equal(ghost_init(&g, 100, 256), OK);
    ghost_put(&g, hash_no(1), 5000);
    for (uint64_t i = 2; i < 12; i++)
        ghost_put(&g, hash_no(i), 1000);
    assert_true(ghost_has(&g, hash_no(1), 10500));
    assert_false(ghost_has(&g, hash_no(1), 9700));
    ghost_done(&g);
}

static void no_memory_is_said(void **state)
{
    struct ghost g;
    memory_fail_at(1);
    assert_int_equal(ghost_init(&g, 100, 1), FAIL_no_memory);
    memory_fail_at(0);
    ghost_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_remembers_for_a_span_of_weight),
        cmocka_unit_test(what_is_forgotten_is_not_there),
        cmocka_unit_test(few_are_lost_before_it_is_full),
        cmocka_unit_test(weights_count_in_grains),
        cmocka_unit_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
