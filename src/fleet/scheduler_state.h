/* fleet/scheduler_state.h - the scheduler's own: how its state lies in memory, and what its files do for each other.
 *
 * Moments are seconds since the scheduler was made (double), durations seconds. What a choice reads for every node lies
 * in arrays by node, those of a model one after the other: [model * nodes + node]. Lists are linked by index. */
#pragma once
#include "fleet/scheduler.h"
#include "fleet/scheduler_ring.h"

#define NONE           SCHEDULER_NONE
#define ALWAYS_FREE    (-1.0f) /* a moment before all others: has a free slot */
#define REBASED_AFTER  2048.0  /* seconds; a float then still tells tenths of milliseconds apart */
#define LOOKED_AT      8       /* waiters of a model that are looked at when a slot frees */
#define HINTS          8
#define SERVICE_STEPS  32  /* classes of expected service, a fourth of an octave each */
#define QUEUE_PATIENCE 2.0 /* seconds added to the service, so that very short ones do not always go first */
#define LENGTHS        20  /* classes of prompt lengths, an octave each */
#define BANDS          3
#define LANES          4    /* nodes that are scored at once */
#define STOP_FIRST     0.1f /* seconds; what is assumed of how long a node goes on when a client has left */

enum job_state { JOB_NONE, JOB_WAITS, JOB_SERVED };
struct job { /* a ticket */
    uint64_t owner, key, labels;
    enum job_state state;
    uint32_t generation, model, node;
    uint32_t next, prev; /* of its line's class; of its node's leases; `next` of the free ones */
    uint32_t line, step; /* while it waits */
    uint32_t tenant, pin, pass;
    enum band band;
    uint32_t prompt, output, matched;
    uint32_t hints, not_on_n;
    float service; /* expected, on a node of middling speed */
    float charge;  /* virtual tokens, while it is served */
    double arrived, deadline, granted, first, expected_end;
    uint32_t ahead;  /* in flight with its node and model when it was granted */
    double freed;    /* when the first slot of these became free beside it; 0: none did */
    bool stopping;   /* its client has left, and the node may not know yet: until expected_end */
    bool tests_stop; /* has a slot of one that was taken for stopped */
    uint32_t next_stopping, prev_stopping;
    struct prefix_hint hint[HINTS];
    uint32_t not_on[TRIED_MAX];
};

/* Those of one tenant that wait for one model in one band: by classes of expected service, each in order of arrival, so
 * that the largest waited / (service + 2 s) is at the head of a class. */
struct line {
    uint32_t model, tenant, next, prev;
    enum band band;
    uint32_t waiting, steps; /* bit per class that is not empty */
    double work;             /* seconds of expected service */
    uint32_t head[SERVICE_STEPS], tail[SERVICE_STEPS];
};
struct tenant {
    uint64_t id;
    uint32_t jobs, next; /* in its bucket; of the free ones */
    uint32_t waiting[BANDS];
    double counter; /* virtual tokens */
    uint32_t pass;
    double pass_charge;
    double queue_since; /* since when its queue has not been empty */
};

struct model {
    bool known;                   /* scheduler_model has introduced it */
    enum scheduler_policy policy; /* SCHEDULER_POLICIES: the fleet's */
    uint64_t bytes, family;
    uint32_t lines[BANDS];     /* first of each band */
    uint32_t waiting, limited; /* limited: not every node may serve them */
    double work;               /* of all that wait */
    bool active;               /* in s->active */
    uint32_t next_active, prev_active;
    double rate, rate_at; /* requests in the last rate_over, decayed */
    double pressed_since; /* replica rule; INFINITY: not pressed */
    uint32_t residents, usable, loadings;
    double doomed_until; /* those that came before are to be refused */
    enum fail doomed_why;
    float prefill_s, decode_s; /* of a node of weight 1 */
    uint32_t seen;
    struct {
        float mean, n;
    } output[LENGTHS + 1]; /* the last: of all lengths */
};
struct faults { /* recent ones, decayed; as many as there were then */
    float n;
    double at;
};
/* What is known of a node and a model, and not needed for each choice. */
struct pair {
    bool holds, resident, loading, leaving, barred, learnt;
    bool usable;              /* resident, and nothing but slots keeps it from serving */
    uint32_t inflight, slots; /* 0: no limit of its own */
    uint32_t reserved;        /* in this pass */
    uint32_t next_resident;   /* of the node */
    uint32_t yields_to;       /* the sibling that it leaves for; NONE */
    uint32_t proven, seen, loads_seen;
    uint32_t paced;
    float pace, pace_off; /* time taken over what its length lets expect: mean, and mean deviation */
    float beside, behind; /* proofs of one slot more, and of one less */
    double used, since;   /* last use, resident since */
    double probe_at, probe_pause;
    double load_after, load_pause; /* after a load that failed */
    float load_s;                  /* per byte */
    float stop_s;                  /* how long it goes on when a client has left */
    double stopped;                /* when one was last taken for stopped */
    struct faults faults;
};
struct turn { /* of policies that go in turn */
    double credit;
    uint64_t last;
};
struct machine { /* what is known of a node and not needed for each choice */
    bool up, draining;
    uint32_t slots, held_max, held, leases, loading;
    uint32_t residents; /* first of a list of models */
    uint64_t vram, vram_used, id;
    double load_ends;
    double refreshed; /* when slot_at was worked out */
    struct turn turn;
    float latency;
    double latency_at;
    float penalty; /* that the caller said */
    struct faults faults;
    uint32_t reserved;
};

