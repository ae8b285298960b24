/* sim/simulate_node.c - a node that only takes time: slots, residents, a prefix cache, a queue.
 *
 * A slot is held for prefill and answer; slots do not slow each other. The queue is first come, first served: its head
 * waits for a slot, and for its model, which throws out the model that was idle for longest, or waits until one is
 * idle; one load at a time. Under late binding the queue stays empty and models lie where the scheduler says. */
#include "sim/simulate_state.h"

const uint64_t *path_of(const struct simulation *s, const struct sim_request *r)
{
    return s->spec->trace->hash + r->path;
}

static struct sim_resident *resident(struct sim_node *n, uint32_t model)
{
    for (uint32_t i = 0; i < n->residents; i++)
        if (n->resident[i].model == model)
            return &n->resident[i];
    return NULL;
}

static nsec after(nsec now, double seconds)
{
    return now + (nsec)(seconds * 1e9 + 0.5);
}

/* ---- a request in a slot ---------------------------------------------------------------------------------------- */

static uint32_t free_slot(const struct simulation *s, const struct sim_node *n)
{
    uint32_t slot = 0;
    while (n->slot[slot] != NONE)
        slot++;
    return slot;
}

static void start(struct simulation *s, uint32_t node, uint32_t request)
{
    struct sim_node *n = &s->node[node];
    struct sim_request *r = &s->request[request];
    struct sim_resident *m = resident(n, r->model);
    assume(n->busy < s->spec->slots && m);
    n->busy++, m->running++, m->used = s->now;
    r->slot = free_slot(s, n), n->slot[r->slot] = request;
    r->state = RUNNING, r->started = s->now;
    r->matched = s->cached ? prefix_matched(s->cached, node, path_of(s, r), r->blocks) : 0;
    s->hit_blocks += r->matched, s->blocks += r->blocks;
    double prefill = (r->in - MIN(r->in, r->matched * 512.0)) / (s->spec->prefill * n->speed);
    r->prefill_took = after(0, prefill);
    clock_add(&s->clock,
              (struct event){ .at = s->now + r->prefill_took, .kind = EVENT_PREFILLED, .a = request, .life = r->life });
}

static void remember(struct simulation *s, struct prefix *p, const struct sim_request *r, const struct sim_request *was)
{
    if (!s->spec->last_prompt)
        prefix_put(p, r->node, r->model, path_of(s, r), r->blocks);
    else
        prefix_replace(p, r->node, r->model, was ? path_of(s, was) : NULL, was ? was->blocks : 0, path_of(s, r),
                       r->blocks);
}

