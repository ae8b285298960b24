/* fleet/scheduler_eta.c - the expected time to the first token, weighted; lowest wins.
 *
 *   T = (wait for a slot + 2 x (prompt - matched) / prefill rate + 0.1 x output / decode rate + penalty) / share
 *
 * All nodes are scored, four at a time. Limits (pins, labels, what was tried) are laid out as one more row before, so
 * that only those who have some pay for them. Prefixes touch at most 8 nodes, afterwards. Among free nodes within 20 %
 * or 0.2 s of the best the one with fewest in flight is taken, then rendezvous, so that several gateways agree. A busy
 * node is waited for only if its T is below 0.6 of the best free one's. The load term of a node without the model is
 * not here: such nodes get requests only after a load, which fleet/scheduler_load.c decides. */
#include "fleet/scheduler_state.h"
#include <math.h>

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t masks __attribute__((vector_size(4 * LANES)));
typedef uint64_t words __attribute__((vector_size(8 * LANES), aligned(8)));

struct best { /* of free nodes, of busy ones; INFINITY: there is none */
    float free, busy;
};

static inline lanes choose(masks which, lanes yes, lanes no)
{
    return (lanes)((which & (masks)yes) | (~which & (masks)no));
}

static inline lanes all(float v)
{
    return (lanes){ v, v, v, v };
}

