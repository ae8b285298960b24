/* api/peek_test.c - what the gateway must know of a body, said before it looks. */
#include "api/peek.h"
#include "base/slab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct peek p;
static struct str detail;

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

static enum fail peek(enum route_id id, const char *body)
{
    return peek_body(route_row(id), str_of(body), &arena, &p, &detail);
}

static void look(enum route_id id, const char *body)
{
    enum fail f = peek(id, body);
    if (f)
        fail_msg("%s: %.*s: %.*s", body, STR_ARG(fail_name(f)), STR_ARG(detail));
}

static void expect(struct str is, const char *want)
{
    if (!str_eq(is, str_of(want)))
        fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(is), want);
}

static void refuses(enum route_id id, const char *body, enum fail why, const char *words)
{
    if (peek(id, body) != why)
        fail_msg("not refused: %s", body);
    expect(detail, words);
}

/* --- the model --- */

static void finds_the_model(void **state)
{
    static const struct {
        enum route_id route;
        const char *body, *model, *raw;
    } rows[] = {
        {ROUTE_chat,          "{\"model\":\"llama3\"}",                                                  "llama3", "\"llama3\""      },
        { ROUTE_chat,         " {\"x\":{\"model\":\"no\"},\"MODEL\" : \"a\" } {\"model\":\"trailing\"}", "a",      "\"a\""           },
        { ROUTE_chat,         "{\"model\":\"a\",\"Model\":\"b\"}",                                       "b",      "\"b\""           },
        { ROUTE_chat,         "{\"model\":\"a\",\"\\u006d\\u006Fdel\":\"b\"}",                           "b",      "\"b\""           },
        { ROUTE_chat,         "{\"model\":\"a\",\"model\":null}",                                        "a",      "\"a\""           },
        { ROUTE_chat,         "{\"model\":\"a\",\"model\":\"\"}",                                        "",       "\"\""            },
        { ROUTE_chat,         "{\"model\":\"a\\u002fb\\n\"}",                                            "a/b\n",  "\"a\\u002fb\\n\""},
        { ROUTE_chat,         "{\"name\":\"x\"}",                                                        "",       ""                },
        { ROUTE_chat,         "{\"name\":5}",                                                            "",       ""                },
        { ROUTE_chat,         "{}",                                                                      "",       ""                },
        { ROUTE_v1_chat,      "{\"model\":\"m\",\"source\":\"s\"}",                                      "m",      "\"m\""           },
        { ROUTE_v1_messages,  "{\"model\":\"m\"}",                                                       "m",      "\"m\""           },
        { ROUTE_v1_responses, "{\"model\":\"m\"}",                                                       "m",      "\"m\""           },
        { ROUTE_show,         "{\"name\":\"x\"}",                                                        "x",      "\"x\""           },
        { ROUTE_show,         "{\"model\":\"m\",\"name\":\"x\"}",                                        "m",      "\"m\""           },
        { ROUTE_pull,         "{\"model\":\"x\",\"name\":\"\"}",                                         "x",      "\"x\""           },
        { ROUTE_pull,         "{\"model\":\"\",\"name\":\"x\"}",                                         "x",      "\"x\""           },
        { ROUTE_pull,         "{\"model\":\"\",\"name\":\"\"}",                                          "",       "\"\""            },
        { ROUTE_delete,       "{\"model\":\"\"}",                                                        "",       "\"\""            },
        { ROUTE_copy,         "{\"source\":\"s\",\"destination\":\"d\",\"model\":7}",                    "s",      "\"s\""           },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        look(rows[i].route, rows[i].body);
        expect(p.model, rows[i].model);
        expect(p.model_raw, rows[i].raw);
    }
    look(ROUTE_chat, "{\"stream\":true}");
    assert_null(p.model_raw.p);
}

static void plain_names_stay_in_the_body(void **state)
{
    const char *body = "{\"model\":\"m\"}";
    look(ROUTE_chat, body);
    assert_ptr_equal(p.model.p, body + 10);
    assert_ptr_equal(p.model_raw.p, body + 9);
}

static void reads_copy_and_create(void **state)
{
    look(ROUTE_copy, "{\"source\":\"s\",\"Destination\":\"d\\u0031\"}");
    expect(p.destination, "d1");
    look(ROUTE_create, "{\"model\":\"n\",\"from\":\"base\",\"files\":{\"a\":\"sha256:1\"},\"adapters\":{}}");
    expect(p.from, "base");
    expect(p.files.raw, "{\"a\":\"sha256:1\"}");
    assert_int_equal(p.adapters.kind, JSON_OBJECT);
    look(ROUTE_pull, "{\"model\":\"n\",\"from\":5}");
    assert_null(p.from.p);
}

