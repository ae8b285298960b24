/* fleet/serving.c - tickets at the scheduler: what a request wants goes in, what the scheduler orders comes out.
 *
 *      fleet_ask ──> scheduler_ask ──> GRANT   the ticket has a lease, now or when its turn has come
 *      fleet_end ──> scheduler_end     REFUSE  it is told why
 *      what probes find ─> lineup.c    LOAD, UNLOAD   a task in the node's list
 *
 * Each call of the scheduler may decide other tickets than the one it was about: those go into `decided` and reach
 * their workers as messages. A node does one task at a time, in order, since a load that overtakes the unload that
 * makes room for it lets the node choose whom to throw out. A task is carried out by whichever worker's call ordered
 * it. */
#include "fleet/fleet_state.h"
#include "fleet/prefix.h"

/* ---- decisions --------------------------------------------------------------------------------------------------- */

static struct decision_next second(const struct fleet *f, const struct scheduler_order *o)
{
    struct decision_next next = { .total = o->next_terms.total,
                                  .slot = o->next_terms.slot,
                                  .prefill = o->next_terms.prefill,
                                  .decode = o->next_terms.decode,
                                  .penalty = o->next_terms.penalty };
    *put_str(next.node, str_take(f->node[o->next]->name, sizeof next.node - 1)) = 0;
    return next;
}

static void grant(struct fleet *f, struct ticket *t, const struct scheduler_order *o, nsec now)
{
    struct node *n = f->node[o->node];
    enum scheduler_policy by = scheduler_policy_of(f->scheduler, o->model);
    t->decision = (struct decision){ .by = t->pin.n || t->pin_id ? "pin"
                                           : by == SCHEDULER_eta ? NULL
                                                                 : scheduler_policy_name(by).p,
                                     .total = o->terms.total,
                                     .slot = o->terms.slot,
                                     .load = o->terms.load,
                                     .prefill = o->terms.prefill,
                                     .decode = o->terms.decode,
                                     .penalty = o->terms.penalty,
                                     .candidates = o->terms.candidates,
                                     .inflight = n->inflight };
    if (o->next != SCHEDULER_NONE)
        t->decision.next = second(f, o);
    t->lease = (struct lease){ .node = n,
                               .addr = n->addr[n->addr_next],
                               .model = t->model_hash,
                               .granted = now,
                               .known_loaded = true,
                               .closes = n->kind == NODE_LLAMACPP,
                               .learns = scheduler_learns(f->scheduler, o->node, o->model),
                               .number = o->ticket,
                               .matched = o->matched_tokens,
                               .variant = o->model,
                               .slots = scheduler_slots(f->scheduler, o->node, o->model) };
    t->number = 0;
    t->refused = OK;
    t->verdict = VERDICT_GRANTED;
    n->inflight++;
    if (unlikely(f->guards))
        guards_take(f, n, t->model_hash, now);
}

/* That nobody can serve it now may be the doing of a load that failed. */
static void refuse(struct fleet *f, struct ticket *t, const struct scheduler_order *o)
{
    const struct variant *v = &f->variant[o->model];
    enum fail why = o->why == FAIL_no_holder_up && v->load_failed ? v->load_failed : o->why;
    waiting_refuse(f, t, why);
    t->number = 0;
    t->retry_after_s = fail_waiting_helps(why) ? MAX(o->retry_after_s, 1u) : 0;
    if (why == v->load_failed)
        memcpy(t->said, v->said, sizeof t->said);
}

/* It waited: its worker must be told. */
static void announce(struct fleet *f, struct ticket *t, struct orders *out)
{
    list_del(&t->link);
    f->queued_n--;
    t->waiting = false;
    t->announced = true;
    list_push(&out->decided, &t->link);
}

