/* The frames of a second, topic by topic.
 *
 * Compared is by hashes of what a frame would say rather than by its text: rendering every node with all its models
 * each second, to find that nothing has changed, would cost more than all else here. A hash is stored when its frame
 * has been written, so a second without memory only delays the news. */
#include "gateway/frames.h"
#include "base/map.h"
#include "gateway/node_json.h"
#include "gateway/ops.h"
#include "observe/pace.h"
#include <math.h>
#include <stdlib.h>

#define BRIEFS     16         /* nobody reads more in a second; the rest can be asked for */
#define NOW_SPAN   SECOND(10) /* what a node's figures of now cover */
#define ENDED_LATE MSEC(50)   /* a worker writes its record down a moment after the request's end */

struct told_node {
    char *name;
    uint64_t hash, turn;
};
struct told_alert {
    char id[ALERT_ID]; /* empty: free */
    enum alert_state state;
    bool silenced;
    nsec since;
    uint64_t turn;
};
struct frames {
    uint64_t turn;
    struct pace *pace;
    nsec requests_until; /* ended before then: told */
    uint64_t silences;   /* mark of those told */
    unsigned nodes, nodes_room;
    struct told_node *node;
    struct told_alert alert[ALERTS_MOST];
    /* during a write */
    struct bulletin *to;
    const struct sight *sight;
    struct text text;
    struct json_out json;
};

/* ---- a frame ----------------------------------------------------------------------------------------------------- */

static struct json_out *begin(struct frames *f, const char *type)
{
    f->text = (struct text){ 0 };
    f->json = (struct json_out){ .to = &f->text };
    json_open(&f->json, '{');
    ops_str(&f->json, "type", str_of(type));
    return &f->json;
}

static bool end(struct frames *f, enum feed_topic topic)
{
    bool good;

    json_close(&f->json);
    good = !f->text.failed && bulletin_add(f->to, topic, text_str(&f->text));
    text_free(&f->text);
    return good;
}

static void put_rounded(struct json_out *j, const char *key, double v)
{
    ops_num(j, key, round(v * 1e5) / 1e5);
}

/* ---- metrics: nodes and cells ------------------------------------------------------------------------------------ */

static double recent(const struct sight *s, enum node_series series, struct str node)
{
    char name[PULSE_NAME + 1];

    *put_str(name, str_take(node, PULSE_NAME)) = 0;
    return history_mean(s->history, (struct series_at){ (int)series, name }, NOW_SPAN);
}

static void put_node_now(struct json_out *j, const struct sight *s, const struct node_view *n)
{
    double tokens = recent(s, SERIES_node_tokens_per_s, n->name);

    json_open(j, '{');
    ops_str(j, "id", n->name);
    ops_str(j, "state", node_state_name(n->state));
    ops_int(j, "inflight", n->inflight);
    put_rounded(j, "tokens_per_s", isnan(tokens) ? 0 : tokens);
    put_rounded(j, "ttft_p95_ms", recent(s, SERIES_node_ttft_p95_ms, n->name));
    json_close(j);
}

/* Pairs that have written something lately, to be found by node and model. */
struct cells {
    const struct fleet_snapshot *fleet;
    struct map rates; /* "node\nkey of the model" -> struct rate */
    struct arena arena;
};
struct rate {
    double tokens_per_s;
};

static struct str cell_key(struct arena *a, struct str node, struct str model_key)
{
    char *at = arena_take(a, node.n + model_key.n + 1), *p = at;

    if (!at)
        return STR_NONE;
    p = put_str(p, node);
    *p++ = '\n';
    return str_span(at, put_str(p, model_key));
}

static void gather_rate(struct str model, struct str node, double tokens_per_s, void *arg)
{
    struct cells *c = arg;
    struct name name;
    struct str key;
    struct rate *r;

    if (name_parse(model, &name))
        return;
    key = cell_key(&c->arena, node, name_key(&name));
    r = key.n ? map_get(&c->rates, key) : NULL;
    if (r) {
        r->tokens_per_s += tokens_per_s; /* another spelling of it */
        return;
    }
    r = key.n ? arena_take(&c->arena, sizeof *r) : NULL;
    if (!r)
        return;
    r->tokens_per_s = tokens_per_s;
    (void)map_put(&c->rates, key, r);
}

