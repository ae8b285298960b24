/* cache/cache_state.h - the room's own: what a shard is made of, and the verbs its files share. All of a shard, and all
 * functions that take one, are under its lock: for writing, except shard_find and what cache.c does about a hit. */
#pragma once
#include "base/slab.h"
#include "base/sys.h"
#include "cache/cache.h"
#include "cache/distinct.h"
#include "cache/s3fifo.h"
#include "cache/wheel.h"
#include <pthread.h>

#define CACHE_SHARD_LEAST MIB(16)
#define CACHE_ITEM_SHARE  16 /* an item may take 1/16 of a shard */
#define CACHE_SEEN_BITS   14 /* of all shards together */
#define CACHE_FORGETS     256

/* A value, a flight, or both: what has neither goes. Only with a value it is in the queue, and in the wheel or, when it
 * is too old for all but rescues, among the spent. What a hit looks at comes first and lies together. */
struct entry {
    struct entry *chain; /* in its bucket; of the dropped, the next one */
    struct s3fifo_item item;
    struct cache_key key;
    struct tape *value;
    nsec made, fresh_until;
    double saved_s;
    bool negative, spent;
    uint8_t class; /* of who leads the flight */
    uint32_t saved_tokens, joins;
    nsec stale_until, rescue_until;
    struct wheel_item due;
    struct tape *flight;
    uint64_t flight_no, model, began; /* began: how much had been forgotten then */
    uint64_t tags[CACHE_TAGS];
};
struct shard {
    pthread_rwlock_t lock;
    struct entry *pool, *free; /* of its entries; those that were in use before */
    uint32_t pool_n, pool_used;
    struct entry *_Atomic returned; /* behind the lock, to be among the free */
    struct entry **buckets;
    uint32_t buckets_n;
    struct s3fifo queue;
    struct wheel wheel;
    struct list spent; /* entry.due.link */
    struct distinct seen;
    uint64_t entries, flights, flights_ever;
    double saved_s; /* of the values for which it is known, and their weight */
    size_t saved_weight;
    struct cache_stats stats; /* counters of what is not per request; gauges are filled in by cache_stats */
} __attribute__((aligned(64)));
/* Of one worker, which alone writes it (all others share the last one), so that hits of different workers do not meet.
 */
struct tally {
    struct tally_count {
        _Atomic uint64_t found[CACHE_PASS + 1], negative, shared, saved_ns, saved_tokens;
    } by_class[CACHE_CLASSES];
} __attribute__((aligned(64)));
#define CACHE_TALLIES 16
struct cache {
    struct cache_plan plan;
    _Atomic size_t size, item_cap;
    _Atomic bool refusing;
    /* When things were forgotten, by tag; tags that share a place make each other's flights be lost, no more. */
    _Atomic uint64_t forgets, forgotten[CACHE_FORGETS], forgotten_all;
    size_t index_bytes;
    unsigned shards_n;
    struct shard *shards;
    struct tally *tallies;
};
/* What was removed under the lock, to be freed behind it. */
struct dropped {
    struct entry *first;
    struct tape *replaced; /* a value whose entry stays */
};

/* What e's value has spared so many requests. */
void cache_tally_saved(struct cache *c, uint8_t class, const struct entry *e, unsigned times);
uint64_t cache_hash(const struct cache *c, const struct cache_key *key);
struct shard *shard_of(const struct cache *c, uint64_t hash);
enum fail shard_init(const struct cache *c, struct shard *s);
void shard_done(struct shard *s);
size_t shard_memory(const struct shard *s);
/* 2^bits registers say how many keys a shard has seen. */
unsigned shard_seen_bits(const struct cache *c);
/* Of the memory of all, what this shard's values may take. */
size_t shard_limit(const struct cache *c, size_t bytes);
size_t shard_used(const struct cache *c, const struct shard *s);
void dropped_free(struct shard *s, struct dropped *d);

/* Without the lock: the line that shard_find reads first. */
void shard_prefetch(const struct shard *s, uint64_t hash);
struct entry *shard_find(const struct shard *s, uint64_t hash, const struct cache_key *key);
/* A new one with neither; NULL when memory is out. */
struct entry *shard_add(struct shard *s, uint64_t hash, const struct cache_key *key, struct dropped *d);
/* Its value goes, and e with it, if it has no flight: true then. */
bool shard_drop_value(struct shard *s, struct entry *e, struct dropped *d);
/* The flight loses its place; its writer learns it from cache_end. e goes if it has no value: true then. */
bool shard_drop_flight(struct shard *s, struct entry *e, struct dropped *d);
/* Values go until `weight` more has room; false: not possible. */
bool shard_make_room(struct cache *c, struct shard *s, size_t weight, struct dropped *d);
/* Puts due values among the spent and drops what nothing can use any more, so many of them at most. */
void shard_expire(struct shard *s, nsec now, unsigned most, struct dropped *d);
/* A value, which is in the queue with its weight, into the wheel and the sums, and out of them. */
void shard_enter(struct shard *s, struct entry *e, nsec now);
void shard_leave(struct shard *s, struct entry *e);
