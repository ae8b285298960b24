/* cache/cache.c - how a request goes: one probe, one decision.
 *
 *      value usable?  fresh ----------------------------> HIT
 *                     stale, within its window ---------> STALE; the first one that brings a tape refreshes
 *      flight?        takes joiners --------------------> JOIN
 *                     full, failed, or of what was forgotten: it loses its place, as if there were none
 *      neither        fills refused --------------------> PASS
 *                     no tape brought ------------------> MISS: make one and look again
 *                     else -----------------------------> LEAD
 *
 * A miss takes two probes, since a tape is made by who will write it, and to make one ahead for each request would cost
 * every hit. A hit changes nothing of the shard: it reads under a lock for readers, which do not wait for each other,
 * and writes the entry's two bits, its worker's tally and the tape's reference count. With a mutex in its place four
 * threads slept through a third of their time. Readers without any lock (epochs, hazard pointers) were rejected: one
 * shared line per probe is what the tape's count costs anyway. */
#include "cache/cache_state.h"

#include <stdlib.h>

/* ---- life -------------------------------------------------------------------------------------------------------- */

static unsigned shards_for(const struct cache_plan *p)
{
    size_t fit = p->unit_size ? 1 : p->bytes / CACHE_SHARD_LEAST;
    size_t n = p->shards ? p->shards : fit;
    return (unsigned)MIN(MAX(n, 1), (size_t)CACHE_SHARDS_MOST);
}

static enum fail shards_init(struct cache *c)
{
    if (memory_strikes() || !(c->shards = aligned_alloc(64, c->shards_n * sizeof *c->shards)))
        return FAIL_no_memory;
    memset(c->shards, 0, c->shards_n * sizeof *c->shards);
    c->tallies = memory_strikes() ? NULL : aligned_alloc(64, CACHE_TALLIES * sizeof *c->tallies);
    if (!c->tallies)
        return FAIL_no_memory;
    memset(c->tallies, 0, CACHE_TALLIES * sizeof *c->tallies);
    enum fail f = OK;
    for (unsigned i = 0; i < c->shards_n && !f; i++) {
        f = shard_init(c, &c->shards[i]);
        c->index_bytes += shard_memory(&c->shards[i]);
    }
    return f;
}

struct cache *cache_new(const struct cache_plan *plan)
{
    struct cache *c = memory_strikes() ? NULL : calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->plan = *plan;
    c->shards_n = shards_for(plan);
    c->index_bytes = sizeof *c + CACHE_TALLIES * sizeof *c->tallies;
    if (shards_init(c))
        cache_free(&c);
    else
        cache_resize(c, plan->bytes);
    return c;
}

static void empty(struct shard *s)
{
    struct dropped d = { 0 };
    for (uint32_t i = 0; i < s->buckets_n; i++)
        while (s->buckets && s->buckets[i]) {
            struct entry *e = s->buckets[i];
            s->buckets[i] = e->chain;
            e->chain = d.first;
            d.first = e;
        }
    dropped_free(s, &d);
}

void cache_free(struct cache **cp)
{
    struct cache *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    for (unsigned i = 0; c->shards && i < c->shards_n; i++) {
        empty(&c->shards[i]);
        shard_done(&c->shards[i]);
    }
    free(c->tallies);
    free(c->shards);
    free(c);
}

size_t cache_item_cap(const struct cache *c)
{
    return atomic_load_explicit(&c->item_cap, memory_order_relaxed);
}

/* ---- one look ---------------------------------------------------------------------------------------------------- */

/* What one look works on. */
struct probe {
    struct cache *c;
    struct shard *s;
    struct entry *e; /* NULL: there is none */
    const struct cache_ask *ask;
    struct cache_look *out;
    struct dropped dropped;
};

static bool usable(const struct entry *e, const struct cache_ask *ask)
{
    if (ask->max_age == NEVER)
        return ask->now < e->stale_until;
    return ask->now < e->fresh_until && ask->now - e->made <= ask->max_age;
}

