/* cli/top_pages.c - each page is a table of columns and a function that fills in its rows; sorting, filtering and
 * fitting know nothing of what is in them. */
#include "cli/top_view.h"
#include <math.h>

static struct top_cell text_cell(struct str s)
{
    return (struct top_cell){ .text = s.n ? s : STR("-"), .key = NAN };
}

static struct top_cell state_cell(struct str s)
{
    return (struct top_cell){ .text = s.n ? s : STR("-"), .key = NAN, .colour = top_state_colour(s) };
}

static struct top_cell figure_cell(struct str s, double key)
{
    return (struct top_cell){ .text = s, .key = key };
}

/* "2/4", "2" where the number of slots is not known. */
static struct top_cell busy_cell(struct arena *a, double inflight, double slots)
{
    struct text t = { 0 };
    struct str have = top_count(a, inflight), of = top_count(a, slots);
    text_put(&t, have);
    if (!isnan(slots))
        text_printf(&t, "/%.*s", STR_ARG(of));
    struct str s = str_dup(a, text_str(&t));
    text_free(&t);
    return figure_cell(s, inflight);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static const struct top_column node_columns[] = {
    {"NODE",     12, false, 0},
    { "STATE",   8,  false, 0},
    { "BUSY",    6,  true,  0},
    { "TOK/S",   6,  true,  1},
    { "TTFT95",  7,  true,  3},
    { "REQS",    6,  true,  2},
    { "ERRORS",  6,  true,  4},
    { "VRAM",    6,  true,  5},
    { "BREAKER", 7,  false, 7},
    { "LOADED",  30, false, 6},
};

static struct str loaded_names(struct arena *a, const struct top_node *n)
{
    struct text t = { 0 };
    for (unsigned i = 0; i < n->models; i++)
        if (n->model[i].loaded)
            text_printf(&t, "%s%.*s", text_str(&t).n ? "," : "", STR_ARG(n->model[i].name));
    struct str s = str_dup(a, text_str(&t));
    text_free(&t);
    return s;
}

/* A node rarely says its slots; then what its busy models were seen to take. */
static double slots_of(const struct top_node *n)
{
    double most = n->slots;
    for (unsigned i = 0; i < n->models && isnan(n->slots); i++)
        if (n->model[i].loaded)
            most = fmax(most, n->model[i].slots);
    return most;
}

static void node_row(struct arena *a, const struct top_node *n, struct top_row *r)
{
    r->cell[0] = text_cell(n->id);
    r->cell[1] = state_cell(n->state);
    r->cell[2] = busy_cell(a, n->inflight, slots_of(n));
    r->cell[3] = figure_cell(top_figure(a, n->tokens_rate), n->tokens_rate);
    r->cell[4] = figure_cell(top_ms(a, n->first_token), n->first_token);
    r->cell[5] = figure_cell(top_count(a, n->requests), n->requests);
    r->cell[6] = figure_cell(top_count(a, n->errors), n->errors);
    r->cell[7] = figure_cell(top_bytes(a, n->vram), n->vram);
    r->cell[8] = state_cell(n->breaker);
    r->cell[9] = text_cell(loaded_names(a, n));
}

static struct top_table nodes_table(struct arena *a, const struct top_state *s)
{
    struct top_table t = top_table(a, node_columns, ARRAY_LEN(node_columns), s->nodes);
    for (unsigned i = 0; i < s->nodes; i++)
        node_row(a, &s->node[i], top_table_row(&t, s->node[i].id));
    return t;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static const struct top_column model_columns[] = {
    {"MODEL",     18, false, 0},
    { "LOADED",   6,  true,  0},
    { "NODES",    6,  true,  2},
    { "BUSY",     6,  true,  0},
    { "WAITING",  7,  true,  1},
    { "DECODE/S", 8,  true,  4},
    { "SIZE",     6,  true,  3},
};

struct model_sum {
    double nodes, loaded, busy, decode, rated, size, slots;
};

static struct model_sum sum_of(const struct top_state *s, struct str name)
{
    struct model_sum sum = { .size = NAN, .slots = NAN };
    for (unsigned i = 0; i < s->nodes; i++)
        for (unsigned k = 0; k < s->node[i].models; k++) {
            const struct top_model *m = &s->node[i].model[k];
            if (!str_eq(m->name, name))
                continue;
            sum.nodes++;
            sum.loaded += m->loaded;
            sum.busy += isnan(m->inflight) ? 0 : m->inflight;
            sum.slots = m->loaded && !isnan(m->slots) ? (isnan(sum.slots) ? 0 : sum.slots) + m->slots : sum.slots;
            sum.decode += isnan(m->decode) ? 0 : m->decode;
            sum.rated += !isnan(m->decode);
            sum.size = fmax(sum.size, m->size);
        }
    return sum;
}

static double waiting_for(const struct top_state *s, struct str name)
{
    for (unsigned i = 0; i < s->n_waiting; i++)
        if (str_eq_nocase(s->waiting[i].model, name))
            return s->waiting[i].waiting;
    return 0;
}

static void model_row(struct arena *a, const struct top_state *s, struct str name, struct top_row *r)
{
    struct model_sum sum = sum_of(s, name);
    double decode = sum.rated > 0 ? sum.decode / sum.rated : NAN, waiting = waiting_for(s, name);
    r->cell[0] = text_cell(name);
    r->cell[1] = figure_cell(top_count(a, sum.loaded), sum.loaded);
    r->cell[2] = figure_cell(top_count(a, sum.nodes), sum.nodes);
    r->cell[3] = busy_cell(a, sum.busy, sum.slots);
    r->cell[4] = figure_cell(top_count(a, waiting), waiting);
    r->cell[5] = figure_cell(top_figure(a, decode), decode);
    r->cell[6] = figure_cell(top_bytes(a, sum.size), sum.size);
}

static bool is_listed(const struct top_table *t, struct str name)
{
    for (unsigned i = 0; i < t->rows; i++)
        if (str_eq(t->row[i].id, name))
            return true;
    return false;
}

static struct top_table models_table(struct arena *a, const struct top_state *s)
{
    size_t most = 0;
    for (unsigned i = 0; i < s->nodes; i++)
        most += s->node[i].models;
    struct top_table t = top_table(a, model_columns, ARRAY_LEN(model_columns), most);
    for (unsigned i = 0; i < s->nodes; i++)
        for (unsigned k = 0; k < s->node[i].models; k++)
            if (!is_listed(&t, s->node[i].model[k].name))
                model_row(a, s, s->node[i].model[k].name, top_table_row(&t, s->node[i].model[k].name));
    return t;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static const struct top_column request_columns[] = {
    {"MODEL",    18, false, 0},
    { "AT",      8,  false, 4},
    { "ROUTE",   17, false, 3},
    { "NODE",    10, false, 1},
    { "STATUS",  6,  true,  0},
    { "TOTAL",   7,  true,  0},
    { "FIRST",   7,  true,  5},
    { "TOKENS",  6,  true,  6},
    { "CACHE",   6,  false, 7},
    { "CODE",    16, false, 2},
    { "REQUEST", 16, false, 8},
};

/* "13:27:45" of an RFC 3339 time. */
static struct str clock_of(struct str at)
{
    return at.n >= 19 ? str_take(str_drop(at, 11), 8) : at;
}

static enum top_colour status_colour(double status)
{
    return status >= 500 ? TOP_BAD : status >= 400 ? TOP_WARN : TOP_PLAIN;
}

static void request_row(struct arena *a, const struct top_request *q, struct top_row *r)
{
    r->cell[0] = text_cell(q->model);
    r->cell[1] = text_cell(clock_of(q->at));
    r->cell[2] = text_cell(q->route);
    r->cell[3] = text_cell(q->node);
    r->cell[4] = figure_cell(top_count(a, q->status), q->status);
    r->cell[4].colour = status_colour(q->status);
    r->cell[5] = figure_cell(top_ms(a, q->total), q->total);
    r->cell[6] = figure_cell(top_ms(a, q->first), q->first);
    r->cell[7] = figure_cell(top_count(a, q->tokens), q->tokens);
    r->cell[8] = text_cell(q->cache);
    r->cell[9] = text_cell(q->code);
    r->cell[10] = text_cell(q->id);
}

static struct top_table requests_table(struct arena *a, const struct top_state *s)
{
    struct top_table t = top_table(a, request_columns, ARRAY_LEN(request_columns), s->n_requests);
    for (unsigned i = 0; i < s->n_requests; i++)
        request_row(a, &s->request[i], top_table_row(&t, s->request[i].id));
    return t;
}

/* ---- queue and alerts -------------------------------------------------------------------------------------------- */

static const struct top_column queue_columns[] = {
    {"MODEL",    18, false, 0},
    { "WAITING", 7,  true,  0},
    { "OLDEST",  7,  true,  0},
    { "CLEAR",   7,  true,  1},
};

static struct top_table queue_table(struct arena *a, const struct top_state *s)
{
    struct top_table t = top_table(a, queue_columns, ARRAY_LEN(queue_columns), s->n_waiting);
    for (unsigned i = 0; i < s->n_waiting; i++) {
        const struct top_waiting *w = &s->waiting[i];
        struct top_row *r = top_table_row(&t, w->model);
        r->cell[0] = text_cell(w->model);
        r->cell[1] = figure_cell(top_count(a, w->waiting), w->waiting);
        r->cell[2] = figure_cell(top_ms(a, w->oldest), w->oldest);
        r->cell[3] = figure_cell(top_ms(a, w->eta), w->eta);
    }
    return t;
}

static const struct top_column alert_columns[] = {
    {"ALERT",     18, false, 0},
    { "STATE",    8,  false, 0},
    { "SEVERITY", 8,  false, 4},
    { "NODE",     10, false, 2},
    { "MODEL",    16, false, 3},
    { "MESSAGE",  60, false, 1},
};

static struct top_table alerts_table(struct arena *a, const struct top_state *s)
{
    struct top_table t = top_table(a, alert_columns, ARRAY_LEN(alert_columns), s->n_alerts);
    for (unsigned i = 0; i < s->n_alerts; i++) {
        const struct top_alert *l = &s->alert[i];
        struct top_row *r = top_table_row(&t, l->message);
        r->cell[0] = text_cell(l->name);
        r->cell[1] = state_cell(l->state);
        r->cell[2] = text_cell(l->severity);
        r->cell[3] = text_cell(l->node);
        r->cell[4] = text_cell(l->model);
        r->cell[5] = text_cell(l->message);
    }
    return t;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const struct page {
    const char *title;
    struct top_table (*table)(struct arena *a, const struct top_state *s);
} pages[PAGE_COUNT] = {
    [PAGE_NODES] = {"Nodes",     nodes_table   },
      [PAGE_MODELS] = { "Models",   models_table  },
    [PAGE_REQUESTS] = { "Requests", requests_table},
      [PAGE_QUEUE] = { "Queue",    queue_table   },
    [PAGE_ALERTS] = { "Alerts",   alerts_table  },
};

const char *top_page_title(enum top_page p)
{
    return pages[p].title;
}

struct top_table top_page_table(struct arena *a, const struct top_state *s, const struct top_view *v, enum top_page p)
{
    struct top_table t = pages[p].table(a, s);
    if (v->page == p && *v->filter)
        top_table_filter(&t, str_of(v->filter));
    if (v->of[p].column >= 0)
        top_table_sort(&t, (unsigned)v->of[p].column, v->of[p].falling);
    return t;
}
