/* The route stage: what the body says - which model, streamed or not - and so what the ticket must ask for. */
#include "gateway/gateway_private.h"

#define DEADLINE_MS   86400000 /* a day */
#define PROMPT_BLOCKS 512      /* of about 1 KB: what comes behind is not told apart */

static enum step bad_body(struct exchange *x, enum fail f, struct str detail)
{
    /* Ollama's compatibility layers say just `EOF` where its own routes name the missing body (ollama-api 0). */
    if (f == FAIL_missing_body && x->route.row->dialect != DIALECT_OLLAMA)
        detail = STR("EOF");
    return answer_fail(x, f, detail);
}

static enum step name_the_model(struct exchange *x)
{
    enum fail f = names_ask(x);

    /* an empty name: generate and delete know no such model, the others ask for one (ollama-api 1.3) */
    if (f == FAIL_model_required && (x->route.row->id == ROUTE_generate || x->route.row->id == ROUTE_delete))
        return answer_fail(x, FAIL_model_not_found, STR("model '' not found"));
    return f ? answer_fail(x, f, STR_NONE) : STEP_NEXT;
}

enum step route_read(struct exchange *x)
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

static nsec max_wait(const struct exchange *x)
{
    bool said = x->route.rule && x->route.rule->max_wait != NOT_SAID;

    return said ? x->route.rule->max_wait : x->settings->queue_max_wait;
}

static enum step read_deadline(struct exchange *x)
{
    uint64_t ms;

    if (!x->in.deadline_ms.n)
        return STEP_NEXT;
    if (!str_u64(x->in.deadline_ms, &ms) || ms > DEADLINE_MS)
        return answer_failf(x, FAIL_bad_value, "X-OllamaMax-Deadline-Ms is a whole number of milliseconds, at most %d",
                            DEADLINE_MS);
    x->ticket.deadline = MIN(x->ticket.deadline, x->in.at + MSEC((nsec)ms));
    return STEP_NEXT;
}

static enum step read_priority(struct exchange *x)
{
    struct str said = x->in.priority;

    if (str_eq_nocase(said, STR("high")))
        x->ticket.band = BAND_HIGH;
    else if (str_eq_nocase(said, STR("batch")))
        x->ticket.band = BAND_BATCH;
    else if (said.n && !str_eq_nocase(said, STR("normal")))
        return answer_fail(x, FAIL_bad_value, STR("X-OllamaMax-Priority is high, normal or batch"));
    return STEP_NEXT;
}

/* Headers of our own (interface 2). */
static enum step read_wishes(struct exchange *x)
{
    x->ticket.band = BAND_NORMAL;
    x->ticket.tenant = str_hash(client_address(x));
    x->ticket.deadline = x->in.at + max_wait(x);
    if (x->settings->total_timeout)
        x->ticket.deadline = MIN(x->ticket.deadline, x->in.at + x->settings->total_timeout);
    if (!(x->in.pin.n || x->in.tenant.n || x->in.priority.n))
        return read_deadline(x);
    /* The others are only for the gateway's own people; who that is, is only asked where it matters. */
    if (!ops_allowed(x)) {
        x->in.tenant = STR_NONE;
        return read_deadline(x);
    }
    x->ticket.pin = x->in.pin;
    if (x->in.tenant.n)
        x->ticket.tenant = str_hash(x->in.tenant);
    return read_priority(x) == STEP_NEXT ? read_deadline(x) : STEP_FINISH;
}

static const void *keep(struct exchange *x, const void *it, size_t n)
{
    void *at = arena_take(&x->arena, n);

    return at ? memcpy(at, it, n) : NULL;
}

/* Does the node drop the model when it has answered? */
static bool unloads(const struct peek *p)
{
    nsec keep_alive = 0;
    bool set = false;

    return p->keep_alive.kind != JSON_BAD && !keep_alive_read(p->keep_alive, &set, &keep_alive) && set && !keep_alive;
}

/* Blocks of the prompt, of which nodes may have the first in their caches. */
static void hash_prompt(struct exchange *x)
{
    const struct peek *p = &x->route.peek;
    struct str text = p->messages.raw.n ? p->messages.raw : p->prompt.raw.n ? p->prompt.raw : p->input.raw;
    uint64_t blocks[PROMPT_BLOCKS];

    x->ticket.path_n = prefix_path(text.p, text.n, x->ticket.model_hash, blocks, PROMPT_BLOCKS);
    if (x->ticket.path_n)
        x->ticket.path = keep(x, blocks, x->ticket.path_n * sizeof *blocks);
    if (!x->ticket.path)
        x->ticket.path_n = 0;
    x->ticket.key = x->ticket.path_n ? x->ticket.path[0] : x->ticket.tenant;
}

/* What running the model takes: where it must be loaded, and how. */
static void prepare_run(struct exchange *x)
{
    const struct route *r = x->route.row;
    struct options o;

    x->ticket.embeds = r->id == ROUTE_embed || r->id == ROUTE_embeddings || r->id == ROUTE_v1_embeddings;
    x->ticket.spelled = x->route.asked;
    x->ticket.output_tokens = x->route.peek.max_tokens;
    options_read(&o, &x->route.peek, x->in.body);
    x->ticket.options = o.hash ? keep(x, &o, sizeof o) : NULL;
    x->route.unloads = unloads(&x->route.peek);
    x->ticket.runs = !unload_asked(x);
    hash_prompt(x);
}

void route_prepare(struct exchange *x)
{
    const struct route *r = x->route.row;

    x->ticket.arrived = x->in.at;
    x->ticket.request_id = x->in.request_id;
    if (r->kind == KIND_MODEL)
        prepare_run(x);
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
        s = route_read(x);
    if (s != STEP_NEXT)
        return s;
    s = read_wishes(x);
    if (s == STEP_NEXT)
        route_prepare(x);
    return s;
}
