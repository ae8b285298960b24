/* fleet/scheduler_load.c - which models lie on which nodes: cold loads, replicas, what is thrown out.
 *
 *      cold: waiting, nowhere to be served, not being loaded   -> one load, where it is cheapest; longest wait first
 *      waited 5 s, and every place is busy                     -> the cheapest busy model drains
 *      pressed: more work per slot, or a longer wait of the head, than a load takes, for 2 s  -> one more replica
 *
 * What a place is worth: the requests that its model gets in 300 s (decayed) x how long it loads; 0.3 of that when
 * another node has the model too. The cheapest idle one goes. A cold load may throw out whatever is idle; a replica
 * only what is worth less than it brings, and what has been there for 30 s. A node loads one model at a time. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define SHARED_WORTH      0.3
#define FAILED_PAUSE      5.0 /* seconds until a load that failed is tried there again; doubled each time */
#define FAILED_PAUSE_MOST 300.0
#define GRAIN             0.5 /* seconds between two looks at what only time changes */

/* ---- facts ------------------------------------------------------------------------------------------------------ */

double load_seconds(const struct scheduler *s, uint32_t node, uint32_t model)
{
    return (double)s->model[model].bytes * (double)s->pair[at_pair(s, node, model)].load_s;
}

static double rate_of(const struct scheduler *s, uint32_t model, double now)
{
    const struct model *m = &s->model[model];
    return m->rate * exp((m->rate_at - now) / ((double)s->settings.rate_over / 1e9));
}

void load_used(struct scheduler *s, uint32_t model, double now)
{
    s->model[model].rate = rate_of(s, model, now) + 1;
    s->model[model].rate_at = now;
}

static double worth(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    double w = rate_of(s, model, now) * load_seconds(s, node, model);
    return s->model[model].residents > 1 ? SHARED_WORTH * w : w;
}

static void list_resident(struct scheduler *s, uint32_t node, uint32_t model, bool in)
{
    uint32_t *link = &s->machine[node].residents, *next = &s->pair[at_pair(s, node, model)].next_resident;
    if (in) {
        *next = *link, *link = model;
        return;
    }
    while (*link != model)
        link = &s->pair[at_pair(s, node, *link)].next_resident;
    *link = *next;
}

/* The one of its family that the node has instead; NONE. */
static uint32_t sibling_on(const struct scheduler *s, uint32_t node, uint32_t model)
{
    uint64_t family = s->model[model].family;
    for (uint32_t m = family ? s->machine[node].residents : NONE; m != NONE;
         m = s->pair[at_pair(s, node, m)].next_resident)
        if (m != model && s->model[m].family == family)
            return m;
    return NONE;
}

void load_usable(struct scheduler *s, uint32_t node, uint32_t model)
{
    const struct machine *m = &s->machine[node];
    struct pair *p = &s->pair[at_pair(s, node, model)];
    bool usable = p->resident && p->holds && !p->barred && m->up && !m->draining;
    s->model[model].usable += usable - p->usable;
    p->usable = usable;
}

void load_resident(struct scheduler *s, uint32_t node, uint32_t model, bool resident, double now)
{
    uint32_t sibling = resident ? sibling_on(s, node, model) : NONE;
    if (sibling != NONE)
        load_resident(s, node, sibling, false, now);
    struct pair *p = &s->pair[at_pair(s, node, model)];
    struct machine *m = &s->machine[node];
    if (p->resident != resident) {
        uint32_t by = resident ? 1 : UINT32_MAX;
        p->resident = resident;
        s->model[model].residents += by;
        m->held += by;
        m->vram_used += resident ? s->model[model].bytes : -s->model[model].bytes;
        list_resident(s, node, model, resident);
        load_usable(s, node, model);
    }
    s->leaving -= p->leaving;
    s->hope_lost |= !resident;
    p->leaving = false;
    p->since = now;
    if (resident)
        p->used = now, learn_prior(s, node, model);
    ledger_refresh_pair(s, node, model, now);
}

/* ---- room ------------------------------------------------------------------------------------------------------- */

