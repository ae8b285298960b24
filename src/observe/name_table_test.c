#include "observe/name_table.h"

#include "base/slab.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct str nth_name(unsigned i, char out[16])
{
    return (struct str){ out, (size_t)snprintf(out, 16, "name-%u", i) };
}

static void names_get_numbers_once(void **state)
{
    struct name_table *t = name_table_new(4);
    assert_non_null(t);
    assert_int_equal(name_table_number(t, STR_NONE, true), NAME_NONE);
    unsigned llama = name_table_number(t, STR("llama3"), true), qwen = name_table_number(t, STR("qwen"), true);
    assert_int_equal(llama, NAME_FIRST);
    assert_int_equal(qwen, NAME_FIRST + 1);
    assert_int_equal(name_table_number(t, STR("llama3"), true), llama);
    assert_int_equal(name_table_number(t, STR("qwen"), false), qwen);
    assert_true(str_eq(name_table_name(t, qwen), STR("qwen")));
    assert_true(str_eq(name_table_name(t, NAME_OTHER), STR("other")));
    assert_int_equal(name_table_name(t, NAME_NONE).n, 0);
    name_table_free(&t);
    assert_null(t);
}

static void names_without_a_voucher_are_other(void **state)
{
    struct name_table *t = name_table_new(4);
    assert_int_equal(name_table_number(t, STR("made-up"), false), NAME_OTHER);
    assert_int_equal(name_table_number(t, STR("made-up"), true), NAME_FIRST);
    assert_int_equal(name_table_number(t, STR("made-up"), false), NAME_FIRST);
    name_table_free(&t);
}

static void the_rest_are_other(void **state)
{
    struct name_table *t = name_table_new(NAME_TABLE_MOST);
    char name[16];
    for (unsigned i = 0; i < NAME_TABLE_MOST; i++)
        assert_int_equal(name_table_number(t, nth_name(i, name), true), NAME_FIRST + i);
    assert_int_equal(name_table_number(t, STR("one too many"), true), NAME_OTHER);
    for (unsigned i = 0; i < NAME_TABLE_MOST; i++)
        assert_int_equal(name_table_number(t, nth_name(i, name), false), NAME_FIRST + i);
    name_table_free(&t);
}

static void long_names_are_cut(void **state)
{
    struct name_table *t = name_table_new(4);
    char name[80];
    memset(name, 'x', sizeof name);
    unsigned number = name_table_number(t, (struct str){ name, sizeof name }, true);
    assert_int_equal(name_table_name(t, number).n, NAME_TABLE_BYTES);
    assert_int_equal(name_table_number(t, (struct str){ name, NAME_TABLE_BYTES }, false), number);
    name_table_free(&t);
}

struct learner {
    struct name_table *t;
    unsigned number[64];
};

static void *learn_all(void *arg)
{
    struct learner *l = arg;
    char name[16];
    for (unsigned i = 0; i < 64; i++)
        l->number[i] = name_table_number(l->t, nth_name(i, name), true);
    return NULL;
}

static void two_learners_agree(void **state)
{
    struct learner a = { .t = name_table_new(64) }, b = { .t = a.t };
    pthread_t threads[2];
    char name[16];
    assert_int_equal(pthread_create(&threads[0], NULL, learn_all, &a), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, learn_all, &b), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(a.number[i], b.number[i]);
        assert_true(str_eq(name_table_name(a.t, a.number[i]), nth_name(i, name)));
    }
    name_table_free(&a.t);
}

static void memory_that_is_out(void **state)
{
    memory_fail_at(1);
    assert_null(name_table_new(4));
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_get_numbers_once), cmocka_unit_test(names_without_a_voucher_are_other),
        cmocka_unit_test(the_rest_are_other),     cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(two_learners_agree),     cmocka_unit_test(memory_that_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
