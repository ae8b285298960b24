/* fleet/fleet.c - the fleet's life, its lock, and the five calls of a request: ask, end, cancel, turn (observe is in
 * observe.c).
 *
 * One mutex and one state, because the thing requests compete for is a node, and a node serves many models (design,
 * decision 1). Each call has the same shape: prepare outside, lock, change state, settle (decide tickets that wait if
 * there is news), unlock, clean up outside. The files behind it, each a few pure functions over struct fleet:
 *
 *      roster.c  who is in         choice.c   which node serves, or why none       views.c     /api/tags, ps,
 * v1/models, version health.c  up or down        waiting.c  tickets, refresh rounds, retries     snapshot.c  a copy for
 * people probes.c  who is asked what, when            observe.c   what that finds    residency.c model -> nodes
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
    *s = (struct fleet_settings){ .policy = STR("least_loaded"),
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
    f->waiting_next = NEVER;
    f->round_began = now - REFRESH_PERIOD;
    f->retry_tokens = RETRY_BURST;
    f->retry_tokens_at = now;
    for (unsigned i = 0; i < VIEWS; i++)
        f->generation[i] = 1;
}

static enum fail apply_settings(struct fleet *f, const struct fleet_settings *s)
{
    const struct policy *policy = policy_named(s->policy);
    if (!policy)
        return FAIL_bad_setting;
    f->policy = policy;
    f->settings = *s;
    f->settings.policy = STR_NONE;
    return OK;
}

struct fleet *fleet_new(const struct fleet_settings *s, nsec now)
{
    struct fleet *f = memory_strikes() ? NULL : calloc(1, sizeof *f);
    if (!f)
        return NULL;
    set_up(f, now);
    f->residency = residency_new(0);
    if (!f->residency || apply_settings(f, s) != OK)
        fleet_free(&f);
    return f;
}

void fleet_free(struct fleet **fleet)
{
    struct fleet *f = *fleet;
    if (!f)
        return;
    assume(list_empty(&f->waiting));
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
    pthread_mutex_destroy(&f->lock);
    free(f);
    *fleet = NULL;
}

enum fail fleet_configure(struct fleet *f, const struct fleet_settings *s)
{
    fleet_lock(f);
    enum fail bad = apply_settings(f, s);
    fleet_unlock(f);
    return bad;
}

void orders_init(struct orders *o)
{
    list_init(&o->decided);
    o->probes = 0;
    o->more = o->views_changed = false;
    o->next_turn = NEVER;
}

/* ---- the lock --------------------------------------------------------------------------------------------------- */

void fleet_lock(struct fleet *f)
{
    bool waited = pthread_mutex_trylock(&f->lock) != 0;
    if (waited)
        pthread_mutex_lock(&f->lock);
    f->count.waits += waited;
    if (unlikely(f->count.takes++ % LOCK_SAMPLE == 0))
        f->taken_at = sys_now();
}

static void count_hold(struct fleet *f)
{
    nsec held = sys_now() - f->taken_at;
    f->count.held += held * LOCK_SAMPLE;
    f->count.held_max = MAX(f->count.held_max, held);
    f->taken_at = 0;
}

void fleet_unlock(struct fleet *f)
{
    struct node *gone = f->gone;
    f->gone = NULL;
    if (unlikely(f->taken_at))
        count_hold(f);
    pthread_mutex_unlock(&f->lock);
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
    fleet_unlock(f);
    return c;
}

void fleet_settle(struct fleet *f, nsec now, struct orders *out)
{
    if (f->news || now >= f->waiting_next) {
        f->news = false;
        waiting_review(f, now, out);
    }
    out->views_changed |= f->views_news;
    f->views_news = false;
    out->next_turn = MIN(out->next_turn, MIN(probes_next(f), f->waiting_next));
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
    t->decision_n = t->retry_after_s = 0;
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
    if (unlikely(v == VERDICT_WAITS))
        waiting_add(f, t);
    if (unlikely(v != VERDICT_GRANTED))
        fleet_settle(f, now, out);
    fleet_unlock(f);
    return v;
}

/* An end that can only come from a node that works right now. A stream that broke began when it did. */
static bool proves_life(enum fail why)
{
    return why == OK || why == FAIL_upstream_busy || why == FAIL_upstream_no_model;
}

static void lost_connection(struct fleet *f, struct node *n, const struct lease *l, nsec now)
{
    if (n->addrs && addr_eq(&n->addr[n->addr_next], &l->addr))
        node_next_address(n);
    if (n->health != NODE_DOWN)
        n->due_version = now; /* perhaps only this address */
    health_lost(f, n, now);
    probes_resolve_again(f, n, now);
}

static void learn_attempt(struct fleet *f, struct node *n, const struct lease *l, const struct attempt_end *end,
                          nsec now)
{
    if (unlikely(fail_counts_against_node(end->why))) {
        n->errors++;
        node_note_error(n, end->why, end->error_text, now);
    }
    if (likely(proves_life(end->why)))
        health_answered(f, n, now);
    else if (health_is_connect_failure(end->why))
        lost_connection(f, n, l, now);
    if (unlikely(end->why == FAIL_upstream_no_model))
        n->due_tags = now;
}

void fleet_end(struct fleet *f, struct lease *l, const struct attempt_end *end, nsec now, struct orders *out)
{
    struct node *n = l->node;
    fleet_lock(f);
    assume(n && n->inflight > 0);
    n->inflight--;
    n->requests++;
    if (!end->client_left)
        learn_attempt(f, n, l, end, now);
    roster_release(f, n, now);
    if (unlikely(f->news || end->why)) {
        probes_schedule(f, n);
        probes_order(f, n, now, out);
        fleet_settle(f, now, out);
    }
    fleet_unlock(f);
    l->node = NULL;
}

bool fleet_cancel(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    fleet_lock(f);
    bool waited = t->waiting;
    struct node *n = t->lease.node;
    if (waited)
        waiting_remove(f, t);
    if (n) {
        assume(n->inflight > 0);
        n->inflight--;
        t->lease.node = NULL;
        roster_release(f, n, now);
    }
    t->verdict = VERDICT_REFUSED;
    t->refused = FAIL_client_gone;
    fleet_settle(f, now, out);
    fleet_unlock(f);
    return waited;
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
