/* fleet/scheduler_p2c.c - the power of two choices (Mitzenmacher): two nodes by chance, the one with less wins. By
 * requests in flight, each counted as if the new one were there: (n + 1) / weight; or by the peak of the moving average
 * of latency times that (after Finagle): a slow answer counts at once in full and is forgotten over 10 s. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define FORGET_OVER 10.0

static double crowd(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    return (s->inflight[node] + fault_count(s, node, model, now) + 1) * (double)(s->slow[node] / s->weight[node]);
}

static double peak(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    const struct machine *m = &s->machine[node];
    double latency = (double)m->latency * exp((m->latency_at - now) / FORGET_OVER);
    latency += (double)s->penalty[at_pair(s, node, model)];
    return (latency + 1e-3) * (s->inflight[node] + 1) * (double)s->slow[node];
}

static uint32_t of_two(struct scheduler *s, const struct job *j, double now,
                       double (*cost)(const struct scheduler *, uint32_t, uint32_t, double))
{
    uint32_t n = policy_gather(s, j);
    if (n < 2)
        return n ? s->candidate[0] : NONE;
    uint32_t a = (uint32_t)(draw(s) % n), b = (uint32_t)(draw(s) % (n - 1));
    b += b >= a;
    a = s->candidate[a], b = s->candidate[b];
    return cost(s, b, j->model, now) < cost(s, a, j->model, now) ? b : a;
}

uint32_t scheduler_p2c(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    return of_two(s, j, now, crowd);
}

uint32_t scheduler_p2c_ewma(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    return of_two(s, j, now, peak);
}

void ewma_learn(struct scheduler *s, uint32_t node, double latency, double now)
{
    struct machine *m = &s->machine[node];
    double keep = exp((m->latency_at - now) / FORGET_OVER);
    double mean = (double)m->latency * keep + latency * (1 - keep);
    m->latency = (float)fmax(latency, mean);
    m->latency_at = now;
}
