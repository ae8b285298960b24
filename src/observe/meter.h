/* observe/meter.h - counters and histograms: one meter per worker, written by that worker alone, merged when somebody
 * looks.
 *
 * No locked instruction on the hot path: values are written with plain relaxed stores by their one writer and read by
 * others with relaxed loads; entries of a family (label sets) are published once with release. Label values are
 * bounded: the first 64 models and 256 nodes by name, the rest `other`. A model is learnt when a node has taken part in
 * an answer for it that is no refusal (4xx), so strangers cannot use the places up. Every family's name, type, unit and
 * help stand in observe/metric.def, which also makes the docs. Where memory for a label set or a histogram is out, that
 * sample is counted nowhere. */
#pragma once
#include "base/buf.h"
#include "base/list.h"
#include "observe/record.h"

/* Plain counters without labels that a room just adds to; METRIC_COUNTER rows of metric.def. */
enum meter_counter {
#define METRIC_COUNTER(id, name, unit, help) COUNT_##id,
#include "observe/metric.def"
    COUNT_COUNT
};
/* Families with labels: those filled from records by meter_record, and gauges whose samples their room writes at scrape
 * time. */
enum meter_family {
#define METRIC_FAMILY(id, name, type, unit, labels, help) FAMILY_##id,
#define METRIC_HISTOGRAM(id, name, by, bounds, help)      FAMILY_##id,
#include "observe/metric.def"
    FAMILY_COUNT
};
struct meter;
/* NULL when memory is out. Meters that live at the same time share their label values' numbers. */
struct meter *meter_new(void);
void meter_free(struct meter **m);
void meter_add(struct meter *m, enum meter_counter c, uint64_t n);
/* Everything a record says. Records of owners other than clients count towards nodes, not requests. */
void meter_record(struct meter *m, const struct record *r);
/* Reason of a retry, kind of an upstream error. */
void meter_retry(struct meter *m, enum fail reason);
void meter_upstream_error(struct meter *m, struct str node, enum fail kind);

/* The page. `open_metrics`: OpenMetrics 1.0 text (counters' _total rules, # EOF), else Prometheus 0.0.4. Any thread.
 *     struct metrics_page p = { .to = &text }; metrics_meters(all workers' meters); then per gauge family:
 * metrics_family + metrics_sample...; metrics_end */
struct metrics_page {
    struct text *to;
    bool open_metrics;
    /* Set: only families (names without the prefix) for which it says yes; `to` is then moved to and fro. */
    bool (*wants)(struct str family, const void *arg);
    const void *wants_arg;
    struct text *page, nowhere; /* metrics_page.c's */
};
struct str metrics_content_type(bool open_metrics);
/* Does an Accept header ask for OpenMetrics? */
bool metrics_wants_open(struct str accept);
void metrics_meters(struct metrics_page *p, struct meter *const *meters, unsigned n);
/* The time, in nanoseconds, that a share q (0..1) of a histogram family's times did not exceed, over all meters and all
 * label values (label NULL bytes) or one; within 1 %; 0 when there is none. Any thread. */
nsec metrics_quantile(struct meter *const *meters, unsigned n, enum meter_family f, struct str label, double q);
void metrics_family(struct metrics_page *p, enum meter_family f);
/* Values are escaped; what is not UTF-8 in them becomes U+FFFD. */
struct metric_label {
    const char *name;
    struct str value;
};
void metrics_sample(struct metrics_page *p, enum meter_family f, const struct metric_label *labels, unsigned n,
                    double value);
void metrics_end(struct metrics_page *p);
/* Is it the name of a number on the page (without prefix; of a histogram its _sum and _count)? */
bool metrics_know(struct str name);
/* Do its samples carry that label? */
bool metrics_have_label(struct str name, struct str label);
void metrics_names(void (*visit)(struct str name, void *arg), void *arg);

/* Rooms with rows of their own add themselves, embedded, at start, and take themselves off before what they show goes.
 * Each collector writes whole families from a snapshot of its own; it is called by whoever scrapes, under the list's
 * lock. */
struct metrics_collector {
    void (*collect)(struct metrics_page *p, void *arg);
    void *arg;
    struct list link; /* the list's */
};
void metrics_collector_add(struct metrics_collector *c);
void metrics_collector_remove(struct metrics_collector *c);
/* After metrics_meters, before metrics_end: all of them. */
void metrics_collect(struct metrics_page *p);
