/* fleet/scheduler_look.c - what others may see of the scheduler: counts, an explanation, and whether it adds up. */
#include "fleet/scheduler_state.h"
#include <math.h>

uint32_t scheduler_waiting(const struct scheduler *s, uint32_t model)
{
    return model == NONE ? s->waiting : s->model[model].waiting;
}

uint32_t scheduler_inflight(const struct scheduler *s, uint32_t node, uint32_t model)
{
    return model == NONE ? s->inflight[node] : s->pair[at_pair(s, node, model)].inflight;
}

enum scheduler_policy scheduler_policy_of(const struct scheduler *s, uint32_t model)
{
    return policy_of(s, model);
}

bool scheduler_learns(const struct scheduler *s, uint32_t node, uint32_t model)
{
    return s->pair[at_pair(s, node, model)].learnt;
}

bool scheduler_resident(const struct scheduler *s, uint32_t node, uint32_t model)
{
    return s->pair[at_pair(s, node, model)].resident;
}

uint32_t scheduler_slots(const struct scheduler *s, uint32_t node, uint32_t model)
{
    const struct pair *p = &s->pair[at_pair(s, node, model)];
    uint32_t own = p->learnt ? p->proven : p->slots, all = s->machine[node].slots;
    return !own ? all : !all ? own : MIN(own, all);
}

static double per_second(bool known, float each)
{
    return known && each > 0 ? 1 / (double)each : 0;
}

struct scheduler_rates scheduler_rates(const struct scheduler *s, uint32_t node, uint32_t model)
{
    size_t at = at_pair(s, node, model);
    const struct pair *p = &s->pair[at];
    return (struct scheduler_rates){ .prefill = per_second(p->seen, s->prefill_s[at]),
                                     .decode = per_second(p->seen, s->decode_s[at]),
                                     .load = per_second(p->loads_seen, p->load_s) };
}

/* ---- explanations ----------------------------------------------------------------------------------------------- */

/* A ticket that is nowhere. */
static struct job as_job(const struct scheduler *s, const struct scheduler_ask *a, double now)
{
    assume(a->model < s->models && s->model[a->model].known);
    struct job j = { .model = a->model,
                     .key = a->key,
                     .labels = a->labels,
                     .pin = a->pin,
                     .band = a->band,
                     .prompt = a->prompt_tokens,
                     .not_on_n = MIN(a->not_on_n, TRIED_MAX),
                     .arrived = now,
                     .deadline = INFINITY,
                     .node = NONE,
                     .tenant = tenant_find(s, a->tenant) };
    j.output = a->output_tokens ? a->output_tokens : learn_output(s, a->model, a->prompt_tokens);
    j.hints = hints_in_use(s, a, j.hint);
    j.service = job_service(s, &j);
    for (uint32_t i = 0; i < j.not_on_n; i++)
        j.not_on[i] = a->not_on[i];
    return j;
}

static const char *const excluded_says[SCHEDULER_EXCLUDED] = {
    [EXCLUDED_NOT] = "not excluded",
    [EXCLUDED_DOWN] = "it is down",
    [EXCLUDED_DRAINING] = "it drains",
    [EXCLUDED_PINNED] = "the request is pinned to another node",
    [EXCLUDED_TRIED] = "it was tried for this request",
    [EXCLUDED_LABEL] = "it lacks a label that the request needs",
    [EXCLUDED_NO_MODEL] = "it does not have the model",
    [EXCLUDED_BARRED] = "its breaker is open",
    [EXCLUDED_LEAVING] = "it unloads the model as soon as it is idle",
    [EXCLUDED_PAUSED] = "its last load of the model failed",
    [EXCLUDED_NO_ROOM] = "the model is not loaded, and busy ones take the room",
    [EXCLUDED_FULL] = "every slot is taken",
};

const char *scheduler_excluded_says(enum scheduler_excluded e)
{
    return e < SCHEDULER_EXCLUDED ? excluded_says[e] : "";
}

