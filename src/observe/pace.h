/* observe/pace.h - how many tokens a second each model has written on each node, over the last ten seconds.
 *
 * Sampled once a second while somebody wants to know; the history, which is kept always, has nodes only. 90 KB. One
 * thread. Tokens are counted when a request ends, as everywhere. */
#pragma once
#include "base/str.h"

#define PACE_SECONDS 10
#define PACE_PAIRS   1024 /* of a model and a node; others are left out */

struct meter;
struct pace;
/* NULL when memory is out. */
struct pace *pace_new(void);
void pace_free(struct pace **p);
/* `second`: a number that grows by one each time; after a gap it begins anew, and covers what has passed since. */
void pace_sample(struct pace *p, int64_t second, struct meter *const *meters, unsigned n);
/* Each pair that wrote anything, as records name them; strings stay. */
void pace_each(const struct pace *p, void (*visit)(struct str model, struct str node, double tokens_per_s, void *arg),
               void *arg);
