/* A schedule is a sum of gaps: equal ones, or exponential ones, which is how independent users arrive (Poisson).
 * Chance is splitmix64 of a seed, because a schedule must come out the same for every way in a round. */
#include "bench/arrival.h"

#include <math.h>

void arrival_init(struct arrival *a, enum arrival_shape shape, double rate, uint64_t seed)
{
    assume(rate > 0);
    *a = (struct arrival){ .shape = shape, .gap = 1e9 / rate, .chance = seed };
}

/* In (0, 1]. */
static double even_chance(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return (double)((z >> 11) + 1) / 9007199254740992.0;
}

nsec arrival_next(struct arrival *a)
{
    double now = a->at;
    a->at += a->shape == ARRIVAL_CONSTANT ? a->gap : -log(even_chance(&a->chance)) * a->gap;
    return (nsec)now;
}
