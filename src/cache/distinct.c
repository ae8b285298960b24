/* cache/distinct.c - a register keeps the longest run of zeros among the hashes that fell to it; how the registers are
 * spread tells how many there were. A bitmap was rejected: it fills up and then says nothing. */
#include "cache/distinct.h"

#include "base/slab.h"

#include <math.h>
#include <stdlib.h>

#define RANK_MOST 45 /* 44 bits are looked at; one more when they all are zero */

enum fail distinct_init(struct distinct *d, unsigned bits)
{
    assume(bits >= DISTINCT_BITS_LEAST && bits <= DISTINCT_BITS_MOST);
    *d = (struct distinct){ .bits = bits };
    d->registers = memory_strikes() ? NULL : calloc((size_t)1 << bits, 1);
    return d->registers ? OK : FAIL_no_memory;
}

void distinct_done(struct distinct *d)
{
    free(d->registers);
    d->registers = NULL;
}

/* What registers still empty stand for. */
static double sigma(double x)
{
    double y = 1, z = x, before = NAN;
    if (x >= 1)
        return INFINITY;
    while (z != before) {
        before = z;
        x *= x;
        z += x * y;
        y += y;
    }
    return z;
}

/* The same for full ones. */
static double tau(double x)
{
    double y = 1, z = 1 - x, before = NAN;
    if (x <= 0 || x >= 1)
        return 0;
    while (z != before) {
        before = z;
        x = sqrt(x);
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    }
    return z / 3;
}

static double estimate(const struct distinct *d)
{
    uint32_t having[RANK_MOST + 1] = { 0 };
    const unsigned registers = 1u << d->bits;
    const double m = registers;
    for (unsigned i = 0; i < registers; i++)
        having[atomic_load_explicit(&d->registers[i], memory_order_relaxed)]++;
    double z = m * tau(1 - having[RANK_MOST] / m);
    for (unsigned rank = RANK_MOST - 1; rank >= 1; rank--)
        z = (z + having[rank]) / 2;
    z += m * sigma(having[0] / m);
    return m * m / (2 * M_LN2 * z);
}

double distinct_estimate(struct distinct *d)
{
    if (atomic_exchange_explicit(&d->changed, false, memory_order_acquire))
        atomic_store_explicit(&d->known, estimate(d), memory_order_relaxed);
    return atomic_load_explicit(&d->known, memory_order_relaxed);
}

double distinct_error(unsigned bits, unsigned parts)
{
    return 1.04 / sqrt((double)(1u << bits) * parts);
}
