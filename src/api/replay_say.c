/* api/replay_say.c - says pieces of talk as Ollama would: a record for each, or all of them at the end in one.
 *
 * Whoever gets a stream from an answer that was none gets it as one record and the last. Figures that a dialect does
 * not carry are left out, as Ollama leaves out what is zero. */
#include "api/replay_private.h"

static bool is_native(const struct replay *r)
{
    return r->to.route->dialect == DIALECT_OLLAMA;
}
static bool is_chat(const struct replay *r)
{
    return r->to.route->id == ROUTE_chat || r->to.route->id == ROUTE_v1_chat;
}
static bool changes_dialect(const struct replay *r)
{
    return r->from.route->id != r->to.route->id;
}

static void put_texts(struct text *t, struct str name, struct str inside)
{
    text_put(t, name);
    replay_put_quoted(t, inside);
}

static void put_list(struct text *t, struct str name, struct str elements, char close)
{
    if (!elements.n)
        return;
    text_put(t, name);
    text_put(t, elements);
    text_putc(t, ']');
    if (close)
        text_putc(t, close);
}

/* --- native --- */

static void put_native_front(struct replay *r, struct text *out)
{
    text_put(out, STR("{\"model\":"));
    text_put(out, r->to.model);
    text_put(out, STR(",\"created_at\":"));
    replay_put_stamp(r, out);
}

static void put_native_piece(struct replay *r, const struct replay_piece *p, struct text *out)
{
    put_texts(out, is_chat(r) ? STR(",\"message\":{\"role\":\"assistant\",\"content\":") : STR(",\"response\":"),
              p->words);
    if (p->thoughts.n)
        put_texts(out, STR(",\"thinking\":"), p->thoughts);
    put_list(out, STR(",\"tool_calls\":["), p->calls, 0);
    if (is_chat(r))
        text_putc(out, '}');
    put_list(out, STR(",\"logprobs\":["), p->logprobs, 0);
}

static void put_count(struct text *out, struct str name, int64_t figure)
{
    if (figure <= 0)
        return;
    text_put(out, name);
    text_i64(out, figure);
}

/* Of an answer in another dialect only this much is known. */
static void put_native_end(struct replay *r, struct text *out)
{
    if (!changes_dialect(r)) {
        text_put(out, text_str(&r->rest));
        return;
    }
    text_put(out, STR(",\"done\":true,\"done_reason\":"));
    text_put(out, text_str(&r->reason));
    put_count(out, STR(",\"prompt_eval_count\":"), r->figures.prompt_tokens);
    put_count(out, STR(",\"eval_count\":"), r->figures.output_tokens);
}

/* --- OpenAI --- */

static void put_openai_front(struct replay *r, struct text *out)
{
    struct str object = !is_chat(r)    ? STR("text_completion")
                        : r->to.stream ? STR("chat.completion.chunk")
                                       : STR("chat.completion");
    text_put(out, r->to.stream ? STR("data: {\"id\":") : STR("{\"id\":"));
    replay_put_id(r, out);
    put_texts(out, STR(",\"object\":"), object);
    text_put(out, STR(",\"created\":"));
    replay_put_seconds(r, out);
    text_put(out, STR(",\"model\":"));
    text_put(out, r->to.model);
    text_put(out, changes_dialect(r) ? STR(",\"system_fingerprint\":\"fp_ollama\"") : text_str(&r->marks));
}

/* A stream's calls are numbered, a message's need not be. What is streamed was never gathered, so the elements still
 * have their brackets about them. */
static void put_calls(struct replay *r, struct str elements, struct text *out)
{
    struct json list = {
        .kind = JSON_ARRAY, .raw = {elements.p - 1, elements.n + 2}
    };
    struct json_walk w = json_walk(list);
    for (bool first = true; json_next(&w); first = false) {
        bool numbered = json_get(w.value, STR("index")).kind != JSON_BAD;
        if (!first)
            text_putc(out, ',');
        if (!numbered)
            text_printf(out, "{\"index\":%u,", r->items);
        text_put(out, str_drop(w.value.raw, !numbered));
        r->items++;
    }
}

static void put_openai_message(struct replay *r, const struct replay_piece *p, struct text *out)
{
    if (!r->begun)
        text_put(out, STR("\"role\":\"assistant\","));
    put_texts(out, STR("\"content\":"), p->words);
    if (p->thoughts.n)
        put_texts(out, r->content_thoughts ? STR(",\"reasoning_content\":") : STR(",\"reasoning\":"), p->thoughts);
    if (p->calls.n && r->to.stream) {
        text_put(out, STR(",\"tool_calls\":["));
        put_calls(r, p->calls, out);
        text_putc(out, ']');
    } else {
        put_list(out, STR(",\"tool_calls\":["), p->calls, 0);
    }
    r->begun = true;
}

