/* fleet/node.h - one machine that answers for models.
 *
 * The upper part is fixed when the node is made and may be read by anybody who holds a lease or a pin on it, without
 * the lock. The lower part is the fleet's, under its lock. A removed node drains, and is freed with its last lease or
 * pin. */
#pragma once
#include "api/inventory.h"
#include "base/list.h"
#include "fleet/residency.h"
#include "net/addr.h"

#define NODE_ADDRS      8
#define NODE_ERROR_TEXT 160

/* What the operator says of a node (a `nodes` entry, --node, POST /api/nodes). Strings are borrowed by fleet_add, which
 * copies. */
struct node_spec {
    struct str name;     /* empty: host, or host:port when that is not the default port or the host is taken */
    struct str url;      /* as given */
    double weight;       /* 0 = 1 */
    int slots;           /* -1 not configured, 0 unlimited */
    int max_inflight;    /* 0 = no limit */
    uint64_t vram;       /* bytes; 0 = not known: Ollama does not tell */
    struct str labels;   /* "k:v+k2:v2" */
    enum node_kind kind; /* NODE_UNKNOWN: probe */
};
enum node_state { NODE_STARTING, NODE_UP, NODE_SUSPECT, NODE_DOWN, NODE_DRAINING, NODE_REMOVED, NODE_STATES };
struct str node_state_name(enum node_state s);

#define NODE_TASKS 8
struct task {
    bool loads; /* or unloads */
    uint32_t variant;
};
struct node {
    /* fixed */
    uint64_t id; /* never reused */
    struct str name;
    struct url url;
    struct str url_text;    /* "http://host:port/prefix" */
    struct str host_header; /* "host:port", as HTTP wants it */
    struct arena arena;     /* of the strings */

    /* the fleet's, under its lock */
    uint32_t no;            /* place in fleet->node[]; NO_PLACE once it has left */
    enum node_state state;  /* what is shown: health, unless it drains or is removed */
    enum node_state health; /* starting, up, suspect or down: kept also while it drains */
    nsec state_since;
    enum node_kind kind;
    bool kind_told, simulated, added_at_run_time;
    bool drains, remove_when_idle;
    bool heard;              /* has answered its first probes, or missed them */
    bool tags_over, ps_over; /* the first of these is */
    bool faded;              /* down for so long that views no longer show it */
    double weight;
    int slots, max_inflight;
    uint64_t vram;                     /* 0: not told */
    struct str labels;                 /* replaced as a whole; what it was stays in the arena */
    uint32_t told_slots, told_context; /* by itself; 0: not */
    uint32_t inflight, pins;           /* leases out; other holders of the pointer */
    unsigned misses;                   /* probes missed in a row */
    unsigned connect_fails;            /* addresses that failed one after the other */
    uint64_t requests, errors;
    enum fail last_error;
    char last_error_text[NODE_ERROR_TEXT];
    nsec last_error_at, last_seen, added;
    char version[32];
    struct addr addr[NODE_ADDRS];
    uint32_t addrs, addr_next; /* resolved; which one is used now (moves on after a connect failure) */
    nsec resolved_at;
    nsec due_version, due_tags, due_ps, due_resolve; /* next probes */
    nsec due_fade;                    /* when a node that is down leaves the views; NEVER while it is not */
    unsigned probing;                 /* PROBE_ bits under way */
    uint64_t round_asked, round_told; /* inventory round its tags were last asked in, and told */
    nsec ps_sent, ps_asked;           /* when ps was last ordered; when the latest answer of it had been */
    nsec lineup_changed;          /* when a load or unload of ours last ended there, or it came up: what ps said before
                                     is history */
    nsec warm_since;              /* slow start: when it came back; NEVER: it is warm */
    struct task task[NODE_TASKS]; /* loads and unloads of our own, one at a time */
    uint32_t tasks;
    bool task_runs;
    nsec load_began, load_ended, unload_ended; /* the latest of ours; load_ended NEVER while it is under way */
    uint32_t load_variant;
    uint64_t fits_bytes; /* fits.c: what it holds at most; 0: not known */
    uint32_t fits_models;
    nsec fits_until;
    struct listing *tags, *ps; /* latest; NULL until told */
    nsec tags_at, ps_at;
    uint64_t tags_asked,
        tags_told;          /* the fleet's count of refreshes when they were last asked for; and when told ones were */
    struct node *next_gone; /* to be freed after the lock */
};
#define NO_PLACE UINT32_MAX

/* Made outside the lock, from what the operator said; the name may be empty still: node_default_name. NULL when memory
 * is out, or with *why set when `spec` is wrong. */
struct node *node_new(const struct node_spec *spec, const char **why);
void node_free(struct node **n);
/* The name it has when none was given: the nth choice (0: the host if the port is the default one, 1: host:port);
 * empty: no more. */
struct str node_default_name(const struct node *n, unsigned nth);
bool node_same_place(const struct node *a, const struct node *b); /* same host, port and prefix */
/* New addresses; the one in use is kept in use if it is still among them. True if it is not. */
bool node_set_addresses(struct node *n, const struct addr *found, unsigned founds);
/* The address in use has failed: the next one is. */
void node_next_address(struct node *n);
void node_note_error(struct node *n, enum fail why, struct str text, nsec now);
