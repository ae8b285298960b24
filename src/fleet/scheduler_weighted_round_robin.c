/* fleet/scheduler_weighted_round_robin.c - smooth weighted round robin (known from nginx): each candidate's credit
 * grows by its weight times its share of slow start, the largest is chosen and pays the sum. {5,1,1} gives a a b a c a
 * a. */
#include "fleet/scheduler_state.h"

uint32_t scheduler_weighted_round_robin(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    uint32_t best = NONE;
    double sum = 0;
    policy_gather(s, j);
    for (uint32_t i = 0; i < s->candidates; i++) {
        uint32_t n = s->candidate[i];
        double weight = (double)(s->weight[n] / s->slow[n]);
        s->machine[n].turn.credit += weight;
        sum += weight;
        if (best == NONE || s->machine[n].turn.credit > s->machine[best].turn.credit)
            best = n;
    }
    if (best != NONE)
        s->machine[best].turn.credit -= sum;
    return best;
}
