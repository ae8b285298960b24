/* base/map.c - linear probing, at most three quarters full, deleting by moving back.
 *
 *     home:   3    3    4         6           delete the first 3: the second 3 and the 4 each move one slot back,
 *     slots: [a3] [b3] [c4] [  ] [d6]         d stays, because it is at home. No slot is ever "deleted".
 *
 * Tombstones were rejected: they use up slots until a rehash, so a map of constant size would still allocate now and
 * then, which map_reserve promises not to do. Slots keep the whole hash: probing compares keys only when it agrees, and
 * growing does not hash again. */
#include "base/map.h"

#include "base/slab.h"

#include <stdlib.h>

#define CAP_LEAST 16

static size_t home(const struct map *m, uint64_t hash)
{
    return (size_t)hash & (m->cap - 1);
}
static size_t after(const struct map *m, size_t i)
{
    return (i + 1) & (m->cap - 1);
}

/* The slot that holds the key, or the free one where it belongs. The map has slots, and a free one. */
static size_t find(const struct map *m, struct str key, uint64_t hash)
{
    size_t i = home(m, hash);
    for (; m->slots[i].value; i = after(m, i))
        if (m->slots[i].hash == hash && str_eq(m->slots[i].key, key))
            break;
    return i;
}

/* For slots known to be of different keys. */
static size_t find_free(const struct map *m, uint64_t hash)
{
    size_t i = home(m, hash);
    while (m->slots[i].value)
        i = after(m, i);
    return i;
}

void map_free(struct map *m)
{
    free(m->slots);
    *m = (struct map){ 0 };
}

static enum fail resize(struct map *m, size_t cap)
{
    struct map larger = { .cap = cap, .n = m->n };
    larger.slots = memory_strikes() ? NULL : calloc(cap, sizeof *larger.slots);
    if (!larger.slots)
        return FAIL_no_memory;
    map_each (slot, m)
        larger.slots[find_free(&larger, slot->hash)] = *slot;
    free(m->slots);
    *m = larger;
    return OK;
}

enum fail map_reserve(struct map *m, size_t n)
{
    size_t cap = MAX(m->cap, CAP_LEAST);
    if (n > SIZE_MAX / sizeof(struct map_slot) / 4)
        return FAIL_no_memory;
    while (cap - cap / 4 < n)
        cap *= 2;
    return cap == m->cap ? OK : resize(m, cap);
}

void *map_get_hashed(const struct map *m, struct str key, uint64_t hash)
{
    return m->n ? m->slots[find(m, key, hash)].value : NULL;
}

void *map_get(const struct map *m, struct str key)
{
    return m->n ? map_get_hashed(m, key, str_hash(key)) : NULL;
}

enum fail map_put(struct map *m, struct str key, void *value)
{
    assume(value);
    uint64_t hash = str_hash(key);
    size_t i = m->cap ? find(m, key, hash) : 0;
    bool is_new = !m->cap || !m->slots[i].value;
    if (is_new) {
        struct map_slot *before = m->slots;
        enum fail f = map_reserve(m, m->n + 1);
        if (f)
            return f;
        if (m->slots != before)
            i = find_free(m, hash);
        m->n++;
    }
    m->slots[i] = (struct map_slot){ key, hash, value };
    return OK;
}

/* Is `i` on the way from `home` to `at`, both included, going round? */
static bool on_the_way(const struct map *m, size_t from, size_t i, size_t at)
{
    size_t mask = m->cap - 1;
    return ((i - from) & mask) <= ((at - from) & mask);
}

void *map_del(struct map *m, struct str key)
{
    size_t hole = m->n ? find(m, key, str_hash(key)) : 0;
    void *value = m->n ? m->slots[hole].value : NULL;
    if (!value)
        return NULL;
    for (size_t i = after(m, hole); m->slots[i].value; i = after(m, i)) {
        if (on_the_way(m, home(m, m->slots[i].hash), hole, i)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){ 0 };
    m->n--;
    return value;
}
