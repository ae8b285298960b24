/* observe/pulse.c - adds up what the workers' meters have counted since the start.
 *
 * Totals are kept beside the label sets rather than added up from them: a total is one store more for a record, while a
 * sum over thousands of sets would be a look at each of them every second. */
#include "observe/pulse.h"

#include "observe/meter_state.h"

#include <math.h>

void pulse_clear(struct pulse *p, nsec wall)
{
    p->wall = wall;
    p->nodes = 0;
    for (int i = 0; i < TOTAL_COUNT; i++)
        p->total[i] = NAN;
    for (int i = 0; i < GAUGE_COUNT; i++)
        p->gauge[i] = NAN;
    memset(p->time, 0, sizeof p->time);
}

struct pulse_node *pulse_add_node(struct pulse *p, struct str name)
{
    if (p->nodes == PULSE_NODES)
        return NULL;
    struct pulse_node *n = &p->node[p->nodes++];
    *n = (struct pulse_node){ .inflight = NAN, .tokens = NAN };
    *put_str(n->name, str_take(name, PULSE_NAME)) = 0;
    return n;
}

void pulse_totals(double *out, struct meter *const *meters, unsigned n)
{
    for (int t = 0; t < TOTAL_OF_METERS; t++) {
        out[t] = 0;
        for (unsigned i = 0; i < n; i++)
            out[t] += (double)atomic_load_explicit(&meters[i]->total[t], memory_order_relaxed);
    }
}

static void add_times(struct pulse *p, const struct meter *m)
{
    for (int i = 0; i < TIME_COUNT; i++)
        gist_add(&p->time[i], &m->time[i]);
}

static void add_node(struct pulse_node *to, const struct meter *m, unsigned number)
{
    const struct meter_node *n = atomic_load_explicit(&m->node[number], memory_order_acquire);
    if (!n)
        return;
    to->tokens += (double)atomic_load_explicit(&n->tokens, memory_order_relaxed);
    gist_add(&to->first, &n->first);
}

/* A node that no record has named has done nothing yet. */
static void look_at_node(struct pulse_node *node, struct meter *const *meters, unsigned n)
{
    unsigned number = meter_node_number(meters[0], str_of(node->name), false);
    node->tokens = 0;
    for (unsigned i = 0; i < n && number != NAME_OTHER; i++)
        add_node(node, meters[i], number);
}

void pulse_meters(struct pulse *p, struct meter *const *meters, unsigned n)
{
    pulse_totals(p->total, meters, n);
    for (unsigned i = 0; i < n; i++)
        add_times(p, meters[i]);
    for (unsigned i = 0; n && i < p->nodes; i++)
        look_at_node(&p->node[i], meters, n);
}
