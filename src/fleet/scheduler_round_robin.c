/* fleet/scheduler_round_robin.c - whoever had no turn for longest, so that it stays fair when the candidates differ
 * from choice to choice (a cursor over places would not). */
#include "fleet/scheduler_state.h"

uint32_t scheduler_round_robin(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    uint32_t best = NONE;
    policy_gather(s, j);
    for (uint32_t i = 0; i < s->candidates; i++)
        if (best == NONE || s->machine[s->candidate[i]].turn.last < s->machine[best].turn.last)
            best = s->candidate[i];
    if (best != NONE)
        s->machine[best].turn.last = ++s->turns;
    return best;
}
