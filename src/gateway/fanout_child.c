/* A child: one node's part of a fan-out, an exchange of its own that walks the road from `choose` on with a ticket for
 * that one node.
 *
 * So it gets a lease like any request: it counts as in flight, teaches the fleet what it meets, and a node that has
 * just gone down refuses it. Rejected: pins and attempts past the fleet's back, which would have needed a second way to
 * give things back. */
#include "gateway/fanout.h"
#include <stdio.h>

#define BODY_MAX KIB(64)

/* ---- how it ended ------------------------------------------------------------------------------------------------ */

static struct str keep(struct child *c, struct str text)
{
    struct str kept = str_dup(&c->of->arena, str_take(text, 512));

    return kept.n ? kept : fail_sentence(FAIL_upstream_error);
}

/* What a node says in a whole answer: its error's text, or the body as it is. */
static struct str said(struct child *c)
{
    struct str body = str_trim(buf_str(&c->body));
    struct json error = json_get(json_parse(body, NULL), STR("error"));

    return error.kind == JSON_STRING ? json_text(&c->of->arena, error) : body;
}

static void fails(struct child *c, enum fail why, int status, struct str error)
{
    c->fate = status == 404 && !c->of->progress ? FATE_LACKS : FATE_FAILED;
    c->why = why;
    c->status = status;
    c->error = error;
}

/* Success is proven by the last record where there are any, else by the status. */
static bool is_proven(const struct child *c, struct exchange *x)
{
    if (!c->of->progress)
        return true;
    return c->streams ? x->up.proven
                      : record_look_whole(DIALECT_OLLAMA, buf_str(&c->body), &x->up.figures, NULL) == MARK_DONE;
}

static void judge(struct child *c, struct exchange *x, enum fail why)
{
    bool never_asked = why && !x->up.attempts;

    if (never_asked && why != FAIL_no_memory && why != FAIL_client_gone && why != FAIL_shutting_down)
        fails(c, why, 0, STR("the node is down, or gone"));
    else if (why)
        fails(c, why, 0, fail_sentence(why));
    else if (x->up.failed_in_band)
        fails(c, FAIL_upstream_said, 0, keep(c, x->up.said_text));
    else if (x->up.status >= 400)
        fails(c, x->up.status == 404 ? FAIL_model_not_found : FAIL_upstream_said, x->up.status, keep(c, said(c)));
    else if (!x->out.complete || !is_proven(c, x))
        fails(c, FAIL_upstream_garbage, 0, fail_sentence(FAIL_upstream_garbage));
    else
        c->fate = FATE_DONE;
}

/* ---- the sink ---------------------------------------------------------------------------------------------------- */

static void sink_head(struct exchange *x)
{
    struct child *c = x->owner;

    c->streams = x->out.from_node && x->up.form == FORM_NDJSON;
    x->out.head_sent = true;
}

static void sink_push(struct exchange *x, struct str bytes, bool last)
{
    struct child *c = x->owner;

    if (c->streams && c->of->progress)
        fanout_hears(c, bytes);
    else if (buf_len(&c->body) + bytes.n <= BODY_MAX)
        (void)buf_append(&c->body, bytes); /* without memory: fewer words, or no proof */
}

static void sink_ended(struct exchange *x, enum fail why)
{
    struct child *c = x->owner;

    c->x = NULL;
    judge(c, x, why);
    buf_free(&c->body);
    fanout_child_over(c);
}

static const struct sink_ops child_sink = { .head = sink_head, .push = sink_push, .ended = sink_ended };

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static void describe(const struct fanout *f, struct exchange *x)
{
    x->in.method = http_method_of(f->method);
    x->in.forward = f->forward;
    x->in.request_id = f->request_id;
    x->in.traceparent = f->traceparent;
    x->in.via = f->via;
    x->route.row = f->x->route.row;
    x->up.method = f->method;
    x->up.path = f->path;
    x->up.body = buf_str(&f->body);
    x->up.body_length = (int64_t)x->up.body.n;
    x->up.dialect = DIALECT_OLLAMA;
}

static void not_started(struct child *c)
{
    char text[80];
    int n = snprintf(text, sizeof text, "the node is %.*s and still has the model", STR_ARG(c->absent));

    if (c->absent.n)
        fails(c, FAIL_no_holder_up, 0, keep(c, (struct str){ text, (size_t)n }));
    else
        fails(c, FAIL_no_memory, 0, fail_sentence(FAIL_no_memory));
    fanout_child_over(c);
}

void child_start(struct child *c)
{
    struct fanout *f = c->of;
    struct exchange *x = c->absent.n ? NULL : exchange_new(f->worker, OWNER_PARENT, c, &child_sink);

    if (!x) {
        not_started(c);
        return;
    }
    c->x = x;
    describe(f, x);
    x->ticket.pin_id = c->node_id;
    x->ticket.ollama_only = true;
    x->ticket.band = BAND_NORMAL;
    x->ticket.arrived = worker_now(f->worker);
    x->ticket.deadline = NEVER;
    exchange_start(x, STAGE_CHOOSE);
}
