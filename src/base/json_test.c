/* base/json_test.c - the scanner against written expectations, and against jansson on random documents. */
#include "base/json.h"
#include "base/slab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
/* Jansson's kinds have the names of ours. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE   JANSSON_TRUE
#define JSON_FALSE  JANSSON_FALSE
#define JSON_NULL   JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#define assert_str(actual, expected)                                                                                   \
    do {                                                                                                               \
        struct str is = (actual), want = (expected);                                                                   \
        if (!str_eq(is, want))                                                                                         \
            fail_msg("\"%.*s\" instead of \"%.*s\"", STR_ARG(is), STR_ARG(want));                                      \
    } while (0)

static struct arena arena;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static struct json parse(const char *text)
{
    return json_parse(str_of(text), NULL);
}
static struct str text_of(const char *string)
{
    return json_text(&arena, parse(string));
}

/* --- what is a value --- */

static const struct {
    const char *text;
    enum json_kind kind;
    const char *raw, *rest;
} good[] = {
    {"null",                                  JSON_NULL,   "null",                          ""         },
    { " \t\r\n true,",                        JSON_TRUE,   "true",                          ","        },
    { "false",                                JSON_FALSE,  "false",                         ""         },
    { "0",                                    JSON_NUMBER, "0",                             ""         },
    { "-0.5e+10 x",                           JSON_NUMBER, "-0.5e+10",                      " x"       },
    { "01",                                   JSON_NUMBER, "0",                             "1"        },
    { "12E3}",                                JSON_NUMBER, "12E3",                          "}"        },
    { "\"\"",                                 JSON_STRING, "\"\"",                          ""         },
    { "\"a\\\"b\\\\\"\"",                     JSON_STRING, "\"a\\\"b\\\\\"",                "\""       },
    { "\"\\\\\\\\\\\"\" ",                    JSON_STRING, "\"\\\\\\\\\\\"\"",              " "        },
    { "\"\\u00e4\\/\\b\\f\\n\\r\\t\"",        JSON_STRING, "\"\\u00e4\\/\\b\\f\\n\\r\\t\"", ""         },
    { "\"\xff\xc0\"",                         JSON_STRING, "\"\xff\xc0\"",                  ""         },
    { "\"\x7f\"",                             JSON_STRING, "\"\x7f\"",                      ""         },
    { "[]",                                   JSON_ARRAY,  "[]",                            ""         },
    { "[ ]{",                                 JSON_ARRAY,  "[ ]",                           "{"        },
    { "[1,[2,{\"a\":[]}],\"]\"]]",            JSON_ARRAY,  "[1,[2,{\"a\":[]}],\"]\"]",      "]"        },
    { "{}",                                   JSON_OBJECT, "{}",                            ""         },
    { "{ \"a\" : 1 , \"b\" : { } } trailing", JSON_OBJECT, "{ \"a\" : 1 , \"b\" : { } }",   " trailing"},
    { "{\"}\":\"{\"}",                        JSON_OBJECT, "{\"}\":\"{\"}",                 ""         },
};

static void accepts_each_kind(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct str rest;
        struct json v = json_parse(str_of(good[i].text), &rest);
        assert_int_equal(v.kind, good[i].kind);
        assert_str(v.raw, str_of(good[i].raw));
        assert_str(rest, str_of(good[i].rest));
        struct json skimmed = json_skim(str_of(good[i].text), NULL);
        assert_int_equal(skimmed.kind, good[i].kind);
        assert_str(skimmed.raw, v.raw);
    }
}