/* What its sibling takes there is its own to have. */
static bool has_room(const struct scheduler *s, uint32_t node, uint32_t model)
{
    const struct machine *m = &s->machine[node];
    uint32_t sibling = sibling_on(s, node, model), held = m->held - (sibling != NONE);
    uint64_t used = m->vram_used - (sibling != NONE ? s->model[sibling].bytes : 0);
    if (m->held_max && held >= m->held_max)
        return false;
    return !m->vram || !held || used + s->model[model].bytes <= m->vram;
}

struct victims {      /* which may be thrown out */
    bool busy;        /* those too */
    double not_since; /* not those that came later */
};

static bool may_go(const struct scheduler *s, uint32_t node, uint32_t model, struct victims which)
{
    const struct pair *p = &s->pair[at_pair(s, node, model)];
    return !p->leaving && (!p->inflight || which.busy) && p->since <= which.not_since;
}

/* The cheapest model of the node that may go, but for `not`. */
static uint32_t cheapest(const struct scheduler *s, uint32_t node, uint32_t not, struct victims which, double now)
{
    uint32_t best = NONE;
    double least = INFINITY;
    for (uint32_t m = s->machine[node].residents; m != NONE; m = s->pair[at_pair(s, node, m)].next_resident) {
        if (m == not || !may_go(s, node, m, which))
            continue;
        double w = worth(s, node, m, now);
        if (w < least)
            best = m, least = w;
    }
    return best;
}

static bool may_load(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    const struct machine *m = &s->machine[node];
    const struct pair *p = &s->pair[at_pair(s, node, model)];
    return m->up && !m->draining && m->loading == NONE && p->holds && !p->barred && !p->resident &&
           p->load_after <= now;
}

struct place {
    uint32_t node, victim; /* NONE: there is room */
    uint32_t sibling;      /* goes by itself */
    double cost;
};

static double slot_wait(const struct scheduler *s, uint32_t node, double now)
{
    return s->slot_at[node] < 0 ? 0 : (double)(s->slot_at[node] - since_base(s, now));
}

static bool place_on(const struct scheduler *s, uint32_t node, uint32_t model, double not_since, double now,
                     struct place *out)
{
    struct victims idle = { .not_since = not_since };
    double lost = 0;
    *out = (struct place){ .node = node, .victim = NONE, .sibling = sibling_on(s, node, model) };
    if (out->sibling != NONE) {
        if (!may_go(s, node, out->sibling, idle))
            return false;
        lost = worth(s, node, out->sibling, now);
    }
    if (!has_room(s, node, model)) {
        out->victim = cheapest(s, node, out->sibling, idle, now);
        if (out->victim == NONE)
            return false;
        lost += worth(s, node, out->victim, now);
    }
    out->cost = lost + load_seconds(s, node, model) + slot_wait(s, node, now);
    return true;
}

/* `only`: for this one, which not every node may serve; or NULL. */
static bool cheapest_place(const struct scheduler *s, uint32_t model, const struct job *only, double not_since,
                           double now, struct place *out)
{
    struct place p;
    out->cost = INFINITY;
    for (uint32_t n = 0; n < s->nodes; n++) {
        if (!may_load(s, n, model, now) || (only && !policy_may(s, only, n)))
            continue;
        if (place_on(s, n, model, not_since, now, &p) && p.cost < out->cost)
            *out = p;
    }
    return isfinite(out->cost);
}

/* ---- orders ----------------------------------------------------------------------------------------------------- */

static void unload(struct scheduler *s, uint32_t node, uint32_t model, double now, struct scheduler_orders *out)
{
    struct scheduler_order *o = orders_add(out, ORDER_UNLOAD);
    o->node = node, o->model = model;
    ring_ordered(s, o);
    load_resident(s, node, model, false, now);
}

static void load(struct scheduler *s, const struct place *p, uint32_t model, double now, struct scheduler_orders *out)
{
    struct machine *m = &s->machine[p->node];
    if (p->victim != NONE)
        unload(s, p->node, p->victim, now, out);
    if (p->sibling != NONE)
        load_resident(s, p->node, p->sibling, false, now);
    while (orders_room(out) && !has_room(s, p->node, model)) { /* one large model may need several to go */
        uint32_t next = cheapest(s, p->node, NONE, (struct victims){ .not_since = INFINITY }, now);
        if (next == NONE)
            break;
        unload(s, p->node, next, now, out);
    }
    struct scheduler_order *o = orders_add(out, ORDER_LOAD);
    o->node = p->node, o->model = model;
    ring_ordered(s, o);
    s->pair[at_pair(s, p->node, model)].loading = true;
    s->model[model].loadings++;
    s->model[model].pressed_since = INFINITY;
    m->loading = model;
    m->load_ends = now + load_seconds(s, p->node, model);
}

