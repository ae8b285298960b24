/* fleet/fleet.h - nodes, who has what, and who is asked: one state behind one lock (design: decision 1).
 *
 * A request asks with a ticket and gets a lease, waits, or is refused. Every call takes the lock, changes state and
 * returns *orders*, which the caller carries out after it: under the lock there is no I/O, no callback and no heap.
 * Time is passed in, so that simulations and plays drive the very same code. Any thread may call.
 *
 * A ticket waits for knowledge: the first probe round (at most 1 s), and the coalesced refresh that an unknown model
 * triggers (at most 1 per second, 2 s). Then, if it runs the model, it waits at the scheduler (fleet/scheduler.h) for a
 * slot where the model is loaded; loads and unloads are ordered from whoever calls, as tasks of the fleet's own.
 */
#pragma once
#include "fleet/breaker.h"
#include "fleet/model_rules.h"
#include "fleet/scheduler.h"

struct fleet;
struct fleet_settings {
    enum scheduler_policy policy;
    uint32_t queue_max;                           /* waiting per model */
    bool shed;                                    /* refuse on arrival when the wait would be long */
    nsec load_timeout;                            /* 5 min; and 20 s for each GiB of the model */
    struct model_rules *rules;                    /* lent: the fleet takes a reference; NULL: none */
    nsec health_interval, health_timeout;         /* 5 s, 2 s */
    nsec ps_interval, tags_interval;              /* 2 s, 30 s */
    nsec resolve_interval;                        /* 30 s */
    nsec first_round, refresh_wait;               /* 1 s, 2 s */
    double retry_budget_ratio, retry_budget_rate; /* 0.20 of requests, + 1 per second */
};
void fleet_settings_default(struct fleet_settings *s);
/* NULL when memory is out. */
struct fleet *fleet_new(const struct fleet_settings *s, nsec now);
/* All leases and pins must have been given back (assumed). */
void fleet_free(struct fleet **f);
void fleet_configure(struct fleet *f, const struct fleet_settings *s);

/* ---- orders ---------------------------------------------------------------------------------------------------- */
enum { PROBE_RESOLVE = 1, PROBE_VERSION = 2, PROBE_TAGS = 4, PROBE_PS = 8 };
struct probe_order {
    struct node *node;   /* pinned for the probe: give back with fleet_observe */
    unsigned what;       /* one PROBE_ bit */
    struct addr addr;    /* where to ask (not for PROBE_RESOLVE) */
    enum node_kind kind; /* as it is known now: node->kind must not be read without the lock */
    nsec patience;       /* how long the node may take */
};
/* Work of the fleet's own on a node: load a model there (an empty prompt with the same options), or unload it. */
struct task_order {
    struct node *node; /* pinned: give back with fleet_task_done */
    struct addr addr;
    uint32_t variant;
    bool loads, embeds;
    struct str spelled; /* it and the options stay until fleet_task_done */
    const struct options *options;
    nsec patience;
};
#define ORDERS_PROBES 16
#define ORDERS_TASKS  8
struct orders {
    struct list decided; /* tickets that waited and are now granted or refused (ticket.link); tell their exchanges */
    struct probe_order probe[ORDERS_PROBES];
    unsigned probes;
    struct task_order task[ORDERS_TASKS];
    unsigned tasks;
    bool more;      /* more is due: call fleet_turn again */
    nsec next_turn; /* when fleet_turn wants to be called at the latest; never takes an earlier promise back */
    bool views_changed;
};
void orders_init(struct orders *o);

/* ---- requests -------------------------------------------------------------------------------------------------- */
/* Before fleet_ask: which nodes have the beginning of the prompt in their caches; and after a grant: this one will.
 * Both take a lock of their own. */
void fleet_hints(struct fleet *f, struct ticket *t);
void fleet_keep_prompt(struct fleet *f, const struct ticket *t);
/* Memory is short: who would have to wait is refused (FAIL_memory_short); who waits already does so on, and retries
 * may.
 */
void fleet_shut_queue(struct fleet *f, bool on);
enum verdict fleet_ask(struct fleet *f, struct ticket *t, nsec now, struct orders *out);
/* Ends the lease in *l (and empties it): teaches state, counts, last_error; connect failures mark the node down at
 * once. */
void fleet_end(struct fleet *f, struct lease *l, const struct attempt_end *end, nsec now, struct orders *out);
/* The client left while the ticket waited, or between the grant and its delivery: the lease goes back. True if it still
 * waited; false if it had been decided: see ticket.announced (it will read as refused, FAIL_client_gone). */
bool fleet_cancel(struct fleet *f, struct ticket *t, nsec now, struct orders *out);
/* The first token of a stream has come, of a lease that learns. */
void fleet_first(struct fleet *f, const struct lease *l, nsec now);
/* A load or unload has ended: `took` by the node's own word, or 0. The texts of the order are gone afterwards. */
void fleet_task_done(struct fleet *f, const struct task_order *o, enum fail why, struct str error_text, nsec took,
                     nsec now, struct orders *out);
