/* cache/rule_test.c - what may be answered from memory, what may be kept, and the word for why not. */
#include "cache/rule.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct rules rules;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    arena_init(&arena);
    rules = rules_usual();
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static struct peek peeked;
static struct rule_ask ask_of(enum route_id id, const char *body)
{
    struct str detail;
    assert_int_equal(peek_body(route_row(id), str_of(body), &arena, &peeked, &detail), OK);
    return (struct rule_ask){
        .route = route_row(id), .peek = &peeked, .body = str_of(body), .control = control_none(), .has_digest = true
    };
}

static void expect(enum rule is, const char *word, const char *about)
{
    if (!str_eq(rule_word(is), str_of(word)))
        fail_msg("%s: \"%.*s\" instead of \"%s\"", about, STR_ARG(rule_word(is)), word);
}

static void judge(enum route_id id, const char *body, const char *word)
{
    struct rule_ask ask = ask_of(id, body);
    expect(rule_asking(&rules, &ask), word, body);
}

#define HI "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void chance_decides(void **state)
{
    judge(ROUTE_chat, HI "}", "temperature");
    judge(ROUTE_chat, HI ",\"options\":{\"temperature\":0}}", "");
    judge(ROUTE_chat, HI ",\"options\":{\"temperature\":0.0e3}}", "");
    judge(ROUTE_chat, HI ",\"options\":{\"temperature\":0.001}}", "temperature");
    judge(ROUTE_chat, HI ",\"options\":{\"temperature\":\"0\"}}", "temperature");
    judge(ROUTE_chat, HI ",\"options\":{\"temperature\":0,\"temperature\":1}}", "temperature");
    judge(ROUTE_chat, HI ",\"options\":{\"Temperature\":0}}", "temperature");
    judge(ROUTE_chat, HI ",\"temperature\":0}", "temperature");
    judge(ROUTE_chat, HI ",\"options\":{\"seed\":42}}", "");
    judge(ROUTE_chat, HI ",\"options\":{\"seed\":0}}", "");
    judge(ROUTE_chat, HI ",\"options\":{\"seed\":-1}}", "no-seed");
    judge(ROUTE_chat, HI ",\"options\":{\"seed\":4294967295}}", "no-seed");
    judge(ROUTE_chat, HI ",\"options\":{\"seed\":-1,\"temperature\":0}}", "");
    judge(ROUTE_chat, HI ",\"options\":{\"seed\":null}}", "temperature");
    judge(ROUTE_v1_chat, HI "}", "temperature");
    judge(ROUTE_v1_chat, HI ",\"temperature\":0}", "");
    judge(ROUTE_v1_chat, HI ",\"temperature\":1,\"seed\":3}", "");
    judge(ROUTE_v1_chat, HI ",\"options\":{\"temperature\":0}}", "temperature");
    judge(ROUTE_v1_messages, HI ",\"max_tokens\":9,\"seed\":3}", "temperature");
    judge(ROUTE_v1_messages, HI ",\"max_tokens\":9,\"temperature\":0}", "");
    judge(ROUTE_v1_responses, "{\"model\":\"m\",\"input\":\"x\",\"seed\":3}", "temperature");
    judge(ROUTE_v1_responses, "{\"model\":\"m\",\"input\":\"x\",\"temperature\":0}", "");
    judge(ROUTE_generate, "{\"model\":\"m\",\"prompt\":\"x\",\"options\":{\"temperature\":0}}", "");
    judge(ROUTE_embed, "{\"model\":\"m\",\"input\":\"x\"}", "");
    judge(ROUTE_embeddings, "{\"model\":\"m\",\"prompt\":\"x\"}", "");
    judge(ROUTE_v1_embeddings, "{\"model\":\"m\",\"input\":[\"x\"]}", "");
}

static void a_route_is_opted_in_and_out(void **state)
{
    rules.route[ROUTE_chat].any = true;
    judge(ROUTE_chat, HI "}", "");
    judge(ROUTE_v1_chat, HI "}", "temperature");
    rules.route[ROUTE_embed].off = true;
    judge(ROUTE_embed, "{\"model\":\"m\",\"input\":\"x\"}", "route");
    rules.enabled = false;
    judge(ROUTE_chat, HI "}", "disabled");
    rules = rules_usual();
}

