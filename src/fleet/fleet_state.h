/* fleet/fleet_state.h - the fleet's one state and the functions its files share. Private to this room.
 *
 * Everything here is called under the lock unless it says "outside". Under the lock there is no I/O, no callback and no
 * heap: what is needed is made before it is taken; nodes that have gone are freed by fleet_unlock after it was given
 * back. */
#pragma once
#include "fleet/fleet.h"
#include "fleet/policy.h"
#include "fleet/residency.h"
#include <pthread.h>

#define RETRY_BURST     10.0
#define GRACE           SECOND(300) /* models of a node that is down stay in the views */
#define POSSIBLE_HOLDER SECOND(60)  /* a node that never told its models may have any of them */
#define REFRESH_PERIOD  SECOND(1)
#define RESOLVE_PAUSE   SECOND(1) /* between two resolutions of one name */
#define LOCK_SAMPLE     61        /* every 61st hold is timed; odd, so that no rhythm of calls hides */

struct fleet {
    pthread_mutex_t lock;
    struct fleet_lock_count count;
    nsec taken_at; /* of a sampled hold; 0 otherwise */

    struct fleet_settings settings; /* without the policy's name */
    const struct policy *policy;
    uint64_t cursor; /* the policies' */

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

    struct node *candidate[NODES_MAX]; /* scratch of one choice */
};

/* ---- fleet.c: the lock ------------------------------------------------------------------------------------------ */
void fleet_lock(struct fleet *f);
void fleet_unlock(struct fleet *f);
/* The last thing a call does under the lock: decides waiting tickets if there is news, and says when to turn. */
void fleet_settle(struct fleet *f, nsec now, struct orders *out);

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
/* Ask for tags and ps as soon as possible; does nothing for a node that does not answer. */
void probes_refresh(struct fleet *f, struct node *n, nsec now);
/* Its name should be resolved again. */
void probes_resolve_again(struct fleet *f, struct node *n, nsec now);

/* ---- choice.c: which node ---------------------------------------------------------------------------------------- */
/* How a ticket can be served. */
struct choice {
    struct node *node;   /* NULL: nobody can */
    unsigned candidates; /* how many could */
    const char *by;      /* what decided: a policy's name, "pin", "first" */
    enum fail why_not;   /* when nobody can */
    bool unknown;        /* nobody is known to have the model: worth a refresh before it is said */
};
struct choice choice_make(struct fleet *f, const struct ticket *t, nsec now);

/* ---- waiting.c: tickets ------------------------------------------------------------------------------------------ */
/* Decides a ticket, or has it wait (sets `until`; does not link it). May begin a refresh. */
enum verdict waiting_decide(struct fleet *f, struct ticket *t, nsec now, struct orders *out);
void waiting_add(struct fleet *f, struct ticket *t);
void waiting_remove(struct fleet *f, struct ticket *t);
/* Decides again all that wait. */
void waiting_review(struct fleet *f, nsec now, struct orders *out);

/* ---- views.c ----------------------------------------------------------------------------------------------------- */
/* What the views show has changed: bits of 1 << view_id. */
enum { SHOWS_TAGS = 1 << VIEW_TAGS | 1 << VIEW_V1_MODELS, SHOWS_PS = 1 << VIEW_PS, SHOWS_VERSION = 1 << VIEW_VERSION };
void views_outdate(struct fleet *f, unsigned what);
