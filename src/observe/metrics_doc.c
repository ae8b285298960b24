/* observe/metrics_doc.c - makes docs/metrics.md from metric.def, series.def and alert.def, so that the page never tells
 * what the program does not do. Without an argument it prints the page; with a file it is a test that says whether the
 * file is that page. */
#include "base/sys.h"
#include "observe/alert.h"
#include "observe/histogram.h"
#include "observe/meter.h"

#include <stdio.h>

static const char introduction[] =
    "# Metrics\n"
    "\n"
    "`GET /metrics` answers in OpenMetrics 1.0 where `Accept` prefers it, else in the Prometheus text format 0.0.4. "
    "From elsewhere than the\n"
    "gateway's own machine it needs the admin key, or `observe.metrics_public: true`.\n"
    "\n"
    "Label values are bounded: the first 64 models and 256 nodes by name, the rest are `other`. A model gets its name "
    "once a node has\n"
    "answered for it. `model=\"\"` is a request that concerns no model, `route=\"none\"` an unknown path. `reason` and "
    "`kind` are the names\n"
    "that errors carry as `code`. Units are part of the names; times are in seconds.\n"
    "\n"
    "In OpenMetrics a bucket carries the trace id of a request that fell into it (an exemplar), renewed at most once a "
    "second.\n"
    "\n"
    "This page is made from `metric.def`, `series.def` and `alert.def` in `src/observe/`: "
    "`build/release/src/observe/metrics_doc > docs/metrics.md`.\n"
    "\n"
    "| metric | type | unit | labels | help |\n"
    "|---|---|---|---|---|\n";

static void put_row(struct text *t, const char *name, const char *type, const char *unit, const char *labels,
                    const char *help)
{
    text_printf(t, "| `ollamamax_%s` | %s | %s | %s | %s |\n", name, type, unit, labels, help);
}

static void put_rows(struct text *t)
{
    static const char COUNTER[] = "counter", GAUGE[] = "gauge";
    static const char NOTHING[] = "", MODEL[] = "model", ROUTE[] = "route";
#define METRIC_FAMILY(id, name, type, unit, labels, help) put_row(t, name, type, unit, labels, help);
#define METRIC_HISTOGRAM(id, name, by, bounds, help)      put_row(t, name, "histogram", "seconds", by, help);
#define METRIC_COUNTER(id, name, unit, help)              put_row(t, name, COUNTER, unit, "", help);
#include "observe/metric.def"
}

static void put_bounds(struct text *t, const char *name, enum histogram_bounds b)
{
    const struct histogram_bounds_list *list = histogram_bounds_of(b);
    char bound[16];
    text_printf(t, "- `ollamamax_%s`:", name);
    for (unsigned i = 0; i < list->n; i++) {
        text_putc(t, ' ');
        text_put(t, histogram_bound_text(list->us[i], bound));
    }
    text_putc(t, '\n');
}

static void put_buckets(struct text *t)
{
    text_put(t, STR("\n## Buckets\n\nUpper bounds in seconds (`le`), each with `+Inf` behind:\n\n"));
#define METRIC_HISTOGRAM(id, name, by, bounds, help) put_bounds(t, name, BOUNDS_##bounds);
#include "observe/metric.def"
}

static void put_series_row(struct text *t, const char *name, const char *unit, const char *help)
{
    text_printf(t, "| `%s` | %s | %s |\n", name, unit, help);
}

static void put_series(struct text *t)
{
    text_put(t, STR("\n## History\n\n`GET /api/history?series=a,b&range=5m|1h|24h`: steps of 1 s, 10 s and 1 min, "
                    "`null` where nothing was to be\nmeasured. Those of nodes are asked for as `node_inflight:gpu1`, "
                    "or `node_inflight:*` for all.\n\n| series | unit | what |\n|---|---|---|\n"));
#define SERIES_RATE(name, unit, total, help)            put_series_row(t, #name, unit, help);
#define SERIES_SHARE(name, unit, part, whole, help)     put_series_row(t, #name, unit, help);
#define SERIES_GAUGE(name, unit, help)                  put_series_row(t, #name, unit, help);
#define SERIES_TIME(name, unit, time, q, divisor, help) put_series_row(t, #name, unit, help);
#define NODE_RATE(name, unit, total, help)              put_series_row(t, #name, unit, help);
#define NODE_GAUGE(name, unit, help)                    put_series_row(t, #name, unit, help);
#define NODE_TIME(name, unit, q, divisor, help)         put_series_row(t, #name, unit, help);
#include "observe/series.def"
}

static void put_alert(struct text *t, const struct alert_rule *r)
{
    text_printf(t, "| `%s` | %s | `%s` %s %g", r->name, r->severity == ALERT_CRITICAL ? "critical" : "warning",
                r->value, r->compare == ALERT_ABOVE ? "above" : "below", r->threshold);
    if (r->window)
        text_printf(t, " times in %lld s", (long long)(r->window / SECOND(1)));
    if (r->lasts)
        text_printf(t, " for %lld s", (long long)(r->lasts / SECOND(1)));
    text_printf(t, " | %s |\n", r->message);
}

static void put_alerts(struct text *t)
{
    unsigned n;
    const struct alert_rule *r = alert_rules_built_in(&n);
    text_put(t, STR("\n## Alerts\n\n| alert | severity | when | what it says |\n|---|---|---|---|\n"));
    for (unsigned i = 0; i < n; i++)
        put_alert(t, &r[i]);
}

static bool is_page(const char *path, struct str page)
{
    struct buf file = { 0 };
    bool same = !sys_read_file(path, MIB(1), &file) && str_eq(buf_str(&file), page);
    buf_free(&file);
    return same;
}

int main(int argc, char **argv)
{
    struct text page = { 0 };
    int status = 0;
    buf_pools_init();
    text_put(&page, STR(introduction));
    put_rows(&page);
    put_buckets(&page);
    put_series(&page);
    put_alerts(&page);
    if (page.failed)
        status = 2;
    else if (argc < 2)
        fwrite(text_str(&page).p, 1, text_str(&page).n, stdout);
    else if (!is_page(argv[1], text_str(&page)))
        status = 1;
    if (status == 1)
        fprintf(stderr, "%s is not what metric.def says; make it anew: %s > %s\n", argv[1], argv[0], argv[1]);
    text_free(&page);
    buf_pools_done();
    return status;
}
