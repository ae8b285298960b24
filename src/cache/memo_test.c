/* A key is only given for the very bytes it was kept for, and the memory stays what it was. */
#include "cache/memo.h"

#include "base/slab.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct cache_key key_no(uint64_t no)
{
    struct cache_key k = { { 0 } };
    memcpy(k.bytes, &no, sizeof no);
    return k;
}

static bool is(struct memo *m, struct str context, struct str body, uint64_t no)
{
    struct cache_key want = key_no(no), got;
    return memo_find(m, context, body, &got) && memcmp(&got, &want, sizeof got) == 0;
}

static void it_gives_the_key_of_the_same_bytes_only(void **state)
{
    struct memo *m = memo_new(0, 7);
    struct cache_key one = key_no(1), two = key_no(2), got;
    assert_false(memo_find(m, STR("a"), STR("body"), &got));
    memo_keep(m, STR("a"), STR("body"), &one);
    assert_true(is(m, STR("a"), STR("body"), 1));
    assert_false(memo_find(m, STR("b"), STR("body"), &got));
    assert_false(memo_find(m, STR("a"), STR("bodY"), &got));
    assert_false(memo_find(m, STR("ab"), STR("ody"), &got));
    assert_false(memo_find(m, STR_NONE, STR("abody"), &got));
    memo_keep(m, STR("a"), STR("body"), &two);
    assert_true(is(m, STR("a"), STR("body"), 2));
    memo_keep(m, STR_NONE, STR_NONE, &one);
    assert_true(is(m, STR_NONE, STR_NONE, 1));
    memo_free(&m);
    assert_null(m);
}

static void a_large_body_is_not_kept(void **state)
{
    struct memo *m = memo_new(MIB(1), 7);
    struct cache_key one = key_no(1), got;
    static char large[KIB(64)];
    struct str fits = { large, KIB(7) }, large_one = { large, KIB(8) };
    memo_keep(m, STR("a"), large_one, &one);
    assert_false(memo_find(m, STR("a"), large_one, &got));
    memo_keep(m, STR("a"), fits, &one);
    assert_true(is(m, STR("a"), fits, 1));
    memo_keep(m, fits, (struct str){ large, SIZE_MAX - KIB(4) }, &one);
    memo_free(&m);
}

/* Bodies of all lengths go round the rings many times: the newest are there, and what is there is right. */
static void the_oldest_are_overwritten(void **state)
{
    struct memo *m = memo_new(MEMO_LEAST, 7);
    char body[1000];
    unsigned newest = 0, oldest = 0;
    memset(body, 'x', sizeof body);
    for (uint64_t i = 0; i < 20000; i++) {
        int n = snprintf(body, sizeof body, "%d", (int)i);
        struct cache_key key = key_no(i);
        body[n] = 'x';
        memo_keep(m, STR("c"), (struct str){ body, 100 + i * 37 % 900 }, &key);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        struct cache_key got, want = key_no(i);
        int n = snprintf(body, sizeof body, "%d", (int)i);
        body[n] = 'x';
        if (!memo_find(m, STR("c"), (struct str){ body, 100 + i * 37 % 900 }, &got))
            continue;
        assert_memory_equal(&got, &want, sizeof got);
        newest += i >= 19900;
        oldest += i < 15000;
    }
    assert_true(newest > 70);
    assert_int_equal(oldest, 0);
    memo_free(&m);
}

static void *keep_and_find(void *arg)
{
    struct memo *m = arg;
    char body[64];
    for (uint64_t i = 0; i < 20000; i++) {
        struct cache_key got, key = key_no(i % 500);
        struct str s = { body, (size_t)snprintf(body, sizeof body, "body %d", (int)(i % 500)) };
        if (memo_find(m, STR("c"), s, &got))
            assume(memcmp(&got, &key, sizeof key) == 0);
        else
            memo_keep(m, STR("c"), s, &key);
    }
    return NULL;
}

static void several_threads_may_use_it(void **state)
{
    struct memo *m = memo_new(MEMO_LEAST, 7);
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_and_find, m), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    memo_free(&m);
}

static void no_memory_is_said(void **state)
{
    for (uint64_t nth = 1; nth <= 3; nth++) {
        memory_fail_at(nth);
        assert_null(memo_new(MEMO_LEAST, 7));
    }
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_the_key_of_the_same_bytes_only),
        cmocka_unit_test(a_large_body_is_not_kept),
        cmocka_unit_test(the_oldest_are_overwritten),
        cmocka_unit_test(several_threads_may_use_it),
        cmocka_unit_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
