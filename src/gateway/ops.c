/* Operations: who may, health, memory, status, reload. Nodes and metrics have files of their own.
 *
 * Probes answer everyone with a word; what reveals or changes is for loopback or the admin key, and never for a foreign
 * Origin or Host, or any web page could reach it through its visitor's browser (DNS rebinding). */
#include "gateway/ops.h"
#include "gateway/shared.h"
#include "observe/pulse.h"
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- who may ----------------------------------------------------------------------------------------------------- */

/* "localhost:13100" -> "localhost", "[::1]:13100" -> "::1" */
static struct str host_alone(struct str host)
{
    ssize_t end;

    if (host.n && host.p[0] == '[') {
        end = str_chr(host, ']');
        return end < 0 ? host : (struct str){ host.p + 1, (size_t)end - 1 };
    }
    end = str_rchr(host, ':');
    return end < 0 ? host : str_take(host, (size_t)end);
}

static bool is_configured_host(struct str list, struct str host)
{
    while (list.n)
        if (str_eq_nocase(str_trim(str_cut(&list, ',')), host))
            return true;
    return false;
}

static bool host_is_ours(const struct gateway_settings *settings, const struct asker *by)
{
    struct str host = host_alone(by->host);
    struct addr a;

    if (str_eq_nocase(host, STR("localhost")) || is_configured_host(settings->hosts, host))
        return true;
    return addr_literal(host, 0, &a) && addr_is_loopback(&a);
}

static bool origin_is_ours(const struct asker *by)
{
    ssize_t at;

    if (!by->origin.n)
        return true;
    at = str_find(by->origin, STR("://"));
    return at > 0 && str_eq_nocase(str_drop(by->origin, (size_t)at + 3), by->host);
}

static bool has_key(struct str key, struct str given)
{
    if (!key.n || !str_starts_nocase(given, STR("bearer ")))
        return false;
    given = str_trim_blank(str_drop(given, 7));
    return given.n == key.n && CRYPTO_memcmp(given.p, key.p, key.n) == 0;
}

bool ops_may(const struct gateway_settings *settings, const struct asker *by)
{
    if (has_key(settings->admin_key, by->authorization))
        return true;
    return !settings->admin_key.n && by->loopback && host_is_ours(settings, by) && origin_is_ours(by);
}

bool ops_allowed(const struct exchange *x)
{
    struct asker by = { x->in.loopback, x->in.host, x->in.origin, x->in.authorization };

    return ops_may(x->settings, &by);
}

static bool changes(const struct exchange *x)
{
    return x->in.method == M_POST || x->in.method == M_PATCH;
}

static bool is_json(struct str type)
{
    return str_eq_nocase(str_trim(str_cut(&type, ';')), STR("application/json"));
}

/* ---- small helps ------------------------------------------------------------------------------------------------- */

void ops_str(struct json_out *j, const char *key, struct str value)
{
    json_key(j, key);
    json_put_str(j, value);
}

void ops_num(struct json_out *j, const char *key, double value)
{
    json_key(j, key);
    json_put_f64(j, value);
}

void ops_int(struct json_out *j, const char *key, int64_t value)
{
    json_key(j, key);
    json_put_i64(j, value);
}

void ops_bool(struct json_out *j, const char *key, bool value)
{
    json_key(j, key);
    json_put_bool(j, value);
}

struct str ops_parameter(struct exchange *x, struct str name)
{
    struct str raw = http_query(x->in.query, name);
    char *text = raw.n ? arena_take(&x->arena, raw.n) : NULL;
    size_t n = 0;

    return text && http_unescape(raw, text, &n) ? (struct str){ text, n } : STR_NONE;
}

struct fleet_snapshot *ops_snapshot(struct exchange *x, enum step *step)
{
    struct fleet_snapshot *s = fleet_snapshot(x->worker->gateway->fleet, worker_now(x->worker));

    if (!s)
        *step = answer_fail(x, FAIL_no_memory, STR_NONE);
    return s;
}

struct fleet_snapshot *ops_snapshot_whole(struct exchange *x, enum step *step)
{
    struct fleet_snapshot *s = ops_snapshot(x, step);

    if (s && !fleet_snapshot_serves(x->worker->gateway->fleet, s)) {
        fleet_snapshot_free(&s);
        *step = answer_fail(x, FAIL_no_memory, STR_NONE);
    }
    return s;
}

/* ---- health ------------------------------------------------------------------------------------------------------ */

