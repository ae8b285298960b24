/* observe/gist.c - one slot per sixteenth of a power of two, counted up and never reset.
 *
 *     at 10:00:00   0 0 3 9 4 0 0      between the two: 0 0 0 2 7 1 0, whose middle is the fifth slot
 *     at 10:00:01   0 0 3 11 11 1 0
 *
 * Whoever wants the times of a second keeps the copy of a second ago. A histogram reset each second would lose what is
 * written meanwhile or need a lock on the hot path, and could not serve three steps of different length. */
#include "observe/gist.h"

#include <math.h>

#define STEP_BITS 4
#define STEPS     (1u << STEP_BITS)

static unsigned slot_of(uint32_t us)
{
    if (us < STEPS)
        return us;
    unsigned shift = 31 - STEP_BITS - (unsigned)__builtin_clz(us);
    return (shift + 1) * STEPS + ((us >> shift) & (STEPS - 1));
}

static double middle_of(unsigned slot)
{
    if (slot < STEPS)
        return slot;
    unsigned shift = slot / STEPS - 1;
    return ldexp(STEPS + slot % STEPS + 0.5, (int)shift) - 0.5;
}

void gist_record(struct gist *g, uint32_t us)
{
    _Atomic uint32_t *slot = &g->slot[slot_of(MIN(us, (uint32_t)INT32_MAX))];
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + 1, memory_order_relaxed);
}

void gist_add(struct gist_copy *sum, const struct gist *g)
{
    for (unsigned i = 0; i < GIST_SLOTS; i++)
        sum->slot[i] += atomic_load_explicit(&g->slot[i], memory_order_relaxed);
}

/* In 32 bits, so that the compiler adds several slots at a time; fewer than 2^32 lie between two copies. */
static uint32_t count_between(const struct gist_copy *before, const struct gist_copy *after)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < GIST_SLOTS; i++)
        n += after->slot[i] - before->slot[i];
    return n;
}

double gist_quantile(const struct gist_copy *before, const struct gist_copy *after, double q)
{
    assume(q >= 0 && q <= 1);
    uint64_t n = count_between(before, after), seen = 0;
    if (n == 0)
        return NAN;
    uint64_t wanted = (uint64_t)ceil(MAX(q * (double)n, 1.0));
    unsigned i = 0;
    while ((seen += after->slot[i] - before->slot[i]) < wanted)
        i++;
    return middle_of(i);
}
