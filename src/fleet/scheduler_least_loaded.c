/* fleet/scheduler_least_loaded.c - a full scan of exact counts per weight. Ties go in weighted turn, or, in simulations
 * that want it, by chance (drawn while scanning: the nth of n equal ones replaces the choice with chance 1/n). */
#include "fleet/scheduler_state.h"
#include <math.h>

static double load_of(const struct scheduler *s, const struct job *j, uint32_t node, double now)
{
    return (s->inflight[node] + fault_count(s, node, j->model, now)) * (double)(s->slow[node] / s->weight[node]);
}

static uint32_t by_turn(struct scheduler *s, uint32_t a, uint32_t b)
{
    return s->machine[b].turn.credit > s->machine[a].turn.credit ? b : a;
}

uint32_t scheduler_least_loaded(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    uint32_t best = NONE, equal = 0;
    double sum = 0, least = INFINITY;
    policy_gather(s, j);
    for (uint32_t i = 0; i < s->candidates; i++) {
        uint32_t n = s->candidate[i];
        s->machine[n].turn.credit += (double)s->weight[n];
        sum += (double)s->weight[n];
        double load = load_of(s, j, n, now);
        if (best == NONE || load < least)
            best = n, least = load, equal = 1;
        else if (load == least) {
            equal++;
            if (s->settings.chance_breaks)
                best = draw(s) % equal ? best : n;
            else
                best = by_turn(s, best, n);
        }
    }
    if (best != NONE)
        s->machine[best].turn.credit -= sum;
    return best;
}
