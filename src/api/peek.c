/* api/peek.c - one walk over the members of a body; each is looked up, and the last that counts is kept.
 *
 *     {"model":"m", "messages":[ ...passed over... ], "options":{...}, "MODEL":"n"} ignored
 *         |             |                                 |               |
 *      rows[] tells which field a key is, on this route, and what null or a wrong type means there
 *
 * Nothing is interpreted before the walk has ended, because anything may come again and Ollama takes the last one. How
 * null counts follows from the type of the Go field: it empties pointers, slices and maps, and leaves plain strings and
 * bools alone; {"model":"a","model":null} is still "a". Two `options` are merged, as Go does with maps, whose keys,
 * unlike those of structs, match to the letter. The contents of strings nobody asks for are not checked (json_skim):
 * the node does that.
 *
 * Images are found by a hint: while passing over messages, the scanner notes which keys occur, by length and first
 * letter. Only if the dialect's key for images may be among them, messages are walked again, a few levels down. A key
 * spelled with escapes, or deeper, is missed; all that depends on it is the choice of a node and an estimate. */
#include "api/peek.h"
#include "base/scan.h"
#include <stdarg.h>
#include <stdio.h>

/* Where a field is known: the request types of the dialects, and of some routes. */
enum {
    OLLAMA = 1 << DIALECT_OLLAMA,
    OPENAI = 1 << DIALECT_OPENAI,
    RESPONSES = 1 << DIALECT_RESPONSES,
    ANTHROPIC = 1 << DIALECT_ANTHROPIC,
    V1 = OPENAI | RESPONSES | ANTHROPIC,
    ALL = OLLAMA | V1,
    NAMED = 1 << 8,
    COPY = 1 << 9,
    CREATE = 1 << 10,
};
enum must_be { ANYTHING, TEXT, TRUTH };

enum field {
#define FIELD(id, key, known, null_keeps, type) IS_##id,
#include "api/peek.def"
#undef FIELD
    FIELD_COUNT
};
static const struct row {
    struct str key;
    unsigned known, null_keeps;
    enum must_be type;
} rows[FIELD_COUNT] = {
#define FIELD(id, key, known, null_keeps, type) [IS_##id] = { STR(key), known, null_keeps, type },
#include "api/peek.def"
#undef FIELD
};

/* The rows whose keys have so many bytes, a bit each: most keys are told apart by that. Filled once, before main. */
#define KEY_BYTES_MAX 17
static uint32_t rows_by_length[KEY_BYTES_MAX + 1];
_Static_assert(FIELD_COUNT <= 32, "a bit for each row");

__attribute__((constructor)) static void sort_rows(void)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        assume(rows[i].key.n <= KEY_BYTES_MAX);
        rows_by_length[rows[i].key.n] |= 1u << i;
    }
}

enum option { TEMPERATURE, SEED, NUM_CTX, NUM_PREDICT, OPTION_COUNT };
static const struct str option_keys[OPTION_COUNT] = {
    [TEMPERATURE] = STR("temperature"),
    [SEED] = STR("seed"),
    [NUM_CTX] = STR("num_ctx"),
    [NUM_PREDICT] = STR("num_predict"),
};

struct reading {
    const struct route *route;
    unsigned where;
    uint32_t seen, options_seen; /* a bit for each of the following that is set: clearing 1 KiB is not free */
    uint32_t options_given;
    struct json field[FIELD_COUNT];   /* the last that counts */
    struct json option[OPTION_COUNT]; /* merged */
    struct arena *arena;
    struct str *detail;
};

static unsigned where_is(const struct route *r)
{
    if (r->model_in == IN_SOURCE)
        return COPY;
    return 1u << r->dialect | (r->model_in == IN_BODY_OR_NAME ? NAMED : 0) | (r->id == ROUTE_create ? CREATE : 0);
}

static const struct json nothing = { .kind = JSON_BAD };

static inline bool has(const struct reading *r, enum field id)
{
    return r->seen >> id & 1;
}
static inline struct json get(const struct reading *r, enum field id)
{
    return has(r, id) ? r->field[id] : nothing;
}
static inline struct json get_option(const struct reading *r, enum option id)
{
    return r->options_seen >> id & 1 ? r->option[id] : nothing;
}

