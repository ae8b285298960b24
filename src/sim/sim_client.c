/* sim/sim_client.c - a connection to a simulated node: one request at a time, out of whatever arrives.
 *
 *     socket -> scratch -> HEAD -> (BODY) -> BUSY: an endpoint answers, now or later -> HEAD ...
 *                                                    meanwhile arriving bytes wait in `in`
 *
 * A request that came in one piece with its body is answered out of the scratch buffer, without a copy, often within
 * the same call: this is the backend that overhead is measured against, so a request costs one read, one write, and no
 * malloc. A node of its own per connection or a thread per request, as Go has it, was rejected for that reason.
 *
 * The peer's end of file cancels what runs for it, as in Go's server, whose requests end with their connection. A
 * client is freed in one place, close_client(), never while consume() is on the stack: it is doomed then, and closed
 * from a timer. */
#include "base/slab.h"
#include "sim/sim.h"

#define HEAD_MAX     KIB(64)
#define BODY_MAX     MIB(512)
#define PIPELINE_MAX KIB(256)
#define KEPT_MAX     KIB(64) /* buffers up to this size stay with an idle connection */
#define LINGER_TIME  SECOND(5)

static struct slab clients;
static const struct conn_events events;
static void resume(struct sim_client *c);

void sim_client_pools_init(void)
{
    slab_init(&clients, "sim_client", sizeof(struct sim_client));
}
void sim_client_pools_done(void)
{
    slab_done(&clients);
}

struct sim_client *sim_client_of(struct sim_run *r)
{
    return CONTAINER(r, struct sim_client, run);
}

/* ---- the timer --------------------------------------------------------------------------------------------------- */

static void timed(struct timer *t)
{
    struct sim_client *c = CONTAINER(t, struct sim_client, timer);
    c->next(c);
}

void sim_client_at(struct sim_client *c, nsec due, void (*next)(struct sim_client *c))
{
    if (c->doomed)
        return;
    c->next = next;
    loop_timer_set(c->node->loop, &c->timer, due);
}

