/* gateway/worker.h - one worker's share of the gateway: everything on it is touched by its own thread only, except what
 * says so. */
#pragma once
#include "fleet/fleet.h"
#include "gateway/feed.h"
#include "gateway/hedge.h"
#include "gateway/settings.h"
#include "net/conn.h"
#include "net/http_body.h"
#include "net/tls.h"
#include "observe/meter.h"
#include <pthread.h>
#include <stdatomic.h>

#define SCRATCH_BYTES KIB(64)
#define POOLS         1024 /* node id modulo this, linear probing */
#define KNOWN         64   /* models whose digest is remembered: a place each, by hash */

struct gateway;
struct exchange;
struct node_pool;
struct shared_worker;

/* Connections dealt to this worker by the one that accepts; filled under its lock by others. */
struct handoff {
    struct mail mail;
    pthread_mutex_t lock;
    struct handed {
        int handle;
        struct addr from;
    } * queue;
    unsigned n, cap;
};
struct worker {
    struct gateway *gateway;
    struct gateway_settings *_Atomic settings; /* written by this worker */
    unsigned no;
    struct loop *loop;
    struct meter *meter;
    struct tls_context *tls; /* towards nodes; made on first use */
    struct handoff handoff;
    struct mail control; /* CONTROL_ bits */
    struct feed_seat feed;

    struct list clients;
    _Atomic unsigned n_clients; /* read by the accepting worker */
    struct list exchanges;
    unsigned n_exchanges, n_node_conns, n_idle_conns;
    uint64_t next_id;
    uint64_t random[2]; /* xorshift state for ids and jitter */

    struct list due; /* client streams that wait for their millisecond, oldest first */
    struct timer due_timer;

    struct node_pool *pools[POOLS];
    struct timer fleet_timer; /* worker 0: fleet_turn */
    _Atomic nsec fleet_due;   /* worker 0's: the next turn, or an earlier wish of another worker's */
    struct timer tidy_timer;  /* once a second */
    struct timer drain_timer;
    unsigned jobs; /* under way on lanes; the loop stops after the last */
    bool draining, stopping, closed;
    unsigned ghosts; /* exchanges that are over, and whose mail is still to come home */
    pthread_t thread;

    struct known {
        uint64_t model;
        struct model_digest digest;
    } known[KNOWN]; /* lookup.c's */
    struct hedge_times hedge;

    struct shared_worker *shared; /* shared_state.c's; NULL: no Redis yet */

    char date[32]; /* of date_at's second, for answers of our own */
    nsec date_at;

    struct http_head head;       /* the parser's, valid until the next parse */
    char scratch[SCRATCH_BYTES]; /* where sockets are read into */
};
enum {
    CONTROL_STOP = 1,
    CONTROL_DRAIN = 2,
    CONTROL_FLEET = 4,
    CONTROL_SETTINGS = 8,
    CONTROL_DRAINED = 16,
    CONTROL_SHARED = 32
};

struct worker *worker_new(struct gateway *g, unsigned no);
void worker_close(struct worker *w);
/* After the worker_close of all: delivers what they still posted to each other. */
void worker_last_mails(struct worker *w);
void worker_free(struct worker **w);
/* Work on a lane begins and ends: a stopping worker waits for it. */
void worker_job_begins(struct worker *w);
void worker_job_ends(struct worker *w);
/* An accepted connection goes to the worker with fewest. */
void worker_deal(struct worker *accepting, int handle, const struct addr *from);
static inline nsec worker_now(const struct worker *w)
{
    return loop_now(w->loop);
}
/* The moment itself: worker_now stands still while a turn's events are handled, which is where the gateway spends its
 * own time on a request. A clock read; twice a request at most. */
static inline nsec worker_clock(const struct worker *w)
{
    nsec now = sys_now();

    return MAX(now, worker_now(w));
}
uint64_t worker_random(struct worker *w);
const struct gateway_settings *worker_settings(const struct worker *w); /* today's; pin it to keep it */
/* Does what the fleet ordered: wakes exchanges on their workers, starts probes, sets the next turn. */
void orders_carry_out(struct worker *w, struct orders *o);
