/* fleet/fleet_fixture.h - for the tests of this room: a fleet, machines that answer its probes, and a clock that is
 * moved by hand. Machines are told apart by host. A silent machine lets its probes lie until world_miss. */
#pragma once
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MACHINES 64
struct machine {
    char host[32];
    char tags[2000], ps[1000], version[32];
    enum node_kind kind;
    enum fail fails; /* of every probe but the name's */
    bool silent, unresolvable;
    unsigned asked[16]; /* by PROBE_ bit */
};
struct world {
    struct fleet *f;
    nsec now;
    struct fleet_settings settings;
    struct machine machine[MACHINES];
    unsigned machines;
    struct probe_order lying[MACHINES * 4];
    unsigned lies;
    struct task_order task[MACHINES]; /* under way until world_tasks_end */
    unsigned tasks, loads, unloads;   /* under way; ever ordered */
    struct orders out;
    unsigned decided;
};

static inline struct machine *machine_of(struct world *w, struct str host)
{
    for (unsigned i = 0; i < w->machines; i++)
        if (str_eq(host, str_of(w->machine[i].host)))
            return &w->machine[i];
    return NULL;
}

static inline struct inventory *read_body(const char *body, nsec now)
{
    enum fail why;
    return inventory_read(str_of(body), now, &why);
}

static inline void carry_out(struct world *w);

/* A grant must be right at the moment it is made. */
static inline void check_grant(const struct ticket *t)
{
    const struct node *n = t->lease.node;
    if (t->verdict != VERDICT_GRANTED)
        return;
    assert_true(!t->waiting && n && n->inflight > 0);
    assert_true(n->state == NODE_UP || n->state == NODE_SUSPECT);
    assert_true(!t->pin_id || n->id == t->pin_id);
    assert_true(!t->ollama_only || n->kind == NODE_OLLAMA);
    for (unsigned i = 0; i < t->tried_n; i++)
        assert_true(n->id != t->tried[i]);
}

static inline void answer(struct world *w, struct probe_order o)
{
    struct machine *m = machine_of(w, o.node->url.host);
    struct addr found[2];
    struct observation ob = { .what = o.what, .failed = m ? m->fails : FAIL_connect_refused };
    if (o.what == PROBE_RESOLVE) {
        ob.failed = !m || m->unresolvable ? FAIL_unresolved : OK;
        addr_literal(STR("10.0.0.1"), o.node->url.port, &found[0]);
        ob.found = found;
        ob.founds = 1;
    } else if (!ob.failed) {
        ob.version = str_of(m->version);
        ob.kind = m->kind;
        if (o.what != PROBE_VERSION)
            ob.inventory = read_body(o.what == PROBE_TAGS ? m->tags : m->ps, w->now);
    }
    if (!ob.failed && o.what >= PROBE_TAGS && !ob.inventory)
        ob.failed = FAIL_no_memory;
    orders_init(&w->out);
    fleet_observe(w->f, o.node, &ob, w->now, &w->out);
    inventory_free(&ob.inventory);
    carry_out(w);
}

/* Does what w->out says, and what follows from it. */
static inline void carry_out(struct world *w)
{
    struct orders o = w->out;
    while (!list_empty(&w->out.decided)) {
        check_grant(CONTAINER(list_pop(&w->out.decided), struct ticket, link));
        w->decided++;
    }
    orders_init(&w->out);
    for (unsigned i = 0; i < o.tasks; i++) {
        assert_true(w->tasks < MACHINES);
        w->task[w->tasks++] = o.task[i];
        *(o.task[i].loads ? &w->loads : &w->unloads) += 1;
    }
    for (unsigned i = 0; i < o.probes; i++) {
        struct machine *m = machine_of(w, o.probe[i].node->url.host);
        if (m)
            m->asked[o.probe[i].what]++;
        if (m && m->silent)
            w->lying[w->lies++] = o.probe[i];
        else
            answer(w, o.probe[i]);
    }
}

static inline void world_turn(struct world *w)
{
    bool more = true;
    while (more) {
        orders_init(&w->out);
        fleet_turn(w->f, w->now, &w->out);
        more = w->out.more;
        carry_out(w);
    }
}

/* Time passes in steps of 10 ms. */
static inline void world_elapse(struct world *w, nsec t)
{
    for (nsec end = w->now + t; w->now < end;) {
        w->now += MIN(MSEC(10), end - w->now);
        world_turn(w);
    }
}

/* What lies unanswered is answered: as missed, or (OK) as the machine now says. */
static inline void world_miss(struct world *w, enum fail why)
{
    struct probe_order o[MACHINES * 4];
    unsigned n = w->lies;
    memcpy(o, w->lying, n * sizeof *o);
    w->lies = 0;
    for (unsigned i = 0; i < n; i++) {
        struct machine *m = machine_of(w, o[i].node->url.host);
        enum fail was = m->fails;
        m->fails = why;
        answer(w, o[i]);
        m->fails = was;
    }
}

