/* observe/watch.h - any metric as a value for alert rules: what /metrics says of it, looked at once a second.
 *
 * Samples that a rule selects are added up for each node and model they name, so `requests_total{code="500"}` is one
 * number for each model, and `node_inflight` one for each node. With a rate it is growth per second within that time: a
 * counter that begins anew begins its time anew. At most WATCH_GROUPS of them for a rule. One thread. */
#pragma once
#include "observe/alert.h"

#define WATCH_GROUPS 128

struct watch;
struct watch *watch_new(void); /* NULL when memory is out */
void watch_free(struct watch **w);
/* The rules among these that name a metric; what was measured of others is forgotten. FAIL_no_memory: some of them are
 * not watched. */
enum fail watch_configure(struct watch *w, const struct alert_rule *rule, unsigned n);
/* Nobody watches a metric: no page is needed. */
bool watch_is_idle(const struct watch *w);
/* Is that family on the page that is needed? For struct metrics_page. */
bool watch_wants(struct str family, const void *watch);
/* A page in the format of Prometheus with these families at least. Values are strings of the page's. */
void watch_page(struct watch *w, struct str page, nsec now, struct alert_values *out);
