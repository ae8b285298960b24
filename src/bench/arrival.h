/* bench/arrival.h - when requests are meant to be sent, whatever the answers do (open loop). Pure. */
#pragma once
#include "base/types.h"

enum arrival_shape { ARRIVAL_CONSTANT, ARRIVAL_POISSON };
struct arrival {
    enum arrival_shape shape;
    double gap; /* mean, in nanoseconds */
    double at;  /* of the next one, since the start */
    uint64_t chance;
};
/* `rate` per second, above zero. The same seed makes the same schedule: every way of a round sees the same one. */
void arrival_init(struct arrival *a, enum arrival_shape shape, double rate, uint64_t seed);
/* When the next request is meant to leave, in nanoseconds since the start; ascending, the first at 0. */
nsec arrival_next(struct arrival *a);
