/* fleet/scheduler_least_loaded.c - a full scan of exact counts per weight. Ties go in weighted turn, or, in simulations
 * that want it, by chance (drawn while scanning: the nth of n equal ones replaces the choice with chance 1/n). */
#include "fleet/scheduler_state.h"

static double load_of(const struct scheduler *s, uint32_t node)
{
    return s->inflight[node] * (double)(s->slow[node] / s->weight[node]);
}

static uint32_t by_turn(struct scheduler *s, uint32_t a, uint32_t b)
{
    return s->machine[b].credit > s->machine[a].credit ? b : a;
}

uint32_t scheduler_least_loaded(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    uint32_t best = NONE, equal = 0;
    double sum = 0;
    policy_gather(s, j);
    for (uint32_t i = 0; i < s->candidates; i++) {
        uint32_t n = s->candidate[i];
        s->machine[n].credit += (double)s->weight[n];
        sum += (double)s->weight[n];
        if (best == NONE || load_of(s, n) < load_of(s, best))
            best = n, equal = 1;
        else if (load_of(s, n) == load_of(s, best)) {
            equal++;
            if (s->settings.chance_breaks)
                best = draw(s) % equal ? best : n;
            else
                best = by_turn(s, best, n);
        }
    }
    if (best != NONE)
        s->machine[best].credit -= sum;
    return best;
}