static void put_cell(struct json_out *j, struct cells *c, const struct node_view *n, const struct inventory_model *m)
{
    const struct node_serves *serves = node_view_serves(n, m->hash);
    struct str key = cell_key(&c->arena, n->name, m->key);
    const struct rate *r = key.n ? map_get(&c->rates, key) : NULL;

    if (!r && !(serves && serves->inflight))
        return;
    json_open(j, '{');
    ops_str(j, "node", n->name);
    ops_str(j, "model", m->show);
    ops_int(j, "inflight", serves ? serves->inflight : 0);
    put_rounded(j, "tokens_per_s", r ? r->tokens_per_s : 0);
    json_close(j);
}

static void put_nodes_and_cells(struct frames *f, struct json_out *j)
{
    const struct fleet_snapshot *s = f->sight->fleet;
    struct cells c = { .fleet = s };

    json_key(j, "nodes");
    json_open(j, '[');
    for (uint32_t i = 0; i < s->n; i++)
        put_node_now(j, f->sight, &s->node[i]);
    json_close(j);
    arena_init(&c.arena);
    pace_each(f->pace, gather_rate, &c);
    json_key(j, "cells");
    json_open(j, '[');
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; m < s->node[i].models; m++)
            put_cell(j, &c, &s->node[i], &s->node[i].model[m]);
    json_close(j);
    map_free(&c.rates);
    arena_done(&c.arena);
}

/* ---- metrics: the rest ------------------------------------------------------------------------------------------- */

static void put_now(struct json_out *j, struct history *h)
{
    json_key(j, "now");
    json_open(j, '{');
    for (int i = 0; i < SERIES_COUNT; i++)
        put_rounded(j, series_of((enum series)i)->name.p, history_last(h, (struct series_at){ i, NULL }));
    json_close(j);
}

static void put_totals(struct json_out *j, const struct pulse *p)
{
    json_key(j, "totals");
    json_open(j, '{');
    ops_num(j, "requests", p->total[TOTAL_REQUESTS]);
    ops_num(j, "errors", p->total[TOTAL_ERRORS]);
    ops_num(j, "tokens_in", p->total[TOTAL_TOKENS_IN]);
    ops_num(j, "tokens_out", p->total[TOTAL_TOKENS_OUT]);
    json_close(j);
}

/* Waiters come model by model. */
static void put_waiting_models(struct json_out *j, const struct fleet_queue *q)
{
    for (uint32_t i = 0; q && i < q->n;) {
        struct str model = q->waiter[i].model;
        nsec oldest = 0;
        uint32_t first = i;
        for (; i < q->n && str_eq(q->waiter[i].model, model); i++)
            oldest = MAX(oldest, q->waiter[i].waited);
        json_open(j, '{');
        ops_str(j, "model", model);
        ops_int(j, "waiting", i - first);
        ops_int(j, "oldest_ms", oldest / MSEC(1));
        json_close(j);
    }
}

static void put_queue(struct json_out *j, const struct sight *s)
{
    struct fleet_queue *q = s->fleet->waiting ? fleet_queue(s->gateway->fleet, s->now) : NULL;
    nsec oldest = 0;

    for (uint32_t i = 0; q && i < q->n; i++)
        oldest = MAX(oldest, q->waiter[i].waited);
    json_key(j, "queue");
    json_open(j, '{');
    ops_int(j, "waiting", s->fleet->waiting);
    ops_int(j, "oldest_ms", oldest / MSEC(1));
    json_key(j, "models");
    json_open(j, '[');
    put_waiting_models(j, q);
    json_close(j);
    json_close(j);
    fleet_queue_free(&q);
}

struct alert_sums {
    unsigned firing, pending;
};

static void count_alert(const struct alert *a, void *arg)
{
    struct alert_sums *sums = arg;

    sums->firing += a->state == ALERT_FIRING && !a->silenced_until;
    sums->pending += a->state == ALERT_PENDING;
}

static void put_alert_sums(struct json_out *j, struct alerts *a)
{
    struct alert_sums sums = { 0 };

    alerts_each(a, count_alert, &sums);
    json_key(j, "alerts");
    json_open(j, '{');
    ops_int(j, "firing", sums.firing);
    ops_int(j, "pending", sums.pending);
    json_close(j);
}

