/* api/replay_test.c - an answer in one way, and what is expected of it in another. What a simulated node says in both
 * is compared in test/play/replay_test.c. */
#include "api/replay.h"
#include "base/slab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct text said;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static int tear_down(void **state)
{
    text_free(&said);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

struct way {
    enum route_id from, to;
    bool from_stream, stream, usage;
};

static struct replay_from from_of(struct way w)
{
    const struct route *route = route_row(w.from);
    enum record_form form = route->dialect == DIALECT_OLLAMA ? FORM_NDJSON : FORM_SSE;
    return (struct replay_from){ route, w.from_stream ? form : FORM_WHOLE };
}

static struct replay_to to_of(struct way w)
{
    return (struct replay_to){ .route = route_row(w.to),
                               .stream = w.stream,
                               .wants_usage = w.usage,
                               .model = STR("\"M\""),
                               .wall = SECOND(1700000000),
                               .chance = 7 };
}

/* The answer in pieces of `step` bytes, into `said`. */
static enum fail replay(struct way w, struct str in, size_t step)
{
    struct replay r;
    struct replay_from from = from_of(w);
    struct replay_to to = to_of(w);
    enum fail f = OK;
    text_free(&said);
    said.failed = OK;
    replay_init(&r, &from, &to);
    for (; in.n && !f; in = str_drop(in, step))
        f = replay_take(&r, str_take(in, step), &said);
    if (!f)
        f = replay_end(&r, &said);
    replay_done(&r);
    return f;
}

static void says(struct way w, const char *in, const char *want)
{
    size_t steps[] = { SIZE_MAX, 1, 7 };
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        enum fail f = replay(w, str_of(in), steps[i]);
        if (f || !str_eq(text_str(&said), str_of(want)))
            fail_msg("%.*s:\n%.*s\ninstead of\n%s", STR_ARG(fail_name(f)), STR_ARG(text_str(&said)), want);
    }
}

static void refuses(struct way w, const char *in, enum fail why)
{
    enum fail f = replay(w, str_of(in), SIZE_MAX);
    if (f != why)
        fail_msg("%.*s instead of %.*s: %s", STR_ARG(fail_name(f)), STR_ARG(fail_name(why)), in);
}

#define NOW           "\"created_at\":\"2023-11-14T22:13:20Z\""
#define THEN          "\"created_at\":\"2020-01-01T00:00:00.5Z\""
#define FRONT         "{\"model\":\"M\"," NOW ","
#define OLD           "{\"model\":\"llama3\"," THEN ","
#define TURN(text)    "\"message\":{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define THOUGHT(text) "\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"" text "\"}"
#define FIGURES       "\"done\":true,\"done_reason\":\"stop\",\"total_duration\":9,\"prompt_eval_count\":3,\"eval_count\":2}"

/* --- as it was --- */

static void only_names_and_times_change(void **state)
{
    struct way chat = { ROUTE_chat, ROUTE_chat, true, true, false };
    says(chat, OLD TURN("a\\\"model\\\":") ",\"odd\" : 1.50,\"done\":false}\n" OLD TURN("") "," FIGURES "\n",
         FRONT TURN("a\\\"model\\\":") ",\"odd\" : 1.50,\"done\":false}\n" FRONT TURN("") "," FIGURES "\n");
    struct way whole = { ROUTE_chat, ROUTE_chat, false, false, false };
    says(whole, "{ \"model\" : \"x\" , \"message\":{\"model\":\"kept\",\"created_at\":\"kept\"}, \"done\":true } ",
         "{ \"model\" : \"M\" , \"message\":{\"model\":\"kept\",\"created_at\":\"kept\"}, \"done\":true } ");
    struct way embed = { ROUTE_embed, ROUTE_embed, false, true, false };
    says(embed, "{\"model\":\"x\",\"embeddings\":[[0.10,-1e-7]],\"total_duration\":5}",
         "{\"model\":\"M\",\"embeddings\":[[0.10,-1e-7]],\"total_duration\":5}");
    struct way old = { ROUTE_embeddings, ROUTE_embeddings, false, false, false };
    says(old, "{\"embedding\":[1,2]}", "{\"embedding\":[1,2]}");
}

