/* The scheduler, for people: what it would do with a request, and who waits for it.
 *
 * An explanation takes the body of the request that is meant, and goes the same road: the same reading, the same
 * aliases, options and blocks of the prompt, and then fleet_explain in place of fleet_ask. Only then is the node that
 * is named the one that the request gets. For that time the exchange is on the route that is meant. */
#include "gateway/ops.h"
#include <math.h>
#include <stdlib.h>

/* ---- POST /api/explain: the answer ------------------------------------------------------------------------------- */

/* To a tenth of a millisecond; INFINITY: null. */
static void put_seconds(struct json_out *j, const char *key, float s)
{
    ops_num(j, key, round((double)s * 1e4) / 1e4);
}

static void put_terms(struct json_out *j, const struct scheduler_terms *t)
{
    json_key(j, "terms");
    json_open(j, '{');
    put_seconds(j, "slot", t->slot);
    put_seconds(j, "load", t->load);
    put_seconds(j, "prefill", t->prefill);
    put_seconds(j, "decode", t->decode);
    put_seconds(j, "penalty", t->penalty);
    json_close(j);
}

static void put_text(struct json_out *j, const char *key, struct str s)
{
    json_key(j, key);
    if (s.n)
        json_put_str(j, s);
    else
        json_put_null(j);
}

static void put_node(struct json_out *j, const char *key, const struct fleet_explained *e, uint32_t which)
{
    put_text(j, key, which == SCHEDULER_NONE ? STR_NONE : e->candidate[which].node);
}

/* Terms of a node that could serve it, some time. */
static bool has_terms(const struct scheduler_explained *c)
{
    return c->excluded == EXCLUDED_NOT || c->excluded == EXCLUDED_FULL;
}

static void put_candidate(struct json_out *j, const struct fleet_candidate *c)
{
    json_open(j, '{');
    ops_str(j, "node", c->node);
    put_seconds(j, "eta_s", has_terms(&c->is) ? c->is.terms.total : INFINITY);
    if (has_terms(&c->is))
        put_terms(j, &c->is.terms);
    put_text(j, "excluded", c->is.excluded ? str_of(scheduler_excluded_says(c->is.excluded)) : STR_NONE);
    ops_bool(j, "loaded", c->is.resident);
    ops_int(j, "inflight", c->is.inflight);
    json_key(j, "slots");
    if (c->is.slots)
        json_put_u64(j, c->is.slots);
    else
        json_put_null(j); /* no limit, or not known */
    json_close(j);
}

static uint32_t named_one(const struct fleet_explained *e)
{
    return e->node != SCHEDULER_NONE ? e->node : e->waits_for != SCHEDULER_NONE ? e->waits_for : e->loads_on;
}

static void put_explained(struct json_out *j, const struct exchange *x, const struct fleet_explained *e)
{
    uint32_t named = named_one(e);

    json_open(j, '{');
    put_node(j, "node", e, e->node);
    ops_str(j, "policy", scheduler_policy_name(e->policy));
    ops_str(j, "model", x->route.asked);
    if (named != SCHEDULER_NONE)
        put_terms(j, &e->candidate[named].is.terms);
    put_node(j, "waits_for", e, e->waits_for);
    put_node(j, "loads_on", e, e->loads_on);
    put_text(j, "refused", e->refused ? fail_name(e->refused) : STR_NONE);
    json_key(j, "candidates");
    json_open(j, '[');
    for (uint32_t i = 0; i < e->n; i++)
        put_candidate(j, &e->candidate[i]);
    json_close(j);
    json_close(j);
}

/* ---- the question ------------------------------------------------------------------------------------------------ */

/* The route that the body's "path" means; /api/chat when it names none. NULL: it runs no model. */
static const struct route *route_meant(struct exchange *x)
{
    struct json path = json_get(json_parse(x->in.body, NULL), STR("path"));
    struct str text = path.kind == JSON_STRING ? json_text(&x->arena, path) : STR("/api/chat");
    const struct route *r = route_find(M_POST, text).route;

    return r && r->kind == KIND_MODEL && r->model_in == IN_BODY ? r : NULL;
}

