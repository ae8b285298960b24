/* gateway/exchange.h - one piece of work: the request object that walks the road (design: decisions 2 and section 3).
 *
 * It has one owner (a client's connection, a parent exchange, or the fleet itself) and one sink that the owner gave; it
 * lives on one worker from exchange_new to its one exit and never moves. Each stage fills its own section and reads
 * earlier ones. Other threads only post bits to `mail`. The road:
 *
 *     door -> route -> local -> lookup -> choose -> attempt -> relay -> finish
 *                                            ^---------'   |        while not one byte has gone to the sink
 *                                            ^-----------------'     continuation, where the client asked for it
 *
 * A stage's `enter` returns what happens next; one that waits is continued by exchange_wake, from the loop. */
#pragma once
#include "api/peek.h"
#include "api/record.h"
#include "api/rename.h"
#include "api/route.h"
#include "base/slab.h"
#include "cache/control.h"
#include "cache/status.h"
#include "fleet/ticket.h"
#include "gateway/continue.h"
#include "gateway/settings.h"
#include "gateway/worker.h"
#include "observe/requests.h"

enum stage {
    STAGE_DOOR,
    STAGE_ROUTE,
    STAGE_LOCAL,
    STAGE_LOOKUP,
    STAGE_CHOOSE,
    STAGE_ATTEMPT,
    STAGE_RELAY,
    STAGE_FINISH
};
enum step {
    STEP_NEXT,
    STEP_WAIT,
    STEP_AGAIN /* back to choose */,
    STEP_GO_ON /* likewise, in the middle */,
    STEP_FINISH
};

struct exchange;
/* Where the bytes go: the owner's. head, then push..., then ended, exactly once and last; the exchange is gone after
 * `ended` returns. */
struct sink_ops {
    /* x->out says status, type and length; called before the first push. */
    void (*head)(struct exchange *x);
    /* Whole records, lent for the call. `last`: the answer is complete with these (may be empty). */
    void (*push)(struct exchange *x, struct str bytes, bool last);
    /* Over. why OK: `last` was pushed. Otherwise the answer broke: either nothing was sent, or the sink ends it as
     * broken. */
    void (*ended)(struct exchange *x, enum fail why);
    /* Bytes that wait for a slow reader; NULL: none ever. */
    size_t (*waiting)(const struct exchange *x);
    /* Takes back all that was pushed, head included, so that another node may answer; false: somebody has it. NULL:
     * false. */
    bool (*unsay)(struct exchange *x);
    /* The gateway's own refusal, to be worded by the owner; NULL: it is made an answer in the dialect of the route. */
    void (*refuse)(struct exchange *x, enum fail why, struct str message);
};
enum { BREAK_CLEAN /* between records */, BREAK_INSIDE /* inside a record: only closing tells the truth */ };

/* What a client says who wants its connection to become a WebSocket (RFC 6455 section 4.1). */
struct offer {
    struct str upgrade, connection, key, version, protocols;
};
struct client;
struct node_conn;
struct follower;
struct cache_key;
struct hedge;
struct exchange {
    struct mail mail;
    struct worker *worker;
    struct list link; /* worker->exchanges */
    uint64_t id;
    enum record_owner owner_kind;
    void *owner; /* struct client, struct fanout (parent's), struct probe */
    const struct sink_ops *sink;
    const struct gateway_settings *settings; /* pinned */
    struct arena arena;
    struct timer timer; /* a stage's own: set with exchange_pause */
    void (*timed)(struct exchange *x);
    enum stage stage;
    bool over; /* ended; stays only until its mail has come home */

