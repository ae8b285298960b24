/* observe/otlp.c - the names are those of OpenTelemetry's semantic conventions for HTTP and GenAI where they have one,
 * else ollamamax.*, with times in milliseconds.
 *
 *     POST /api/chat  server, status 2 when we failed (a client's own fault is none, as the conventions have it)
 *       attempt       client, gpu1: upstream_reset
 *       attempt       client, gpu2: ok
 *
 * JSON rather than protobuf: every collector takes both, and the writer is there. */
#include "observe/otlp.h"

enum { KIND_SERVER = 2, KIND_CLIENT = 3, STATUS_ERROR = 2 };

/* ---- ids --------------------------------------------------------------------------------------------------------- */

/* The finalizer of MurmurHash3: every bit of the span id and of the number changes about half of those that come out.
 */
uint64_t otlp_attempt_span(uint64_t span, unsigned number)
{
    uint64_t x = span + number * 0x9e3779b97f4a7c15;

    x = (x ^ x >> 33) * 0xff51afd7ed558ccd;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53;
    x ^= x >> 33;
    return x ? x : 1;
}

unsigned otlp_spans(const struct record *r, const struct request_detail *d)
{
    static const uint8_t none[RECORD_TRACE];

    return d->span && memcmp(r->trace, none, sizeof none) ? 1u + d->attempts : 0;
}

static void put_trace_id(struct json_out *j, const uint8_t trace[RECORD_TRACE])
{
    uint64_t half[2];
    char hex[2 * RECORD_TRACE];

    memcpy(half, trace, sizeof half);
    put_hex16(put_hex16(hex, __builtin_bswap64(half[0])), __builtin_bswap64(half[1]));
    json_key(j, "traceId");
    json_put_str(j, (struct str){ hex, sizeof hex });
}

