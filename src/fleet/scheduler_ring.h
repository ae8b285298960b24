/* fleet/scheduler_ring.h - every input of a scheduler in a ring, from which the very same decisions can be run again.
 *
 *      images of the whole state     A               B
 *      inputs                    ... |---------------|--------->        A and B half a ring apart, so that at least
 *                                                                       half a ring can be run again at any time
 *
 * An input costs tens of nanoseconds; an image, twice per ring, is a copy of what is in use (1 ms for 5 MB). The bytes
 * are those of this build on this machine: made to look into a decision, not to be kept. Heap in _new, _free and
 * scheduler_replay only; the rest belongs under the scheduler's lock. */
#pragma once
#include "fleet/scheduler.h"

enum scheduler_call {
#define SCHEDULER_CALL(name) CALL_##name,
#include "fleet/scheduler_call.def"
#undef SCHEDULER_CALL
    SCHEDULER_CALLS
};
const char *scheduler_call_name(enum scheduler_call c);

struct scheduler_ring;
/* Of 64-byte cells (at least 64; most inputs take one, an ask with hints up to three), for schedulers with at most as
 * many nodes, models and tickets as `size` says. Memory is touched as it is used. NULL when memory is out. */
struct scheduler_ring *scheduler_ring_new(const struct scheduler_settings *size, uint32_t cells);
void scheduler_ring_free(struct scheduler_ring **r);
/* Records from now on, beginning with an image; NULL: no more. Returns the ring that recorded before, for the caller to
 * free. A scheduler that has outgrown the ring's size stops recording: give it a larger one. */
struct scheduler_ring *scheduler_record(struct scheduler *s, struct scheduler_ring *ring);
/* Of what can be run again now: header, image, inputs. */
size_t scheduler_ring_bytes(const struct scheduler_ring *r);
/* How many were copied; 0 if there is nothing, or not the room. */
size_t scheduler_ring_copy(const struct scheduler_ring *r, void *into, size_t room);

struct scheduler_input { /* one that was run again; what it does not have is NONE or 0 */
    enum scheduler_call call;
    nsec now;
    uint32_t node, model;
    uint64_t ticket, owner; /* ticket: of an ask, the one it got */
    bool same; /* nothing else had been ordered before it than the first time, as far as a byte of a sum tells */
};
typedef void scheduler_replayed(const struct scheduler_input *in, const struct scheduler_orders *out, void *arg);
/* Runs the inputs again, telling what each one ordered, and whether in the end all was ordered as the first time.
 * FAIL_no_memory; FAIL_bad_value: damaged, or of another build. */
enum fail scheduler_replay(const void *bytes, size_t n, scheduler_replayed *visit, void *arg, bool *out_same);
