/* fleet/scheduler_stop.c - leases whose client has left: when has the node stopped?
 *
 * Nodes are told by a connection that closes, and say nothing back; a runner stops between two tokens, or only when the
 * prompt is evaluated. Until then its slot is taken, and who is sent there waits inside, unseen. So such a lease stays
 * counted for the time that this node takes to stop this model: 0.1 s at first. Whoever is granted soon after such a
 * slot was freed on that guess is the test of it: if it had to wait inside, the time grows by what it waited, at once;
 * if not, it shrinks by a sixteenth. A fixed time was rejected: half a second is long for a small model and short for a
 * prompt of 100,000 tokens on a CPU. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define STOP_LEAST    0.02 /* seconds */
#define STOP_MOST     60.0
#define WAITED_INSIDE 0.05 /* seconds that are not jitter */
#define SHRINKS       (15.0 / 16)
#define TESTED_WITHIN 0.05 /* seconds after the slot was freed, and the stopping time itself */

static struct pair *pair_of(const struct scheduler *s, const struct job *j)
{
    return &s->pair[at_pair(s, j->node, j->model)];
}

void stop_begin(struct scheduler *s, uint32_t job, double now)
{
    struct job *j = &s->job[job];
    j->stopping = true;
    slots_freed(s, j, now);
    j->expected_end = now + (double)pair_of(s, j)->stop_s;
    j->prev_stopping = NONE, j->next_stopping = s->first_stopping;
    if (s->first_stopping != NONE)
        s->job[s->first_stopping].prev_stopping = job;
    s->first_stopping = job;
    s->next_stopped = fmin(s->next_stopped, j->expected_end);
}

void stop_over(struct scheduler *s, struct job *j)
{
    if (!j->stopping)
        return;
    if (j->prev_stopping == NONE)
        s->first_stopping = j->next_stopping;
    else
        s->job[j->prev_stopping].next_stopping = j->next_stopping;
    if (j->next_stopping != NONE)
        s->job[j->next_stopping].prev_stopping = j->prev_stopping;
    j->stopping = false;
}

uint32_t stop_due(struct scheduler *s, double now)
{
    double next = INFINITY;
    for (uint32_t i = now < s->next_stopped ? NONE : s->first_stopping; i != NONE; i = s->job[i].next_stopping) {
        struct job *j = &s->job[i];
        if (j->expected_end <= now) {
            pair_of(s, j)->stopped = now;
            return i;
        }
        next = fmin(next, j->expected_end);
    }
    if (now >= s->next_stopped)
        s->next_stopped = next;
    return NONE;
}

bool stop_tested_by(const struct scheduler *s, const struct job *j, double now)
{
    const struct pair *p = pair_of(s, j);
    return p->stopped > 0 && now - p->stopped <= TESTED_WITHIN + (double)p->stop_s;
}

/* Kinds of nodes that do not tell the wait inside: what the first token came later than twice the prompt explains. */
static double waited(const struct scheduler *s, const struct job *j, const struct scheduler_figures *f)
{
    if (f->waited_inside || j->first <= 0)
        return (double)f->waited_inside / 1e9;
    double prefill = (double)s->prefill_s[at_pair(s, j->node, j->model)] * (j->prompt - j->matched);
    return fmax(0, j->first - j->granted - 2 * prefill - WAITED_INSIDE);
}

void stop_learn(struct scheduler *s, const struct job *j, const struct scheduler_figures *f)
{
    struct pair *p = pair_of(s, j);
    bool said = f->waited_inside || j->first > 0;
    if (!j->tests_stop || f->failed || !said)
        return;
    double wait = waited(s, j, f), stop = (double)p->stop_s;
    stop = wait > WAITED_INSIDE ? stop + wait : stop * SHRINKS;
    p->stop_s = (float)fmin(fmax(stop, STOP_LEAST), STOP_MOST);
}
