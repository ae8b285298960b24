/* bench/load.h - requests over kept connections to one port of 127.0.0.1, and when their answers came.
 *
 * Open loop: each request has a moment at which it is meant to leave, and its times count from that moment, whether or
 * not a connection was free then (no coordinated omission). Closed loop: each connection asks again at once; only for
 * capacities and bursts. One thread: the caller's, for as long as the run takes. */
#pragma once
#include "base/fail.h"
#include "bench/arrival.h"
#include "bench/child.h"

struct load_plan {
    uint16_t port;
    unsigned connections;
    struct str warm;    /* a whole request, sent once over each connection before all else; empty: none */
    struct str request; /* a whole request, sent this often: */
    uint64_t requests;
    double rate; /* per second; 0: closed loop */
    enum arrival_shape shape;
    uint64_t seed;
    nsec patience; /* beyond the schedule, until the run is given up */
    bool hold;     /* an answer counts from its first record on; its connection stays, and is not used again */
    const struct child *charge; /* whose CPU time is read; NULL: nobody's */
};
struct load_result {
    uint64_t done, failed, records; /* answers with status 200; others; lines in the bodies of the first */
    nsec took, cpu;                 /* from the first moment to the last answer */
    double *whole_us, *first_us;    /* `done` each, ascending: until the end, until the first byte of the body */
};
struct load;
/* NULL when memory is out. */
struct load *load_new(const struct load_plan *p);
/* FAIL_connect_failed, FAIL_total_timeout, FAIL_client_gone (interrupted). The result is the caller's also then. */
enum fail load_run(struct load *l, struct load_result *out);
/* Closes its connections. */
void load_free(struct load **l);
void load_result_free(struct load_result *r);
/* new, run, free. */
enum fail load_once(const struct load_plan *p, struct load_result *out);
