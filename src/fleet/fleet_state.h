/* fleet/fleet_state.h - the fleet's one state and the functions its files share. Private to this room.
 *
 * Everything here is called under the lock unless it says "outside". Under the lock there is no I/O, no callback and no
 * heap: what is needed is made before it is taken; nodes that have gone are freed by fleet_unlock after it was given
 * back. */
#pragma once
#include "fleet/breaker.h"
#include "fleet/fleet.h"
#include "fleet/residency.h"
#include "fleet/scheduler.h"
#include "fleet/scheduler_ring.h"
#include <pthread.h>
#include <stdatomic.h>

#define RETRY_BURST     10.0
#define GRACE           SECOND(300) /* models of a node that is down stay in the views */
#define POSSIBLE_HOLDER SECOND(60)  /* a node that never told its models may have any of them */
#define REFRESH_PERIOD  SECOND(1)
#define RESOLVE_PAUSE   SECOND(1) /* between two resolutions of one name */
#define HOLD_STEPS      120       /* of sampled holds: up to four seconds */
#define LOCK_SAMPLE     61        /* every 61st hold is timed; odd, so that no rhythm of calls hides */

/* What the scheduler calls a model: a name with the options that force a reload. Its number is its place. */
#define VARIANTS_MAX 256
#define TICKETS_MAX  16384
struct variant {
    uint64_t name;
    struct options options;
    nsec used;
    uint32_t tasks; /* of our own that read the texts below: it stays while there are any */
    bool embeds;
    uint64_t bytes, labels;        /* labels: that a node must have */
    struct node_set holds, barred; /* as the scheduler was told */
    char spelled[384];
    enum fail load_failed; /* OK, or why the last load of it did; and what the node said */
    char said[128];
};

/* A breaker, of a node (model 0) or of a node and a model's name. */
#define GUARDS_MAX 512
struct guard {
    uint64_t node, model; /* node 0: free */
    nsec used;
    struct breaker breaker;
};
/* A model that a node no longer has loaded; SCHEDULER_NONE: all. */
#define LOST_MAX 16
struct lost {
    uint32_t node, variant;
};

struct fleet {
    pthread_mutex_t lock;
    struct fleet_lock_count count;
    nsec taken_at; /* of a sampled hold; 0 otherwise */
    uint64_t hold_steps[HOLD_STEPS];

    struct fleet_settings settings;
    struct scheduler *scheduler;
    struct scheduler_ring *ring; /* of its inputs; NULL: there was no memory for one */
    struct caches *caches;       /* has a lock of its own */
    struct preload *preload;     /* NULL: nothing is */
    nsec preload_due;
    struct lost lost[LOST_MAX]; /* by nodes: told to the caches after the lock */
    uint32_t losts;
    nsec scheduler_due;                 /* when it wants its turn */
    uint64_t variant_key[VARIANTS_MAX]; /* 0: free; apart, because every ask looks through it */
    struct variant variant[VARIANTS_MAX];
    uint32_t variants;     /* one past the last that was ever used */
    struct node_set stale; /* the scheduler has not been told of changes to these */
    bool is_stale;
    uint32_t guards; /* one past the last that was ever used */
    uint64_t guard_chance;
    bool guards_news; /* bars must be worked out anew */
    nsec guards_due;  /* when they change by themselves */
    nsec warm_due;    /* when nodes that came back get a larger share; NEVER: all are warm */
    struct guard guard[GUARDS_MAX];
    uint32_t tasks;     /* loads and unloads that wait for being ordered */
    bool is_mixed;      /* not all nodes are known to speak Ollama, so tickets that need it say so */
    struct list queued; /* tickets that wait for a slot, in no order of service */
    uint32_t queued_n;
    bool queue_is_shut;

    /* nodes by place; a place is reused */
    uint64_t last_id;
    uint32_t places, nodes, living; /* one past the last place; nodes in places; nodes not freed yet */
    struct node *node[NODES_MAX];
    nsec due[NODES_MAX];                          /* the next thing to do for each, so that a turn reads one array */
    struct node_set up, suspect, ollama, present; /* present: in a place and not being removed */
    struct node *gone;
    struct residency *residency;

    /* the first probe round */
    uint32_t unheard; /* nodes that have neither answered nor missed their first probes */
    nsec first_until;
    bool first_over;

    /* the coalesced refresh of all inventories: rounds are numbered */
    uint64_t round, round_done;
    nsec round_began;

    uint64_t refreshes; /* fleet_refresh calls: what was asked after the nth knows what happened before it */

    struct list waiting; /* tickets, by arrival */
    uint32_t waiting_n;
    nsec waiting_next; /* the earliest end of a wait */

    double retry_tokens;
    nsec retry_tokens_at;

