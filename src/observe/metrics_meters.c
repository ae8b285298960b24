/* observe/metrics_meters.c - all workers' meters, added up while they go on counting.
 *
 *     worker 0: sets 7, 3, 9 --.
 *     worker 1: sets 3, 8    --+--> rows --sort by key--> 3 3 7 8 9 --add neighbours--> lines, in the same order at
 * each scrape
 *
 * Reading takes no lock: sets published before the look are read whole, those after come with the next. A histogram's
 * count is the sum of the buckets as read, so it agrees with them whatever was counted meanwhile. Sorting a copy costs
 * less than a hash table of all label sets that somebody would have to keep up to date on the hot path. */
#include "observe/meter_state.h"
#include "observe/metrics_page.h"

#include <stdlib.h>

/* --- label sets --- */

struct row {
    uint64_t key, count[2];
};
/* The rows of all meters, in a borrowed block. */
struct rows {
    struct buf block;
    struct row *row;
    size_t n;
};

static const struct label_sets *sets_of(const struct meter *m, size_t member)
{
    return (const struct label_sets *)(const void *)((const char *)m + member);
}

static void append_rows(struct rows *rows, const struct label_sets *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct label_set *set = label_sets_nth(s, i);
        rows->row[rows->n++] = (struct row){
            set->key, {label_set_count(set, 0), label_set_count(set, 1)}
        };
    }
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const struct row *)a)->key, y = ((const struct row *)b)->key;
    return (x > y) - (x < y);
}

static void add_neighbours(struct rows *rows)
{
    size_t kept = 0;
    for (size_t i = 0; i < rows->n; i++) {
        struct row *last = kept ? &rows->row[kept - 1] : NULL;
        if (last && last->key == rows->row[i].key) {
            last->count[0] += rows->row[i].count[0];
            last->count[1] += rows->row[i].count[1];
        } else {
            rows->row[kept++] = rows->row[i];
        }
    }
    rows->n = kept;
}

/* `member`: where in a meter its label sets are. */
static enum fail gather(struct rows *rows, struct meter *const *meters, unsigned n, size_t member)
{
    *rows = (struct rows){ 0 };
    for (unsigned i = 0; i < n; i++) {
        const struct label_sets *s = sets_of(meters[i], member);
        uint32_t sets = label_sets_n(s);
        rows->block.end = rows->n * sizeof *rows->row;
        enum fail f = buf_reserve(&rows->block, sets * sizeof *rows->row);
        if (f)
            return f;
        rows->row = (struct row *)(void *)rows->block.block;
        append_rows(rows, s, sets);
    }
    if (rows->n)
        qsort(rows->row, rows->n, sizeof *rows->row, by_key);
    add_neighbours(rows);
    return OK;
}

static struct str route_name(unsigned route)
{
    return route < ROUTE_COUNT ? route_row((enum route_id)route)->name : STR("none");
}

static struct str method_name(unsigned method)
{
    struct str name = http_method_text((enum http_method)method);
    return name.n ? name : STR("other");
}

static void put_requests(struct metrics_page *p, const struct meter_names *names, const struct metric *m,
                         const struct row *r)
{
    char digits[8];
    struct str route = route_name(meter_key_part(r->key, 0));
    struct str method = method_name(meter_key_part(r->key, 1));
    struct str code = str_span(digits, put_u64(digits, meter_key_part(r->key, 2)));
    struct str model = name_table_name(names->models, meter_key_part(r->key, 3));
    struct metric_label labels[] = {
        {"route",   route },
        { "method", method},
        { "code",   code  },
        { "model",  model }
    };
    metric_sample_u64(p, m, STR_NONE, labels, ARRAY_LEN(labels), r->count[0]);
}

static void put_tokens(struct metrics_page *p, const struct meter_names *names, const struct metric *m,
                       const struct row *r)
{
    struct str model = name_table_name(names->models, meter_key_part(r->key, 0));
    struct str node = name_table_name(names->nodes, meter_key_part(r->key, 1));
    struct metric_label labels[] = {
        {"model", model       },
        { "node", node        },
        { "type", STR("input")}
    };
    metric_sample_u64(p, m, STR_NONE, labels, ARRAY_LEN(labels), r->count[0]);
    labels[2].value = STR("output");
    metric_sample_u64(p, m, STR_NONE, labels, ARRAY_LEN(labels), r->count[1]);
}

static void put_upstream_errors(struct metrics_page *p, const struct meter_names *names, const struct metric *m,
                                const struct row *r)
{
    struct str node = name_table_name(names->nodes, meter_key_part(r->key, 0));
    struct str kind = fail_name((enum fail)meter_key_part(r->key, 1));
    struct metric_label labels[] = {
        {"node",  node},
        { "kind", kind}
    };
    metric_sample_u64(p, m, STR_NONE, labels, ARRAY_LEN(labels), r->count[0]);
}