    struct { /* the request, as it came in */
        enum http_method method;
        struct str path, query; /* tidied; query without '?' */
        bool slash;             /* a slash at the path's end was tidied away */
        struct str host, origin, user_agent, accept, content_type, authorization, encoding;
        struct str accept_encoding, if_none_match;
        struct str request_id, traceparent, tenant, deadline_ms, pin, priority, via, cors_method, goes_on;
        uint64_t span, parent; /* of the trace that is exported; span 0: it is not, parent 0: the client told of none */
        struct str peer;       /* the client's address */
        struct str forward;    /* header lines that go on to nodes, "Name: value\r\n"... */
        struct str body;       /* whole; in the arena or in body_buf */
        struct buf body_buf;
        const struct offer *offer; /* NULL: none */
        struct control control;    /* what it wants of the cache */
        size_t counted;            /* of it towards limits.bodies */
        size_t due;                /* booked with memory_takes_body, and not all there yet */
        enum http_framing framing; /* of the body, and its length if told */
        uint64_t length;
        bool expects, continued, wanted, body_whole;
        void (*take_piece)(struct exchange *x, struct str piece,
                           bool last); /* set: the body is streamed, not gathered (blobs) */
        bool loopback;                 /* peer is loopback and no proxy's header says otherwise */
        nsec wall, at;                 /* head complete */
    } in;
    struct { /* route */
        const struct route *row;
        struct str rest;
        struct peek peek;
        struct str model; /* as the client spells it */
        struct str asked; /* as nodes are asked for it: the same, or what an alias or fallback made of it (names.c) */
        const struct model_rule *rule, *first_rule; /* of it, and of the one before any fallback; NULL: none */
        struct rename *rename;                      /* of the answer, once it has begun under another name */
        unsigned fell_back;                         /* fallbacks that were taken, */
        enum fail first_why;                        /* and why the first was */
        bool context_is_ours;                       /* options.num_ctx of the body was put in here */
        bool unloads;                               /* keep_alive 0 */
        bool cloud;                                 /* the model is asked for by a name that says it runs elsewhere */
    } route;
    struct {        /* lookup */
        bool asked; /* the rest is said to the client */
        struct status status;
        nsec age;                    /* of an answer that was kept */
        const struct cache_key *key; /* in the arena; NULL: it is not answered from a tape */
        bool rescue;                 /* should no node answer, there is an older answer */
    } lookup;
    struct ticket ticket; /* choose */
    struct {              /* attempt */
        struct node_conn *conn;
        struct str method, path;             /* of the node request; fan-outs and probes set their own */
        struct str body;                     /* sent with the head */
        int64_t body_length;                 /* of a counted body, sent or to be streamed */
        bool chunked_body;                   /* streamed, length unknown */
        void (*on_sent)(struct exchange *x); /* set: the body is streamed; the head has gone out, the body may follow */
        void (*on_drained)(struct exchange *x); /* all that was written to the node has left */
        struct hedge *hedge;                    /* of an embedding that was late (gateway/hedge.h); in the arena */
        unsigned attempts, redials, counted;    /* counted: retries that used up the budget */
        enum fail last_why;
        uint64_t node_id;
        nsec began, sent, first_byte, retry_at;
        nsec connect_ns;
        nsec patience; /* until the first byte and between two; 0 = as the settings say */
        int status;
        enum record_form form;
        enum dialect dialect; /* of the node's records */
        struct buf hold;      /* unfinished record; whole unstreamed body; body of an error answer */
        bool let_through;     /* inside a record over 256 KiB */
        bool large_is_last;   /* which has said done:true */
        bool proven, failed_in_band, hollow;
        struct figures figures;
        int said_status;                       /* last error answer of a node, kept until nobody else is left to ask */
        struct str said_type, said, said_text; /* its type, body and message; in the arena */
        char node_name[RECORD_NODE];
        bool simulated;
    } up;
    struct { /* out: the answer's head */
        int status;
        struct str content_type;
        struct str headers; /* further lines, in the arena */
        int64_t length;     /* -1 unknown */
        bool head_sent, stream, from_node, complete;
        unsigned broken; /* BREAK_ */
    } out;
    struct again again;
    struct {               /* tally */
        uint64_t bytes_in; /* of a streamed body */
        uint64_t bytes_out;
        uint32_t records;
        nsec first, last; /* bytes to the sink */
        nsec asked, granted, queued;
        enum fail why;
        int status;
        enum record_cache cache;      /* what the cache had to do with it */
        struct request_detail detail; /* attempts as they end; the rest is filled in at the exit */
    } tally;
    struct follower *follower; /* of one that is answered from a tape (gateway/flight.h) */
    void *local;               /* what the local stage waits with (a fan-out, a blob, a zstd job); in the arena */
    void (*local_stop)(struct exchange *x, enum fail why); /* set while it must be told of a cancel */
};

/* The slab of exchanges; at start and exit. */
void exchange_pools_init(void);
void exchange_pools_done(void);
/* NULL when memory is out. Owner and sink are set by the caller, then exchange_start. */
struct exchange *exchange_new(struct worker *w, enum record_owner kind, void *owner, const struct sink_ops *sink);
/* A question of a client's, asked for it alone or for all who asked the same: it may be tried elsewhere, its answers
 * are judged. */
static inline bool exchange_is_question(const struct exchange *x)
{
    return x->owner_kind == OWNER_CLIENT || x->owner_kind == OWNER_TAPE;
}
/* Walks the road from `from`. The exchange may be over, and gone, when this returns: owners must not touch it
 * afterwards. */
void exchange_start(struct exchange *x, enum stage from);
/* Continue a waiting exchange. */
void exchange_wake(struct exchange *x, enum step step);
/* `timed` is called at `due`, unless the exchange ends first. One pause at a time. */
void exchange_pause(struct exchange *x, nsec due, void (*timed)(struct exchange *x));
/* The owner does not want it any more (the client left, the parent ends): releases node, lease and timers; `ended`
 * follows. */
void exchange_cancel(struct exchange *x, enum fail why);
/* What runs for it ends likewise, but its owner gets the failure as an answer. */
void exchange_fail(struct exchange *x, enum fail why);

/* ---- stages ------------------------------------------------------------------------------------------------------ */
enum step door_enter(struct exchange *x);
enum step route_enter(struct exchange *x);
enum step local_enter(struct exchange *x);
enum step lookup_enter(struct exchange *x);
enum step choose_enter(struct exchange *x);
enum step attempt_enter(struct exchange *x);
enum step relay_enter(struct exchange *x);

/* ---- answers by the gateway itself ------------------------------------------------------------------------------- */
/* A whole answer: status, type, body (lent). Then STEP_FINISH. */
enum step answer(struct exchange *x, int status, struct str content_type, struct str body);
enum step answer_json(struct exchange *x, int status, struct text *body); /* frees the text */
/* The failure in the client's dialect; message empty: the row's own sentence. Before the head: status and error body.
 * After it: an error record on a clean line, or a broken connection. */
enum step answer_fail(struct exchange *x, enum fail why, struct str message);
enum step answer_failf(struct exchange *x, enum fail why, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a header line to the coming answer. */
void answer_header(struct exchange *x, struct str name, struct str value);
