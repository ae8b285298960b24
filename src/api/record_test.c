#include "api/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct figures figures;
static struct json error;

static enum record_mark look(enum dialect d, enum record_form form, const char *records)
{
    figures_clear(&figures);
    error = (struct json){ .kind = JSON_BAD };
    return record_look(d, form, str_of(records), &figures, &error);
}

static enum record_mark native(const char *records)
{
    return look(DIALECT_OLLAMA, FORM_NDJSON, records);
}
static enum record_mark openai(const char *records)
{
    return look(DIALECT_OPENAI, FORM_SSE, records);
}
static enum record_mark responses(const char *records)
{
    return look(DIALECT_RESPONSES, FORM_SSE, records);
}
static enum record_mark anthropic(const char *records)
{
    return look(DIALECT_ANTHROPIC, FORM_SSE, records);
}

static enum record_mark whole(enum dialect d, const char *body)
{
    figures_clear(&figures);
    error = (struct json){ .kind = JSON_BAD };
    return record_look_whole(d, str_of(body), &figures, &error);
}

#define assert_error(text) assert_true(str_eq(error.raw, STR(text)))

/* framing */

static void the_form_is_in_the_content_type(void **state)
{
    static const struct {
        const char *type;
        enum record_form form;
    } want[] = {
        {"application/x-ndjson",                 FORM_NDJSON},
        { "Application/X-NDJSON; charset=utf-8", FORM_NDJSON},
        { "text/event-stream",                   FORM_SSE   },
        { "text/event-stream ;charset=UTF-8",    FORM_SSE   },
        { "application/json; charset=utf-8",     FORM_WHOLE },
        { "text/plain",                          FORM_WHOLE },
        { "",                                    FORM_WHOLE },
        { "text/event-streams",                  FORM_WHOLE },
    };
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(record_form_of(str_of(want[i].type)), want[i].form);
    assert_int_equal(record_form_of(STR_NONE), FORM_WHOLE);
}

static void assert_whole(enum record_form form, const char *tail, const char *in, size_t bytes, unsigned records)
{
    unsigned n = 99;
    size_t got = record_whole(form, str_of(tail), str_of(in), &n);
    if (got != bytes || n != records)
        fail_msg("'%s' + '%s': %zu bytes, %u records; want %zu, %u", tail, in, got, n, bytes, records);
}

static void lines_end_at_the_last_newline(void **state)
{
    assert_whole(FORM_NDJSON, "", "", 0, 0);
    assert_whole(FORM_NDJSON, "", "{\"a\":1}", 0, 0);
    assert_whole(FORM_NDJSON, "", "{\"a\":1}\n", 8, 1);
    assert_whole(FORM_NDJSON, "{\"a\"", ":1}\n{}\n{\"b", 7, 2);
    assert_whole(FORM_NDJSON, "{}", "\n", 1, 1);
    assert_whole(FORM_NDJSON, "", "\n\n\n", 3, 3);
}

static void whole_bodies_end_with_the_body(void **state)
{
    assert_whole(FORM_WHOLE, "", "{}\n\n", 0, 0);
}

static void events_end_at_an_empty_line(void **state)
{
    assert_whole(FORM_SSE, "", "data: x\n", 0, 0);
    assert_whole(FORM_SSE, "", "data: x\n\n", 9, 1);
    assert_whole(FORM_SSE, "", "data: x\r\n\r\n", 11, 1);
    assert_whole(FORM_SSE, "", "data: x\r\r", 9, 1);
    assert_whole(FORM_SSE, "", "data: x\n\r\n", 10, 1);
    assert_whole(FORM_SSE, "", "data: x\r\n\n", 10, 1);
    assert_whole(FORM_SSE, "", "data: x\r\n\rdata", 10, 1);
    assert_whole(FORM_SSE, "", "event: a\ndata: x\n\n: ping\n\ndata: y\n", 26, 2);
    assert_whole(FORM_SSE, "", "data: a\r\n\r\ndata: b\n\ndata: c\r\rdata: d\n", 29, 3);
}