static enum scheduler_excluded why_not(const struct scheduler *s, const struct job *j, uint32_t node, double now)
{
    const struct machine *m = &s->machine[node];
    const struct pair *p = &s->pair[at_pair(s, node, j->model)];
    enum scheduler_excluded bars = policy_bars(s, j, node);
    if (!m->up)
        return EXCLUDED_DOWN;
    if (m->draining)
        return EXCLUDED_DRAINING;
    if (bars || !p->holds)
        return bars ? bars : EXCLUDED_NO_MODEL;
    if (p->barred)
        return EXCLUDED_BARRED;
    if (p->leaving)
        return EXCLUDED_LEAVING;
    if (!p->resident)
        return load_bars(s, node, j->model, now);
    return ledger_free(s, node, j->model) ? EXCLUDED_NOT : EXCLUDED_FULL;
}

/* Of a node that would have to load the model first. */
static void add_load(const struct scheduler *s, uint32_t node, const struct job *j, double now,
                     struct scheduler_terms *t)
{
    float at = s->slot_at[node];
    t->slot = at < 0 ? 0 : fmaxf(at - since_base(s, now), 0);
    t->load = (float)load_expected(s, node, j->model, now);
    t->total = (t->slot + t->load + t->prefill + t->decode + t->penalty) * s->slow[node];
}

static struct scheduler_explained explain_node(const struct scheduler *s, const struct job *j, uint32_t node,
                                               double now)
{
    const struct pair *p = &s->pair[at_pair(s, node, j->model)];
    struct scheduler_explained e = { .terms = eta_terms(s, j, node, now),
                                     .excluded = why_not(s, j, node, now),
                                     .resident = p->resident,
                                     .inflight = p->inflight,
                                     .slots = scheduler_slots(s, node, j->model) };
    if (e.excluded && e.excluded != EXCLUDED_FULL)
        e.terms.total = INFINITY;
    else if (!p->resident)
        add_load(s, node, j, now, &e.terms);
    return e;
}

/* While others wait for the model it queues for a moment, so that the choice is made in its turn. */
static uint32_t would_in_turn(struct scheduler *s, const struct job *as, uint64_t tenant, double now,
                              uint32_t *out_wait_for)
{
    uint32_t job = job_take(s);
    if (job == NONE)
        return NONE;
    struct job *j = &s->job[job];
    uint32_t generation = j->generation;
    *j = *as, j->generation = generation, j->line = j->next = NONE;
    j->tenant = tenant_take(s, tenant);
    struct tenant was = s->tenant[j->tenant];
    queue_push(s, job, now);
    uint32_t node = policy_would(s, j, now, out_wait_for);
    queue_remove(s, job);
    s->tenant[j->tenant] = was;
    job_give(s, job);
    return node;
}

struct scheduler_would scheduler_explain(struct scheduler *s, const struct scheduler_ask *a, nsec at,
                                         struct scheduler_explained *out, uint32_t n)
{
    double now = seconds(s, at);
    if (ring_records(s, 0)) /* it changes no decision, but estimates that later ones look at are made anew */
        ring_ask(s, CALL_explain, a, at);
    struct job j = as_job(s, a, now);
    struct scheduler_would would = { .waits_for = NONE };
    would.node = s->model[a->model].waiting ? would_in_turn(s, &j, a->tenant, now, &would.waits_for)
                                            : policy_would(s, &j, now, &would.waits_for);
    would.loads_on = would.node == NONE ? load_would(s, &j, now) : NONE;
    for (uint32_t i = 0; i < n && i < s->nodes; i++) {
        out[i] = explain_node(s, &j, i, now);
        out[i].terms.candidates = s->candidates;
    }
    return would;
}

double scheduler_expected_wait(struct scheduler *s, const struct scheduler_ask *a, nsec at)
{
    struct job j = as_job(s, a, seconds(s, at));
    return door_wait(s, &j, seconds(s, at));
}

