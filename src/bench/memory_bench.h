/* bench/memory_bench.h - `bench memory`: the pools, switched on and off. */
#pragma once
#include "bench/report.h"

struct bench_options;
enum fail memory_bench_run(const struct bench_options *o, struct report *out);