/* A detail in the arena; none if memory is out, the sentence of the failure must do then. */
__attribute__((format(printf, 3, 4))) static enum fail refuse(struct reading *r, enum fail f, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    *r->detail = str_dup(r->arena, (struct str){ text, MIN((size_t)n, sizeof text - 1) });
    return f;
}

/* --- the walk --- */

static bool is_plain_ascii(struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] == '\\' || (unsigned char)key.p[i] >= 0x80)
            return false;
    return true;
}

static enum field first_match(const struct reading *r, struct str key, uint32_t candidates)
{
    for (; candidates; candidates &= candidates - 1) {
        unsigned i = (unsigned)__builtin_ctz(candidates);
        if ((rows[i].known & r->where) && json_key_is(key, rows[i].key))
            return (enum field)i;
    }
    return FIELD_COUNT;
}

/* The field that a raw key (with its quotes) is on this route; FIELD_COUNT if none. */
static enum field field_of(const struct reading *r, struct str key)
{
    size_t n = key.n - 2;
    enum field id = n <= KEY_BYTES_MAX ? first_match(r, key, rows_by_length[n]) : FIELD_COUNT;
    return id < FIELD_COUNT || is_plain_ascii(key) ? id : first_match(r, key, UINT32_MAX >> (32 - FIELD_COUNT));
}

static void read_options(struct reading *r, struct json options)
{
    struct json_walk w = json_walk(options);
    while (json_next(&w))
        for (int i = 0; i < OPTION_COUNT; i++)
            if (json_key_is_exactly(w.key, option_keys[i])) {
                r->option[i] = w.value.kind == JSON_NULL ? nothing : w.value;
                r->options_seen |= 1u << i;
            }
}

static void forget(struct reading *r, enum field id)
{
    r->seen &= ~(1u << id);
    if (id == IS_options)
        r->options_seen = 0;
}

/* The name of a JSON kind, as Go says it. */
static const char *kind_name(enum json_kind kind)
{
    static const char *const names[] = { "value", "null", "bool", "bool", "number", "string", "array", "object" };
    return names[kind];
}

static bool has_type(struct json v, enum must_be type)
{
    if (type == TEXT)
        return v.kind == JSON_STRING;
    return type == ANYTHING || v.kind == JSON_TRUE || v.kind == JSON_FALSE;
}

static enum fail keep(struct reading *r, enum field id, struct json v)
{
    const struct row *row = &rows[id];
    if (v.kind == JSON_NULL) {
        if (!(row->null_keeps & r->where))
            forget(r, id);
        return OK;
    }
    if (!has_type(v, row->type))
        return refuse(r, FAIL_bad_json, "json: cannot unmarshal %s into Go struct field .%s of type %s",
                      kind_name(v.kind), row->key.p, row->type == TEXT ? "string" : "bool");
    scan_keep(&v, &r->field[id]);
    r->seen |= 1u << id;
    if (id == IS_options && v.kind == JSON_OBJECT) {
        r->options_given++;
        read_options(r, v);
    }
    return OK;
}

static enum fail bad_syntax(struct reading *r, struct str body, struct str rest)
{
    if (rest.n == 0)
        return refuse(r, FAIL_bad_json, "unexpected EOF");
    unsigned char c = (unsigned char)*rest.p;
    const char *format = c > ' ' && c < 0x7F ? "invalid character '%c' at byte %zu of the JSON body"
                                             : "invalid character '\\x%02x' at byte %zu of the JSON body";
    return refuse(r, FAIL_bad_json, format, c, (size_t)(rest.p - body.p));
}

static enum fail not_an_object(struct reading *r, struct str body)
{
    struct str rest;
    struct json v = json_skim(body, &rest);
    if (v.kind == JSON_BAD)
        return bad_syntax(r, body, rest);
    return refuse(r, FAIL_bad_json, "json: cannot unmarshal %s into Go value of type object", kind_name(v.kind));
}

static enum fail read_members(struct reading *r, struct str body)
{
    struct json_walk w = scan_walk(body);
    if (!w.object)
        return not_an_object(r, body);
    while (scan_next(&w)) {
        enum field id = field_of(r, w.key);
        enum fail f = id < FIELD_COUNT ? keep(r, id, w.value) : OK;
        if (f)
            return f;
    }
    return w.at == JSON_AT_FAULT ? bad_syntax(r, body, w.rest) : OK;
}

