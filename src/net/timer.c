/* net/timer.c - a 4-ary heap of pointers to the timers themselves.
 *
 *     heap:  0 | 1 2 3 4 | 5 6 7 8 | 9 ...      children of i: 4i+1 .. 4i+4, parent: (i-1)/4
 *
 * Each timer knows its place, so moving and cancelling need no search. Four children rather than two: half the levels,
 * and the four sit in one cache line. Rejected: a timer wheel (its ticks cost turns even when nothing is due, and
 * because stream timeouts are lazy we set seldom) and a balanced tree (three pointers in each timer). */
#include "net/timer.h"

#include "base/log.h"

#include <stdlib.h>

#define ARITY 4

static inline void put(struct timers *ts, uint32_t at, struct timer *t)
{
    ts->heap[at] = t;
    t->at = at + 1;
}

static void sift_up(struct timers *ts, uint32_t at, struct timer *t)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (ts->heap[parent]->due <= t->due)
            break;
        put(ts, at, ts->heap[parent]);
        at = parent;
    }
    put(ts, at, t);
}

static uint32_t earliest_child(const struct timers *ts, uint32_t first)
{
    uint32_t best = first, end = MIN(first + ARITY, ts->n);
    for (uint32_t i = first + 1; i < end; i++)
        if (ts->heap[i]->due < ts->heap[best]->due)
            best = i;
    return best;
}

static void sift_down(struct timers *ts, uint32_t at, struct timer *t)
{
    for (uint32_t first; (first = at * ARITY + 1) < ts->n;) {
        uint32_t child = earliest_child(ts, first);
        if (t->due <= ts->heap[child]->due)
            break;
        put(ts, at, ts->heap[child]);
        at = child;
    }
    put(ts, at, t);
}

static void settle(struct timers *ts, uint32_t at, struct timer *t)
{
    if (at > 0 && t->due < ts->heap[(at - 1) / ARITY]->due)
        sift_up(ts, at, t);
    else
        sift_down(ts, at, t);
}

static void grow(struct timers *ts)
{
    uint32_t cap = ts->cap ? ts->cap * 2 : 64;
    struct timer **heap = realloc(ts->heap, cap * sizeof *heap);
    if (!heap) {
        log_error("out of memory for %u timers: the process cannot go on", cap);
        abort();
    }
    ts->heap = heap;
    ts->cap = cap;
}

void timers_free(struct timers *ts)
{
    free(ts->heap);
    *ts = (struct timers){ 0 };
}

void timers_set(struct timers *ts, struct timer *t, nsec due)
{
    t->due = ts->running && due <= ts->round ? ts->round + 1 : due;
    if (t->at) {
        settle(ts, t->at - 1, t);
        return;
    }
    if (ts->n == ts->cap)
        grow(ts);
    sift_up(ts, ts->n++, t);
}

void timers_cancel(struct timers *ts, struct timer *t)
{
    if (!t->at)
        return;
    uint32_t at = t->at - 1;
    assume(at < ts->n && ts->heap[at] == t);
    t->at = 0;
    struct timer *last = ts->heap[--ts->n];
    if (last != t)
        settle(ts, at, last);
}

nsec timers_next(const struct timers *ts)
{
    return ts->n ? ts->heap[0]->due : NEVER;
}

void timers_run(struct timers *ts, nsec now)
{
    assume(!ts->running);
    ts->running = true;
    ts->round = now;
    while (ts->n && ts->heap[0]->due <= now) {
        struct timer *t = ts->heap[0];
        timers_cancel(ts, t);
        t->fire(t);
    }
    ts->running = false;
}
