/* observe/open_metrics_fixture.h - for tests: a strict reader of OpenMetrics 1.0 text that knows nothing of how we
 * write it. open_metrics_fault says what is wrong with a page, and in which line; NULL: nothing. Source: the
 * specification's ABNF and its section 4 and 5 (prometheus/OpenMetrics, specification/OpenMetrics.md). */
#pragma once
#include "base/map.h"
#include "base/str.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct open_metrics {
    struct str family, type, unit; /* the family whose lines these are */
    bool has_help, has_type, has_unit, has_samples;
    struct map families, series; /* seen; values are not used */
    struct str histogram;        /* labels without le of the one being read, as text; its buckets so far */
    bool in_histogram, has_inf, has_count, has_sum;
    double last_le, last_bucket;
    unsigned exemplars;
};

#define OM_CHECK(cond, says)                                                                                           \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            return says;                                                                                               \
    } while (0)

static inline bool om_name_byte(char c, bool first, bool colon)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') ||
           (!first && c >= '0' && c <= '9');
}

static inline struct str om_take_name(struct str *rest, bool colon)
{
    size_t n = 0;
    while (n < rest->n && om_name_byte(rest->p[n], n == 0, colon))
        n++;
    struct str name = str_take(*rest, n);
    *rest = str_drop(*rest, n);
    return name;
}

static inline bool om_number(struct str s, double *out)
{
    char z[64], *end = z;
    if (!s.n || s.n >= sizeof z || (s.p[0] != '-' && s.p[0] != '+' && s.p[0] != 'N' && (s.p[0] < '0' || s.p[0] > '9')))
        return false;
    *put_str(z, s) = 0;
    *out = strtod(z, &end);
    return *end == 0 && !strpbrk(z, "xX");
}

/* "..." with the escapes \\ \" \n and no other; valid UTF-8. */
static inline const char *om_take_value(struct str *rest, struct str *out)
{
    OM_CHECK(rest->n && rest->p[0] == '"', "a label's value without quotes");
    size_t at = 1;
    while (at < rest->n && rest->p[at] != '"') {
        size_t n = utf8_bytes(str_drop(*rest, at));
        OM_CHECK(n, "a label's value that is not UTF-8");
        if (rest->p[at] == '\\') {
            OM_CHECK(at + 1 < rest->n && strchr("\\\"n", rest->p[at + 1]), "an unknown escape");
            n = 2;
        }
        at += n;
    }
    OM_CHECK(at < rest->n, "a label's value that does not end");
    *out = (struct str){ rest->p + 1, at - 1 };
    *rest = str_drop(*rest, at + 1);
    return NULL;
}

struct om_labels {
    struct str all, le; /* between the braces */
    size_t chars;       /* of names and values */
    unsigned n;
};

static inline const char *om_take_labels(struct str *rest, struct om_labels *out)
{
    struct str start = str_drop(*rest, 1), names[16];
    *out = (struct om_labels){ 0 };
    if (!rest->n || rest->p[0] != '{')
        return NULL;
    *rest = start;
    while (rest->n && rest->p[0] != '}') {
        struct str name = om_take_name(rest, false), value;
        OM_CHECK(name.n && out->n < 16, "a label without a name, or too many");
        for (unsigned i = 0; i < out->n; i++)
            OM_CHECK(!str_eq(names[i], name), "a label twice");
        names[out->n++] = name;
        OM_CHECK(str_starts(*rest, STR("=")), "a label without a value");
        *rest = str_drop(*rest, 1);
        const char *fault = om_take_value(rest, &value);
        OM_CHECK(!fault, fault);
        if (str_eq(name, STR("le")))
            out->le = value;
        out->chars += name.n + value.n;
        OM_CHECK(rest->n && (rest->p[0] == '}' || (rest->p[0] == ',' && rest->n > 1 && rest->p[1] != '}')),
                 "a comma or a brace is missing");
        if (rest->p[0] == ',')
            *rest = str_drop(*rest, 1);
    }
    OM_CHECK(rest->n, "labels that do not end");
    out->all = str_span(start.p, rest->p);
    *rest = str_drop(*rest, 1);
    return NULL;
}

/* --- metadata --- */

