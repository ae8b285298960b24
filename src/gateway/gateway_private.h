/* gateway/gateway_private.h - what the files of this room share and nobody else sees. */
#pragma once
#include "gateway/blob_places.h"
#include "gateway/client.h"
#include "gateway/gateway.h"
#include "gateway/lookout.h"
#include "gateway/memory.h"
#include "gateway/node_conn.h"

#define LISTENERS_MAX 16
struct gateway {
    struct fleet *fleet;
    struct access_log *access_log;
    struct gateway_settings *_Atomic settings; /* today's */
    pthread_mutex_t settings_lock;             /* guards publishing and the retired list */
    struct retired *retired;                   /* settings that exchanges still pin */
    uint64_t settings_serial;                  /* of the latest; the first have 0 */
    unsigned workers;
    struct worker *worker[SYS_WORKERS_MAX];
    struct listener listener[LISTENERS_MAX];
    unsigned listeners;
    char full[256]; /* the answer to who comes when descriptors are out */
    const char *ca_file;
    bool tls_insecure;
    enum fail (*reload)(void *arg, struct text *says);
    void *reload_arg;
    char instance[17]; /* ours in Via and in the version probe */
    nsec started_wall;
    _Atomic bool draining;
    _Atomic size_t bodies;    /* bytes of large request bodies in memory */
    struct blob_places blobs; /* which node has which uploaded blob */
    void (*on_record)(const struct record *r, void *arg);
    void *on_record_arg;
    struct lookout *lookout;
    struct feed *feed;
    static_file_find *page;
    struct cache *cache;
    pthread_mutex_t resize_lock; /* the cache gets one size at a time */
    struct memo *memo;
    struct memory memory;
    struct shared *shared; /* shared.c's */
    pthread_mutex_t known_lock;
    struct known known[KNOWN]; /* the latest that any worker knew */
};

/* settings.c */
const struct gateway_settings *settings_pin(struct worker *w);
void settings_unpin(struct worker *w, const struct gateway_settings *s);
void settings_take(struct worker *w);
void settings_sweep(struct gateway *g);
void settings_free_all(struct gateway *g);
enum fail settings_publish(struct gateway *g, struct gateway_settings *s);

/* answer.c: Retry-After where waiting helps, and whether official SDKs should try again by themselves */
void answer_retry_advice(struct exchange *x, enum fail why);

/* choose.c */
void choose_decided(struct exchange *x); /* the fleet has granted or refused a ticket that waited */
void choose_cancel(struct exchange *x);  /* takes a waiting ticket back */
enum step choose_elsewhere(struct exchange *x, enum fail why); /* after a failed attempt: another node, or the truth */
enum step choose_to_go_on(struct exchange *x, enum fail why);  /* after a death in the middle: another node goes on */
bool choose_nobody_serves(enum fail why); /* waiting or less work would not help: another model may */
enum step choose_nobody_up(struct exchange *x, enum fail why); /* answers with each node's name and last error */

/* unload.c */
bool unload_asked(const struct exchange *x);
enum step unload_enter(struct exchange *x);

/* route.c */
/* Reads a body that names its model. */
enum step route_read(struct exchange *x);
/* All that a ticket and an attempt are told of the request, once it is known which model it is for. */
void route_prepare(struct exchange *x);

/* lookup.c, lookup_keep.c: the cache */
enum fail lookup_open(struct gateway *g);
void lookup_close(struct gateway *g);
/* Once a second: what has expired goes. */
void lookup_tidy(struct gateway *g, nsec now);
/* Settings have changed. */
void lookup_configure(struct gateway *g, const struct gateway_settings *s);
/* The cache's size by the settings in force, and whether memory is short. Any thread. */
void lookup_resize(struct gateway *g);
/* What the model's name means today. */
const struct model_digest *lookup_digest(struct worker *w, struct str model, uint64_t hash);
/* What every flight's `over` is. */
struct flight;
void lookup_landed(struct flight *f, const struct exchange *x, enum fail why);
/* Does x want a stream? */
bool lookup_streams(const struct exchange *x);
/* No node could answer x, which has not a byte yet: true if it now follows an older answer that stands in. */
bool lookup_rescue(struct exchange *x, enum fail why);
/* What x was to follow cannot be said in its way: it goes on along the road. */
enum step lookup_alone(struct exchange *x);
/* The model has been changed through us. */
void lookup_forget_model(struct gateway *g, struct str key);
uint64_t lookup_tag_node(struct str name);
/* Of a route whose answers are kept, for the statistics; and back: NULL if no route is of that class. */
uint8_t lookup_class(const struct route *r);
const struct route *lookup_route(unsigned class);

