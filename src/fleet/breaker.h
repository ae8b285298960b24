/* fleet/breaker.h - decides whether a node, or a node with one model, may be asked (scheduling, section 5).
 *
 *                10 samples and half of them bad in 10 s, or 5 bad in a row
 *      closed ------------------------------------------------------------> open  5 s, doubling to 300 s, +-20 %
 *        ^  2 good probes                        a bad probe  ^              | its time is over
 *        +--------------------------- trial ------------------+ <------------+  one probe at a time
 *
 * Only what was begun after the rest counts as a probe: answers from before come in late and say what is known already.
 *
 * One per node and one per node and model, embedded by whoever owns them; zeroed is closed. Pure: time and chance are
 * passed in. Under the owner's lock. What counts as bad is the caller's to say: connect errors, 5xx that are not the
 * request's own fault, stalls and resets; not 4xx, a busy node, or a client that left (those are no samples at all). */
#pragma once
#include "base/types.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_TRIAL, BREAKER_STATES };
const char *breaker_name(enum breaker_state s); /* "closed" */
const char *breaker_says(enum breaker_state s); /* "answers normally" */

#define BREAKER_SECONDS 10
struct breaker {
    enum breaker_state state;
    bool probing;      /* the one probe is on its way */
    uint8_t bad_row;   /* bad samples since the last good one */
    uint8_t good_row;  /* of probes */
    uint32_t opened;   /* times in a row, without having closed */
    uint32_t opens;    /* times in all */
    nsec since, until; /* in this state; open: until then */
    nsec second;       /* that the newest bucket stands for */
    struct {
        uint16_t good, bad;
    } bucket[BREAKER_SECONDS];
};
/* May the node be asked? In trial: unless a probe is on its way. Open turns to trial by itself when its time is over.
 */
bool breaker_allows(const struct breaker *b, nsec now);
/* Somebody is sent: once for each attempt that is granted, whatever the state. True if it is the probe. */
bool breaker_take_probe(struct breaker *b, nsec now);
/* One attempt has finished, which was granted at `began`. Call once per attempt, in order of finish. `chance` is any
 * random number. True if the state has changed. */
bool breaker_learn(struct breaker *b, bool good, nsec began, nsec now, uint64_t chance);
/* The attempt ended as no sample (its client left, the node was busy): if it was the probe, another may go. */
void breaker_drop(struct breaker *b, nsec began);
/* As it is now, for people and for the scheduler. */
enum breaker_state breaker_state(const struct breaker *b, nsec now);
/* When breaker_allows will say something else by itself; NEVER. */
nsec breaker_next_change(const struct breaker *b, nsec now);
/* Share of bad samples in the window, for people; 0 when there are none. */
double breaker_bad_share(const struct breaker *b, nsec now);

/* Slow start: how much of its share a node gets that came up at `since`: 0.1, rising to 1 over 30 s. NEVER: it did not
 * come up within our sight: 1. */
double breaker_slow_start(nsec since, nsec now);
