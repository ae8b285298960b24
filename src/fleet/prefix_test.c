/* fleet/prefix_test.c - who has the beginning of a prompt. */
#include "base/slab.h"
#include "fleet/prefix.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 3 };
static struct prefix *known;

static int begin(void **state)
{
    known = prefix_new(NODES, 64);
    return known ? 0 : -1;
}
static int done(void **state)
{
    prefix_free(&known);
    return 0;
}

static const uint64_t trunk[] = { 10, 11, 12, 13, 14, 15 }, branch[] = { 10, 11, 92, 93 };

static void the_longest_beginning_comes_first(void **state)
{
    struct prefix_hint hint[4];
    prefix_put(known, 0, 0, trunk, 2);
    prefix_put(known, 1, 0, trunk, 5);
    assert_int_equal(prefix_find(known, trunk, 6, 512, hint, 4), 2);
    assert_int_equal(hint[0].node, 1);
    assert_int_equal(hint[0].tokens, 5 * 512);
    assert_int_equal(hint[1].node, 0);
    assert_int_equal(hint[1].tokens, 2 * 512);
    assert_int_equal(prefix_find(known, trunk, 6, 512, hint, 1), 1);
    assert_int_equal(hint[0].node, 1);
    assert_int_equal(prefix_find(known, trunk + 1, 3, 512, hint, 4), 2); /* its own beginning */
    const uint64_t other[] = { 77 };
    assert_int_equal(prefix_find(known, other, 1, 512, hint, 4), 0);
    assert_int_equal(prefix_find(known, trunk, 0, 512, hint, 4), 0);
}

static void the_least_recently_used_end_goes_first(void **state)
{
    prefix_capacity(known, 0, 6);
    prefix_put(known, 0, 0, trunk, 6);
    prefix_put(known, 0, 0, branch, 4); /* two new blocks push out two old ones: the end of the trunk */
    assert_int_equal(prefix_matched(known, 0, branch, 4), 4);
    assert_int_equal(prefix_matched(known, 0, trunk, 6), 4);
    prefix_capacity(known, 0, 2);
    assert_int_equal(prefix_matched(known, 0, trunk, 6), 2);
}

static void a_prompt_longer_than_the_cache_leaves_its_beginning(void **state)
{
    prefix_capacity(known, 0, 3);
    prefix_put(known, 0, 0, trunk, 6);
    assert_int_equal(prefix_matched(known, 0, trunk, 6), 3);
}

static void memory_that_is_full_takes_from_the_node_itself(void **state)
{
    uint64_t path[64];
    for (uint64_t i = 0; i < 64; i++)
        path[i] = 1000 + i;
    prefix_put(known, 0, 0, trunk, 4);
    prefix_put(known, 1, 0, path, 64);
    assert_int_equal(prefix_matched(known, 0, trunk, 4), 4);
    assert_int_equal(prefix_matched(known, 1, path, 64), 60);
    prefix_put(known, 2, 0, trunk, 2); /* has nothing to give up */
    assert_int_equal(prefix_matched(known, 2, trunk, 2), 0);
}

static void a_slot_holds_its_last_prompt_only(void **state)
{
    prefix_replace(known, 0, 0, NULL, 0, trunk, 6);
    prefix_replace(known, 0, 0, NULL, 0, branch, 4); /* another slot: the first two blocks are in both */
    assert_int_equal(prefix_matched(known, 0, trunk, 6), 6);
    prefix_replace(known, 0, 0, trunk, 6, branch, 2);
    assert_int_equal(prefix_matched(known, 0, trunk, 6), 2);
    assert_int_equal(prefix_matched(known, 0, branch, 4), 4);
}

static void what_a_model_held_goes_with_it(void **state)
{
    const uint64_t other[] = { 50, 51 };
    prefix_put(known, 0, 0, trunk, 6);
    prefix_put(known, 0, 1, other, 2);
    prefix_put(known, 1, 0, trunk, 6);
    prefix_forget(known, 0, 0);
    assert_int_equal(prefix_matched(known, 0, trunk, 6), 0);
    assert_int_equal(prefix_matched(known, 0, other, 2), 2);
    assert_int_equal(prefix_matched(known, 1, trunk, 6), 6);
    prefix_forget(known, 0, UINT32_MAX);
    assert_int_equal(prefix_matched(known, 0, other, 2), 0);
}

static void a_path_stands_for_all_before_it(void **state)
{
    char a[4096], b[4096];
    uint64_t x[8], y[8];
    memset(a, 'a', sizeof a);
    memcpy(b, a, sizeof b);
    b[1500] = 'b';
    assert_int_equal(prefix_path(a, sizeof a, 1, x, 8), 4);
    assert_int_equal(prefix_path(b, sizeof b - 1, 1, y, 8), 3);
    assert_true(x[0] == y[0] && x[1] != y[1] && x[2] != y[2]);
    assert_int_equal(prefix_path(a, sizeof a, 2, y, 2), 2);
    assert_true(x[0] != y[0]); /* of another model */
    assert_int_equal(prefix_path(a, 1023, 1, y, 8), 0);
}

static void no_memory_is_no_index(void **state)
{
    memory_fail_at(1);
    assert_null(prefix_new(1, 1));
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_longest_beginning_comes_first, begin, done),
        cmocka_unit_test_setup_teardown(the_least_recently_used_end_goes_first, begin, done),
        cmocka_unit_test_setup_teardown(a_prompt_longer_than_the_cache_leaves_its_beginning, begin, done),
        cmocka_unit_test_setup_teardown(memory_that_is_full_takes_from_the_node_itself, begin, done),
        cmocka_unit_test_setup_teardown(a_slot_holds_its_last_prompt_only, begin, done),
        cmocka_unit_test_setup_teardown(what_a_model_held_goes_with_it, begin, done),
        cmocka_unit_test_setup_teardown(a_path_stands_for_all_before_it, begin, done),
        cmocka_unit_test(no_memory_is_no_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
