/* cli/top_state.c - each list is walked twice, to count and to read, so that its rows lie in one piece of the arena. */
#include "cli/top_state.h"
#include <math.h>

#define SERIES                                                                                                         \
    "requests_per_s,errors_per_s,tokens_out_per_s,ttft_p95_ms,inflight,node_tokens_per_s:*,node_ttft_p95_ms:*"

static const struct {
    const char *name, *path;
} answers[TOP_ANSWERS] = {
    [TOP_HEALTH] = {"health",    "/api/health"                         },
    [TOP_NODES] = { "nodes",    "/api/nodes/detailed"                 },
    [TOP_HISTORY] = { "history",  "/api/history?range=5m&series=" SERIES},
    [TOP_REQUESTS] = { "requests", "/api/requests?limit=100"             },
    [TOP_QUEUE] = { "queue",    "/api/queue"                          },
    [TOP_ALERTS] = { "alerts",   "/api/alerts"                         },
    [TOP_CACHE] = { "cache",    "/api/cache"                          },
    [TOP_MEMORY] = { "memory",   "/api/memory"                         },
};

const char *top_answer_path(enum top_answer a)
{
    return answers[a].path;
}

const char *top_answer_name(enum top_answer a)
{
    return answers[a].name;
}

void top_answers_free(struct top_answers *a)
{
    for (int i = 0; i < TOP_ANSWERS; i++)
        buf_free(&a->body[i]);
    *a = (struct top_answers){ 0 };
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

static double number(struct json o, const char *key)
{
    double v;
    return json_f64(json_get(o, str_of(key)), &v) ? v : NAN;
}

static struct str word(struct top_state *s, struct json o, const char *key)
{
    struct json v = json_get(o, str_of(key));
    return v.kind == JSON_STRING ? json_text(&s->arena, v) : STR_NONE;
}

static bool yes(struct json o, const char *key)
{
    return json_get(o, str_of(key)).kind == JSON_TRUE;
}

static unsigned count(struct json list)
{
    unsigned n = 0;
    for (struct json_walk w = json_walk(list); json_next(&w);)
        n++;
    return n;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static void read_health(struct top_state *s, struct json o)
{
    struct json nodes = json_get(o, STR("nodes")), totals = json_get(o, STR("totals"));
    s->good = o.kind == JSON_OBJECT;
    s->status = word(s, o, "status");
    s->version = word(s, o, "version");
    s->uptime = number(o, "uptime_s");
    s->queue = number(o, "queue");
    s->inflight = number(o, "inflight");
    s->nodes_up = number(nodes, "up");
    s->nodes_total = number(nodes, "total");
    s->requests = number(totals, "requests");
    s->errors = number(totals, "errors");
    s->tokens_in = number(totals, "tokens_in");
    s->tokens_out = number(totals, "tokens_out");
}

static void read_model(struct top_state *s, struct top_node *n, struct top_model *m, struct json o)
{
    *m = (struct top_model){ .name = word(s, o, "name"), .breaker = word(s, o, "breaker") };
    m->expires = word(s, o, "expires_at");
    m->loaded = yes(o, "loaded");
    m->size = number(o, "size");
    m->vram = number(o, "size_vram");
    m->slots = number(o, "slots");
    m->inflight = number(o, "inflight");
    m->prefill = number(o, "prefill_tps");
    m->decode = number(o, "decode_tps");
    n->loaded += m->loaded;
    n->vram += m->loaded && !isnan(m->vram) ? m->vram : 0;
}

static void read_models(struct top_state *s, struct top_node *n, struct json list)
{
    n->model = arena_array(&s->arena, struct top_model, count(list) + 1);
    for (struct json_walk w = json_walk(list); n->model && json_next(&w);)
        read_model(s, n, &n->model[n->models++], w.value);
}

static void read_node(struct top_state *s, struct top_node *n, struct json o)
{
    *n = (struct top_node){ .id = word(s, o, "id"), .url = word(s, o, "url"), .kind = word(s, o, "kind") };
    n->state = word(s, o, "state");
    n->breaker = word(s, o, "breaker");
    n->version = word(s, o, "version");
    n->labels = word(s, o, "labels");
    n->error = word(s, json_get(o, STR("last_error")), "text");
    n->simulated = yes(o, "simulated");
    n->weight = number(o, "weight");
    n->inflight = number(o, "inflight");
    n->slots = number(o, "slots");
    n->requests = number(o, "requests");
    n->errors = number(o, "errors");
    n->tokens_rate = n->first_token = NAN;
    read_models(s, n, json_get(o, STR("models")));
}

static void read_nodes(struct top_state *s, struct json o)
{
    struct json list = json_get(o, STR("nodes"));
    s->node = arena_array(&s->arena, struct top_node, count(list) + 1);
    for (struct json_walk w = json_walk(list); s->node && json_next(&w);)
        read_node(s, &s->node[s->nodes++], w.value);
}

static void read_request(struct top_state *s, struct top_request *r, struct json o)
{
    struct json stages = json_get(o, STR("stages"));
    *r = (struct top_request){ .id = word(s, o, "id"), .at = word(s, o, "at"), .method = word(s, o, "method") };
    r->route = word(s, o, "route");
    r->model = word(s, o, "model");
    r->node = word(s, o, "node");
    r->code = word(s, o, "code");
    r->cache = word(s, o, "cache");
    r->status = number(o, "status");
    r->tokens = number(o, "tokens_out");
    r->tries = number(o, "tries");
    r->total = number(stages, "total_ms");
    r->queued = number(stages, "queued_ms");
    r->first = number(stages, "first_ms");
    r->json = o;
}

static void read_requests(struct top_state *s, struct json o)
{
    struct json list = json_get(o, STR("requests"));
    s->request = arena_array(&s->arena, struct top_request, count(list) + 1);
    for (struct json_walk w = json_walk(list); s->request && json_next(&w);)
        read_request(s, &s->request[s->n_requests++], w.value);
}

static void read_waiting(struct top_state *s, struct top_waiting *q, struct json o)
{
    *q = (struct top_waiting){ .model = word(s, o, "model"), .eta = NAN };
    for (struct json_walk w = json_walk(json_get(o, STR("waiting"))); json_next(&w);) {
        q->waiting++;
        q->oldest = fmax(q->oldest, number(w.value, "waited_ms"));
        q->eta = number(w.value, "eta_ms");
    }
}

static void read_queue(struct top_state *s, struct json o)
{
    struct json list = json_get(o, STR("models"));
    s->waiting = arena_array(&s->arena, struct top_waiting, count(list) + 1);
    for (struct json_walk w = json_walk(list); s->waiting && json_next(&w);)
        read_waiting(s, &s->waiting[s->n_waiting++], w.value);
}

static void read_alert(struct top_state *s, struct top_alert *a, struct json o)
{
    struct json labels = json_get(o, STR("labels"));
    *a = (struct top_alert){ .name = word(s, o, "name"), .state = word(s, o, "state") };
    a->severity = word(s, o, "severity");
    a->message = word(s, o, "message");
    a->since = word(s, o, "since");
    a->node = word(s, labels, "node");
    a->model = word(s, labels, "model");
    a->value = number(o, "value");
    a->threshold = number(o, "threshold");
    s->firing += str_eq(a->state, STR("firing"));
}

static void read_alerts(struct top_state *s, struct json o)
{
    struct json list = json_get(o, STR("alerts"));
    s->alert = arena_array(&s->arena, struct top_alert, count(list) + 1);
    for (struct json_walk w = json_walk(list); s->alert && json_next(&w);)
        read_alert(s, &s->alert[s->n_alerts++], w.value);
}

/* ---- series ------------------------------------------------------------------------------------------------------ */

/* The last TOP_POINTS of them. */
static void read_points(struct json list, struct top_series *out)
{
    unsigned n = count(list), skip = n > TOP_POINTS ? n - TOP_POINTS : 0, i = 0;
    out->n = 0;
    for (struct json_walk w = json_walk(list); json_next(&w); i++) {
        double v;
        if (i >= skip)
            out->v[out->n++] = json_f64(w.value, &v) ? (float)v : NAN;
    }
}

/* Newest known point of the last 10 s. */
static double newest(struct json list)
{
    struct top_series all;
    read_points(list, &all);
    for (unsigned i = all.n; i-- && all.n - i <= 10;)
        if (!isnan(all.v[i]))
            return all.v[i];
    return NAN;
}

static void read_history(struct top_state *s, struct json o)
{
    static const char *const named[TOP_FIGURES] = { [TOP_REQUEST_RATE] = "requests_per_s",
                                                    [TOP_ERROR_RATE] = "errors_per_s",
                                                    [TOP_TOKEN_RATE] = "tokens_out_per_s",
                                                    [TOP_FIRST_TOKEN] = "ttft_p95_ms",
                                                    [TOP_INFLIGHT] = "inflight" };
    struct json all = json_get(o, STR("series"));
    for (struct json_walk w = json_walk(all); json_next(&w);) {
        struct str node = json_text(&s->arena, json_parse(w.key, NULL)), name = str_cut(&node, ':');
        for (int i = 0; i < TOP_FIGURES; i++)
            if (str_eq(name, str_of(named[i])))
                read_points(w.value, &s->series[i]);
        for (unsigned i = 0; i < s->nodes && node.n; i++)
            if (str_eq(node, s->node[i].id))
                *(str_eq(name, STR("node_tokens_per_s")) ? &s->node[i].tokens_rate : &s->node[i].first_token) =
                    newest(w.value);
    }
}

static void read_cache(struct top_state *s, struct json o)
{
    s->cache_ratio = yes(o, "enabled") ? number(o, "hit_ratio") : NAN;
    s->cache_entries = number(o, "entries");
    s->cache_saved = number(o, "saved_gpu_s");
}

static void read_memory(struct top_state *s, struct json o)
{
    s->rss = number(o, "rss");
    s->limit = number(o, "limit");
}

/* In this order: a node's series find their node. */
static void (*const readers[TOP_ANSWERS])(struct top_state *s, struct json o) = {
    [TOP_HEALTH] = read_health,     [TOP_NODES] = read_nodes,   [TOP_HISTORY] = read_history,
    [TOP_REQUESTS] = read_requests, [TOP_QUEUE] = read_queue,   [TOP_ALERTS] = read_alerts,
    [TOP_CACHE] = read_cache,       [TOP_MEMORY] = read_memory,
};

void top_state_read(struct top_state *s, const struct top_answers *a)
{
    *s = (struct top_state){ 0 };
    arena_init(&s->arena);
    for (int i = 0; i < TOP_ANSWERS; i++)
        readers[i](s, json_parse(buf_str(&a->body[i]), NULL));
}

void top_state_done(struct top_state *s)
{
    arena_done(&s->arena);
}
