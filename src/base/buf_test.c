#include "base/buf.h"

#include "base/slab.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct str pattern(size_t n)
{
    static char bytes[MIB(3)];
    if (!bytes[1])
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)(i * 7 + i / 251);
    assert_true(n <= sizeof bytes);
    return (struct str){ bytes, n };
}

static void classes_fit(void **state)
{
    static const struct {
        size_t ask, cap;
    } rows[] = {
        {1,           KIB(4)         },
        { KIB(4),     KIB(4)         },
        { KIB(4) + 1, KIB(16)        },
        { KIB(64),    KIB(64)        },
        { KIB(65),    KIB(256)       },
        { MIB(1),     MIB(1)         },
        { MIB(1) + 1, MIB(1) + KIB(4)},
        { MIB(33),    MIB(33)        },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = { 0 };
        assert_int_equal(buf_reserve(&b, rows[i].ask), OK);
        assert_int_equal(b.cap, rows[i].cap);
        assert_int_equal(buf_bytes_live(), rows[i].cap);
        buf_free(&b);
        assert_null(b.block);
        assert_int_equal(buf_bytes_live(), 0);
    }
}

static void nothing_needs_no_block(void **state)
{
    struct buf b = { 0 };
    assert_int_equal(buf_append(&b, STR_NONE), OK);
    assert_int_equal(buf_reserve(&b, 0), OK);
    assert_null(b.block);
    buf_free(&b);
}

static void bytes_survive_growth(void **state)
{
    struct buf b = { 0 };
    struct str all = pattern(MIB(3));
    for (size_t at = 0, step = 1; at < all.n; at += step, step = step * 3 / 2 + 1) {
        step = MIN(step, all.n - at);
        assert_int_equal(buf_append(&b, (struct str){ all.p + at, step }), OK);
    }
    assert_true(str_eq(buf_str(&b), all));
    buf_free(&b);
    assert_int_equal(buf_bytes_live(), 0);
}

static void eaten_bytes_make_room_again(void **state)
{
    struct buf b = { 0 };
    buf_append(&b, pattern(4000));
    buf_eat(&b, 3990);
    assert_int_equal(buf_append(&b, STR("next")), OK);
    assert_int_equal(b.cap, KIB(4));
    buf_eat(&b, 4);
    assert_int_equal(buf_reserve(&b, 1000), OK);
    assert_int_equal(b.cap, KIB(4)); /* moved to the front instead of growing */
    assert_int_equal(b.start, 0);
    assert_true(str_ends(buf_str(&b), STR("next")));
    buf_eat(&b, buf_len(&b));
    assert_int_equal(b.end, 0);
    assert_non_null(b.block);
    buf_free(&b);
}

static void few_eaten_bytes_are_not_paid_for_with_a_move(void **state)
{
    struct buf b = { 0 };
    buf_append(&b, pattern(KIB(64)));
    buf_eat(&b, 1);
    assert_int_equal(buf_append(&b, STR("x")), OK);
    assert_int_equal(b.cap, KIB(256));
    assert_int_equal(buf_len(&b), KIB(64));
    buf_free(&b);
}

static void large_buffers_keep_their_bytes_when_eaten_from(void **state)
{
    struct buf b = { 0 };
    struct str all = pattern(MIB(3));
    buf_append(&b, (struct str){ all.p, MIB(2) });
    buf_eat(&b, 1000);
    assert_int_equal(buf_append(&b, (struct str){ all.p + MIB(2), MIB(1) }), OK);
    assert_true(str_eq(buf_str(&b), str_drop(all, 1000)));
    assert_int_equal(buf_bytes_live(), b.cap);
    buf_free(&b);
    assert_int_equal(buf_bytes_live(), 0);
}

static void failure_leaves_the_buffer(void **state)
{
    static const size_t lengths[] = { 4, KIB(4), MIB(1), MIB(2) };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf b = { 0 };
        buf_append(&b, pattern(lengths[i]));
        memory_fail_at(1);
        assert_int_equal(buf_append(&b, pattern(MIB(3))), FAIL_no_memory);
        memory_fail_at(0);
        assert_true(str_eq(buf_str(&b), pattern(lengths[i])));
        assert_int_equal(buf_reserve(&b, SIZE_MAX - 100), FAIL_no_memory);
        buf_free(&b);
    }
    assert_int_equal(buf_bytes_live(), 0);
}

static void text_writes_all_kinds(void **state)
{
    struct text t = { 0 };
    text_put(&t, STR("n="));
    text_u64(&t, UINT64_MAX);
    text_putc(&t, ' ');
    text_i64(&t, INT64_MIN);
    text_i64(&t, 42);
    text_printf(&t, " %s %.1f", "pi", 3.14);
    assert_int_equal(t.failed, OK);
    assert_true(str_eq(text_str(&t), STR("n=18446744073709551615 -922337203685477580842 pi 3.1")));
    text_free(&t);
}

static void printf_larger_than_its_room(void **state)
{
    struct text t = { 0 };
    for (int width = 4090; width < 4100; width++) {
        text_printf(&t, "%*d", width, 7);
        assert_int_equal(buf_len(&t.buf), width);
        buf_eat(&t.buf, (size_t)width - 1);
        assert_true(str_eq(text_str(&t), STR("7")));
        text_free(&t);
    }
}

static void text_keeps_the_first_failure(void **state)
{
    struct text t = { 0 };
    memory_fail_at(1);
    text_put(&t, STR("lost"));
    text_put(&t, STR("also lost"));
    text_printf(&t, "%d", 1);
    text_u64(&t, 1);
    memory_fail_at(0);
    assert_int_equal(t.failed, FAIL_no_memory);
    assert_int_equal(buf_len(&t.buf), 0);
    text_free(&t);
}

static void digits_as_printf_has_them(void **state)
{
    static const uint64_t values[] = { 0,         1, 9, 10, 15, 16, 99, 100, 255, 256, 4095, 123456789, UINT64_MAX >> 1,
                                       UINT64_MAX };
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char got[32], want[32];
        *put_u64(got, values[i]) = 0;
        snprintf(want, sizeof want, "%" PRIu64, values[i]);
        assert_string_equal(got, want);
        *put_hex(got, values[i]) = 0;
        snprintf(want, sizeof want, "%" PRIx64, values[i]);
        assert_string_equal(got, want);
        *put_hex16(got, values[i]) = 0;
        snprintf(want, sizeof want, "%016" PRIx64, values[i]);
        assert_string_equal(got, want);
    }
}

static int begin(void **state)
{
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    buf_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_fit),
        cmocka_unit_test(nothing_needs_no_block),
        cmocka_unit_test(bytes_survive_growth),
        cmocka_unit_test(eaten_bytes_make_room_again),
        cmocka_unit_test(few_eaten_bytes_are_not_paid_for_with_a_move),
        cmocka_unit_test(large_buffers_keep_their_bytes_when_eaten_from),
        cmocka_unit_test(failure_leaves_the_buffer),
        cmocka_unit_test(text_writes_all_kinds),
        cmocka_unit_test(printf_larger_than_its_room),
        cmocka_unit_test(text_keeps_the_first_failure),
        cmocka_unit_test(digits_as_printf_has_them),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
