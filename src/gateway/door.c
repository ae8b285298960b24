/* The door: what can be said from the head alone is said before a byte of the body is read - where the request may come
 * from, whether there is such a route, who may use it, and how large a body may be. Then the body is gathered (or
 * streamed, for blobs). */
#include "gateway/gateway_private.h"

/* ---- pages of other people (ollama-api 4.7) ---------------------------------------------------------------------- */

static enum step preflight(struct exchange *x)
{
    char *at = arena_take(&x->arena, CORS_ROOM + x->in.origin.n);

    if (!at)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    x->out.headers = str_span(at, cors_headers(&x->settings->cors, x->in.origin, true, at));
    x->in.origin = STR_NONE; /* its lines are in already */
    return answer(x, 204, STR_NONE, STR_NONE);
}

/* STEP_NEXT: go on. */
static enum step judge_origin(struct exchange *x)
{
    enum cors_verdict v = cors_judge(&x->settings->cors, x->in.origin, x->in.host);

    if (v == CORS_REFUSED) {
        x->tally.why = FAIL_foreign_origin;
        x->in.origin = STR_NONE;
        return answer(x, 403, STR_NONE, STR_NONE); /* with an empty body, as Ollama does */
    }
    if (v == CORS_ALLOWED && x->in.method == M_OPTIONS && x->in.cors_method.n)
        return preflight(x);
    return STEP_NEXT;
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

/* As a client of Ollama's or Anthropic's asks whose base URL is meant for OpenAI's. */
static bool has_v1_too_many(struct str path)
{
    return str_starts(path, STR("/v1/")) && route_find(M_GET, str_drop(path, 3)).route;
}

static enum step unknown_path(struct exchange *x)
{
    if (has_v1_too_many(x->in.path))
        return answer_failf(x, FAIL_not_found,
                            "404 page not found\nThis path exists as %.*s: the client's base URL has a /v1 too many.\n",
                            STR_ARG(str_drop(x->in.path, 3)));
    if (route_lacks_v1(x->in.path))
        return answer_failf(x, FAIL_not_found,
                            "404 page not found\nThis path exists as /v1%.*s: the client's base URL lacks /v1.\n",
                            STR_ARG(x->in.path));
    return answer_fail(x, FAIL_not_found, STR("404 page not found"));
}

static enum step wrong_method(struct exchange *x, const struct route *r)
{
    char room[64];
    struct str allow = { room, route_allow(r, room) };

    answer_header(x, STR("Allow"), allow);
    x->route.row = NULL;
    return answer_failf(x, FAIL_method_not_allowed, "405 method not allowed\nThis path takes %.*s.\n", STR_ARG(allow));
}

static bool is_public(const struct exchange *x, const struct route *r)
{
    return r->id == ROUTE_metrics && x->settings->metrics_public;
}

static enum step judge_route(struct exchange *x)
{
    struct route_found found = route_find(x->in.method, x->in.path);

    if (!found.route)
        return unknown_path(x);
    x->route.row = found.route;
    x->route.rest = found.rest;
    if (found.wrong_method)
        return wrong_method(x, found.route);
    if (found.route->flags & ROUTE_OWN && !is_public(x, found.route) && !ops_allowed(x))
        return answer_fail(x, x->settings->admin_key.n ? FAIL_unauthorized : FAIL_forbidden, STR_NONE);
    return STEP_NEXT;
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static enum step judge_body(struct exchange *x)
{
    enum fail f;

    if (x->route.row->kind == KIND_BLOB && x->in.method == M_POST)
        return STEP_NEXT; /* streamed, not gathered */
    if (x->in.body_whole)
        return STEP_NEXT;
    f = x->in.framing == BODY_LENGTH && x->in.length > x->settings->body_max ? FAIL_body_too_large : OK;
    if (!f)
        f = body_begin(x, x->in.framing == BODY_LENGTH ? x->in.length : 0);
    if (f == FAIL_body_too_large)
        return answer_failf(x, f, "%.*s (%zu bytes)", STR_ARG(fail_sentence(f)), x->settings->body_max);
    if (f)
        return answer_fail(x, f, STR_NONE);
    client_want_body(x);
    return STEP_WAIT;
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

static bool came_from_us(const struct exchange *x)
{
    return x->in.via.n && str_find(x->in.via, str_of(x->worker->gateway->instance)) >= 0;
}

enum step door_enter(struct exchange *x)
{
    enum step s = STEP_NEXT;

    if (came_from_us(x))
        return answer_fail(x, FAIL_misdirected, STR_NONE);
    if (x->in.origin.n)
        s = judge_origin(x);
    if (s == STEP_NEXT)
        s = judge_route(x);
    if (s == STEP_NEXT && x->worker->gateway->draining && x->route.row->kind != KIND_OPS)
        return answer_fail(x, FAIL_shutting_down, STR_NONE);
    return s == STEP_NEXT ? judge_body(x) : s;
}
