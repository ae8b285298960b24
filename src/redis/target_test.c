#include "redis/target.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena arena;
static struct redis_target t;
static const char *why;

static bool reads(const char *text)
{
    why = NULL;
    return redis_target_read(str_of(text), &arena, &t, &why);
}

static void assert_shown(const char *text, const char *shown)
{
    struct text out = { 0 };

    assert_true(reads(text));
    redis_target_print(&t, &out);
    text_putc(&out, 0);
    assert_string_equal(text_str(&out).p, shown);
    text_free(&out);
}

static void what_people_have_in_redis_url(void **state)
{
    assert_shown("redis://localhost", "redis://localhost:6379");
    assert_shown("redis://cache:7000/3", "redis://cache:7000/3");
    assert_shown("rediss://[::1]:6380", "rediss://[::1]:6380");
    assert_true(t.tls && t.port == 6380);
    assert_shown("redis://cache?db=2", "redis://cache:6379/2");
    assert_shown("unix:///run/redis.sock?db=4", "unix:///run/redis.sock?db=4");
    assert_true(str_eq(t.path, STR("/run/redis.sock")) && t.db == 4 && !t.host.n);
    assert_shown("redis://", "redis://127.0.0.1:6379");
}

static void a_password_is_read_and_never_shown(void **state)
{
    assert_shown("redis://:s%40cret@cache/1", "redis://:***@cache:6379/1");
    assert_true(str_eq(t.password, STR("s@cret")) && !t.user.n);
    assert_shown("rediss://me:p@ss@cache", "rediss://me:***@cache:6379");
    assert_true(str_eq(t.password, STR("p@ss")) && str_eq(t.user, STR("me")));
    assert_shown("unix://me:pw@/s", "unix://me:***@/s");
}

static void what_is_none_is_refused_with_a_reason(void **state)
{
    static const char *const wrong[] = { "",
                                         "localhost:6379",
                                         "http://cache",
                                         "redis://cache:0",
                                         "redis://cache:70000",
                                         "redis://cache/first",
                                         "redis://cache/1234567890",
                                         "redis://cache?timeout=1",
                                         "redis://user@cache",
                                         "redis://:%4@cache",
                                         "redis://:%00@cache",
                                         "unix://relative",
                                         "unix://" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(reads(wrong[i]));
        assert_non_null(why);
    }
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    arena_done(&arena);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_have_in_redis_url),
        cmocka_unit_test(a_password_is_read_and_never_shown),
        cmocka_unit_test(what_is_none_is_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
