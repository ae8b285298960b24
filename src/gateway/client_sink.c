/* Answers onto a client's wire: head, chunked or counted body, and at most one write per stream and millisecond.
 *
 * The first write goes out at once. A later one goes out at once too if a millisecond has passed since the last;
 * otherwise its bytes wait in c->out, and the client in the worker's list of due ones, oldest first: one timer serves
 * all. A burst of records so costs one write instead of one each, and nobody below 1,000 records a second waits.
 * Meanwhile the node is not read either: what it sends gathers in the socket, and is read and written at once when the
 * millisecond is over. Bytes that can be written are never copied. */
#include "base/stamp.h"
#include "gateway/gateway_private.h"

#define PACE MSEC(1)
#define HEAD_FIX                                                                                                       \
    (680 + STATUS_ROOM + STATUS_AGE_ROOM) /* our own lines, without the strings whose lengths are added                \
                                           */

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static char *put_line(char *at, struct str name, struct str value)
{
    at = put_str(at, name);
    at = put_str(at, value);
    return put_str(at, HTTP_CRLF);
}

static char *put_status(char *at, int status)
{
    at = put_str(at, STR("HTTP/1.1 "));
    at = put_u64(at, (uint64_t)status);
    *at++ = ' ';
    return put_line(at, http_reason(status), STR_NONE);
}

static char *put_road(char *at, const struct exchange *x)
{
    at = put_line(at, STR("X-OllamaMax-Node: "), str_of(x->up.node_name));
    at = put_str(at, STR("X-OllamaMax-Queue-Ms: "));
    at = put_u64(at, (uint64_t)(x->tally.queued / MSEC(1)));
    at = put_str(at, STR("\r\nX-OllamaMax-Attempts: "));
    at = put_u64(at, x->up.attempts);
    at = put_str(at, HTTP_CRLF);
    at = put_str(at, STR("X-OllamaMax-Decision: "));
    at += decision_write(&x->ticket.decision, at);
    return put_str(at, HTTP_CRLF);
}

static char *put_cache(char *at, const struct exchange *x)
{
    at = put_str(at, STR("Cache-Status: "));
    at += status_put(&x->lookup.status, at);
    at = put_str(at, HTTP_CRLF);
    if (x->lookup.status.kind != STATUS_HIT)
        return at;
    at = put_str(at, STR("Age: "));
    at += status_put_age(x->lookup.age, at);
    return put_str(at, HTTP_CRLF);
}

static bool status_has_no_body(int status)
{
    return status == 101 || status == 204 || status == 304;
}

static char *put_framing(char *at, struct client *c, const struct exchange *x)
{
    c->chunked = false;
    if (c->body.framing != BODY_NONE)
        c->keep_alive = false; /* answered before the request was read: what still comes is no request */
    if (x->out.length >= 0 && !status_has_no_body(x->out.status)) {
        at = put_str(at, STR("Content-Length: "));
        at = put_u64(at, (uint64_t)x->out.length);
        at = put_str(at, HTTP_CRLF);
    } else if (x->out.length < 0 && !c->http10) {
        c->chunked = !c->head_request;
        at = put_str(at, STR("Transfer-Encoding: chunked\r\n"));
    } else if (x->out.length < 0) {
        c->keep_alive = false; /* HTTP/1.0: the end of the connection is the end of the body */
    }
    if (!c->keep_alive)
        at = put_str(at, STR("Connection: close\r\n"));
    else if (c->http10)
        at = put_str(at, STR("Connection: keep-alive\r\n"));
    return at;
}

static char *put_cors(char *at, const struct exchange *x)
{
    if (!x->in.origin.n || cors_judge(&x->settings->cors, x->in.origin, x->in.host) != CORS_ALLOWED)
        return at;
    return cors_headers(&x->settings->cors, x->in.origin, false, at);
}

static size_t head_room(const struct exchange *x)
{
    return HEAD_FIX + x->out.content_type.n + x->out.headers.n + x->in.request_id.n + x->in.traceparent.n +
           sizeof x->up.node_name + DECISION_TEXT + (x->in.origin.n ? CORS_ROOM + x->in.origin.n : 0);
}

/* Answers of our own are dated by us (RFC 9110 section 6.6.1); those of nodes keep their date. */
static char *put_date(char *at, struct worker *w)
{
    nsec wall = loop_wall(w->loop);

    if (wall - w->date_at >= SECOND(1) || wall < w->date_at) {
        stamp_http(wall, w->date);
        w->date_at = wall - wall % SECOND(1);
    }
    return put_line(at, STR("Date: "), (struct str){ w->date, 29 });
}

static struct str put_head(struct client *c, struct exchange *x, char *at)
{
    char *p = put_status(at, x->out.status);

