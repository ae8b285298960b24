/* fleet/scheduler_rendezvous.c - the highest of -weight / ln(h), h drawn from (node, key): the same prompt finds the
 * same node from every gateway, in proportion to the weights, and a node that goes moves only its own keys. */
#include "fleet/scheduler_state.h"
#include <math.h>

double rendezvous_weight(const struct scheduler *s, const struct job *j, uint32_t node)
{
    double h = ((double)(mix(j->key ^ s->salt[node]) >> 12) + 0.5) / 4503599627370496.0;
    return -(double)s->weight[node] / log(h);
}

uint32_t scheduler_rendezvous(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    uint32_t best = NONE;
    double most = 0;
    policy_gather(s, j);
    for (uint32_t i = 0; i < s->candidates; i++) {
        double w = rendezvous_weight(s, j, s->candidate[i]);
        if (best == NONE || w > most)
            best = s->candidate[i], most = w;
    }
    return best;
}