/* ---- cold models ------------------------------------------------------------------------------------------------ */

static bool is_cold(const struct scheduler *s, uint32_t model)
{
    const struct model *m = &s->model[model];
    return m->waiting && !m->usable && !m->loadings;
}

static uint32_t longest_cold(const struct scheduler *s, double tried_from, double now, double *out_wait)
{
    uint32_t best = NONE;
    *out_wait = -1;
    for (uint32_t m = s->first_active; m != NONE; m = s->model[m].next_active) {
        double wait = is_cold(s, m) ? queue_head_wait(s, m, now) : -1;
        if (wait > *out_wait && wait < tried_from)
            best = m, *out_wait = wait;
    }
    return best;
}

/* It takes no more requests, and goes when it is idle. */
void load_leave(struct scheduler *s, uint32_t node, uint32_t model, uint32_t yields_to, double now)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    p->yields_to = yields_to;
    if (!p->resident || p->leaving)
        return;
    p->leaving = s->hope_lost = true;
    s->leaving++;
    ledger_refresh_pair(s, node, model, now);
}

/* Those it should leave for need it no more. */
static void load_stay(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    s->pair[at_pair(s, node, model)].leaving = false;
    s->hope_lost = true;
    s->leaving--;
    ledger_refresh_pair(s, node, model, now);
}

/* Whom this model would replace on the node: its sibling, or else the cheapest. */
static uint32_t replaced_on(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    struct victims any = { .busy = true, .not_since = INFINITY };
    uint32_t sibling = sibling_on(s, node, model);
    if (sibling == NONE)
        return cheapest(s, node, NONE, any, now);
    return may_go(s, node, sibling, any) ? sibling : NONE;
}

/* Every place is busy: the cheapest model of all that this one may replace makes room. */
static void drain_for(struct scheduler *s, uint32_t model, const struct job *only, double now)
{
    uint32_t node = NONE, victim = NONE;
    double least = INFINITY;
    for (uint32_t n = 0; n < s->nodes; n++) {
        bool may = may_load(s, n, model, now) && (!only || policy_may(s, only, n));
        uint32_t v = may ? replaced_on(s, n, model, now) : NONE;
        if (v != NONE && worth(s, n, v, now) < least)
            node = n, victim = v, least = worth(s, n, v, now);
    }
    if (node != NONE)
        load_leave(s, node, victim, sibling_on(s, node, model) == victim ? model : NONE, now);
}

/* One that drained for its sibling is idle. The node swaps them by itself; to unload by name could hit the new one. */
static void swap_siblings(struct scheduler *s, uint32_t node, uint32_t model, double now, struct scheduler_orders *out)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    struct place place = { .node = node, .victim = NONE, .sibling = model };
    if (is_cold(s, p->yields_to) && may_load(s, node, p->yields_to, now))
        load(s, &place, p->yields_to, now, out);
    else
        load_stay(s, node, model, now);
}

/* One that drained is idle: it goes, whoever is to come. */
static void finish_drains(struct scheduler *s, double now, struct scheduler_orders *out)
{
    for (uint32_t n = 0; n < s->nodes && s->leaving; n++)
        for (uint32_t m = s->machine[n].residents, next; m != NONE && orders_room(out); m = next) {
            const struct pair *p = &s->pair[at_pair(s, n, m)];
            next = p->next_resident;
            if (!p->leaving || p->inflight)
                continue;
            if (p->yields_to != NONE)
                swap_siblings(s, n, m, now, out);
            else
                unload(s, n, m, now, out);
        }
}

void load_failed(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    p->load_pause = fmin(fmax(2 * p->load_pause, FAILED_PAUSE), FAILED_PAUSE_MOST);
    p->load_after = now + p->load_pause;
}

