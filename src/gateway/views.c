/* Views of the whole fleet, answered from memory: never by asking nodes while a client waits (design 4). Only before
 * the first probe round has come in does a client wait, at most a second. */
#include "gateway/gateway_private.h"

static struct str json_type(const struct exchange *x)
{
    return x->route.row->dialect == DIALECT_OLLAMA ? STR("application/json; charset=utf-8") : STR("application/json");
}

static enum step answer_view(struct exchange *x, enum view_id id)
{
    struct view *v = fleet_view(x->worker->gateway->fleet, id, loop_wall(x->worker->loop));
    enum step s;

    if (!v)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    s = answer(x, 200, json_type(x), v->body);
    view_unref(&v);
    return s;
}

/* ---- one model of /v1/models ------------------------------------------------------------------------------------- */

static const struct inventory_model *find_model(const struct fleet_snapshot *s, struct str key)
{
    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; m < s->node[i].models; m++)
            if (str_eq(s->node[i].model[m].key, key))
                return &s->node[i].model[m];
    return NULL;
}

/* "host/namespace/model:tag" -> namespace */
static struct str owner_of(struct str key)
{
    struct str rest = key;

    str_cut(&rest, '/');
    return str_cut(&rest, '/');
}

static enum step answer_model(struct exchange *x, const struct inventory_model *m, struct str name)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    json_open(&j, '{');
    json_key(&j, "id");
    json_put_str(&j, name);
    json_key(&j, "object");
    json_put_str(&j, STR("model"));
    json_key(&j, "created");
    json_put_i64(&j, m->modified / SECOND(1));
    json_key(&j, "owned_by");
    json_put_str(&j, owner_of(m->key));
    json_close(&j);
    if (t.failed)
        return answer_json(x, 200, &t);
    enum step s = answer(x, 200, STR("application/json"), text_str(&t));
    text_free(&t);
    return s;
}

static enum step one_model(struct exchange *x)
{
    char *text = arena_take(&x->arena, x->route.rest.n + 1);
    struct fleet_snapshot *s;
    const struct inventory_model *m;
    struct name name;
    size_t n = 0;
    enum step step;

    if (!text || !http_unescape(x->route.rest, text, &n))
        return answer_fail(x, FAIL_bad_model_name, STR_NONE);
    x->route.model = (struct str){ text, n };
    if (name_parse(names_behind(x), &name))
        return answer_fail(x, FAIL_bad_model_name, STR_NONE);
    s = fleet_snapshot(x->worker->gateway->fleet, worker_now(x->worker));
    m = s ? find_model(s, name_key(&name)) : NULL;
    if (m)
        step = answer_model(x, m, x->route.model);
    else
        step = answer_failf(x, s ? FAIL_model_not_found : FAIL_no_memory, "model '%.*s' not found",
                            STR_ARG(x->route.model));
    fleet_snapshot_free(&s);
    return step;
}

/* ---- by route ---------------------------------------------------------------------------------------------------- */

static enum step status(struct exchange *x)
{
    if (ops_allowed(x))
        return ops_enter(x);
    return answer(x, 200, json_type(x), STR("{\"cloud\":{\"disabled\":false,\"source\":\"none\"}}"));
}

static enum step by_route(struct exchange *x)
{
    switch (x->route.row->id) {
    case ROUTE_root: return answer(x, 200, STR("text/plain; charset=utf-8"), STR("Ollama is running"));
    case ROUTE_version: return answer_view(x, VIEW_VERSION);
    case ROUTE_tags: return answer_view(x, VIEW_TAGS);
    case ROUTE_ps: return answer_view(x, VIEW_PS);
    case ROUTE_v1_models: return answer_view(x, VIEW_V1_MODELS);
    case ROUTE_v1_model: return one_model(x);
    case ROUTE_cloud_status: return status(x);
    default: return answer_fail(x, FAIL_internal, STR_NONE);
    }
}

static void look_again(struct exchange *x)
{
    exchange_wake(x, views_enter(x));
}

enum step views_enter(struct exchange *x)
{
    if (x->route.row->id != ROUTE_root && local_must_wait(x, look_again))
        return STEP_WAIT;
    return by_route(x);
}
