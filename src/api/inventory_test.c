#include "api/inventory.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define assert_str(s, literal)                                                                                         \
    do {                                                                                                               \
        struct str got_ = (s);                                                                                         \
        if (got_.n != strlen(literal) || memcmp(got_.p, literal, got_.n) != 0)                                         \
            fail_msg("'%.*s' is not '%s'", STR_ARG(got_), literal);                                                    \
    } while (0)

static const char tags[] = "{\"models\":[{\"name\":\"llama3.2:latest\",\"model\":\"llama3.2:latest\",\"modified_at\":"
                           "\"2026-08-01T12:00:00.5+02:00\",\"size\":2019393189,\"digest\":\"a80c4f17acd5\","
                           "\"details\":{\"family\":\"llama\"},"
                           "\"new\":[1,2]},"
                           "{\"name\":\"hf.co/ns/M:Q4\",\"size\":7}]}";

static struct inventory *read_tags(const char *body)
{
    enum fail why = FAIL_internal;
    struct inventory *i = inventory_read(str_of(body), SECOND(7), &why);
    assert_non_null(i);
    assert_int_equal(why, OK);
    return i;
}

static struct inventory *read_openai(const char *body)
{
    enum fail why = FAIL_internal;
    struct inventory *i = inventory_read_openai(str_of(body), SECOND(7), &why);
    assert_non_null(i);
    assert_int_equal(why, OK);
    return i;
}

static void tags_are_read_with_their_objects(void **state)
{
    struct inventory *i = read_tags(tags);
    assert_int_equal(i->n, 2);
    assert_int_equal(i->taken, SECOND(7));
    const struct inventory_model *m = &i->model[0];
    assert_str(m->key, "registry.ollama.ai/library/llama3.2:latest");
    assert_int_equal(m->hash, str_hash(m->key));
    assert_str(m->show, "llama3.2:latest");
    assert_str(m->id, "llama3.2:latest");
    assert_str(m->digest, "a80c4f17acd5");
    assert_int_equal(m->size, 2019393189);
    assert_int_equal(m->modified, 1785578400 * INT64_C(1000000000) + 500000000);
    assert_true(str_starts(m->raw, STR("{\"name\":\"llama3.2:latest\"")));
    assert_true(str_ends(m->raw, STR("\"new\":[1,2]}")));
    m = &i->model[1];
    assert_str(m->key, "hf.co/ns/m:q4");
    assert_str(m->show, "hf.co/ns/M:Q4");
    assert_int_equal(m->digest.n, 0);
    assert_int_equal(m->modified, 0);
    inventory_free(&i);
    assert_null(i);
    inventory_free(&i);
}

static void ps_is_read(void **state)
{
    struct inventory *i = read_tags("{\"models\":[{\"name\":\"a:1b\",\"model\":\"a:1b\",\"size\":900,\"size_vram\":450,"
                                    "\"expires_at\":\"2318-11-30T00:00:00Z\",\"context_length\":8192}]}");
    assert_int_equal(i->n, 1);
    assert_int_equal(i->model->size_vram, 450);
    assert_int_equal(i->model->context_length, 8192);
    assert_true(i->model->expires == NEVER || i->model->expires > SECOND(9000000000));
    inventory_free(&i);
}

static void model_goes_before_name(void **state)
{
    struct inventory *i = read_tags("{\"models\":[{\"name\":\"n\",\"model\":\"m\"},{\"name\":\"n\",\"model\":\"\"},"
                                    "{\"name\":\"n\",\"model\":3}]}");
    assert_int_equal(i->n, 3);
    assert_str(i->model[0].id, "m");
    assert_str(i->model[1].id, "n");
    assert_str(i->model[2].id, "n");
    inventory_free(&i);
}

static void unreadable_entries_are_left_out(void **state)
{
    struct inventory *i = read_tags("{\"models\":[null,3,\"x\",[],{},{\"name\":null},{\"name\":\" \"},"
                                    "{\"name\":\"a b/\\u0000\"},{\"name\":\"good\",\"size\":-4,\"size_vram\":\"9\","
                                    "\"digest\":7,\"modified_at\":\"soon\",\"context_length\":99999999999}]}");
    assert_int_equal(i->n, 1);
    assert_str(i->model->show, "good:latest");
    assert_int_equal(i->model->size, 0);
    assert_int_equal(i->model->size_vram, 0);
    assert_int_equal(i->model->digest.n, 0);
    assert_int_equal(i->model->modified, 0);
    assert_int_equal(i->model->context_length, UINT32_MAX);
    inventory_free(&i);
}

