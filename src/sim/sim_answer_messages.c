/* sim/sim_answer_messages.c - /v1/messages, Anthropic's dialect: named events, blocks that start, grow and stop.
 *
 *     message_start, (content_block_start, content_block_delta..., content_block_stop)..., message_delta, message_stop
 *
 * A block is thinking, text or tool_use; `item` counts them, and a block is opened by the first token that belongs into
 * it. No ping is sent: Ollama sends none. */
#include "sim/sim.h"

enum block { THINKING, TEXT, TOOL };

static enum block block_of(const struct sim_run *r, uint32_t i)
{
    if (i < r->think_tokens)
        return THINKING;
    return r->tool.p ? TOOL : TEXT;
}

static struct str stop_reason(const struct sim_run *r)
{
    if (r->tool.p)
        return STR("tool_use");
    return r->cut ? STR("max_tokens") : STR("end_turn");
}

static void begin_event(struct sim_client *c, struct str name)
{
    struct text *t = &c->record;
    text_put(t, STR("event: "));
    text_put(t, name);
    text_put(t, STR("\ndata: {\"type\":\""));
    text_put(t, name);
    text_putc(t, '"');
}

static void end_event(struct sim_client *c)
{
    text_put(&c->record, STR("}\n\n"));
    sim_stream_record(c);
}

static void put_message_front(struct text *t, const struct sim_run *r)
{
    text_printf(t, "\"id\":\"msg_%08x%016llx\",\"type\":\"message\",\"role\":\"assistant\",\"model\":%.*s",
                (unsigned)r->hash, (unsigned long long)r->id, STR_ARG(r->echo));
}

static void put_tool(struct text *t, const struct sim_run *r, struct str input)
{
    text_printf(t,
                "{\"type\":\"tool_use\",\"id\":\"toolu_%016llx\",\"name\":%.*s,\"input\":", (unsigned long long)r->id,
                STR_ARG(r->tool));
    text_put(t, input);
    text_putc(t, '}');
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

static void open_stream(struct sim_client *c)
{
    struct text *t = &c->record;
    begin_event(c, STR("message_start"));
    text_put(t, STR(",\"message\":{"));
    put_message_front(t, &c->run);
    text_printf(t,
                ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%u,\"output_"
                "tokens\":0}}",
                c->run.prompt_tokens);
    end_event(c);
}

static void start_block(struct sim_client *c, enum block b)
{
    struct text *t = &c->record;
    begin_event(c, STR("content_block_start"));
    text_printf(t, ",\"index\":%u,\"content_block\":", c->run.item);
    if (b == TOOL)
        put_tool(t, &c->run, STR("{}"));
    else
        text_put(t, b == THINKING ? STR("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
                                  : STR("{\"type\":\"text\",\"text\":\"\"}"));
    end_event(c);
}

static void stop_block(struct sim_client *c)
{
    begin_event(c, STR("content_block_stop"));
    text_printf(&c->record, ",\"index\":%u", c->run.item++);
    end_event(c);
}

static void put_delta(struct sim_client *c, enum block b, uint32_t i)
{
    static const char *const fields[] = {
        [THINKING] = "{\"type\":\"thinking_delta\",\"thinking\":",
        [TEXT] = "{\"type\":\"text_delta\",\"text\":",
        [TOOL] = "{\"type\":\"input_json_delta\",\"partial_json\":",
    };
    struct text *t = &c->record;
    begin_event(c, STR("content_block_delta"));
    text_printf(t, ",\"index\":%u,\"delta\":%s", c->run.item, fields[b]);
    if (b == TOOL)
        json_quote(t, c->run.arguments);
    else
        sim_words_quote(t, &c->run, i, i + 1);
    text_putc(t, '}');
    end_event(c);
}

static void say(struct sim_client *c, uint32_t i)
{
    const struct sim_run *r = &c->run;
    enum block b = block_of(r, i);
    if (i > 0 && block_of(r, i - 1) != b)
        stop_block(c);
    if (i == 0 || block_of(r, i - 1) != b)
        start_block(c, b);
    if (b != TOOL || i + 1 == r->tokens)
        put_delta(c, b, i);
}

static void close_stream(struct sim_client *c)
{
    struct text *t = &c->record;
    if (c->run.tokens)
        stop_block(c);
    begin_event(c, STR("message_delta"));
    text_put(t, STR(",\"delta\":{\"stop_reason\":\""));
    text_put(t, stop_reason(&c->run));
    text_printf(t, "\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":%u,\"output_tokens\":%u}",
                c->run.prompt_tokens, c->run.tokens);
    end_event(c);
    begin_event(c, STR("message_stop"));
    end_event(c);
}

/* ---- in one piece ------------------------------------------------------------------------------------------------ */

static void put_blocks(struct text *t, const struct sim_run *r)
{
    if (r->think_tokens) {
        text_put(t, STR("{\"type\":\"thinking\",\"thinking\":"));
        sim_words_quote(t, r, 0, r->think_tokens);
        text_put(t, STR("}"));
    }
    if (r->think_tokens && r->tokens > r->think_tokens)
        text_putc(t, ',');
    if (r->tool.p) {
        put_tool(t, r, r->arguments);
    } else if (r->tokens > r->think_tokens) {
        text_put(t, STR("{\"type\":\"text\",\"text\":"));
        sim_words_quote(t, r, r->think_tokens, r->tokens);
        text_putc(t, '}');
    }
}

static void whole(struct sim_client *c, struct text *t)
{
    const struct sim_run *r = &c->run;
    text_putc(t, '{');
    put_message_front(t, r);
    text_put(t, STR(",\"content\":["));
    put_blocks(t, r);
    text_put(t, STR("],\"stop_reason\":\""));
    text_put(t, stop_reason(r));
    text_printf(t, "\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":%u,\"output_tokens\":%u}}", r->prompt_tokens,
                r->tokens);
}

static const struct sim_voice voice = {
    .type = {"text/event-stream", 17},
    .open = open_stream,
    .say = say,
    .close = close_stream,
    .whole = whole,
    .event_stream_headers = true
};

void sim_answer_v1_messages(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &voice);
}
