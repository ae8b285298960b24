/* config/route_text_test.c - the form in one word. */
#include "config/config_fixture.h"
#include "config/route_text.h"

static struct route_choice good(const char *text)
{
    struct text why = { 0 };
    struct route_choice c;
    if (!route_text_read(&c, str_of(text), &why))
        fail_msg("%s: %.*s", text, STR_ARG(text_str(&why)));
    return c;
}

static void wrong(const char *text, const char *want)
{
    struct text why = { 0 };
    struct route_choice c;
    assert_false(route_text_read(&c, str_of(text), &why));
    text_putc(&why, 0);
    assert_string_equal(text_str(&why).p, want);
    text_free(&why);
}

static void a_path_and_what_is_otherwise(void **state)
{
    struct route_choice c = good("/api/chat, keep=all ,tools=on,ttl=10min");
    assert_int_equal(c.route, ROUTE_chat);
    assert_true(c.rule.any && c.rule.tools && !c.rule.off);
    assert_int_equal(c.rule.ttl, SECOND(600));

    c = good("/v1/embeddings,keep=none");
    assert_int_equal(c.route, ROUTE_v1_embeddings);
    assert_true(c.rule.off && !c.rule.any && !c.rule.tools);
    assert_int_equal(c.rule.ttl, 0);
}

static void what_comes_last_counts(void **state)
{
    struct route_choice c = good("/v1/messages,keep=none,tools=on,keep=usual,tools=off");
    assert_true(!c.rule.off && !c.rule.any && !c.rule.tools);
}

static void what_is_wrong_is_said(void **state)
{
    wrong("/api/chats,keep=all", "\"/api/chats\" is no path whose answers can be kept; did you mean /api/chat?");
    wrong("/api/tags,keep=all", "\"/api/tags\" is no path whose answers can be kept");
    wrong("", "\"\" is no path whose answers can be kept");
    wrong("/api/chat,keep=some", "keep \"some\" is none of usual, all, none");
    wrong("/api/chat,tools=maybe", "tools \"maybe\" is neither on nor off");
    wrong("/api/chat,ttl=0", "ttl \"0\" is not a duration such as 10min, from 1s to 30d");
    wrong("/api/chat,ttl=31d", "ttl \"31d\" is not a duration such as 10min, from 1s to 30d");
    wrong("/api/chat,stale=1s", "\"stale=1s\" is nothing that can be said of a route; there are keep=, tools=, ttl=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_and_what_is_otherwise),
        cmocka_unit_test(what_comes_last_counts),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
