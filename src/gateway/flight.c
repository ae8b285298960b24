/* The writer of a tape: an exchange without a client, and the sink that it writes to.
 *
 * The writer is told by mail, because what concerns it happens on other workers: the last follower leaves, a slow one
 * catches up. Its mail is the flight's, not the exchange's, so that a grant of the fleet and a call of the tape never
 * share a message; a flight that is over waits for a mail that is still on its way.
 *
 * A failure that the gateway words itself is not an answer here: each follower says it in its own dialect. So the sink
 * takes it as it is (why and message), puts it on the tape in place of what nobody has begun to read, and ends the
 * tape. */
#include "gateway/flight.h"
#include "api/replay.h"
#include "gateway/gateway_private.h"

static struct slab flights;
static const struct sink_ops tape_sink;

void flight_pools_init(void)
{
    slab_init(&flights, "flight", sizeof(struct flight));
    follower_pools_init();
}

void flight_pools_done(void)
{
    follower_pools_done();
    slab_done(&flights);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

enum { MAIL_CALLED = 1 };

/* Under the tape's lock, on any worker. */
static void called(struct tape_writer *w)
{
    struct flight *f = CONTAINER(w, struct flight, writer);

    loop_post(f->worker->loop, &f->mail, MAIL_CALLED);
}

static void delivered(struct mail *m, unsigned bits)
{
    struct flight *f = CONTAINER(m, struct flight, mail);

    if (!f->tape) { /* over */
        f->worker->ghosts--;
        slab_give(&flights, &f);
        return;
    }
    if (!f->x)
        return;
    if (f->failed)
        exchange_cancel(f->x, f->failed);
    else if (!tape_wanted(f->tape))
        exchange_cancel(f->x, FAIL_client_gone);
    else
        attempt_resume(f->x);
}

struct flight *flight_new(struct worker *w, size_t cap, bool refreshes)
{
    struct flight *f = slab_take0(&flights);

    if (!f)
        return NULL;
    f->worker = w;
    f->writer.wake = called;
    f->mail.deliver = delivered;
    f->tape = tape_new(&f->writer, cap, refreshes);
    if (!f->tape)
        slab_give(&flights, &f);
    return f;
}

static void give_back(struct flight *f)
{
    tape_unref(&f->tape);
    if (mail_is_posted(&f->mail)) /* after tape_end nobody posts any more */
        f->worker->ghosts++;
    else
        slab_give(&flights, &f);
}

/* The leader is on this worker, and so can be told directly. */
static void tell_leader(struct flight *f)
{
    struct exchange *to = f->leader;
    const struct exchange *x = f->x;

    if (!to || !x)
        return;
    to->up.attempts = x->up.attempts;
    to->up.figures = x->up.figures;
    to->up.connect_ns = x->up.connect_ns;
    to->up.sent = x->up.sent;
    to->up.first_byte = x->up.first_byte;
    to->tally.queued = x->tally.queued;
    to->tally.records = x->tally.records;
    to->tally.detail = x->tally.detail;
    memcpy(&to->ticket.decision, &x->ticket.decision, sizeof to->ticket.decision);
}

static void land(struct flight *f, enum fail why, enum tape_break where)
{
    struct exchange *x = f->x;

    tell_leader(f);
    if (f->leader)
        follower_leads(f->leader, NULL);
    f->x = NULL;
    tape_end(f->tape, why, where);
    if (f->over)
        f->over(f, x, why);
    give_back(f);
}

void flight_drop(struct flight **at)
{
    struct flight *f = *at;

    *at = NULL;
    tape_end(f->tape, FAIL_client_gone, TAPE_CLEAN);
    give_back(f);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

#define IN(field) offsetof(struct exchange, in.field)
static const size_t texts[] = {
    IN(path),        IN(query),        IN(host),          IN(origin),   IN(user_agent),
    IN(accept),      IN(content_type), IN(authorization), IN(encoding), IN(request_id),
    IN(traceparent), IN(tenant),       IN(deadline_ms),   IN(pin),      IN(priority),
    IN(via),         IN(cors_method),  IN(forward),       IN(peer),
};

static void copy_texts(struct exchange *to)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str *s = (struct str *)(void *)((char *)to + texts[i]);
        if (s->n)
            *s = str_dup(&to->arena, *s);
    }
}

/* A large body changes hands, a small one is copied. */
static void take_body(struct exchange *to, struct exchange *from)
{
    if (from->in.body_buf.block)
        from->in.body_buf = (struct buf){ 0 };
    else if (from->in.body.n)
        to->in.body = str_dup(&to->arena, from->in.body);
    from->in.counted = 0;
    from->in.body.p = NULL;
    from->up.body = STR_NONE;
}

/* Those who join may want to know more than the leader does. */
static enum fail ask_for_all(struct exchange *to, const struct peek *asked)
{
    struct str body = replay_ask(&to->arena, to->route.row, asked, to->in.body);

    if (body.p && body.p != to->in.body.p) {
        buf_free(&to->in.body_buf);
        to->in.body = body;
    }
    return to->arena.failed ? FAIL_no_memory : OK;
}

static enum fail take_request(struct exchange *to, struct exchange *from)
{
    to->in = from->in; /* its trace too: the attempts are in the record of the one who leads */
    to->route.row = from->route.row;
    to->route.context_is_ours = from->route.context_is_ours;
    copy_texts(to);
    take_body(to, from);
    return to->arena.failed ? FAIL_no_memory : ask_for_all(to, &from->route.peek);
}

