/* api/record.c - where records end, and what they mean.
 *
 * Every slice of every stream passes here twice: record_whole finds its last complete record, record_look asks whether
 * the stream has ended or failed. Almost always the answer is "an ordinary record", and that must cost next to nothing:
 *
 *     slice --leap to ':'--> each key, by the four bytes before its quote --none matters--> MARK_NONE (always)
 *                                    `--"error", "done" not false, "usage" ...--> the scanner decides (at the end)
 *
 * The hop from colon to colon only suspects; it never convicts. Words inside strings have escaped quotes and are passed
 * over, the same words in tool arguments or content cost one run of the scanner, which looks at the top level alone.
 * Rejected: a memmem per word (a table to set up for each, and six words), and judging by the record's last bytes,
 * since the order of members is each server's own. */
#include "api/record.h"
#include "base/scan.h"

struct lines {
    const char *at, *end;
    const char
        *feed; /* the next '\n' at or after `at`, or end; looked for once, so that a stream of '\r' stays linear */
};

static struct lines lines_of(struct str s)
{
    return (struct lines){ s.p, s.p + s.n, NULL };
}

/* The next line that has its end, without it. */
static bool line_next(struct lines *l, struct str *out)
{
    if (l->at >= l->end)
        return false;
    if (!l->feed || l->feed < l->at) {
        l->feed = memchr(l->at, '\n', (size_t)(l->end - l->at));
        if (!l->feed)
            l->feed = l->end;
    }
    const char *cr = memchr(l->at, '\r', (size_t)(l->feed - l->at));
    const char *stop = cr ? cr : l->feed;
    if (stop == l->end)
        return false;
    *out = str_span(l->at, stop);
    l->at = stop + 1;
    if (cr && l->at < l->end && *l->at == '\n')
        l->at++;
    return true;
}

enum record_form record_form_of(struct str content_type)
{
    static const struct {
        struct str type;
        enum record_form form;
    } types[] = {
        {{ "application/x-ndjson", 20 }, FORM_NDJSON},
        { { "application/ndjson", 18 },  FORM_NDJSON},
        { { "application/jsonl", 17 },   FORM_NDJSON},
        { { "text/event-stream", 17 },   FORM_SSE   },
    };
    struct str type = str_trim_blank(str_cut(&content_type, ';'));
    for (unsigned i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq_nocase(type, types[i].type))
            return types[i].form;
    return FORM_WHOLE;
}

static size_t whole_lines(struct str in, unsigned *out_records)
{
    size_t whole = (size_t)(str_rchr(in, '\n') + 1);
    for (const char *p = in.p, *end = p + whole; p < end; p++) {
        p = memchr(p, '\n', (size_t)(end - p));
        ++*out_records;
    }
    return whole;
}

static size_t whole_events(struct str tail, struct str in, unsigned *out_records)
{
    struct lines l = lines_of(in);
    char before = tail.n ? tail.p[tail.n - 1] : '\n';
    if (before == '\r' && in.n && in.p[0] == '\n')
        l.at++;
    bool begun = tail.n > 0;                         /* the event has a line, or a part of one */
    bool in_line = before != '\n' && before != '\r'; /* and the part is in the tail */
    size_t end = 0;
    struct str line;
    while (line_next(&l, &line)) {
        if (line.n || in_line) {
            begun = true;
            in_line = false;
            continue;
        }
        *out_records += begun;
        begun = false;
        end = (size_t)(l.at - in.p);
    }
    return end;
}

size_t record_whole(enum record_form form, struct str tail, struct str in, unsigned *out_records)
{
    *out_records = 0;
    if (in.n == 0)
        return 0;
    if (form == FORM_NDJSON)
        return whole_lines(in, out_records);
    return form == FORM_SSE ? whole_events(tail, in, out_records) : 0;
}

struct str record_cut(enum record_form form, struct str *rest)
{
    struct str all = *rest, line;
    if (form == FORM_NDJSON) {
        str_cut(rest, '\n');
        return str_take(all, all.n - rest->n);
    }
    struct lines l = lines_of(all);
    bool begun = false;
    while (form == FORM_SSE && line_next(&l, &line)) {
        begun |= line.n > 0;
        if (line.n == 0 && begun) {
            *rest = str_span(l.at, l.end);
            return str_span(all.p, l.at);
        }
    }
    *rest = STR_NONE;
    return all;
}

size_t record_last(enum record_form form, struct str records)
{
    struct str rest = records, record = records;
    while (rest.n) {
        struct str next = record_cut(form, &rest);
        if (str_trim(next).n)
            record = next;
    }
    return records.n ? (size_t)(record.p - records.p) : 0;
}

