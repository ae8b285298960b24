/* sim/sim.h - what the files of this room share: the node, its models, its clients, and the run of one request.
 *
 *     sim_client.c  bytes in, requests out of them, answers back      sim_model.c   what is loaded, slots, loads,
 * eviction sim_route.c   which path is answered by whom                    sim_run.c     one piece of model work
 * through time sim_read.c    a request for model work -> a run                 sim_words.c   what is said sim_answer_*
 * how it is said, a voice per route                 sim_views.c, sim_manage.c, sim_blob.c, sim_faults.c
 *
 * Nobody outside includes this. */
#pragma once
#include "api/cors.h"
#include "api/dialect.h"
#include "api/name.h"
#include "api/peek.h"
#include "api/route.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "base/map.h"
#include "net/conn.h"
#include "net/http_body.h"
#include "net/http_head.h"
#include "sim/simnode.h"

struct sim_client;
struct sim_run;
struct sim_endpoint;

#define SIM_VERSION "0.12.6"

/* ---- models ------------------------------------------------------------------------------------------------------ */
enum { CAN_COMPLETE = 1, CAN_EMBED = 2, CAN_USE_TOOLS = 4, CAN_THINK = 8, CAN_INSERT = 16 };
enum sim_residency { MODEL_OUT, MODEL_LOADING, MODEL_LOADED };

struct sim_slot {
    struct list free;
    struct buf prompt; /* the last one that was worked on here: what the prefix cache holds */
};
struct sim_model {
    struct list link;
    struct simnode *node;
    struct name name;
    uint64_t size;
    char digest[65]; /* hex */
    nsec modified;   /* wall */
    unsigned can;

    enum sim_residency residency;
    bool leaving; /* goes as soon as it is idle: evicted, or another context is wanted */
    bool deleted; /* no longer installed; freed with its last user */
    bool giving;
    uint32_t context, dimensions;
    uint64_t manner;          /* as of the run that loaded it */
    nsec keep_alive, expires; /* expires: loop time, NEVER */
    struct timer timer;       /* the end of its load, or its expiry */
    struct sim_slot *slots;
    struct list free_slots;
    struct list waiting; /* runs, for a slot */
    unsigned n_slots, active, users;
    struct {
        uint64_t requests, loads, prefix_hits;
    } count;
};
struct sim_model *sim_model_add(struct simnode *n, const struct name *name, uint64_t size);
void sim_model_delete(struct sim_model **m);
/* By any spelling; NULL. The exact name only, for kinds that have it so. */
struct sim_model *sim_model_find(const struct simnode *n, struct str name);
/* Loaded, and never to leave, as the kinds that serve one model have it. */
void sim_model_pin(struct sim_model *m);
/* Leads to sim_run_loaded, now or later, unless refused: FAIL_queue_full. */
enum fail sim_model_want(struct sim_run *r);
/* The run has its model loaded; leads to sim_run_slotted, now or later. */
void sim_model_want_slot(struct sim_run *r);
/* Is its model loaded as it wants it? */
bool sim_model_suits(const struct sim_run *r);
/* Wherever the run is: out of queues, its slot free, a load that it started undone. */
void sim_model_leave(struct sim_run *r);
/* The machine has died: nothing is loaded any more. No client is left. */
void sim_models_unload(struct simnode *n);
/* From now on the model stays so long without work. */
void sim_model_keep(struct sim_model *m, nsec keep_alive);
uint32_t sim_model_parameters(const struct sim_model *m); /* in millions */
uint64_t sim_model_vram(const struct sim_model *m);
uint64_t sim_model_guess_size(struct str name);
bool sim_is_idle(const struct sim_model *m);

/* ---- model work -------------------------------------------------------------------------------------------------- */
enum sim_stage { RUN_NONE, RUN_PENDING, RUN_LOADING, RUN_WAITING, RUN_PREFILL, RUN_DECODE };

