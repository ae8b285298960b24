/* sim/sim_answer_responses.c - /v1/responses: output items that are added, grow, and are done, each event numbered.
 *
 *     response.created, .in_progress, (output_item.added, ... deltas ..., output_item.done)..., response.completed
 *
 * An item is a reasoning, a message or a function_call; the next one begins when a token of another kind comes. There
 * is no [DONE], and `completed` also stands at the end of an answer that was cut by its limit, as with Ollama. */
#include "sim/sim.h"

enum item { REASONING, MESSAGE, CALL };

static enum item item_of(const struct sim_run *r, uint32_t i)
{
    if (i < r->think_tokens)
        return REASONING;
    return r->tool.p ? CALL : MESSAGE;
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

static void put_item_id(struct text *t, const struct sim_run *r, enum item kind)
{
    static const char *const prefixes[] = { [REASONING] = "rs", [MESSAGE] = "msg", [CALL] = "fc" };
    text_printf(t, "\"%s_%llu\"", prefixes[kind], (unsigned long long)(r->id % 999999));
}

static void put_text_part(struct text *t, const struct sim_run *r, bool done)
{
    text_put(t, STR("{\"type\":\"output_text\",\"text\":"));
    sim_words_quote(t, r, r->think_tokens, done ? r->tokens : r->think_tokens);
    text_put(t, STR(",\"annotations\":[],\"logprobs\":[]}"));
}

static void put_reasoning(struct text *t, const struct sim_run *r, bool done)
{
    text_put(t, STR(",\"type\":\"reasoning\",\"summary\":["));
    if (done) {
        text_put(t, STR("{\"type\":\"summary_text\",\"text\":"));
        sim_words_quote(t, r, 0, r->think_tokens);
        text_putc(t, '}');
    }
    text_put(t, STR("]}"));
}

static void put_call(struct text *t, const struct sim_run *r, bool done)
{
    text_printf(t, ",\"type\":\"function_call\",\"status\":\"%s\",\"call_id\":", done ? "completed" : "in_progress");
    sim_put_call_id(t, r);
    text_put(t, STR(",\"name\":"));
    text_put(t, r->tool);
    text_put(t, STR(",\"arguments\":"));
    json_quote(t, done ? r->arguments : STR(""));
    text_putc(t, '}');
}

static void put_message(struct text *t, const struct sim_run *r, bool done)
{
    text_printf(t, ",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
                done ? "completed" : "in_progress");
    if (done)
        put_text_part(t, r, true);
    text_put(t, STR("]}"));
}

static void put_item(struct text *t, const struct sim_run *r, enum item kind, bool done)
{
    text_put(t, STR("{\"id\":"));
    put_item_id(t, r, kind);
    if (kind == REASONING)
        put_reasoning(t, r, done);
    else if (kind == CALL)
        put_call(t, r, done);
    else
        put_message(t, r, done);
}

static void put_output(struct text *t, const struct sim_run *r)
{
    if (r->think_tokens)
        put_item(t, r, REASONING, true);
    if (r->think_tokens && r->tokens > r->think_tokens)
        text_putc(t, ',');
    if (r->tokens > r->think_tokens)
        put_item(t, r, item_of(r, r->tokens - 1), true);
}

static void put_response(struct text *t, const struct sim_client *c, bool done)
{
    const struct sim_run *r = &c->run;
    text_printf(t, "{\"id\":\"resp_%llu\",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\",\"model\":%.*s",
                (unsigned long long)(r->id % 999999), (long long)(loop_wall(c->node->loop) / SECOND(1)),
                done ? "completed" : "in_progress", STR_ARG(r->echo));
    text_put(t, STR(",\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"metadata\":{},"
                    "\"parallel_tool_calls\":true,\"previous_response_id\":null,\"tool_choice\":\"auto\",\"tools\":[],"
                    "\"temperature\":1,\"top_p\":1,\"output\":["));
    if (done)
        put_output(t, r);
    text_put(t, STR("],\"usage\":"));
    if (done)
        text_printf(t,
                    "{\"input_tokens\":%u,\"output_tokens\":%u,\"total_tokens\":%u,\"input_tokens_details\":{\"cached_"
                    "tokens\":0},"
                    "\"output_tokens_details\":{\"reasoning_tokens\":%u}}}",
                    r->prompt_tokens, r->tokens, r->prompt_tokens + r->tokens, r->think_tokens);
    else
        text_put(t, STR("null}"));
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void begin_event(struct sim_client *c, const char *name)
{
    text_printf(&c->record, "event: response.%s\ndata: {\"type\":\"response.%s\",\"sequence_number\":%u", name, name,
                c->run.sequence++);
}

static void end_event(struct sim_client *c)
{
    text_put(&c->record, STR("}\n\n"));
    sim_stream_record(c);
}

static void say_response(struct sim_client *c, const char *event, bool done)
{
    begin_event(c, event);
    text_put(&c->record, STR(",\"response\":"));
    put_response(&c->record, c, done);
    end_event(c);
}

static void say_item(struct sim_client *c, const char *event, enum item kind, bool done)
{
    begin_event(c, event);
    text_printf(&c->record, ",\"output_index\":%u,\"item\":", c->run.item);
    put_item(&c->record, &c->run, kind, done);
    end_event(c);
}

/* The events about the inside of an item begin alike. */
static void begin_inside(struct sim_client *c, const char *event, enum item kind)
{
    struct text *t = &c->record;
    begin_event(c, event);
    text_put(t, STR(",\"item_id\":"));
    put_item_id(t, &c->run, kind);
    text_printf(t, ",\"output_index\":%u", c->run.item);
    if (kind == MESSAGE)
        text_put(t, STR(",\"content_index\":0"));
    if (kind == REASONING)
        text_put(t, STR(",\"summary_index\":0"));
}

static void say_part(struct sim_client *c, const char *event, bool done)
{
    begin_inside(c, event, MESSAGE);
    text_put(&c->record, STR(",\"part\":"));
    put_text_part(&c->record, &c->run, done);
    end_event(c);
}

static void say_summary_part(struct sim_client *c, const char *event, bool done)
{
    struct sim_run *r = &c->run;
    begin_inside(c, event, REASONING);
    text_put(&c->record, STR(",\"part\":{\"type\":\"summary_text\",\"text\":"));
    sim_words_quote(&c->record, r, 0, done ? r->think_tokens : 0);
    text_putc(&c->record, '}');
    end_event(c);
}

static void say_words(struct sim_client *c, const char *event, enum item kind, const char *key, uint32_t from,
                      uint32_t to)
{
    begin_inside(c, event, kind);
    if (kind == MESSAGE)
        text_put(&c->record, STR(",\"logprobs\":[]"));
    text_printf(&c->record, ",\"%s\":", key);
    sim_words_quote(&c->record, &c->run, from, to);
    end_event(c);
}

static void say_arguments(struct sim_client *c, const char *event, const char *key)
{
    begin_inside(c, event, CALL);
    text_printf(&c->record, ",\"%s\":", key);
    json_quote(&c->record, c->run.arguments);
    end_event(c);
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

static void open_stream(struct sim_client *c)
{
    say_response(c, "created", false);
    say_response(c, "in_progress", false);
}

static void add_item(struct sim_client *c, enum item kind)
{
    say_item(c, "output_item.added", kind, false);
    if (kind == MESSAGE)
        say_part(c, "content_part.added", false);
    if (kind == REASONING)
        say_summary_part(c, "reasoning_summary_part.added", false);
}

static void finish_item(struct sim_client *c, enum item kind)
{
    struct sim_run *r = &c->run;
    if (kind == MESSAGE) {
        say_words(c, "output_text.done", kind, "text", r->think_tokens, r->tokens);
        say_part(c, "content_part.done", true);
    } else if (kind == REASONING) {
        say_words(c, "reasoning_summary_text.done", kind, "text", 0, r->think_tokens);
        say_summary_part(c, "reasoning_summary_part.done", true);
    } else {
        say_arguments(c, "function_call_arguments.delta", "delta");
        say_arguments(c, "function_call_arguments.done", "arguments");
    }
    say_item(c, "output_item.done", kind, true);
    r->item++;
}

static void say(struct sim_client *c, uint32_t i)
{
    const struct sim_run *r = &c->run;
    enum item kind = item_of(r, i);
    if (i > 0 && item_of(r, i - 1) != kind)
        finish_item(c, item_of(r, i - 1));
    if (i == 0 || item_of(r, i - 1) != kind)
        add_item(c, kind);
    if (kind == MESSAGE)
        say_words(c, "output_text.delta", kind, "delta", i, i + 1);
    if (kind == REASONING)
        say_words(c, "reasoning_summary_text.delta", kind, "delta", i, i + 1);
}

static void close_stream(struct sim_client *c)
{
    if (c->run.tokens)
        finish_item(c, item_of(&c->run, c->run.tokens - 1));
    say_response(c, "completed", true);
}

static void whole(struct sim_client *c, struct text *t)
{
    put_response(t, c, true);
}

static const struct sim_voice voice = {
    .type = {"text/event-stream", 17},
    .open = open_stream,
    .say = say,
    .close = close_stream,
    .whole = whole,
    .event_stream_headers = true
};

void sim_answer_v1_responses(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &voice);
}
