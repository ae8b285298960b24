/* Heads, from clients towards nodes and back: what is read, what is passed on, what is put in.
 *
 * Towards nodes go all fields of the client except those of one connection (RFC 9110 section 7.6.1), those that a node
 * would act upon wrongly (Host, Origin, Referer: a loopback Ollama refuses foreign ones with 403), Accept-Encoding
 * (streams stay uncompressed), credentials for the gateway, and our own. Fields are copied as they were written, name
 * case included. */
#include "gateway/gateway_private.h"
#include "net/http_chars.h"
#include "observe/otlp.h"

#define BIT(h) (1ull << H_##h)
static const uint64_t kept_from_nodes =
    BIT(HOST) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(CONNECTION) | BIT(KEEP_ALIVE) |
    BIT(PROXY_CONNECTION) | BIT(TE) | BIT(TRAILER) | BIT(UPGRADE) | BIT(EXPECT) | BIT(ORIGIN) | BIT(REFERER) |
    BIT(COOKIE) | BIT(ACCEPT_ENCODING) | BIT(AUTHORIZATION) | BIT(PROXY_AUTHORIZATION) | BIT(X_API_KEY) |
    BIT(FORWARDED) | BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_PROTO) | BIT(X_REQUEST_ID) | BIT(TRACEPARENT) | BIT(VIA) |
    BIT(X_OLLAMAMAX_TENANT) | BIT(X_OLLAMAMAX_PRIORITY) | BIT(X_OLLAMAMAX_NODE) | BIT(X_OLLAMAMAX_DEADLINE_MS) |
    BIT(X_OLLAMAMAX_CONTINUE) | BIT(CONTENT_ENCODING) | BIT(ACCESS_CONTROL_REQUEST_HEADERS) |
    BIT(ACCESS_CONTROL_REQUEST_METHOD) | BIT(IF_NONE_MATCH);
static const uint64_t kept_from_clients =
    BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) | BIT(TE) |
    BIT(TRAILER) | BIT(UPGRADE) | BIT(CONTENT_TYPE) | BIT(ACCESS_CONTROL_ALLOW_ORIGIN) |
    BIT(ACCESS_CONTROL_ALLOW_HEADERS) | BIT(ACCESS_CONTROL_ALLOW_METHODS) | BIT(ACCESS_CONTROL_MAX_AGE) |
    BIT(ACCESS_CONTROL_EXPOSE_HEADERS) | BIT(X_REQUEST_ID) | BIT(TRACEPARENT) | BIT(X_OLLAMAMAX_NODE) |
    BIT(X_OLLAMAMAX_QUEUE_MS) | BIT(X_OLLAMAMAX_ATTEMPTS) | BIT(X_OLLAMAMAX_DECISION);

/* ---- lines that go on -------------------------------------------------------------------------------------------- */

static bool goes_on(const struct http_head *h, const struct http_field *f, uint64_t kept_back)
{
    if (kept_back >> f->id & 1)
        return false;
    return !http_has(h, H_CONNECTION) || !http_is_hop_by_hop(h, f);
}

/* "Name: value\r\n" of all that goes on, in the arena; NULL bytes when memory is out. */
static struct str lines_that_go_on(struct arena *a, const struct http_head *h, uint64_t kept_back)
{
    size_t room = 1;
    char *at, *p;

    for (uint32_t i = 0; i < h->n; i++)
        if (!(kept_back >> h->field[i].id & 1))
            room += h->field[i].name.n + h->field[i].value.n + 4;
    at = p = arena_take(a, room);
    for (uint32_t i = 0; at && i < h->n; i++) {
        const struct http_field *f = &h->field[i];
        if (!goes_on(h, f, kept_back))
            continue;
        p = put_str(p, f->name);
        p = put_str(p, STR(": "));
        p = put_str(p, f->value);
        p = put_str(p, HTTP_CRLF);
    }
    return at ? str_span(at, p) : STR_NONE;
}

/* ---- ids --------------------------------------------------------------------------------------------------------- */

static bool plain_token(struct str s, size_t max)
{
    if (s.n == 0 || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 127)
            return false;
    return true;
}

static struct str made_request_id(struct exchange *x)
{
    char *at = arena_take(&x->arena, 16);

    return at ? str_span(at, put_hex16(at, worker_random(x->worker))) : STR_NONE;
}

/* W3C trace context, level 1: 00-<32 hex>-<16 hex>-<2 hex>, ids not all zero. */
static bool trace_is_valid(struct str t)
{
    static const char shape[] = "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";

    if (t.n != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < t.n; i++) {
        bool hex = (t.p[i] >= '0' && t.p[i] <= '9') || (t.p[i] >= 'a' && t.p[i] <= 'f');
        if (shape[i] == 'h' ? !hex : t.p[i] != shape[i])
            return false;
    }
    return str_find(str_take(t, 36), STR("00000000000000000000000000000000")) < 0 &&
           str_find(str_drop(t, 36), STR("0000000000000000")) < 0;
}

