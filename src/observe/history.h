/* observe/history.h - the last five minutes, hour and day of every series, in memory of one size.
 *
 * Fed once a second with a pulse; kept in steps of 1 s, 10 s and 1 min, each made from the totals and times at its two
 * ends, so an hour's point is no mean of means. The newest point of the longer steps covers what has passed of it.
 * Times are wall clock seconds: a step bears the second it begins with. A lock inside; any thread. */
#pragma once
#include "base/buf.h"
#include "observe/pulse.h"

enum history_range { RANGE_5M, RANGE_1H, RANGE_24H, RANGES };
/* Rows of observe/series.def; those of nodes follow in an enum of their own. */
enum series {
#define SERIES_RATE(name, unit, total, help)            SERIES_##name,
#define SERIES_SHARE(name, unit, part, whole, help)     SERIES_##name,
#define SERIES_GAUGE(name, unit, help)                  SERIES_##name,
#define SERIES_TIME(name, unit, time, q, divisor, help) SERIES_##name,
#include "observe/series.def"
    SERIES_COUNT
};
enum node_series {
#define NODE_RATE(name, unit, total, help)      SERIES_##name,
#define NODE_GAUGE(name, unit, help)            SERIES_##name,
#define NODE_TIME(name, unit, q, divisor, help) SERIES_##name,
#include "observe/series.def"
    NODE_SERIES_COUNT
};
struct series_row {
    struct str name, unit, help;
};
const struct series_row *series_of(enum series s);
const struct series_row *series_of_node(enum node_series s);

struct history;
/* 2 MB, of which what nodes would need is touched when they come. NULL when memory is out. */
struct history *history_new(void);
void history_free(struct history **h);
/* Call just after each full second of the wall clock. A second that is missed stays a gap; a clock that is set back by
 * more than a minute starts the history anew. */
void history_sample(struct history *h, const struct pulse *p);

/* {"step_s":1,"t0":1700000000,"series":{"queue":[0,null,...]}}, oldest first; t0: when the first point begins.
 * `wanted`: names with commas between; "node_inflight:gpu1" a node's, "node_inflight:*" all nodes'; empty: all but
 * nodes'. FAIL_bad_value for a name that no row has, which is then left in *out_unknown. */
enum fail history_render(struct history *h, struct text *t, struct str wanted, enum history_range r,
                         struct str *out_unknown);
/* "5m", "1h", "24h"; empty: "5m". */
bool history_range_of(struct str text, enum history_range *out);

/* For alerts. The newest point (NAN: none); the mean of the points that a window of at most a day holds; the median of
 * the day's points, and how many there are. `node` NULL: of a series without node. */
struct series_at {
    int series; /* enum series, or enum node_series with a node */
    const char *node;
};
double history_last(struct history *h, struct series_at s);
double history_sum(struct history *h, struct series_at s, nsec window); /* of a rate: how many in the window */
double history_mean(struct history *h, struct series_at s, nsec window);
double history_median(struct history *h, struct series_at s, unsigned *out_points);

/* The image of all points, to be kept over a restart, and back. False: no image of ours, damaged, or of another
 * version; the history stays empty. Series that have gone are left out, new ones have no past. Before the first
 * sample. */
enum fail history_save(struct history *h, struct buf *to);
bool history_restore(struct history *h, struct str image);