/* `fault`: where reading stopped; the text's length where more bytes could have helped. */
static const struct {
    const char *text;
    size_t fault;
} bad[] = {
    {"",                   0 },
    { "  ",                2 },
    { "nul",               3 },
    { "nulx",              3 },
    { "True",              0 },
    { "-",                 1 },
    { "+1",                0 },
    { ".5",                0 },
    { "1.",                2 },
    { "1.x",               2 },
    { "1e",                2 },
    { "1e+",               3 },
    { "NaN",               0 },
    { "'a'",               0 },
    { "\"abc",             4 },
    { "\"abc\\\"",         6 },
    { "[",                 1 },
    { "[1",                2 },
    { "[1,",               3 },
    { "[1,]",              3 },
    { "[,1]",              1 },
    { "[1 2]",             3 },
    { "[1}",               2 },
    { "{",                 1 },
    { "{\"a\"",            4 },
    { "{\"a\":",           5 },
    { "{\"a\" 1}",         5 },
    { "{\"a\":1",          6 },
    { "{\"a\":1,",         7 },
    { "{\"a\":1,}",        7 },
    { "{a:1}",             1 },
    { "{1:1}",             1 },
    { "{\"a\":1]",         6 },
    { "{,}",               1 },
    { "]",                 0 },
    { "{\"a\":1 \"b\":2}", 7 },
    { "\xef\xbb\xbf{}",    0 },
    { "[[[]]",             5 },
    { "{\"a\":{\"b\":[}}", 11},
    { "/**/1",             0 },
};

static void refuses_and_says_where(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct json v = parse(bad[i].text), skimmed = json_skim(str_of(bad[i].text), NULL);
        if (v.kind != JSON_BAD || skimmed.kind != JSON_BAD)
            fail_msg("accepted: %s", bad[i].text);
        const char *strict_end = v.raw.p + v.raw.n, *skim_end = skimmed.raw.p + skimmed.raw.n;
        if (strict_end != bad[i].text + bad[i].fault || skim_end != strict_end)
            fail_msg("%s: fault at %td and %td", bad[i].text, strict_end - bad[i].text, skim_end - bad[i].text);
    }
}

static void only_skimming_lets_bad_string_contents_pass(void **state)
{
    static const char *const texts[] = { "\"\\q\"",  "\"\\u12g4\"", "\"\\u12\"",   "\"a\nb\"",
                                         "\"\x1f\"", "\"\t\"",      "[\"\\x41\"]", "{\"\\'\":1}" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(parse(texts[i]).kind, JSON_BAD);
        struct json v = json_skim(str_of(texts[i]), NULL);
        assert_int_not_equal(v.kind, JSON_BAD);
        assert_int_equal(v.raw.n, strlen(texts[i]));
    }
    struct str with_nul = { "\"a\0b\"", 5 };
    assert_int_equal(json_parse(with_nul, NULL).kind, JSON_BAD);
    assert_int_equal(json_skim(with_nul, NULL).kind, JSON_STRING);
}

static struct json nested(char open, char close, int depth)
{
    char text[4096];
    memset(text, open, (size_t)depth);
    memset(text + depth, close, (size_t)depth);
    return json_parse((struct str){ text, (size_t)depth * 2 }, NULL);
}

static void nests_up_to_512(void **state)
{
    assert_int_equal(nested('[', ']', 512).kind, JSON_ARRAY);
    assert_int_equal(nested('[', ']', 513).kind, JSON_BAD);
    struct text t = { 0 };
    for (int i = 0; i < 512; i++)
        text_put(&t, i % 2 ? STR("[{},") : STR("{\"k\":"));
    text_put(&t, STR("1"));
    for (int i = 511; i >= 0; i--)
        text_putc(&t, i % 2 ? ']' : '}');
    assert_int_equal(json_parse(text_str(&t), NULL).kind, JSON_BAD);
    assert_int_equal(json_parse(str_drop(text_str(&t), 5), NULL).kind, JSON_ARRAY);
    text_free(&t);
}

/* --- members --- */

static void walks_members_in_order(void **state)
{
    struct json_walk w = json_walk(parse(" { \"a\" : 1 , \"b\\n\":[2, 3],\"\":{}} "));
    static const char *const keys[] = { "\"a\"", "\"b\\n\"", "\"\"" }, *const values[] = { "1", "[2, 3]", "{}" };
    for (int i = 0; i < 3; i++) {
        assert_true(json_next(&w));
        assert_str(w.key, str_of(keys[i]));
        assert_str(w.value.raw, str_of(values[i]));
    }
    assert_false(json_next(&w));
    assert_int_equal(w.at, JSON_AT_END);
    assert_false(json_next(&w));
}

