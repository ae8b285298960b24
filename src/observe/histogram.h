/* observe/histogram.h - how long things took: exact counts per published bucket, and fine slots for percentiles.
 * Times are whole microseconds up to INT32_MAX (36 minutes; longer counts as that). One writer at a time, relaxed
 * stores; readers on any thread. */
#pragma once
#include "base/str.h"
#include <stdatomic.h>

/* The lists of upper bounds: those of OpenTelemetry's GenAI conventions (gen_ai.client.operation.duration, server time
 * to first token, server time per output token), with finer steps below for what the gateway answers itself, extended
 * to 160 s. */
enum histogram_bounds { BOUNDS_DURATION, BOUNDS_FIRST_TOKEN, BOUNDS_INTER_TOKEN, BOUNDS_ADDED };
#define HISTOGRAM_BOUNDS_MAX 24
struct histogram_bounds_list {
    unsigned n;
    int32_t us[HISTOGRAM_BOUNDS_MAX]; /* a time equal to a bound lies below it; unused ones are INT32_MAX */
};
const struct histogram_bounds_list *histogram_bounds_of(enum histogram_bounds b);
/* "0.01", "1.0": the value of `le`, always with a fraction (OpenMetrics 1.0 asks for it). At most 16 bytes into out. */
struct str histogram_bound_text(int32_t us, char out[16]);

struct histogram;
/* NULL when memory is out. */
struct histogram *histogram_new(enum histogram_bounds b);
void histogram_free(struct histogram **h);
void histogram_record(struct histogram *h, uint32_t us);
/* The same, and remembers who it was: one trace id per bucket, renewed at most once a second. Where memory for that is
 * out only the time is counted. */
#define HISTOGRAM_TRACE 16
void histogram_record_traced(struct histogram *h, uint32_t us, const uint8_t trace[HISTOGRAM_TRACE], nsec wall);
struct histogram_exemplar {
    uint8_t trace[HISTOGRAM_TRACE];
    uint32_t us;
    nsec wall;
};
/* The one of a bucket (its number as in histogram_sum); false: none, or it is being written just now. */
bool histogram_exemplar(const struct histogram *h, unsigned bucket, struct histogram_exemplar *out);

/* What some histograms with the same bounds say together; zero to begin with. bucket[i] counts times in (bound i-1,
 * bound i], bucket[n] those above all; count is their sum, also while somebody writes. */
struct histogram_sum {
    uint64_t bucket[HISTOGRAM_BOUNDS_MAX + 1];
    uint64_t count, sum_us;
};
void histogram_sum_up(struct histogram_sum *sum, const struct histogram *h);

/* Two significant digits: 64 slots for each power of two, so the middle of a slot is within 0.8 % of all it holds. */
#define HISTOGRAM_SLOTS (64 + 25 * 64)
struct histogram_spread {
    uint64_t slot[HISTOGRAM_SLOTS];
    uint64_t count;
};
void histogram_spread_up(struct histogram_spread *spread, const struct histogram *h);
/* The time that a share q (0..1) of all do not exceed, in microseconds; 0 when there is none. */
uint32_t histogram_quantile(const struct histogram_spread *spread, double q);
