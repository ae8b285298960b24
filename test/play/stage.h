/* test/play/stage.h - one run of a play: a world, a fleet and a gateway in it, and the actors around them.
 *
 * There is one stage at a time, as there is one world. Actors' memory never fails; the program's does when a sweep says
 * so. A run is: stage_begin, settings and nodes, stage_open, whatever happens, stage_end, which checks what must hold
 * after every run (truth.c). */
#pragma once
#include "fleet/fleet.h"
#include "gateway/gateway.h"
#include "tongue.h"
#include "words.h"
#include "world.h"

/* Text that grows; NUL behind. */
struct pad {
    char *p;
    size_t n, cap;
};
void pad_put(struct pad *t, struct str s);
static inline struct str pad_str(const struct pad *t)
{
    return (struct str){ t->p, t->n };
}

/* What a sweep does to a run: nothing, the nth allocation fails, or a connection is cut. */
struct harm {
    uint64_t memory; /* which allocation; 0 = none */
    unsigned wire;   /* which connection, from 1; 0 = none */
    enum peer_side side;
    uint64_t at;
};
/* A connection of an actor's. */
struct wire {
    struct list link;
    struct peer *peer;
    void *owner;        /* struct caller or struct node_actor */
    uint64_t bytes[2];  /* FROM_PEER, TO_PEER */
    bool closed, shut;  /* by us, by the other side, or by the network; our side only */
    struct seen *asked; /* a node's: what it is answering */
    unsigned probe;     /* and which probe */
};
struct stage {
    uint64_t seed;
    struct harm harm;
    struct fleet *fleet;
    struct gateway *gateway;
    struct fleet_settings fleet_settings;
    struct gateway_settings *settings;
    unsigned workers;
    struct addr at;
    size_t segments; /* least size of what arrives at once; 0 = as the world draws it */
    bool opened, out_of_memory;
    bool mirrored; /* a node is the gateway itself: its probes are clients */
    nsec opened_at;
    struct list wires, nodes, clients;
    unsigned wires_n;
    struct record *record; /* of clients' requests */
    unsigned records;
    char *complaint; /* the first invariant that does not hold */
};
extern struct stage stage;
void stage_begin(uint64_t seed, const struct harm *harm);
/* Starts the gateway; false when memory was out. */
bool stage_open(void);
/* Ends everything. False: something that must always hold did not; stage.complaint says what. */
bool stage_end(void);
bool stage_runs(void); /* any worker */
void stage_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct wire *wire_new(struct peer *p, void *owner);
void wire_send(struct wire *w, struct str bytes);
void wire_close(struct wire *w, enum peer_close how);

/* ---- nodes (node_actor.c) --------------------------------------------------------------------------------------- */
struct node_actor {
    struct list link;
    char name[32];
    struct addr at;
    bool is_ollama;
    int slots;      /* per model; 0 without limit, -1 to be learnt */
    unsigned tells; /* slots, in /props; 0: it has none */
    char labels[64];
    char models[8][64];
    unsigned models_n;
    char loaded[8][64];
    unsigned loaded_n;
    nsec probes_after;  /* < 0: never */
    uint64_t probed[6]; /* version, tags, ps, v1/models, props, slots */
    struct list seen;
    unsigned seen_n;
    struct list replies; /* not begun */
};
/* A request that a node has got. */
struct seen {
    struct list link;
    struct node_actor *node;
    struct wire *wire; /* NULL once it is over */
    unsigned no;
    char id[64];
    struct pad head, body;
    char path[128];
    enum tongue tongue;
    bool streams;
    nsec at;
    struct reply *reply; /* what it performs */
    unsigned step;
    int status;
    bool head_sent, chunked, to_eof, counted, marked, ended, rough, gone;
    struct pad sent; /* the body, unframed */
};
struct node_actor *node_named(const char *name); /* NULL: none */
/* node NAME [is llamacpp] has A, B ... */
void node_enters(const struct line *l);
/* NAME <command> | directions */
void node_does(struct node_actor *n, const struct line *l);
struct seen *node_last(struct node_actor *n);
void nodes_die(void); /* all of them, for good */
void nodes_leave(void);

/* ---- clients (client_actor.c) ----------------------------------------------------------------------------------- */
enum reading_state { AWAITED, IN_BODY_OF, WHOLE, BROKEN };
struct reading {
    struct list link;
    char id[64];
    char path[128];
    enum tongue tongue;
    bool head_request, streams, proof_wanted, may_go_on;
    enum reading_state state;
    int status;
    struct pad head, body;
    enum { NO_BODY, COUNTED, CHUNKED, TO_EOF } framing;
    uint64_t left; /* of the body or the chunk */
    unsigned chunks, interims;
    nsec asked_at, began_at, ended_at;
};
struct caller {
    struct list link;
    char name[32];
    struct wire *wire; /* NULL: none */
    struct addr from;
    bool has_from;
    unsigned asked;
    struct list answers;
    struct pad slow; /* bytes still to be sent one by one */
    size_t slow_at;
    nsec slow_pace;
    bool saw_end, saw_reset, stalls;
    bool confused; /* it sent pieces on this connection: which answer is for what, nobody knows */
    nsec closed_at;
};
struct caller *client_named(const char *name, bool make);
void client_asks(struct caller *c, const struct line *l);
void client_does(struct caller *c, const struct line *l);
struct reading *client_answer(struct caller *c, unsigned no);       /* from 1; 0 = the last */
struct str answer_field(const struct reading *a, const char *name); /* of the head; NULL bytes if absent */
bool client_is_owed(const struct caller *c);                        /* it has asked all, reads, and has not got all */
void clients_leave(void);

/* ---- truth.c ---------------------------------------------------------------------------------------------------- */
void truth_of_patience(void); /* while clients are there still; the nodes die of it */
void truth_of_answers(void);
void truth_of_gateway(void);
