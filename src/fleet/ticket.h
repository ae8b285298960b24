/* fleet/ticket.h - what a request hands to the fleet, and what it gets back: a lease on one node.
 * A ticket is embedded in its exchange, which owns it; while it waits the fleet keeps it in a list, so its memory must
 * stay until it is granted, refused or cancelled. A lease is a value: it names the node and must be ended exactly once
 * (fleet_end). */
#pragma once
#include "api/options.h"
#include "api/record.h"
#include "fleet/node.h"
#include "fleet/prefix.h"

enum band { BAND_HIGH, BAND_NORMAL, BAND_BATCH };
enum verdict { VERDICT_GRANTED, VERDICT_WAITS, VERDICT_REFUSED };

struct lease {
    struct node *node; /* NULL: none held */
    struct addr addr;  /* where to dial */
    uint64_t model;    /* hash of the model's key; 0 = none */
    nsec granted;
    bool known_loaded; /* the model was resident when granted: no load to wait for */
    bool closes;       /* a llama-server: it closes after a stream, whatever it announced */
    bool learns;       /* its slots are being learnt: fleet_first is wanted */
    uint64_t number;   /* the scheduler's; 0: the node serves no model with it */
    uint32_t variant;  /* which it serves, while number is not 0 */
    uint32_t slots;    /* known there; 0: no limit */
    uint32_t matched;  /* tokens of the prompt that are expected in the node's cache */
};
/* The terms that decided, weighted, in seconds; and for policies other than eta only how many could have served. */
struct decision_next { /* who came second, by eta: why not there */
    char node[32];     /* NUL-terminated, cut off; empty: no other node could have taken it */
    float total, slot, prefill, decode, penalty;
};
struct decision {
    const char *by;
    float total, slot, load, prefill, decode, penalty;
    uint32_t candidates, inflight;
    bool hedged; /* this node was asked because another was late */
    struct decision_next next;
};
#define DECISION_TEXT 128
/* As X-OllamaMax-Decision shows it; into at least DECISION_TEXT bytes. Returns how many. */
unsigned decision_write(const struct decision *d, char *into);
#define TRIED_MAX    8
#define TICKET_HINTS 8
struct ticket {
    /* what is asked; set by the exchange before fleet_ask */
    struct str model; /* canonical key; empty: any node will do */
    uint64_t model_hash;
    struct str pin;  /* a node's name: that node only (X-OllamaMax-Node; the fleet's own work) */
    uint64_t pin_id; /* the same by id; 0 = none */
    uint64_t tenant; /* hash; fairness */
    enum band band;
    uint32_t prompt_tokens; /* estimate */
    nsec arrived, deadline; /* NEVER = as long as the client stays */
    bool retry_counts;      /* this ask is a retry that the budget must allow */
    bool ollama_only;       /* the route exists on Ollama nodes only */
    bool runs;              /* the model has to be loaded for it: waits for a slot. Others only ask about a model */
    bool embeds;            /* it is loaded as an embedding model */
    struct str spelled;     /* the model, as a node may be asked for it */
    struct str request_id;  /* for people who look at the queue */
    const struct options *options; /* that force a reload; NULL = none */
    uint64_t key;                  /* what several gateways agree by among equals */
    const uint64_t *path; /* hashes of the prompt's blocks (fleet/prefix.h), for the node's cache; may be NULL */
    uint32_t path_n;
    struct prefix_hint hint[TICKET_HINTS]; /* of fleet_hints */
    uint32_t hints;
    uint32_t output_tokens;    /* the most it may answer with; 0 = unknown */
    uint64_t tried[TRIED_MAX]; /* node ids that are not to be asked again */
    unsigned tried_n;

    /* the answer */
    enum verdict verdict;
    enum fail refused;
    struct lease lease;
    struct decision decision;
    unsigned retry_after_s; /* on a refusal where waiting helps */

    /* the fleet's, while it waits */
    struct list link;
    bool waiting;
    /* Set by the fleet, under its lock, when it puts a ticket that waited into an orders' `decided` list: a message
     * will come, so the memory must stay until then, cancelled or not. Cleared by the owner when it has come. */
    bool announced;
    uint64_t refresh; /* number of the inventory round it waits for; 0 = none */
    nsec until;       /* how long */
    uint64_t number;  /* the scheduler's, while it waits for a slot; 0: it waits for knowledge */
    char said[128];   /* on a refusal: a node's own words, "" = none */
};
/* How an attempt ended: given back with the lease. */
struct attempt_end {
    enum fail why;          /* OK: a whole answer with its proof, or a client error (4xx) */
    int status;             /* 0: no answer */
    bool client_left;       /* cancelled by the client: nothing is learnt against the node */
    bool was_sent;          /* the request had gone out: the node may still be busy with it */
    bool unloads;           /* keep_alive 0: the node drops the model after it */
    uint32_t records;       /* of a stream: tokens, where no figures tell */
    nsec first_byte, ended; /* moments; 0 = never */
    struct figures figures;
    struct str error_text; /* what the node said, for last_error */
};
