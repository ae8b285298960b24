/* fleet/scheduler_ledger.c - tickets and leases: who is served where, and when a slot will free.
 *
 * A ticket's number holds its place and a generation, so that one given back twice is noticed and let pass. Leases of a
 * node form a list; counts by node and by pair are kept beside it and compared by scheduler_sound.
 *
 * When does the next slot free? Each lease has an expected rest, one that is older than was expected always a good half
 * of an answer; the nth least of them is taken. Smaller second helpings, or slots that free at the sum of the rates
 * 1 / rest, make busy nodes look near: fast nodes and nodes with the prefix gather queues, and even out less. Larger
 * ones give prefixes away (docs/scheduling-figures.md). */
#include "fleet/scheduler_state.h"
#include <math.h>

#define SECOND_HELPING 0.6 /* of an answer, for one that is longer than expected */
#define SOON           1e-3
#define NTH_MOST       16 /* of the rests that are told apart */

uint32_t job_take(struct scheduler *s)
{
    uint32_t job = s->free_job;
    if (job != NONE)
        s->free_job = s->job[job].next;
    else if (s->jobs_used < s->settings.tickets)
        job = s->jobs_used++;
    else
        return NONE;
    uint32_t generation = s->job[job].generation + 1;
    s->job[job] = (struct job){ .generation = generation ? generation : 1, .node = NONE, .line = NONE, .next = NONE };
    s->jobs++;
    return job;
}

void job_give(struct scheduler *s, uint32_t job)
{
    struct job *j = &s->job[job];
    tenant_give(s, j->tenant);
    j->state = JOB_NONE;
    j->next = s->free_job;
    s->free_job = job;
    s->jobs--;
}

uint32_t job_of(const struct scheduler *s, uint64_t ticket)
{
    uint32_t job = (uint32_t)ticket;
    bool lives = job < s->jobs_used && s->job[job].state != JOB_NONE;
    return lives && s->job[job].generation == ticket >> 32 ? job : NONE;
}

/* ---- when a slot frees ------------------------------------------------------------------------------------------ */

static double rest_of(const struct scheduler *s, const struct job *j, double now)
{
    if (j->stopping)
        return fmax(j->expected_end - now, SOON);
    double answer = (double)s->decode_s[at_pair(s, j->node, j->model)] * j->output;
    return fmax(j->expected_end - now, SECOND_HELPING * answer);
}

/* The nth least is wanted: keeps the least ones, in order. */
static void keep_least(double *least, uint32_t *n, uint32_t most, double v)
{
    uint32_t i = *n;
    if (i < most)
        ++*n;
    else if (v < least[most - 1])
        i = most - 1;
    else
        return;
    for (; i && least[i - 1] > v; i--)
        least[i] = least[i - 1];
    least[i] = v;
}

/* Seconds until the nth lease of the node (of one model, or of any) ends. Beyond the leases there are, those that will
 * follow them are counted, each as long as these are in the mean. */
static double nth_end(const struct scheduler *s, uint32_t node, uint32_t model, uint32_t nth, double now)
{
    double least[NTH_MOST], service = 0;
    uint32_t kept = 0, n = 0;
    for (uint32_t l = s->machine[node].leases; l != NONE; l = s->job[l].next) {
        if (model != NONE && s->job[l].model != model)
            continue;
        n++;
        service += s->job[l].expected_end - s->job[l].granted;
        keep_least(least, &kept, NTH_MOST, rest_of(s, &s->job[l], now));
    }
    if (!n)
        return SOON;
    uint32_t round = (nth - 1) / n, which = MIN((nth - 1) % n, kept - 1);
    return fmax(least[which] + round * service / n, SOON);
}

static bool askable(const struct machine *m)
{
    return m->up && !m->draining;
}

static void refresh_own(struct scheduler *s, uint32_t node, double now)
{
    const struct machine *m = &s->machine[node];
    uint32_t taken = s->inflight[node] + m->reserved;
    if (!askable(m))
        s->slot_at[node] = INFINITY;
    else if (!m->slots || taken < m->slots)
        s->slot_at[node] = ALWAYS_FREE;
    else {
        double rest = nth_end(s, node, NONE, taken - m->slots + 1, now);
        s->slot_at[node] = since_base(s, now + rest);
        s->slot_floor[node] = (float)(rest / 4);
    }
}