static struct fleet_explained *ask(struct exchange *x)
{
    struct fleet *f = x->worker->gateway->fleet;
    struct fleet_explained *e;
    struct orders o;

    orders_init(&o);
    fleet_hints(f, &x->ticket);
    e = fleet_explain(f, &x->ticket, worker_now(x->worker), &o);
    orders_carry_out(x->worker, &o);
    return e;
}

/* As a request would: with the next fallback, as long as nobody serves what is asked for. */
static struct fleet_explained *ask_and_fall_back(struct exchange *x)
{
    struct fleet_explained *e = ask(x);

    while (e && choose_nobody_serves(e->refused) && names_fall_back(x, e->refused)) {
        fleet_explained_free(&e);
        e = ask(x);
    }
    return e;
}

static enum step explain_as(struct exchange *x)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    struct fleet_explained *e;
    enum step step = route_read(x);

    if (step != STEP_NEXT)
        return step;
    route_prepare(x);
    if (unload_asked(x))
        return answer_fail(x, FAIL_bad_value, STR("this request unloads the model, on every node that has it loaded"));
    e = ask_and_fall_back(x);
    if (!e)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    put_explained(&j, x, e);
    fleet_explained_free(&e);
    return answer_json(x, 200, &t);
}

static void explain_again(struct exchange *x)
{
    exchange_wake(x, ops_explain(x));
}

enum step ops_explain(struct exchange *x)
{
    const struct route *ours = x->route.row, *meant = route_meant(x);
    enum step step;

    if (local_must_wait(x, explain_again))
        return STEP_WAIT;
    if (!meant)
        return answer_fail(x, FAIL_bad_value, STR("path must be one that runs a model, like /api/chat"));
    x->route.row = meant;
    step = explain_as(x);
    x->route.row = ours;
    return step;
}

/* ---- GET /api/queue ---------------------------------------------------------------------------------------------- */

static const char *const bands[] = { [BAND_HIGH] = "high", [BAND_NORMAL] = "normal", [BAND_BATCH] = "batch" };

static void put_waiter(struct json_out *j, const struct fleet_waiter *w)
{
    char hex[17];

    json_open(j, '{');
    ops_str(j, "request_id", w->request_id);
    ops_str(j, "tenant", str_span(hex, put_hex(hex, w->tenant)));
    ops_str(j, "band", str_of(bands[w->band]));
    ops_int(j, "waited_ms", w->waited / MSEC(1));
    ops_int(j, "position", w->position);
    ops_num(j, "eta_ms", w->eta == NEVER ? INFINITY : (double)(w->eta / MSEC(1)));
    json_close(j);
}

static void put_queue(struct json_out *j, const struct fleet_queue *q)
{
    json_open(j, '{');
    json_key(j, "models");
    json_open(j, '[');
    for (uint32_t i = 0; i < q->n; i++) {
        if (q->waiter[i].position == 1) {
            json_open(j, '{');
            ops_str(j, "model", q->waiter[i].model);
            json_key(j, "waiting");
            json_open(j, '[');
        }
        put_waiter(j, &q->waiter[i]);
        if (i + 1 == q->n || q->waiter[i + 1].position == 1) {
            json_close(j);
            json_close(j);
        }
    }
    json_close(j);
    json_close(j);
}

enum step ops_queue(struct exchange *x)
{
    struct fleet_queue *q = fleet_queue(x->worker->gateway->fleet, worker_now(x->worker));
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    if (!q)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    put_queue(&j, q);
    fleet_queue_free(&q);
    return answer_json(x, 200, &t);
}

/* ---- GET /api/decisions ------------------------------------------------------------------------------------------ */

/* No prompts, no names: numbers of nodes, models and tickets, as the scheduler knows them. */
enum step ops_decisions(struct exchange *x)
{
    size_t n;
    void *bytes = fleet_decisions(x->worker->gateway->fleet, &n);
    enum step step;

    if (!bytes)
        return answer_fail(x, FAIL_no_memory, STR("there is no memory for a record of the scheduler's inputs"));
    step = answer(x, 200, STR("application/octet-stream"), (struct str){ bytes, n });
    free(bytes);
    return step;
}