/* Unloads the ticket's model, however it was loaded, wherever it is: at once where it is idle, else when it is. On how
 * many nodes it was; fleet_unloaded: those that were idle have done it, and said so. */
unsigned fleet_unload(struct fleet *f, const struct ticket *t, nsec now, struct orders *out);
bool fleet_unloaded(struct fleet *f, uint64_t model_hash);
/* Time has passed: probes that are due, tickets whose wait is over. */
void fleet_turn(struct fleet *f, nsec now, struct orders *out);

/* Is this node down now? For those who hold a lease or a pin on it. */
bool fleet_is_down(struct fleet *f, const struct node *n);

/* ---- what probes find ------------------------------------------------------------------------------------------ */
struct observation {
    unsigned what;    /* the PROBE_ bit ordered */
    enum fail failed; /* OK, or why not */
    struct str error_text;
    struct addr *found; /* RESOLVE */
    unsigned founds;
    struct str version;  /* VERSION */
    enum node_kind kind; /* VERSION: NODE_UNKNOWN = keep */
    bool simulated;
    nsec wall;               /* PS: of the answer */
    uint32_t slots, context; /* TAGS, of a server that has one model: requests at once, tokens of each; 0: not said */
    struct inventory
        *inventory; /* TAGS, PS: the fleet takes it over and leaves NULL, or leaves it when it says nothing new */
};
/* Unpins the node. After the call ob->inventory is what the caller must free, if it is not NULL. */
void fleet_observe(struct fleet *f, struct node *n, struct observation *ob, nsec now, struct orders *out);
/* A model has come or gone on a node through us (pull, create, copy, delete): ask for its tags and ps now. id 0: all
 * nodes. Returns a number for fleet_told. */
uint64_t fleet_refresh(struct fleet *f, uint64_t node_id, nsec now, struct orders *out);
/* Has the node told its tags since that refresh? True as well of one that has gone or does not answer: nobody will. */
bool fleet_told(struct fleet *f, uint64_t node_id, uint64_t refresh);

/* ---- the operator ---------------------------------------------------------------------------------------------- */
/* `out` NULL: nothing is ordered now, the next fleet_turn does it (before there is a gateway, and by a reload, which
 * has the gateway turn the fleet). */
/* FAIL_bad_setting (URL; *why says what), FAIL_conflict (same name or same URL), FAIL_no_memory. *out_id is the new
 * node's id. */
enum fail fleet_add(struct fleet *f, const struct node_spec *spec, bool at_run_time, nsec now, uint64_t *out_id,
                    const char **why, struct orders *out);
struct node_change {
    double weight;     /* < 0: keep */
    int slots;         /* < -1: keep */
    int64_t vram;      /* bytes; 0: not known; < 0: keep */
    struct str labels; /* p NULL: keep */
    int drain;         /* 1 drain, 0 undrain, -1 keep */
};
#define NODE_CHANGE_NOTHING                                                                                            \
    {                                                                                                                  \
        .weight = -1, .slots = -2, .vram = -1, .drain = -1                                                             \
    }
/* FAIL_node_unknown, FAIL_no_memory. */
enum fail fleet_change(struct fleet *f, struct str name, const struct node_change *c, nsec now, struct orders *out);
/* Drains, and goes with its last lease; its name and URL are free at once. FAIL_node_unknown. */
enum fail fleet_remove(struct fleet *f, struct str name, nsec now, struct orders *out);

/* ---- views ----------------------------------------------------------------------------------------------------- */
/* A pre-rendered answer, shared and immutable; made anew when inventories change. */
struct view {
    _Atomic int refs;
    uint64_t generation;
    struct str body;
};
enum view_id { VIEW_TAGS, VIEW_PS, VIEW_V1_MODELS, VIEW_VERSION, VIEWS };
/* NULL only when memory is out. Renders outside the lock when what is at hand is older than the inventories. */
struct view *fleet_view(struct fleet *f, enum view_id id, nsec wall);
void view_unref(struct view **v);
/* Has every node answered its first probes, or missed them (so that views are worth showing)? */
bool fleet_knows(struct fleet *f);

/* What the scheduler knows of a node with a model. */
struct node_serves {
    uint64_t model;               /* hash of the model's key */
    uint32_t inflight, slots;     /* slots 0: no limit, or nothing is known */
    struct scheduler_rates rates; /* as learnt */
    enum breaker_state breaker;
    uint32_t breaker_opens; /* so far */
};

