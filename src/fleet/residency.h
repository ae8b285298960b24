/* fleet/residency.h - what nodes say they have: listings that may be looked at from outside the lock, and an index from
 * a model to the nodes that have it (tags) and have it loaded (ps). */
#pragma once
#include "api/inventory.h"

#define NODES_MAX  1024
#define NODE_WORDS (NODES_MAX / 64)

/* Nodes by their place in the fleet. */
struct node_set {
    uint64_t word[NODE_WORDS];
};
static inline void set_put(struct node_set *s, uint32_t no, bool in)
{
    uint64_t bit = 1ull << (no % 64);
    s->word[no / 64] = in ? s->word[no / 64] | bit : s->word[no / 64] & ~bit;
}
static inline bool set_has(const struct node_set *s, uint32_t no)
{
    return s->word[no / 64] >> (no % 64) & 1;
}

/* An inventory with several holders: its node, and whoever renders from it meanwhile. Lies in the inventory's own
 * arena. Any thread. */
struct listing {
    _Atomic int refs;
    struct inventory *inventory;
};
/* One reference, the caller's. NULL when memory is out: the inventory stays the caller's. */
struct listing *listing_new(struct inventory *i);
static inline struct listing *listing_ref(struct listing *l)
{
    if (l)
        l->refs++;
    return l;
}
/* Leaves NULL; the last one frees (heap: not under the fleet's lock, unless the node keeps its own). */
void listing_unref(struct listing **l);
/* Would the views show the same? l may be NULL. */
bool listing_same(const struct listing *l, const struct inventory *i);

/* Who has one model. Models are known by the hash of their key: 64 bits of a hash seeded per process. */
struct holders {
    uint64_t model; /* 0: free slot */
    struct node_set has, loaded;
};
struct residency; /* open addressing; changes never ask for memory */
/* Room for at least `models`. NULL when memory is out. */
struct residency *residency_new(uint32_t models);
void residency_free(struct residency **r);
/* NULL: no node has ever said it has it. */
const struct holders *residency_find(const struct residency *r, uint64_t model);
/* How many models a new table must hold so that `more` can be added to this one; 0: there is room. */
uint32_t residency_short_of(const struct residency *r, uint32_t more);
/* Everything that `from` knows, without the models that nobody has. `to` must be new and large enough. */
void residency_move(struct residency *to, const struct residency *from);
enum plane { PLANE_HAS, PLANE_LOADED };
/* The node at that place said `was` (may be NULL) and says `is` now (may be NULL). There must be room. */
void residency_update(struct residency *r, enum plane plane, uint32_t no, const struct listing *was,
                      const struct listing *is);
