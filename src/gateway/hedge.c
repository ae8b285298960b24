/* The second exchange is a child like those of a fan-out: it walks the road from `choose`, its bytes come to a sink
 * here, and its end is told once. So nothing else had to learn that two nodes can be asked at a time: neither leases
 * nor connections nor the cache, whose writer may be the x of this file. Its answer is kept until it is whole; only
 * then is the first cancelled, so a second node that breaks off has cost nothing but itself.
 *
 * A dry run (fleet_explain) says whether a node would take it at once, and the ticket is pinned to that one: a ticket
 * that only asks could start a load. */
#include "gateway/hedge.h"
#include "gateway/finish.h"
#include "gateway/gateway_private.h"

#define ANSWER_MOST MIB(16)
#define ONE_IN      100 /* embeddings a second node is asked for one */

struct hedge {
    struct exchange *x, *second; /* second NULL: it is over */
    struct buf answer;           /* the second's, so far */
    bool lost;                   /* no memory for all of it */
    bool alone;                  /* x's own attempt has failed, */
    enum fail failed;            /* so */
};

/* ---- which of the two ------------------------------------------------------------------------------------------- */

static bool is_good(const struct hedge *h, const struct exchange *second, enum fail why)
{
    struct figures figures;

    figures_clear(&figures);
    return !why && !h->lost && second->out.complete && second->up.status == 200 &&
           record_look_whole(second->up.dialect, buf_str(&h->answer), &figures, NULL) != MARK_ERROR;
}

/* x is from now on what the second was. */
static void become(struct exchange *x, const struct exchange *second)
{
    memcpy(x->up.node_name, second->up.node_name, sizeof x->up.node_name);
    x->up.node_id = second->up.node_id;
    x->up.status = second->up.status;
    x->up.connect_ns = second->up.connect_ns;
    x->up.sent = second->up.sent;
    x->up.first_byte = second->up.first_byte;
    x->up.simulated = second->up.simulated;
    x->up.proven = true;
    x->up.attempts++;
    x->ticket.decision = second->ticket.decision;
    x->ticket.decision.hedged = true;
    x->tally.granted = second->tally.granted;
    x->tally.records = 1;
    x->out.from_node = true;
    x->out.headers = str_dup(&x->arena, second->out.headers);
}

static void take_over(struct exchange *x, const struct exchange *second, struct str body)
{
    if (x->up.conn || x->ticket.lease.node)
        attempt_over(x, FAIL_client_gone, true);
    buf_free(&x->up.hold);
    become(x, second);
    finish_attempt(x, OK);
    meter_add(x->worker->meter, COUNT_hedges_won, 1);
    exchange_wake(x, answer(x, second->out.status, str_dup(&x->arena, second->out.content_type), body));
}

/* ---- the second's sink ------------------------------------------------------------------------------------------- */

static void second_head(struct exchange *second)
{
    second->out.head_sent = true;
}

static void second_push(struct exchange *second, struct str bytes, bool last)
{
    struct hedge *h = second->owner;

    if (h->lost || buf_len(&h->answer) + bytes.n > ANSWER_MOST || buf_append(&h->answer, bytes))
        h->lost = true;
}

static void second_ended(struct exchange *second, enum fail why)
{
    struct hedge *h = second->owner;
    struct exchange *x = h->x;
    struct buf body = h->answer;
    bool good = is_good(h, second, why), alone = h->alone;
    enum fail failed = h->failed;

    h->second = NULL;
    h->answer = (struct buf){ 0 };
    if (good)
        take_over(x, second, buf_str(&body));
    else if (alone)
        exchange_wake(x, choose_elsewhere(x, failed));
    buf_free(&body);
}

static void second_refused(struct exchange *second, enum fail why, struct str message)
{
    second->tally.why = why;
}

static const struct sink_ops second_sink = {
    .head = second_head, .push = second_push, .ended = second_ended, .refuse = second_refused
};

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* As x asked, but not of whom x asks, within the budget of retries, and of one node only. */
static struct ticket ticket_of(const struct exchange *x)
{
    const struct ticket *t = &x->ticket;
    struct ticket second = { .model = t->model,
                             .model_hash = t->model_hash,
                             .tenant = t->tenant,
                             .band = t->band,
                             .prompt_tokens = t->prompt_tokens,
                             .arrived = worker_now(x->worker),
                             .deadline = t->deadline,
                             .retry_counts = true,
                             .ollama_only = t->ollama_only,
                             .runs = t->runs,
                             .embeds = t->embeds,
                             .spelled = t->spelled,
                             .request_id = t->request_id,
                             .options = t->options,
                             .key = t->key,
                             .tried_n = t->tried_n };

