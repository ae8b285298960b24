/* redis/link.h - one connection to one node of a Redis: made, tried, used, lost, rested. The room's own.
 *
 *     IDLE --ask--> CONNECTING --> GREETING --> TRYING --> UP         GREETING: AUTH, SELECT. TRYING: PING, in the
 *                    ^   |            |           |        |          time that any question has.
 *                    |   '------------'-----------'--------'--> RESTING
 *                    '----------------------------------------------'
 */
#pragma once
#include "net/conn.h"
#include "redis/redis.h"
#include "redis/slots.h"

enum link_state { LINK_IDLE, LINK_CONNECTING, LINK_GREETING, LINK_TRYING, LINK_UP, LINK_RESTING };
/* What a reply is for. */
enum call_kind { CALL_GREETING, CALL_PING, CALL_QUERY, CALL_STORE, CALL_SLOTS, CALL_ASKING };
struct redis_call {
    struct list link;
    struct redis_link *on;
    enum call_kind kind;
    struct redis_query *query; /* NULL: nobody waits */
    nsec sent;
};
struct redis_link {
    struct redis *redis;
    unsigned node;
    enum link_state state;
    struct conn conn;
    struct resp_reader *in;
    struct list calls; /* unanswered, oldest first */
    struct timer timer;
    struct resolve resolve;
    bool resolving;
    unsigned greetings; /* still unanswered */
    unsigned late;      /* in a row */
    nsec rest, up_since;
};
struct redis {
    struct redis_plan plan;
    struct slots slots;
    struct redis_link *link[SLOTS_NODES];
    nsec slots_asked;
    unsigned jobs; /* resolves under way: they need the memory */
    bool closed;
    char name[128]; /* for the log */
};

void redis_link_pools_init(void);
void redis_link_pools_done(void);
/* Of a node of the map, made on first use; NULL when memory is out. */
struct redis_link *redis_link_of(struct redis *r, unsigned node);
void redis_link_connect(struct redis_link *l);
/* From the loop, as soon as it runs: what never runs has nothing under way. */
void redis_link_connect_soon(struct redis_link *l);
/* Writes a command whose reply will be handled as `kind`; NULL: not possible. */
struct redis_call *redis_link_send(struct redis_link *l, enum call_kind kind, struct redis_query *q,
                                   const struct str *args, unsigned n);
/* It is of no use now: closed, what waits for it ends as AWAY, and after a rest it is tried again. */
void redis_link_fails(struct redis_link *l, struct str why);
/* A query was not answered in time. */
void redis_link_is_late(struct redis_link *l);
void redis_link_free(struct redis_link **l);

/* redis.c: a reply to what is neither greeting nor PING. */
void redis_replied(struct redis_link *l, enum call_kind kind, struct redis_query *q, const struct resp *reply);
void redis_query_ends(struct redis_query *q, enum redis_outcome how, const struct resp *reply);
/* A link rests: somebody else may know who has its slots now. */
void redis_slots_doubtful(struct redis *r);
bool redis_has_slots(const struct redis *r, unsigned node);
void redis_job_done(struct redis *r);
