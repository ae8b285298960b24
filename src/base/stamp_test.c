#include "base/stamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void rfc3339_as_go_prints_it(void **state)
{
    static const struct {
        nsec wall;
        const char *text;
    } rows[] = {
        {0,                               "1970-01-01T00:00:00Z"          },
        { 1,                              "1970-01-01T00:00:00.000000001Z"},
        { -1,                             "1969-12-31T23:59:59.999999999Z"},
        { MSEC(1500),                     "1970-01-01T00:00:01.5Z"        },
        { SECOND(951782400),              "2000-02-29T00:00:00Z"          },
        { SECOND(1709251199) + 120000000, "2024-02-29T23:59:59.12Z"       },
        { INT64_MAX,                      "2262-04-11T23:47:16.854775807Z"},
        { INT64_MIN,                      "1677-09-21T00:12:43.145224192Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[36];
        nsec back;
        struct str s = { out, stamp_rfc3339(rows[i].wall, out) };
        assert_true(str_eq(s, str_of(rows[i].text)));
        assert_true(stamp_parse(s, &back));
        assert_int_equal(back, rows[i].wall);
    }
}

static void every_day_as_the_c_library_has_it(void **state)
{
    for (int64_t day = -100000; day < 100000; day += 1) {
        time_t t = day * 86400 + (day & 0xffff);
        struct tm tm;
        char want[32], out[36];
        nsec back;
        gmtime_r(&t, &tm);
        strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_int_equal(stamp_http(SECOND(t), out), 29);
        assert_memory_equal(out, want, 29);
        assert_true(stamp_parse_http((struct str){ out, 29 }, &back) && back == SECOND(t));
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &tm);
        assert_int_equal(stamp_rfc3339(SECOND(t), out), 20);
        assert_memory_equal(out, want, 20);
    }
}

static void the_example_of_rfc_9110(void **state)
{
    char out[32];
    size_t n = stamp_http(SECOND(784111777), out);
    assert_true(str_eq((struct str){ out, n }, STR("Sun, 06 Nov 1994 08:49:37 GMT")));
}

static void what_is_no_date_of_http(void **state)
{
    static const char *texts[] = { "",
                                   "17",
                                   "Sun, 06 Nov 1994 08:49:37",
                                   "Sun, 06 Nov 1994 08:49:37 CET",
                                   "Sun, 06 nov 1994 08:49:37 GMT",
                                   "Sun, 06 anF 1994 08:49:37 GMT",
                                   "Sun, 31 Nov 1994 08:49:37 GMT",
                                   "Sun, 06 Nov 1994 24:49:37 GMT",
                                   "Sunday, 06-Nov-94 08:49:37 GMT",
                                   "Sun Nov  6 08:49:37 1994",
                                   "Sun, 06 Nov 1994 08:49:37 GMT " };
    nsec ignored;
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(stamp_parse_http(str_of(texts[i]), &ignored));
}

static void parsing_moments(void **state)
{
    static const struct {
        const char *text;
        bool good;
        nsec wall;
    } rows[] = {
        {"1985-04-12T23:20:50.52Z",                 true,  SECOND(482196050) + 520000000  },
        { "1996-12-19t16:39:57-08:00",              true,  SECOND(851042397)              },
        { "1990-12-31T23:59:60z",                   true,  SECOND(662688000)              },
        { "1937-01-01T12:00:27.87+00:20",           true,  SECOND(-1041337173) + 870000000},
        { "2024-06-04T14:38:31.837538123999-07:00", true,  SECOND(1717537111) + 837538123 },
        { "0001-01-01T00:00:00Z",                   true,  INT64_MIN                      },
        { "2318-09-30T12:00:00Z",                   true,  INT64_MAX                      },
        { "9999-12-31T23:59:59Z",                   true,  INT64_MAX                      },
        { "2023-02-29T00:00:00Z",                   false, 0                              },
        { "1900-02-29T00:00:00Z",                   false, 0                              },
        { "2023-04-31T00:00:00Z",                   false, 0                              },
        { "2023-00-01T00:00:00Z",                   false, 0                              },
        { "2023-13-01T00:00:00Z",                   false, 0                              },
        { "2023-01-01T24:00:00Z",                   false, 0                              },
        { "2023-01-01T00:60:00Z",                   false, 0                              },
        { "2023-01-01T00:00:61Z",                   false, 0                              },
        { "2023-01-01T00:00:00.Z",                  false, 0                              },
        { "2023-01-01T00:00:00",                    false, 0                              },
        { "2023-01-01T00:00:00+24:00",              false, 0                              },
        { "2023-01-01T00:00:00+0100",               false, 0                              },
        { "2023-01-01T00:00:00Zx",                  false, 0                              },
        { "2023-01-01 00:00:00Z",                   false, 0                              },
        { "23-01-01T00:00:00Z",                     false, 0                              },
        { "+023-01-01T00:00:00Z",                   false, 0                              },
        { "2023-01-01",                             false, 0                              },
        { "",                                       false, 0                              },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        nsec wall = 77;
        assert_int_equal(stamp_parse(str_of(rows[i].text), &wall), rows[i].good);
        assert_int_equal(wall, rows[i].good ? rows[i].wall : 77);
    }
}

