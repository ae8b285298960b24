/* observe/gist.h - how long things took, small: slots a sixteenth of a power of two wide, so percentiles within 3 %, in
 * 1.8 KB. For what is looked at every second and kept for each node; published histograms are observe/histogram.h's.
 * Whole microseconds up to INT32_MAX. Embedded, zero is empty. One writer, relaxed stores; readers on any thread. */
#pragma once
#include "base/types.h"
#include <stdatomic.h>

#define GIST_SLOTS (16 + 27 * 16)
struct gist {
    _Atomic uint32_t slot[GIST_SLOTS];
};
void gist_record(struct gist *g, uint32_t us);
/* A copy of some, added up. A slot may wrap around: differences of two copies are right all the same. */
struct gist_copy {
    uint32_t slot[GIST_SLOTS];
};
void gist_add(struct gist_copy *sum, const struct gist *g);
/* The time in microseconds that a share q (0..1) of those recorded between two copies did not exceed; NAN: none was. */
double gist_quantile(const struct gist_copy *before, const struct gist_copy *after, double q);