static void other_routes_are_not_kept(void **state)
{
    judge(ROUTE_show, "{\"model\":\"m\"}", "route");
    judge(ROUTE_pull, "{\"model\":\"m\"}", "route");
    judge(ROUTE_create, "{\"model\":\"m\"}", "route");
    struct rule_ask ask = ask_of(ROUTE_embed, "{\"model\":\"m\",\"input\":\"x\"}");
    for (unsigned id = 0; id < ROUTE_COUNT; id++) {
        ask.route = route_row((enum route_id)id);
        if (ask.route->kind != KIND_MODEL || ask.route->model_in != IN_BODY)
            expect(rule_asking(&rules, &ask), "route", ask.route->path.p);
    }
}

static void loading_is_no_answer(void **state)
{
    judge(ROUTE_generate, "{\"model\":\"m\",\"options\":{\"temperature\":0}}", "load");
    judge(ROUTE_generate, "{\"model\":\"m\",\"keep_alive\":0,\"options\":{\"temperature\":0}}", "load");
    judge(ROUTE_chat, "{\"model\":\"m\",\"messages\":[],\"options\":{\"temperature\":0}}", "load");
    judge(ROUTE_embed, "{\"model\":\"m\",\"input\":[]}", "load");
    judge(ROUTE_embed, "{\"model\":\"m\"}", "load");
    judge(ROUTE_embeddings, "{\"model\":\"m\",\"prompt\":\"\"}", "load");
    judge(ROUTE_v1_completions, "{\"model\":\"m\",\"prompt\":\"\",\"temperature\":0}", "load");
    judge(ROUTE_v1_completions, "{\"model\":\"m\",\"temperature\":0}", "load");
}

#define TOOL(type)                                                                                                     \
    ",\"temperature\":0,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{" type "\"name\":\"g\"}]}"

static void tools_must_be_asked_for(void **state)
{
    judge(ROUTE_v1_chat, HI TOOL("\"type\":\"function\","), "tools");
    judge(ROUTE_v1_chat, HI ",\"temperature\":0,\"tools\":[]}", "");
    rules.route[ROUTE_v1_chat].tools = true;
    judge(ROUTE_v1_chat, HI TOOL("\"type\":\"function\","), "");
    judge(ROUTE_v1_chat, HI TOOL("\"type\":\"web_search_20250305\","), "web-search");
    judge(ROUTE_v1_chat, HI TOOL("\"type\":\"web\\u005fsearch\","), "web-search");
    judge(ROUTE_v1_chat, HI TOOL(""), "web-search");
    rules = rules_usual();
}

static void clients_decide_for_themselves(void **state)
{
    struct rule_ask ask = ask_of(ROUTE_embed, "{\"model\":\"m\",\"input\":\"x\"}");
    assert_int_equal(rule_max_age(&ask.control), NEVER);
    control_read(&ask.control, STR("max-age=5"));
    expect(rule_asking(&rules, &ask), "", "max-age");
    assert_int_equal(rule_max_age(&ask.control), SECOND(5));
    control_read(&ask.control, STR("no-cache"));
    expect(rule_asking(&rules, &ask), "no-cache", "no-cache");
    assert_int_equal(rule_max_age(&ask.control), -1);
    control_read(&ask.control, STR("no-store"));
    expect(rule_asking(&rules, &ask), "no-store", "no-store");
}

static void surroundings_decide(void **state)
{
    struct rule_ask ask = ask_of(ROUTE_embed, "{\"model\":\"m\",\"input\":\"x\"}"), other = ask;
    other.cloud = true;
    expect(rule_asking(&rules, &other), "cloud", "cloud");
    other = ask;
    other.has_digest = false;
    expect(rule_asking(&rules, &other), "digest", "digest");
    other = ask;
    other.pinned = true;
    expect(rule_asking(&rules, &other), "node", "pinned");
}

/* --- keeping --- */

