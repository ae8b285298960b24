/* The route stage: what the body says - which model, streamed or not - and so what the ticket must ask for. */
#include "gateway/gateway_private.h"

static enum step bad_body(struct exchange *x, enum fail f, struct str detail)
{
    /* Ollama's compatibility layers say just `EOF` where its own routes name the missing body (ollama-api 0). */
    if (f == FAIL_missing_body && x->route.row->dialect != DIALECT_OLLAMA)
        detail = STR("EOF");
    return answer_fail(x, f, detail);
}

static enum step name_the_model(struct exchange *x)
{
    struct name name;
    enum fail f = name_parse(x->route.model, &name);

    /* an empty name: generate and delete know no such model, the others ask for one (ollama-api 1.3) */
    if (f == FAIL_model_required && (x->route.row->id == ROUTE_generate || x->route.row->id == ROUTE_delete))
        return answer_fail(x, FAIL_model_not_found, STR("model '' not found"));
    if (f)
        return answer_fail(x, f, STR_NONE);
    x->ticket.model = str_dup(&x->arena, name_key(&name));
    x->ticket.model_hash = str_hash(x->ticket.model);
    return x->ticket.model.p ? STEP_NEXT : answer_fail(x, FAIL_no_memory, STR_NONE);
}

static enum step read_body(struct exchange *x)
{
    const struct route *r = x->route.row;
    struct str detail = STR_NONE;
    enum fail f;

    if (r->model_in == IN_MULTIPART)
        f = peek_multipart(x->in.content_type, x->in.body, &x->arena, &x->route.peek, &detail);
    else
        f = peek_body(r, x->in.body, &x->arena, &x->route.peek, &detail);
    if (f)
        return bad_body(x, f, detail);
    x->route.model = str_dup(&x->arena, x->route.peek.model); /* the body may go before the record is made */
    x->ticket.prompt_tokens = (uint32_t)MIN(x->route.peek.text_bytes / 4, UINT32_MAX);
    return name_the_model(x);
}

/* Headers that only the gateway's own people may use (interface 2). */
static void read_wishes(struct exchange *x)
{
    uint64_t ms;

    x->ticket.band = BAND_NORMAL;
    x->ticket.tenant = str_hash(client_address(x));
    x->ticket.deadline = x->in.at + x->settings->queue_max_wait;
    if (x->settings->total_timeout)
        x->ticket.deadline = MIN(x->ticket.deadline, x->in.at + x->settings->total_timeout);
    if (x->in.deadline_ms.n && str_u64(x->in.deadline_ms, &ms) && ms < 86400000)
        x->ticket.deadline = MIN(x->ticket.deadline, x->in.at + MSEC((nsec)ms));
    if (!(x->in.pin.n || x->in.tenant.n || x->in.priority.n) ||
        !ops_allowed(x)) /* who may is only asked where it matters */
        return;
    x->ticket.pin = x->in.pin;
    if (x->in.tenant.n)
        x->ticket.tenant = str_hash(x->in.tenant);
    if (str_eq_nocase(x->in.priority, STR("high")))
        x->ticket.band = BAND_HIGH;
    else if (str_eq_nocase(x->in.priority, STR("batch")))
        x->ticket.band = BAND_BATCH;
}

static void prepare_attempt(struct exchange *x)
{
    const struct route *r = x->route.row;

    x->ticket.arrived = x->in.at;
    x->ticket.ollama_only = !str_starts(r->path, STR("/v1/"));
    x->up.method = http_method_text(x->in.method);
    x->up.path = x->in.path;
    x->up.body = x->in.body;
    x->up.body_length = (int64_t)x->in.body.n;
    x->up.dialect = r->dialect;
}

enum step route_enter(struct exchange *x)
{
    enum step s = STEP_NEXT;

    if (x->in.encoding.n && !str_eq_nocase(x->in.encoding, STR("identity")) && x->in.body.n) {
        s = body_unpack(x);
        if (s != STEP_NEXT)
            return s;
    }
    if (x->route.row->model_in != IN_NOWHERE && x->route.row->model_in != IN_PATH)
        s = read_body(x);
    if (s != STEP_NEXT)
        return s;
    read_wishes(x);
    prepare_attempt(x);
    return STEP_NEXT;
}
