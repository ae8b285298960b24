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

/* ---- explanations ----------------------------------------------------------------------------------------------- */

/* A ticket that is nowhere. */
static struct job as_job(const struct scheduler *s, const struct scheduler_ask *a, double now)
{
    struct job j = { .model = a->model,
                     .key = a->key,
                     .labels = a->labels,
                     .pin = a->pin,
                     .band = a->band,
                     .prompt = a->prompt_tokens,
                     .hints = MIN(a->hints, HINTS),
                     .not_on_n = MIN(a->not_on_n, TRIED_MAX),
                     .arrived = now,
                     .deadline = INFINITY,
                     .node = NONE,
                     .tenant = NONE };
    j.output = a->output_tokens ? a->output_tokens : learn_output(s, a->model, a->prompt_tokens);
    for (uint32_t i = 0; i < j.hints; i++)
        j.hint[i] = a->hint[i];
    for (uint32_t i = 0; i < j.not_on_n; i++)
        j.not_on[i] = a->not_on[i];
    return j;
}

/* Only eta can be asked without its noticing: the others turn, or draw. */
uint32_t scheduler_explain(struct scheduler *s, const struct scheduler_ask *a, nsec at, struct scheduler_terms *out)
{
    double now = seconds(s, at);
    struct job j = as_job(s, a, now);
    uint32_t wait_for = NONE;
    for (uint32_t n = 0; n < s->nodes; n++) {
        out[n] = eta_terms(s, &j, n, now);
        if (!policy_may(s, &j, n))
            out[n].total = INFINITY;
    }
    return policy_of(s, j.model) == SCHEDULER_eta ? scheduler_eta(s, &j, now, &wait_for) : NONE;
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
    for (uint32_t i = 0; i < s->models; i++) {
        const struct pair *p = &s->pair[at_pair(s, n, i)];
        inflight += p->inflight, held += p->resident;
        if (p->reserved)
            return says(why, "a reservation outlived its pass");
        if (p->loading != (m->loading == i))
            return says(why, "a node and its model do not agree about a load");
    }
    for (uint32_t i = m->residents; i != NONE; i = s->pair[at_pair(s, n, i)].next_resident)
        held--;
    if (held || inflight != s->inflight[n])
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
    uint32_t waiting = 0;
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
    for (uint32_t i = 0; i < s->settings.tickets; i++) {
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
        if (!model_is_sound(s, m, why))
            return false;
    return jobs_are_sound(s, why);
}
