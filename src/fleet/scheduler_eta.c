/* fleet/scheduler_eta.c - the expected time to the first token, weighted; lowest wins.
 *
 *      T = (wait for a slot + 2 x (prompt - matched) / prefill rate + 0.1 x output / decode rate + penalty) / share
 *
 * All nodes are scored, in arrays. Prefixes touch at most 8 of them, afterwards. Among free nodes within 20 % or 0.2 s
 * of the best the one with fewest in flight is taken, then rendezvous, so that several gateways agree. A busy node is
 * waited for only if its T is below 0.6 of the best free one's. The load term of a node without the model is not here:
 * such nodes get requests only after a load, which fleet/scheduler_load.c decides. */
#include "fleet/scheduler_state.h"
#include <math.h>

static double when(const struct scheduler *s, uint32_t node, uint32_t model)
{
    return fmax(s->slot_at[node], s->pair_at[at_pair(s, node, model)]);
}

static void apply_hints(struct scheduler *s, const struct job *j)
{
    const float *prefill = s->prefill_s + at_pair(s, 0, j->model);
    float weight = (float)s->settings.prefill_weight;
    for (uint32_t i = 0; i < j->hints; i++) {
        uint32_t n = j->hint[i].node;
        s->t[n] -= weight * (float)MIN(j->hint[i].tokens, j->prompt) * prefill[n] * s->slow[n];
    }
}

static void apply_limits(struct scheduler *s, const struct job *j)
{
    if (!job_limited(j))
        return;
    for (uint32_t n = 0; n < s->nodes; n++)
        if (!policy_may(s, j, n))
            s->t[n] = INFINITY;
}

void eta_score(struct scheduler *s, const struct job *j, double now)
{
    size_t first = at_pair(s, 0, j->model);
    const double *slot = s->slot_at, *pair = s->pair_at + first;
    const float *prefill = s->prefill_s + first, *decode = s->decode_s + first;
    float in = (float)s->settings.prefill_weight * (float)j->prompt;
    float out = (float)s->settings.decode_weight * (float)j->output;
    for (uint32_t n = 0; n < s->nodes; n++) {
        double at = slot[n] > pair[n] ? slot[n] : pair[n];
        float least = at > 0 ? s->slot_floor[n] : 0, wait = (float)(at - now);
        wait = wait > least ? wait : least;
        s->t[n] = (wait + in * prefill[n] + out * decode[n] + s->penalty[n]) * s->slow[n];
    }
    apply_hints(s, j);
    apply_limits(s, j);
}

struct scheduler_terms eta_terms(const struct scheduler *s, const struct job *j, uint32_t node, double now)
{
    size_t at = at_pair(s, node, j->model);
    double slot = when(s, node, j->model);
    uint32_t matched = 0;
    for (uint32_t i = 0; i < j->hints; i++)
        if (j->hint[i].node == node)
            matched = MIN(j->hint[i].tokens, j->prompt);
    struct scheduler_terms t = {
        .slot = slot > 0 ? fmaxf((float)(slot - now), s->slot_floor[node]) : 0,
        .prefill = (float)s->settings.prefill_weight * (float)(j->prompt - matched) * s->prefill_s[at],
        .decode = (float)s->settings.decode_weight * (float)j->output * s->decode_s[at],
        .penalty = s->penalty[node],
    };
    t.total = (t.slot + t.prefill + t.decode + t.penalty) * s->slow[node];
    return t;
}

struct best {
    uint32_t free, busy, frees;
    float free_t, busy_t;
};

static struct best find_best(struct scheduler *s, uint32_t model)
{
    struct best b = { .free = NONE, .busy = NONE, .free_t = INFINITY, .busy_t = INFINITY };
    const double *slot = s->slot_at, *pair = s->pair_at + at_pair(s, 0, model);
    for (uint32_t n = 0; n < s->nodes; n++) {
        bool free = slot[n] < 0 && pair[n] < 0;
        b.frees += free;
        if (free && s->t[n] < b.free_t)
            b.free = n, b.free_t = s->t[n];
        else if (!free && s->t[n] < b.busy_t)
            b.busy = n, b.busy_t = s->t[n];
    }
    return b;
}

/* Unweighted rendezvous: those compared are equal but for their numbers. */
static uint32_t among_equals(struct scheduler *s, const struct job *j, const struct best *b)
{
    float upto = fmaxf(b->free_t * (float)(1 + s->settings.tie_share), b->free_t + (float)s->settings.tie_seconds);
    const double *slot = s->slot_at, *pair = s->pair_at + at_pair(s, 0, j->model);
    uint32_t best = b->free, fewest = s->inflight[best];
    uint64_t most = mix(j->key ^ s->machine[best].salt);
    for (uint32_t n = 0; n < s->nodes; n++) {
        if (s->t[n] > upto || s->inflight[n] > fewest || slot[n] >= 0 || pair[n] >= 0)
            continue;
        uint64_t h = mix(j->key ^ s->machine[n].salt);
        if (s->inflight[n] < fewest || h > most)
            best = n, fewest = s->inflight[n], most = h;
    }
    return best;
}

static struct best look(struct scheduler *s, const struct job *j, double now)
{
    eta_score(s, j, now);
    return find_best(s, j->model);
}

/* What is known of a busy node's slots was worked out when something last happened there. Before anybody waits for it
 * that is done anew. */
static bool is_fresh(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    if (s->machine[node].refreshed == now)
        return true;
    ledger_refresh(s, node, now);
    ledger_refresh_pair(s, node, model, now);
    return false;
}

uint32_t scheduler_eta(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    float below = (float)s->settings.wait_below;
    struct best b = look(s, j, now);
    while (b.free != NONE && b.busy_t < below * b.free_t && !is_fresh(s, b.busy, j->model, now))
        b = look(s, j, now);
    s->candidates = b.frees;
    if (b.free == NONE)
        return NONE;
    if (b.busy_t < below * b.free_t) {
        *out_wait_for = b.busy;
        return NONE;
    }
    return among_equals(s, j, &b);
}
