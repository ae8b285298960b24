/* sim/sim_faults.c - trouble on demand (POST /sim/faults), and what the node has counted (GET /sim/stats).
 *
 *     {"status": 500, "count": 3}            the next three pieces of work are answered 500
 *     {"busy": true}                         the next one: 503, in Ollama's words
 *     {"stall_ms": 2000}                     the next one is silent so long, and then served
 *     {"reset_after_bytes": 400}             the next answer is cut there by a reset
 *     {"slow_load": 10}                      loads take ten times as long, until told otherwise
 *     {"die": true} or {"die": 5000}         gone: connections reset, nobody listens, for good or for so many ms
 *     {}                                     all is well again
 *
 *     {"status": 500, "loads": true}         strikes mere loads and unloads (empty prompts) as well
 *
 * Each request replaces what was set before. Faults strike model work and transfers of models, never probes: a node
 * that cannot be probed is a dead one. */
#include "sim/sim.h"

#define LAST_WORDS MSEC(50) /* until the answer to "die" has arrived */

static const struct sim_fault no_fault = { .reset_after = NO_RESET, .slow_load = 1 };

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool read_count(struct json v, uint64_t most, uint64_t *out)
{
    int64_t n;
    bool good = json_i64(v, &n) && n >= 0 && (uint64_t)n <= most;
    if (good)
        *out = (uint64_t)n;
    return good;
}

static bool read_stall(struct sim_fault *f, struct json v)
{
    uint64_t ms = 0;
    bool good = read_count(v, 3600000, &ms);
    f->stall = MSEC(ms);
    return good;
}
static bool read_reset(struct sim_fault *f, struct json v)
{
    return read_count(v, NO_RESET - 1, &f->reset_after);
}
static bool read_status(struct sim_fault *f, struct json v)
{
    uint64_t status = 0;
    bool good = read_count(v, 599, &status) && status >= 400;
    f->status = (int)status;
    return good;
}
static bool read_times(struct sim_fault *f, struct json v)
{
    return read_count(v, UINT64_MAX, &f->count);
}
static bool read_busy(struct sim_fault *f, struct json v)
{
    if (v.kind == JSON_TRUE)
        f->status = 503;
    return v.kind == JSON_TRUE || v.kind == JSON_FALSE;
}
static bool read_loads(struct sim_fault *f, struct json v)
{
    f->loads = v.kind == JSON_TRUE;
    return v.kind == JSON_TRUE || v.kind == JSON_FALSE;
}
static bool read_slow_load(struct sim_fault *f, struct json v)
{
    return json_f64(v, &f->slow_load) && f->slow_load >= 1;
}
static bool read_death(struct sim_fault *f, struct json v)
{
    uint64_t ms = 0;
    bool good = v.kind == JSON_TRUE || v.kind == JSON_FALSE || read_count(v, 86400000, &ms);
    f->dead_for = v.kind == JSON_TRUE ? NEVER : MSEC(ms);
    return good;
}

static const struct {
    struct str key;
    bool (*read)(struct sim_fault *f, struct json v);
    bool strikes; /* each of `count` requests */
} keys[] = {
    {{ "stall_ms", 8 },            read_stall,     true },
    { { "reset_after_bytes", 17 }, read_reset,     true },
    { { "status", 6 },             read_status,    true },
    { { "count", 5 },              read_times,     false},
    { { "busy", 4 },               read_busy,      true },
    { { "loads", 5 },              read_loads,     false},
    { { "slow_load", 9 },          read_slow_load, false},
    { { "die", 3 },                read_death,     false},
};

/* False: key `*out_wrong` is none, or has a wrong value. */
static bool read_fault(struct json body, struct sim_fault *f, struct str *out_wrong)
{
    bool counted = json_get(body, STR("count")).kind != JSON_BAD;
    struct json_walk w = json_walk(body);
    while (json_next(&w)) {
        bool known = false;
        *out_wrong = w.key;
        for (size_t i = 0; i < ARRAY_LEN(keys) && !known; i++) {
            known = json_key_is(w.key, keys[i].key);
            if (known && !keys[i].read(f, w.value))
                return false;
            if (known && keys[i].strikes && !counted)
                f->count = 1;
        }
        if (!known)
            return false;
    }
    return true;
}

/* ---- death ------------------------------------------------------------------------------------------------------- */

static void accepted(struct listener *ln, int handle, const struct addr *from)
{
    if (handle >= 0)
        sim_client_accept(ln->arg, handle, from);
}