static inline const char *om_end_family(struct open_metrics *m)
{
    OM_CHECK(!m->in_histogram || (m->has_inf && m->has_count && m->has_sum),
             "a histogram without +Inf, _count or _sum");
    return NULL;
}

static inline const char *om_begin_family(struct open_metrics *m, struct str name)
{
    const char *fault = om_end_family(m);
    OM_CHECK(!fault, fault);
    OM_CHECK(!map_get(&m->families, name), "a family that comes twice, or whose lines are not together");
    OM_CHECK(!str_ends(name, STR("_total")) && !str_ends(name, STR("_bucket")) && !str_ends(name, STR("_count")) &&
                 !str_ends(name, STR("_sum")),
             "a family whose name ends like a sample's");
    assume(!map_put(&m->families, name, m));
    m->family = name;
    m->type = STR("unknown");
    m->unit = STR_NONE;
    m->has_help = m->has_type = m->has_unit = m->has_samples = m->in_histogram = false;
    return NULL;
}

static inline const char *om_type(struct open_metrics *m, struct str type)
{
    static const char *const known[] = { "counter", "gauge", "histogram" };
    OM_CHECK(!m->has_type, "TYPE twice");
    m->has_type = true;
    m->type = type;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(type, str_of(known[i])))
            return NULL;
    return "a type that we do not have";
}

static inline const char *om_unit(struct open_metrics *m, struct str unit)
{
    OM_CHECK(!m->has_unit && unit.n, "UNIT twice, or empty");
    m->has_unit = true;
    OM_CHECK(m->family.n > unit.n + 1 && str_ends(m->family, unit) && m->family.p[m->family.n - unit.n - 1] == '_',
             "a unit that the name does not end in");
    return NULL;
}

static inline const char *om_metadata(struct open_metrics *m, struct str line)
{
    struct str text = str_drop(line, 2), keyword = str_cut(&text, ' '), name = str_cut(&text, ' '), whole = name;
    OM_CHECK(om_take_name(&whole, true).n && !whole.n, "a family's name");
    if (!str_eq(name, m->family)) {
        const char *fault = om_begin_family(m, name);
        OM_CHECK(!fault, fault);
    }
    OM_CHECK(!m->has_samples, "metadata behind samples");
    if (str_eq(keyword, STR("TYPE")))
        return om_type(m, text);
    if (str_eq(keyword, STR("UNIT")))
        return om_unit(m, text);
    OM_CHECK(str_eq(keyword, STR("HELP")) && !m->has_help, "a comment, or HELP twice");
    m->has_help = true;
    return str_chr(text, '\\') >= 0 ? "a backslash in HELP that ours have no need of" : NULL;
}

/* --- samples --- */

/* `a="1",le="5"` without its le. */
static inline struct str om_without_le(struct om_labels *l)
{
    ssize_t at = str_find(l->all, STR("le=\""));
    return at <= 0 ? STR_NONE : str_take(l->all, (size_t)at - 1);
}

static inline const char *om_bucket(struct open_metrics *m, struct om_labels *l, double value)
{
    double le;
    struct str whose = om_without_le(l);
    OM_CHECK(l->le.n, "a bucket without le");
    if (str_eq(l->le, STR("+Inf")))
        le = INFINITY;
    else
        OM_CHECK(om_number(l->le, &le) && (str_chr(l->le, '.') > 0 || str_chr(l->le, 'e') > 0), "le that is no float");
    if (!m->in_histogram || m->has_inf) {
        const char *fault = om_end_family(m);
        OM_CHECK(!fault, fault);
        m->in_histogram = true;
        m->has_inf = m->has_count = m->has_sum = false;
        m->histogram = whose;
        m->last_le = -INFINITY;
        m->last_bucket = 0;
    }
    OM_CHECK(str_eq(whose, m->histogram), "buckets of two histograms mixed");
    OM_CHECK(le > m->last_le, "buckets that are not in order");
    OM_CHECK(value >= m->last_bucket && value == floor(value), "buckets that are not cumulative, or no whole numbers");
    m->last_le = le;
    m->last_bucket = value;
    m->has_inf = isinf(le);
    return NULL;
}

