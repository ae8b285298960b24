/* fleet/scheduler_late.c - the reference for late binding: first come, first served, and the fastest free slot; of
 * equal ones the node with fewest in flight. Blind to prefixes. */
#include "fleet/scheduler_state.h"

uint32_t scheduler_late(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    uint32_t best = NONE;
    float least = 0;
    policy_gather(s, j);
    for (uint32_t i = 0; i < s->candidates; i++) {
        uint32_t n = s->candidate[i];
        size_t at = at_pair(s, n, j->model);
        float answer = (float)j->prompt * s->prefill_s[at] + (float)j->output * s->decode_s[at];
        float takes = (answer + s->penalty[at]) * s->slow[n];
        if (best == NONE || takes < least || (takes == least && s->inflight[n] < s->inflight[best]))
            best = n, least = takes;
    }
    return best;
}
