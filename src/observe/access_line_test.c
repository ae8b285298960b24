#include "observe/access_line.h"

#include "base/json.h"
#include "base/slab.h"
#include "observe/meter_fixture.h"
#include "observe/record_json.h"
#include "observe/requests.h"

static struct record sample;

static int begin(void **state)
{
    sample = chat_record("llama3.2", "gpu1");
    buf_pools_init();
    arena_pools_init();
    return 0;
}

static int end(void **state)
{
    arena_pools_done();
    buf_pools_done();
    return 0;
}

/* Until the next one. */
static struct str line_of(const struct record *r)
{
    static char line[ACCESS_LINE_MOST];
    return (struct str){ line, access_line(line, r) };
}

static void a_line_tells_everything(void **state)
{
    struct record r = sample;
    r.why = FAIL_upstream_cut;
    r.connect_us = 1234;
    struct str got = line_of(&r);
    static const char expected[] = "{\"ts\":\"2023-11-14T22:13:20Z\",\"id\":\"req-1\",\"method\":\"POST\",\"route\":"
                                   "\"chat\",\"model\":\"llama3.2\",\"node\":\"gpu1\","
                                   "\"status\":200,\"why\":\"upstream_cut\",\"client\":\"192.0.2.7\",\"total_ms\":1500."
                                   "000,\"queued_ms\":5.000,\"connect_ms\":1.234,"
                                   "\"node_ms\":114.900,\"first_ms\":120.000,\"tokens_in\":11,\"tokens_out\":50,"
                                   "\"bytes_in\":300,\"bytes_out\":9000,"
                                   "\"attempts\":1,\"stream\":true,\"simulated\":false}\n";
    if (!str_eq(got, STR(expected)))
        fail_msg("got %.*s", STR_ARG(got));
}

/* The keys are the same whatever is known. */
static void what_is_unknown_is_null(void **state)
{
    struct record r = { .id = 0xabc,
                        .status = 404,
                        .route = ROUTE_NONE,
                        .method = M_GET,
                        .first_us = UINT32_MAX,
                        .tokens_in = -1,
                        .tokens_out = -1 };
    struct json line = json_parse(line_of(&r), NULL);
    static const char *const nulls[] = { "route",  "model",    "node",      "why",
                                         "client", "first_ms", "tokens_in", "tokens_out" };
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        assert_int_equal(json_get(line, str_of(nulls[i])).kind, JSON_NULL);
    assert_true(str_eq(json_get(line, STR("id")).raw, STR("\"abc\"")));
    int keys = 0;
    for (struct json_walk w = json_walk(line); json_next(&w);)
        keys++;
    assert_int_equal(keys, 21);
}

static void strangers_cannot_write_lines(void **state)
{
    struct record r = sample;
    record_put(r.model, STR("a\"}\n{\"x\\ \x01 \xFF"));
    struct str line = line_of(&r);
    assert_int_equal(str_chr(line, '\n'), (ssize_t)line.n - 1);
    struct str rest;
    assert_int_equal(json_parse(line, &rest).kind, JSON_OBJECT);
    assert_int_equal(str_trim(rest).n, 0);
}

static void the_longest_line_fits(void **state)
{
    struct record r;
    memset(&r, 0xFF, sizeof r);
    r.why = FAIL_none;
    r.stream = r.simulated = r.retried = r.in_band_error = true;
    r.method = M_OTHER;
    r.wall = NEVER;
    r.model.len = sizeof r.model.text;
    r.node.len = sizeof r.node.text;
    r.request_id.len = sizeof r.request_id.text;
    memset(r.model.text, 1, sizeof r.model.text);
    memset(r.node.text, 1, sizeof r.node.text);
    memset(r.request_id.text, 1, sizeof r.request_id.text);
    memset(r.client, 1, sizeof r.client);
    assert_true(line_of(&r).n < ACCESS_LINE_MOST / 2);
}

/* Names that both know mean the same; only when, and which route, are told in other words. */
static void the_request_list_says_the_same(void **state)
{
    static const struct request_detail none;
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    struct record r = sample;
    r.continued = r.simulated = true;
    r.connect_us = 7;
    request_json(&j, &r, &none);
    struct json line = json_parse(line_of(&r), NULL), request = json_parse(text_str(&t), NULL);
    struct json stages = json_get(request, STR("stages"));
    int same = 0;
    for (struct json_walk w = json_walk(line); json_next(&w);) {
        struct str name = str_drop(str_take(w.key, w.key.n - 1), 1);
        struct json other = json_get(request, name);
        if (other.kind == JSON_BAD)
            other = json_get(stages, name);
        if (other.kind == JSON_BAD || str_eq(name, STR("route")) || str_eq(name, STR("attempts")))
            continue;
        if (!str_eq(w.value.raw, other.raw))
            fail_msg("%.*s: %.*s, %.*s", STR_ARG(name), STR_ARG(w.value.raw), STR_ARG(other.raw));
        same++;
    }
    assert_int_equal(same, 18);
    text_free(&t);
}

/* Every length of text, plain or not in its last place. */
static void texts_of_every_length(void **state)
{
    for (unsigned n = 1; n < RECORD_MODEL; n++)
        for (const char *last = "x\"\\\n"; *last; last++) {
            struct record r = sample;
            r.model.len = (uint8_t)n;
            memset(r.model.text, 'm', n);
            r.model.text[n - 1] = *last;
            struct arena a = { 0 };
            struct json model = json_get(json_parse(line_of(&r), NULL), STR("model"));
            assert_int_equal(model.kind, JSON_STRING);
            assert_true(str_eq(json_text(&a, model), record_text(r.model)));
            arena_done(&a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_tells_everything),        cmocka_unit_test(what_is_unknown_is_null),
        cmocka_unit_test(strangers_cannot_write_lines),   cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(the_request_list_says_the_same), cmocka_unit_test(texts_of_every_length),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
