/* observe/metrics_page.h - writing families and samples, for those who write /metrics from meters. Others use
 * observe/meter.h. */
#pragma once
#include "observe/histogram.h"
#include "observe/meter.h"

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };
struct metric {
    struct str name, unit, help; /* without the prefix; counters with _total */
    enum metric_type type;
    struct str labels; /* as observe/metric.def says them; of a histogram what it is by */
};
const struct metric *metric_of(enum meter_family f);
void metric_head(struct metrics_page *p, const struct metric *m);
/* "name_suffix{labels} ", to be followed by a number and a newline. */
void metric_sample_name(struct metrics_page *p, const struct metric *m, struct str suffix,
                        const struct metric_label *labels, unsigned n);
void metric_sample_u64(struct metrics_page *p, const struct metric *m, struct str suffix,
                       const struct metric_label *labels, unsigned n, uint64_t value);
/* OpenMetrics only, behind the number of a bucket: ` # {trace_id="..."} 0.25 1700000000.123`. */
void metric_exemplar(struct metrics_page *p, const struct histogram_exemplar *e);