static void decide(struct fleet *f, const struct scheduler_order *o, nsec now, struct orders *out)
{
    struct ticket *t = (struct ticket *)(uintptr_t)o->owner; /* lives: who leaves cancels first */
    if (t->waiting)
        announce(f, t, out);
    if (o->verb == ORDER_GRANT)
        grant(f, t, o, now);
    else
        refuse(f, t, o);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static void add_task(struct fleet *f, const struct scheduler_order *o)
{
    struct node *n = f->node[o->node];
    bool loads = o->verb == ORDER_LOAD;
    if (!loads)
        lineup_lost(f, o->node, o->model);
    if (n->tasks == NODE_TASKS && !loads)
        return; /* the node makes room by itself when it must */
    if (n->tasks == NODE_TASKS)
        f->variant[n->task[--n->tasks].variant].tasks--, f->tasks--;
    n->task[n->tasks++] = (struct task){ .loads = loads, .variant = o->model };
    f->variant[o->model].tasks++;
    f->tasks++;
}

void serving_drop_tasks(struct fleet *f, struct node *n)
{
    for (uint32_t i = 0; i < n->tasks; i++)
        f->variant[n->task[i].variant].tasks--;
    f->tasks -= n->tasks;
    n->tasks = 0;
}

static nsec load_patience(const struct fleet *f, const struct variant *v)
{
    return f->settings.load_timeout + (nsec)((double)v->bytes / (double)(1ull << 30) * 20e9);
}

static void order_task(struct fleet *f, struct node *n, nsec now, struct orders *out)
{
    struct task t = n->task[0];
    struct variant *v = &f->variant[t.variant];
    memmove(n->task, n->task + 1, --n->tasks * sizeof *n->task);
    f->tasks--;
    n->pins++;
    n->task_runs = true;
    if (t.loads)
        n->load_began = now, n->load_ended = NEVER, n->load_variant = t.variant;
    out->task[out->tasks++] = (struct task_order){ .node = n,
                                                   .addr = n->addr[n->addr_next],
                                                   .variant = t.variant,
                                                   .loads = t.loads,
                                                   .embeds = v->embeds,
                                                   .spelled = str_of(v->spelled),
                                                   .options = &v->options,
                                                   .patience = load_patience(f, v) };
}

static void order_tasks(struct fleet *f, nsec now, struct orders *out)
{
    for (uint32_t i = 0; f->tasks && i < f->places; i++) {
        struct node *n = f->node[i];
        if (!n || !n->tasks || n->task_runs)
            continue;
        if (out->tasks == ORDERS_TASKS) {
            out->more = true;
            return;
        }
        order_task(f, n, now, out);
    }
}

/* ---- the scheduler's orders -------------------------------------------------------------------------------------- */

static void carry(struct fleet *f, struct scheduler_orders *so, nsec now, struct orders *out)
{
    for (;;) {
        bool more = so->more;
        for (uint32_t i = 0; i < so->n; i++)
            if (so->order[i].verb <= ORDER_REFUSE)
                decide(f, &so->order[i], now, out);
            else
                add_task(f, &so->order[i]);
        if (so->next_turn != NEVER || more)
            f->scheduler_due = so->next_turn;
        if (!more)
            return;
        scheduler_orders_init(so);
        scheduler_turn(f->scheduler, now, so);
    }
}

/* A call of the scheduler begins: it knows all that happened before. */
static void begin(struct fleet *f, nsec now, struct scheduler_orders *so)
{
    scheduler_orders_init(so);
    if (unlikely(f->is_stale || f->guards_news || now >= lineup_next(f)))
        lineup_turn(f, now, so);
}

/* Nobody is left who could serve them, or load their model. */
static void refuse_hopeless(struct fleet *f, nsec now, struct scheduler_orders *so)
{
    if (!scheduler_waiting(f->scheduler, SCHEDULER_NONE))
        return;
    for (uint32_t v = 0; v < f->variants; v++)
        if (f->variant_key[v] && scheduler_waiting(f->scheduler, v) && !scheduler_hopeful(f->scheduler, v, now))
            scheduler_refuse_waiting(f->scheduler, v, FAIL_no_holder_up, now, so);
}

void serving_settle(struct fleet *f, nsec now, struct orders *out)
{
    struct scheduler_orders so;
    begin(f, now, &so);
    if (now >= f->scheduler_due) {
        f->scheduler_due = NEVER;
        scheduler_turn(f->scheduler, now, &so);
    }
    if (now >= f->preload_due)
        preload_turn(f, now, &so);
    refuse_hopeless(f, now, &so);
    carry(f, &so, now, out);
    order_tasks(f, now, out);
}

nsec serving_next(const struct fleet *f)
{
    return MIN(MIN(f->scheduler_due, f->preload_due), lineup_next(f));
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static uint32_t place_of_pin(struct fleet *f, const struct ticket *t)
{
    const struct node *pin = t->pin_id ? roster_by_id(f, t->pin_id) : t->pin.n ? roster_named(f, t->pin) : NULL;
    return pin ? pin->no : SCHEDULER_NONE;
}

static uint32_t places_of_tried(struct fleet *f, const struct ticket *t, uint32_t *out)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < t->tried_n; i++) {
        const struct node *tried = roster_by_id(f, t->tried[i]);
        if (tried && roster_in_place(tried))
            out[n++] = tried->no;
    }
    return n;
}

