/* base/pressure.h - what is done while memory is short: steps, and the measures that rooms register at them.
 *
 *     share of the limit   >= 75 %   >= 85 %   >= 92 %        each step is undone 10 points below where it began,
 *     step                  FIRST     SECOND    THIRD         so that it does not flutter; in reverse order
 *
 * Embedded in its owner, who looks from time to time and says how much is used. One thread, but for pressure_step.
 * Design: section 6. */
#pragma once
#include "base/list.h"
#include "base/types.h"
#include <stdatomic.h>
#include <stdbool.h>

enum pressure_step { PRESSURE_NONE, PRESSURE_FIRST, PRESSURE_SECOND, PRESSURE_THIRD, PRESSURE_STEPS };
/* Embedded in whoever takes it; `name`, `at` and `take` are set by the owner. `name` goes on "while memory is short".
 */
struct pressure_measure {
    const char *name;
    enum pressure_step at;
    void (*take)(struct pressure_measure *m, bool on); /* take it, or take it back; not twice the same */
    bool on;
    struct list link;
};
struct pressure {
    struct list measures; /* in the order of their registration */
    _Atomic int step;
};
void pressure_init(struct pressure *p);
/* For the life of p; a measure whose step has come is taken at once. */
void pressure_register(struct pressure *p, struct pressure_measure *m);
/* Goes up and down, step by step, to where `used` of `limit` bytes is, and logs each. True if anything changed. */
bool pressure_look(struct pressure *p, size_t used, size_t limit);
/* Where it stands; any thread. */
enum pressure_step pressure_step(const struct pressure *p);
/* In percent of the limit, where a step begins; 0 for PRESSURE_NONE. */
unsigned pressure_mark(enum pressure_step s);
/* As /api/memory says it: "none", "75", "85", "92". */
const char *pressure_name(enum pressure_step s);