#define CHUNK(id, made, name, rest)                                                                                    \
    "data: {\"id\":\"chatcmpl-" id "\",\"object\":\"chat.completion.chunk\",\"created\":" made ",\"model\":\"" name    \
    "\",\"system_fingerprint\":\"fp_ollama\"" rest "}\n\n"
#define WAS(rest) CHUNK("99", "5", "llama3", rest)
#define IS(rest)  CHUNK("7", "1700000000", "M", rest)
#define DELTA(d)  ",\"choices\":[{\"index\":0,\"delta\":{" d "},\"finish_reason\":null}]"
#define FINISH(r) ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" r "\"}]"
#define COUNTS    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}"
#define DONE      "data: [DONE]\n\n"
#define ROLE      "\"role\":\"assistant\","

static void counts_go_to_whoever_asked(void **state)
{
    struct way with = { ROUTE_v1_chat, ROUTE_v1_chat, true, true, true }, without = with;
    without.usage = false;
    const char *told = WAS(DELTA(ROLE "\"content\":\"a\"")) WAS(FINISH("stop")) WAS(",\"choices\":[]," COUNTS) DONE;
    says(with, told, IS(DELTA(ROLE "\"content\":\"a\"")) IS(FINISH("stop")) IS(",\"choices\":[]," COUNTS) DONE);
    says(without, told, IS(DELTA(ROLE "\"content\":\"a\"")) IS(FINISH("stop")) DONE);
    const char *untold = WAS(DELTA(ROLE "\"content\":\"a\"")) WAS(FINISH("stop")) DONE;
    refuses(with, untold, FAIL_bad_value);
    says(without, untold, IS(DELTA(ROLE "\"content\":\"a\"")) IS(FINISH("stop")) DONE);
    struct way completions = { ROUTE_v1_completions, ROUTE_v1_completions, true, true, false };
    says(completions,
         "data: {\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"a\"}] , \"usage\":{\"total_tokens\":0}}\n\n"
         "data: {\"usage\" : null , "
         "\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\r\n\r\n" DONE,
         "data: {\"id\":\"cmpl-7\",\"choices\":[{\"text\":\"a\"}]}\n\n"
         "data: { \"id\":\"cmpl-7\",\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\r\n\r\n" DONE);
}