/* The ticket in the scheduler's numbers; `tried` has room for TRIED_MAX. */
static struct scheduler_ask as_ask(struct fleet *f, const struct ticket *t, uint32_t variant, uint32_t *tried)
{
    return (struct scheduler_ask){ .model = variant,
                                   .prompt_tokens = t->prompt_tokens,
                                   .band = t->band,
                                   .tenant = t->tenant,
                                   .owner = (uint64_t)(uintptr_t)t,
                                   .key = t->key,
                                   .deadline = t->deadline,
                                   .hint = t->hint,
                                   .hints = t->hints,
                                   .pin = place_of_pin(f, t),
                                   .not_on = tried,
                                   .not_on_n = places_of_tried(f, t, tried),
                                   .labels = f->variant[variant].labels |
                                             (t->ollama_only && f->is_mixed ? LABEL_OLLAMA : 0) };
}

static void ask_scheduler(struct fleet *f, struct ticket *t, uint32_t variant, nsec now, struct scheduler_orders *so)
{
    uint32_t tried[TRIED_MAX];
    struct scheduler_ask a = as_ask(f, t, variant, tried);
    t->number = scheduler_ask(f->scheduler, &a, now, so);
}

uint32_t serving_explain(struct fleet *f, const struct ticket *t, bool may_enter, nsec now,
                         struct scheduler_would *out_would, struct scheduler_explained *shown, struct orders *out)
{
    struct scheduler_orders so;
    uint32_t tried[TRIED_MAX];
    begin(f, now, &so);
    uint32_t v = lineup_look(f, t, may_enter, now, &so);
    carry(f, &so, now, out);
    if (v == SCHEDULER_NONE)
        return v;
    struct scheduler_ask a = as_ask(f, t, v, tried);
    *out_would = scheduler_explain(f->scheduler, &a, now, shown, f->places);
    return v;
}

static enum verdict settle_answer(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    if (t->verdict != VERDICT_WAITS)
        return t->verdict;
    if (unlikely(f->queue_is_shut && !t->tried_n)) {
        serving_cancel(f, t, now, out);
        return waiting_refuse(f, t, FAIL_memory_short);
    }
    t->waiting = true;
    list_push(&f->queued, &t->link);
    f->queued_n++;
    return VERDICT_WAITS;
}