static void walks_elements_and_nothing(void **state)
{
    struct json_walk w = json_walk(parse("[true, \"x\"]"));
    assert_true(json_next(&w));
    assert_int_equal(w.value.kind, JSON_TRUE);
    assert_null(w.key.p);
    assert_true(json_next(&w));
    assert_int_equal(w.value.kind, JSON_STRING);
    assert_false(json_next(&w));
    static const char *const childless[] = { "{}", "[]", "[ ]", "1", "\"a\"", "null", "x" };
    for (size_t i = 0; i < ARRAY_LEN(childless); i++) {
        w = json_walk(parse(childless[i]));
        assert_false(json_next(&w));
        assert_int_equal(w.at, JSON_AT_END);
    }
}

static void walks_unread_text_and_says_why_it_ended(void **state)
{
    struct json_walk w = json_walk_text(STR(" {\"a\":1} tail"));
    assert_true(json_next(&w));
    assert_false(json_next(&w));
    assert_int_equal(w.at, JSON_AT_END);
    assert_str(w.rest, STR(" tail"));

    w = json_walk_text(STR("{\"a\":[1,}"));
    assert_false(json_next(&w));
    assert_int_equal(w.at, JSON_AT_FAULT);
    assert_str(w.rest, STR("}"));

    w = json_walk_text(STR(" 12"));
    assert_false(json_next(&w));
    assert_int_equal(w.at, JSON_AT_FAULT);
    assert_str(w.rest, STR("12"));

    w = json_walk_text(STR_NONE);
    assert_false(json_next(&w));
    assert_int_equal(w.rest.n, 0);

    w = json_walk_text(STR("{\"a\":1"));
    assert_true(json_next(&w));
    assert_false(json_next(&w));
    assert_int_equal(w.at, JSON_AT_FAULT);
    assert_int_equal(w.rest.n, 0);
}

static void keys_match_as_in_go(void **state)
{
    static const char *const model[] = {
        "\"model\"", "\"MODEL\"", "\"Model\"", "\"\\u006dodel\"", "\"mod\\u0065\\u006C\"", "\"\\u004dodel\""
    };
    for (size_t i = 0; i < ARRAY_LEN(model); i++)
        assert_true(json_key_is(str_of(model[i]), STR("model")));
    static const char *const other[] = { "\"mode\"",        "\"models\"",          "\"\"",        "\"m\\u006fdels\"",
                                         "\"mod\\u00e9l\"", "\"\\n\\n\\n\\n\\n\"", "\"mode\\\\\"" };
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_false(json_key_is(str_of(other[i]), STR("model")));
    assert_true(json_key_is(STR("\"\xc5\xbftream\""), STR("stream")));
    assert_true(json_key_is(STR("\"\\u017FTREAM\""), STR("stream")));
    assert_true(json_key_is(STR("\"\xe2\x84\xaa"
                                "eep_alive\""),
                            STR("keep_alive")));
    assert_true(json_key_is(STR("\"\\u212aEEP_ALIVE\""), STR("KEEP_alive")));
    assert_false(json_key_is(STR("\"\xc5\xbetream\""), STR("stream")));
    assert_false(json_key_is(STR("\"tream\xc5\xbf\""), STR("stream")));
    assert_false(json_key_is(STR("\"\\u006dode\""), STR("model")));
}

static void keys_match_to_the_letter(void **state)
{
    assert_true(json_key_is_exactly(STR("\"seed\""), STR("seed")));
    assert_true(json_key_is_exactly(STR("\"se\\u0065d\""), STR("seed")));
    assert_false(json_key_is_exactly(STR("\"Seed\""), STR("seed")));
    assert_false(json_key_is_exactly(STR("\"\\u0053eed\""), STR("seed")));
    assert_false(json_key_is_exactly(STR("\"\xc5\xbf"
                                         "eed\""),
                                     STR("seed")));
    assert_true(json_key_is_exactly(STR("\"caf\\u00e9\""), STR("caf\xc3\xa9")));
    assert_true(json_key_is_exactly(STR("\"\\ud83d\\ude00\""), STR("\xf0\x9f\x98\x80")));
}

