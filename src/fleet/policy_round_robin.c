/* fleet/policy_round_robin.c - each node in turn: the one whose turn was longest ago.
 *
 * A cursor over places was rejected: two models on different nodes would move one cursor, and requests that alternate
 * between them would meet the same node each time. A count per node is right for every subset. */
#include "fleet/policy.h"

unsigned policy_round_robin(struct node **candidate, unsigned n, const struct ticket *t, uint64_t *cursor)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (candidate[i]->last_turn < candidate[best]->last_turn)
            best = i;
    candidate[best]->last_turn = ++*cursor;
    return best;
}