static void give_value(struct entry *e, nsec now, struct cache_look *out)
{
    s3fifo_hit(&e->item);
    out->tape = tape_ref(e->value);
    out->age = now - e->made;
    out->ttl = e->fresh_until - now;
    out->negative = e->negative;
}

/* Was what it may depend on forgotten after it began? Its nodes are known only at its end. */
static bool outdated(const struct cache *c, const struct entry *e)
{
    return atomic_load_explicit(&c->forgotten_all, memory_order_relaxed) > e->began ||
           atomic_load_explicit(&c->forgotten[e->model % CACHE_FORGETS], memory_order_relaxed) > e->began;
}

static bool takes_joiners(const struct probe *p)
{
    const struct entry *e = p->e;
    return e->flight_no != p->ask->refused && !tape_is_oversize(e->flight) && !outdated(p->c, e);
}

static void lose_dead_flight(struct probe *p)
{
    if (p->e && p->e->flight && !takes_joiners(p) && shard_drop_flight(p->s, p->e, &p->dropped))
        p->e = NULL;
}

static void lose_dead_value(struct probe *p)
{
    if (!p->e || !p->e->value || p->ask->now < p->e->rescue_until)
        return;
    p->s->stats.expired++;
    if (shard_drop_value(p->s, p->e, &p->dropped))
        p->e = NULL;
}

/* The room its entry takes comes from values, perhaps its own. */
static void start_flight(struct probe *p)
{
    struct entry *e = p->e;
    e->flight = tape_ref(p->ask->lead);
    e->flight_no = ++p->s->flights_ever;
    e->model = p->ask->model;
    e->class = p->ask->class;
    e->joins = 0;
    e->began = atomic_load(&p->c->forgets);
    p->s->flights++;
    p->out->flight = e->flight_no;
    shard_make_room(p->c, p->s, 0, &p->dropped);
}

static bool refusing(const struct cache *c)
{
    return atomic_load_explicit(&c->refusing, memory_order_relaxed);
}

static enum cache_found find_value(struct probe *p)
{
    give_value(p->e, p->ask->now, p->out);
    if (p->out->ttl > 0)
        return CACHE_HIT;
    bool due = !p->e->flight && !refusing(p->c);
    if (due && p->ask->lead)
        start_flight(p);
    else
        p->out->refresh = due;
    return CACHE_STALE;
}

static enum cache_found pass(struct probe *p, enum cache_pass why)
{
    p->out->why = why;
    return CACHE_PASS;
}

static enum cache_found find_flight(struct probe *p)
{
    if (!p->ask->join)
        return pass(p, CACHE_PASS_ALONE);
    p->e->joins++;
    p->out->tape = tape_ref(p->e->flight);
    p->out->flight = p->e->flight_no;
    return CACHE_JOIN;
}

static enum cache_found find_nothing(struct probe *p, uint64_t hash)
{
    if (refusing(p->c))
        return pass(p, CACHE_PASS_REFUSED);
    if (!p->ask->lead)
        return CACHE_MISS;
    if (!p->e)
        p->e = shard_add(p->s, hash, &p->ask->key, &p->dropped);
    if (!p->e)
        return pass(p, CACHE_PASS_NO_MEMORY);
    start_flight(p);
    p->out->tape = tape_ref(p->ask->lead);
    return CACHE_LEAD;
}

