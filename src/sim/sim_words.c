/* sim/sim_words.c - what a simulated model says: words that follow from the prompt, and as many as were asked for.
 *
 * Token 0 is "[simulated]", every other one a word; the same prompt to the same model gives the same text on any node,
 * as a model at temperature 0 would. Nothing is stored: token i is computed when it is said. Where JSON was asked for,
 * or a tool can be called, the text is made beforehand and cut into tokens of a few bytes.
 *
 * An answer that was begun elsewhere - the prompt ends with what one says first, as an assistant's message or in a raw
 * prompt - goes on where it stopped, as a model at temperature 0 would.
 *
 * How many: what num_predict or max_tokens say, exactly, since whoever measures says so; without them about 24. In
 * Anthropic's dialect the number has to be given and is a bound. Where stop sequences are given the answer is made
 * beforehand as well, and ends before the first of them. */
#include "base/utf8.h"
#include "sim/sim.h"

#define TOKEN_BYTES 5 /* of text made beforehand */

static const char *const words[64] = {
    "the",     "a",      "node",   "model",  "answer",   "under", "quiet",   "river",  "stone",  "window", "carries",
    "light",   "from",   "one",    "small",  "hill",     "to",    "another", "and",    "slowly", "turns",  "into",
    "morning", "while",  "seven",  "birds",  "watch",    "over",  "paper",   "boats",  "that",   "drift",  "past",
    "old",     "garden", "walls",  "where",  "nobody",   "waits", "for",     "rain",   "still",  "each",   "word",
    "arrives", "in",     "order",  "as",     "promised", "by",    "its",     "clock",  "green",  "lamps",  "burn",
    "along",   "this",   "narrow", "street", "until",    "dawn",  "comes",   "softly", "back",
};

/* splitmix64 (Vigna). */
uint64_t sim_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

struct str sim_word(uint64_t hash, uint32_t i)
{
    return str_of(words[sim_mix(hash + i) % ARRAY_LEN(words)]);
}

