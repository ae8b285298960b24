/* Nodes and models as operators see and change them. Changes made here are gone after a restart, and the answers say
 * so. */
#include "base/stamp.h"
#include "gateway/ops.h"
#include <math.h>

/* ---- showing ----------------------------------------------------------------------------------------------------- */

static void put_time(struct json_out *j, const char *key, const struct exchange *x, nsec moment)
{
    char text[36];
    nsec wall = loop_wall(x->worker->loop) - (worker_now(x->worker) - moment);

    json_key(j, key);
    if (moment)
        json_put_str(j, (struct str){ text, stamp_rfc3339(wall, text) });
    else
        json_put_null(j);
}

static void put_brief(struct json_out *j, const struct node_view *n)
{
    ops_str(j, "id", n->name);
    ops_str(j, "url", n->url);
    ops_str(j, "kind", node_kind_name(n->kind));
    ops_str(j, "state", node_state_name(n->state));
    ops_num(j, "weight", n->weight);
    ops_int(j, "inflight", n->inflight);
    json_key(j, "slots");
    if (n->slots >= 0)
        json_put_i64(j, n->slots);
    else
        json_put_null(j); /* not told and not configured */
    if (n->context)
        ops_int(j, "context", n->context);
    ops_bool(j, "simulated", n->simulated);
}

static const struct inventory_model *resident(const struct node_view *n, struct str key)
{
    for (uint32_t i = 0; i < n->loaded; i++)
        if (str_eq(n->resident[i].key, key))
            return &n->resident[i];
    return NULL;
}

static void put_rate(struct json_out *j, const char *key, double rate)
{
    ops_num(j, key, rate > 0 ? round(rate * 10) / 10 : INFINITY); /* not learnt yet: null */
}

/* What requests have shown of it. */
static void put_serves(struct json_out *j, const struct node_serves *s)
{
    json_key(j, "slots");
    if (s->slots)
        json_put_u64(j, s->slots);
    else
        json_put_null(j);
    ops_int(j, "inflight", s->inflight);
    put_rate(j, "prefill_tps", s->rates.prefill);
    put_rate(j, "decode_tps", s->rates.decode);
    put_rate(j, "load_bps", s->rates.load);
    ops_str(j, "breaker", str_of(breaker_name(s->breaker)));
}

static void put_model(struct json_out *j, const struct node_view *n, const struct inventory_model *m)
{
    const struct node_serves *serves = node_view_serves(n, m->hash);
    const struct inventory_model *r = resident(n, m->key);

    json_open(j, '{');
    ops_str(j, "name", m->show);
    ops_str(j, "digest", m->digest);
    ops_bool(j, "loaded", r != NULL);
    ops_int(j, "size", (int64_t)(r ? r->size : m->size));
    ops_int(j, "size_vram", r ? (int64_t)r->size_vram : 0);
    if (r && r->expires) {
        char text[36];
        ops_str(j, "expires_at", (struct str){ text, stamp_rfc3339(r->expires, text) });
    }
    if (serves)
        put_serves(j, serves);
    json_close(j);
}

static void put_detailed(struct json_out *j, const struct exchange *x, const struct node_view *n)
{
    ops_str(j, "version", n->version);
    ops_str(j, "breaker", str_of(breaker_name(n->breaker)));
    ops_str(j, "labels", n->labels);
    ops_int(j, "requests", (int64_t)n->requests);
    ops_int(j, "errors", (int64_t)n->errors);
    put_time(j, "state_since", x, n->state_since);
    put_time(j, "last_seen", x, n->last_seen);
    json_key(j, "last_error");
    if (n->last_error_at) {
        json_open(j, '{');
        ops_str(j, "code", fail_name(n->last_error));
        ops_str(j, "text", n->last_error_text);
        put_time(j, "at", x, n->last_error_at);
        json_close(j);
    } else {
        json_put_null(j);
    }
    json_key(j, "models");
    json_open(j, '[');
    for (uint32_t i = 0; i < n->models; i++)
        put_model(j, n, &n->model[i]);
    json_close(j);
}