static void refuses_what_is_no_body(void **state)
{
    refuses(ROUTE_chat, "", FAIL_missing_body, "missing request body");
    refuses(ROUTE_chat, " \r\n", FAIL_missing_body, "missing request body");
    refuses(ROUTE_v1_chat, "", FAIL_missing_body, "EOF");
    refuses(ROUTE_v1_messages, "\n", FAIL_missing_body, "EOF");
    refuses(ROUTE_chat, "{\"model\":\"m\"", FAIL_bad_json, "unexpected EOF");
    refuses(ROUTE_chat, "{\"model\":\"m", FAIL_bad_json, "unexpected EOF");
    refuses(ROUTE_chat, "{\"messages\":[{\"content\":\"\\\"", FAIL_bad_json, "unexpected EOF");
    refuses(ROUTE_chat, "{\"messages\":[}", FAIL_bad_json, "invalid character '}' at byte 13 of the JSON body");
    refuses(ROUTE_chat, "hello", FAIL_bad_json, "invalid character 'h' at byte 0 of the JSON body");
    refuses(ROUTE_chat, "{\"a\":\001}", FAIL_bad_json, "invalid character '\\x01' at byte 5 of the JSON body");
    refuses(ROUTE_chat, "[1]", FAIL_bad_json, "json: cannot unmarshal array into Go value of type object");
    refuses(ROUTE_chat, "[1", FAIL_bad_json, "unexpected EOF");
    refuses(ROUTE_chat, "null", FAIL_bad_json, "json: cannot unmarshal null into Go value of type object");
    refuses(ROUTE_chat, "\"model\"", FAIL_bad_json, "json: cannot unmarshal string into Go value of type object");
}

static void refuses_wrong_types_where_it_must_read(void **state)
{
    refuses(ROUTE_chat, "{\"model\":5}", FAIL_bad_json,
            "json: cannot unmarshal number into Go struct field .model of type string");
    refuses(ROUTE_chat, "{\"model\":{},\"model\":\"m\"}", FAIL_bad_json,
            "json: cannot unmarshal object into Go struct field .model of type string");
    refuses(ROUTE_show, "{\"name\":[]}", FAIL_bad_json,
            "json: cannot unmarshal array into Go struct field .name of type string");
    refuses(ROUTE_copy, "{\"destination\":true}", FAIL_bad_json,
            "json: cannot unmarshal bool into Go struct field .destination of type string");
    refuses(ROUTE_v1_chat, "{\"stream\":\"yes\"}", FAIL_bad_json,
            "json: cannot unmarshal string into Go struct field .stream of type bool");
    refuses(ROUTE_chat, "{\"model\":\"a\\qb\"}", FAIL_bad_json, "invalid character in string literal of \"model\"");
    refuses(ROUTE_chat, "{\"model\":\"a\nb\"}", FAIL_bad_json, "invalid character in string literal of \"model\"");
    look(ROUTE_chat, "{\"messages\":5,\"options\":\"x\",\"tools\":1,\"keep_alive\":[]}");
    assert_int_equal(p.options.kind, JSON_BAD);
    assert_false(p.has_tools || p.empty_prompt);
    look(ROUTE_chat, "{\"options\":[{\"seed\":1}]}");
    assert_int_equal(p.seed.kind, JSON_BAD);
}

/* --- how it is to be answered --- */

static enum tri stream_of(enum route_id id, const char *body)
{
    look(id, body);
    return p.stream;
}

static void null_counts_as_the_go_field_has_it(void **state)
{
    assert_int_equal(stream_of(ROUTE_chat, "{}"), TRI_UNSET);
    assert_int_equal(stream_of(ROUTE_chat, "{\"stream\":false}"), TRI_FALSE);
    assert_int_equal(stream_of(ROUTE_chat, "{\"\xc5\xbftream\":true}"), TRI_TRUE);
    assert_int_equal(stream_of(ROUTE_chat, "{\"stream\":false,\"stream\":null}"), TRI_UNSET);
    assert_int_equal(stream_of(ROUTE_v1_chat, "{\"stream\":true,\"stream\":null}"), TRI_TRUE);
    assert_int_equal(stream_of(ROUTE_v1_messages, "{\"stream\":true,\"stream\":null}"), TRI_TRUE);
    assert_int_equal(stream_of(ROUTE_v1_responses, "{\"stream\":true,\"stream\":null}"), TRI_UNSET);
    look(ROUTE_generate,
         "{\"keep_alive\":0,\"keep_alive\":null,\"prompt\":\"p\",\"prompt\":null,\"raw\":true,\"raw\":null}");
    assert_int_equal(p.keep_alive.kind, JSON_BAD);
    expect(p.prompt.raw, "\"p\"");
    assert_true(p.raw);
}

