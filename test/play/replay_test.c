/* What a simulated node says streamed and what it says in one piece are two shapes of one answer: replayed into the
 * other's shape, or dialect, each must be that other one, field by field. */
#include "api/replay.h"
#include "sim_rig.h"

#define TALK(text) "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]"
#define WEATHER    "\"parameters\":{\"type\":\"object\",\"properties\":{\"town\":{\"type\":\"string\"}}}"
#define TOOLS      "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"," WEATHER "}}]"
#define FLAT_TOOLS "\"tools\":[{\"type\":\"function\",\"name\":\"get_weather\"," WEATHER "}]"
#define SCHEMA_TOOLS                                                                                                   \
    "\"tools\":[{\"name\":\"get_weather\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"town\":{\"type\":"   \
    "\"string\"}}}}]"

static const struct question {
    enum route_id route;
    const char *model, *body; /* without stream and model */
} questions[] = {
    {ROUTE_chat,            "llama3.2", TALK("Hello")                                                         },
    { ROUTE_chat,           "llama3.2", TALK("Hello") ",\"options\":{\"num_predict\":3}"                      },
    { ROUTE_chat,           "llama3.2", TALK("Hello") ",\"options\":{\"num_predict\":1}"                      },
    { ROUTE_chat,           "qwen3:8b", TALK("Hello \\\"you\\\"") ",\"think\":true"                           },
    { ROUTE_chat,           "llama3.2", TALK("The weather in Bergen?") "," TOOLS                              },
    { ROUTE_chat,           "qwen3:8b", TALK("The weather?") ",\"think\":true," TOOLS                         },
    { ROUTE_chat,           "llama3.2", TALK("x") ",\"format\":\"json\""                                      },
    { ROUTE_generate,       "llama3.2", "\"prompt\":\"why?\""                                                 },
    { ROUTE_generate,       "llama3.2", "\"prompt\":\"why?\",\"raw\":true"                                    },
    { ROUTE_generate,       "qwen3:8b", "\"prompt\":\"why?\",\"think\":true"                                  },
    { ROUTE_v1_chat,        "llama3.2", TALK("Hello")                                                         },
    { ROUTE_v1_chat,        "qwen3:8b", TALK("Hello") ",\"reasoning_effort\":\"high\""                        },
    { ROUTE_v1_chat,        "llama3.2", TALK("Hello") ",\"max_tokens\":2"                                     },
    { ROUTE_v1_chat,        "llama3.2", TALK("The weather?") "," TOOLS                                        },
    { ROUTE_v1_chat,        "llama3.2", TALK("x") ",\"response_format\":{\"type\":\"json_object\"}"           },
    { ROUTE_v1_completions, "llama3.2", "\"prompt\":\"why?\""                                                 },
    { ROUTE_v1_completions, "llama3.2", "\"prompt\":\"why?\",\"max_tokens\":4"                                },
    { ROUTE_v1_messages,    "llama3.2", "\"max_tokens\":99," TALK("Hello")                                    },
    { ROUTE_v1_messages,    "llama3.2", "\"max_tokens\":3," TALK("Hello")                                     },
    { ROUTE_v1_messages,    "qwen3:8b", "\"max_tokens\":99,\"thinking\":{\"type\":\"enabled\"}," TALK("Hello")},
    { ROUTE_v1_messages,    "llama3.2", "\"max_tokens\":99," TALK("The weather?") "," SCHEMA_TOOLS            },
    { ROUTE_v1_responses,   "llama3.2", "\"input\":\"Hello\""                                                 },
    { ROUTE_v1_responses,   "qwen3:8b", "\"input\":\"Hello\",\"reasoning\":{\"effort\":\"high\"}"             },
    { ROUTE_v1_responses,   "llama3.2", "\"input\":\"The weather?\"," FLAT_TOOLS                              },
};

static void open_usual(bool slow)
{
    begin();
    struct simnode_spec s = spec_with("llama3.2=1000", "qwen3:8b=1000", "nomic-embed-text=100");
    if (!slow)
        s.load_rate = s.prefill = s.decode = 0;
    open_node(s);
}

static struct str ask_node(const struct question *q, bool stream)
{
    char what[64], body[2000];
    (void)snprintf(what, sizeof what, "POST %s", route_row(q->route)->path.p);
    (void)snprintf(
        body, sizeof body, "{\"model\":\"%s\",%s,\"stream\":%s%s}", q->model, q->body, stream ? "true" : "false",
        stream && route_row(q->route)->dialect == DIALECT_OPENAI ? ",\"stream_options\":{\"include_usage\":true}" : "");
    struct reply a = get_answer(what, body);
    if (a.status != 200)
        fail_msg("%s: %d %.*s", body, a.status, STR_ARG(a.body));
    return a.body;
}