/* Which model a name means. */
struct model_digest {
    uint64_t changed; /* fleet_models_changed when it was found: holds as long as that stays */
    uint32_t n;       /* 0: nobody is known to have it, or they do not agree */
    char text[96];
    bool cloud;  /* somewhere it is one that runs elsewhere */
    bool ollama; /* all who have it are Ollama */
};
/* By the hash of the model's key. */
void fleet_digest(struct fleet *f, uint64_t model_hash, struct model_digest *out);
/* Grows whenever a node's models, or who has any, have changed. Takes no lock. */
uint64_t fleet_models_changed(const struct fleet *f);

/* A copy of everything worth showing of every node, for operations routes and metrics. Strings are in its arena. */
struct node_view {
    uint64_t id;
    struct str name, url, version, labels, last_error_text;
    enum node_state state;
    enum node_kind kind;
    bool simulated, added_at_run_time;
    double weight;
    int slots;        /* -1: neither configured nor told */
    uint64_t vram;    /* bytes, as the operator told; 0: not */
    uint32_t context; /* tokens that a request may have; 0: not told */
    uint32_t inflight;
    uint64_t requests, errors;
    enum fail last_error;
    nsec state_since, last_error_at, last_seen;
    uint32_t models;
    const struct inventory_model *model; /* tags */
    uint32_t loaded;
    const struct inventory_model *resident; /* ps */
    enum breaker_state breaker;             /* these are told by fleet_snapshot_serves: */
    uint32_t breaker_opens;
    uint32_t serves_n;
    const struct node_serves *serves; /* of models that somebody has asked for */
};
/* NULL: it is not known what the node does with it. */
const struct node_serves *node_view_serves(const struct node_view *v, uint64_t model);
struct fleet_snapshot {
    struct arena arena;
    nsec now;
    uint32_t n, up, waiting;
    struct node_view *node;
};
/* Heap-made outside the lock; NULL when memory is out. */
struct fleet_snapshot *fleet_snapshot(struct fleet *f, nsec now);
/* Adds what the scheduler and the breakers know, with the lock taken once a node. False when memory is out. */
bool fleet_snapshot_serves(struct fleet *f, struct fleet_snapshot *s);
void fleet_snapshot_free(struct fleet_snapshot **s);

/* What would become of a ticket if it were asked now. Nothing is granted, nobody waits, no load begins; only a model
 * that the scheduler has not met yet is introduced to it, if there is room. */
struct fleet_candidate {
    struct str node;
    struct scheduler_explained is;
};
struct fleet_explained {
    struct arena arena;
    enum fail refused; /* at once: why; OK: it would be served, or wait */
    enum scheduler_policy policy;
    uint32_t node, waits_for, loads_on; /* of the candidates: as in struct scheduler_would; SCHEDULER_NONE */
    uint32_t n;
    struct fleet_candidate *candidate; /* every node */
};
/* The ticket is as for fleet_ask, hints included, and is left as it is. Heap-made outside the lock; NULL when memory is
 * out. */
struct fleet_explained *fleet_explain(struct fleet *f, const struct ticket *t, nsec now, struct orders *out);
void fleet_explained_free(struct fleet_explained **e);

/* Who waits for a slot, model by model in serving order, as it is now: later ones may come in between. */
struct fleet_waiter {
    struct str model, request_id;
    uint64_t tenant; /* hash */
    enum band band;
    nsec waited, eta;  /* eta: until it is served, by what is known; NEVER: nobody has the model loaded yet */
    uint32_t position; /* from 1, for its model and the options it asks for */
};
struct fleet_queue {
    struct arena arena;
    uint32_t n;
    struct fleet_waiter *waiter;
};
/* Heap-made outside the lock; NULL when memory is out. */
struct fleet_queue *fleet_queue(struct fleet *f, nsec now);
void fleet_queue_free(struct fleet_queue **q);

/* The inputs of the scheduler of late, as scheduler_replay runs them again: heap-made, for the caller to free. NULL:
 * memory is out, or the fleet has outgrown what is kept. */
void *fleet_decisions(struct fleet *f, size_t *out_n);

/* Pins, for work that names nodes itself (fan-outs, blobs): every node that has the model (key empty: every node that
 * is up). Returns how many were written to out[max]; each must be unpinned. `up_only`: without those that are down. */
unsigned fleet_pin_holders(struct fleet *f, struct str key, bool up_only, struct node **out, unsigned max, nsec now);
struct node *fleet_pin_named(struct fleet *f, struct str name);
void fleet_unpin(struct fleet *f, struct node **n);

/* For counters: how often the lock was taken and waited for, for how long in all, and for how long it was held: in all,
 * at most, and quantiles (sampled). Nanoseconds. */
struct fleet_lock_count {
    uint64_t takes, waits;
    nsec waited;
    nsec held, held_max, held_p50, held_p99;
};
struct fleet_lock_count fleet_lock_count(struct fleet *f);