static void events_may_straddle_pushes(void **state)
{
    assert_whole(FORM_SSE, "a: x\n", "\n", 1, 1);
    assert_whole(FORM_SSE, "\n", "\n", 1, 1);
    assert_whole(FORM_SSE, "x\r\n", "\r\nmore", 2, 1);
    assert_whole(FORM_SSE, "x\r", "\n\r\nmore", 3, 1);
    assert_whole(FORM_SSE, "x\r", "\r", 1, 1);
    assert_whole(FORM_SSE, "x\r", "\n", 0, 0);
    assert_whole(FORM_SSE, "x\r", "\ndata: y\n", 0, 0);
    assert_whole(FORM_SSE, "dat", "a: x\n\n", 6, 1);
    assert_whole(FORM_SSE, "dat", "\n", 0, 0);
    assert_whole(FORM_SSE, "dat", "\n\n", 2, 1);
    assert_whole(FORM_SSE, "dat", "a\r", 0, 0);
}

static void empty_lines_between_events_pass_uncounted(void **state)
{
    assert_whole(FORM_SSE, "", "\n", 1, 0);
    assert_whole(FORM_SSE, "", "\ndata: x\n\n\n\ndata", 12, 1);
    assert_whole(FORM_SSE, "", "data: x\r\r\ndata", 10, 1);
    assert_whole(FORM_SSE, "", "\ndata", 1, 0);
}

/* Whatever the cuts, the same records are found. */
static void pushes_of_any_size_find_the_same(void **state)
{
    const struct str stream = STR("data: a\n\nevent: b\r\ndata: c\r\n\r\n: x\r\rdata: d\n\n\ndata: e\r\n\ndata: f");
    unsigned all;
    size_t bytes = record_whole(FORM_SSE, STR_NONE, stream, &all);
    assert_int_equal(all, 5);
    for (size_t step = 1; step < stream.n; step++) {
        unsigned n = 0, found;
        size_t given = 0;
        for (size_t at = 0; at < stream.n; at += step) {
            struct str in = str_take(str_drop(stream, at), step);
            struct str held = { stream.p + given, at - given };
            size_t end = record_whole(FORM_SSE, str_drop(held, held.n > 3 ? held.n - 3 : 0), in, &found);
            given = end ? at + end : given;
            n += found;
        }
        assert_int_equal(n, all);
        assert_int_equal(given, bytes);
    }
}

static void the_last_record_is_found(void **state)
{
    assert_int_equal(record_last(FORM_NDJSON, STR("{}\n{\"a\":1}\n")), 3);
    assert_int_equal(record_last(FORM_NDJSON, STR("{}\n")), 0);
    assert_int_equal(record_last(FORM_SSE, STR("data: x\n\ndata: y\n\n")), 9);
    assert_int_equal(record_last(FORM_SSE, STR("data: x\r\n\r\nevent: z\r\ndata: y\r\n\r\n\r\n")), 11);
    assert_int_equal(record_last(FORM_WHOLE, STR("{}")), 0);
    assert_int_equal(record_last(FORM_SSE, STR("")), 0);
}

/* looking: native */

#define HEAD "{\"model\":\"llama3.2\",\"created_at\":\"2026-08-01T10:00:00.123456789Z\","
#define CHAT HEAD "\"message\":{\"role\":\"assistant\",\"content\":\""
#define FINAL                                                                                                          \
    HEAD "\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\","               \
         "\"total_duration\":5000000000,\"load_duration\":1000000,\"prompt_eval_count\":26,"                           \
         "\"prompt_eval_duration\":130000000,\"eval_count\":259,\"eval_duration\":4232710000}\n"

static void ordinary_native_records_are_nothing(void **state)
{
    assert_int_equal(native(CHAT " the\"},\"done\":false}\n"), MARK_NONE);
    assert_int_equal(native(HEAD "\"response\":\" the\",\"done\":false}\n"), MARK_NONE);
    assert_int_equal(figures.total, -1);
    assert_int_equal(figures.reason, REASON_NONE);
}

