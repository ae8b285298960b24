#include "base/map.h"

#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 3000
static char names[KEYS][16];
static int values[KEYS];

static struct str key(int i)
{
    return str_of(names[i]);
}

static int begin(void **state)
{
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "model-%d", i);
    return 0;
}

static void an_empty_map_has_nothing(void **state)
{
    struct map m = { 0 };
    assert_null(map_get(&m, STR("a")));
    assert_null(map_del(&m, STR("a")));
    map_each (slot, &m)
        fail();
    map_free(&m);
}

static void put_get_replace(void **state)
{
    struct map m = { 0 };
    char other[] = "model-0";
    assert_int_equal(map_put(&m, key(0), &values[0]), OK);
    assert_ptr_equal(map_get(&m, STR("model-0")), &values[0]);
    assert_null(map_get(&m, STR("model-")));
    assert_int_equal(map_put(&m, str_of(other), &values[1]), OK);
    assert_int_equal(m.n, 1);
    assert_ptr_equal(map_get_hashed(&m, key(0), str_hash(key(0))), &values[1]);
    map_each (slot, &m)
        assert_ptr_equal(slot->key.p, other);
    assert_ptr_equal(map_del(&m, key(0)), &values[1]);
    assert_int_equal(m.n, 0);
    map_free(&m);
}

/* Against an array of what must be there, through many comings and goings. */
static void it_agrees_with_a_plain_array(void **state)
{
    struct map m = { 0 };
    bool present[KEYS] = { 0 };
    unsigned random = 1;
    size_t n = 0;
    for (int step = 0; step < 100000; step++) {
        random = random * 1664525 + 1013904223;
        int i = (int)(random >> 8) % (step < 50000 ? KEYS : 40);
        void *want = present[i] ? &values[i] : NULL;
        assert_ptr_equal(map_get(&m, key(i)), want);
        if (random >> 31) {
            assert_int_equal(map_put(&m, key(i), &values[i]), OK);
            n += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(map_del(&m, key(i)), want);
            n -= present[i];
            present[i] = false;
        }
        assert_int_equal(m.n, n);
    }
    size_t seen = 0;
    map_each (slot, &m)
        assert_true(present[(int *)slot->value - values] && ++seen);
    assert_int_equal(seen, n);
    map_free(&m);
}

static void a_reserved_map_never_allocates(void **state)
{
    for (size_t n = 1; n < 200; n += 7) {
        struct map m = { 0 };
        assert_int_equal(map_reserve(&m, n), OK);
        memory_fail_at(0);
        for (size_t i = 0; i < 3 * n; i++) {
            if (i >= n)
                assert_non_null(map_del(&m, key((int)(i - n))));
            assert_int_equal(map_put(&m, key((int)i), &values[i]), OK);
        }
        assert_int_equal(memory_takes(), 0);
        map_free(&m);
    }
}

static void without_memory_the_map_stays_as_it_was(void **state)
{
    struct map m = { 0 };
    memory_fail_at(1);
    assert_int_equal(map_put(&m, key(0), &values[0]), FAIL_no_memory);
    assert_null(map_get(&m, key(0)));
    for (int i = 0; i < 12; i++)
        assert_int_equal(map_put(&m, key(i), &values[i]), OK);
    memory_fail_at(1);
    assert_int_equal(map_put(&m, key(12), &values[12]), FAIL_no_memory);
    memory_fail_at(0);
    assert_int_equal(m.n, 12);
    for (int i = 0; i < 13; i++)
        assert_ptr_equal(map_get(&m, key(i)), i < 12 ? &values[i] : NULL);
    assert_int_equal(map_reserve(&m, SIZE_MAX / 8), FAIL_no_memory);
    map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(put_get_replace),
        cmocka_unit_test(it_agrees_with_a_plain_array),
        cmocka_unit_test(a_reserved_map_never_allocates),
        cmocka_unit_test(without_memory_the_map_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
