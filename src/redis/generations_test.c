#include "base/arena.h"
#include "base/buf.h"
#include "redis/generations.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct generations *g;
static struct resp_reader *in;
static char forgot[512];

static void forgotten(void *arg, struct str tag)
{
    size_t n = strlen(forgot);

    snprintf(forgot + n, sizeof forgot - n, "%.*s ", STR_ARG(tag));
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    in = resp_reader_new();
    g = generations_new();
    return in && g ? 0 : -1;
}

static int end(void **state)
{
    generations_free(&g);
    resp_reader_free(&in);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

/* "id 1f model:a 3": what the hash holds. */
static enum generations_read reads(const char *words, nsec now)
{
    struct str rest = str_of(words), word;
    struct text t = { 0 }, all = { 0 };
    const struct resp *reply = NULL;
    enum generations_read read;
    unsigned n = 0;

    for (; (word = str_cut(&rest, ' ')).n; n++)
        text_printf(&t, "$%zu\r\n%.*s\r\n", word.n, STR_ARG(word));
    text_printf(&all, "*%u\r\n%.*s", n, STR_ARG(text_str(&t)));
    forgot[0] = 0;
    assert_int_equal(resp_feed(in, text_str(&all)), OK);
    assert_int_equal(resp_next(in, &reply), OK);
    assert_non_null(reply);
    read = generations_take(g, reply, now, forgotten, NULL);
    text_free(&t);
    text_free(&all);
    return read;
}

static struct generations_stamp stamp(const char *model, const char *node)
{
    struct generations_stamp s;

    assert_true(generations_of(g, str_of(model), str_of(node), SECOND(1), &s));
    return s;
}

static bool knows(nsec now)
{
    struct generations_stamp s;

    bool of_these = generations_of(g, STR("a"), STR("n1"), now, &s);
    assert_true(!of_these || generations_known(g, now));
    return of_these;
}

static void nothing_is_known_before_it_was_read_and_when_that_is_long_ago(void **state)
{
    assert_false(knows(SECOND(1)));
    assert_int_equal(reads("model:a 1", SECOND(1)), GENERATIONS_NAMELESS);
    assert_false(knows(SECOND(1)));
    assert_int_equal(reads("id 1f", SECOND(1)), GENERATIONS_READ);
    assert_true(knows(SECOND(1)));
    assert_false(knows(SECOND(1) + GENERATIONS_FRESH));
    assert_true(generations_known(g, SECOND(1)));
    assert_false(generations_known(g, SECOND(1) + GENERATIONS_FRESH));
}

static void what_others_forget_changes_the_stamp_of_that_alone(void **state)
{
    reads("id 1f model:a 3", SECOND(1));
    struct generations_stamp a = stamp("a", "n1"), b = stamp("b", "n1"), later;

    reads("id 1f model:a 4", SECOND(1));
    assert_string_equal(forgot, "model:a ");
    later = stamp("a", "n1");
    assert_false(generations_same(&a, &later));
    later = stamp("b", "n1");
    assert_true(generations_same(&b, &later));
    reads("id 1f model:a 4", SECOND(1));
    assert_string_equal(forgot, "");
    reads("id 1f model:a 4 all 1", SECOND(1));
    assert_string_equal(forgot, "all ");
    later = stamp("b", "n1");
    assert_false(generations_same(&b, &later));
}

/* However much was missed. */
static void ten_times_missed_are_one_difference(void **state)
{
    reads("id 1f node:n1 1", SECOND(1));
    reads("id 1f node:n1 11 model:x 5", SECOND(1));
    assert_non_null(strstr(forgot, "node:n1 "));
    assert_non_null(strstr(forgot, "model:x "));
}

static void another_hash_is_another_world(void **state)
{
    struct generations_stamp before, after;

    reads("id 1f model:a 1", SECOND(1));
    before = stamp("a", "n1");
    reads("id 2e model:a 1", SECOND(1));
    assert_string_equal(forgot, "all ");
    after = stamp("a", "n1");
    assert_false(generations_same(&before, &after));
}

static void until_others_are_told_nothing_of_it_is_believed(void **state)
{
    char tag[GENERATIONS_TAG_MOST + 1];
    struct generations_stamp s;
    unsigned times;

    reads("id 1f model:a 1", SECOND(1));
    generations_owe(g, STR("model:a"));
    assert_false(knows(SECOND(1)));
    assert_true(generations_of(g, STR("b"), STR("n1"), SECOND(1), &s));
    assert_true(generations_owed(g, 0, tag, &times));
    assert_string_equal(tag, "model:a");
    assert_false(generations_owed(g, 1, tag, &times));
    generations_owe(g, STR("model:a")); /* once more, while the first is on its way */
    assert_false(generations_paid(g, STR("model:a"), 1, 2));
    assert_false(knows(SECOND(1)));
    assert_false(generations_paid(g, STR("model:a"), 1, 3));
    assert_true(knows(SECOND(1)));
    reads("id 1f model:a 3", SECOND(1));
    assert_string_equal(forgot, "");
}

static void a_number_that_jumps_was_moved_by_others_too(void **state)
{
    reads("id 1f model:a 1", SECOND(1));
    generations_owe(g, STR("model:a"));
    assert_true(generations_paid(g, STR("model:a"), 1, 5));
}

static void a_tag_that_is_too_long_is_all(void **state)
{
    static char name[GENERATIONS_TAG_MOST + 10];
    char tag[GENERATIONS_TAG_MOST + 1];
    unsigned times;

    memset(name, 'x', sizeof name - 1);
    generations_owe(g, str_of(name));
    assert_true(generations_owed(g, 0, tag, &times));
    assert_string_equal(tag, "all");
}

static void what_is_no_such_hash_is_not_read(void **state)
{
    const struct resp *reply = NULL;

    assert_int_equal(reads("id", SECOND(1)), GENERATIONS_NONSENSE);
    assert_int_equal(reads("id zz", SECOND(1)), GENERATIONS_NAMELESS);
    assert_int_equal(reads("id 0", SECOND(1)), GENERATIONS_NAMELESS);
    assert_int_equal(reads("id 1f model:a many", SECOND(1)), GENERATIONS_READ);
    resp_feed(in, STR("+OK\r\n"));
    resp_next(in, &reply);
    assert_int_equal(generations_take(g, reply, 0, forgotten, NULL), GENERATIONS_NONSENSE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_known_before_it_was_read_and_when_that_is_long_ago),
        TEST(what_others_forget_changes_the_stamp_of_that_alone),
        TEST(ten_times_missed_are_one_difference),
        TEST(another_hash_is_another_world),
        TEST(until_others_are_told_nothing_of_it_is_believed),
        TEST(a_number_that_jumps_was_moved_by_others_too),
        TEST(a_tag_that_is_too_long_is_all),
        TEST(what_is_no_such_hash_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
