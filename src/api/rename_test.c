/* api/rename_test.c - every shape in which an answer names its model, in one piece and in pieces. */
#include "api/rename.h"
#include "base/slab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int set_up(void **state)
{
    buf_pools_init();
    return 0;
}

static int tear_down(void **state)
{
    buf_pools_done();
    return 0;
}

static void pass_in(size_t step, enum dialect d, enum record_form form, struct str in, struct text *all)
{
    struct rename r;
    rename_init(&r, d, form, STR("\"gpt-4o\""));
    for (; in.n; in = str_drop(in, step)) {
        struct text piece = { 0 };
        struct str is = rename_take(&r, str_take(in, step), &piece);
        text_put(all, is);
        text_free(&piece);
    }
}

static void becomes(enum dialect d, enum record_form form, const char *in, const char *want)
{
    for (size_t step = 1; step <= strlen(in) + 1; step++) {
        struct text all = { 0 };
        pass_in(step, d, form, str_of(in), &all);
        if (!str_eq(text_str(&all), str_of(want)))
            fail_msg("in pieces of %zu: %.*s\ninstead of %s", step, STR_ARG(text_str(&all)), want);
        text_free(&all);
    }
}

static void stays(enum dialect d, enum record_form form, const char *in)
{
    becomes(d, form, in, in);
}

static void native_records_are_renamed(void **state)
{
    becomes(DIALECT_OLLAMA, FORM_NDJSON,
            "{\"model\":\"qwen3:8b\",\"created_at\":\"x\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"},"
            "\"done\":false}\n{\"model\":\"qwen3:8b\",\"response\":\"\",\"done\":true,\"context\":[1,2]}\n",
            "{\"model\":\"gpt-4o\",\"created_at\":\"x\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"},"
            "\"done\":false}\n{\"model\":\"gpt-4o\",\"response\":\"\",\"done\":true,\"context\":[1,2]}\n");
    becomes(DIALECT_OLLAMA, FORM_WHOLE, "{\"model\":\"m\",\"embeddings\":[[0.5]],\"total_duration\":1}",
            "{\"model\":\"gpt-4o\",\"embeddings\":[[0.5]],\"total_duration\":1}");
    stays(DIALECT_OLLAMA, FORM_WHOLE, "{\"embedding\":[0.5,1]}");
}

static void what_a_model_says_about_models_stays(void **state)
{
    stays(DIALECT_OLLAMA, FORM_NDJSON, "{\"message\":{\"model\":\"m\",\"content\":\"\\\"model\\\":\\\"m\\\"\"}}\n");
    stays(DIALECT_OLLAMA, FORM_NDJSON,
          "{\"message\":{\"tool_calls\":[{\"function\":{\"arguments\":{\"model\":\"m\"}}}]},\"done\":false}\n");
    stays(DIALECT_OPENAI, FORM_WHOLE,
          "{\"choices\":[{\"model\":\"m\"},\"model\",\":\",\"m\"],\"a\":[\"model\",\"m\"]}");
    stays(DIALECT_OLLAMA, FORM_WHOLE, "[{\"model\":\"m\"}]");
    stays(DIALECT_OLLAMA, FORM_WHOLE, "{\"a\":\"model\",\"b\":\"m\",\"modell\":\"m\",\"mode\":\"l\",\"\":\"m\"}");
    stays(DIALECT_OLLAMA, FORM_WHOLE, "{\"models\":[],\"my_very_long_key\":\"m\"}");
    becomes(DIALECT_OLLAMA, FORM_NDJSON, "{\"response\":\"} \\\\\",\"model\":\"m\"}\n",
            "{\"response\":\"} \\\\\",\"model\":\"gpt-4o\"}\n");
}

static void chunks_of_openai_are_renamed(void **state)
{
    becomes(DIALECT_OPENAI, FORM_SSE,
            "data: {\"id\":\"chatcmpl-1\",\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
            "data: {\"id\":\"chatcmpl-1\",\"model\" : \"m\",\"choices\":[]}\n\ndata: [DONE]\n\n",
            "data: {\"id\":\"chatcmpl-1\",\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
            "data: {\"id\":\"chatcmpl-1\",\"model\" : \"gpt-4o\",\"choices\":[]}\n\ndata: [DONE]\n\n");
    becomes(DIALECT_OPENAI, FORM_WHOLE, "{\n  \"data\": [{\"embedding\": [1]}],\n  \"model\": \"m\"\n}\n",
            "{\n  \"data\": [{\"embedding\": [1]}],\n  \"model\": \"gpt-4o\"\n}\n");
}

static void events_of_anthropic_are_renamed(void **state)
{
    becomes(
        DIALECT_ANTHROPIC, FORM_SSE,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\","
        "\"model\":\"m\",\"content\":[{\"model\":\"m\"}]}}\n\nevent: message_stop\ndata: "
        "{\"type\":\"message_stop\"}\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\","
        "\"model\":\"gpt-4o\",\"content\":[{\"model\":\"m\"}]}}\n\nevent: message_stop\ndata: "
        "{\"type\":\"message_stop\"}\n\n");
    becomes(DIALECT_ANTHROPIC, FORM_WHOLE, "{\"type\":\"message\",\"model\":\"m\",\"content\":[]}",
            "{\"type\":\"message\",\"model\":\"gpt-4o\",\"content\":[]}");
}

