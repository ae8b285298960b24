/* gateway/feed.h - each second's bulletin, from worker 0 to whoever watches, on any worker.
 *
 *     lookout, once a second -> feed_publish -> a message to each worker that has readers -> told() of each reader
 *
 * Nothing is made while nobody looks. A bulletin is made once and shared; a reader that is slow skips frames or is let
 * go, so that no memory grows with it: what it may skip is its own to decide, in told(). Threads: a reader belongs to
 * the worker it joined on; publishing is worker 0's. */
#pragma once
#include "base/list.h"
#include "gateway/bulletin.h"
#include "net/loop.h"

/* A reader with more unread bytes than this is let go. */
#define FEED_BEHIND KIB(256)

struct worker;
struct gateway;
struct feed_reader {
    void (*told)(struct feed_reader *r, const struct bulletin *b); /* a second is over; may leave */
    void (*over)(struct feed_reader *r);                           /* the gateway is ending: it must leave, now */
    struct list link;
    struct worker *worker;
    uint64_t seen; /* number of the last bulletin it has */
};
/* One in each worker. */
struct feed_seat {
    struct mail mail;
    struct list readers;
    uint64_t seen; /* number of the last bulletin that was handed round */
};
struct feed;
/* NULL when memory is out. */
struct feed *feed_new(struct gateway *g);
void feed_free(struct feed **f);
void feed_seat_init(struct feed_seat *s);

/* What the reader begins with: the last second's, with a reference, or NULL, as nobody looked and none was made. All
 * that come later are told(), from the loop. */
struct bulletin *feed_join(struct worker *w, struct feed_reader *r);
void feed_leave(struct feed_reader *r);
/* over() of all of the worker's: the gateway drains. */
void feed_end(struct worker *w);
/* For those who come again each second instead of staying: counts as a reader for some seconds. Any worker. */
void feed_will_ask_again(struct worker *w);

/* ---- worker 0 ---------------------------------------------------------------------------------------------------- */
bool feed_wanted(struct feed *f, nsec now);
/* Takes the reference over. */
void feed_publish(struct feed *f, struct bulletin *b);
uint64_t feed_next_number(const struct feed *f);