static enum cache_found decide(struct probe *p, uint64_t hash)
{
    lose_dead_value(p);
    lose_dead_flight(p);
    if (p->e && p->e->value && usable(p->e, p->ask))
        return find_value(p);
    p->out->rescue = p->e && p->e->value && !p->e->negative;
    if (p->e && p->e->flight)
        return find_flight(p);
    return find_nothing(p, hash);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

#define SHARED_TALLY (CACHE_TALLIES - 1)

static struct tally_count *tally_of(struct cache *c, uint8_t class)
{
    return &c->tallies[MIN(sys_worker_no(), SHARED_TALLY)].by_class[class];
}

/* Only in the shared one two may write at once. */
static void add(_Atomic uint64_t *n, uint64_t more)
{
    if (likely(sys_worker_no() < SHARED_TALLY))
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(n, more, memory_order_relaxed);
}

void cache_tally_saved(struct cache *c, uint8_t class, const struct entry *e, unsigned times)
{
    struct tally_count *n = tally_of(c, class);

    if (e->saved_s > 0)
        add(&n->saved_ns, (uint64_t)(e->saved_s * times * 1e9));
    if (e->saved_tokens)
        add(&n->saved_tokens, (uint64_t)e->saved_tokens * times);
}

void cache_count_shared(struct cache *c, uint8_t class, double saved_s)
{
    struct tally_count *n = tally_of(c, class);

    add(&n->shared, 1);
    add(&n->saved_ns, (uint64_t)(saved_s * 1e9));
}

/* Who leads has missed. */
static _Atomic uint64_t *counter_of(struct tally_count *n, enum cache_found found)
{
    return &n->found[found == CACHE_LEAD ? CACHE_MISS : found];
}

/* The last look of a request decides what it was; but who has been given a stale answer has been answered. */
static void count(struct probe *p, uint64_t hash, enum cache_found found)
{
    struct tally_count *n = tally_of(p->c, p->ask->class);
    if (p->ask->was == CACHE_STALE)
        return;
    if (p->ask->was == CACHE_NEW)
        distinct_add(&p->s->seen, hash);
    else
        add(counter_of(n, p->ask->was), (uint64_t)-1);
    add(counter_of(n, found), 1);
    if (found != CACHE_HIT && found != CACHE_STALE)
        return;
    cache_tally_saved(p->c, p->ask->class, p->e, 1);
    if (p->e->negative)
        add(&n->negative, 1);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* What changes nothing needs the lock for reading only: a hit, and that there is nothing at all. */
static bool look_only(struct probe *p, uint64_t hash)
{
    const struct cache_ask *ask = p->ask;
    enum cache_found found = CACHE_NEW;
    shard_prefetch(p->s, hash);
    pthread_rwlock_rdlock(&p->s->lock);
    p->e = shard_find(p->s, hash, &ask->key);
    if (p->e && p->e->value && ask->now < p->e->fresh_until && usable(p->e, ask)) {
        give_value(p->e, ask->now, p->out);
        found = CACHE_HIT;
    } else if (!p->e && !refusing(p->c))
        found = CACHE_MISS;
    if (found != CACHE_NEW)
        count(p, hash, found);
    pthread_rwlock_unlock(&p->s->lock);
    p->out->found = found;
    return found != CACHE_NEW;
}

static void look_and_change(struct probe *p, uint64_t hash)
{
    pthread_rwlock_wrlock(&p->s->lock);
    p->e = shard_find(p->s, hash, &p->ask->key);
    p->out->found = decide(p, hash);
    count(p, hash, p->out->found);
    pthread_rwlock_unlock(&p->s->lock);
    dropped_free(p->s, &p->dropped);
}

enum cache_found cache_look(struct cache *c, const struct cache_ask *ask, struct cache_look *out)
{
    assume(ask->class < CACHE_CLASSES);
    uint64_t hash = cache_hash(c, &ask->key);
    struct probe p = { .c = c, .s = shard_of(c, hash), .ask = ask, .out = out };
    *out = (struct cache_look){ 0 };
    if (ask->lead || !look_only(&p, hash))
        look_and_change(&p, hash);
    return out->found;
}

bool cache_rescue(struct cache *c, const struct cache_key *key, nsec now, struct cache_look *out)
{
    uint64_t hash = cache_hash(c, key);
    struct shard *s = shard_of(c, hash);
    *out = (struct cache_look){ .found = CACHE_PASS };
    pthread_rwlock_wrlock(&s->lock);
    struct entry *e = shard_find(s, hash, key);
    bool there = e && e->value && !e->negative && now < e->rescue_until;
    if (there) {
        give_value(e, now, out);
        out->found = CACHE_STALE;
        s->stats.rescues++;
    }
    pthread_rwlock_unlock(&s->lock);
    return there;
}