static void last_duplicate_wins(void **state)
{
    struct json v = parse("{\"model\":1,\"x\":{\"model\":9},\"MODEL\":2,\"\\u006dodel\":3,\"other\":4}");
    assert_str(json_get(v, STR("model")).raw, STR("3"));
    assert_str(json_get(v, STR("X")).raw, STR("{\"model\":9}"));
    assert_int_equal(json_get(v, STR("absent")).kind, JSON_BAD);
    assert_int_equal(json_get(parse("[\"model\"]"), STR("model")).kind, JSON_BAD);
    assert_int_equal(json_get(parse("}"), STR("model")).kind, JSON_BAD);
}

static void tells_which_keys_may_be_inside(void **state)
{
    struct json v =
        parse("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"Image_URL\":{\"url\":\"images\"}}]}]");
    assert_true(json_may_hold(v, STR("image_url")));
    assert_true(json_may_hold(v, STR("url")));
    assert_false(json_may_hold(v, STR("images")));
    assert_false(json_may_hold(parse("\"images\""), STR("images")));
    struct json_walk w = json_walk_text(STR("{\"messages\":[{\"images\":[]}],\"prompt\":1}"));
    assert_true(json_next(&w) && json_may_hold(w.value, STR("images")));
    assert_true(json_next(&w) && !json_may_hold(w.value, STR("images")));
}

/* --- text and numbers --- */

static void text_without_escapes_stays_in_place(void **state)
{
    struct json v = parse("\"plain \xc3\xa4 \xff\"");
    struct str s = json_text(&arena, v);
    assert_ptr_equal(s.p, v.raw.p + 1);
    assert_str(s, STR("plain \xc3\xa4 \xff"));
    assert_non_null(text_of("\"\"").p);
    assert_int_equal(text_of("\"\"").n, 0);
}

static void text_decodes_escapes(void **state)
{
    assert_str(text_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR("\"\\/\b\f\n\r\t"));
    assert_str(text_of("\"a\\u0041\\u00e9\\u20AC\\ud83d\\uDE00z\""), STR("aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"));
    assert_str(text_of("\"\\u0000\""), ((struct str){ "\0", 1 }));
    assert_str(text_of("\"\\ud83d\""), STR("\xef\xbf\xbd"));
    assert_str(text_of("\"\\ude00x\""), STR("\xef\xbf\xbdx"));
    assert_str(text_of("\"\\ud83d\\u0041\""), STR("\xef\xbf\xbd"
                                                  "A"));
    assert_str(text_of("\"\\ud83d\\ud83d\\ude00\""), STR("\xef\xbf\xbd\xf0\x9f\x98\x80"));
    assert_str(text_of("\"\\ud83dn\\n\""), STR("\xef\xbf\xbdn\n"));
}

static void wrong_escapes_are_harmless(void **state)
{
    assert_str(json_text(&arena, json_skim(STR("\"\\q\\u12\\ud83d\\u12\\\x80\""), NULL)), STR("qu12\xef\xbf\xbdu12?"));
}

static void text_says_when_memory_is_out(void **state)
{
    struct arena a;
    arena_init(&a);
    memory_fail_at(1);
    assert_null(json_text(&a, parse("\"\\n\"")).p);
    memory_fail_at(0);
    arena_done(&a);
}

