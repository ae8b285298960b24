/* cache/status_test.c - what stands in the headers. */
#include "cache/rule.h"
#include "cache/status.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void statuses_are_said(void **state)
{
    static const struct {
        struct status s;
        const char *said;
    } rows[] = {
        {{ STATUS_HIT, SECOND(17) + 999, false, false, { NULL, 0 } },                             "OllamaMax; hit; ttl=17"                         },
        { { STATUS_HIT, 0, false, false, { NULL, 0 } },                                           "OllamaMax; hit; ttl=0"                          },
        { { STATUS_HIT, -1, false, false, { "stale-while-revalidate", 22 } },
         "OllamaMax; hit; ttl=-1; detail=stale-while-revalidate"                                                                                   },
        { { STATUS_HIT, -SECOND(12), false, false, { NULL, 0 } },                                 "OllamaMax; hit; ttl=-12"                        },
        { { STATUS_HIT, 5, false, true, { NULL, 0 } },                                            "OllamaMax; hit; ttl=0; collapsed"               },
        { { STATUS_BYPASS, 5, false, false, { "temperature", 11 } },                              "OllamaMax; fwd=bypass; detail=temperature"      },
        { { STATUS_MISS, 0, true, false, { NULL, 0 } },                                           "OllamaMax; fwd=miss; stored"                    },
        { { STATUS_MISS, 0, false, true, { NULL, 0 } },                                           "OllamaMax; fwd=miss; collapsed"                 },
        { { STATUS_STALE, 0, true, true, { NULL, 0 } },                                           "OllamaMax; fwd=stale; stored; collapsed"        },
        { { STATUS_REQUEST, 0, true, false, { "no-cache", 8 } },                                  "OllamaMax; fwd=request; stored; detail=no-cache"},
        { { STATUS_MISS, 0, false, false, { "a b", 3 } },                                         "OllamaMax; fwd=miss"                            },
        { { STATUS_MISS, 0, false, false, { "9", 1 } },                                           "OllamaMax; fwd=miss"                            },
        { { STATUS_MISS, 0, false, false, { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 42 } },
         "OllamaMax; fwd=miss"                                                                                                                     },
    };
    char out[STATUS_ROOM];
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct str is = { out, status_put(&rows[i].s, out) };
        if (!str_eq(is, str_of(rows[i].said)))
            fail_msg("%.*s instead of %s", STR_ARG(is), rows[i].said);
    }
}

static void the_longest_has_room(void **state)
{
    char out[STATUS_ROOM];
    struct status s = { STATUS_HIT, INT64_MIN, true, true, STR("abcdefghijklmnopqrstuvwxyzabcdef") };
    assert_true(status_put(&s, out) < STATUS_ROOM);
}

static void ages_are_whole_seconds(void **state)
{
    char out[STATUS_AGE_ROOM];
    assert_true(str_eq((struct str){ out, status_put_age(SECOND(12) + 1, out) }, STR("12")));
    assert_true(str_eq((struct str){ out, status_put_age(0, out) }, STR("0")));
    assert_true(str_eq((struct str){ out, status_put_age(-5, out) }, STR("0")));
    assert_true(status_put_age(INT64_MAX, out) < STATUS_AGE_ROOM);
}

static void every_reason_is_a_token(void **state)
{
    char with[STATUS_ROOM], without[STATUS_ROOM];
    for (unsigned i = 1; i < RULE_COUNT; i++) {
        struct status s = { .kind = STATUS_BYPASS };
        size_t n = status_put(&s, without);
        s.detail = rule_word((enum rule)i);
        assert_int_equal(status_put(&s, with), n + s.detail.n + strlen("; detail="));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_are_said),
        cmocka_unit_test(the_longest_has_room),
        cmocka_unit_test(ages_are_whole_seconds),
        cmocka_unit_test(every_reason_is_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
