/* cache/cache_shard.c - the pieces of a shard: table, queue, wheel.
 *
 *      key -> bucket -> entry -> entry        chains: an array made once, which never needs to grow under the lock
 *                         |
 *                 value? -+- in the S3-FIFO queue, and in the wheel until it is past serving; then among the spent
 *                flight? -'
 *
 * The spent, good for nothing but standing in for a failure, go first when room is needed, in the order in which they
 * became so; then what S3-FIFO says. What goes is put on a chain and freed behind the lock.
 *
 * Entries lie side by side in an array of the shard, not each in a malloc of its own among the bodies, where every
 * probe would also look up a page (measured: a tenth more operations a second with 50,000 values of 4 KB). The price is
 * that an entry's memory, once used, waits for the next entry and is not given back before the cache goes. */
#include "cache/cache_state.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Index made for values of this size; smaller ones make longer chains and a shorter ghost, no more. */
#define VALUE_USUAL KIB(2)
#define GRAIN       256
/* No value costs less: an entry, a tape and its smallest block. */
#define VALUE_LEAST KIB(1)
#define POOL_SPARE  256 /* entries for flights, and for what is on its way back */

/* ---- life -------------------------------------------------------------------------------------------------------- */

uint64_t cache_hash(const struct cache *c, const struct cache_key *key)
{
    return XXH3_64bits_withSeed(key, sizeof *key, c->plan.seed);
}

struct shard *shard_of(const struct cache *c, uint64_t hash)
{
    return &c->shards[(hash >> 32) * c->shards_n >> 32];
}

static size_t values_usual(const struct cache *c)
{
    size_t share = c->plan.bytes / c->shards_n;
    return MAX(c->plan.unit_size ? share : share / VALUE_USUAL, 16);
}

unsigned shard_seen_bits(const struct cache *c)
{
    unsigned bits = CACHE_SEEN_BITS;
    for (unsigned n = 1; n < c->shards_n; n *= 2)
        bits--;
    return bits;
}

/* Pages of it that were never used cost nothing. */
static enum fail make_pool(const struct cache *c, struct shard *s)
{
#ifndef PLAIN_MEMORY
    size_t share = c->plan.bytes / c->shards_n, n = c->plan.unit_size ? share : share / VALUE_LEAST;
    s->pool_n = (uint32_t)MIN(n + POOL_SPARE, UINT32_MAX);
    s->pool = memory_strikes() ? NULL : calloc(s->pool_n, sizeof *s->pool);
    if (!s->pool)
        return FAIL_no_memory;
#endif
    return OK;
}

enum fail shard_init(const struct cache *c, struct shard *s)
{
    size_t values = values_usual(c);
    pthread_rwlock_init(&s->lock, NULL);
    wheel_init(&s->wheel);
    list_init(&s->spent);
    enum fail f = s3fifo_init(&s->queue, 0, values, c->plan.unit_size ? 1 : GRAIN);
    f = f ? f : distinct_init(&s->seen, shard_seen_bits(c));
    if (f || values > UINT32_MAX || memory_strikes())
        return FAIL_no_memory;
    s->buckets = calloc(values, sizeof *s->buckets);
    s->buckets_n = (uint32_t)values;
    return s->buckets ? make_pool(c, s) : FAIL_no_memory;
}

void shard_done(struct shard *s)
{
    free(s->pool);
    free(s->buckets);
    distinct_done(&s->seen);
    s3fifo_done(&s->queue);
    pthread_rwlock_destroy(&s->lock);
}

size_t shard_memory(const struct shard *s)
{
    return sizeof *s + s->buckets_n * sizeof(struct entry *) + ((size_t)1 << s->seen.bits) +
           ghost_memory(&s->queue.ghost);
}

size_t shard_limit(const struct cache *c, size_t bytes)
{
    size_t index = c->plan.unit_size ? 0 : c->index_bytes;
    return bytes > index ? (bytes - index) / c->shards_n : 0;
}

