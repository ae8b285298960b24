/* sim/simulate.c - events drive the scheduler, its orders drive the nodes.
 *
 *      arrival, first token, end, load ended, time --> scheduler --> grant, load, unload, refuse --> nodes --> events
 *
 * The scheduler is the very code the gateway runs under its lock. Policies that are blind to slots bind on arrival, so
 * nodes queue, and load what the head of their queue needs; for late ones models lie where the scheduler orders. */
#include "sim/simulate_state.h"
#include <math.h>
#include <stdlib.h>

void simulate_spec_default(struct simulate_spec *s)
{
    *s = (struct simulate_spec){ .nodes = 8,
                                 .slots = 4,
                                 .speed = { 1 },
                                 .speeds = 1,
                                 .prefill = 2000,
                                 .decode = 45,
                                 .policy = SCHEDULER_eta,
                                 .rate_scale = 1,
                                 .models = 1,
                                 .size_gb = { 8 },
                                 .sizes = 1,
                                 .load_rate = 2,
                                 .seed = 1 };
}

/* ---- making it -------------------------------------------------------------------------------------------------- */

static bool loads_matter(const struct simulate_spec *spec)
{
    return spec->models > 1;
}

static bool is_blind(const struct simulation *s)
{
    return s->spec->policy != SCHEDULER_eta && s->spec->policy != SCHEDULER_late;
}

static bool make_scheduler(struct simulation *s)
{
    struct scheduler_settings set;
    scheduler_settings_default(&set);
    set.nodes = s->spec->nodes, set.models = s->spec->models, set.tickets = s->requests;
    set.policy = s->spec->policy, set.bound = s->spec->bound, set.shed = s->spec->shed;
    set.binds = true, set.chance_breaks = true, set.seed = s->spec->seed;
    set.prefill = s->spec->prefill, set.decode = s->spec->decode, set.load = s->spec->load_rate * 1e9;
    s->scheduler = scheduler_new(&set, 0);
    return s->scheduler;
}

static bool make_prefixes(struct simulation *s)
{
    const struct simulate_spec *spec = s->spec;
    if (!spec->cache_blocks && !spec->last_prompt)
        return true;
    uint64_t most = (uint64_t)spec->nodes * (spec->last_prompt ? spec->slots * 512 : spec->cache_blocks);
    uint32_t blocks =
        (uint32_t)MIN(most, (uint64_t)spec->trace->hashes + 1); /* a request puts each of its blocks once */
    s->cached = prefix_new(spec->nodes, blocks);
    s->known = spec->policy == SCHEDULER_eta ? prefix_new(spec->nodes, blocks) : NULL;
    for (uint32_t n = 0; n < spec->nodes && !spec->last_prompt; n++) {
        if (s->cached)
            prefix_capacity(s->cached, n, spec->cache_blocks);
        if (s->known)
            prefix_capacity(s->known, n, spec->cache_blocks);
    }
    return s->cached && (s->known || spec->policy != SCHEDULER_eta);
}

static uint32_t draw_model(const double *up_to, uint32_t models, uint64_t *chance)
{
    double at = trace_chance(chance) * up_to[models - 1];
    uint32_t m = 0;
    while (m + 1 < models && up_to[m] < at)
        m++;
    return m;
}

static bool deal_models(struct simulation *s)
{
    uint32_t models = s->spec->models;
    uint64_t chance = s->spec->seed * 7919;
    double *up_to = models > 1 ? malloc(models * sizeof *up_to) : NULL, sum = 0;
    if (models > 1 && !up_to)
        return false;
    for (uint32_t m = 0; up_to && m < models; m++)
        up_to[m] = sum += 1.0 / (m + 1);
    for (uint32_t i = 0; i < s->requests; i++) {
        uint32_t own = s->spec->trace->request[i].model;
        s->request[i].model = up_to && s->spec->trace->models < 2 ? draw_model(up_to, models, &chance) : own % models;
    }
    free(up_to);
    return true;
}

static bool make_requests(struct simulation *s)
{
    const struct trace *t = s->spec->trace;
    s->request = calloc(t->n, sizeof *s->request);
    if (!s->request)
        return false;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct trace_request *from = &t->request[i];
        s->request[i] = (struct sim_request){ .at = (nsec)((double)from->at / s->spec->rate_scale),
                                              .in = from->in,
                                              .out = from->out,
                                              .tenant = from->tenant,
                                              .path = from->path,
                                              .blocks = from->blocks,
                                              .node = NONE };
    }
    return deal_models(s);
}