static void cloud_entries_are_marked(void **state)
{
    struct inventory *i = read_tags("{\"models\":[{\"name\":\"gpt-oss:120b-cloud\"},{\"name\":\"gpt-oss:120b\"}]}");
    assert_int_equal(i->n, 2);
    assert_int_equal(i->model[0].source, SOURCE_CLOUD);
    assert_int_equal(i->model[1].source, SOURCE_NONE);
    inventory_free(&i);
}

static void nothing_is_a_list_too(void **state)
{
    static const char *const empty[] = { "{\"models\":[]}", "{\"models\":null}" };
    for (unsigned k = 0; k < ARRAY_LEN(empty); k++) {
        struct inventory *i = read_tags(empty[k]);
        assert_int_equal(i->n, 0);
        inventory_free(&i);
    }
}

static void other_answers_are_refused(void **state)
{
    static const char *const others[] = { "",
                                          "{}",
                                          "[]",
                                          "Ollama is running",
                                          "{\"models\":{}}",
                                          "{\"error\":\"Unexpected endpoint or method. (GET /api/tags)\"}",
                                          "{\"models\":[{\"name\":\"a\"}",
                                          "{\"object\":\"list\",\"data\":[{\"id\":\"x\"}]}" };
    for (unsigned k = 0; k < ARRAY_LEN(others); k++) {
        enum fail why = OK;
        assert_null(inventory_read(str_of(others[k]), 0, &why));
        assert_int_equal(why, FAIL_bad_json);
    }
}

static void the_body_may_go(void **state)
{
    char *body = strdup(tags);
    enum fail why;
    struct inventory *i = inventory_read(str_of(body), 0, &why);
    memset(body, 'x', strlen(body));
    free(body);
    assert_str(i->model[0].id, "llama3.2:latest");
    assert_true(json_parse(i->model[0].raw, NULL).kind == JSON_OBJECT);
    inventory_free(&i);
}

static void openai_lists_get_tags_objects(void **state)
{
    struct inventory *i = read_openai("{\"object\":\"list\",\"data\":[{\"id\":\"Qwen/Qwen2.5-7B\",\"object\":\"model\","
                                      "\"created\":1700000000,\"owned_by\":\"vllm\",\"max_model_len\":32768}]}");
    assert_int_equal(i->n, 1);
    const struct inventory_model *m = i->model;
    assert_str(m->id, "Qwen/Qwen2.5-7B");
    assert_str(m->key, "registry.ollama.ai/qwen/qwen2.5-7b:latest");
    assert_int_equal(m->context_length, 32768);
    assert_int_equal(m->modified, SECOND(1700000000));
    assert_int_equal(m->digest.n, 64);

    struct json raw = json_parse(m->raw, NULL);
    assert_int_equal(raw.kind, JSON_OBJECT);
    assert_true(str_eq(json_get(raw, STR("name")).raw, STR("\"Qwen/Qwen2.5-7B:latest\"")));
    assert_true(str_eq(json_get(raw, STR("model")).raw, STR("\"Qwen/Qwen2.5-7B:latest\"")));
    assert_true(str_eq(json_get(raw, STR("modified_at")).raw, STR("\"2023-11-14T22:13:20.000000000Z\"")) ||
                str_eq(json_get(raw, STR("modified_at")).raw, STR("\"2023-11-14T22:13:20Z\"")));
    assert_int_equal(json_get(raw, STR("digest")).raw.n, 66);
    assert_int_equal(json_get(raw, STR("details")).kind, JSON_OBJECT);
    inventory_free(&i);
}

static void digests_depend_on_the_id_alone(void **state)
{
    struct inventory *a = read_openai("{\"data\":[{\"id\":\"m\",\"created\":1},{\"id\":\"n\",\"created\":1}]}");
    struct inventory *b = read_openai("{\"data\":[{\"id\":\"m\",\"created\":2,\"owned_by\":\"me\"}]}");
    assert_true(str_eq(a->model[0].digest, b->model[0].digest));
    assert_false(str_eq(a->model[0].digest, a->model[1].digest));
    assert_str(a->model[0].digest, "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a");
    inventory_free(&a);
    inventory_free(&b);
}

