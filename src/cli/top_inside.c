/* cli/top_inside.c - one row drilled into: a node with its models, the road of a request with its times and why this
 * node, where a model is, the whole message of an alert. */
#include "cli/glyph.h"
#include "cli/top_view.h"
#include <math.h>

/* A line "  name        value", cut at the paper's edge. */
static void put_fact(const struct top_view *v, const char *name, struct str value, struct text *t)
{
    unsigned width = v->paper.width > 16 ? v->paper.width - 16 : 1;
    if (!value.n)
        return;
    text_printf(t, "  %-13s ", name);
    glyph_put(t, value, MIN(width, glyph_width(value)), false, v->paper.ascii);
    text_putc(t, '\n');
}

static void put_table(const struct top_view *v, const struct top_table *table, struct text *t)
{
    unsigned width[TOP_CELLS];
    struct top_paper paper = v->paper;
    paper.width -= MIN(paper.width, 2u);
    top_table_fit(table, &paper, width);
    for (int i = -1; i < (int)table->rows; i++) {
        text_put(t, STR("\n  "));
        if (i < 0)
            top_table_head(table, &paper, width, -1, t);
        else
            top_table_line(table, &paper, width, (unsigned)i, false, t);
    }
    text_putc(t, '\n');
}

static struct top_cell cell(struct str s)
{
    return (struct top_cell){ .text = s.n ? s : STR("-"), .key = NAN };
}

/* ---- a node ------------------------------------------------------------------------------------------------------ */

static const struct top_column held_columns[] = {
    {"MODEL",      18, false, 0},
    { "LOADED",    6,  false, 0},
    { "BUSY",      5,  true,  0},
    { "SLOTS",     5,  true,  3},
    { "DECODE/S",  8,  true,  2},
    { "PREFILL/S", 9,  true,  5},
    { "VRAM",      6,  true,  1},
    { "SIZE",      6,  true,  4},
    { "BREAKER",   7,  false, 6},
};

static void held_row(struct arena *a, const struct top_model *m, struct str name, struct top_row *r)
{
    r->cell[0] = cell(name);
    r->cell[1] = cell(m->loaded ? STR("yes") : STR("no"));
    r->cell[2] = cell(top_count(a, m->inflight));
    r->cell[3] = cell(top_count(a, m->slots));
    r->cell[4] = cell(top_figure(a, m->decode));
    r->cell[5] = cell(top_figure(a, m->prefill));
    r->cell[6] = cell(top_bytes(a, m->loaded ? m->vram : NAN));
    r->cell[7] = cell(top_bytes(a, m->size));
    r->cell[8] = cell(m->breaker);
    r->cell[8].colour = top_state_colour(m->breaker);
}

void top_inside_node(const struct top_view *v, const struct top_node *n, struct text *t)
{
    struct arena a;
    arena_init(&a);
    put_fact(v, "node", n->id, t);
    put_fact(v, "url", n->url, t);
    put_fact(v, "state", n->state, t);
    put_fact(v, "kind", n->kind, t);
    put_fact(v, "version", n->version, t);
    put_fact(v, "labels", n->labels, t);
    put_fact(v, "weight", top_figure(&a, n->weight), t);
    put_fact(v, "in flight", top_count(&a, n->inflight), t);
    put_fact(v, "requests", top_count(&a, n->requests), t);
    put_fact(v, "errors", top_count(&a, n->errors), t);
    put_fact(v, "tokens/s", top_figure(&a, n->tokens_rate), t);
    put_fact(v, "first token", top_ms(&a, n->first_token), t);
    put_fact(v, "breaker", n->breaker, t);
    put_fact(v, "last error", n->error, t);
    put_fact(v, "note", n->simulated ? STR("simulated: its answers are made up") : STR_NONE, t);
    struct top_table table = top_table(&a, held_columns, ARRAY_LEN(held_columns), n->models);
    for (unsigned i = 0; i < n->models; i++)
        held_row(&a, &n->model[i], n->model[i].name, top_table_row(&table, n->model[i].name));
    put_table(v, &table, t);
    arena_done(&a);
}

/* ---- a model ----------------------------------------------------------------------------------------------------- */

void top_inside_model(const struct top_view *v, const struct top_state *s, struct str name, struct text *t)
{
    static struct top_column columns[ARRAY_LEN(held_columns)];
    struct arena a;
    arena_init(&a);
    memcpy(columns, held_columns, sizeof columns);
    columns[0].title = "NODE";
    struct top_table table = top_table(&a, columns, ARRAY_LEN(columns), s->nodes);
    for (unsigned i = 0; i < s->nodes; i++)
        for (unsigned k = 0; k < s->node[i].models; k++)
            if (str_eq(s->node[i].model[k].name, name))
                held_row(&a, &s->node[i].model[k], s->node[i].id, top_table_row(&table, s->node[i].id));
    put_fact(v, "model", name, t);
    put_table(v, &table, t);
    arena_done(&a);
}

/* ---- a request --------------------------------------------------------------------------------------------------- */

static double number(struct json o, const char *key)
{
    double n;
    return json_f64(json_get(o, str_of(key)), &n) ? n : NAN;
}

static struct str word(struct arena *a, struct json o, const char *key)
{
    struct json value = json_get(o, str_of(key));
    return value.kind == JSON_STRING ? json_text(a, value) : STR_NONE;
}

