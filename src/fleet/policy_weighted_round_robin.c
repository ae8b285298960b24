/* fleet/policy_weighted_round_robin.c - smooth weighted round robin (known from nginx): every candidate's credit grows
 * by its weight, the largest credit is chosen and pays the sum. Weights {5,1,1} give a a b a c a a: in proportion,
 * without bursts. Credits sum to zero however the candidates change from choice to choice, so nobody can save up
 * without bound. */
#include "fleet/policy.h"
#include <math.h>

unsigned policy_weighted_turn(struct node **candidate, unsigned n)
{
    unsigned best = 0;
    double sum = 0, largest = -INFINITY;
    for (unsigned i = 0; i < n; i++) {
        double weight = candidate[i]->weight, credit = candidate[i]->wrr_credit + weight;
        candidate[i]->wrr_credit = credit;
        sum += weight;
        if (credit > largest)
            largest = credit, best = i;
    }
    candidate[best]->wrr_credit -= sum;
    return best;
}

unsigned policy_weighted_round_robin(struct node **candidate, unsigned n, const struct ticket *t, uint64_t *cursor)
{
    return policy_weighted_turn(candidate, n);
}
