#include "base/log.h"
#include "redis/board.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct redis_board *b;
static struct redis_board_look look;

static int begin(void **state)
{
    log_configure(LOG_ERROR + 1, false, NULL);
    b = redis_board_new();
    return b ? 0 : -1;
}

static int end(void **state)
{
    redis_board_free(&b);
    return 0;
}

static enum redis_breaker shown(void)
{
    redis_board_look(b, &look);
    return look.breaker;
}

static void the_worst_connection_is_shown(void **state)
{
    assert_int_equal(shown(), REDIS_TRIAL);
    redis_board_moved(b, REDIS_BREAKERS, REDIS_TRIAL);
    redis_board_moved(b, REDIS_BREAKERS, REDIS_TRIAL);
    redis_board_moved(b, REDIS_TRIAL, REDIS_CLOSED);
    assert_int_equal(shown(), REDIS_TRIAL);
    redis_board_moved(b, REDIS_TRIAL, REDIS_CLOSED);
    assert_int_equal(shown(), REDIS_CLOSED);
    redis_board_moved(b, REDIS_CLOSED, REDIS_OPEN);
    assert_int_equal(shown(), REDIS_OPEN);
    redis_board_moved(b, REDIS_OPEN, REDIS_BREAKERS);
    assert_int_equal(shown(), REDIS_CLOSED);
}

static void errors_are_counted_by_what_they_mean(void **state)
{
    assert_false(redis_board_error(b, STR("WRONGTYPE Operation against a key")));
    assert_false(redis_board_error(b, STR("OOM command not allowed")));
    assert_false(redis_board_error(b, STR("READONLY You can't write")));
    assert_false(redis_board_error(b, STR("ERR unknown")));
    assert_true(redis_board_error(b, STR("LOADING Redis is loading")));
    assert_true(redis_board_error(b, STR("NOAUTH Authentication required.")));
    redis_board_look(b, &look);
    assert_int_equal(look.count[REDIS_wrong_type], 1);
    assert_int_equal(look.count[REDIS_full], 1);
    assert_int_equal(look.count[REDIS_read_only], 1);
    assert_int_equal(look.count[REDIS_refused], 3);
}

static void times_of_all_workers(void **state)
{
    for (unsigned i = 0; i < 100; i++)
        redis_board_took(b, i % 2, USEC(i < 90 ? 100 : 2000));
    redis_board_look(b, &look);
    assert_in_range(look.p50, USEC(98), USEC(102));
    assert_in_range(look.p99, USEC(1960), USEC(2040));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_worst_connection_is_shown),
        TEST(errors_are_counted_by_what_they_mean),
        TEST(times_of_all_workers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
