/* fleet/scheduler_queue.c - who is next: bands, then tenants by virtual tokens, then waited / (service + 2 s).
 *
 *      model -> band -> line of a tenant -> 32 classes of expected service -> first come
 *
 * Inside a class the oldest has the largest ratio (the services differ by less than a fifth), so the best of a line is
 * the best of at most 32 heads, however many wait. A heap was rejected: ratios overtake each other as time passes.
 * Tenants are told apart by a counter of virtual tokens (1 per token in, 2 per token out, after VTC, OSDI'24): the
 * least counter goes first; one that had nothing waiting is lifted to the least of those that have, less a small
 * credit, so that nobody saves up. (Without the credit a tenant that asks for less than its share waits behind a greedy
 * one after each request of its own: docs/scheduling-figures.md.) A pass over several waiters adds the charges of those
 * it looked at, as if they had been served. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define CREDIT 50000.0 /* virtual tokens: some thirty chat requests */

/* ---- tenants ---------------------------------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct scheduler *s, uint64_t id)
{
    return &s->bucket[mix(id + 1) & (s->buckets - 1)];
}

uint32_t tenant_find(const struct scheduler *s, uint64_t id)
{
    uint32_t t = *bucket_of(s, id);
    while (t && s->tenant[t].id != id)
        t = s->tenant[t].next;
    return t;
}

uint32_t tenant_take(struct scheduler *s, uint64_t id)
{
    uint32_t *bucket = bucket_of(s, id), t = tenant_find(s, id);
    if (!t) {
        t = s->free_tenant;
        if (t)
            s->free_tenant = s->tenant[t].next;
        else
            t = s->tenants_used++;
        s->tenant[t] = (struct tenant){ .id = id, .next = *bucket };
        *bucket = t;
    }
    s->tenant[t].jobs++;
    return t;
}

void tenant_give(struct scheduler *s, uint32_t tenant)
{
    struct tenant *t = &s->tenant[tenant];
    assume(t->jobs > 0);
    if (--t->jobs)
        return;
    uint32_t *link = bucket_of(s, t->id);
    while (*link != tenant)
        link = &s->tenant[*link].next;
    *link = t->next;
    t->next = s->free_tenant;
    s->free_tenant = tenant;
}

void tenant_charge(struct scheduler *s, struct job *j, double tokens)
{
    s->tenant[j->tenant].counter += tokens - (double)j->charge;
    j->charge = (float)tokens;
}

static double virtual_tokens(const struct job *j)
{
    return (double)j->prompt + 2.0 * j->output;
}

/* The least counter of those that wait for the model in the band; what was served last when nobody does. */
static double least_counter(const struct scheduler *s, uint32_t model, enum band band)
{
    double least = INFINITY;
    for (uint32_t l = s->model[model].lines[band]; l != NONE; l = s->line[l].next)
        least = fmin(least, s->tenant[s->line[l].tenant].counter);
    return isinf(least) ? s->floor : least;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static uint32_t line_find(const struct scheduler *s, const struct job *j)
{
    uint32_t l = s->model[j->model].lines[j->band];
    while (l != NONE && s->line[l].tenant != j->tenant)
        l = s->line[l].next;
    return l;
}

static uint32_t line_open(struct scheduler *s, const struct job *j)
{
    uint32_t l = s->free_line, *first = &s->model[j->model].lines[j->band];
    if (l != NONE)
        s->free_line = s->line[l].next;
    else
        l = s->lines_used++;
    struct line *line = &s->line[l];
    *line = (struct line){ .model = j->model, .tenant = j->tenant, .band = j->band, .next = *first, .prev = NONE };
    if (*first != NONE)
        s->line[*first].prev = l;
    *first = l;
    return l;
}

static void line_close(struct scheduler *s, uint32_t l)
{
    struct line *line = &s->line[l];
    if (line->prev != NONE)
        s->line[line->prev].next = line->next;
    else
        s->model[line->model].lines[line->band] = line->next;
    if (line->next != NONE)
        s->line[line->next].prev = line->prev;
    line->next = s->free_line;
    s->free_line = l;
}

static uint32_t step_of(const struct scheduler *s, const struct job *j)
{
    if (policy_of(s, j->model) != SCHEDULER_eta)
        return 0;
    double octaves = log2((j->service + QUEUE_PATIENCE) / QUEUE_PATIENCE);
    return (uint32_t)MIN(octaves * 4, SERVICE_STEPS - 1);
}

static void line_append(struct scheduler *s, struct line *line, uint32_t job, uint32_t step)
{
    struct job *j = &s->job[job];
    bool empty = !(line->steps >> step & 1);
    j->step = step, j->next = NONE, j->prev = empty ? NONE : line->tail[step];
    if (empty)
        line->head[step] = job;
    else
        s->job[j->prev].next = job;
    line->tail[step] = job;
    line->steps |= 1u << step;
    line->waiting++;
    line->work += (double)j->service;
}

static void line_take_out(struct scheduler *s, struct line *line, uint32_t job)
{
    const struct job *j = &s->job[job];
    if (j->prev == NONE)
        line->head[j->step] = j->next;
    else
        s->job[j->prev].next = j->next;
    if (j->next == NONE)
        line->tail[j->step] = j->prev;
    else
        s->job[j->next].prev = j->prev;
    if (line->head[j->step] == NONE)
        line->steps &= ~(1u << j->step);
    line->waiting--;
    line->work -= (double)j->service;
}

/* ---- the queue of a model --------------------------------------------------------------------------------------- */

static void activate(struct scheduler *s, uint32_t model)
{
    struct model *m = &s->model[model];
    m->active = true, m->prev_active = NONE, m->next_active = s->first_active;
    if (s->first_active != NONE)
        s->model[s->first_active].prev_active = model;
    s->first_active = model;
}

static void deactivate(struct scheduler *s, uint32_t model)
{
    struct model *m = &s->model[model];
    m->active = false, m->pressed_since = INFINITY, m->work = 0;
    if (m->prev_active != NONE)
        s->model[m->prev_active].next_active = m->next_active;
    else
        s->first_active = m->next_active;
    if (m->next_active != NONE)
        s->model[m->next_active].prev_active = m->prev_active;
}

static void count(struct scheduler *s, const struct job *j, int by)
{
    s->limited += job_limited(j) ? (uint32_t)by : 0;
    struct model *m = &s->model[j->model];
    m->limited += job_limited(j) ? (uint32_t)by : 0;
    m->waiting += (uint32_t)by;
    m->work += by * (double)j->service;
    s->waiting += (uint32_t)by;
    s->tenant[j->tenant].waiting[j->band] += (uint32_t)by;
}

void queue_push(struct scheduler *s, uint32_t job, double now)
{
    struct job *j = &s->job[job];
    struct tenant *t = &s->tenant[j->tenant];
    if (!t->waiting[j->band]) {
        t->counter = fmax(t->counter, least_counter(s, j->model, j->band) - CREDIT);
        t->queue_since = now;
    }
    if (!s->model[j->model].active)
        activate(s, j->model);
    j->line = line_find(s, j);
    if (j->line == NONE)
        j->line = line_open(s, j);
    line_append(s, &s->line[j->line], job, step_of(s, j));
    j->state = JOB_WAITS;
    count(s, j, 1);
    s->next_deadline = fmin(s->next_deadline, j->deadline);
}

void queue_require(struct scheduler *s, struct job *j, uint64_t labels)
{
    bool was = job_limited(j);
    j->labels |= labels;
    if (was || !job_limited(j))
        return;
    s->limited++;
    s->model[j->model].limited++;
}

void queue_remove(struct scheduler *s, uint32_t job)
{
    struct job *j = &s->job[job];
    struct line *line = &s->line[j->line];
    line_take_out(s, line, job);
    if (!line->waiting)
        line_close(s, j->line);
    j->line = NONE;
    count(s, j, -1);
    if (!s->model[j->model].waiting)
        deactivate(s, j->model);
}

/* ---- who is next ------------------------------------------------------------------------------------------------ */

static double ratio(const struct job *j, double now)
{
    return (now - j->arrived) / (double)(j->service + (float)QUEUE_PATIENCE);
}

static uint32_t unseen(const struct scheduler *s, uint32_t job)
{
    while (job != NONE && s->job[job].pass == s->pass)
        job = s->job[job].next;
    return job;
}

static uint32_t best_of_line(const struct scheduler *s, const struct line *line, double now)
{
    uint32_t best = NONE;
    double most = -INFINITY;
    for (uint32_t steps = line->steps; steps; steps &= steps - 1) {
        uint32_t job = unseen(s, line->head[__builtin_ctz(steps)]);
        if (job == NONE)
            continue;
        double r = ratio(&s->job[job], now);
        if (r > most)
            most = r, best = job;
    }
    return best;
}

static double counter_in_pass(const struct scheduler *s, uint32_t tenant)
{
    const struct tenant *t = &s->tenant[tenant];
    return t->counter + (t->pass == s->pass ? t->pass_charge : 0);
}

bool queue_before(const struct scheduler *s, uint32_t a, uint32_t b, double now)
{
    const struct job *x = &s->job[a], *y = &s->job[b];
    if (x->band != y->band)
        return x->band < y->band;
    double cx = counter_in_pass(s, x->tenant), cy = counter_in_pass(s, y->tenant);
    return cx != cy ? cx < cy : ratio(x, now) > ratio(y, now);
}

/* Equal counters: who has had something waiting for longer. */
static bool line_before(const struct scheduler *s, const struct line *a, const struct line *b)
{
    double x = counter_in_pass(s, a->tenant), y = counter_in_pass(s, b->tenant);
    return x != y ? x < y : s->tenant[a->tenant].queue_since < s->tenant[b->tenant].queue_since;
}

static uint32_t next_of_band(struct scheduler *s, uint32_t model, enum band band, double now)
{
    uint32_t best = NONE, best_line = NONE;
    for (uint32_t l = s->model[model].lines[band]; l != NONE; l = s->line[l].next) {
        if (best != NONE && !line_before(s, &s->line[l], &s->line[best_line]))
            continue;
        uint32_t job = best_of_line(s, &s->line[l], now);
        if (job != NONE)
            best = job, best_line = l;
    }
    return best;
}

uint32_t queue_next(struct scheduler *s, uint32_t model, double now)
{
    uint32_t job = NONE;
    for (enum band band = 0; band < BANDS && job == NONE; band++)
        job = next_of_band(s, model, band, now);
    return job;
}

void queue_looked(struct scheduler *s, uint32_t job)
{
    struct job *j = &s->job[job];
    struct tenant *t = &s->tenant[j->tenant];
    j->pass = s->pass;
    if (t->pass != s->pass)
        t->pass = s->pass, t->pass_charge = 0;
    t->pass_charge += virtual_tokens(j);
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static bool visit_line(struct scheduler *s, const struct line *line, queue_visit *visit, void *arg)
{
    uint32_t head[SERVICE_STEPS], all = line->steps; /* the line may go with the last one that is visited */
    memcpy(head, line->head, sizeof head);
    for (uint32_t steps = all; steps; steps &= steps - 1)
        for (uint32_t job = head[__builtin_ctz(steps)], next; job != NONE; job = next) {
            next = s->job[job].next;
            if (!visit(s, job, arg))
                return false;
        }
    return true;
}

void queue_each(struct scheduler *s, queue_visit *visit, void *arg)
{
    for (uint32_t m = s->first_active, next_model; m != NONE; m = next_model) {
        next_model = s->model[m].next_active;
        for (int band = 0; band < BANDS; band++)
            for (uint32_t l = s->model[m].lines[band], next; l != NONE; l = next) {
                next = s->line[l].next;
                if (!visit_line(s, &s->line[l], visit, arg))
                    return;
            }
    }
}

/* ---- from its end ----------------------------------------------------------------------------------------------- */

static uint32_t newest_of_line(const struct scheduler *s, const struct line *line)
{
    uint32_t newest = NONE;
    for (uint32_t steps = line->steps; steps; steps &= steps - 1) {
        uint32_t job = line->tail[__builtin_ctz(steps)];
        if (newest == NONE || s->job[job].arrived >= s->job[newest].arrived)
            newest = job;
    }
    return newest;
}

uint32_t queue_victim(const struct scheduler *s, uint32_t model)
{
    const struct line *longest = NULL;
    for (int band = BANDS - 1; band >= 0; band--)
        for (uint32_t l = s->model[model].lines[band]; l != NONE; l = s->line[l].next)
            if (!longest || s->line[l].waiting > longest->waiting)
                longest = &s->line[l];
    return longest ? newest_of_line(s, longest) : NONE;
}

uint32_t queue_before_moment(const struct scheduler *s, uint32_t model, double moment)
{
    for (int band = 0; band < BANDS; band++)
        for (uint32_t l = s->model[model].lines[band]; l != NONE; l = s->line[l].next)
            for (uint32_t steps = s->line[l].steps; steps; steps &= steps - 1) {
                uint32_t job = s->line[l].head[__builtin_ctz(steps)];
                if (s->job[job].arrived <= moment)
                    return job;
            }
    return NONE;
}

double queue_head_wait(const struct scheduler *s, uint32_t model, double now)
{
    double first = now;
    for (int band = 0; band < BANDS; band++)
        for (uint32_t l = s->model[model].lines[band]; l != NONE; l = s->line[l].next)
            for (uint32_t steps = s->line[l].steps; steps; steps &= steps - 1)
                first = fmin(first, s->job[s->line[l].head[__builtin_ctz(steps)]].arrived);
    return now - first;
}