static inline const char *om_histogram(struct open_metrics *m, struct str suffix, struct om_labels *l, double value)
{
    if (str_eq(suffix, STR("_bucket")))
        return om_bucket(m, l, value);
    OM_CHECK(m->in_histogram && m->has_inf && str_eq(l->all, m->histogram), "_count or _sum of no histogram");
    if (str_eq(suffix, STR("_count"))) {
        OM_CHECK(value == m->last_bucket, "_count is not the +Inf bucket");
        m->has_count = true;
        return NULL;
    }
    OM_CHECK(str_eq(suffix, STR("_sum")) && value >= 0, "a suffix, or a negative sum");
    m->has_sum = true;
    return NULL;
}

static inline const char *om_exemplar(struct open_metrics *m, struct str rest, struct str suffix)
{
    struct om_labels l;
    double value, at;
    OM_CHECK(str_eq(suffix, STR("_bucket")) || str_eq(suffix, STR("_total")), "an exemplar where none may be");
    OM_CHECK(rest.n && rest.p[0] == '{', "an exemplar without labels");
    const char *fault = om_take_labels(&rest, &l);
    OM_CHECK(!fault, fault);
    OM_CHECK(l.chars <= 128, "an exemplar whose labels are too long");
    OM_CHECK(str_starts(rest, STR(" ")), "an exemplar without a value");
    rest = str_drop(rest, 1);
    OM_CHECK(om_number(str_cut(&rest, ' '), &value) && om_number(rest, &at), "an exemplar's value or time");
    OM_CHECK(!str_eq(suffix, STR("_bucket")) || value <= m->last_le, "an exemplar that is not of its bucket");
    m->exemplars++;
    return NULL;
}

static inline const char *om_value(struct open_metrics *m, struct str suffix, struct om_labels *l, double value)
{
    if (str_eq(m->type, STR("histogram")))
        return om_histogram(m, suffix, l, value);
    if (str_eq(m->type, STR("counter"))) {
        OM_CHECK(str_eq(suffix, STR("_total")), "a counter's sample without _total");
        return value >= 0 && isfinite(value) ? NULL : "a counter that is no count";
    }
    return suffix.n ? "a gauge's sample with another name" : NULL;
}

static inline const char *om_sample(struct open_metrics *m, struct str line)
{
    struct str rest = line, name = om_take_name(&rest, true);
    struct om_labels labels;
    double value;
    OM_CHECK(m->has_type && str_starts(name, m->family), "a sample that is not of its family, or without TYPE");
    const char *fault = om_take_labels(&rest, &labels);
    OM_CHECK(!fault, fault);
    struct str series = str_span(line.p, rest.p);
    OM_CHECK(!map_get(&m->series, series), "a series twice");
    assume(!map_put(&m->series, series, m));
    OM_CHECK(str_starts(rest, STR(" ")), "a space before the value");
    rest = str_drop(rest, 1);
    OM_CHECK(om_number(str_cut(&rest, ' '), &value), "a value that is no number");
    m->has_samples = true;
    struct str suffix = str_drop(name, m->family.n);
    fault = om_value(m, suffix, &labels, value);
    if (fault || !rest.n)
        return fault;
    return str_starts(rest, STR("# ")) ? om_exemplar(m, str_drop(rest, 2), suffix) : "a time stamp, or more";
}

/* --- the page --- */

static inline const char *om_line(struct open_metrics *m, struct str line)
{
    OM_CHECK(line.n, "an empty line");
    return line.p[0] == '#' ? om_metadata(m, line) : om_sample(m, line);
}

/* The fault, with its line, in a buffer that the next call uses again; *out_exemplars: how many there were. */
static inline const char *open_metrics_fault(struct str page, unsigned *out_exemplars)
{
    static char says[400];
    struct open_metrics m = { 0 };
    const char *fault = str_ends(page, STR("\n# EOF\n")) ? NULL : "no # EOF at the end";
    struct str rest = str_take(page, page.n - MIN(page.n, 6)), line = STR_NONE;
    while (rest.n && !fault) {
        line = str_cut(&rest, '\n');
        fault = om_line(&m, line);
    }
    fault = fault ? fault : om_end_family(&m);
    if (out_exemplars)
        *out_exemplars = m.exemplars;
    map_free(&m.families);
    map_free(&m.series);
    if (fault)
        snprintf(says, sizeof says, "%s: %.*s", fault, (int)MIN(line.n, 300), line.p);
    return fault ? says : NULL;
}