/* When not every node may serve any of those that wait: one of them, for whom a place is sought; else NULL. */
static const struct job *spokesman(const struct scheduler *s, uint32_t model)
{
    uint32_t job = s->limited && s->model[model].limited == s->model[model].waiting
                       ? queue_before_moment(s, model, INFINITY)
                       : NONE;
    return job == NONE ? NULL : &s->job[job];
}

static void load_cold(struct scheduler *s, double now, struct scheduler_orders *out)
{
    double wait = INFINITY;
    for (;;) {
        uint32_t m = longest_cold(s, wait, now, &wait);
        struct place p;
        if (m == NONE || !orders_room(out))
            return;
        const struct job *only = spokesman(s, m);
        if (cheapest_place(s, m, only, INFINITY, now, &p))
            load(s, &p, m, now, out);
        else if (wait >= (double)s->settings.drain_after / 1e9 && !s->leaving)
            drain_for(s, m, only, now);
    }
}

/* ---- replicas --------------------------------------------------------------------------------------------------- */

static uint32_t slots_of(const struct scheduler *s, uint32_t model)
{
    uint32_t slots = 0;
    for (uint32_t n = 0; n < s->nodes; n++) {
        const struct pair *p = &s->pair[at_pair(s, n, model)];
        if (p->resident && s->machine[n].up)
            slots += scheduler_slots(s, n, model);
    }
    return slots;
}

static double least_load(const struct scheduler *s, uint32_t model, double now)
{
    double least = INFINITY;
    for (uint32_t n = 0; n < s->nodes; n++)
        if (may_load(s, n, model, now))
            least = fmin(least, load_seconds(s, n, model));
    return least;
}

static bool is_pressed(const struct scheduler *s, uint32_t model, double now)
{
    uint32_t slots = slots_of(s, model);
    double takes = least_load(s, model, now);
    if (!slots || isinf(takes))
        return false;
    return s->model[model].work / slots > takes || queue_head_wait(s, model, now) > takes;
}

static void consider_replica(struct scheduler *s, uint32_t model, double now, struct scheduler_orders *out)
{
    struct model *m = &s->model[model];
    struct place p;
    if (!is_pressed(s, model, now)) {
        m->pressed_since = INFINITY;
        return;
    }
    m->pressed_since = fmin(m->pressed_since, now);
    if (now - m->pressed_since < (double)s->settings.replica_after / 1e9)
        return;
    if (cheapest_place(s, model, spokesman(s, model), now - (double)s->settings.residency_min / 1e9, now, &p))
        load(s, &p, model, now, out);
}

/* ---- those that not every node may serve ------------------------------------------------------------------------ */

static bool is_placed(const struct scheduler *s, const struct job *j)
{
    for (uint32_t n = 0; n < s->nodes; n++) {
        const struct pair *p = &s->pair[at_pair(s, n, j->model)];
        if ((p->usable || p->loading) && !p->leaving && policy_may(s, j, n))
            return true;
    }
    return false;
}

struct limited {
    double now;
    struct scheduler_orders *out;
    const struct job *placed; /* the last one that was found to have a place: those like it need no search */
};

static bool is_like(const struct job *a, const struct job *b)
{
    return a->model == b->model && a->labels == b->labels && a->pin == b->pin && !a->not_on_n && !b->not_on_n;
}

static bool could_serve(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    const struct pair *p = &s->pair[at_pair(s, node, model)];
    bool could = p->resident || p->loading || p->load_after <= now;
    return s->machine[node].up && !s->machine[node].draining && p->holds && !p->barred && could;
}

/* None of the nodes that may serve it can, or could load its model. */
static bool is_hopeless(const struct scheduler *s, const struct job *j, double now)
{
    for (uint32_t n = 0; n < s->nodes; n++)
        if (could_serve(s, n, j->model, now) && policy_may(s, j, n))
            return false;
    return true;
}

static bool place_limited(struct scheduler *s, uint32_t job, void *arg)
{
    struct limited *l = arg;
    const struct job *j = &s->job[job];
    struct place p;
    if (!job_limited(j) || (l->placed && is_like(j, l->placed)))
        return true;
    if (is_placed(s, j))
        l->placed = j;
    else if (cheapest_place(s, j->model, j, INFINITY, l->now, &p))
        load(s, &p, j->model, l->now, l->out);
    else if (is_hopeless(s, j, l->now))
        dispatch_refuse(s, job, j->not_on_n ? FAIL_retries_exhausted : FAIL_no_holder_up, l->now, l->out);
    else if (l->now - j->arrived >= (double)s->settings.drain_after / 1e9 && !s->leaving)
        drain_for(s, j->model, j, l->now);
    return orders_room(l->out);
}

