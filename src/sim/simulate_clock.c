/* sim/simulate_clock.c - events in order of their moment, equal ones in order of making: a binary heap. */
#include "sim/simulate_state.h"
#include <stdlib.h>

static bool before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void clock_add(struct clock *c, struct event e)
{
    if (c->n == c->cap) {
        uint32_t cap = MAX(256, c->cap * 2);
        struct event *new = realloc(c->event, cap * sizeof *new);
        if (!new) {
            c->failed = true;
            return;
        }
        c->event = new, c->cap = cap;
    }
    e.order = c->made++;
    uint32_t i = c->n++;
    for (; i && before(&e, &c->event[(i - 1) / 2]); i = (i - 1) / 2)
        c->event[i] = c->event[(i - 1) / 2];
    c->event[i] = e;
}

bool clock_pop(struct clock *c, struct event *out)
{
    if (!c->n)
        return false;
    *out = c->event[0];
    struct event last = c->event[--c->n];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < c->n; i = child) {
        child += child + 1 < c->n && before(&c->event[child + 1], &c->event[child]);
        if (!before(&c->event[child], &last))
            break;
        c->event[i] = c->event[child];
    }
    c->event[i] = last;
    return true;
}

void clock_free(struct clock *c)
{
    free(c->event);
    *c = (struct clock){ 0 };
}
