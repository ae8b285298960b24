/* cache/control_test.c - Cache-Control of requests, as it should be and as it comes. */
#include "cache/control.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { STORE = 1, CACHE = 2, ONLY = 4 };

static void lines_are_read(void **state)
{
    static const struct {
        const char *line;
        unsigned said;
        nsec max_age;
    } rows[] = {
        {"",                                               0,                    NEVER             },
        { "no-store",                                      STORE,                NEVER             },
        { "No-Cache",                                      CACHE,                NEVER             },
        { "only-if-cached",                                ONLY,                 NEVER             },
        { " no-store ,\tno-cache,only-if-cached ",         STORE | CACHE | ONLY, NEVER             },
        { "max-age=17",                                    0,                    SECOND(17)        },
        { "MAX-AGE=0",                                     0,                    0                 },
        { "max-age=\"5\"",                                 0,                    SECOND(5)         },
        { "max-age = 5",                                   0,                    SECOND(5)         },
        { "max-age=5, max-age=3",                          0,                    SECOND(3)         },
        { "max-age=3, max-age=5",                          0,                    SECOND(3)         },
        { "max-age=2147483648",                            0,                    SECOND(2147483648)},
        { "max-age=99999999999999999999999",               0,                    SECOND(2147483648)},
        { "max-age",                                       0,                    0                 },
        { "max-age=",                                      0,                    0                 },
        { "max-age=-1",                                    0,                    0                 },
        { "max-age=1.5",                                   0,                    0                 },
        { "max-age=+1",                                    0,                    0                 },
        { "max-age=1 2",                                   0,                    0                 },
        { "max-age=0x10",                                  0,                    0                 },
        { "max-stale=9, min-fresh=1, stale-if-error=5, x", 0,                    NEVER             },
        { "x=\"no-store, \\\"max-age=1\", no-cache",       CACHE,                NEVER             },
        { "x=\"never closed, no-store",                    0,                    NEVER             },
        { ",,,no-store,,",                                 STORE,                NEVER             },
        { "no-store=x",                                    STORE,                NEVER             },
        { "no-cache=\"set-cookie\"",                       CACHE,                NEVER             },
        { "no-storexx, xno-store, nostore",                0,                    NEVER             },
        { "=no-store",                                     0,                    NEVER             },
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct control c = control_none();
        control_read(&c, str_of(rows[i].line));
        unsigned said = (c.no_store ? STORE : 0) | (c.no_cache ? CACHE : 0) | (c.only_if_cached ? ONLY : 0);
        if (said != rows[i].said || c.max_age != rows[i].max_age)
            fail_msg("%s: %u, %lld", rows[i].line, said, (long long)c.max_age);
    }
}

static void several_lines_are_one_list(void **state)
{
    struct control c = control_none();
    control_read(&c, STR("max-age=60"));
    control_read(&c, STR("no-store"));
    control_read(&c, STR("max-age=90"));
    assert_true(c.no_store);
    assert_int_equal(c.max_age, SECOND(60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(several_lines_are_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
