/* bench/decision_cost.h - what a decision of the scheduler costs among so many nodes: the median, in ns, with its two
 * readings of the clock. NAN when memory is out. */
#pragma once
#include <stdint.h>

double decision_cost_ns(uint32_t nodes);