size_t shard_used(const struct cache *c, const struct shard *s)
{
    size_t flights = c->plan.unit_size ? 0 : s->flights * sizeof(struct entry);
    return s3fifo_weight(&s->queue) + flights;
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

#ifdef PLAIN_MEMORY
static struct entry *take(struct shard *s)
{
    return memory_strikes() ? NULL : calloc(1, sizeof(struct entry));
}
static void give(struct shard *s, struct entry *e)
{
    free(e);
}
#else
static struct entry *take(struct shard *s)
{
    if (memory_strikes())
        return NULL;
    if (!s->free)
        s->free = atomic_exchange(&s->returned, NULL);
    struct entry *e = s->free;
    if (!e)
        return s->pool_used < s->pool_n ? &s->pool[s->pool_used++] : NULL;
    s->free = e->chain;
    memset(e, 0, sizeof *e);
    return e;
}

/* From behind the lock: pushed one by one, but taken all at once, so that nothing can be mistaken for what it was. */
static void give(struct shard *s, struct entry *e)
{
    e->chain = atomic_load(&s->returned);
    while (!atomic_compare_exchange_weak(&s->returned, &e->chain, e))
        ;
}
#endif

void dropped_free(struct shard *s, struct dropped *d)
{
    tape_unref(&d->replaced);
    while (d->first) {
        struct entry *e = d->first;
        d->first = e->chain;
        tape_unref(&e->value);
        tape_unref(&e->flight);
        give(s, e);
    }
}

/* ---- table ------------------------------------------------------------------------------------------------------- */

static struct entry **bucket_of(const struct shard *s, uint64_t hash)
{
    return &s->buckets[(hash & UINT32_MAX) * s->buckets_n >> 32];
}

void shard_prefetch(const struct shard *s, uint64_t hash)
{
    __builtin_prefetch(bucket_of(s, hash));
}

struct entry *shard_find(const struct shard *s, uint64_t hash, const struct cache_key *key)
{
    struct entry *e = *bucket_of(s, hash);
    __builtin_prefetch(e ? &e->value : NULL); /* the next line, while the first is compared */
    while (e && (e->item.hash != hash || memcmp(&e->key, key, sizeof *key) != 0))
        e = e->chain;
    return e;
}

static void unchain(struct shard *s, struct entry *e)
{
    struct entry **link = bucket_of(s, e->item.hash);
    while (*link != e)
        link = &(*link)->chain;
    *link = e->chain;
}

static void drop(struct shard *s, struct entry *e, struct dropped *d)
{
    unchain(s, e);
    e->chain = d->first;
    d->first = e;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void count_saving(struct shard *s, const struct entry *e, int sign)
{
    if (e->saved_s <= 0)
        return;
    s->saved_s += sign * e->saved_s;
    s->saved_weight += (size_t)sign * e->item.weight;
}

void shard_enter(struct shard *s, struct entry *e, nsec now)
{
    wheel_put(&s->wheel, &e->due, e->stale_until, now);
    e->spent = false;
    count_saving(s, e, +1);
    s->entries++;
}

void shard_leave(struct shard *s, struct entry *e)
{
    if (e->spent)
        list_del(&e->due.link);
    else
        wheel_take(&s->wheel, &e->due);
    count_saving(s, e, -1);
    s->entries--;
}

/* With a flight the entry stays and only the tape goes: under the lock, because it is rare and nobody carries it. */
bool shard_drop_value(struct shard *s, struct entry *e, struct dropped *d)
{
    if (e->item.place != S3FIFO_OUT) /* s3fifo_evict has taken it out */
        s3fifo_take(&s->queue, &e->item);
    shard_leave(s, e);
    if (e->flight) {
        tape_unref(&e->value);
        return false;
    }
    drop(s, e, d);
    return true;
}

bool shard_drop_flight(struct shard *s, struct entry *e, struct dropped *d)
{
    s->flights--;
    if (e->value) {
        tape_unref(&e->flight);
        return false;
    }
    drop(s, e, d);
    return true;
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static struct entry *entry_of_due(struct list *link)
{
    return link ? CONTAINER(link, struct entry, due.link) : NULL;
}

static bool evict_one(struct shard *s, struct dropped *d)
{
    struct entry *e = entry_of_due(list_first(&s->spent));
    if (e) {
        s->stats.expired++;
        shard_drop_value(s, e, d);
        return true;
    }
    struct s3fifo_item *item = s3fifo_evict(&s->queue);
    if (!item)
        return false;
    s->stats.evicted++;
    shard_drop_value(s, CONTAINER(item, struct entry, item), d);
    return true;
}

/* A pool that is used up is no reason to refuse: a value goes for it, and its entry comes back for the next one. */
struct entry *shard_add(struct shard *s, uint64_t hash, const struct cache_key *key, struct dropped *d)
{
    struct entry *e = take(s);
    if (!e) {
        evict_one(s, d);
        return NULL;
    }
    struct entry **bucket = bucket_of(s, hash);
    e->key = *key;
    e->item.hash = hash;
    e->chain = *bucket;
    *bucket = e;
    return e;
}

bool shard_make_room(struct cache *c, struct shard *s, size_t weight, struct dropped *d)
{
    while (shard_used(c, s) + weight > s->queue.limit)
        if (!evict_one(s, d))
            return false;
    return true;
}

void shard_expire(struct shard *s, nsec now, unsigned most, struct dropped *d)
{
    struct wheel_item *due;
    struct entry *e;
    for (unsigned n = 0; n < most && (due = wheel_next(&s->wheel, now)) != NULL; n++) {
        list_push(&s->spent, &due->link);
        CONTAINER(due, struct entry, due)->spent = true;
    }
    for (unsigned n = 0; n < most && (e = entry_of_due(list_first(&s->spent))) && e->rescue_until <= now; n++) {
        s->stats.expired++;
        shard_drop_value(s, e, d);
    }
}
