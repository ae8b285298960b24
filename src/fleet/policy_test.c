/* fleet/policy_test.c */
#include "base/types.h"
#include "fleet/policy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct node nodes[3];
static struct node *all[] = { &nodes[0], &nodes[1], &nodes[2] };

static int fresh(void **state)
{
    for (unsigned i = 0; i < 3; i++)
        nodes[i] = (struct node){ .weight = 1, .no = i };
    return 0;
}

static void choices_are(const char *policy, unsigned n, const char *want)
{
    uint64_t cursor = 0;
    char got[16] = "";
    for (unsigned i = 0; i < strlen(want); i++)
        got[i] = (char)('a' + policy_named(str_of(policy))->choose(all, n, NULL, &cursor));
    assert_string_equal(got, want);
}

static void smooth_turns_by_weight(void **state)
{
    nodes[0].weight = 5;
    choices_are("weighted_round_robin", 3, "aabacaaaabacaa");
}

static void each_in_turn(void **state)
{
    choices_are("round_robin", 3, "abcabc");
}

static void turns_are_fair_to_subsets(void **state)
{
    uint64_t cursor = 0;
    const struct policy *p = policy_named(STR("round_robin"));
    struct node *first[] = { &nodes[0], &nodes[1] }, *second[] = { &nodes[2] };
    unsigned chosen[2] = { 0 };
    for (int i = 0; i < 10; i++) {
        chosen[p->choose(first, 2, NULL, &cursor)]++;
        p->choose(second, 1, NULL, &cursor);
    }
    assert_int_equal(chosen[0], 5);
    assert_int_equal(chosen[1], 5);
}

static void fewest_in_flight_per_weight(void **state)
{
    uint64_t cursor = 0;
    const struct policy *p = policy_named(STR("least_loaded"));
    nodes[0].inflight = 3, nodes[1].inflight = 2, nodes[2].inflight = 5;
    assert_int_equal(p->choose(all, 3, NULL, &cursor), 1);
    nodes[2].weight = 4;
    assert_int_equal(p->choose(all, 3, NULL, &cursor), 2);
}

static void ties_take_weighted_turns(void **state)
{
    nodes[0].weight = 5;
    choices_are("least_loaded", 3, "aabacaa");
}

static void rows_have_names_and_sentences(void **state)
{
    unsigned n = 0;
    for (; policy_row(n); n++) {
        assert_ptr_equal(policy_named(str_of(policy_row(n)->name)), policy_row(n));
        assert_true(strlen(policy_row(n)->says) > 0);
    }
    assert_int_equal(n, 3);
    assert_null(policy_named(STR("fastest")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(smooth_turns_by_weight, fresh),
        cmocka_unit_test_setup(each_in_turn, fresh),
        cmocka_unit_test_setup(turns_are_fair_to_subsets, fresh),
        cmocka_unit_test_setup(fewest_in_flight_per_weight, fresh),
        cmocka_unit_test_setup(ties_take_weighted_turns, fresh),
        cmocka_unit_test_setup(rows_have_names_and_sentences, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
