/* bench/failover.h - `bench failover`: what clients notice when nodes fail and come back. */
#pragma once
#include "bench/report.h"

struct bench_options;
enum fail failover_run(const struct bench_options *o, struct report *out);
