/* api/cors.c - the judgement of gin-contrib/cors as Ollama sets it up (envconfig.AllowedOrigins, server/routes.go,
 * 2026-08).
 *
 *     no Origin, or http(s)://<our Host>  -> none      the request is not across origins
 *     "*", an equal or a matching pattern -> allowed   ordinary: headers; OPTIONS: 204 with the preflight's headers
 *     anything else                       -> refused   403, empty body, whatever the method
 *
 * Two things differ on purpose. The headers a page may send are Ollama's and more (browser clients of Anthropic's
 * library, our own X-OllamaMax-*), and the headers it may read are named, which Ollama, having none of its own, does
 * not need. And an Origin that would be echoed is bounded, because a pattern such as `app://` followed by a star lets
 * through any length. */
#include "api/cors.h"
#include "base/buf.h"

static const char *const built_in[] = {
    "http://localhost", "https://localhost", "http://localhost:*", "https://localhost:*",
    "http://127.0.0.1", "https://127.0.0.1", "http://127.0.0.1:*", "https://127.0.0.1:*",
    "http://0.0.0.0",   "https://0.0.0.0",   "http://0.0.0.0:*",   "https://0.0.0.0:*",
    "app://*",          "file://*",          "tauri://*",          "vscode-webview://*",
    "vscode-file://*",
};

#define ALLOW_HEADERS                                                                                                  \
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,OpenAI-Beta,x-stainless-arch,x-stainless-async,"    \
    "x-stainless-custom-poll-interval,x-stainless-helper-method,x-stainless-lang,x-stainless-os,"                      \
    "x-stainless-package-version,x-stainless-poll-helper,x-stainless-retry-count,x-stainless-runtime,"                 \
    "x-stainless-runtime-version,x-stainless-timeout,x-api-key,anthropic-version,anthropic-beta,"                      \
    "anthropic-dangerous-direct-browser-access,Cache-Control,X-Request-Id,traceparent,tracestate,"                     \
    "X-OllamaMax-Priority,X-OllamaMax-Tenant,X-OllamaMax-Deadline-Ms,X-OllamaMax-Node,X-OllamaMax-Continue"
#define EXPOSE_HEADERS                                                                                                 \
    "X-Request-Id,traceparent,X-OllamaMax-Node,X-OllamaMax-Queue-Ms,X-OllamaMax-Attempts,X-OllamaMax-Decision,"        \
    "X-OllamaMax-Simulated,Cache-Status,Age,Retry-After"

static const struct str preflight_lines = STR("Access-Control-Allow-Methods: GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS\r\n"
                                              "Access-Control-Allow-Headers: " ALLOW_HEADERS "\r\n"
                                              "Access-Control-Max-Age: 43200\r\n");
static const struct str ordinary_lines = STR("Access-Control-Expose-Headers: " EXPOSE_HEADERS "\r\n");

static unsigned count_of(struct str s, char c)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == c;
    return n;
}

static enum fail allow(struct cors *c, struct str pattern)
{
    if (count_of(pattern, '*') > 1)
        return FAIL_bad_setting;
    c->everyone |= str_eq(pattern, STR("*"));
    struct str kept = str_dup(&c->arena, pattern);
    if (!kept.p)
        return FAIL_no_memory;
    c->allowed[c->n++] = kept;
    return OK;
}

static enum fail allow_list(struct cors *c, struct str list)
{
    while (list.n) {
        struct str pattern = str_trim(str_cut(&list, ','));
        enum fail f = pattern.n ? allow(c, pattern) : OK;
        if (f)
            return f;
    }
    return OK;
}

enum fail cors_init(struct cors *c, struct str configured)
{
    *c = (struct cors){ 0 };
    arena_init(&c->arena);
    c->allowed = arena_array(&c->arena, struct str, ARRAY_LEN(built_in) + count_of(configured, ',') + 1);
    if (!c->allowed)
        return FAIL_no_memory;
    enum fail f = allow_list(c, configured);
    for (unsigned i = 0; i < ARRAY_LEN(built_in) && !f; i++)
        f = allow(c, str_of(built_in[i]));
    return f;
}

void cors_done(struct cors *c)
{
    arena_done(&c->arena);
    *c = (struct cors){ 0 };
}

static bool matches(struct str pattern, struct str origin)
{
    ssize_t star = str_chr(pattern, '*');
    if (star < 0)
        return str_eq_nocase(pattern, origin);
    struct str before = str_take(pattern, (size_t)star), after = str_drop(pattern, (size_t)star + 1);
    if (origin.n < before.n + after.n || !str_starts_nocase(origin, before))
        return false;
    return str_eq_nocase(str_drop(origin, origin.n - after.n), after);
}

static bool same_origin(struct str origin, struct str host)
{
    static const struct str schemes[] = {
        {"http://",   7},
        { "https://", 8}
    };
    for (unsigned i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts_nocase(origin, schemes[i]) && str_eq_nocase(str_drop(origin, schemes[i].n), host))
            return host.n > 0;
    return false;
}

enum cors_verdict cors_judge(const struct cors *c, struct str origin, struct str host)
{
    if (origin.n == 0 || same_origin(origin, host))
        return CORS_NONE;
    if (c->everyone)
        return CORS_ALLOWED;
    if (origin.n > CORS_ORIGIN_MAX)
        return CORS_REFUSED;
    for (unsigned i = 0; i < c->n; i++)
        if (matches(c->allowed[i], origin))
            return CORS_ALLOWED;
    return CORS_REFUSED;
}

static char *put_vary(char *at, bool preflight)
{
    at = put_str(at, STR("Vary: Origin\r\n"));
    if (!preflight)
        return at;
    return put_str(at, STR("Vary: Access-Control-Request-Method\r\nVary: Access-Control-Request-Headers\r\n"));
}

char *cors_headers(const struct cors *c, struct str origin, bool preflight, char *at)
{
    at = put_str(at, STR("Access-Control-Allow-Origin: "));
    if (c->everyone) {
        at = put_str(at, STR("*\r\n"));
    } else {
        assume(origin.n <= CORS_ORIGIN_MAX);
        at = put_str(at, origin);
        at = put_str(at, STR("\r\n"));
        at = put_vary(at, preflight);
    }
    return put_str(at, preflight ? preflight_lines : ordinary_lines);
}
