/* fleet/scheduler.h - which node serves which request, when, and which models lie where: state in, orders out.
 *
 * Pure: no I/O, no lock, no clock, no chance but its own seed; memory is asked for by scheduler_new and
 * scheduler_room_new only. The live fleet calls it under its lock, a simulation on a virtual clock: both get the very
 * same decisions from the same events. Not thread-safe by itself. Specification: scheduling, sections 2, 3, 4 and 6.
 *
 *      ask ------> wait --grant--> hold a lease --first--> --end-->        a ticket, known by a number
 *                    \--refuse--> gone      \--end (failed)--> gone        (dead numbers are let pass, never doubled)
 *
 *      note resident, load ended, node state, end   ---->   grants in the order of 3.3, loads, unloads
 *
 * Nodes, models: dense numbers that the caller gives (a model here is a digest *with* the options that force a reload).
 * Every call that can change who is served adds orders to *out; when `more` is set, carry them out and call
 * scheduler_turn at once. Several calls may share one *out; scheduler_ask and scheduler_load find room in it if they
 * come once, as the last. `next_turn` is what the last call found: NEVER from scheduler_ask means unchanged.
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
    uint32_t nodes, models, tickets; /* how many there may be; tickets waiting and served together. Room for numbers
                                        that were never used costs address space, no memory and no time */
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
/* Settings that may change while it runs; they hold from the next decision on. */
void scheduler_configure(struct scheduler *s, enum scheduler_policy policy, uint32_t bound, bool shed);

/* When numbers run out: new room is made outside the caller's lock, moved into under it (what is in use is copied; no
 * memory is asked for), and given back after it, then with the old arrays inside. */
struct scheduler_room;
/* NULL when memory is out. */
struct scheduler_room *scheduler_room_new(uint32_t nodes, uint32_t models);
/* Let pass if there is as much room already. */
void scheduler_move(struct scheduler *s, struct scheduler_room *room);
void scheduler_room_free(struct scheduler_room **r);

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
    uint32_t next; /* of a grant by eta: who came second; NONE: no other could have taken it, free or busy */
    struct scheduler_terms next_terms;
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
#define SCHEDULER_SHUNNED 30.0 /* seconds: a penalty that makes a node the last choice of every policy */
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
/* New, or changed. A node that goes down loses its residency, and its leases must still be ended one by one. Another id
 * under the same number is another machine: whatever was known of the one before is forgotten, but for its leases. */
void scheduler_node(struct scheduler *s, uint32_t node, const struct scheduler_node *is, nsec now,
                    struct scheduler_orders *out);
/* A model, or a change of it; before anything else names its number. Takes the fleet's policy unless `policy` is one.
 * Models of one `family` (0: none) are the same file with different options that force a reload: a node has one of them
 * at a time. To load one makes the node drop the other by itself, so that no ORDER_UNLOAD is given for that one; it
 * must be idle, and counts as thrown out. */
void scheduler_model(struct scheduler *s, uint32_t model, uint64_t bytes, enum scheduler_policy policy,
                     uint64_t family);
/* Its number may be used for another model. False, and nothing happens, while somebody waits for it, is served by it,
 * or a load of it is underway. */
bool scheduler_forget_model(struct scheduler *s, uint32_t model, nsec now);
enum scheduler_slots { SLOTS_LEARNT, SLOTS_TOLD };
/* The node can (cannot) serve the model; `slots` at once (TOLD; 0: no limit), or to be learnt. */
void scheduler_holds(struct scheduler *s, uint32_t node, uint32_t model, bool holds, enum scheduler_slots how,
                     uint32_t slots, nsec now, struct scheduler_orders *out);
/* The node says that the model is (is no longer) loaded; then its family's others are not. */
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
/* Is there a node that could serve the model or load it now: up, not draining, holds it, not barred, and not in the
 * pause after a load that failed? If not, those that wait may as well be told. Those that not every node may serve, and
 * for whom none of theirs is left, are refused without being asked for, soon (FAIL_no_holder_up, or
 * FAIL_retries_exhausted of one that has been elsewhere). */
bool scheduler_hopeful(const struct scheduler *s, uint32_t model, nsec now);
/* Refuses all that wait for the model now (what does not fit the orders: by the scheduler_turn that `more` asks for).
 */
void scheduler_refuse_waiting(struct scheduler *s, uint32_t model, enum fail why, nsec now,
                              struct scheduler_orders *out);
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
/* Its client has left: out of the queue, or, when it holds a lease, that goes back at once (never dialled, or the end
 * is proven). False if there is none such. */