/* A stage's time as a bar against the whole. */
static void put_stage(const struct top_view *v, struct arena *a, const char *name, double ms, double whole,
                      struct text *t)
{
    unsigned width = v->paper.width > 28 ? MIN(v->paper.width - 28, 40u) : 0;
    if (isnan(ms))
        return;
    text_printf(t, "  %-13s ", name);
    glyph_put(t, top_ms(a, ms), 8, true, v->paper.ascii);
    text_put(t, STR("  "));
    glyph_put_bar(t, whole > 0 ? ms / whole : 0, width, v->paper.ascii);
    text_putc(t, '\n');
}

static const char *const terms[] = { "slot", "load", "prefill", "decode", "penalty" };

static void put_decision(const struct top_view *v, struct arena *a, struct json decision, struct text *t)
{
    struct json of = json_get(decision, STR("terms"));
    struct text why = { 0 };
    text_printf(&why, "%.*s", STR_ARG(word(a, decision, "policy")));
    for (size_t i = 0; i < ARRAY_LEN(terms); i++)
        if (!isnan(number(of, terms[i])))
            text_printf(&why, " %s=%.3gs", terms[i], number(of, terms[i]));
    put_fact(v, "chosen by", text_str(&why), t);
    text_free(&why);
}

static void put_next(const struct top_view *v, struct arena *a, struct json next, struct text *t)
{
    struct text says = { 0 };
    if (next.kind == JSON_NULL)
        text_put(&says, STR("none that could take it had the model loaded"));
    else if (next.kind == JSON_OBJECT)
        text_printf(&says, "%.*s, in %.3gs", STR_ARG(word(a, next, "node")), number(next, "eta_s"));
    if (text_str(&says).n)
        put_fact(v, "next best", text_str(&says), t);
    text_free(&says);
}

static void put_attempts(const struct top_view *v, struct arena *a, struct json list, struct text *t)
{
    for (struct json_walk w = json_walk(list); json_next(&w);) {
        struct text line = { 0 };
        struct str from = top_ms(a, number(w.value, "start_ms")), to = top_ms(a, number(w.value, "end_ms"));
        text_printf(&line, "%.*s: %.*s, from %.*s to %.*s", STR_ARG(word(a, w.value, "node")),
                    STR_ARG(word(a, w.value, "outcome")), STR_ARG(from), STR_ARG(to));
        if (!isnan(number(w.value, "status")))
            text_printf(&line, ", status %.0f", number(w.value, "status"));
        put_fact(v, "attempt", text_str(&line), t);
        text_free(&line);
    }
}

void top_inside_request(const struct top_view *v, struct json record, struct text *t)
{
    static const char *const first[] = { "model", "node", "route", "code", "sentence" };
    static const char *const last[] = { "at", "client", "cache", "cache_detail", "id", "trace_id" };
    static const struct {
        const char *key, *name;
    } stages[] = {
        {"queued_ms",   "queue"     },
        { "connect_ms", "connect"   },
        { "load_ms",    "load"      },
        { "node_ms",    "node"      },
        { "added_ms",   "gateway"   },
        { "first_ms",   "first byte"},
        { "total_ms",   "whole"     },
    };
    struct json of = json_get(record, STR("stages"));
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        put_fact(v, first[i], word(&a, record, first[i]), t);
    put_fact(v, "status", top_count(&a, number(record, "status")), t);
    put_decision(v, &a, json_get(record, STR("decision")), t);
    put_next(v, &a, json_get(json_get(record, STR("decision")), STR("next")), t);
    put_attempts(v, &a, json_get(record, STR("attempts")), t);
    for (size_t i = 0; i < ARRAY_LEN(stages); i++)
        put_stage(v, &a, stages[i].name, number(of, stages[i].key), number(of, "total_ms"), t);
    put_fact(v, "tokens in", top_count(&a, number(record, "tokens_in")), t);
    put_fact(v, "tokens out", top_count(&a, number(record, "tokens_out")), t);
    for (size_t i = 0; i < ARRAY_LEN(last); i++)
        put_fact(v, last[i], word(&a, record, last[i]), t);
    arena_done(&a);
}

/* ---- an alert ---------------------------------------------------------------------------------------------------- */

/* The message in lines of the paper's width, broken at blanks. */
static void put_wrapped(const struct top_view *v, struct str message, struct text *t)
{
    size_t width = v->paper.width > 6 ? v->paper.width - 4 : 2;
    while (message.n) {
        struct str line = str_take(message, width);
        ssize_t blank = message.n > width ? str_rchr(line, ' ') : -1;
        line = blank > 0 ? str_take(line, (size_t)blank) : line;
        text_put(t, STR("  "));
        glyph_put(t, line, glyph_width(line), false, v->paper.ascii);
        text_putc(t, '\n');
        message = str_drop(message, line.n + (blank > 0));
    }
}

void top_inside_alert(const struct top_view *v, const struct top_alert *l, struct text *t)
{
    struct arena a;
    arena_init(&a);
    put_fact(v, "alert", l->name, t);
    put_fact(v, "state", l->state, t);
    put_fact(v, "severity", l->severity, t);
    put_fact(v, "since", l->since, t);
    put_fact(v, "node", l->node, t);
    put_fact(v, "model", l->model, t);
    put_fact(v, "value", top_figure(&a, l->value), t);
    put_fact(v, "threshold", top_figure(&a, l->threshold), t);
    text_putc(t, '\n');
    put_wrapped(v, l->message, t);
    arena_done(&a);
}