static inline const char *models_body(char *into, size_t room, const char *names)
{
    size_t n = (size_t)snprintf(into, room, "{\"models\":[");
    struct str rest = str_of(names);
    for (bool first = true; rest.n; first = false) {
        struct str name = str_cut(&rest, ' ');
        n += (size_t)snprintf(into + n, room - n,
                              "%s{\"name\":\"%.*s\",\"model\":\"%.*s\",\"modified_at\":\"2026-01-02T03:04:05Z\","
                              "\"size\":10,\"digest\":\"d1\",\"expires_at\":\"2026-01-02T03:04:05Z\",\"size_vram\":10}",
                              first ? "" : ",", STR_ARG(name), STR_ARG(name));
    }
    snprintf(into + n, room - n, "]}");
    return into;
}

/* All loads and unloads that are under way end, not well on a machine that fails; good ones show in ps. */
static inline void world_tasks_end(struct world *w, enum fail why, const char *text)
{
    while (w->tasks) {
        struct task_order o = w->task[--w->tasks];
        struct machine *m = machine_of(w, o.node->url.host);
        enum fail f = m && !why ? m->fails : why;
        if (m && !f)
            models_body(m->ps, sizeof m->ps, o.loads ? o.spelled.p : "");
        orders_init(&w->out);
        fleet_task_done(w->f, &o, f, str_of(text), 0, w->now, &w->out);
        carry_out(w);
    }
}

/* `models`: names with tags, separated by blanks. */
static inline struct machine *world_machine(struct world *w, const char *host, const char *models)
{
    struct machine *m = &w->machine[w->machines++];
    *m = (struct machine){ .kind = NODE_OLLAMA };
    snprintf(m->host, sizeof m->host, "%s", host);
    snprintf(m->version, sizeof m->version, "0.12.3");
    models_body(m->tags, sizeof m->tags, models);
    models_body(m->ps, sizeof m->ps, models);
    return m;
}

static inline uint64_t world_add_spec(struct world *w, struct node_spec spec)
{
    uint64_t id = 0;
    const char *why = NULL;
    orders_init(&w->out);
    assert_int_equal(fleet_add(w->f, &spec, false, w->now, &id, &why, &w->out), OK);
    carry_out(w);
    return id;
}
static inline uint64_t world_add(struct world *w, const char *url)
{
    return world_add_spec(w, (struct node_spec){ .url = str_of(url) });
}

/* A machine that is a node and has answered. */
static inline struct machine *world_node(struct world *w, const char *host, const char *models)
{
    struct machine *m = world_machine(w, host, models);
    world_add(w, host);
    return m;
}

static inline struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    w->now = SECOND(1000);
    fleet_settings_default(&w->settings);
    w->f = fleet_new(&w->settings, w->now);
    assert_non_null(w->f);
    orders_init(&w->out);
    return w;
}

static inline void world_free(struct world *w)
{
    for (unsigned i = 0; i < w->machines; i++)
        w->machine[i].silent = false;
    world_miss(w, FAIL_first_byte_timeout);
    world_tasks_end(w, FAIL_shutting_down, "");
    fleet_free(&w->f);
    free(w);
}

static inline struct node *node_at(struct world *w, const char *host)
{
    for (uint32_t i = 0; i < w->f->places; i++)
        if (w->f->node[i] && str_eq(w->f->node[i]->url.host, str_of(host)))
            return w->f->node[i];
    return NULL;
}

static inline struct ticket ticket_for(const char *key)
{
    return (struct ticket){
        .model = str_of(key),
        .spelled = str_drop(str_of(key), str_chr(str_of(key), '/') < 0 ? 0 : sizeof "registry.ollama.ai/library/" - 1),
        .model_hash = key && *key ? str_hash(str_of(key)) : 0,
        .deadline = NEVER,
        .band = BAND_NORMAL,
        .runs = key && *key
    };
}
#define KEY(name) "registry.ollama.ai/library/" name

static inline enum verdict world_ask(struct world *w, struct ticket *t)
{
    orders_init(&w->out);
    t->arrived = w->now;
    enum verdict v = fleet_ask(w->f, t, w->now, &w->out);
    check_grant(t);
    carry_out(w);
    return v;
}

static inline void world_end(struct world *w, struct ticket *t, enum fail why)
{
    struct attempt_end end = { .why = why, .status = why ? 0 : 200, .ended = w->now };
    orders_init(&w->out);
    fleet_end(w->f, &t->lease, &end, w->now, &w->out);
    carry_out(w);
}

/* Asks, expects a grant, gives the host that was chosen, and ends well. */
static inline struct str world_serve(struct world *w, const char *key)
{
    struct ticket t = ticket_for(key);
    assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
    struct str host = t.lease.node->url.host;
    world_end(w, &t, OK);
    return host;
}

static inline void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_of(want)))
        fail_msg("got \"%.*s\", want \"%s\"", STR_ARG(got), want);
}

static inline void assert_decided(const struct ticket *t, const char *want)
{
    char text[DECISION_TEXT];
    assert_str((struct str){ text, decision_write(&t->decision, text) }, want);
}

/* Most tests begin when all nodes have answered and the first round is over. */
static inline void world_settle(struct world *w)
{
    world_elapse(w, MSEC(1100));
}

static inline void pools_init(void)
{
    buf_pools_init(), arena_pools_init();
}
