/* observe/metrics_page.c - how a sample is written: the text formats of Prometheus 0.0.4 and OpenMetrics 1.0.
 *
 *     Prometheus 0.0.4                                OpenMetrics 1.0
 *     # HELP ollamamax_retries_total Attempts ...     # HELP ollamamax_retries Attempts ...     a counter's family
 * lacks _total, # TYPE ollamamax_retries_total counter          # TYPE ollamamax_retries counter          its samples
 * keep it ollamamax_retries_total{reason="..."} 3         ollamamax_retries_total{reason="..."} 3 # UNIT
 * ollamamax_memory_bytes bytes       where the name ends in the unit # EOF obligatory
 *
 * All else is the same in both: label escapes, `le` with a fraction ("1.0"), numbers. Label values must be UTF-8 and
 * may be strangers' bytes, cut anywhere: what is no UTF-8 becomes U+FFFD. Help texts come from our own table and need
 * no escape. */
#include "observe/metrics_page.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct metric families[FAMILY_COUNT] = {
#define METRIC_FAMILY(id, metric_name, metric_type, metric_unit, labels, metric_help)                                  \
    [FAMILY_##id] = { STR(metric_name), STR(metric_unit), STR(metric_help), TYPE_##metric_type, STR(labels) },
#define METRIC_HISTOGRAM(id, metric_name, by, bounds, metric_help)                                                     \
    [FAMILY_##id] = { STR(metric_name), STR("seconds"), STR(metric_help), TYPE_HISTOGRAM, STR(#by) },
#include "observe/metric.def"
};
static const struct str types[] = {
    [TYPE_COUNTER] = STR("counter"),
    [TYPE_GAUGE] = STR("gauge"),
    [TYPE_HISTOGRAM] = STR("histogram"),
};

const struct metric *metric_of(enum meter_family f)
{
    return &families[f];
}

/* --- which format --- */

struct str metrics_content_type(bool open_metrics)
{
    return open_metrics ? STR("application/openmetrics-text; version=1.0.0; charset=utf-8")
                        : STR("text/plain; version=0.0.4; charset=utf-8");
}

/* A qvalue (RFC 9110 section 12.4.2) in thousandths; 1000 if it is none. */
static unsigned thousandths(struct str q)
{
    unsigned v = 0, scale = 1000;
    for (size_t i = 0; i < q.n; i++) {
        if (q.p[i] == '.' && i == 1)
            continue;
        if (q.p[i] < '0' || q.p[i] > '9')
            return 1000;
        v += (unsigned)(q.p[i] - '0') * scale;
        scale /= 10;
    }
    return q.n ? MIN(v, 1000u) : 1000;
}

/* One member of Accept: its type, version and weight. */
struct accepted {
    struct str type, version;
    unsigned q;
};

static struct accepted accepted_of(struct str member)
{
    struct accepted a = { .q = 1000 };
    a.type = str_trim_blank(str_cut(&member, ';'));
    while (member.n) {
        struct str value = str_cut(&member, ';');
        struct str name = str_trim_blank(str_cut(&value, '='));
        value = str_trim_blank(value);
        if (str_eq_nocase(name, STR("version")))
            a.version = value;
        if (str_eq_nocase(name, STR("q")))
            a.q = thousandths(value);
    }
    return a;
}

bool metrics_wants_open(struct str accept)
{
    unsigned open = 0, plain = 0;
    while (accept.n) {
        struct accepted a = accepted_of(str_cut(&accept, ','));
        bool ours = a.version.n == 0 || str_eq(a.version, STR("1.0.0"));
        if (str_eq_nocase(a.type, STR("application/openmetrics-text")) && ours)
            open = MAX(open, a.q);
        if (str_eq_nocase(a.type, STR("text/plain")))
            plain = MAX(plain, a.q);
    }
    return open > 0 && open >= plain;
}

/* --- heads of families --- */

static struct str family_name(const struct metrics_page *p, const struct metric *m)
{
    bool shorter = p->open_metrics && m->type == TYPE_COUNTER;
    return shorter ? str_take(m->name, m->name.n - (sizeof "_total" - 1)) : m->name;
}

static void put_meta(struct metrics_page *p, struct str keyword, const struct metric *m, struct str rest)
{
    text_put(p->to, STR("# "));
    text_put(p->to, keyword);
    text_put(p->to, STR(" ollamamax_"));
    text_put(p->to, family_name(p, m));
    text_putc(p->to, ' ');
    text_put(p->to, rest);
    text_putc(p->to, '\n');
}

/* The prefix ends in '_', so a name may be just its unit. */
static bool name_ends_in_unit(struct str name, struct str unit)
{
    return str_ends(name, unit) && (name.n == unit.n || name.p[name.n - unit.n - 1] == '_');
}

/* What is written to a text that has failed costs next to nothing. */
static void turn_page(struct metrics_page *p, const struct metric *m)
{
    p->page = p->page ? p->page : p->to;
    p->nowhere.failed = FAIL_not_found;
    p->to = p->wants(m->name, p->wants_arg) ? p->page : &p->nowhere;
}

void metric_head(struct metrics_page *p, const struct metric *m)
{
    if (p->wants)
        turn_page(p, m);
    put_meta(p, STR("HELP"), m, m->help);
    put_meta(p, STR("TYPE"), m, types[m->type]);
    if (p->open_metrics && name_ends_in_unit(family_name(p, m), m->unit))
        put_meta(p, STR("UNIT"), m, m->unit);
}

void metrics_family(struct metrics_page *p, enum meter_family f)
{
    metric_head(p, &families[f]);
}

/* --- samples --- */

static size_t plain_bytes(struct str s)
{
    size_t at = 0;
    while (at < s.n && s.p[at] != '"' && s.p[at] != '\\' && s.p[at] != '\n') {
        size_t n = utf8_bytes(str_drop(s, at));
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

static struct str escape_of(char c)
{
    switch (c) {
    case '"': return STR("\\\"");
    case '\\': return STR("\\\\");
    case '\n': return STR("\\n");
    default: return STR("\xEF\xBF\xBD");
    }
}

static void put_value(struct text *t, struct str s)
{
    while (s.n) {
        size_t n = plain_bytes(s);
        text_put(t, str_take(s, n));
        s = str_drop(s, n);
        if (s.n) {
            text_put(t, escape_of(*s.p));
            s = str_drop(s, 1);
        }
    }
}

static void put_labels(struct text *t, const struct metric_label *labels, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        text_putc(t, i ? ',' : '{');
        text_put(t, str_of(labels[i].name));
        text_put(t, STR("=\""));
        put_value(t, labels[i].value);
        text_putc(t, '"');
    }
    if (n)
        text_putc(t, '}');
}

void metric_sample_name(struct metrics_page *p, const struct metric *m, struct str suffix,
                        const struct metric_label *labels, unsigned n)
{
    text_put(p->to, STR("ollamamax_"));
    text_put(p->to, m->name);
    text_put(p->to, suffix);
    put_labels(p->to, labels, n);
    text_putc(p->to, ' ');
}

void metric_sample_u64(struct metrics_page *p, const struct metric *m, struct str suffix,
                       const struct metric_label *labels, unsigned n, uint64_t value)
{
    metric_sample_name(p, m, suffix, labels, n);
    text_u64(p->to, value);
    text_putc(p->to, '\n');
}

void metric_exemplar(struct metrics_page *p, const struct histogram_exemplar *e)
{
    text_put(p->to, STR(" # {trace_id=\""));
    for (unsigned i = 0; i < HISTOGRAM_TRACE; i++)
        text_printf(p->to, "%02x", e->trace[i]);
    text_printf(p->to, "\"} %u.%06u %lld.%03u", e->us / 1000000, e->us % 1000000, (long long)(e->wall / SECOND(1)),
                (unsigned)(e->wall % SECOND(1) / MSEC(1)));
}

/* The shortest decimal that reads back as the same number. */
static void put_number(struct text *t, double v)
{
    char z[32];
    if (v == rint(v) && fabs(v) < 1e15) {
        text_i64(t, (int64_t)v);
        return;
    }
    if (!isfinite(v)) {
        text_put(t, isnan(v) ? STR("NaN") : v > 0 ? STR("+Inf") : STR("-Inf"));
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(z, sizeof z, "%.*g", digits, v);
        if (strtod(z, NULL) == v)
            break;
    }
    text_put(t, str_of(z));
}

void metrics_sample(struct metrics_page *p, enum meter_family f, const struct metric_label *labels, unsigned n,
                    double value)
{
    metric_sample_name(p, &families[f], STR_NONE, labels, n);
    put_number(p->to, value);
    text_putc(p->to, '\n');
}

void metrics_end(struct metrics_page *p)
{
    if (p->open_metrics)
        text_put(p->to, STR("# EOF\n"));
}
