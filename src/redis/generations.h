/* redis/generations.h - what gateways that share a Redis have forgotten: a number for each tag, which grows.
 *
 * The numbers lie in one hash in Redis (REDIS_STATE): `all`, `model:NAME`, `node:NAME`, and `id`, which says which hash
 * it is. Forgetting a tag is HINCRBY; every gateway reads the hash once a second and compares. An answer in Redis
 * carries the numbers of its tags, and is believed while they are still the same. Any thread. */
#pragma once
#include "redis/resp.h"

#define REDIS_STATE           "omx:v1:state"
#define REDIS_ID              "id"
#define GENERATIONS_FRESH     SECOND(5) /* what was read longer ago is not relied on */
#define GENERATIONS_TAGS_MOST 4096
#define GENERATIONS_TAG_MOST  300

enum { GENERATION_ALL, GENERATION_MODEL, GENERATION_NODE, GENERATIONS };
struct generations_stamp {
    uint64_t id, of[GENERATIONS];
};
struct generations;
struct generations *generations_new(void); /* NULL when memory is out */
void generations_free(struct generations **g);

/* ---- answers ----------------------------------------------------------------------------------------------------- */
/* Of an answer by `node` for `model`. False: not known now, or one of them is being forgotten: nothing may be believed
 * or stored. An empty node: not known yet, its number is 0. */
bool generations_of(struct generations *g, struct str model, struct str node, nsec now, struct generations_stamp *out);
/* Has the hash been read lately? */
bool generations_known(struct generations *g, nsec now);
static inline bool generations_same(const struct generations_stamp *a, const struct generations_stamp *b)
{
    return a->id == b->id && memcmp(a->of, b->of, sizeof a->of) == 0;
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */
/* "all", "model:NAME", "node:NAME" has been forgotten here, the others are still to be told. Too long a tag, or no
 * memory: everything is. */
void generations_owe(struct generations *g, struct str tag);
/* The nth tag that others are to be told of, into out, with how often it was forgotten until now. */
bool generations_owed(struct generations *g, unsigned nth, char out[GENERATIONS_TAG_MOST + 1], unsigned *out_times);
/* They have been told: HINCRBY answered `number`. True: others have forgotten it as well since we last looked. */
bool generations_paid(struct generations *g, struct str tag, unsigned times, uint64_t number);

/* ---- reading ----------------------------------------------------------------------------------------------------- */
/* The reply of HGETALL. `forgotten` is called for each tag that others have forgotten since the last time, before
 * answers are judged by the new numbers. NAMELESS: the hash has no id, somebody must give it one. TOO_MANY: it is to be
 * deleted. NONSENSE: it is no such hash. */
enum generations_read { GENERATIONS_READ, GENERATIONS_NAMELESS, GENERATIONS_TOO_MANY, GENERATIONS_NONSENSE };
enum generations_read generations_take(struct generations *g, const struct resp *reply, nsec now,
                                       void (*forgotten)(void *arg, struct str tag), void *arg);
/* Another Redis: nothing is known of it. */
void generations_reset(struct generations *g);
