/* redis/redis.h - a Redis as one worker asks it: a pipelined connection for each of its nodes, a budget for each
 * question, and a breaker (design: section 5, "Redis tier").
 *
 * Nobody waits for it longer than he said, and nobody fails because of it: every way in which it can be wrong comes
 * back as an outcome that means "go on without it". Lives on one worker; callbacks come from the loop, never from
 * inside the call that asked. */
#pragma once
#include "net/loop.h"
#include "redis/board.h"
#include "redis/target.h"

struct redis;
struct tls_context;
struct redis_plan {
    const struct redis_target *target; /* lent until redis_close */
    struct loop *loop;
    struct redis_board *board;
    /* Of the worker: its context for TLS (NULL: there is none), and a lane's work begins or ends: a loop must not go
     * while there is any. */
    struct tls_context *(*tls)(void *arg);
    void (*job)(void *arg, bool begins);
    void *arg;
};
void redis_pools_init(void);
void redis_pools_done(void);
/* Begins to connect. NULL when memory is out. */
struct redis *redis_open(const struct redis_plan *plan);
/* What is being asked ends as AWAY, before this returns. Not to be called by a `done`. */
void redis_close(struct redis **r);

/* ---- asking ------------------------------------------------------------------------------------------------------ */
#define REDIS_PATIENCE MSEC(3)
enum redis_outcome {
    REDIS_ANSWERED,
    REDIS_REFUSED, /* an error reply; it has been counted */
    REDIS_LATE,    /* no reply in time */
    REDIS_AWAY     /* the connection was lost */
};
/* Embedded in who asks; stays until `done` or redis_drop. */
struct redis_query {
    void (*done)(struct redis_query *q, enum redis_outcome how, const struct resp *reply); /* the reply is lent */
    struct redis *redis; /* from here on the room's own; NULL: not under way */
    struct redis_call *call;
    struct timer timer;
    struct str word, key;
    unsigned redirects;
    nsec asked;
};
/* The command args[0] about the key args[1]. False: Redis cannot be asked now, `done` is not called. With two arguments
 * it is asked again by itself where a cluster has moved the key; these two must then stay until it is done. */
bool redis_ask(struct redis *r, struct redis_query *q, const struct str *args, unsigned n, nsec patience);
/* Not wanted any more: `done` is not called. Nothing happens when it is not under way. */
void redis_drop(struct redis_query *q);
/* Stores, or does not, and nobody waits for it: the board counts. `replace`: also where there is something already. The
 * value may go when this returns. */
void redis_store(struct redis *r, struct str key, struct str value, nsec ttl, bool replace);