static bool make_nodes(struct simulation *s)
{
    const struct simulate_spec *spec = s->spec;
    s->node = calloc(spec->nodes, sizeof *s->node);
    for (uint32_t n = 0; s->node && n < spec->nodes; n++) {
        struct sim_node *node = &s->node[n];
        *node = (struct sim_node){ .speed = spec->speed[n % spec->speeds], .up = true, .head = NONE, .loading = NONE };
        node->slot = malloc(spec->slots * sizeof *node->slot);
        node->last = malloc(spec->slots * sizeof *node->last);
        node->resident = calloc(s->hold, sizeof *node->resident);
        if (!node->slot || !node->last || !node->resident)
            return false;
        for (uint32_t i = 0; i < spec->slots; i++)
            node->slot[i] = node->last[i] = NONE;
    }
    return s->node;
}

static double weight_of(const struct simulation *s, uint32_t node)
{
    return s->spec->policy == SCHEDULER_least_loaded ? 1 : s->node[node].speed;
}

static void node_up(struct simulation *s, uint32_t n, bool up)
{
    struct scheduler_node is = {
        .up = up, .weight = weight_of(s, n), .id = n + 1, .held = s->hold, .slots = is_blind(s) ? 0 : s->spec->slots
    };
    scheduler_node(s->scheduler, n, &is, s->now, &s->orders);
    for (uint32_t m = 0; m < s->spec->models && up; m++) {
        scheduler_holds(s->scheduler, n, m, true, SLOTS_TOLD, 0, s->now, &s->orders);
        if (!loads_matter(s->spec)) {
            scheduler_note(s->scheduler, n, m, true, s->now, &s->orders);
            s->node[n].resident[s->node[n].residents++] = (struct sim_resident){ .model = m };
        }
    }
}

static void introduce_nodes(struct simulation *s)
{
    for (uint32_t m = 0; m < s->spec->models; m++)
        scheduler_model(s->scheduler, m, (uint64_t)(s->spec->size_gb[m % s->spec->sizes] * 1e9), SCHEDULER_POLICIES, 0);
    for (uint32_t n = 0; n < s->spec->nodes; n++)
        node_up(s, n, true);
}

static void free_all(struct simulation *s)
{
    for (uint32_t n = 0; s->node && n < s->spec->nodes; n++) {
        free(s->node[n].slot);
        free(s->node[n].last);
        free(s->node[n].resident);
    }
    free(s->node);
    free(s->request);
    clock_free(&s->clock);
    prefix_free(&s->known);
    prefix_free(&s->cached);
    scheduler_free(&s->scheduler);
}

/* ---- orders ----------------------------------------------------------------------------------------------------- */

static void obey(struct simulation *s);

static void carry_out(struct simulation *s, const struct scheduler_order *o)
{
    uint32_t r = (uint32_t)o->owner;
    switch (o->verb) {
    case ORDER_GRANT:
        s->request[r].ticket = o->ticket;
        node_arrives(s, o->node, r);
        break;
    case ORDER_REFUSE:
        s->request[r].state = REFUSED;
        s->request[r].ended = s->now;
        break;
    case ORDER_LOAD: node_load(s, o->node, o->model); break;
    case ORDER_UNLOAD: node_unload(s, o->node, o->model); break;
    }
}

