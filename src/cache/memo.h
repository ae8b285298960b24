/* cache/memo.h - remembers which key a raw body had, so that a body sent again does not have its meaning worked out
 * again.
 *
 * A key belongs to a body in a context: the caller puts into it all that the key depends on besides the body (path,
 * tenant, digest of the model), and both are compared byte by byte: a hash only finds the candidate. Memory is taken
 * once; the oldest are overwritten. Any thread. */
#pragma once
#include "base/str.h"
#include "cache/cache.h"

struct memo;
/* `bytes` in all, at least MEMO_LEAST; NULL when memory is out. `seed` is chance. */
#define MEMO_LEAST KIB(256)
struct memo *memo_new(size_t bytes, uint64_t seed);
void memo_free(struct memo **m);
bool memo_find(struct memo *m, struct str context, struct str body, struct cache_key *out);
/* Bodies larger than 1/8 of a sixteenth are not remembered. */
void memo_keep(struct memo *m, struct str context, struct str body, const struct cache_key *key);
