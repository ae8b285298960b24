/* fleet/scheduler_slots.c - how many requests a node serves at once with a model, where nobody says.
 *
 * Nodes queue without a sign, so one more than proven is let in, and what becomes of it is the proof:
 *
 *      streams      tokens of both flow at the same time: they run side by side. Proven at once
 *      told         the node's figures say how long it waited inside. It began before any other had ended there: side
 * by side. It began when one had: it was behind that one only timed   embeddings, and kinds without figures. It ended
 * before all that were there when it came: nodes go in order, so side by side. Else: reckoned from the first end beside
 * it, it took clearly less than such requests take when they find a proven slot
 *
 * A stream's proof is sure. The others suffer from what passes between the node's clock and ours, so three are asked
 * for; what a timed one shows against it takes a little of that back, since with eight slots most ends of others come
 * too soon to tell. How long a request should take is kept as a factor of its length, with its mean deviation, of those
 * that found a proven slot; until there are some, no timed one is let in as a probe (two at half the pace look like one
 * at full pace). When a probe waited, the next one comes a minute later, then two, up to an hour; when one waited that
 * was none, there are fewer slots than was thought. Requests behind the end of a lease that was only guessed
 * (scheduler_stop.c) prove nothing. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define PROBE_PAUSE      60.0
#define PROBE_PAUSE_MOST 3600.0
#define WAITED_LONG      0.25 /* seconds that are not jitter, whatever the service */
#define BEGAN_AT_ONCE    0.1  /* of its own service: waited less */
#define BEGAN_BEHIND     0.5  /* waited more */
#define PROOFS           3.0f
#define AGAINST          0.05f /* of a proof */
#define NOT_BEHIND       0.5f  /* likewise, of having been behind: ends come in pairs, and then every other waits */
#define PACES            32    /* remembered */
#define PACES_ENOUGH     8
#define SHORTER          0.7 /* of the usual pace: clearly less, if it is outside of three deviations too */
#define LONGER           1.3
#define DEVIATIONS       3.0
#define SHORTEST         0.25 /* of the usual pace: what took less has hardly been served */
#define OVERHEAD         0.02 /* seconds that each takes, however short */

static struct pair *pair_of(const struct scheduler *s, const struct job *j)
{
    return &s->pair[at_pair(s, j->node, j->model)];
}

/* ---- slots that free beside it ---------------------------------------------------------------------------------- */

void slots_freed(struct scheduler *s, const struct job *by, double now)
{
    if (!pair_of(s, by)->learnt)
        return;
    for (uint32_t l = s->machine[by->node].leases; l != NONE; l = s->job[l].next) {
        struct job *j = &s->job[l];
        if (j != by && j->model == by->model && j->freed <= 0)
            j->freed = now;
    }
}

void slots_opened(struct scheduler *s, struct job *j, double now)
{
    j->freed = 0;
    if (!pair_of(s, j)->learnt)
        return;
    for (uint32_t l = s->machine[j->node].leases; l != NONE; l = s->job[l].next)
        if (s->job[l].model == j->model && s->job[l].stopping)
            j->freed = now;
}

/* ---- what is made of it ----------------------------------------------------------------------------------------- */

static void prove(struct pair *p, uint32_t slots)
{
    p->proven = slots;
    p->beside = 0, p->behind = 0;
    p->probe_pause = PROBE_PAUSE;
}

static void rest_from_probing(struct pair *p, double now)
{
    p->beside = 0;
    p->probe_at = now + p->probe_pause;
    p->probe_pause = fmin(2 * p->probe_pause, PROBE_PAUSE_MOST);
}

static void was_beside(struct pair *p, const struct job *j)
{
    if (j->ahead >= p->proven && (p->beside += 1) >= PROOFS)
        prove(p, p->proven + 1);
}

