/* fleet/ticket.h - what a request hands to the fleet, and what it gets back: a lease on one node.
 * A ticket is embedded in its exchange, which owns it; while it waits the fleet keeps it in a list, so its memory must
 * stay until it is granted, refused or cancelled. A lease is a value: it names the node and must be ended exactly once
 * (fleet_end). */
#pragma once
#include "api/record.h"
#include "fleet/node.h"

enum band { BAND_HIGH, BAND_NORMAL, BAND_BATCH };
enum verdict { VERDICT_GRANTED, VERDICT_WAITS, VERDICT_REFUSED };

struct lease {
    struct node *node; /* NULL: none held */
    struct addr addr;  /* where to dial */
    uint64_t model;    /* hash of the model's key; 0 = none */
    nsec granted;
    bool known_loaded; /* the model was resident when granted: no load to wait for */
};
#define TRIED_MAX 8
struct ticket {
    /* what is asked; set by the exchange before fleet_ask */
    struct str model; /* canonical key; empty: any node will do */
    uint64_t model_hash;
    struct str pin;  /* a node's name: that node only (X-OllamaMax-Node; the fleet's own work) */
    uint64_t pin_id; /* the same by id; 0 = none */
    uint64_t tenant; /* hash; fairness */
    enum band band;
    uint32_t prompt_tokens;    /* estimate */
    nsec arrived, deadline;    /* NEVER = as long as the client stays */
    bool retry_counts;         /* this ask is a retry that the budget must allow */
    bool ollama_only;          /* the route exists on Ollama nodes only */
    uint64_t tried[TRIED_MAX]; /* node ids that are not to be asked again */
    unsigned tried_n;

    /* the answer */
    enum verdict verdict;
    enum fail refused;
    struct lease lease;
    char decision[96]; /* the terms that decided, for X-OllamaMax-Decision */
    unsigned decision_n;
    unsigned retry_after_s; /* on a refusal where waiting helps */

    /* the fleet's, while it waits */
    struct list link;
    bool waiting;
    /* Set by the fleet, under its lock, when it puts a ticket that waited into an orders' `decided` list: a message
     * will come, so the memory must stay until then, cancelled or not. Cleared by the owner when it has come. */
    bool announced;
    uint64_t refresh; /* number of the inventory round it waits for; 0 = none */
    nsec until;       /* how long */
};
/* How an attempt ended: given back with the lease. */
struct attempt_end {
    enum fail why;          /* OK: a whole answer with its proof, or a client error (4xx) */
    int status;             /* 0: no answer */
    bool client_left;       /* cancelled by the client: nothing is learnt against the node */
    nsec first_byte, ended; /* moments; 0 = never */
    struct figures figures;
    struct str error_text; /* what the node said, for last_error */
};
