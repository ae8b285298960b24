/* fleet/scheduler_waiters.c - the queue for people: who waits, in the order in which they would be served.
 *
 * That order is not kept anywhere (scheduler_queue.c: ratios overtake each other as time passes), and to work it out
 * for all takes longer than the lock may be held. So what decides is copied, and the order is played on the copy:
 * bands, then the tenant with the least counter, each one charged as it is served; inside a tenant by waited / (service
 * + 2 s). */
#include "fleet/scheduler_state.h"
#include <stdlib.h>

struct copying {
    struct scheduler_waiter *out;
    uint32_t n;
    double now;
};

static bool copy(struct scheduler *s, uint32_t job, void *arg)
{
    struct copying *c = arg;
    const struct job *j = &s->job[job];
    const struct tenant *t = &s->tenant[j->tenant];
    c->out[c->n++] = (struct scheduler_waiter){ .owner = j->owner,
                                                .model = j->model,
                                                .tenant = j->tenant,
                                                .band = j->band,
                                                .waited = c->now - j->arrived,
                                                .service = (double)j->service,
                                                .tokens = (double)j->prompt + 2.0 * j->output,
                                                .counter = t->counter,
                                                .since = t->queue_since };
    return true;
}

uint32_t scheduler_waiters(struct scheduler *s, nsec now, struct scheduler_waiter *out)
{
    struct copying c = { .out = out, .now = seconds(s, now) };
    queue_each(s, copy, &c);
    return c.n;
}

/* ---- the order ----------------------------------------------------------------------------------------------------
 */

static double ratio(const struct scheduler_waiter *w)
{
    return w->waited / (w->service + QUEUE_PATIENCE);
}

static int order_of(double a, double b)
{
    return (a > b) - (a < b);
}

/* Model, band, tenant; then who has waited longest for what it takes. */
static int by_line(const void *a, const void *b)
{
    const struct scheduler_waiter *x = a, *y = b;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    if (x->band != y->band)
        return x->band < y->band ? -1 : 1;
    if (x->tenant != y->tenant)
        return x->tenant < y->tenant ? -1 : 1;
    return order_of(ratio(y), ratio(x));
}

/* Model, band; then by what its tenant has had when it is its turn. */
static int by_counter(const void *a, const void *b)
{
    const struct scheduler_waiter *x = a, *y = b;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    if (x->band != y->band)
        return x->band < y->band ? -1 : 1;
    int order = order_of(x->counter, y->counter);
    return order ? order : x->since != y->since ? order_of(x->since, y->since) : order_of(ratio(y), ratio(x));
}

static bool same_line(const struct scheduler_waiter *x, const struct scheduler_waiter *y)
{
    return x->model == y->model && x->band == y->band && x->tenant == y->tenant;
}

void scheduler_waiters_sort(struct scheduler_waiter *w, uint32_t n)
{
    qsort(w, n, sizeof *w, by_line);
    for (uint32_t i = 1; i < n; i++) /* its turn comes when those of its tenant before it have been charged */
        if (same_line(&w[i - 1], &w[i]))
            w[i].counter = w[i - 1].counter + w[i - 1].tokens;
    qsort(w, n, sizeof *w, by_counter);
}
