#include "net/http_head.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_text(struct str got, const char *expected)
{
    assert_non_null(got.p);
    if (!str_eq(got, str_of(expected)))
        fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(got), expected);
}

static void methods_there_and_back(void **state)
{
    for (enum http_method m = M_GET; m < M_OTHER; m++)
        assert_int_equal(http_method_of(http_method_text(m)), m);
    expect_text(http_method_text(M_DELETE), "DELETE");
    expect_text(http_method_text(M_OTHER), "");
}

static void methods_are_case_sensitive_and_whole(void **state)
{
    static const char *const other[] = { "get", "Get", "GE", "GETS", "", "PROPFIND", "OPTION" };
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_int_equal(http_method_of(str_of(other[i])), M_OTHER);
}

static void reasons(void **state)
{
    expect_text(http_reason(200), "OK");
    expect_text(http_reason(431), "Request Header Fields Too Large");
    expect_text(http_reason(529), "Overloaded");
    expect_text(http_reason(299), "");
}

static void every_failure_has_a_reason(void **state)
{
    for (enum fail f = OK; f < FAIL_COUNT; f++)
        assert_true(http_reason(fail_status(f)).n > 0);
}

static void unescape_decodes(void **state)
{
    static const char *const pairs[][2] = {
        {"",             ""            },
        { "llama3%3A8b", "llama3:8b"   },
        { "a%2fb%2Fc",   "a/b/c"       },
        { "a+b",         "a+b"         },
        { "%e2%82%ac",   "\xe2\x82\xac"},
        { "%25",         "%"           },
        { "%2541",       "%41"         },
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        char out[64];
        size_t n = 99;
        assert_true(http_unescape(str_of(pairs[i][0]), out, &n));
        expect_text((struct str){ out, n }, pairs[i][1]);
    }
}

static void unescape_refuses(void **state)
{
    static const char *const bad[] = { "%", "%4", "a%", "a%4", "%zz", "%4g", "%g4", "%00", "a%00b", "%-1", "% 1" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char out[64];
        size_t n;
        if (http_unescape(str_of(bad[i]), out, &n))
            fail_msg("accepted \"%s\"", bad[i]);
    }
}

static void query_finds(void **state)
{
    struct str query = STR("model=llama3%3A8b&all&empty=&model=second&x=a=b");
    expect_text(http_query(query, STR("model")), "llama3%3A8b");
    expect_text(http_query(query, STR("x")), "a=b");
    expect_text(http_query(query, STR("all")), "");
    expect_text(http_query(query, STR("empty")), "");
    assert_null(http_query(query, STR("mode")).p);
    assert_null(http_query(query, STR("llama3%3A8b")).p);
    assert_null(http_query(STR(""), STR("model")).p);
    assert_null(http_query(STR_NONE, STR("model")).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_there_and_back),
        cmocka_unit_test(methods_are_case_sensitive_and_whole),
        cmocka_unit_test(reasons),
        cmocka_unit_test(every_failure_has_a_reason),
        cmocka_unit_test(unescape_decodes),
        cmocka_unit_test(unescape_refuses),
        cmocka_unit_test(query_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
