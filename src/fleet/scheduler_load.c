/* fleet/scheduler_load.c - which models lie on which nodes: cold loads, replicas, what is thrown out.
 *
 *      cold: waiting, resident nowhere, not being loaded        -> one load, wherever it is cheapest; longest wait
 * first waited 5 s and every place is busy                 -> the cheapest busy model drains pressed: work per slot, or
 * the head's wait, exceeds the load time for 2 s                               -> one more replica
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

void load_resident(struct scheduler *s, uint32_t node, uint32_t model, bool resident, double now)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    struct machine *m = &s->machine[node];
    if (p->resident != resident) {
        uint32_t by = resident ? 1 : UINT32_MAX;
        p->resident = resident;
        s->model[model].residents += by;
        m->held += by;
        m->vram_used += resident ? s->model[model].bytes : -s->model[model].bytes;
        list_resident(s, node, model, resident);
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

static bool has_room(const struct scheduler *s, uint32_t node, uint32_t model)
{
    const struct machine *m = &s->machine[node];
    if (m->held_max && m->held >= m->held_max)
        return false;
    return !m->vram || !m->held || m->vram_used + s->model[model].bytes <= m->vram;
}

/* The cheapest model of the node that may go; busy ones only if asked for. */
static uint32_t cheapest(const struct scheduler *s, uint32_t node, bool busy, double not_since, double now)
{
    uint32_t best = NONE;
    double least = INFINITY;
    for (uint32_t m = s->machine[node].residents; m != NONE; m = s->pair[at_pair(s, node, m)].next_resident) {
        const struct pair *p = &s->pair[at_pair(s, node, m)];
        if (p->leaving || (p->inflight && !busy) || p->since > not_since)
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
    double cost;
};

static double slot_wait(const struct scheduler *s, uint32_t node, double now)
{
    return s->slot_at[node] < 0 ? 0 : (double)(s->slot_at[node] - since_base(s, now));
}

static bool place_on(const struct scheduler *s, uint32_t node, uint32_t model, double not_since, double now,
                     struct place *out)
{
    double worth_of_victim = 0;
    *out = (struct place){ .node = node, .victim = NONE };
    if (!has_room(s, node, model)) {
        out->victim = cheapest(s, node, false, not_since, now);
        if (out->victim == NONE)
            return false;
        worth_of_victim = worth(s, node, out->victim, now);
    }
    out->cost = worth_of_victim + load_seconds(s, node, model) + slot_wait(s, node, now);
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
    load_resident(s, node, model, false, now);
}

static void load(struct scheduler *s, const struct place *p, uint32_t model, double now, struct scheduler_orders *out)
{
    struct machine *m = &s->machine[p->node];
    if (p->victim != NONE)
        unload(s, p->node, p->victim, now, out);
    while (orders_room(out) && !has_room(s, p->node, model)) { /* one large model may need several to go */
        uint32_t next = cheapest(s, p->node, false, INFINITY, now);
        if (next == NONE)
            break;
        unload(s, p->node, next, now, out);
    }
    struct scheduler_order *o = orders_add(out, ORDER_LOAD);
    o->node = p->node, o->model = model;
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
    return m->waiting && !m->residents && !m->loadings;
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
void load_leave(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    if (!p->resident || p->leaving)
        return;
    p->leaving = s->hope_lost = true;
    s->leaving++;
    ledger_refresh_pair(s, node, model, now);
}

/* Every place is busy: the cheapest model of all that this one may replace makes room. */
static void drain_for(struct scheduler *s, uint32_t model, double now)
{
    uint32_t node = NONE, victim = NONE;
    double least = INFINITY;
    for (uint32_t n = 0; n < s->nodes; n++) {
        uint32_t v = may_load(s, n, model, now) ? cheapest(s, n, true, INFINITY, now) : NONE;
        if (v != NONE && worth(s, n, v, now) < least)
            node = n, victim = v, least = worth(s, n, v, now);
    }
    if (node != NONE)
        load_leave(s, node, victim, now);
}

/* One that drained is idle: it goes, whoever is to come. */
static void finish_drains(struct scheduler *s, double now, struct scheduler_orders *out)
{
    for (uint32_t n = 0; n < s->nodes && s->leaving; n++)
        for (uint32_t m = s->machine[n].residents, next; m != NONE && orders_room(out); m = next) {
            const struct pair *p = &s->pair[at_pair(s, n, m)];
            next = p->next_resident;
            if (p->leaving && !p->inflight)
                unload(s, n, m, now, out);
        }
}

void load_failed(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    p->load_pause = fmin(fmax(2 * p->load_pause, FAILED_PAUSE), FAILED_PAUSE_MOST);
    p->load_after = now + p->load_pause;
}

static void load_cold(struct scheduler *s, double now, struct scheduler_orders *out)
{
    double wait = INFINITY;
    for (;;) {
        uint32_t m = longest_cold(s, wait, now, &wait);
        struct place p;
        if (m == NONE || !orders_room(out))
            return;
        if (cheapest_place(s, m, NULL, INFINITY, now, &p))
            load(s, &p, m, now, out);
        else if (wait >= (double)s->settings.drain_after / 1e9 && !s->leaving)
            drain_for(s, m, now);
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
    if (cheapest_place(s, model, NULL, now - (double)s->settings.residency_min / 1e9, now, &p))
        load(s, &p, model, now, out);
}

/* ---- those that not every node may serve ------------------------------------------------------------------------ */

static bool is_placed(const struct scheduler *s, const struct job *j)
{
    for (uint32_t n = 0; n < s->nodes; n++) {
        const struct pair *p = &s->pair[at_pair(s, n, j->model)];
        if ((p->resident || p->loading) && !p->leaving && policy_may(s, j, n))
            return true;
    }
    return false;
}

/* Pinned to a node, or barred from those that have the model: rare, so all that wait are looked through. */
static void load_limited(struct scheduler *s, double now, struct scheduler_orders *out)
{
    for (uint32_t i = 0; i < s->settings.tickets && orders_room(out); i++) {
        const struct job *j = &s->job[i];
        struct place p;
        if (j->state != JOB_WAITS || !job_limited(j) || is_placed(s, j))
            continue;
        if (cheapest_place(s, j->model, j, INFINITY, now, &p))
            load(s, &p, j->model, now, out);
    }
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
    if (s->limited)
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
    for (uint32_t n = 0; n < s->nodes; n++)
        load_leave(s, n, model, now);
    finish_drains(s, now, out);
    out->more |= !orders_room(out);
}

nsec scheduler_load_limit(const struct scheduler *s, uint32_t node, uint32_t model)
{
    double gib = (double)s->model[model].bytes / (double)(1ull << 30);
    return (nsec)(fmax(300 + 20 * gib, 4 * load_seconds(s, node, model)) * 1e9);
}