void sim_client_after(struct sim_client *c, nsec delay, void (*next)(struct sim_client *c))
{
    sim_client_at(c, sim_now(c) + delay, next);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void forget_request(struct sim_client *c)
{
    if (c->work_cancel)
        c->work_cancel(c);
    sim_run_cancel(c);
    c->work_cancel = NULL;
    c->work = NULL;
    c->on_piece = NULL;
    arena_done(&c->arena);
}

static void close_client(struct sim_client *c, bool reset)
{
    assume(!c->pumping);
    forget_request(c);
    loop_timer_cancel(c->node->loop, &c->timer);
    conn_close(&c->conn, reset);
    buf_free(&c->in);
    buf_free(&c->body);
    text_free(&c->out);
    text_free(&c->record);
    list_del(&c->link);
    c->node->stats.connections--;
    slab_give(&clients, &c);
}

static void leave_broken(struct sim_client *c)
{
    close_client(c, true);
}
static void leave_quietly(struct sim_client *c)
{
    close_client(c, false);
}

void sim_client_doom(struct sim_client *c)
{
    sim_client_after(c, 0, leave_broken);
    c->doomed = true;
}

void sim_client_accept(struct simnode *n, int handle, const struct addr *from)
{
    struct sim_client *c = slab_take0(&clients);
    if (!c) {
        handle_close(handle);
        return;
    }
    c->node = n;
    c->timer.fire = timed;
    c->method = M_GET;
    list_push(&n->clients, &c->link);
    n->stats.connections++;
    if (conn_adopt(&c->conn, n->loop, handle, from, NULL, &events)) {
        close_client(c, true);
        return;
    }
    conn_watch(&c->conn, SOCK_READ);
}

void sim_clients_close(struct simnode *n)
{
    list_each_safe (l, &n->clients)
        close_client(CONTAINER(l, struct sim_client, link), true);
}

/* ---- answered ---------------------------------------------------------------------------------------------------- */

static void keep_small(struct buf *b)
{
    if (b->cap > KEPT_MAX)
        buf_free(b);
    b->start = b->end = 0;
}

static void linger(struct sim_client *c)
{
    c->state = CLIENT_LINGER;
    conn_shutdown(&c->conn);
    conn_watch(&c->conn, SOCK_READ);
    sim_client_after(c, LINGER_TIME, leave_quietly);
}

void sim_client_answered(struct sim_client *c)
{
    if (c->doomed)
        return;
    bool body_was_read = c->state == CLIENT_BUSY;
    forget_request(c);
    keep_small(&c->body);
    keep_small(&c->out.buf);
    keep_small(&c->record.buf);
    if (!body_was_read || !c->keep_alive) {
        linger(c);
        return;
    }
    c->state = CLIENT_HEAD;
    if (!c->pumping)
        resume(c);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void answer_now(struct sim_client *c, struct str body)
{
    if (c->struck.status)
        sim_fault_answer(c);
    else
        c->endpoint->answer(c, body);
}

static void answer_late(struct sim_client *c)
{
    answer_now(c, buf_str(&c->body));
}

/* An empty prompt: only loads or unloads. */
static bool asks_nothing(const struct sim_client *c, struct str body)
{
    struct json asked = json_parse(body, NULL);
    bool may = c->endpoint->answer == sim_answer_generate || c->endpoint->answer == sim_answer_embed;
    return may && asked.kind == JSON_OBJECT && json_get(asked, STR("prompt")).kind == JSON_BAD &&
           json_get(asked, STR("input")).kind == JSON_BAD;
}

/* The whole request is there. */
static void dispatch(struct sim_client *c, struct str body)
{
    struct simnode *n = c->node;
    nsec stall = n->latency;
    c->state = CLIENT_BUSY;
    n->stats.requests++;
    if (c->endpoint->works && (n->fault.loads || !asks_nothing(c, body)))
        stall += sim_fault_strikes(c);
    if (stall == 0) {
        answer_now(c, body);
        return;
    }
    bool kept = buf_len(&c->body) > 0 || !buf_append(&c->body, body);
    if (kept)
        sim_client_after(c, stall, answer_late);
    else
        sim_client_doom(c);
}

static struct str keep_header(struct sim_client *c, const struct http_head *h, enum header_id id)
{
    return http_has(h, id) ? str_dup(&c->arena, http_get(h, id)) : STR_NONE;
}

static void open_request(struct sim_client *c, const struct http_head *h, const struct http_frame *f)
{
    arena_init(&c->arena);
    c->method = h->method;
    c->http10 = h->minor == 0;
    c->keep_alive = f->keep_alive;
    c->streaming = false;
    c->answered_bytes = 0;
    c->struck.status = 0;
    c->struck.reset_at = NO_RESET;
    c->rest = c->extra = STR_NONE;
    c->user_agent = keep_header(c, h, H_USER_AGENT);
    c->content_type = keep_header(c, h, H_CONTENT_TYPE);
    c->encoding = keep_header(c, h, H_CONTENT_ENCODING);
    c->origin = keep_header(c, h, H_ORIGIN);
    c->endpoint = sim_route(c, h, &c->route);
    http_body_init(&c->framing, f);
}

static void refuse_head(struct sim_client *c, enum fail why)
{
    c->route = route_row(ROUTE_root);
    c->method = M_GET;
    c->keep_alive = false;
    c->struck.reset_at = NO_RESET;
    c->origin = c->extra = STR_NONE;
    sim_reply(c, fail_status(why), TYPE_TEXT, http_reason(fail_status(why)));
}

static void begin_body(struct sim_client *c, bool expects_continue)
{
    c->state = CLIENT_BODY;
    if (c->endpoint->begin)
        c->endpoint->begin(c);
    if (c->state != CLIENT_BODY || !expects_continue || c->doomed)
        return;
    struct iovec v = { (void *)"HTTP/1.1 100 Continue\r\n\r\n", 25 };
    (void)conn_write(&c->conn, &v, 1, LASTING);
}

static bool is_whole(const struct sim_client *c, struct str in)
{
    if (c->endpoint->begin)
        return false;
    return c->framing.framing == BODY_NONE || (c->framing.framing == BODY_LENGTH && c->framing.left <= in.n);
}

static bool take_piece(struct sim_client *c, struct str piece)
{
    if (c->on_piece) {
        c->on_piece(c, piece);
        return true;
    }
    return buf_len(&c->body) + piece.n <= BODY_MAX && !buf_append(&c->body, piece);
}

static struct str take_body(struct sim_client *c, struct str in)
{
    struct str piece;
    while (c->state == CLIENT_BODY && !c->doomed) {
        switch (http_body_next(&c->framing, &in, &piece)) {
        case BODY_DATA:
            if (!take_piece(c, piece))
                sim_client_doom(c);
            break;
        case BODY_MORE: return STR_NONE;
        case BODY_END: dispatch(c, buf_str(&c->body)); return in;
        case BODY_BAD: refuse_head(c, FAIL_bad_request); return STR_NONE;
        }
    }
    return STR_NONE;
}

static struct str take_head(struct sim_client *c, struct str in)
{
    struct http_head *h = &c->node->head;
    struct http_frame frame;
    enum fail why = OK;
    enum http_parse found = http_parse_request(in, HEAD_MAX, h, &why);
    if (found == HTTP_MORE) {
        if (buf_append(&c->in, in))
            sim_client_doom(c);
        return STR_NONE;
    }
    if (found == HTTP_DONE)
        why = http_request_frame(h, &frame);
    if (why) {
        refuse_head(c, why);
        return STR_NONE;
    }
    open_request(c, h, &frame);
    in = str_drop(in, h->bytes);
    if (!is_whole(c, in)) {
        begin_body(c, frame.expect_continue);
        return take_body(c, in);
    }
    size_t n = c->framing.framing == BODY_NONE ? 0 : (size_t)c->framing.left;
    dispatch(c, str_take(in, n));
    return str_drop(in, n);
}

/* ---- what arrives ------------------------------------------------------------------------------------------------ */

static void keep_for_later(struct sim_client *c, struct str in)
{
    if (buf_append(&c->in, in))
        sim_client_doom(c);
    else if (buf_len(&c->in) > PIPELINE_MAX)
        conn_watch(&c->conn, SOCK_HUP);
}

static void consume(struct sim_client *c, struct str in)
{
    c->pumping = true;
    while (in.n && !c->doomed && c->state != CLIENT_LINGER) {
        if (c->state == CLIENT_HEAD)
            in = take_head(c, in);
        else if (c->state == CLIENT_BODY)
            in = take_body(c, in);
        else {
            keep_for_later(c, in);
            break;
        }
    }
    c->pumping = false;
}

static void consume_kept(struct sim_client *c)
{
    struct buf kept = c->in;
    c->in = (struct buf){ 0 };
    consume(c, buf_str(&kept));
    buf_free(&kept);
}

static void resume(struct sim_client *c)
{
    conn_watch(&c->conn, SOCK_READ);
    if (buf_len(&c->in))
        consume_kept(c);
}

static void take_bytes(struct sim_client *c, struct str bytes)
{
    if (!buf_len(&c->in) || c->state == CLIENT_BUSY)
        consume(c, bytes);
    else if (buf_append(&c->in, bytes))
        sim_client_doom(c);
    else
        consume_kept(c);
}

static void readable(struct conn *conn)
{
    struct sim_client *c = CONTAINER(conn, struct sim_client, conn);
    char *scratch = c->node->scratch;
    ssize_t n = conn_read(conn, scratch, sizeof c->node->scratch);
    if (n < 0)
        close_client(c, n == -2);
    else if (n > 0 && !c->doomed && c->state != CLIENT_LINGER)
        take_bytes(c, (struct str){ scratch, (size_t)n });
}

static void hung_up(struct conn *conn)
{
    close_client(CONTAINER(conn, struct sim_client, conn), false);
}

static void drained(struct conn *conn)
{
    struct sim_client *c = CONTAINER(conn, struct sim_client, conn);
    if (!c->doomed)
        sim_run_resume(c);
}

static const struct conn_events events = { .readable = readable, .drained = drained, .hung_up = hung_up };
