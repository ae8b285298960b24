/* Percentiles by sorting: exact, and a round has a hundred thousand times at most. The histogram of observe/ was
 * rejected here: its slots are within 0.8 %, and the added time is a small difference between two large percentiles. */
#include "bench/statistics.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void statistics_sort(double *v, size_t n)
{
    if (n)
        qsort(v, n, sizeof *v, by_value);
}

double statistics_percentile(const double *sorted, size_t n, double q)
{
    if (n == 0)
        return NAN;
    double rank = ceil(q * (double)n);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return sorted[MIN(at, n - 1)];
}

static double middle(const double *sorted, unsigned n)
{
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

#define ROUNDS_AT_ONCE 256

struct spread spread_of(const double *v, unsigned n)
{
    double counted[ROUNDS_AT_ONCE];
    unsigned k = 0;

    assume(n <= ROUNDS_AT_ONCE);
    for (unsigned i = 0; i < n; i++)
        if (isfinite(v[i]))
            counted[k++] = v[i];
    if (k == 0)
        return (struct spread){ NAN, NAN, NAN, 0 };
    statistics_sort(counted, k);
    return (struct spread){ middle(counted, k), counted[0], counted[k - 1], k };
}

struct spread spread_of_ratios(const double *a, const double *b, unsigned n)
{
    double ratio[ROUNDS_AT_ONCE];

    assume(n <= ROUNDS_AT_ONCE);
    for (unsigned i = 0; i < n; i++)
        ratio[i] = isfinite(a[i]) && b[i] > 0 ? a[i] / b[i] : NAN;
    return spread_of(ratio, n);
}
