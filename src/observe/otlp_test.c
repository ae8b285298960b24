#include "observe/meter_fixture.h"
#include "observe/otlp.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
static const uint8_t trace[RECORD_TRACE] = { 0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6,
                                             0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36 };
#define SPAN 0x00f067aa0ba902b7u

static struct record traced_record(void)
{
    struct record r = chat_record("llama3", "gpu2");
    memcpy(r.trace, trace, sizeof trace);
    return r;
}

/* The first one is reset after 80 ms, the second answers. */
static struct request_detail two_attempts(void)
{
    struct request_detail d = { .span = SPAN };
    request_detail_attempt(&d, &(struct request_try){ .node = STR("gpu1"),
                                                      .why = FAIL_upstream_reset,
                                                      .start = MSEC(5),
                                                      .took = MSEC(80),
                                                      .connect = USEC(250) });
    request_detail_attempt(
        &d, &(struct request_try){ .node = STR("gpu2"), .status = 200, .start = MSEC(85), .took = MSEC(1400) });
    return d;
}

/* ---- reading it back --------------------------------------------------------------------------------------------- */

static struct text text;

static struct json element(struct json array, unsigned n)
{
    struct json_walk w = json_walk(array);
    while (json_next(&w))
        if (n-- == 0)
            return w.value;
    return (struct json){ 0 };
}

static unsigned length(struct json array)
{
    struct json_walk w = json_walk(array);
    unsigned n = 0;
    assert_int_equal(array.kind, JSON_ARRAY);
    while (json_next(&w))
        n++;
    return n;
}

/* Empty where there is none. */
static struct str said(struct json object, const char *key)
{
    struct json v = json_get(object, str_of(key));
    return v.kind == JSON_STRING ? str_take(str_drop(v.raw, 1), v.raw.n - 2) : STR_NONE;
}

static void assert_says(struct json object, const char *key, const char *expected)
{
    struct str got = said(object, key);
    if (!str_eq(got, str_of(expected)))
        fail_msg("%s is \"%.*s\", not \"%s\"", key, STR_ARG(got), expected);
}

static struct json attribute(struct json of, const char *key)
{
    struct json_walk w = json_walk(json_get(of, STR("attributes")));
    while (json_next(&w))
        if (str_eq(said(w.value, "key"), str_of(key)))
            return json_get(w.value, STR("value"));
    return (struct json){ 0 };
}

static struct json spans_of(const struct record *r, const struct request_detail *d, unsigned n)
{
    struct json_out j = { .to = &text };
    struct str rest;
    text_free(&text);
    text = (struct text){ 0 };
    otlp_begin(&j, STR("f00d"));
    for (unsigned i = 0; i < n; i++)
        otlp_put(&j, &r[i], &d[i]);
    otlp_end(&j);
    assert_int_equal(text.failed, OK);
    struct json all = json_parse(text_str(&text), &rest), resources = json_get(all, STR("resourceSpans"));
    assert_int_equal(all.kind, JSON_OBJECT);
    assert_int_equal(rest.n, 0);
    assert_int_equal(length(resources), 1);
    struct json resource = json_get(element(resources, 0), STR("resource"));
    assert_says(attribute(resource, "service.name"), "stringValue", "ollamamax");
    assert_says(attribute(resource, "service.version"), "stringValue", OLLAMAMAX_VERSION);
    assert_says(attribute(resource, "service.instance.id"), "stringValue", "f00d");
    struct json scopes = json_get(element(resources, 0), STR("scopeSpans"));
    assert_int_equal(length(scopes), 1);
    return json_get(element(scopes, 0), STR("spans"));
}

static int64_t number(struct json object, const char *key)
{
    int64_t v = -1;
    json_i64(json_get(object, str_of(key)), &v);
    return v;
}

static uint64_t id_of(struct json span, const char *key)
{
    struct str hex = said(span, key);
    char z[17] = "", again[17];
    assert_int_equal(hex.n, 16);
    memcpy(z, hex.p, 16);
    uint64_t id = strtoull(z, NULL, 16);
    snprintf(again, sizeof again, "%016llx", (unsigned long long)id);
    assert_string_equal(z, again); /* lower case, nothing else */
    return id;
}

