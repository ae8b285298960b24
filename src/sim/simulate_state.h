/* sim/simulate_state.h - the simulation's own: clock, nodes, requests. */
#pragma once
#include "sim/simulate.h"

#define NONE UINT32_MAX

enum event_kind { EVENT_PREFILLED, EVENT_ENDS, EVENT_LOADED, EVENT_TURN, EVENT_KILL, EVENT_BACK };
struct event {
    nsec at;
    uint64_t order; /* of making: equal moments happen in it */
    enum event_kind kind;
    uint32_t a, b, life; /* request, or node and model; which life of it this was meant for */
};
struct clock { /* a binary heap */
    struct event *event;
    uint32_t n, cap;
    uint64_t made;
    bool failed;
};
void clock_add(struct clock *c, struct event e);
bool clock_pop(struct clock *c, struct event *out);
static inline nsec clock_next(const struct clock *c)
{
    return c->n ? c->event[0].at : NEVER;
}
void clock_free(struct clock *c);

enum { WAITING_AT_GATEWAY, AT_NODE, RUNNING, SERVED, REFUSED, FAILED };
struct sim_request {
    nsec at, started, first, ended;
    uint64_t ticket;
    uint32_t in, out, model, tenant, path, blocks;
    uint32_t node, slot, next, life; /* next: in its node's queue */
    uint32_t matched, tries;
    nsec prefill_took;
    int state;
};
struct sim_resident {
    uint32_t model, running;
    nsec used;
};
struct sim_node {
    double speed;
    bool up;
    uint32_t head, tail; /* requests that queue here */
    uint32_t busy, life;
    uint32_t *slot; /* request in it */
    uint32_t *last; /* whose prompt it held last */
    struct sim_resident *resident;
    uint32_t residents, loading; /* model */
    double work;
};
struct simulation {
    const struct simulate_spec *spec;
    struct scheduler *scheduler;
    struct prefix *known, *cached; /* the gateway's belief; the nodes' truth */
    struct clock clock;
    struct sim_request *request;
    struct sim_node *node;
    uint32_t requests, hold;
    nsec now, turn_at;
    uint64_t hit_blocks, blocks;
    uint32_t loads, evictions, retried;
    struct scheduler_orders orders;
};

/* ---- simulate_node.c -------------------------------------------------------------------------------------------- */
void node_arrives(struct simulation *s, uint32_t node, uint32_t request);
void node_prefilled(struct simulation *s, uint32_t request);
void node_ended(struct simulation *s, uint32_t request);
void node_load(struct simulation *s, uint32_t node, uint32_t model);
void node_unload(struct simulation *s, uint32_t node, uint32_t model);
void node_loaded(struct simulation *s, uint32_t node, uint32_t model);
/* Takes out every request that it has, calling back for each. */
void node_dies(struct simulation *s, uint32_t node, void (*lost)(struct simulation *s, uint32_t request));
const uint64_t *path_of(const struct simulation *s, const struct sim_request *r);

/* ---- simulate_report.c ------------------------------------------------------------------------------------------ */
enum fail report_make(const struct simulation *s, struct simulate_result *out);
