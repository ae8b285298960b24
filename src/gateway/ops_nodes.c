/* Nodes and models as operators see and change them. Changes made here are gone after a restart, and the answers say
 * so. */
#include "fleet/labels.h"
#include "gateway/node_json.h"
#include "gateway/ops.h"

/* ---- showing ----------------------------------------------------------------------------------------------------- */

static struct node_shown shown_now(const struct exchange *x)
{
    return (struct node_shown){ worker_now(x->worker), loop_wall(x->worker->loop),
                                lookout_history(x->worker->gateway->lookout) };
}

static enum step list_nodes(struct exchange *x, bool detailed)
{
    enum step step = STEP_FINISH;
    struct fleet_snapshot *s = detailed ? ops_snapshot_whole(x, &step) : ops_snapshot(x, &step);
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    struct node_shown now = shown_now(x);

    if (!s)
        return step;
    json_open(&j, '{');
    json_key(&j, "nodes");
    json_open(&j, '[');
    for (uint32_t i = 0; i < s->n; i++) {
        json_open(&j, '{');
        node_json_brief(&j, &s->node[i]);
        if (detailed)
            node_json_detailed(&j, &s->node[i], &now);
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
    struct node_shown now = shown_now(x);

    if (!s)
        return step;
    if (n) {
        json_open(&j, '{');
        node_json_brief(&j, n);
        node_json_detailed(&j, n, &now);
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

/* Leaves *out as it is when the key is not there. False: the number cannot be, and that has been answered into *step.
 */
static bool take_number(struct exchange *x, struct json o, const char *key, double least, double most, double *out,
                        enum step *step)
{
    struct json v = json_get(o, str_of(key));
    double number;

    if (v.kind == JSON_BAD || v.kind == JSON_NULL)
        return true;
    if (json_f64(v, &number) && number >= least && number <= most) {
        *out = number;
        return true;
    }
    *step = answer_failf(x, FAIL_bad_value, "%s must be a number from %.0f to %.0f", key, least, most);
    return false;
}

/* False: there is a key that is none of these, and that has been answered into *step. */
static bool knows_keys(struct exchange *x, struct json o, struct str known, enum step *step)
{
    struct json_walk w = json_walk(o);

    while (json_next(&w)) {
        struct str rest = known;
        bool found = false;
        while (rest.n && !found)
            found = json_key_is(w.key, str_cut(&rest, ' '));
        if (!found) {
            *step = answer_failf(x, FAIL_bad_value, "%.*s cannot be set here; there are: %.*s", STR_ARG(w.key),
                                 STR_ARG(known));
            return false;
        }
    }
    return true;
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

/* Leaves *out as it is when the key is not there. False: they cannot be, and that has been answered into *step. */
static bool take_labels(struct exchange *x, struct json o, struct str *out, enum step *step)
{
    enum json_kind kind = json_get(o, STR("labels")).kind;

    if (kind == JSON_BAD || kind == JSON_NULL)
        return true;
    *out = labels_of(x, o);
    if ((kind == JSON_OBJECT || kind == JSON_STRING) && (!out->n || labels_are_good(*out)))
        return true;
    *step = answer_fail(x, FAIL_bad_value, STR("labels must be {\"key\":\"value\"} or \"key:value+key:value\""));
    return false;
}

#define NUMBER_MAX 1e6
#define BYTES_MAX  0x1p50

static bool take_numbers(struct exchange *x, struct json o, double *weight, double *slots, double *vram,
                         enum step *step)
{
    return take_number(x, o, "weight", 0, NUMBER_MAX, weight, step) &&
           take_number(x, o, "slots", -1, NUMBER_MAX, slots, step) &&
           take_number(x, o, "vram_bytes", 0, BYTES_MAX, vram, step);
}

static bool take_kind(struct exchange *x, struct json o, enum node_kind *out, enum step *step)
{
    struct str kind = text_of(x, o, STR("kind"));

    if (!kind.n || node_kind_of(kind, out))
        return true;
    *step = answer_fail(x, FAIL_bad_value, STR("kind must be one of ollama, llamacpp, vllm, lmstudio, openai"));
    return false;
}

/* False: it cannot be, and that has been answered into *step. */
static bool read_spec(struct exchange *x, struct node_spec *out, enum step *step)
{
    struct json o = body_object(x, step);
    double slots = -1, vram = 0, inflight = 0;

    if (o.kind != JSON_OBJECT ||
        !knows_keys(x, o, STR("url name weight slots max_inflight vram_bytes labels kind"), step) ||
        !take_numbers(x, o, &out->weight, &slots, &vram, step) ||
        !take_number(x, o, "max_inflight", 0, NUMBER_MAX, &inflight, step) || !take_kind(x, o, &out->kind, step))
        return false;
    out->url = text_of(x, o, STR("url"));
    out->name = text_of(x, o, STR("name"));
    out->slots = (int)slots;
    out->max_inflight = (int)inflight;
    out->vram = (uint64_t)vram;
    return take_labels(x, o, &out->labels, step);
}

static enum step add_node(struct exchange *x)
{
    enum step step = STEP_FINISH;
    struct node_spec spec = { 0 };
    const char *why = NULL;
    struct orders orders;
    uint64_t id = 0;
    enum fail f;

    if (!read_spec(x, &spec, &step))
        return step;
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

static bool take_state(struct exchange *x, struct json o, int *out, enum step *step)
{
    struct str state = text_of(x, o, STR("state"));

    if (!state.n)
        return true;
    *out = str_eq(state, STR("draining"));
    if (*out || str_eq(state, STR("up")))
        return true;
    *step = answer_fail(x, FAIL_bad_value, STR("state may be set to \"draining\" or \"up\""));
    return false;
}

static bool read_change(struct exchange *x, struct node_change *c, enum step *step)
{
    struct json o = body_object(x, step);
    double slots = c->slots, vram = (double)c->vram;

    if (o.kind != JSON_OBJECT || !knows_keys(x, o, STR("weight slots vram_bytes labels state"), step) ||
        !take_numbers(x, o, &c->weight, &slots, &vram, step) || !take_state(x, o, &c->drain, step))
        return false;
    c->slots = (int)slots;
    c->vram = (int64_t)vram;
    return take_labels(x, o, &c->labels, step);
}

static enum step patch_node(struct exchange *x, struct str name)
{
    struct node_change c = NODE_CHANGE_NOTHING;
    enum step step = STEP_FINISH;

    return read_change(x, &c, &step) ? change_node(x, name, &c) : step;
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
    struct node_change c = NODE_CHANGE_NOTHING;

    c.drain = str_eq(action, STR("drain"));
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
                ops_bool(j, "loaded", node_view_resident(&s->node[i], key) != NULL);
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
