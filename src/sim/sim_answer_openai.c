/* sim/sim_answer_openai.c - /v1/chat/completions, /v1/completions and /v1/audio/transcriptions as Ollama speaks them.
 *
 * A stream is chunks with one id, the role in the first only, a chunk with the finish_reason, with include_usage one
 * more that has no choices, then [DONE]. Arguments of a tool call are a JSON text within a string. */
#include "sim/sim.h"

static bool is_chat(const struct sim_client *c)
{
    return c->route->id == ROUTE_v1_chat;
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

static void put_front(struct text *t, const struct sim_client *c, struct str object)
{
    text_put(t, is_chat(c) ? STR("{\"id\":\"chatcmpl-") : STR("{\"id\":\"cmpl-"));
    text_u64(t, c->run.id % 999);
    text_put(t, STR("\",\"object\":\""));
    text_put(t, object);
    text_put(t, STR("\",\"created\":"));
    text_i64(t, loop_wall(c->node->loop) / SECOND(1));
    text_put(t, STR(",\"model\":"));
    text_put(t, c->run.echo);
    text_put(t, STR(",\"system_fingerprint\":\"fp_ollama\""));
}

static void put_usage(struct text *t, const struct sim_run *r)
{
    text_printf(t, ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u}", r->prompt_tokens,
                r->tokens, r->prompt_tokens + r->tokens);
}

static void put_finish(struct text *t, const struct sim_run *r)
{
    struct str why = r->tool.p ? STR("tool_calls") : r->only_load ? STR("load") : sim_done_reason(r);
    text_put(t, STR(",\"finish_reason\":\""));
    text_put(t, why);
    text_putc(t, '"');
}

static void put_call(struct text *t, const struct sim_run *r)
{
    text_put(t, STR("\"tool_calls\":[{\"id\":"));
    sim_put_call_id(t, r);
    text_put(t, STR(",\"index\":0,\"type\":\"function\",\"function\":{\"name\":"));
    text_put(t, r->tool);
    text_put(t, STR(",\"arguments\":"));
    json_quote(t, r->arguments);
    text_put(t, STR("}}]"));
}

static struct str chunk_object(const struct sim_client *c)
{
    return is_chat(c) ? STR("chat.completion.chunk") : STR("text_completion");
}

static void begin_chunk(struct sim_client *c)
{
    text_put(&c->record, STR("data: "));
    put_front(&c->record, c, chunk_object(c));
}

static void end_chunk(struct sim_client *c)
{
    text_put(&c->record, STR("}\n\n"));
    sim_stream_record(c);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static void put_delta(struct text *t, const struct sim_run *r, uint32_t i)
{
    bool thought = i < r->think_tokens;
    if (i == 0 || (r->tool.p && i + 1 == r->tokens && r->think_tokens == 0))
        text_put(t, STR("\"role\":\"assistant\","));
    if (r->tool.p && !thought) {
        text_put(t, STR("\"content\":\"\","));
        put_call(t, r);
        return;
    }
    text_put(t, thought ? STR("\"content\":\"\",\"reasoning\":") : STR("\"content\":"));
    sim_words_quote(t, r, i, i + 1);
}

static void say(struct sim_client *c, uint32_t i)
{
    struct text *t = &c->record;
    const struct sim_run *r = &c->run;
    if (r->tool.p && i >= r->think_tokens && i + 1 < r->tokens)
        return;
    begin_chunk(c);
    if (is_chat(c)) {
        text_put(t, STR(",\"choices\":[{\"index\":0,\"delta\":{"));
        put_delta(t, r, i);
        text_putc(t, '}');
    } else {
        text_put(t, STR(",\"choices\":[{\"index\":0,\"text\":"));
        sim_words_quote(t, r, i, i + 1);
    }
    text_put(t, STR(",\"finish_reason\":null}]"));
    if (!is_chat(c) && r->wants_usage)
        text_put(t, STR(",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}"));
    end_chunk(c);
}

static void close_stream(struct sim_client *c)
{
    struct text *t = &c->record;
    begin_chunk(c);
    text_put(t, is_chat(c) ? STR(",\"choices\":[{\"index\":0,\"delta\":{}")
                           : STR(",\"choices\":[{\"index\":0,\"text\":\"\""));
    put_finish(t, &c->run);
    text_put(t, STR("}]"));
    end_chunk(c);
    if (c->run.wants_usage) {
        begin_chunk(c);
        text_put(t, STR(",\"choices\":[]"));
        put_usage(t, &c->run);
        end_chunk(c);
    }
    text_put(t, STR("data: [DONE]\n\n"));
    sim_stream_record(c);
}

/* ---- in one piece ------------------------------------------------------------------------------------------------ */

static void put_message(struct text *t, const struct sim_run *r)
{
    text_put(t, STR(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"));
    if (r->tool.p)
        text_put(t, STR("\"\""));
    else
        sim_words_quote(t, r, r->think_tokens, r->tokens);
    if (r->think_tokens) {
        text_put(t, STR(",\"reasoning\":"));
        sim_words_quote(t, r, 0, r->think_tokens);
    }
    if (r->tool.p) {
        text_putc(t, ',');
        put_call(t, r);
    }
    text_putc(t, '}');
}

static void whole(struct sim_client *c, struct text *t)
{
    const struct sim_run *r = &c->run;
    put_front(t, c, is_chat(c) ? STR("chat.completion") : STR("text_completion"));
    if (is_chat(c)) {
        put_message(t, r);
    } else {
        text_put(t, STR(",\"choices\":[{\"index\":0,\"text\":"));
        sim_words_quote(t, r, 0, r->tokens);
    }
    put_finish(t, r);
    text_put(t, STR("}]"));
    put_usage(t, r);
    text_putc(t, '}');
}

static void whole_transcript(struct sim_client *c, struct text *t)
{
    text_put(t, STR("{\"text\":"));
    sim_words_quote(t, &c->run, 0, c->run.tokens);
    text_putc(t, '}');
}

static const struct sim_voice voice = {
    .type = {"text/event-stream", 17},
      .say = say, .close = close_stream, .whole = whole
};
static const struct sim_voice transcript = { .say = say, .close = close_stream, .whole = whole_transcript };

void sim_answer_v1_chat(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &voice);
}

void sim_answer_v1_completions(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &voice);
}

void sim_answer_v1_transcribe(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &transcript);
}
