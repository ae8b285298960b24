/* The metrics page: what the workers' meters counted, and gauges read from a snapshot at this moment. */
#include "base/heap.h"
#include "gateway/exporter.h"
#include "gateway/ops.h"
#include "gateway/receivers.h"
#include "gateway/shared.h"

static void put_lock(struct metrics_page *p, struct gateway *g)
{
    struct fleet_lock_count c = fleet_lock_count(g->fleet);

    metrics_family(p, FAMILY_fleet_lock_held);
    metrics_sample(p, FAMILY_fleet_lock_held, NULL, 0, (double)c.held_max / 1e9);
    metrics_family(p, FAMILY_fleet_lock_held_for);
    metrics_sample(p, FAMILY_fleet_lock_held_for, &(struct metric_label){ "percentile", STR("50") }, 1,
                   (double)c.held_p50 / 1e9);
    metrics_sample(p, FAMILY_fleet_lock_held_for, &(struct metric_label){ "percentile", STR("99") }, 1,
                   (double)c.held_p99 / 1e9);
    metrics_family(p, FAMILY_fleet_lock_waited);
    metrics_sample(p, FAMILY_fleet_lock_waited, NULL, 0, (double)c.waited / 1e9);
    metrics_family(p, FAMILY_fleet_lock_takes);
    metrics_sample(p, FAMILY_fleet_lock_takes, NULL, 0, (double)c.takes);
    metrics_family(p, FAMILY_fleet_lock_waits);
    metrics_sample(p, FAMILY_fleet_lock_waits, NULL, 0, (double)c.waits);
}

static void put_nodes(struct metrics_page *p, const struct fleet_snapshot *s)
{
    metrics_family(p, FAMILY_node_up);
    for (uint32_t i = 0; i < s->n; i++)
        metrics_sample(p, FAMILY_node_up, &(struct metric_label){ "node", s->node[i].name }, 1,
                       s->node[i].state == NODE_UP);
    metrics_family(p, FAMILY_node_inflight);
    for (uint32_t i = 0; i < s->n; i++)
        metrics_sample(p, FAMILY_node_inflight, &(struct metric_label){ "node", s->node[i].name }, 1,
                       s->node[i].inflight);
    metrics_family(p, FAMILY_model_loaded);
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; m < s->node[i].loaded; m++) {
            struct metric_label l[2] = {
                {"node",   s->node[i].name            },
                { "model", s->node[i].resident[m].show}
            };
            metrics_sample(p, FAMILY_model_loaded, l, 2, 1);
        }
}

/* Of models that somebody has asked for. */
static void put_slots(struct metrics_page *p, const struct node_view *n, const struct inventory_model *m)
{
    const struct node_serves *s = node_view_serves(n, m->hash);
    struct metric_label l[2] = {
        {"node",   n->name},
        { "model", m->show}
    };

    if (s && s->slots)
        metrics_sample(p, FAMILY_node_slots, l, 2, s->slots);
}

static double breaker_number(enum breaker_state s)
{
    return s == BREAKER_OPEN ? 2 : s == BREAKER_TRIAL ? 1 : 0;
}

static void put_breaker(struct metrics_page *p, const struct node_view *n, const struct inventory_model *m)
{
    const struct node_serves *s = node_view_serves(n, m->hash);
    struct metric_label l[2] = {
        {"node",   n->name},
        { "model", m->show}
    };

    if (s)
        metrics_sample(p, FAMILY_breaker_state, l, 2, breaker_number(s->breaker));
}

static void put_serves(struct metrics_page *p, const struct fleet_snapshot *s)
{
    metrics_family(p, FAMILY_node_slots);
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; m < s->node[i].models; m++)
            put_slots(p, &s->node[i], &s->node[i].model[m]);
    metrics_family(p, FAMILY_breaker_state);
    for (uint32_t i = 0; i < s->n; i++) {
        metrics_sample(p, FAMILY_breaker_state, &(struct metric_label){ "node", s->node[i].name }, 1,
                       breaker_number(s->node[i].breaker));
        for (uint32_t m = 0; m < s->node[i].models; m++)
            put_breaker(p, &s->node[i], &s->node[i].model[m]);
    }
}

