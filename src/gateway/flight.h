/* gateway/flight.h - one answer for many: written onto a tape once, read from it by every client that asked the same
 * (design: decision 3).
 *
 *     writer exchange (OWNER_TAPE) --sink--> tape --follower--> a client's exchange --sink--> client
 *                                              '----follower--> another's, on another worker ...
 *
 * The client that came first is a follower like the others and may leave; what it asked lives on in the writer, which
 * walks the road from the route stage on its worker, retries as a client's request would, and starts over while no
 * follower has begun. A follower waits in the stage that called flight_follow. Everything is called on the worker of
 * the exchange or flight it is given. */
#pragma once
#include "base/tape.h"
#include "gateway/exchange.h"
#include "gateway/shared.h"

/* ---- writing ----------------------------------------------------------------------------------------------------- */
struct flight {
    struct tape *tape; /* a reference of its own, until `over` has returned */
    /* Set by who leads, before flight_start. Called once, when the answer is complete or has failed and the tape has
     * ended; then the flight is gone. `x`: the writer's exchange as it ended, for what is learnt from it (status,
     * proof, figures, node); NULL: there was no memory for one. */
    void (*over)(struct flight *f, const struct exchange *x, enum fail why);
    uint8_t key[32]; /* under which it is led, the number of the flight, a hash of its model's digest: for `over` */
    uint64_t number, digest;
    struct shared_trace shared; /* shared.c's */
    /* flight.c's own */
    struct tape_writer writer;
    struct mail mail;
    struct worker *worker;
    struct exchange *x;      /* the writer; NULL: not begun, or over */
    struct exchange *leader; /* whose question it is; NULL: it has left */
    enum fail failed;
    bool complete, started_over;
};
void flight_pools_init(void);
void flight_pools_done(void);
/* With its tape (tape_new), which nobody reads yet. NULL when memory is out. */
struct flight *flight_new(struct worker *w, size_t cap, bool refreshes);
/* One that was not started: somebody else leads. Its tape fails. */
void flight_drop(struct flight **f);
/* Asks what x asks, which has passed the route stage; f is over some time later, perhaps before this returns. Takes the
 * body over: x and its peek have none afterwards (x->in.body.n stays). If x has joined f->tape, it gets the writer's
 * road (attempts, times, figures) into its own sections, for its headers and its record; a refresh has no such x. */
void flight_start(struct flight *f, struct exchange *x);

/* ---- reading ----------------------------------------------------------------------------------------------------- */
/* x reads t from now on. Takes over the reference, unless it fails: FAIL_no_memory; FAIL_no_such_object: the tape takes
 * nobody any more, look again; FAIL_bad_value: it is complete, and cannot be said in x's way. Then call flight_follow
 * in the same turn. `patient`: wants nothing before the end (it is to be answered in one piece), and so hinders no
 * starting over. */
enum fail flight_join(struct exchange *x, struct tape *t, bool patient);
/* Gives what there is to x's sink. The stage returns what this returns; after STEP_WAIT x goes on by itself, at the
 * pace of its sink, until the answer is complete, or has failed and is ended truthfully in x's dialect. One that turns
 * out not to be sayable in x's way before a byte of it went out takes x on along the road, alone. */
enum step flight_follow(struct exchange *x);
/* attempt.c passes on what the sink tells a follower: see attempt_rest, attempt_gather, attempt_resume. */
void flight_rest(struct exchange *x);
bool flight_gather(struct exchange *x);
void flight_resume(struct exchange *x);

/* ---- what is on the tape before the answer's bytes --------------------------------------------------------------- */
struct flight_head {
    int64_t length;                                         /* of the body; -1: not known */
    nsec wall;                                              /* when it was written, and */
    uint64_t chance;                                        /* for the ids of all to whom it is retold */
    uint32_t type_n, headers_n, node_n, model_n, message_n; /* bytes of each behind the struct, in this order */
    uint16_t status, why /* enum fail: no answer but a refusal, to be said in each reader's dialect */, retry_after_s;
    uint8_t form, dialect, attempts, route;
    bool stream, simulated;
    bool asked_stream, asked_usage; /* what the leader asked for, and what the node was asked for on behalf of all */
};
struct flight_texts {
    struct str content_type, headers, node;
    struct str model;   /* as the answer spells it; each reader gets it as it asked */
    struct str message; /* of a refusal */
};
/* The head as tape_head gave it; the texts lie behind it. */
void flight_head_read(struct str bytes, struct flight_head *out, struct flight_texts *out_texts);