/* How a dialect says things. All write whole records into the client's `record` and let sim_stream_record take them. */
struct sim_voice {
    struct str type;                                     /* of a stream */
    void (*open)(struct sim_client *c);                  /* before the first token; may be NULL */
    void (*say)(struct sim_client *c, uint32_t i);       /* token i */
    void (*close)(struct sim_client *c);                 /* the last records */
    void (*whole)(struct sim_client *c, struct text *t); /* the body of an unstreamed answer */
    bool embeds;                                         /* no tokens are said */
    bool event_stream_headers; /* Cache-Control and Connection, as Ollama adds on some routes */
};
struct sim_run {
    struct list link; /* of the node's pending or the model's waiting */
    enum sim_stage stage;
    const struct sim_voice *voice;
    struct sim_model *model;
    struct sim_slot *slot;

    /* what is wanted; strings in the client's arena */
    struct str echo;   /* the model's name as the client spelled it, a JSON string */
    struct str prompt; /* raw; gone once the run has its slot, unless it must wait: then in the arena */
    uint32_t context;  /* num_ctx */
    uint64_t manner;   /* hash of the other options that make a load; 0: none */
    bool stream, wants_usage, only_load, raw, base64, keep_set;
    nsec keep;
    uint64_t *inputs; /* embeddings: a hash for each text */
    uint32_t n_inputs, dimensions;
    bool one_input; /* a string, not an array */

    /* what will be said (sim_words.c) */
    uint64_t hash;
    uint32_t prompt_tokens, reused_tokens;
    uint32_t begun;                /* tokens of it that were said elsewhere */
    uint32_t think_tokens, tokens; /* of all tokens the first so many are thoughts */
    struct str text;               /* in place of words: JSON that was asked for */
    struct str tool, arguments;    /* a call: its name, a JSON string; and an object */
    bool cut;                      /* ends by the limit */

    /* how far it is */
    uint32_t said;
    bool opened, blocked;
    nsec began, loaded, prefilled_from, decoded_from, ended;
    uint64_t id;
    unsigned sequence, item; /* of /v1/responses and /v1/messages */
};
/* Begins; everything that is wanted is in place. Ends in an answer. */
void sim_run_start(struct sim_client *c);
void sim_run_loaded(struct sim_run *r);
void sim_run_slotted(struct sim_run *r);
void sim_run_resume(struct sim_client *c); /* the socket takes bytes again */
void sim_run_cancel(struct sim_client *c);
/* No load and no queue before it. */
bool sim_run_may_begin(const struct sim_run *r);

/* ---- what is said ------------------------------------------------------------------------------------------------ */
/* Decides on text, thoughts, tool call and lengths. FAIL_bad_value: thoughts are wanted of a model that has none. */
enum fail sim_words_plan(struct sim_client *c, const struct peek *p, struct str body);
/* What was asked, of a raw prompt that may end with an answer begun elsewhere, and how many tokens of one. */
struct str sim_words_asked(struct arena *a, struct str prompt, uint32_t *out_said);
/* Tokens [from, to) as one JSON string. */
void sim_words_quote(struct text *t, const struct sim_run *r, uint32_t from, uint32_t to);
struct str sim_done_reason(const struct sim_run *r); /* "stop", "length" */
/* A JSON value that the schema allows, with "[simulated]" in its texts (sim_schema.c). */
void sim_schema_sample(struct arena *a, struct text *t, struct json schema, uint64_t hash);
uint64_t sim_mix(uint64_t x); /* one random number out of another */
struct str sim_word(uint64_t hash, uint32_t i);

/* ---- clients ----------------------------------------------------------------------------------------------------- */
enum sim_client_state { CLIENT_HEAD, CLIENT_BODY, CLIENT_BUSY, CLIENT_LINGER };
struct sim_client {
    struct list link;
    struct simnode *node;
    struct conn conn;
    struct timer timer; /* what `next` waits for */
    void (*next)(struct sim_client *c);
    enum sim_client_state state;
    bool pumping, doomed, eof;
    struct buf in; /* bytes that wait: of an unfinished head, or of the next request */

