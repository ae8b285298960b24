/* fleet/scheduler.c - the scheduler's entries: memory, nodes and models, and the life of a ticket.
 *
 * Each entry changes state and then lets the pass of late binding (scheduler_dispatch.c) and the loader
 * (scheduler_load.c) look at what the change made possible, so that a decision knows all that ended before it. */
#include "base/slab.h"
#include "fleet/scheduler_state.h"
#include <math.h>
#include <stdlib.h>

void scheduler_settings_default(struct scheduler_settings *s)
{
    *s = (struct scheduler_settings){ .nodes = 64,
                                      .models = 64,
                                      .tickets = 4096,
                                      .policy = SCHEDULER_eta,
                                      .bound = 512,
                                      .max_wait = NEVER,
                                      .seed = 1,
                                      .prefill = 2000,
                                      .decode = 45,
                                      .load = 2e9,
                                      .output = 200,
                                      .prefill_weight = 2,
                                      .decode_weight = 0.1,
                                      .wait_below = 0.6,
                                      .tie_share = 0.2,
                                      .tie_seconds = 0.2,
                                      .replica_after = SECOND(2),
                                      .residency_min = SECOND(30),
                                      .drain_after = SECOND(5),
                                      .rate_over = SECOND(300) };
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static bool take_by_node(struct scheduler *s)
{
    size_t n = s->stride;
    s->slot_at = calloc(n, sizeof *s->slot_at), s->slot_floor = calloc(n, sizeof *s->slot_floor);
    s->penalty = calloc(n, sizeof *s->penalty), s->slow = calloc(n, sizeof *s->slow);
    s->weight = calloc(n, sizeof *s->weight), s->inflight = calloc(n, sizeof *s->inflight);
    s->t = calloc(n, sizeof *s->t), s->t_free = calloc(n, sizeof *s->t_free);
    s->candidate = calloc(n, sizeof *s->candidate), s->salt = calloc(n, sizeof *s->salt);
    s->machine = calloc(n, sizeof *s->machine);
    return s->slot_at && s->slot_floor && s->penalty && s->slow && s->weight && s->inflight && s->t && s->t_free &&
           s->candidate && s->salt && s->machine;
}

static bool take_by_pair(struct scheduler *s)
{
    size_t n = (size_t)s->stride * s->models;
    s->pair_at = calloc(n, sizeof *s->pair_at), s->pair = calloc(n, sizeof *s->pair);
    s->prefill_s = calloc(n, sizeof *s->prefill_s), s->decode_s = calloc(n, sizeof *s->decode_s);
    return s->pair_at && s->pair && s->prefill_s && s->decode_s;
}

static bool take_lists(struct scheduler *s)
{
    size_t n = s->settings.tickets;
    s->model = calloc(s->models, sizeof *s->model), s->bucket = calloc(s->buckets, sizeof *s->bucket);
    s->job = calloc(n, sizeof *s->job), s->line = calloc(n, sizeof *s->line);
    s->tenant = calloc(n, sizeof *s->tenant);
    return s->model && s->bucket && s->job && s->line && s->tenant;
}

/* The lanes that pad the arrays are nodes that can never be asked. */
static void init_nodes(struct scheduler *s)
{
    for (uint32_t n = 0; n < s->stride; n++) {
        s->slot_at[n] = INFINITY;
        s->weight[n] = s->slow[n] = 1;
        s->machine[n].leases = s->machine[n].loading = s->machine[n].residents = NONE;
    }
    for (size_t i = 0; i < (size_t)s->stride * s->models; i++) {
        s->pair_at[i] = INFINITY;
        s->pair[i].load_s = (float)(1 / s->settings.load);
        s->prefill_s[i] = (float)(1 / s->settings.prefill);
        s->decode_s[i] = (float)(1 / s->settings.decode);
    }
}

static void init_models(struct scheduler *s)
{
    for (uint32_t m = 0; m < s->models; m++) {
        s->model[m] = (struct model){
            .policy = SCHEDULER_POLICIES, .pressed_since = INFINITY, .lines = {NONE, NONE, NONE}
        };
        s->model[m].prefill_s = (float)(1 / s->settings.prefill);
        s->model[m].decode_s = (float)(1 / s->settings.decode);
    }
}

static void init_lists(struct scheduler *s)
{
    uint32_t n = s->settings.tickets;
    for (uint32_t i = 0; i < n; i++)
        s->job[i].next = s->line[i].next = s->tenant[i].next = i + 1 < n ? i + 1 : NONE;
    s->free_job = s->free_line = s->free_tenant = n ? 0 : NONE;
    for (uint32_t i = 0; i < s->buckets; i++)
        s->bucket[i] = NONE;
}

struct scheduler *scheduler_new(const struct scheduler_settings *settings, nsec now)
{
    struct scheduler *s = memory_strikes() ? NULL : calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->settings = *settings;
    s->epoch = now - SECOND(1); /* so that no moment is 0 */
    s->nodes = settings->nodes, s->models = settings->models;
    s->stride = (s->nodes + LANES - 1) & ~(uint32_t)(LANES - 1);
    s->chance = settings->seed;
    s->first_active = NONE;
    s->next_deadline = INFINITY;
    for (s->buckets = 16; s->buckets < settings->tickets;)
        s->buckets *= 2;
    if (memory_strikes() || !take_by_node(s) || !take_by_pair(s) || !take_lists(s)) {
        scheduler_free(&s);
        return NULL;
    }
    init_nodes(s);
    init_models(s);
    init_lists(s);
    return s;
}

void scheduler_free(struct scheduler **sp)
{
    struct scheduler *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    void *all[] = { s->slot_at,  s->slot_floor, s->penalty, s->slow,    s->weight,  s->inflight, s->t,
                    s->t_free,   s->candidate,  s->salt,    s->machine, s->pair_at, s->pair,     s->prefill_s,
                    s->decode_s, s->model,      s->bucket,  s->job,     s->line,    s->tenant,   s };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        free(all[i]);
}

static void finish(struct scheduler *s, double now, struct scheduler_orders *out)
{
    if (orders_room(out))
        load_consider(s, now, out);
    if (s->hope_lost && orders_room(out)) {
        s->hope_lost = false;
        dispatch_all(s, now, out);
    }
    out->more |= !orders_room(out);
    out->next_turn = moment(s, fmin(s->next_deadline, load_next(s, now)));
}

/* ---- nodes and models ------------------------------------------------------------------------------------------- */

static void forget_residents(struct scheduler *s, uint32_t node, double now)
{
    s->machine[node].loading = NONE;
    for (uint32_t m = 0; m < s->models; m++) {
        struct pair *p = &s->pair[at_pair(s, node, m)];
        s->model[m].loadings -= p->loading;
        p->loading = false;
        if (p->resident)
            load_resident(s, node, m, false, now);
    }
}

void scheduler_node(struct scheduler *s, uint32_t node, const struct scheduler_node *is, nsec at,
                    struct scheduler_orders *out)
{
    struct machine *m = &s->machine[node];
    double now = seconds(s, at);
    m->up = is->up, m->draining = is->draining;
    m->slots = is->slots, m->held_max = is->held, m->vram = is->vram, m->labels = is->labels;
    m->id = is->id, s->salt[node] = mix(is->id + 0x9e3779b97f4a7c15);
    s->weight[node] = is->weight > 0 ? (float)is->weight : 1;
    s->slow[node] = is->share > 0 ? (float)(1 / is->share) : 1;
    s->penalty[node] = (float)is->penalty;
    if (!m->up)
        forget_residents(s, node, now);
    s->hope_lost |= !m->up || m->draining;
    for (uint32_t i = 0; i < s->models; i++)
        learn_prior(s, node, i);
    ledger_refresh(s, node, now);
    dispatch_node(s, node, now, out);
    finish(s, now, out);
}

void scheduler_model(struct scheduler *s, uint32_t model, uint64_t bytes, enum scheduler_policy policy)
{
    s->model[model].bytes = bytes;
    s->model[model].policy = policy;
}

void scheduler_holds(struct scheduler *s, uint32_t node, uint32_t model, bool holds, enum scheduler_slots how,
                     uint32_t slots, nsec at, struct scheduler_orders *out)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    double now = seconds(s, at);
    p->holds = holds;
    p->learnt = how == SLOTS_LEARNT;
    p->slots = slots;
    if (p->learnt && !p->proven)
        p->proven = 1, p->probe_pause = 60;
    learn_prior(s, node, model);
    ledger_refresh_pair(s, node, model, now);
    dispatch_model(s, model, now, out);
    finish(s, now, out);
}

