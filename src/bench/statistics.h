/* bench/statistics.h - what many measurements say together. Pure. NAN stands for "not measured" and is left out. */
#pragma once
#include "base/types.h"

/* Ascending, in place. */
void statistics_sort(double *v, size_t n);
/* The smallest value that a share q (0..1) of all do not exceed (nearest rank); NAN when there is none. */
double statistics_percentile(const double *sorted, size_t n, double q);

/* What the rounds say: their median, the lowest and the highest. All NAN when no round counts. */
struct spread {
    double median, low, high;
    unsigned rounds; /* that count */
};
struct spread spread_of(const double *v, unsigned n);
/* The spread of a[i] / b[i]: pairs of one round, so that what disturbs a whole round falls out. A pair counts when both
 * are measured and b is above zero. */
struct spread spread_of_ratios(const double *a, const double *b, unsigned n);
