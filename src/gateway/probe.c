/* Probes: what the fleet wants to know of a node, asked by exchanges of the fleet's own and told with fleet_observe.
 *
 * A probe walks the same road as a request, from the attempt on, with the node named by a pin instead of a lease; its
 * sink gathers the body. A node that knows no /api/version is asked for /v1/models, which tells its kind
 * (ollama-api 5.4). A llama-server has said its models when it has also said its slots: /props, or /slots where that is
 * switched off; its models are told whatever comes of these. The probe carries our Via: a node that leads back to this
 * gateway answers 421, and is reported as what it is. */
#include "gateway/gateway_private.h"

#define PROBE_BODY_MAX MIB(8)

struct probe {
    struct worker *worker;
    struct node *node;
    unsigned what;
    enum node_kind kind; /* known so far */
    nsec patience;
    struct addr addr;
    struct str path;
    bool second;              /* asked for /v1/models after /api/version was unknown */
    struct inventory *models; /* of a llama-server, until it has said its slots: */
    const char *asks;         /* "/props" or "/slots"; NULL: for none of them */
    int status;
    struct buf body;
    struct str server;
    struct resolve resolve;
};
static struct slab probes;

void probe_pools_init(void)
{
    slab_init(&probes, "probe", sizeof(struct probe));
}

void probe_pools_done(void)
{
    slab_done(&probes);
}

/* ---- telling the fleet ------------------------------------------------------------------------------------------- */

static void tell(struct probe *p, struct observation *ob)
{
    struct worker *w = p->worker;
    struct orders o;

    ob->what = p->what;
    orders_init(&o);
    fleet_observe(w->gateway->fleet, p->node, ob, worker_now(w), &o);
    inventory_free(&ob->inventory);
    buf_free(&p->body);
    slab_give(&probes, &p);
    orders_carry_out(w, &o);
}

static void tell_models(struct probe *p, uint32_t slots, uint32_t context)
{
    struct observation ob = { .inventory = p->models, .slots = slots, .context = context };

    tell(p, &ob);
}

static void tell_failed(struct probe *p, enum fail why)
{
    if (p->models) {
        tell_models(p, 0, 0);
        return;
    }
    struct observation ob = { .failed = why, .error_text = fail_sentence(why) };

    tell(p, &ob);
}

/* ---- reading the answers ----------------------------------------------------------------------------------------- */

static enum node_kind kind_by_models(struct str body)
{
    static const struct {
        struct str owner;
        enum node_kind kind;
    } owners[] = {
        {STR("\"llamacpp\""),            NODE_LLAMACPP},
        { STR("\"vllm\""),               NODE_VLLM    },
        { STR("\"organization_owner\""), NODE_LMSTUDIO},
    };

    for (size_t i = 0; i < ARRAY_LEN(owners); i++)
        if (str_find(body, owners[i].owner) >= 0)
            return owners[i].kind;
    return json_get(json_parse(body, NULL), STR("data")).kind == JSON_ARRAY ? NODE_OPENAI : NODE_UNKNOWN;
}

static void ask(struct probe *p, struct str path);

static void tell_version(struct probe *p, bool simulated)
{
    struct observation ob = { .simulated = simulated };
    struct arena a;

    arena_init(&a);
    ob.version = version_read(&a, buf_str(&p->body));
    ob.kind = p->second ? kind_by_models(buf_str(&p->body)) : NODE_OLLAMA;
    if (!p->second && !(p->status == 200 && ob.version.n)) {
        p->second = true;
        buf_free(&p->body);
        ask(p, STR("/v1/models"));
    } else {
        if (p->second && ob.kind == NODE_UNKNOWN) {
            ob.failed = p->status == 503 ? FAIL_upstream_busy : FAIL_upstream_garbage;
            ob.error_text = STR("it answers, but neither as Ollama nor as an OpenAI-compatible server");
        }
        tell(p, &ob);
    }
    arena_done(&a);
}

static void ask_slots(struct probe *p, const char *path)
{
    p->asks = path;
    buf_free(&p->body);
    ask(p, str_of(path));
}

static void tell_slots(struct probe *p)
{
    uint32_t slots = 0, context = 0;

    if (p->status != 200 || !props_read(buf_str(&p->body), &slots, &context))
        slots = context = 0;
    if (!slots && strcmp(p->asks, "/props") == 0)
        ask_slots(p, "/slots");
    else
        tell_models(p, slots, context);
}