static void the_final_native_record_is_proof_and_has_figures(void **state)
{
    assert_int_equal(native(FINAL), MARK_DONE);
    assert_int_equal(figures.total, 5000000000);
    assert_int_equal(figures.load, 1000000);
    assert_int_equal(figures.prompt_eval, 130000000);
    assert_int_equal(figures.eval, 4232710000);
    assert_int_equal(figures.prompt_tokens, 26);
    assert_int_equal(figures.output_tokens, 259);
    assert_int_equal(figures.reason, REASON_STOP);
    assert_int_equal(native(CHAT "a\"},\"done\":false}\n" FINAL), MARK_DONE);
    assert_int_equal(figures.output_tokens, 259);
}

static void members_in_any_order_and_spacing_are_read(void **state)
{
    assert_int_equal(native("{ \"done\" : true , \"done_reason\" : \"load\" }\n"), MARK_DONE);
    assert_int_equal(figures.reason, REASON_LOAD);
    assert_int_equal(native("{\"done\": true, \"model\": \"m\"}\n"), MARK_DONE);
    assert_int_equal(native("{\"done\":false,\"a\":1,\"done\":true}\n"), MARK_DONE);
    assert_int_equal(native("{\"done\":true,\"a\":1,\"done\":false}\n"), MARK_NONE);
}

static void absent_and_strange_figures_stay_unknown(void **state)
{
    assert_int_equal(native("{\"done\":true,\"eval_count\":-3,\"total_duration\":\"x\",\"load_duration\":1e99,"
                            "\"done_reason\":\"whim\"}\n"),
                     MARK_DONE);
    assert_int_equal(figures.output_tokens, -1);
    assert_int_equal(figures.total, -1);
    assert_int_equal(figures.load, -1);
    assert_int_equal(figures.reason, REASON_OTHER);
}

static void words_in_content_and_arguments_do_not_count(void **state)
{
    static const char *const innocent[] = {
        CHAT "{\\\"done\\\":true}\"},\"done\":false}\n",
        CHAT "{\\\"error\\\":\\\"x\\\"}\"},\"done\":false}\n",
        CHAT "error: \\\"status\\\":\\\"success\\\" [DONE]\"},\"done\":false}\n",
        HEAD "\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
             "\"arguments\":{\"done\":true,\"error\":\"x\",\"status\":\"success\"}}}]},\"done\":false}\n",
    };
    for (unsigned i = 0; i < ARRAY_LEN(innocent); i++)
        assert_int_equal(native(innocent[i]), MARK_NONE);
}

static void native_errors_are_told(void **state)
{
    assert_int_equal(native("{\"error\":\"an error was encountered: \\\"x\\\"\"}\n"), MARK_ERROR);
    assert_error("\"an error was encountered: \\\"x\\\"\"");
    assert_int_equal(native(CHAT "a\"},\"done\":false}\n{\"error\":\"first\"}\n{\"error\":\"second\"}\n" FINAL),
                     MARK_ERROR);
    assert_error("\"first\"");
    assert_int_equal(native("{\"error\":null,\"done\":false}\n"), MARK_NONE);
    assert_int_equal(native("{\"error\":\"\",\"done\":false}\n"), MARK_NONE);
    figures_clear(&figures);
    assert_int_equal(record_look(DIALECT_OLLAMA, FORM_NDJSON, STR("{\"error\":\"x\"}\n"), &figures, NULL), MARK_ERROR);
}

static void pulls_end_with_success(void **state)
{
    assert_int_equal(native("{\"status\":\"pulling manifest\"}\n"), MARK_NONE);
    assert_int_equal(native("{\"status\":\"pulling abc\",\"digest\":\"sha256:abc\",\"total\":5,\"completed\":5}\n"),
                     MARK_NONE);
    assert_int_equal(native("{\"status\":\"success\"}\n"), MARK_DONE);
}