/* --- what it means --- */

/* Neither absent, nor "", [] or {}. */
static bool is_filled(struct json v)
{
    if (v.kind != JSON_STRING && v.kind != JSON_ARRAY && v.kind != JSON_OBJECT)
        return v.kind != JSON_BAD;
    struct str in = { v.raw.p + 1, v.raw.n - 2 };
    return v.kind == JSON_STRING ? in.n > 0 : str_trim(in).n > 0;
}

/* Nothing in it to decode, and nothing to refuse. */
static bool is_as_written(struct str string)
{
    for (size_t i = 0; i < string.n; i++)
        if (string.p[i] == '\\' || (unsigned char)string.p[i] < ' ')
            return false;
    return true;
}

static enum fail take_text(struct reading *r, enum field id, struct str *out)
{
    struct json v = get(r, id);
    if (v.kind == JSON_BAD)
        return OK;
    if (is_as_written(v.raw)) {
        *out = (struct str){ v.raw.p + 1, v.raw.n - 2 };
        return OK;
    }
    if (json_parse(v.raw, NULL).kind == JSON_BAD)
        return refuse(r, FAIL_bad_json, "invalid character in string literal of \"%s\"", rows[id].key.p);
    *out = json_text(r->arena, v);
    return out->p ? OK : FAIL_no_memory;
}

static enum field field_with_model(const struct reading *r)
{
    if (r->where == COPY)
        return IS_source;
    return has(r, IS_name) && !is_filled(get(r, IS_model)) ? IS_name : IS_model;
}

static enum fail take_names(struct reading *r, struct peek *out)
{
    enum field model = field_with_model(r);
    out->model_raw = get(r, model).raw;
    enum fail f = take_text(r, model, &out->model);
    if (!f)
        f = take_text(r, IS_destination, &out->destination);
    if (!f)
        f = take_text(r, IS_from, &out->from);
    return f;
}

static void take_sampling(const struct reading *r, struct peek *out)
{
    bool native = r->where & OLLAMA;
    out->temperature = native ? get_option(r, TEMPERATURE) : get(r, IS_temperature);
    out->seed = native ? get_option(r, SEED) : get(r, IS_seed);
    out->num_ctx = get_option(r, NUM_CTX);
    struct json limit =
        native ? get_option(r, NUM_PREDICT) : get(r, r->where & RESPONSES ? IS_max_output_tokens : IS_max_tokens);
    int64_t tokens;
    if (json_i64(limit, &tokens) && tokens > 0)
        out->max_tokens = (uint32_t)MIN(tokens, (int64_t)UINT32_MAX);
}

static struct json format_of(const struct reading *r)
{
    if (r->where & OLLAMA)
        return get(r, IS_format);
    struct json format = r->where & RESPONSES ? json_get(get(r, IS_text), STR("format")) : get(r, IS_response_format);
    return format.kind == JSON_NULL ? nothing : format;
}

static enum tri truth_of(enum json_kind kind)
{
    return kind == JSON_TRUE ? TRI_TRUE : kind == JSON_FALSE ? TRI_FALSE : TRI_UNSET;
}

static void take_marks(const struct reading *r, struct peek *out)
{
    out->stream = truth_of(get(r, IS_stream).kind);
    out->shift = truth_of(get(r, IS_shift).kind);
    out->options_again = r->options_given > 1;
    out->raw = get(r, IS_raw).kind == JSON_TRUE;
    out->has_tools = get(r, IS_tools).kind == JSON_ARRAY && is_filled(get(r, IS_tools));
    out->wants_usage =
        has(r, IS_stream_options) && json_get(get(r, IS_stream_options), STR("include_usage")).kind == JSON_TRUE;
    out->think_set = has(r, IS_think) || has(r, IS_thinking) || has(r, IS_reasoning) || has(r, IS_reasoning_effort);
}

/* Bytes of images inside messages, under the dialect's key for them. */
static size_t image_bytes(struct json v, struct str image_key, int depth)
{
    size_t bytes = 0;
    if (depth == 0 || !json_may_hold(v, image_key))
        return 0;
    struct json_walk w = json_walk(v);
    while (json_next(&w))
        if (!w.object || !json_key_is(w.key, image_key))
            bytes += image_bytes(w.value, image_key, depth - 1);
        else if (w.value.kind != JSON_NULL && is_filled(w.value))
            bytes += w.value.raw.n;
    return bytes;
}

