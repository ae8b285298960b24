/* api/replay_talk.c - reads what a model said on /api/generate, /api/chat, /v1/chat/completions and /v1/completions.
 *
 * A record gives a piece; the last one also why it ended, and members that are kept as they are: the durations and the
 * context of a native answer, the usage of another. A whole answer is one record that is all of it. */
#include "api/replay_private.h"

struct talk {
    struct replay *r;
    struct replay_piece piece;
    bool said; /* there is a piece, if perhaps an empty one */
    bool done; /* native */
};

static bool key_is(const struct json_walk *w, const char *name)
{
    struct str key = str_of(name);
    return w->key.n == key.n + 2 && json_key_is_exactly(w->key, key);
}

/* A member that nobody here knows must not say anything. */
static void refuse_if_filled(struct talk *t, struct json v)
{
    if (replay_is_filled(v))
        replay_fail(t->r, FAIL_bad_value);
}

static void put_member(struct text *to, const struct json_walk *w)
{
    text_putc(to, ',');
    text_put(to, w->key);
    text_putc(to, ':');
    text_put(to, w->value.raw);
}

static void say(struct talk *t, struct text *out)
{
    if (t->said && !t->r->failed)
        replay_say(t->r, &t->piece, out);
}

/* --- native --- */

/* What is said; false: another member. */
static bool take_native_words(struct talk *t, const struct json_walk *w)
{
    if (key_is(w, "content") || key_is(w, "response"))
        t->piece.words = replay_inside(w->value);
    else if (key_is(w, "thinking"))
        t->piece.thoughts = replay_inside(w->value);
    else if (key_is(w, "tool_calls"))
        t->piece.calls = replay_inside(w->value);
    else
        return false;
    return true;
}

static void take_native_message(struct talk *t, struct json message)
{
    struct json_walk w = json_walk(message);
    while (json_next(&w))
        if (!take_native_words(t, &w) && !key_is(&w, "role"))
            refuse_if_filled(t, w.value);
}

static void take_native_member(struct talk *t, const struct json_walk *w)
{
    struct replay *r = t->r;
    if (key_is(w, "message"))
        take_native_message(t, w->value);
    else if (key_is(w, "logprobs"))
        t->piece.logprobs = replay_inside(w->value);
    else if (!take_native_words(t, w) && r->ended && !key_is(w, "model") && !key_is(w, "created_at"))
        put_member(&r->rest, w);
    t->done |= key_is(w, "done") && w->value.kind == JSON_TRUE;
    if (key_is(w, "done_reason") && w->value.kind == JSON_STRING && !text_str(&r->reason).n)
        text_put(&r->reason, w->value.raw);
}

static void read_native(struct replay *r, struct json object, struct text *out)
{
    struct talk t = { .r = r, .said = true };
    struct json_walk w = json_walk(object);
    while (json_next(&w))
        take_native_member(&t, &w);
    struct replay_piece *p = &t.piece;
    t.said = !r->ended || p->words.n || p->thoughts.n || p->calls.n || p->logprobs.n;
    r->usage |= r->ended;
    if (r->ended && !t.done)
        replay_fail(r, FAIL_bad_value);
    say(&t, out);
}

void replay_native_record(struct replay *r, struct json data, struct text *out)
{
    read_native(r, data, out);
}

void replay_native_whole(struct replay *r, struct json body, struct text *out)
{
    read_native(r, body, out);
}

/* --- OpenAI --- */

/* Whole ones only: libraries join fragments by rules of their own. */
static void check_calls(struct talk *t, struct json calls)
{
    struct json_walk w = json_walk(calls);
    while (json_next(&w))
        if (!replay_is_filled(json_get(w.value, STR("id"))) ||
            !replay_is_filled(json_get(json_get(w.value, STR("function")), STR("name"))))
            replay_fail(t->r, FAIL_bad_value);
    t->piece.calls = replay_inside(calls);
}

/* Of a delta or a message. */
static void take_openai_message(struct talk *t, struct json message)
{
    struct json_walk w = json_walk(message);
    t->said = true;
    while (json_next(&w)) {
        bool content_thoughts = key_is(&w, "reasoning_content");
        if (key_is(&w, "content"))
            t->piece.words = replay_inside(w.value);
        else if (content_thoughts || key_is(&w, "reasoning")) {
            t->piece.thoughts = replay_inside(w.value);
            t->r->content_thoughts |= content_thoughts && replay_is_filled(w.value);
        } else if (key_is(&w, "tool_calls"))
            check_calls(t, w.value);
        else if (!key_is(&w, "role"))
            refuse_if_filled(t, w.value);
    }
}

static void take_logprobs(struct talk *t, struct json logprobs)
{
    struct json_walk w = json_walk(logprobs);
    while (json_next(&w))
        if (key_is(&w, "content") && w.value.kind == JSON_ARRAY)
            t->piece.logprobs = replay_inside(w.value);
        else
            refuse_if_filled(t, w.value);
}

static void take_choice(struct talk *t, struct json choice)
{
    struct json_walk w = json_walk(choice);
    while (json_next(&w)) {
        if (key_is(&w, "delta") || key_is(&w, "message")) {
            take_openai_message(t, w.value);
        } else if (key_is(&w, "text")) {
            t->piece.words = replay_inside(w.value);
            t->said = true;
        } else if (key_is(&w, "logprobs"))
            take_logprobs(t, w.value);
        else if (key_is(&w, "finish_reason") && w.value.kind == JSON_STRING && !text_str(&t->r->reason).n)
            text_put(&t->r->reason, w.value.raw);
        else if (key_is(&w, "index") && !str_eq(w.value.raw, STR("0")))
            replay_fail(t->r, FAIL_bad_value);
    }
}

static void take_choices(struct talk *t, struct json choices)
{
    struct json_walk w = json_walk(choices);
    for (unsigned n = 0; json_next(&w); n++)
        if (n == 0)
            take_choice(t, w.value);
        else
            replay_fail(t->r, FAIL_bad_value);
}

/* The last that is said holds. */
static void take_usage(struct replay *r, struct json usage)
{
    if (usage.kind != JSON_OBJECT)
        return;
    buf_eat(&r->rest.buf, buf_len(&r->rest.buf));
    text_put(&r->rest, usage.raw);
    r->usage = true;
}

static void read_openai(struct replay *r, struct json object, struct text *out)
{
    struct talk t = { .r = r };
    struct json_walk w = json_walk(object);
    while (json_next(&w)) {
        if (key_is(&w, "choices"))
            take_choices(&t, w.value);
        else if (key_is(&w, "usage"))
            take_usage(r, w.value);
        else if (key_is(&w, "system_fingerprint") && !text_str(&r->marks).n)
            put_member(&r->marks, &w);
    }
    struct replay_piece *p = &t.piece;
    bool empty = !p->words.n && !p->thoughts.n && !p->calls.n && !p->logprobs.n;
    t.said &= !(empty && text_str(&r->reason).n);
    say(&t, out);
}

void replay_openai_record(struct replay *r, struct json data, struct text *out)
{
    read_openai(r, data, out);
}

void replay_openai_whole(struct replay *r, struct json body, struct text *out)
{
    read_openai(r, body, out);
}