static uint32_t pair_limit(const struct pair *p, double now)
{
    if (!p->learnt)
        return p->slots;
    return p->proven + (now >= p->probe_at);
}

void ledger_refresh_pair(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    size_t at = at_pair(s, node, model);
    const struct pair *p = &s->pair[at];
    uint32_t limit = pair_limit(p, now);
    if (!p->resident || p->leaving || p->barred || !p->holds)
        s->pair_at[at] = INFINITY;
    else if (!limit || p->inflight + p->reserved < limit)
        s->pair_at[at] = ALWAYS_FREE;
    else {
        double rest = nth_end(s, node, model, p->inflight + p->reserved - limit + 1, now);
        s->pair_at[at] = since_base(s, now + rest);
        s->slot_floor[node] = fmaxf(s->slot_floor[node], (float)(rest / 4));
    }
}

void ledger_refresh(struct scheduler *s, uint32_t node, double now)
{
    s->slot_floor[node] = (float)SOON;
    s->machine[node].refreshed = now;
    refresh_own(s, node, now);
}

bool ledger_free(const struct scheduler *s, uint32_t node, uint32_t model)
{
    return s->slot_at[node] < 0 && s->pair_at[at_pair(s, node, model)] < 0;
}

static void shift(float *at, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        at[i] = at[i] < 0 ? at[i] : fmaxf(0, at[i] - by);
}

void ledger_rebase(struct scheduler *s, double now)
{
    if (now - s->base < REBASED_AFTER)
        return;
    shift(s->slot_at, s->width, since_base(s, now));
    for (uint32_t m = 0; m < s->models; m++)
        shift(s->pair_at + at_pair(s, 0, m), s->model[m].known ? s->width : 0, since_base(s, now));
    s->base = now;
}

/* ---- leases ----------------------------------------------------------------------------------------------------- */

static uint32_t matched_on(const struct job *j, uint32_t node)
{
    for (uint32_t i = 0; i < j->hints; i++)
        if (j->hint[i].node == node)
            return MIN(j->hint[i].tokens, j->prompt);
    return 0;
}

static void expect_end(const struct scheduler *s, struct job *j, double now)
{
    size_t at = at_pair(s, j->node, j->model);
    double prefill = (double)s->prefill_s[at] * (j->prompt - j->matched);
    j->expected_end = now + prefill + (double)s->decode_s[at] * j->output;
}

void ledger_open(struct scheduler *s, uint32_t job, uint32_t node, double now)
{
    struct job *j = &s->job[job];
    struct machine *m = &s->machine[node];
    struct pair *p = &s->pair[at_pair(s, node, j->model)];
    j->state = JOB_SERVED, j->node = node, j->granted = now, j->first = 0;
    j->matched = matched_on(j, node);
    j->ahead = p->inflight;
    j->stopping = false, j->tests_stop = stop_tested_by(s, j, now);
    slots_opened(s, j, now);
    expect_end(s, j, now);
    j->prev = NONE, j->next = m->leases;
    if (m->leases != NONE)
        s->job[m->leases].prev = job;
    m->leases = job;
    s->inflight[node]++;
    p->inflight++;
    p->used = now;
    ledger_refresh(s, node, now);
    ledger_refresh_pair(s, node, j->model, now);
}

void ledger_close(struct scheduler *s, uint32_t job, double now)
{
    struct job *j = &s->job[job];
    struct machine *m = &s->machine[j->node];
    struct pair *p = &s->pair[at_pair(s, j->node, j->model)];
    assume(s->inflight[j->node] > 0 && p->inflight > 0);
    stop_over(s, j);
    slots_freed(s, j, now);
    if (j->prev == NONE)
        m->leases = j->next;
    else
        s->job[j->prev].next = j->next;
    if (j->next != NONE)
        s->job[j->next].prev = j->prev;
    s->inflight[j->node]--;
    p->inflight--;
    p->used = now;
    ledger_refresh(s, j->node, now);
    ledger_refresh_pair(s, j->node, j->model, now);
}
