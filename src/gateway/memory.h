/* gateway/memory.h - the gateway looks at its own memory: what it holds for nothing goes back, and while it is short
 * less is taken on. Nothing that was accepted is given up for it.
 *
 * Worker 0 looks four times a second. Embedded in the gateway, for its life. */
#pragma once
#include "base/pressure.h"
#include "net/loop.h"

#define MEMORY_LARGE MIB(1) /* bodies above this are refused while memory is short */

struct gateway;
struct memory {
    struct gateway *gateway;
    struct pressure pressure;
    struct pressure_measure give_back, cache_small, cache_fixed, bodies, queue;
    struct timer timer;
    struct job job; /* giving back, on a lane */
    bool job_runs, machine_is_short;
    nsec gave;
    _Atomic bool small_cache, refuses_bodies;
    _Atomic size_t rss, due; /* at the last look; of large bodies that were let in and have not come yet */
};
void memory_open(struct gateway *g);
void memory_close(struct gateway *g);
/* A large body of n bytes is asked for: false if it would not fit beside what is there. Else it is booked as due until
 * memory_arrived. Any thread. */
bool memory_takes_body(struct gateway *g, size_t n);
void memory_arrived(struct gateway *g, size_t n);
/* No booking: is there room for large bodies at all? */
bool memory_is_good(const struct gateway *g);
/* How much all bodies together may take: limits.bodies, and never so much that nothing else has room. */
struct gateway_settings;
size_t memory_bodies_most(const struct gateway_settings *s);
/* memory.limit in force. */
size_t memory_limit(const struct gateway *g);
