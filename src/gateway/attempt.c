/* One attempt: a request written to one node, and its answer read until the wire ends or the answer is proven whole.
 *
 *     take a connection -> (dial) -> send -> head -> body ... -> over
 *
 * A kept connection that turns out dead before its first byte is dialled anew once on the same node: nothing says that
 * the node is ill, and llama-server closes after each stream. Routes that must not be sent twice never use a kept
 * connection in the first place. */
#include "gateway/finish.h"
#include "gateway/flight.h"
#include "gateway/gateway_private.h"

#define HEAD_MOST  KIB(64) /* and of all interim answers before it */
#define TOKEN_MOST KIB(4)  /* what comes in larger reads is not a stream of tokens */

/* ---- letting go -------------------------------------------------------------------------------------------------- */

/* The lease goes back with how it ended, in the same call that teaches the fleet. */
static void end_lease(struct exchange *x, enum fail why, bool client_left)
{
    struct attempt_end end = { .why = why,
                               .status = x->up.status,
                               .client_left = client_left,
                               .was_sent = x->up.sent != 0,
                               .unloads = x->route.unloads,
                               .records = x->up.form == FORM_WHOLE ? 0 : x->tally.records - x->again.before,
                               .first_byte = x->up.first_byte,
                               .ended = worker_now(x->worker),
                               .figures = x->up.figures,
                               .error_text = x->up.said_text };
    struct orders o;

    if (!x->ticket.lease.node)
        return;
    if (!why && x->ticket.embeds && x->up.sent)
        hedge_learn(&x->worker->hedge, x->ticket.model_hash, MAX(0, worker_now(x->worker) - x->up.sent));
    if (x->owner_kind == OWNER_FLEET) { /* a probe names its node itself, by a pin, and tells the fleet what it saw */
        x->ticket.lease.node = NULL;
        return;
    }
    if (why && !client_left)
        meter_upstream_error(x->worker->meter, str_of(x->up.node_name), why);
    finish_attempt(x, client_left ? FAIL_client_gone : why);
    orders_init(&o);
    fleet_end(x->worker->gateway->fleet, &x->ticket.lease, &end, worker_now(x->worker), &o);
    orders_carry_out(x->worker, &o);
}

void attempt_over(struct exchange *x, enum fail why, bool client_left)
{
    struct node_conn *nc = x->up.conn;
    bool closes = x->ticket.lease.closes && x->up.form != FORM_WHOLE;

    x->up.conn = NULL;
    if (nc && (why || client_left || closes || x->up.on_sent)) /* a streamed body may have stopped anywhere */
        node_conn_drop(nc);
    else if (nc)
        node_conn_release(nc);
    end_lease(x, why, client_left);
}

/* ---- failing ----------------------------------------------------------------------------------------------------- */

static enum step begin(struct exchange *x, bool fresh);

static bool died_while_kept(const struct node_conn *nc, enum fail why)
{
    return nc && nc->reused && !nc->got_byte && (why == FAIL_upstream_reset || why == FAIL_client_gone);
}

static enum step failed(struct exchange *x, enum fail why)
{
    bool redial = died_while_kept(x->up.conn, why) && x->up.redials == 0;

    if (redial) {
        x->up.redials++;
        meter_add(x->worker->meter, COUNT_redials, 1);
        node_conn_drop(x->up.conn);
        x->up.conn = NULL;
        return begin(x, true);
    }
    attempt_over(x, why, false);
    x->out.headers = STR_NONE;
    if (hedge_goes_on(x, why))
        return STEP_WAIT;
    return choose_elsewhere(x, why);
}

/* While nothing has gone to the client, an answer that broke off is as good as none: another node may give a whole one.
 */
static enum fail as_if_unanswered(enum fail why)
{
    if (why == FAIL_inter_chunk_timeout)
        return FAIL_first_byte_timeout;
    return why == FAIL_upstream_cut ? FAIL_upstream_reset : why;
}

/* Nobody has read a byte of it yet: as good as unanswered. */
static bool start_over(struct exchange *x)
{
    if (!x->sink->unsay || !x->sink->unsay(x))
        return false;
    x->stage = STAGE_ATTEMPT;
    x->out.head_sent = x->out.complete = false;
    x->tally.first = 0;
    x->tally.records = 0;
    x->tally.bytes_out = 0;
    x->route.rename = NULL;
    return true;
}