void scheduler_note(struct scheduler *s, uint32_t node, uint32_t model, bool resident, nsec at,
                    struct scheduler_orders *out)
{
    double now = seconds(s, at);
    if (s->pair[at_pair(s, node, model)].resident != resident)
        load_resident(s, node, model, resident, now);
    dispatch_node(s, node, now, out);
    finish(s, now, out);
}

void scheduler_bar(struct scheduler *s, uint32_t node, uint32_t model, bool barred, nsec at,
                   struct scheduler_orders *out)
{
    double now = seconds(s, at);
    s->pair[at_pair(s, node, model)].barred = barred;
    s->hope_lost |= barred;
    ledger_refresh_pair(s, node, model, now);
    dispatch_node(s, node, now, out);
    finish(s, now, out);
}

void scheduler_loaded(struct scheduler *s, uint32_t node, uint32_t model, bool good, nsec took, nsec at,
                      struct scheduler_orders *out)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    double now = seconds(s, at);
    if (p->loading) {
        p->loading = false;
        s->model[model].loadings--;
        s->machine[node].loading = NONE;
        if (good) {
            learn_load(s, node, model, (double)took / 1e9);
            load_resident(s, node, model, true, now);
            p->load_pause = 0;
        } else
            load_failed(s, node, model, now);
    }
    dispatch_node(s, node, now, out);
    finish(s, now, out);
}

