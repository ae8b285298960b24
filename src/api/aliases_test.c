/* api/aliases_test.c - who stands for whom. */
#include "api/aliases.h"
#include "base/slab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

/* name, model, name, model, ..., NULL */
static unsigned read_words(const char *const *words, struct alias *v)
{
    unsigned n = 0;
    for (; words[2 * n]; n++)
        v[n] = (struct alias){ str_of(words[2 * n]), str_of(words[2 * n + 1]) };
    return n;
}

static struct aliases *table(const char *const *words)
{
    struct alias v[16];
    struct text why = { 0 };
    unsigned n = read_words(words, v);
    for (unsigned i = 0; i < n; i++)
        if (!aliases_may_add(v, i, &v[i], &why))
            fail_msg("%.*s", STR_ARG(text_str(&why)));
    struct aliases *t = aliases_new(&arena, v, n);
    assert_non_null(t);
    return t;
}
#define TABLE(...) table((const char *const[]){ __VA_ARGS__, NULL })

static void stands_for(const struct aliases *t, const char *name, const char *model)
{
    struct str is = aliases_resolve(t, str_of(name));
    if (!str_eq(is, str_of(model)))
        fail_msg("%s stands for \"%.*s\" instead of \"%s\"", name, STR_ARG(is), model);
}

/* The last of them is refused, in these words. */
static void refuses(const char *const *words, const char *says)
{
    struct alias v[16];
    struct text why = { 0 };
    unsigned n = read_words(words, v);
    for (unsigned i = 0; i + 1 < n; i++)
        assert_true(aliases_may_add(v, i, &v[i], &why));
    assert_false(aliases_may_add(v, n - 1, &v[n - 1], &why));
    if (!str_eq(text_str(&why), str_of(says)))
        fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(text_str(&why)), says);
    text_free(&why);
}
#define REFUSES(says, ...) refuses((const char *const[]){ __VA_ARGS__, NULL }, says)

static void a_name_is_known_in_all_its_spellings(void **state)
{
    struct aliases *t = TABLE("gpt-4o", "qwen3:8b", "big:1b", "llama3.2", "odd@name", "m1", "cloudy:cloud", "m2");
    stands_for(t, "gpt-4o", "qwen3:8b");
    stands_for(t, "GPT-4o:latest", "qwen3:8b");
    stands_for(t, " library/gpt-4o ", "qwen3:8b");
    stands_for(t, "gpt-4o:8b", "");
    stands_for(t, "big:1B", "llama3.2");
    stands_for(t, "big", "");
    stands_for(t, "Odd@Name", "m1");
    stands_for(t, "cloudy:cloud", "m2");
    stands_for(t, "cloudy", "");
    stands_for(t, "qwen3:8b", "");
    stands_for(t, "", "");
    stands_for(NULL, "gpt-4o", "");
}

static void of_patterns_the_longest_beginning_wins(void **state)
{
    struct aliases *t = TABLE("*", "any", "claude-*", "qwen3:32b", "claude-3-*", "qwen3:8b", "*-mini", "small",
                              "claude-*-haiku", "tiny", "claude-3-opus", "huge", "qwen3:*", "q");
    stands_for(t, "claude-2", "qwen3:32b");
    stands_for(t, "Claude-3-Sonnet:latest", "qwen3:8b");
    stands_for(t, "claude-3-haiku", "qwen3:8b");
    stands_for(t, "claude-x-haiku", "tiny");
    stands_for(t, "claude-3-opus", "huge");
    stands_for(t, "gpt-4o-mini", "small");
    stands_for(t, "gpt-4o", "any");
    stands_for(t, "qwen3", "q");
    stands_for(t, "claude-haiku@1", "qwen3:32b");
}

static void beginning_and_end_do_not_overlap(void **state)
{
    struct aliases *t = TABLE("ab*ba", "m");
    stands_for(t, "aba", "");
    stands_for(t, "abba", "m");
    stands_for(t, "abxba", "m");
}

