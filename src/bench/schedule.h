/* bench/schedule.h - `bench schedule`: policies side by side, simulated and before live simulated nodes, and what was
 * promised of the choice. Traces lie in the folder OLLAMAMAX_TRACES. */
#pragma once
#include "base/fail.h"

struct bench_options;
struct report;
enum fail schedule_run(const struct bench_options *options, struct report *out);