static void broken_records_are_nothing(void **state)
{
    static const char *const broken[] = {
        "{\"done\":true\n",   "{\"done\":tru}\n",        "[\"done\"]\n", "\n", "done\n",
        "{\"error\":\"x\"\n", "{\"x\":{\"done\":true}\n"
    };
    for (unsigned i = 0; i < ARRAY_LEN(broken); i++)
        assert_int_equal(native(broken[i]), MARK_NONE);
    assert_int_equal(native(""), MARK_NONE);
}

/* looking: OpenAI */

#define CHUNK                                                                                                          \
    "data: "                                                                                                           \
    "{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"llama3.2\","     \
    "\"system_fingerprint\":\"fp_ollama\","
#define DELTA(text, reason)                                                                                            \
    CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"" text                            \
          "\"},\"finish_reason\":" reason "}]}\n\n"
#define USAGE "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\n"

static void ordinary_chunks_are_nothing(void **state)
{
    assert_int_equal(openai(DELTA(" the", "null")), MARK_NONE);
    assert_int_equal(openai(DELTA("", "null")), MARK_NONE);
    assert_int_equal(openai(": ping\n\n"), MARK_NONE);
    assert_int_equal(openai(DELTA("[DONE] data: [DONE] {\\\"error\\\":{}}", "null")), MARK_NONE);
    assert_int_equal(figures.reason, REASON_NONE);
}

static void done_is_the_proof_of_a_chunk_stream(void **state)
{
    assert_int_equal(openai("data: [DONE]\n\n"), MARK_DONE);
    assert_int_equal(openai("data:[DONE]\r\n\r\n"), MARK_DONE);
    assert_int_equal(openai(DELTA("", "\"length\"") CHUNK "\"choices\":[]," USAGE "data: [DONE]\n\n"), MARK_DONE);
    assert_int_equal(figures.reason, REASON_LENGTH);
    assert_int_equal(figures.prompt_tokens, 11);
    assert_int_equal(figures.output_tokens, 7);
    assert_int_equal(openai("data: [DONE]\n\n: ping\n\n"), MARK_DONE);
}

static void reasons_and_usage_are_found_where_they_come(void **state)
{
    assert_int_equal(openai(DELTA("", "\"tool_calls\"")), MARK_NONE);
    assert_int_equal(figures.reason, REASON_TOOLS);
    assert_int_equal(openai("data: {\"choices\": [{\"finish_reason\": \"stop\", \"index\": 0}], \"usage\": null}\n\n"),
                     MARK_NONE);
    assert_int_equal(figures.reason, REASON_STOP);
    assert_int_equal(openai(CHUNK "\"choices\":[]," USAGE), MARK_NONE);
    assert_int_equal(figures.output_tokens, 7);
}

static void chunk_errors_of_all_servers_are_told(void **state)
{
    assert_int_equal(openai("data: {\"error\":{\"message\":\"boom\",\"type\":\"api_error\"}}\n\n"), MARK_ERROR);
    assert_error("\"boom\"");
    assert_int_equal(openai("data: {\"error\":{\"code\":3}}\n\n"), MARK_ERROR);
    assert_error("{\"code\":3}");
    assert_int_equal(openai("data: {\"object\":\"error\",\"message\":\"flat\",\"code\":500}\n\n"), MARK_ERROR);
    assert_error("\"flat\"");
    assert_int_equal(openai("error: {\"code\":500,\"message\":\"bare\",\"type\":\"server_error\"}\n\n"), MARK_ERROR);
    assert_error("\"bare\"");
    assert_int_equal(openai("event: error\ndata: {\"message\":\"named\"}\n\n"), MARK_ERROR);
    assert_error("\"named\"");
    assert_int_equal(openai("event: error\ndata: ouch\n\n"), MARK_ERROR);
    assert_int_equal(error.kind, JSON_BAD);
}