static void events_of_responses_are_renamed(void **state)
{
    becomes(DIALECT_RESPONSES, FORM_SSE,
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"tools\":[],"
            "\"model\":\"m\"},\"sequence_number\":0}\n\n",
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"tools\":[],"
            "\"model\":\"gpt-4o\"},\"sequence_number\":0}\n\n");
    becomes(DIALECT_RESPONSES, FORM_WHOLE, "{\"object\":\"response\",\"model\":\"m\",\"output\":[{\"model\":\"m\"}]}",
            "{\"object\":\"response\",\"model\":\"gpt-4o\",\"output\":[{\"model\":\"m\"}]}");
}

static void lines_end_as_they_like(void **state)
{
    becomes(DIALECT_OPENAI, FORM_SSE,
            ": a \"comment {\r\n\r\ndata:{\"model\":\"m\"}\r\n\r\nid: {\"\r\rdata:{\"model\":\"m\"}\r\r",
            ": a \"comment {\r\n\r\ndata:{\"model\":\"gpt-4o\"}\r\n\r\nid: {\"\r\rdata:{\"model\":\"gpt-4o\"}\r\r");
    becomes(DIALECT_OPENAI, FORM_SSE,
            "data: {\"a\":1,\r\ndata: \"model\":\r\ndata: \"m\"}\r\n\r\ndata: {\"model\":\"m\"}\n\n",
            "data: {\"a\":1,\r\ndata: \"model\":\r\ndata: \"gpt-4o\"}\r\n\r\ndata: {\"model\":\"gpt-4o\"}\n\n");
}

static void a_broken_record_spoils_no_other(void **state)
{
    becomes(
        DIALECT_OLLAMA, FORM_NDJSON,
        "{\"response\":\"cut\n{\"model\":\"m\"}\n{\"a\":{\n{\"model\":\"m\"}\n}}]\n{\"model\":\"m\"}\n",
        "{\"response\":\"cut\n{\"model\":\"gpt-4o\"}\n{\"a\":{\n{\"model\":\"gpt-4o\"}\n}}]\n{\"model\":\"gpt-4o\"}\n");
    becomes(DIALECT_OPENAI, FORM_SSE, "data: not \"json\n\ndata: {\"a\":[\n\ndata: {\"model\":\"m\"}\n\n",
            "data: not \"json\n\ndata: {\"a\":[\n\ndata: {\"model\":\"gpt-4o\"}\n\n");
    becomes(DIALECT_OLLAMA, FORM_NDJSON, "{\"model\":\"m\n{\"model\":\"m\"}\n",
            "{\"model\":\"\n{\"model\":\"gpt-4o\"}\n");
    becomes(DIALECT_OLLAMA, FORM_NDJSON, "{\"a\":\"\\\n{\"model\":\"m\"}\n", "{\"a\":\"\\\n{\"model\":\"gpt-4o\"}\n");
}

static void a_name_that_is_no_text_or_empty_stays(void **state)
{
    stays(DIALECT_OPENAI, FORM_SSE, "data: {\"model\":\"\",\"choices\":[]}\n\n");
    stays(DIALECT_OLLAMA, FORM_NDJSON, "{\"model\":null}\n{\"model\":5}\n{\"model\":{\"model\":\"m\"}}\n");
    becomes(DIALECT_OLLAMA, FORM_NDJSON, "{\"model\":\"\\u0061\\\"\"}\n{\"model\":\"\\n\"}\n",
            "{\"model\":\"gpt-4o\"}\n{\"model\":\"gpt-4o\"}\n");
}

static void what_needs_no_change_is_not_copied(void **state)
{
    struct rename r;
    struct text out = { 0 };
    struct str in = STR("{\"response\":\"a\"}\n");
    rename_init(&r, DIALECT_OLLAMA, FORM_NDJSON, STR("\"x\""));
    assert_ptr_equal(rename_take(&r, in, &out).p, in.p);
    assert_ptr_equal(rename_take(&r, STR_NONE, &out).p, NULL);
    assert_int_equal(text_str(&out).n, 0);
    text_free(&out);
}

static void memory_may_be_out(void **state)
{
    struct rename r;
    struct text out = { 0 };
    rename_init(&r, DIALECT_OLLAMA, FORM_NDJSON, STR("\"x\""));
    memory_fail_at(1);
    struct str is = rename_take(&r, STR("{\"model\":\"m\"}\n"), &out);
    memory_fail_at(0);
    assert_null(is.p);
    assert_int_equal(out.failed, FAIL_no_memory);
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_records_are_renamed),         cmocka_unit_test(what_a_model_says_about_models_stays),
        cmocka_unit_test(chunks_of_openai_are_renamed),       cmocka_unit_test(events_of_anthropic_are_renamed),
        cmocka_unit_test(events_of_responses_are_renamed),    cmocka_unit_test(lines_end_as_they_like),
        cmocka_unit_test(a_broken_record_spoils_no_other),    cmocka_unit_test(a_name_that_is_no_text_or_empty_stays),
        cmocka_unit_test(what_needs_no_change_is_not_copied), cmocka_unit_test(memory_may_be_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
