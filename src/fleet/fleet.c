/* fleet/fleet.c - the fleet's life, its lock, and the five calls of a request: ask, end, cancel, turn (observe is in
 * observe.c).
 *
 * One mutex and one state, because the thing requests compete for is a node, and a node serves many models (design,
 * decision 1). Each call has the same shape: prepare outside, lock, change state, settle (decide tickets that wait if
 * there is news), unlock, clean up outside. The files behind it, each a few pure functions over struct fleet:
 *
 *      roster.c   who is in               choice.c     who could serve, or why nobody   residency.c  model -> nodes
 *      health.c   up or down              waiting.c    tickets that wait for knowledge  views.c      tags, ps, ...
 *      probes.c   who is asked what       serving.c    tickets that wait for a slot     snapshot.c   a copy for people
 *      observe.c  what that finds         lineup.c     what the scheduler was told      scheduler*.c which node, when
 *
 * Rejected: a lock per node or per model (a choice reads all nodes; counts would be stale when it matters, 77 ns under
 * one mutex at 64 nodes), and a scheduler thread (7-9 us per hand-over). */
#include "base/slab.h"
#include "base/sys.h"
#include "fleet/fleet_state.h"
#include <stdlib.h>

/* ---- life ------------------------------------------------------------------------------------------------------- */

void fleet_settings_default(struct fleet_settings *s)
{
    *s = (struct fleet_settings){ .policy = SCHEDULER_eta,
                                  .queue_max = 512,
                                  .load_timeout = SECOND(300),
                                  .health_interval = SECOND(5),
                                  .health_timeout = SECOND(2),
                                  .ps_interval = SECOND(2),
                                  .tags_interval = SECOND(30),
                                  .resolve_interval = SECOND(30),
                                  .first_round = SECOND(1),
                                  .refresh_wait = SECOND(2),
                                  .retry_budget_ratio = 0.20,
                                  .retry_budget_rate = 1 };
}

static void set_up(struct fleet *f, nsec now)
{
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->waiting);
    list_init(&f->queued);
    f->waiting_next = f->scheduler_due = f->guards_due = f->warm_due = NEVER;
    f->round_began = now - REFRESH_PERIOD;
    f->retry_tokens = RETRY_BURST;
    f->retry_tokens_at = now;
    for (unsigned i = 0; i < VIEWS; i++)
        f->generation[i] = 1;
}

static struct scheduler *make_scheduler(const struct fleet_settings *s, nsec now)
{
    struct scheduler_settings is;
    scheduler_settings_default(&is);
    is.nodes = NODES_MAX;
    is.models = VARIANTS_MAX;
    is.tickets = TICKETS_MAX;
    is.policy = s->policy;
    is.bound = s->queue_max;
    is.shed = s->shed;
    return scheduler_new(&is, now);
}

struct fleet *fleet_new(const struct fleet_settings *s, nsec now)
{
    struct fleet *f = memory_strikes() ? NULL : calloc(1, sizeof *f);
    if (!f)
        return NULL;
    set_up(f, now);
    f->settings = *s;
    model_rules_ref(s->rules);
    f->residency = residency_new(0);
    f->scheduler = make_scheduler(s, now);
    f->ring = f->scheduler ? decisions_record(f->scheduler) : NULL;
    f->caches = caches_new();
    f->preload = preload_new(s->rules);
    f->preload_due = f->preload ? now : NEVER;
    if (!f->residency || !f->scheduler || !f->caches)
        fleet_free(&f);
    return f;
}

void fleet_free(struct fleet **fleet)
{
    struct fleet *f = *fleet;
    if (!f)
        return;
    assume(list_empty(&f->waiting) && list_empty(&f->queued));
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i]) {
            assume(!f->node[i]->inflight && !f->node[i]->pins);
            node_free(&f->node[i]);
            f->living--;
        }
    assume(f->living == 0);
    for (unsigned i = 0; i < VIEWS; i++)
        view_unref(&f->view[i]);
    residency_free(&f->residency);
    scheduler_free(&f->scheduler);
    scheduler_ring_free(&f->ring);
    model_rules_unref(&f->settings.rules);
    caches_free(&f->caches);
    preload_free(&f->preload);
    pthread_mutex_destroy(&f->lock);
    free(f);
    *fleet = NULL;
}

void fleet_configure(struct fleet *f, const struct fleet_settings *s)
{
    struct model_rules *before;
    struct preload *preload = preload_new(s->rules), *was;
    fleet_lock(f);
    before = f->settings.rules;
    was = f->preload;
    f->settings = *s;
    f->preload = preload;
    f->preload_due = preload ? 0 : NEVER;
    model_rules_ref(s->rules);
    scheduler_configure(f->scheduler, s->policy, s->queue_max, s->shed);
    lineup_rules_changed(f);
    fleet_unlock(f);
    model_rules_unref(&before);
    preload_free(&was);
}

void orders_init(struct orders *o)
{
    list_init(&o->decided);
    o->probes = o->tasks = 0;
    o->more = o->views_changed = false;
    o->next_turn = NEVER;
}

/* ---- the lock --------------------------------------------------------------------------------------------------- */

void fleet_lock(struct fleet *f)
{
    if (unlikely(pthread_mutex_trylock(&f->lock) != 0)) {
        nsec since = sys_now();
        pthread_mutex_lock(&f->lock);
        f->count.waits++;
        f->count.waited += sys_now() - since;
    }
    if (unlikely(f->count.takes++ % LOCK_SAMPLE == 0))
        f->taken_at = sys_now();
}

