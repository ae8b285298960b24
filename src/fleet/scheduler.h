/* fleet/scheduler.h - which node serves which request, when, and which models lie where: state in, orders out.
 *
 * Pure: no I/O, no lock, no clock, no chance but its own seed; after scheduler_new no memory is asked for. The live
 * fleet calls it under its lock, a simulation on a virtual clock: both get the very same decisions from the same
 * events. Not thread-safe by itself. Specification: scheduling, sections 2, 3, 4 and 6.
 *
 *      ask ------> wait --grant--> hold a lease --first--> --end-->        a ticket, known by a number
 *                    \--refuse--> gone      \--end (failed)--> gone        (dead numbers are let pass, never doubled)
 *
 *      note resident, load ended, node state, end   ---->   grants in the order of 3.3, loads, unloads
 *
 * Nodes, models: dense numbers that the caller gives (a model here is a digest *with* the options that force a reload).
 * Every call that can change who is served writes orders to *out; when `more` is set, carry them out and call
 * scheduler_turn at once.
 */
#pragma once
#include "fleet/prefix.h"
#include "fleet/ticket.h"

#define SCHEDULER_NONE UINT32_MAX /* no node, no model */

enum scheduler_policy {
#define SCHEDULER_POLICY(name, choose, binds, says) SCHEDULER_##name,
#include "fleet/scheduler_policy.def"
#undef SCHEDULER_POLICY
    SCHEDULER_POLICIES
};
struct str scheduler_policy_name(enum scheduler_policy p);
const char *scheduler_policy_says(enum scheduler_policy p);
/* False, and *out left alone, if there is none of that name. */
bool scheduler_policy_named(struct str name, enum scheduler_policy *out);

/* ---- making it -------------------------------------------------------------------------------------------------- */
struct scheduler_settings {
    uint32_t nodes, models, tickets; /* how many there may be; tickets waiting and served together */
    enum scheduler_policy policy;
    uint32_t bound;     /* waiting per model; 0: as many as there are tickets */
    bool shed;          /* refuse at the door when the wait would be long */
    bool binds;         /* simulations: policies that are blind to slots bind on arrival, and nodes queue */
    bool chance_breaks; /* simulations: least_loaded breaks ties by chance */
    uint64_t seed;
    nsec max_wait;                        /* in the queue; NEVER */
    double prefill, decode, load, output; /* what is assumed of a node of weight 1 before it has shown anything:
                                             tokens/s, tokens/s, bytes/s; and tokens an answer has */
    double prefill_weight, decode_weight; /* 2 and 0.1: in T */
    double wait_below;                    /* 0.6: wait for a busy node only if its T is below this share */
    double tie_share, tie_seconds;        /* 0.2 and 0.2 */
    nsec replica_after, residency_min, drain_after; /* 2 s, 30 s, 5 s */
    nsec rate_over;                                 /* 300 s: request rates of models */
};
void scheduler_settings_default(struct scheduler_settings *s);
struct scheduler;
/* NULL when memory is out. */
struct scheduler *scheduler_new(const struct scheduler_settings *s, nsec now);
void scheduler_free(struct scheduler **s);

/* ---- orders ----------------------------------------------------------------------------------------------------- */
enum scheduler_verb {
    ORDER_GRANT,  /* ticket may go to node now */
    ORDER_REFUSE, /* ticket is gone: why, retry_after_s */
    ORDER_LOAD,   /* load model on node; answer with scheduler_loaded */
    ORDER_UNLOAD, /* it is taken for gone; a later scheduler_note corrects that */
};
struct scheduler_terms { /* weighted, in seconds, as X-OllamaMax-Decision shows them */
    float total, slot, load, prefill, decode, penalty;
    uint32_t candidates;
};
struct scheduler_order {
    enum scheduler_verb verb;
    uint32_t node, model;
    uint64_t ticket, owner;
    enum fail why;
    uint32_t retry_after_s;
    uint32_t matched_tokens; /* of the prompt, expected in the node's cache */
    struct scheduler_terms terms;
};
#define SCHEDULER_ORDERS 64
struct scheduler_orders {
    uint32_t n;
    bool more;
    nsec next_turn; /* call scheduler_turn at the latest then; NEVER: nothing is due */
    struct scheduler_order order[SCHEDULER_ORDERS];
};
static inline void scheduler_orders_init(struct scheduler_orders *o)
{
    o->n = 0, o->more = false, o->next_turn = NEVER;
}

/* ---- nodes and models ------------------------------------------------------------------------------------------- */
struct scheduler_node {
    bool up;             /* may be given work */
    bool draining;       /* no new work */
    double weight;       /* 0 = 1 */
    double share;        /* slow start: 0.1 to 1; 0 = 1 */
    double penalty;      /* seconds: errors, suspicion */
    uint32_t slots;      /* over all models; 0: no such limit */
    uint32_t held;       /* models it can hold; 0: as many as memory takes */
    uint64_t vram;       /* bytes; 0: unknown, no limit */
    uint64_t labels, id; /* a bit each; never reused */
};
/* New, or changed. A node that goes down loses its residency, and its leases must still be ended one by one. */
void scheduler_node(struct scheduler *s, uint32_t node, const struct scheduler_node *is, nsec now,
                    struct scheduler_orders *out);