static enum step list_nodes(struct exchange *x, bool detailed)
{
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = detailed ? ops_snapshot_whole(x, &step) : ops_snapshot(x, &step);
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    if (!s)
        return step;
    json_open(&j, '{');
    json_key(&j, "nodes");
    json_open(&j, '[');
    for (uint32_t i = 0; i < s->n; i++) {
        json_open(&j, '{');
        put_brief(&j, &s->node[i]);
        if (detailed)
            put_detailed(&j, x, &s->node[i]);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    fleet_snapshot_free(&s);
    return answer_json(x, 200, &t);
}

static const struct node_view *named(const struct fleet_snapshot *s, struct str name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (str_eq(s->node[i].name, name))
            return &s->node[i];
    return NULL;
}

static enum step show_node(struct exchange *x, struct str name, int status)
{
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = ops_snapshot_whole(x, &step);
    const struct node_view *n = s ? named(s, name) : NULL;
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    if (!s)
        return step;
    if (n) {
        json_open(&j, '{');
        put_brief(&j, n);
        put_detailed(&j, x, n);
        if (x->in.method != M_GET && x->in.method != M_HEAD)
            ops_str(&j, "note", STR("changes made here are gone after a restart; the configuration file keeps them"));
        json_close(&j);
        step = answer_json(x, status, &t);
    } else {
        step = answer_fail(x, FAIL_node_unknown, STR_NONE);
    }
    fleet_snapshot_free(&s);
    return step;
}

static enum step show_added(struct exchange *x, uint64_t id)
{
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = ops_snapshot(x, &step);
    struct str name = STR_NONE;

    for (uint32_t i = 0; s && i < s->n; i++)
        if (s->node[i].id == id)
            name = str_dup(&x->arena, s->node[i].name);
    if (s)
        step = show_node(x, name, 201);
    fleet_snapshot_free(&s);
    return step;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

/* The body's object; of another kind after the failure has been answered into *step. */
static struct json body_object(struct exchange *x, enum step *step)
{
    struct json o = json_parse(x->in.body, NULL);

    if (!x->in.body.n)
        *step = answer_fail(x, FAIL_missing_body, STR_NONE);
    else if (o.kind != JSON_OBJECT)
        *step = answer_fail(x, FAIL_bad_json, STR("the body must be a JSON object"));
    return o;
}

static struct str text_of(struct exchange *x, struct json o, struct str key)
{
    struct json v = json_get(o, key);

    return v.kind == JSON_STRING ? json_text(&x->arena, v) : STR_NONE;
}

#define NUMBER_MAX 1e6

/* Leaves *out as it is when the key is not there. False: the number cannot be, and that has been answered into *step.
 */
static bool take_number(struct exchange *x, struct json o, const char *key, double least, double *out, enum step *step)
{
    double v;

    if (!json_f64(json_get(o, str_of(key)), &v))
        return true;
    if (v >= least && v <= NUMBER_MAX) {
        *out = v;
        return true;
    }
    *step = answer_failf(x, FAIL_bad_value, "%s must be between %g and %g", key, least, NUMBER_MAX);
    return false;
}

/* {"gpu":"a100","zone":"b"} or "gpu:a100+zone:b" */
static struct str labels_of(struct exchange *x, struct json o)
{
    struct json_walk w = json_walk(json_get(o, STR("labels")));
    struct text t = { 0 };
    struct str out;

    if (json_get(o, STR("labels")).kind != JSON_OBJECT)
        return text_of(x, o, STR("labels"));
    while (json_next(&w))
        if (w.value.kind == JSON_STRING)
            text_printf(&t, "%s%.*s:%.*s", text_str(&t).n ? "+" : "", (int)w.key.n - 2, w.key.p + 1,
                        STR_ARG(json_text(&x->arena, w.value)));
    out = str_dup(&x->arena, text_str(&t));
    text_free(&t);
    return out;
}

static enum step add_node(struct exchange *x)
{
    enum step step = STEP_FINISH;
    struct json o = body_object(x, &step);
    struct node_spec spec = { 0 };
    double slots = -1;
    const char *why = NULL;
    struct orders orders;
    uint64_t id = 0;
    enum fail f;

    if (o.kind != JSON_OBJECT || !take_number(x, o, "weight", 0, &spec.weight, &step) ||
        !take_number(x, o, "slots", -1, &slots, &step))
        return step;
    spec.url = text_of(x, o, STR("url"));
    spec.name = text_of(x, o, STR("name"));
    spec.slots = (int)slots;
    spec.labels = labels_of(x, o);
    orders_init(&orders);
    f = fleet_add(x->worker->gateway->fleet, &spec, true, worker_now(x->worker), &id, &why, &orders);
    orders_carry_out(x->worker, &orders);
    if (f)
        return answer_failf(x, f == FAIL_bad_setting ? FAIL_bad_value : f, "%s: %.*s", why ? why : fail_sentence(f).p,
                            STR_ARG(spec.url));
    return show_added(x, id);
}

static enum step change_node(struct exchange *x, struct str name, const struct node_change *c)
{
    struct orders orders;
    enum fail f;

