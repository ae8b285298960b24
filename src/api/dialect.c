/* api/dialect.c - errors in the words of each family of clients.
 *
 * Inside a running stream the status is spent, so only the shape can make a library raise. What they look at
 * (openai-node core/streaming.ts, openai-python _streaming.py, anthropic-sdk streaming.ts, ollama-js and -python, all
 * of 2026):
 *
 *     Ollama     any record with a string `error`
 *     OpenAI     any data object with a truthy top-level `error`, under no event name or under one that begins
 * "response." Anthropic  event name "error"; the body is shown as it is
 *
 * A Responses stream ends, on the wire of the original, with `response.failed` and the error inside `response`. The
 * libraries hand that event out as an ordinary one and their callers overlook it. So the event carries the error twice:
 * inside `response` for clients that read events themselves (Codex), and at the top level, where openai-node and
 * openai-python raise APIError. `event: error` was rejected: it is ignored by the former, and a flat one is not raised
 * by openai-python. */
#include "api/dialect.h"
#include "base/json.h"

struct type_of_status {
    int status;
    const char *type;
};
static const struct type_of_status openai_types[] = {
    {400,  "invalid_request_error"},
    { 404, "not_found_error"      },
    { 0,   "api_error"            },
};
static const struct type_of_status anthropic_types[] = {
    {400,  "invalid_request_error"},
    { 401, "authentication_error" },
    { 403, "permission_error"     },
    { 404, "not_found_error"      },
    { 429, "rate_limit_error"     },
    { 503, "overloaded_error"     },
    { 529, "overloaded_error"     },
    { 0,   "api_error"            },
};

/* What an error says, before it is put into anybody's words. */
struct wording {
    int status;
    enum fail why;
    struct str message, request_id;
};
static void put_ollama(struct json_out *j, const struct wording *w);
static void put_openai(struct json_out *j, const struct wording *w);
static void put_anthropic(struct json_out *j, const struct wording *w);
static void put_own(struct json_out *j, const struct wording *w);
static void put_response_failed(struct json_out *j, const struct wording *w);

static const struct {
    struct str name, type;
    void (*members)(struct json_out *j, const struct wording *w);
    struct str event; /* name of the SSE event that carries an error; none: data alone */
    void (*event_members)(struct json_out *j, const struct wording *w);
} dialects[] = {
#define PLAIN                                                                                                          \
    {                                                                                                                  \
        "application/json", 16                                                                                         \
    }
#define UTF8                                                                                                           \
    {                                                                                                                  \
        "application/json; charset=utf-8", 31                                                                          \
    }
    [DIALECT_OLLAMA] = {{ "ollama", 6 },     UTF8,  put_ollama,    { NULL, 0 },               put_ollama         },
    [DIALECT_OPENAI] = { { "openai", 6 },    PLAIN, put_openai,    { NULL, 0 },               put_openai         },
    [DIALECT_RESPONSES] = { { "responses", 9 }, PLAIN, put_openai,    { "response.failed", 15 }, put_response_failed},
    [DIALECT_ANTHROPIC] = { { "anthropic", 9 }, PLAIN, put_anthropic, { "error", 5 },            put_anthropic      },
    [DIALECT_OWN] = { { "own", 3 },       UTF8,  put_own,       { NULL, 0 },               put_own            },
#undef PLAIN
#undef UTF8
};

struct str dialect_name(enum dialect d)
{
    assume((unsigned)d < ARRAY_LEN(dialects));
    return dialects[d].name;
}

struct str dialect_error_type(enum dialect d)
{
    assume((unsigned)d < ARRAY_LEN(dialects));
    return dialects[d].type;
}

static struct str type_of(const struct type_of_status *row, int status)
{
    while (row->status && row->status != status)
        row++;
    return str_of(row->type);
}

static void put_member(struct json_out *j, const char *key, struct str value)
{
    json_key(j, key);
    json_put_str(j, value);
}

static void put_ollama(struct json_out *j, const struct wording *w)
{
    put_member(j, "error", w->message);
}

static void put_own(struct json_out *j, const struct wording *w)
{
    put_member(j, "error", w->message);
    put_member(j, "code", fail_name(w->why));
}

static void put_openai(struct json_out *j, const struct wording *w)
{
    json_key(j, "error");
    json_open(j, '{');
    put_member(j, "message", w->message);
    put_member(j, "type", type_of(openai_types, w->status));
    json_key(j, "param");
    json_put_null(j);
    json_key(j, "code");
    json_put_null(j);
    json_close(j);
}

static void put_response_failed(struct json_out *j, const struct wording *w)
{
    put_member(j, "type", STR("response.failed"));
    json_key(j, "response");
    json_open(j, '{');
    put_member(j, "object", STR("response"));
    put_member(j, "status", STR("failed"));
    json_key(j, "error");
    json_open(j, '{');
    put_member(j, "code", STR("server_error"));
    put_member(j, "message", w->message);
    json_close(j);
    json_close(j);
    put_openai(j, w);
}

static void put_anthropic(struct json_out *j, const struct wording *w)
{
    put_member(j, "type", STR("error"));
    json_key(j, "error");
    json_open(j, '{');
    put_member(j, "type", type_of(anthropic_types, w->status));
    put_member(j, "message", w->message);
    json_close(j);
    if (w->request_id.n)
        put_member(j, "request_id", w->request_id);
}

static void put_object(struct text *t, void (*members)(struct json_out *, const struct wording *),
                       const struct wording *w)
{
    struct json_out j = { .to = t };
    json_open(&j, '{');
    members(&j, w);
    json_close(&j);
}

static struct wording word(int status, enum fail why, struct str message, struct str request_id)
{
    return (struct wording){ status, why, message.n ? message : fail_sentence(why), request_id };
}

void dialect_error(struct text *t, enum dialect d, int status, enum fail why, struct str message, struct str request_id)
{
    assume((unsigned)d < ARRAY_LEN(dialects));
    struct wording w = word(status, why, message, request_id);
    put_object(t, dialects[d].members, &w);
}

void dialect_error_record(struct text *t, enum dialect d, bool sse, enum fail why, struct str message,
                          struct str request_id)
{
    assume((unsigned)d < ARRAY_LEN(dialects));
    struct wording w = word(fail_status(why), why, message, request_id);
    if (!sse) {
        put_object(t, dialects[d].members, &w);
        text_putc(t, '\n');
        return;
    }
    if (dialects[d].event.n) {
        text_put(t, STR("event: "));
        text_put(t, dialects[d].event);
        text_putc(t, '\n');
    }
    text_put(t, STR("data: "));
    put_object(t, dialects[d].event_members, &w);
    text_put(t, STR("\n\n"));
}
