/* Blobs: the files that `create` builds from, streamed through to the node that will build, and never held.
 *
 *      client --read--> pieces --write--> node       more than 1 MiB on its way: the client is not read
 *             <------- 201, or 200 at once ----      answered early: what still comes is read away for a while
 *
 * An upload walks the same road as any request, except that its body follows the head. It goes to one build node, the
 * one HEAD asks and create runs on: where the last blob went, while that node is up, else the first node that is up.
 * All files of a model so meet on one node, which then has the model; the others can get it by pull from a registry
 * only. Rejected: writing each blob to every node as it comes. The slowest would set the pace for all, most would never
 * build, and what an interrupted upload left on which node could not be told to the client in one status. */
#include "gateway/fanout.h"

#define ON_THE_WAY     MIB(1)
#define FOR_THE_CLIENT SECOND(86400) /* the node is not to blame while the client is slow */

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static void mind_the_pace(struct exchange *x, bool last)
{
    struct node_conn *nc = x->up.conn;
    nsec now = worker_now(x->worker);
    bool full = conn_pending(&nc->conn) > ON_THE_WAY;

    if (full && !last)
        client_hold_body(x);
    if (nc->state != NODE_CONN_SENT)
        return; /* it has begun to answer */
    if (last) {
        node_conn_deadline(nc, now + x->settings->first_byte_timeout, FAIL_first_byte_timeout);
        return;
    }
    node_conn_deadline(nc, now + (full ? x->settings->inter_chunk_timeout : FOR_THE_CLIENT), FAIL_inter_chunk_timeout);
}

/* What the wire does not take is dropped with it: a node that has closed may have answered first, and its reader will
 * see. */
static void send_piece(struct exchange *x, struct str piece, bool last)
{
    char line[20];
    struct str size = { line, piece.n ? http_chunk_line(piece.n, line) : 0 };
    struct str parts[] = { size, piece, piece.n ? HTTP_CRLF : STR_NONE, last ? HTTP_LAST_CHUNK : STR_NONE };
    struct iovec v[ARRAY_LEN(parts)];
    int n = 0;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].n && (x->up.chunked_body || i == 1))
            v[n++] = (struct iovec){ (void *)(uintptr_t)parts[i].p, parts[i].n };
    if (n)
        (void)conn_write(&x->up.conn->conn, v, n, FLEETING);
    x->tally.bytes_in += piece.n;
    mind_the_pace(x, last);
}

static bool is_connected(const struct exchange *x)
{
    return x->up.conn && x->up.conn->state != NODE_CONN_DIALING;
}

/* Before the node is there, what was read together with the head has to wait; no more is read meanwhile. */
static void take_piece(struct exchange *x, struct str piece, bool last)
{
    if (is_connected(x))
        send_piece(x, piece, last);
    else if (piece.n && buf_append(&x->in.body_buf, piece))
        exchange_fail(x, FAIL_no_memory);
}

static void follow_the_head(struct exchange *x)
{
    struct buf held = x->in.body_buf;

    x->in.body_buf = (struct buf){ 0 };
    x->in.body = STR_NONE;
    if (!x->in.body_whole)
        client_want_body(x);
    send_piece(x, buf_str(&held), x->in.body_whole);
    buf_free(&held);
}

static void go_on(struct exchange *x)
{
    if (x->in.body_whole)
        return;
    client_want_body(x);
    mind_the_pace(x, false);
}

static void stream_the_body(struct exchange *x)
{
    x->in.take_piece = take_piece;
    x->up.on_sent = follow_the_head;
    x->up.on_drained = go_on;
    x->up.body = STR_NONE;
    x->up.chunked_body = x->in.framing == BODY_CHUNKED;
    x->up.body_length = (int64_t)x->in.length;
    client_hold_body(x);
}

/* ---- the answer: remembered on its way to the client ------------------------------------------------------------- */

static bool read_digest(struct exchange *x, uint8_t digest[32])
{
    char *text = arena_take(&x->arena, x->route.rest.n + 1);
    size_t n = 0;

    return text && http_unescape(x->route.rest, text, &n) && blob_digest_read((struct str){ text, n }, digest);
}

static void note_head(struct exchange *x)
{
    uint8_t digest[32];

    if (x->out.from_node && x->out.status < 300 && read_digest(x, digest))
        blob_places_note(&x->worker->gateway->blobs, digest, x->up.node_id);
    client_sink.head(x);
}

static void push(struct exchange *x, struct str bytes, bool last)
{
    client_sink.push(x, bytes, last);
}

static void ended(struct exchange *x, enum fail why)
{
    client_sink.ended(x, why);
}

static size_t waiting(const struct exchange *x)
{
    return client_sink.waiting(x);
}

static const struct sink_ops noting_sink = { .head = note_head, .push = push, .ended = ended, .waiting = waiting };

/* ---- entering ---------------------------------------------------------------------------------------------------- */

static enum fail choose_build_node(struct exchange *x)
{
    struct gateway *g = x->worker->gateway;
    struct fleet_snapshot *s = fleet_snapshot(g->fleet, worker_now(x->worker));
    const struct node_view *n = s ? targets_build_node(g, s, x->ticket.pin) : NULL;
    enum fail why;

    if (n)
        x->ticket.pin_id = n->id;
    why = n ? OK : s ? FAIL_no_node : FAIL_no_memory;
    fleet_snapshot_free(&s);
    return why;
}

static void again(struct exchange *x)
{
    exchange_wake(x, blob_enter(x));
}

enum step blob_enter(struct exchange *x)
{
    uint8_t digest[32];
    enum fail why;

    if (!read_digest(x, digest))
        return answer_fail(x, FAIL_bad_value, STR("invalid digest format"));
    if (!x->in.body_whole)
        stream_the_body(x);
    if (local_must_wait(x, again))
        return STEP_WAIT;
    why = choose_build_node(x);
    if (why)
        return why == FAIL_no_node ? choose_nobody_up(x, why) : answer_fail(x, why, STR_NONE);
    x->sink = &noting_sink;
    return STEP_NEXT;
}
