#include "base/str.h"

#include "base/arena.h"
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define assert_str(s, literal) assert_true(str_eq((s), STR(literal)))

static void comparing(void **state)
{
    assert_true(str_eq(STR_NONE, STR("")));
    assert_false(str_eq(STR("a"), STR("b")));
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("[x"), STR("{x"))); /* differ in bit 5, but are no letters */
    assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
    assert_true(str_starts(STR("hello"), STR("he")));
    assert_true(str_starts(STR("hello"), STR_NONE));
    assert_false(str_starts(STR("he"), STR("hello")));
    assert_true(str_starts_nocase(STR("HELLO"), STR("he")));
    assert_true(str_ends(STR("hello"), STR("llo")));
    assert_false(str_ends(STR("lo"), STR("llo")));
}

static void cutting(void **state)
{
    assert_str(str_drop(STR("hello"), 2), "llo");
    assert_str(str_drop(STR("hello"), 9), "");
    assert_str(str_drop(STR_NONE, 1), "");
    assert_str(str_take(STR("hello"), 2), "he");
    assert_str(str_take(STR("hello"), 9), "hello");

    struct str rest = STR("a=b=c");
    assert_str(str_cut(&rest, '='), "a");
    assert_str(rest, "b=c");
    assert_str(str_cut(&rest, ';'), "b=c");
    assert_str(rest, "");
    assert_str(str_cut(&rest, ';'), "");
}

static void finding(void **state)
{
    assert_int_equal(str_chr(STR("a.b.c"), '.'), 1);
    assert_int_equal(str_rchr(STR("a.b.c"), '.'), 3);
    assert_int_equal(str_chr(STR("abc"), '.'), -1);
    assert_int_equal(str_chr(STR_NONE, '.'), -1);
    assert_int_equal(str_rchr(STR_NONE, '.'), -1);
    assert_int_equal(str_find(STR("needle in hay"), STR("in")), 7);
    assert_int_equal(str_find(STR("abc"), STR("abcd")), -1);
    assert_int_equal(str_find(STR_NONE, STR("a")), -1);
    assert_int_equal(str_find(STR("abc"), STR_NONE), 0);
}

static void trimming(void **state)
{
    assert_str(str_trim_blank(STR(" \t a b\t ")), "a b");
    assert_str(str_trim_blank(STR("\na\r")), "\na\r");
    assert_str(str_trim(STR(" \r\n\v\f\ta\n")), "a");
    assert_str(str_trim(STR("   ")), "");
    assert_str(str_trim(STR_NONE), "");
}

static void lists(void **state)
{
    assert_true(str_list_has(STR("close"), STR("close")));
    assert_true(str_list_has(STR("keep-alive, Upgrade"), STR("upgrade")));
    assert_true(str_list_has(STR("gzip;q=0.5 ,\tZSTD ; q=1"), STR("zstd")));
    assert_true(str_list_has(STR(",, ,a"), STR("a")));
    assert_false(str_list_has(STR("closed, x-close"), STR("close")));
    assert_false(str_list_has(STR("a;b=\"x, close, y\", c"), STR("close")));
    assert_true(str_list_has(STR("a;b=\"x\\\", close\", c"), STR("c")));
    assert_false(str_list_has(STR("a;b=\"x\\\", close\", c"), STR("close")));
    assert_false(str_list_has(STR(",,"), STR("")));
    assert_false(str_list_has(STR_NONE, STR("a")));
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } rows[] = {
        {"0",                     true,  0         },
        { "007",                  true,  7         },
        { "18446744073709551615", true,  UINT64_MAX},
        { "18446744073709551616", false, 0         },
        { "99999999999999999999", false, 0         },
        { "",                     false, 0         },
        { "+5",                   false, 0         },
        { "-5",                   false, 0         },
        { " 5",                   false, 0         },
        { "5 ",                   false, 0         },
        { "5x",                   false, 0         },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 0;
        assert_int_equal(str_u64(str_of(rows[i].text), &v), rows[i].good);
        if (rows[i].good)
            assert_int_equal(v, rows[i].value);
    }
}

static void copies(void **state)
{
    struct arena a;
    char text[] = "model";
    arena_init(&a);
    struct str dup = str_dup(&a, str_of(text));
    char *z = str_z(&a, (struct str){ text, 3 });
    text[0] = 'X';
    assert_str(dup, "model");
    assert_string_equal(z, "mod");
    assert_string_equal(str_z(&a, STR_NONE), "");
    assert_non_null(str_dup(&a, STR_NONE).p);
    arena_done(&a);
}

static void copies_without_memory(void **state)
{
    struct arena a;
    arena_init(&a);
    memory_fail_at(1);
    assert_null(str_dup(&a, STR("model")).p);
    memory_fail_at(1);
    assert_null(str_z(&a, STR("model")));
    memory_fail_at(0);
    assert_true(a.failed);
    arena_done(&a);
}

static void hashing(void **state)
{
    char upper[700], lower[700];
    memset(upper, 'Q', sizeof upper);
    memset(lower, 'q', sizeof lower);
    assert_int_equal(str_hash(STR("llama3")), str_hash(STR("llama3")));
    assert_true(str_hash(STR("llama3")) != str_hash(STR("llama4")));
    assert_true(str_hash(STR("A")) != str_hash(STR("a")));
    assert_int_equal(str_hash_nocase(STR("LLaMa3")), str_hash_nocase(STR("llama3")));
    assert_int_equal(str_hash(STR_NONE), str_hash(STR("")));
    for (size_t n = 0; n < sizeof upper; n++) {
        uint64_t hash = str_hash_nocase((struct str){ upper, n });
        assert_int_equal(hash, str_hash_nocase((struct str){ lower, n }));
        assert_true(hash != str_hash_nocase((struct str){ upper, n + 1 <= sizeof upper ? n + 1 : 0 }));
    }
}

static int begin(void **state)
{
    arena_pools_init();
    return 0;
}

static int end(void **state)
{
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing), cmocka_unit_test(cutting), cmocka_unit_test(finding),
        cmocka_unit_test(trimming),  cmocka_unit_test(lists),   cmocka_unit_test(numbers),
        cmocka_unit_test(copies),    cmocka_unit_test(hashing), cmocka_unit_test(copies_without_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