static bool verbose(const struct exchange *x)
{
    return http_query(x->in.query, STR("verbose")).p && ops_allowed(x);
}

static enum step word(struct exchange *x, bool good, struct str yes, struct str no)
{
    return answer(x, good ? 200 : 503, STR("text/plain; charset=utf-8"), good ? yes : no);
}

struct health {
    struct str status;
    bool ready;
    uint32_t total, up;
    unsigned exchanges;
};

struct str ops_status(const struct gateway *g, const struct fleet_snapshot *s)
{
    if (!s->up || g->draining)
        return STR("down");
    return s->up < s->n ? STR("degraded") : STR("healthy");
}

static struct health health_of(struct exchange *x, const struct fleet_snapshot *s)
{
    struct gateway *g = x->worker->gateway;
    struct health h = { .total = s->n, .up = s->up };

    h.ready = s->up > 0 && !g->draining;
    h.status = ops_status(g, s);
    for (uint32_t i = 0; i < s->n; i++)
        h.exchanges += s->node[i].inflight;
    return h;
}

static void put_check(struct json_out *j, const char *name, bool good, const char *format, unsigned a, unsigned b)
{
    char detail[64];
    int n = snprintf(detail, sizeof detail, format, a, b);

    json_open(j, '{');
    ops_str(j, "name", str_of(name));
    ops_bool(j, "ok", good);
    ops_str(j, "detail", (struct str){ detail, (size_t)n });
    json_close(j);
}

/* Since the start; the same counters as /metrics, so both agree to the last request. */
static void put_totals(struct json_out *j, const struct gateway *g)
{
    struct meter *meters[SYS_WORKERS_MAX];
    double total[TOTAL_OF_METERS];

    for (unsigned i = 0; i < g->workers; i++)
        meters[i] = g->worker[i]->meter;
    pulse_totals(total, meters, g->workers);
    json_key(j, "totals");
    json_open(j, '{');
    ops_num(j, "requests", total[TOTAL_REQUESTS]);
    ops_num(j, "errors", total[TOTAL_ERRORS]);
    ops_num(j, "tokens_in", total[TOTAL_TOKENS_IN]);
    ops_num(j, "tokens_out", total[TOTAL_TOKENS_OUT]);
    json_close(j);
}

/* Says nothing of `status`: without it all goes on, only more is asked of the nodes. */
static void put_redis_check(struct json_out *j, const struct exchange *x)
{
    char why[SHARED_WHY] = "answers are shared";

    if (!x->settings->redis.n)
        return;
    json_open(j, '{');
    ops_str(j, "name", STR("redis"));
    ops_bool(j, "ok", shared_is_well(x, why));
    ops_str(j, "detail", str_of(why));
    json_close(j);
}

static enum step health_json(struct exchange *x, const struct health *h, uint32_t waiting)
{
    struct gateway *g = x->worker->gateway;
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    json_open(&j, '{');
    ops_str(&j, "status", h->status);
    ops_str(&j, "version", STR(OLLAMAMAX_VERSION));
    ops_num(&j, "uptime_s", (double)((loop_wall(x->worker->loop) - g->started_wall) / MSEC(100)) / 10);
    json_key(&j, "nodes");
    json_open(&j, '{');
    ops_int(&j, "total", h->total);
    ops_int(&j, "up", h->up);
    json_close(&j);
    ops_int(&j, "queue", waiting);
    ops_int(&j, "inflight", h->exchanges);
    put_totals(&j, g);
    json_key(&j, "checks");
    json_open(&j, '[');
    put_check(&j, "nodes", h->up > 0, "%u of %u up", h->up, h->total);
    put_check(&j, "draining", !g->draining, g->draining ? "the gateway is shutting down" : "no", 0, 0);
    put_redis_check(&j, x);
    json_close(&j);
    json_close(&j);
    return answer_json(x, h->ready ? 200 : 503, &t);
}

static enum step readiness(struct exchange *x)
{
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = ops_snapshot(x, &step);
    struct health h;

    if (!s)
        return step;
    h = health_of(x, s);
    if (x->route.row->id == ROUTE_api_health || verbose(x))
        step = health_json(x, &h, s->waiting);
    else
        step = word(x, h.ready, STR("ready\n"), STR("not ready\n"));
    fleet_snapshot_free(&s);
    return step;
}

static enum step liveness(struct exchange *x)
{
    return word(x, true, STR("alive\n"), STR_NONE);
}