    memcpy(second.tried, t->tried, sizeof second.tried);
    if (second.tried_n < TRIED_MAX)
        second.tried[second.tried_n++] = x->up.node_id;
    return second;
}

/* The node that would serve it now, with its model loaded; empty: none. In x's arena. */
static struct str free_node(struct exchange *x, const struct ticket *t)
{
    struct orders o;
    struct fleet_explained *e;
    struct str name = STR_NONE;

    orders_init(&o);
    e = fleet_explain(x->worker->gateway->fleet, t, worker_now(x->worker), &o);
    orders_carry_out(x->worker, &o);
    if (e && !e->refused && e->node < e->n && e->candidate[e->node].is.resident)
        name = str_dup(&x->arena, e->candidate[e->node].node);
    if (e)
        fleet_explained_free(&e);
    return name;
}

static void describe(const struct exchange *x, struct exchange *second)
{
    second->in.method = x->in.method;
    second->in.forward = x->in.forward;
    second->in.request_id = x->in.request_id;
    second->in.traceparent = x->in.traceparent;
    second->in.span = x->in.span;
    second->in.via = x->in.via;
    second->route = x->route;
    second->route.rename = NULL;
    second->up.method = x->up.method;
    second->up.attempts = x->up.attempts; /* if it wins it is the next of them, under that span id */
    second->up.path = x->up.path;
    second->up.body = x->up.body;
    second->up.body_length = x->up.body_length;
    second->up.dialect = x->up.dialect;
}

static void ask_second(struct exchange *x, const struct ticket *ticket)
{
    struct hedge *h = arena_new(&x->arena, struct hedge);
    struct exchange *second = h ? exchange_new(x->worker, OWNER_PARENT, h, &second_sink) : NULL;

    if (!second)
        return;
    h->x = x;
    h->second = second;
    x->up.hedge = h;
    describe(x, second);
    second->ticket = *ticket;
    exchange_start(second, STAGE_CHOOSE);
    if (h->second && h->second->stage == STAGE_CHOOSE) /* somebody was faster: it is not worth waiting for */
        exchange_cancel(h->second, FAIL_client_gone);
    if (!h->second)
        return;
    x->worker->hedge.hedged++;
    meter_add(x->worker->meter, COUNT_hedges, 1);
}

static void is_late(struct exchange *x)
{
    const struct hedge_times *t = &x->worker->hedge;
    struct ticket ticket;

    if (x->stage != STAGE_ATTEMPT || !x->up.conn || t->hedged * ONE_IN > t->asked)
        return;
    ticket = ticket_of(x);
    ticket.pin = free_node(x, &ticket);
    if (ticket.pin.n)
        ask_second(x, &ticket);
}

void hedge_begin(struct exchange *x)
{
    const struct gateway_settings *s = x->settings;
    nsec expected;

    if (!(s->hedge_embeddings || s->hedge_after) || !x->ticket.embeds || !exchange_is_question(x) ||
        !x->ticket.lease.known_loaded || x->ticket.pin.n || x->up.hedge)
        return;
    x->worker->hedge.asked++;
    expected = s->hedge_after ? s->hedge_after : hedge_expected(&x->worker->hedge, x->ticket.model_hash);
    if (expected)
        exchange_pause(x, worker_now(x->worker) + expected, is_late);
}

/* ---- the first --------------------------------------------------------------------------------------------------- */

void hedge_end(struct exchange *x)
{
    struct hedge *h = x->up.hedge;

    if (!h || !h->second)
        return;
    h->alone = false;
    exchange_cancel(h->second, FAIL_client_gone);
}

bool hedge_goes_on(struct exchange *x, enum fail why)
{
    struct hedge *h = x->up.hedge;

    if (!h || !h->second || x->out.head_sent)
        return false;
    h->alone = true;
    h->failed = why;
    return true;
}
