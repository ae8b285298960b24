/* One table of rows makes both outputs. The verdict goes by the median of the rounds; where single rounds would have
 * said otherwise it is marked as unsure, which is more honest than a decimal place. Ratios are taken round by round, so
 * that what slows a whole round (a neighbour on the machine) slows both sides of it. */
#include "bench/report.h"

#include "base/json.h"
#include "base/stamp.h"
#include "base/sys.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void row_init(struct row *r, const struct promise *p)
{
    r->promise = p;
    for (unsigned w = 0; w < WAYS; w++)
        for (unsigned i = 0; i < REPORT_ROUNDS_MAX; i++)
            r->sample[w][i] = NAN;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

const char *verdict_word_text(enum verdict_word v)
{
    static const char *const words[] = {
        [VERDICT_NONE] = "",     [VERDICT_AIM] = "aim",         [VERDICT_PASS] = "pass",
        [VERDICT_MISS] = "miss", [VERDICT_NOT_RUN] = "not run",
    };
    return words[v];
}

static bool keeps(const struct promise *p, double v)
{
    switch (p->bound) {
    case AT_MOST: return v <= p->limit;
    case BELOW: return v < p->limit;
    case AT_LEAST: break;
    }
    return v >= p->limit;
}

static enum verdict_word word_for(const struct promise *p, double v)
{
    if (!keeps(p, v))
        return VERDICT_MISS;
    bool aimed = p->bound == AT_LEAST ? v >= p->aim : v <= p->aim;
    return p->aim > 0 && aimed ? VERDICT_AIM : VERDICT_PASS;
}

struct verdict_of_row row_verdict(const struct row *r, unsigned rounds)
{
    const struct promise *p = r->promise;
    struct verdict_of_row v = { .word = VERDICT_NONE, .sure = true };

    if (p->of == OF_NOTHING)
        return v;
    v.of = p->of == OF_ITSELF ? spread_of(r->sample[WAY_OURS], rounds)
                              : spread_of_ratios(r->sample[WAY_OURS], r->sample[WAY_HAPROXY], rounds);
    if (!v.of.rounds) {
        v.word = VERDICT_NOT_RUN;
        return v;
    }
    v.word = word_for(p, v.of.median);
    v.sure = keeps(p, v.of.low) == keeps(p, v.of.high);
    return v;
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

void report_fact(struct report *r, const char *name, const char *format, ...)
{
    va_list args;

    assume(r->facts < REPORT_FACTS);
    struct report_fact *f = &r->fact[r->facts++];
    f->name = name;
    va_start(args, format);
    vsnprintf(f->value, sizeof f->value, format, args);
    va_end(args);
}

bool report_has(const struct report *r, enum way_id way)
{
    if (r->alone)
        return way == WAY_OURS;
    return way == WAY_DIRECT || r->way[way].program[0];
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

#define NAME_WIDTH  42
#define WAY_WIDTH   22
#define RATIO_WIDTH 20
#define SAID_WIDTH  18

/* Three digits that count; no exponent. */
static int number(char *out, size_t room, double v)
{
    int decimals = fabs(v) < 10 ? 2 : fabs(v) < 100 ? 1 : 0;
    return snprintf(out, room, "%.*f", decimals, v);
}

static void put_spread(struct text *t, const struct spread *s, int width)
{
    char cell[64] = "-", median[16], low[16], high[16];

    number(median, sizeof median, s->median);
    number(low, sizeof low, s->low);
    number(high, sizeof high, s->high);
    if (s->rounds == 1)
        snprintf(cell, sizeof cell, "%s", median);
    else if (s->rounds)
        snprintf(cell, sizeof cell, "%s (%s..%s)", median, low, high);
    text_printf(t, "%-*s", width, cell);
}

static void put_promise(struct text *t, const struct promise *p)
{
    static const char *const signs[] = { [AT_MOST] = "<=", [BELOW] = "<", [AT_LEAST] = ">=" };
    char cell[48] = "", limit[16], aim[16];

    number(limit, sizeof limit, p->limit);
    number(aim, sizeof aim, p->aim);
    if (p->of != OF_NOTHING)
        snprintf(cell, sizeof cell, "%s %s%s%s", signs[p->bound], limit, p->aim > 0 ? ", aim " : "",
                 p->aim > 0 ? aim : "");
    text_printf(t, "%-*s", SAID_WIDTH, cell);
}

static void put_row(struct text *t, const struct report *r, const struct row *row)
{
    const struct promise *p = row->promise;
    struct verdict_of_row v = row_verdict(row, r->rounds);
    struct spread ratio = spread_of_ratios(row->sample[WAY_OURS], row->sample[WAY_HAPROXY], r->rounds);
    char name[64];

    snprintf(name, sizeof name, "%s, %s", p->name, p->unit);
    text_printf(t, "%-*s", NAME_WIDTH, name);
    for (unsigned w = 0; w < WAYS; w++)
        if (report_has(r, w)) {
            struct spread s = spread_of(row->sample[w], r->rounds);
            put_spread(t, &s, WAY_WIDTH);
        }
    if (report_has(r, WAY_HAPROXY))
        put_spread(t, &ratio, RATIO_WIDTH);
    put_promise(t, p);
    text_printf(t, "%s%s\n", verdict_word_text(v.word), v.sure ? "" : " ~");
}

static void put_heading(struct text *t, const struct report *r)
{
    text_printf(t, "%-*s", NAME_WIDTH, "");
    for (unsigned w = 0; w < WAYS; w++)
        if (report_has(r, w)) {
            char title[96];
            snprintf(title, sizeof title, "%s %s", way_name(w), r->way[w].version);
            text_printf(t, "%-*s", WAY_WIDTH, title);
        }
    if (report_has(r, WAY_HAPROXY))
        text_printf(t, "%-*s", RATIO_WIDTH, "ours / haproxy");
    text_printf(t, "%-*sverdict\n", SAID_WIDTH, "promise");
}

static const char about_ways[] =
    "`added`: beyond the direct way at the same percentile in the same\n"
    "round; for these rows the direct column is the whole time. Times count from the intended send. CPU is all\n"
    "that the kernel charged to the process, system calls and the softirq work of loopback included.";

void report_table(const struct report *r, struct text *out)
{
    text_printf(out, "bench %s", r->bench);
    for (unsigned i = 0; i < r->facts; i++)
        text_printf(out, "%s%s %s", i ? ", " : ": ", r->fact[i].name, r->fact[i].value);
    text_printf(out, "\n\n");
    put_heading(out, r);
    for (unsigned i = 0; i < r->rows; i++)
        put_row(out, r, &r->row[i]);
    text_printf(out, "\nMedian (lowest..highest) of %u rounds. %s\n~ : not every round agrees with the verdict.\n",
                r->rounds, r->note ? r->note : about_ways);
}

/* ---- for programs ------------------------------------------------------------------------------------------------ */

static void put_spread_json(struct json_out *j, const char *key, const struct spread *s, const double *rounds,
                            unsigned n)
{
    json_key(j, key);
    json_open(j, '{');
    json_key(j, "median");
    json_put_f64(j, s->median);
    json_key(j, "low");
    json_put_f64(j, s->low);
    json_key(j, "high");
    json_put_f64(j, s->high);
    if (rounds) {
        json_key(j, "rounds");
        json_open(j, '[');
        for (unsigned i = 0; i < n; i++)
            json_put_f64(j, rounds[i]);
        json_close(j);
    }
    json_close(j);
}

static void put_promise_json(struct json_out *j, const struct promise *p)
{
    if (p->of == OF_NOTHING)
        return;
    json_key(j, "against");
    json_put_str(j, p->of == OF_ITSELF ? STR("itself") : STR("haproxy"));
    json_key(j, "bound");
    json_put_str(j, p->bound == AT_LEAST ? STR("at_least") : p->bound == BELOW ? STR("below") : STR("at_most"));
    json_key(j, "limit");
    json_put_f64(j, p->limit);
    if (p->aim > 0) {
        json_key(j, "aim");
        json_put_f64(j, p->aim);
    }
}

static void put_row_json(struct json_out *j, const struct report *r, const struct row *row)
{
    struct verdict_of_row v = row_verdict(row, r->rounds);
    struct spread ratio = spread_of_ratios(row->sample[WAY_OURS], row->sample[WAY_HAPROXY], r->rounds);

    json_open(j, '{');
    json_key(j, "key");
    json_put_str(j, str_of(row->promise->key));
    json_key(j, "name");
    json_put_str(j, str_of(row->promise->name));
    json_key(j, "unit");
    json_put_str(j, str_of(row->promise->unit));
    put_promise_json(j, row->promise);
    for (unsigned w = 0; w < WAYS; w++) {
        struct spread s = spread_of(row->sample[w], r->rounds);
        if (s.rounds)
            put_spread_json(j, way_name(w), &s, row->sample[w], r->rounds);
    }
    if (ratio.rounds)
        put_spread_json(j, "ratio_to_haproxy", &ratio, NULL, 0);
    json_key(j, "verdict");
    json_put_str(j, str_of(verdict_word_text(v.word)));
    json_key(j, "sure");
    json_put_bool(j, v.sure);
    json_close(j);
}

static void put_facts_json(struct json_out *j, const struct report *r)
{
    json_key(j, "facts");
    json_open(j, '{');
    for (unsigned i = 0; i < r->facts; i++) {
        json_key(j, r->fact[i].name);
        json_put_str(j, str_of(r->fact[i].value));
    }
    json_close(j);
    json_key(j, "versions");
    json_open(j, '{');
    for (unsigned w = WAY_OURS; w < WAYS; w++)
        if (report_has(r, w)) {
            json_key(j, way_name(w));
            json_put_str(j, str_of(r->way[w].version));
        }
    json_close(j);
}

void report_json(const struct report *r, struct text *out)
{
    struct json_out j = { .to = out };
    char at[36];
    size_t n = stamp_rfc3339(sys_wall(), at);

    json_open(&j, '{');
    json_key(&j, "bench");
    json_put_str(&j, str_of(r->bench));
    json_key(&j, "at");
    json_put_str(&j, (struct str){ at, n });
    json_key(&j, "rounds");
    json_put_u64(&j, r->rounds);
    put_facts_json(&j, r);
    json_key(&j, "rows");
    json_open(&j, '[');
    for (unsigned i = 0; i < r->rows; i++)
        put_row_json(&j, r, &r->row[i]);
    json_close(&j);
    json_close(&j);
    text_putc(out, '\n');
}
