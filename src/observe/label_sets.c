/* observe/label_sets.c - sets lie in chunks that never move; the index that finds them is the writer's alone.
 *
 *     chunk[0] -> 64 sets     n = 130: readers walk 0..129 and never see the index,
 *     chunk[1] -> 64 sets     so the writer may rebuild it whenever it likes
 *     chunk[2] ->  2 sets
 *
 * One growing array would have to be kept until its last reader has left it; a list would be a cache miss for each set.
 */
#include "observe/label_sets.h"

#include "base/slab.h"

#include <stdlib.h>

#define INDEX_LEAST 64

void label_sets_done(struct label_sets *s)
{
    for (unsigned i = 0; i < LABEL_SETS_CHUNKS; i++)
        free(s->chunk[i]);
    free(s->index);
    *s = (struct label_sets){ 0 };
}

/* The slot that holds the key's number, or the free one where it belongs. */
static uint16_t *find(const struct label_sets *s, uint64_t key)
{
    uint32_t at = (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 40) & (s->index_slots - 1);
    while (s->index[at] && label_sets_nth(s, s->index[at] - 1u)->key != key)
        at = (at + 1) & (s->index_slots - 1);
    return &s->index[at];
}

static bool grow_index(struct label_sets *s)
{
    struct label_sets larger = *s;
    larger.index_slots = s->index_slots ? s->index_slots * 2 : INDEX_LEAST;
    larger.index = memory_strikes() ? NULL : calloc(larger.index_slots, sizeof *larger.index);
    if (!larger.index)
        return false;
    for (uint32_t i = 0; i < label_sets_n(s); i++)
        *find(&larger, label_sets_nth(s, i)->key) = (uint16_t)(i + 1);
    free(s->index);
    s->index = larger.index;
    s->index_slots = larger.index_slots;
    return true;
}

/* Room in the index and in a chunk for one set more. */
static bool make_room(struct label_sets *s, uint32_t n)
{
    struct label_set **chunk = &s->chunk[n / LABEL_SETS_CHUNK];
    if (2 * (n + 1) > s->index_slots && !grow_index(s))
        return false;
    if (!*chunk && !memory_strikes())
        *chunk = calloc(LABEL_SETS_CHUNK, sizeof **chunk);
    return *chunk;
}

static struct label_set *append(struct label_sets *s, uint64_t key)
{
    uint32_t n = label_sets_n(s);
    if (n == LABEL_SETS_MAX || !make_room(s, n))
        return NULL;
    struct label_set *set = &s->chunk[n / LABEL_SETS_CHUNK][n % LABEL_SETS_CHUNK];
    set->key = key;
    *find(s, key) = (uint16_t)(n + 1);
    atomic_store_explicit(&s->n, n + 1, memory_order_release);
    return set;
}

static struct label_set *existing(const struct label_sets *s, uint64_t key)
{
    uint16_t number = s->index ? *find(s, key) : 0;
    return number ? &s->chunk[(number - 1) / LABEL_SETS_CHUNK][(number - 1) % LABEL_SETS_CHUNK] : NULL;
}

/* The last place is kept for `spill`. */
static struct label_set *set_of(struct label_sets *s, uint64_t key, uint64_t spill)
{
    struct label_set *set = existing(s, key);
    if (likely(set))
        return set;
    if (key != spill && label_sets_n(s) >= LABEL_SETS_MAX - 1)
        return set_of(s, spill, spill);
    return append(s, key);
}

static void add(_Atomic uint64_t *count, uint64_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

void label_sets_add(struct label_sets *s, uint64_t key, uint64_t spill, uint64_t first, uint64_t second)
{
    struct label_set *set = set_of(s, key, spill);
    if (unlikely(!set))
        return;
    add(&set->count[0], first);
    add(&set->count[1], second);
}
