/* api/rename.c - a scanner that keeps its place between pieces, and knows no more of JSON than where strings, levels
 * and keys are.
 *
 *     data: {"type":"message_start","message":{"id":"m1","model":"qwen3:8b", ...
 *     '-line                        '-above   '-depth 2  '-key    '-replaced
 *
 * Answers are not parsed into members (base/json.h) because a large one passes in pieces of which none is whole, and
 * OpenAI's embeddings name the model behind megabytes of vectors. What is no JSON passes unchanged; a line feed inside
 * a string, or in NDJSON anywhere, ends what was begun, so that a broken record spoils no other. */
#include "api/rename.h"

#define KEY_OTHER (sizeof(((struct rename *)0)->key) + 1)

static const struct str data_begins = { "data:", 5 };

void rename_init(struct rename *r, enum dialect d, enum record_form form, struct str to)
{
    *r = (struct rename){ .to = to, .form = form };
    if (d == DIALECT_ANTHROPIC)
        r->above = STR("message");
    if (d == DIALECT_RESPONSES)
        r->above = STR("response");
}

/* What comes begins anew. */
static void forget(struct rename *r)
{
    r->depth = r->key_n = 0;
    r->in_string = r->escaped = r->object = r->inside = r->key_next = r->at_key = r->at_name = false;
}

/* Members are looked at here. */
static bool is_watched(const struct rename *r)
{
    return (r->depth == 1 && r->object) || (r->depth == 2 && r->inside);
}

static bool key_is(const struct rename *r, struct str name)
{
    return r->key_n <= sizeof r->key && str_eq((struct str){ r->key, r->key_n }, name);
}

/* ---- what goes out ----------------------------------------------------------------------------------------------- */

struct pass {
    struct text *out;
    const char *from; /* what is before it is in `out`, once anything has changed */
    bool changed;
};

static void put_until(struct pass *p, const char *to)
{
    text_put(p->out, str_span(p->from, to));
    p->from = to;
    p->changed = true;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

static void string_begins(struct rename *r, const char *quote, struct pass *pass)
{
    bool watched = is_watched(r);
    r->in_string = true;
    r->at_key = watched && r->key_next;
    r->at_name = watched && !r->key_next && key_is(r, STR("model"));
    r->name_empty = true;
    if (r->at_key)
        r->key_n = 0;
    if (r->at_name)
        put_until(pass, quote);
}

static void string_ends(struct rename *r, const char *quote, struct pass *pass)
{
    r->in_string = false;
    if (r->at_name) {
        text_put(pass->out, r->name_empty ? STR("\"\"") : r->to);
        pass->from = quote + 1;
    }
    if (!r->at_key)
        r->key_n = 0;
    r->at_name = r->at_key = false;
}

static void string_goes_on(struct rename *r, struct str part)
{
    r->name_empty &= part.n == 0;
    if (!r->at_key)
        return;
    if (r->key_n + part.n > sizeof r->key) {
        r->key_n = KEY_OTHER;
        return;
    }
    put_str(r->key + r->key_n, part);
    r->key_n += (uint8_t)part.n;
}

static const char *pass_string(struct rename *r, const char *p, const char *end, struct pass *pass)
{
    const char *from = p;
    if (r->escaped && *p != '\n') {
        r->escaped = false;
        return p + 1;
    }
    while (p < end && *p != '"' && *p != '\\' && *p != '\n')
        p++;
    string_goes_on(r, str_span(from, p));
    if (p == end)
        return p;
    if (*p == '\n') {
        if (r->at_name) { /* as broken as it was */
            text_put(pass->out, STR("\""));
            pass->from = p;
        }
        forget(r);
        return p;
    }
    if (*p == '"') {
        string_ends(r, p, pass);
    } else {
        r->escaped = true;
        r->name_empty = false;
        r->key_n = r->at_key ? KEY_OTHER : r->key_n;
    }
    return p + 1;
}

/* ---- between strings --------------------------------------------------------------------------------------------- */

static void level_begins(struct rename *r, bool object)
{
    if (r->depth == 0)
        r->object = object;
    if (r->depth == 1)
        r->inside = object && r->object && !r->key_next && r->above.n && key_is(r, r->above);
    r->depth += r->depth < UINT32_MAX;
    r->key_next = object;
    r->key_n = 0;
}

static void level_ends(struct rename *r)
{
    r->depth -= r->depth > 0;
    r->inside = r->inside && r->depth >= 2;
    r->key_next = false;
    r->key_n = 0;
}

static void line_ends(struct rename *r)
{
    if (r->form == FORM_NDJSON)
        forget(r);
    r->line = LINE_BEGINS;
    r->begun = 0;
}

static const char *pass_mark(struct rename *r, const char *p, struct pass *pass)
{
    switch (*p) {
    case '"': string_begins(r, p, pass); break;
    case '{': level_begins(r, true); break;
    case '[': level_begins(r, false); break;
    case '}':
    case ']': level_ends(r); break;
    case ',':
        r->key_next = true;
        r->key_n = 0;
        break;
    case ':': r->key_next = false; break;
    case '\r': r->after_cr = true; /* fall through */
    case '\n': line_ends(r); break;
    default: break;
    }
    return p + 1;
}

/* ---- lines of events --------------------------------------------------------------------------------------------- */

static bool ends_line(char c)
{
    return c == '\n' || c == '\r';
}

/* Up to the data of a line, or to its end if it has none. An empty line is the end of a record. */
static const char *pass_line(struct rename *r, const char *p, const char *end)
{
    while (p < end && r->line == LINE_OTHER && !ends_line(*p))
        p++;
    while (p < end && r->line == LINE_BEGINS && *p == data_begins.p[r->begun]) {
        p++;
        if (++r->begun == data_begins.n)
            r->line = LINE_DATA;
    }
    if (p == end || r->line == LINE_DATA)
        return p;
    if (!ends_line(*p)) {
        r->line = LINE_OTHER;
        return p;
    }
    if (r->line == LINE_BEGINS && r->begun == 0)
        forget(r);
    r->after_cr = *p == '\r';
    line_ends(r);
    return p + 1;
}

static const char *pass_some(struct rename *r, const char *p, const char *end, struct pass *pass)
{
    bool same_line = r->after_cr && *p == '\n';
    r->after_cr = false;
    if (same_line)
        return p + 1;
    if (r->in_string)
        return pass_string(r, p, end, pass);
    if (r->form == FORM_SSE && r->line != LINE_DATA)
        return pass_line(r, p, end);
    return pass_mark(r, p, pass);
}

struct str rename_take(struct rename *r, struct str in, struct text *out)
{
    if (!in.n)
        return in;
    const char *end = in.p + in.n;
    struct pass pass = { .out = out, .from = in.p, .changed = r->at_name };
    for (const char *p = in.p; p < end;)
        p = pass_some(r, p, end, &pass);
    if (!pass.changed)
        return in;
    if (!r->at_name)
        put_until(&pass, end);
    return out->failed ? STR_NONE : text_str(out);
}
