/* Words of plays. One pass over the text, no grammar: what a word means is the business of whoever takes it. */
#include "words.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void line_wrong(const struct line *l, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s:%u: ", l->file, l->no);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

bool word_is(const struct word *w, const char *text)
{
    return w->kind == WORD_PLAIN && strcmp(w->text, text) == 0;
}

/* ---- numbers ---- */
struct unit {
    const char *name;
    uint64_t is;
};

static uint64_t measured(const struct line *l, const struct word *w, const struct unit *units)
{
    char *end;
    uint64_t n = strtoull(w->text, &end, 10);
    for (const struct unit *u = units; end != w->text && u->name; u++)
        if (strcmp(end, u->name) == 0)
            return n * u->is;
    line_wrong(l, "'%s' is no number of a unit known here", w->text);
}

nsec word_time(const struct line *l, const struct word *w)
{
    static const struct unit units[] = {
        {"us",  1000      },
        { "ms", 1000000   },
        { "s",  1000000000},
        { NULL, 0         }
    };
    return (nsec)measured(l, w, units);
}

uint64_t word_number(const struct line *l, const struct word *w)
{
    static const struct unit units[] = {
        {"",     1     },
        { "KiB", KIB(1)},
        { "MiB", MIB(1)},
        { NULL,  0     }
    };
    return measured(l, w, units);
}

/* ---- one word ---- */
struct reader {
    struct line *line;
    const char *at, *end;
    char *out; /* of the running word */
    size_t n, cap;
};

static void put(struct reader *r, char c)
{
    if (r->n + 2 > r->cap) {
        r->cap = 2 * r->cap + 64;
        r->out = realloc(r->out, r->cap);
        assume(r->out);
    }
    r->out[r->n++] = c;
    r->out[r->n] = 0;
}

static bool more(const struct reader *r)
{
    return r->at < r->end && *r->at != '\n';
}

static char escaped(struct reader *r)
{
    char c = *r->at++, hex[3] = { 0 };
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'x':
        if (r->end - r->at < 2)
            line_wrong(r->line, "\\x wants two digits");
        memcpy(hex, r->at, 2);
        r->at += 2;
        return (char)strtoul(hex, NULL, 16);
    default: return c;
    }
}

static void repeat(struct reader *r)
{
    struct word times = { .text = (char[24]){ 0 } };
    size_t n = r->n, i = 0;
    r->at++;
    while (more(r) && isalnum((unsigned char)*r->at) && i < 20)
        times.text[i++] = *r->at++;
    for (uint64_t k = word_number(r->line, &times); k > 1; k--)
        for (size_t b = 0; b < n; b++)
            put(r, r->out[b]);
}

static void read_text(struct reader *r)
{
    r->at++;
    while (more(r) && *r->at != '"') {
        char c = *r->at++;
        put(r, c == '\\' && more(r) ? escaped(r) : c);
    }
    if (!more(r))
        line_wrong(r->line, "a text without its closing quote");
    r->at++;
    if (more(r) && *r->at == '*')
        repeat(r);
}

static void copy_json_text(struct reader *r)
{
    put(r, *r->at++);
    while (more(r) && *r->at != '"') {
        if (*r->at == '\\')
            put(r, *r->at++);
        put(r, *r->at++);
    }
    if (!more(r))
        line_wrong(r->line, "a text without its closing quote");
    put(r, *r->at++);
}

static bool in_bare_word(const struct reader *r)
{
    char c = *r->at;
    bool last = r->at + 1 == r->end || strchr(" ,}]\n", r->at[1]);
    return isalnum((unsigned char)c) || strchr("_.-/", c) || (c == ':' && !last);
}

static bool is_json_literal(struct str s)
{
    char *end;
    if (str_eq(s, STR("true")) || str_eq(s, STR("false")) || str_eq(s, STR("null")))
        return true;
    strtod(s.p, &end);
    return end >= s.p + s.n;
}

static void copy_bare_word(struct reader *r)
{
    const char *from = r->at;
    while (more(r) && in_bare_word(r))
        r->at++;
    struct str s = str_span(from, r->at);
    bool quoted = !is_json_literal(s);
    if (!s.n)
        line_wrong(r->line, "'%c' in a JSON value", *r->at);
    if (quoted)
        put(r, '"');
    for (size_t i = 0; i < s.n; i++)
        put(r, s.p[i]);
    if (quoted)
        put(r, '"');
}

