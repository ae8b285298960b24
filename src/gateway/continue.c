/* gateway/continue.c - the text so far becomes the beginning of the answer that the next node is asked for.
 *
 *      chat       "messages":[..., {"role":"user",...} ,{"role":"assistant","content":"<what the client has>"} ]
 *      generate   "prompt":"...<what the client has>"                        with `raw`: no template comes between
 *
 * What the client has is kept as it stood in the records, escapes and all, since JSON strings put end to end are one
 * string. The request is read against a list of what is known to be safe, so that what Ollama learns tomorrow is
 * refused until somebody has thought about it: tools and formats (what is half said cannot be resumed), thinking and
 * logprobs (they are lost), a seed (the dice start again; without temperature nobody throws any), images.
 *
 * Translating from a raw engine's token ids was rejected: only llama-server tells them. Whether a model's template lets
 * an answer begin with given words is the model's affair (README says so); that is why clients have to ask for it.
 *
 * A clean end without its last record is no death: Ollama ends so when a model repeats itself, and the next one would.
 */
#include "gateway/continue.h"
#include "gateway/gateway_private.h"

#define TEXT_MOST MIB(1)

/* ---- what is safe ------------------------------------------------------------------------------------------------ */

static bool is_nothing(struct json v)
{
    return v.kind == JSON_NULL || v.kind == JSON_FALSE || str_eq(v.raw, STR("[]")) || str_eq(v.raw, STR("\"\""));
}

/* Has an object no other members than these, but for such as say nothing? */
static bool has_only(struct json object, const struct str *names, size_t n)
{
    struct json_walk w = json_walk(object);
    while (json_next(&w)) {
        bool known = is_nothing(w.value);
        for (size_t i = 0; i < n && !known; i++)
            known = json_key_is(w.key, names[i]);
        if (!known)
            return false;
    }
    return true;
}

static bool messages_are_plain(struct json messages)
{
    static const struct str plain[] = { STR("role"), STR("content") };
    struct json_walk w = json_walk(messages);
    while (json_next(&w))
        if (!has_only(w.value, plain, ARRAY_LEN(plain)) || json_get(w.value, STR("content")).kind != JSON_STRING)
            return false;
    return messages.kind == JSON_ARRAY;
}

/* The dice of a seed would start again. */
static bool throws_fixed_dice(const struct peek *p)
{
    double temperature = 1;
    bool greedy = json_f64(p->temperature, &temperature) && temperature == 0;
    return p->seed.kind != JSON_BAD && !greedy;
}

static bool is_safe(const struct exchange *x)
{
    static const struct str of_chat[] = { STR("model"), STR("messages"),   STR("stream"),  STR("options"),
                                          STR("shift"), STR("keep_alive"), STR("truncate") },
                            of_raw[] = { STR("model"), STR("prompt"),     STR("stream"),   STR("options"),
                                         STR("shift"), STR("keep_alive"), STR("truncate"), STR("raw") };
    const struct peek *p = &x->route.peek;
    struct json body = json_skim(x->in.body, NULL);
    if (p->options_again || throws_fixed_dice(p))
        return false;
    if (x->route.row->id == ROUTE_chat)
        return has_only(body, of_chat, ARRAY_LEN(of_chat)) && messages_are_plain(p->messages);
    return x->route.row->id == ROUTE_generate && p->raw && p->prompt.kind == JSON_STRING &&
           has_only(body, of_raw, ARRAY_LEN(of_raw));
}

void continue_begin(struct exchange *x)
{
    bool wanted = x->in.goes_on.n && !str_eq(x->in.goes_on, STR("0"));
    bool streams = x->up.form == FORM_NDJSON && x->up.status == 200;
    x->again.may = wanted && streams && x->owner_kind == OWNER_CLIENT && x->route.row && x->in.body.n &&
                   !(x->ticket.pin.n || x->ticket.pin_id) && is_safe(x);
}

/* ---- what the client has ------------------------------------------------------------------------------------------
 */

