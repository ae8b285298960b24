/* api/keep_alive_test.c - durations as Ollama reads them. */
#include "api/peek.h"
#include "base/slab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR SECOND(3600)

static const struct {
    const char *json;
    nsec value;
} good[] = {
    {"300",                               SECOND(300)          },
    { "0",                                0                    },
    { "-0.0",                             0                    },
    { "0.5",                              MSEC(500)            },
    { "1e2",                              SECOND(100)          },
    { "-1",                               NEVER                },
    { "-0.001",                           NEVER                },
    { "1e300",                            NEVER                },
    { "\"5m\"",                           SECOND(300)          },
    { "\"1h30m\"",                        HOUR + SECOND(1800)  },
    { "\"1.5h\"",                         HOUR + SECOND(1800)  },
    { "\".5s\"",                          MSEC(500)            },
    { "\"1.s\"",                          SECOND(1)            },
    { "\"+10s\"",                         SECOND(10)           },
    { "\"0\"",                            0                    },
    { "\"-0\"",                           0                    },
    { "\"0s\"",                           0                    },
    { "\"-0s\"",                          0                    },
    { "\"-1\\u006d\"",                    NEVER                },
    { "\"-1m\"",                          NEVER                },
    { "\"-1ns\"",                         NEVER                },
    { "\"3ms4us5ns\"",                    MSEC(3) + USEC(4) + 5},
    { "\"1\xc2\xb5s\"",                   USEC(1)              },
    { "\"1\xce\xbcs\"",                   USEC(1)              },
    { "\"0.1000000000000000000000000h\"", SECOND(360)          },
    { "\"9223372036854775807ns\"",        INT64_MAX            },
    { "\"-9223372036854775807ns1ns\"",    NEVER                },
};

static void reads_numbers_and_durations(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        bool set = false;
        nsec value = 42;
        enum fail f = keep_alive_read(json_parse(str_of(good[i].json), NULL), &set, &value);
        if (f || !set || value != good[i].value)
            fail_msg("%s: %.*s, %d, %jd", good[i].json, STR_ARG(fail_name(f)), (int)set, (intmax_t)value);
    }
}

static void absent_and_null_leave_it_unset(void **state)
{
    bool set = true;
    nsec value = 42;
    assert_int_equal(keep_alive_read((struct json){ .kind = JSON_BAD }, &set, &value), OK);
    assert_false(set);
    set = true;
    assert_int_equal(keep_alive_read(json_parse(STR("null"), NULL), &set, &value), OK);
    assert_false(set);
    assert_int_equal(value, 42);
}

static void refuses_nonsense(void **state)
{
    static const char *const rows[] = {
        "\"300\"",
        "\"\"",
        "\"-\"",
        "\"+\"",
        "\"m\"",
        "\".s\"",
        "\".\"",
        "\"5 m\"",
        "\" 5m\"",
        "\"5m \"",
        "\"5M\"",
        "\"5d\"",
        "\"--5m\"",
        "\"1h5\"",
        "\"forever\"",
        "\"1e3s\"",
        "\"0x1s\"",
        "true",
        "[]",
        "{}",
        "\"00\"",
        "1e999",
        "\"9223372036854775808ns\"",
        "\"99999999999999999999h\"",
        "\"2562048h\"",
        "\"-2562048h\"",
        "\"5\\u0000m\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool set = true;
        nsec value;
        if (keep_alive_read(json_parse(str_of(rows[i]), NULL), &set, &value) != FAIL_bad_value || set)
            fail_msg("accepted: %s", rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numbers_and_durations),
        cmocka_unit_test(absent_and_null_leave_it_unset),
        cmocka_unit_test(refuses_nonsense),
    };
    arena_pools_init();
    int failed = cmocka_run_group_tests_name("api/keep_alive", tests, NULL, NULL);
    arena_pools_done();
    return failed;
}
