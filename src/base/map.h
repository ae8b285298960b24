/* base/map.h - string keys to pointers: open addressing, keys borrowed (they live in the values, usually).
 * Grows by malloc, so never under the fleet's lock unless map_reserve was called before. One owner, no locking. */
#pragma once
#include "base/fail.h"
#include "base/str.h"

struct map_slot {
    struct str key;
    uint64_t hash;
    void *value; /* NULL: free */
};
struct map {
    struct map_slot *slots;
    size_t cap, n;
};
void map_free(struct map *m);
/* Room for n entries in all: as long as there are no more, map_put does not allocate, however many come and go. */
enum fail map_reserve(struct map *m, size_t n);
void *map_get(const struct map *m, struct str key);
void *map_get_hashed(const struct map *m, struct str key, uint64_t hash);
/* Sets or replaces (the new key pointer is kept); value is not NULL. */
enum fail map_put(struct map *m, struct str key, void *value);
/* Removes; returns the value or NULL. */
void *map_del(struct map *m, struct str key);
/* for: map_each(slot, &m) { slot->key, slot->value } - in no particular order, no change of the map meanwhile. */
#define map_each(slot, m)                                                                                              \
    for (struct map_slot *slot = (m)->slots; slot && slot < (m)->slots + (m)->cap; slot++)                             \
        if (slot->value)