static void ids_one_level_down_are_found(void **state)
{
    struct way messages = { ROUTE_v1_messages, ROUTE_v1_messages, true, true, false };
    says(messages,
         ": ping\n\nevent: message_start\ndata: "
         "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"x\"}}\n\n"
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
         ": ping\n\nevent: message_start\ndata: "
         "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_6553f1000000000000000007\",\"model\":\"M\"}}\n\n"
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    struct way responses = { ROUTE_v1_responses, ROUTE_v1_responses, true, true, false };
    says(responses,
         "data: "
         "{\"type\":\"response.completed\",\"id\":1,\"response\":{\"id\":\"resp_1\",\"created_at\":5,\"model\":\"x\","
         "\"status\":\"completed\"}}\n\n",
         "data: "
         "{\"type\":\"response.completed\",\"id\":1,\"response\":{\"id\":\"resp_7\",\"created_at\":1700000000,"
         "\"model\":\"M\",\"status\":\"completed\"}}\n\n");
}

/* --- native --- */

static void lines_become_one_object(void **state)
{
    struct way w = { ROUTE_chat, ROUTE_chat, true, false, false };
    says(w,
         OLD THOUGHT("h") ",\"done\":false}\n" OLD THOUGHT("m\\n") ",\"done\":false}\n" OLD TURN(
             "a\\u00e9") ",\"done\":false}\n" OLD TURN("b") "," FIGURES "\n",
         FRONT "\"message\":{\"role\":\"assistant\",\"content\":\"a\\u00e9b\",\"thinking\":\"hm\\n\"}," FIGURES);
    struct way g = { ROUTE_generate, ROUTE_generate, true, false, false };
    says(g,
         OLD "\"response\":\"a\",\"done\":false,\"logprobs\":[{\"t\":1}]}\n" OLD
             "\"response\":\"b\",\"logprobs\":[{\"t\":2}, {\"t\":3}],\"done\":false}\n" OLD
             "\"response\":\"\",\"done\":true,\"done_reason\":\"length\",\"context\":[1,2]}\n",
         FRONT "\"response\":\"ab\",\"logprobs\":[{\"t\":1},{\"t\":2}, "
               "{\"t\":3}],\"done\":true,\"done_reason\":\"length\",\"context\":[1,2]}");
}

static void one_object_becomes_lines(void **state)
{
    struct way w = { ROUTE_chat, ROUTE_chat, false, true, false };
    says(w,
         OLD "\"message\":{\"role\":\"assistant\",\"content\":\"ab\",\"thinking\":\"hm\",\"tool_calls\":[{\"id\":\"c\"}"
             "]}," FIGURES,
         FRONT "\"message\":{\"role\":\"assistant\",\"content\":\"ab\",\"thinking\":\"hm\",\"tool_calls\":[{\"id\":"
               "\"c\"}]},\"done\":false}\n" FRONT TURN("") "," FIGURES "\n");
    says(w, OLD TURN("") "," FIGURES, FRONT TURN("") "," FIGURES "\n");
    struct way g = { ROUTE_generate, ROUTE_generate, false, true, false };
    says(g, "{\n \"response\": \"a\",\r\n \"done\": true,\n \"done_reason\": \"stop\",\n \"context\": [\n1,\n2]\n}\n",
         FRONT "\"response\":\"a\",\"done\":false}\n" FRONT
               "\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"context\":[ 1, 2]}\n");
}

static void what_is_not_whole_is_refused(void **state)
{
    struct way w = { ROUTE_chat, ROUTE_chat, true, false, false };
    refuses(w, OLD TURN("a") ",\"done\":false}\n", FAIL_bad_value);
    refuses(w, OLD TURN("a") ",\"done\":true}\n", FAIL_bad_value);
    refuses(w, OLD TURN("a") ",\"done\":false}\n{\"error\":\"x\"}\n", FAIL_upstream_said);
    refuses(w, OLD TURN("a") "," FIGURES, FAIL_bad_value); /* the line has no end */
    refuses(w, "", FAIL_bad_value);
    refuses(w,
            OLD "\"message\":{\"content\":\"a\",\"novelty\":\"said\"},\"done\":false}\n" OLD TURN("") "," FIGURES "\n",
            FAIL_bad_value);
    w.from_stream = false;
    w.stream = true;
    refuses(w, OLD TURN("a") ",\"done\":false}", FAIL_bad_value);
    refuses(w, OLD TURN("a"), FAIL_bad_value);
    refuses(w, "{\"error\":\"x\"}", FAIL_upstream_said);
}

/* --- OpenAI --- */

#define WHOLE_CHAT(id, made, name, message, reason)                                                                    \
    "{\"id\":\"chatcmpl-" id "\",\"object\":\"chat.completion\",\"created\":" made ",\"model\":\"" name                \
    "\",\"system_fingerprint\":\"fp_ollama\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"," message   \
    "},\"finish_reason\":\"" reason "\"}]," COUNTS "}"
#define CALL "{\"id\":\"call_1\",\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"

static void chunks_become_one_object(void **state)
{
    struct way w = { ROUTE_v1_chat, ROUTE_v1_chat, true, false, false };
    says(w,
         WAS(DELTA(ROLE "\"content\":\"\",\"reasoning\":\"h\"")) WAS(DELTA("\"content\":\"\",\"reasoning\":\"m\""))
             WAS(DELTA("\"content\":\"a\"")) WAS(FINISH("length")) WAS(",\"choices\":[]," COUNTS) DONE,
         WHOLE_CHAT("7", "1700000000", "M", "\"content\":\"a\",\"reasoning\":\"hm\"", "length"));
    says(w,
         WAS(DELTA(ROLE "\"content\":\"\",\"tool_calls\":[" CALL "]")) WAS(FINISH("tool_calls"))
             WAS(",\"choices\":[]," COUNTS) DONE,
         WHOLE_CHAT("7", "1700000000", "M", "\"content\":\"\",\"tool_calls\":[" CALL "]", "tool_calls"));
    refuses(w, WAS(DELTA("\"content\":\"a\"")) WAS(FINISH("stop")) DONE, FAIL_bad_value);
    refuses(w, WAS(DELTA("\"content\":\"a\"")) WAS(FINISH("stop")) WAS(",\"choices\":[]," COUNTS), FAIL_bad_value);
    refuses(w, WAS(DELTA("\"content\":\"a\"")) WAS(",\"choices\":[]," COUNTS) DONE, FAIL_bad_value);
    refuses(w,
            WAS(",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"}}]") WAS(FINISH("stop"))
                WAS(",\"choices\":[]," COUNTS) DONE,
            FAIL_bad_value);
    refuses(w,
            WAS(DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\"}}]")) WAS(FINISH("stop"))
                WAS(",\"choices\":[]," COUNTS) DONE,
            FAIL_bad_value);
    refuses(w, WAS(DELTA("\"refusal\":\"no\"")) WAS(FINISH("stop")) WAS(",\"choices\":[]," COUNTS) DONE,
            FAIL_bad_value);
    refuses(w, WAS(DELTA("\"content\":\"a\"")) "data: {\"error\":{\"message\":\"x\"}}\n\n", FAIL_upstream_said);
}

