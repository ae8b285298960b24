/* observe/history_state.h - what is inside a history, for history.c, which samples, history_render.c, which shows, and
 * history_image.c, which keeps it over a restart. */
#pragma once
#include "observe/history.h"

#include <pthread.h>

struct history_ring {
    struct str name;
    int64_t step; /* seconds */
    unsigned n;   /* steps */
    unsigned at;  /* where its points begin in a row */
};
extern const struct history_ring history_rings[RANGES];
#define HISTORY_POINTS (300 + 360 + 1440)
struct history_row {
    float point[HISTORY_POINTS]; /* NAN: a gap */
};
/* Totals and times at one moment; and gauges added up since. */
struct look {
    int64_t second; /* whose end it is */
    double total[TOTAL_COUNT];
    double gauge[GAUGE_COUNT];
    uint32_t gauges[GAUGE_COUNT];
    struct gist_copy *time;
};
/* Whatever has rows: the fleet as a whole, or a node. */
struct subject {
    char name[PULSE_NAME + 1]; /* of a node; empty: nobody's */
    int64_t seen;              /* the newest second it has a point of */
    bool continues;            /* `last` is of the sample before */
    struct look last, begin[RANGES];
    struct history_row *row;
};
struct history {
    pthread_mutex_t lock;
    int64_t second; /* begin of the newest step of one second; 0: none yet */
    struct subject fleet, node[PULSE_NODES];
    struct history_row fleet_row[SERIES_COUNT], node_row[PULSE_NODES][NODE_SERIES_COUNT];
    struct gist_copy fleet_time[1 + RANGES][TIME_COUNT], node_time[PULSE_NODES][1 + RANGES];
};
/* Under the lock. */
struct subject *history_node(struct history *h, struct str name); /* NULL: not one of ours */
/* With empty rows if it is new; NULL: all places are taken by nodes seen at `now`. */
struct subject *history_node_or_new(struct history *h, struct str name, int64_t now);
/* The place of a step's point in a row; `back` steps before the newest. */
unsigned history_place(const struct history *h, enum history_range r, unsigned back);
/* Of the step before it. */
static inline unsigned history_place_before(enum history_range r, unsigned place)
{
    const struct history_ring *ring = &history_rings[r];
    return place == ring->at ? ring->at + ring->n - 1 : place - 1;
}
