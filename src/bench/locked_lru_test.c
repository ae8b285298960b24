/* The rival is a real LRU: a comparison with a broken one would say nothing. */
#include "bench/locked_lru.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool has(struct lru *l, uint8_t key)
{
    uint8_t k[32] = { key };
    struct lru_body *b = lru_get(l, k);
    bool there = b != NULL;
    assert_true(!b || b->bytes[0] == (char)key);
    char copy[800];
    assert_int_equal(lru_copy(l, k, copy, sizeof copy), there ? sizeof copy : 0);
    assert_true(!b || memcmp(copy, b->bytes, sizeof copy) == 0);
    assert_int_equal(lru_copy(l, k, copy, sizeof copy - 1), 0);
    lru_unref(&b);
    return there;
}

static void set(struct lru *l, uint8_t key)
{
    char body[800];
    memset(body, key, sizeof body);
    assert_true(lru_set(l, (uint8_t[32]){ key }, body, sizeof body));
}

static void the_least_recently_used_goes(void **state)
{
    struct lru *l = lru_new(3000, 800);
    set(l, 1), set(l, 2), set(l, 3);
    assert_true(has(l, 1));
    set(l, 4);
    assert_true(has(l, 1) && !has(l, 2) && has(l, 3) && has(l, 4));
    set(l, 3);
    set(l, 5);
    assert_false(has(l, 1));
    assert_true(has(l, 3));
    lru_free(&l);
}

static void a_body_in_use_outlives_its_place(void **state)
{
    struct lru *l = lru_new(1000, 800);
    set(l, 1);
    struct lru_body *b = lru_get(l, (uint8_t[32]){ 1 });
    set(l, 2);
    assert_false(has(l, 1));
    assert_int_equal(b->bytes[799], 1);
    lru_unref(&b);
    lru_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_goes),
        cmocka_unit_test(a_body_in_use_outlives_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
