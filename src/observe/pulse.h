/* observe/pulse.h - one look at everything that history and alerts are made of: totals so far, gauges, and times.
 * Taken once a second by worker 0: pulse_clear, pulse_meters for what meters count, the rest filled in by whoever knows
 * it. What nobody fills in stays NAN, not known. 130 KB: made once, not on the stack. */
#pragma once
#include "base/str.h"
#include "observe/gist.h"

struct meter;
enum pulse_total { /* since the start; never less than before */
                   TOTAL_REQUESTS,
                   TOTAL_ERRORS,
                   TOTAL_RETRIES,
                   TOTAL_SHED,
                   TOTAL_UPSTREAM_ERRORS,
                   TOTAL_TOKENS_IN,
                   TOTAL_TOKENS_OUT,
                   TOTAL_CACHE_HITS,
                   TOTAL_CACHE_LOOKUPS,
                   TOTAL_OF_METERS,
                   TOTAL_SAVED_SECONDS = TOTAL_OF_METERS,
                   TOTAL_COUNT
};
enum pulse_gauge {
#define SERIES_GAUGE(name, unit, help) GAUGE_##name,
#include "observe/series.def"
    GAUGE_COUNT
};
/* Times of clients' requests that are over: first byte of a stream; whole; waiting; the gateway's share of a node's
 * answer; first byte of an answer that needed no node. */
enum pulse_time { TIME_FIRST_TOKEN, TIME_DURATION, TIME_QUEUE_WAIT, TIME_ADDED, TIME_OWN_ANSWER, TIME_COUNT };

#define PULSE_NODES 64
#define PULSE_NAME  55 /* longer names are cut */
struct pulse_node {
    char name[PULSE_NAME + 1];
    bool down;
    char detail[96]; /* why it is down */
    double inflight;
    double tokens;          /* written since the start */
    struct gist_copy first; /* from sending to the node until its first byte */
};
struct pulse {
    nsec wall;
    double total[TOTAL_COUNT];
    double gauge[GAUGE_COUNT];
    struct gist_copy time[TIME_COUNT];
    unsigned nodes;
    struct pulse_node node[PULSE_NODES];
};
void pulse_clear(struct pulse *p, nsec wall);
/* A node to be looked at, before pulse_meters; NULL when there are PULSE_NODES already. */
struct pulse_node *pulse_add_node(struct pulse *p, struct str name);
/* Totals alone, at this moment; out[TOTAL_OF_METERS]. Any thread, takes no lock. */
void pulse_totals(double *out, struct meter *const *meters, unsigned n);
/* Totals, times and nodes' times from all workers' meters. Any thread, takes no lock. */
void pulse_meters(struct pulse *p, struct meter *const *meters, unsigned n);
