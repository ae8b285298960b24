/* fleet/scheduler_fault.c - a node that fails fast must not look fast.
 *
 * One that answers 500 within a millisecond is always free, and would draw all the traffic there is before a breaker
 * opens, or for ever if it fails too seldom for one. So failures of a node and model are counted, forgotten over 10 s,
 * and each good answer takes a fifth of them away. For policies that reckon in seconds a failure is a penalty of 2 s,
 * for those that count requests it is one more in flight. A quarter of it is laid on the node's other models.
 *
 * To keep a failed lease counted for as long as an answer would have taken was rejected: with a single node that makes
 * those wait whom nobody else can serve. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define FORGET_OVER  10.0
#define FORGOTTEN    0.02
#define GOOD_LEAVES  0.8
#define OTHERS_SHARE 0.25
#define COSTS        2.0 /* seconds */
#define COSTS_MOST   30.0
#define LOOK_AGAIN   1.0 /* seconds */

static double left(const struct faults *f, double now)
{
    double n = f->n > 0 ? (double)f->n * exp((f->at - now) / FORGET_OVER) : 0;
    return n < FORGOTTEN ? 0 : n;
}

static void change(struct faults *f, double times, double more, double now)
{
    f->n = (float)(left(f, now) * times + more);
    f->at = now;
}

double fault_count(const struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    return left(&s->pair[at_pair(s, node, model)].faults, now) + OTHERS_SHARE * left(&s->machine[node].faults, now);
}

void fault_refresh(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    double costs = fmin(COSTS * fault_count(s, node, model, now), COSTS_MOST);
    s->penalty[at_pair(s, node, model)] = s->machine[node].penalty + (float)costs;
}

void fault_refresh_node(struct scheduler *s, uint32_t node, double now)
{
    for (uint32_t m = 0; m < s->models; m++)
        if (s->model[m].known)
            fault_refresh(s, node, m, now);
}

/* What happens as a node goes down is paid for by its being down. */
void fault_add(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    if (!s->machine[node].up)
        return;
    change(&s->pair[at_pair(s, node, model)].faults, 1, 1, now);
    change(&s->machine[node].faults, 1, 1, now);
    fault_refresh_node(s, node, now);
    s->next_fault_look = fmin(s->next_fault_look, now + LOOK_AGAIN);
}

void fault_good(struct scheduler *s, uint32_t node, uint32_t model, double now)
{
    struct faults *node_faults = &s->machine[node].faults;
    if (node_faults->n <= 0)
        return;
    change(&s->pair[at_pair(s, node, model)].faults, GOOD_LEAVES, 0, now);
    change(node_faults, GOOD_LEAVES, 0, now);
    fault_refresh_node(s, node, now);
}

void fault_forget(struct scheduler *s, uint32_t node, double now)
{
    s->machine[node].faults.n = 0;
    for (uint32_t m = 0; m < s->models; m++)
        if (s->model[m].known)
            s->pair[at_pair(s, node, m)].faults.n = 0;
    fault_refresh_node(s, node, now);
}

void fault_turn(struct scheduler *s, double now)
{
    if (now < s->next_fault_look)
        return;
    s->next_fault_look = INFINITY;
    for (uint32_t n = 0; n < s->nodes; n++) {
        struct faults *f = &s->machine[n].faults;
        if (f->n <= 0)
            continue;
        if (left(f, now) > 0) {
            s->next_fault_look = now + LOOK_AGAIN;
            fault_refresh_node(s, n, now);
        } else
            fault_forget(s, n, now);
    }
}
