/* gateway/retell.h - what a follower makes of a tape's bytes for its client: the bytes as they are, the same answer in
 * the client's own shape and dialect (api/replay.h), or an error in the client's words.
 *
 *     tape --bytes--> retell_hear --> said --retell_next--> the client's sink
 *
 * As they are go the bytes of a running flight to whoever asked in the flight's own way, and errors in the client's own
 * dialect. What was kept is told afresh: new times and ids. All others on one running flight who share a shape
 * get the same bytes. One per follower, embedded; own worker. */
#pragma once
#include "api/replay.h"
#include "gateway/exchange.h"
#include "gateway/flight.h"

struct retell {
    enum { RETELL_AS_IT_IS, RETELL_REPLAYED, RETELL_REWORDED } way;
    bool heard_all;   /* `said` is the last of it */
    struct text said; /* and not yet told */
    struct replay replay;
    struct exchange *x;
    const struct flight_head *head;
    struct str message; /* of the error that the bytes were */
};
/* x is to be told what the tape with this head says; `fresh`: it was complete before x came. FAIL_no_memory. Head and
 * exchange stay as long as r; retell_done in any case. */
enum fail retell_init(struct retell *r, struct exchange *x, const struct flight_head *h, bool fresh);
void retell_done(struct retell *r);
/* Must all be heard before any is told, because it is one piece, or may turn out not to be sayable? Then nothing can be
 * told before. */
bool retell_wants_all(const struct retell *r);
/* The next bytes of the tape, unless they go as they are; `last`: it is complete with these. FAIL_no_memory;
 * FAIL_bad_value: it cannot be said in the client's way; FAIL_upstream_said: the bytes are an error, see r->message. */
enum fail retell_hear(struct retell *r, struct str bytes, bool last);
/* What can be told now, so much of it at most; then retell_told. */
struct str retell_next(const struct retell *r, size_t most, bool *out_last);
void retell_told(struct retell *r, size_t n);
/* The head of what is told, into x->out and x->up, before the first that is. */
void retell_head(const struct retell *r);
