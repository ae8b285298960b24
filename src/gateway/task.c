/* Tasks: loads and unloads that the fleet's scheduler has ordered, done by exchanges of the fleet's own.
 *
 * A load is a request with an empty prompt and the options that the waiting requests bring (ollama-api 4.2: the node
 * answers when the model is loaded); an embedding model is loaded by an /api/embed without input. No client owns it, so
 * no client can abort it by leaving. It walks the road from the attempt on, like a probe, with the node named by the
 * order's pin. */
#include "gateway/gateway_private.h"

#define TASK_BODY_MAX KIB(64)

struct task_run {
    struct worker *worker;
    struct task_order order;
    struct text body;
    struct buf said;
    int status;
    nsec began;
};
static struct slab tasks;

void task_pools_init(void)
{
    slab_init(&tasks, "task", sizeof(struct task_run));
}

void task_pools_done(void)
{
    slab_done(&tasks);
}

/* ---- telling the fleet ------------------------------------------------------------------------------------------- */

static void tell(struct worker *w, const struct task_order *order, enum fail why, struct str text, nsec took)
{
    struct orders o;

    orders_init(&o);
    fleet_task_done(w->gateway->fleet, order, why, text, took, worker_now(w), &o);
    orders_carry_out(w, &o);
}

static void over(struct task_run *t, enum fail why, struct str text, nsec took)
{
    struct worker *w = t->worker;
    struct task_order order = t->order;
    struct arena a;

    arena_init(&a);
    text = str_dup(&a, text);
    text_free(&t->body);
    buf_free(&t->said);
    slab_give(&tasks, &t);
    tell(w, &order, why, text, took);
    arena_done(&a);
}

/* ---- the sink ---------------------------------------------------------------------------------------------------- */

static void sink_head(struct exchange *x)
{
    struct task_run *t = x->owner;

    t->status = x->out.status;
    x->out.head_sent = true;
}

static void sink_push(struct exchange *x, struct str bytes, bool last)
{
    struct task_run *t = x->owner;

    if (buf_len(&t->said) + bytes.n > TASK_BODY_MAX || buf_append(&t->said, bytes))
        t->status = 0;
}

/* The node's own words, if it said some. */
static struct str error_of(struct arena *a, struct str body)
{
    struct json error = json_get(json_parse(body, NULL), STR("error"));

    return error.kind == JSON_STRING ? json_text(a, error) : STR_NONE;
}

static nsec took(const struct task_run *t, struct str body)
{
    struct figures f;

    figures_clear(&f);
    record_look_whole(DIALECT_OLLAMA, body, &f, NULL);
    return f.load > 0 ? f.load : worker_now(t->worker) - t->began;
}

static void sink_ended(struct exchange *x, enum fail why)
{
    struct task_run *t = x->owner;
    struct str body = buf_str(&t->said), text;
    struct arena a;

    arena_init(&a);
    text = error_of(&a, body);
    if (!why && (!x->out.complete || !t->status))
        why = FAIL_upstream_garbage;
    if (!why && t->status == 404)
        why = FAIL_upstream_no_model;
    else if (!why && t->status == 503)
        why = FAIL_upstream_busy;
    else if (!why && (t->status >= 400 || text.n))
        why = FAIL_load_failed;
    over(t, why, text, why ? 0 : took(t, body));
    arena_done(&a);
}

static const struct sink_ops task_sink = { .head = sink_head, .push = sink_push, .ended = sink_ended };

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static void write_body(struct task_run *t)
{
    struct json_out j = { .to = &t->body };

    json_open(&j, '{');
    json_key(&j, "model");
    json_put_str(&j, t->order.spelled);
    json_key(&j, "stream");
    json_put_bool(&j, false);
    if (!t->order.loads) {
        json_key(&j, "keep_alive");
        json_put_u64(&j, 0);
    } else {
        options_put(t->order.options, &j);
    }
    json_close(&j);
}

static void ask(struct task_run *t)
{
    struct exchange *x = t->body.failed ? NULL : exchange_new(t->worker, OWNER_FLEET, t, &task_sink);

    if (!x) {
        over(t, FAIL_no_memory, STR_NONE, 0);
        return;
    }
    x->in.method = M_POST;
    x->in.forward = STR("Content-Type: application/json\r\n");
    x->ticket.lease = (struct lease){ .node = t->order.node, .addr = t->order.addr };
    x->up.method = STR("POST");
    x->up.path = t->order.embeds && t->order.loads ? STR("/api/embed") : STR("/api/generate");
    x->up.body = text_str(&t->body);
    x->up.body_length = (int64_t)x->up.body.n;
    x->up.patience = t->order.patience;
    exchange_start(x, STAGE_ATTEMPT);
}

void task_start(struct worker *w, const struct task_order *order)
{
    struct task_run *t = w->stopping ? NULL : slab_take0(&tasks);

    if (!t) {
        tell(w, order, FAIL_no_memory, STR_NONE, 0);
        return;
    }
    t->worker = w;
    t->order = *order;
    t->began = worker_now(w);
    write_body(t);
    ask(t);
}