static const struct labelled {
    enum meter_family family;
    size_t member;
    void (*put)(struct metrics_page *p, const struct meter_names *names, const struct metric *m, const struct row *r);
} labelled[] = {
    {FAMILY_requests,         offsetof(struct meter, requests),        put_requests       },
    { FAMILY_tokens,          offsetof(struct meter, tokens),          put_tokens         },
    { FAMILY_upstream_errors, offsetof(struct meter, upstream_errors), put_upstream_errors},
};

static void put_labelled(struct metrics_page *p, const struct labelled *l, struct meter *const *meters, unsigned n)
{
    struct rows rows;
    enum fail f = gather(&rows, meters, n, l->member);
    if (f && !p->to->failed)
        p->to->failed = f;
    metrics_family(p, l->family);
    for (size_t i = 0; i < rows.n && !p->to->failed; i++)
        l->put(p, meters[0]->names, metric_of(l->family), &rows.row[i]);
    buf_free(&rows.block);
}

/* --- histograms --- */

static const struct histogram *histogram_at(const struct meter *m, enum meter_histogram which, int label)
{
    return atomic_load_explicit(&m->histogram[which][label], memory_order_acquire);
}

static struct str label_text(const struct meter_names *names, enum meter_by by, int label)
{
    if (by == BY_ROUTE)
        return route_name((unsigned)label);
    return by == BY_MODEL ? name_table_name(names->models, (unsigned)label) : STR_NONE;
}

/* A bucket's latest exemplars of all workers. */
struct exemplars {
    bool any[HISTOGRAM_BOUNDS_MAX + 1];
    struct histogram_exemplar latest[HISTOGRAM_BOUNDS_MAX + 1];
};

static void take_exemplars(struct exemplars *e, const struct histogram *h)
{
    struct histogram_exemplar one;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        if (histogram_exemplar(h, i, &one) && one.wall > e->latest[i].wall) {
            e->latest[i] = one;
            e->any[i] = true;
        }
}

/* One histogram, of all workers and one label value. */
struct whole {
    struct histogram_sum sum;
    struct exemplars exemplars;
};

static void put_bucket(struct metrics_page *p, const struct metric *m, const struct metric_label *labels, unsigned n,
                       uint64_t count, const struct whole *h, unsigned bucket)
{
    metric_sample_name(p, m, STR("_bucket"), labels, n);
    text_u64(p->to, count);
    if (p->open_metrics && h->exemplars.any[bucket])
        metric_exemplar(p, &h->exemplars.latest[bucket]);
    text_putc(p->to, '\n');
}

static void put_buckets(struct metrics_page *p, const struct metric *m, const struct histogram_bounds_list *bounds,
                        const struct whole *h, struct metric_label labels[2], unsigned n)
{
    uint64_t so_far = 0;
    char bound[16];
    for (unsigned i = 0; i < bounds->n; i++) {
        so_far += h->sum.bucket[i];
        labels[n] = (struct metric_label){ "le", histogram_bound_text(bounds->us[i], bound) };
        put_bucket(p, m, labels, n + 1, so_far, h, i);
    }
    labels[n] = (struct metric_label){ "le", STR("+Inf") };
    put_bucket(p, m, labels, n + 1, h->sum.count, h, bounds->n);
}

static void put_one_histogram(struct metrics_page *p, const struct meter_histogram_row *row, struct str label,
                              const struct whole *h)
{
    static const char *const label_names[] = { [BY_MODEL] = "model", [BY_ROUTE] = "route" };
    const struct metric *m = metric_of(row->family);
    const struct histogram_sum *sum = &h->sum;
    unsigned n = row->by != BY_NOTHING;
    struct metric_label labels[2] = {
        {n ? label_names[row->by] : "", label}
    };
    put_buckets(p, m, histogram_bounds_of(row->bounds), h, labels, n);
    metric_sample_name(p, m, STR("_sum"), labels, n);
    text_u64(p->to, sum->sum_us / 1000000);
    text_printf(p->to, ".%06u\n", (unsigned)(sum->sum_us % 1000000));
    metric_sample_u64(p, m, STR("_count"), labels, n, sum->count);
}

static void put_histograms(struct metrics_page *p, enum meter_histogram which, struct meter *const *meters, unsigned n)
{
    const struct meter_histogram_row *row = &meter_histograms[which];
    metrics_family(p, row->family);
    if (p->to->failed)
        return;
    for (int label = 0; label < METER_LABELS; label++) {
        struct whole whole = { 0 };
        for (unsigned i = 0; i < n; i++)
            if (histogram_at(meters[i], which, label)) {
                histogram_sum_up(&whole.sum, histogram_at(meters[i], which, label));
                take_exemplars(&whole.exemplars, histogram_at(meters[i], which, label));
            }
        if (whole.sum.count)
            put_one_histogram(p, row, label_text(meters[0]->names, row->by, label), &whole);
    }
}

static int histogram_of_family(enum meter_family f)
{
    for (int i = 0; i < HISTOGRAM_COUNT; i++)
        if (meter_histograms[i].family == f)
            return i;
    return -1;
}