/* Pinned to a node, or barred from those that have the model: all that wait are looked through. */
static void load_limited(struct scheduler *s, double now, struct scheduler_orders *out)
{
    struct limited l = { .now = now, .out = out };
    queue_each(s, place_limited, &l);
}

/* ---- what would be ----------------------------------------------------------------------------------------------- */

enum scheduler_excluded load_bars(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    const struct pair *p = &s->pair[at_pair(s, node, model)];
    struct place place;
    if (p->loading)
        return EXCLUDED_NOT;
    if (p->load_after > now)
        return EXCLUDED_PAUSED;
    return place_on(s, node, model, INFINITY, now, &place) ? EXCLUDED_NOT : EXCLUDED_NO_ROOM;
}

double load_expected(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    const struct machine *m = &s->machine[node];
    double underway = m->loading != NONE ? fmax(0, m->load_ends - now) : 0;
    return m->loading == model ? underway : underway + load_seconds(s, node, model);
}

uint32_t load_would(const struct scheduler *s, const struct job *j, double now)
{
    struct place p;
    for (uint32_t n = 0; n < s->nodes; n++)
        if (s->machine[n].loading == j->model && policy_may(s, j, n))
            return n;
    if (job_limited(j) ? is_placed(s, j) : s->model[j->model].usable > 0)
        return NONE;
    return cheapest_place(s, j->model, j, INFINITY, now, &p) ? p.node : NONE;
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

void load_consider(struct scheduler *s, double now, struct scheduler_orders *out)
{
    if (s->leaving)
        finish_drains(s, now, out);
    if (!s->waiting)
        return;
    load_cold(s, now, out);
    if (now < s->look_at)
        return;
    s->look_at = now + GRAIN;
    if (s->limited && orders_room(out))
        load_limited(s, now, out);
    for (uint32_t m = s->first_active; m != NONE && orders_room(out); m = s->model[m].next_active)
        if (s->model[m].residents && !s->model[m].loadings)
            consider_replica(s, m, now, out);
}

double load_next(const struct scheduler *s, double now)
{
    return s->waiting ? now + GRAIN : INFINITY;
}

enum fail scheduler_load(struct scheduler *s, uint32_t node, uint32_t model, nsec at, struct scheduler_orders *out)
{
    double now = seconds(s, at);
    struct job only = { .pin = node, .model = model };
    struct place p;
    if (ring_records(s, out->n))
        ring_pair(s, CALL_load, node, model, false, 0, at);
    if (model >= s->models || !s->model[model].known || (node != NONE && node >= s->nodes))
        return FAIL_no_node;
    if (node == NONE ? s->model[model].residents + s->model[model].loadings > 0
                     : s->pair[at_pair(s, node, model)].resident || s->machine[node].loading == model)
        return OK;
    if (!cheapest_place(s, model, &only, INFINITY, now, &p))
        return FAIL_no_node;
    load(s, &p, model, now, out);
    return OK;
}

void scheduler_unload(struct scheduler *s, uint32_t model, nsec at, struct scheduler_orders *out)
{
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_pair(s, CALL_unload, NONE, model, false, 0, at);
    for (uint32_t n = 0; n < s->nodes; n++)
        load_leave(s, n, model, NONE, now);
    finish_drains(s, now, out);
    out->more |= !orders_room(out);
}

bool scheduler_hopeful(const struct scheduler *s, uint32_t model, nsec at)
{
    double now = seconds(s, at);
    for (uint32_t n = 0; n < s->nodes; n++)
        if (could_serve(s, n, model, now))
            return true;
    return false;
}

nsec scheduler_load_limit(const struct scheduler *s, uint32_t node, uint32_t model)
{
    double gib = (double)s->model[model].bytes / (double)(1ull << 30);
    return (nsec)(fmax(300 + 20 * gib, 4 * load_seconds(s, node, model)) * 1e9);
}
