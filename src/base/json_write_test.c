/* base/json_write_test.c - what is written is what was meant, and reads back. */
#include "base/json.h"
#include "base/slab.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct text out;

static int set_up(void **state)
{
    buf_pools_init();
    return 0;
}

static int tear_down(void **state)
{
    buf_pools_done();
    return 0;
}

static void expect(const char *want)
{
    if (!str_eq(text_str(&out), str_of(want)))
        fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(text_str(&out)), want);
    text_free(&out);
}

static void puts_commas_and_colons(void **state)
{
    struct json_out j = { .to = &out };
    json_open(&j, '{');
    json_key(&j, "a");
    json_put_i64(&j, INT64_MIN);
    json_key_str(&j, STR("b\""));
    json_open(&j, '[');
    json_put_bool(&j, true);
    json_put_null(&j);
    json_open(&j, '{');
    json_close(&j);
    json_open(&j, '[');
    json_close(&j);
    json_put_u64(&j, UINT64_MAX);
    json_close(&j);
    json_key(&j, "c");
    json_put_raw(&j, STR("{\"x\":1}"));
    json_key(&j, "d");
    json_put_str(&j, STR("s"));
    json_close(&j);
    expect("{\"a\":-9223372036854775808,\"b\\\"\":[true,null,{},[],18446744073709551615],\"c\":{\"x\":1},\"d\":\"s\"}");
}

static void a_reused_depth_starts_without_a_comma(void **state)
{
    struct json_out j = { .to = &out };
    json_open(&j, '[');
    for (int i = 0; i < 2; i++) {
        json_open(&j, i ? '{' : '[');
        if (i)
            json_key(&j, "k");
        json_put_bool(&j, i);
        json_close(&j);
    }
    json_close(&j);
    expect("[[false],{\"k\":true}]");
}

static void nests_32_deep(void **state)
{
    struct json_out j = { .to = &out };
    for (int i = 0; i < 32; i++)
        json_open(&j, '[');
    json_put_i64(&j, 1);
    json_put_i64(&j, 2);
    for (int i = 0; i < 32; i++)
        json_close(&j);
    expect("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1,2]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static void quotes_what_needs_quoting(void **state)
{
    json_quote(&out, STR("a\"\\/\b\f\n\r\t\001\x1f\x7f\xc3\xa4\xf0\x9f\x98\x80"));
    expect("\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa4\xf0\x9f\x98\x80\"");
    json_quote(&out, STR_NONE);
    expect("\"\"");
    json_quote(&out, (struct str){ "\0", 1 });
    expect("\"\\u0000\"");
}

static void broken_utf8_becomes_the_replacement_character(void **state)
{
#define FFFD "\xef\xbf\xbd"
    static const struct {
        const char *in, *quoted;
    } rows[] = {
        {"\x80",                          "\"" FFFD "\""                    }, /* a continuation alone */
        { "\xc3",                         "\"" FFFD "\""                    }, /* cut off */
        { "\xc3(",                        "\"" FFFD "(\""                   }, /* not continued */
        { "\xc0\xaf",                     "\"" FFFD FFFD "\""               }, /* overlong */
        { "\xe0\x9f\xbf",                 "\"" FFFD FFFD FFFD "\""          }, /* overlong */
        { "\xed\xa0\x80",                 "\"" FFFD FFFD FFFD "\""          }, /* a surrogate */
        { "\xf4\x90\x80\x80",             "\"" FFFD FFFD FFFD FFFD "\""     }, /* beyond U+10FFFF */
        { "\xff\xfe",                     "\"" FFFD FFFD "\""               }, /* never valid */
        { "\xf4\x8f\xbf\xbf\xed\x9f\xbf", "\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\""}, /* the last good ones */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_quote(&out, str_of(rows[i].in));
        expect(rows[i].quoted);
    }
}

static void write_double(double d)
{
    struct json_out j = { .to = &out };
    json_put_f64(&j, d);
}

static void doubles_are_short_and_read_back(void **state)
{
    static const struct {
        double d;
        const char *text;
    } rows[] = {
        {0.1,               "0.1"                },
        { 3,                "3"                  },
        { -0.25,            "-0.25"              },
        { 1e21,             "1e+21"              },
        { 0.1 + 0.2,        "0.30000000000000004"},
        { 0.000001,         "0.000001"           },
        { -1e-7,            "-1e-07"             },
        { 999999999.999999, "999999999.999999"   },
        { 1e9,              "1000000000"         },
        { 1234.5678,        "1234.5678"          },
        { 0,                "0"                  },
        { NAN,              "null"               },
        { -INFINITY,        "null"               }
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_double(rows[i].d);
        expect(rows[i].text);
    }
    for (int i = 1; i < 2000; i++) {
        double d = i * 1.7320508075688772 * pow(10, i % 600 - 300), back;
        write_double(d);
        assert_true(json_f64(json_parse(text_str(&out), NULL), &back));
        assert_true(back == d);
        text_free(&out);
    }
}

static void keeps_the_first_failure(void **state)
{
    struct json_out j = { .to = &out };
    memory_fail_at(1);
    json_open(&j, '{');
    json_key(&j, "a");
    json_put_i64(&j, 1);
    json_close(&j);
    memory_fail_at(0);
    assert_int_equal(out.failed, FAIL_no_memory);
    assert_int_equal(text_str(&out).n, 0);
    text_free(&out);
    out.failed = OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_commas_and_colons),
        cmocka_unit_test(a_reused_depth_starts_without_a_comma),
        cmocka_unit_test(nests_32_deep),
        cmocka_unit_test(quotes_what_needs_quoting),
        cmocka_unit_test(broken_utf8_becomes_the_replacement_character),
        cmocka_unit_test(doubles_are_short_and_read_back),
        cmocka_unit_test(keeps_the_first_failure),
    };
    return cmocka_run_group_tests_name("base/json_write", tests, set_up, tear_down);
}