void attempt_broken(struct exchange *x, enum fail why)
{
    if (x->stage == STAGE_RELAY && !start_over(x)) {
        if (!continue_elsewhere(x, why))
            relay_broken(x, why);
        return;
    }
    buf_free(&x->up.hold);
    exchange_wake(x, failed(x, as_if_unanswered(why)));
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

void attempt_wait(struct exchange *x, nsec patience, enum fail late)
{
    nsec due = worker_now(x->worker) + patience, total = x->settings->total_timeout;

    if (total && x->in.at + total < due)
        node_conn_deadline(x->up.conn, x->in.at + total, FAIL_total_timeout);
    else
        node_conn_deadline(x->up.conn, due, late);
}

static void expect_answer(struct exchange *x)
{
    const struct gateway_settings *s = x->settings;
    nsec patience = x->up.patience ? x->up.patience : s->first_byte_timeout;
    bool may_load = x->ticket.model_hash && !x->ticket.lease.known_loaded;

    attempt_wait(x, patience + (may_load ? s->load_timeout : 0),
                 may_load ? FAIL_load_timeout : FAIL_first_byte_timeout);
}

static enum step send_request(struct exchange *x)
{
    struct str head = forward_request_head(x);
    struct iovec v[2] = {
        {(void *)head.p,        head.n      },
        { (void *)x->up.body.p, x->up.body.n}
    };

    if (!head.p)
        return failed(x, FAIL_no_memory);
    x->up.sent = worker_clock(x->worker);
    x->up.conn->state = NODE_CONN_SENT;
    expect_answer(x);
    if (conn_write(&x->up.conn->conn, v, x->up.body.n ? 2 : 1, LASTING))
        return failed(x, FAIL_upstream_reset);
    if (x->up.on_sent)
        x->up.on_sent(x);
    hedge_begin(x);
    return STEP_WAIT;
}

void attempt_connected(struct exchange *x)
{
    x->up.connect_ns = worker_now(x->worker) - x->up.began;
    exchange_wake(x, send_request(x));
}

static enum step begin(struct exchange *x, bool fresh)
{
    enum fail why = OK;
    struct node_conn *nc = node_conn_take(x, fresh, &why);

    x->up.conn = nc;
    if (!nc)
        return failed(x, why);
    x->up.began = worker_now(x->worker);
    return nc->state == NODE_CONN_DIALING ? STEP_WAIT : send_request(x);
}

static void reset_attempt(struct exchange *x)
{
    const struct node *n = x->ticket.lease.node;
    size_t len = MIN(n->name.n, sizeof x->up.node_name - 1);

    memcpy(x->up.node_name, n->name.p, len);
    x->up.node_name[len] = 0;
    x->up.node_id = n->id;
    x->up.attempts++;
    x->up.redials = 0;
    x->up.status = 0;
    x->up.connect_ns = x->up.first_byte = x->up.sent = 0;
    x->up.proven = x->up.failed_in_band = x->up.let_through = x->up.large_is_last = false;
    x->up.said_text = STR_NONE;
    figures_clear(&x->up.figures);
}

enum step attempt_enter(struct exchange *x)
{
    bool once_only = x->route.row && x->route.row->flags & ROUTE_NO_RETRY;

    reset_attempt(x);
    return begin(x, once_only);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

/* In the middle of a stream only more of it is an answer. */
static enum fail judge_continuation(const struct exchange *x)
{
    if (x->up.status == 503)
        return FAIL_upstream_busy;
    if (x->up.status == 404)
        return FAIL_upstream_no_model;
    return x->up.status == 200 && x->up.form == FORM_NDJSON ? OK : FAIL_upstream_error;
}

static enum fail take_head(struct node_conn *nc, const struct http_head *h)
{
    struct exchange *x = nc->x;
    struct http_frame frame;
    enum fail f = http_response_frame(h, x->in.method == M_HEAD ? M_HEAD : M_POST, &frame);

    if (f || h->status == 101)
        return FAIL_upstream_garbage;
    http_body_init(&nc->body, &frame);
    nc->state = NODE_CONN_BODY;
    nc->keep_alive = frame.keep_alive && frame.framing != BODY_TO_EOF;
    nc->idle_until = frame.keep_alive_timeout_s ? SECOND(frame.keep_alive_timeout_s) : 0;
    x->up.status = h->status;
    x->up.first_byte = worker_now(x->worker);
    x->up.form = record_form_of(http_get(h, H_CONTENT_TYPE));
    if (h->status >= 400 || (x->route.row && x->route.row->id == ROUTE_v1_transcribe))
        x->up.form = FORM_WHOLE;
    x->up.simulated = http_has(h, H_X_OLLAMAMAX_SIMULATED);
    return x->again.n ? judge_continuation(x) : forward_take_response(x, h);
}

/* Chunk framing removed in place: all data of one read becomes one run of bytes. */
static enum http_step unframe(struct http_body *b, char *at, size_t n, struct str *out, size_t *left)
{
    struct str in = { at, n }, slice;
    char *end = at;
    enum http_step s;

    while ((s = http_body_next(b, &in, &slice)) == BODY_DATA) {
        if (slice.p != end)
            memmove(end, slice.p, slice.n);
        end += slice.n;
    }
    *out = str_span(at, end);
    *left = in.n;
    return s;
}

static void take_body(struct node_conn *nc, char *at, size_t n)
{
    struct exchange *x = nc->x;
    struct str data;
    size_t left;
    enum http_step s = unframe(&nc->body, at, n, &data, &left);

    if (left)
        nc->keep_alive = false; /* bytes behind the end: whose, nobody knows */
    if (s == BODY_BAD) {
        attempt_broken(x, FAIL_upstream_garbage);
        return;
    }
    nc->ended = s == BODY_END;
    attempt_wait(x, x->up.patience ? x->up.patience : x->settings->inter_chunk_timeout, FAIL_inter_chunk_timeout);
    if (data.n || nc->ended)
        relay_take(x, data, nc->ended);
}

/* What is left of an answer that is already proven: only its framing. */
static void take_tail(struct node_conn *nc, char *at, size_t n)
{
    struct str data;
    size_t left;
    enum http_step s = unframe(&nc->body, at, n, &data, &left);

    if (s == BODY_END && !left && !data.n) {
        nc->ended = true;
        node_conn_release(nc);
    } else if (s != BODY_MORE || data.n) {
        node_conn_drop(nc);
    }
}

enum { HEAD_FAILED = -1, HEAD_MORE = 0 };
/* Bytes the head took, interim answers (1xx) before it included; or HEAD_MORE; or HEAD_FAILED, and nc may be gone. */
static ssize_t parse_head(struct node_conn *nc, struct str in)
{
    struct http_head *h = &nc->worker->head;
    enum fail why = OK;
    size_t used = 0;

    do {
        enum http_parse p = http_parse_response(str_drop(in, used), HEAD_MOST, h, &why);
        if (p == HTTP_MORE)
            return HEAD_MORE;
        used += h->bytes;
        why = p == HTTP_BAD || used > HEAD_MOST ? FAIL_upstream_garbage : OK;
    } while (!why && h->status < 200 && h->status != 101);
    why = why ? why : take_head(nc, h);
    if (why)
        attempt_broken(nc->x, why);
    return why ? HEAD_FAILED : (ssize_t)used;
}

/* The head usually comes whole, and is parsed where the socket was read into; one in pieces is gathered in nc->in. */
static void take_head_bytes(struct node_conn *nc, char *at, size_t n)
{
    ssize_t used = parse_head(nc, (struct str){ at, n });

    if (used > 0)
        take_body(nc, at + used, n - (size_t)used);
    else if (used == HEAD_MORE && buf_append(&nc->in, (struct str){ at, n }))
        attempt_broken(nc->x, FAIL_no_memory);
}

static void take_head_piece(struct node_conn *nc, char *at, size_t n)
{
    struct buf whole = nc->in;

    nc->in = (struct buf){ 0 };
    if (buf_append(&whole, (struct str){ at, n }))
        attempt_broken(nc->x, FAIL_no_memory);
    else
        take_head_bytes(nc, whole.block + whole.start, buf_len(&whole));
    buf_free(&whole);
}

static void take_in(struct node_conn *nc, char *at, size_t n)
{
    nc->got_byte = true;
    if (nc->state == NODE_CONN_TAIL)
        take_tail(nc, at, n);
    else if (nc->state == NODE_CONN_BODY)
        take_body(nc, at, n);
    else if (buf_len(&nc->in))
        take_head_piece(nc, at, n);
    else
        take_head_bytes(nc, at, n);
}

static void wire_ended(struct node_conn *nc, bool reset)
{
    if (!nc->x) {
        node_conn_drop(nc);
        return;
    }
    if (!reset && nc->state == NODE_CONN_BODY && http_body_eof_is_end(&nc->body)) {
        nc->ended = true;
        nc->keep_alive = false;
        relay_take(nc->x, STR_NONE, true);
        return;
    }
    attempt_broken(nc->x, nc->state == NODE_CONN_BODY ? FAIL_upstream_cut : FAIL_upstream_reset);
}

static void take_read(struct node_conn *nc, ssize_t n)
{
    if (n < 0)
        wire_ended(nc, n == -2);
    else if (n > 0)
        take_in(nc, nc->worker->scratch, (size_t)n);
}

static void count_read(struct node_conn *nc, ssize_t n)
{
    if (nc->state != NODE_CONN_BODY || n <= 0)
        return;
    nc->small_reads = (size_t)n < TOKEN_MOST ? nc->small_reads + 1 : 0;
    node_conn_listen(nc);
}

void attempt_readable(struct node_conn *nc)
{
    ssize_t n = conn_read(&nc->conn, nc->worker->scratch, SCRATCH_BYTES);

    count_read(nc, n);
    take_read(nc, n);
}

void attempt_rest(struct exchange *x)
{
    struct node_conn *nc = x->up.conn;

    if (x->follower)
        flight_rest(x);
    if (!nc || nc->ended || nc->paused || nc->resting)
        return;
    nc->resting = true;
    conn_watch(&nc->conn, 0);
}

bool attempt_gather(struct exchange *x)
{
    struct node_conn *nc = x->up.conn;
    ssize_t n;

    if (x->follower)
        return flight_gather(x);
    if (!nc || !nc->resting || nc->paused)
        return false;
    n = conn_read(&nc->conn, nc->worker->scratch, SCRATCH_BYTES);
    if (n == 0) {
        nc->resting = false;
        node_conn_listen(nc);
    }
    take_read(nc, n);
    return n > 0;
}

void attempt_resume(struct exchange *x)
{
    struct node_conn *nc = x->up.conn;

    if (x->follower) {
        flight_resume(x);
        return;
    }
    if (!nc || !nc->paused)
        return;
    nc->paused = nc->resting = false;
    node_conn_listen(nc);
}