/* Suspicion: does a word stand in these records that could matter? */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WORD(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#else
#define WORD(a, b, c, d) ((uint32_t)(d) | (uint32_t)(c) << 8 | (uint32_t)(b) << 16 | (uint32_t)(a) << 24)
#endif

static inline uint32_t word_before(const char *p)
{
    uint32_t word;
    memcpy(&word, p - sizeof word, sizeof word);
    return word;
}

static bool type_matters(enum dialect d, struct str value)
{
    switch (d) {
    case DIALECT_ANTHROPIC: return str_starts(value, STR("\"message")) || str_starts(value, STR("\"error"));
    case DIALECT_RESPONSES:
        return str_starts(value, STR("\"error")) || str_starts(value, STR("\"response.completed")) ||
               str_starts(value, STR("\"response.failed")) || str_starts(value, STR("\"response.incomplete"));
    default: return !str_starts(value, STR("\"function\""));
    }
}

static inline bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

static struct str value_behind(const char *colon, const char *end)
{
    const char *p = colon + 1;
    while (p < end && is_blank(*p))
        p++;
    return str_span(p, end);
}
static inline bool begins_with(const char *colon, const char *end, char c)
{
    struct str value = value_behind(colon, end);
    return value.n && *value.p == c;
}

/* `key_end`: behind the key's last letter. */
static inline bool key_matters(enum dialect d, const char *key_end, const char *colon, struct str records)
{
    const char *end = records.p + records.n;
    switch (word_before(key_end)) {
    case WORD('r', 'r', 'o', 'r'): return !begins_with(colon, end, 'n');
    case WORD('d', 'o', 'n', 'e'): return !begins_with(colon, end, 'f');
    case WORD('a', 't', 'u', 's'): return d == DIALECT_OLLAMA || d == DIALECT_OWN;
    case WORD('s', 'a', 'g', 'e'):
        return key_end - records.p > 4 && key_end[-5] == 'u' && !begins_with(colon, end, 'n');
    case WORD('a', 's', 'o', 'n'): return !begins_with(colon, end, 'n');
    case WORD('o', 'd', 'e', 'l'): return str_starts(value_behind(colon, end), STR("\"\""));
    case WORD('j', 'e', 'c', 't'): return str_starts(value_behind(colon, end), STR("\"error"));
    case WORD('t', 'y', 'p', 'e'): return type_matters(d, value_behind(colon, end));
    case WORD('v', 'e', 'n', 't'): return str_starts(value_behind(colon, end), STR("error"));
    case WORD('d', 'a', 't', 'a'): return !begins_with(colon, end, '{');
    default: return false;
    }
}

/* Behind a quote is a key, behind a letter the field of an event; a blank is nobody's style and left to the scanner. */
static inline bool colon_matters(enum dialect d, const char *colon, struct str records, bool *keyed)
{
    bool quoted = colon[-1] == '"';
    const char *key_end = colon - quoted;
    *keyed |= quoted;
    return is_blank(colon[-1]) || (key_end - records.p >= 4 && key_matters(d, key_end, colon, records));
}

/* No word of ours fits before the fifth byte. The last leap ends with the records, and may see a colon again. */
static bool may_matter(enum dialect d, struct str records)
{
    bool keyed = false;
    if (records.n < LEAP + 4)
        return true;
    const char *last = records.p + records.n - LEAP;
    for (const char *p = records.p + 4;; p = MIN(p + LEAP, last)) {
        for (unsigned colons = leap_equal(p, ':'); colons; colons &= colons - 1)
            if (colon_matters(d, p + (unsigned)__builtin_ctz(colons), records, &keyed))
                return true;
        if (p == last)
            return !keyed;
    }
}

/* Conviction: what one record says at its top level. */

enum top {
    TOP_ERROR,
    TOP_DONE,
    TOP_DONE_REASON,
    TOP_STATUS,
    TOP_TOTAL,
    TOP_LOAD,
    TOP_PROMPT_EVAL,
    TOP_EVAL,
    TOP_PROMPT_COUNT,
    TOP_EVAL_COUNT,
    TOP_MODEL,
    TOP_OBJECT,
    TOP_TYPE,
    TOP_CHOICES,
    TOP_USAGE,
    TOP_TIMINGS,
    TOP_RESPONSE,
    TOP_MESSAGE,
    TOP_DELTA,
    TOP_STOP_REASON,
    TOPS
};

/* By length first: what is left is one comparison with a literal, which takes no call. */
static inline enum top top_of(struct str key)
{
#define IS(literal) (memcmp(key.p, literal, sizeof(literal) - 1) == 0)
    switch (key.n) {
    case 4: return IS("done") ? TOP_DONE : IS("type") ? TOP_TYPE : TOPS;
    case 5:
        return IS("error")   ? TOP_ERROR
               : IS("model") ? TOP_MODEL
               : IS("usage") ? TOP_USAGE
               : IS("delta") ? TOP_DELTA
                             : TOPS;
    case 6: return IS("status") ? TOP_STATUS : IS("object") ? TOP_OBJECT : TOPS;
    case 7: return IS("message") ? TOP_MESSAGE : IS("choices") ? TOP_CHOICES : IS("timings") ? TOP_TIMINGS : TOPS;
    case 8: return IS("response") ? TOP_RESPONSE : TOPS;
    case 10: return IS("eval_count") ? TOP_EVAL_COUNT : TOPS;
    case 11: return IS("done_reason") ? TOP_DONE_REASON : IS("stop_reason") ? TOP_STOP_REASON : TOPS;
    case 13: return IS("eval_duration") ? TOP_EVAL : IS("load_duration") ? TOP_LOAD : TOPS;
    case 14: return IS("total_duration") ? TOP_TOTAL : TOPS;
    case 17: return IS("prompt_eval_count") ? TOP_PROMPT_COUNT : TOPS;
    case 20: return IS("prompt_eval_duration") ? TOP_PROMPT_EVAL : TOPS;
    default: return TOPS;
    }
#undef IS
}

/* One record, or one body. */
struct saying {
    enum dialect dialect;
    bool whole;
    uint32_t seen;         /* a bit for each that is set of the following */
    struct json top[TOPS]; /* the last of its name */
};
_Static_assert(TOPS <= 32, "a bit for each");

static inline struct json get(const struct saying *s, enum top top)
{
    return s->seen >> top & 1 ? s->top[top] : (struct json){ .kind = JSON_BAD };
}

static struct str inside(struct json string)
{
    return str_span(string.raw.p + 1, string.raw.p + string.raw.n - 1);
}

static bool is_text(struct json v, struct str text)
{
    return v.kind == JSON_STRING && str_eq(inside(v), text);
}

static bool is_given(struct json v)
{
    return v.kind != JSON_BAD && v.kind != JSON_NULL;
}

/* As a client's library asks: anything but null, false and "". */
static bool is_truthy(struct json v)
{
    return is_given(v) && v.kind != JSON_FALSE && !is_text(v, STR(""));
}

static bool saying_read(struct saying *s, enum dialect d, bool whole, struct str text)
{
    s->dialect = d;
    s->whole = whole;
    s->seen = 0;
    if (text.n == 0)
        return false;
    struct json_walk w = scan_walk(text);
    while (w.object && scan_next(&w)) {
        enum top top = top_of(str_span(w.key.p + 1, w.key.p + w.key.n - 1));
        if (top == TOPS)
            continue;
        scan_keep(&w.value, &s->top[top]);
        s->seen |= 1u << top;
    }
    return w.object && w.at == JSON_AT_END;
}

void figures_clear(struct figures *f)
{
    *f = (struct figures){ -1, -1, -1, -1, -1, -1, REASON_NONE };
}

static void take_number(struct json v, int64_t *figure)
{
    int64_t n;
    if (json_i64(v, &n) && n >= 0)
        *figure = n;
}

static void take_reason(struct json v, struct figures *f)
{
    static const struct {
        struct str text;
        int reason;
    } reasons[] = {
        {{ "stop", 4 },            REASON_STOP  },
        { { "length", 6 },         REASON_LENGTH},
        { { "load", 4 },           REASON_LOAD  },
        { { "unload", 6 },         REASON_UNLOAD},
        { { "tool_calls", 10 },    REASON_TOOLS },
        { { "function_call", 13 }, REASON_TOOLS },
        { { "end_turn", 8 },       REASON_STOP  },
        { { "stop_sequence", 13 }, REASON_STOP  },
        { { "tool_use", 8 },       REASON_TOOLS },
        { { "max_tokens", 10 },    REASON_LENGTH},
        { { "completed", 9 },      REASON_STOP  },
        { { "incomplete", 10 },    REASON_LENGTH},
    };
    if (v.kind != JSON_STRING || inside(v).n == 0)
        return;
    f->reason = REASON_OTHER;
    for (unsigned i = 0; i < ARRAY_LEN(reasons) && f->reason == REASON_OTHER; i++)
        if (is_text(v, reasons[i].text))
            f->reason = reasons[i].reason;
}

static void take_usage(struct json usage, struct figures *f)
{
    take_number(json_get(usage, STR("prompt_tokens")), &f->prompt_tokens);
    take_number(json_get(usage, STR("input_tokens")), &f->prompt_tokens);
    take_number(json_get(usage, STR("completion_tokens")), &f->output_tokens);
    take_number(json_get(usage, STR("output_tokens")), &f->output_tokens);
}

/* llama-server's, in milliseconds. */
static void take_timing(struct json ms, int64_t *ns)
{
    double v;
    if (json_f64(ms, &v) && v > 0 && v < 1e9)
        *ns = (int64_t)(v * 1e6);
}

static void take_native(const struct saying *s, struct figures *f)
{
    take_number(get(s, TOP_TOTAL), &f->total);
    take_number(get(s, TOP_LOAD), &f->load);
    take_number(get(s, TOP_PROMPT_EVAL), &f->prompt_eval);
    take_number(get(s, TOP_EVAL), &f->eval);
    take_number(get(s, TOP_PROMPT_COUNT), &f->prompt_tokens);
    take_number(get(s, TOP_EVAL_COUNT), &f->output_tokens);
    take_reason(get(s, TOP_DONE_REASON), f);
}

/* Status and usage of a Responses answer: of the object inside the event, or of the body itself. */
static struct json response_status(const struct saying *s)
{
    return s->whole ? get(s, TOP_STATUS) : json_get(get(s, TOP_RESPONSE), STR("status"));
}
static struct json response_usage(const struct saying *s)
{
    return s->whole ? get(s, TOP_USAGE) : json_get(get(s, TOP_RESPONSE), STR("usage"));
}

static bool response_is_done(const struct saying *s)
{
    struct json status = get(s, TOP_STATUS);
    if (s->whole)
        return status.kind != JSON_STRING || is_text(status, STR("completed")) || is_text(status, STR("incomplete"));
    return is_text(get(s, TOP_TYPE), STR("response.completed")) ||
           is_text(get(s, TOP_TYPE), STR("response.incomplete"));
}

static void take_figures(const struct saying *s, struct figures *f)
{
    switch (s->dialect) {
    case DIALECT_OPENAI: {
        take_usage(get(s, TOP_USAGE), f);
        take_timing(json_get(get(s, TOP_TIMINGS), STR("prompt_ms")), &f->prompt_eval);
        take_timing(json_get(get(s, TOP_TIMINGS), STR("predicted_ms")), &f->eval);
        struct json_walk w = json_walk(get(s, TOP_CHOICES));
        while (json_next(&w))
            take_reason(json_get(w.value, STR("finish_reason")), f);
        break;
    }
    case DIALECT_RESPONSES:
        take_usage(response_usage(s), f);
        if (response_is_done(s))
            take_reason(response_status(s), f);
        break;
    case DIALECT_ANTHROPIC:
        take_usage(json_get(get(s, TOP_MESSAGE), STR("usage")), f);
        take_usage(get(s, TOP_USAGE), f);
        take_reason(json_get(get(s, TOP_DELTA), STR("stop_reason")), f);
        take_reason(get(s, TOP_STOP_REASON), f);
        break;
    default: take_native(s, f);
    }
}

static bool is_error(const struct saying *s, struct json *out_error)
{
    struct json error = get(s, TOP_ERROR);
    bool bare = is_text(get(s, TOP_OBJECT), STR("error")) || is_text(get(s, TOP_TYPE), STR("error"));
    if (s->dialect == DIALECT_RESPONSES && !is_truthy(error)) {
        error = json_get(get(s, TOP_RESPONSE), STR("error"));
        bare |= is_text(get(s, TOP_TYPE), STR("response.failed")) || is_text(response_status(s), STR("failed"));
    }
    if (!is_truthy(error) && !bare)
        return false;
    struct json message = json_get(error, STR("message"));
    *out_error = message.kind == JSON_STRING ? message : is_truthy(error) ? error : get(s, TOP_MESSAGE);
    return true;
}

/* A generate or chat answer is known by its text: without done:true it was cut, or stopped for repeating itself. */
static bool native_is_done(const struct saying *s)
{
    if (get(s, TOP_DONE).kind != JSON_BAD)
        return get(s, TOP_DONE).kind == JSON_TRUE;
    if (get(s, TOP_STATUS).kind == JSON_STRING)
        return is_text(get(s, TOP_STATUS), STR("success"));
    return s->whole && get(s, TOP_RESPONSE).kind == JSON_BAD && get(s, TOP_MESSAGE).kind == JSON_BAD;
}

static bool is_done(const struct saying *s)
{
    switch (s->dialect) {
    case DIALECT_OPENAI: return s->whole;
    case DIALECT_RESPONSES: return response_is_done(s);
    case DIALECT_ANTHROPIC: return s->whole || is_text(get(s, TOP_TYPE), STR("message_stop"));
    default: return native_is_done(s);
    }
}

/* Nothing in it but a role. */
static bool says_nothing(struct json choice)
{
    struct json delta = json_get(choice, STR("delta"));
    if (is_given(json_get(choice, STR("finish_reason"))) || is_truthy(json_get(choice, STR("text"))))
        return false;
    struct json_walk w = json_walk(delta);
    while (json_next(&w))
        if (is_truthy(w.value) && !json_key_is(w.key, STR("role")))
            return false;
    return true;
}

static bool is_hollow(const struct saying *s)
{
    if (s->dialect != DIALECT_OPENAI || s->whole || !is_text(get(s, TOP_MODEL), STR("")))
        return false;
    struct json_walk w = json_walk(get(s, TOP_CHOICES));
    bool any = false;
    while (json_next(&w)) {
        any = true;
        if (!says_nothing(w.value))
            return false;
    }
    return any;
}

static enum record_mark mark_of(const struct saying *s, struct figures *f, struct json *out_error)
{
    if (is_error(s, out_error))
        return MARK_ERROR;
    take_figures(s, f);
    if (is_done(s))
        return MARK_DONE;
    return is_hollow(s) ? MARK_HOLLOW : MARK_NONE;
}

struct event {
    struct str name, data; /* of several data lines the first: no server writes more than one */
    bool error_line;       /* "error: {...}", as older llama-server writes it */
};

static struct event event_of(struct str record)
{
    struct event e = { STR_NONE, STR_NONE, false };
    struct lines l = lines_of(record);
    struct str value;
    while (line_next(&l, &value)) {
        struct str field = str_cut(&value, ':');
        value = str_trim_blank(value);
        if (str_eq(field, STR("event")))
            e.name = value;
        bool error_line = str_eq(field, STR("error")) && str_starts(value, STR("{"));
        if (e.data.p == NULL && (error_line || str_eq(field, STR("data")))) {
            e.data = value;
            e.error_line = error_line;
        }
    }
    return e;
}

struct str record_data(enum record_form form, struct str record)
{
    return form == FORM_SSE ? event_of(record).data : record;
}

static enum record_mark look_event(enum dialect d, struct str record, struct figures *f, struct json *out_error)
{
    struct event e = event_of(record);
    if (str_starts(e.data, STR("[DONE]")))
        return MARK_DONE;
    struct saying s;
    enum record_mark mark = saying_read(&s, d, false, e.data) ? mark_of(&s, f, out_error) : MARK_NONE;
    if (mark == MARK_ERROR || !(e.error_line || str_eq(e.name, STR("error"))))
        return mark;
    *out_error = is_given(get(&s, TOP_MESSAGE)) || !e.data.n ? get(&s, TOP_MESSAGE) : json_parse(e.data, NULL);
    return MARK_ERROR;
}

/* What Ollama calls NDJSON on an OpenAI route is one object, a transcription, and complete by itself. */
static enum record_mark look_line(enum dialect d, struct str record, struct figures *f, struct json *out_error)
{
    struct saying s;
    bool native = d == DIALECT_OLLAMA || d == DIALECT_OWN;
    return saying_read(&s, d, !native, record) ? mark_of(&s, f, out_error) : MARK_NONE;
}

enum record_mark record_look(enum dialect d, enum record_form form, struct str records, struct figures *f,
                             struct json *out_error)
{
    if (form == FORM_WHOLE)
        return record_look_whole(d, records, f, out_error);
    if ((form == FORM_SSE || d == DIALECT_OLLAMA) && !may_matter(d, records))
        return MARK_NONE;
    enum record_mark all = MARK_NONE;
    while (records.n) {
        struct json error = { .kind = JSON_BAD };
        struct str record = record_cut(form, &records);
        enum record_mark mark = form == FORM_SSE ? look_event(d, record, f, &error) : look_line(d, record, f, &error);
        if (mark == MARK_ERROR && all != MARK_ERROR && out_error)
            *out_error = error;
        if (all != MARK_ERROR && (mark == MARK_ERROR || all != MARK_DONE))
            all = mark;
    }
    return all;
}

enum record_mark record_look_whole(enum dialect d, struct str body, struct figures *f, struct json *out_error)
{
    struct saying s;
    struct json error = { .kind = JSON_BAD };
    enum record_mark mark = saying_read(&s, d, true, body) ? mark_of(&s, f, &error) : MARK_NONE;
    if (mark == MARK_ERROR && out_error)
        *out_error = error;
    return mark;
}