/* Arrays with room for more than is in use (scheduler_room.c), one row each: ARRAY(type, name). */
#define ARRAYS_BY_NODE(ARRAY)                                                                                          \
    ARRAY(float, slot_at)    /* when a slot frees: ALWAYS_FREE, a moment, INFINITY when it must not be asked */        \
    ARRAY(float, slot_floor) /* a busy node's wait is at least that */                                                 \
    ARRAY(float, slow)       /* 1 / share */                                                                           \
    ARRAY(float, weight)                                                                                               \
    ARRAY(uint32_t, inflight)                                                                                          \
    ARRAY(uint64_t, salt)                                                                                              \
    ARRAY(uint64_t, labels)                                                                                            \
    ARRAY(struct machine, machine)                                                                                     \
    ARRAY(float, t) /* scratch, as those below */                                                                      \
    ARRAY(float, limit)                                                                                                \
    ARRAY(float, t_free)                                                                                               \
    ARRAY(uint32_t, candidate)                                                                                         \
    ARRAY(struct turn, turn_was)
#define ARRAYS_BY_PAIR(ARRAY)                                                                                          \
    ARRAY(float, pair_at) /* as slot_at; INFINITY unless resident and usable */                                        \
    ARRAY(float, penalty) /* seconds: the node's, and for failures */                                                  \
    ARRAY(float, prefill_s)                                                                                            \
    ARRAY(float, decode_s)                                                                                             \
    ARRAY(struct pair, pair)
#define ARRAYS_BY_MODEL(ARRAY)  ARRAY(struct model, model)
#define ARRAY_FIELD(type, name) type *name;
#define ROOM_FIELDS                                                                                                    \
    uint32_t nodes_max, models_max, stride;                                                                            \
    ARRAYS_BY_NODE(ARRAY_FIELD) ARRAYS_BY_PAIR(ARRAY_FIELD) ARRAYS_BY_MODEL(ARRAY_FIELD)
struct scheduler_room {
    ROOM_FIELDS
};

struct scheduler {
    union {
        struct scheduler_room room;
        struct {
            ROOM_FIELDS
        };
    };
    struct scheduler_settings settings;
    struct scheduler_ring *ring; /* NULL: nobody records */
    uint64_t ordered;            /* a sum over all orders */
    uint8_t had;                 /* orders that were in *out when the call began, which decides what finds room */
    nsec epoch;
    uint32_t nodes, models; /* the highest numbers that were used, and one */
    uint32_t width;         /* nodes, rounded up to LANES */
    double base;
    uint64_t chance, turns;

    struct job *job;
    struct line *line;
    struct tenant *tenant; /* the first is none */
    uint32_t *bucket;      /* tenants by id; 0: none */
    uint32_t buckets;
    uint32_t free_job, free_line, free_tenant;
    uint32_t jobs_used, lines_used, tenants_used; /* those behind were never touched */
    uint32_t first_active;
    uint32_t jobs, waiting;
    uint32_t limited; /* waiting, and not every node may serve them */
    uint32_t leaving; /* models that drain */
    bool hope_lost;   /* somebody may wait in vain: all are to be looked at again */
    double look_at;   /* next look at what only time changes */
    double floor;     /* virtual tokens of the last one served */
    uint32_t pass;
    double next_deadline;
    uint32_t first_stopping; /* leases that drain */
    double next_stopped;
    double next_fault_look;
    uint32_t candidates;
    struct {
        uint32_t node, model;
    } undo[LOOKED_AT * 16]; /* reservations of this pass */
    uint32_t undos;
};

