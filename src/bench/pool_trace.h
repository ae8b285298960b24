/* bench/pool_trace.h - which objects a running gateway took from its pools and gave back, in order, pieces of arenas
 * among them; and the same again against the pools and against malloc.
 *
 * The gateway that is recorded runs with memory.pools off, where nothing depends on how fast a take is, and writes into
 * a file that the bench has mapped at the same time. */
#pragma once
#include "base/fail.h"

#define POOL_TRACE_VARIABLE "OLLAMAMAX_POOL_TRACE" /* of the environment of `serve`: the file */

/* From now on, in this process. Nothing happens if the file cannot be made. */
void pool_trace_write(const char *file);

struct pool_trace;
/* NULL: there is none. */
struct pool_trace *pool_trace_open(const char *file);
void pool_trace_close(struct pool_trace **t);
/* How many there are by now. Once the file is full, later ones are left out. */
size_t pool_trace_events(const struct pool_trace *t);

/* A stretch of them, to be repeated: what it gives back without having taken it is taken before, what it leaves is
 * given back after, and neither is timed. */
struct pool_sequence;
struct pool_sequence *pool_sequence_new(const struct pool_trace *t, size_t from, size_t to);
/* The same out of a list: sizes are taken, and given back in the order of `slot`; for tests. */
struct pool_event {
    uint64_t object, arena; /* addresses; arena 0: of a slab */
    uint32_t bytes, taken;
};
struct pool_sequence *pool_sequence_of(const struct pool_event *e, size_t n);
void pool_sequence_free(struct pool_sequence **s);
size_t pool_sequence_takes(const struct pool_sequence *s);
/* Nanoseconds for one pass, the median of `passes`. The thread must be a worker (sys_set_worker_no). */
enum pool_kind { POOL_POOLS, POOL_MALLOC, POOL_NOTHING /* what going through the sequence costs by itself */ };
double pool_sequence_ns(struct pool_sequence *s, enum pool_kind by, unsigned passes);