static const struct {
    const char *text;
    bool whole;
    int64_t value;
} integers[] = {
    {"0",                               true,  0        },
    { "-0",                             true,  0        },
    { "42",                             true,  42       },
    { "-17",                            true,  -17      },
    { "3e2",                            true,  300      },
    { "4.0",                            true,  4        },
    { "1.50e1",                         true,  15       },
    { "1200e-2",                        true,  12       },
    { "0.00",                           true,  0        },
    { "0e99999999999",                  true,  0        },
    { "9223372036854775807",            true,  INT64_MAX},
    { "-9223372036854775808",           true,  INT64_MIN},
    { "9223372036854775808",            false, 0        },
    { "-9223372036854775809",           false, 0        },
    { "1.5",                            false, 0        },
    { "1e-1",                           false, 0        },
    { "1e19",                           false, 0        },
    { "1e99999999999999999999",         false, 0        },
    { "18446744073709551616",           false, 0        },
    { "0.1e1",                          true,  1        },
    { "100000000000000000000000e-20",   true,  1000     },
    { "10.000000000000000000000000000", true,  10       },
};

static void reads_whole_numbers(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        int64_t value = -1;
        if (json_i64(parse(integers[i].text), &value) != integers[i].whole)
            fail_msg("%s", integers[i].text);
        if (integers[i].whole)
            assert_int_equal(value, integers[i].value);
    }
    int64_t value;
    assert_false(json_i64(parse("\"1\""), &value));
    assert_false(json_i64(parse("x"), &value));
}

static void reads_doubles(void **state)
{
    double d = 0;
    assert_true(json_f64(parse("0.7"), &d) && d == 0.7);
    assert_true(json_f64(parse("-1.25e-3"), &d) && d == -1.25e-3);
    assert_true(json_f64(json_parse(STR("12"), NULL), &d) && d == 12);
    assert_true(json_f64(parse("1e-999"), &d) && d == 0);
    assert_false(json_f64(parse("1e999"), &d));
    assert_false(json_f64(parse("\"0.7\""), &d));
    assert_false(json_f64(parse("null"), &d));
    char digits[402];
    memset(digits, '1', sizeof digits);
    assert_false(json_f64(json_parse((struct str){ digits, 401 }, NULL), &d));
    assert_false(json_f64(json_parse((struct str){ digits, 400 }, NULL), &d));
    memcpy(digits + 1, ".", 1);
    assert_true(json_f64(json_parse((struct str){ digits, 400 }, NULL), &d) && d > 1.1 && d < 1.2);
}

/* --- linear time --- */

static double seconds_to_skim(struct str unit, size_t times)
{
    struct text t = { 0 };
    text_putc(&t, '"');
    for (size_t i = 0; i < times; i++)
        text_put(&t, unit);
    text_putc(&t, '"');
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_int_equal(json_skim(text_str(&t), NULL).raw.n, unit.n * times + 2);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    text_free(&t);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Quadratic reading of 4 MB would take hours. */
static void strings_full_of_escapes_stay_linear(void **state)
{
    assert_true(seconds_to_skim(STR("\\\""), 2000000) < 2);
    assert_true(seconds_to_skim(STR("\\\\"), 2000000) < 2);
    assert_true(seconds_to_skim(STR("\\\\\\\""), 1000000) < 2);
}

/* --- random documents against jansson --- */

static uint64_t dice_state;
static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice_state >> 33) % sides;
}

static void put_blank(struct text *t)
{
    static const char blanks[] = " \n\t\r";
    while (dice(4) == 0)
        text_putc(t, blanks[dice(4)]);
}

static void put_random_string(struct text *t, struct str letters)
{
    static const char *const pieces[] = {
        "\\\"", "\\\\", "\\n", "\\/", "\\u0041", "\\u20ac", "\\ud83d\\ude00", "\xc3\xa4", "\xf0\x9f\x98\x80",
        "{",    "]",    ":"
    };
    text_putc(t, '"');
    for (uint32_t n = dice(12); n > 0; n--)
        if (dice(4) == 0 && letters.n > 4)
            text_put(t, str_of(pieces[dice(ARRAY_LEN(pieces))]));
        else
            text_putc(t, letters.p[dice((uint32_t)letters.n)]);
    text_putc(t, '"');
}