static struct json text_of(const struct exchange *x, struct json record)
{
    if (x->route.row->id == ROUTE_generate)
        return json_get(record, STR("response"));
    return json_get(json_get(record, STR("message")), STR("content"));
}

static bool is_plain_record(const struct exchange *x, struct json record)
{
    static const struct str plain[] = { STR("role"), STR("content") },
                            loses[] = { STR("thinking"), STR("tool_calls"), STR("logprobs"), STR("image") };
    struct json message = json_get(record, STR("message"));
    for (size_t i = 0; i < ARRAY_LEN(loses); i++)
        if (json_get(record, loses[i]).kind != JSON_BAD)
            return false;
    return x->route.row->id == ROUTE_generate || has_only(message, plain, ARRAY_LEN(plain));
}

static void note_one(struct exchange *x, struct str line)
{
    struct json record = json_parse(line, NULL), text = text_of(x, record);
    struct str raw = text.kind == JSON_STRING ? str_take(str_drop(text.raw, 1), text.raw.n - 2) : STR_NONE;
    if (record.kind != JSON_OBJECT || !is_plain_record(x, record) || buf_len(&x->again.text) + raw.n > TEXT_MOST ||
        (raw.n && buf_append(&x->again.text, raw)))
        x->again.lost = true;
    x->again.said += raw.n > 0;
}

void continue_note(struct exchange *x, struct str records)
{
    if (likely(!x->again.may) || x->again.lost)
        return;
    while (records.n) {
        struct str line = str_trim(record_cut(FORM_NDJSON, &records));
        if (line.n)
            note_one(x, line);
    }
}

/* ---- what is asked ------------------------------------------------------------------------------------------------
 */

/* Put in at a place of the body. */
struct insertion {
    const char *at;
    struct str before, text, after;
};

static const char *end_inside(struct str container)
{
    return container.p + container.n - 1;
}

static struct json last_message(struct json messages)
{
    struct json last = { 0 };
    struct json_walk w = json_walk(messages);
    while (json_next(&w))
        last = w.value;
    return last;
}

static bool is_assistant(struct json message)
{
    struct json role = json_get(message, STR("role"));
    return role.kind == JSON_STRING && str_eq_nocase(role.raw, STR("\"assistant\""));
}

static struct insertion the_text(const struct exchange *x)
{
    struct str text = buf_str(&x->again.text);
    const struct peek *p = &x->route.peek;
    if (x->route.row->id == ROUTE_generate)
        return (struct insertion){ .at = end_inside(p->prompt.raw), .text = text };
    struct json last = last_message(p->messages);
    if (is_assistant(last))
        return (struct insertion){ .at = end_inside(json_get(last, STR("content")).raw), .text = text };
    return (struct insertion){ .at = end_inside(p->messages.raw),
                               .before = last.kind == JSON_BAD ? STR("{\"role\":\"assistant\",\"content\":\"")
                                                               : STR(",{\"role\":\"assistant\",\"content\":\""),
                               .text = text,
                               .after = STR("\"}") };
}

static enum fail put_in(struct buf *out, const char **from, const struct insertion *i)
{
    enum fail f = buf_append(out, str_span(*from, i->at));
    f = f ? f : buf_append(out, i->before);
    f = f || !i->text.n ? f : buf_append(out, i->text);
    *from = i->at;
    return f ? f : buf_append(out, i->after);
}

/* What num_predict leaves; the last of two counts. */
static unsigned insertions(const struct exchange *x, struct insertion i[2], char number[40])
{
    uint32_t most = x->route.peek.max_tokens;
    i[0] = the_text(x);
    if (!most)
        return 1;
    char *end = put_u64(put_str(number, STR(",\"num_predict\":")), most - x->again.said);
    struct insertion left = { .at = end_inside(x->route.peek.options.raw), .text = str_span(number, end) };
    unsigned at = left.at > i[0].at;
    i[1] = i[0];
    i[at] = left;
    return 2;
}

