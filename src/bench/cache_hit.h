/* bench/cache_hit.h - an answer from memory over the wire: ours beside nginx with proxy_cache, in turn.
 *
 * Ours answers a POST of 1 KB, nginx a GET; both have kept the same bytes of the same node. */
#pragma once
#include "base/arena.h"
#include "bench/bench.h"
#include "bench/rig.h"

struct cache_hit {
    struct rig rig;
    struct way way[WAYS]; /* ours and nginx; without a program: not there */
    struct arena arena;
    struct str request[WAYS];
    double rate; /* a second, on each */
};
struct cache_hit_sample {
    double cpu_us, p50_us, p99_us; /* NAN: nothing was measured */
    uint64_t failed;
};
/* Starts both. What is missing is not measured; ours must be there. */
enum fail cache_hit_open(struct cache_hit *h, const struct bench_options *o);
/* One stretch of hits on that way; `round` is its chance. */
enum fail cache_hit_run(struct cache_hit *h, enum way_id id, unsigned round, struct cache_hit_sample *out);
/* Also after a failed open. */
void cache_hit_close(struct cache_hit *h);