static void put_span_id(struct json_out *j, const char *key, uint64_t id)
{
    char hex[16];

    put_hex16(hex, id);
    json_key(j, key);
    json_put_str(j, (struct str){ hex, sizeof hex });
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* 64 bits do not fit into a JSON number. */
static void put_long(struct json_out *j, const char *key, int64_t v)
{
    char text[24], *at = text;

    if (v < 0)
        *at++ = '-';
    at = put_u64(at, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    json_key(j, key);
    json_put_str(j, str_span(text, at));
}

static void open_attribute(struct json_out *j, const char *key)
{
    json_open(j, '{');
    json_key(j, "key");
    json_put_str(j, str_of(key));
    json_key(j, "value");
    json_open(j, '{');
}

static void close_attribute(struct json_out *j)
{
    json_close(j);
    json_close(j);
}

/* Empty text is left out, */
static void put_text(struct json_out *j, const char *key, struct str text)
{
    if (!text.n)
        return;
    open_attribute(j, key);
    json_key(j, "stringValue");
    json_put_str(j, text);
    close_attribute(j);
}

/* so is a negative number, */
static void put_count(struct json_out *j, const char *key, int64_t v)
{
    if (v < 0)
        return;
    open_attribute(j, key);
    put_long(j, "intValue", v);
    close_attribute(j);
}

static void put_number(struct json_out *j, const char *key, double v)
{
    open_attribute(j, key);
    json_key(j, "doubleValue");
    json_put_f64(j, v);
    close_attribute(j);
}

static void put_ms(struct json_out *j, const char *key, uint32_t us)
{
    put_number(j, key, us / 1000.0);
}

/* and what is not so. */
static void put_flag(struct json_out *j, const char *key, bool is)
{
    if (!is)
        return;
    open_attribute(j, key);
    json_key(j, "boolValue");
    json_put_bool(j, true);
    close_attribute(j);
}

static struct str name_of(unsigned why)
{
    return why && why < FAIL_COUNT ? fail_name((enum fail)why) : STR_NONE;
}

static struct str sentence_of(unsigned why)
{
    return why && why < FAIL_COUNT ? fail_sentence((enum fail)why) : STR_NONE;
}

/* ---- spans ------------------------------------------------------------------------------------------------------- */

static void put_times(struct json_out *j, nsec start, uint32_t took_us)
{
    put_long(j, "startTimeUnixNano", start);
    put_long(j, "endTimeUnixNano", start + USEC(took_us));
}

static void put_error(struct json_out *j, unsigned why)
{
    struct str sentence = sentence_of(why);

    json_key(j, "status");
    json_open(j, '{');
    json_key(j, "code");
    json_put_i64(j, STATUS_ERROR);
    if (sentence.n) {
        json_key(j, "message");
        json_put_str(j, sentence);
    }
    json_close(j);
}

static struct str path_of(const struct record *r)
{
    return r->route < ROUTE_COUNT ? route_row((enum route_id)r->route)->path : STR_NONE;
}

static struct str method_of(const struct record *r)
{
    return http_method_text((enum http_method)r->method);
}

static void put_http(struct json_out *j, const struct record *r)
{
    put_text(j, "http.request.method", method_of(r));
    put_text(j, "http.route", path_of(r));
    put_count(j, "http.response.status_code", r->status);
    put_count(j, "http.request.body.size", (int64_t)r->bytes_in);
    put_count(j, "http.response.body.size", (int64_t)r->bytes_out);
    put_text(j, "client.address", (struct str){ r->client, strnlen(r->client, sizeof r->client) });
    put_text(j, "error.type", name_of(r->why));
}

static void put_model(struct json_out *j, const struct record *r)
{
    put_text(j, "gen_ai.request.model", record_text(r->model));
    put_count(j, "gen_ai.usage.input_tokens", r->tokens_in);
    put_count(j, "gen_ai.usage.output_tokens", r->tokens_out);
}

static void put_road(struct json_out *j, const struct record *r, const struct request_detail *d)
{
    put_text(j, "ollamamax.request_id", record_text(r->request_id));
    put_text(j, "ollamamax.node", record_text(r->node));
    put_text(j, "ollamamax.cache", record_cache_name(r->cache));
    put_text(j, "ollamamax.cache.detail", (struct str){ d->cache, strnlen(d->cache, sizeof d->cache) });
    put_count(j, "ollamamax.attempts", r->attempts);
    put_ms(j, "ollamamax.queue_ms", r->queued_us);
    put_ms(j, "ollamamax.added_ms", r->added_us);
    if (r->first_us != UINT32_MAX)
        put_ms(j, "ollamamax.first_byte_ms", r->first_us);
    if (r->load_us)
        put_ms(j, "ollamamax.load_ms", r->load_us);
    put_flag(j, "ollamamax.stream", r->stream);
    put_flag(j, "ollamamax.continued", r->continued);
    put_flag(j, "ollamamax.simulated", r->simulated);
}

static void put_decision(struct json_out *j, const struct request_decision *d)
{
    if (!*d->policy)
        return;
    put_text(j, "ollamamax.decision.policy", str_of(d->policy));
    put_count(j, "ollamamax.decision.candidates", d->candidates);
    if (d->total > 0)
        put_number(j, "ollamamax.decision.total_s", (double)d->total);
    put_flag(j, "ollamamax.decision.hedged", d->hedged);
}

static void put_name(struct json_out *j, const struct record *r)
{
    struct str method = method_of(r), path = path_of(r);
    char text[128], *at = put_str(text, method);

    if (path.n) {
        *at++ = ' ';
        at = put_str(at, str_take(path, sizeof text - method.n - 1));
    }
    json_key(j, "name");
    json_put_str(j, str_span(text, at));
}

static void put_request(struct json_out *j, const struct record *r, const struct request_detail *d)
{
    json_open(j, '{');
    put_trace_id(j, r->trace);
    put_span_id(j, "spanId", d->span);
    if (d->parent)
        put_span_id(j, "parentSpanId", d->parent);
    put_name(j, r);
    json_key(j, "kind");
    json_put_i64(j, KIND_SERVER);
    put_times(j, r->wall, r->total_us);
    json_key(j, "attributes");
    json_open(j, '[');
    put_http(j, r);
    put_model(j, r);
    put_road(j, r, d);
    put_decision(j, &d->decision);
    json_close(j);
    if (r->status >= 500 || r->in_band_error)
        put_error(j, r->why);
    json_close(j);
}

/* Of more attempts than there is room for the last was kept as the last. */
static unsigned number_of(const struct record *r, unsigned at)
{
    return at == REQUEST_ATTEMPTS - 1u ? MAX(r->attempts, at + 1) : at + 1;
}

static void put_attempt(struct json_out *j, const struct record *r, const struct request_detail *d, unsigned at)
{
    const struct request_attempt *a = &d->attempt[at];
    unsigned number = number_of(r, at);

    json_open(j, '{');
    put_trace_id(j, r->trace);
    put_span_id(j, "spanId", otlp_attempt_span(d->span, number));
    put_span_id(j, "parentSpanId", d->span);
    json_key(j, "name");
    json_put_str(j, STR("attempt"));
    json_key(j, "kind");
    json_put_i64(j, KIND_CLIENT);
    put_times(j, r->wall + USEC(a->start_us), a->took_us);
    json_key(j, "attributes");
    json_open(j, '[');
    put_text(j, "http.request.method", method_of(r));
    put_count(j, "http.response.status_code", a->status ? a->status : -1);
    put_count(j, "http.request.resend_count", number > 1 ? (int64_t)number - 1 : -1);
    put_text(j, "server.address", str_of(a->node));
    put_text(j, "error.type", name_of(a->why));
    put_text(j, "ollamamax.outcome", a->why ? name_of(a->why) : STR("ok"));
    put_ms(j, "ollamamax.connect_ms", a->connect_us);
    json_close(j);
    if (a->why)
        put_error(j, a->why);
    json_close(j);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void otlp_begin(struct json_out *j, struct str instance)
{
    json_open(j, '{');
    json_key(j, "resourceSpans");
    json_open(j, '[');
    json_open(j, '{');
    json_key(j, "resource");
    json_open(j, '{');
    json_key(j, "attributes");
    json_open(j, '[');
    put_text(j, "service.name", STR("ollamamax"));
    put_text(j, "service.version", STR(OLLAMAMAX_VERSION));
    put_text(j, "service.instance.id", instance);
    json_close(j);
    json_close(j);
    json_key(j, "scopeSpans");
    json_open(j, '[');
    json_open(j, '{');
    json_key(j, "scope");
    json_open(j, '{');
    json_key(j, "name");
    json_put_str(j, STR("ollamamax"));
    json_close(j);
    json_key(j, "spans");
    json_open(j, '[');
}

void otlp_put(struct json_out *j, const struct record *r, const struct request_detail *d)
{
    if (!otlp_spans(r, d))
        return;
    put_request(j, r, d);
    for (unsigned i = 0; i < d->attempts; i++)
        put_attempt(j, r, d, i);
}

void otlp_end(struct json_out *j)
{
    while (j->depth)
        json_close(j);
}

uint64_t otlp_rejected(struct str answer)
{
    const struct str name = STR("\"rejectedSpans\"");
    ssize_t at = str_find(answer, name);
    uint64_t n = 0;

    if (at < 0)
        return 0;
    answer = str_drop(answer, (size_t)at + name.n);
    while (answer.n && (answer.p[0] == ':' || answer.p[0] == ' ' || answer.p[0] == '"'))
        answer = str_drop(answer, 1);
    for (unsigned digits = 0; digits < 9 && answer.n && answer.p[0] >= '0' && answer.p[0] <= '9'; digits++) {
        n = n * 10 + (uint64_t)(answer.p[0] - '0');
        answer = str_drop(answer, 1);
    }
    return n;
}