struct str sim_done_reason(const struct sim_run *r)
{
    return r->cut ? STR("length") : STR("stop");
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

#define FIRST   "[simulated]"
#define MESSAGE ",{\"role\":\"assistant\",\"content\":\"" FIRST

static ssize_t find_last(struct str text, struct str part)
{
    ssize_t last = -1, at;
    for (size_t from = 0; (at = str_find(str_drop(text, from), part)) >= 0; from = (size_t)last + 1)
        last = (ssize_t)from + at;
    return last;
}

/* The prompt up to what was begun; *out_said: how much of an answer that was, in tokens. The prompt itself: nothing. */
struct str sim_words_asked(struct arena *a, struct str prompt, uint32_t *out_said)
{
    bool chat = str_starts(prompt, STR("["));
    struct str first = chat ? STR(MESSAGE) : STR(FIRST), end = chat ? STR("\"}]") : STR("\"");
    ssize_t at = find_last(prompt, first);
    *out_said = 0;
    if (at < 0 || !str_ends(prompt, end))
        return prompt;
    struct str said = str_take(str_drop(prompt, (size_t)at + first.n), prompt.n - (size_t)at - first.n - end.n);
    char *asked = str_chr(said, '"') < 0 ? arena_take(a, (size_t)at + 1) : NULL;
    if (!asked)
        return prompt;
    *out_said = 1;
    for (size_t i = 0; i < said.n; i++)
        *out_said += said.p[i] == ' ';
    *put_str(asked, str_take(prompt, (size_t)at)) = chat ? ']' : '"';
    return (struct str){ asked, (size_t)at + 1 };
}

/* ---- saying ------------------------------------------------------------------------------------------------------ */

/* Where piece i begins: never inside a character. */
static size_t piece_at(struct str text, uint32_t i)
{
    size_t at = MIN((size_t)i * TOKEN_BYTES, text.n);
    while (at < text.n && (text.p[at] & 0xC0) == 0x80)
        at++;
    return at;
}

static void put_word(struct text *t, const struct sim_run *r, uint32_t i)
{
    bool thought = i < r->think_tokens;
    uint32_t at = thought ? i : i - r->think_tokens + r->begun;
    if (at == 0) {
        text_put(t, STR("[simulated]"));
        return;
    }
    text_putc(t, ' ');
    text_put(t, sim_word(thought ? ~r->hash : r->hash, at));
}

void sim_words_quote(struct text *t, const struct sim_run *r, uint32_t from, uint32_t to)
{
    if (r->text.p && from >= r->think_tokens) {
        size_t a = piece_at(r->text, from - r->think_tokens), b = piece_at(r->text, to - r->think_tokens);
        json_quote(t, (struct str){ r->text.p + a, b - a });
        return;
    }
    text_putc(t, '"');
    for (uint32_t i = from; i < to; i++)
        put_word(t, r, i);
    text_putc(t, '"');
}

/* ---- planning: tools --------------------------------------------------------------------------------------------- */

static struct json last_of(struct json array)
{
    struct json last = { .kind = JSON_BAD };
    struct json_walk w = json_walk(array);
    while (json_next(&w))
        last = w.value;
    return last;
}

/* What the user said last; empty when a tool or the assistant had the last word. */
static struct str last_request(const struct peek *p)
{
    struct json all = p->messages.kind == JSON_ARRAY ? p->messages : p->input;
    struct json last = last_of(all);
    if (all.kind == JSON_STRING)
        return all.raw;
    struct json role = json_get(last, STR("role"));
    bool is_result = str_find(last.raw, STR("\"tool_result\"")) >= 0;
    return role.kind == JSON_STRING && str_eq(role.raw, STR("\"user\"")) && !is_result ? last.raw : STR_NONE;
}

static bool holds_nocase(struct str text, struct str word)
{
    for (size_t i = 0; i + word.n <= text.n; i++)
        if (str_eq_nocase((struct str){ text.p + i, word.n }, word))
            return true;
    return false;
}

/* "get_current_weather" is asked for by its name, or by a longer word of it: "weather". */
static bool asks_for(struct str request, struct str name)
{
    if (name.n && holds_nocase(request, name))
        return true;
    while (name.n) {
        struct str word = str_cut(&name, '_');
        if (word.n >= 5 && holds_nocase(request, word))
            return true;
    }
    return false;
}

static struct json schema_of_tool(struct json function)
{
    struct json schema = json_get(function, STR("parameters"));
    return schema.kind == JSON_OBJECT ? schema : json_get(function, STR("input_schema"));
}

static enum fail call_tool(struct sim_client *c, struct json function)
{
    struct sim_run *r = &c->run;
    struct text t = { 0 };
    struct json schema = schema_of_tool(function);
    if (schema.kind == JSON_OBJECT)
        sim_schema_sample(&c->arena, &t, schema, r->hash);
    r->tool = str_dup(&c->arena, json_get(function, STR("name")).raw);
    r->arguments = str_dup(&c->arena, str_starts(text_str(&t), STR("{")) ? text_str(&t) : STR("{}"));
    enum fail f = t.failed ? t.failed : OK;
    text_free(&t);
    return f ? f : r->tool.p && r->arguments.p ? OK : FAIL_no_memory;
}

static enum fail choose_tool(struct sim_client *c, const struct peek *p, struct json tools)
{
    struct str request = last_request(p);
    struct json_walk w = json_walk(tools);
    while (request.n && json_next(&w)) {
        struct json function = json_get(w.value, STR("function"));
        function = function.kind == JSON_OBJECT ? function : w.value;
        struct json name = json_get(function, STR("name"));
        if (name.kind == JSON_STRING && asks_for(request, json_text(&c->arena, name)))
            return call_tool(c, function);
    }
    return OK;
}

/* ---- planning: JSON ---------------------------------------------------------------------------------------------- */

/* False: the text is free. The schema may be JSON_BAD: any object will do. */
static bool wants_json(struct json format, struct json *out_schema)
{
    struct json type = json_get(format, STR("type"));
    *out_schema = (struct json){ .kind = JSON_BAD };
    if (format.kind == JSON_STRING)
        return str_eq(format.raw, STR("\"json\""));
    if (format.kind != JSON_OBJECT || str_eq(type.raw, STR("\"text\"")))
        return false;
    if (str_eq(type.raw, STR("\"json_object\"")))
        return true;
    *out_schema = format;
    if (str_eq(type.raw, STR("\"json_schema\""))) {
        struct json inner = json_get(format, STR("json_schema"));
        *out_schema = json_get(inner.kind == JSON_OBJECT ? inner : format, STR("schema"));
    }
    return true;
}

static enum fail write_json(struct sim_client *c, struct json schema)
{
    struct sim_run *r = &c->run;
    struct text t = { 0 };
    static const char any[] = "{\"type\":\"object\",\"properties\":{\"simulated\":{\"const\":true},"
                              "\"answer\":{\"type\":\"string\"}}}";
    sim_schema_sample(&c->arena, &t, schema.kind == JSON_OBJECT ? schema : json_parse(STR(any), NULL), r->hash);
    r->text = str_dup(&c->arena, text_str(&t));
    enum fail f = t.failed ? t.failed : r->text.p ? OK : FAIL_no_memory;
    text_free(&t);
    return f;
}

/* ---- planning: thoughts and lengths ------------------------------------------------------------------------------ */

enum wish { NOT_SAID, NO, YES };
static enum wish wish_to_think(const struct sim_client *c, struct json body)
{
    struct json v = json_get(body, STR("think"));
    struct json effort = json_get(body, STR("reasoning_effort"));
    switch (c->route->dialect) {
    case DIALECT_OLLAMA: break;
    case DIALECT_ANTHROPIC:
        v = json_get(json_get(body, STR("thinking")), STR("type"));
        return str_eq(v.raw, STR("\"enabled\"")) || str_eq(v.raw, STR("\"adaptive\"")) ? YES : NO;
    default:
        v = effort.kind == JSON_STRING ? effort : json_get(json_get(body, STR("reasoning")), STR("effort"));
        return v.kind != JSON_STRING ? NOT_SAID : str_eq(v.raw, STR("\"none\"")) ? NO : YES;
    }
    if (v.kind == JSON_BAD || v.kind == JSON_NULL)
        return NOT_SAID;
    return v.kind == JSON_FALSE ? NO : YES;
}

static bool never_thinks(enum route_id id)
{
    return id == ROUTE_v1_completions || id == ROUTE_v1_transcribe;
}

/* Unasked, a model that can think does; asked, one that cannot refuses natively and is silent elsewhere. */
static enum fail plan_thoughts(struct sim_client *c, enum wish wish)
{
    struct sim_run *r = &c->run;
    bool can = r->model->can & CAN_THINK;
    if (!can && wish == YES && c->route->dialect == DIALECT_OLLAMA)
        return FAIL_bad_value;
    bool thinks =
        can && wish != NO && !never_thinks(c->route->id) && (wish == YES || c->route->dialect != DIALECT_ANTHROPIC);
    r->think_tokens = thinks ? 8 + (uint32_t)(r->hash >> 32) % 9 : 0;
    return OK;
}

static void plan_length(struct sim_client *c, uint32_t limit)
{
    struct sim_run *r = &c->run;
    bool fixed = r->text.p || r->tool.p;
    uint32_t natural = 16 + (uint32_t)(r->hash % 17);
    natural -= MIN(natural, r->begun);
    if (r->text.p)
        natural = (uint32_t)((r->text.n + TOKEN_BYTES - 1) / TOKEN_BYTES);
    if (r->tool.p)
        natural = (uint32_t)(r->arguments.n / 4) + 8;
    uint32_t all = r->think_tokens + natural;
    bool bound = c->route->dialect == DIALECT_ANTHROPIC || fixed;
    r->cut = limit && !r->tool.p && (bound ? all > limit : true);
    r->tokens = r->cut ? limit : all;
    r->think_tokens = MIN(r->think_tokens, r->tokens);
}

/* ---- planning: stop sequences ------------------------------------------------------------------------------------ */

static struct json stops_of(const struct sim_client *c, const struct peek *p, struct str body)
{
    if (c->route->dialect == DIALECT_OLLAMA)
        return json_get(p->options, STR("stop"));
    if (str_find(body, STR("\"stop")) < 0)
        return (struct json){ .kind = JSON_BAD };
    return json_get(json_parse(body, NULL),
                    c->route->dialect == DIALECT_ANTHROPIC ? STR("stop_sequences") : STR("stop"));
}

/* Where the text ends because of this one; the end of the text if it is not in it. */
static size_t stop_at(struct sim_client *c, struct str text, struct json stop)
{
    struct str word = stop.kind == JSON_STRING ? json_text(&c->arena, stop) : STR_NONE;
    ssize_t at = word.n ? str_find(text, word) : -1;
    return at < 0 ? text.n : (size_t)at;
}

static size_t first_stop(struct sim_client *c, struct str text, struct json stops)
{
    size_t end = stop_at(c, text, stops);
    struct json_walk w = json_walk(stops);
    while (stops.kind == JSON_ARRAY && json_next(&w))
        end = MIN(end, stop_at(c, text, w.value));
    return end;
}

static void put_answer(struct text *t, const struct sim_run *r)
{
    if (r->text.p)
        text_put(t, str_take(r->text, piece_at(r->text, r->tokens - r->think_tokens)));
    for (uint32_t i = r->think_tokens; !r->text.p && i < r->tokens; i++)
        put_word(t, r, i);
}

static enum fail stop_early(struct sim_client *c, struct json stops)
{
    struct sim_run *r = &c->run;
    struct text t = { 0 };
    put_answer(&t, r);
    size_t end = first_stop(c, text_str(&t), stops);
    enum fail f = t.failed ? t.failed : OK;
    if (!f && end < text_str(&t).n) {
        r->text = str_dup(&c->arena, str_take(text_str(&t), end));
        r->tokens = r->think_tokens + (uint32_t)((end + TOKEN_BYTES - 1) / TOKEN_BYTES);
        r->cut = false;
        f = r->text.p ? OK : FAIL_no_memory;
    }
    text_free(&t);
    return f;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

enum fail sim_words_plan(struct sim_client *c, const struct peek *p, struct str body)
{
    struct json stops = stops_of(c, p, body);
    struct json whole = { .kind = JSON_BAD }, schema;
    if (p->has_tools || p->think_set)
        whole = json_parse(body, NULL);
    enum fail f = plan_thoughts(c, wish_to_think(c, whole));
    if (!f && p->has_tools)
        f = choose_tool(c, p, json_get(whole, STR("tools")));
    if (!f && !c->run.tool.p && wants_json(p->format, &schema))
        f = write_json(c, schema);
    if (f)
        return f;
    plan_length(c, p->max_tokens);
    bool may_stop = !c->run.tool.p && (stops.kind == JSON_STRING || stops.kind == JSON_ARRAY);
    return may_stop ? stop_early(c, stops) : OK;
}