static void put_openai_choice(struct replay *r, const struct replay_piece *p, struct text *out)
{
    if (is_chat(r)) {
        text_put(out, r->to.stream ? STR(",\"choices\":[{\"index\":0,\"delta\":{")
                                   : STR(",\"choices\":[{\"index\":0,\"message\":{"));
        put_openai_message(r, p, out);
        text_putc(out, '}');
    } else {
        put_texts(out, STR(",\"choices\":[{\"index\":0,\"text\":"), p->words);
    }
    put_list(out, STR(",\"logprobs\":{\"content\":["), p->logprobs, '}');
}

static void put_usage(struct replay *r, struct text *out)
{
    uint64_t in = replay_count(r->figures.prompt_tokens), said = replay_count(r->figures.output_tokens);
    text_put(out, STR(",\"usage\":"));
    if (changes_dialect(r))
        text_printf(out, "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu}",
                    (unsigned long long)in, (unsigned long long)said, (unsigned long long)(in + said));
    else
        text_put(out, text_str(&r->rest));
}

static void put_reason(struct replay *r, struct text *out)
{
    text_put(out, STR(",\"finish_reason\":"));
    text_put(out, text_str(&r->reason));
    text_put(out, STR("}]"));
}

static void say_openai_chunk(struct replay *r, const struct replay_piece *p, struct text *out)
{
    put_openai_front(r, out);
    put_openai_choice(r, p, out);
    text_put(out, STR(",\"finish_reason\":null}]"));
    if (!is_chat(r) && r->to.wants_usage)
        text_put(out, STR(",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}"));
    text_put(out, STR("}\n\n"));
}

static void end_openai_stream(struct replay *r, struct text *out)
{
    put_openai_front(r, out);
    text_put(out, is_chat(r) ? STR(",\"choices\":[{\"index\":0,\"delta\":{}")
                             : STR(",\"choices\":[{\"index\":0,\"text\":\"\""));
    put_reason(r, out);
    text_put(out, STR("}\n\n"));
    if (r->to.wants_usage) {
        put_openai_front(r, out);
        text_put(out, STR(",\"choices\":[]"));
        put_usage(r, out);
        text_put(out, STR("}\n\n"));
    }
    text_put(out, STR("data: [DONE]\n\n"));
}

/* --- both --- */

static void say_record(struct replay *r, const struct replay_piece *p, struct text *out)
{
    if (!is_native(r)) {
        say_openai_chunk(r, p, out);
        return;
    }
    put_native_front(r, out);
    put_native_piece(r, p, out);
    text_put(out, STR(",\"done\":false}\n"));
}

static void gather(struct replay *r, const struct replay_piece *p)
{
    text_put(&r->words, p->words);
    text_put(&r->thoughts, p->thoughts);
    replay_join(&r->calls, p->calls);
    replay_join(&r->logprobs, p->logprobs);
}

/* Calls are told differently, and never asked for by requests that share a key. */
void replay_say(struct replay *r, const struct replay_piece *p, struct text *out)
{
    if (changes_dialect(r) && (p->calls.n || p->logprobs.n))
        replay_fail(r, FAIL_bad_value);
    else if (r->to.stream)
        say_record(r, p, out);
    else
        gather(r, p);
}

void replay_say_end(struct replay *r, struct text *out)
{
    struct replay_piece all = { text_str(&r->words), text_str(&r->thoughts), text_str(&r->calls),
                                text_str(&r->logprobs) };
    bool usual = r->figures.reason == REASON_STOP || r->figures.reason == REASON_LENGTH;
    if (!text_str(&r->reason).n || (changes_dialect(r) && !usual)) {
        replay_fail(r, FAIL_bad_value);
        return;
    }
    if (is_native(r)) {
        put_native_front(r, out);
        put_native_piece(r, &all, out);
        put_native_end(r, out);
        text_put(out, r->to.stream ? STR("}\n") : STR("}"));
    } else if (r->to.stream) {
        end_openai_stream(r, out);
    } else {
        put_openai_front(r, out);
        put_openai_choice(r, &all, out);
        put_reason(r, out);
        put_usage(r, out);
        text_putc(out, '}');
    }
}