/* message, content, part, and the same within a tool's result */
#define IMAGE_DEPTH 7

static size_t image_bytes_of(const struct reading *r)
{
    struct str key = r->where & OLLAMA ? STR("images") : r->where & ANTHROPIC ? STR("source") : STR("image_url");
    struct json talk = get(r, r->where & RESPONSES ? IS_input : IS_messages);
    return image_bytes(talk, key, IMAGE_DEPTH);
}

static void take_prompt(const struct reading *r, struct peek *out)
{
    static const enum field prompted[] = { IS_prompt,       IS_messages, IS_input, IS_system,
                                           IS_instructions, IS_suffix,   IS_tools };
    size_t images = image_bytes_of(r);
    out->has_images = images > 0 || (get(r, IS_images).kind == JSON_ARRAY && is_filled(get(r, IS_images)));
    for (size_t i = 0; i < ARRAY_LEN(prompted); i++)
        out->text_bytes += get(r, prompted[i]).raw.n;
    out->text_bytes -= images;
    if (r->route->id == ROUTE_generate)
        out->empty_prompt = !is_filled(get(r, IS_prompt));
    if (r->route->id == ROUTE_chat)
        out->empty_prompt = !is_filled(get(r, IS_messages));
}

/* A list of numbers is one input, already made into tokens. */
static uint32_t count_inputs(struct json v, bool empty_counts)
{
    uint32_t n = 0;
    if (v.kind == JSON_STRING)
        return empty_counts || is_filled(v);
    struct json_walk w = json_walk(v);
    while (json_next(&w) && w.value.kind != JSON_NUMBER)
        n++;
    return n + (w.at == JSON_AT_NEXT);
}

static void take_inputs(const struct reading *r, struct peek *out)
{
    switch (r->route->id) {
    case ROUTE_embed: out->inputs = count_inputs(get(r, IS_input), false); break;
    case ROUTE_v1_embeddings: out->inputs = count_inputs(get(r, IS_input), true); break;
    case ROUTE_embeddings: out->inputs = count_inputs(get(r, IS_prompt), false); break;
    default: break;
    }
}

static void take_values(const struct reading *r, struct peek *out)
{
    out->files = get(r, IS_files);
    out->adapters = get(r, IS_adapters);
    out->keep_alive = get(r, IS_keep_alive);
    out->options = get(r, IS_options).kind == JSON_OBJECT ? get(r, IS_options) : nothing;
    out->messages = get(r, IS_messages);
    out->prompt = get(r, IS_prompt);
    out->input = get(r, IS_input);
    out->format = format_of(r);
}

enum fail peek_body(const struct route *route, struct str body, struct arena *a, struct peek *out, struct str *detail)
{
    struct reading r;
    r.route = route;
    r.where = where_is(route);
    r.seen = r.options_seen = r.options_given = 0;
    r.arena = a;
    r.detail = detail;
    *out = (struct peek){ 0 };
    *detail = STR_NONE;
    if (str_trim(body).n == 0) {
        *detail = r.where & V1 ? STR("EOF") : STR("missing request body");
        return FAIL_missing_body;
    }
    enum fail f = read_members(&r, body);
    if (!f)
        f = take_names(&r, out);
    if (f)
        return f;
    take_values(&r, out);
    take_sampling(&r, out);
    take_marks(&r, out);
    take_prompt(&r, out);
    take_inputs(&r, out);
    return OK;
}

/* --- another name --- */

struct str peek_replace_model(struct arena *a, struct str body, const struct peek *p, struct str model)
{
    struct text quoted = { 0 };
    bool in_json = p->model_raw.n > 0 && *p->model_raw.p == '"';
    if (in_json)
        json_quote(&quoted, model);
    struct str name = in_json ? text_str(&quoted) : model;
    struct str before = str_span(body.p, p->model_raw.p), after = str_drop(body, before.n + p->model_raw.n);
    char *out = quoted.failed ? NULL : arena_take(a, before.n + name.n + after.n);
    char *end = out ? put_str(put_str(put_str(out, before), name), after) : NULL;
    text_free(&quoted);
    return out ? str_span(out, end) : STR_NONE;
}
