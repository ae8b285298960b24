/* gateway/node_conn.h - connections of one worker to the nodes, and the idle ones among them.
 *
 * A connection is dialled for an exchange, answers it, and waits in its node's pool for the next one of this worker;
 * last in, first out. While idle a FIN is noticed at once (llama-server closes after each stream). Kept per node and
 * worker: at most the peak in use during the last 10 s, and two more. */
#pragma once
#include "gateway/exchange.h"

enum node_conn_state {
    NODE_CONN_DIALING,
    NODE_CONN_SENT,
    NODE_CONN_BODY,
    NODE_CONN_TAIL /* answer proven, wire end outstanding */,
    NODE_CONN_IDLE
};
struct node_conn {
    struct conn conn;
    struct worker *worker;
    struct node_pool *pool;
    struct exchange *x; /* NULL in TAIL and IDLE */
    struct list link;   /* pool's idle list, newest first, or busy list */
    enum node_conn_state state;
    bool reused, keep_alive, got_byte, paused;
    bool ended;           /* the answer's wire end has come */
    bool resting;         /* not read until the client's millisecond is over */
    unsigned small_reads; /* of the body, in a row: a stream of tokens */
    struct http_body body;
    struct buf in;      /* an unfinished head */
    struct timer timer; /* lazy: looks at deadline when it fires */
    nsec deadline;
    enum fail late; /* what it means when the deadline passes */
    nsec idle_since, idle_until;
    size_t paused_behind; /* bytes that waited for the slow reader when last looked at */
};
void node_conn_pools_init(void);
void node_conn_pools_done(void);
/* A kept connection to the lease's node, or a new one being dialled (x is told by attempt_connected / attempt_failed
 * from the loop). NULL with *why on failure at once. `fresh`: do not reuse. */
struct node_conn *node_conn_take(struct exchange *x, bool fresh, enum fail *why);
/* Back to the pool if it may be used again, else closed. x is detached. */
void node_conn_release(struct node_conn *nc);
/* Close now; x is detached. */
void node_conn_drop(struct node_conn *nc);
/* Reads on: lazily, once it is a stream of tokens. */
void node_conn_listen(struct node_conn *nc);
void node_conn_deadline(struct node_conn *nc, nsec due, enum fail late);
/* Close idle ones, and those whose answer is proven, at the end of the worker. */
void node_conns_close_idle(struct worker *w);
/* Peaks decay and surplus idle connections close; called about once a second. */
void node_conns_tidy(struct worker *w);

/* ---- what a connection tells its exchange (attempt.c) -------------------------------------------------------------
 */
void attempt_connected(struct exchange *x);
void attempt_readable(struct node_conn *nc);
void attempt_broken(struct exchange *x, enum fail why);
/* What comes now would only wait for its millisecond: the node's bytes gather in the socket until attempt_gather. */
void attempt_rest(struct exchange *x);
/* The sink has caught up: read on. */
void attempt_resume(struct exchange *x);
/* Reads what has gathered while resting. True: there was something, and it rests on; false: there was nothing, and it
 * is watched again. The exchange may be over afterwards. */
bool attempt_gather(struct exchange *x);
/* What the connection may wait for now, within the total that the settings allow. */
void attempt_wait(struct exchange *x, nsec patience, enum fail late);
/* Lets go of connection and lease; `end.why` tells the fleet how it went. */
void attempt_over(struct exchange *x, enum fail why, bool client_left);