static void read_json(struct reader *r)
{
    unsigned depth = 0;
    do {
        char c = *r->at;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (c == '"')
            copy_json_text(r);
        else if (c == ' ')
            r->at++;
        else if (strchr("{}[],:", c))
            put(r, *r->at++);
        else
            copy_bare_word(r);
    } while (depth && more(r));
    if (depth)
        line_wrong(r->line, "a JSON value without its end");
}

static void read_plain(struct reader *r)
{
    while (more(r) && !isspace((unsigned char)*r->at) && *r->at != ',')
        put(r, *r->at++);
}

static struct word read_word(struct reader *r)
{
    struct word w = { .kind = *r->at == '"' ? WORD_TEXT : *r->at == '{' ? WORD_JSON : WORD_PLAIN };
    r->out = NULL;
    r->n = r->cap = 0;
    if (w.kind == WORD_TEXT)
        read_text(r);
    else if (w.kind == WORD_JSON)
        read_json(r);
    else
        read_plain(r);
    put(r, 0);
    w.text = r->out;
    w.n = r->n - 1;
    w.comma = more(r) && *r->at == ',';
    r->at += w.comma;
    return w;
}

/* ---- lines and plays ---- */
static void skip_blanks(struct reader *r)
{
    while (more(r) && isspace((unsigned char)*r->at))
        r->at++;
}

static void read_line(struct reader *r)
{
    struct line *l = r->line;
    l->w = calloc(LINE_WORDS, sizeof *l->w);
    assume(l->w);
    for (skip_blanks(r); more(r) && *r->at != '#'; skip_blanks(r)) {
        if (l->n == LINE_WORDS)
            line_wrong(l, "more than %d words", LINE_WORDS);
        l->w[l->n++] = read_word(r);
    }
    while (more(r))
        r->at++;
}

static void line_free(struct line *l)
{
    for (unsigned i = 0; i < l->n; i++)
        free(l->w[i].text);
    free(l->w);
}

static void add_line(struct script *s, const struct line *l)
{
    s->line = realloc(s->line, (s->n + 1) * sizeof *s->line);
    assume(s->line);
    s->line[s->n++] = *l;
}

static void begin_script(struct scripts *all, const struct line *l)
{
    char title[512] = "";
    for (unsigned i = 1; i < l->n; i++)
        snprintf(title + strlen(title), sizeof title - strlen(title), "%s%s%s", i > 1 ? " " : "", l->w[i].text,
                 l->w[i].comma ? "," : "");
    all->script = realloc(all->script, (all->n + 1) * sizeof *all->script);
    assume(all->script);
    all->script[all->n++] = (struct script){ .title = strdup(title) };
}

struct scripts scripts_read(const char *file, struct str text)
{
    struct scripts all = { 0 };
    struct line line = { .file = file };
    struct reader r = { .line = &line, .at = text.p, .end = text.p + text.n };
    for (unsigned no = 1; r.at < r.end; no++, r.at++) {
        line = (struct line){ .file = file, .no = no };
        read_line(&r);
        if (line.n && word_is(&line.w[0], "play"))
            begin_script(&all, &line);
        else if (line.n && !all.n)
            line_wrong(&line, "before the first `play`");
        if (line.n && !word_is(&line.w[0], "play"))
            add_line(&all.script[all.n - 1], &line);
        else
            line_free(&line);
    }
    return all;
}

struct scripts scripts_load(const char *file)
{
    char *text = NULL;
    size_t n = 0;
    FILE *in = fopen(file, "r");
    if (!in) {
        perror(file);
        exit(2);
    }
    ssize_t got = getdelim(&text, &n, 0, in);
    fclose(in);
    struct scripts all = scripts_read(file, (struct str){ text, got > 0 ? (size_t)got : 0 });
    free(text);
    return all;
}

void scripts_free(struct scripts *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        for (unsigned k = 0; k < s->script[i].n; k++)
            line_free(&s->script[i].line[k]);
        free(s->script[i].line);
        free(s->script[i].title);
    }
    free(s->script);
    *s = (struct scripts){ 0 };
}