static void come_back(struct simnode *n);

static void live_or_die(struct timer *t)
{
    struct simnode *n = CONTAINER(t, struct simnode, life);
    if (n->dead) {
        come_back(n);
        return;
    }
    n->dead = true;
    listener_close(&n->listener);
    sim_clients_close(n);
    if (n->kind == SIM_OLLAMA)
        sim_models_unload(n);
    if (n->fault.dead_for != NEVER)
        loop_timer_set(n->loop, t, loop_now(n->loop) + n->fault.dead_for);
}

enum fail sim_listen(struct simnode *n, const struct addr *at, struct addr *out_bound)
{
    n->listener = (struct listener){ .accepted = accepted, .arg = n };
    n->life.fire = live_or_die;
    return listener_open(n->loop, &n->listener, at, out_bound);
}

/* Somebody may have taken the port meanwhile: then once more, later. */
static void come_back(struct simnode *n)
{
    if (sim_listen(n, &n->at, &n->at)) {
        loop_timer_set(n->loop, &n->life, loop_now(n->loop) + MSEC(100));
        return;
    }
    n->dead = false;
    n->fault = no_fault;
}

/* ---- setting and striking ---------------------------------------------------------------------------------------- */

void sim_fault_clear(struct simnode *n)
{
    n->fault = no_fault;
}

void sim_answer_faults(struct sim_client *c, struct str body)
{
    struct simnode *n = c->node;
    struct json given = json_parse(body, NULL);
    struct sim_fault f = no_fault;
    struct str wrong = STR("the body");
    if (given.kind != JSON_OBJECT || !read_fault(given, &f, &wrong)) {
        sim_reply_error(c, 400,
                        "%.*s is not understood: stall_ms, reset_after_bytes, status, count, busy, slow_load, die",
                        STR_ARG(wrong));
        return;
    }
    n->fault = f;
    if (f.dead_for)
        loop_timer_set(n->loop, &n->life, loop_now(n->loop) + LAST_WORDS);
    sim_reply_json(c, STR("{}"));
}

nsec sim_fault_strikes(struct sim_client *c)
{
    struct sim_fault *f = &c->node->fault;
    if (f->count == 0)
        return 0;
    f->count--;
    c->struck.status = f->status;
    c->struck.reset_at = f->reset_after;
    return f->stall;
}

void sim_fault_answer(struct sim_client *c)
{
    int status = c->struck.status;
    if (status == 503)
        sim_reply_fail(c, FAIL_upstream_busy, STR_NONE);
    else
        sim_reply_error(c, status, "simulated fault %d", status);
}

/* ---- what was counted -------------------------------------------------------------------------------------------- */

static void put_counts(struct json_out *j, const struct simnode_stats *s)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"requests",     s->requests   },
        { "works",       s->works      },
        { "aborted",     s->aborted    },
        { "tokens",      s->tokens     },
        { "loads",       s->loads      },
        { "unloads",     s->unloads    },
        { "load_aborts", s->load_aborts},
        { "evictions",   s->evictions  },
        { "expiries",    s->expiries   },
        { "prefix_hits", s->prefix_hits},
        { "active",      s->active     },
        { "queued",      s->queued     },
        { "connections", s->connections},
        { "loaded",      s->loaded     },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_key(j, rows[i].key);
        json_put_u64(j, rows[i].value);
    }
}

static void put_model(struct json_out *j, const struct sim_model *m)
{
    json_key_str(j, name_show(&m->name));
    json_open(j, '{');
    json_key(j, "requests");
    json_put_u64(j, m->count.requests);
    json_key(j, "loads");
    json_put_u64(j, m->count.loads);
    json_key(j, "prefix_hits");
    json_put_u64(j, m->count.prefix_hits);
    json_key(j, "active");
    json_put_u64(j, m->active);
    json_key(j, "loaded");
    json_put_bool(j, m->residency == MODEL_LOADED);
    json_close(j);
}

void sim_answer_stats(struct sim_client *c, struct str body)
{
    struct json_out j = { .to = &c->record };
    json_open(&j, '{');
    json_key(&j, "name");
    json_put_str(&j, str_of(c->node->label));
    put_counts(&j, &c->node->stats);
    json_key(&j, "models");
    json_open(&j, '{');
    list_each (l, &c->node->models)
        put_model(&j, CONTAINER(l, struct sim_model, link));
    json_close(&j);
    json_close(&j);
    sim_reply_json(c, text_str(&c->record));
}