static void a_moment_cut_anywhere_is_none(void **state)
{
    struct str whole = STR("2024-06-04T14:38:31.83+07:00");
    nsec wall;
    for (size_t n = 0; n < whole.n; n++)
        assert_false(stamp_parse(str_take(whole, n), &wall));
    assert_true(stamp_parse(whole, &wall));
}

static void parsing_durations(void **state)
{
    static const struct {
        const char *text;
        bool good;
        nsec length;
    } rows[] = {
        {"0",                            true,  0                     },
        { "-0",                          true,  0                     },
        { "5s",                          true,  SECOND(5)             },
        { "+5s",                         true,  SECOND(5)             },
        { "-1m",                         true,  -SECOND(60)           },
        { "1h30m",                       true,  SECOND(5400)          },
        { "1.5s",                        true,  MSEC(1500)            },
        { ".5s",                         true,  MSEC(500)             },
        { "5.s",                         true,  SECOND(5)             },
        { "300ms",                       true,  MSEC(300)             },
        { "12us",                        true,  USEC(12)              },
        { "12\u00b5s",                   true,  USEC(12)              },
        { "12\u03bcs",                   true,  USEC(12)              },
        { "7ns",                         true,  7                     },
        { "1h2m3s4ms5us6ns",             true,  SECOND(3723) + 4005006},
        { "0.9ns",                       true,  0                     },
        { "0.100000000000000000000h",    true,  SECOND(360)           },
        { "00000000000000000000000001s", true,  SECOND(1)             },
        { "9223372036854775807ns",       true,  INT64_MAX             },
        { "9223372036854775808ns",       true,  INT64_MAX             },
        { "-9223372036854775808ns",      true,  -INT64_MAX            }, /* beyond a whole number's range: saturated a step early */
        { "99999999999999999999999h",    true,  INT64_MAX             },
        { "-9999999h9999999h",           true,  INT64_MIN             },
        { "",                            false, 0                     },
        { "-",                           false, 0                     },
        { "5",                           false, 0                     },
        { "1.5",                         false, 0                     },
        { "s",                           false, 0                     },
        { ".s",                          false, 0                     },
        { "1d",                          false, 0                     },
        { "1h 2m",                       false, 0                     },
        { " 1h",                         false, 0                     },
        { "1h-2m",                       false, 0                     },
        { "1.2.3s",                      false, 0                     },
        { "1S",                          false, 0                     },
        { "forever",                     false, 0                     },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        nsec length = 77;
        assert_int_equal(stamp_go_duration(str_of(rows[i].text), &length), rows[i].good);
        assert_int_equal(length, rows[i].good ? rows[i].length : 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_as_go_prints_it), cmocka_unit_test(every_day_as_the_c_library_has_it),
        cmocka_unit_test(the_example_of_rfc_9110), cmocka_unit_test(what_is_no_date_of_http),
        cmocka_unit_test(parsing_moments),         cmocka_unit_test(a_moment_cut_anywhere_is_none),
        cmocka_unit_test(parsing_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