static void tell_inventory(struct probe *p)
{
    struct observation ob = { .wall = loop_wall(p->worker->loop) };
    struct str body = buf_str(&p->body);
    nsec now = worker_now(p->worker);

    if (p->status != 200)
        ob.failed = FAIL_upstream_error;
    else if (p->what == PROBE_TAGS && p->kind != NODE_OLLAMA)
        ob.inventory = inventory_read_openai(body, now, &ob.failed);
    else
        ob.inventory = inventory_read(body, now, &ob.failed);
    ob.error_text = fail_sentence(ob.failed);
    if (ob.inventory && p->kind == NODE_LLAMACPP) {
        p->models = ob.inventory;
        ask_slots(p, "/props");
    } else {
        tell(p, &ob);
    }
}

/* ---- the sink ---------------------------------------------------------------------------------------------------- */

static void sink_head(struct exchange *x)
{
    struct probe *p = x->owner;

    p->status = x->out.status;
    x->out.head_sent = true;
}

static void sink_push(struct exchange *x, struct str bytes, bool last)
{
    struct probe *p = x->owner;

    if (buf_len(&p->body) + bytes.n > PROBE_BODY_MAX || buf_append(&p->body, bytes))
        p->status = 0;
}

static void sink_ended(struct exchange *x, enum fail why)
{
    struct probe *p = x->owner;

    if (why)
        tell_failed(p, why);
    else if (p->status == 421)
        tell_failed(p, FAIL_misdirected);
    else if (!x->out.complete || !p->status)
        tell_failed(p, FAIL_upstream_garbage);
    else if (p->what == PROBE_VERSION)
        tell_version(p, x->up.simulated);
    else if (p->asks)
        tell_slots(p);
    else
        tell_inventory(p);
}

static const struct sink_ops probe_sink = { .head = sink_head, .push = sink_push, .ended = sink_ended };

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static void ask(struct probe *p, struct str path)
{
    struct exchange *x = exchange_new(p->worker, OWNER_FLEET, p, &probe_sink);

    if (!x) {
        tell_failed(p, FAIL_no_memory);
        return;
    }
    x->in.method = M_GET;
    x->ticket.lease = (struct lease){ .node = p->node, .addr = p->addr };
    x->up.method = STR("GET");
    x->up.path = path;
    x->up.patience = p->patience;
    exchange_start(x, STAGE_ATTEMPT);
}

static void resolved(struct resolve *r)
{
    struct probe *p = CONTAINER(r, struct probe, resolve);
    struct observation ob = {
        .failed = r->failed, .error_text = fail_sentence(r->failed), .found = r->found, .founds = r->n
    };

    worker_job_ends(p->worker);
    tell(p, &ob);
}

static void resolve(struct probe *p)
{
    struct str host = str_take(p->node->url.host, sizeof p->resolve.host - 1);

    memcpy(p->resolve.host, host.p, host.n);
    p->resolve.port = p->node->url.port;
    p->resolve.done = resolved;
    worker_job_begins(p->worker);
    loop_resolve(p->worker->loop, &p->resolve);
}

static struct str path_of(const struct probe *p)
{
    if (p->what == PROBE_VERSION)
        return STR("/api/version");
    if (p->what == PROBE_PS)
        return STR("/api/ps");
    return p->kind == NODE_OLLAMA ? STR("/api/tags") : STR("/v1/models");
}

/* No memory, or the end is near: the node is unpinned, and asked again when it is due. */
static void not_asked(struct worker *w, const struct probe_order *order)
{
    struct observation ob = { .what = order->what,
                              .failed = FAIL_no_memory,
                              .error_text = fail_sentence(FAIL_no_memory) };
    struct orders o;

    orders_init(&o);
    fleet_observe(w->gateway->fleet, order->node, &ob, worker_now(w), &o);
    orders_carry_out(w,
                     &o); /* it may have decided tickets; what is ordered anew is due later, so this comes to an end */
}

void probe_start(struct worker *w, const struct probe_order *order)
{
    struct probe *p = w->stopping ? NULL : slab_take0(&probes);

    if (!p) {
        not_asked(w, order);
        return;
    }
    p->worker = w;
    p->node = order->node;
    p->what = order->what;
    p->addr = order->addr;
    p->kind = order->kind;
    p->patience = order->patience;
    if (p->what == PROBE_RESOLVE)
        resolve(p);
    else
        ask(p, path_of(p));
}