static void was_behind(struct pair *p, const struct job *j, double now)
{
    p->proven = MAX(1, MIN(p->proven, j->ahead));
    p->behind = 0;
    rest_from_probing(p, now);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

void slots_first(struct scheduler *s, const struct job *j, uint32_t beside)
{
    struct pair *p = pair_of(s, j);
    if (p->learnt && beside > p->proven)
        prove(p, beside);
}

/* ---- told ------------------------------------------------------------------------------------------------------- */

/* Did it begin before anything of ours had ended there? Then it waited for something else, if it did: images that are
 * read, somebody else's requests. */
static bool began_before_all(const struct job *j, double waited, double margin)
{
    return j->freed <= 0 || j->freed > j->granted + waited + margin;
}

static void learn_told(struct pair *p, const struct job *j, double waited, double service, double now)
{
    double margin = BEGAN_AT_ONCE * service;
    bool before_all = began_before_all(j, waited, margin);
    if (waited < margin && before_all)
        was_beside(p, j);
    else if (waited >= BEGAN_BEHIND * service && !before_all)
        was_behind(p, j, now);
    else if (waited >= margin)
        p->beside = 0;
}

/* ---- only timed ------------------------------------------------------------------------------------------------- */

static double length_of(const struct scheduler *s, const struct job *j, const struct scheduler_figures *f)
{
    return OVERHEAD + j->prompt / s->settings.prefill + f->output_tokens / s->settings.decode;
}

static void pace_add(struct pair *p, double pace, double now)
{
    double off = pace - (double)p->pace;
    p->paced++;
    uint32_t n = MIN(p->paced, PACES);
    p->pace += (float)(off / n);
    p->pace_off += (float)((p->paced > 1 ? fabs(off) - (double)p->pace_off : 0) / n);
    if (p->paced == PACES_ENOUGH)
        p->probe_at = now;
}

/* It may not be a probe yet: by what should it be judged? */
static void wait_for_paces(struct pair *p, double now)
{
    p->probe_at = fmax(p->probe_at, now + PROBE_PAUSE);
}

static void judge_probe(struct pair *p, const struct job *j, bool behind, double since, double now)
{
    double usual = (double)p->pace, noise = DEVIATIONS * (double)p->pace_off;
    if (j->freed <= 0 || since < fmin(SHORTER * usual, usual - noise))
        was_beside(p, j);
    else if (behind)
        rest_from_probing(p, now);
    else
        p->beside = fmaxf(0, p->beside - AGAINST);
}

static void judge_other(struct pair *p, bool behind, double pace, double now)
{
    if (!behind) {
        p->behind = fmaxf(0, p->behind - NOT_BEHIND);
        pace_add(p, pace, now);
    } else if ((p->behind += 1) >= PROOFS) {
        p->behind = 0;
        p->proven = MAX(1, p->proven - 1);
        rest_from_probing(p, now);
    }
}

static void learn_timed(struct pair *p, const struct job *j, double length, double now)
{
    double pace = (now - j->granted) / length, usual = (double)p->pace;
    double since = j->freed > 0 ? (now - j->freed) / length : pace;
    bool probes = j->ahead >= p->proven;
    if (p->paced < PACES_ENOUGH) {
        if (probes)
            wait_for_paces(p, now);
        else
            pace_add(p, pace, now);
        return;
    }
    if (pace < SHORTEST * usual)
        return;
    double noise = DEVIATIONS * (double)p->pace_off;
    bool behind = j->freed > 0 && pace > fmax(LONGER * usual, usual + noise) && since >= usual - (double)p->pace_off;
    if (probes)
        judge_probe(p, j, behind, since, now);
    else
        judge_other(p, behind, pace, now);
}

/* ---- an end ----------------------------------------------------------------------------------------------------- */

void slots_learn(struct scheduler *s, const struct job *j, const struct scheduler_figures *f, double now)
{
    struct pair *p = pair_of(s, j);
    double waited = (double)f->waited_inside / 1e9, service = (double)(f->prefill_took + f->decode_took) / 1e9;
    bool streamed = j->first > 0;
    if (!p->learnt || j->tests_stop) /* that one may have waited for a slot that was not free after all */
        return;
    if (waited >= WAITED_LONG && !began_before_all(j, waited, fmax(BEGAN_AT_ONCE * service, WAITED_LONG / 2)))
        was_behind(p, j, now);
    else if (!streamed && service > 0)
        learn_told(p, j, waited, service, now);
    else if (!streamed)
        learn_timed(p, j, length_of(s, j, f), now);
}
