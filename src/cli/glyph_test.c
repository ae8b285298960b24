/* What reaches the terminal: as wide as asked, harmless, whatever comes in. */
#include "cli/glyph.h"
#include <math.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_field(struct str s, unsigned width, bool right, bool ascii, const char *want)
{
    struct text t = { 0 };
    glyph_put(&t, s, width, right, ascii);
    if (!str_eq(text_str(&t), str_of(want)))
        fail_msg("wanted <%s>, got <%.*s>", want, STR_ARG(text_str(&t)));
    text_free(&t);
}

static void fills_and_cuts(void **unused)
{
    expect_field(STR("ab"), 4, false, false, "ab  ");
    expect_field(STR("ab"), 4, true, false, "  ab");
    expect_field(STR("abcde"), 4, false, false, "abc…");
    expect_field(STR("abcde"), 4, false, true, "abc~");
    expect_field(STR("abcd"), 4, true, false, "abcd");
    expect_field(STR("abc"), 0, false, false, "");
}

static void counts_columns_not_bytes(void **unused)
{
    assert_int_equal(glyph_width(STR("grün")), 4);
    assert_int_equal(glyph_width(STR("漢字")), 4);
    assert_int_equal(glyph_width(STR("e\xcc\x81")), 1); /* e with an accent of its own */
    expect_field(STR("漢字"), 4, false, false, "漢字");
    expect_field(STR("漢字x"), 4, false, false, "漢… ");
    expect_field(STR("grün"), 5, false, true, "gr?n ");
}

static void makes_harmless(void **unused)
{
    expect_field(STR("a\033[2Jb\n"), 8, false, false, "a?[2Jb? ");
    expect_field(STR("\xc2\x9b"
                     "1m"),
                 3, false, false, "?1m"); /* a control of eight bits */
    expect_field(STR("\xff\xc3"), 2, false, false, "??");
    expect_field(STR("\xe2\x80\xaex"), 2, false, false, "?x"); /* turns what follows round */
}

static void draws_figures(void **unused)
{
    static const float v[] = { 9, 9, NAN, 0, 4, 8 };
    struct text t = { 0 };
    glyph_put_spark(&t, v + 2, 4, 6, true);
    text_putc(&t, '|');
    glyph_put_spark(&t, v, 6, 4, false);
    text_putc(&t, '|');
    glyph_put_bar(&t, 0.5, 4, true);
    glyph_put_bar(&t, NAN, 2, true);
    glyph_put_bar(&t, 7, 2, true);
    assert_true(str_eq(text_str(&t), STR("   _=#| ▁▅█|##....##")));
    text_free(&t);
}

static void whatever_comes_is_as_wide_as_asked(void **unused)
{
    for (unsigned seed = 1; seed < 3000; seed++) {
        char bytes[24];
        struct text t = { 0 };
        unsigned r = seed * 2654435761u, width = r >> 28;
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)((r = r * 1664525 + 1013904223) >> 24);
        glyph_put(&t, (struct str){ bytes, seed % sizeof bytes }, width, seed & 1, seed & 2);
        assert_int_equal(glyph_width(text_str(&t)), width);
        for (size_t i = 0; i < text_str(&t).n; i++)
            assert_true((unsigned char)text_str(&t).p[i] >= 0x20);
        text_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_cuts),
        cmocka_unit_test(counts_columns_not_bytes),
        cmocka_unit_test(makes_harmless),
        cmocka_unit_test(draws_figures),
        cmocka_unit_test(whatever_comes_is_as_wide_as_asked),
    };
    buf_pools_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
