/* observe/label_sets.h - counters by label set: a set is a 64-bit key that its owner packs, with two counts.
 * Embedded, zero is empty. One writer; readers on any thread walk the sets by number while it writes: a set is
 * published once, with release, and never moves. At most LABEL_SETS_MAX sets; those that come later are counted under
 * the key `spill`. */
#pragma once
#include "base/types.h"
#include <stdatomic.h>

#define LABEL_SETS_CHUNK  64
#define LABEL_SETS_CHUNKS 64
#define LABEL_SETS_MAX    (LABEL_SETS_CHUNK * LABEL_SETS_CHUNKS)
struct label_set {
    uint64_t key;
    _Atomic uint64_t count[2];
};
struct label_sets {
    _Atomic uint32_t n;
    struct label_set *chunk[LABEL_SETS_CHUNKS];
    /* the writer's alone: open-addressed, numbers + 1 */
    uint16_t *index;
    uint32_t index_slots;
};
void label_sets_done(struct label_sets *s);
/* Writer. Adds to the set's counts; when memory for a new set is out nothing is counted. */
void label_sets_add(struct label_sets *s, uint64_t key, uint64_t spill, uint64_t first, uint64_t second);
/* Reader. */
static inline uint32_t label_sets_n(const struct label_sets *s)
{
    return atomic_load_explicit(&s->n, memory_order_acquire);
}
static inline const struct label_set *label_sets_nth(const struct label_sets *s, uint32_t i)
{
    return &s->chunk[i / LABEL_SETS_CHUNK][i % LABEL_SETS_CHUNK];
}
static inline uint64_t label_set_count(const struct label_set *s, unsigned which)
{
    return atomic_load_explicit(&s->count[which], memory_order_relaxed);
}