/* ---- does it add up? -------------------------------------------------------------------------------------------- */

static bool says(const char **why, const char *what)
{
    *why = what;
    return false;
}

static bool pairs_are_sound(const struct scheduler *s, uint32_t n, const char **why)
{
    const struct machine *m = &s->machine[n];
    uint32_t inflight = 0, held = 0;
    uint64_t vram = 0;
    for (uint32_t i = 0; i < s->models; i++) {
        const struct pair *p = &s->pair[at_pair(s, n, i)];
        inflight += p->inflight, held += p->resident;
        vram += p->resident ? s->model[i].bytes : 0;
        if (p->reserved)
            return says(why, "a reservation outlived its pass");
        if (p->loading != (m->loading == i))
            return says(why, "a node and its model do not agree about a load");
    }
    for (uint32_t i = m->residents; i != NONE; i = s->pair[at_pair(s, n, i)].next_resident)
        held--;
    if (held || inflight != s->inflight[n] || vram != m->vram_used)
        return says(why, "the models of a node do not add up");
    return true;
}

static bool node_is_sound(const struct scheduler *s, uint32_t n, const char **why)
{
    uint32_t leases = 0;
    for (uint32_t l = s->machine[n].leases; l != NONE; l = s->job[l].next, leases++)
        if (s->job[l].state != JOB_SERVED || s->job[l].node != n)
            return says(why, "a lease lies with a node that it is not of");
    if (leases != s->inflight[n])
        return says(why, "the leases of a node do not add up");
    return pairs_are_sound(s, n, why);
}

static uint32_t count_line(const struct scheduler *s, uint32_t l)
{
    uint32_t n = 0;
    for (uint32_t steps = s->line[l].steps; steps; steps &= steps - 1)
        for (uint32_t j = s->line[l].head[__builtin_ctz(steps)]; j != NONE; j = s->job[j].next)
            n += s->job[j].state == JOB_WAITS && s->job[j].line == l;
    return n;
}

static bool model_is_sound(const struct scheduler *s, uint32_t m, const char **why)
{
    uint32_t waiting = 0, usable = 0;
    for (uint32_t n = 0; n < s->nodes; n++) {
        const struct pair *p = &s->pair[at_pair(s, n, m)];
        usable += p->resident && p->holds && !p->barred && s->machine[n].up && !s->machine[n].draining;
    }
    if (usable != s->model[m].usable)
        return says(why, "the nodes that could serve a model do not add up");
    for (int band = 0; band < BANDS; band++)
        for (uint32_t l = s->model[m].lines[band]; l != NONE; l = s->line[l].next) {
            if (!s->line[l].waiting || count_line(s, l) != s->line[l].waiting)
                return says(why, "a line does not add up");
            waiting += s->line[l].waiting;
        }
    if (waiting != s->model[m].waiting || s->model[m].active != (waiting > 0))
        return says(why, "the waiting of a model do not add up");
    return true;
}

static bool jobs_are_sound(const struct scheduler *s, const char **why)
{
    uint32_t waiting = 0, served = 0, limited = 0;
    for (uint32_t i = 0; i < s->jobs_used; i++) {
        const struct job *j = &s->job[i];
        waiting += j->state == JOB_WAITS, served += j->state == JOB_SERVED;
        limited += j->state == JOB_WAITS && job_limited(j);
    }
    for (uint32_t n = 0; n < s->nodes; n++)
        served -= s->inflight[n];
    if (served)
        return says(why, "a lease is counted nowhere, or twice");
    return (waiting == s->waiting && limited == s->limited) || says(why, "the waiting do not add up");
}

bool scheduler_sound(struct scheduler *s, nsec now, const char **why)
{
    for (uint32_t n = 0; n < s->nodes; n++)
        if (!node_is_sound(s, n, why))
            return false;
    for (uint32_t m = 0; m < s->models; m++)
        if (s->model[m].known && !model_is_sound(s, m, why))
            return false;
    return jobs_are_sound(s, why);
}