static inline double seconds(const struct scheduler *s, nsec now)
{
    return (double)(now - s->epoch) / 1e9;
}
static inline float since_base(const struct scheduler *s, double at)
{
    return (float)(at - s->base);
}
static inline nsec moment(const struct scheduler *s, double at)
{
    return at > 9e9 ? NEVER : s->epoch + (nsec)(at * 1e9);
}
static inline size_t at_pair(const struct scheduler *s, uint32_t node, uint32_t model)
{
    return (size_t)model * s->stride + node;
}
static inline uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
static inline uint64_t draw(struct scheduler *s)
{
    return mix(s->chance += 0x9e3779b97f4a7c15);
}
static inline enum scheduler_policy policy_of(const struct scheduler *s, uint32_t model)
{
    enum scheduler_policy p = s->model[model].policy;
    return p == SCHEDULER_POLICIES ? s->settings.policy : p;
}
/* Tenants' buckets: as many as there may be jobs, a power of two. */
static inline uint32_t scheduler_buckets(uint32_t tickets)
{
    uint32_t n = 16;
    while (n < tickets)
        n *= 2;
    return n;
}
/* Hints of nodes that there are, at most HINTS. */
static inline uint32_t hints_in_use(const struct scheduler *s, const struct scheduler_ask *a, struct prefix_hint *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->hints && n < HINTS; i++)
        if (a->hint[i].node < s->nodes)
            out[n++] = a->hint[i];
    return n;
}
static inline bool job_limited(const struct job *j)
{
    return j->pin != NONE || j->labels || j->not_on_n;
}
static inline uint64_t ticket_of(const struct scheduler *s, uint32_t job)
{
    return (uint64_t)s->job[job].generation << 32 | job;
}

/* ---- scheduler_room.c ------------------------------------------------------------------------------------------- */
/* False when memory is out; either way room_give gives back what there is. */
bool room_take(struct scheduler_room *r, uint32_t nodes, uint32_t models);
void room_give(struct scheduler_room *r);
void room_use_node(struct scheduler *s, uint32_t node);
void room_use_model(struct scheduler *s, uint32_t model);
/* As if nothing had ever been known of the node and the model, but for leases; not for one resident, or loading. */
void room_clear_pair(struct scheduler *s, uint32_t node, uint32_t model);

/* ---- scheduler_ring.c: only while somebody records -------------------------------------------------------------- */
static inline bool ring_records(struct scheduler *s, uint32_t had)
{
    s->had = (uint8_t)had;
    return s->ring != NULL;
}
void ring_ordered(struct scheduler *s, const struct scheduler_order *o); /* always: an order is complete */
void ring_configure(struct scheduler *s, enum scheduler_policy policy, uint32_t bound, bool shed);
void ring_node(struct scheduler *s, uint32_t node, const struct scheduler_node *is, nsec now);
void ring_model(struct scheduler *s, uint32_t model, uint64_t bytes, enum scheduler_policy policy, uint64_t family);
void ring_move(struct scheduler *s, const struct scheduler_room *to);
/* What a call about a node and a model has; node NONE, flag false and took 0 where it does not. */
void ring_pair(struct scheduler *s, enum scheduler_call call, uint32_t node, uint32_t model, bool flag, nsec took,
               nsec now);
void ring_holds(struct scheduler *s, uint32_t node, uint32_t model, bool holds, enum scheduler_slots how,
                uint32_t slots, nsec now);
void ring_ask(struct scheduler *s, enum scheduler_call call, const struct scheduler_ask *a, nsec now);
void ring_ticket(struct scheduler *s, enum scheduler_call call, uint64_t ticket, nsec now);
void ring_require(struct scheduler *s, uint64_t ticket, uint64_t labels, nsec now);
void ring_end(struct scheduler *s, uint64_t ticket, const struct scheduler_figures *f, nsec now);

/* ---- scheduler_policy.c ----------------------------------------------------------------------------------------- */
/* One node for the job: NONE when none is free, or when it should wait for *out_wait_for (then not NONE). */
typedef uint32_t scheduler_choose(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for);
#define SCHEDULER_POLICY(name, choose, binds, says) scheduler_choose choose;
#include "fleet/scheduler_policy.def"
#undef SCHEDULER_POLICY
uint32_t policy_choose(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for);
/* Does this model's policy bind on arrival? */
bool policy_binds(const struct scheduler *s, uint32_t model);
/* Nodes that may take the job now, into s->candidate. */
uint32_t policy_gather(struct scheduler *s, const struct job *j);
/* Pins, labels, what was tried: EXCLUDED_NOT if the job may go there. */
enum scheduler_excluded policy_bars(const struct scheduler *s, const struct job *j, uint32_t node);
static inline bool policy_may(const struct scheduler *s, const struct job *j, uint32_t node)
{
    return policy_bars(s, j, node) == EXCLUDED_NOT;
}
/* The choice, without a trace: no turn is taken, no lot is drawn. A job in the queue has those before it that come
 * first. */