    bool news;       /* something that may decide a waiting ticket */
    bool views_news; /* a generation below has grown */
    uint64_t generation[VIEWS];
    struct view *view[VIEWS];
    char version[32]; /* the last lowest */

    _Atomic uint64_t models_changed; /* read without the lock */
};

/* ---- fleet.c: the lock ------------------------------------------------------------------------------------------ */
void fleet_lock(struct fleet *f);
void fleet_unlock(struct fleet *f);
/* The last thing a call does under the lock: decides waiting tickets if there is news, and says when to turn. */
void fleet_settle(struct fleet *f, nsec now, struct orders *out);

/* ---- decisions.c ------------------------------------------------------------------------------------------------- */
struct scheduler_ring *decisions_record(struct scheduler *s);

/* ---- roster.c: who is in ---------------------------------------------------------------------------------------- */
/* NULL if there is none; nodes that are being removed have no name any more. */
struct node *roster_named(struct fleet *f, struct str name);
struct node *roster_by_id(struct fleet *f, uint64_t id);
/* A lease or a pin came back: a node that was to go goes if it was the last. */
void roster_release(struct fleet *f, struct node *n, nsec now);
static inline bool roster_in_place(const struct node *n)
{
    return n->no != NO_PLACE;
}

/* ---- health.c: up, suspect, down -------------------------------------------------------------------------------- */
bool health_is_connect_failure(enum fail why);
static inline bool health_answers(const struct node *n)
{
    return n->health == NODE_UP || n->health == NODE_SUSPECT;
}
void health_answered(struct fleet *f, struct node *n, nsec now);
void health_missed(struct fleet *f, struct node *n, nsec now);
void health_lost(struct fleet *f, struct node *n, nsec now); /* down at once */
/* What the end of something that we asked of it says of the node. */
void health_learn_end(struct fleet *f, struct node *n, const struct addr *used, enum fail why, struct str text,
                      nsec now);
/* It has answered its first probes, or missed them. */
void health_heard(struct fleet *f, struct node *n);
/* Makes `state` and the sets follow from health, drains, removal and kind. */
void health_show(struct fleet *f, struct node *n, nsec now);

/* ---- probes.c: when is who asked what --------------------------------------------------------------------------- */
/* The dues of a node that has just come; spread over half a second by its id. */
void probes_begin(struct fleet *f, struct node *n, nsec now);
/* Keeps f->due right after a change to a node. */
void probes_schedule(struct fleet *f, struct node *n);
/* Orders what is due of one node, or of all. */
void probes_order(struct fleet *f, struct node *n, nsec now, struct orders *out);
void probes_order_all(struct fleet *f, nsec now, struct orders *out);
nsec *probes_due(struct node *n, unsigned what);
nsec probes_next(const struct fleet *f);
bool probes_tell_ps(const struct node *n); /* is it one that says what it has loaded? */
/* Ask for tags and ps as soon as possible; does nothing for a node that does not answer. */
void probes_refresh(struct fleet *f, struct node *n, nsec now);
/* Its name should be resolved again. */
void probes_resolve_again(struct fleet *f, struct node *n, nsec now);

/* ---- fits.c: what does not fit ----------------------------------------------------------------------------------- */
/* It has listed what it has loaded: before and now (the same if nothing has changed). `before`: when it was last asked,
 * `n->ps_asked`: when for this; `wall`: of the answer. Before the scheduler is told. */
void fits_learn(struct fleet *f, struct node *n, const struct listing *was, const struct listing *is, nsec before,
                nsec wall, nsec now);
void fits_forget(struct node *n);
/* Bytes of models that it holds at a time, by the operator's word and by what was learnt; 0: not known. */
uint64_t fits_at_most(const struct node *n);

/* ---- choice.c: who could ---------------------------------------------------------------------------------------- */
/* How a ticket can be served. */
struct choice {
    struct node *node;   /* of those that could, the one with fewest in flight; NULL: nobody can */
    unsigned candidates; /* how many could */
    const char *by;      /* what decided: "pin", "fewest" */
    enum fail why_not;   /* when nobody can */
    bool unknown;        /* nobody is known to have the model: worth a refresh before it is said */
};
struct choice choice_make(struct fleet *f, const struct ticket *t, nsec now);

