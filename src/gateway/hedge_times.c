/* When is an embedding late? After what 95 of the last 64 of its model took, on this worker. Histograms of the metrics
 * would not do: they know routes, but models differ by a hundred times in size. Rejected: the scheduler's forecast, a
 * mean that a queue inside the node makes wrong just when it matters. */
#include "gateway/hedge.h"
#include <stdlib.h>

#define TIMES_LEAST 20

static struct hedge_model *place_of(const struct hedge_times *t, uint64_t model)
{
    return (struct hedge_model *)&t->of[model % HEDGE_MODELS];
}

void hedge_learn(struct hedge_times *t, uint64_t model, nsec took)
{
    struct hedge_model *m = place_of(t, model);
    if (m->model != model)
        *m = (struct hedge_model){ .model = model };
    m->us[m->n++ % HEDGE_TIMES] = (uint32_t)MIN(took / USEC(1), UINT32_MAX);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

nsec hedge_expected(const struct hedge_times *t, uint64_t model)
{
    const struct hedge_model *m = place_of(t, model);
    unsigned n = MIN(m->n, HEDGE_TIMES);
    uint32_t us[HEDGE_TIMES];
    if (m->model != model || n < TIMES_LEAST)
        return 0;
    for (unsigned i = 0; i < n; i++)
        us[i] = m->us[i];
    qsort(us, n, sizeof *us, by_size);
    return USEC(us[(n * 95 + 99) / 100 - 1]);
}
