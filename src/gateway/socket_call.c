/* What was asked by a message, under way: an exchange like any other, and a sink that makes frames of its answer.
 *
 *     records --cut--> {"type":"stream_chunk","id":7,"data":{...}} --> the wire, or, while that is full, the call's
 * `out` and then the wire, in turn with other calls'
 *
 * Each call so has a window of its own: the relay stops reading a node for which a megabyte waits (exchange.h),
 * whatever the others on the same socket do, and a call that floods cannot hold back one that trickles. */
#include "base/utf8.h"
#include "gateway/ops.h"
#include "gateway/socket.h"

#define WIRE_FULL KIB(64) /* of pending bytes; what comes behind waits at its call */
#define TURN      KIB(16) /* written of one call before it is the next one's turn */

struct call {
    struct list link, due; /* in the socket's lists */
    struct socket *socket;
    struct exchange *x; /* NULL: over, but for what is still in `out` */
    bool ended;         /* response or error has been said */
    uint8_t id_n;
    char id[SOCKET_ID];
    struct buf part; /* a record's beginning, or of an answer in one piece what has come so far */
    struct buf out;  /* whole frames */
};
static struct slab calls;

static struct str id_of(const struct call *c)
{
    return (struct str){ c->id, c->id_n };
}

static void forget(struct call *c)
{
    struct socket *s = c->socket;

    list_del_if(&c->due);
    list_del(&c->link);
    s->n_calls--;
    buf_free(&c->part);
    buf_free(&c->out);
    slab_give(&calls, &c);
    if (s->ending && !s->closing && list_empty(&s->calls))
        socket_drain(s);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static bool wire_is_free(const struct call *c)
{
    return !buf_len(&c->out) && conn_pending(&c->socket->client->conn) < WIRE_FULL;
}

/* Frees the text. */
static void say(struct call *c, struct text *t)
{
    char head[WEBSOCKET_HEAD];
    struct str payload = text_str(t);

    if (t->failed || wire_is_free(c)) {
        socket_say(c->socket, t);
        return;
    }
    if (buf_append(&c->out, (struct str){ head, websocket_head(WEBSOCKET_TEXT, payload.n, head) }) ||
        buf_append(&c->out, payload))
        client_doom(c->socket->client);
    if (!list_linked(&c->due))
        list_push(&c->socket->due, &c->due);
    text_free(t);
}

static size_t frame_bytes(struct str frames)
{
    const uint8_t *p = (const uint8_t *)frames.p;
    unsigned more = p[1] < 126 ? 0 : p[1] == 126 ? 2 : 8;
    uint64_t n = more ? 0 : p[1];

    for (unsigned i = 0; i < more; i++)
        n = n << 8 | p[2 + i];
    return (size_t)n + 2 + more;
}

static void write_turn(struct call *c)
{
    struct str frames = buf_str(&c->out);
    size_t n = frame_bytes(frames);
    struct iovec v = { (void *)frames.p, 0 };

    while (n < TURN && n < frames.n)
        n += frame_bytes(str_drop(frames, n));
    v.iov_len = n;
    (void)conn_write(&c->socket->client->conn, &v, 1, FLEETING);
    buf_eat(&c->out, n);
    list_del(&c->due);
    if (buf_len(&c->out))
        list_push(&c->socket->due, &c->due);
    else
        buf_free(&c->out);
}

void calls_pump(struct socket *s)
{
    struct list *l;

    while (conn_pending(&s->client->conn) < WIRE_FULL && (l = list_first(&s->due))) {
        struct call *c = CONTAINER(l, struct call, due);
        write_turn(c);
        if (!c->x && !buf_len(&c->out))
            forget(c);
    }
    list_each_safe (each, &s->calls) {
        struct call *c = CONTAINER(each, struct call, link);
        if (c->x && !buf_len(&c->out))
            attempt_resume(c->x);
    }
}

/* ---- what frames say --------------------------------------------------------------------------------------------- */

static bool is_text(struct str s)
{
    while (s.n) {
        size_t n = utf8_bytes(s);
        if (!n)
            return false;
        s = str_drop(s, n);
    }
    return true;
}

/* What a node says is JSON nearly always; if not, it must not break our frame. */
static void put_value(struct json_out *j, const char *key, struct str said)
{
    struct str rest = STR_NONE, value = str_trim(said);
    bool good = value.n && json_parse(value, &rest).kind != JSON_BAD && !str_trim(rest).n && is_text(value);

    json_key(j, key);
    if (good)
        json_put_raw(j, value);
    else if (value.n)
        json_put_str(j, value);
    else
        json_put_null(j);
}

static void open_frame(struct json_out *j, const struct call *c, const char *type)
{
    json_open(j, '{');
    ops_str(j, "type", str_of(type));
    if (c->id_n) {
        json_key(j, "id");
        json_put_raw(j, id_of(c));
    }
}

static void say_chunk(struct call *c, struct str data)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    open_frame(&j, c, "stream_chunk");
    put_value(&j, "data", data);
    json_close(&j);
    say(c, &t);
}