static void put_vram(struct metrics_page *p, const struct fleet_snapshot *s)
{
    metrics_family(p, FAMILY_model_vram);
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; m < s->node[i].loaded; m++) {
            struct metric_label l[2] = {
                {"node",   s->node[i].name            },
                { "model", s->node[i].resident[m].show}
            };
            metrics_sample(p, FAMILY_model_vram, l, 2, (double)s->node[i].resident[m].size_vram);
        }
}

static void put_load(struct metrics_page *p, struct gateway *g, const struct fleet_snapshot *s)
{
    unsigned clients = 0;

    for (unsigned i = 0; i < g->workers; i++)
        clients += atomic_load_explicit(&g->worker[i]->n_clients, memory_order_relaxed);
    metrics_family(p, FAMILY_queue_requests);
    metrics_sample(p, FAMILY_queue_requests, NULL, 0, s->waiting);
    metrics_family(p, FAMILY_clients_open);
    metrics_sample(p, FAMILY_clients_open, NULL, 0, clients);
}

static void put_alert(struct str name, unsigned firing, void *arg)
{
    metrics_sample(arg, FAMILY_alerts, &(struct metric_label){ "name", name }, 1, firing);
}

static void put_alerts(struct metrics_page *p, struct gateway *g)
{
    metrics_family(p, FAMILY_alerts);
    alerts_each_rule(lookout_alerts(g->lookout), put_alert, p);
}

static void put_receivers(struct metrics_page *p, struct receivers *r)
{
    static const struct str kinds[] = { STR("webhook"), STR("alertmanager") },
                            results[] = { STR("sent"), STR("failed"), STR("dropped") };

    metrics_family(p, FAMILY_alert_sends);
    for (unsigned k = 0; k < RECEIVER_KINDS; k++)
        for (unsigned i = 0; i < RECEIVER_RESULTS; i++) {
            struct metric_label l[2] = {
                {"receiver", kinds[k]  },
                { "result",  results[i]}
            };
            metrics_sample(p, FAMILY_alert_sends, l, 2, (double)receivers_count(r, k, i));
        }
}

static void put_traces(struct metrics_page *p, struct exporter *e)
{
    static const struct str results[EXPORTER_RESULTS] = { STR("exported"), STR("failed"), STR("dropped") };

    metrics_family(p, FAMILY_otlp_spans);
    for (unsigned i = 0; i < EXPORTER_RESULTS; i++)
        metrics_sample(p, FAMILY_otlp_spans, &(struct metric_label){ "result", results[i] }, 1,
                       (double)exporter_count(e, i));
    metrics_family(p, FAMILY_otlp_retries);
    metrics_sample(p, FAMILY_otlp_retries, NULL, 0, (double)exporter_retries(e));
}

static void put_pool(const struct slab_count *c, void *arg)
{
    struct metric_label l[2] = {
        {"pool",   str_of(c->name)},
        { "state", STR("live")    }
    };

    metrics_sample(arg, FAMILY_pool_objects, l, 2, (double)c->live);
    l[1].value = STR("free");
    metrics_sample(arg, FAMILY_pool_objects, l, 2, (double)c->free);
}

static void put_takes(const struct slab_count *c, void *arg)
{
    struct metric_label l[2] = {
        {"pool",  str_of(c->name)},
        { "from", STR("pool")    }
    };

    metrics_sample(arg, FAMILY_pool_takes, l, 2, (double)c->hits);
    l[1].value = STR("heap");
    metrics_sample(arg, FAMILY_pool_takes, l, 2, (double)c->misses);
}

static void put_cache(struct metrics_page *p, struct gateway *g)
{
    struct cache_stats s;

    cache_stats(g->cache, &s);
    metrics_family(p, FAMILY_cache_bytes);
    metrics_sample(p, FAMILY_cache_bytes, NULL, 0, (double)s.bytes);
    metrics_family(p, FAMILY_cache_entries);
    metrics_sample(p, FAMILY_cache_entries, NULL, 0, (double)s.entries);
    metrics_family(p, FAMILY_cache_saved_seconds);
    metrics_sample(p, FAMILY_cache_saved_seconds, NULL, 0, s.all.saved_s);
    metrics_family(p, FAMILY_cache_saved_tokens);
    metrics_sample(p, FAMILY_cache_saved_tokens, NULL, 0, (double)s.all.saved_tokens);
}

