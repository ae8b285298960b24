/* api/replay_messages.c - /v1/messages in its other shape: blocks that grew event by event become whole, and the
 * reverse.
 *
 *     message_start, (content_block_start, content_block_delta..., content_block_stop)..., message_delta, message_stop
 *        <-->  {"id","type","role","model","content":[{"type":"text","text":"..."}],"stop_reason","usage"}
 *
 * Kinds of blocks are text, thinking and tool_use, and of a block the members below; any other that says something
 * (signatures, citations) is refused, because nobody here could tell how its deltas are joined. */
#include "api/replay_private.h"

enum block { NO_BLOCK, TEXT, THINKING, TOOL };
static const struct {
    struct str type, member, delta, delta_member; /* of a stream's start and delta */
} blocks[] = {
    [TEXT] = {{ "text", 4 },      { "text", 4 },     { "text_delta", 10 },       { "text", 4 }         },
    [THINKING] = { { "thinking", 8 }, { "thinking", 8 }, { "thinking_delta", 14 },   { "thinking", 8 }     },
    [TOOL] = { { "tool_use", 8 }, { "input", 5 },    { "input_json_delta", 16 }, { "partial_json", 12 }},
};

static enum block kind_of(struct json block)
{
    struct json type = json_get(block, STR("type"));
    for (unsigned i = TEXT; i < ARRAY_LEN(blocks); i++)
        if (replay_is_text(type, blocks[i].type))
            return (enum block)i;
    return NO_BLOCK;
}

static bool is_call(struct json block)
{
    return json_get(block, STR("id")).kind == JSON_STRING && json_get(block, STR("name")).kind == JSON_STRING &&
           json_get(block, STR("input")).kind == JSON_OBJECT;
}

/* A block of a kind that is known, with nothing in it that is not. */
static enum block check_block(struct replay *r, struct json block)
{
    enum block kind = kind_of(block);
    struct json_walk w = json_walk(block);
    bool known = kind != NO_BLOCK;
    while (known && json_next(&w))
        known = json_key_is_exactly(w.key, STR("type")) || json_key_is_exactly(w.key, blocks[kind].member) ||
                (kind == TOOL && (json_key_is_exactly(w.key, STR("id")) || json_key_is_exactly(w.key, STR("name")))) ||
                !replay_is_filled(w.value);
    if (!known || (kind == TOOL && !is_call(block)))
        replay_fail(r, FAIL_bad_value);
    return kind;
}

static void put_kind(struct text *out, enum block kind)
{
    text_put(out, STR("{\"type\":"));
    replay_put_quoted(out, blocks[kind].type);
}

static void put_call(struct text *out, struct json block)
{
    put_kind(out, TOOL);
    text_put(out, STR(",\"id\":"));
    text_put(out, json_get(block, STR("id")).raw);
    text_put(out, STR(",\"name\":"));
    text_put(out, json_get(block, STR("name")).raw);
    text_put(out, STR(",\"input\":"));
}

/* --- from a stream --- */

static void open_block(struct replay *r, struct json block)
{
    if (r->block)
        replay_fail(r, FAIL_bad_value);
    r->block = check_block(r, block);
    if (r->failed)
        return;
    if (r->items++)
        text_putc(&r->calls, ',');
    if (r->block == TOOL) {
        put_call(&r->calls, block);
        return;
    }
    put_kind(&r->calls, r->block);
    text_put(&r->calls, r->block == TEXT ? STR(",\"text\":\"") : STR(",\"thinking\":\""));
    text_put(&r->calls, replay_inside(json_get(block, blocks[r->block].member)));
}

/* Input comes as pieces of a text that holds JSON. */
static void grow_input(struct replay *r, struct json piece)
{
    struct arena a;
    arena_init(&a);
    struct str text = json_text(&a, piece);
    if (!text.p)
        replay_fail(r, FAIL_no_memory);
    text_put(&r->words, text);
    arena_done(&a);
}

static void grow_block(struct replay *r, struct json delta)
{
    bool fits = r->block && replay_is_text(json_get(delta, STR("type")), blocks[r->block].delta);
    struct json piece = fits ? json_get(delta, blocks[r->block].delta_member) : (struct json){ .kind = JSON_BAD };
    if (piece.kind != JSON_STRING)
        replay_fail(r, FAIL_bad_value);
    else if (r->block == TOOL)
        grow_input(r, piece);
    else
        text_put(&r->calls, replay_inside(piece));
}

static void close_input(struct replay *r)
{
    struct str input = text_str(&r->words), rest = STR_NONE;
    if (!input.n)
        input = STR("{}");
    if (json_parse(input, &rest).kind != JSON_OBJECT || str_trim(rest).n)
        replay_fail(r, FAIL_bad_value);
    text_put(&r->calls, input);
    buf_eat(&r->words.buf, buf_len(&r->words.buf));
}

static void close_block(struct replay *r)
{
    if (r->block == TOOL)
        close_input(r);
    else if (r->block)
        text_putc(&r->calls, '"');
    else
        replay_fail(r, FAIL_bad_value);
    text_putc(&r->calls, '}');
    r->block = NO_BLOCK;
}

/* The counts of the end; of those that only the first event had, the estimate. */
static void keep_usage(struct replay *r, struct json usage)
{
    if (json_get(usage, STR("input_tokens")).kind == JSON_NUMBER) {
        text_put(&r->rest, usage.raw);
        return;
    }
    text_printf(&r->rest, "{\"input_tokens\":%llu,\"output_tokens\":%llu}",
                (unsigned long long)replay_count(r->figures.prompt_tokens),
                (unsigned long long)replay_count(r->figures.output_tokens));
}

