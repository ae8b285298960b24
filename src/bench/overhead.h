/* bench/overhead.h - what the gateway adds to a request, beside what other proxies add. */
#pragma once
#include "bench/bench.h"
#include "bench/report.h"

/* Measures, in a directory of its own that is gone afterwards. *out is filled as far as it came; the rows are static.
 * What is going on is told on stderr, a line each, when that is a terminal. */
enum fail overhead_run(const struct bench_options *o, struct report *out);
