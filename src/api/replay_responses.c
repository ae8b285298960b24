/* api/replay_responses.c - /v1/responses in its other shape. The last event of a stream holds the whole answer; out of
 * a whole answer the events are made that would have led to it.
 *
 *     response.created, .in_progress, (output_item.added, parts, deltas, output_item.done)..., response.completed
 *
 * Each text comes as one delta. Items are messages of output_text, reasoning of summary_text, and function calls; an
 * answer with any other is refused. */
#include "api/replay_private.h"

enum item { NO_ITEM, MESSAGE, REASONING, CALL };
static const struct {
    struct str type, list, part; /* the member with its parts, and the only type they have */
    const char *index, *part_event, *text_event, *more;
} items[] = {
    [MESSAGE] = {{ "message", 7 },
                 { "content", 7 },
                 { "output_text", 11 },
                 "content_index",                                          "content_part",
                 "output_text",                                                                            ",\"logprobs\":[]"},
    [REASONING] = { { "reasoning", 9 },
                 { "summary", 7 },
                 { "summary_text", 12 },
                 "summary_index",                                          "reasoning_summary_part",
                 "reasoning_summary_text",                                                                 ""                },
    [CALL] = { { "function_call", 13 }, { NULL, 0 }, { NULL, 0 }, NULL, NULL,                     NULL, NULL              },
};

static enum item kind_of(struct json item)
{
    struct json type = json_get(item, STR("type"));
    for (unsigned i = MESSAGE; i < ARRAY_LEN(items); i++)
        if (replay_is_text(type, items[i].type))
            return (enum item)i;
    return NO_ITEM;
}

/* --- from a stream --- */

static bool is_complete(struct json answer)
{
    struct json status = json_get(answer, STR("status"));
    return replay_is_text(status, STR("completed")) || replay_is_text(status, STR("incomplete"));
}

void replay_responses_record(struct replay *r, struct json data, struct text *out)
{
    struct json answer = json_get(data, STR("response"));
    if (!r->ended || r->begun)
        return;
    r->begun = true;
    if (is_complete(answer))
        replay_patch_answer(r, answer.raw, out);
    else
        replay_fail(r, FAIL_bad_value);
}

void replay_responses_end(struct replay *r, struct text *out)
{
    if (r->from.form != FORM_WHOLE && !r->begun)
        replay_fail(r, FAIL_bad_value);
}

/* --- from a whole --- */

static void begin_event(struct replay *r, struct text *out, const char *name, const char *phase)
{
    text_printf(out, "event: response.%s%s\ndata: {\"type\":\"response.%s%s\",\"sequence_number\":%u", name, phase,
                name, phase, r->sequence++);
}

static void end_event(struct text *out)
{
    text_put(out, STR("}\n\n"));
}

/* The object with some of its members replaced, as they are at the beginning. */
struct beginning {
    struct str key, value;
};
static void put_beginning(struct text *out, struct json object, const struct beginning *b, unsigned n)
{
    struct json_walk w = json_walk(object);
    text_putc(out, '{');
    for (bool first = true; json_next(&w); first = false) {
        struct str value = w.value.raw;
        for (unsigned i = 0; i < n; i++)
            if (json_key_is_exactly(w.key, b[i].key))
                value = b[i].value;
        if (!first)
            text_putc(out, ',');
        text_put(out, w.key);
        text_putc(out, ':');
        text_put(out, value);
    }
    text_putc(out, '}');
}

static void say_beginning(struct replay *r, struct json answer, const char *name, struct text *out)
{
    static const struct beginning beginning[] = {
        {{ "status", 6 },  { "\"in_progress\"", 13 }},
        { { "output", 6 }, { "[]", 2 }              },
        { { "usage", 5 },  { "null", 4 }            },
    };
    begin_event(r, out, name, "");
    text_put(out, STR(",\"response\":"));
    put_beginning(out, answer, beginning, ARRAY_LEN(beginning));
    end_event(out);
}

