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

/* Touched as they come into use: scheduler_room.c. */
static bool take_lists(struct scheduler *s)
{
    size_t n = s->settings.tickets;
    s->job = calloc(n, sizeof *s->job), s->line = calloc(n, sizeof *s->line);
    s->tenant = calloc(n + 1, sizeof *s->tenant), s->bucket = calloc(s->buckets, sizeof *s->bucket);
    return s->job && s->line && s->tenant && s->bucket;
}

struct scheduler *scheduler_new(const struct scheduler_settings *settings, nsec now)
{
    struct scheduler *s = memory_strikes() ? NULL : calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->settings = *settings;
    s->epoch = now - SECOND(1); /* so that no moment is 0 */
    s->chance = settings->seed;
    s->free_job = s->free_line = s->first_active = s->first_stopping = NONE;
    s->tenants_used = 1;
    s->next_deadline = s->next_stopped = s->next_fault_look = INFINITY;
    s->buckets = scheduler_buckets(settings->tickets);
    if (!room_take(&s->room, settings->nodes, settings->models) || !take_lists(s))
        scheduler_free(&s);
    return s;
}

void scheduler_free(struct scheduler **sp)
{
    struct scheduler *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    room_give(&s->room);
    free(s->job);
    free(s->line);
    free(s->tenant);
    free(s->bucket);
    free(s);
}

void scheduler_configure(struct scheduler *s, enum scheduler_policy policy, uint32_t bound, bool shed)
{
    if (ring_records(s, 0))
        ring_configure(s, policy, bound, shed);
    s->settings.policy = policy, s->settings.bound = bound, s->settings.shed = shed;
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
    out->next_turn =
        moment(s, fmin(fmin(s->next_deadline, s->next_stopped), fmin(s->next_fault_look, load_next(s, now))));
}

/* ---- nodes and models ------------------------------------------------------------------------------------------- */

static void forget_residents(struct scheduler *s, uint32_t node, double now)
{
    s->machine[node].loading = NONE;
    for (uint32_t m = 0; m < s->models; m++) {
        struct pair *p = &s->pair[at_pair(s, node, m)];
        if (!s->model[m].known)
            continue;
        s->model[m].loadings -= p->loading;
        p->loading = false;
        if (p->resident)
            load_resident(s, node, m, false, now);
    }
}

struct pinned {
    uint32_t node;
    double now;
    struct scheduler_orders *out;
};

static bool refuse_if_pinned(struct scheduler *s, uint32_t job, void *arg)
{
    const struct pinned *p = arg;
    if (s->job[job].pin == p->node)
        dispatch_refuse(s, job, FAIL_node_unknown, p->now, p->out);
    return orders_room(p->out);
}

/* The number has gone to another machine, which those that wait for this one do not mean. */
static void forget_machine(struct scheduler *s, uint32_t node, double now, struct scheduler_orders *out)
{
    struct machine *m = &s->machine[node];
    if (s->limited)
        queue_each(s, refuse_if_pinned, &(struct pinned){ node, now, out });
    forget_residents(s, node, now);
    for (uint32_t i = 0; i < s->models; i++)
        if (s->model[i].known)
            room_clear_pair(s, node, i);
    m->turn.credit = m->latency = 0;
    m->faults.n = 0;
}

void scheduler_node(struct scheduler *s, uint32_t node, const struct scheduler_node *is, nsec at,
                    struct scheduler_orders *out)
{
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_node(s, node, is, at);
    room_use_node(s, node);
    struct machine *m = &s->machine[node];
    if (m->id && m->id != is->id)
        forget_machine(s, node, now, out);
    bool came_up = is->up && !m->up;
    m->up = is->up, m->draining = is->draining;
    m->slots = is->slots, m->held_max = is->held, m->vram = is->vram, s->labels[node] = is->labels;
    m->id = is->id, s->salt[node] = mix(is->id + 0x9e3779b97f4a7c15);
    s->weight[node] = is->weight > 0 ? (float)is->weight : 1;
    s->slow[node] = is->share > 0 ? (float)(1 / is->share) : 1;
    m->penalty = (float)is->penalty;
    if (!m->up)
        forget_residents(s, node, now);
    if (came_up)
        fault_forget(s, node, now);
    else
        fault_refresh_node(s, node, now);
    s->hope_lost |= !m->up || m->draining;
    for (uint32_t i = 0; i < s->models; i++)
        if (s->model[i].known)
            learn_prior(s, node, i), load_usable(s, node, i);
    ledger_refresh(s, node, now);
    dispatch_node(s, node, now, out);
    finish(s, now, out);
}

void scheduler_model(struct scheduler *s, uint32_t model, uint64_t bytes, enum scheduler_policy policy, uint64_t family)
{
    if (ring_records(s, 0))
        ring_model(s, model, bytes, policy, family);
    room_use_model(s, model);
    for (uint32_t n = 0; n < s->nodes && s->model[model].bytes != bytes; n++)
        if (s->pair[at_pair(s, n, model)].resident)
            s->machine[n].vram_used += bytes - s->model[model].bytes;
    s->model[model].bytes = bytes;
    s->model[model].policy = policy;
    s->model[model].family = family;
}

bool scheduler_forget_model(struct scheduler *s, uint32_t model, nsec at)
{
    struct model *m = &s->model[model];
    bool idle = !m->waiting && !m->loadings;
    if (ring_records(s, 0))
        ring_pair(s, CALL_forget_model, NONE, model, false, 0, at);
    for (uint32_t n = 0; n < s->nodes && m->known; n++)
        idle &= !s->pair[at_pair(s, n, model)].inflight;
    if (!idle)
        return false;
    for (uint32_t n = 0; n < s->nodes && m->known; n++)
        if (s->pair[at_pair(s, n, model)].resident)
            load_resident(s, n, model, false, seconds(s, at));
    m->known = false;
    return true;
}