    orders_init(&orders);
    f = fleet_change(x->worker->gateway->fleet, name, c, worker_now(x->worker), &orders);
    orders_carry_out(x->worker, &orders);
    return f ? answer_fail(x, f, STR_NONE) : show_node(x, name, 200);
}

static enum step patch_node(struct exchange *x, struct str name)
{
    struct node_change c = { .weight = -1, .slots = -2, .drain = -1 };
    enum step step = STEP_FINISH;
    struct json o = body_object(x, &step);
    double slots = c.slots;
    struct str state;

    if (o.kind != JSON_OBJECT || !take_number(x, o, "weight", 0, &c.weight, &step) ||
        !take_number(x, o, "slots", -1, &slots, &step))
        return step;
    c.slots = (int)slots;
    state = text_of(x, o, STR("state"));
    if (state.n)
        c.drain = str_eq(state, STR("draining")) ? 1 : str_eq(state, STR("up")) ? 0 : -2;
    if (c.drain == -2)
        return answer_fail(x, FAIL_bad_value, STR("state may be set to \"draining\" or \"up\""));
    return change_node(x, name, &c);
}

static enum step remove_node(struct exchange *x, struct str name)
{
    struct orders orders;
    enum fail f;

    orders_init(&orders);
    f = fleet_remove(x->worker->gateway->fleet, name, worker_now(x->worker), &orders);
    orders_carry_out(x->worker, &orders);
    if (!f)
        gateway_forget_node(x->worker->gateway, name);
    return f ? answer_fail(x, f, STR_NONE) : answer(x, 204, STR_NONE, STR_NONE);
}

static enum step act_on_node(struct exchange *x, struct str name, struct str action)
{
    struct node_change c = { .weight = -1, .slots = -2, .drain = str_eq(action, STR("drain")) };

    if (!str_eq(action, STR("drain")) && !str_eq(action, STR("undrain")))
        return answer_fail(x, FAIL_not_found, STR("404 page not found"));
    return change_node(x, name, &c);
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

enum step ops_nodes(struct exchange *x)
{
    return x->in.method == M_POST ? add_node(x) : list_nodes(x, false);
}

enum step ops_nodes_detailed(struct exchange *x)
{
    return list_nodes(x, true);
}

enum step ops_node(struct exchange *x)
{
    struct str action = x->route.rest, raw = str_cut(&action, '/'), name;
    char *text = arena_take(&x->arena, raw.n + 1);
    size_t n = 0;

    if (!text || !http_unescape(raw, text, &n))
        return answer_fail(x, FAIL_node_unknown, STR_NONE);
    name = (struct str){ text, n };
    if (x->in.method == M_POST)
        return act_on_node(x, name, action);
    if (action.n)
        return answer_fail(x, FAIL_not_found, STR("404 page not found"));
    if (x->in.method == M_PATCH)
        return patch_node(x, name);
    return x->in.method == M_DELETE ? remove_node(x, name) : show_node(x, name, 200);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static bool seen_before(const struct fleet_snapshot *s, uint32_t node, uint32_t model)
{
    struct str key = s->node[node].model[model].key;

    for (uint32_t i = 0; i < node; i++)
        for (uint32_t m = 0; m < s->node[i].models; m++)
            if (str_eq(s->node[i].model[m].key, key))
                return true;
    return false;
}

static void put_holders(struct json_out *j, const struct fleet_snapshot *s, struct str key)
{
    json_key(j, "nodes");
    json_open(j, '[');
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; m < s->node[i].models; m++)
            if (str_eq(s->node[i].model[m].key, key)) {
                json_open(j, '{');
                ops_str(j, "id", s->node[i].name);
                ops_bool(j, "loaded", resident(&s->node[i], key) != NULL);
                json_close(j);
            }
    json_close(j);
}

enum step ops_models(struct exchange *x)
{
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = ops_snapshot(x, &step);
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    if (!s)
        return step;
    json_open(&j, '{');
    json_key(&j, "models");
    json_open(&j, '[');
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; m < s->node[i].models; m++)
            if (!seen_before(s, i, m)) {
                json_open(&j, '{');
                ops_str(&j, "name", s->node[i].model[m].show);
                ops_str(&j, "digest", s->node[i].model[m].digest);
                put_holders(&j, s, s->node[i].model[m].key);
                json_close(&j);
            }
    json_close(&j);
    json_close(&j);
    fleet_snapshot_free(&s);
    return answer_json(x, 200, &t);
}
