/* cache/ghost.c - a table without lists: a bucket is one cache line of eight marks, each with the moment it came.
 *
 *      bucket:  [mark at] [mark at] ... x 8         time is the weight evicted so far
 *
 * A queue of hashes with an index over it was rejected: three times the memory and a list to move for what may be
 * approximate. What is older than the span is empty without being touched; a full bucket gives up its oldest. 32 bits
 * of mark besides the bucket's number mistake one stranger in 500 million for a known one, which costs nothing but a
 * place in the wrong queue. */
#include "cache/ghost.h"

#include "base/slab.h"

#include <stdlib.h>

/* Twice the slots, so that few buckets overflow while it holds as many as were asked for. */
#define SPARE 2

enum fail ghost_init(struct ghost *g, size_t entries, size_t grain)
{
    size_t buckets = entries * SPARE / GHOST_WAYS + 1;
    *g = (struct ghost){ 0 };
    if (buckets > UINT32_MAX || memory_strikes())
        return FAIL_no_memory;
    g->slots = calloc(buckets * GHOST_WAYS, sizeof *g->slots);
    if (!g->slots)
        return FAIL_no_memory;
    g->buckets = (uint32_t)buckets;
    while (grain >> g->shift > 1)
        g->shift++;
    return OK;
}

void ghost_done(struct ghost *g)
{
    free(g->slots);
    *g = (struct ghost){ 0 };
}

size_t ghost_memory(const struct ghost *g)
{
    return (size_t)g->buckets * GHOST_WAYS * sizeof *g->slots;
}

static struct ghost_slot *bucket_of(const struct ghost *g, uint64_t hash)
{
    uint32_t number = (uint32_t)((hash & UINT32_MAX) * g->buckets >> 32);
    return &g->slots[(size_t)number * GHOST_WAYS];
}

static uint32_t mark_of(uint64_t hash)
{
    uint32_t mark = (uint32_t)(hash >> 32);
    return mark ? mark : 1;
}

static uint32_t age(const struct ghost *g, const struct ghost_slot *slot)
{
    return slot->mark ? (uint32_t)(g->evicted >> g->shift) - slot->at : UINT32_MAX;
}

void ghost_put(struct ghost *g, uint64_t hash, size_t weight)
{
    struct ghost_slot *bucket = bucket_of(g, hash), *oldest = bucket;
    ghost_forget(g, hash);
    for (unsigned i = 1; i < GHOST_WAYS; i++)
        if (age(g, &bucket[i]) > age(g, oldest))
            oldest = &bucket[i];
    g->evicted += weight;
    *oldest = (struct ghost_slot){ mark_of(hash), (uint32_t)(g->evicted >> g->shift) };
}

static struct ghost_slot *find(const struct ghost *g, uint64_t hash)
{
    struct ghost_slot *bucket = bucket_of(g, hash);
    for (unsigned i = 0; i < GHOST_WAYS; i++)
        if (bucket[i].mark == mark_of(hash))
            return &bucket[i];
    return NULL;
}

bool ghost_has(const struct ghost *g, uint64_t hash, size_t span)
{
    const struct ghost_slot *slot = find(g, hash);
    return slot && age(g, slot) < span >> g->shift;
}

void ghost_forget(struct ghost *g, uint64_t hash)
{
    struct ghost_slot *slot = find(g, hash);
    if (slot)
        slot->mark = 0;
}
