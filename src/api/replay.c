/* api/replay.c - bytes of a kept answer become records, records become pieces, pieces become another answer.
 *
 *     bytes -> record -+- same route and shape --> replay_patch ----------------------------> out
 *                      +- talk -----------------> read -> piece -> say (now, or gathered) --> out, at its end
 *                      `- messages, responses --> the other shape of the same thing
 *
 * The usual hit is the first way: bytes as they were, with another name and time set in. The others go by what a piece
 * of an answer can be, and refuse an answer in which there is more (several choices, fragments of calls, a member they
 * do not know that says something), since a miss costs a node's time and a loss nobody sees costs trust. Texts are
 * never decoded: inside its quotes a JSON string is the same in each dialect, and two of them joined are one. */
#include "api/replay_private.h"
#include "base/stamp.h"

static const struct replay_tongue tongues[] = {
    {ROUTE_generate,        replay_native_record,    replay_native_whole,        replay_say_end      },
    { ROUTE_chat,           replay_native_record,    replay_native_whole,        replay_say_end      },
    { ROUTE_v1_chat,        replay_openai_record,    replay_openai_whole,        replay_say_end      },
    { ROUTE_v1_completions, replay_openai_record,    replay_openai_whole,        replay_say_end      },
    { ROUTE_v1_messages,    replay_messages_record,  replay_messages_whole,      replay_messages_end },
    { ROUTE_v1_responses,   replay_responses_record, replay_responses_whole,     replay_responses_end},
    { ROUTE_embed,          NULL,                    replay_embed_whole,         NULL                },
    { ROUTE_v1_embeddings,  NULL,                    replay_v1_embeddings_whole, NULL                },
    { ROUTE_embeddings,     NULL,                    NULL,                       NULL                },
};

static const struct replay_tongue *tongue_of(const struct route *route)
{
    for (unsigned i = 0; i < ARRAY_LEN(tongues); i++)
        if (tongues[i].route == route->id)
            return &tongues[i];
    return NULL;
}

static bool is_pair(enum route_id a, enum route_id b)
{
    return (a == ROUTE_chat && b == ROUTE_v1_chat) || (a == ROUTE_embed && b == ROUTE_v1_embeddings);
}

bool replay_can(const struct route *from, const struct route *to)
{
    return tongue_of(from) && (from->id == to->id || is_pair(from->id, to->id) || is_pair(to->id, from->id));
}

/* Embeddings have one shape only. */
static bool streams(const struct replay *r)
{
    return r->to.stream && r->tongue->record;
}

void replay_init(struct replay *r, const struct replay_from *from, const struct replay_to *to)
{
    assume(replay_can(from->route, to->route));
    *r = (struct replay){ .from = *from, .to = *to, .tongue = tongue_of(from->route) };
    r->same = from->route->id == to->route->id && streams(r) == (from->form != FORM_WHOLE);
    figures_clear(&r->figures);
    if (!r->tongue->record && from->form != FORM_WHOLE) /* vectors do not come in records */
        r->failed = FAIL_bad_value;
}

void replay_done(struct replay *r)
{
    struct text *all[] = {
        &r->held, &r->words, &r->thoughts, &r->calls, &r->logprobs, &r->reason, &r->rest, &r->marks
    };
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        text_free(all[i]);
}

/* --- small words --- */

bool replay_is_filled(struct json v)
{
    if (v.kind == JSON_STRING || v.kind == JSON_ARRAY || v.kind == JSON_OBJECT)
        return str_trim((struct str){ v.raw.p + 1, v.raw.n - 2 }).n > 0;
    return v.kind == JSON_TRUE || v.kind == JSON_NUMBER;
}

void replay_join(struct text *list, struct str elements)
{
    elements = str_trim(elements);
    if (elements.n && text_str(list).n)
        text_putc(list, ',');
    text_put(list, elements);
}

void replay_put_quoted(struct text *t, struct str inside)
{
    text_putc(t, '"');
    text_put(t, inside);
    text_putc(t, '"');
}

void replay_put_id(struct replay *r, struct text *t)
{
    switch (r->to.route->id) {
    case ROUTE_v1_chat: text_printf(t, "\"chatcmpl-%u\"", (unsigned)(r->to.chance % 999)); break;
    case ROUTE_v1_completions: text_printf(t, "\"cmpl-%u\"", (unsigned)(r->to.chance % 999)); break;
    case ROUTE_v1_responses: text_printf(t, "\"resp_%u\"", (unsigned)(r->to.chance % 999999)); break;
    default:
        text_printf(t, "\"msg_%08x%016llx\"", (unsigned)(r->to.wall / SECOND(1)), (unsigned long long)r->to.chance);
    }
}

void replay_put_stamp(struct replay *r, struct text *t)
{
    char stamp[36];
    replay_put_quoted(t, (struct str){ stamp, stamp_rfc3339(r->to.wall, stamp) });
}