/* ---- status and reload ------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void warn(struct json_out *j, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_put_str(j, (struct str){ text, MIN((size_t)n, sizeof text - 1) });
}

static void put_warnings(struct json_out *j, const struct exchange *x, const struct fleet_snapshot *s)
{
    enum pressure_step step = pressure_step(&x->worker->gateway->memory.pressure);
    char why[SHARED_WHY];

    json_key(j, "warnings");
    json_open(j, '[');
    for (uint32_t i = 0; i < s->n; i++)
        if (s->node[i].state == NODE_DOWN && s->node[i].last_error_text.n)
            warn(j, "node %.*s is down: %.*s", STR_ARG(s->node[i].name), STR_ARG(s->node[i].last_error_text));
    if (!shared_is_well(x, why))
        warn(j, "%s", why);
    if (step > PRESSURE_NONE)
        warn(j, "memory is short, above %u %% of memory.limit: GET /api/memory says what is done about it",
             (unsigned)pressure_mark(step));
    json_close(j);
}

static enum step status(struct exchange *x)
{
    struct gateway *g = x->worker->gateway;
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = ops_snapshot(x, &step);
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    if (!s)
        return step;
    json_open(&j, '{');
    json_key(&j, "cloud"); /* what Ollama's own clients look for at this path */
    json_put_raw(&j, STR("{\"disabled\":false,\"source\":\"none\"}"));
    ops_str(&j, "version", STR(OLLAMAMAX_VERSION));
    ops_num(&j, "uptime_s", (double)((loop_wall(x->worker->loop) - g->started_wall) / MSEC(100)) / 10);
    ops_int(&j, "workers", g->workers);
    ops_bool(&j, "draining", g->draining);
    json_key(&j, "settings");
    json_put_raw(&j, x->settings->summary.n ? x->settings->summary : STR("{}"));
    json_key(&j, "nodes");
    json_open(&j, '{');
    ops_int(&j, "total", s->n);
    ops_int(&j, "up", s->up);
    json_close(&j);
    put_warnings(&j, x, s);
    json_close(&j);
    fleet_snapshot_free(&s);
    return answer_json(x, 200, &t);
}

static enum step reload(struct exchange *x)
{
    struct gateway *g = x->worker->gateway;
    struct text says = { 0 }, t = { 0 };
    struct json_out j = { .to = &t };
    enum fail f;

    if (!g->reload)
        return answer_fail(x, FAIL_not_implemented, STR_NONE);
    f = g->reload(g->reload_arg, &says);
    if (f) {
        enum step step = answer_fail(x, f, text_str(&says));
        text_free(&says);
        return step;
    }
    json_open(&j, '{');
    ops_str(&j, "reloaded", text_str(&says));
    json_close(&j);
    text_free(&says);
    return answer_json(x, 200, &t);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static enum step (*const by_route[ROUTE_COUNT])(struct exchange *x) = {
    [ROUTE_livez] = liveness,        [ROUTE_readyz] = readiness,
    [ROUTE_dashboard] = page_enter,  [ROUTE_page] = page_enter,
    [ROUTE_health] = readiness,      [ROUTE_healthz] = readiness,
    [ROUTE_api_health] = readiness,  [ROUTE_metrics] = ops_metrics,
    [ROUTE_nodes] = ops_nodes,       [ROUTE_nodes_detailed] = ops_nodes_detailed,
    [ROUTE_node] = ops_node,         [ROUTE_models] = ops_models,
    [ROUTE_memory] = ops_memory,     [ROUTE_cloud_status] = status,
    [ROUTE_reload] = reload,         [ROUTE_history] = ops_history,
    [ROUTE_requests] = ops_requests, [ROUTE_request] = ops_request,
    [ROUTE_alerts] = ops_alerts,     [ROUTE_alerts_test] = ops_alerts_test,
    [ROUTE_silences] = ops_silences, [ROUTE_silence] = ops_silence,
    [ROUTE_explain] = ops_explain,   [ROUTE_queue] = ops_queue,
    [ROUTE_cache] = ops_cache,       [ROUTE_events] = ops_events,
    [ROUTE_ws] = socket_enter,       [ROUTE_decisions] = ops_decisions,
};

enum step ops_enter(struct exchange *x)
{
    if (changes(x) && x->in.body.n && !is_json(x->in.content_type))
        return answer_fail(x, FAIL_bad_media_type, STR_NONE);
    return by_route[x->route.row->id](x);
}
