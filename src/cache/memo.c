/* cache/memo.c - sixteen rings of records, each with a table from hash to place and a lock.
 *
 *      ring:  [head context body] [head context body] ... -> at        at only grows; place = at % size
 *      table: hash -> at of the record; overwritten by the next of that bucket
 *
 * A record is there as long as the ring has not come round over it, so nothing is ever deleted and no memory is
 * allocated after the start. What is asked for all the time is overwritten, too, once per round, and written again at
 * the end: a canonical key now and then, instead of order to keep. */
#include "cache/memo.h"

#include "base/slab.h"

#include <pthread.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define RINGS       16
#define RECORD_PART 8   /* of a ring, that a record may take */
#define USUAL       512 /* a record's size, for which the table is made */

struct record {
    uint64_t hash;
    uint32_t context_n, body_n;
    struct cache_key key;
    char bytes[]; /* context, body */
};
struct ring {
    pthread_mutex_t lock;
    char *bytes;
    uint64_t at;     /* where the next record goes, ever growing */
    uint64_t *table; /* at + 1 of a record; 0: none */
} __attribute__((aligned(64)));
struct memo {
    uint64_t seed;
    size_t ring_bytes, buckets;
    char *bytes;
    uint64_t *tables;
    struct ring rings[RINGS];
};

static bool take_memory(struct memo *m)
{
    m->bytes = memory_strikes() ? NULL : malloc(RINGS * m->ring_bytes);
    m->tables = memory_strikes() ? NULL : calloc(RINGS * m->buckets, sizeof *m->tables);
    return m->bytes && m->tables;
}

struct memo *memo_new(size_t bytes, uint64_t seed)
{
    struct memo *m = memory_strikes() ? NULL : aligned_alloc(64, sizeof *m);
    if (!m)
        return NULL;
    *m = (struct memo){ .seed = seed };
    m->buckets = MAX(bytes, MEMO_LEAST) / RINGS / USUAL;
    m->ring_bytes = MAX(bytes, MEMO_LEAST) / RINGS - m->buckets * sizeof(uint64_t);
    m->ring_bytes &= ~(size_t)15;
    for (unsigned i = 0; i < RINGS; i++)
        pthread_mutex_init(&m->rings[i].lock, NULL);
    if (!take_memory(m)) {
        memo_free(&m);
        return NULL;
    }
    for (unsigned i = 0; i < RINGS; i++) {
        m->rings[i].bytes = m->bytes + i * m->ring_bytes;
        m->rings[i].table = m->tables + i * m->buckets;
    }
    return m;
}

void memo_free(struct memo **mp)
{
    struct memo *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    for (unsigned i = 0; i < RINGS; i++)
        pthread_mutex_destroy(&m->rings[i].lock);
    free(m->bytes);
    free(m->tables);
    free(m);
}

static uint64_t hash_of(const struct memo *m, struct str context, struct str body)
{
    uint64_t seed = context.n ? XXH3_64bits_withSeed(context.p, context.n, m->seed) : m->seed;
    return body.n ? XXH3_64bits_withSeed(body.p, body.n, seed) : seed;
}

static struct ring *ring_of(struct memo *m, uint64_t hash)
{
    return &m->rings[hash >> 60];
}

static uint64_t *place_of(const struct memo *m, struct ring *r, uint64_t hash)
{
    return &r->table[(hash & UINT32_MAX) * m->buckets >> 32];
}

/* 0: too large to be remembered. */
static size_t record_bytes(const struct memo *m, struct str context, struct str body)
{
    size_t most = m->ring_bytes / RECORD_PART;
    if (context.n > most || body.n > most - context.n)
        return 0;
    return (sizeof(struct record) + context.n + body.n + 15) & ~(size_t)15;
}

static bool is_of(const struct record *r, uint64_t hash, struct str context, struct str body)
{
    return r->hash == hash && r->context_n == context.n && r->body_n == body.n &&
           str_eq((struct str){ r->bytes, r->context_n }, context) &&
           str_eq((struct str){ r->bytes + r->context_n, r->body_n }, body);
}

/* What the table names, if it has not been overwritten since. */
static struct record *record_at(const struct memo *m, const struct ring *r, uint64_t place)
{
    if (!place || r->at - (place - 1) > m->ring_bytes)
        return NULL;
    return (void *)(r->bytes + (place - 1) % m->ring_bytes);
}

static struct record *find(const struct memo *m, struct ring *r, uint64_t hash, struct str context, struct str body)
{
    struct record *found = record_at(m, r, *place_of(m, r, hash));
    return found && is_of(found, hash, context, body) ? found : NULL;
}

bool memo_find(struct memo *m, struct str context, struct str body, struct cache_key *out)
{
    if (!record_bytes(m, context, body))
        return false;
    uint64_t hash = hash_of(m, context, body);
    struct ring *r = ring_of(m, hash);
    pthread_mutex_lock(&r->lock);
    const struct record *found = find(m, r, hash, context, body);
    if (found)
        *out = found->key;
    pthread_mutex_unlock(&r->lock);
    return found != NULL;
}

/* A record lies together: what is left at the end of the ring is skipped if it is too little. */
static struct record *append(const struct memo *m, struct ring *r, size_t n, uint64_t *out_place)
{
    size_t left = m->ring_bytes - r->at % m->ring_bytes;
    if (left < n)
        r->at += left;
    *out_place = r->at + 1;
    struct record *rec = (void *)(r->bytes + r->at % m->ring_bytes);
    r->at += n;
    return rec;
}

static void write_record(struct record *rec, uint64_t hash, struct str context, struct str body,
                         const struct cache_key *key)
{
    rec->hash = hash;
    rec->context_n = (uint32_t)context.n;
    rec->body_n = (uint32_t)body.n;
    rec->key = *key;
    memcpy(rec->bytes, context.n ? context.p : "", context.n);
    memcpy(rec->bytes + context.n, body.n ? body.p : "", body.n);
}

void memo_keep(struct memo *m, struct str context, struct str body, const struct cache_key *key)
{
    size_t n = record_bytes(m, context, body);
    if (!n)
        return;
    uint64_t hash = hash_of(m, context, body);
    struct ring *r = ring_of(m, hash);
    pthread_mutex_lock(&r->lock);
    struct record *known = find(m, r, hash, context, body);
    if (known)
        known->key = *key;
    else
        write_record(append(m, r, n, place_of(m, r, hash)), hash, context, body, key);
    pthread_mutex_unlock(&r->lock);
}