static void put_redis(struct metrics_page *p, struct gateway *g)
{
    struct redis_board_look s;

    if (!shared_look(g, &s))
        return;
    metrics_family(p, FAMILY_redis_requests);
    for (unsigned i = 0; i < REDIS_COUNTS; i++)
        metrics_sample(p, FAMILY_redis_requests, &(struct metric_label){ "result", redis_count_name(i) }, 1,
                       (double)s.count[i]);
    metrics_family(p, FAMILY_redis_breaker_state);
    metrics_sample(p, FAMILY_redis_breaker_state, NULL, 0, s.breaker);
    metrics_family(p, FAMILY_redis_connections);
    for (unsigned i = 0; i < REDIS_BREAKERS; i++)
        metrics_sample(p, FAMILY_redis_connections, &(struct metric_label){ "state", redis_breaker_name(i) }, 1,
                       s.connections[i]);
    metrics_family(p, FAMILY_redis_reply);
    metrics_sample(p, FAMILY_redis_reply, &(struct metric_label){ "quantile", STR("0.5") }, 1, (double)s.p50 / 1e9);
    metrics_sample(p, FAMILY_redis_reply, &(struct metric_label){ "quantile", STR("0.99") }, 1, (double)s.p99 / 1e9);
}

static void put_memory_kinds(struct metrics_page *p, struct gateway *g)
{
    const struct {
        struct str kind;
        size_t bytes;
    } row[] = {
        {STR("rss"),      sys_rss()              },
        { STR("limit"),   memory_limit(g)        },
        { STR("buffers"), buf_bytes_live()       },
        { STR("arenas"),  arena_bytes_live()     },
        { STR("tapes"),   tape_bytes_live()      },
        { STR("bodies"),  atomic_load(&g->bodies)},
    };

    metrics_family(p, FAMILY_memory_bytes);
    for (size_t i = 0; i < ARRAY_LEN(row); i++)
        metrics_sample(p, FAMILY_memory_bytes, &(struct metric_label){ "kind", row[i].kind }, 1, (double)row[i].bytes);
}

static void put_memory(struct metrics_page *p, struct gateway *g)
{
    metrics_family(p, FAMILY_pool_objects);
    slab_each(put_pool, p);
    metrics_family(p, FAMILY_pool_takes);
    slab_each(put_takes, p);
    put_memory_kinds(p, g);
    metrics_family(p, FAMILY_memory_pressure);
    metrics_sample(p, FAMILY_memory_pressure, NULL, 0, pressure_mark(pressure_step(&g->memory.pressure)));
    metrics_family(p, FAMILY_heap_takes);
    metrics_sample(p, FAMILY_heap_takes, NULL, 0, (double)heap_count().takes);
}

void ops_write_metrics(struct metrics_page *p, struct gateway *g, const struct fleet_snapshot *s)
{
    struct meter *meters[SYS_WORKERS_MAX];

    for (unsigned i = 0; i < g->workers; i++)
        meters[i] = g->worker[i]->meter;
    metrics_meters(p, meters, g->workers);
    put_nodes(p, s);
    put_serves(p, s);
    put_vram(p, s);
    put_load(p, g, s);
    put_alerts(p, g);
    put_receivers(p, lookout_receivers(g->lookout));
    put_traces(p, lookout_exporter(g->lookout));
    put_cache(p, g);
    put_redis(p, g);
    put_memory(p, g);
    put_lock(p, g);
    metrics_collect(p);
    metrics_family(p, FAMILY_build_info);
    metrics_sample(p, FAMILY_build_info, &(struct metric_label){ "version", STR(OLLAMAMAX_VERSION) }, 1, 1);
}

enum step ops_metrics(struct exchange *x)
{
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = ops_snapshot_whole(x, &step);
    struct text t = { 0 };
    struct metrics_page p = { .to = &t, .open_metrics = metrics_wants_open(x->in.accept) };

    if (!s)
        return step;
    ops_write_metrics(&p, x->worker->gateway, s);
    metrics_end(&p);
    fleet_snapshot_free(&s);
    step = t.failed ? answer_fail(x, t.failed, STR_NONE)
                    : answer(x, 200, metrics_content_type(p.open_metrics), text_str(&t));
    text_free(&t);
    return step;
}