static void options_are_native(void **state)
{
    look(ROUTE_chat, "{\"temperature\":1,\"max_tokens\":4,\"options\":{\"temperature\":0,\"seed\":3,\"num_ctx\":8192,"
                     "\"num_predict\":64}}");
    expect(p.temperature.raw, "0");
    expect(p.seed.raw, "3");
    expect(p.num_ctx.raw, "8192");
    assert_int_equal(p.max_tokens, 64);
    look(ROUTE_v1_chat, "{\"temperature\":1,\"seed\":2,\"max_tokens\":4,\"keep_alive\":0,\"options\":{\"temperature\":"
                        "0,\"num_predict\":64}}");
    expect(p.temperature.raw, "1");
    expect(p.seed.raw, "2");
    assert_int_equal(p.max_tokens, 4);
    assert_int_equal(p.options.kind, JSON_BAD);
    assert_int_equal(p.keep_alive.kind, JSON_BAD);
    look(ROUTE_v1_responses, "{\"max_output_tokens\":9,\"max_tokens\":4,\"temperature\":null}");
    assert_int_equal(p.max_tokens, 9);
    assert_int_equal(p.temperature.kind, JSON_BAD);
}

static void options_merge_and_match_to_the_letter(void **state)
{
    look(ROUTE_chat, "{\"options\":{\"temperature\":0,\"seed\":1},\"Options\":{\"seed\":2,\"Temperature\":1}}");
    expect(p.temperature.raw, "0");
    expect(p.seed.raw, "2");
    expect(p.options.raw, "{\"seed\":2,\"Temperature\":1}");
    look(ROUTE_chat, "{\"options\":{\"temperature\":0},\"options\":null,\"options\":{\"s\\u0065ed\":2}}");
    assert_int_equal(p.temperature.kind, JSON_BAD);
    expect(p.seed.raw, "2");
    look(ROUTE_chat, "{\"options\":{\"temperature\":0,\"temperature\":null}}");
    assert_int_equal(p.temperature.kind, JSON_BAD);
}

static uint32_t tokens_of(const char *options)
{
    struct text t = { 0 };
    text_printf(&t, "{\"options\":{\"num_predict\":%s}}", options);
    assert_int_equal(peek_body(route_row(ROUTE_generate), text_str(&t), &arena, &p, &detail), OK);
    text_free(&t);
    return p.max_tokens;
}

static void token_limits_are_whole_and_positive(void **state)
{
    assert_int_equal(tokens_of("128"), 128);
    assert_int_equal(tokens_of("1e3"), 1000);
    assert_int_equal(tokens_of("-1"), 0);
    assert_int_equal(tokens_of("1.5"), 0);
    assert_int_equal(tokens_of("\"128\""), 0);
    assert_int_equal(tokens_of("99999999999"), UINT32_MAX);
}

static void finds_the_format_of_each_dialect(void **state)
{
    look(ROUTE_chat, "{\"format\":\"json\",\"response_format\":1}");
    expect(p.format.raw, "\"json\"");
    look(ROUTE_v1_chat, "{\"format\":\"json\",\"response_format\":{\"type\":\"json_object\"}}");
    expect(p.format.raw, "{\"type\":\"json_object\"}");
    look(ROUTE_v1_responses, "{\"text\":{\"format\":{\"type\":\"text\"}}}");
    expect(p.format.raw, "{\"type\":\"text\"}");
    look(ROUTE_v1_responses, "{\"text\":{\"format\":null}}");
    assert_int_equal(p.format.kind, JSON_BAD);
    look(ROUTE_v1_messages, "{\"format\":\"json\",\"response_format\":{}}");
    assert_int_equal(p.format.kind, JSON_BAD);
}

