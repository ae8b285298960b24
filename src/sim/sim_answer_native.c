/* sim/sim_answer_native.c - /api/generate and /api/chat: a line of JSON per token, and a last one with the figures.
 *
 *     {"model":"m","created_at":"...","message":{"role":"assistant","content":" word"},"done":false}
 *     {"model":"m","created_at":"...","message":{...,""},"done":true,"done_reason":"stop","total_duration":...}
 *
 * The two routes differ in one member; figures that are zero are left out, as Go's omitempty does. */
#include "sim/sim.h"

static bool is_chat(const struct sim_client *c)
{
    return c->route->id == ROUTE_chat;
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

static void put_front(struct text *t, const struct sim_client *c)
{
    text_put(t, STR("{\"model\":"));
    text_put(t, c->run.echo);
    text_put(t, STR(",\"created_at\":"));
    sim_put_stamp(t, loop_wall(c->node->loop));
}

static void put_call(struct text *t, const struct sim_run *r)
{
    text_put(t, STR(",\"tool_calls\":[{\"id\":"));
    sim_put_call_id(t, r);
    text_put(t, STR(",\"function\":{\"index\":0,\"name\":"));
    text_put(t, r->tool);
    text_put(t, STR(",\"arguments\":"));
    text_put(t, r->arguments);
    text_put(t, STR("}}]"));
}

static uint32_t text_from(const struct sim_run *r, uint32_t from)
{
    return MAX(from, r->think_tokens);
}

/* Tokens [from, to), thoughts apart from text. */
static void put_tokens(struct text *t, const struct sim_client *c, uint32_t from, uint32_t to)
{
    const struct sim_run *r = &c->run;
    uint32_t text_begins = MIN(text_from(r, from), to);
    bool calls = r->tool.p && to == r->tokens && to > from;
    text_put(t, is_chat(c) ? STR(",\"message\":{\"role\":\"assistant\",\"content\":") : STR(",\"response\":"));
    if (r->tool.p)
        text_put(t, STR("\"\""));
    else
        sim_words_quote(t, r, text_begins, to);
    if (text_begins > from) {
        text_put(t, STR(",\"thinking\":"));
        sim_words_quote(t, r, from, text_begins);
    }
    if (calls)
        put_call(t, r);
    if (is_chat(c))
        text_putc(t, '}');
}

static void put_figure(struct text *t, struct str name, int64_t v)
{
    if (v <= 0)
        return;
    text_put(t, STR(",\""));
    text_put(t, name);
    text_put(t, STR("\":"));
    text_i64(t, v);
}

static void put_context(struct text *t, const struct sim_run *r)
{
    text_put(t, STR(",\"context\":["));
    for (uint32_t i = 0; i < r->prompt_tokens + r->tokens; i++) {
        if (i)
            text_putc(t, ',');
        text_u64(t, sim_mix(r->hash + i) % 32000);
    }
    text_putc(t, ']');
}

static struct str reason(const struct sim_run *r)
{
    if (!r->only_load)
        return sim_done_reason(r);
    return r->keep_set && r->keep == 0 ? STR("unload") : STR("load");
}

static void put_end(struct text *t, const struct sim_client *c)
{
    const struct sim_run *r = &c->run;
    text_put(t, STR(",\"done\":true,\"done_reason\":\""));
    text_put(t, reason(r));
    text_putc(t, '"');
    if (r->only_load) {
        text_putc(t, '}');
        return;
    }
    if (!is_chat(c) && !r->raw)
        put_context(t, r);
    put_figure(t, STR("total_duration"), r->ended - r->began);
    put_figure(t, STR("load_duration"), r->loaded - r->began);
    put_figure(t, STR("prompt_eval_count"), r->prompt_tokens);
    put_figure(t, STR("prompt_eval_duration"), r->decoded_from - r->prefilled_from);
    put_figure(t, STR("eval_count"), r->tokens);
    put_figure(t, STR("eval_duration"), r->ended - r->decoded_from);
    text_putc(t, '}');
}

/* ---- the voice --------------------------------------------------------------------------------------------------- */

static void say(struct sim_client *c, uint32_t i)
{
    struct text *t = &c->record;
    if (c->run.tool.p && i >= c->run.think_tokens && i + 1 < c->run.tokens)
        return; /* a call is seen whole, or not at all */
    put_front(t, c);
    put_tokens(t, c, i, i + 1);
    text_put(t, STR(",\"done\":false}\n"));
    sim_stream_record(c);
}

static void close_stream(struct sim_client *c)
{
    struct text *t = &c->record;
    put_front(t, c);
    put_tokens(t, c, c->run.tokens, c->run.tokens);
    put_end(t, c);
    text_putc(t, '\n');
    sim_stream_record(c);
}

static void whole(struct sim_client *c, struct text *t)
{
    put_front(t, c);
    put_tokens(t, c, 0, c->run.tokens);
    put_end(t, c);
}

static const struct sim_voice voice = {
    .type = {"application/x-ndjson", 20},
      .say = say, .close = close_stream, .whole = whole
};

void sim_answer_generate(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &voice);
}

void sim_answer_chat(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &voice);
}
