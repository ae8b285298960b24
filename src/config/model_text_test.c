/* config/model_text_test.c - the forms in one word. */
#include "config/config_fixture.h"
#include "config/model_text.h"

static struct arena arena;
static struct text why;

static int begin(void **state)
{
    arena_init(&arena);
    why = (struct text){ 0 };
    return 0;
}

static int end(void **state)
{
    text_free(&why);
    arena_done(&arena);
    return 0;
}

static void expect_why(const char *says)
{
    if (str_find(text_str(&why), str_of(says)) < 0)
        fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(text_str(&why)), says);
    text_free(&why);
    why = (struct text){ 0 };
}

static void a_model_is_a_name_and_facts(void **state)
{
    struct model_rule m;
    assert_true(model_text_read(
        &m, &arena, STR("qwen3:32b, policy=eta ,slots=0,num_ctx=8192,ttl=0,max_wait=1min,labels=a:b"), &why));
    assert_true(str_eq(m.name, STR("qwen3:32b")) && str_eq(m.labels, STR("a:b")));
    assert_int_equal(m.policy, SCHEDULER_eta);
    assert_int_equal(m.slots, 0);
    assert_int_equal(m.num_ctx, 8192);
    assert_int_equal(m.ttl, 0);
    assert_int_equal(m.max_wait, SECOND(60));
    assert_true(model_text_read(&m, &arena, STR("llama3.2"), &why));
    assert_int_equal(m.policy, SCHEDULER_POLICIES);
    assert_int_equal(m.slots, NOT_SAID);
    assert_int_equal(m.ttl, NOT_SAID);
}

static void wrong_facts_are_named(void **state)
{
    struct model_rule m;
    assert_false(model_text_read(&m, &arena, STR(",slots=1"), &why));
    expect_why("\"\" is no model name");
    assert_false(model_text_read(&m, &arena, STR("a,slots"), &why));
    expect_why("\"slots\" has no \"=\"");
    assert_false(model_text_read(&m, &arena, STR("a,slot=1"), &why));
    expect_why("did you mean slots?");
    assert_false(model_text_read(&m, &arena, STR("a,bananas=1"), &why));
    expect_why("there are policy, slots, num_ctx, ttl, max_wait, labels");
    assert_false(model_text_read(&m, &arena, STR("a,num_ctx=1"), &why));
    expect_why("num_ctx \"1\" is not a number from 4 to 100000000");
    assert_false(model_text_read(&m, &arena, STR("a,max_wait=31d"), &why));
    expect_why("at most 30d");
    assert_false(model_text_read(&m, &arena, STR("a,policy="), &why));
    expect_why("policy \"\" is none of");
}

static void fallbacks_are_a_list(void **state)
{
    struct model_rule m;
    assert_true(model_text_fallbacks(&m, &arena, STR("a = b , c:1b"), &why));
    assert_true(str_eq(m.name, STR("a")) && str_eq(m.fallback[0], STR("b")) && str_eq(m.fallback[1], STR("c:1b")));
    assert_int_equal(m.fallbacks, 2);
    assert_false(model_text_fallbacks(&m, &arena, STR("a=b,B:latest"), &why));
    expect_why("\"B:latest\" was tried already by then");
    assert_false(model_text_fallbacks(&m, &arena, STR("a=b,,c"), &why));
    expect_why("\"\" is no model name");
    assert_false(model_text_fallbacks(&m, &arena, STR("a"), &why));
    expect_why("a model is missing");
    assert_false(model_text_fallbacks(&m, &arena, STR("m=a,b,c,d,e,f,g,h,i,j,k,l,n,o,p,q,r"), &why));
    expect_why("more than 16 models in its place");
}

static void an_alias_is_a_pair(void **state)
{
    struct alias one;
    assert_true(model_text_alias(&one, &arena, STR("claude-* = qwen3:8b"), &why));
    assert_true(str_eq(one.name, STR("claude-*")) && str_eq(one.model, STR("qwen3:8b")));
    assert_false(model_text_alias(&one, &arena, STR("gpt-4o="), &why));
    expect_why("a model is missing");
}

static void models_are_the_same_in_any_spelling(void **state)
{
    assert_true(model_text_same(STR("Llama3.2"), STR("library/llama3.2:latest")));
    assert_false(model_text_same(STR("llama3.2"), STR("llama3.2:1b")));
    assert_false(model_text_same(STR(""), STR("")));
}

static void memory_may_be_out(void **state)
{
    struct model_rule m;
    bool good = false;
    for (unsigned nth = 1; !good; nth++) {
        memory_fail_at(nth);
        good = model_text_fallbacks(&m, &arena, STR("a=b"), &why) &&
               model_text_read(&m, &arena, STR("a,labels=k:v"), &why);
        memory_fail_at(0);
        end(state);
        begin(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_model_is_a_name_and_facts, begin, end),
        cmocka_unit_test_setup_teardown(wrong_facts_are_named, begin, end),
        cmocka_unit_test_setup_teardown(fallbacks_are_a_list, begin, end),
        cmocka_unit_test_setup_teardown(an_alias_is_a_pair, begin, end),
        cmocka_unit_test_setup_teardown(models_are_the_same_in_any_spelling, begin, end),
        cmocka_unit_test_setup_teardown(memory_may_be_out, begin, end),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