static void one_object_becomes_chunks(void **state)
{
    struct way w = { ROUTE_v1_chat, ROUTE_v1_chat, false, true, true };
    const char *whole =
        WHOLE_CHAT("1", "5", "x", "\"content\":\"ab\",\"reasoning_content\":\"hm\",\"refusal\":null", "stop");
    says(w, whole,
         IS(DELTA(ROLE "\"content\":\"ab\",\"reasoning_content\":\"hm\"")) IS(FINISH("stop"))
             IS(",\"choices\":[]," COUNTS) DONE);
    w.usage = false;
    says(w, whole, IS(DELTA(ROLE "\"content\":\"ab\",\"reasoning_content\":\"hm\"")) IS(FINISH("stop")) DONE);
    says(w,
         WHOLE_CHAT("1", "5", "x",
                    "\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\"}},{\"id\":\"b\","
                    "\"function\":{\"name\":\"g\"}}]",
                    "tool_calls"),
         IS(DELTA(ROLE "\"content\":\"\",\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}},{"
                       "\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\"}}]")) IS(FINISH("tool_calls")) DONE);
    struct way c = { ROUTE_v1_completions, ROUTE_v1_completions, false, true, true };
    says(c,
         "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":5,\"model\":\"x\",\"choices\":[{\"index\":0,"
         "\"text\":\"ab\",\"finish_reason\":\"stop\"}]," COUNTS "}",
         "data: "
         "{\"id\":\"cmpl-7\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"M\",\"choices\":[{"
         "\"index\":0,\"text\":\"ab\",\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,"
         "\"total_tokens\":0}}\n\n"
         "data: "
         "{\"id\":\"cmpl-7\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"M\",\"choices\":[{"
         "\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n"
         "data: "
         "{\"id\":\"cmpl-7\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"M\",\"choices\":[]"
         "," COUNTS "}\n\n" DONE);
}

/* --- other dialects --- */

static void talk_crosses_dialects(void **state)
{
    const char *native =
        OLD THOUGHT("h") ",\"done\":false}\n" OLD TURN("a") ",\"done\":false}\n" OLD TURN("b") "," FIGURES "\n";
    struct way w = { ROUTE_chat, ROUTE_v1_chat, true, true, true };
    says(w, native,
         IS(DELTA(ROLE "\"content\":\"\",\"reasoning\":\"h\"")) IS(DELTA("\"content\":\"a\""))
             IS(DELTA("\"content\":\"b\"")) IS(FINISH("stop")) IS(",\"choices\":[]," COUNTS) DONE);
    w.stream = false;
    says(w, native, WHOLE_CHAT("7", "1700000000", "M", "\"content\":\"ab\",\"reasoning\":\"h\"", "stop"));
    const char *openai = WAS(DELTA(ROLE "\"content\":\"\",\"reasoning\":\"h\"")) WAS(DELTA("\"content\":\"a\""))
        WAS(FINISH("length")) WAS(",\"choices\":[]," COUNTS) DONE;
    struct way back = { ROUTE_v1_chat, ROUTE_chat, true, true, false };
    says(back, openai,
         FRONT THOUGHT("h") ",\"done\":false}\n" FRONT TURN("a") ",\"done\":false}\n" FRONT TURN(
             "") ",\"done\":true,\"done_reason\":\"length\",\"prompt_eval_count\":3,\"eval_count\":2}\n");
    back.from_stream = back.stream = false;
    says(back, WHOLE_CHAT("1", "5", "x", "\"content\":\"ab\"", "stop"),
         FRONT TURN("ab") ",\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":3,\"eval_count\":2}");
    refuses(back, WHOLE_CHAT("1", "5", "x", "\"content\":\"\",\"tool_calls\":[" CALL "]", "tool_calls"),
            FAIL_bad_value);
    refuses(back, WHOLE_CHAT("1", "5", "x", "\"content\":\"a\"", "content_filter"), FAIL_bad_value);
}

