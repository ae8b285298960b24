/* fleet/prefix.c - one table from a block to its holders, and one list per node in order of use.
 *
 *      hash ->  entry (node 3) -> entry (node 7) -> ...        a chain per bucket, an entry per node and block
 *      node 3:  newest <-> ... <-> oldest                      beyond the capacity the oldest goes
 *
 * A block's hash stands for all before it, so a node that has block n but lost block n - 1 has a useless block; paths
 * are put from their end, so that the beginning is the newest and outlives the rest. A tree per node was rejected: its
 * beginning is shared by thousands of prompts, and each node would be searched alone. */
#include "fleet/prefix.h"
#include "base/slab.h"
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define NONE         UINT32_MAX
#define BLOCK_BYTES  1024
#define HOLDERS_MOST 64

struct block {
    uint64_t hash;
    uint32_t node, model;
    uint32_t chain;        /* next in its bucket */
    uint32_t newer, older; /* in its node's list; `newer` of the free ones */
    uint32_t slots;        /* how many slots hold it (prefix_replace) */
};
struct shelf { /* of a node */
    uint32_t newest, oldest, n, capacity;
};
struct prefix {
    struct block *block;
    uint32_t *bucket;
    struct shelf *shelf;
    uint32_t nodes, blocks, mask, free;
    uint32_t fresh; /* blocks from here on were never used, and cost no memory yet */
};

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static void init(struct prefix *p)
{
    for (uint32_t i = 0; i <= p->mask; i++)
        p->bucket[i] = NONE;
    for (uint32_t i = 0; i < p->nodes; i++)
        p->shelf[i] = (struct shelf){ NONE, NONE, 0, 0 };
    p->free = NONE;
}

struct prefix *prefix_new(uint32_t nodes, uint32_t blocks)
{
    struct prefix *p = memory_strikes() ? NULL : calloc(1, sizeof *p);
    if (!p)
        return NULL;
    uint32_t buckets = 64;
    while (buckets < blocks && buckets < 1u << 31)
        buckets *= 2;
    *p = (struct prefix){ .nodes = nodes, .blocks = blocks, .mask = buckets - 1 };
    p->block = calloc(blocks, sizeof *p->block);
    p->bucket = calloc(buckets, sizeof *p->bucket);
    p->shelf = calloc(nodes, sizeof *p->shelf);
    if (p->block && p->bucket && p->shelf)
        init(p);
    else
        prefix_free(&p);
    return p;
}

void prefix_free(struct prefix **pp)
{
    struct prefix *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    free(p->block);
    free(p->bucket);
    free(p->shelf);
    free(p);
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct prefix *p, uint64_t hash)
{
    return &p->bucket[(hash ^ hash >> 32) * 0x9e3779b1u & p->mask];
}

static uint32_t find(const struct prefix *p, uint32_t node, uint64_t hash)
{
    uint32_t b = *bucket_of(p, hash);
    while (b != NONE && (p->block[b].hash != hash || p->block[b].node != node))
        b = p->block[b].chain;
    return b;
}

static void unlist(struct prefix *p, uint32_t at)
{
    struct block *b = &p->block[at];
    struct shelf *s = &p->shelf[b->node];
    if (b->newer == NONE)
        s->newest = b->older;
    else
        p->block[b->newer].older = b->older;
    if (b->older == NONE)
        s->oldest = b->newer;
    else
        p->block[b->older].newer = b->newer;
    s->n--;
}

static void list_newest(struct prefix *p, uint32_t at)
{
    struct block *b = &p->block[at];
    struct shelf *s = &p->shelf[b->node];
    b->newer = NONE, b->older = s->newest;
    if (s->newest == NONE)
        s->oldest = at;
    else
        p->block[s->newest].newer = at;
    s->newest = at;
    s->n++;
}

static void drop(struct prefix *p, uint32_t at)
{
    uint32_t *link = bucket_of(p, p->block[at].hash);
    while (*link != at)
        link = &p->block[*link].chain;
    *link = p->block[at].chain;
    unlist(p, at);
    p->block[at].newer = p->free;
    p->free = at;
}