static void put_road(struct json_out *j, const struct exchange *x)
{
    char text[DECISION_TEXT];
    struct str cache = record_cache_name(x->tally.cache);

    ops_str(j, "request_id", x->in.request_id);
    if (cache.n)
        ops_str(j, "cache", cache);
    if (!x->up.attempts)
        return;
    ops_str(j, "node", str_of(x->up.node_name));
    ops_int(j, "attempts", x->up.attempts);
    ops_int(j, "queue_ms", x->tally.queued / MSEC(1));
    ops_str(j, "decision", (struct str){ text, decision_write(&x->ticket.decision, text) });
}

/* {"error":"..."} of Ollama and of ours, {"error":{"message":"..."}} of the others; else the text as it is. */
static void put_error_text(struct json_out *j, struct str body)
{
    struct arena a;
    struct json error = json_get(json_parse(body, NULL), STR("error"));
    struct str text = str_trim(body);

    arena_init(&a);
    if (error.kind == JSON_OBJECT)
        error = json_get(error, STR("message"));
    if (error.kind == JSON_STRING)
        text = json_text(&a, error);
    ops_str(j, "error", text);
    arena_done(&a);
}

/* The whole answer, or, after chunks, that it was one. */
static void say_response(struct call *c, struct str body)
{
    struct exchange *x = c->x;
    bool failed = x->out.status >= 400;
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    open_frame(&j, c, failed ? "error" : "response");
    ops_int(&j, "status", x->out.status);
    if (failed) {
        ops_str(&j, "code", fail_name(x->tally.why ? x->tally.why : FAIL_upstream_said));
        put_error_text(&j, body);
    }
    put_road(&j, x);
    put_value(&j, "body", body);
    json_close(&j);
    c->ended = true;
    say(c, &t);
}

static void say_failure(struct call *c, enum fail why, struct str message)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    open_frame(&j, c, "error");
    ops_int(&j, "status", fail_status(why));
    ops_str(&j, "code", fail_name(why));
    ops_str(&j, "error", message.n ? message : fail_sentence(why));
    if (c->x->ticket.retry_after_s)
        ops_int(&j, "retry_after_s", c->x->ticket.retry_after_s);
    put_road(&j, c->x);
    json_close(&j);
    c->ended = true;
    say(c, &t);
}

/* ---- the sink ---------------------------------------------------------------------------------------------------- */

static void sink_head(struct exchange *x)
{
    x->tally.status = x->out.status;
}

static void say_record(struct call *c, struct str record)
{
    struct str data = str_trim(record_data(c->x->up.form, record));

    if (data.n && !str_eq(data, STR("[DONE]"))) /* the response says that */
        say_chunk(c, data);
}

/* Of a record so large that it comes in parts the beginning is kept until its end has come. */
static void cut_records(struct call *c, struct str bytes, bool last)
{
    struct str tail = buf_str(&c->part), all, whole;
    unsigned records;

    if (tail.n) {
        if (buf_append(&c->part, bytes)) {
            client_doom(c->socket->client);
            return;
        }
        bytes = buf_str(&c->part);
    }
    all = bytes;
    whole = last ? all : str_take(all, record_whole(c->x->up.form, STR_NONE, all, &records));
    for (struct str rest = whole; rest.n;)
        say_record(c, record_cut(c->x->up.form, &rest));
    if (tail.n)
        buf_eat(&c->part, whole.n);
    else if (whole.n < all.n && buf_append(&c->part, str_drop(all, whole.n)))
        client_doom(c->socket->client);
    if (!buf_len(&c->part))
        buf_free(&c->part);
}

static void gather(struct call *c, struct str bytes, bool last)
{
    if (last && !buf_len(&c->part)) {
        say_response(c, bytes);
        return;
    }
    if (buf_append(&c->part, bytes))
        client_doom(c->socket->client);
    else if (last)
        say_response(c, buf_str(&c->part));
}