static void notes_usage_and_thinking(void **state)
{
    look(ROUTE_v1_chat, "{\"stream_options\":{\"Include_Usage\":true}}");
    assert_true(p.wants_usage && !p.think_set);
    look(ROUTE_chat, "{\"stream_options\":{\"include_usage\":true},\"think\":false}");
    assert_true(!p.wants_usage && p.think_set);
    look(ROUTE_v1_chat, "{\"stream_options\":{\"include_usage\":false},\"reasoning_effort\":\"low\"}");
    assert_true(!p.wants_usage && p.think_set);
    look(ROUTE_v1_messages, "{\"thinking\":{\"type\":\"enabled\"}}");
    assert_true(p.think_set);
    look(ROUTE_v1_responses, "{\"reasoning\":{}}");
    assert_true(p.think_set);
    look(ROUTE_chat, "{\"think\":null,\"thinking\":true}");
    assert_false(p.think_set);
}

static void notes_tools(void **state)
{
    look(ROUTE_chat, "{\"tools\":[{}]}");
    assert_true(p.has_tools);
    look(ROUTE_chat, "{\"tools\":[ ]}");
    assert_false(p.has_tools);
    look(ROUTE_chat, "{\"tools\":[{}],\"tools\":null}");
    assert_false(p.has_tools);
    look(ROUTE_v1_messages, "{\"tools\":[{\"name\":\"f\"}]}");
    assert_true(p.has_tools);
}

/* --- how much there is to do --- */

static bool empty(enum route_id id, const char *body)
{
    look(id, body);
    return p.empty_prompt;
}

static void tells_loading_from_asking(void **state)
{
    assert_true(empty(ROUTE_generate, "{\"model\":\"m\",\"keep_alive\":0}"));
    assert_true(empty(ROUTE_generate, "{\"prompt\":\"\"}"));
    assert_true(empty(ROUTE_generate, "{\"prompt\":\"x\",\"PROMPT\":\"\"}"));
    assert_true(empty(ROUTE_generate, "{\"messages\":[{}]}"));
    assert_false(empty(ROUTE_generate, "{\"prompt\":\" \"}"));
    assert_true(empty(ROUTE_chat, "{\"prompt\":\"x\"}"));
    assert_true(empty(ROUTE_chat, "{\"messages\":[\n]}"));
    assert_true(empty(ROUTE_chat, "{\"messages\":[{}],\"messages\":null}"));
    assert_false(empty(ROUTE_chat, "{\"messages\":[{}]}"));
    assert_false(empty(ROUTE_v1_chat, "{\"messages\":[]}"));
    assert_false(empty(ROUTE_embed, "{}"));
}

static uint32_t inputs(enum route_id id, const char *body)
{
    look(id, body);
    return p.inputs;
}

static void counts_inputs(void **state)
{
    assert_int_equal(inputs(ROUTE_embed, "{\"input\":\"a\"}"), 1);
    assert_int_equal(inputs(ROUTE_embed, "{\"input\":\"\"}"), 0);
    assert_int_equal(inputs(ROUTE_embed, "{}"), 0);
    assert_int_equal(inputs(ROUTE_embed, "{\"input\":[\"a\",\"\",\"c\"]}"), 3);
    assert_int_equal(inputs(ROUTE_embed, "{\"input\":[]}"), 0);
    assert_int_equal(inputs(ROUTE_v1_embeddings, "{\"input\":\"\"}"), 1);
    assert_int_equal(inputs(ROUTE_v1_embeddings, "{\"input\":[1,2,3]}"), 1);
    assert_int_equal(inputs(ROUTE_v1_embeddings, "{\"input\":[[1,2],[3]]}"), 2);
    assert_int_equal(inputs(ROUTE_embeddings, "{\"prompt\":\"a\"}"), 1);
    assert_int_equal(inputs(ROUTE_v1_responses, "{\"input\":[\"a\"]}"), 0);
}

static bool images(enum route_id id, const char *body)
{
    look(id, body);
    return p.has_images;
}

static void notices_images(void **state)
{
    assert_true(images(ROUTE_generate, "{\"prompt\":\"p\",\"images\":[\"aGk=\"]}"));
    assert_false(images(ROUTE_generate, "{\"prompt\":\"images\",\"images\":[]}"));
    assert_true(images(ROUTE_chat, "{\"messages\":[{\"role\":\"user\"},{\"content\":\"\",\"Images\":[\"aGk=\"]}]}"));
    assert_false(
        images(ROUTE_chat, "{\"messages\":[{\"content\":\"\\\"images\\\":[1]\",\"images\":[]},{\"images\":null}]}"));
    assert_true(images(ROUTE_v1_chat,
                       "{\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}}]}]}"));
    assert_false(images(ROUTE_v1_chat, "{\"messages\":[{\"content\":[{\"type\":\"image_url\"}],\"images\":[1]}]}"));
    assert_true(
        images(ROUTE_v1_messages, "{\"messages\":[{\"content\":[{\"type\":\"image\",\"source\":{\"data\":\"\"}}]}]}"));
    assert_true(
        images(ROUTE_v1_messages, "{\"messages\":[{\"content\":[{\"content\":[{\"source\":{\"data\":\"\"}}]}]}]}"));
    assert_true(
        images(ROUTE_v1_responses, "{\"input\":[{\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:\"}]}]}"));
}