/* Few names, so that duplicates are common; distinct also when case is ignored, as jansson does not ignore it. */
static void put_random_key(struct text *t)
{
    static const char *const keys[] = { "model", "mod\\u0065l", "stream",  "k",       "\\u006b",
                                        "",      "a\\\"b",      "options", "\xc3\xa4" };
    text_printf(t, "\"%s\"", keys[dice(ARRAY_LEN(keys))]);
}

static void put_random_value(struct text *t, int depth);

static void put_random_container(struct text *t, bool object, int depth)
{
    text_putc(t, object ? '{' : '[');
    put_blank(t);
    for (uint32_t n = dice(6), i = 0; i < n; i++) {
        if (i > 0)
            text_putc(t, ',');
        put_blank(t);
        if (object) {
            put_random_key(t);
            put_blank(t);
            text_putc(t, ':');
            put_blank(t);
        }
        put_random_value(t, depth - 1);
        put_blank(t);
    }
    text_putc(t, object ? '}' : ']');
}

static void put_random_value(struct text *t, int depth)
{
    static const char *const scalars[] = { "null",        "true", "false",   "0",    "-1",
                                           "12345678901", "0.25", "-3.5e-2", "1E+3", "7e0" };
    if (depth > 0 && dice(2))
        put_random_container(t, dice(2), depth);
    else if (dice(2))
        put_random_string(t, STR("abcdef xyz,"));
    else
        text_put(t, str_of(scalars[dice(ARRAY_LEN(scalars))]));
}

static void assert_same(struct json v, json_t *j);

static void assert_same_members(struct json v, json_t *j)
{
    const char *key;
    json_t *member;
    json_object_foreach(j, key, member) assert_same(json_get(v, str_of(key)), member);
    struct json_walk w = json_walk(v);
    while (json_next(&w)) {
        struct str name = json_text(&arena, json_parse(w.key, NULL));
        assert_non_null(json_object_getn(j, name.p, name.n));
    }
    assert_int_equal(w.at, JSON_AT_END);
}

static void assert_same_elements(struct json v, json_t *j)
{
    size_t n = 0;
    struct json_walk w = json_walk(v);
    while (json_next(&w))
        assert_same(w.value, json_array_get(j, n++));
    assert_int_equal(w.at, JSON_AT_END);
    assert_int_equal(n, json_array_size(j));
}

static void assert_same_number(struct json v, json_t *j)
{
    double d;
    int64_t i;
    assert_true(json_f64(v, &d));
    assert_true(d == (json_typeof(j) == JSON_INTEGER ? (double)json_integer_value(j) : json_real_value(j)));
    if (json_typeof(j) == JSON_INTEGER) {
        assert_true(json_i64(v, &i));
        assert_int_equal(i, json_integer_value(j));
    }
}

static enum json_kind kind_in_jansson(json_t *j)
{
    switch (json_typeof(j)) {
    case JANSSON_OBJECT: return JSON_OBJECT;
    case JANSSON_ARRAY: return JSON_ARRAY;
    case JANSSON_STRING: return JSON_STRING;
    case JSON_INTEGER:
    case JSON_REAL: return JSON_NUMBER;
    case JANSSON_TRUE: return JSON_TRUE;
    case JANSSON_FALSE: return JSON_FALSE;
    default: return JSON_NULL;
    }
}

static void assert_same(struct json v, json_t *j)
{
    assert_int_equal(v.kind, kind_in_jansson(j));
    if (v.kind == JSON_OBJECT)
        assert_same_members(v, j);
    if (v.kind == JSON_ARRAY)
        assert_same_elements(v, j);
    if (v.kind == JSON_NUMBER)
        assert_same_number(v, j);
    if (v.kind == JSON_STRING)
        assert_str(json_text(&arena, v), ((struct str){ json_string_value(j), json_string_length(j) }));
}

#define JANSSON_FLAGS (JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL)