static struct pair *pair_of(struct scheduler *s, uint32_t node, uint32_t model)
{
    assume(node < s->nodes && model < s->models && s->model[model].known);
    return &s->pair[at_pair(s, node, model)];
}

void scheduler_holds(struct scheduler *s, uint32_t node, uint32_t model, bool holds, enum scheduler_slots how,
                     uint32_t slots, nsec at, struct scheduler_orders *out)
{
    struct pair *p = pair_of(s, node, model);
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_holds(s, node, model, holds, how, slots, at);
    p->holds = holds;
    p->learnt = how == SLOTS_LEARNT;
    p->slots = slots;
    load_usable(s, node, model);
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
    if (ring_records(s, out->n))
        ring_pair(s, CALL_note, node, model, resident, 0, at);
    if (pair_of(s, node, model)->resident != resident)
        load_resident(s, node, model, resident, now);
    dispatch_node(s, node, now, out);
    finish(s, now, out);
}

void scheduler_bar(struct scheduler *s, uint32_t node, uint32_t model, bool barred, nsec at,
                   struct scheduler_orders *out)
{
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_pair(s, CALL_bar, node, model, barred, 0, at);
    pair_of(s, node, model)->barred = barred;
    load_usable(s, node, model);
    s->hope_lost |= barred;
    ledger_refresh_pair(s, node, model, now);
    dispatch_node(s, node, now, out);
    finish(s, now, out);
}

void scheduler_refuse_waiting(struct scheduler *s, uint32_t model, enum fail why, nsec at, struct scheduler_orders *out)
{
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_pair(s, CALL_refuse_waiting, NONE, model, false, why, at);
    door_doom(s, model, why, now, out);
    finish(s, now, out);
}

void scheduler_loaded(struct scheduler *s, uint32_t node, uint32_t model, bool good, nsec took, nsec at,
                      struct scheduler_orders *out)
{
    struct pair *p = pair_of(s, node, model);
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_pair(s, CALL_loaded, node, model, good, took, at);
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
    j->hints = hints_in_use(s, a, j->hint);
    j->not_on_n = MIN(a->not_on_n, TRIED_MAX);
    if (j->not_on_n)
        memcpy(j->not_on, a->not_on, j->not_on_n * sizeof *j->not_on);
}

float job_service(const struct scheduler *s, const struct job *j)
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
    j->service = job_service(s, j);
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
    if (ring_records(s, out->n))
        ring_ask(s, CALL_ask, a, at);
    ledger_rebase(s, now);
    uint32_t job = job_take(s);
    assume(a->model < s->models && s->model[a->model].known);
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

static bool leave(struct scheduler *s, uint32_t job, double now, struct scheduler_orders *out)
{
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

bool scheduler_cancel(struct scheduler *s, uint64_t ticket, nsec at, struct scheduler_orders *out)
{
    if (ring_records(s, out->n))
        ring_ticket(s, CALL_cancel, ticket, at);
    return leave(s, job_of(s, ticket), seconds(s, at), out);
}

bool scheduler_drain(struct scheduler *s, uint64_t ticket, nsec at, struct scheduler_orders *out)
{
    uint32_t job = job_of(s, ticket);
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_ticket(s, CALL_drain, ticket, at);
    if (job == NONE || s->job[job].state == JOB_WAITS)
        return leave(s, job, now, out);
    struct job *j = &s->job[job];
    if (!j->stopping)
        stop_begin(s, job, now);
    ledger_refresh(s, j->node, now);
    ledger_refresh_pair(s, j->node, j->model, now);
    finish(s, now, out);
    return true;
}

bool scheduler_require(struct scheduler *s, uint64_t ticket, uint64_t labels, nsec at)
{
    uint32_t job = job_of(s, ticket);
    if (ring_records(s, 0))
        ring_require(s, ticket, labels, at);
    if (job == NONE || s->job[job].state != JOB_WAITS)
        return false;
    queue_require(s, &s->job[job], labels);
    return true;
}

void scheduler_first(struct scheduler *s, uint64_t ticket, nsec at)
{
    uint32_t job = job_of(s, ticket);
    double now = seconds(s, at);
    if (ring_records(s, 0))
        ring_ticket(s, CALL_first, ticket, at);
    if (job == NONE || s->job[job].state != JOB_SERVED || s->job[job].stopping || s->job[job].first > 0)
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
    if (ring_records(s, out->n))
        ring_end(s, ticket, f, at);
    if (job == NONE || s->job[job].state != JOB_SERVED)
        return false;
    struct job *j = &s->job[job];
    if (!j->stopping) /* what it has done then is a part of something */
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

static void end_stopped(struct scheduler *s, double now)
{
    for (uint32_t job; (job = stop_due(s, now)) != NONE;) {
        ledger_close(s, job, now);
        job_give(s, job);
    }
}

void scheduler_turn(struct scheduler *s, nsec at, struct scheduler_orders *out)
{
    double now = seconds(s, at);
    if (ring_records(s, out->n))
        ring_ticket(s, CALL_turn, 0, at);
    ledger_rebase(s, now);
    fault_turn(s, now);
    door_doomed(s, now, out);
    door_deadlines(s, now, out);
    end_stopped(s, now);
    for (uint32_t m = s->first_active; m != NONE; m = s->model[m].next_active)
        refresh_probes(s, m, now);
    if (s->waiting)
        dispatch_all(s, now, out);
    finish(s, now, out);
}
