/* observe/meter_state.h - what is inside a meter, for meter.c, which writes, and metrics_meters.c, which reads from any
 * thread. */
#pragma once
#include "observe/gist.h"
#include "observe/histogram.h"
#include "observe/label_sets.h"
#include "observe/meter.h"
#include "observe/name_table.h"
#include "observe/pulse.h"

#define METER_MODELS 64
#define METER_NODES  NAME_TABLE_MOST

/* METRIC_HISTOGRAM rows of metric.def. */
enum meter_histogram {
#define METRIC_HISTOGRAM(id, name, by, bounds, help) HISTOGRAM_##id,
#include "observe/metric.def"
    HISTOGRAM_COUNT
};
enum meter_by { BY_NOTHING, BY_MODEL, BY_ROUTE };
struct meter_histogram_row {
    enum meter_family family;
    enum meter_by by;
    enum histogram_bounds bounds;
};
extern const struct meter_histogram_row meter_histograms[HISTOGRAM_COUNT];

/* One value of a histogram's label: a model's number, or a route (ROUTE_NONE included). */
#define METER_LABELS MAX((int)NAME_FIRST + METER_MODELS, (int)ROUTE_COUNT + 1)
/* Shared by all meters that live at the same time. */
struct meter_names {
    struct name_table *models, *nodes;
};
/* What is looked at for each node every second. */
struct meter_node {
    _Atomic uint64_t tokens; /* written */
    struct gist first;
};
struct meter {
    const struct meter_names *names;
    _Atomic uint64_t counter[COUNT_COUNT];
    _Atomic uint64_t retries[FAIL_COUNT], shed[FAIL_COUNT], cache[CACHED_RESULTS];
    _Atomic uint64_t total[TOTAL_OF_METERS]; /* over all labels */
    struct gist time[TIME_COUNT];
    unsigned last_model;                                         /* of the record before, the writer's own */
    _Atomic(struct meter_node *) node[NAME_FIRST + METER_NODES]; /* NULL until the first record */
    struct label_sets requests, tokens, upstream_errors;
    _Atomic(struct histogram *) histogram[HISTOGRAM_COUNT][METER_LABELS]; /* NULL until the first time */
};

unsigned meter_node_number(struct meter *m, struct str node, bool learn);

/* Keys of label sets: up to four numbers of 16 bits. requests: route, method, status, model. tokens: model, node;
 * counts: input, output. upstream_errors: node, kind. */
static inline uint64_t meter_key(unsigned a, unsigned b, unsigned c, unsigned d)
{
    return (uint64_t)a << 48 | (uint64_t)b << 32 | (uint64_t)c << 16 | d;
}
static inline unsigned meter_key_part(uint64_t key, unsigned i)
{
    return (unsigned)(key >> (48 - 16 * i)) & 0xFFFF;
}
