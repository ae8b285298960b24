/* base/tape.h - bytes that one writes and many read, on any worker: an answer on its way, and the same answer kept
 * (design: decision 3).
 *
 * A tape is a head (opaque: who writes and who reads agree on it) and bytes that only grow, until it ends: whole, or
 * failed. What is appended in one call lies together and ends on a record's boundary, so each look of a reader gives
 * whole records (unless the writer has to let parts of a large one through, and says so when it breaks there).
 *
 * Threads: one writer, on its worker. Readers belong to the worker they joined on; all of one worker share a seat,
 * which is woken once, not once per reader, and not again before tape_turn. Reading takes no lock, except once at a
 * running tape's first byte. wake() is called from any thread under the tape's lock: it posts a message and no more.
 * Memory: counted references; the writer, each seat, each reader of an ended tape and whoever keeps it (a cache) hold
 * one. Seats and readers are embedded in their owner's structs; the first fields are set by the owner, the rest is the
 * tape's. */
#pragma once
#include "base/fail.h"
#include "base/list.h"
#include <stdatomic.h>

#define TAPE_BEHIND   MIB(1)     /* a reader that far behind is slow, */
#define TAPE_PATIENCE SECOND(30) /* and ended when it has been so for that long */

struct tape;
struct tape_block;
/* Where a failed one broke: between records; inside one; or after bytes that say themselves that they are the end. */
enum tape_break { TAPE_CLEAN, TAPE_INSIDE, TAPE_TOLD };
/* Stays until tape_end has returned; messages that wake() has posted may still be on their way then. */
struct tape_writer {
    void (*wake)(struct tape_writer *w); /* ask tape_wanted, and tape_credit if you paused */
};
struct tape_seat {
    void (*wake)(struct tape_seat *s);    /* tape_turn is due, on the seat's own worker */
    void (*vacated)(struct tape_seat *s); /* own worker: its last reader left; no wake() comes any more */
    struct tape *tape;
    struct list link, readers;
    unsigned worker;
    bool walking;
    _Atomic bool armed;
    _Atomic uint64_t front, tail; /* the cursors of its first and its last reader */
};
struct tape_reader {
    void (*ready)(struct tape_reader *r); /* from tape_turn: there may be more, or the end. May leave. */
    bool patient; /* wants nothing before the end: is not told, never slow, and does not hinder tape_restart */
    struct tape *tape;
    struct tape_seat *seat; /* NULL: the tape had ended, nobody needs to wake it */
    struct list link;
    struct tape_block *block; /* NULL: has not begun */
    uint64_t at;
    nsec slow_since; /* NEVER: is not */
    uint64_t slow_at;
};
void tape_pools_init(void);
void tape_pools_done(void);
/* Memory of all tapes' bytes. */
size_t tape_bytes_live(void);

/* ---- whoever holds a reference ----------------------------------------------------------------------------------- */
struct tape *tape_ref(struct tape *t);
void tape_unref(struct tape **t);
/* Memory it costs, in total; about its bytes once it has ended well. Any thread. */
size_t tape_bytes(const struct tape *t);
/* Ended well and complete in memory: a cache may keep it, readers may join for ever. Any thread. */
bool tape_is_whole(const struct tape *t);
/* Larger than its cap: nobody can join any more. Any thread. */
bool tape_is_oversize(const struct tape *t);

/* ---- the writer -------------------------------------------------------------------------------------------------- */
/* With one reference, the writer's. More than `cap` bytes are not kept: then nobody joins any more, and what all
 * readers have read is freed. `refreshes`: goes on without readers. NULL when memory is out. */
struct tape *tape_new(struct tape_writer *w, size_t cap, bool refreshes);
/* The head, not empty, once before the first byte (anew after tape_restart). FAIL_no_memory: nothing was written. */
enum fail tape_begin(struct tape *t, struct str head);
/* Wakes the seats. FAIL_no_memory: nothing was appended. */
enum fail tape_append(struct tape *t, struct str bytes);
/* False: every reader is TAPE_BEHIND behind. Pause; wake() comes when one has caught up or all are gone. */
bool tape_credit(struct tape *t);
/* False: nobody reads it (and it does not refresh, or is too large to be kept): end it. Nobody joins any more then.
 * wake() comes when the last reader has left. */
bool tape_wanted(struct tape *t);
/* Forget all that was written, head included, to start over. False: a reader has begun already; nothing was done. */
bool tape_restart(struct tape *t);
/* Once. why OK: with proof that it is whole. Else it broke there. The writer is forgotten; its reference remains its
 * own. */
void tape_end(struct tape *t, enum fail why, enum tape_break where);

/* ---- readers ----------------------------------------------------------------------------------------------------- */
/* Takes over the caller's reference. *spare: a seat for this worker, with wake and vacated set, taken and left NULL if
 * the tape still runs and this worker has none on it yet; may be NULL if that is known not to be. False: the tape takes
 * nobody (failed, too large, given up) or there is no seat; the reference remains the caller's. Look at once: only what
 * comes later wakes. */
bool tape_join(struct tape *t, struct tape_reader *r, struct tape_seat **spare);
/* Empty: not there yet. Afterwards the tape cannot be started over. Lent until tape_eat or tape_leave. */
struct str tape_head(struct tape_reader *r);
/* Bytes from the cursor on, as far as they lie together, lent until tape_eat. Empty: none now. *out_last: the tape is
 * whole, and complete with these. After tape_head has given one. */
struct str tape_look(struct tape_reader *r, bool *out_last);
void tape_eat(struct tape_reader *r, size_t n);
/* The tape failed, and this reader has read all before that; or has not begun, or is a patient one, unless it is told
 * in the bytes. Ask when there is nothing to look at. */
enum fail tape_failed(const struct tape_reader *r, enum tape_break *out_where);
/* Whole or failed. */
bool tape_has_ended(const struct tape_reader *r);
/* For one who does not eat what is there: FAIL_slow_reader when it is to be ended, truthfully. Else *out_due says when
 * to ask again (NEVER: after the next look). One that reads an ended tape need only eat something now and then. */
enum fail tape_slow(struct tape_reader *r, nsec now, nsec *out_due);
void tape_leave(struct tape_reader *r);
/* On the seat's worker after its wake(): calls `ready` of its readers. The seat may be gone when this returns. */
void tape_turn(struct tape_seat *s);