uint32_t policy_would(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for);
/* s->t for every node. */
void eta_score(struct scheduler *s, const struct job *j, double now);
/* The best of those that were just scored for a choice, but for the one chosen; NONE: there is no other. */
uint32_t eta_next(struct scheduler *s, uint32_t chosen);
struct scheduler_terms eta_terms(const struct scheduler *s, const struct job *j, uint32_t node, double now);
double rendezvous_weight(const struct scheduler *s, const struct job *j, uint32_t node);
void ewma_learn(struct scheduler *s, uint32_t node, double latency, double now);

/* ---- scheduler_queue.c ------------------------------------------------------------------------------------------ */
void queue_push(struct scheduler *s, uint32_t job, double now);
void queue_remove(struct scheduler *s, uint32_t job);
void queue_require(struct scheduler *s, struct job *j, uint64_t labels);
/* The next one of this model that this pass has not looked at; NONE. Marks nothing. */
uint32_t queue_next(struct scheduler *s, uint32_t model, double now);
/* Looked at in this pass, and it stays. */
void queue_looked(struct scheduler *s, uint32_t job);
/* Does a go before b, both next of their model? */
bool queue_before(const struct scheduler *s, uint32_t a, uint32_t b, double now);
/* The newest of the tenant with most waiting. */
uint32_t queue_victim(const struct scheduler *s, uint32_t model);
/* Every one that waits; a visit may remove the one it is given, and stops them all with false. */
typedef bool queue_visit(struct scheduler *s, uint32_t job, void *arg);
void queue_each(struct scheduler *s, queue_visit *visit, void *arg);
/* Any that came until then; NONE. */
uint32_t queue_before_moment(const struct scheduler *s, uint32_t model, double moment);
double queue_head_wait(const struct scheduler *s, uint32_t model, double now);
uint32_t tenant_find(const struct scheduler *s, uint64_t id); /* 0: it has nothing here */
uint32_t tenant_take(struct scheduler *s, uint64_t id);
void tenant_give(struct scheduler *s, uint32_t tenant);
void tenant_charge(struct scheduler *s, struct job *j, double tokens);

/* ---- scheduler.c ------------------------------------------------------------------------------------------------ */
/* What it will take on a node of weight 1 that has the longest known beginning of its prompt. */
float job_service(const struct scheduler *s, const struct job *j);

/* ---- scheduler_ledger.c ----------------------------------------------------------------------------------------- */
uint32_t job_take(struct scheduler *s);
void job_give(struct scheduler *s, uint32_t job);
uint32_t job_of(const struct scheduler *s, uint64_t ticket); /* NONE if dead */
void ledger_open(struct scheduler *s, uint32_t job, uint32_t node, double now);
void ledger_close(struct scheduler *s, uint32_t job, double now);
/* Works out slot_at and pair_at anew after something about the node has changed. */
void ledger_refresh(struct scheduler *s, uint32_t node, double now);
/* Moves the base of the moments in arrays when it has become old. */
void ledger_rebase(struct scheduler *s, double now);
void ledger_refresh_pair(struct scheduler *s, uint32_t node, uint32_t model, double now);
bool ledger_free(const struct scheduler *s, uint32_t node, uint32_t model);

/* ---- scheduler_fault.c ------------------------------------------------------------------------------------------ */
/* Recent failures of the node with the model, as a number of requests. */
double fault_count(const struct scheduler *s, uint32_t node, uint32_t model, double now);
void fault_add(struct scheduler *s, uint32_t node, uint32_t model, double now);
void fault_good(struct scheduler *s, uint32_t node, uint32_t model, double now);
void fault_forget(struct scheduler *s, uint32_t node, double now);
/* Works out the penalty anew. */
void fault_refresh(struct scheduler *s, uint32_t node, uint32_t model, double now);
void fault_refresh_node(struct scheduler *s, uint32_t node, double now);
void fault_turn(struct scheduler *s, double now);