/* Four steps an octave: 4, 5, 6, 7, 8, 10, 12, 14, 16, ... */
static unsigned step_of(nsec held)
{
    uint64_t t = (uint64_t)MAX(held, 4);
    unsigned octave = 63 - (unsigned)__builtin_clzll(t);
    return MIN((octave - 2) * 4 + (unsigned)(t >> (octave - 2) & 3), HOLD_STEPS - 1);
}

static nsec end_of_step(unsigned step)
{
    return (nsec)(5 + step % 4) << step / 4;
}

static nsec hold_quantile(const struct fleet *f, double q)
{
    uint64_t all = 0, upto = 0;
    unsigned step = 0;
    for (unsigned i = 0; i < HOLD_STEPS; i++)
        all += f->hold_steps[i];
    while (step < HOLD_STEPS - 1 && (double)(upto += f->hold_steps[step]) < q * (double)all)
        step++;
    return all ? MIN(end_of_step(step), f->count.held_max) : 0;
}

static void count_hold(struct fleet *f)
{
    nsec held = sys_now() - f->taken_at;
    f->hold_steps[step_of(held)]++;
    f->count.held += held * LOCK_SAMPLE;
    f->count.held_max = MAX(f->count.held_max, held);
    f->taken_at = 0;
}

void fleet_unlock(struct fleet *f)
{
    struct node *gone = f->gone;
    struct lost lost[LOST_MAX];
    uint32_t losts = f->losts;
    if (unlikely(losts))
        memcpy(lost, f->lost, losts * sizeof *lost);
    f->losts = 0;
    f->gone = NULL;
    if (unlikely(f->taken_at))
        count_hold(f);
    pthread_mutex_unlock(&f->lock);
    for (uint32_t i = 0; i < losts; i++)
        caches_forget(f->caches, lost[i].node, lost[i].variant);
    while (unlikely(gone != NULL)) {
        struct node *n = gone;
        gone = n->next_gone;
        node_free(&n);
    }
}

struct fleet_lock_count fleet_lock_count(struct fleet *f)
{
    fleet_lock(f);
    struct fleet_lock_count c = f->count;
    c.held_p50 = hold_quantile(f, 0.5);
    c.held_p99 = hold_quantile(f, 0.99);
    fleet_unlock(f);
    return c;
}

void fleet_settle(struct fleet *f, nsec now, struct orders *out)
{
    if (f->news || now >= f->waiting_next) {
        f->news = false;
        waiting_review(f, now, out);
    }
    serving_settle(f, now, out);
    out->views_changed |= f->views_news;
    f->views_news = false;
    out->next_turn = MIN(out->next_turn, MIN(probes_next(f), MIN(f->waiting_next, serving_next(f))));
}

bool fleet_knows(struct fleet *f)
{
    fleet_lock(f);
    bool knows = f->first_over || !f->unheard;
    fleet_unlock(f);
    return knows;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static void forget_answer(struct ticket *t)
{
    t->refused = OK;
    t->lease = (struct lease){ 0 };
    t->decision = (struct decision){ 0 };
    t->number = t->retry_after_s = 0;
    t->said[0] = 0;
    t->link = (struct list){ 0 };
    t->waiting = false;
    t->refresh = 0;
    t->until = NEVER;
}

enum verdict fleet_ask(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    forget_answer(t);
    fleet_lock(f);
    enum verdict v = waiting_decide(f, t, now, out);
    if (unlikely(v == VERDICT_WAITS && !t->number))
        waiting_add(f, t);
    if (unlikely(v != VERDICT_GRANTED))
        fleet_settle(f, now, out);
    fleet_unlock(f);
    return v;
}

void fleet_end(struct fleet *f, struct lease *l, const struct attempt_end *end, nsec now, struct orders *out)
{
    struct node *n = l->node;
    fleet_lock(f);
    assume(n && n->inflight > 0);
    n->inflight--;
    n->requests++;
    if (!end->client_left)
        health_learn_end(f, n, &l->addr, end->why, end->error_text, now);
    if (l->number)
        serving_end(f, l, end, now, out);
    roster_release(f, n, now);
    if (unlikely(f->news || end->why || f->tasks)) {
        probes_schedule(f, n);
        probes_order(f, n, now, out);
        fleet_settle(f, now, out);
    }
    fleet_unlock(f);
    l->node = NULL;
    l->number = 0;
}

bool fleet_cancel(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    fleet_lock(f);
    bool waited = t->waiting;
    struct node *n = t->lease.node;
    if (t->number || t->lease.number)
        serving_cancel(f, t, now, out);
    else if (waited)
        waiting_remove(f, t);
    if (n) {
        assume(n->inflight > 0);
        n->inflight--;
        t->lease = (struct lease){ 0 };
        roster_release(f, n, now);
    }
    t->verdict = VERDICT_REFUSED;
    t->refused = FAIL_client_gone;
    fleet_settle(f, now, out);
    fleet_unlock(f);
    return waited;
}

void fleet_shut_queue(struct fleet *f, bool on)
{
    fleet_lock(f);
    f->queue_is_shut = on;
    fleet_unlock(f);
}

bool fleet_is_down(struct fleet *f, const struct node *n)
{
    fleet_lock(f);
    bool down = n->health == NODE_DOWN;
    fleet_unlock(f);
    return down;
}

void fleet_turn(struct fleet *f, nsec now, struct orders *out)
{
    fleet_lock(f);
    probes_order_all(f, now, out);
    fleet_settle(f, now, out);
    fleet_unlock(f);
}