static void paths_are_named_by_their_last_part(void **state)
{
    struct inventory *i = read_openai("{\"data\":[{\"id\":\"/models/Tiny-Q4.gguf\",\"meta\":{\"n_ctx_train\":4096,"
                                      "\"size\":77}},{\"id\":\"C:\\\\llm\\\\b.gguf\"},{\"id\":\"/\"},{\"id\":\"\"}]}");
    assert_int_equal(i->n, 2);
    assert_str(i->model[0].show, "Tiny-Q4.gguf:latest");
    assert_str(i->model[0].id, "/models/Tiny-Q4.gguf");
    assert_int_equal(i->model[0].size, 77);
    assert_int_equal(i->model[0].context_length, 4096);
    assert_str(i->model[1].show, "b.gguf:latest");
    assert_str(i->model[1].id, "C:\\llm\\b.gguf");
    inventory_free(&i);
}

static void a_null_list_is_ollamas_empty_one(void **state)
{
    struct inventory *i = read_openai("{\"object\":\"list\",\"data\":null}");
    assert_int_equal(i->n, 0);
    inventory_free(&i);
}

static void memory_may_be_out_at_any_time(void **state)
{
    static const char list[] = "{\"data\":[{\"id\":\"\\u006dodel\"},{\"id\":\"b\"}]}";
    for (unsigned nth = 1; nth < 50; nth++) {
        enum fail why = OK;
        memory_fail_at(nth);
        struct inventory *i =
            nth % 2 ? inventory_read(str_of(tags), 0, &why) : inventory_read_openai(STR(list), 0, &why);
        memory_fail_at(0);
        assert_int_equal(why, i ? OK : FAIL_no_memory);
        inventory_free(&i);
    }
}

static void versions_are_read(void **state)
{
    struct arena a;
    arena_init(&a);
    assert_str(version_read(&a, STR("{\"version\":\"0.12.3\"}")), "0.12.3");
    static const char *const none[] = {
        "", "{}", "{\"version\":3}", "{\"version\":\"\"}", "0.12", "{\"version\":\"1\""
    };
    for (unsigned i = 0; i < ARRAY_LEN(none); i++)
        assert_null(version_read(&a, str_of(none[i])).p);
    arena_done(&a);
}

static void kinds_have_names(void **state)
{
    enum node_kind k;
    for (int i = NODE_OLLAMA; i <= NODE_OPENAI; i++) {
        assert_true(node_kind_of(node_kind_name((enum node_kind)i), &k));
        assert_int_equal(k, i);
    }
    assert_true(node_kind_of(STR("vLLM"), &k));
    assert_int_equal(k, NODE_VLLM);
    assert_false(node_kind_of(STR("unknown"), &k));
    assert_false(node_kind_of(STR(""), &k));
    assert_str(node_kind_name(NODE_UNKNOWN), "unknown");
}

static void props_say_slots(void **state)
{
    uint32_t slots, context;
    assert_true(props_read(STR("{\"default_generation_settings\":{\"n_ctx\":4096,\"params\":{}},\"total_slots\":4,"
                               "\"model_path\":\"/m.gguf\",\"is_sleeping\":false}"),
                           &slots, &context));
    assert_int_equal(slots, 4);
    assert_int_equal(context, 4096);
    assert_true(props_read(STR("[{\"id\":0,\"n_ctx\":8192,\"is_processing\":true},{\"id\":1,\"n_ctx\":2048}]"), &slots,
                           &context));
    assert_int_equal(slots, 2);
    assert_int_equal(context, 2048);
    assert_true(props_read(STR("{\"total_slots\":1}"), &slots, &context));
    assert_int_equal(context, 0);
    static const char *const others[] = {
        "", "[]", "{}", "{\"error\":{\"code\":501}}", "{\"total_slots\":\"4\"}", "[1", "7", "{\"total_slots\":-1}"
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(props_read(str_of(others[i]), &slots, &context));
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
        cmocka_unit_test(tags_are_read_with_their_objects),
        cmocka_unit_test(ps_is_read),
        cmocka_unit_test(model_goes_before_name),
        cmocka_unit_test(unreadable_entries_are_left_out),
        cmocka_unit_test(cloud_entries_are_marked),
        cmocka_unit_test(nothing_is_a_list_too),
        cmocka_unit_test(other_answers_are_refused),
        cmocka_unit_test(the_body_may_go),
        cmocka_unit_test(openai_lists_get_tags_objects),
        cmocka_unit_test(digests_depend_on_the_id_alone),
        cmocka_unit_test(paths_are_named_by_their_last_part),
        cmocka_unit_test(a_null_list_is_ollamas_empty_one),
        cmocka_unit_test(memory_may_be_out_at_any_time),
        cmocka_unit_test(versions_are_read),
        cmocka_unit_test(kinds_have_names),
        cmocka_unit_test(props_say_slots),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
