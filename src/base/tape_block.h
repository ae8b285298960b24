/* base/tape_block.h - the memory of tapes: blocks of 512 bytes to 64 KiB from slabs, above that from malloc.
 * Any thread; each block belongs to one tape, whose files alone use this. */
#pragma once
#include "base/types.h"
#include <stdatomic.h>

struct tape_block {
    struct tape_block *_Atomic next;
    uint64_t from; /* the place on the tape of its first byte */
    size_t size;   /* of its memory */
    char bytes[];
};
#define BLOCK_HEAD sizeof(struct tape_block)

void tape_blocks_init(void);
void tape_blocks_done(void);
/* What a block for n bytes costs. */
size_t tape_block_size(size_t n);
/* Room for at least n bytes, empty, linked to none. NULL when memory is out. */
struct tape_block *tape_block_new(size_t n, uint64_t from);
void tape_block_free(struct tape_block *b);
/* Of a block and all behind it; NULL is none. */
size_t tape_chain_size(struct tape_block *b);
void tape_chain_free(struct tape_block *b);
/* All bytes of a chain that ends at the place `length`, to the front of `to`. */
void tape_chain_copy(struct tape_block *to, struct tape_block *b, uint64_t length);
static inline struct tape_block *tape_block_next(const struct tape_block *b)
{
    return atomic_load_explicit(&b->next, memory_order_acquire);
}