static void obey(struct simulation *s)
{
    for (;;) {
        for (uint32_t i = 0; i < s->orders.n; i++)
            carry_out(s, &s->orders.order[i]);
        if (!s->orders.more)
            break;
        scheduler_orders_init(&s->orders);
        scheduler_turn(s->scheduler, s->now, &s->orders);
    }
    if (s->orders.next_turn < s->turn_at) {
        s->turn_at = s->orders.next_turn;
        clock_add(&s->clock, (struct event){ .at = MAX(s->turn_at, s->now), .kind = EVENT_TURN });
    }
    scheduler_orders_init(&s->orders);
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void ask(struct simulation *s, uint32_t request)
{
    struct sim_request *r = &s->request[request];
    struct prefix_hint hint[8];
    struct scheduler_ask a = { .model = r->model,
                               .prompt_tokens = r->in,
                               .tenant = r->tenant,
                               .owner = request,
                               .band = BAND_NORMAL,
                               .deadline = NEVER,
                               .pin = SCHEDULER_NONE,
                               .key =
                                   r->blocks ? path_of(s, r)[MIN(1, r->blocks - 1)] : request * 0x9e3779b97f4a7c15ull };
    a.hint = hint;
    a.hints = s->known ? prefix_find(s->known, path_of(s, r), r->blocks, 512, hint, ARRAY_LEN(hint)) : 0;
    r->tries++;
    r->ticket = scheduler_ask(s->scheduler, &a, s->now, &s->orders);
    assume(r->ticket);
    obey(s);
}

static void end_lease(struct simulation *s, struct sim_request *r)
{
    struct scheduler_figures f = { .failed = r->state != SERVED,
                                   .output_tokens = r->out,
                                   .prefill_tokens = r->in - MIN(r->in, r->matched * 512),
                                   .prefill_took = r->prefill_took,
                                   .decode_took = r->ended - r->first };
    bool known = scheduler_end(s->scheduler, r->ticket, &f, s->now, &s->orders);
    assume(known);
    obey(s);
}

/* The node died with it: elsewhere once more, unless its client has seen a part of the answer. */
static void lost(struct simulation *s, uint32_t request)
{
    struct sim_request *r = &s->request[request];
    bool began = r->state == RUNNING && r->first;
    r->life++;
    r->state = began ? FAILED : WAITING_AT_GATEWAY;
    r->ended = s->now;
    end_lease(s, r);
    if (began)
        return;
    s->retried++;
    r->prefill_took = 0;
    ask(s, request);
}

static void happen(struct simulation *s, const struct event *e)
{
    struct sim_request *r = &s->request[e->a];
    switch (e->kind) {
    case EVENT_PREFILLED:
        if (r->life != e->life)
            break;
        node_prefilled(s, e->a);
        scheduler_first(s->scheduler, r->ticket, s->now);
        break;
    case EVENT_ENDS:
        if (r->life != e->life)
            break;
        node_ended(s, e->a);
        end_lease(s, r);
        break;
    case EVENT_LOADED:
        if (s->node[e->a].life != e->life)
            break;
        node_loaded(s, e->a, e->b);
        scheduler_loaded(s->scheduler, e->a, e->b, true, 0, s->now, &s->orders);
        break;
    case EVENT_TURN:
        s->turn_at = NEVER;
        scheduler_turn(s->scheduler, s->now, &s->orders);
        break;
    case EVENT_KILL:
        node_up(s, e->a, false);
        obey(s);
        node_dies(s, e->a, lost);
        break;
    case EVENT_BACK:
        s->node[e->a].up = true;
        node_up(s, e->a, true);
        break;
    }
    obey(s);
}

static void run(struct simulation *s)
{
    struct event e;
    for (uint32_t next = 0; next < s->requests || s->clock.n;) {
        if (next < s->requests && s->request[next].at <= clock_next(&s->clock)) {
            s->now = s->request[next].at;
            ask(s, next++);
        } else if (clock_pop(&s->clock, &e)) {
            bool over = next == s->requests && e.kind == EVENT_TURN && !scheduler_waiting(s->scheduler, SCHEDULER_NONE);
            if (over)
                continue;
            s->now = e.at;
            happen(s, &e);
        }
    }
}

static void plan_kills(struct simulation *s)
{
    for (uint32_t i = 0; i < s->spec->kills; i++) {
        const struct simulate_kill *k = &s->spec->kill[i];
        if (k->node >= s->spec->nodes)
            continue;
        clock_add(&s->clock, (struct event){ .at = (nsec)(k->at * 1e9), .kind = EVENT_KILL, .a = k->node });
        if (k->back > k->at)
            clock_add(&s->clock, (struct event){ .at = (nsec)(k->back * 1e9), .kind = EVENT_BACK, .a = k->node });
    }
}

enum fail simulate_run(const struct simulate_spec *spec, struct simulate_result *out)
{
    struct simulation *s = calloc(1, sizeof *s);
    enum fail failed = FAIL_no_memory;
    if (!s)
        return failed;
    s->spec = spec, s->requests = spec->trace->n, s->turn_at = NEVER;
    s->hold = spec->hold && spec->hold < spec->models ? spec->hold : spec->models;
    scheduler_orders_init(&s->orders);
    if (make_scheduler(s) && make_prefixes(s) && make_requests(s) && make_nodes(s)) {
        introduce_nodes(s);
        plan_kills(s);
        run(s);
        failed = s->clock.failed ? FAIL_no_memory : report_make(s, out);
    }
    free_all(s);
    free(s);
    return failed;
}
