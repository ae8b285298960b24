/* What the cache has and has spared, and forgetting on demand. */
#include "gateway/ops.h"
#include "gateway/shared.h"

static double hits_of(const struct cache_count *n)
{
    return (double)(n->hits + n->stale + n->joins + n->shared);
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void put_count(struct json_out *j, const struct cache_count *n)
{
    ops_int(j, "requests", (int64_t)n->requests);
    ops_int(j, "hits", (int64_t)n->hits);
    ops_int(j, "stale", (int64_t)n->stale);
    ops_int(j, "joined", (int64_t)n->joins);
    ops_int(j, "shared", (int64_t)n->shared);
    ops_int(j, "misses", (int64_t)n->misses);
    ops_int(j, "passed", (int64_t)n->passes);
    ops_num(j, "hit_ratio", share(hits_of(n), (double)n->requests));
    ops_num(j, "saved_gpu_s", n->saved_s);
    ops_int(j, "saved_tokens", (int64_t)n->saved_tokens);
}

static void put_routes(struct json_out *j, const struct cache_stats *s)
{
    json_key(j, "by_route");
    json_open(j, '[');
    for (unsigned i = 0; i < CACHE_CLASSES; i++) {
        if (!s->by_class[i].requests)
            continue;
        json_open(j, '{');
        ops_str(j, "route", lookup_route(i)->name);
        put_count(j, &s->by_class[i]);
        json_close(j);
    }
    json_close(j);
}

static void put_connections(struct json_out *j, const struct redis_board_look *s)
{
    json_key(j, "connections");
    json_open(j, '{');
    for (unsigned i = 0; i < REDIS_BREAKERS; i++)
        ops_int(j, redis_breaker_name(i).p, s->connections[i]);
    json_close(j);
}

/* The other tier, or null. */
static void put_redis(struct json_out *j, const struct exchange *x)
{
    struct redis_board_look s;
    char name[128];

    json_key(j, "redis");
    if (!shared_look(x->worker->gateway, &s)) {
        json_put_null(j);
        return;
    }
    json_open(j, '{');
    shared_name(x, name);
    ops_str(j, "url", str_of(name));
    ops_str(j, "breaker", redis_breaker_name(s.breaker));
    put_connections(j, &s);
    json_key(j, "requests");
    json_open(j, '{');
    for (unsigned i = 0; i < REDIS_COUNTS; i++)
        ops_int(j, redis_count_name(i).p, (int64_t)s.count[i]);
    json_close(j);
    ops_num(j, "reply_ms_p50", (double)s.p50 / 1e6);
    ops_num(j, "reply_ms_p99", (double)s.p99 / 1e6);
    json_close(j);
}

static enum step show(struct exchange *x)
{
    struct cache_stats s;
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    cache_stats(x->worker->gateway->cache, &s);
    json_open(&j, '{');
    ops_bool(&j, "enabled", x->settings->cache.enabled);
    ops_int(&j, "entries", (int64_t)s.entries);
    ops_int(&j, "bytes", (int64_t)s.bytes);
    ops_int(&j, "size", (int64_t)s.size);
    ops_int(&j, "flights", (int64_t)s.flights);
    put_count(&j, &s.all);
    ops_num(&j, "best_possible", share(s.best_possible, (double)s.all.requests));
    ops_int(&j, "filled", (int64_t)s.filled);
    ops_int(&j, "refreshed", (int64_t)s.refreshed);
    ops_int(&j, "evicted", (int64_t)s.evicted);
    ops_int(&j, "expired", (int64_t)s.expired);
    ops_int(&j, "forgotten", (int64_t)s.forgotten);
    ops_int(&j, "not_worth_keeping", (int64_t)s.poor);
    ops_int(&j, "rescues", (int64_t)s.rescues);
    put_routes(&j, &s);
    put_redis(&j, x);
    json_close(&j);
    return answer_json(x, 200, &t);
}

/* What goes by a tag: "model:NAME", "node:ID"; no tag: everything. */
struct tagged {
    struct str kind, name;
    uint64_t tag;
};

/* `tags=`, `model=`: who mistypes it does not mean everything. */
static bool has_only_a_tag(struct str query)
{
    while (query.n) {
        struct str pair = str_cut(&query, '&');
        if (pair.n && !str_eq(str_cut(&pair, '='), STR("tag")))
            return false;
    }
    return true;
}

/* False: it is neither. */
static bool read_tag(struct exchange *x, struct tagged *out)
{
    struct str value = ops_parameter(x, STR("tag")), kind = str_cut(&value, ':');
    struct name name;

    *out = (struct tagged){ .kind = STR("all"), .tag = CACHE_EVERYTHING };
    if (!http_query(x->in.query, STR("tag")).p)
        return true;
    out->kind = kind;
    if (str_eq(kind, STR("model")) && !name_parse(value, &name)) {
        out->name = str_dup(&x->arena, name_key(&name));
        out->tag = cache_tag_model(out->name);
    } else if (str_eq(kind, STR("node")) && value.n) {
        out->name = str_take(value, RECORD_NODE - 1);
        out->tag = lookup_tag_node(out->name);
    }
    return out->tag != CACHE_EVERYTHING;
}

static enum step forget(struct exchange *x)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    struct gateway *g = x->worker->gateway;
    struct tagged which;

    if (!has_only_a_tag(x->in.query) || !read_tag(x, &which))
        return answer_fail(x, FAIL_bad_value, STR("tag must be model:NAME or node:ID"));
    shared_forget(g, which.kind, which.name);
    json_open(&j, '{');
    ops_int(&j, "forgotten", (int64_t)cache_forget(g->cache, which.tag));
    json_close(&j);
    return answer_json(x, 200, &t);
}

enum step ops_cache(struct exchange *x)
{
    return x->in.method == M_DELETE ? forget(x) : show(x);
}