static float least(lanes v)
{
    return fminf(fminf(v[0], v[1]), fminf(v[2], v[3]));
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* `limit`: INFINITY for nodes that the job may not go to; or NULL. */
static inline __attribute__((always_inline)) struct best score(struct scheduler *s, const struct job *j, double now,
                                                               const lanes *limit)
{
    size_t first = at_pair(s, 0, j->model);
    const lanes *slot = (const lanes *)s->slot_at, *pair = (const lanes *)(s->pair_at + first);
    const lanes *prefill = (const lanes *)(s->prefill_s + first), *decode = (const lanes *)(s->decode_s + first);
    const lanes *floor = (const lanes *)s->slot_floor, *penalty = (const lanes *)(s->penalty + first),
                *slow = (const lanes *)s->slow;
    lanes in = all((float)s->settings.prefill_weight * (float)j->prompt);
    lanes out = all((float)s->settings.decode_weight * (float)j->output);
    lanes since = all(since_base(s, now)), none = all(INFINITY), free = none, busy = none, *t = (lanes *)s->t;
    lanes *t_free = (lanes *)s->t_free;
    masks frees = { 0 };
    for (uint32_t i = 0; i < s->width / LANES; i++) {
        lanes when = choose(slot[i] > pair[i], slot[i], pair[i]);
        if (limit)
            when = choose(limit[i] > when, limit[i], when);
        masks is_free = when < all(0);
        lanes wait = when - since;
        wait = choose(is_free, all(0), choose(wait > floor[i], wait, floor[i]));
        t[i] = (wait + in * prefill[i] + out * decode[i] + penalty[i]) * slow[i];
        t_free[i] = choose(is_free, t[i], none);
        lanes t_busy = choose(is_free, none, t[i]);
        free = choose(t_free[i] < free, t_free[i], free);
        busy = choose(t_busy < busy, t_busy, busy);
        frees -= is_free;
    }
    s->candidates = (uint32_t)(frees[0] + frees[1] + frees[2] + frees[3]);
    return (struct best){ least(free), least(busy) };
}

static struct best score_all(struct scheduler *s, const struct job *j, double now)
{
    return score(s, j, now, NULL);
}

static void limit_labels(struct scheduler *s, uint64_t wanted)
{
    const words *labels = (const words *)s->labels, want = { wanted, wanted, wanted, wanted };
    lanes *limit = (lanes *)s->limit;
    for (uint32_t i = 0; i < s->width / LANES; i++) {
        masks has = __builtin_convertvector((labels[i] & want) == want, masks);
        limit[i] = choose(has, all(ALWAYS_FREE), all(INFINITY));
    }
}

static void limit_to(struct scheduler *s, uint32_t pin)
{
    float there = pin < s->nodes ? s->limit[pin] : INFINITY;
    for (uint32_t n = 0; n < s->width; n++)
        s->limit[n] = INFINITY;
    if (pin < s->nodes)
        s->limit[pin] = there;
}

static struct best score_limited(struct scheduler *s, const struct job *j, double now)
{
    limit_labels(s, j->labels);
    if (j->pin != NONE)
        limit_to(s, j->pin);
    for (uint32_t i = 0; i < j->not_on_n; i++)
        if (j->not_on[i] < s->nodes)
            s->limit[j->not_on[i]] = INFINITY;
    return score(s, j, now, (const lanes *)s->limit);
}

static bool is_free(const struct scheduler *s, uint32_t n)
{
    return s->t_free[n] < INFINITY;
}

/* A beginning that the node has in its cache makes it nearer, never farther. */
static void apply_hints(struct scheduler *s, const struct job *j, struct best *b)
{
    const float *prefill = s->prefill_s + at_pair(s, 0, j->model);
    float weight = (float)s->settings.prefill_weight;
    for (uint32_t i = 0; i < j->hints; i++) {
        uint32_t n = j->hint[i].node;
        s->t[n] -= weight * (float)MIN(j->hint[i].tokens, j->prompt) * prefill[n] * s->slow[n];
        if (is_free(s, n))
            b->free = fminf(b->free, s->t_free[n] = s->t[n]);
        else
            b->busy = fminf(b->busy, s->t[n]);
    }
}

static struct best look(struct scheduler *s, const struct job *j, double now)
{
    struct best b = job_limited(j) ? score_limited(s, j, now) : score_all(s, j, now);
    apply_hints(s, j, &b);
    return b;
}

void eta_score(struct scheduler *s, const struct job *j, double now)
{
    look(s, j, now);
}

struct scheduler_terms eta_terms(const struct scheduler *s, const struct job *j, uint32_t node, double now)
{
    size_t at = at_pair(s, node, j->model);
    float when = fmaxf(s->slot_at[node], s->pair_at[at]);
    uint32_t matched = 0;
    for (uint32_t i = 0; i < j->hints; i++)
        if (j->hint[i].node == node)
            matched = MIN(j->hint[i].tokens, j->prompt);
    struct scheduler_terms t = {
        .slot = when < 0 ? 0 : fmaxf(when - since_base(s, now), s->slot_floor[node]),
        .prefill = (float)s->settings.prefill_weight * (float)(j->prompt - matched) * s->prefill_s[at],
        .decode = (float)s->settings.decode_weight * (float)j->output * s->decode_s[at],
        .penalty = s->penalty[at],
    };
    t.total = (t.slot + t.prefill + t.decode + t.penalty) * s->slow[node];
    return t;
}

uint32_t eta_next(struct scheduler *s, uint32_t chosen)
{
    const lanes *t = (const lanes *)s->t;
    lanes best = all(INFINITY);
    masks at = { 0 };
    uint32_t next = NONE;
    s->t[chosen] = INFINITY;
    for (int32_t i = 0; i < (int32_t)(s->width / LANES); i++) {
        masks less = t[i] < best, here = { i, i, i, i };
        best = choose(less, t[i], best);
        at = (less & here) | (~less & at);
    }
    for (uint32_t k = 0; k < LANES; k++)
        if (best[k] < INFINITY && (next == NONE || best[k] < s->t[next]))
            next = (uint32_t)at[k] * LANES + k;
    return next;
}

/* ---- the choice -------------------------------------------------------------------------------------------------- */

static int32_t fewest_among(const struct scheduler *s, float upto)
{
    const lanes *t = (const lanes *)s->t_free;
    const masks *inflight = (const masks *)s->inflight;
    masks most = { INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX }, fewest = most;
    for (uint32_t i = 0; i < s->width / LANES; i++) {
        masks equal = t[i] <= all(upto), n = (equal & inflight[i]) | (~equal & most), less = n < fewest;
        fewest = (less & n) | (~less & fewest);
    }
    return MIN(MIN(fewest[0], fewest[1]), MIN(fewest[2], fewest[3]));
}

/* Unweighted rendezvous: those compared are equal but for their numbers. */
static uint32_t among_equals(const struct scheduler *s, const struct job *j, float t)
{
    float upto = fmaxf(t * (float)(1 + s->settings.tie_share), t + (float)s->settings.tie_seconds);
    uint32_t best = NONE, fewest = (uint32_t)fewest_among(s, upto);
    uint64_t most = 0, key = mix(j->key + 1);
    for (uint32_t n = 0; n < s->nodes; n++) {
        uint64_t lot = (key ^ s->salt[n]) * 0x9e3779b97f4a7c15;
        if (s->t_free[n] <= upto && s->inflight[n] == fewest && (lot > most || best == NONE))
            best = n, most = lot;
    }
    return best;
}

static uint32_t busy_one(const struct scheduler *s, float t)
{
    uint32_t n = 0;
    while (is_free(s, n) || s->t[n] != t)
        n++;
    return n;
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
    while (b.free < INFINITY && b.busy < below * b.free) {
        uint32_t busy = busy_one(s, b.busy);
        if (is_fresh(s, busy, j->model, now)) {
            *out_wait_for = busy;
            return NONE;
        }
        b = look(s, j, now);
    }
    return b.free < INFINITY ? among_equals(s, j, b.free) : NONE;
}