/* ---- scheduler_stop.c ------------------------------------------------------------------------------------------- */
void stop_begin(struct scheduler *s, uint32_t job, double now);
/* The job's lease ends, one way or another. */
void stop_over(struct scheduler *s, struct job *j);
/* One whose time is over; NONE: there is none yet. */
uint32_t stop_due(struct scheduler *s, double now);
/* Does it get a slot that was freed on a guess? */
bool stop_tested_by(const struct scheduler *s, const struct job *j, double now);
void stop_learn(struct scheduler *s, const struct job *j, const struct scheduler_figures *f);

/* ---- scheduler_slots.c ------------------------------------------------------------------------------------------ */
/* The lease of `by` ends, or may have ended by now. */
void slots_freed(struct scheduler *s, const struct job *by, double now);
void slots_opened(struct scheduler *s, struct job *j, double now);
/* Its first token has come; with it so many send that have the same node and model. */
void slots_first(struct scheduler *s, const struct job *j, uint32_t beside);
/* A good end. */
void slots_learn(struct scheduler *s, const struct job *j, const struct scheduler_figures *f, double now);

/* ---- scheduler_dispatch.c --------------------------------------------------------------------------------------- */
void dispatch_model(struct scheduler *s, uint32_t model, double now, struct scheduler_orders *out);
void dispatch_node(struct scheduler *s, uint32_t node, double now, struct scheduler_orders *out);
void dispatch_all(struct scheduler *s, double now, struct scheduler_orders *out);
void dispatch_grant(struct scheduler *s, uint32_t job, uint32_t node, double now, struct scheduler_orders *out);
/* What the next pass would bring a job that is in the queue; nobody is granted anything. */
uint32_t dispatch_would(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for);
void dispatch_refuse(struct scheduler *s, uint32_t job, enum fail why, double now, struct scheduler_orders *out);
struct scheduler_order *orders_add(struct scheduler_orders *out, enum scheduler_verb verb);
static inline bool orders_room(const struct scheduler_orders *out)
{
    return out->n + 4 <= SCHEDULER_ORDERS;
}

/* ---- scheduler_load.c ------------------------------------------------------------------------------------------- */
void load_consider(struct scheduler *s, double now, struct scheduler_orders *out);
void load_used(struct scheduler *s, uint32_t model, double now);
void load_resident(struct scheduler *s, uint32_t node, uint32_t model, bool resident, double now);
/* Counts anew whether the node could serve the model: after a change of either, or of what bars it. */
void load_usable(struct scheduler *s, uint32_t node, uint32_t model);
/* When it wants to be asked again; INFINITY. */
double load_next(const struct scheduler *s, double now);
void load_leave(struct scheduler *s, uint32_t node, uint32_t model, uint32_t yields_to, double now);
void load_failed(struct scheduler *s, uint32_t node, uint32_t model, double now);
/* Where it would be loaded for the job, or is being loaded; NONE. */
uint32_t load_would(const struct scheduler *s, const struct job *j, double now);
/* EXCLUDED_PAUSED, EXCLUDED_NO_ROOM, or not, for a model that is not there. */
enum scheduler_excluded load_bars(const struct scheduler *s, uint32_t node, uint32_t model, double now);
/* Seconds until it is there, if it were ordered now, or has been. */
double load_expected(const struct scheduler *s, uint32_t node, uint32_t model, double now);
double load_seconds(const struct scheduler *s, uint32_t node, uint32_t model);

/* ---- scheduler_learn.c ------------------------------------------------------------------------------------------ */
uint32_t learn_output(const struct scheduler *s, uint32_t model, uint32_t prompt);
void learn_end(struct scheduler *s, const struct job *j, const struct scheduler_figures *f, double now);
void learn_first(struct scheduler *s, struct job *j, double now);
void learn_prior(struct scheduler *s, uint32_t node, uint32_t model);
void learn_load(struct scheduler *s, uint32_t node, uint32_t model, double took);

/* ---- scheduler_door.c ------------------------------------------------------------------------------------------- */
/* OK, or why it may not even wait; may refuse another to make room. */
enum fail door_admit(struct scheduler *s, uint32_t job, double now, struct scheduler_orders *out);
/* Refuses those that wait for the model since before now; what does not fit is left to door_doomed. */
void door_doom(struct scheduler *s, uint32_t model, enum fail why, double now, struct scheduler_orders *out);
void door_doomed(struct scheduler *s, double now, struct scheduler_orders *out);
void door_deadlines(struct scheduler *s, double now, struct scheduler_orders *out);
double door_wait(struct scheduler *s, const struct job *j, double now);