static enum record_form form_of(enum route_id id, bool stream)
{
    return !stream ? FORM_WHOLE : route_row(id)->dialect == DIALECT_OLLAMA ? FORM_NDJSON : FORM_SSE;
}

static struct str replay(enum route_id from_id, bool from_stream, struct str answer, enum route_id to_id, bool stream,
                         const char *model)
{
    struct replay_from from = { route_row(from_id), form_of(from_id, from_stream) };
    char quoted[64];
    size_t quoted_n = (size_t)snprintf(quoted, sizeof quoted, "\"%s\"", model);
    struct replay_to to = {
        .route = route_row(to_id),
        .stream = stream,
        .wants_usage = true,
        .model = {quoted, quoted_n},
        .wall = sys_wall(),
        .chance = 77
    };
    struct replay r;
    struct text out = { 0 };
    replay_init(&r, &from, &to);
    for (struct str rest = answer; rest.n; rest = str_drop(rest, 100))
        assert_int_equal(replay_take(&r, str_take(rest, 100), &out), OK);
    enum fail f = replay_end(&r, &out);
    if (f)
        fail_msg("%.*s: %.*s", STR_ARG(fail_name(f)), STR_ARG(answer));
    replay_done(&r);
    struct str said = str_dup(&kept, text_str(&out));
    text_free(&out);
    return said;
}

/* --- comparing --- */

static bool is_fresh(struct str key, bool all_ids)
{
    static const char *const names[] = { "\"created\"", "\"created_at\"" };
    static const char *const ids[] = { "\"id\"", "\"call_id\"" };
    for (unsigned i = 0; i < 2; i++)
        if (str_eq(key, str_of(names[i])) || (all_ids && str_eq(key, str_of(ids[i]))))
            return true;
    return false;
}

static bool equal(struct json a, struct json b, bool ids);

/* Each member of one is in the other. */
static bool holds_all(struct json a, struct json b, bool ids)
{
    struct json_walk w = json_walk(a);
    while (json_next(&w)) {
        struct str name = { w.key.p + 1, w.key.n - 2 };
        struct json other = json_get(b, name);
        if (is_fresh(w.key, ids) ? other.kind != w.value.kind : !equal(w.value, other, ids))
            return false;
    }
    return true;
}

static bool equal(struct json a, struct json b, bool ids)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == JSON_OBJECT)
        return holds_all(a, b, ids) && holds_all(b, a, ids);
    if (a.kind != JSON_ARRAY)
        return str_eq(a.raw, b.raw);
    struct json_walk wa = json_walk(a), wb = json_walk(b);
    for (;;) {
        bool more = json_next(&wa);
        if (more != json_next(&wb) || (more && !equal(wa.value, wb.value, ids)))
            return false;
        if (!more)
            return true;
    }
}

static void assert_same(struct str is, struct str want)
{
    if (!equal(json_parse(is, NULL), json_parse(want, NULL), true))
        fail_msg("replayed\n%.*s\nthe node says\n%.*s", STR_ARG(is), STR_ARG(want));
}

/* The names of events, each once in a row. */
static struct str course_of(struct str stream)
{
    struct text t = { 0 };
    struct str rest = stream, last = STR_NONE;
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (str_starts(line, STR("event: ")) && !str_eq(line, last)) {
            text_put(&t, line);
            text_putc(&t, '\n');
            last = line;
        }
    }
    struct str course = str_dup(&kept, text_str(&t));
    text_free(&t);
    return course;
}

/* --- */

static void a_stream_replayed_whole_is_what_the_node_says_whole(void **state)
{
    open_usual(false);
    for (unsigned i = 0; i < ARRAY_LEN(questions); i++) {
        const struct question *q = &questions[i];
        struct str whole = ask_node(q, false), stream = ask_node(q, true);
        assert_same(replay(q->route, true, stream, q->route, false, q->model), whole);
    }
    finish();
}

static void a_whole_replayed_as_a_stream_is_a_stream_of_it(void **state)
{
    open_usual(false);
    for (unsigned i = 0; i < ARRAY_LEN(questions); i++) {
        const struct question *q = &questions[i];
        struct str whole = ask_node(q, false), stream = ask_node(q, true);
        struct str replayed = replay(q->route, false, whole, q->route, true, q->model);
        struct figures f;
        figures_clear(&f);
        assert_int_equal(record_look(route_row(q->route)->dialect, form_of(q->route, true), replayed, &f, NULL),
                         MARK_DONE);
        assert_same(replay(q->route, true, replayed, q->route, false, q->model), whole);
        struct str course = course_of(replayed), want = course_of(stream);
        if (!str_eq(course, want))
            fail_msg("replayed\n%.*s\nthe node says\n%.*s", STR_ARG(course), STR_ARG(want));
    }
    finish();
}