enum verdict serving_ask(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    struct scheduler_orders so;
    begin(f, now, &so);
    uint32_t v = lineup_find(f, t, now, &so);
    t->verdict = VERDICT_WAITS;
    if (v != SCHEDULER_NONE)
        ask_scheduler(f, t, v, now, &so);
    bool known = t->number != 0;
    if (so.n || so.more)
        carry(f, &so, now, out);
    else if (so.next_turn != NEVER)
        f->scheduler_due = so.next_turn;
    return known ? settle_answer(f, t, now, out) : waiting_refuse(f, t, FAIL_queue_full);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static nsec told(int64_t duration)
{
    return duration > 0 ? duration : 0;
}

/* Embeddings tell a total, but not what it is made of; llama-server tells the parts of an answer, and no total. */
static nsec waited_inside(const struct lease *l, const struct attempt_end *e)
{
    const struct figures *g = &e->figures;
    nsec served = told(g->prompt_eval) + told(g->eval), known = told(g->load) + served;
    nsec total = g->total > 0 ? g->total : e->records ? 0 : e->ended - l->granted;
    return served && total > known ? total - known : 0;
}

/* What was matched need not be evaluated, though the node counts it; the rest of a prompt that was nearly all there
 * says little about a rate. */
static uint32_t evaluated(const struct lease *l, const struct figures *g)
{
    uint32_t all = g->prompt_tokens > 0 ? (uint32_t)MIN(g->prompt_tokens, UINT32_MAX) : 0;
    uint32_t matched = MIN(l->matched, all);
    return all - matched >= 16 ? all - matched : 0;
}

static struct scheduler_figures figures_of(const struct lease *l, const struct attempt_end *e)
{
    const struct figures *g = &e->figures;
    uint32_t tokens = g->output_tokens > 0 ? (uint32_t)MIN(g->output_tokens, UINT32_MAX) : e->records;
    nsec decode = told(g->eval);
    if (!decode && e->records > 1 && e->ended > e->first_byte)
        decode = e->ended - e->first_byte;
    return (struct scheduler_figures){ .failed = fail_counts_against_node(e->why),
                                       .prefill_tokens = evaluated(l, g),
                                       .output_tokens = tokens,
                                       .prefill_took = told(g->prompt_eval),
                                       .decode_took = decode,
                                       .load_took = told(g->load),
                                       .waited_inside = waited_inside(l, e) };
}

void serving_end(struct fleet *f, const struct lease *l, const struct attempt_end *e, nsec now, struct orders *out)
{
    struct scheduler_orders so;
    guards_learn(f, l, e, now);
    begin(f, now, &so);
    if (e->client_left && e->was_sent) {
        scheduler_drain(f->scheduler, l->number, now, &so);
    } else if (e->client_left || (e->why && !fail_counts_against_node(e->why)) || (!e->why && e->status >= 400)) {
        scheduler_cancel(f->scheduler, l->number, now, &so); /* nothing is learnt */
    } else {
        struct scheduler_figures g = figures_of(l, e);
        scheduler_end(f->scheduler, l->number, &g, now, &so);
    }
    if (e->unloads && !e->why && roster_in_place(l->node)) {
        lineup_lost(f, l->node->no, l->variant);
        scheduler_note(f->scheduler, l->node->no, l->variant, false, now, &so);
    }
    if (so.n || so.more || so.next_turn != NEVER)
        carry(f, &so, now, out);
}

void serving_cancel(struct fleet *f, struct ticket *t, nsec now, struct orders *out)
{
    struct scheduler_orders so;
    begin(f, now, &so);
    if (t->waiting) {
        list_del(&t->link);
        f->queued_n--;
        t->waiting = false;
    }
    if (t->lease.number)
        guards_learn(f, &t->lease, &(struct attempt_end){ .client_left = true }, now);
    scheduler_cancel(f->scheduler, t->number ? t->number : t->lease.number, now, &so);
    t->number = 0;
    carry(f, &so, now, out);
}

void fleet_first(struct fleet *f, const struct lease *l, nsec now)
{
    fleet_lock(f);
    scheduler_first(f->scheduler, l->number, now);
    fleet_unlock(f);
}

/* ---- tasks end --------------------------------------------------------------------------------------------------- */

static void load_ended(struct fleet *f, const struct task_order *o, enum fail why, struct str text, nsec took, nsec now,
                       struct scheduler_orders *so)
{
    struct variant *v = &f->variant[o->variant];
    text = str_take(text.n ? text : fail_sentence(why), sizeof v->said - 1);
    memcpy(v->said, text.p, text.n), v->said[why ? text.n : 0] = 0;
    v->load_failed = why == FAIL_first_byte_timeout ? FAIL_load_timeout : why ? FAIL_load_failed : OK;
    scheduler_loaded(f->scheduler, o->node->no, o->variant, !why, took, now, so);
}

void fleet_task_done(struct fleet *f, const struct task_order *o, enum fail why, struct str text, nsec took, nsec now,
                     struct orders *out)
{
    struct scheduler_orders so;
    struct node *n = o->node;
    fleet_lock(f);
    assume(n->pins > 0 && n->task_runs);
    n->pins--;
    n->task_runs = false;
    n->lineup_changed = now;
    *(o->loads ? &n->load_ended : &n->unload_ended) = now;
    n->due_ps = MIN(n->due_ps, now);
    health_learn_end(f, n, &o->addr, why, text, now); /* it may have been too busy with it to answer probes */
    begin(f, now, &so);
    if (o->loads && roster_in_place(n))
        load_ended(f, o, why, text, took, now, &so);
    f->variant[o->variant].tasks--;
    carry(f, &so, now, out);
    probes_schedule(f, n);
    probes_order(f, n, now, out);
    roster_release(f, n, now);
    fleet_settle(f, now, out);
    fleet_unlock(f);
}

unsigned fleet_unload(struct fleet *f, const struct ticket *t, nsec now, struct orders *out)
{
    struct scheduler_orders so;
    unsigned had = 0;
    fleet_lock(f);
    begin(f, now, &so);
    lineup_find(f, t, now, &so); /* it may be loaded, and nobody have asked us for it */
    for (uint32_t v = 0; v < f->variants; v++) {
        if (!f->variant_key[v] || f->variant[v].name != t->model_hash)
            continue;
        for (uint32_t i = 0; i < f->places; i++)
            had += f->node[i] && scheduler_resident(f->scheduler, i, v);
        scheduler_unload(f->scheduler, v, now, &so);
        carry(f, &so, now, out);
        scheduler_orders_init(&so);
    }
    fleet_settle(f, now, out);
    fleet_unlock(f);
    return had;
}

static bool is_at_it(const struct fleet *f, const struct node *n, uint64_t model)
{
    for (uint32_t i = 0; i < n->tasks; i++)
        if (!n->task[i].loads && f->variant[n->task[i].variant].name == model)
            return true;
    return n->task_runs || n->ps_asked < n->lineup_changed;
}

bool fleet_unloaded(struct fleet *f, uint64_t model)
{
    bool done = true;
    fleet_lock(f);
    const struct holders *h = residency_find(f->residency, model);
    for (uint32_t i = 0; h && i < f->places; i++)
        if (f->node[i] && set_has(&h->has, i) && health_answers(f->node[i]) && is_at_it(f, f->node[i], model))
            done = false;
    fleet_unlock(f);
    return done;
}
