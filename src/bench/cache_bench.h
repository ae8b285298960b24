/* bench/cache_bench.h - the response cache's store by itself: hit ratios on traces, and how it bears several threads.
 */
#pragma once
#include "bench/bench.h"
#include "bench/report.h"

/* What cannot be measured is said on stderr. FAIL_no_memory, FAIL_io_error, FAIL_bad_value (of the trace). */
enum fail cache_bench_run(const struct bench_options *o, struct report *out);