static void measures_what_becomes_the_prompt(void **state)
{
    look(ROUTE_generate, "{\"prompt\":\"12345678\",\"system\":\"1234\",\"template\":\"xxx\"}");
    assert_int_equal(p.text_bytes, 10 + 6);
    look(ROUTE_chat, "{\"messages\":[{\"content\":\"hi\",\"images\":[\"aGk=\"]}],\"tools\":[{}]}");
    assert_int_equal(p.text_bytes, strlen("[{\"content\":\"hi\",\"images\":}]") + 4);
    look(ROUTE_v1_responses, "{\"input\":\"12\",\"instructions\":\"34\",\"prompt\":\"no\"}");
    assert_int_equal(p.text_bytes, 8);
    look(ROUTE_embed, "{\"input\":[\"a\",\"b\"]}");
    assert_int_equal(p.text_bytes, 9);
}

/* --- aliases and memory --- */

static void another_model_takes_the_place(void **state)
{
    static const char *const body = "{\"model\":\"a\",\"stream\":true,\"MODEL\" : \"b\\u0063\"} rest";
    look(ROUTE_chat, body);
    expect(peek_replace_model(&arena, str_of(body), &p, STR("x\"y")),
           "{\"model\":\"a\",\"stream\":true,\"MODEL\" : \"x\\\"y\"} rest");
    look(ROUTE_show, "{\"model\":\"\",\"name\":\"n\"}");
    struct str there = { p.model_raw.p - 19, 23 };
    expect(peek_replace_model(&arena, there, &p, STR("longer-name:7b")),
           "{\"model\":\"\",\"name\":\"longer-name:7b\"}");
}

static void survives_failing_memory(void **state)
{
    static const char *const body = "{\"source\":\"\\u0061\",\"destination\":\"\\u0062\"}";
    for (uint64_t nth = 1;; nth++) {
        struct arena a;
        arena_init(&a);
        memory_fail_at(nth);
        enum fail f = peek_body(route_row(ROUTE_copy), str_of(body), &a, &p, &detail);
        struct str other = f ? STR_NONE : peek_replace_model(&a, str_of(body), &p, STR("m"));
        bool struck = memory_takes() >= nth;
        memory_fail_at(0);
        if (f)
            assert_int_equal(f, FAIL_no_memory);
        if (other.p)
            expect(other, "{\"source\":\"m\",\"destination\":\"\\u0062\"}");
        arena_done(&a);
        if (!struck)
            return;
        assert_true(f || !other.p);
    }
}

static void a_refusal_needs_no_memory(void **state)
{
    struct arena a;
    arena_init(&a);
    memory_fail_at(1);
    assert_int_equal(peek_body(route_row(ROUTE_chat), STR("{\"model\":5}"), &a, &p, &detail), FAIL_bad_json);
    memory_fail_at(0);
    assert_null(detail.p);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_model),
        cmocka_unit_test(plain_names_stay_in_the_body),
        cmocka_unit_test(reads_copy_and_create),
        cmocka_unit_test(refuses_what_is_no_body),
        cmocka_unit_test(refuses_wrong_types_where_it_must_read),
        cmocka_unit_test(null_counts_as_the_go_field_has_it),
        cmocka_unit_test(options_are_native),
        cmocka_unit_test(options_merge_and_match_to_the_letter),
        cmocka_unit_test(token_limits_are_whole_and_positive),
        cmocka_unit_test(finds_the_format_of_each_dialect),
        cmocka_unit_test(notes_usage_and_thinking),
        cmocka_unit_test(notes_tools),
        cmocka_unit_test(tells_loading_from_asking),
        cmocka_unit_test(counts_inputs),
        cmocka_unit_test(notices_images),
        cmocka_unit_test(measures_what_becomes_the_prompt),
        cmocka_unit_test(another_model_takes_the_place),
        cmocka_unit_test(survives_failing_memory),
        cmocka_unit_test(a_refusal_needs_no_memory),
    };
    return cmocka_run_group_tests_name("api/peek", tests, set_up, tear_down);
}