#define TRACE_SPAN 36 /* where the span id stands */

static uint64_t span_in(struct str trace)
{
    uint64_t id = 0;

    for (unsigned i = 0; i < 16; i++)
        id = id << 4 | (unsigned)http_hex(trace.p[TRACE_SPAN + i]);
    return id;
}

/* Only where traces are exported. The client's word counts: one that is not sampled stays so. */
static void take_trace(struct exchange *x, bool is_ours)
{
    bool sampled = is_ours || http_hex(x->in.traceparent.p[x->in.traceparent.n - 1]) & 1;

    if (!x->settings->otlp.n || !sampled)
        return;
    x->in.parent = is_ours ? 0 : span_in(x->in.traceparent);
    x->in.span = is_ours ? span_in(x->in.traceparent) : worker_random(x->worker) | 1;
}

static struct str made_trace(struct exchange *x)
{
    char *at = arena_take(&x->arena, 55), *p = at;

    if (!at)
        return STR_NONE;
    p = put_str(p, STR("00-"));
    p = put_hex16(put_hex16(p, worker_random(x->worker)), worker_random(x->worker) | 1);
    *p++ = '-';
    p = put_hex16(p, worker_random(x->worker) | 1);
    return str_span(at, put_str(p, x->settings->otlp.n ? STR("-01") : STR("-00")));
}

static void settle_trace(struct exchange *x)
{
    bool is_ours = !trace_is_valid(x->in.traceparent);

    if (is_ours)
        x->in.traceparent = made_trace(x);
    if (x->in.traceparent.n)
        take_trace(x, is_ours);
}

/* ---- a client's head --------------------------------------------------------------------------------------------- */

/* Which fields become which section of x->in; 0: none. */
static const uint16_t place[H_COUNT] = {
#define KEEP(header, field) [H_##header] = offsetof(struct exchange, in.field)
    KEEP(HOST, host),
    KEEP(ORIGIN, origin),
    KEEP(USER_AGENT, user_agent),
    KEEP(ACCEPT, accept),
    KEEP(ACCEPT_ENCODING, accept_encoding),
    KEEP(IF_NONE_MATCH, if_none_match),
    KEEP(CONTENT_TYPE, content_type),
    KEEP(AUTHORIZATION, authorization),
    KEEP(CONTENT_ENCODING, encoding),
    KEEP(X_REQUEST_ID, request_id),
    KEEP(TRACEPARENT, traceparent),
    KEEP(X_OLLAMAMAX_TENANT, tenant),
    KEEP(X_OLLAMAMAX_PRIORITY, priority),
    KEEP(X_OLLAMAMAX_DEADLINE_MS, deadline_ms),
    KEEP(X_OLLAMAMAX_NODE, pin),
    KEEP(X_OLLAMAMAX_CONTINUE, goes_on),
    KEEP(VIA, via),
    KEEP(ACCESS_CONTROL_REQUEST_METHOD, cors_method),
#undef KEEP
};

/* The head's bytes lie in the worker's scratch: one copy keeps them all, and what is kept points into it. `from`: where
 * they lay, `to`: where they lie now. The first of several fields of a name counts; of Cache-Control all do, as one
 * list.
 */
static void keep_fields(struct exchange *x, const struct http_head *h, const char *from, const char *to)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const struct http_field *f = &h->field[i];
        struct str *at = (struct str *)(void *)((char *)x + place[f->id]);
        if (place[f->id] && !at->p)
            *at = (struct str){ to + (f->value.p - from), f->value.n };
        if (f->id == H_CACHE_CONTROL)
            control_read(&x->in.control, f->value);
    }
    if (h->authority.n) /* of an absolute-form target: it overrides Host */
        x->in.host = (struct str){ to + (h->authority.p - from), h->authority.n };
    if (http_has(h, H_X_FORWARDED_FOR) || http_has(h, H_FORWARDED) || http_has(h, H_X_FORWARDED_PROTO) ||
        http_has(h, H_VIA))
        x->in.loopback = false;
}

/* The value of a field, in the copy of the head. */
static struct str copied(const struct http_head *h, enum header_id id, const char *from, const char *to)
{
    struct str value = http_get(h, id);

    return value.p ? (struct str){ to + (value.p - from), value.n } : STR_NONE;
}

static void keep_offer(struct exchange *x, const struct http_head *h, const char *from, const char *to)
{
    struct offer *o = http_has(h, H_UPGRADE) ? arena_take(&x->arena, sizeof *o) : NULL;

    if (o)
        *o = (struct offer){ copied(h, H_UPGRADE, from, to), copied(h, H_CONNECTION, from, to),
                             copied(h, H_SEC_WEBSOCKET_KEY, from, to), copied(h, H_SEC_WEBSOCKET_VERSION, from, to),
                             copied(h, H_SEC_WEBSOCKET_PROTOCOL, from, to) };
    x->in.offer = o;
}