/* ---- a ticket --------------------------------------------------------------------------------------------------- */

static void fill_hints(struct scheduler *s, struct job *j, const struct scheduler_ask *a)
{
    j->hints = MIN(a->hints, HINTS);
    if (j->hints)
        memcpy(j->hint, a->hint, j->hints * sizeof *j->hint);
    j->not_on_n = MIN(a->not_on_n, TRIED_MAX);
    if (j->not_on_n)
        memcpy(j->not_on, a->not_on, j->not_on_n * sizeof *j->not_on);
}

/* What it will take on a node of weight 1 that has the longest known beginning of its prompt. */
static float expected_service(const struct scheduler *s, const struct job *j)
{
    const struct model *m = &s->model[j->model];
    uint32_t matched = j->hints ? MIN(j->hint[0].tokens, j->prompt) : 0;
    return (float)(j->prompt - matched) * m->prefill_s + (float)j->output * m->decode_s;
}

static void fill(struct scheduler *s, struct job *j, const struct scheduler_ask *a, double now)
{
    j->model = a->model, j->owner = a->owner, j->key = a->key, j->labels = a->labels, j->pin = a->pin;
    j->band = a->band, j->prompt = a->prompt_tokens;
    j->output = a->output_tokens ? a->output_tokens : learn_output(s, a->model, a->prompt_tokens);
    j->arrived = now;
    j->deadline = a->deadline == NEVER ? INFINITY : seconds(s, a->deadline);
    if (s->settings.max_wait != NEVER)
        j->deadline = fmin(j->deadline, now + (double)s->settings.max_wait / 1e9);
    fill_hints(s, j, a);
    j->service = expected_service(s, j);
}

static bool bind_now(struct scheduler *s, uint32_t job, double now, struct scheduler_orders *out)
{
    uint32_t wait_for = NONE, node = policy_choose(s, &s->job[job], now, &wait_for);
    if (node != NONE)
        dispatch_grant(s, job, node, now, out);
    return node != NONE;
}

static bool anybody_could(const struct scheduler *s, const struct job *j)
{
    for (uint32_t n = 0; n < s->nodes; n++)
        if (s->machine[n].up && s->pair[at_pair(s, n, j->model)].holds && policy_may(s, j, n))
            return true;
    return false;
}