/* The node gives up its own oldest when it has its share, or when memory is full. */
static uint32_t take(struct prefix *p, struct shelf *s)
{
    bool full = p->free == NONE && p->fresh == p->blocks;
    if ((s->capacity && s->n >= s->capacity) || (full && s->n))
        drop(p, s->oldest);
    uint32_t at = p->free;
    if (at != NONE)
        p->free = p->block[at].newer;
    else if (p->fresh < p->blocks)
        at = p->fresh++;
    return at;
}

static uint32_t put(struct prefix *p, uint32_t node, uint32_t model, uint64_t hash)
{
    uint32_t at = find(p, node, hash);
    if (at != NONE) {
        unlist(p, at);
        list_newest(p, at);
        return at;
    }
    at = take(p, &p->shelf[node]);
    if (at == NONE)
        return NONE;
    uint32_t *bucket = bucket_of(p, hash);
    p->block[at] = (struct block){ .hash = hash, .node = node, .model = model, .chain = *bucket };
    *bucket = at;
    list_newest(p, at);
    return at;
}

/* ---- what others see -------------------------------------------------------------------------------------------- */

void prefix_capacity(struct prefix *p, uint32_t node, uint32_t blocks)
{
    p->shelf[node].capacity = blocks;
    while (blocks && p->shelf[node].n > blocks)
        drop(p, p->shelf[node].oldest);
}

uint32_t prefix_path(const char *text, size_t bytes, uint64_t model, uint64_t *out, uint32_t max)
{
    uint64_t so_far = model;
    uint32_t n = (uint32_t)MIN(bytes / BLOCK_BYTES, max);
    for (uint32_t i = 0; i < n; i++)
        out[i] = so_far = XXH3_64bits_withSeed(text + (size_t)i * BLOCK_BYTES, BLOCK_BYTES, so_far);
    return n;
}

uint32_t prefix_matched(const struct prefix *p, uint32_t node, const uint64_t *path, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && find(p, node, path[i]) != NONE)
        i++;
    return i;
}

static uint32_t holders_of(const struct prefix *p, uint64_t hash, uint32_t *out, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t b = *bucket_of(p, hash); b != NONE && n < max; b = p->block[b].chain)
        if (p->block[b].hash == hash)
            out[n++] = p->block[b].node;
    return n;
}

static bool longer(struct prefix_hint a, struct prefix_hint b)
{
    return a.tokens != b.tokens ? a.tokens > b.tokens : a.node < b.node;
}

/* Into a list that is kept in order; the shortest falls out when it is full. */
static void insert_hint(struct prefix_hint *hint, uint32_t *n, uint32_t max, struct prefix_hint h)
{
    uint32_t i = MIN(*n, max - 1);
    if (*n == max && !longer(h, hint[i]))
        return;
    *n = i + 1;
    for (; i && longer(h, hint[i - 1]); i--)
        hint[i] = hint[i - 1];
    hint[i] = h;
}

uint32_t prefix_find(const struct prefix *p, const uint64_t *path, uint32_t n, uint32_t block_tokens,
                     struct prefix_hint *out, uint32_t max)
{
    uint32_t holder[HOLDERS_MOST], hints = 0;
    uint32_t holders = n ? holders_of(p, path[0], holder, HOLDERS_MOST) : 0;
    for (uint32_t i = 0; i < holders; i++) {
        struct prefix_hint h = { holder[i], prefix_matched(p, holder[i], path, n) * block_tokens };
        insert_hint(out, &hints, max, h);
    }
    return hints;
}

void prefix_put(struct prefix *p, uint32_t node, uint32_t model, const uint64_t *path, uint32_t n)
{
    while (n--)
        put(p, node, model, path[n]);
}

void prefix_replace(struct prefix *p, uint32_t node, uint32_t model, const uint64_t *was, uint32_t was_n,
                    const uint64_t *path, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = put(p, node, model, path[i]);
        if (at != NONE)
            p->block[at].slots++;
    }
    for (uint32_t i = 0; i < was_n; i++) {
        uint32_t at = find(p, node, was[i]);
        if (at != NONE && --p->block[at].slots == 0)
            drop(p, at);
    }
}

void prefix_forget(struct prefix *p, uint32_t node, uint32_t model)
{
    for (uint32_t b = p->shelf[node].newest, older; b != NONE; b = older) {
        older = p->block[b].older;
        if (model == UINT32_MAX || p->block[b].model == model)
            drop(p, b);
    }
}