static void keep_end(struct replay *r, struct json data)
{
    struct json delta = json_get(data, STR("delta")), sequence = json_get(delta, STR("stop_sequence"));
    struct json reason = json_get(delta, STR("stop_reason"));
    if (text_str(&r->rest).n || r->block || reason.kind != JSON_STRING) {
        replay_fail(r, FAIL_bad_value);
        return;
    }
    text_put(&r->reason, reason.raw);
    text_put(&r->marks, sequence.kind == JSON_STRING ? sequence.raw : STR("null"));
    keep_usage(r, json_get(data, STR("usage")));
}

void replay_messages_record(struct replay *r, struct json data, struct text *out)
{
    struct json type = json_get(data, STR("type"));
    if (replay_is_text(type, STR("content_block_start")))
        open_block(r, json_get(data, STR("content_block")));
    else if (replay_is_text(type, STR("content_block_delta")))
        grow_block(r, json_get(data, STR("delta")));
    else if (replay_is_text(type, STR("content_block_stop")))
        close_block(r);
    else if (replay_is_text(type, STR("message_delta")))
        keep_end(r, data);
    else if (!replay_is_text(type, STR("message_start")) && !replay_is_text(type, STR("message_stop")) &&
             !replay_is_text(type, STR("ping")))
        replay_fail(r, FAIL_bad_value);
}

static void put_front(struct replay *r, struct text *out)
{
    text_put(out, STR("\"id\":"));
    replay_put_id(r, out);
    text_put(out, STR(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"));
    text_put(out, r->to.model);
    text_put(out, STR(",\"content\":["));
}

void replay_messages_end(struct replay *r, struct text *out)
{
    if (r->to.stream)
        return;
    if (!text_str(&r->reason).n || r->block)
        replay_fail(r, FAIL_bad_value);
    text_putc(out, '{');
    put_front(r, out);
    text_put(out, text_str(&r->calls));
    text_put(out, STR("],\"stop_reason\":"));
    text_put(out, text_str(&r->reason));
    text_put(out, STR(",\"stop_sequence\":"));
    text_put(out, text_str(&r->marks));
    text_put(out, STR(",\"usage\":"));
    text_put(out, text_str(&r->rest));
    text_putc(out, '}');
}

/* --- from a whole --- */

static void begin_event(struct text *out, const char *name)
{
    text_printf(out, "event: %s\ndata: {\"type\":\"%s\"", name, name);
}

static void end_event(struct text *out)
{
    text_put(out, STR("}\n\n"));
}

static void say_start(struct replay *r, struct text *out)
{
    begin_event(out, "message_start");
    text_put(out, STR(",\"message\":{"));
    put_front(r, out);
    text_printf(out,
                "],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%llu,\"output_tokens\":0}}",
                (unsigned long long)replay_count(r->figures.prompt_tokens));
    end_event(out);
}

static void say_block_start(struct replay *r, enum block kind, struct json block, struct text *out)
{
    begin_event(out, "content_block_start");
    text_printf(out, ",\"index\":%u,\"content_block\":", r->items);
    if (kind == TOOL) {
        put_call(out, block);
        text_put(out, STR("{}}"));
    } else {
        text_put(out, kind == THINKING ? STR("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
                                       : STR("{\"type\":\"text\",\"text\":\"\"}"));
    }
    end_event(out);
}

static void say_delta(struct replay *r, enum block kind, struct json block, struct text *out)
{
    struct json content = json_get(block, blocks[kind].member);
    begin_event(out, "content_block_delta");
    text_printf(out, ",\"index\":%u,\"delta\":{\"type\":", r->items);
    replay_put_quoted(out, blocks[kind].delta);
    text_putc(out, ',');
    replay_put_quoted(out, blocks[kind].delta_member);
    text_putc(out, ':');
    if (kind == TOOL)
        json_quote(out, content.raw);
    else
        replay_put_quoted(out, replay_inside(content));
    text_putc(out, '}');
    end_event(out);
}

static void say_block(struct replay *r, struct json block, struct text *out)
{
    enum block kind = check_block(r, block);
    if (r->failed)
        return;
    say_block_start(r, kind, block, out);
    say_delta(r, kind, block, out);
    begin_event(out, "content_block_stop");
    text_printf(out, ",\"index\":%u", r->items++);
    end_event(out);
}

static void say_end(struct replay *r, struct json body, struct text *out)
{
    struct json sequence = json_get(body, STR("stop_sequence"));
    begin_event(out, "message_delta");
    text_put(out, STR(",\"delta\":{\"stop_reason\":"));
    text_put(out, json_get(body, STR("stop_reason")).raw);
    text_put(out, STR(",\"stop_sequence\":"));
    text_put(out, sequence.kind == JSON_STRING ? sequence.raw : STR("null"));
    text_put(out, STR("},\"usage\":"));
    text_put(out, json_get(body, STR("usage")).raw);
    end_event(out);
    begin_event(out, "message_stop");
    end_event(out);
}

void replay_messages_whole(struct replay *r, struct json body, struct text *out)
{
    struct json content = json_get(body, STR("content"));
    struct json_walk w = json_walk(content);
    if (json_get(body, STR("stop_reason")).kind != JSON_STRING || json_get(body, STR("usage")).kind != JSON_OBJECT ||
        (content.kind != JSON_ARRAY && content.kind != JSON_NULL))
        replay_fail(r, FAIL_bad_value);
    say_start(r, out);
    while (json_next(&w) && !r->failed)
        say_block(r, w.value, out);
    if (!r->failed)
        say_end(r, body, out);
}
