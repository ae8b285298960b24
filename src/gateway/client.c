/* A client's connection: heads parsed where the socket was read into, bodies gathered, exchanges started one after the
 * other.
 *
 * Everything that arrives goes through consume(), which walks the states as long as there are bytes; an answer that
 * ends inside it (from memory, say) merely changes the state, and the walk goes on with the next pipelined request. One
 * that ends later calls resume(). A client is freed in one place, close_client(), and never while consume() is on the
 * stack above (pumping): then consume() does it. */
#include "gateway/gateway_private.h"
#include "gateway/socket.h"

#define PIPELINE_MAX KIB(64)
/* Who is refused while he still sends reads the answer only if what he sends is taken until he stops (RFC 9112 section
 * 9.6): for as long as something comes now and then, and not for ever. */
#define LINGER_TIME  SECOND(5)
#define LINGER_MOST  SECOND(30)
#define LINGER_BYTES MIB(256)
#define UNREAD_MAX   MIB(1) /* of answers: a client that pipelines without reading is answered no further */

static struct slab clients;
static const struct conn_events events;
static void resume(struct client *c);
static void timed(struct timer *t);

void client_pools_init(void)
{
    slab_init(&clients, "client", sizeof(struct client));
}

void client_pools_done(void)
{
    slab_done(&clients);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void deadline(struct client *c, nsec patience)
{
    c->deadline = patience ? worker_now(c->worker) + patience : NEVER;
    if (c->deadline != NEVER && (!timer_pending(&c->timer) || c->timer.due > c->deadline))
        loop_timer_set(c->worker->loop, &c->timer, c->deadline);
}

static void close_client(struct client *c, bool reset)
{
    struct worker *w = c->worker;

    assume(!c->x && !c->pumping);
    loop_timer_cancel(w->loop, &c->timer);
    conn_close(&c->conn, reset);
    list_del_if(&c->due);
    buf_free(&c->in);
    buf_free(&c->out);
    list_del(&c->link);
    atomic_fetch_sub_explicit(&w->n_clients, 1, memory_order_relaxed);
    slab_give(&clients, &c);
    worker_maybe_drained(w);
}

/* The client has left, or must go: what runs for it is cancelled first. It may have closed its own direction only and
 * read on: an answer that ends early must not look whole to it, as it would in HTTP/1.0. */
static void leave(struct client *c, bool reset)
{
    reset |= c->x || conn_pending(&c->conn);
    if (c->socket)
        socket_free(&c->socket);
    if (c->x) {
        struct exchange *x = c->x;
        c->doomed = true;
        exchange_cancel(x, FAIL_client_gone); /* ends in client_answered, which leaves a doomed one to us */
    }
    close_client(c, reset);
}

void client_doom(struct client *c)
{
    c->doomed = true;
    loop_timer_set(c->worker->loop, &c->timer, worker_now(c->worker));
}

static void keep_peer(struct client *c, const struct addr *from)
{
    char text[64];

    c->peer_n = (uint8_t)MIN(addr_host_text(from, text), sizeof c->peer);
    memcpy(c->peer, text, c->peer_n);
}

void client_accept(struct worker *w, int handle, const struct addr *from)
{
    struct client *c = slab_take0(&clients);

    if (!c) {
        handle_refuse(handle, STR("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: "
                                  "0\r\nConnection: close\r\n\r\n"));
        meter_add(w->meter, COUNT_connections_refused, 1);
        return;
    }
    c->worker = w;
    keep_peer(c, from);
    c->loopback = addr_is_loopback(from);
    c->draining = w->draining;
    c->timer.fire = timed;
    list_push(&w->clients, &c->link);
    atomic_fetch_add_explicit(&w->n_clients, 1, memory_order_relaxed);
    if (conn_adopt(&c->conn, w->loop, handle, from, NULL, &events)) {
        close_client(c, true);
        return;
    }
    conn_watch(&c->conn, SOCK_READ);
    meter_add(w->meter, COUNT_connections, 1);
}

/* ---- answered ---------------------------------------------------------------------------------------------------- */

/* What is pending goes out first, for as long as its reader takes some of it now and then; only then is what comes read
 * away. */
static void linger(struct client *c)
{
    c->state = CLIENT_LINGER;
    c->lingered = 0;
    c->linger_until = worker_now(c->worker) + LINGER_MOST;
    c->taken = c->conn.bytes_out;
    conn_shutdown(&c->conn);
    conn_watch(&c->conn, SOCK_READ);
    deadline(c, conn_pending(&c->conn) ? worker_settings(c->worker)->client_idle_timeout : LINGER_TIME);
}

/* With bytes pending a FIN would make the part that has gone out look whole: then it is a reset. */
static void end_linger(struct client *c)
{
    close_client(c, conn_pending(&c->conn) > 0);
}

/* What is pending may stay so for as long as some of it is taken now and then. */
static bool still_reads(struct client *c)
{
    bool reads = conn_pending(&c->conn) && c->conn.bytes_out > c->taken;

    c->taken = c->conn.bytes_out;
    if (reads)
        deadline(c, worker_settings(c->worker)->client_idle_timeout);
    return reads;
}

static void lingered_long(struct client *c)
{
    if (!still_reads(c))
        end_linger(c);
}

static void idled_long(struct client *c)
{
    if (conn_pending(&c->conn) && !still_reads(c))
        leave(c, true);
}

static bool request_was_read(const struct client *c)
{
    return c->body.framing == BODY_NONE;
}

static void become_socket(struct client *c)
{
    c->state = CLIENT_SOCKET;
    deadline(c, 0);
    socket_open(c->socket);
    if (c->draining)
        socket_drain(c->socket);
    if (!c->pumping)
        resume(c);
}

void client_bow_out(struct client *c)
{
    socket_free(&c->socket);
    linger(c);
}

void client_answered(struct client *c, bool whole)
{
    c->x = NULL;
    list_del_if(&c->due);
    if (c->doomed)
        return;
    c->served++;
    if (!whole || c->doomed) {
        client_doom(c);
        return;
    }
    if (c->socket) {
        become_socket(c);
        return;
    }
    if (!request_was_read(c) || !c->keep_alive || c->draining) {
        linger(c);
        return;
    }
    c->state = CLIENT_IDLE;
    c->taken = c->conn.bytes_out;
    deadline(c, conn_pending(&c->conn) ? worker_settings(c->worker)->client_idle_timeout : 0);
    if (!c->pumping)
        resume(c);
}

/* ---- heads ------------------------------------------------------------------------------------------------------- */

/* A request that could not even be read: answered plainly, and the connection ends. */
static void refuse_head(struct client *c, enum fail why, enum dialect d)
{
    struct text t = { 0 };
    struct text head = { 0 };
    struct iovec v[2];

    dialect_error(&t, d, fail_status(why), why, fail_sentence(why), STR_NONE);
    text_printf(&head, "HTTP/1.1 %d %.*s\r\nContent-Type: %.*s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                fail_status(why), STR_ARG(http_reason(fail_status(why))), STR_ARG(dialect_error_type(d)),
                text_str(&t).n);
    v[0] = (struct iovec){ (void *)text_str(&head).p, text_str(&head).n };
    v[1] = (struct iovec){ (void *)text_str(&t).p, text_str(&t).n };
    if (!t.failed && !head.failed)
        (void)conn_write(&c->conn, v, 2, FLEETING);
    text_free(&t);
    text_free(&head);
    linger(c);
}

static bool keeps_alive(const struct client *c, const struct http_frame *f)
{
    return f->keep_alive && !c->draining;
}

static enum fail open_exchange(struct client *c, const struct http_head *h, const struct http_frame *f)
{
    struct exchange *x = exchange_new(c->worker, OWNER_CLIENT, c, &client_sink);
    enum fail why;

    if (!x)
        return FAIL_no_memory;
    c->x = x;
    c->http10 = h->minor == 0;
    c->head_request = h->method == M_HEAD;
    c->keep_alive = keeps_alive(c, f);
    c->held = false;
    http_body_init(&c->body, f);
    x->in.loopback = c->loopback;
    x->in.peer = (struct str){ c->peer, c->peer_n };
    x->in.expects = f->expect_continue;
    x->in.framing = f->framing;
    x->in.length = f->length;
    why = forward_take_request(x, h);
    if (why) {
        c->doomed = true; /* ended by us, not by the exchange */
        exchange_cancel(x, why);
        c->doomed = false;
    }
    return why;
}

/* The whole body is often there with the head: then it is in place before the exchange starts. Returns what is left. */
static struct str start_exchange(struct client *c, struct str in)
{
    struct exchange *x = c->x;

    c->state = CLIENT_BODY;
    if (c->body.framing == BODY_LENGTH && c->body.left == 0)
        c->body.framing = BODY_NONE;
    if (c->body.framing == BODY_LENGTH && c->body.left <= in.n && c->body.left <= KIB(8)) {
        x->in.body = str_dup(&x->arena, str_take(in, c->body.left));
        x->in.body_whole = x->in.body.p != NULL;
        if (x->in.body_whole) {
            in = str_drop(in, c->body.left);
            c->body.framing = BODY_NONE;
        }
    }
    if (c->body.framing == BODY_NONE) {
        x->in.body_whole = true;
        c->state = CLIENT_BUSY;
    }
    deadline(c, 0);
    exchange_start(x, STAGE_DOOR);
    return in;
}

static struct str take_head(struct client *c, struct str in)
{
    struct worker *w = c->worker;
    struct http_head *h = &w->head;
    struct http_frame frame;
    enum fail why = OK;

    switch (http_parse_request(in, worker_settings(w)->head_max, h, &why)) {
    case HTTP_MORE:
        if (buf_append(&c->in, in))
            refuse_head(c, FAIL_no_memory, DIALECT_OLLAMA);
        else if (c->state == CLIENT_IDLE)
            deadline(c, worker_settings(w)->client_head_timeout);
        c->state = c->state == CLIENT_IDLE ? CLIENT_HEAD : c->state;
        return STR_NONE;
    case HTTP_BAD: break;
    case HTTP_DONE: why = http_request_frame(h, &frame); break;
    }
    if (!why)
        why = open_exchange(c, h, &frame);
    if (why) {
        refuse_head(c, why, route_dialect_of(h->path));
        return STR_NONE;
    }
    return start_exchange(c, str_drop(in, h->bytes));
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static void body_complete(struct client *c)
{
    c->body.framing = BODY_NONE;
    c->state = CLIENT_BUSY;
    deadline(c, 0);
    c->x->in.body_whole = true;
    body_is_whole(c->x);
    c->x->in.body = buf_str(&c->x->in.body_buf);
    if (c->x->in.take_piece)
        c->x->in.take_piece(c->x, STR_NONE, true);
    else
        exchange_wake(c->x, STEP_NEXT);
}

static void body_failed(struct client *c, enum fail why)
{
    c->state = CLIENT_BUSY;
    c->keep_alive = false;
    if (c->x->in.take_piece)
        exchange_fail(c->x, why);
    else
        exchange_wake(c->x, answer_fail(c->x, why, STR_NONE));
}

static enum fail keep_piece(struct client *c, struct str piece)
{
    struct exchange *x = c->x;

    if (x->in.take_piece) {
        x->in.take_piece(x, piece, false);
        return OK;
    }
    return body_append(x, piece);
}

static struct str take_body(struct client *c, struct str in)
{
    struct str piece;
    enum fail f = OK;

    while (!f) {
        switch (http_body_next(&c->body, &in, &piece)) {
        case BODY_DATA: f = keep_piece(c, piece); break;
        case BODY_MORE: deadline(c, c->held ? 0 : worker_settings(c->worker)->client_idle_timeout); return STR_NONE;
        case BODY_END: body_complete(c); return in;
        case BODY_BAD: f = FAIL_bad_request; break;
        }
        if (!c->x || c->state != CLIENT_BODY) /* the exchange ended meanwhile */
            return STR_NONE;
    }
    body_failed(c, f);
    return STR_NONE;
}

/* A large body of known length is read straight into its buffer. True: it was, and there may be more to do. */
static bool read_into_body(struct client *c)
{
    struct exchange *x = c->x;
    struct buf *b = &x->in.body_buf;
    size_t room = buf_room(b);
    enum fail f;
    ssize_t n;

    if (c->state != CLIENT_BODY || c->body.framing != BODY_LENGTH || x->in.take_piece || !x->in.wanted || !room ||
        c->body.left < KIB(4))
        return false;
    n = conn_read(&c->conn, buf_tail(b), (size_t)MIN(c->body.left, room));
    if (n < 0)
        leave(c, n == -2);
    if (n <= 0)
        return true;
    b->end += (size_t)n;
    c->body.left -= (uint64_t)n;
    f = body_arrived(x);
    if (f)
        body_failed(c, f);
    else if (c->body.left)
        deadline(c, worker_settings(c->worker)->client_idle_timeout);
    else
        body_complete(c);
    return true;
}

void client_want_body(struct exchange *x)
{
    struct client *c = x->owner;

    x->in.wanted = true;
    if (x->in.expects && !x->in.continued) {
        struct iovec v = { (void *)"HTTP/1.1 100 Continue\r\n\r\n", 25 };
        x->in.continued = true;
        (void)conn_write(&c->conn, &v, 1, LASTING);
    }
    if (c->held)
        conn_watch(&c->conn, SOCK_READ);
    c->held = false;
    deadline(c, x->settings->client_idle_timeout);
}

void client_hold_body(struct exchange *x)
{
    struct client *c = x->owner;

    c->held = true;
    conn_watch(&c->conn, SOCK_HUP);
    deadline(c, 0);
}

/* ---- what arrives ------------------------------------------------------------------------------------------------ */

/* Pipelined bytes wait until the running answer is out; too many of them wait in the socket. */
static void keep_for_later(struct client *c, struct str in)
{
    if (buf_append(&c->in, in))
        client_doom(c);
    else if (buf_len(&c->in) > PIPELINE_MAX)
        conn_watch(&c->conn, SOCK_HUP);
}

/* What it has asked for so far must be read before it is answered more: `drained` goes on. */
static bool must_read_first(const struct client *c)
{
    return c->state == CLIENT_IDLE && conn_pending(&c->conn) > UNREAD_MAX;
}

static void consume(struct client *c, struct str in)
{
    c->pumping = true;
    while (in.n && !c->doomed && c->state != CLIENT_LINGER) {
        if (c->state == CLIENT_SOCKET) {
            if (!socket_take(c->socket, in))
                client_bow_out(c);
            break;
        }
        if (c->state == CLIENT_BUSY || must_read_first(c)) {
            keep_for_later(c, in);
            break;
        }
        in = c->state == CLIENT_BODY ? take_body(c, in) : take_head(c, in);
    }
    c->pumping = false;
}

static void consume_kept(struct client *c)
{
    struct buf kept = c->in;

    c->in = (struct buf){ 0 };
    consume(c, buf_str(&kept));
    buf_free(&kept);
}

static void resume(struct client *c)
{
    conn_watch(&c->conn, SOCK_READ);
    consume_kept(c);
}

static void swallow(struct client *c)
{
    ssize_t n = conn_read(&c->conn, c->worker->scratch, SCRATCH_BYTES);

    nsec left = c->linger_until - worker_now(c->worker);

    c->lingered += n > 0 ? (size_t)n : 0;
    if (n == -1 && conn_pending(&c->conn))
        conn_watch(&c->conn, 0); /* it says no more, and reads on */
    else if (n < 0 || left <= 0 || c->lingered > LINGER_BYTES)
        end_linger(c);
    else if (n > 0 && !conn_pending(&c->conn))
        deadline(c, MIN(LINGER_TIME, left));
}

/* A client that has sent FIN while an answer runs has left, as Ollama's server takes it; a whole answer goes out yet.
 */
static void ended(struct client *c, bool reset)
{
    if (!reset && c->state == CLIENT_IDLE && conn_pending(&c->conn)) {
        linger(c);
        conn_watch(&c->conn, 0);
    } else {
        leave(c, reset);
    }
}

static void readable(struct conn *conn)
{
    struct client *c = CONTAINER(conn, struct client, conn);
    struct str in = { c->worker->scratch, 0 };
    ssize_t n;

    if (c->doomed)
        return;
    if (c->state == CLIENT_LINGER) {
        swallow(c);
        return;
    }
    if (c->x && read_into_body(c))
        return;
    n = conn_read(conn, c->worker->scratch, SCRATCH_BYTES);
    in.n = n > 0 ? (size_t)n : 0;
    if (n < 0)
        ended(c, n == -2);
    else if (n > 0 && c->state != CLIENT_BUSY && buf_len(&c->in)) { /* there is a beginning already */
        if (buf_append(&c->in, in))
            leave(c, true);
        else
            consume_kept(c);
    } else if (n > 0)
        consume(c, in);
}

static void hung_up(struct conn *conn)
{
    leave(CONTAINER(conn, struct client, conn), false);
}

static void drained(struct conn *conn)
{
    struct client *c = CONTAINER(conn, struct client, conn);

    if (c->doomed)
        return;
    if (c->state == CLIENT_LINGER)
        deadline(c, LINGER_TIME);
    else if (c->state == CLIENT_IDLE)
        resume(c);
    else if (c->state == CLIENT_SOCKET)
        socket_drained(c->socket);
    else if (c->x)
        attempt_resume(c->x);
}

static void opened(struct conn *conn, enum fail f)
{
    if (f)
        leave(CONTAINER(conn, struct client, conn), true);
}

static const struct conn_events events = {
    .opened = opened, .readable = readable, .drained = drained, .hung_up = hung_up
};

/* ---- the clock, and the end -------------------------------------------------------------------------------------- */

static void too_late(struct client *c)
{
    switch (c->state) {
    case CLIENT_HEAD: refuse_head(c, FAIL_request_timeout, DIALECT_OLLAMA); break;
    case CLIENT_BODY: body_failed(c, FAIL_request_timeout); break;
    case CLIENT_LINGER: lingered_long(c); break;
    case CLIENT_IDLE: idled_long(c); break;
    default: break;
    }
}

static void timed(struct timer *t)
{
    struct client *c = CONTAINER(t, struct client, timer);

    if (c->doomed)
        leave(c, true);
    else if (worker_now(c->worker) >= c->deadline)
        too_late(c);
    else if (c->deadline != NEVER)
        loop_timer_set(c->worker->loop, t, c->deadline);
}

void clients_drain(struct worker *w)
{
    list_each_safe (l, &w->clients) {
        struct client *c = CONTAINER(l, struct client, link);
        c->draining = true;
        if (c->state == CLIENT_IDLE && conn_pending(&c->conn))
            linger(c);
        else if (c->state == CLIENT_IDLE)
            close_client(c, false);
        else if (c->state == CLIENT_SOCKET)
            socket_drain(c->socket);
    }
}

void clients_close_all(struct worker *w)
{
    list_each_safe (l, &w->clients)
        leave(CONTAINER(l, struct client, link), true);
}

struct str client_address(const struct exchange *x)
{
    return x->in.peer;
}
