/* cache/ghost.h - hashes of what was evicted lately, without the things themselves.
 *
 * Remembers a hash until as much as `span` (weight, in the owner's unit) has been evicted after it: as long a memory as
 * a queue of that size. Embedded; memory is taken once and bounded. Not thread-safe. */
#pragma once
#include "base/fail.h"

struct ghost_slot {
    uint32_t mark; /* of the hash; 0: empty */
    uint32_t at;   /* when, in `evicted`, coarse */
};
struct ghost {
    struct ghost_slot *slots;
    uint32_t buckets; /* of GHOST_WAYS slots, a cache line */
    unsigned shift;   /* evicted >> shift is what `at` counts in */
    uint64_t evicted; /* weight, ever */
};
#define GHOST_WAYS 8
/* Room for about `entries` hashes; beyond, the oldest go early. `grain`: the least weight that matters. */
enum fail ghost_init(struct ghost *g, size_t entries, size_t grain);
void ghost_done(struct ghost *g);
size_t ghost_memory(const struct ghost *g);
void ghost_put(struct ghost *g, uint64_t hash, size_t weight);
/* Was it evicted within `span`? */
bool ghost_has(const struct ghost *g, uint64_t hash, size_t span);
void ghost_forget(struct ghost *g, uint64_t hash);