bool scheduler_cancel(struct scheduler *s, uint64_t ticket, nsec now, struct scheduler_orders *out);
/* One that waits wants these labels of its node as well, and keeps its place. False if there is none such. */
bool scheduler_require(struct scheduler *s, uint64_t ticket, uint64_t labels, nsec now);
/* Its client has left while the node works on it: the lease stays counted until the time that this node takes to stop
 * this model is over (0.1 s at first; learnt from whether those who came next waited inside), or until scheduler_end or
 * scheduler_cancel prove it. Then the number is dead. One that waits is cancelled. False if there is none such. */
bool scheduler_drain(struct scheduler *s, uint64_t ticket, nsec now, struct scheduler_orders *out);
/* Its first token has come; not of an answer that comes in one piece. */
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
/* Time has passed: deadlines, replicas, drains, leases that have drained, whatever did not fit the last orders. */
void scheduler_turn(struct scheduler *s, nsec now, struct scheduler_orders *out);

/* ---- looking ---------------------------------------------------------------------------------------------------- */
uint32_t scheduler_waiting(const struct scheduler *s, uint32_t model);                 /* NONE: of all models */
uint32_t scheduler_inflight(const struct scheduler *s, uint32_t node, uint32_t model); /* model NONE: of all */
enum scheduler_policy scheduler_policy_of(const struct scheduler *s, uint32_t model);
/* Are its slots learnt there, so that scheduler_first matters? */
bool scheduler_learns(const struct scheduler *s, uint32_t node, uint32_t model);
bool scheduler_resident(const struct scheduler *s, uint32_t node, uint32_t model);
uint32_t scheduler_slots(const struct scheduler *s, uint32_t node, uint32_t model); /* 0: no limit */
/* What was learnt of a node with a model; 0: nothing was yet. */
struct scheduler_rates {
    double prefill, decode, load; /* tokens/s, tokens/s, bytes/s */
};
struct scheduler_rates scheduler_rates(const struct scheduler *s, uint32_t node, uint32_t model);
/* Why a node would not get it now, the first reason that holds. */
enum scheduler_excluded {
    EXCLUDED_NOT,
    EXCLUDED_DOWN,
    EXCLUDED_DRAINING,
    EXCLUDED_PINNED, /* to another node */
    EXCLUDED_TRIED,
    EXCLUDED_LABEL,
    EXCLUDED_NO_MODEL,
    EXCLUDED_BARRED,
    EXCLUDED_LEAVING, /* it unloads the model as soon as it is idle */
    EXCLUDED_PAUSED,  /* the model's last load there failed */
    EXCLUDED_NO_ROOM, /* not loaded, and nothing may go for it */
    EXCLUDED_FULL,    /* every slot is taken; its terms say when one frees */
    SCHEDULER_EXCLUDED
};
/* For people: "every slot is taken". */
const char *scheduler_excluded_says(enum scheduler_excluded e);
struct scheduler_explained {
    struct scheduler_terms terms; /* total INFINITY if excluded, but for EXCLUDED_FULL; load: what a node without the
                                     model takes to have it, with the load that is underway there */
    enum scheduler_excluded excluded;
    bool resident;
    uint32_t inflight, slots; /* of the model there; slots 0: no limit */
};
struct scheduler_would {
    uint32_t node;      /* the one it would get now; NONE: it would wait */
    uint32_t waits_for; /* a busy node that is worth waiting for; NONE */
    uint32_t loads_on;  /* where the model would be loaded for it, or is being loaded; NONE */
};
/* What would become of an ask, without asking, whatever the policy. out[n]: the first n nodes, those in use. */
struct scheduler_would scheduler_explain(struct scheduler *s, const struct scheduler_ask *a, nsec now,
                                         struct scheduler_explained *out, uint32_t n);
/* How long such an ask would wait now, seconds. */
double scheduler_expected_wait(struct scheduler *s, const struct scheduler_ask *a, nsec now);
/* What decides in which order those go that wait, and when. Moments and seconds are of the scheduler's own clock. */
struct scheduler_waiter {
    uint64_t owner;
    uint32_t model, tenant; /* tenant: a number, only to tell them apart */
    enum band band;
    double waited, service; /* seconds so far; expected, on a node of middling speed */
    double tokens;          /* that its tenant is charged for it */
    double counter, since;  /* of its tenant: tokens it has had; since when somebody of it waits */
};
/* All that wait, in no order; `out` has room for scheduler_waiting(s, NONE). */
uint32_t scheduler_waiters(struct scheduler *s, nsec now, struct scheduler_waiter *out);
/* In the order in which they would be served, by model, if nobody else came. Needs no scheduler, and no lock. */
void scheduler_waiters_sort(struct scheduler_waiter *w, uint32_t n);
/* Seconds until the first slot for the model frees, and how many slots of middling speed work on it; 0 slots: none has
 * it. */
double scheduler_first_free(const struct scheduler *s, uint32_t model, nsec now, double *out_slots);
/* Adds everything up anew and compares (property tests); false, with *why, if it does not fit. */
bool scheduler_sound(struct scheduler *s, nsec now, const char **why);