static void wait_or_refuse(struct scheduler *s, uint32_t job, double now, struct scheduler_orders *out)
{
    uint32_t model = s->job[job].model;
    enum fail f = door_admit(s, job, now, out);
    if (!f && !anybody_could(s, &s->job[job]))
        f = s->job[job].not_on_n ? FAIL_retries_exhausted : FAIL_no_holder_up;
    if (f) {
        dispatch_refuse(s, job, f, now, out);
        return;
    }
    queue_push(s, job, now);
    if (s->settings.bound && s->model[model].waiting > s->settings.bound)
        dispatch_refuse(s, queue_victim(s, model), FAIL_queue_full, now, out);
    if (s->model[model].waiting > 1)
        dispatch_model(s, model, now, out);
}

uint64_t scheduler_ask(struct scheduler *s, const struct scheduler_ask *a, nsec at, struct scheduler_orders *out)
{
    double now = seconds(s, at);
    ledger_rebase(s, now);
    uint32_t job = job_take(s);
    if (job == NONE)
        return 0;
    struct job *j = &s->job[job];
    j->tenant = tenant_take(s, a->tenant);
    fill(s, j, a, now);
    uint64_t ticket = ticket_of(s, job);
    load_used(s, a->model, now);
    if (s->model[a->model].waiting || !bind_now(s, job, now, out))
        wait_or_refuse(s, job, now, out);
    if (s->waiting)
        finish(s, now, out);
    return ticket;
}

static void close_lease(struct scheduler *s, uint32_t job, double now, struct scheduler_orders *out)
{
    uint32_t node = s->job[job].node;
    ledger_close(s, job, now);
    job_give(s, job);
    if (s->waiting)
        dispatch_node(s, node, now, out);
    finish(s, now, out);
}

bool scheduler_cancel(struct scheduler *s, uint64_t ticket, nsec at, struct scheduler_orders *out)
{
    uint32_t job = job_of(s, ticket);
    double now = seconds(s, at);
    if (job == NONE)
        return false;
    if (s->job[job].state == JOB_SERVED) {
        close_lease(s, job, now, out);
        return true;
    }
    queue_remove(s, job);
    job_give(s, job);
    finish(s, now, out);
    return true;
}

void scheduler_first(struct scheduler *s, uint64_t ticket, nsec at)
{
    uint32_t job = job_of(s, ticket);
    double now = seconds(s, at);
    if (job == NONE || s->job[job].state != JOB_SERVED || s->job[job].first > 0)
        return;
    learn_first(s, &s->job[job], now);
    ledger_refresh(s, s->job[job].node, now);
    ledger_refresh_pair(s, s->job[job].node, s->job[job].model, now);
}

bool scheduler_end(struct scheduler *s, uint64_t ticket, const struct scheduler_figures *f, nsec at,
                   struct scheduler_orders *out)
{
    uint32_t job = job_of(s, ticket);
    double now = seconds(s, at);
    if (job == NONE || s->job[job].state != JOB_SERVED)
        return false;
    struct job *j = &s->job[job];
    learn_end(s, j, f, now);
    if (!f->failed)
        tenant_charge(s, j, (double)j->prompt + 2.0 * f->output_tokens);
    close_lease(s, job, now, out);
    return true;
}

/* The time of a probe may have come. */
static void refresh_probes(struct scheduler *s, uint32_t model, double now)
{
    for (uint32_t n = 0; n < s->nodes; n++)
        if (s->pair[at_pair(s, n, model)].learnt)
            ledger_refresh_pair(s, n, model, now);
}

void scheduler_turn(struct scheduler *s, nsec at, struct scheduler_orders *out)
{
    double now = seconds(s, at);
    ledger_rebase(s, now);
    door_deadlines(s, now, out);
    for (uint32_t m = s->first_active; m != NONE; m = s->model[m].next_active)
        refresh_probes(s, m, now);
    if (s->waiting)
        dispatch_all(s, now, out);
    finish(s, now, out);
}