static void put_cache(struct json_out *j, struct cache *c)
{
    struct cache_stats s;

    cache_stats(c, &s);
    json_key(j, "cache");
    json_open(j, '{');
    put_rounded(j, "hit_ratio",
                s.all.requests ? (double)(s.all.hits + s.all.stale + s.all.joins) / (double)s.all.requests : NAN);
    put_rounded(j, "saved_gpu_s", s.all.saved_s);
    ops_int(j, "entries", (int64_t)s.entries);
    ops_int(j, "bytes", (int64_t)s.bytes);
    json_close(j);
}

static void put_memory(struct json_out *j, const struct sight *s)
{
    json_key(j, "memory");
    json_open(j, '{');
    ops_num(j, "rss", s->pulse->gauge[GAUGE_rss_bytes]);
    ops_int(j, "limit", (int64_t)s->memory_limit);
    ops_str(j, "pressure", str_of(pressure_name(pressure_step(&s->gateway->memory.pressure))));
    json_close(j);
}

static void write_metrics(struct frames *f)
{
    const struct sight *s = f->sight;
    struct json_out *j = begin(f, "metrics");

    ops_int(j, "t", s->wall / SECOND(1) - 1); /* the second that is over */
    ops_str(j, "version", STR(OLLAMAMAX_VERSION));
    ops_str(j, "status", ops_status(s->gateway, s->fleet));
    put_rounded(j, "uptime_s", (double)(s->wall - s->gateway->started_wall) / SECOND(1));
    put_now(j, s->history);
    put_totals(j, s->pulse);
    put_nodes_and_cells(f, j);
    put_queue(j, s);
    put_alert_sums(j, s->alerts);
    put_cache(j, s->gateway->cache);
    put_memory(j, s);
    (void)end(f, FEED_METRICS);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static struct told_node *told_of(struct frames *f, struct str name)
{
    for (unsigned i = 0; i < f->nodes; i++)
        if (str_eq(str_of(f->node[i].name), name))
            return &f->node[i];
    return NULL;
}

/* NULL: no memory; the node is told of the next time. */
static struct told_node *remember(struct frames *f, struct str name)
{
    unsigned room = f->nodes_room * 2 + 8;
    struct told_node *more;

    if (f->nodes == f->nodes_room) {
        more = memory_strikes() ? NULL : realloc(f->node, room * sizeof *more);
        if (!more)
            return NULL;
        f->node = more;
        f->nodes_room = room;
    }
    f->node[f->nodes] = (struct told_node){ .name = memory_strikes() ? NULL : strndup(name.p, name.n) };
    return f->node[f->nodes].name ? &f->node[f->nodes++] : NULL;
}

static bool write_node(struct frames *f, const struct node_view *n)
{
    const struct sight *s = f->sight;
    struct node_shown shown = { s->now, s->wall, s->history };
    struct json_out *j = begin(f, "node_update");

    json_key(j, "node");
    json_open(j, '{');
    node_json_brief(j, n);
    node_json_detailed(j, n, &shown);
    json_close(j);
    return end(f, FEED_NODES);
}

static void look_at_node(struct frames *f, const struct node_view *n)
{
    uint64_t hash = node_json_slow_facts(n);
    struct told_node *t = told_of(f, n->name);

    if (!t)
        t = remember(f, n->name);
    if (!t)
        return;
    t->turn = f->turn;
    if (t->hash != hash && write_node(f, n))
        t->hash = hash;
}

static bool write_removed(struct frames *f, const char *name)
{
    ops_str(begin(f, "node_update"), "removed", str_of(name));
    return end(f, FEED_NODES);
}

static void write_nodes(struct frames *f)
{
    for (uint32_t i = 0; i < f->sight->fleet->n; i++)
        look_at_node(f, &f->sight->fleet->node[i]);
    for (unsigned i = f->nodes; i-- > 0;)
        if (f->node[i].turn != f->turn && write_removed(f, f->node[i].name)) {
            free(f->node[i].name);
            f->node[i] = f->node[--f->nodes];
        }
}

/* ---- alerts ------------------------------------------------------------------------------------------------------ */

static struct told_alert *told_alert_of(struct frames *f, struct str id)
{
    struct told_alert *unused = NULL;

    for (unsigned i = 0; i < ALERTS_MOST; i++) {
        if (str_eq(str_of(f->alert[i].id), id))
            return &f->alert[i];
        if (!f->alert[i].id[0])
            unused = &f->alert[i];
    }
    return unused;
}

/* Its times of day waver with the wall clock. */
static bool is_told(const struct told_alert *t, const struct alert *a)
{
    nsec apart = t->since - a->since;

    return t->id[0] && t->state == a->state && t->silenced == (a->silenced_until > 0) && apart > -SECOND(2) &&
           apart < SECOND(2);
}

static void look_at_alert(const struct alert *a, void *arg)
{
    struct frames *f = arg;
    char text[ALERT_ID];
    struct str id = alert_id(a, text);
    struct told_alert *t = told_alert_of(f, id);
    struct json_out *j;

    if (!t)
        return;
    t->turn = f->turn;
    if (is_told(t, a))
        return;
    j = begin(f, "alert");
    json_key(j, "alert");
    alert_json(j, a);
    if (!end(f, FEED_ALERTS))
        return;
    *put_str(t->id, id) = 0;
    t->state = a->state;
    t->silenced = a->silenced_until > 0;
    t->since = a->since;
}

/* One that was pending and has come to nothing, or was resolved long ago. */
static void write_gone_alerts(struct frames *f)
{
    for (unsigned i = 0; i < ALERTS_MOST; i++) {
        struct told_alert *t = &f->alert[i];
        if (!t->id[0] || t->turn == f->turn)
            continue;
        ops_str(begin(f, "alert"), "removed", str_of(t->id));
        if (end(f, FEED_ALERTS))
            *t = (struct told_alert){ 0 };
    }
}

static void write_silences(struct frames *f)
{
    uint64_t mark = alerts_silences_mark(f->sight->alerts);
    struct json_out *j;

    if (mark == f->silences)
        return;
    j = begin(f, "alert");
    json_key(j, "silences");
    alerts_put_silences(f->sight->alerts, j);
    if (end(f, FEED_ALERTS))
        f->silences = mark;
}

static void write_alerts(struct frames *f)
{
    alerts_each(f->sight->alerts, look_at_alert, f);
    write_gone_alerts(f);
    write_silences(f);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void write_requests(struct frames *f)
{
    nsec until = f->sight->wall - ENDED_LATE, from = MAX(f->requests_until, until - SECOND(2));
    struct json_out *j = begin(f, "request");
    unsigned more = 0;
    bool any;

    json_key(j, "requests");
    if (requests_put_ended(f->sight->requests, j, from, until, BRIEFS, &more) || f->text.failed) {
        text_free(&f->text);
        return;
    }
    any = !str_ends(text_str(&f->text), STR("[]"));
    ops_int(j, "skipped", more);
    if (!any)
        text_free(&f->text);
    if (!any || end(f, FEED_REQUESTS))
        f->requests_until = until;
}

/* ---- a second ---------------------------------------------------------------------------------------------------- */

static void measure_pace(struct frames *f)
{
    struct gateway *g = f->sight->gateway;
    struct meter *meters[SYS_WORKERS_MAX];

    for (unsigned i = 0; i < g->workers; i++)
        meters[i] = g->worker[i]->meter;
    pace_sample(f->pace, f->sight->wall / SECOND(1), meters, g->workers);
}

void frames_write(struct frames *f, struct bulletin *b, const struct sight *s)
{
    f->to = b;
    f->sight = s;
    f->turn++;
    measure_pace(f);
    write_metrics(f);
    write_nodes(f);
    write_alerts(f);
    write_requests(f);
}

struct frames *frames_new(void)
{
    struct frames *f = memory_strikes() ? NULL : calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->pace = pace_new();
    if (!f->pace)
        frames_free(&f);
    return f;
}

void frames_free(struct frames **at)
{
    struct frames *f = *at;

    *at = NULL;
    if (!f)
        return;
    for (unsigned i = 0; i < f->nodes; i++)
        free(f->node[i].name);
    free(f->node);
    pace_free(&f->pace);
    free(f);
}