/* A string of digits, as 64 bits do not fit into a number of JavaScript. */
static nsec moment(struct json span, const char *key)
{
    uint64_t v = 0;
    assert_true(str_u64(said(span, key), &v));
    return (nsec)v;
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

static void a_request_and_its_attempts(void **state)
{
    struct record r = traced_record();
    struct request_detail d = two_attempts();
    r.attempts = 2;
    struct json spans = spans_of(&r, &d, 1), request = element(spans, 0);
    assert_int_equal(length(spans), 3);
    assert_int_equal(otlp_spans(&r, &d), 3);
    assert_says(request, "traceId", TRACE);
    assert_true(id_of(request, "spanId") == SPAN);
    assert_int_equal(json_get(request, STR("parentSpanId")).kind, JSON_BAD);
    assert_says(request, "name", "POST /api/chat");
    assert_int_equal(number(request, "kind"), 2);
    assert_true(moment(request, "startTimeUnixNano") == r.wall);
    assert_true(moment(request, "endTimeUnixNano") == r.wall + MSEC(1500));
    assert_int_equal(json_get(request, STR("status")).kind, JSON_BAD);

    for (unsigned i = 0; i < 2; i++) {
        struct json span = element(spans, i + 1);
        assert_says(span, "traceId", TRACE);
        assert_true(id_of(span, "parentSpanId") == SPAN);
        assert_true(id_of(span, "spanId") == otlp_attempt_span(SPAN, i + 1));
        assert_int_equal(number(span, "kind"), 3);
        assert_true(moment(span, "startTimeUnixNano") == r.wall + (i ? MSEC(85) : MSEC(5)));
        assert_true(moment(span, "endTimeUnixNano") == r.wall + (i ? MSEC(1485) : MSEC(85)));
        assert_says(attribute(span, "server.address"), "stringValue", i ? "gpu2" : "gpu1");
        assert_says(attribute(span, "ollamamax.outcome"), "stringValue", i ? "ok" : "upstream_reset");
    }
    struct json lost = json_get(element(spans, 1), STR("status"));
    assert_int_equal(number(lost, "code"), 2);
    assert_says(lost, "message", fail_sentence(FAIL_upstream_reset).p);
    assert_int_equal(json_get(element(spans, 2), STR("status")).kind, JSON_BAD);
    assert_says(attribute(element(spans, 2), "http.response.status_code"), "intValue", "200");
    assert_says(attribute(element(spans, 2), "http.request.resend_count"), "intValue", "1");
}

static void what_is_said_of_a_request(void **state)
{
    struct record r = traced_record();
    struct request_detail d = { .span = SPAN, .parent = 0xb, .cache = "temperature" };
    double ms;
    r.cache = CACHED_BYPASS;
    d.decision = (struct request_decision){ .policy = "eta", .candidates = 2, .total = 0.25f };
    struct json request = element(spans_of(&r, &d, 1), 0);
    assert_true(id_of(request, "parentSpanId") == 0xb);
    assert_says(attribute(request, "http.request.method"), "stringValue", "POST");
    assert_says(attribute(request, "http.route"), "stringValue", "/api/chat");
    assert_says(attribute(request, "http.response.status_code"), "intValue", "200");
    assert_says(attribute(request, "client.address"), "stringValue", "192.0.2.7");
    assert_says(attribute(request, "gen_ai.request.model"), "stringValue", "llama3");
    assert_says(attribute(request, "gen_ai.usage.input_tokens"), "intValue", "11");
    assert_says(attribute(request, "gen_ai.usage.output_tokens"), "intValue", "50");
    assert_says(attribute(request, "ollamamax.node"), "stringValue", "gpu2");
    assert_says(attribute(request, "ollamamax.cache"), "stringValue", "bypass");
    assert_says(attribute(request, "ollamamax.cache.detail"), "stringValue", "temperature");
    assert_says(attribute(request, "ollamamax.decision.policy"), "stringValue", "eta");
    assert_true(json_f64(json_get(attribute(request, "ollamamax.queue_ms"), STR("doubleValue")), &ms) && ms == 5);
    assert_int_equal(json_get(attribute(request, "ollamamax.stream"), STR("boolValue")).kind, JSON_TRUE);
}

/* What is not known is not said. */
static void nothing_is_made_up(void **state)
{
    struct record r = { .wall = 1, .method = M_GET, .route = ROUTE_NONE, .first_us = UINT32_MAX };
    struct request_detail d = { .span = 1 };
    static const char *const absent[] = { "http.route",      "gen_ai.request.model",    "ollamamax.node", "error.type",
                                          "ollamamax.cache", "ollamamax.first_byte_ms", "client.address" };
    r.trace[15] = 1;
    r.tokens_in = r.tokens_out = -1;
    r.status = 404;
    struct json request = element(spans_of(&r, &d, 1), 0);
    assert_says(request, "name", "GET");
    assert_says(request, "traceId", "00000000000000000000000000000001");
    assert_says(request, "spanId", "0000000000000001");
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        assert_int_equal(attribute(request, absent[i]).kind, JSON_BAD);
    assert_int_equal(attribute(request, "gen_ai.usage.input_tokens").kind, JSON_BAD);
    assert_int_equal(json_get(request, STR("status")).kind, JSON_BAD); /* a client's fault is no error of a server */
}

static void failures_are_errors(void **state)
{
    struct record r[2] = { traced_record(), traced_record() };
    struct request_detail d[2] = { { .span = 1 }, { .span = 2 } };
    r[0].status = 503;
    r[0].why = FAIL_no_node;
    r[1].in_band_error = true;
    r[1].why = FAIL_upstream_cut;
    struct json spans = spans_of(r, d, 2);
    assert_int_equal(length(spans), 2);
    for (unsigned i = 0; i < 2; i++) {
        struct json status = json_get(element(spans, i), STR("status"));
        assert_int_equal(number(status, "code"), 2);
        assert_says(status, "message", fail_sentence((enum fail)r[i].why).p);
        assert_says(attribute(element(spans, i), "error.type"), "stringValue", fail_name((enum fail)r[i].why).p);
    }
}

static void what_is_not_traced_is_left_out(void **state)
{
    struct record r[3] = { traced_record(), traced_record(), traced_record() };
    struct request_detail d[3] = { { .span = 0 }, { .span = 2 }, { .span = 3 } };
    memset(r[1].trace, 0, sizeof r[1].trace);
    struct json spans = spans_of(r, d, 3);
    assert_int_equal(length(spans), 1);
    assert_says(element(spans, 0), "spanId", "0000000000000003");
    assert_int_equal(otlp_spans(&r[0], &d[0]) + otlp_spans(&r[1], &d[1]), 0);
    assert_int_equal(length(spans_of(r, d, 0)), 0);
}

/* The node was told the id by the attempt's number, so the last one that was kept has that of the last. */
static void of_many_attempts_the_last_has_its_own_id(void **state)
{
    struct record r = traced_record();
    struct request_detail d = { .span = SPAN };
    r.attempts = 7;
    for (unsigned i = 0; i < 7; i++)
        request_detail_attempt(&d, &(struct request_try){ .node = STR("gpu1"), .start = MSEC(i) });
    struct json spans = spans_of(&r, &d, 1);
    assert_int_equal(length(spans), 1 + REQUEST_ATTEMPTS);
    assert_true(id_of(element(spans, 3), "spanId") == otlp_attempt_span(SPAN, 3));
    assert_true(id_of(element(spans, 4), "spanId") == otlp_attempt_span(SPAN, 7));
    assert_says(attribute(element(spans, 4), "http.request.resend_count"), "intValue", "6");
}

static void names_cannot_break_it(void **state)
{
    struct record r = chat_record("a\"b\\c\n\xff", "gpu2");
    struct request_detail d = { .span = SPAN };
    memcpy(r.trace, trace, sizeof trace);
    struct json request = element(spans_of(&r, &d, 1), 0);
    assert_says(attribute(request, "gen_ai.request.model"), "stringValue", "a\\\"b\\\\c\\n\xef\xbf\xbd");
}

static void ids_of_attempts_differ(void **state)
{
    static const uint64_t spans[] = { 0, 1, 2, SPAN, SPAN + 1, UINT64_MAX };
    uint64_t seen[ARRAY_LEN(spans) * 8];
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        for (unsigned k = 1; k <= 8; k++) {
            uint64_t id = otlp_attempt_span(spans[i], k);
            assert_true(id != 0 && id != spans[i]);
            for (unsigned m = 0; m < n; m++)
                assert_true(seen[m] != id);
            seen[n++] = id;
        }
}

static void what_a_collector_did_not_take(void **state)
{
    assert_true(otlp_rejected(STR("{}")) == 0);
    assert_true(otlp_rejected(STR("")) == 0);
    assert_true(otlp_rejected(STR("{\"partialSuccess\":{}}")) == 0);
    assert_true(otlp_rejected(STR("{\"partialSuccess\":{\"rejectedSpans\":\"12\",\"errorMessage\":\"no\"}}")) == 12);
    assert_true(otlp_rejected(STR("{\"partialSuccess\": {\"rejectedSpans\": 3")) == 3);
    assert_true(otlp_rejected(STR("{\"partialSuccess\":{\"rejectedSpans\":\"99999999999999999999\"}}")) == 999999999);
    assert_true(otlp_rejected(STR("\"rejectedSpans\"")) == 0);
}

static int each_end(void **state)
{
    text_free(&text);
    return 0;
}

int main(void)
{
    buf_pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_request_and_its_attempts, each_end),
        cmocka_unit_test_teardown(what_is_said_of_a_request, each_end),
        cmocka_unit_test_teardown(nothing_is_made_up, each_end),
        cmocka_unit_test_teardown(failures_are_errors, each_end),
        cmocka_unit_test_teardown(what_is_not_traced_is_left_out, each_end),
        cmocka_unit_test_teardown(of_many_attempts_the_last_has_its_own_id, each_end),
        cmocka_unit_test_teardown(names_cannot_break_it, each_end),
        cmocka_unit_test(ids_of_attempts_differ),
        cmocka_unit_test(what_a_collector_did_not_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
