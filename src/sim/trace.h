/* sim/trace.h - requests to be simulated: from a file, or drawn. One owner; freed whole. */
#pragma once
#include "base/fail.h"
#include "base/str.h"

struct trace_request {
    nsec at;          /* since the first */
    uint32_t in, out; /* tokens */
    uint32_t model, tenant;
    uint32_t path, blocks; /* place and number of its block hashes in trace.hash */
};
struct trace {
    struct trace_request *request;    /* in order of arrival */
    uint32_t n, cap, tenants, models; /* models: 1 + the largest number that occurs */
    uint64_t *hash;
    uint32_t hashes, hash_cap;
    uint32_t bad_line; /* of a file that could not be read: where */
};
enum trace_format { TRACE_AZURE, TRACE_MOONCAKE, TRACE_CSV, TRACE_FORMATS };
bool trace_format_named(struct str name, enum trace_format *out);
/* Plain or gzip. FAIL_io_error (errno), FAIL_bad_value (bad_line), FAIL_no_memory. limit 0: all. */
enum fail trace_read(struct trace *t, const char *file, enum trace_format format, uint32_t limit);
/* A stand-in for a trace: `n` requests, prompts and answers lognormal about those of chat, `gap` seconds apart in the
 * mean (Poisson). */
enum fail trace_chat(struct trace *t, uint32_t n, double gap, uint64_t seed);
/* Poisson arrivals at a load of `capacity_s` slot-seconds per second for `lasts` seconds from `from` on, lengths drawn
 * from `lengths`, appended for this tenant. trace_sort when all are there. */
struct trace_phase {
    double load, lasts;
};
enum fail trace_poisson(struct trace *t, const struct trace *lengths, const struct trace_phase *phase, uint32_t phases,
                        uint32_t tenant, double per_second_at_one, uint64_t *chance);
void trace_sort(struct trace *t);
void trace_free(struct trace *t);
/* The share of blocks that a cache without end would have had. */
double trace_prefix_bound(const struct trace *t);

/* In (0, 1]; splitmix64. */
double trace_chance(uint64_t *state);