    /* the request */
    const struct sim_endpoint *endpoint;
    const struct route *route; /* whose dialect the answer speaks; never NULL while busy */
    enum http_method method;
    bool http10, keep_alive, streaming;
    struct str rest, user_agent, content_type, encoding, origin; /* in the arena */
    struct str extra;                                            /* of the answer: a header line more */
    struct http_body framing;
    struct buf body;
    struct arena arena;
    void (*on_piece)(struct sim_client *c, struct str piece); /* a body that is not gathered */
    void *work;                                               /* of the handler: a blob, a pull */
    void (*work_cancel)(struct sim_client *c);
    struct sim_run run;

    /* the answer */
    struct text out, record;
    struct {
        int status;        /* answer this instead; 0 = none */
        uint64_t reset_at; /* bytes of the answer after which the connection is reset */
    } struck;              /* by a fault */
    uint64_t answered_bytes;
};
#define NO_RESET UINT64_MAX
void sim_client_pools_init(void);
void sim_client_pools_done(void);
void sim_client_accept(struct simnode *n, int handle, const struct addr *from);
/* The answer is out: the next request, or the end of the connection. */
void sim_client_answered(struct sim_client *c);
/* Resets it, from the loop, as soon as nobody is at work in it. */
void sim_client_doom(struct sim_client *c);
void sim_clients_close(struct simnode *n);
/* Call `next` after so long; replaces what was set. */
void sim_client_after(struct sim_client *c, nsec delay, void (*next)(struct sim_client *c));
void sim_client_at(struct sim_client *c, nsec due, void (*next)(struct sim_client *c));
struct sim_client *sim_client_of(struct sim_run *r);
static inline nsec sim_now(const struct sim_client *c)
{
    return loop_now(c->conn.sock.loop);
}

