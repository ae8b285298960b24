/* Both proxies are alone on their core, with one thread. Requests come in an open loop at half of what the slower of
 * the two can do, so that neither is measured while it is saturated, nor the other while it sleeps. nginx gets what
 * makes it fast: its cache in a memory file system where there is one, and open files kept open. */
#include "bench/cache_hit.h"

#include "base/sys.h"
#include "bench/load.h"
#include "bench/request.h"
#include "bench/statistics.h"

#include <math.h>
#include <stdio.h>

#define BODY        KIB(1)
#define CONNECTIONS 16
#define LOAD_SHARE  0.5
#define CALIBRATION 4000

static struct str post(struct arena *a)
{
    static const char front[] = "{\"model\":\"" BACKEND_CHAT "\",\"messages\":[{\"role\":\"user\",\"content\":\"";
    static const char end[] = "\"}],\"stream\":false,\"options\":{\"temperature\":0}}";
    char json[BODY + 1];
    size_t n = (size_t)snprintf(json, sizeof json, "%s", front);

    memset(json + n, 'x', BODY - n);
    memcpy(json + BODY - (sizeof end - 1), end, sizeof end);
    return request_post(a, "/api/chat", json);
}

static struct str get(struct arena *a)
{
    return str_dup(a, STR("GET /hit HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ollamamax-bench\r\n"
                          "Accept: application/json\r\n\r\n"));
}

static struct load_plan plan_for(const struct cache_hit *h, enum way_id id)
{
    const struct way *w = &h->way[id];

    return (struct load_plan){ .port = w->port,
                               .connections = CONNECTIONS,
                               .warm = h->request[id],
                               .request = h->request[id],
                               .shape = ARRIVAL_POISSON,
                               .patience = SECOND(10),
                               .charge = &w->child };
}

static enum fail capacity(struct cache_hit *h, enum way_id id, double *out)
{
    struct load_plan p = plan_for(h, id);
    struct load_result r;

    p.requests = CALIBRATION;
    enum fail f = load_once(&p, &r);
    *out = r.took > 0 ? (double)r.done * 1e9 / (double)r.took : 0;
    load_result_free(&r);
    return f;
}

static enum fail find_rate(struct cache_hit *h)
{
    static const enum way_id ids[] = { WAY_OURS, WAY_NGINX };
    enum fail f = OK;

    h->rate = INFINITY;
    for (size_t i = 0; i < ARRAY_LEN(ids) && !f; i++) {
        double of_way = INFINITY;
        if (h->way[ids[i]].program[0])
            f = capacity(h, ids[i], &of_way);
        h->rate = MIN(h->rate, of_way * LOAD_SHARE);
    }
    h->rate = MAX(h->rate, 1);
    return f;
}

static enum fail start(struct cache_hit *h, enum way_id id)
{
    struct way *w = &h->way[id];

    way_find(w, id, &h->rig.place);
    if (!w->program[0])
        return OK;
    enum fail f = way_start(w, &h->rig.place);
    if (!f)
        return OK;
    rig_show_log(&h->rig, w);
    w->program[0] = 0;
    return id == WAY_OURS ? f : OK;
}

enum fail cache_hit_open(struct cache_hit *h, const struct bench_options *o)
{
    *h = (struct cache_hit){ 0 };
    arena_init(&h->arena);
    enum fail f = rig_open(&h->rig, o->gateway, 2);

    h->request[WAY_OURS] = post(&h->arena);
    h->request[WAY_NGINX] = get(&h->arena);
    if (!f && h->arena.failed)
        f = FAIL_no_memory;
    f = f ? f : start(h, WAY_OURS);
    if (!f && o->nginx)
        f = start(h, WAY_NGINX);
    return f ? f : find_rate(h);
}

enum fail cache_hit_run(struct cache_hit *h, enum way_id id, unsigned round, struct cache_hit_sample *out)
{
    struct load_plan p = plan_for(h, id);
    struct load_result r;

    *out = (struct cache_hit_sample){ NAN, NAN, NAN, 0 };
    if (!h->way[id].program[0])
        return OK;
    p.rate = h->rate;
    p.seed = round + 1;
    p.requests = (uint64_t)(h->rate * 0.05);
    enum fail f = load_once(&p, &r);
    out->failed = r.failed;
    if (r.done) {
        out->cpu_us = (double)r.cpu / 1e3 / (double)r.done;
        out->p50_us = statistics_percentile(r.whole_us, r.done, 0.5);
        out->p99_us = statistics_percentile(r.whole_us, r.done, 0.99);
    }
    load_result_free(&r);
    return f;
}

void cache_hit_close(struct cache_hit *h)
{
    for (unsigned id = 0; id < WAYS; id++)
        way_stop(&h->way[id]);
    rig_close(&h->rig);
    arena_done(&h->arena);
}
