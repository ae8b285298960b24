#include "base/arena.h"

#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void pieces_are_apart_and_aligned(void **state)
{
    struct arena a;
    unsigned char *pieces[2000];
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t n = 1 + i % 97;
        pieces[i] = arena_take(&a, n);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], (int)(i & 255), n);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t k = 0; k < 1 + i % 97; k++)
            assert_int_equal(pieces[i][k], i & 255);
    arena_done(&a);
    assert_int_equal(arena_bytes_live(), 0);
}

static void zeroed_forms_are_zero(void **state)
{
    struct arena a;
    arena_init(&a);
    memset(arena_take(&a, 4000), 0xff, 4000);
    arena_done(&a);
    int *numbers = arena_array(&a, int, 900);
    for (int i = 0; i < 900; i++)
        assert_int_equal(numbers[i], 0);
    assert_int_equal(*arena_new(&a, uint64_t), 0);
    arena_done(&a);
}

#ifndef PLAIN_MEMORY
static void blocks_grow_as_promised(void **state)
{
    struct arena a;
    arena_init(&a);
    char *first = arena_take(&a, 1);
    assert_int_equal(arena_bytes_live(), KIB(4));
    assert_ptr_equal(arena_take(&a, 9), first + 8);
    assert_ptr_equal(arena_take(&a, 8), first + 24);

    size_t before = arena_bytes_live();
    arena_take(&a, KIB(100)); /* a block of its own; the rest of the first is still in use */
    assert_in_range(arena_bytes_live() - before, KIB(100), KIB(100) + 64);
    assert_ptr_equal(arena_take(&a, 8), first + 32);

    before = arena_bytes_live();
    arena_take(&a, KIB(8));
    assert_int_equal(arena_bytes_live() - before, KIB(16));
    arena_done(&a);
}

static void large_first_piece_skips_the_small_block(void **state)
{
    struct arena a;
    arena_init(&a);
    arena_take(&a, KIB(4));
    assert_int_equal(arena_bytes_live(), KIB(16));
    arena_done(&a);
}
#endif

static void bytes_are_counted(void **state)
{
    struct arena a;
    arena_init(&a);
    arena_take(&a, 16);
    arena_take(&a, KIB(64));
    arena_take(&a, 0);
    assert_int_equal(a.bytes, 16 + KIB(64));
    arena_done(&a);
    assert_int_equal(a.bytes, 0);
}

static void failure_stays_set(void **state)
{
    struct arena a;
    arena_init(&a);
    memory_fail_at(1);
    assert_null(arena_take(&a, 10));
    assert_true(a.failed);
    assert_non_null(arena_take(&a, 10)); /* only the nth fails */
    assert_true(a.failed);
    memory_fail_at(1);
    assert_null(arena_take(&a, MIB(1)));
    memory_fail_at(0);
    arena_done(&a);
    assert_false(a.failed);
}

static void impossible_arrays_fail(void **state)
{
    struct arena a;
    arena_init(&a);
    assert_null(arena_array(&a, uint64_t, SIZE_MAX / 4));
    assert_true(a.failed);
    arena_done(&a);
}

static int begin(void **state)
{
    arena_pools_init();
    return 0;
}

static int end(void **state)
{
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_apart_and_aligned),
        cmocka_unit_test(zeroed_forms_are_zero),
#ifndef PLAIN_MEMORY
        cmocka_unit_test(blocks_grow_as_promised),
        cmocka_unit_test(large_first_piece_skips_the_small_block),
#endif
        cmocka_unit_test(bytes_are_counted),
        cmocka_unit_test(failure_stays_set),
        cmocka_unit_test(impossible_arrays_fail),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