void replay_put_seconds(struct replay *r, struct text *t)
{
    text_i64(t, r->to.wall / SECOND(1));
}

/* --- records --- */

static void take_record(struct replay *r, struct str record, struct text *out)
{
    struct str data = record_data(r->from.form, record);
    enum record_mark mark = record_look(r->from.route->dialect, r->from.form, record, &r->figures, NULL);
    r->ended |= mark == MARK_DONE;
    if (r->same) {
        replay_patch(r, record, data, out);
        return;
    }
    if (mark == MARK_ERROR || mark == MARK_HOLLOW) {
        replay_fail(r, FAIL_upstream_said);
        return;
    }
    if (data.n == 0 || str_starts(data, STR("[DONE]")))
        return;
    struct json v = json_parse(data, NULL);
    if (v.kind == JSON_OBJECT && str_chr(v.raw, '\r') < 0) /* it would end a line of an event */
        r->tongue->record(r, v, out);
    else
        replay_fail(r, FAIL_bad_value);
}

static void take_records(struct replay *r, struct str records, struct text *out)
{
    while (records.n && !r->failed)
        take_record(r, record_cut(r->from.form, &records), out);
}

/* What could not be written down looks as if it had not been said. */
static enum fail verdict(struct replay *r, const struct text *out)
{
    const struct text *all[] = { out,          &r->held,   &r->words, &r->thoughts, &r->calls,
                                 &r->logprobs, &r->reason, &r->rest,  &r->marks };
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (all[i]->failed)
            r->failed = all[i]->failed;
    return r->failed;
}

enum fail replay_take(struct replay *r, struct str bytes, struct text *out)
{
    unsigned n;
    size_t whole = record_whole(r->from.form, text_str(&r->held), bytes, &n);
    if (r->failed)
        return r->failed;
    if (whole && text_str(&r->held).n) {
        text_put(&r->held, str_take(bytes, whole));
        take_records(r, text_str(&r->held), out);
        buf_eat(&r->held.buf, buf_len(&r->held.buf));
    } else if (whole) {
        take_records(r, str_take(bytes, whole), out);
    }
    text_put(&r->held, str_drop(bytes, whole));
    return verdict(r, out);
}

/* --- the end --- */

/* Some servers indent what they say; in a record a line feed would be its end. There are none inside strings. */
static struct json parse_in_one_line(struct text *body)
{
    struct json v = json_parse(text_str(body), NULL);
    for (char *p = body->buf.block + body->buf.start; v.kind == JSON_OBJECT && p < body->buf.block + body->buf.end; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    return v;
}

static void take_whole(struct replay *r, struct text *out)
{
    struct str body = text_str(&r->held);
    if (r->same) { /* whoever has it knows what it is */
        r->ended = true;
        replay_patch(r, body, body, out);
        return;
    }
    enum record_mark mark = record_look_whole(r->from.route->dialect, body, &r->figures, NULL);
    r->ended = mark == MARK_DONE;
    if (mark == MARK_ERROR)
        replay_fail(r, FAIL_upstream_said);
    else if (r->ended)
        r->tongue->whole(r, parse_in_one_line(&r->held), out);
}

/* An OpenAI stream has told them, if anybody has asked the node to. */
static bool lacks_usage(const struct replay *r)
{
    bool told_when_asked = r->to.route->id == ROUTE_v1_chat || r->to.route->id == ROUTE_v1_completions;
    bool wanted = r->to.stream ? r->to.wants_usage : !r->same;
    return told_when_asked && wanted && !r->usage;
}

enum fail replay_end(struct replay *r, struct text *out)
{
    if (verdict(r, out))
        return r->failed;
    if (r->from.form == FORM_WHOLE)
        take_whole(r, out);
    if (!r->ended || lacks_usage(r))
        replay_fail(r, FAIL_bad_value);
    if (!r->failed && !r->same && r->tongue->end)
        r->tongue->end(r, out);
    return verdict(r, out);
}

struct str replay_type(const struct replay_to *to)
{
    bool native = to->route->dialect == DIALECT_OLLAMA;
    const struct replay_tongue *tongue = tongue_of(to->route);
    if (to->stream && tongue && tongue->record)
        return native ? STR("application/x-ndjson") : STR("text/event-stream");
    return native ? STR("application/json; charset=utf-8") : STR("application/json");
}

/* --- the question --- */

struct str replay_ask(struct arena *a, const struct route *route, const struct peek *p, struct str body)
{
    static const char wish[] = ",\"stream_options\":{\"include_usage\":true}}";
    bool openai = route->id == ROUTE_v1_chat || route->id == ROUTE_v1_completions;
    if (!openai || p->stream != TRI_TRUE || p->wants_usage)
        return body;
    struct str object = json_skim(body, NULL).raw;
    char *out = arena_take(a, object.n + sizeof wish), *end;
    if (!out)
        return STR_NONE;
    end = put_str(put_str(out, str_take(object, object.n - 1)), STR(wish));
    return str_span(out, end);
}