static void agrees_with_jansson_on_random_documents(void **state)
{
    for (int round = 0; round < 3000; round++) {
        dice_state = (uint64_t)round * 7919 + 1;
        struct text t = { 0 };
        put_random_container(&t, true, 5);
        struct str doc = text_str(&t);
        json_t *j = json_loadb(doc.p, doc.n, JANSSON_FLAGS, NULL);
        assert_non_null(j);
        struct json v = json_parse(doc, NULL);
        assert_int_equal(v.raw.n, doc.n);
        assert_same(v, j);
        json_decref(j);
        text_free(&t);
    }
}

static void no_prefix_of_a_document_is_one(void **state)
{
    for (int round = 0; round < 100; round++) {
        dice_state = (uint64_t)round * 104729 + 5;
        struct text t = { 0 };
        put_random_container(&t, true, 4);
        struct str doc = text_str(&t);
        for (size_t n = 0; n < doc.n; n++) {
            struct json v = json_skim(str_take(doc, n), NULL);
            assert_int_equal(v.kind, JSON_BAD);
            assert_ptr_equal(v.raw.p + v.raw.n, doc.p + n);
        }
        text_free(&t);
    }
}

/* Jansson refuses lone surrogates, which Go and so we let pass, and numbers too large, which are for json_f64 to
 * refuse. */
static bool may_hold_surrogate(struct str s)
{
    return str_find(s, STR("\\ud")) >= 0 || str_find(s, STR("\\uD")) >= 0;
}

static void agrees_with_jansson_on_damaged_documents(void **state)
{
    static const char damage[] = "\"\\{}[]:,0123456789eE+-.ntfu x\n\001";
    int refused = 0, accepted = 0;
    for (int round = 0; round < 20000; round++) {
        dice_state = (uint64_t)round * 15485863 + 11;
        struct text t = { 0 };
        put_random_container(&t, true, 3);
        struct str doc = text_str(&t);
        char *byte = t.buf.block + t.buf.start + dice((uint32_t)doc.n);
        if ((unsigned char)*byte < 0x80)
            *byte = damage[dice(sizeof damage - 1)];
        if (!may_hold_surrogate(doc)) {
            json_error_t why;
            json_t *j = json_loadb(doc.p, doc.n, JANSSON_FLAGS, &why);
            bool too_large = !j && json_error_code(&why) == json_error_numeric_overflow;
            struct json v = json_parse(doc, NULL);
            if (!too_large && (j != NULL) != (v.kind != JSON_BAD))
                fail_msg("jansson %s: %.*s", j ? "accepts" : "refuses", STR_ARG(doc));
            *(j ? &accepted : &refused) += 1;
            json_decref(j);
        }
        text_free(&t);
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_each_kind),
        cmocka_unit_test(refuses_and_says_where),
        cmocka_unit_test(only_skimming_lets_bad_string_contents_pass),
        cmocka_unit_test(nests_up_to_512),
        cmocka_unit_test(walks_members_in_order),
        cmocka_unit_test(walks_elements_and_nothing),
        cmocka_unit_test(walks_unread_text_and_says_why_it_ended),
        cmocka_unit_test(keys_match_as_in_go),
        cmocka_unit_test(keys_match_to_the_letter),
        cmocka_unit_test(last_duplicate_wins),
        cmocka_unit_test(tells_which_keys_may_be_inside),
        cmocka_unit_test(text_without_escapes_stays_in_place),
        cmocka_unit_test(text_decodes_escapes),
        cmocka_unit_test(wrong_escapes_are_harmless),
        cmocka_unit_test(text_says_when_memory_is_out),
        cmocka_unit_test(reads_whole_numbers),
        cmocka_unit_test(reads_doubles),
        cmocka_unit_test(strings_full_of_escapes_stay_linear),
        cmocka_unit_test(agrees_with_jansson_on_random_documents),
        cmocka_unit_test(no_prefix_of_a_document_is_one),
        cmocka_unit_test(agrees_with_jansson_on_damaged_documents),
    };
    return cmocka_run_group_tests_name("base/json", tests, set_up, tear_down);
}
