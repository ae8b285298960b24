/* Fifteen sizes, each at most half as large again as the one before: while a tape grows it asks for 4, 16 and 64 KiB,
 * and at its end for the size that fits. Most of what a cache keeps are such small last blocks, and it pays for them.
 */
#include "base/tape_block.h"

#include "base/slab.h"
#include "base/tape.h"

#include <stdlib.h>

static const struct {
    const char *name;
    size_t bytes;
} classes[] = {
    {"tape 512",   512    },
    { "tape 768",  768    },
    { "tape 1K",   KIB(1) },
    { "tape 1.5K", 1536   },
    { "tape 2K",   KIB(2) },
    { "tape 3K",   KIB(3) },
    { "tape 4K",   KIB(4) },
    { "tape 6K",   KIB(6) },
    { "tape 8K",   KIB(8) },
    { "tape 12K",  KIB(12)},
    { "tape 16K",  KIB(16)},
    { "tape 24K",  KIB(24)},
    { "tape 32K",  KIB(32)},
    { "tape 48K",  KIB(48)},
    { "tape 64K",  KIB(64)},
};
static struct slab pools[ARRAY_LEN(classes)];
static _Atomic size_t large_live; /* bytes in blocks above the largest class */

void tape_blocks_init(void)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        slab_init(&pools[i], classes[i].name, classes[i].bytes);
}

void tape_blocks_done(void)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        slab_done(&pools[i]);
    assume(atomic_load(&large_live) == 0);
}

size_t tape_bytes_live(void)
{
    size_t bytes = atomic_load_explicit(&large_live, memory_order_relaxed);

    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        bytes += (size_t)slab_live(&pools[i]) * classes[i].bytes;
    return bytes;
}

static struct slab *pool_for(size_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (size <= classes[i].bytes)
            return &pools[i];
    return NULL;
}

size_t tape_block_size(size_t n)
{
    struct slab *pool = pool_for(BLOCK_HEAD + n);

    return pool ? pool->object_bytes : BLOCK_HEAD + n;
}

struct tape_block *tape_block_new(size_t n, uint64_t from)
{
    struct slab *pool = pool_for(BLOCK_HEAD + n);
    struct tape_block *b;

    if (pool)
        b = slab_take(pool);
    else
        b = memory_strikes() ? NULL : malloc(BLOCK_HEAD + n);
    if (!b)
        return NULL;
    b->size = tape_block_size(n);
    b->from = from;
    atomic_init(&b->next, NULL);
    if (!pool)
        atomic_fetch_add_explicit(&large_live, b->size, memory_order_relaxed);
    return b;
}

void tape_block_free(struct tape_block *b)
{
    struct slab *pool = pool_for(b->size);

    if (pool) {
        slab_give(pool, &b);
        return;
    }
    atomic_fetch_sub_explicit(&large_live, b->size, memory_order_relaxed);
    free(b);
}

size_t tape_chain_size(struct tape_block *b)
{
    size_t size = 0;

    for (; b; b = tape_block_next(b))
        size += b->size;
    return size;
}

void tape_chain_free(struct tape_block *b)
{
    while (b) {
        struct tape_block *next = tape_block_next(b);
        tape_block_free(b);
        b = next;
    }
}

void tape_chain_copy(struct tape_block *to, struct tape_block *b, uint64_t length)
{
    while (b) {
        struct tape_block *next = tape_block_next(b);
        memcpy(to->bytes + (b->from - to->from), b->bytes, (size_t)((next ? next->from : length) - b->from));
        b = next;
    }
}