static void calls_keep_their_ids(void **state)
{
    open_usual(false);
    for (unsigned i = 0; i < ARRAY_LEN(questions); i++) {
        const struct question *q = &questions[i];
        struct str whole = ask_node(q, false);
        struct str there = replay(q->route, false, whole, q->route, true, q->model);
        struct str back = replay(q->route, true, there, q->route, false, q->model);
        struct str same = replay(q->route, false, whole, q->route, false, q->model);
        assert_true(equal(json_parse(back, NULL), json_parse(same, NULL), false));
    }
    finish();
}

static void a_stream_replayed_as_a_stream_keeps_its_records(void **state)
{
    open_usual(false);
    for (unsigned i = 0; i < ARRAY_LEN(questions); i++) {
        const struct question *q = &questions[i];
        struct str stream = ask_node(q, true);
        struct str again = replay(q->route, true, stream, q->route, true, q->model);
        unsigned records, want;
        assert_int_equal(record_whole(form_of(q->route, true), STR_NONE, again, &records), again.n);
        (void)record_whole(form_of(q->route, true), STR_NONE, stream, &want);
        assert_int_equal(records, want);
        assert_same(replay(q->route, true, again, q->route, false, q->model),
                    replay(q->route, true, stream, q->route, false, q->model));
    }
    finish();
}

static void dialects_say_the_same(void **state)
{
    static const struct question pairs[][2] = {
        {{ ROUTE_chat, "llama3.2", TALK("Hello") },                                     { ROUTE_v1_chat, "llama3.2", TALK("Hello") }},
        { { ROUTE_chat, "qwen3:8b", TALK("Hello") },                                    { ROUTE_v1_chat, "qwen3:8b", TALK("Hello") }},
        { { ROUTE_chat, "llama3.2", TALK("Hello") ",\"options\":{\"num_predict\":3}" },
         { ROUTE_v1_chat, "llama3.2", TALK("Hello") ",\"max_tokens\":3" }                                                           },
    };
    open_usual(false);
    for (unsigned i = 0; i < ARRAY_LEN(pairs); i++)
        for (unsigned shapes = 0; shapes < 8; shapes++) {
            bool back = shapes & 4, from_stream = shapes & 1, stream = shapes & 2;
            const struct question *q = &pairs[i][back], *other = &pairs[i][!back];
            struct str said = ask_node(q, from_stream), want = ask_node(other, false);
            struct str is = replay(q->route, from_stream, said, other->route, stream, other->model);
            if (stream)
                is = replay(other->route, true, is, other->route, false, other->model);
            assert_same(is, want);
        }
    finish();
}

static void vectors_are_the_same_in_both_dialects(void **state)
{
    open_usual(false);
    static const struct question native = { ROUTE_embed, "nomic-embed-text", "\"input\":[\"a\",\"b\"]" };
    static const struct question openai = { ROUTE_v1_embeddings, "nomic-embed-text", "\"input\":[\"a\",\"b\"]" };
    struct str a = get_answer("POST /api/embed", "{\"model\":\"nomic-embed-text\",\"input\":[\"a\",\"b\"]}").body;
    struct str b = get_answer("POST /v1/embeddings", "{\"model\":\"nomic-embed-text\",\"input\":[\"a\",\"b\"]}").body;
    assert_same(replay(native.route, false, a, openai.route, false, openai.model), b);
    assert_same(replay(openai.route, false, b, native.route, false, native.model), a);
    finish();
}

static void durations_are_those_of_the_original(void **state)
{
    static const char *const names[] = { "total_duration", "load_duration", "prompt_eval_duration", "eval_duration" };
    open_usual(true);
    struct str stream = ask_node(&questions[0], true), last = last_line(stream);
    struct str whole = replay(ROUTE_chat, true, stream, ROUTE_chat, false, "llama3.2");
    struct str again = replay(ROUTE_chat, false, whole, ROUTE_chat, true, "llama3.2");
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(number_in(last, names[i]) > 0);
        assert_int_equal(number_in(whole, names[i]), number_in(last, names[i]));
        assert_int_equal(number_in(last_line(again), names[i]), number_in(last, names[i]));
    }
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_replayed_whole_is_what_the_node_says_whole),
        cmocka_unit_test(a_whole_replayed_as_a_stream_is_a_stream_of_it),
        cmocka_unit_test(calls_keep_their_ids),
        cmocka_unit_test(a_stream_replayed_as_a_stream_keeps_its_records),
        cmocka_unit_test(dialects_say_the_same),
        cmocka_unit_test(vectors_are_the_same_in_both_dialects),
        cmocka_unit_test(durations_are_those_of_the_original),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
