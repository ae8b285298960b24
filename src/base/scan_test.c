/* base/scan_test.c - the inline moves find what the calls behind them find, wherever the text ends and whatever is in
 * it; and sixteen bytes looked at in one step are sixteen bytes looked at. */
#include "base/scan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t dice_state = 1;
static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice_state >> 33) % sides;
}

static void leaps_see_each_byte(void **state)
{
    static const char bytes[] = "a!#\"\x22\xa2\xff ";
    for (int round = 0; round < 10000; round++) {
        char text[LEAP];
        unsigned quotes = 0;
        for (unsigned i = 0; i < LEAP; i++) {
            text[i] = bytes[dice(sizeof bytes)];
            quotes |= (unsigned)(text[i] == '"') << i;
        }
        assert_int_equal(leap_equal(text, '"'), quotes);
    }
}

/* In a block of its own size, so that a sanitizer sees a look behind its end. */
static struct scan scan_of(const char *text, size_t n, char **out_block)
{
    *out_block = malloc(n ? n : 1);
    memcpy(*out_block, text, n);
    return (struct scan){ .at = *out_block, .end = *out_block + n };
}

static void strings_end_where_a_closer_look_ends_them(void **state)
{
    static const char letters[] = "abcdefgh \\\\\\\"";
    for (int round = 0; round < 100000; round++) {
        char text[120] = "\"", *block;
        size_t n = 1 + dice(sizeof text - 1);
        unsigned known = dice(2) ? 8 : sizeof letters - 1;
        for (size_t i = 1; i < n; i++)
            text[i] = dice(90) ? letters[dice(known)] : '"';
        struct scan s = scan_of(text, n, &block);
        struct scanned closer = scan_any_string(s.at, s.end, false);
        assert_int_equal(scan_string(&s), closer.kind == JSON_STRING);
        assert_ptr_equal(s.at, closer.at);
        free(block);
    }
}

static void numbers_end_where_a_closer_look_ends_them(void **state)
{
    static const char marks[] = "0.eE+-,}] x";
    for (int round = 0; round < 100000; round++) {
        char text[40], *block;
        size_t n = dice(sizeof text);
        uint32_t rare = 2 + dice(20);
        for (size_t i = 0; i < n; i++)
            text[i] = dice(rare) ? (char)('0' + dice(10)) : marks[dice(sizeof marks - 1)];
        struct scan s = scan_of(text, n, &block);
        uint64_t keys = 0;
        struct scanned closer = scan_any_value(s.at, s.end, false, &keys);
        assert_int_equal(scan_value(&s), closer.kind);
        assert_ptr_equal(s.at, closer.at);
        free(block);
    }
}

/* Blanks make every move the long one. */
static void blanks_change_nothing_but_the_extent(void **state)
{
    static const char *const tight[] = { "{\"a\":1,\"model\":\"llama\",\"done\":true,\"o\":{\"x\":[1,{}],\"y\":null}}",
                                         "[1,\"b\",[],{\"c\":[2]}]",
                                         "{\"prompt_eval_duration\":342546000,\"eval_count\":282}", "{\"\":\"\"}" };
    static const char *const wide[] = {
        " { \"a\" : 1 , \"model\" : \"llama\" , \"done\" : true , \"o\" : { \"x\" : [ 1 , { } ] , \"y\" : null } } ",
        " [ 1 , \"b\" , [ ] , { \"c\" : [ 2 ] } ] ",
        " { \"prompt_eval_duration\" : 342546000 , \"eval_count\" : 282 } ", " { \"\" : \"\" } "
    };
    for (size_t i = 0; i < ARRAY_LEN(tight); i++) {
        struct json_walk a = scan_walk(str_of(tight[i])), b = scan_walk(str_of(wide[i]));
        bool more;
        do {
            more = scan_next(&a);
            assert_int_equal(more, scan_next(&b));
            assert_int_equal(a.at, b.at);
            assert_true(str_eq(a.key, b.key));
            assert_int_equal(a.value.kind, b.value.kind);
            assert_true(a.value.keys == b.value.keys);
        } while (more);
        assert_int_equal(a.at, JSON_AT_END);
        assert_int_equal(a.rest.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaps_see_each_byte),
        cmocka_unit_test(strings_end_where_a_closer_look_ends_them),
        cmocka_unit_test(numbers_end_where_a_closer_look_ends_them),
        cmocka_unit_test(blanks_change_nothing_but_the_extent),
    };
    return cmocka_run_group_tests_name("base/scan", tests, NULL, NULL);
}
