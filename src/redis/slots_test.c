#include "base/arena.h"
#include "redis/slots.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct slots s;
static struct resp_reader *in;

static int begin(void **state)
{
    arena_pools_init();
    in = resp_reader_new();
    slots_init(&s, STR("seed"), 7000);
    return in ? 0 : -1;
}

static int end(void **state)
{
    resp_reader_free(&in);
    arena_pools_done();
    return 0;
}

/* The check value of CRC-16/XMODEM, and keys whose slots redis-cli told. */
static void slots_are_those_of_redis(void **state)
{
    assert_int_equal(slots_of_key(STR("123456789")), 0x31c3);
    assert_int_equal(slots_of_key(STR("foo")), 12182);
    assert_int_equal(slots_of_key(STR("")), 0);
}

static void what_stands_in_braces_decides(void **state)
{
    unsigned user = slots_of_key(STR("user1000"));

    assert_int_equal(slots_of_key(STR("{user1000}.following")), user);
    assert_int_equal(slots_of_key(STR("a{user1000}.b{other}")), user);
    assert_int_not_equal(slots_of_key(STR("a{}user1000")), user);
    assert_int_equal(slots_of_key(STR("x{{user1000}y")), slots_of_key(STR("{user1000")));
    assert_int_equal(slots_of_key(STR("open{user")), slots_of_key(STR("open{user")));
}

static void moved_teaches_and_ask_does_not(void **state)
{
    bool ask;
    unsigned node;

    assert_true(slots_redirect(&s, STR("ASK 3999 10.0.0.2:6381"), 0, &ask, &node));
    assert_true(ask && node == 1 && s.of[3999] == 0);
    assert_true(slots_redirect(&s, STR("MOVED 3999 10.0.0.2:6381"), 0, &ask, &node));
    assert_true(!ask && node == 1 && s.of[3999] == 1 && s.of[4000] == 0);
    assert_true(slots_redirect(&s, STR("MOVED 5 :6400"), 1, &ask, &node));
    assert_string_equal(s.node[node].host, "10.0.0.2");
    assert_true(slots_redirect(&s, STR("MOVED 6 seed:7000"), 1, &ask, &node));
    assert_int_equal(node, 0);
    assert_true(slots_redirect(&s, STR("MOVED 7 ::1:7000"), 1, &ask, &node));
    assert_string_equal(s.node[node].host, "::1");
}

static void other_errors_are_no_redirects(void **state)
{
    static const char *const wrong[] = {
        "ERR MOVED 1 a:1", "MOVED",           "MOVED 1",     "MOVED 16384 a:1", "MOVED -1 a:1",
        "MOVED 1 a:0",     "MOVED 1 a:70000", "MOVED 1 a:b", "ASK x a:1",       ""
    };
    bool ask;
    unsigned node;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(slots_redirect(&s, str_of(wrong[i]), 0, &ask, &node));
    assert_int_equal(s.nodes, 1);
}

static void a_map_has_room_for_so_many(void **state)
{
    char text[64];
    bool ask;
    unsigned node;

    for (unsigned i = 1; i < SLOTS_NODES; i++) {
        snprintf(text, sizeof text, "MOVED %u h%u:1", i, i);
        assert_true(slots_redirect(&s, str_of(text), 0, &ask, &node));
    }
    assert_false(slots_redirect(&s, STR("MOVED 1 one-more:1"), 0, &ask, &node));
    assert_int_equal(s.of[1], 1);
}

static bool takes(const char *bytes)
{
    const struct resp *reply = NULL;

    assert_int_equal(resp_feed(in, str_of(bytes)), OK);
    assert_int_equal(resp_next(in, &reply), OK);
    assert_non_null(reply);
    return slots_take(&s, reply, 0);
}

static void the_whole_map_at_once(void **state)
{
    assert_true(takes("*2\r\n"
                      "*3\r\n:0\r\n:5460\r\n*3\r\n$4\r\nseed\r\n:7000\r\n$2\r\nid\r\n"
                      "*4\r\n:5461\r\n:16383\r\n*2\r\n$0\r\n\r\n:7001\r\n*2\r\n$1\r\nr\r\n:1\r\n"));
    assert_true(s.of[0] == 0 && s.of[5460] == 0 && s.of[5461] == 1 && s.of[16383] == 1);
    assert_int_equal(s.nodes, 2);
    assert_string_equal(s.node[1].host, "seed");
}

static void a_map_that_is_none_changes_nothing(void **state)
{
    assert_false(takes("-ERR This instance has cluster support disabled\r\n"));
    assert_false(takes("*0\r\n"));
    assert_false(takes("*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n"));
    assert_false(takes("*1\r\n*3\r\n:9\r\n:5\r\n*2\r\n$1\r\na\r\n:1\r\n"));
    assert_false(takes("*1\r\n*2\r\n:0\r\n:5\r\n"));
    assert_false(takes("*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n:1\r\n:1\r\n"));
    assert_int_equal(s.nodes, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(slots_are_those_of_redis),           TEST(what_stands_in_braces_decides),
        TEST(moved_teaches_and_ask_does_not),     TEST(other_errors_are_no_redirects),
        TEST(a_map_has_room_for_so_many),         TEST(the_whole_map_at_once),
        TEST(a_map_that_is_none_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
