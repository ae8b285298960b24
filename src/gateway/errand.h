/* gateway/errand.h - one POST of the gateway's own to somebody who is no node: a receiver of alerts, a collector of
 * traces.
 *
 * Embedded in its owner, on the owner's worker. The name is resolved each time, all its addresses are tried, nothing
 * blocks, and after `patience` it is over in any case. Receivers are asked rarely: the connection is not kept. */
#pragma once
#include "gateway/worker.h"

/* Where to: http:// or https://, then host and port as for nodes, then a path that may have a query. */
struct errand_to {
    struct url url;  /* without its prefix */
    struct str path; /* "/" at least */
};
/* False if it is none; strings point into `text`. */
bool errand_to_read(struct str text, struct errand_to *out);

struct errand {
    /* the owner's: stays until `done` */
    struct worker *worker;
    struct errand_to to;
    struct str path;    /* behind to.path; empty: nothing */
    struct str headers; /* lines of its own, each with its end; empty: none */
    struct str body;    /* JSON */
    nsec patience;
    void (*done)(struct errand *e);
    /* what came of it, for `done` */
    enum fail failed;
    int status;       /* of the answer; 0: none came */
    nsec retry_after; /* Retry-After; -1: it was not told */
    char says[160];   /* the beginning of the answer, or what was in the way */

    /* errand.c's */
    bool runs, resolving, cancelled;
    nsec late;
    struct resolve resolve;
    unsigned tried;
    struct conn conn;
    struct timer timer;
    struct buf in;
    bool has_head;
    struct http_body answer;
};
static inline bool errand_went_well(const struct errand *e)
{
    return !e->failed && e->status >= 200 && e->status < 300;
}
/* Something of it is still to end: it may be neither run nor freed. */
static inline bool errand_is_busy(const struct errand *e)
{
    return e->runs || e->resolving;
}
/* Before one that failed `tries` times is tried again: 1 s, 2 s, 4 s ... 60 s, and a quarter more or less, so that many
 * gateways do not come back at once. */
nsec errand_pause(struct worker *w, unsigned tries);
/* "503 not now", or what was in the way. */
void errand_put_result(const struct errand *e, char *out, size_t room);
/* "https://hooks.example:8443": what may be said of an address, as paths and queries are often keys. */
struct str errand_place(const char *url);
/* `done` follows from the loop, once. */
void errand_run(struct errand *e);
/* `done` does not follow. A look-up that runs is waited for by the worker: the errand must stay until no job of its
 * worker's is left. */
void errand_cancel(struct errand *e);