/* ---- lineup.c: what the scheduler was told ----------------------------------------------------------------------- */
#define LABEL_OLLAMA (1ull << 63) /* a scheduler's label: speaks Ollama's own routes */
/* The ticket's variant, entered if need be; NONE when all places are taken by busy ones. */
uint32_t lineup_find(struct fleet *f, const struct ticket *t, nsec now, struct scheduler_orders *so);
/* The same for one who only looks: it counts as no use, nothing is thrown out, and it is entered only if it may be. */
uint32_t lineup_look(struct fleet *f, const struct ticket *t, bool may_enter, nsec now, struct scheduler_orders *so);
/* The operator's rules for models are others now. */
void lineup_rules_changed(struct fleet *f);
/* Something about the node has changed that the scheduler must know. */
void lineup_outdate(struct fleet *f, const struct node *n);
/* Its slots have been set anew. */
void lineup_forget_slots(struct fleet *f, const struct node *n);
/* What was in its caches has gone (variant SCHEDULER_NONE: of all its models). */
void lineup_lost(struct fleet *f, uint32_t node, uint32_t variant);
void lineup_tell(struct fleet *f, nsec now, struct scheduler_orders *so);
void lineup_tell_bars(struct fleet *f, nsec now, struct scheduler_orders *so);
/* Whatever of it is due; when that is by itself. */
void lineup_turn(struct fleet *f, nsec now, struct scheduler_orders *so);
static inline nsec lineup_next(const struct fleet *f)
{
    return MIN(f->guards_due, f->warm_due);
}

/* ---- guards.c: breakers ------------------------------------------------------------------------------------------ */
/* An attempt has ended; somebody was sent. */
void guards_learn(struct fleet *f, const struct lease *l, const struct attempt_end *e, nsec now);
void guards_take(struct fleet *f, const struct node *n, uint64_t model, nsec now);
/* Who of those that hold the model must not be asked for it now. */
struct node_set guards_bars(struct fleet *f, uint64_t model, const struct node_set *holds, nsec now);
nsec guards_next(const struct fleet *f, nsec now);
/* How often it has opened so far; starts anew when a breaker was not needed for long. */
uint32_t guards_opens(struct fleet *f, uint64_t node, uint64_t model);
enum breaker_state guards_state(struct fleet *f, uint64_t node, uint64_t model, nsec now);

/* ---- caches.c: prompts in the nodes' caches; outside the lock ------------------------------------------------------
 */
struct caches *caches_new(void);
void caches_free(struct caches **c);
/* SCHEDULER_NONE: of all nodes; all of the node's. */
void caches_forget(struct caches *c, uint32_t node, uint32_t variant);

/* ---- preload.c: models that are to be loaded before anybody asks --------------------------------------------------
 */
/* Made outside the lock from the rules; NULL when there are none, or memory is out. */
struct preload *preload_new(const struct model_rules *r);
void preload_free(struct preload **p);
/* Loads what is not loaded anywhere. */
void preload_turn(struct fleet *f, nsec now, struct scheduler_orders *so);

/* ---- serving.c: tickets at the scheduler ------------------------------------------------------------------------- */
/* Like waiting_decide, for a ticket that somebody could serve; one that has to wait is linked in f->queued. */
enum verdict serving_ask(struct fleet *f, struct ticket *t, nsec now, struct orders *out);
/* What serving_ask would do, without doing it; shown[] has room for all places. The ticket's variant, NONE if it has
 * none. */
uint32_t serving_explain(struct fleet *f, const struct ticket *t, bool may_enter, nsec now,
                         struct scheduler_would *out_would, struct scheduler_explained *shown, struct orders *out);
void serving_end(struct fleet *f, const struct lease *l, const struct attempt_end *end, nsec now, struct orders *out);
/* Out of the queue, or with a lease that nobody used. */
void serving_cancel(struct fleet *f, struct ticket *t, nsec now, struct orders *out);
/* Tells the scheduler what has changed, gives it its turn when that is due, and orders tasks. */
void serving_settle(struct fleet *f, nsec now, struct orders *out);
nsec serving_next(const struct fleet *f);
/* What the node had still to do for us is dropped. */
void serving_drop_tasks(struct fleet *f, struct node *n);

/* ---- waiting.c: tickets ------------------------------------------------------------------------------------------ */
/* Decides a ticket, or has it wait (sets `until`; does not link it). May begin a refresh. */
enum verdict waiting_decide(struct fleet *f, struct ticket *t, nsec now, struct orders *out);
enum verdict waiting_refuse(struct fleet *f, struct ticket *t, enum fail why);
void waiting_add(struct fleet *f, struct ticket *t);
void waiting_remove(struct fleet *f, struct ticket *t);
/* Decides again all that wait. */
void waiting_review(struct fleet *f, nsec now, struct orders *out);

/* ---- views.c ----------------------------------------------------------------------------------------------------- */
/* What the views show has changed: bits of 1 << view_id. */
enum { SHOWS_TAGS = 1 << VIEW_TAGS | 1 << VIEW_V1_MODELS, SHOWS_PS = 1 << VIEW_PS, SHOWS_VERSION = 1 << VIEW_VERSION };
void views_outdate(struct fleet *f, unsigned what);