static void done_after_an_error_is_an_error(void **state)
{
    assert_int_equal(openai("data: {\"error\":{\"message\":\"boom\"}}\n\ndata: [DONE]\n\n"), MARK_ERROR);
    assert_error("\"boom\"");
}

#define HOLLOW                                                                                                         \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":-62135596800,\"model\":\"\","       \
    "\"system_fingerprint\":\"fp_ollama\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","                \
    "\"content\":\"\"},\"finish_reason\":null}]}\n\n"

static void hollow_chunks_are_told(void **state)
{
    assert_int_equal(openai(HOLLOW), MARK_HOLLOW);
    assert_int_equal(openai(DELTA("a", "null") HOLLOW), MARK_HOLLOW);
    assert_int_equal(openai("data: {\"object\":\"text_completion\",\"model\":\"\",\"choices\":[{\"text\":\"\","
                            "\"index\":0,\"finish_reason\":null}]}\n\n"),
                     MARK_HOLLOW);
}

static void a_nameless_model_with_text_is_not_hollow(void **state)
{
    static const char *const solid[] = {
        "data: {\"model\":\"\",\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n",
        "data: {\"model\":\"\",\"choices\":[{\"text\":\"x\",\"finish_reason\":null}]}\n\n",
        "data: {\"model\":\"\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"model\":\"\",\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"c\"}]}}]}\n\n",
        "data: {\"model\":\"\",\"choices\":[]}\n\n",
    };
    for (unsigned i = 0; i < ARRAY_LEN(solid); i++)
        assert_int_equal(openai(solid[i]), MARK_NONE);
}

static void a_transcription_line_is_complete_by_itself(void **state)
{
    assert_int_equal(look(DIALECT_OPENAI, FORM_NDJSON, "{\"text\":\"hello\"}\n"), MARK_DONE);
    assert_int_equal(look(DIALECT_OPENAI, FORM_NDJSON, "{\"error\":{\"message\":\"x\"}}\n"), MARK_ERROR);
}

/* looking: Responses, Anthropic */

#define RESPONSE(type, rest)                                                                                           \
    "event: " type "\ndata: {\"type\":\"" type "\",\"sequence_number\":9,\"response\":{\"id\":\"resp_1\"," rest "}}"   \
    "\n\n"

static void responses_end_with_an_event(void **state)
{
    assert_int_equal(
        responses(RESPONSE("response.created", "\"status\":\"in_progress\",\"error\":null,\"usage\":null")), MARK_NONE);
    assert_int_equal(figures.reason, REASON_NONE);
    assert_int_equal(responses("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
                               "\"delta\":\"response.completed\",\"item_id\":\"msg_1\"}\n\n"),
                     MARK_NONE);
    assert_int_equal(responses(RESPONSE("response.completed", "\"status\":\"completed\",\"error\":null,"
                                                              "\"usage\":{\"input_tokens\":4,\"output_tokens\":9}")),
                     MARK_DONE);
    assert_int_equal(figures.prompt_tokens, 4);
    assert_int_equal(figures.output_tokens, 9);
    assert_int_equal(figures.reason, REASON_STOP);
    assert_int_equal(responses(RESPONSE("response.incomplete", "\"status\":\"incomplete\"")), MARK_DONE);
    assert_int_equal(figures.reason, REASON_LENGTH);
}

static void failed_responses_are_told(void **state)
{
    assert_int_equal(responses(RESPONSE("response.failed", "\"status\":\"failed\",\"error\":{\"code\":\"server_error\","
                                                           "\"message\":\"gone\"}")),
                     MARK_ERROR);
    assert_error("\"gone\"");
    assert_int_equal(responses(RESPONSE("response.failed", "\"status\":\"failed\"")), MARK_ERROR);
    assert_int_equal(responses("event: error\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"flat\"}\n\n"),
                     MARK_ERROR);
    assert_error("\"flat\"");
}

