/* fleet/labels_test.c */
#include "base/slab.h"
#include "fleet/labels.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct label_table table;

static int set_up(void **state)
{
    arena_pools_init();
    return 0;
}

static int tear_down(void **state)
{
    arena_pools_done();
    return 0;
}

static int begin(void **state)
{
    arena_init(&arena);
    table = (struct label_table){ .n = 0 };
    return 0;
}

static int end(void **state)
{
    arena_done(&arena);
    return 0;
}

static void labels_have_a_form(void **state)
{
    static const char *const good[] = { "zone:a", "zone:a+disk:ssd", " zone:a + k:v:w " };
    static const char *const bad[] = { "", "zone", ":a", "zone:", "zone:a++k:v", "+zone:a" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(labels_are_good(str_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(labels_are_good(str_of(bad[i])));
}

static void only_labels_that_are_asked_for_have_bits(void **state)
{
    assert_int_equal(labels_add(&table, &arena, STR("zone:a+disk:ssd")), OK);
    assert_int_equal(labels_add(&table, &arena, STR("disk:ssd+zone:b")), OK);
    assert_int_equal(table.n, 3);
    assert_int_equal(labels_bits(&table, STR("zone:a")), 1);
    assert_int_equal(labels_bits(&table, STR(" disk:ssd+color:red+zone:b")), 6);
    assert_int_equal(labels_bits(&table, STR("zone:A+zone:ab")), 0);
    assert_int_equal(labels_bits(&table, STR_NONE), 0);
}

static void what_is_asked_for_is_a_mask(void **state)
{
    labels_add(&table, &arena, STR("zone:a+disk:ssd"));
    uint64_t wanted = labels_bits(&table, STR("disk:ssd+zone:a"));
    assert_int_equal(labels_bits(&table, STR("zone:a+disk:ssd+x:y")) & wanted, wanted);
    assert_true((labels_bits(&table, STR("zone:a+x:y")) & wanted) != wanted);
}

static void there_is_an_end_of_bits(void **state)
{
    char label[16];
    for (unsigned i = 0; i < LABELS_MAX; i++) {
        snprintf(label, sizeof label, "n:%u", i);
        assert_int_equal(labels_add(&table, &arena, str_of(label)), OK);
    }
    assert_true(labels_bits(&table, str_of(label)) == 1ull << 62);
    assert_int_equal(labels_add(&table, &arena, STR("n:0")), OK);
    assert_int_equal(labels_add(&table, &arena, STR("n:64")), FAIL_bad_setting);
}

static void memory_may_be_out(void **state)
{
    memory_fail_at(1);
    assert_int_equal(labels_add(&table, &arena, STR("zone:a")), FAIL_no_memory);
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(labels_have_a_form, begin, end),
        cmocka_unit_test_setup_teardown(only_labels_that_are_asked_for_have_bits, begin, end),
        cmocka_unit_test_setup_teardown(what_is_asked_for_is_a_mask, begin, end),
        cmocka_unit_test_setup_teardown(there_is_an_end_of_bits, begin, end),
        cmocka_unit_test_setup_teardown(memory_may_be_out, begin, end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