static void chains_are_followed_by_name_only(void **state)
{
    struct aliases *t = TABLE("a", "b", "b", "C", "c", "llama3.2:1b", "x-*", "a", "*", "other");
    stands_for(t, "a", "llama3.2:1b");
    stands_for(t, "b", "llama3.2:1b");
    stands_for(t, "x-1", "llama3.2:1b");
    stands_for(t, "y", "other");
}

static void who_stands_for_himself_is_left_alone(void **state)
{
    struct aliases *t = TABLE("*", "qwen3:8b", "llama3.2", "llama3.2:latest", "a", "llama3.2");
    stands_for(t, "llama3.2", "");
    stands_for(t, "a", "llama3.2");
    stands_for(t, "mistral", "qwen3:8b");
}

static void loops_are_refused_when_they_close(void **state)
{
    REFUSES("\"c\" leads back to itself", "a", "b", "b", "c", "c", "A");
    REFUSES("\"b:latest\" leads back to itself", "a", "b", "b:latest", "a:latest");
    REFUSES("\"b\" leads back to itself", "a", "b", "c", "c", "b", "a");
}

static void bad_ones_are_refused(void **state)
{
    REFUSES("\"a*b*\" has more than one *", "a*b*", "m");
    REFUSES("\" \" is no name", " ", "m");
    REFUSES("stands for \"b c\", which is no model name", "a", "b c");
    REFUSES("stands for \"\", which is no model name", "a", "");
    REFUSES("stands for \"b*\", which is no model name", "a", "b*");
    REFUSES("\"A:latest\" has an alias already", "a", "m", "A:latest", "n");
    REFUSES("\"A*\" has an alias already", "a*", "m", "A*", "n");
}

static void a_long_name_is_no_alias(void **state)
{
    char name[NAME_MAX_BYTES + 2];
    struct aliases *t = TABLE("a*", "m");
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    stands_for(t, name, "");
    struct alias one = { str_of(name), STR("m") };
    struct text why = { 0 };
    assert_false(aliases_may_add(NULL, 0, &one, &why));
    text_free(&why);
}

static void there_may_be_many(void **state)
{
    static struct alias v[ALIASES_MAX];
    static char name[ALIASES_MAX][8];
    struct text why = { 0 };
    for (unsigned i = 0; i < ALIASES_MAX; i++) {
        snprintf(name[i], sizeof name[i], "n%u", i);
        v[i] = (struct alias){ str_of(name[i]), i ? str_of(name[i - 1]) : STR("root") };
    }
    struct aliases *t = aliases_new(&arena, v, ALIASES_MAX);
    stands_for(t, "n999", "root");
    stands_for(t, "n0", "root");
    struct alias more = { STR("more"), STR("m") };
    assert_false(aliases_may_add(v, ALIASES_MAX, &more, &why));
    text_free(&why);
}

static void memory_may_be_out(void **state)
{
    struct alias v[2] = {
        {STR("a"),   STR("b")},
        { STR("c*"), STR("a")}
    };
    bool whole = false;
    for (unsigned nth = 1; !whole; nth++) {
        struct arena own = { 0 };
        memory_fail_at(nth);
        struct aliases *t = aliases_new(&own, v, 2);
        whole = memory_takes() < nth;
        memory_fail_at(0);
        assert_true(whole == (t != NULL));
        arena_done(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_known_in_all_its_spellings),
        cmocka_unit_test(of_patterns_the_longest_beginning_wins),
        cmocka_unit_test(beginning_and_end_do_not_overlap),
        cmocka_unit_test(chains_are_followed_by_name_only),
        cmocka_unit_test(who_stands_for_himself_is_left_alone),
        cmocka_unit_test(loops_are_refused_when_they_close),
        cmocka_unit_test(bad_ones_are_refused),
        cmocka_unit_test(a_long_name_is_no_alias),
        cmocka_unit_test(there_may_be_many),
        cmocka_unit_test(memory_may_be_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
