#include "observe/label_sets.h"

#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SPILL UINT64_MAX

static const struct label_set *set_of(const struct label_sets *s, uint64_t key)
{
    for (uint32_t i = 0; i < label_sets_n(s); i++)
        if (label_sets_nth(s, i)->key == key)
            return label_sets_nth(s, i);
    return NULL;
}

static void sets_are_counted_apart(void **state)
{
    struct label_sets s = { 0 };
    label_sets_add(&s, 7, SPILL, 1, 10);
    label_sets_add(&s, 0, SPILL, 2, 20);
    label_sets_add(&s, 7, SPILL, 3, 30);
    assert_int_equal(label_sets_n(&s), 2);
    assert_int_equal(label_set_count(set_of(&s, 7), 0), 4);
    assert_int_equal(label_set_count(set_of(&s, 7), 1), 40);
    assert_int_equal(label_set_count(set_of(&s, 0), 0), 2);
    label_sets_done(&s);
    assert_int_equal(label_sets_n(&s), 0);
}

static void sets_do_not_move(void **state)
{
    struct label_sets s = { 0 };
    label_sets_add(&s, 1, SPILL, 1, 0);
    const struct label_set *first = label_sets_nth(&s, 0);
    for (uint64_t key = 2; key < 1000; key++)
        label_sets_add(&s, key << 16, SPILL, key, 0);
    assert_ptr_equal(label_sets_nth(&s, 0), first);
    for (uint64_t key = 2; key < 1000; key++)
        assert_int_equal(label_set_count(set_of(&s, key << 16), 0), key);
    label_sets_done(&s);
}

static void too_many_spill(void **state)
{
    struct label_sets s = { 0 };
    for (uint64_t key = 0; key < LABEL_SETS_MAX + 10; key++)
        label_sets_add(&s, key, SPILL, 1, 0);
    assert_int_equal(label_sets_n(&s), LABEL_SETS_MAX);
    assert_int_equal(label_set_count(set_of(&s, SPILL), 0), 11); /* its place is the last one */
    assert_int_equal(label_set_count(set_of(&s, LABEL_SETS_MAX - 2), 0), 1);
    assert_null(set_of(&s, LABEL_SETS_MAX - 1));
    label_sets_done(&s);
}

/* A set that found no memory finds it the next time; sets that exist go on counting. */
static void memory_that_is_out(void **state)
{
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct label_sets s = { 0 };
        memory_fail_at(nth);
        label_sets_add(&s, 1, SPILL, 1, 0);
        assert_int_equal(label_sets_n(&s), 0);
        label_sets_add(&s, 1, SPILL, 1, 0);
        assert_int_equal(label_set_count(set_of(&s, 1), 0), 1);
        label_sets_done(&s);
    }
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_counted_apart),
        cmocka_unit_test(sets_do_not_move),
        cmocka_unit_test(too_many_spill),
        cmocka_unit_test(memory_that_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
