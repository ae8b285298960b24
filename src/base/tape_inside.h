/* base/tape_inside.h - what the files of the tape share and nobody else sees. */
#pragma once
#include "base/tape.h"
#include "base/tape_block.h"
#include <pthread.h>

enum { RUNNING = 0, WHOLE = 1, BROKEN = 2 /* and above: BROKEN + 4 * why + where */ };
struct tape {
    _Atomic uint64_t length; /* head included */
    _Atomic unsigned state;  /* stored after the last length */
    _Atomic unsigned refs;
    _Atomic size_t memory;
    _Atomic uint32_t head_n;
    _Atomic bool oversize, paused;
    size_t cap;
    bool refreshes, begun /* a reader has */, closed /* given up */;
    struct tape_block *first, *last; /* the last is the writer's */
    struct tape_block *old;          /* replaced by a block that fits; seated readers may be there */
    struct tape_writer *writer;      /* NULL: has ended */
    struct list seats;
    pthread_mutex_t lock;
};

/* Its memory grew, or shrank. */
static inline void tape_count(struct tape *t, size_t more, size_t less)
{
    atomic_fetch_add_explicit(&t->memory, more - less, memory_order_relaxed);
}
/* Is any reader so near that the writer must go on? Under the lock. */
bool tape_somebody_is_near(struct tape *t);
