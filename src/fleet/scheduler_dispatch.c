/* fleet/scheduler_dispatch.c - late binding: who gets a slot that is free, and who rather waits for another.
 *
 * A pass looks at up to 8 waiters of each model concerned, in serving order over all of these models. Each is offered
 * the fleet as it is: it takes a free slot, or, if its policy says that a busy node is worth waiting for, it reserves
 * the next slot of that node for the rest of the pass, so that those behind it reckon with the one after. A model
 * whose waiter found no free slot at all is done. Reservations need not outlive the pass: when the slot they stand for
 * frees, the next pass asks their owners first. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define PASS_MODELS 64

struct pass {
    uint32_t n;
    uint32_t model[PASS_MODELS], next[PASS_MODELS];
    uint32_t looked[PASS_MODELS];
};

struct scheduler_order *orders_add(struct scheduler_orders *out, enum scheduler_verb verb)
{
    assume(out->n < SCHEDULER_ORDERS);
    struct scheduler_order *o = &out->order[out->n++];
    *o = (struct scheduler_order){ .verb = verb, .node = NONE, .model = NONE, .next = NONE };
    return o;
}

void dispatch_grant(struct scheduler *s, uint32_t job, uint32_t node, double now, struct scheduler_orders *out)
{
    struct job *j = &s->job[job];
    struct scheduler_order *o = orders_add(out, ORDER_GRANT);
    o->node = node, o->model = j->model, o->ticket = ticket_of(s, job), o->owner = j->owner;
    o->terms = eta_terms(s, j, node, now);
    o->terms.candidates = s->candidates;
    o->next = policy_of(s, j->model) == SCHEDULER_eta ? eta_next(s, node) : NONE;
    if (o->next != NONE)
        o->next_terms = eta_terms(s, j, o->next, now);
    if (j->state == JOB_WAITS)
        queue_remove(s, job);
    s->floor = fmax(s->floor, s->tenant[j->tenant].counter);
    tenant_charge(s, j, (double)j->prompt + 2.0 * j->output);
    ledger_open(s, job, node, now);
    o->matched_tokens = j->matched;
    ring_ordered(s, o);
}

void dispatch_refuse(struct scheduler *s, uint32_t job, enum fail why, double now, struct scheduler_orders *out)
{
    struct job *j = &s->job[job];
    struct scheduler_order *o = orders_add(out, ORDER_REFUSE);
    o->model = j->model, o->ticket = ticket_of(s, job), o->owner = j->owner, o->why = why;
    o->retry_after_s = (uint32_t)fmin(60, fmax(1, ceil(door_wait(s, j, now))));
    ring_ordered(s, o);
    if (j->state == JOB_WAITS)
        queue_remove(s, job);
    job_give(s, job);
}

/* ---- a pass ----------------------------------------------------------------------------------------------------- */

static void reserve(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    if (s->undos == ARRAY_LEN(s->undo))
        return;
    s->undo[s->undos].node = node, s->undo[s->undos++].model = model;
    s->machine[node].reserved++;
    s->pair[at_pair(s, node, model)].reserved++;
    ledger_refresh(s, node, now);
    ledger_refresh_pair(s, node, model, now);
}

static void undo_reservations(struct scheduler *s, double now)
{
    while (s->undos) {
        uint32_t node = s->undo[--s->undos].node, model = s->undo[s->undos].model;
        s->machine[node].reserved--;
        s->pair[at_pair(s, node, model)].reserved--;
        ledger_refresh(s, node, now);
        ledger_refresh_pair(s, node, model, now);
    }
}

static void drop(struct pass *p, uint32_t i)
{
    p->n--;
    p->model[i] = p->model[p->n], p->next[i] = p->next[p->n], p->looked[i] = p->looked[p->n];
}

static void advance(struct scheduler *s, struct pass *p, uint32_t i, double now)
{
    p->next[i] = ++p->looked[i] < LOOKED_AT ? queue_next(s, p->model[i], now) : NONE;
    if (p->next[i] == NONE)
        drop(p, i);
}

static uint32_t foremost(const struct scheduler *s, const struct pass *p, double now)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < p->n; i++)
        if (queue_before(s, p->next[i], p->next[best], now))
            best = i;
    return best;
}

static void offer(struct scheduler *s, struct pass *p, uint32_t i, double now, struct scheduler_orders *out)
{
    uint32_t job = p->next[i], wait_for = NONE, node = policy_choose(s, &s->job[job], now, &wait_for);
    if (node != NONE)
        dispatch_grant(s, job, node, now, out);
    else if (wait_for != NONE) {
        queue_looked(s, job);
        reserve(s, wait_for, s->job[job].model, now);
    } else if (!job_limited(&s->job[job])) { /* so nobody of this model can be served now */
        drop(p, i);
        return;
    } else
        queue_looked(s, job);
    advance(s, p, i, now);
}

static void run(struct scheduler *s, struct pass *p, double now, struct scheduler_orders *out)
{
    while (p->n && orders_room(out))
        offer(s, p, foremost(s, p, now), now, out);
    out->more |= p->n > 0;
    undo_reservations(s, now);
}

static void join(struct scheduler *s, struct pass *p, uint32_t model, double now)
{
    p->model[p->n] = model, p->looked[p->n] = 0;
    p->next[p->n] = queue_next(s, model, now);
    p->n += p->next[p->n] != NONE;
}

/* Those before it take what they would be granted, or wait for, as reservations. */
uint32_t dispatch_would(struct scheduler *s, const struct job *asked, double now, uint32_t *out_wait_for)
{
    struct pass p = { 0 };
    uint32_t node = NONE;
    s->pass++;
    join(s, &p, asked->model, now);
    while (p.n) {
        const struct job *j = &s->job[p.next[0]];
        uint32_t wait_for = NONE, gets = policy_choose(s, j, now, &wait_for), takes = gets != NONE ? gets : wait_for;
        if (j == asked)
            node = gets, *out_wait_for = wait_for;
        if (j == asked || (takes == NONE && !job_limited(j)))
            break;
        queue_looked(s, p.next[0]);
        if (takes != NONE)
            reserve(s, takes, j->model, now);
        advance(s, &p, 0, now);
    }
    undo_reservations(s, now);
    return node;
}

void dispatch_model(struct scheduler *s, uint32_t model, double now, struct scheduler_orders *out)
{
    struct pass p = { 0 };
    s->pass++;
    join(s, &p, model, now);
    run(s, &p, now, out);
}

void dispatch_node(struct scheduler *s, uint32_t node, double now, struct scheduler_orders *out)
{
    struct pass p = { 0 };
    if (s->slot_at[node] >= 0)
        return;
    s->pass++;
    for (uint32_t m = s->first_active; m != NONE && p.n < PASS_MODELS; m = s->model[m].next_active)
        if (s->pair_at[at_pair(s, node, m)] < 0)
            join(s, &p, m, now);
    run(s, &p, now, out);
}

void dispatch_all(struct scheduler *s, double now, struct scheduler_orders *out)
{
    for (uint32_t m = s->first_active; m != NONE && orders_room(out);) {
        uint32_t next = s->model[m].next_active; /* m may leave the list, the one behind it not */
        dispatch_model(s, m, now, out);
        m = next;
    }
}
