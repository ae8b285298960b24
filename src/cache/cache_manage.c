/* cache/cache_manage.c - what is done to the whole: forgetting by tag, sweeping, resizing, counting.
 *
 * Forgetting walks all entries, shard by shard: a millisecond for a full one, seldom, and then all memory is free and
 * no hit has to compare generations. Lists by tag were rejected: four links in each entry for something that happens
 * when a model is pulled. Flights learn it from a table of moments: one that ends asks whether any of its tags was
 * forgotten after it began. The moment is noted before the walk, so that what ends during the walk is caught by one of
 * the two. */
#include "cache/cache_state.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define AT_A_TIME 128 /* values dropped while others wait for the lock */

/* ---- tags -------------------------------------------------------------------------------------------------------- */

enum tag_kind { TAG_MODEL = 1, TAG_NODE };

static uint64_t tag_of(enum tag_kind kind, const void *bytes, size_t n)
{
    uint64_t tag = XXH3_64bits_withSeed(bytes, n, kind);
    return tag == CACHE_EVERYTHING ? 1 : tag;
}

uint64_t cache_tag_model(struct str name)
{
    return tag_of(TAG_MODEL, name.p, name.n);
}

uint64_t cache_tag_node(uint64_t id)
{
    return tag_of(TAG_NODE, &id, sizeof id);
}

static bool has_tag(const struct entry *e, uint64_t tag)
{
    bool has = tag == CACHE_EVERYTHING;
    for (unsigned i = 0; i < CACHE_TAGS; i++)
        has |= e->tags[i] == tag;
    return has;
}

static uint64_t forget_in_bucket(struct shard *s, uint32_t bucket, uint64_t tag, struct dropped *d)
{
    uint64_t n = 0;
    for (struct entry *e = s->buckets[bucket], *next; e; e = next) {
        next = e->chain;
        if (e->value && has_tag(e, tag)) {
            shard_drop_value(s, e, d);
            n++;
        }
    }
    return n;
}

/* From this bucket on, until enough went for one turn at the lock. */
static uint64_t forget_some(struct cache *c, struct shard *s, uint32_t *bucket, uint64_t tag)
{
    struct dropped d = { 0 };
    uint64_t n = 0;
    pthread_rwlock_wrlock(&s->lock);
    uint32_t until = MIN(*bucket + KIB(4), s->buckets_n);
    while (*bucket < until && n < AT_A_TIME)
        n += forget_in_bucket(s, (*bucket)++, tag, &d);
    s->stats.forgotten += n;
    pthread_rwlock_unlock(&s->lock);
    dropped_free(s, &d);
    return n;
}

uint64_t cache_forget(struct cache *c, uint64_t tag)
{
    uint64_t n = 0, moment = atomic_fetch_add(&c->forgets, 1) + 1;
    atomic_store(tag == CACHE_EVERYTHING ? &c->forgotten_all : &c->forgotten[tag % CACHE_FORGETS], moment);
    for (unsigned i = 0; i < c->shards_n; i++)
        for (uint32_t bucket = 0; bucket < c->shards[i].buckets_n;)
            n += forget_some(c, &c->shards[i], &bucket, tag);
    return n;
}

/* ---- time and room ----------------------------------------------------------------------------------------------- */

static bool sweep_some(struct cache *c, struct shard *s, nsec now)
{
    struct dropped d = { 0 };
    pthread_rwlock_wrlock(&s->lock);
    shard_expire(s, now, AT_A_TIME, &d);
    pthread_rwlock_unlock(&s->lock);
    bool some = d.first != NULL;
    dropped_free(s, &d);
    return some;
}

void cache_sweep(struct cache *c, nsec now)
{
    for (unsigned i = 0; i < c->shards_n; i++)
        while (sweep_some(c, &c->shards[i], now))
            ;
}

static bool shrink_some(struct cache *c, struct shard *s, size_t limit)
{
    struct dropped d = { 0 };
    pthread_rwlock_wrlock(&s->lock);
    size_t used = shard_used(c, s);
    s->queue.limit = MAX(limit, used > KIB(256) ? used - KIB(256) : 0);
    shard_make_room(c, s, 0, &d);
    bool more = s->queue.limit > limit;
    pthread_rwlock_unlock(&s->lock);
    dropped_free(s, &d);
    return more;
}

void cache_resize(struct cache *c, size_t bytes)
{
    size_t limit = shard_limit(c, bytes);
    atomic_store(&c->size, bytes);
    atomic_store(&c->item_cap, limit / CACHE_ITEM_SHARE);
    for (unsigned i = 0; i < c->shards_n; i++)
        while (shrink_some(c, &c->shards[i], limit))
            ;
}

void cache_refuse_fills(struct cache *c, bool on)
{
    atomic_store(&c->refusing, on);
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

static uint64_t get(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add_tally(struct cache_count *to, const struct tally_count *n)
{
    to->hits += get(&n->found[CACHE_HIT]);
    to->stale += get(&n->found[CACHE_STALE]);
    to->joins += get(&n->found[CACHE_JOIN]);
    to->misses += get(&n->found[CACHE_MISS]);
    to->passes += get(&n->found[CACHE_PASS]);
    to->shared += get(&n->shared);
    to->negative += get(&n->negative);
    to->saved_s += (double)get(&n->saved_ns) / 1e9;
    to->saved_tokens += get(&n->saved_tokens);
}

static void add_count(struct cache_count *to, struct cache_count *n)
{
    n->misses -= MIN(n->misses, n->shared); /* who led was counted as one before */
    n->requests = n->hits + n->stale + n->joins + n->shared + n->misses + n->passes;
    to->requests += n->requests;
    to->hits += n->hits;
    to->stale += n->stale;
    to->joins += n->joins;
    to->shared += n->shared;
    to->misses += n->misses;
    to->passes += n->passes;
    to->negative += n->negative;
    to->saved_s += n->saved_s;
    to->saved_tokens += n->saved_tokens;
}

static void add_tallies(const struct cache *c, struct cache_stats *to)
{
    for (unsigned class = 0; class < CACHE_CLASSES; class ++) {
        for (unsigned i = 0; i < CACHE_TALLIES; i++)
            add_tally(&to->by_class[class], &c->tallies[i].by_class[class]);
        add_count(&to->all, &to->by_class[class]);
    }
}

static void add_stats(struct cache_stats *to, const struct cache_stats *n)
{
    to->filled += n->filled;
    to->refreshed += n->refreshed;
    to->evicted += n->evicted;
    to->expired += n->expired;
    to->forgotten += n->forgotten;
    to->poor += n->poor;
    to->rescues += n->rescues;
}

static void add_shard(struct cache *c, struct shard *s, struct cache_stats *to)
{
    pthread_rwlock_wrlock(&s->lock);
    add_stats(to, &s->stats);
    to->bytes += shard_used(c, s);
    to->entries += s->entries;
    to->flights += s->flights;
    pthread_rwlock_unlock(&s->lock);
    to->distinct += distinct_estimate(&s->seen);
}

void cache_stats(struct cache *c, struct cache_stats *out)
{
    *out = (struct cache_stats){ .size = atomic_load(&c->size) };
    for (unsigned i = 0; i < c->shards_n; i++)
        add_shard(c, &c->shards[i], out);
    add_tallies(c, out);
    out->index_bytes = c->plan.unit_size ? 0 : c->index_bytes;
    out->bytes += out->index_bytes;
    out->distinct_error = distinct_error(shard_seen_bits(c), c->shards_n);
    out->best_possible = MAX((double)out->all.requests - out->distinct, 0);
}
