/* A run, from an empty world to an empty world. */
#include "stage.h"
#include "base/slab.h"
#include "base/tape.h"
#include "net/conn.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct stage stage;

void pad_put(struct pad *t, struct str s)
{
    if (t->n + s.n + 1 > t->cap) {
        t->cap = 2 * (t->n + s.n) + 64;
        t->p = realloc(t->p, t->cap);
        assume(t->p);
    }
    if (s.n)
        memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
    t->p[t->n] = 0;
}

void stage_complain(const char *format, ...)
{
    va_list args;
    if (stage.complaint)
        return;
    va_start(args, format);
    int n = vasprintf(&stage.complaint, format, args);
    va_end(args);
    assume(n >= 0);
}

/* ---- wires ---- */
struct wire *wire_new(struct peer *p, void *owner)
{
    struct wire *w = calloc(1, sizeof *w);
    assume(w);
    w->peer = p;
    w->owner = owner;
    p->arg = w;
    list_push(&stage.wires, &w->link);
    if (++stage.wires_n == stage.harm.wire)
        world_cut_after(p, stage.harm.at, stage.harm.side);
    return w;
}

void wire_send(struct wire *w, struct str bytes)
{
    if (w->closed || w->shut)
        return;
    w->bytes[FROM_PEER] += bytes.n;
    peer_send(w->peer, bytes);
}

void wire_close(struct wire *w, enum peer_close how)
{
    if (w->closed)
        return;
    w->closed = true;
    peer_close(w->peer, how);
}

/* ---- the program ---- */
static void keep_record(const struct record *r, void *arg)
{
    if (r->owner != OWNER_CLIENT)
        return;
    stage.record = realloc(stage.record, (stage.records + 1) * sizeof *r);
    assume(stage.record);
    stage.record[stage.records++] = *r;
}

void stage_begin(uint64_t seed, const struct harm *harm)
{
    memory_fail_at(0);
    stage = (struct stage){ .seed = seed, .workers = 2 };
    if (harm)
        stage.harm = *harm;
    list_init(&stage.wires);
    list_init(&stage.nodes);
    list_init(&stage.clients);
    world_new(seed);
    stage.at = world_addr("127.0.0.1:13100");
    fleet_settings_default(&stage.fleet_settings);
    memory_fail_at(stage.harm.memory ? stage.harm.memory : UINT64_MAX);
    stage.settings = gateway_settings_new();
    stage.out_of_memory = !stage.settings;
}

static bool add_nodes(void)
{
    char text[64];
    list_each (link, &stage.nodes) {
        struct node_actor *n = CONTAINER(link, struct node_actor, link);
        const char *why;
        uint64_t id;
        addr_text(&n->at, text);
        struct node_spec spec = {
            .name = str_of(n->name), .url = str_of(text), .slots = n->slots, .labels = str_of(n->labels)
        };
        if (fleet_add(stage.fleet, &spec, false, world_now(), &id, &why, NULL))
            return false;
    }
    return true;
}

static bool make_gateway(void)
{
    struct gateway_parts parts = { .fleet = stage.fleet, .settings = stage.settings, .workers = stage.workers };
    stage.gateway = gateway_new(&parts);
    stage.settings = NULL; /* taken over, or freed */
    if (!stage.gateway)
        return false;
    gateway_on_record(stage.gateway, keep_record, NULL);
    for (unsigned i = 0; i < stage.workers; i++)
        world_attach(gateway_loop(stage.gateway, i), NULL, NULL);
    struct addr bound;
    if (gateway_listen(stage.gateway, &stage.at, &bound))
        return false;
    gateway_start(stage.gateway);
    return true;
}

bool stage_open(void)
{
    if (stage.out_of_memory)
        return false;
    stage.opened = true;
    stage.opened_at = world_now();
    stage.fleet = fleet_new(&stage.fleet_settings, world_now());
    stage.out_of_memory = !stage.fleet || !add_nodes() || !make_gateway();
    return !stage.out_of_memory;
}

/* ---- the end ---- */
bool stage_runs(void)
{
    for (unsigned i = 0; i < stage.workers; i++)
        if (world_is_attached(gateway_loop(stage.gateway, i)))
            return true;
    return false;
}

static bool still_runs(void *unused)
{
    return stage_runs();
}

static void end_gateway(void)
{
    if (!stage.gateway)
        return;
    if (stage_runs())
        gateway_stop(stage.gateway);
    if (!world_run_while(still_runs, NULL, SECOND(30)))
        stage_complain("the workers do not stop");
    gateway_free(&stage.gateway);
}

static void one_slab(const struct slab_count *c, void *arg)
{
    if (c->live)
        stage_complain("%lld objects of '%s' are left", (long long)c->live, c->name);
}

static void free_wires(void)
{
    for (struct list *l; (l = list_pop(&stage.wires));)
        free(CONTAINER(l, struct wire, link));
}

/* Pools count what they did since the start of the process, and /metrics shows it: with those of the play before, the
 * second run of a play would not be the same as the first. */
static void renew_pools(void)
{
    conn_pools_done();
    tape_pools_done();
    buf_pools_done();
    arena_pools_done();
    arena_pools_init();
    buf_pools_init();
    tape_pools_init();
    conn_pools_init();
}

bool stage_end(void)
{
    memory_fail_at(0);
    if (stage.gateway && !stage.out_of_memory) {
        truth_of_patience();
        clients_leave();
        world_elapse(SECOND(1));
        truth_of_gateway();
    }
    end_gateway();
    truth_of_answers();
    gateway_settings_free(&stage.settings);
    fleet_free(&stage.fleet);
    slab_each(one_slab, NULL);
    if (buf_bytes_live() || arena_bytes_live())
        stage_complain("%zu bytes of buffers and %zu of arenas are left", buf_bytes_live(), arena_bytes_live());
    clients_leave();
    nodes_leave();
    free_wires();
    free(stage.record);
    if (world_leaks(stderr))
        stage_complain("the program holds something of the world");
    if (!stage.complaint)
        renew_pools();
    world_new(0);
    world_free();
    return !stage.complaint;
}
