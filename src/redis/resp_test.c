#include "base/arena.h"
#include "base/slab.h"
#include "redis/resp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct resp_reader *in;
static const struct resp *reply;

static int begin(void **state)
{
    arena_pools_init();
    in = resp_reader_new();
    return in ? 0 : -1;
}

static int end(void **state)
{
    memory_fail_at(0);
    resp_reader_free(&in);
    arena_pools_done();
    return 0;
}

static enum fail fed(const char *bytes, size_t n)
{
    enum fail f = resp_feed(in, (struct str){ bytes, n });

    return f ? f : resp_next(in, &reply);
}

static void each_kind_of_reply(void **state)
{
    assert_int_equal(fed("+OK\r\n-ERR no\r\n:42\r\n$3\r\na\0b\r\n$-1\r\n", 33), OK);
    assert_true(reply->kind == RESP_STATUS && str_eq(reply->text, STR("OK")));
    assert_int_equal(resp_next(in, &reply), OK);
    assert_true(reply->kind == RESP_ERROR && str_eq(reply->text, STR("ERR no")));
    assert_int_equal(resp_next(in, &reply), OK);
    assert_true(reply->kind == RESP_NUMBER && reply->number == 42);
    assert_int_equal(resp_next(in, &reply), OK);
    assert_true(reply->kind == RESP_STRING && str_eq(reply->text, (struct str){ "a\0b", 3 }));
    assert_int_equal(resp_next(in, &reply), OK);
    assert_true(reply->kind == RESP_NIL);
    assert_int_equal(resp_next(in, &reply), OK);
    assert_null(reply);
}

/* What arrives byte by byte is the same. */
static void replies_cut_at_each_byte(void **state)
{
    static const char bytes[] = "*2\r\n*2\r\n:0\r\n:16383\r\n$5\r\nhello\r\n";
    size_t n = sizeof bytes - 1;

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(fed(bytes + i, 1), OK);
        assert_int_equal(reply != NULL, i == n - 1);
    }
    assert_int_equal(reply->n, 2);
    assert_int_equal(reply->item[0]->item[1]->number, 16383);
    assert_true(str_eq(reply->item[1]->text, STR("hello")));
}

static void what_is_no_protocol_is_an_end(void **state)
{
    assert_int_equal(fed("HTTP/1.1 400\r\n", 14), FAIL_upstream_garbage);
}

static void an_array_of_a_claimed_length_costs_nothing(void **state)
{
    assert_int_not_equal(fed("*1000000000\r\n", 13), OK);
}

static void a_reply_without_end_is_not_gathered(void **state)
{
    static char piece[KIB(64)];
    enum fail f = fed("$400000000\r\n", 12);

    for (unsigned i = 0; !f && i < 100; i++)
        f = fed(piece, sizeof piece);
    assert_int_equal(f, FAIL_upstream_garbage);
}

static void memory_that_is_out_is_a_failure(void **state)
{
    bool failed = false;

    for (uint64_t nth = 1; nth < 20; nth++) {
        resp_reader_free(&in);
        memory_fail_at(nth);
        in = resp_reader_new();
        failed |= !in || fed("*2\r\n$1\r\na\r\n$1\r\nb\r\n", 18) != OK;
        memory_fail_at(0);
    }
    assert_true(failed);
}

static void a_command_is_an_array_of_its_arguments(void **state)
{
    static const struct str args[] = {
        {"SET",    3},
        { "key",   3},
        { "",      0},
        { "v\r\n", 3}
    };
    char bytes[200];
    size_t n = 0;
    struct resp_command c;

    resp_command(&c, args, 4);
    for (int i = 0; i < c.n; i++) {
        memcpy(bytes + n, c.piece[i].iov_base, c.piece[i].iov_len);
        n += c.piece[i].iov_len;
    }
    bytes[n] = 0;
    assert_string_equal(bytes, "*4\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n$3\r\nv\r\n\r\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(each_kind_of_reply),
        TEST(replies_cut_at_each_byte),
        TEST(what_is_no_protocol_is_an_end),
        TEST(an_array_of_a_claimed_length_costs_nothing),
        TEST(a_reply_without_end_is_not_gathered),
        TEST(memory_that_is_out_is_a_failure),
        TEST(a_command_is_an_array_of_its_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
