/* cache/cache_end.c - a flight's end: what proves itself becomes the entry, where it stands.
 *
 * Admission. S3-FIFO asks how often; GPU-seconds ask what it is worth. When something live would have to go, and the
 * newcomer spares less than an eighth per byte of what the values here spare on average, it is not let in but noted in
 * the ghost, so that it is when it comes again: a sweep of cheap large embeddings does not push out dear small answers.
 * The factor is wide on purpose: where all answers are worth about the same per byte, as in plain traces, or where
 * nothing is known, nobody is refused. An order by worth (GreedyDual) was rejected: it needs a heap, and forgets how
 * often a thing is asked for. */
#include "cache/cache_state.h"

#define POOR        8
#define EXPIRE_MOST 32 /* at a time, while somebody waits */

static bool forgotten_since(const struct cache *c, uint64_t tag, uint64_t began)
{
    return tag && atomic_load(&c->forgotten[tag % CACHE_FORGETS]) > began;
}

static bool outdated(const struct cache *c, const struct entry *e, const struct cache_keep *keep)
{
    bool lost = atomic_load(&c->forgotten_all) > e->began || forgotten_since(c, e->model, e->began);
    for (unsigned i = 0; i < CACHE_TAGS; i++)
        lost |= forgotten_since(c, keep->tags[i], e->began);
    return lost;
}

static size_t weight_of(const struct cache *c, const struct tape *t)
{
    return c->plan.unit_size ? 1 : sizeof(struct entry) + tape_bytes(t);
}

/* The cap is of bytes; what they cost may be half as much again. */
static size_t weight_most(const struct cache *c, const struct shard *s)
{
    return c->plan.unit_size ? s->queue.limit : s->queue.limit / CACHE_ITEM_SHARE * 2;
}

static bool too_poor(const struct cache *c, struct shard *s, const struct entry *e, double saved_s, size_t weight)
{
    bool room = shard_used(c, s) + weight <= s->queue.limit;
    if (!c->plan.admission || saved_s <= 0 || !s->saved_weight || room || s3fifo_remembers(&s->queue, e->item.hash))
        return false;
    bool poor = saved_s / (double)weight * POOR < s->saved_s / (double)s->saved_weight;
    if (poor)
        s3fifo_pass(&s->queue, e->item.hash, weight);
    s->stats.poor += poor;
    return poor;
}

static enum cache_kept judge(struct cache *c, struct shard *s, struct entry *e, const struct cache_keep *keep,
                             struct dropped *d)
{
    if (!keep)
        return CACHE_UNWANTED;
    if (!tape_is_whole(e->flight))
        return CACHE_UNPROVEN;
    if (outdated(c, e, keep))
        return CACHE_LOST;
    if (atomic_load_explicit(&c->refusing, memory_order_relaxed))
        return CACHE_REFUSED;
    size_t weight = weight_of(c, e->flight);
    if (weight > weight_most(c, s))
        return CACHE_NO_ROOM;
    if (e->value)
        return CACHE_KEPT;
    if (too_poor(c, s, e, keep->saved_s, weight))
        return CACHE_POOR;
    return shard_make_room(c, s, weight, d) ? CACHE_KEPT : CACHE_NO_ROOM;
}

static nsec jittered(nsec ttl, uint64_t random)
{
    return ttl - ttl / 10 / 1024 * (nsec)(random % 1024);
}

static void describe(struct entry *e, const struct cache_keep *keep, nsec now)
{
    e->made = now - keep->age;
    e->fresh_until = now + jittered(keep->ttl, keep->random);
    e->stale_until = e->fresh_until + keep->stale;
    e->rescue_until = e->fresh_until + MAX(keep->stale, keep->stale_if_error);
    e->saved_s = keep->saved_s;
    e->saved_tokens = keep->saved_tokens;
    e->negative = keep->negative;
    memcpy(e->tags, keep->tags, sizeof e->tags);
}

/* A value that was there keeps its place in the queue and its hits: what is worth refreshing is worth keeping. */
static void make_place(struct shard *s, struct entry *e, size_t weight, struct dropped *d)
{
    if (!e->value) {
        e->item.weight = weight;
        s3fifo_put(&s->queue, &e->item);
        s->stats.filled++;
        return;
    }
    shard_leave(s, e);
    s3fifo_reweigh(&s->queue, &e->item, weight);
    d->replaced = e->value;
    s->stats.refreshed++;
}

/* The flight's reference becomes the value's. */
static void become_value(struct cache *c, struct shard *s, struct entry *e, const struct cache_keep *keep, nsec now,
                         struct dropped *d)
{
    make_place(s, e, weight_of(c, e->flight), d);
    e->value = e->flight;
    e->flight = NULL;
    s->flights--;
    describe(e, keep, now);
    shard_enter(s, e, now);
    cache_tally_saved(c, e->class, e, e->joins);
}

static enum cache_kept end(struct cache *c, struct shard *s, struct entry *e, const struct cache_keep *keep, nsec now,
                           struct dropped *d)
{
    shard_expire(s, now, EXPIRE_MOST, d);
    enum cache_kept kept = judge(c, s, e, keep, d);
    if (kept == CACHE_KEPT) {
        become_value(c, s, e, keep, now, d);
        shard_make_room(c, s, 0, d); /* a refreshed one may have grown */
    } else
        shard_drop_flight(s, e, d);
    return kept;
}

enum cache_kept cache_end(struct cache *c, const struct cache_key *key, uint64_t flight, const struct cache_keep *keep,
                          nsec now)
{
    uint64_t hash = cache_hash(c, key);
    struct shard *s = shard_of(c, hash);
    struct dropped d = { 0 };
    pthread_rwlock_wrlock(&s->lock);
    struct entry *e = shard_find(s, hash, key);
    bool ours = e && e->flight && e->flight_no == flight;
    enum cache_kept kept = ours ? end(c, s, e, keep, now, &d) : CACHE_LOST;
    pthread_rwlock_unlock(&s->lock);
    dropped_free(s, &d);
    return kept;
}
