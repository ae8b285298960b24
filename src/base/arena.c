/* base/arena.c - where the blocks of an arena come from.
 *
 *     blocks -> [16K: hdr|used......|at   free   end] -> [own: hdr|one large piece] -> [4K: hdr|used]
 *
 * Nearly all exchanges fit into 4 KiB, so the first block is that; whoever needs more needs much more, so the rest are
 * 16 KiB. A piece over 8 KiB would waste half a block and is a malloc of its own. Rejected: growing blocks by doubling
 * (their sizes find no slab) and a first block of 16 KiB (all that an open stream may cost is 15 KB).
 *
 * With PLAIN_MEMORY, or memory.pools off, every piece is a block of its own with its exact size, so sanitizers see each
 * overrun. */
#include "base/arena.h"

#include "base/slab.h"

#include <stdatomic.h>
#include <stdlib.h>

#define PIECE_MAX KIB(8)

enum block_kind { FIRST, FURTHER, OWN };

struct arena_block {
    struct arena_block *next;
    size_t bytes : 56; /* header and piece of an OWN block */
    size_t kind : 8;
};
_Static_assert(sizeof(struct arena_block) % 8 == 0, "pieces are aligned to 8");

static struct slab pools[OWN];
static _Atomic int64_t own_bytes;

void arena_pools_init(void)
{
    slab_init(&pools[FIRST], "arena 4K", KIB(4));
    slab_init(&pools[FURTHER], "arena 16K", KIB(16));
}

void arena_pools_done(void)
{
    slab_done(&pools[FIRST]);
    slab_done(&pools[FURTHER]);
    assume(atomic_load(&own_bytes) == 0 && "an arena is not done");
}

size_t arena_bytes_live(void)
{
    size_t bytes = (size_t)atomic_load(&own_bytes);
    for (size_t i = 0; i < ARRAY_LEN(pools); i++)
        bytes += (size_t)slab_live(&pools[i]) * pools[i].object_bytes;
    return bytes;
}

static struct arena_block *own_block(size_t n)
{
    size_t bytes = sizeof(struct arena_block) + n;
    if (bytes < n || memory_strikes())
        return NULL;
    struct arena_block *b = malloc(bytes);
    if (!b)
        return NULL;
    *b = (struct arena_block){ .bytes = bytes, .kind = OWN };
    atomic_fetch_add_explicit(&own_bytes, (int64_t)bytes, memory_order_relaxed);
    return b;
}

static void give_block(const struct arena *a, struct arena_block *b)
{
    if (b->kind != OWN) {
        slab_give(&pools[b->kind], &b);
        return;
    }
    atomic_fetch_sub_explicit(&own_bytes, (int64_t)b->bytes, memory_order_relaxed);
    slab_tell(a, b->bytes, b, false);
    free(b);
}

static struct arena_block *pooled_block(enum block_kind kind)
{
    struct arena_block *b = slab_take(&pools[kind]);
    if (b)
        *b = (struct arena_block){ .kind = kind };
    return b;
}

static void *fail(struct arena *a)
{
    a->failed = true;
    return NULL;
}

/* The current block keeps its free part: an own block only joins the list. */
static void *take_own(struct arena *a, size_t n)
{
    struct arena_block *b = own_block(n);
    if (!b)
        return fail(a);
    b->next = a->blocks;
    a->blocks = b;
    a->bytes += n;
    slab_tell(a, b->bytes, b, true);
    return b + 1;
}

void *arena_more(struct arena *a, size_t n)
{
    if (n > PIECE_MAX || slab_is_plain())
        return take_own(a, n);
    enum block_kind kind = a->at || n > KIB(4) - sizeof(struct arena_block) ? FURTHER : FIRST;
    struct arena_block *b = pooled_block(kind);
    if (!b)
        return fail(a);
    b->next = a->blocks;
    a->blocks = b;
    a->at = (char *)(b + 1);
    a->end = (char *)b + pools[kind].object_bytes;
    return arena_take(a, n);
}

void *arena_take0(struct arena *a, size_t n)
{
    void *p = arena_take(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *arena_take_array(struct arena *a, size_t size, size_t n)
{
    size_t bytes;
    return __builtin_mul_overflow(size, n, &bytes) ? fail(a) : arena_take0(a, bytes);
}

void arena_done(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        give_block(a, b);
    }
    arena_init(a);
}