static void say_item(struct replay *r, struct json item, bool done, struct text *out)
{
    static const struct beginning beginning[] = {
        {{ "status", 6 },     { "\"in_progress\"", 13 }},
        { { "content", 7 },   { "[]", 2 }              },
        { { "summary", 7 },   { "[]", 2 }              },
        { { "arguments", 9 }, { "\"\"", 2 }            },
    };
    begin_event(r, out, "output_item", done ? ".done" : ".added");
    text_printf(out, ",\"output_index\":%u,\"item\":", r->items);
    if (done)
        text_put(out, item.raw);
    else
        put_beginning(out, item, beginning, ARRAY_LEN(beginning));
    end_event(out);
}

static void begin_inside(struct replay *r, struct json item, const char *event, const char *phase, struct text *out)
{
    begin_event(r, out, event, phase);
    text_put(out, STR(",\"item_id\":"));
    text_put(out, json_get(item, STR("id")).raw);
    text_printf(out, ",\"output_index\":%u", r->items);
}

static void say_part(struct replay *r, struct json item, unsigned i, struct json part, bool done, struct text *out)
{
    static const struct beginning empty = {
        {"text",  4},
        { "\"\"", 2}
    };
    enum item kind = kind_of(item);
    begin_inside(r, item, items[kind].part_event, done ? ".done" : ".added", out);
    text_printf(out, ",\"%s\":%u,\"part\":", items[kind].index, i);
    put_beginning(out, part, &empty, !done);
    end_event(out);
}

static void say_text(struct replay *r, struct json item, unsigned i, struct json part, bool done, struct text *out)
{
    enum item kind = kind_of(item);
    begin_inside(r, item, items[kind].text_event, done ? ".done" : ".delta", out);
    text_printf(out, ",\"%s\":%u%s,\"%s\":", items[kind].index, i, items[kind].more, done ? "text" : "delta");
    text_put(out, json_get(part, STR("text")).raw);
    end_event(out);
}

static void say_parts(struct replay *r, struct json item, enum item kind, struct text *out)
{
    struct json_walk w = json_walk(json_get(item, items[kind].list));
    for (unsigned i = 0; json_next(&w) && !r->failed; i++) {
        if (!replay_is_text(json_get(w.value, STR("type")), items[kind].part) ||
            json_get(w.value, STR("text")).kind != JSON_STRING)
            replay_fail(r, FAIL_bad_value);
        say_part(r, item, i, w.value, false, out);
        say_text(r, item, i, w.value, false, out);
        say_text(r, item, i, w.value, true, out);
        say_part(r, item, i, w.value, true, out);
    }
}

static void say_arguments(struct replay *r, struct json item, bool done, struct text *out)
{
    struct json arguments = json_get(item, STR("arguments"));
    if (arguments.kind != JSON_STRING)
        replay_fail(r, FAIL_bad_value);
    begin_inside(r, item, "function_call_arguments", done ? ".done" : ".delta", out);
    text_printf(out, ",\"%s\":", done ? "arguments" : "delta");
    text_put(out, arguments.raw);
    end_event(out);
}

static void say_output(struct replay *r, struct json item, struct text *out)
{
    enum item kind = kind_of(item);
    if (kind == NO_ITEM || json_get(item, STR("id")).kind != JSON_STRING) {
        replay_fail(r, FAIL_bad_value);
        return;
    }
    say_item(r, item, false, out);
    if (kind == CALL) {
        say_arguments(r, item, false, out);
        say_arguments(r, item, true, out);
    } else {
        say_parts(r, item, kind, out);
    }
    say_item(r, item, true, out);
    r->items++;
}

void replay_responses_whole(struct replay *r, struct json body, struct text *out)
{
    struct text fresh = { 0 };
    replay_patch_answer(r, body.raw, &fresh);
    struct json answer = json_parse(text_str(&fresh), NULL), output = json_get(answer, STR("output"));
    bool cut = replay_is_text(json_get(answer, STR("status")), STR("incomplete"));
    struct json_walk w = json_walk(output);
    if (output.kind != JSON_ARRAY || !is_complete(answer))
        replay_fail(r, FAIL_bad_value);
    say_beginning(r, answer, "created", out);
    say_beginning(r, answer, "in_progress", out);
    while (json_next(&w) && !r->failed)
        say_output(r, w.value, out);
    begin_event(r, out, cut ? "incomplete" : "completed", "");
    text_put(out, STR(",\"response\":"));
    text_put(out, answer.raw);
    end_event(out);
    if (fresh.failed)
        replay_fail(r, fresh.failed);
    text_free(&fresh);
}
