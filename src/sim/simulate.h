/* sim/simulate.h - a fleet on a virtual clock: the gateway's own scheduler, and nodes that only take time.
 *
 * Conditions of every figure: scheduling, section 7. Deterministic: the same spec and seed make the same result. */
#pragma once
#include "fleet/scheduler.h"
#include "sim/trace.h"

#define SIMULATE_SPEEDS  64
#define SIMULATE_KILLS   64
#define SIMULATE_TENANTS 64
#define SIMULATE_WINDOW  400
struct simulate_kill {
    uint32_t node;
    double at, back; /* seconds; back 0: never */
};
struct simulate_spec {
    const struct trace *trace;
    uint32_t nodes, slots;
    double speed[SIMULATE_SPEEDS]; /* repeated over the nodes */
    uint32_t speeds;
    double prefill, decode; /* tokens per second at speed 1 */
    uint32_t cache_blocks;  /* per node; 0: no prefix cache */
    bool last_prompt;       /* the cache is the last prompt of each slot */
    enum scheduler_policy policy;
    double rate_scale;     /* divides arrival times */
    uint32_t models, hold; /* popularity Zipf 1 by number; hold 0: all */
    double size_gb[SIMULATE_SPEEDS];
    uint32_t sizes;
    double load_rate; /* GB per second */
    uint64_t seed;
    uint32_t bound;
    bool shed;
    struct simulate_kill kill[SIMULATE_KILLS];
    uint32_t kills;
    double overload_begins, overload_ends; /* seconds; 0: there is none */
};
void simulate_spec_default(struct simulate_spec *s);

struct simulate_times {
    double mean, p50, p95, p99, max;
};
struct simulate_tenant {
    uint32_t requests, refused;
    struct simulate_times ttft;
};
struct simulate_result {
    struct simulate_times ttft, e2e, queue; /* of those served */
    double load;                            /* offered */
    double prefix_hit, prefix_bound;        /* shares of blocks */
    uint32_t loads, evictions, refused, requests, served, failed, retried;
    double cv_work,
        cv_window; /* of the whole; the largest of windows of SIMULATE_WINDOW requests per node, 0: too few */
    double useful; /* of the slot-seconds there were under overload: for requests that waited at most 30 s */
    double recovery, recovery_worst; /* seconds */
    uint32_t tenants;
    struct simulate_tenant tenant[SIMULATE_TENANTS];
};
/* Requests per second, of these lengths, that are a load of one. */
double simulate_full_rate(const struct simulate_spec *s, const struct trace *lengths);
/* FAIL_no_memory. */
enum fail simulate_run(const struct simulate_spec *s, struct simulate_result *out);
/* Field by field, of n results. */
struct simulate_result simulate_mean(const struct simulate_result *r, uint32_t n);