void node_prefilled(struct simulation *s, uint32_t request)
{
    struct sim_request *r = &s->request[request];
    struct sim_node *n = &s->node[r->node];
    uint32_t was = n->last[r->slot];
    r->first = s->now;
    if (s->cached)
        remember(s, s->cached, r, was != NONE ? &s->request[was] : NULL);
    if (s->known)
        remember(s, s->known, r, was != NONE ? &s->request[was] : NULL);
    n->last[r->slot] = request;
    double answer = r->out / (s->spec->decode * n->speed);
    clock_add(&s->clock,
              (struct event){ .at = after(s->now, answer), .kind = EVENT_ENDS, .a = request, .life = r->life });
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

static void forget(struct simulation *s, uint32_t node, uint32_t model)
{
    if (s->cached)
        prefix_forget(s->cached, node, model);
    if (s->known)
        prefix_forget(s->known, node, model);
}

void node_unload(struct simulation *s, uint32_t node, uint32_t model)
{
    struct sim_node *n = &s->node[node];
    struct sim_resident *m = resident(n, model);
    assume(m && !m->running);
    *m = n->resident[--n->residents];
    s->evictions++;
    forget(s, node, model);
}

void node_load(struct simulation *s, uint32_t node, uint32_t model)
{
    struct sim_node *n = &s->node[node];
    assume(n->loading == NONE && n->residents < s->hold);
    n->loading = model;
    s->loads++;
    double takes = s->spec->size_gb[model % s->spec->sizes] / s->spec->load_rate;
    clock_add(
        &s->clock,
        (struct event){ .at = after(s->now, takes), .kind = EVENT_LOADED, .a = node, .b = model, .life = n->life });
}

static uint32_t longest_idle(const struct sim_node *n)
{
    const struct sim_resident *best = NULL;
    for (uint32_t i = 0; i < n->residents; i++)
        if (!n->resident[i].running && (!best || n->resident[i].used < best->used))
            best = &n->resident[i];
    return best ? best->model : NONE;
}

/* For the head of the queue; it may have to wait until a model is idle. */
static void make_room_and_load(struct simulation *s, uint32_t node, uint32_t model)
{
    struct sim_node *n = &s->node[node];
    if (n->loading != NONE)
        return;
    if (n->residents == s->hold) {
        uint32_t victim = longest_idle(n);
        if (victim == NONE)
            return;
        node_unload(s, node, victim);
    }
    node_load(s, node, model);
}

static void take_from_queue(struct simulation *s, struct sim_node *n, uint32_t request, uint32_t ahead)
{
    uint32_t next = s->request[request].next;
    if (ahead == NONE)
        n->head = next;
    else
        s->request[ahead].next = next;
    if (next == NONE)
        n->tail = ahead;
}

static bool may_go_on(const struct simulation *s, const struct sim_node *n)
{
    return n->busy < s->spec->slots || (n->loading == NONE && s->hold < s->spec->models);
}

/* The first whose model is missing has it loaded; those behind it whose model is there do not wait for that. */
static void serve_queue(struct simulation *s, uint32_t node)
{
    struct sim_node *n = &s->node[node];
    bool missed = false;
    uint32_t ahead = NONE;
    for (uint32_t r = n->head, next; r != NONE && may_go_on(s, n); r = next) {
        next = s->request[r].next;
        if (n->busy < s->spec->slots && resident(n, s->request[r].model)) {
            take_from_queue(s, n, r, ahead);
            start(s, node, r);
            continue;
        }
        if (!missed && !resident(n, s->request[r].model)) {
            missed = true;
            make_room_and_load(s, node, s->request[r].model);
        }
        ahead = r;
    }
}

void node_loaded(struct simulation *s, uint32_t node, uint32_t model)
{
    struct sim_node *n = &s->node[node];
    n->loading = NONE;
    n->resident[n->residents++] = (struct sim_resident){ .model = model, .used = s->now };
    serve_queue(s, node);
}

/* ---- coming and going ------------------------------------------------------------------------------------------- */

void node_arrives(struct simulation *s, uint32_t node, uint32_t request)
{
    struct sim_node *n = &s->node[node];
    struct sim_request *r = &s->request[request];
    r->node = node, r->state = AT_NODE, r->next = NONE;
    if (n->head == NONE)
        n->head = request;
    else
        s->request[n->tail].next = request;
    n->tail = request;
    serve_queue(s, node);
}

void node_ended(struct simulation *s, uint32_t request)
{
    struct sim_request *r = &s->request[request];
    struct sim_node *n = &s->node[r->node];
    struct sim_resident *m = resident(n, r->model);
    double took = (double)(s->now - r->started) / 1e9;
    r->state = SERVED, r->ended = s->now;
    n->busy--, m->running--, m->used = s->now;
    n->slot[r->slot] = NONE;
    n->work += took * n->speed;
    serve_queue(s, r->node);
}

void node_dies(struct simulation *s, uint32_t node, void (*lost)(struct simulation *s, uint32_t request))
{
    struct sim_node *n = &s->node[node];
    uint32_t queued = n->head;
    n->up = false, n->life++, n->head = NONE, n->residents = 0, n->loading = NONE, n->busy = 0;
    forget(s, node, UINT32_MAX);
    for (uint32_t i = 0; i < s->spec->slots; i++) {
        uint32_t r = n->slot[i];
        n->slot[i] = n->last[i] = NONE;
        if (r != NONE)
            lost(s, r);
    }
    for (uint32_t next; queued != NONE; queued = next) {
        next = s->request[queued].next;
        lost(s, queued);
    }
}
