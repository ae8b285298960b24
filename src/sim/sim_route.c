/* sim/sim_route.c - which endpoint answers a path, for each kind of backend.
 *
 * Ollama's paths are the gateway's own table (api/route.def), so the two cannot drift apart; what the other kinds have
 * besides, and the controls under /sim, is the short table below. Before any endpoint come the rules that Ollama has
 * for all of them: origin, host, tidy paths, methods. */
#include "sim/sim.h"

enum {
    OLLAMA = 1 << SIM_OLLAMA,
    LLAMACPP = 1 << SIM_LLAMACPP,
    VLLM = 1 << SIM_VLLM,
    OPENAI = 1 << SIM_OPENAI,
    OTHERS = LLAMACPP | VLLM | OPENAI,
    ALL = OLLAMA | OTHERS,
};

static const struct sim_endpoint by_route[ROUTE_COUNT] = {
    [ROUTE_root] = {sim_answer_root,             NULL,           OLLAMA,                   false},
    [ROUTE_version] = { sim_answer_version,         NULL,           OLLAMA,                   false},
    [ROUTE_tags] = { sim_answer_tags,            NULL,           OLLAMA,                   false},
    [ROUTE_ps] = { sim_answer_ps,              NULL,           OLLAMA,                   false},
    [ROUTE_generate] = { sim_answer_generate,        NULL,           OLLAMA,                   true },
    [ROUTE_chat] = { sim_answer_chat,            NULL,           OLLAMA,                   true },
    [ROUTE_embed] = { sim_answer_embed,           NULL,           OLLAMA,                   true },
    [ROUTE_embeddings] = { sim_answer_embeddings,      NULL,           OLLAMA,                   true },
    [ROUTE_show] = { sim_answer_show,            NULL,           OLLAMA,                   false},
    [ROUTE_pull] = { sim_answer_pull,            NULL,           OLLAMA,                   true },
    [ROUTE_push] = { sim_answer_push,            NULL,           OLLAMA,                   true },
    [ROUTE_create] = { sim_answer_create,          NULL,           OLLAMA,                   true },
    [ROUTE_copy] = { sim_answer_copy,            NULL,           OLLAMA,                   false},
    [ROUTE_delete] = { sim_answer_delete,          NULL,           OLLAMA,                   false},
    [ROUTE_blob] = { sim_answer_blob,            sim_begin_blob, OLLAMA,                   false},
    [ROUTE_cloud_status] = { sim_answer_cloud_status,    NULL,           OLLAMA,                   false},
    [ROUTE_me] = { sim_answer_not_signed_in,   NULL,           OLLAMA,                   false},
    [ROUTE_signout] = { sim_answer_not_signed_in,   NULL,           OLLAMA,                   false},
    [ROUTE_user_keys] = { sim_answer_not_signed_in,   NULL,           OLLAMA,                   false},
    [ROUTE_web_search] = { sim_answer_not_signed_in,   NULL,           OLLAMA,                   false},
    [ROUTE_web_fetch] = { sim_answer_not_signed_in,   NULL,           OLLAMA,                   false},
    [ROUTE_recommendations] = { sim_answer_recommendations, NULL,           OLLAMA,                   false},
    [ROUTE_v1_chat] = { sim_answer_v1_chat,         NULL,           ALL,                      true },
    [ROUTE_v1_completions] = { sim_answer_v1_completions,  NULL,           ALL,                      true },
    [ROUTE_v1_embeddings] = { sim_answer_v1_embeddings,   NULL,           ALL,                      true },
    [ROUTE_v1_responses] = { sim_answer_v1_responses,    NULL,           ALL,                      true },
    [ROUTE_v1_messages] = { sim_answer_v1_messages,     NULL,           OLLAMA | LLAMACPP | VLLM, true },
    [ROUTE_v1_transcribe] = { sim_answer_v1_transcribe,   NULL,           ALL,                      true },
    [ROUTE_v1_models] = { sim_answer_v1_models,       NULL,           ALL,                      false},
    [ROUTE_v1_model] = { sim_answer_v1_model,        NULL,           OLLAMA | OPENAI,          false},
};

static const struct extra {
    struct str path;
    unsigned methods;
    struct sim_endpoint endpoint;
} extras[] = {
    {{ "/health", 7 },       1 << M_GET,  { sim_answer_health, NULL, LLAMACPP | VLLM, false } },
    { { "/v1/health", 10 },  1 << M_GET,  { sim_answer_health, NULL, LLAMACPP, false }        },
    { { "/ping", 5 },        1 << M_GET,  { sim_answer_health, NULL, VLLM, false }            },
    { { "/props", 6 },       1 << M_GET,  { sim_answer_props, NULL, LLAMACPP, false }         },
    { { "/slots", 6 },       1 << M_GET,  { sim_answer_slots, NULL, LLAMACPP, false }         },
    { { "/models", 7 },      1 << M_GET,  { sim_answer_v1_models, NULL, LLAMACPP, false }     },
    { { "/metrics", 8 },     1 << M_GET,  { sim_answer_metrics, NULL, LLAMACPP | VLLM, false }},
    { { "/version", 8 },     1 << M_GET,  { sim_answer_version, NULL, VLLM, false }           },
    { { "/load", 5 },        1 << M_GET,  { sim_answer_server_load, NULL, VLLM, false }       },
    { { "/sim/faults", 11 }, 1 << M_POST, { sim_answer_faults, NULL, ALL, false }             },
    { { "/sim/stats", 10 },  1 << M_GET,  { sim_answer_stats, NULL, ALL, false }              },
};

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void not_found(struct sim_client *c, struct str body)
{
    if (c->node->kind == SIM_OLLAMA)
        sim_reply(c, 404, TYPE_TEXT, STR("404 page not found"));
    else if (c->node->kind == SIM_LLAMACPP)
        sim_reply(c, 404, TYPE_JSON,
                  STR("{\"error\":{\"code\":404,\"message\":\"File Not Found\",\"type\":\"not_found_error\"}}"));
    else
        sim_reply(c, 404, STR("application/json"), STR("{\"detail\":\"Not Found\"}"));
}