    if (x->out.content_type.n)
        p = put_line(p, STR("Content-Type: "), x->out.content_type);
    p = put_str(p, x->out.headers);
    p = put_line(p, STR("X-Request-Id: "), x->in.request_id);
    if (x->in.traceparent.n)
        p = put_line(p, STR("traceparent: "), x->in.traceparent);
    if (!x->out.from_node)
        p = put_date(p, c->worker);
    if (x->up.attempts)
        p = put_road(p, x);
    if (x->lookup.asked)
        p = put_cache(p, x);
    p = put_cors(p, x);
    if (x->again.may)
        p = put_line(p, STR("Trailer: "), STR("X-OllamaMax-Continued"));
    p = put_framing(p, c, x);
    return str_span(at, put_str(p, HTTP_CRLF));
}

static void sink_head(struct exchange *x)
{
    x->tally.status = x->out.status; /* goes out with the first bytes */
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

/* Everything that goes out now, in order: head, chunk line, waiting bytes, new bytes, end of chunk and of body. */
static void write_out(struct client *c, struct str head, struct str bytes, bool last)
{
    struct str waiting = buf_str(&c->out);
    bool body = !c->head_request && waiting.n + bytes.n > 0;
    char line[20];
    struct iovec v[6];
    int n = 0;

#define PIECE(s)                                                                                                       \
    do {                                                                                                               \
        if ((s).n)                                                                                                     \
            v[n++] = (struct iovec){ (void *)(s).p, (s).n };                                                           \
    } while (0)
    PIECE(head);
    if (body && c->chunked)
        PIECE(((struct str){ line, http_chunk_line(waiting.n + bytes.n, line) }));
    if (body)
        PIECE(waiting);
    if (body)
        PIECE(bytes);
    if (body && c->chunked)
        PIECE(HTTP_CRLF);
    if (last && c->chunked)
        PIECE(c->x->again.n ? STR("0\r\nX-OllamaMax-Continued: 1\r\n\r\n") : HTTP_LAST_CHUNK);
#undef PIECE
    c->last_write = worker_now(c->worker);
    list_del_if(&c->due);
    if (n && conn_write(&c->conn, v, n, FLEETING) == FAIL_no_memory) /* any other break is told to its reader */
        client_doom(c);
    buf_free(&c->out);
}

static void write_first(struct client *c, struct exchange *x, struct str bytes, bool last)
{
    char small[2048], *room = small;
    size_t need = head_room(x);

    if (need > sizeof small)
        room = arena_take(&x->arena, need);
    x->out.head_sent = true;
    if (room)
        write_out(c, put_head(c, x, room), bytes, last);
    else
        client_doom(c);
}

static void await_millisecond(struct client *c)
{
    struct worker *w = c->worker;

    list_push(&w->due, &c->due);
    if (!timer_pending(&w->due_timer))
        loop_timer_set(w->loop, &w->due_timer, c->last_write + PACE);
}

/* c->out waits until a millisecond after the last write. */
static void write_later(struct client *c, struct exchange *x, struct str bytes)
{
    if (buf_append(&c->out, bytes)) {
        client_doom(c); /* no memory: better broken than with a hole */
        return;
    }
    if (list_linked(&c->due))
        return;
    attempt_rest(x);
    await_millisecond(c);
}

static void sink_push(struct exchange *x, struct str bytes, bool last)
{
    struct client *c = x->owner;

    if (c->doomed)
        return;
    if (!x->out.head_sent)
        write_first(c, x, bytes, last);
    else if (last || worker_now(c->worker) >= c->last_write + PACE)
        write_out(c, STR_NONE, bytes, last);
    else
        write_later(c, x, bytes);
}

/* Its millisecond is over: what the node has sent meanwhile is read, and all is written at once. While there is
 * something each time, the stream is served by this clock alone: one read and one write a millisecond, however many
 * records there are. */
static void serve_due(struct client *c)
{
    uint64_t id = c->x->id;
    bool gathered = attempt_gather(c->x); /* the exchange may be over now */

    if (list_linked(&c->due) && buf_len(&c->out))
        write_out(c, STR_NONE, STR_NONE, false);
    list_del_if(&c->due);
    if (gathered && c->x && c->x->id == id && !c->doomed) {
        c->last_write = worker_now(c->worker);
        await_millisecond(c);
    }
}

void clients_flush_due(struct worker *w)
{
    struct list *l;

    while ((l = list_first(&w->due))) {
        struct client *c = CONTAINER(l, struct client, due);
        if (c->last_write + PACE > worker_now(w)) {
            loop_timer_set(w->loop, &w->due_timer, c->last_write + PACE);
            return;
        }
        serve_due(c);
    }
}

static size_t sink_waiting(const struct exchange *x)
{
    const struct client *c = x->owner;

    return conn_pending(&c->conn) + buf_len(&c->out);
}

static void sink_ended(struct exchange *x, enum fail why)
{
    client_answered(x->owner, x->out.complete && (!why || x->out.broken == BREAK_CLEAN));
}

const struct sink_ops client_sink = {
    .head = sink_head, .push = sink_push, .ended = sink_ended, .waiting = sink_waiting
};