static void messages_end_with_message_stop(void **state)
{
    assert_int_equal(anthropic("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
                               "\"usage\":{\"input_tokens\":12,\"output_tokens\":0}}}\n\n"),
                     MARK_NONE);
    assert_int_equal(figures.prompt_tokens, 12);
    assert_int_equal(anthropic("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                               "\"delta\":{\"type\":\"text_delta\",\"text\":\"message_stop\"}}\n\n"),
                     MARK_NONE);
    assert_int_equal(anthropic("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
                               "\"tool_use\"},\"usage\":{\"input_tokens\":10,\"output_tokens\":33}}\n\n"
                               "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
                     MARK_DONE);
    assert_int_equal(figures.prompt_tokens, 10);
    assert_int_equal(figures.output_tokens, 33);
    assert_int_equal(figures.reason, REASON_TOOLS);
}

static void message_errors_are_told(void **state)
{
    assert_int_equal(anthropic("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                               "\"message\":\"Overloaded\"}}\n\n"),
                     MARK_ERROR);
    assert_error("\"Overloaded\"");
}

static void events_with_other_line_ends_are_read(void **state)
{
    assert_int_equal(anthropic("event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n"), MARK_DONE);
    assert_int_equal(anthropic("event: message_stop\rdata: {\"type\":\"message_stop\"}\r\r"), MARK_DONE);
    assert_int_equal(openai("id: 7\ndata:{\"error\":\"x\"}\n\n"), MARK_ERROR);
}

/* looking: whole bodies */

static void llama_servers_timings_are_durations(void **state)
{
    assert_int_equal(whole(DIALECT_OPENAI,
                           "{\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"completion_tokens\":9},"
                           "\"timings\":{\"prompt_n\":3,\"prompt_ms\":12.5,\"predicted_ms\":250}}"),
                     MARK_DONE);
    assert_int_equal(figures.prompt_eval, 12500000);
    assert_int_equal(figures.eval, 250000000);
    assert_int_equal(figures.total, -1);
    whole(DIALECT_OPENAI, "{\"choices\":[],\"timings\":{\"prompt_ms\":\"1\",\"predicted_ms\":-2}}");
    assert_int_equal(figures.prompt_eval, -1);
    assert_int_equal(figures.eval, -1);
    whole(DIALECT_OPENAI, "{\"choices\":[],\"timings\":7}");
    assert_int_equal(figures.eval, -1);
}

static void whole_native_answers(void **state)
{
    assert_int_equal(whole(DIALECT_OLLAMA, FINAL), MARK_DONE);
    assert_int_equal(figures.output_tokens, 259);
    assert_int_equal(whole(DIALECT_OLLAMA, "{\"model\":\"m\",\"response\":\"x\",\"done\":false}"), MARK_NONE);
    assert_int_equal(whole(DIALECT_OLLAMA, "{\"model\":\"m\",\"message\":{\"content\":\"x\"}}"), MARK_NONE);
    assert_int_equal(whole(DIALECT_OLLAMA, "{\"model\":\"m\",\"embeddings\":[[0.1]],\"total_duration\":14,"
                                           "\"load_duration\":1,\"prompt_eval_count\":8}"),
                     MARK_DONE);
    assert_int_equal(figures.prompt_tokens, 8);
    assert_int_equal(figures.total, 14);
    assert_int_equal(whole(DIALECT_OLLAMA, "{\"embedding\":[]}"), MARK_DONE);
    assert_int_equal(whole(DIALECT_OLLAMA, "{\"status\":\"success\"}"), MARK_DONE);
    assert_int_equal(whole(DIALECT_OLLAMA, "{\"status\":\"verifying\"}"), MARK_NONE);
    assert_int_equal(whole(DIALECT_OLLAMA, "{\"error\":\"no\"}"), MARK_ERROR);
    assert_error("\"no\"");
}

static void whole_answers_of_the_others(void **state)
{
    assert_int_equal(whole(DIALECT_OPENAI, "{\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,"
                                           "\"completion_tokens\":2}}"),
                     MARK_DONE);
    assert_int_equal(figures.prompt_tokens, 3);
    assert_int_equal(figures.output_tokens, 2);
    assert_int_equal(figures.reason, REASON_STOP);
    assert_int_equal(whole(DIALECT_OPENAI, "{\"error\":\"Unexpected endpoint or method. (GET /x)\"}"), MARK_ERROR);
    assert_int_equal(whole(DIALECT_ANTHROPIC, "{\"type\":\"message\",\"stop_reason\":\"max_tokens\",\"usage\":{"
                                              "\"input_tokens\":5,\"output_tokens\":6}}"),
                     MARK_DONE);
    assert_int_equal(figures.output_tokens, 6);
    assert_int_equal(figures.reason, REASON_LENGTH);
    assert_int_equal(whole(DIALECT_ANTHROPIC, "{\"type\":\"error\",\"error\":{\"message\":\"m\"}}"), MARK_ERROR);
    assert_int_equal(whole(DIALECT_RESPONSES, "{\"status\":\"completed\",\"error\":null,\"usage\":{"
                                              "\"input_tokens\":5,\"output_tokens\":6}}"),
                     MARK_DONE);
    assert_int_equal(figures.prompt_tokens, 5);
    assert_int_equal(whole(DIALECT_RESPONSES, "{\"status\":\"failed\",\"error\":{\"message\":\"m\"}}"), MARK_ERROR);
    assert_int_equal(whole(DIALECT_RESPONSES, "{\"status\":\"in_progress\"}"), MARK_NONE);
}

static void bodies_that_are_no_objects_prove_nothing(void **state)
{
    static const char *const bodies[] = { "", "null", "[]", "plain text", "{", "{\"done\":true", "\"x\"" };
    for (int d = DIALECT_OLLAMA; d <= DIALECT_OWN; d++)
        for (unsigned i = 0; i < ARRAY_LEN(bodies); i++)
            assert_int_equal(whole((enum dialect)d, bodies[i]), MARK_NONE);
    assert_int_equal(look(DIALECT_OLLAMA, FORM_WHOLE, "{\"done\":true}"), MARK_DONE);
}

/* refusals */

static void refusals_are_understood(void **state)
{
    static const struct {
        int status;
        enum said said;
        const char *body;
    } want[] = {
        {503,  SAID_BUSY,         "{\"error\":\"server busy, please try again.  maximum pending requests exceeded\"}"      },
        { 503, SAID_BUSY,         "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}"},
        { 503, SAID_FAILURE,      "<html>Service Unavailable</html>"                                                       },
        { 500, SAID_FAILURE,      "{\"error\":\"llama runner process has terminated: exit status 2\"}"                     },
        { 500, SAID_FAILURE,      "{\"error\":\"model requires more system memory (9 GiB) than is available\"}"            },
        { 500, SAID_FAILURE,      "{\"error\":\"timed out waiting for llama runner to start\"}"                            },
        { 500, SAID_FAILURE,      "{\"error\":\"something new\"}"                                                          },
        { 500, SAID_FAILURE,      ""                                                                                       },
        { 502, SAID_FAILURE,      "Bad Gateway"                                                                            },
        { 500, SAID_OWN_FAULT,    "{\"error\":\"option \\\"temperature\\\" must be of type float32\"}"                     },
        { 500, SAID_OWN_FAULT,    "{\"error\":\"template: :1:5: executing \\\"\\\" at \\u003c.X\\u003e: nil\"}"            },
        { 500, SAID_OWN_FAULT,    "{\"error\":\"invalid JSON schema in format\"}"                                          },
        { 500, SAID_OWN_FAULT,    "{\"error\":\"error parsing tool call: raw='{'\"}"                                       },
        { 404, SAID_NO_MODEL,     "{\"error\":\"model 'x' not found\"}"                                                    },
        { 404, SAID_NO_MODEL,     "{\"error\":\"model \\\"x\\\" not found, try pulling it first\"}"                        },
        { 404, SAID_NO_MODEL,     "{\"error\":{\"message\":\"The model `x` does not exist.\",\"code\":404}}"               },
        { 404, SAID_CLIENT_ERROR, "404 page not found"                                                                     },
        { 404, SAID_CLIENT_ERROR, "{\"error\":{\"message\":\"File Not Found\",\"type\":\"not_found_error\"}}"              },
        { 400, SAID_CLIENT_ERROR, "{\"error\":\"model is required\"}"                                                      },
        { 400, SAID_CLIENT_ERROR, "{\"error\":\"the input length exceeds the context length\"}"                            },
        { 400, SAID_FAILURE,      "{\"error\":\"do embedding request: Post \\\"http://127.0.0.1:4\\\": EOF\"}"             },
        { 401, SAID_CLIENT_ERROR, "{\"error\":\"unauthorized\"}"                                                           },
        { 403, SAID_CLIENT_ERROR, ""                                                                                       },
        { 429, SAID_CLIENT_ERROR, "{\"error\":\"server busy\"}"                                                            },
        { 200, SAID_CLIENT_ERROR, "{\"error\":\"Unexpected endpoint or method. (GET /x)\"}"                                },
        { 200, SAID_FAILURE,      "{\"error\":\"an error was encountered while running the model\"}"                       },
        { 200, SAID_OWN_FAULT,    "{\"error\":\"error parsing tool call: raw='{'\"}"                                       },
    };
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        if (record_said(want[i].status, str_of(want[i].body)) != want[i].said)
            fail_msg("%d %s: %d", want[i].status, want[i].body, record_said(want[i].status, str_of(want[i].body)));
    assert_int_equal(record_said(500, STR_NONE), SAID_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_is_in_the_content_type),
        cmocka_unit_test(lines_end_at_the_last_newline),
        cmocka_unit_test(whole_bodies_end_with_the_body),
        cmocka_unit_test(events_end_at_an_empty_line),
        cmocka_unit_test(events_may_straddle_pushes),
        cmocka_unit_test(empty_lines_between_events_pass_uncounted),
        cmocka_unit_test(pushes_of_any_size_find_the_same),
        cmocka_unit_test(the_last_record_is_found),
        cmocka_unit_test(ordinary_native_records_are_nothing),
        cmocka_unit_test(the_final_native_record_is_proof_and_has_figures),
        cmocka_unit_test(members_in_any_order_and_spacing_are_read),
        cmocka_unit_test(absent_and_strange_figures_stay_unknown),
        cmocka_unit_test(words_in_content_and_arguments_do_not_count),
        cmocka_unit_test(native_errors_are_told),
        cmocka_unit_test(pulls_end_with_success),
        cmocka_unit_test(broken_records_are_nothing),
        cmocka_unit_test(ordinary_chunks_are_nothing),
        cmocka_unit_test(done_is_the_proof_of_a_chunk_stream),
        cmocka_unit_test(reasons_and_usage_are_found_where_they_come),
        cmocka_unit_test(chunk_errors_of_all_servers_are_told),
        cmocka_unit_test(done_after_an_error_is_an_error),
        cmocka_unit_test(hollow_chunks_are_told),
        cmocka_unit_test(a_nameless_model_with_text_is_not_hollow),
        cmocka_unit_test(a_transcription_line_is_complete_by_itself),
        cmocka_unit_test(responses_end_with_an_event),
        cmocka_unit_test(failed_responses_are_told),
        cmocka_unit_test(messages_end_with_message_stop),
        cmocka_unit_test(message_errors_are_told),
        cmocka_unit_test(events_with_other_line_ends_are_read),
        cmocka_unit_test(whole_native_answers),
        cmocka_unit_test(whole_answers_of_the_others),
        cmocka_unit_test(llama_servers_timings_are_durations),
        cmocka_unit_test(bodies_that_are_no_objects_prove_nothing),
        cmocka_unit_test(refusals_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