static void only_proven_answers_are_kept(void **state)
{
    static const struct {
        enum route_id route;
        struct rule_answer a;
        const char *word;
    } rows[] = {
        {ROUTE_chat,   { 200, 0, MARK_DONE, REASON_STOP, false },       ""         },
        { ROUTE_chat,  { 200, 0, MARK_DONE, REASON_LENGTH, false },     ""         },
        { ROUTE_chat,  { 200, 0, MARK_DONE, REASON_TOOLS, false },      ""         },
        { ROUTE_chat,  { 200, 0, MARK_DONE, REASON_NONE, false },       "truncated"},
        { ROUTE_chat,  { 200, 0, MARK_DONE, REASON_LOAD, false },       "reason"   },
        { ROUTE_chat,  { 200, 0, MARK_DONE, REASON_UNLOAD, false },     "reason"   },
        { ROUTE_chat,  { 200, 0, MARK_DONE, REASON_OTHER, false },      "reason"   },
        { ROUTE_chat,  { 200, 0, MARK_NONE, REASON_STOP, false },       "truncated"},
        { ROUTE_chat,  { 200, 0, MARK_ERROR, REASON_STOP, false },      "truncated"},
        { ROUTE_chat,  { 200, 0, MARK_HOLLOW, REASON_STOP, false },     "truncated"},
        { ROUTE_chat,  { 200, 0, MARK_DONE, REASON_STOP, true },        "continued"},
        { ROUTE_embed, { 200, 0, MARK_DONE, REASON_NONE, false },       ""         },
        { ROUTE_embed, { 200, 0, MARK_NONE, REASON_NONE, false },       "truncated"},
        { ROUTE_chat,  { 206, 0, MARK_DONE, REASON_STOP, false },       "status"   },
        { ROUTE_chat,  { 500, SAID_FAILURE, MARK_NONE, 0, false },      "status"   },
        { ROUTE_chat,  { 503, SAID_BUSY, MARK_NONE, 0, false },         "status"   },
        { ROUTE_embed, { 400, SAID_FAILURE, MARK_NONE, 0, false },      "status"   },
        { ROUTE_chat,  { 401, SAID_CLIENT_ERROR, MARK_NONE, 0, false }, "status"   },
    };
    struct cache_keep keep = { 0 };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        expect(rule_keeping(&rules, route_row(rows[i].route), &rows[i].a, &keep), rows[i].word, rows[i].word);
}

static void how_long_follows_from_the_route(void **state)
{
    struct rule_answer good = { 200, 0, MARK_DONE, REASON_STOP, false };
    struct cache_keep keep = { 0 };
    rules.route[ROUTE_chat].ttl = SECOND(900);
    assert_int_equal(rule_keeping(&rules, route_row(ROUTE_generate), &good, &keep), RULE_fine);
    assert_int_equal(keep.ttl, SECOND(30));
    assert_int_equal(keep.stale, SECOND(30));
    assert_int_equal(keep.stale_if_error, SECOND(300));
    assert_false(keep.negative);
    assert_int_equal(rule_keeping(&rules, route_row(ROUTE_chat), &good, &keep), RULE_fine);
    assert_int_equal(keep.ttl, SECOND(900));
    rules = rules_usual();
}

static void errors_of_the_request_are_kept_shortly(void **state)
{
    struct rule_answer missing = { 404, SAID_NO_MODEL, MARK_ERROR, 0, false };
    struct rule_answer wrong = { 400, SAID_CLIENT_ERROR, MARK_ERROR, 0, false };
    struct cache_keep keep = { .stale = 1, .stale_if_error = 1 };
    assert_int_equal(rule_keeping(&rules, route_row(ROUTE_chat), &missing, &keep), RULE_fine);
    assert_true(keep.negative);
    assert_int_equal(keep.ttl, SECOND(2));
    assert_int_equal(keep.stale + keep.stale_if_error, 0);
    assert_int_equal(rule_keeping(&rules, route_row(ROUTE_chat), &wrong, &keep), RULE_fine);
    rules.negative = 0;
    expect(rule_keeping(&rules, route_row(ROUTE_chat), &wrong, &keep), "status", "negative off");
    rules = rules_usual();
}

static void rows_are_told_apart(void **state)
{
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        assert_true(rule_sentence((enum rule)i).n > 0);
        for (unsigned k = 0; k < i; k++)
            assert_false(str_eq(rule_word((enum rule)i), rule_word((enum rule)k)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chance_decides),
        cmocka_unit_test(a_route_is_opted_in_and_out),
        cmocka_unit_test(other_routes_are_not_kept),
        cmocka_unit_test(loading_is_no_answer),
        cmocka_unit_test(tools_must_be_asked_for),
        cmocka_unit_test(clients_decide_for_themselves),
        cmocka_unit_test(surroundings_decide),
        cmocka_unit_test(only_proven_answers_are_kept),
        cmocka_unit_test(how_long_follows_from_the_route),
        cmocka_unit_test(errors_of_the_request_are_kept_shortly),
        cmocka_unit_test(rows_are_told_apart),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
