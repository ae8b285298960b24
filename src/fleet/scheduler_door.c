/* fleet/scheduler_door.c - who may wait: the bound, shedding on arrival, deadlines.
 *
 * A full queue drops the newest of the tenant with most waiting, which may be the one that just came. Shedding (opt-in)
 * refuses on arrival when the expected wait exceeds 10 s, or 2 s while that tenant's queue has not been empty for 10 s:
 * a burst may queue, a standing queue may not stand. CoDel's law and newest-first brought nothing in simulation. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define SHED_WAIT     10.0
#define SHED_STANDING 2.0
#define STANDING      10.0

/* ---- how long it would wait ------------------------------------------------------------------------------------- */

struct capacity {
    double slots;      /* at nodes of middling speed; where the model is, or could be */
    double first_free; /* seconds */
};

static struct capacity capacity_of(const struct scheduler *s, uint32_t model, double now)
{
    struct capacity c = { .first_free = INFINITY };
    for (uint32_t n = 0; n < s->nodes; n++) {
        double at = s->base + (double)fmaxf(s->slot_at[n], s->pair_at[at_pair(s, n, model)]);
        if (isinf(at))
            continue;
        uint32_t slots = scheduler_slots(s, n, model);
        c.slots += (slots ? slots : 1024) * (double)s->weight[n];
        c.first_free = fmin(c.first_free, fmax(0, at - now));
    }
    return c;
}

double scheduler_first_free(const struct scheduler *s, uint32_t model, nsec now, double *out_slots)
{
    struct capacity c = capacity_of(s, model, seconds(s, now));
    *out_slots = c.slots;
    return c.slots > 0 ? c.first_free : 0;
}

/* Work that will be served before it: of better bands all, of its own band what fair shares let pass. */
static double work_before(const struct scheduler *s, const struct job *j)
{
    const struct model *m = &s->model[j->model];
    double before = 0, mine = 0;
    for (enum band band = 0; band < j->band; band++)
        for (uint32_t l = m->lines[band]; l != NONE; l = s->line[l].next)
            before += s->line[l].work;
    for (uint32_t l = m->lines[j->band]; l != NONE; l = s->line[l].next)
        if (s->line[l].tenant == j->tenant)
            mine = s->line[l].work;
    for (uint32_t l = m->lines[j->band]; l != NONE; l = s->line[l].next)
        before += s->line[l].tenant == j->tenant ? mine : fmin(s->line[l].work, mine);
    return before;
}

double door_wait(struct scheduler *s, const struct job *j, double now)
{
    struct capacity c = capacity_of(s, j->model, now);
    if (c.slots <= 0)
        return 0; /* nobody has it loaded: nothing is known, and nothing is refused for it */
    return c.first_free + work_before(s, j) / c.slots;
}

/* ---- admission -------------------------------------------------------------------------------------------------- */

static bool would_wait_long(struct scheduler *s, const struct job *j, double now)
{
    const struct tenant *t = &s->tenant[j->tenant];
    bool standing = t->waiting[j->band] && now - t->queue_since > STANDING;
    return door_wait(s, j, now) > (standing ? SHED_STANDING : SHED_WAIT);
}

enum fail door_admit(struct scheduler *s, uint32_t job, double now, struct scheduler_orders *out)
{
    const struct job *j = &s->job[job];
    const struct model *m = &s->model[j->model];
    if (now >= j->deadline || (isfinite(j->deadline) && m->waiting && now + door_wait(s, j, now) > j->deadline))
        return FAIL_deadline;
    if (s->settings.shed && would_wait_long(s, j, now))
        return FAIL_queue_full;
    return OK;
}

/* ---- no hope ----------------------------------------------------------------------------------------------------- */

static void refuse_doomed(struct scheduler *s, uint32_t model, double now, struct scheduler_orders *out)
{
    struct model *m = &s->model[model];
    for (uint32_t job; (job = queue_before_moment(s, model, m->doomed_until)) != NONE;) {
        if (!orders_room(out)) {
            out->more = true;
            return;
        }
        dispatch_refuse(s, job, m->doomed_why, now, out);
    }
    m->doomed_until = -INFINITY;
}

void door_doomed(struct scheduler *s, double now, struct scheduler_orders *out)
{
    for (uint32_t m = s->first_active, next; m != NONE; m = next) {
        next = s->model[m].next_active;
        if (s->model[m].doomed_until > 0)
            refuse_doomed(s, m, now, out);
    }
}

void door_doom(struct scheduler *s, uint32_t model, enum fail why, double now, struct scheduler_orders *out)
{
    s->model[model].doomed_until = now, s->model[model].doomed_why = why;
    refuse_doomed(s, model, now, out);
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

struct expiry {
    double now;
    struct scheduler_orders *out;
};

static bool expire(struct scheduler *s, uint32_t job, void *arg)
{
    const struct expiry *e = arg;
    const struct job *j = &s->job[job];
    if (!orders_room(e->out)) {
        s->next_deadline = e->now;
        e->out->more = true;
        return false;
    }
    if (e->now >= j->deadline)
        dispatch_refuse(s, job, FAIL_deadline, e->now, e->out);
    else
        s->next_deadline = fmin(s->next_deadline, j->deadline);
    return true;
}

void door_deadlines(struct scheduler *s, double now, struct scheduler_orders *out)
{
    struct expiry e = { .now = now, .out = out };
    if (now < s->next_deadline)
        return;
    s->next_deadline = INFINITY;
    queue_each(s, expire, &e);
}