static enum fail write_body(struct exchange *x)
{
    struct insertion i[2];
    char number[40];
    unsigned n = insertions(x, i, number);
    struct str body = x->in.body;
    const char *from = body.p;
    struct buf out = { 0 };
    enum fail f = buf_reserve(&out, body.n + buf_len(&x->again.text) + 128);
    for (unsigned k = 0; k < n && !f; k++)
        f = put_in(&out, &from, &i[k]);
    f = f ? f : buf_append(&out, str_span(from, body.p + body.n));
    if (f) {
        buf_free(&out);
        return f;
    }
    buf_free(&x->again.body);
    x->again.body = out;
    x->up.body = buf_str(&out);
    x->up.body_length = (int64_t)x->up.body.n;
    return OK;
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

static bool is_death(enum fail why)
{
    return why == FAIL_upstream_cut || why == FAIL_upstream_reset || why == FAIL_upstream_garbage ||
           why == FAIL_upstream_error || why == FAIL_inter_chunk_timeout || why == FAIL_node_down;
}

bool continue_would(const struct exchange *x, enum fail why)
{
    uint32_t most = x->route.peek.max_tokens;
    return x->again.may && !x->again.lost && !x->up.let_through && !x->up.failed_in_band && is_death(why) &&
           x->again.n < x->settings->retry_max && x->ticket.tried_n < TRIED_MAX && (!most || x->again.said < most);
}

static void remember(struct exchange *x, enum fail why)
{
    if (!x->again.n++) {
        x->again.why = why == FAIL_upstream_reset || why == FAIL_upstream_garbage ? FAIL_upstream_cut : why;
        x->again.words = x->up.said_text;
    }
    x->again.before = x->again.said;
    x->again.wrote += MAX(0, x->tally.last - MAX(x->up.first_byte, 1));
}

bool continue_elsewhere(struct exchange *x, enum fail why)
{
    if (!continue_would(x, why) || write_body(x))
        return false;
    attempt_over(x, why, false);
    buf_free(&x->up.hold);
    remember(x, why);
    exchange_wake(x, choose_to_go_on(x, why));
    return true;
}

/* ---- its end ----------------------------------------------------------------------------------------------------- */

/* In place of a number of the last record, in the order in which they stand there. */
static void put_figure(struct text *out, const char **from, struct json was, int64_t is)
{
    text_put(out, str_span(*from, was.raw.p));
    text_i64(out, MAX(is, 0));
    *from = was.raw.p + was.raw.n;
}

/* What a node says may be any number. */
static int64_t sum(int64_t a, int64_t b)
{
    int64_t both;

    return __builtin_add_overflow(a, b, &both) ? (b > 0 ? INT64_MAX : INT64_MIN) : both;
}

/* By how much a figure of this node differs from that of the whole answer. */
static int64_t difference(const struct exchange *x, struct str key)
{
    if (json_key_is(key, STR("eval_count")))
        return x->again.before;
    if (json_key_is(key, STR("prompt_eval_count"))) /* what the nodes before have said is a part of its prompt */
        return -(int64_t)x->again.before;
    if (json_key_is(key, STR("eval_duration")))
        return x->again.wrote;
    if (json_key_is(key, STR("total_duration")))
        return x->tally.granted - x->in.at;
    return 0;
}

static void join(const struct exchange *x, struct str record, struct text *out)
{
    const char *from = record.p;
    struct json_walk w = json_walk(json_parse(record, NULL));
    while (json_next(&w)) {
        int64_t is, more = difference(x, w.key);
        if (more && json_i64(w.value, &is))
            put_figure(out, &from, w.value, sum(is, more));
    }
    text_put(out, str_span(from, record.p + record.n));
}

bool continue_join(struct exchange *x, struct str *records, struct text *room)
{
    size_t last = record_last(FORM_NDJSON, *records);
    if (likely(!x->again.n))
        return true;
    text_put(room, str_take(*records, last));
    join(x, str_drop(*records, last), room);
    *records = text_str(room);
    return !room->failed;
}

void continue_done(struct exchange *x)
{
    buf_free(&x->again.text);
    buf_free(&x->again.body);
}
