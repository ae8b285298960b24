/* The name a request goes out under, where it is not the one it came in with.
 *
 *     gpt-4o --alias--> qwen3:32b --nobody can serve it--> qwen3:8b        body: rewritten each time
 *     route.model       route.asked                        the same, later answer: says gpt-4o in every record
 *
 * The body is rewritten at once and read again, so that all that comes later sees a request for that model and nothing
 * else, and no slice points into a body that has gone. Sending it in three pieces with the name between them was
 * rejected: it would spare a copy and leave every reader of the body to know about it.
 *
 * A context that the operator wants for a model is put into bodies that name none in the same way; only Ollama's own
 * routes can say one. */
#include "gateway/gateway_private.h"
#include <stdio.h>

/* ---- another body ------------------------------------------------------------------------------------------------ */

/* In place of the bytes of `was`, which may be none. */
struct edit {
    struct str was, is;
};

static enum fail append_edited(struct buf *out, struct str body, const struct edit *e, unsigned n)
{
    const char *at = body.p;
    enum fail f = OK;
    for (unsigned i = 0; i < n && !f; i++) {
        f = buf_append(out, str_span(at, e[i].was.p));
        f = f ? f : buf_append(out, e[i].is);
        at = e[i].was.p + e[i].was.n;
    }
    return f ? f : buf_append(out, str_span(at, body.p + body.n));
}

static enum fail take_body(struct exchange *x, struct buf *body)
{
    struct str detail;
    buf_free(&x->in.body_buf);
    x->in.body_buf = *body;
    x->in.body = buf_str(body);
    if (x->route.row->model_in == IN_MULTIPART)
        return peek_multipart(x->in.content_type, x->in.body, &x->arena, &x->route.peek, &detail);
    return peek_body(x->route.row, x->in.body, &x->arena, &x->route.peek, &detail);
}

/* Two at most, in any order. */
static enum fail rewrite(struct exchange *x, struct edit *e, unsigned n)
{
    struct buf body = { 0 };
    size_t room = x->in.body.n;
    for (unsigned i = 0; i < n; i++)
        room += e[i].is.n;
    if (n == 2 && e[1].was.p < e[0].was.p) {
        struct edit first = e[1];
        e[1] = e[0];
        e[0] = first;
    }
    enum fail f = buf_reserve(&body, room);
    f = f ? f : append_edited(&body, x->in.body, e, n);
    if (!f)
        return take_body(x, &body);
    buf_free(&body);
    return f;
}

/* ---- the name ---------------------------------------------------------------------------------------------------- */

struct str names_quoted(struct exchange *x, struct str name)
{
    struct text t = { 0 };
    json_quote(&t, name);
    struct str q = t.failed ? STR_NONE : str_dup(&x->arena, text_str(&t));
    text_free(&t);
    return q;
}

/* A form has the name as it is. */
static enum fail edit_name(struct exchange *x, struct edit *e)
{
    bool form = x->route.row->model_in == IN_MULTIPART;
    *e = (struct edit){ x->route.peek.model_raw, form ? x->route.asked : names_quoted(x, x->route.asked) };
    return e->is.p ? OK : FAIL_no_memory;
}

/* ---- the context ------------------------------------------------------------------------------------------------- */

static struct str print(struct exchange *x, const char *format, uint32_t n)
{
    char text[64];
    int length = snprintf(text, sizeof text, format, n);
    return str_dup(&x->arena, (struct str){ text, (size_t)length });
}

/* Before its closing brace: what comes last counts. */
static struct str end_of(struct str object)
{
    return (struct str){ object.p + object.n - 1, 0 };
}

static bool is_empty(struct str object)
{
    return !str_trim(str_take(str_drop(object, 1), object.n - 2)).n;
}

