/* base/slab.h - objects of one size, counted and named, reused without asking malloc.
 *
 * One per object kind, for the life of the process (init at start, done at exit). Every worker has a magazine of free
 * objects of its own; full or empty magazines are exchanged with a depot under a lock, so an object may be given back
 * on another worker than took it. Which magazine: sys_worker_no() (base/sys.h); threads that are no workers use the
 * depot. Slabs register themselves by name: slab_each() feeds /api/memory and the metrics. With PLAIN_MEMORY, or after
 * slab_plain(true) (memory.pools: off), every take is a malloc; counters still work. */
#pragma once
#include "base/str.h"

struct slab {
    const char *name;
    size_t object_bytes;
    struct slab_state *state; /* slab.c's own */
};
struct slab_count {
    const char *name;
    size_t object_bytes;
    int64_t live, free,
        peak; /* objects; peak of live: exact for one worker, with several it may miss what magazines held */
    uint64_t hits, misses; /* takes served from memory at hand / by malloc */
};
void slab_init(struct slab *s, const char *name, size_t object_bytes);
/* All objects must have been given back: assumed, with the slab's name in the message. */
void slab_done(struct slab *s);
/* Uninitialised memory aligned to 16, or NULL when memory is out (or a test's allocation failure strikes). */
void *slab_take(struct slab *s);
/* slab_take, zeroed. */
void *slab_take0(struct slab *s);
/* Gives back and leaves NULL at *object, which is a pointer to the object's pointer. NULL is let pass. */
#define slab_give(s, object_ptr) slab_give_((s), (void **)(object_ptr))
void slab_give_(struct slab *s, void **object);
int64_t slab_live(const struct slab *s);
void slab_each(void (*visit)(const struct slab_count *c, void *arg), void *arg);
/* Free objects go back to malloc's owner until `keep` remain in the depot (pressure, and idle give-back). */
void slab_trim(struct slab *s, size_t keep);
/* The same for every slab there is, keeping at most `keep_bytes` of each. */
void slab_trim_all(size_t keep_bytes);
/* Idle give-back, from time to time: what has lain in the depots unused since the last slab_reap goes back to malloc's
 * owner. Returns bytes. */
size_t slab_reap(void);
void slab_plain(bool on);
bool slab_is_plain(void);
/* To record what is taken and given (benches): told of each object and of each piece of an arena, by whatever thread
 * has it, while memory is plain. Set before any other thread runs; NULL: nobody. slab_tell: of what is no slab's. */
typedef void slab_watcher(const void *arena, size_t bytes, const void *object, bool taken);
void slab_watch(slab_watcher *seen);
void slab_tell(const void *arena, size_t bytes, const void *object, bool taken);

/* Tests: the nth allocation from now (1 = next) in any slab, arena, buffer or map fails, once; 0 = none. Counting takes
 * starts anew with each call (before the first call nothing is counted: production pays one branch). */
void memory_fail_at(uint64_t nth);
uint64_t memory_takes(void);
/* True if this allocation is the one that must fail. Allocators of base/ ask it first. */
bool memory_strikes(void);
