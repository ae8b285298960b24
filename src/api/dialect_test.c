#include "api/dialect.h"
#include "api/record.h"
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_text(struct text *t, const char *want)
{
    assert_int_equal(t->failed, OK);
    struct str got = text_str(t);
    if (!str_eq(got, str_of(want)))
        fail_msg("got  %.*s\nwant %s", STR_ARG(got), want);
    text_free(t);
    *t = (struct text){ 0 };
}

static void errors_speak_each_dialect(void **state)
{
    struct text t = { 0 };
    struct str message = STR("model 'a\"b' not found");
    dialect_error(&t, DIALECT_OLLAMA, 404, FAIL_model_not_found, message, STR("r1"));
    assert_text(&t, "{\"error\":\"model 'a\\\"b' not found\"}");
    dialect_error(&t, DIALECT_OWN, 404, FAIL_model_not_found, message, STR("r1"));
    assert_text(&t, "{\"error\":\"model 'a\\\"b' not found\",\"code\":\"model_not_found\"}");
    for (int d = DIALECT_OPENAI; d <= DIALECT_RESPONSES; d++) {
        dialect_error(&t, (enum dialect)d, 404, FAIL_model_not_found, message, STR("r1"));
        assert_text(&t, "{\"error\":{\"message\":\"model 'a\\\"b' not found\",\"type\":\"not_found_error\","
                        "\"param\":null,\"code\":null}}");
    }
    dialect_error(&t, DIALECT_ANTHROPIC, 404, FAIL_model_not_found, message, STR("req_1"));
    assert_text(&t, "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model 'a\\\"b' not "
                    "found\"},\"request_id\":\"req_1\"}");
}

static void an_empty_message_is_the_failures_sentence(void **state)
{
    struct text t = { 0 };
    dialect_error(&t, DIALECT_OLLAMA, 400, FAIL_model_required, STR_NONE, STR_NONE);
    assert_text(&t, "{\"error\":\"model is required\"}");
    dialect_error(&t, DIALECT_ANTHROPIC, 400, FAIL_model_required, STR(""), STR_NONE);
    assert_text(&t, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"model is "
                    "required\"}}");
}

static struct str type_in(struct text *t)
{
    struct json error = json_get(json_parse(text_str(t), NULL), STR("error"));
    struct json type = json_get(error, STR("type"));
    assert_int_equal(type.kind, JSON_STRING);
    return str_take(str_drop(type.raw, 1), type.raw.n - 2);
}

static void types_follow_the_status(void **state)
{
    static const struct {
        int status;
        const char *openai, *anthropic;
    } want[] = {
        {400,  "invalid_request_error", "invalid_request_error"},
        { 401, "api_error",             "authentication_error" },
        { 403, "api_error",             "permission_error"     },
        { 404, "not_found_error",       "not_found_error"      },
        { 429, "api_error",             "rate_limit_error"     },
        { 500, "api_error",             "api_error"            },
        { 502, "api_error",             "api_error"            },
        { 503, "api_error",             "overloaded_error"     },
        { 529, "api_error",             "overloaded_error"     },
    };
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        struct text o = { 0 }, a = { 0 };
        dialect_error(&o, DIALECT_OPENAI, want[i].status, FAIL_internal, STR("x"), STR_NONE);
        dialect_error(&a, DIALECT_ANTHROPIC, want[i].status, FAIL_internal, STR("x"), STR_NONE);
        assert_true(str_eq(type_in(&o), str_of(want[i].openai)));
        assert_true(str_eq(type_in(&a), str_of(want[i].anthropic)));
        text_free(&o);
        text_free(&a);
    }
}

static void records_end_a_stream_as_its_clients_expect(void **state)
{
    struct text t = { 0 };
    dialect_error_record(&t, DIALECT_OLLAMA, false, FAIL_upstream_cut, STR("cut"), STR("r"));
    assert_text(&t, "{\"error\":\"cut\"}\n");
    dialect_error_record(&t, DIALECT_OPENAI, true, FAIL_upstream_cut, STR("cut"), STR("r"));
    assert_text(&t, "data: {\"error\":{\"message\":\"cut\",\"type\":\"api_error\",\"param\":null,\"code\":null}}\n\n");
    dialect_error_record(&t, DIALECT_ANTHROPIC, true, FAIL_upstream_cut, STR("cut"), STR("r"));
    assert_text(&t, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"cut\"},"
                    "\"request_id\":\"r\"}\n\n");
    dialect_error_record(&t, DIALECT_RESPONSES, true, FAIL_upstream_cut, STR("cut"), STR("r"));
    assert_text(&t, "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"object\":\"response\","
                    "\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"cut\"}},\"error\":{"
                    "\"message\":\"cut\",\"type\":\"api_error\",\"param\":null,\"code\":null}}\n\n");
}

static void our_own_records_are_read_back_as_errors(void **state)
{
    for (int d = DIALECT_OLLAMA; d <= DIALECT_OWN; d++)
        for (int sse = 0; sse <= 1; sse++) {
            struct text t = { 0 };
            struct figures f;
            struct json error;
            unsigned records;
            enum record_form form = sse ? FORM_SSE : FORM_NDJSON;
            figures_clear(&f);
            dialect_error_record(&t, (enum dialect)d, sse, FAIL_upstream_cut, STR("cut\r\n\r\n{here}"), STR("r\n"));
            assert_int_equal(record_whole(form, STR_NONE, text_str(&t), &records), text_str(&t).n);
            assert_int_equal(records, 1);
            assert_int_equal(record_look((enum dialect)d, form, text_str(&t), &f, &error), MARK_ERROR);
            assert_int_equal(error.kind, JSON_STRING);
            assert_true(str_eq(error.raw, STR("\"cut\\r\\n\\r\\n{here}\"")));
            text_free(&t);
        }
}

static void memory_that_is_out_shows(void **state)
{
    struct text t = { 0 };
    memory_fail_at(1);
    dialect_error(&t, DIALECT_ANTHROPIC, 500, FAIL_internal, STR("x"), STR("r"));
    memory_fail_at(0);
    assert_int_equal(t.failed, FAIL_no_memory);
    text_free(&t);
}

static void names_and_types(void **state)
{
    assert_true(str_eq(dialect_name(DIALECT_RESPONSES), STR("responses")));
    assert_true(str_eq(dialect_name(DIALECT_OWN), STR("own")));
    for (int d = DIALECT_OLLAMA; d <= DIALECT_OWN; d++) {
        bool utf8 = d == DIALECT_OLLAMA || d == DIALECT_OWN;
        assert_true(str_eq(dialect_error_type((enum dialect)d),
                           utf8 ? STR("application/json; charset=utf-8") : STR("application/json")));
    }
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    assert_int_equal(buf_bytes_live(), 0);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_speak_each_dialect),
        cmocka_unit_test(an_empty_message_is_the_failures_sentence),
        cmocka_unit_test(types_follow_the_status),
        cmocka_unit_test(records_end_a_stream_as_its_clients_expect),
        cmocka_unit_test(our_own_records_are_read_back_as_errors),
        cmocka_unit_test(memory_that_is_out_shows),
        cmocka_unit_test(names_and_types),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