static void sink_push(struct exchange *x, struct str bytes, bool last)
{
    struct call *c = x->owner;
    bool streams = x->out.stream && x->up.form != FORM_WHOLE;

    x->out.head_sent = true;
    if (c->socket->closing || c->socket->client->doomed)
        return;
    if (!streams) {
        gather(c, bytes, last);
        return;
    }
    cut_records(c, bytes, last);
    if (last)
        say_response(c, STR_NONE);
}

static void sink_refuse(struct exchange *x, enum fail why, struct str message)
{
    struct call *c = x->owner;

    x->tally.status = fail_status(why);
    say_failure(c, why, message);
}

static void sink_ended(struct exchange *x, enum fail why)
{
    struct call *c = x->owner;

    if (!c->ended && !c->socket->closing)
        say_failure(c, why ? why : FAIL_upstream_cut, STR_NONE);
    c->x = NULL;
    if (!buf_len(&c->out) || c->socket->closing)
        forget(c);
}

static size_t sink_waiting(const struct exchange *x)
{
    const struct call *c = x->owner;

    return buf_len(&c->out);
}

static const struct sink_ops call_sink = {
    .head = sink_head, .push = sink_push, .ended = sink_ended, .waiting = sink_waiting, .refuse = sink_refuse
};

/* ---- beginning --------------------------------------------------------------------------------------------------- */

void socket_call_pools_init(void)
{
    slab_init(&calls, "websocket_call", sizeof(struct call));
}

void socket_call_pools_done(void)
{
    slab_done(&calls);
}

static struct call *call_of(struct socket *s, struct str id)
{
    list_each (l, &s->calls) {
        struct call *c = CONTAINER(l, struct call, link);
        if (id.n && str_eq(id_of(c), id))
            return c;
    }
    return NULL;
}

static struct call *call_new(struct socket *s, struct str id)
{
    struct call *c = slab_take0(&calls);

    if (!c)
        return NULL;
    c->x = exchange_new(s->client->worker, OWNER_CLIENT, c, &call_sink);
    if (!c->x) {
        slab_give(&calls, &c);
        return NULL;
    }
    c->socket = s;
    c->id_n = (uint8_t)id.n;
    put_str(c->id, id);
    list_push(&s->calls, &c->link);
    s->n_calls++;
    return c;
}

/* The message's block goes with the body. */
static enum fail take_body(struct exchange *x, const struct call_wish *wish)
{
    struct buf *b = &x->in.body_buf;

    x->in.body_whole = true;
    if (!wish->body.n)
        return OK;
    *b = *wish->text;
    *wish->text = (struct buf){ 0 };
    b->start = (size_t)(wish->body.p - b->block);
    b->end = b->start + wish->body.n;
    x->in.body = buf_str(b);
    return body_arrived(x);
}

static enum fail describe(struct socket *s, struct exchange *x, const struct call_wish *wish)
{
    struct str path = str_dup(&x->arena, wish->path);
    enum fail f = path.p ? forward_take_message(x, path) : FAIL_no_memory;

    x->in.method = wish->method;
    x->in.host = s->host;
    x->in.origin = s->origin;
    x->in.authorization = s->authorization;
    x->in.user_agent = s->user_agent;
    x->in.loopback = s->loopback;
    x->in.peer = (struct str){ s->client->peer, s->client->peer_n };
    return f ? f : take_body(x, wish);
}

void call_begin(struct socket *s, const struct call_wish *wish)
{
    enum fail f = s->ending                    ? FAIL_shutting_down
                  : s->n_calls >= SOCKET_CALLS ? FAIL_too_many_at_once
                  : call_of(s, wish->id)       ? FAIL_conflict
                                               : OK;
    struct call *c = f ? NULL : call_new(s, wish->id);

    if (!c) {
        socket_error(s, wish->id, f ? f : FAIL_no_memory,
                     f == FAIL_conflict ? STR("an inference with this id is under way") : STR_NONE);
        return;
    }
    f = describe(s, c->x, wish);
    if (f)
        exchange_cancel(c->x, f);
    else
        exchange_start(c->x, STAGE_DOOR);
}

bool call_cancel(struct socket *s, struct str id)
{
    struct call *c = call_of(s, id);

    if (!c || !c->x)
        return false;
    exchange_cancel(c->x, FAIL_client_gone);
    return true;
}

void calls_cancel_all(struct socket *s)
{
    list_each_safe (l, &s->calls) {
        struct call *c = CONTAINER(l, struct call, link);
        if (c->x)
            exchange_cancel(c->x, FAIL_client_gone); /* forgets it */
        else
            forget(c);
    }
}
