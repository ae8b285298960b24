/* The table against the sets as the RFCs spell them. */
#include "net/http_chars.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ALPHA  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static void expect_exactly(enum http_chars what, const char *members)
{
    for (int c = 0; c < 256; c++) {
        bool member = c && strchr(members, c);
        if (http_is((char)c, what) != member)
            fail_msg("byte 0x%02x: %s expected", c, member ? "in" : "out");
    }
}

static void token_is_tchar(void **state)
{
    expect_exactly(CHAR_TOKEN, "!#$%&'*+-.^_`|~" DIGITS ALPHA);
}

static void host_is_reg_name(void **state)
{
    expect_exactly(CHAR_HOST, ALPHA DIGITS "-._~"
                                           "!$&'()*+,;="
                                           "%");
}

static void digits_and_hex(void **state)
{
    expect_exactly(CHAR_DIGIT, DIGITS);
    expect_exactly(CHAR_HEX, DIGITS "abcdefABCDEF");
    assert_int_equal(http_hex('0'), 0);
    assert_int_equal(http_hex('9'), 9);
    assert_int_equal(http_hex('a'), 10);
    assert_int_equal(http_hex('F'), 15);
    assert_int_equal(http_hex('g'), -1);
    assert_int_equal(http_hex('\xc6'), -1);
}

static void value_has_no_controls(void **state)
{
    for (int c = 0; c < 256; c++)
        assert_int_equal(http_is((char)c, CHAR_VALUE), c == '\t' || (c >= ' ' && c != 0x7f));
}

static void target_is_visible_without_fragment(void **state)
{
    for (int c = 0; c < 256; c++)
        assert_int_equal(http_is((char)c, CHAR_TARGET), c > ' ' && c < 0x7f && c != '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_is_tchar),
        cmocka_unit_test(host_is_reg_name),
        cmocka_unit_test(digits_and_hex),
        cmocka_unit_test(value_has_no_controls),
        cmocka_unit_test(target_is_visible_without_fragment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