static void vectors_cross_dialects(void **state)
{
    struct way to = { ROUTE_embed, ROUTE_v1_embeddings, false, false, false },
               back = { ROUTE_v1_embeddings, ROUTE_embed, false, false, false };
    says(to, "{\"model\":\"x\",\"embeddings\":[[0.10,1e-7],[2]],\"total_duration\":5,\"prompt_eval_count\":4}",
         "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"embedding\":[0.10,1e-7],\"index\":0},{\"object\":"
         "\"embedding\",\"embedding\":[2],\"index\":1}],\"model\":\"M\",\"usage\":{\"prompt_tokens\":4,\"total_"
         "tokens\":4}}");
    says(back,
         "{\"object\":\"list\",\"data\":[{\"embedding\":[0.10,1e-7],\"index\":0},{\"embedding\":[2],\"index\":1}],"
         "\"model\":\"x\",\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}",
         "{\"model\":\"M\",\"embeddings\":[[0.10,1e-7],[2]],\"prompt_eval_count\":4}");
    refuses(back, "{\"data\":[{\"embedding\":\"AAAA\",\"index\":0}]}", FAIL_bad_value);
    refuses(back, "{\"data\":[{\"embedding\":[1],\"index\":1}]}", FAIL_bad_value);
    refuses(to, "{\"embedding\":[1]}", FAIL_bad_value);
}

static void only_pairs_meet(void **state)
{
    for (unsigned a = 0; a < ROUTE_COUNT; a++)
        for (unsigned b = 0; b < a; b++) {
            bool talk = a == ROUTE_v1_chat && b == ROUTE_chat, vectors = a == ROUTE_v1_embeddings && b == ROUTE_embed;
            assert_int_equal(replay_can(route_row((enum route_id)a), route_row((enum route_id)b)), talk || vectors);
            assert_int_equal(replay_can(route_row((enum route_id)b), route_row((enum route_id)a)), talk || vectors);
        }
    assert_true(replay_can(route_row(ROUTE_chat), route_row(ROUTE_chat)));
    assert_false(replay_can(route_row(ROUTE_show), route_row(ROUTE_show)));
}

/* --- /v1/messages --- */

#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define STARTED(n)                                                                                                     \
    EVENT("message_start", ",\"message\":{\"id\":\"msg_6553f1000000000000000007\",\"type\":\"message\",\"role\":"      \
                           "\"assistant\",\"model\":\"M\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null," \
                           "\"usage\":{\"input_tokens\":" n ",\"output_tokens\":0}}")
#define MESSAGE(content)                                                                                               \
    "{\"id\":\"msg_6553f1000000000000000007\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"M\","            \
    "\"content\":[" content "],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,"     \
    "\"output_tokens\":2}}"
#define BLOCK(i, start) EVENT("content_block_start", ",\"index\":" i ",\"content_block\":" start)
#define GROW(i, delta)  EVENT("content_block_delta", ",\"index\":" i ",\"delta\":" delta)
#define STOP(i)         EVENT("content_block_stop", ",\"index\":" i)
#define STOPPED                                                                                                        \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"input_"      \
                           "tokens\":3,\"output_tokens\":2}")                                                          \
    EVENT("message_stop", "")
#define TEXT_START    "{\"type\":\"text\",\"text\":\"\"}"
#define TEXT_DELTA(t) "{\"type\":\"text_delta\",\"text\":\"" t "\"}"