/* What a fallback inherits is ours, and is changed for it; null is as good as nothing. */
static struct edit edit_context(struct exchange *x, uint32_t wanted)
{
    const struct peek *p = &x->route.peek;
    struct str options = p->options.raw, body;
    if (x->route.context_is_ours)
        return (struct edit){ p->num_ctx.raw, wanted ? print(x, "%u", wanted) : STR("null") };
    if (p->options.kind == JSON_OBJECT)
        return (struct edit){ end_of(options),
                              print(x, is_empty(options) ? "\"num_ctx\":%u" : ",\"num_ctx\":%u", wanted) };
    body = json_skim(x->in.body, NULL).raw;
    return (struct edit){ end_of(body), print(x, ",\"options\":{\"num_ctx\":%u}", wanted) };
}

static bool wants_context(const struct exchange *x)
{
    bool native = x->route.row->kind == KIND_MODEL && x->route.row->dialect == DIALECT_OLLAMA;
    bool said = x->route.peek.num_ctx.kind != JSON_BAD && !x->route.context_is_ours;
    bool wanted = x->route.rule && x->route.rule->num_ctx;
    return native && !said && (wanted || x->route.context_is_ours);
}

/* ---- asking for a model ------------------------------------------------------------------------------------------ */

static enum fail write_wishes(struct exchange *x)
{
    struct edit e[2];
    unsigned n = 0;
    bool context = wants_context(x);
    if (!str_eq(x->route.peek.model, x->route.asked) && edit_name(x, &e[n++]))
        return FAIL_no_memory;
    if (context) {
        e[n] = edit_context(x, x->route.rule ? x->route.rule->num_ctx : 0);
        if (!e[n++].is.p)
            return FAIL_no_memory;
    }
    enum fail f = n ? rewrite(x, e, n) : OK;
    x->route.context_is_ours = context && x->route.peek.num_ctx.kind != JSON_BAD;
    return f;
}

static enum fail ask_for(struct exchange *x, struct str model)
{
    struct name name;
    enum fail f = name_parse(model, &name);
    if (f)
        return f;
    x->route.asked = model;
    x->route.cloud = name.source == SOURCE_CLOUD;
    x->ticket.model = str_dup(&x->arena, name_key(&name));
    x->ticket.model_hash = str_hash(x->ticket.model);
    x->route.rule = model_rules_find(x->settings->rules, x->ticket.model, x->ticket.model_hash);
    return x->ticket.model.p ? write_wishes(x) : FAIL_no_memory;
}

/* To run a model, and to look at one; whoever pulls, copies or deletes means the name that he says. */
static bool takes_aliases(const struct route *r)
{
    return r->kind == KIND_MODEL || r->id == ROUTE_show || r->id == ROUTE_v1_model;
}

struct str names_behind(const struct exchange *x)
{
    struct str model = STR_NONE;
    if (x->settings->aliases && takes_aliases(x->route.row))
        model = aliases_resolve(x->settings->aliases, x->route.model);
    return model.n ? model : x->route.model;
}

enum fail names_ask(struct exchange *x)
{
    enum fail f = ask_for(x, names_behind(x));
    x->route.first_rule = x->route.rule;
    return f;
}

bool names_fall_back(struct exchange *x, enum fail why)
{
    const struct model_rule *rule = x->route.first_rule;
    if (!rule || x->route.fell_back >= rule->fallbacks)
        return false;
    if (x->route.row->kind != KIND_MODEL || x->out.head_sent ||
        unload_asked(x)) /* no other model is sent away for it */
        return false;
    if (!x->route.fell_back)
        x->route.first_why = why;
    if (ask_for(x, rule->fallback[x->route.fell_back++]))
        return false;
    x->ticket.tried_n = 0;
    x->ticket.retry_counts = false;
    x->up.retry_at = 0;
    route_prepare(x);
    return true;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static bool begin_restoring(struct exchange *x)
{
    struct str name = names_quoted(x, x->route.model);
    struct rename *r = name.p ? arena_new(&x->arena, struct rename) : NULL;
    if (!r)
        return false;
    rename_init(r, x->up.dialect, x->up.form, name);
    x->route.rename = r;
    return true;
}

bool names_restore(struct exchange *x, struct str *bytes, struct text *room)
{
    if (likely(x->route.asked.p == x->route.model.p))
        return true;
    if (!x->route.rename && !begin_restoring(x))
        return false;
    *bytes = rename_take(x->route.rename, *bytes, room);
    return !room->failed;
}
