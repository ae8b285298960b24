/* gateway/shared.h - answers that gateways share through a Redis, below the cache in memory (design: section 5).
 *
 *     lookup: no answer here --> a flight --> shared_enter: Redis has one? --yes--> onto the tape, for all who follow
 *                                                 '--no, late, away--> a node --> landed: kept here, stored there
 *
 * One question a flight, so one a key and gateway. Nobody waits longer than REDIS_PATIENCE, and nothing fails because
 * of it. Without `cache.redis` every call returns at once. On the worker of what it is given, unless it says
 * otherwise. */
#pragma once
#include "cache/cache.h"
#include "redis/entry.h"
#include "redis/generations.h"
#include "redis/redis.h"

struct gateway;
struct worker;
struct exchange;
struct flight;
struct flight_head;
struct shared;
struct shared_worker;
/* While answers are shared, what lies in this gateway's memory is fresh for so long at most: then Redis is asked. */
#define SHARED_TTL SECOND(5)
#define SHARED_WHY 256 /* bytes of a sentence */

/* What a flight has to do with it; embedded in it. */
struct shared_trace {
    bool found;             /* the answer came from Redis */
    bool replace;           /* what lies there is of no use, or not wanted */
    struct cache_keep keep; /* found: what to keep it by, and as what it was told there */
    uint8_t route;
    bool asked_stream, asked_usage;
    nsec wall;
    uint64_t chance;
};

/* ---- life -------------------------------------------------------------------------------------------------------- */
enum fail shared_open(struct gateway *g); /* before the workers */
void shared_close(struct gateway *g);
/* The worker has other settings. */
void shared_configure(struct worker *w);
void shared_worker_close(struct worker *w);

/* ---- the road ---------------------------------------------------------------------------------------------------- */
/* The lookup stage of a flight's writer. */
enum step shared_enter(struct exchange *x);
/* The head of an answer that was found says what was said there. */
void shared_retell(const struct flight *f, struct flight_head *h);
/* Before a flight's answer is handed to the cache: whose numbers it will be stored with. False: it is not to be. Also
 * shortens keep->ttl. */
bool shared_will_store(struct flight *f, const struct exchange *x, struct cache_keep *keep, struct redis_entry *out);
/* Behind it. */
void shared_store(struct flight *f, const struct redis_entry *e);

/* ---- forgetting, shown ------------------------------------------------------------------------------------------- */
/* "all", "model:NAME", "node:NAME": others are told. Any thread; before it is forgotten here. */
void shared_forget(struct gateway *g, struct str kind, struct str name);
/* There is something to tell (CONTROL_SHARED). */
void shared_told(struct worker *w);
/* False: no Redis is set. Any thread. */
bool shared_look(struct gateway *g, struct redis_board_look *out);
/* Is sharing well? False with a sentence. Without a Redis it is. */
bool shared_is_well(const struct exchange *x, char why[SHARED_WHY]);
/* Which one, without its password. */
void shared_name(const struct exchange *x, char name[128]);
