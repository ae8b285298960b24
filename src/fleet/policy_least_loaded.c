/* fleet/policy_least_loaded.c - a full scan of exact counts, since the lock makes them exact: fewest in flight per
 * weight. Many nodes are idle most of the time, so ties are the rule and decide the spread: they take weighted turns.
 */
#include "fleet/policy.h"

static double load(const struct node *n)
{
    return n->inflight / n->weight;
}

unsigned policy_least_loaded(struct node **candidate, unsigned n, const struct ticket *t, uint64_t *cursor)
{
    struct node *tied[NODES_MAX];
    uint16_t at[NODES_MAX];
    unsigned ties = 0;
    double least = 0;
    for (unsigned i = 0; i < n; i++) {
        double l = load(candidate[i]);
        if (ties && l > least)
            continue;
        if (!ties || l < least)
            ties = 0, least = l;
        tied[ties] = candidate[i];
        at[ties++] = (uint16_t)i;
    }
    return at[policy_weighted_turn(tied, ties)];
}