nsec metrics_quantile(struct meter *const *meters, unsigned n, enum meter_family f, struct str label, double q)
{
    struct histogram_spread spread = { 0 };
    int which = histogram_of_family(f);
    assume(which >= 0);
    for (int at = 0; n && at < METER_LABELS; at++) {
        if (label.p && !str_eq(label, label_text(meters[0]->names, meter_histograms[which].by, at)))
            continue;
        for (unsigned i = 0; i < n; i++)
            if (histogram_at(meters[i], which, at))
                histogram_spread_up(&spread, histogram_at(meters[i], which, at));
    }
    return USEC(histogram_quantile(&spread, q));
}

/* --- plain counters --- */

static const struct metric counters[COUNT_COUNT] = {
#define METRIC_COUNTER(id, metric_name, metric_unit, metric_help)                                                      \
    [COUNT_##id] = { STR(metric_name), STR(metric_unit), STR(metric_help), TYPE_COUNTER, STR_NONE },
#include "observe/metric.def"
};

static uint64_t counted(struct meter *const *meters, unsigned n, size_t member, unsigned at)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < n; i++) {
        const _Atomic uint64_t *array = (const _Atomic uint64_t *)(const void *)((const char *)meters[i] + member);
        all += atomic_load_explicit(&array[at], memory_order_relaxed);
    }
    return all;
}

static void put_by_reason(struct metrics_page *p, enum meter_family f, size_t member, struct meter *const *meters,
                          unsigned n)
{
    metrics_family(p, f);
    for (unsigned reason = 0; reason < FAIL_COUNT; reason++) {
        struct metric_label label = { "reason", fail_name((enum fail)reason) };
        uint64_t all = counted(meters, n, member, reason);
        if (all)
            metric_sample_u64(p, metric_of(f), STR_NONE, &label, 1, all);
    }
}

static void put_cache(struct metrics_page *p, struct meter *const *meters, unsigned n)
{
    metrics_family(p, FAMILY_cache_requests);
    for (unsigned result = CACHED_NONE + 1; result < CACHED_RESULTS; result++) {
        struct metric_label label = { "result", record_cache_name(result) };
        metric_sample_u64(p, metric_of(FAMILY_cache_requests), STR_NONE, &label, 1,
                          counted(meters, n, offsetof(struct meter, cache), result));
    }
}

static void put_counters(struct metrics_page *p, struct meter *const *meters, unsigned n)
{
    for (unsigned c = 0; c < COUNT_COUNT; c++) {
        metric_head(p, &counters[c]);
        metric_sample_u64(p, &counters[c], STR_NONE, NULL, 0, counted(meters, n, offsetof(struct meter, counter), c));
    }
}

void metrics_meters(struct metrics_page *p, struct meter *const *meters, unsigned n)
{
    for (size_t i = 0; i < ARRAY_LEN(labelled); i++)
        put_labelled(p, &labelled[i], meters, n);
    for (int h = 0; h < HISTOGRAM_COUNT; h++)
        put_histograms(p, (enum meter_histogram)h, meters, n);
    put_by_reason(p, FAMILY_retries, offsetof(struct meter, retries), meters, n);
    put_by_reason(p, FAMILY_shed, offsetof(struct meter, shed), meters, n);
    put_cache(p, meters, n);
    put_counters(p, meters, n);
}

/* --- names --- */

static void visit_metric(const struct metric *m, void (*visit)(struct str name, void *arg), void *arg)
{
    char name[96];
    if (m->type != TYPE_HISTOGRAM) {
        visit(m->name, arg);
        return;
    }
    visit(str_span(name, put_str(put_str(name, m->name), STR("_sum"))), arg);
    visit(str_span(name, put_str(put_str(name, m->name), STR("_count"))), arg);
}

void metrics_names(void (*visit)(struct str name, void *arg), void *arg)
{
    for (int f = 0; f < FAMILY_COUNT; f++)
        visit_metric(metric_of((enum meter_family)f), visit, arg);
    for (int c = 0; c < COUNT_COUNT; c++)
        visit_metric(&counters[c], visit, arg);
}

struct wanted_name {
    struct str name;
    bool found;
};

static void compare_name(struct str name, void *arg)
{
    struct wanted_name *w = arg;
    w->found |= str_eq(name, w->name);
}

bool metrics_know(struct str name)
{
    struct wanted_name w = { name, false };
    metrics_names(compare_name, &w);
    return w.found;
}

static const struct metric *metric_named(struct str name)
{
    struct str stem = str_ends(name, STR("_sum"))     ? str_take(name, name.n - 4)
                      : str_ends(name, STR("_count")) ? str_take(name, name.n - 6)
                                                      : name;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const struct metric *m = metric_of((enum meter_family)f);
        if (str_eq(m->name, m->type == TYPE_HISTOGRAM ? stem : name))
            return m;
    }
    return NULL;
}

/* "model, type (input, output)": the first word of each. */
bool metrics_have_label(struct str name, struct str label)
{
    const struct metric *m = metric_named(name);
    struct str list = m ? m->labels : STR_NONE;
    while (list.n) {
        struct str one = str_trim_blank(str_cut(&list, ','));
        if (str_eq_nocase(str_cut(&one, ' '), label))
            return true;
    }
    return false;
}
