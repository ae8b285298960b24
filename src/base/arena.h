/* base/arena.h - memory with one owner, freed all at once.
 *
 * Embedded in its owner (an exchange, a configuration). The first block is 4 KiB, further ones 16 KiB, from slabs that
 * all arenas share; a larger piece gets a block of its own from malloc. Not thread-safe: one owner, one worker at a
 * time. Failure: NULL; `failed` stays set, so a builder may ask once at its end. With PLAIN_MEMORY, or
 * slab_plain, each piece is a malloc. */
#pragma once
#include "base/str.h"
#include "base/types.h"

struct arena {
    struct arena_block *blocks; /* newest first */
    char *at, *end;             /* free part of the newest */
    size_t bytes;               /* handed out */
    bool failed;
};
/* Once per process, before the first arena and after the last. */
void arena_pools_init(void);
void arena_pools_done(void);
/* Bytes in the blocks of all arenas. */
size_t arena_bytes_live(void);

static inline void arena_init(struct arena *a)
{
    *a = (struct arena){ 0 };
}
void arena_done(struct arena *a);
void *arena_more(struct arena *a, size_t n); /* slow path of arena_take */
/* Uninitialised, aligned to 8. */
static inline void *arena_take(struct arena *a, size_t n)
{
#ifndef PLAIN_MEMORY
    n = (n + 7) & ~(size_t)7;
    if (likely((size_t)(a->end - a->at) >= n && a->at)) {
        void *p = a->at;
        a->at += n;
        a->bytes += n;
        return p;
    }
#endif
    return arena_more(a, n);
}
void *arena_take0(struct arena *a, size_t n);
/* n things of `size` bytes, zeroed; a product that overflows is memory that is out. */
void *arena_take_array(struct arena *a, size_t size, size_t n);
#define arena_new(a, type)      ((type *)arena_take0((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_take_array((a), sizeof(type), (size_t)(n)))