static struct str head_bytes(const struct http_head *h)
{
    const char *end = h->target.p + h->target.n;

    if (h->n)
        end = MAX(end, h->field[h->n - 1].value.p + h->field[h->n - 1].value.n);
    return str_span(h->method_text.p, end);
}

/* A path that the target left out is a literal, and stays. */
static struct str moved(struct str s, struct str from, const char *to)
{
    return s.p >= from.p && s.p <= from.p + from.n ? (struct str){ to + (s.p - from.p), s.n } : s;
}

enum fail forward_take_request(struct exchange *x, const struct http_head *h)
{
    struct str head = head_bytes(h), copy = str_dup(&x->arena, head);

    if (!copy.p)
        return FAIL_no_memory;
    x->in.method = h->method;
    x->in.path = route_tidy(&x->arena, moved(h->path, head, copy.p));
    x->in.slash = h->path.n > 1 && h->path.p[h->path.n - 1] == '/';
    x->in.query = moved(h->query, head, copy.p);
    keep_fields(x, h, head.p, copy.p);
    keep_offer(x, h, head.p, copy.p);
    x->in.forward = lines_that_go_on(&x->arena, h, kept_from_nodes);
    if (!plain_token(x->in.request_id, RECORD_REQUEST - 1))
        x->in.request_id = made_request_id(x);
    settle_trace(x);
    return x->arena.failed ? FAIL_no_memory : OK;
}

enum fail forward_take_message(struct exchange *x, struct str path)
{
    struct str query = path;

    x->in.method = M_POST;
    x->in.path = route_tidy(&x->arena, str_cut(&query, '?'));
    x->in.query = query;
    x->in.content_type = STR("application/json");
    x->in.forward = STR("Content-Type: application/json\r\nAccept: */*\r\n");
    x->in.request_id = made_request_id(x);
    settle_trace(x);
    return x->arena.failed ? FAIL_no_memory : OK;
}

/* ---- towards a node ---------------------------------------------------------------------------------------------- */

static char *put_field(char *at, struct str name, struct str value)
{
    at = put_str(at, name);
    at = put_str(at, value);
    return put_str(at, HTTP_CRLF);
}

/* A node that traces goes on below the attempt, where that is exported. */
static char *put_trace(char *at, const struct exchange *x)
{
    char *line = put_str(at, STR("traceparent: "));

    at = put_str(line, x->in.traceparent);
    if (x->in.span)
        put_hex16(line + TRACE_SPAN, otlp_attempt_span(x->in.span, x->up.attempts));
    return put_str(at, HTTP_CRLF);
}

/* Behind those before us: gateways that lead to each other in a circle find themselves there. */
static char *put_via(char *at, struct str before, struct str instance)
{
    at = put_str(at, STR("Via: "));
    if (before.n) {
        at = put_str(at, before);
        at = put_str(at, STR(", "));
    }
    return put_field(at, STR("1.1 ollamamax-"), instance);
}

struct str forward_request_head(struct exchange *x)
{
    const struct node *n = x->ticket.lease.node;
    struct str method = x->up.method, path = x->up.path, instance = str_of(x->worker->gateway->instance);
    size_t room = 256 + method.n + n->url.prefix.n + path.n + x->in.query.n + n->host_header.n + x->in.forward.n +
                  x->in.request_id.n + x->in.traceparent.n + x->in.via.n + instance.n;
    char *at = arena_take(&x->arena, room), *p = at;

    if (!at)
        return STR_NONE;
    p = put_str(p, method);
    *p++ = ' ';
    p = put_str(p, n->url.prefix);
    p = put_str(p, path);
    if (x->in.query.n) {
        *p++ = '?';
        p = put_str(p, x->in.query);
    }
    p = put_field(p, STR(" HTTP/1.1\r\nHost: "), n->host_header);
    p = put_str(p, x->in.forward);
    if (x->in.request_id.n)
        p = put_field(p, STR("X-Request-Id: "), x->in.request_id);
    if (x->in.traceparent.n)
        p = put_trace(p, x);
    p = put_via(p, x->in.via, instance);
    if (x->up.chunked_body) {
        p = put_str(p, STR("Transfer-Encoding: chunked\r\n"));
    } else if (x->up.body_length >= 0 && (x->up.body_length || x->in.method != M_GET)) {
        p = put_str(p, STR("Content-Length: "));
        p = put_u64(p, (uint64_t)x->up.body_length);
        p = put_str(p, HTTP_CRLF);
    }
    return str_span(at, put_str(p, HTTP_CRLF));
}

/* ---- a node's head ----------------------------------------------------------------------------------------------- */

enum fail forward_take_response(struct exchange *x, const struct http_head *h)
{
    x->out.content_type = str_dup(&x->arena, http_get(h, H_CONTENT_TYPE));
    x->out.headers = lines_that_go_on(&x->arena, h, kept_from_clients);
    return x->arena.failed ? FAIL_no_memory : OK;
}