/* A model, or a change of it. Takes the fleet's policy unless `policy` is one. */
void scheduler_model(struct scheduler *s, uint32_t model, uint64_t bytes, enum scheduler_policy policy);
enum scheduler_slots { SLOTS_LEARNT, SLOTS_TOLD };
/* The node can (cannot) serve the model; `slots` at once (TOLD; 0: no limit), or to be learnt. */
void scheduler_holds(struct scheduler *s, uint32_t node, uint32_t model, bool holds, enum scheduler_slots how,
                     uint32_t slots, nsec now, struct scheduler_orders *out);
/* The node says that the model is (is no longer) loaded. */
void scheduler_note(struct scheduler *s, uint32_t node, uint32_t model, bool resident, nsec now,
                    struct scheduler_orders *out);
/* The breaker of node and model: no work while it is open. */
void scheduler_bar(struct scheduler *s, uint32_t node, uint32_t model, bool barred, nsec now,
                   struct scheduler_orders *out);
/* An ordered load has ended. `took`: 0 when unknown. */
void scheduler_loaded(struct scheduler *s, uint32_t node, uint32_t model, bool good, nsec took, nsec now,
                      struct scheduler_orders *out);
/* How long an ordered load may take before it counts as failed: 5 min + 20 s/GiB, more on nodes that showed to be slow.
 */
nsec scheduler_load_limit(const struct scheduler *s, uint32_t node, uint32_t model);
/* The operator: load there (node NONE: where it is cheapest), OK also if it is there already, FAIL_no_node / unload
 * from every holder, busy ones as soon as they are idle. */
enum fail scheduler_load(struct scheduler *s, uint32_t node, uint32_t model, nsec now, struct scheduler_orders *out);
void scheduler_unload(struct scheduler *s, uint32_t model, nsec now, struct scheduler_orders *out);

/* ---- requests --------------------------------------------------------------------------------------------------- */
struct scheduler_ask {
    uint32_t model, prompt_tokens;
    uint32_t output_tokens; /* 0: what was learnt */
    enum band band;
    uint64_t tenant, owner, key;    /* key: what several gateways agree by; owner: comes back in orders */
    nsec deadline;                  /* NEVER; moments like `now` */
    const struct prefix_hint *hint; /* copied */
    uint32_t hints;
    uint32_t pin;           /* a node, or NONE */
    const uint32_t *not_on; /* nodes that were tried, copied */
    uint32_t not_on_n;      /* at most TRIED_MAX */
    uint64_t labels;        /* that the node must have */
};
/* The ticket's number; what becomes of it is in the orders, at once or later. 0: out of tickets (refused, no order). */
uint64_t scheduler_ask(struct scheduler *s, const struct scheduler_ask *a, nsec now, struct scheduler_orders *out);
/* Its client has left: out of the queue, or, when it holds a lease, that goes back. False if there is none such. */
bool scheduler_cancel(struct scheduler *s, uint64_t ticket, nsec now, struct scheduler_orders *out);
/* Its first token has come. */
void scheduler_first(struct scheduler *s, uint64_t ticket, nsec now);
struct scheduler_figures {   /* as the node's final record has them; 0 = not said */
    bool failed;             /* nothing is learnt but the penalty */
    uint32_t prefill_tokens; /* really evaluated */
    uint32_t output_tokens;
    nsec prefill_took, decode_took, load_took, waited_inside;
};
/* Its end is proven: the lease goes back, and what it shows is learnt. False if the number is dead. */
bool scheduler_end(struct scheduler *s, uint64_t ticket, const struct scheduler_figures *f, nsec now,
                   struct scheduler_orders *out);
/* Time has passed: deadlines, replicas, drains, whatever did not fit the last orders. */
void scheduler_turn(struct scheduler *s, nsec now, struct scheduler_orders *out);

/* ---- looking ---------------------------------------------------------------------------------------------------- */
uint32_t scheduler_waiting(const struct scheduler *s, uint32_t model);                 /* NONE: of all models */
uint32_t scheduler_inflight(const struct scheduler *s, uint32_t node, uint32_t model); /* model NONE: of all */
bool scheduler_resident(const struct scheduler *s, uint32_t node, uint32_t model);
uint32_t scheduler_slots(const struct scheduler *s, uint32_t node, uint32_t model); /* 0: no limit */
/* Terms of an ask for every node, without asking: out[nodes]; excluded nodes have total INFINITY. Returns the node that
 * it would get now, or NONE. */
uint32_t scheduler_explain(struct scheduler *s, const struct scheduler_ask *a, nsec now, struct scheduler_terms *out);
/* How long such an ask would wait now, seconds. */
double scheduler_expected_wait(struct scheduler *s, const struct scheduler_ask *a, nsec now);
/* Adds everything up anew and compares (property tests); false, with *why, if it does not fit. */
bool scheduler_sound(struct scheduler *s, nsec now, const char **why);