/* A whole answer; the body may be what the client's `record` holds. */
void sim_reply(struct sim_client *c, int status, struct str type, struct str body);
void sim_reply_json(struct sim_client *c, struct str body);
/* In the shape of the route's dialect. */
void sim_reply_error(struct sim_client *c, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void sim_reply_fail(struct sim_client *c, enum fail f, struct str detail);
/* A streamed one: open, then fill c->record and call record, then end. Bytes leave with sim_flush. */
void sim_stream_open(struct sim_client *c, struct str type, bool event_stream_headers);
void sim_stream_record(struct sim_client *c);
void sim_stream_end(struct sim_client *c);
void sim_flush(struct sim_client *c);
#define TYPE_JSON   STR("application/json; charset=utf-8")
#define TYPE_NDJSON STR("application/x-ndjson")
#define TYPE_SSE    STR("text/event-stream")
#define TYPE_TEXT   STR("text/plain; charset=utf-8")
/* Small writers for records. */
void sim_put_call_id(struct text *t, const struct sim_run *r); /* "call_..." in quotes */
void sim_put_stamp(struct text *t, nsec wall);
void sim_put_f64(struct text *t, double v);

/* ---- routes ------------------------------------------------------------------------------------------------------ */
struct sim_endpoint {
    void (*answer)(struct sim_client *c, struct str body); /* body: valid during the call */
    void (*begin)(struct sim_client *c);                   /* instead: at the head, takes the body piecewise */
    unsigned kinds;                                        /* 1 << enum sim_kind */
    bool works;                                            /* faults strike it */
};
/* Finds who answers; *out_route is never NULL. */
const struct sim_endpoint *sim_route(struct sim_client *c, const struct http_head *h, const struct route **out_route);

void sim_answer_generate(struct sim_client *c, struct str body);
void sim_answer_chat(struct sim_client *c, struct str body);
void sim_answer_embed(struct sim_client *c, struct str body);
void sim_answer_embeddings(struct sim_client *c, struct str body);
void sim_answer_v1_chat(struct sim_client *c, struct str body);
void sim_answer_v1_completions(struct sim_client *c, struct str body);
void sim_answer_v1_embeddings(struct sim_client *c, struct str body);
void sim_answer_v1_responses(struct sim_client *c, struct str body);
void sim_answer_v1_messages(struct sim_client *c, struct str body);
void sim_answer_v1_transcribe(struct sim_client *c, struct str body);
void sim_answer_root(struct sim_client *c, struct str body);
void sim_answer_version(struct sim_client *c, struct str body);
void sim_answer_tags(struct sim_client *c, struct str body);
void sim_answer_ps(struct sim_client *c, struct str body);
void sim_answer_show(struct sim_client *c, struct str body);
void sim_answer_v1_models(struct sim_client *c, struct str body);
void sim_answer_v1_model(struct sim_client *c, struct str body);
void sim_answer_cloud_status(struct sim_client *c, struct str body);
void sim_answer_not_signed_in(struct sim_client *c, struct str body);
void sim_answer_recommendations(struct sim_client *c, struct str body);
void sim_answer_health(struct sim_client *c, struct str body);
void sim_answer_props(struct sim_client *c, struct str body);
void sim_answer_slots(struct sim_client *c, struct str body);
void sim_answer_metrics(struct sim_client *c, struct str body);
void sim_answer_server_load(struct sim_client *c, struct str body);
void sim_answer_pull(struct sim_client *c, struct str body);
void sim_answer_push(struct sim_client *c, struct str body);
void sim_answer_create(struct sim_client *c, struct str body);
void sim_answer_copy(struct sim_client *c, struct str body);
void sim_answer_delete(struct sim_client *c, struct str body);
void sim_answer_blob(struct sim_client *c, struct str body);
void sim_begin_blob(struct sim_client *c);
void sim_answer_faults(struct sim_client *c, struct str body);
void sim_answer_stats(struct sim_client *c, struct str body);

/* ---- requests for model work (sim_read.c) ------------------------------------------------------------------------ */
/* Everything from a body to an answer in this voice, or to the error that Ollama gives. */
void sim_work_begin(struct sim_client *c, struct str body, const struct sim_voice *v);
/* For routes of management: looks at the body. False: an error has been answered. */
bool sim_read_body(struct sim_client *c, struct str body, struct peek *out);

/* ---- faults ------------------------------------------------------------------------------------------------------ */
struct sim_fault {
    uint64_t count;       /* requests that it strikes still */
    nsec stall;           /* before the first byte */
    uint64_t reset_after; /* bytes of the answer; NO_RESET */
    int status;           /* 0 = none */
    bool loads;           /* empty prompts count as well */
    double slow_load;     /* loads take so many times as long, as long as it is set; at least 1 */
    nsec dead_for;        /* once dead; NEVER = for good */
};
/* What strikes this request, if anything does, goes into c->struck; returns how long it stalls. */
nsec sim_fault_strikes(struct sim_client *c);
void sim_fault_answer(struct sim_client *c); /* as c->struck has it */
void sim_fault_clear(struct simnode *n);
enum fail sim_listen(struct simnode *n, const struct addr *at, struct addr *out_bound);

/* ---- the node ---------------------------------------------------------------------------------------------------- */
struct sim_blob {
    struct list link;
    char digest[72]; /* "sha256:..." */
};
struct simnode {
    struct loop *loop;
    struct listener listener;
    struct addr at;
    enum sim_kind kind;
    char label[64];
    unsigned slots;
    uint64_t load_rate;
    double prefill, decode;
    uint64_t vram;
    nsec latency;
    uint64_t random;
    struct cors cors;
    bool checks_host; /* as Ollama does when it listens on loopback only */

    struct list models; /* installed, newest first */
    struct map by_key;
    struct list pending; /* runs that need a load, first come first served; the first may be loading */
    unsigned n_pending;
    uint64_t vram_used;
    bool scheduling;
    struct list blobs;

    struct list clients;
    struct sim_fault fault;
    struct timer life; /* dies, or comes back */
    bool dead;
    struct http_head head; /* of the request being read */
    struct simnode_stats stats;
    nsec dated; /* the second that `date` is for */
    char date[32];
    char scratch[KIB(64)];
};
uint64_t sim_random(struct simnode *n);
