/* cli/top_view.c - the whole picture.
 *
 *     head      verdict, figures with their last minutes, what fires     always
 *     body      the page; below it the next ones, as long as there is room     or one row drilled into, or the keys
 *     foot      what can be pressed, or why there is nothing new
 *
 * It is drawn anew from the state each time, into lines; the screen sends only those that differ, which is what keeps
 * it from flickering. */
#include "cli/top_view.h"
#include "cli/glyph.h"
#include <math.h>
#include <stdio.h>

void top_view_init(struct top_view *v)
{
    *v = (struct top_view){ .rows = 24, .paper = { .width = 80 } };
    for (int i = 0; i < PAGE_COUNT; i++)
        v->of[i].column = -1;
}

void top_view_done(struct top_view *v)
{
    buf_free(&v->record);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* Text with colours is taken apart at its line feeds, so that what is too long for the rows is left out. */
struct sheet {
    struct text *to;
    unsigned lines, most;
};

static void put_line(struct sheet *s, struct str line)
{
    if (s->lines == s->most)
        return;
    if (s->lines++)
        text_putc(s->to, '\n');
    text_put(s->to, line);
}

static void put_lines(struct sheet *s, struct str lines)
{
    while (lines.n)
        put_line(s, str_cut(&lines, '\n'));
}

static void put_cut(struct sheet *s, const struct top_view *v, enum top_colour colour, struct str line)
{
    struct text t = { 0 };
    top_colour(&t, &v->paper, colour);
    glyph_put(&t, line, MIN(v->paper.width, glyph_width(line)), false, v->paper.ascii);
    top_colour(&t, &v->paper, TOP_PLAIN);
    put_line(s, text_str(&t));
    text_free(&t);
}

/* ---- head -------------------------------------------------------------------------------------------------------- */

static void put_uptime(struct text *t, double seconds)
{
    unsigned long s = isnan(seconds) ? 0 : (unsigned long)seconds;
    if (s >= 86400)
        text_printf(t, "%lud%02luh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        text_printf(t, "%luh%02lum", s / 3600, s % 3600 / 60);
    else
        text_printf(t, "%lum%02lus", s / 60, s % 60);
}

static void put_verdict(struct sheet *sheet, const struct top_view *v, const struct top_state *s)
{
    struct text t = { 0 };
    enum top_colour colour = top_state_colour(s->status);
    text_printf(&t, "%.*s: %.0f of %.0f nodes up", STR_ARG(s->status), s->nodes_up, s->nodes_total);
    if (s->firing)
        text_printf(&t, ", %u alert%s firing", s->firing, s->firing > 1 ? "s" : "");
    text_printf(&t, "  OllamaMax %.*s %s up ", STR_ARG(s->version), v->url ? v->url : "");
    put_uptime(&t, s->uptime);
    put_cut(sheet, v, s->firing ? TOP_BAD : colour, text_str(&t));
    text_free(&t);
}

static double last_of(const struct top_series *s)
{
    for (unsigned i = s->n; i-- && s->n - i <= 10;)
        if (!isnan(s->v[i]))
            return s->v[i];
    return NAN;
}

static const struct {
    const char *name;
    enum top_figure figure;
    struct str (*says)(struct arena *a, double v);
} figures[] = {
    {"requests/s",   TOP_REQUEST_RATE, top_figure},
    { "tokens/s",    TOP_TOKEN_RATE,   top_figure},
    { "first token", TOP_FIRST_TOKEN,  top_ms    },
    { "in flight",   TOP_INFLIGHT,     top_count },
};
#define FIGURE_LEAST 32 /* columns of one, with its line */

/* As many beside each other as there is room for. */
static void put_figures(struct sheet *sheet, const struct top_view *v, const struct top_state *s, struct arena *a)
{
    unsigned across = MIN(MAX(v->paper.width / FIGURE_LEAST, 1u), 2u), width = v->paper.width / across;
    unsigned line = width > 22 ? MIN(width - 22, 60u) : 0;
    for (unsigned i = 0; i < ARRAY_LEN(figures);) {
        struct text t = { 0 };
        for (unsigned k = 0; k < across && i < ARRAY_LEN(figures); k++, i++) {
            const struct top_series *of = &s->series[figures[i].figure];
            glyph_put(&t, str_of(figures[i].name), 11, false, false);
            glyph_put(&t, figures[i].says(a, last_of(of)), 8, true, false);
            text_putc(&t, ' ');
            glyph_put_spark(&t, of->v, of->n, line, v->paper.ascii);
            if (k + 1 < across)
                text_put(&t, STR("  "));
        }
        put_line(sheet, text_str(&t));
        text_free(&t);
    }
}

static void put_totals(struct sheet *sheet, const struct top_view *v, const struct top_state *s, struct arena *a)
{
    struct text t = { 0 };
    struct str requests = top_count(a, s->requests), errors = top_count(a, s->errors),
               out = top_count(a, s->tokens_out);
    struct str queue = top_count(a, s->queue), rss = top_bytes(a, s->rss);
    text_printf(&t, "%.*s requests, %.*s errors, %.*s tokens written; %.*s waiting", STR_ARG(requests), STR_ARG(errors),
                STR_ARG(out), STR_ARG(queue));
    if (!isnan(s->cache_ratio))
        text_printf(&t, "; cache %.0f%% hits", s->cache_ratio * 100);
    text_printf(&t, "; memory %.*s", STR_ARG(rss));
    put_cut(sheet, v, TOP_PLAIN, text_str(&t));
    text_free(&t);
}

static void put_firing(struct sheet *sheet, const struct top_view *v, const struct top_state *s)
{
    unsigned said = 0;
    for (unsigned i = 0; i < s->n_alerts && said < 3; i++)
        if (str_eq(s->alert[i].state, STR("firing"))) {
            struct text t = { 0 };
            text_printf(&t, "! %.*s: %.*s", STR_ARG(s->alert[i].name), STR_ARG(s->alert[i].message));
            put_cut(sheet, v, TOP_BAD, text_str(&t));
            text_free(&t);
            said++;
        }
}

static void put_head(struct sheet *sheet, const struct top_view *v, const struct top_state *s, struct arena *a)
{
    if (!s->good) {
        put_cut(sheet, v, TOP_BOLD, str_of(v->url ? v->url : "OllamaMax"));
        return;
    }
    put_verdict(sheet, v, s);
    put_figures(sheet, v, s, a);
    put_totals(sheet, v, s, a);
    put_firing(sheet, v, s);
}

/* ---- body -------------------------------------------------------------------------------------------------------- */

static unsigned chosen_row(const struct top_view *v, const struct top_table *t, enum top_page p)
{
    for (unsigned i = 0; i < t->rows; i++)
        if (str_eq(str_take(t->row[i].id, TOP_WORD - 1), str_of(v->of[p].chosen)))
            return i;
    return 0;
}

static void put_title(struct sheet *sheet, const struct top_view *v, const struct top_table *t, enum top_page p)
{
    struct text line = { 0 };
    text_printf(&line, "%s (%u)", top_page_title(p), t->rows);
    if (p == v->page && *v->filter)
        text_printf(&line, " with \"%s\"", v->filter);
    put_cut(sheet, v, p == v->page ? TOP_BOLD : TOP_FAINT, text_str(&line));
    text_free(&line);
}

/* A page in at most `most` lines, scrolled so that the chosen row is seen. */
static void put_page(struct sheet *sheet, const struct top_view *v, const struct top_table *t, enum top_page p,
                     unsigned most)
{
    struct top_paper paper = v->paper;
    unsigned width[TOP_CELLS], room = most > 2 ? most - 2 : 0, chosen = chosen_row(v, t, p);
    unsigned from = chosen >= room && room ? chosen - room + 1 : 0;
    paper.width -= MIN(paper.width, 1u); /* the mark's column */
    put_title(sheet, v, t, p);
    top_table_fit(t, &paper, width);
    for (int i = -1; i < (int)MIN(t->rows - MIN(from, t->rows), room); i++) {
        struct text line = { 0 };
        bool marked = i >= 0 && p == v->page && from + (unsigned)i == chosen;
        text_putc(&line, marked ? '>' : ' ');
        if (i < 0)
            top_table_head(t, &paper, width, v->of[p].column, &line);
        else
            top_table_line(t, &paper, width, from + (unsigned)i, marked, &line);
        put_line(sheet, text_str(&line));
        text_free(&line);
    }
}

#define PAGE_LEAST 4 /* lines for which another page is begun */

static void put_pages(struct sheet *sheet, const struct top_view *v, const struct top_state *s, struct arena *a)
{
    for (unsigned p = v->page; p < PAGE_COUNT; p++) {
        struct top_table t = top_page_table(a, s, v, (enum top_page)p);
        unsigned left = sheet->most - sheet->lines;
        if (p != v->page && (left < PAGE_LEAST + 1 || !t.rows))
            continue;
        put_line(sheet, STR_NONE);
        put_page(sheet, v, &t, (enum top_page)p, MIN(left - MIN(left, 1u), t.rows + 2));
    }
}

static void put_help(struct sheet *sheet)
{
    put_lines(sheet, STR("\n  1 2 3 4 5, Tab   nodes, models, requests, queue, alerts\n"
                         "  up down, j k     choose a row; PgUp PgDn Home End\n"
                         "  Enter            into it: a node's models, a request's road\n"
                         "  Esc, Backspace   back\n"
                         "  s, r             sort by the next column; the other way round\n"
                         "  /                only rows that hold a text; Esc: all\n"
                         "  space            hold the picture still\n"
                         "  h ?              this\n"
                         "  q                leave\n"));
}

static const struct top_node *node_named(const struct top_state *s, const char *id)
{
    for (unsigned i = 0; i < s->nodes; i++)
        if (str_eq(str_take(s->node[i].id, TOP_WORD - 1), str_of(id)))
            return &s->node[i];
    return NULL;
}

static const struct top_alert *alert_saying(const struct top_state *s, const char *message)
{
    for (unsigned i = 0; i < s->n_alerts; i++)
        if (str_eq(str_take(s->alert[i].message, TOP_WORD - 1), str_of(message)))
            return &s->alert[i];
    return NULL;
}

static void put_inside(struct sheet *sheet, const struct top_view *v, const struct top_state *s)
{
    const struct top_node *n = v->page == PAGE_NODES ? node_named(s, v->inside_of) : NULL;
    const struct top_alert *l = v->page == PAGE_ALERTS ? alert_saying(s, v->inside_of) : NULL;
    struct text t = { 0 };
    if (n)
        top_inside_node(v, n, &t);
    else if (l)
        top_inside_alert(v, l, &t);
    else if (v->page == PAGE_REQUESTS)
        top_inside_request(v, json_parse(buf_str(&v->record), NULL), &t);
    else if (v->page == PAGE_MODELS || v->page == PAGE_QUEUE)
        top_inside_model(v, s, str_of(v->inside_of), &t);
    else
        text_put(&t, STR("  it has gone; Esc: back\n"));
    put_line(sheet, STR_NONE);
    put_lines(sheet, text_str(&t));
    text_free(&t);
}

/* ---- foot -------------------------------------------------------------------------------------------------------- */

static void put_foot(struct sheet *sheet, const struct top_view *v)
{
    struct text t = { 0 };
    if (v->trouble && v->stale_s > 0)
        text_printf(&t, "%s; this is %.0f s old, trying again", v->trouble, v->stale_s);
    else if (v->trouble)
        text_printf(&t, "%s; trying again", v->trouble);
    else if (v->typing)
        text_printf(&t, "/%s_", v->filter);
    else if (v->held)
        text_put(&t, STR("held still; space: go on"));
    else
        text_put(&t, STR("q leave  1-5 pages  Enter into  s sort  r reverse  / filter  h help"));
    put_cut(sheet, v, v->trouble ? TOP_WARN : TOP_FAINT, text_str(&t));
    text_free(&t);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

void top_view_draw(const struct top_view *v, const struct top_state *s, struct text *out)
{
    struct sheet sheet = { .to = out, .most = v->rows > 1 ? v->rows - 1 : 0 };
    struct arena a;
    arena_init(&a);
    put_head(&sheet, v, s, &a);
    if (v->help)
        put_help(&sheet);
    else if (v->inside)
        put_inside(&sheet, v, s);
    else if (s->good)
        put_pages(&sheet, v, s, &a);
    while (sheet.lines < sheet.most)
        put_line(&sheet, STR_NONE);
    sheet.most = v->rows;
    put_foot(&sheet, v);
    arena_done(&a);
}

static void print_figures(const struct top_state *s, struct text *out)
{
    const struct {
        const char *name;
        double v;
    } all[] = {
        {"uptime_s",         s->uptime                            },
        { "nodes_up",        s->nodes_up                          },
        { "nodes_total",     s->nodes_total                       },
        { "requests",        s->requests                          },
        { "errors",          s->errors                            },
        { "tokens_in",       s->tokens_in                         },
        { "tokens_out",      s->tokens_out                        },
        { "inflight",        s->inflight                          },
        { "waiting",         s->queue                             },
        { "requests_per_s",  last_of(&s->series[TOP_REQUEST_RATE])},
        { "tokens_per_s",    last_of(&s->series[TOP_TOKEN_RATE])  },
        { "ttft_p95_ms",     last_of(&s->series[TOP_FIRST_TOKEN]) },
        { "cache_hit_ratio", s->cache_ratio                       },
        { "memory_bytes",    s->rss                               },
        { "alerts_firing",   s->firing                            },
    };
    text_printf(out, "%-16s %.*s\n%-16s %.*s\n", "status", STR_ARG(s->status), "version", STR_ARG(s->version));
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (isnan(all[i].v))
            text_printf(out, "%-16s -\n", all[i].name);
        else
            text_printf(out, "%-16s %.15g\n", all[i].name, all[i].v);
}

void top_view_print(const struct top_state *s, const struct top_paper *paper, struct text *out)
{
    struct top_view v;
    struct arena a;
    unsigned width[TOP_CELLS];
    arena_init(&a);
    top_view_init(&v);
    print_figures(s, out);
    for (unsigned p = 0; p < PAGE_COUNT; p++) {
        struct top_table t = top_page_table(&a, s, &v, (enum top_page)p);
        top_table_fit(&t, paper, width);
        text_putc(out, '\n');
        top_table_head(&t, paper, width, -1, out);
        text_putc(out, '\n');
        for (unsigned i = 0; i < t.rows; i++) {
            top_table_line(&t, paper, width, i, false, out);
            text_putc(out, '\n');
        }
    }
    arena_done(&a);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static void keep_word(char *to, struct str s)
{
    *put_str(to, str_take(s, TOP_WORD - 1)) = 0;
}

static void type(struct top_view *v, int key)
{
    size_t n = strlen(v->filter);
    if (key == KEY_ENTER || key == KEY_BACK)
        v->typing = false;
    if (key == KEY_BACK)
        *v->filter = 0;
    if (key == KEY_ERASE && n)
        v->filter[n - 1] = 0;
    if (key >= ' ' && key < 127 && n + 1 < TOP_WORD) {
        v->filter[n] = (char)key;
        v->filter[n + 1] = 0;
    }
}

static void turn_to(struct top_view *v, unsigned page)
{
    if (page == v->page && !v->inside)
        return;
    v->page = (enum top_page)(page % PAGE_COUNT);
    v->inside = false;
    *v->filter = 0;
}

static void go_back(struct top_view *v)
{
    if (v->help)
        v->help = false;
    else if (v->inside)
        v->inside = false;
    else
        *v->filter = 0;
}

static void go_inside(struct top_view *v, const struct top_state *s, struct str id)
{
    keep_word(v->inside_of, id);
    v->inside = true;
    buf_free(&v->record);
    for (unsigned i = 0; i < s->n_requests && v->page == PAGE_REQUESTS; i++)
        if (str_eq(s->request[i].id, id))
            v->inside = !buf_append(&v->record, s->request[i].json.raw);
}

static void sort_by_next(struct top_view *v, const struct top_table *t)
{
    int *column = &v->of[v->page].column;
    *column = *column + 1 < (int)t->columns ? *column + 1 : -1;
    v->of[v->page].falling = *column >= 0 && t->column[*column].right; /* of figures the greatest first */
}

static void on_row(struct top_view *v, const struct top_state *s, const struct top_table *t, int key)
{
    int at = (int)chosen_row(v, t, v->page), page = MAX((int)v->rows - 12, 1), last = (int)t->rows - 1;
    switch (key) {
    case KEY_UP:
    case 'k': at--; break;
    case KEY_DOWN:
    case 'j': at++; break;
    case KEY_PAGE_UP: at -= page; break;
    case KEY_PAGE_DOWN: at += page; break;
    case KEY_HOME: at = 0; break;
    case KEY_END: at = last; break;
    case KEY_ENTER: go_inside(v, s, t->row[at].id); break;
    }
    keep_word(v->of[v->page].chosen, t->row[MAX(MIN(at, last), 0)].id);
}

static void on_page(struct top_view *v, const struct top_state *s, int key)
{
    struct arena a;
    arena_init(&a);
    struct top_table t = top_page_table(&a, s, v, v->page);
    if (key == 's')
        sort_by_next(v, &t);
    else if (key == 'r')
        v->of[v->page].falling = !v->of[v->page].falling;
    else if (t.rows)
        on_row(v, s, &t, key);
    arena_done(&a);
}

bool top_view_key(struct top_view *v, const struct top_state *s, int key)
{
    if (v->typing)
        type(v, key);
    else if (key == 'q')
        return false;
    else if (key == 'h' || key == '?')
        v->help = !v->help;
    else if (key == KEY_BACK || key == KEY_ERASE)
        go_back(v);
    else if (key == ' ')
        v->held = !v->held;
    else if (key == '/')
        v->typing = !v->inside;
    else if (key == '\t')
        turn_to(v, v->page + 1);
    else if (key >= '1' && key < '1' + PAGE_COUNT)
        turn_to(v, (unsigned)(key - '1'));
    else if (!v->inside)
        on_page(v, s, key);
    return true;
}