void flight_start(struct flight *f, struct exchange *x)
{
    struct exchange *writer = exchange_new(f->worker, OWNER_TAPE, f, &tape_sink);

    f->leader = follower_leads(x, f) ? x : NULL;
    if (!f->leader)
        called(&f->writer); /* whoever led may not have been able to read: then it is wanted by nobody */
    if (!writer) {
        land(f, FAIL_no_memory, TAPE_CLEAN);
        return;
    }
    f->x = writer;
    if (take_request(writer, x))
        exchange_cancel(writer, FAIL_no_memory);
    else
        exchange_start(writer, STAGE_ROUTE);
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

/* Fields and texts in one piece, as the tape wants its head. */
static enum fail put_head(struct flight *f, const struct exchange *x, struct flight_head *h, struct str message)
{
    struct text t = { 0 };
    struct str node = str_of(x->up.node_name);

    h->type_n = (uint32_t)x->out.content_type.n;
    h->headers_n = (uint32_t)x->out.headers.n;
    h->node_n = (uint32_t)node.n;
    h->model_n = (uint32_t)x->route.model.n;
    h->message_n = (uint32_t)message.n;
    h->attempts = (uint8_t)MIN(x->up.attempts, 255u);
    text_put(&t, (struct str){ (const char *)h, sizeof *h });
    text_put(&t, x->out.content_type);
    text_put(&t, x->out.headers);
    text_put(&t, node);
    text_put(&t, x->route.model);
    text_put(&t, message);
    if (!t.failed)
        t.failed = tape_begin(f->tape, text_str(&t));
    text_free(&t);
    return t.failed;
}

void flight_head_read(struct str bytes, struct flight_head *h, struct flight_texts *t)
{
    assume(bytes.n >= sizeof *h);
    memcpy(h, bytes.p, sizeof *h);
    bytes = str_drop(bytes, sizeof *h);
    t->content_type = str_take(bytes, h->type_n);
    bytes = str_drop(bytes, h->type_n);
    t->headers = str_take(bytes, h->headers_n);
    bytes = str_drop(bytes, h->headers_n);
    t->node = str_take(bytes, h->node_n);
    bytes = str_drop(bytes, h->node_n);
    t->model = str_take(bytes, h->model_n);
    t->message = str_drop(bytes, h->model_n);
}

/* ---- the sink ---------------------------------------------------------------------------------------------------- */

/* Noticed inside a call of the exchange's: it is cancelled from the loop. */
static void doom(struct flight *f, enum fail why)
{
    if (!f->failed)
        f->failed = why;
    loop_post(f->worker->loop, &f->mail, MAIL_CALLED);
}

static void sink_head(struct exchange *x)
{
    struct flight *f = x->owner;
    struct flight_head h = { .length = x->out.length,
                             .status = (uint16_t)x->out.status,
                             .form = (uint8_t)(x->out.from_node ? x->up.form : FORM_WHOLE),
                             .dialect = (uint8_t)x->up.dialect,
                             .route = (uint8_t)x->route.row->id,
                             .stream = x->out.stream,
                             .asked_stream = lookup_streams(x),
                             .asked_usage = x->route.peek.wants_usage,
                             .wall = loop_wall(f->worker->loop),
                             .chance = worker_random(f->worker),
                             .simulated = x->up.simulated };
    enum fail why;

    if (f->shared.found)
        shared_retell(f, &h);
    why = put_head(f, x, &h, STR_NONE);
    tell_leader(f);
    if (why)
        doom(f, why);
}

static void sink_push(struct exchange *x, struct str bytes, bool last)
{
    struct flight *f = x->owner;
    enum fail why = f->failed ? f->failed : tape_append(f->tape, bytes);

    x->out.head_sent = true;
    f->complete |= last;
    if (!why && tape_is_oversize(f->tape) && !tape_wanted(f->tape))
        why = FAIL_client_gone; /* a refresh that will not be kept */
    if (why)
        doom(f, why);
}

static size_t sink_waiting(const struct exchange *x)
{
    const struct flight *f = x->owner;

    return tape_credit(f->tape) ? 0 : TAPE_BEHIND + 1;
}

static bool sink_unsay(struct exchange *x)
{
    struct flight *f = x->owner;

    if (f->failed || f->started_over || !tape_restart(f->tape))
        return false;
    f->started_over = true;
    f->complete = false;
    return true;
}

/* Who has begun to read learns why from the end of the tape, all others from a refusal in place of the answer. */
static void sink_refuse(struct exchange *x, enum fail why, struct str message)
{
    struct flight *f = x->owner;
    struct flight_head h = { .length = -1, .why = (uint16_t)why, .retry_after_s = (uint16_t)x->ticket.retry_after_s };

    if (tape_restart(f->tape))
        (void)put_head(f, x, &h, message); /* without memory: in fewer words */
}

static void sink_ended(struct exchange *x, enum fail why)
{
    struct flight *f = x->owner;
    enum tape_break where = x->out.broken == BREAK_INSIDE ? TAPE_INSIDE : TAPE_CLEAN;

    if (f->failed)
        why = f->failed;
    else if (!why && !f->complete)
        why = FAIL_internal;
    else if (f->complete)
        where = TAPE_TOLD;
    land(f, why, where);
}

static const struct sink_ops tape_sink = { .head = sink_head,
                                           .push = sink_push,
                                           .ended = sink_ended,
                                           .waiting = sink_waiting,
                                           .unsay = sink_unsay,
                                           .refuse = sink_refuse };
