/* net/timer.h - timers of one worker: an intrusive 4-ary heap ordered by due time.
 * A timer is embedded in its owner and pending at most once. It fires from the loop, never from inside timer_set.
 * Stream timeouts are lazy by convention: activity stores a time, and the timer when it fires looks whether it is
 * really over and sets itself anew (design: decision 5). */
#pragma once
#include "base/types.h"

struct timer {
    nsec due;
    void (*fire)(struct timer *t);
    uint32_t at; /* 1 + place in the heap; 0 = not pending */
};
/* All zero is empty. */
struct timers {
    struct timer **heap;
    uint32_t n, cap;
    bool running;
    nsec round; /* while running: the moment of this round */
};
void timers_free(struct timers *ts);
/* Sets or moves; an unset timer is zero but for `fire`. A set can fail only for want of memory, which ends the process
 * with a clear message: the heap holds one pointer per open connection and grows by doubling. */
void timers_set(struct timers *ts, struct timer *t, nsec due);
/* Nothing happens when it is not pending. */
void timers_cancel(struct timers *ts, struct timer *t);
/* NEVER if none. */
nsec timers_next(const struct timers *ts);
/* Fires all due at `now`, earliest first (equal dues in any order). One set meanwhile for `now` or before is put off to
 * `now` + 1, so that it fires in the next round and no round is endless. Not to be called from a fire. */
void timers_run(struct timers *ts, nsec now);
static inline bool timer_pending(const struct timer *t)
{
    return t->at != 0;
}