/* names.c: which model is asked for */
/* As a JSON string, in the arena; NULL bytes when memory is out. */
struct str names_quoted(struct exchange *x, struct str name);
/* What x->route.model stands for on this route. */
struct str names_behind(const struct exchange *x);
/* What x->route.model stands for is asked for: ticket and body say so. Failures of name_parse, FAIL_no_memory. */
enum fail names_ask(struct exchange *x);
/* Nobody can serve what was asked for, and why: true if something else is asked for now (then STEP_AGAIN). */
bool names_fall_back(struct exchange *x, enum fail why);
/* Bytes of an answer with the client's own name for the model; `room` comes in empty and is the caller's to free. False
 * when memory is out. */
bool names_restore(struct exchange *x, struct str *bytes, struct text *room);

/* bodies.c */
enum fail body_begin(struct exchange *x, uint64_t length); /* room for a body of known length */
void body_is_whole(struct exchange *x);                    /* what was booked for it is there */
enum fail body_append(struct exchange *x, struct str piece);
enum fail body_arrived(struct exchange *x); /* more of it is in the buffer: FAIL_bodies_full */
void body_release(struct exchange *x);
/* zstd bodies of /v1 routes; small ones at once, larger ones on a lane: STEP_WAIT, then exchange_wake. */
enum step body_unpack(struct exchange *x);

/* forward.c */
enum fail forward_take_request(struct exchange *x, const struct http_head *h); /* fills x->in */
/* The same of what was asked in a message that has no head: a POST of JSON. `path` lies in the arena. */
enum fail forward_take_message(struct exchange *x, struct str path);
/* The head of the request to the lease's node. In the arena; empty when memory is out. */
struct str forward_request_head(struct exchange *x);
/* Lines of a node's answer that go on to the client; sets out.content_type. */
enum fail forward_take_response(struct exchange *x, const struct http_head *h);

/* node_conn.c */
void node_pools_free(struct worker *w);
/* Towards nodes and receivers: NULL in *out if no TLS is wanted; FAIL_tls_failed. */
enum fail worker_tls(struct worker *w, bool tls, struct tls_context **out);

/* relay.c */
void relay_take(struct exchange *x, struct str bytes, bool end);
/* The wire broke before its end; or the body was garbage. */
void relay_broken(struct exchange *x, enum fail why);

/* client.c */
struct str client_address(const struct exchange *x);
void client_want_body(struct exchange *x); /* 100 Continue if asked for, then read */
void client_hold_body(struct exchange *x); /* read no more of it until it is wanted */

/* fanout.c, blob.c, views.c, ops.c: the local stage's answers, by kind of route */
/* Until the first probe round has come in (at most a second): `again` is called soon, and the stage waits. */
bool local_must_wait(struct exchange *x, void (*again)(struct exchange *x));
enum step fanout_enter(struct exchange *x);
enum step blob_enter(struct exchange *x);
enum step views_enter(struct exchange *x);
void fleet_turn_soon(struct worker *w, nsec due); /* worker 0 will call fleet_turn by then; any worker */
enum step ops_enter(struct exchange *x);
bool ops_allowed(const struct exchange *x); /* loopback or admin key */

/* worker.c */
void worker_take_last_mail(
    struct worker *w); /* after all threads have ended; the caller becomes that worker meanwhile */
void worker_maybe_drained(struct worker *w); /* a draining gateway stops when its last client has gone */

/* fanout.c */
void fanout_pools_init(void);
void fanout_pools_done(void);

/* follower.c */
void follower_pools_init(void);
void follower_pools_done(void);
struct flight;
/* x is told when it leaves, if it follows this flight (else false: it is served by another tape); NULL: it is over */
bool follower_leads(struct exchange *x, struct flight *flight);

/* probe.c */
void probe_pools_init(void);
void probe_pools_done(void);
void probe_start(struct worker *w, const struct probe_order *o);

/* task.c */
void task_pools_init(void);
void task_pools_done(void);
void task_start(struct worker *w, const struct task_order *o);
