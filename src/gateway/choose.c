/* Asking the fleet for a node, and what follows when an attempt on one has failed.
 *
 * The ticket is embedded in the exchange; while it waits the fleet holds it. A grant or refusal of a waiting ticket
 * comes as a posted bit, so that it is always taken on the exchange's own worker. */
#include "gateway/gateway_private.h"

/* Out of the queue, or a lease that was not used. */
static void give_back(struct exchange *x)
{
    struct orders o;

    orders_init(&o);
    fleet_cancel(x->worker->gateway->fleet, &x->ticket, worker_now(x->worker), &o);
    orders_carry_out(x->worker, &o);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static enum step refused(struct exchange *x);

static enum step decided(struct exchange *x)
{
    nsec now = worker_now(x->worker);

    x->tally.granted = now;
    x->tally.queued += now - x->tally.asked;
    if (x->ticket.verdict != VERDICT_GRANTED)
        return refused(x);
    if (unload_asked(x)) {
        give_back(x);
        return unload_enter(x);
    }
    fleet_keep_prompt(x->worker->gateway->fleet, &x->ticket);
    return STEP_NEXT;
}

static void pause_over(struct exchange *x)
{
    exchange_wake(x, choose_enter(x));
}

enum step choose_enter(struct exchange *x)
{
    struct worker *w = x->worker;
    struct orders o;
    enum verdict v;

    if (x->up.retry_at > worker_now(w)) {
        exchange_pause(x, x->up.retry_at, pause_over);
        return STEP_WAIT;
    }
    x->tally.asked = worker_now(w);
    orders_init(&o);
    fleet_hints(w->gateway->fleet, &x->ticket);
    v = fleet_ask(w->gateway->fleet, &x->ticket, worker_now(w), &o);
    orders_carry_out(w, &o);
    return v == VERDICT_WAITS ? STEP_WAIT : decided(x);
}

void choose_decided(struct exchange *x)
{
    assume(x->stage == STAGE_CHOOSE);
    exchange_wake(x, decided(x));
}

void choose_cancel(struct exchange *x)
{
    if (x->stage != STAGE_CHOOSE)
        return;
    loop_timer_cancel(x->worker->loop, &x->timer);
    give_back(x);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

/* Ollama words an unknown model differently per route, and clients match on it (ollama-api 1.3). */
static enum step unknown_model(struct exchange *x)
{
    int n = (int)x->route.model.n;
    const char *m = x->route.model.p;

    switch (x->route.row ? x->route.row->id : ROUTE_NONE) {
    case ROUTE_embed:
    case ROUTE_embeddings:
    case ROUTE_v1_embeddings:
        return answer_failf(x, FAIL_model_not_found, "model \"%.*s\" not found, try pulling it first", n, m);
    case ROUTE_copy: return answer_failf(x, FAIL_model_not_found, "model \"%.*s\" not found", n, m);
    case ROUTE_show:
    case ROUTE_push: {
        struct name name;
        if (!name_parse(x->route.model, &name))
            return answer_failf(x, FAIL_model_not_found, "model '%.*s' not found", STR_ARG(name_show(&name)));
        break;
    }
    default: break;
    }
    return answer_failf(x, FAIL_model_not_found, "model '%.*s' not found", n, m);
}

static void name_the_nodes(struct text *t, const struct fleet_snapshot *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct node_view *n = &s->node[i];
        text_printf(t, "%s %.*s is %.*s", i ? ";" : "", STR_ARG(n->name), STR_ARG(node_state_name(n->state)));
        if (n->last_error_text.n && n->state != NODE_UP)
            text_printf(t, " (%.*s)", STR_ARG(n->last_error_text));
    }
}

/* All that could serve are down: each node is named with its last error, so that somebody can act. */
enum step choose_nobody_up(struct exchange *x, enum fail why)
{
    struct fleet_snapshot *s = fleet_snapshot(x->worker->gateway->fleet, worker_now(x->worker));
    struct text t = { 0 };
    enum step step;

    text_put(&t, fail_sentence(why));
    if (s && s->n) {
        text_put(&t, STR(":"));
        name_the_nodes(&t, s);
    } else if (s) {
        text_put(&t, STR(": the gateway has no nodes; add one with --node or POST /api/nodes"));
    }
    step = answer_fail(x, why, t.failed ? STR_NONE : text_str(&t));
    text_free(&t);
    fleet_snapshot_free(&s);
    return step;
}

/* A node's own error answer is better than any sentence of ours: it is kept until nobody else is left to ask. */
static enum step last_answer(struct exchange *x)
{
    enum fail why = x->up.last_why ? x->up.last_why : FAIL_retries_exhausted;

    if (x->up.said_status) {
        x->tally.why = why;
        answer_retry_advice(x, why);
        return answer(x, x->up.said_status, x->up.said_type, x->up.said);
    }
    return answer_failf(x, why, "%.*s (node %s, %u attempt%s)", STR_ARG(fail_sentence(why)), x->up.node_name,
                        x->up.attempts, x->up.attempts == 1 ? "" : "s");
}

bool choose_nobody_serves(enum fail why)
{
    return why == FAIL_model_not_found || why == FAIL_no_holder_up || why == FAIL_no_node ||
           why == FAIL_retries_exhausted || why == FAIL_load_failed;
}

/* The client has a part of it: the truth is that its node died, and that nobody went on. */
static enum step nobody_goes_on(struct exchange *x)
{
    struct str words = x->again.words.n ? x->again.words : fail_sentence(x->again.why);

    return answer_failf(x, x->again.why, "%.*s; and no other node could go on: %.*s", STR_ARG(words),
                        STR_ARG(fail_sentence(x->up.last_why)));
}

static enum step refused(struct exchange *x)
{
    if (x->again.n) {
        x->up.last_why = x->ticket.refused;
        return nobody_goes_on(x);
    }
    if (choose_nobody_serves(x->ticket.refused) && names_fall_back(x, x->ticket.refused))
        return STEP_AGAIN;
    switch (choose_nobody_serves(x->ticket.refused) && x->route.fell_back ? x->route.first_why : x->ticket.refused) {
    case FAIL_model_not_found: return unknown_model(x);
    case FAIL_no_holder_up:
    case FAIL_no_node: return x->up.attempts ? last_answer(x) : choose_nobody_up(x, x->ticket.refused);
    case FAIL_retries_exhausted: return last_answer(x);
    case FAIL_deadline: return answer_fail(x, x->in.deadline_ms.n ? FAIL_deadline : FAIL_queue_timeout, STR_NONE);
    case FAIL_load_timeout: return answer_fail(x, FAIL_load_timeout, STR_NONE);
    case FAIL_load_failed: return answer_fail(x, FAIL_load_failed, str_of(x->ticket.said));
    default: return answer_fail(x, x->ticket.refused, STR_NONE);
    }
}

/* ---- after a failed attempt -------------------------------------------------------------------------------------- */

static void remember_tried(struct ticket *t, uint64_t node)
{
    if (t->tried_n < TRIED_MAX)
        t->tried[t->tried_n++] = node;
}

/* 25 ms doubling to 1 s, full jitter (scheduling 5): for retries that count; the others go at once. */
static nsec pause_before(struct exchange *x)
{
    nsec most = MIN(MSEC(25) << MIN(x->up.counted, 6u), SECOND(1));

    return (nsec)(worker_random(x->worker) % (uint64_t)most);
}

enum step choose_elsewhere(struct exchange *x, enum fail why)
{
    bool counts = !fail_is_free_retry(why);
    bool may = fail_may_go_elsewhere(why) && (!x->out.head_sent || x->again.n) &&
               !(x->route.row && x->route.row->flags & ROUTE_NO_RETRY) && exchange_is_question(x) &&
               (!counts || x->up.counted < x->settings->retry_max) && x->ticket.tried_n < TRIED_MAX;

    x->up.last_why = why;
    remember_tried(&x->ticket, x->up.node_id);
    if (!may && x->again.n)
        return nobody_goes_on(x);
    if (!may && fail_may_go_elsewhere(why) && names_fall_back(x, FAIL_retries_exhausted))
        return STEP_AGAIN;
    if (!may)
        return x->out.head_sent ? answer_fail(x, why, STR_NONE) : last_answer(x);
    meter_retry(x->worker->meter, why);
    x->ticket.retry_counts = counts;
    x->up.retry_at = counts ? worker_now(x->worker) + pause_before(x) : 0;
    x->up.counted += counts;
    return x->again.n ? STEP_GO_ON : STEP_AGAIN;
}

/* The client has waited already, and hears nothing meanwhile: as long as it would bear a silent node. */
enum step choose_to_go_on(struct exchange *x, enum fail why)
{
    remember_tried(&x->ticket, x->up.node_id);
    meter_retry(x->worker->meter, why);
    x->up.last_why = why;
    x->up.retry_at = 0;
    x->ticket.retry_counts = true;
    x->ticket.deadline = worker_now(x->worker) + x->settings->inter_chunk_timeout;
    return STEP_GO_ON;
}