static void wrong_method(struct sim_client *c, struct str body)
{
    sim_reply(c, 405, TYPE_TEXT, STR("405 method not allowed"));
}

static void forbidden(struct sim_client *c, struct str body)
{
    c->origin = STR_NONE;
    sim_reply(c, 403, STR_NONE, STR_NONE);
}

static void preflight(struct sim_client *c, struct str body)
{
    sim_reply(c, 204, STR_NONE, STR_NONE);
}

/* Ollama's router answers an untidy path with the tidy one, which turns a POST into nothing or a GET. */
static void redirect(struct sim_client *c, struct str body)
{
    sim_reply(c, c->method == M_GET ? 301 : 307, STR_NONE, STR_NONE);
}

/* A line of the answer's head; none when memory is out. */
static void add_header(struct sim_client *c, struct str name, struct str value)
{
    struct text t = { 0 };
    text_put(&t, name);
    text_put(&t, value);
    text_put(&t, HTTP_CRLF);
    c->extra = t.failed ? STR_NONE : str_dup(&c->arena, text_str(&t));
    text_free(&t);
}

static void add_allow(struct sim_client *c, const struct route *r)
{
    char methods[64];
    add_header(c, STR("Allow: "), (struct str){ methods, route_allow(r, methods) });
}

static const struct sim_endpoint is_not_found = { .answer = not_found };
static const struct sim_endpoint is_wrong_method = { .answer = wrong_method };
static const struct sim_endpoint is_forbidden = { .answer = forbidden };
static const struct sim_endpoint is_preflight = { .answer = preflight };
static const struct sim_endpoint is_redirect = { .answer = redirect };

/* ---- origin and host (ollama-api 4.6, 4.7) ----------------------------------------------------------------------- */

static bool is_private(const struct addr *a)
{
    const uint8_t *b = (const uint8_t *)&a->v4.sin_addr;
    if (a->any.sa_family != AF_INET)
        return (a->v6.sin6_addr.s6_addr[0] & 0xFE) == 0xFC;
    return b[0] == 10 || (b[0] == 172 && (b[1] & 0xF0) == 16) || (b[0] == 192 && b[1] == 168);
}

static bool host_is_local(struct str authority)
{
    struct str host, port;
    struct addr a;
    if (!addr_authority(authority, &host, &port))
        return false;
    if (addr_literal(host, 0, &a))
        return addr_is_loopback(&a) || is_private(&a);
    return host.n == 0 || str_eq_nocase(host, STR("localhost")) || str_ends(host, STR(".localhost")) ||
           str_ends(host, STR(".local")) || str_ends(host, STR(".internal"));
}

/* NULL: nothing is in the way. */
static const struct sim_endpoint *guard(struct sim_client *c, const struct http_head *h)
{
    if (c->node->kind != SIM_OLLAMA) {
        c->origin = STR_NONE;
        return NULL;
    }
    struct str host = http_get(h, H_HOST);
    if (c->node->checks_host && !host_is_local(host))
        return &is_forbidden;
    if (cors_judge(&c->node->cors, c->origin, host) == CORS_REFUSED)
        return &is_forbidden;
    if (cors_judge(&c->node->cors, c->origin, host) == CORS_NONE)
        c->origin = STR_NONE;
    return h->method == M_OPTIONS && c->origin.n ? &is_preflight : NULL;
}

/* ---- the look-up ------------------------------------------------------------------------------------------------- */

static const struct sim_endpoint *find_extra(const struct sim_client *c, enum http_method method, struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(extras); i++) {
        const struct extra *e = &extras[i];
        if (e->endpoint.kinds & 1u << c->node->kind && str_eq(e->path, path))
            return e->methods & 1u << method ? &e->endpoint : &is_wrong_method;
    }
    return &is_not_found;
}

const struct sim_endpoint *sim_route(struct sim_client *c, const struct http_head *h, const struct route **out_route)
{
    *out_route = route_row(ROUTE_root);
    const struct sim_endpoint *in_the_way = guard(c, h);
    if (in_the_way)
        return in_the_way;
    struct str path = route_tidy(&c->arena, h->path);
    if (path.p != h->path.p) {
        add_header(c, STR("Location: "), path);
        return &is_redirect;
    }
    struct route_found f = route_find(h->method, path);
    if (!f.route || !(by_route[f.route->id].kinds & 1u << c->node->kind))
        return find_extra(c, h->method, path);
    *out_route = f.route;
    c->rest = str_dup(&c->arena, f.rest);
    if (!f.wrong_method)
        return &by_route[f.route->id];
    add_allow(c, f.route);
    return &is_wrong_method;
}
