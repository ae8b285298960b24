/* observe/signals.h - the values that alert rules watch, made from history and pulse once a second.
 *
 * Every series by its own name (those of nodes with their node), and what needs more than one point:
 *   api_p95_ms_1m     mean of the last minute's seconds           queue_wait_ms   the same of the wait for a node
 *   error_burn_fast   errors over what a budget of 0.1 % allows: the lower of 5 minutes and 1 hour; 5 errors at least
 *   error_burn_slow   the same of half an hour and 6 hours
 *   cache_hit_drop    how far the last 5 minutes' hit ratio lies below the day's median, as a share of it
 *   node_down         1 for a node that is down; {detail} says why
 *   node_slowness     a node's first token of the last minute over its own median of the day; 30 minutes of it at least
 * Compared is always with one's own past: nodes differ by what they are, and no threshold fits all. */
#pragma once
#include "observe/alert.h"
#include "observe/history.h"

struct signals;
/* Keeps medians, looked up once a minute. NULL when memory is out. */
struct signals *signals_new(void);
void signals_free(struct signals **s);
/* Is it the name of a value that rules can watch: of a series, or of one of those above? */
bool signals_know(struct str name);
void signals_names(void (*visit)(struct str name, void *arg), void *arg);
/* After history_sample with the same pulse; adds to `out`. Strings live as long as the pulse. */
void signals_add(struct signals *s, struct history *h, const struct pulse *p, struct alert_values *out);