static void blocks_grow_and_are_cut(void **state)
{
    struct way w = { ROUTE_v1_messages, ROUTE_v1_messages, true, false, false };
    says(w,
         STARTED("9") BLOCK("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
             GROW("0", "{\"type\":\"thinking_delta\",\"thinking\":\"h\"}")
                 GROW("0", "{\"type\":\"thinking_delta\",\"thinking\":\"m\"}") STOP("0") EVENT("ping", "")
                     BLOCK("1", TEXT_START) GROW("1", TEXT_DELTA("a")) GROW("1", TEXT_DELTA("b")) STOP("1")
                         BLOCK("2", "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}")
                             GROW("2", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}")
                                 GROW("2", "{\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}") STOP("2")
                                     STOPPED,
         MESSAGE("{\"type\":\"thinking\",\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":\"ab\"},{\"type\":\"tool_"
                 "use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}"));
    says(w, STARTED("3") STOPPED, MESSAGE(""));
    refuses(w, STARTED("3") BLOCK("0", TEXT_START) STOPPED, FAIL_bad_value);
    refuses(w, STARTED("3") BLOCK("0", "{\"type\":\"image\"}") STOP("0") STOPPED, FAIL_bad_value);
    refuses(w, STARTED("3") GROW("0", TEXT_DELTA("a")) STOPPED, FAIL_bad_value);
    refuses(w,
            STARTED("3") BLOCK("0", TEXT_START) GROW("0", "{\"type\":\"signature_delta\",\"signature\":\"s\"}")
                STOP("0") STOPPED,
            FAIL_bad_value);
    refuses(w, STARTED("3") BLOCK("0", TEXT_START) GROW("0", TEXT_DELTA("a")) STOP("0"), FAIL_bad_value);
    refuses(w,
            STARTED("3") BLOCK("0", "{\"type\":\"tool_use\",\"input\":{}}")
                GROW("0", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}") STOP("0") STOPPED,
            FAIL_bad_value);
    refuses(w, EVENT("error", ",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}"), FAIL_upstream_said);
}

static void blocks_are_told_as_events(void **state)
{
    struct way w = { ROUTE_v1_messages, ROUTE_v1_messages, false, true, false };
    says(w,
         MESSAGE("{\"type\":\"text\",\"text\":\"ab\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{"
                 "\"a\":\"\\n\"}}"),
         STARTED("3") BLOCK("0", TEXT_START) GROW("0", TEXT_DELTA("ab")) STOP("0")
             BLOCK("1", "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}")
                 GROW("1", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\\\"\\\\n\\\"}\"}") STOP("1")
                     STOPPED);
    says(w, MESSAGE(""), STARTED("3") STOPPED);
    refuses(w, MESSAGE("{\"type\":\"text\",\"text\":\"a\",\"citations\":[1]}"), FAIL_bad_value);
    refuses(w, MESSAGE("{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"s\"}"), FAIL_bad_value);
}

/* --- /v1/responses --- */

#define RESPONSE(status, output, usage)                                                                                \
    "{\"id\":\"resp_7\",\"object\":\"response\",\"created_at\":1700000000,\"status\":\"" status                        \
    "\",\"model\":\"M\",\"output\":[" output "],\"usage\":" usage "}"
#define ITEM(status, parts)                                                                                            \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"" status "\",\"role\":\"assistant\",\"content\":[" parts "]}"
#define PART(text) "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[]}"
#define R(name, n, rest)                                                                                               \
    "event: response." name "\ndata: {\"type\":\"response." name "\",\"sequence_number\":" n rest "}\n\n"
#define INSIDE ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0"

static void responses_have_two_shapes(void **state)
{
    struct way w = { ROUTE_v1_responses, ROUTE_v1_responses, false, true, false };
    const char *whole = RESPONSE("completed", ITEM("completed", PART("ab")), "{\"input_tokens\":3}");
    const char *stream = R("created", "0", ",\"response\":" RESPONSE("in_progress", "", "null"))
        R("in_progress", "1", ",\"response\":" RESPONSE("in_progress", "", "null"))
            R("output_item.added", "2", ",\"output_index\":0,\"item\":" ITEM("in_progress", ""))
                R("content_part.added", "3", INSIDE ",\"part\":" PART("")) R("output_text.delta", "4",
                                                                             INSIDE ",\"logprobs\":[],\"delta\":\"ab\"")
                    R("output_text.done", "5", INSIDE ",\"logprobs\":[],\"text\":\"ab\"")
                        R("content_part.done", "6", INSIDE ",\"part\":" PART("ab"))
                            R("output_item.done", "7", ",\"output_index\":0,\"item\":" ITEM("completed", PART("ab")))
                                R("completed", "8",
                                  ",\"response\":" RESPONSE("completed", ITEM("completed", PART("ab")),
                                                            "{\"input_tokens\":3}"));
    says(w, whole, stream);
    struct way back = { ROUTE_v1_responses, ROUTE_v1_responses, true, false, false };
    says(back, stream, whole);
    refuses(w, RESPONSE("completed", "{\"id\":\"x\",\"type\":\"web_search_call\"}", "null"), FAIL_bad_value);
    refuses(w, RESPONSE("in_progress", "", "null"), FAIL_bad_value);
    refuses(back, R("created", "0", ",\"response\":{}"), FAIL_bad_value);
}

/* --- around it --- */

static void types_follow_from_shape_and_dialect(void **state)
{
    static const struct {
        struct way w;
        const char *type;
    } rows[] = {
        {{ .to = ROUTE_chat, .stream = true },           "application/x-ndjson"           },
        { { .to = ROUTE_chat },                          "application/json; charset=utf-8"},
        { { .to = ROUTE_v1_chat, .stream = true },       "text/event-stream"              },
        { { .to = ROUTE_v1_messages },                   "application/json"               },
        { { .to = ROUTE_v1_embeddings, .stream = true }, "application/json"               },
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct replay_to to = to_of(rows[i].w);
        assert_true(str_eq(replay_type(&to), str_of(rows[i].type)));
    }
}

static void asked(enum route_id id, const char *body, const char *want)
{
    struct arena a;
    struct peek p;
    struct str detail;
    arena_init(&a);
    assert_int_equal(peek_body(route_row(id), str_of(body), &a, &p, &detail), OK);
    struct str is = replay_ask(&a, route_row(id), &p, str_of(body));
    if (!str_eq(is, str_of(want)))
        fail_msg("%.*s", STR_ARG(is));
    arena_done(&a);
}

static void nodes_are_asked_for_counts(void **state)
{
    asked(ROUTE_v1_chat, "{\"stream\":true} x", "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    asked(ROUTE_v1_completions, "{\"stream_options\":{\"include_usage\":false},\"stream\":true}",
          "{\"stream_options\":{\"include_usage\":false},\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    asked(ROUTE_v1_chat, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
          "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    asked(ROUTE_v1_chat, "{}", "{}");
    asked(ROUTE_chat, "{\"stream\":true}", "{\"stream\":true}");
    asked(ROUTE_v1_messages, "{\"stream\":true}", "{\"stream\":true}");
}

static void memory_may_be_out(void **state)
{
    struct way ways[] = {
        {ROUTE_chat,  ROUTE_chat,    true, false, false},
        { ROUTE_chat, ROUTE_v1_chat, true, true,  true }
    };
    struct str in = STR(OLD TURN("a") ",\"done\":false}\n" OLD TURN("b") "," FIGURES "\n");
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        enum fail f = FAIL_no_memory;
        unsigned n = 0;
        while (f) {
            assert_int_equal(f, FAIL_no_memory);
            memory_fail_at(++n);
            f = replay(ways[i], in, 50);
            memory_fail_at(0);
        }
        assert_true(n > 1 && n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_names_and_times_change),
        cmocka_unit_test(counts_go_to_whoever_asked),
        cmocka_unit_test(ids_one_level_down_are_found),
        cmocka_unit_test(lines_become_one_object),
        cmocka_unit_test(one_object_becomes_lines),
        cmocka_unit_test(what_is_not_whole_is_refused),
        cmocka_unit_test(chunks_become_one_object),
        cmocka_unit_test(one_object_becomes_chunks),
        cmocka_unit_test(talk_crosses_dialects),
        cmocka_unit_test(vectors_cross_dialects),
        cmocka_unit_test(only_pairs_meet),
        cmocka_unit_test(blocks_grow_and_are_cut),
        cmocka_unit_test(blocks_are_told_as_events),
        cmocka_unit_test(responses_have_two_shapes),
        cmocka_unit_test(types_follow_from_shape_and_dialect),
        cmocka_unit_test(nodes_are_asked_for_counts),
        cmocka_unit_test(memory_may_be_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
