/* fleet/waiting.c - tickets: granted, refused, or waiting for knowledge.
 *
 * A ticket waits here for two things: the end of the first probe round, and, when nobody is known to have its model,
 * one refresh of all inventories. Then it goes on to the scheduler (serving.c), if it wants to run the model. Refreshes
 * are coalesced: rounds are numbered, at most one begins per second, and whoever asks meanwhile joins the one under way
 * or takes the answer of the one just done. A round is done when each node that can answer has told its tags in an
 * answer that was ordered after the round began.
 *
 * Waiting tickets are few and their wait is short, so on news all of them are simply decided again, in order of
 * arrival. */
#include "fleet/fleet_state.h"

/* ---- refresh rounds --------------------------------------------------------------------------------------------- */

static bool awaited(const struct node *n)
{
    if (n->remove_when_idle)
        return false;
    return health_answers(n) || (n->health == NODE_STARTING && !n->heard);
}

static bool round_is_done(const struct fleet *f)
{
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && awaited(f->node[i]) && f->node[i]->round_told < f->round)
            return false;
    return true;
}

static void begin_round(struct fleet *f, nsec now, struct orders *out)
{
    f->round++;
    f->round_began = now;
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && health_answers(f->node[i])) {
            f->node[i]->due_tags = now;
            probes_schedule(f, f->node[i]);
        }
    if (round_is_done(f))
        f->round_done = f->round; /* nobody is there to ask */
    probes_order_all(f, now, out);
}

/* The ticket's round, begun if need be; false if the last one is done and too young to ask again. */
static bool join_round(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    bool done = f->round_done == f->round;
    if (done && now < f->round_began + REFRESH_PERIOD)
        return false;
    if (done || now >= f->round_began + f->settings.refresh_wait)
        begin_round(f, now, out);
    t->refresh = f->round;
    t->until = MIN(t->deadline, f->round_began + f->settings.refresh_wait);
    return true;
}

/* Does it pay to wait before "model not found" is said? */
static bool refresh_may_help(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    if (!t->refresh && !join_round(f, t, now, out))
        return false;
    return t->refresh > f->round_done && now < t->until;
}

/* ---- verdicts --------------------------------------------------------------------------------------------------- */

static unsigned retry_after(const struct fleet *f, enum fail why)
{
    if (!fail_waiting_helps(why))
        return 0;
    nsec interval = why == FAIL_no_node || why == FAIL_no_holder_up ? f->settings.health_interval : SECOND(1);
    return (unsigned)MAX(1, MIN(5, (interval + SECOND(1) - 1) / SECOND(1)));
}

enum verdict waiting_refuse(struct fleet *f, struct ticket *t, enum fail why)
{
    t->refused = why;
    t->retry_after_s = retry_after(f, why);
    return t->verdict = VERDICT_REFUSED;
}

/* A retry needs a token; requests bring in tokens by their number, and time does. */
static bool budget_allows(struct fleet *f, const struct ticket *t, nsec now)
{
    if (!t->retry_counts) {
        f->retry_tokens += t->tried_n ? 0 : f->settings.retry_budget_ratio;
        return true;
    }
    f->retry_tokens += (double)(now - f->retry_tokens_at) / 1e9 * f->settings.retry_budget_rate;
    f->retry_tokens = MIN(f->retry_tokens, RETRY_BURST);
    f->retry_tokens_at = now;
    if (f->retry_tokens < 1)
        return false;
    f->retry_tokens -= 1;
    return true;
}

static bool is_loaded(const struct fleet *f, const struct ticket *t, const struct node *n)
{
    const struct holders *h = t->model.n ? residency_find(f->residency, t->model_hash) : NULL;
    return h && set_has(&h->loaded, n->no);
}

static enum verdict grant(struct fleet *f, struct ticket *t, const struct choice *c, nsec now)
{
    struct node *n = c->node;
    t->decision = (struct decision){ .by = c->by, .candidates = c->candidates, .inflight = n->inflight };
    t->lease = (struct lease){ .node = n,
                               .addr = n->addr[n->addr_next],
                               .model = t->model.n ? t->model_hash : 0,
                               .granted = now,
                               .known_loaded = is_loaded(f, t, n) };
    n->inflight++;
    t->refused = OK;
    return t->verdict = VERDICT_GRANTED;
}

static bool first_round_goes_on(struct fleet *f, nsec now)
{
    if (!f->first_over && (!f->unheard || now >= f->first_until))
        f->first_over = true;
    return !f->first_over && f->nodes;
}

static enum verdict wait_until(struct ticket *t, nsec until)
{
    t->until = MIN(t->deadline, until);
    return t->verdict = VERDICT_WAITS;
}

enum verdict waiting_decide(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    if (unlikely(now >= t->deadline))
        return waiting_refuse(f, t, FAIL_deadline);
    if (unlikely(!f->first_over) && first_round_goes_on(f, now))
        return wait_until(t, f->first_until);
    struct choice c = choice_make(f, t, now);
    if (likely(c.node) && !budget_allows(f, t, now))
        return waiting_refuse(f, t, FAIL_retries_exhausted);
    if (likely(c.node))
        return t->runs ? serving_ask(f, t, now, out) : grant(f, t, &c, now);
    if (c.unknown && refresh_may_help(f, t, now, out))
        return t->verdict = VERDICT_WAITS;
    return waiting_refuse(f, t, c.why_not);
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

void waiting_add(struct fleet *f, struct ticket *t)
{
    t->waiting = true;
    list_push(&f->waiting, &t->link);
    f->waiting_n++;
    f->waiting_next = MIN(f->waiting_next, t->until);
}

void waiting_remove(struct fleet *f, struct ticket *t)
{
    t->waiting = false;
    list_del(&t->link);
    f->waiting_n--;
}

void waiting_review(struct fleet *f, nsec now, struct orders *out)
{
    struct list were;
    if (f->round_done != f->round && round_is_done(f))
        f->round_done = f->round;
    list_move(&were, &f->waiting);
    f->waiting_next = NEVER;
    for (struct list *link; (link = list_pop(&were)) != NULL;) {
        struct ticket *t = CONTAINER(link, struct ticket, link);
        t->waiting = false;
        f->waiting_n--;
        if (waiting_decide(f, t, now, out) == VERDICT_WAITS) {
            if (!t->number)
                waiting_add(f, t);
            continue;
        }
        t->announced = true;
        list_push(&out->decided, &t->link);
    }
}
