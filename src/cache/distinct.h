/* cache/distinct.h - how many different hashes were seen, within a few percent, in kilobytes: HyperLogLog.
 *
 * Flajolet, Fusy, Gandouet, Meunier (2007); the estimate by Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches" (2017), algorithm 6, which needs no table of corrections. Embedded. */
#pragma once
#include "base/fail.h"
#include <stdatomic.h>

struct distinct {
    _Atomic uint8_t *registers;
    unsigned bits; /* 2^bits of them, a byte each */
    _Atomic bool changed;
    _Atomic double known; /* the estimate before that */
};
#define DISTINCT_BITS_LEAST 4
#define DISTINCT_BITS_MOST  16
enum fail distinct_init(struct distinct *d, unsigned bits);
void distinct_done(struct distinct *d);
/* All bits of the hash but the topmost four are used and must be well mixed. Several threads may do this at once; what
 * one loses among them is far below the error. */
static inline void distinct_add(struct distinct *d, uint64_t hash)
{
    _Atomic uint8_t *r = &d->registers[hash & ((1u << d->bits) - 1)];
    uint8_t rank = (uint8_t)(__builtin_ctzll(hash >> DISTINCT_BITS_MOST | 1ull << 44) + 1);
    if (unlikely(rank > atomic_load_explicit(r, memory_order_relaxed))) {
        atomic_store_explicit(r, rank, memory_order_relaxed);
        atomic_store_explicit(&d->changed, true, memory_order_release);
    }
}
/* Any thread; reckoned anew only when something has changed. */
double distinct_estimate(struct distinct *d);
/* The relative standard error of a sum over things split among so many of these. */
double distinct_error(unsigned bits, unsigned parts);
