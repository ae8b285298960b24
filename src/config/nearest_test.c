#include "config/nearest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct str best_of(const char *meant, const char *const *words, size_t n)
{
    struct nearest near = nearest_to(str_of(meant));
    for (size_t i = 0; i < n; i++)
        nearest_offer(&near, str_of(words[i]));
    return near.best;
}
static const char *const words[] = { "serve",        "check", "status", "version", "cache.ttl", "timeouts.connect",
                                     "timeouts.load" };
static void expect(const char *meant, const char *best)
{
    struct str got = best_of(meant, words, ARRAY_LEN(words));
    if (!str_eq(got, str_of(best)))
        fail_msg("for \"%s\" came \"%.*s\"", meant, STR_ARG(got));
}

static void one_slip_is_understood(void **state)
{
    expect("serv", "serve");
    expect("sevre", "serve");
    expect("chek", "check");
    expect("statsu", "status");
    expect("timeouts.conect", "timeouts.connect");
    expect("cahce.ttl", "cache.ttl");
    expect("serve", "serve");
}

static void what_is_far_is_no_suggestion(void **state)
{
    expect("banana", "");
    expect("", "");
    expect("x", "");
    expect("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slip_is_understood),
        cmocka_unit_test(what_is_far_is_no_suggestion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
