/* fleet/policy.h - how one node is chosen among those that may serve. One small file each, one row in policy.def.
 * Called under the fleet's lock with n > 0 candidates in the order of their place; returns an index into them and may
 * keep state in the nodes and in the fleet's cursor. Terms for X-OllamaMax-Decision are written by the caller. */
#pragma once
#include "fleet/ticket.h"

struct policy {
    const char *name, *says;
    unsigned (*choose)(struct node **candidate, unsigned n, const struct ticket *t, uint64_t *cursor);
};
#define POLICY(name, choose, says)                                                                                     \
    unsigned choose(struct node **candidate, unsigned n, const struct ticket *t, uint64_t *cursor);
#include "fleet/policy.def"
#undef POLICY
/* NULL if there is none of that name. */
const struct policy *policy_named(struct str name);
/* Row by row until NULL. */
const struct policy *policy_row(unsigned i);
/* One turn of smooth weighted round robin, which other policies break ties with. */
unsigned policy_weighted_turn(struct node **candidate, unsigned n);
