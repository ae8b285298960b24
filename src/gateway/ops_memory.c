/* What is in memory, by whom, and what is done about it. */
#include "base/heap.h"
#include "gateway/ops.h"

static void put_pool(const struct slab_count *c, void *arg)
{
    struct json_out *j = arg;

    json_open(j, '{');
    ops_str(j, "name", str_of(c->name));
    ops_int(j, "object_bytes", (int64_t)c->object_bytes);
    ops_int(j, "live", c->live);
    ops_int(j, "free", c->free);
    ops_int(j, "peak", c->peak);
    ops_int(j, "hits", (int64_t)c->hits);
    ops_int(j, "misses", (int64_t)c->misses);
    json_close(j);
}

static void put_arena(struct json_out *j)
{
    json_key(j, "arena");
    json_open(j, '{');
    ops_int(j, "bytes", (int64_t)arena_bytes_live());
    json_close(j);
}

static void put_measures(struct json_out *j, const struct pressure *p)
{
    json_key(j, "measures");
    json_open(j, '[');
    list_each (link, &p->measures) {
        const struct pressure_measure *m = CONTAINER(link, struct pressure_measure, link);
        json_open(j, '{');
        ops_str(j, "name", str_of(m->name));
        ops_int(j, "from_percent", pressure_mark(m->at));
        ops_bool(j, "on", m->at <= pressure_step(p));
        json_close(j);
    }
    json_close(j);
}

static void put_heap(struct json_out *j)
{
    struct heap_count heap = heap_count();

    json_key(j, "heap");
    json_open(j, '{');
    ops_bool(j, "counted", heap_is_counted());
    ops_int(j, "takes", (int64_t)heap.takes);
    ops_int(j, "gives", (int64_t)heap.gives);
    json_close(j);
}

enum step ops_memory(struct exchange *x)
{
    struct gateway *g = x->worker->gateway;
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    json_open(&j, '{');
    ops_int(&j, "rss", (int64_t)sys_rss());
    ops_int(&j, "limit", (int64_t)memory_limit(g));
    ops_str(&j, "pressure", str_of(pressure_name(pressure_step(&g->memory.pressure))));
    put_measures(&j, &g->memory.pressure);
    ops_bool(&j, "pools_on", !slab_is_plain());
    ops_int(&j, "buffers", (int64_t)buf_bytes_live());
    ops_int(&j, "bodies", (int64_t)atomic_load(&g->bodies));
    ops_int(&j, "tapes", (int64_t)tape_bytes_live());
    put_arena(&j);
    put_heap(&j);
    json_key(&j, "pools");
    json_open(&j, '[');
    slab_each(put_pool, &j);
    json_close(&j);
    json_close(&j);
    return answer_json(x, 200, &t);
}
