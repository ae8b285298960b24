/* cache/wheel.h - things that are due at some moment, to the second: a ring of lists. Embedded, as are its items; no
 * memory of its own. Not thread-safe. */
#pragma once
#include "base/list.h"

#define WHEEL_SLOTS 256
#define WHEEL_TICK  SECOND(1)
struct wheel {
    struct list slots[WHEEL_SLOTS];
    int64_t at; /* the tick that has been looked through */
    size_t n;
};
struct wheel_item {
    struct list link;
    nsec due;
};
void wheel_init(struct wheel *w);
void wheel_put(struct wheel *w, struct wheel_item *item, nsec due, nsec now);
void wheel_take(struct wheel *w, struct wheel_item *item);
/* Removes and returns one that is due, up to a tick late; NULL: none more. */
struct wheel_item *wheel_next(struct wheel *w, nsec now);
