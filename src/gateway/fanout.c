/* Fan-outs: pull, create, copy and delete, carried out by several nodes and answered once.
 *
 *      client <-- parent, waiting in `local` <-- joint records, one answer -- fan-out <-- children <-- nodes
 *
 * When the last child is over, the nodes that did something are asked for their tags, and the answer waits (at most two
 * seconds) until they have told them: a model that was made is then usable through any worker at once, and one that was
 * deleted is gone from the views (ollama-api 6, items 22 and 23). Rejected: correcting the fleet's inventories by hand,
 * which would be a second source of truth about what nodes have.
 *
 * Nodes are always asked to stream their progress, also for a client that wants one object: a pull may be silent for an
 * hour otherwise, and nobody could tell it from a dead node. */
#include "gateway/fanout.h"
#include "api/progress.h"

#define SETTLE_TIME SECOND(2)
#define LOOK_AGAIN  MSEC(5)
#define SLOW_CLIENT KIB(256) /* that much unread: progress is left out, the end is not */

static const struct fan {
    enum route_id route;
    bool joint;           /* joint progress; else the nodes just answer */
    bool leaving_cancels; /* a client that leaves takes the work with it */
    enum fail (*targets)(struct fanout *f, const struct fleet_snapshot *s);
} fans[] = {
    {ROUTE_pull,    true,  true,  targets_pull  },
    { ROUTE_create, true,  false, targets_create},
    { ROUTE_copy,   false, false, targets_copy  },
    { ROUTE_delete, false, false, targets_delete},
};
static struct slab fanouts;

void fanout_pools_init(void)
{
    slab_init(&fanouts, "fan-out", sizeof(struct fanout));
}

void fanout_pools_done(void)
{
    slab_done(&fanouts);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static const struct fan *fan_of(const struct exchange *x)
{
    for (size_t i = 0; i < ARRAY_LEN(fans); i++)
        if (fans[i].route == x->route.row->id)
            return &fans[i];
    return NULL;
}

static void fanout_free(struct fanout *f)
{
    if (f->x) {
        f->x->local = NULL;
        f->x->local_stop = NULL;
    }
    buf_free(&f->body);
    arena_done(&f->arena);
    slab_give(&fanouts, &f);
}

/* Where there is progress, nodes shall stream it: the last duplicate of a key wins, so one more at the end decides. */
static enum fail take_body(struct fanout *f, struct str body)
{
    struct str rest = json_skim(body, NULL).raw;
    enum fail why;

    if (!f->fan->joint)
        return buf_append(&f->body, body);
    why = buf_append(&f->body, str_take(rest, rest.n - 1));
    return why ? why : buf_append(&f->body, STR(",\"stream\":true}"));
}

/* The values are looked at only while targets are chosen; the body lives as long as the parent. */
static void take_request(struct fanout *f, struct exchange *x)
{
    struct arena *a = &f->arena;
    struct name from;

    f->method = http_method_text(x->in.method);
    f->path = str_dup(a, x->in.path);
    f->forward = str_dup(a, x->in.forward);
    f->request_id = str_dup(a, x->in.request_id);
    f->traceparent = str_dup(a, x->in.traceparent);
    f->via = str_dup(a, x->in.via);
    f->pin = x->ticket.pin;
    f->changes = str_dup(a, x->ticket.model);
    if (x->route.row->id == ROUTE_copy && !name_parse(x->route.peek.destination, &from))
        f->changes = str_dup(a, name_key(&from));
    f->files = x->route.peek.files;
    f->adapters = x->route.peek.adapters;
    f->streams = f->fan->joint && x->route.peek.stream != TRI_FALSE;
    if (x->route.row->id != ROUTE_create)
        f->key = x->ticket.model;
    else if (x->route.peek.from.n && !name_parse(x->route.peek.from, &from))
        f->key = str_dup(a, name_key(&from));
}

static struct fanout *fanout_new(struct exchange *x)
{
    struct fanout *f = slab_take0(&fanouts);

    if (!f)
        return NULL;
    arena_init(&f->arena);
    f->fan = fan_of(x);
    f->worker = x->worker;
    f->x = x;
    take_request(f, x);
    if (!take_body(f, x->in.body) && !f->arena.failed)
        return f;
    fanout_free(f);
    return NULL;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static enum fail begin_progress(struct fanout *f)
{
    struct str *names = f->fan->joint ? arena_array(&f->arena, struct str, f->n) : NULL;

    if (!f->fan->joint)
        return OK;
    for (unsigned i = 0; names && i < f->n; i++)
        names[i] = f->child[i].name;
    f->progress = names ? progress_new(&f->arena, f->n, names) : NULL;
    return f->progress ? OK : FAIL_no_memory;
}

static void begin_stream(struct exchange *x)
{
    x->out.status = 200;
    x->out.content_type = STR("application/x-ndjson");
    x->out.stream = true;
    x->up.form = FORM_NDJSON;
    x->sink->head(x);
}

static bool reads_slowly(const struct exchange *x)
{
    return x->sink->waiting && x->sink->waiting(x) > SLOW_CLIENT;
}

static void say(struct fanout *f, struct str records, bool last)
{
    struct exchange *x = f->x;

    if (!x || !f->streams || !records.n || (!last && reads_slowly(x)))
        return;
    x->tally.last = worker_now(x->worker);
    if (!x->tally.first) {
        x->tally.first = x->tally.last;
        begin_stream(x);
    }
    x->tally.records++;
    x->tally.bytes_out += records.n;
    x->out.complete = last;
    x->sink->push(x, records, last);
}

void fanout_hears(struct child *c, struct str records)
{
    struct fanout *f = c->of;
    struct text t = { 0 };

    while (records.n)
        progress_take(f->progress, (unsigned)(c - f->child), str_cut(&records, '\n'), &t);
    say(f, text_str(&t), false);
    text_free(&t);
}

static void progress_hears_the_end(struct child *c)
{
    struct fanout *f = c->of;
    struct text t = { 0 };

    progress_end(f->progress, (unsigned)(c - f->child), c->fate == FATE_DONE ? STR_NONE : c->error, &t);
    say(f, text_str(&t), false);
    text_free(&t);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static unsigned count(const struct fanout *f, enum fate fate)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->n; i++)
        n += f->child[i].fate == fate;
    return n;
}

static struct child *first(struct fanout *f, enum fate fate)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->child[i].fate == fate)
            return &f->child[i];
    return NULL;
}

/* A failure that a node has worded goes out with its status; ours with the row's. */
static enum step answer_failure(struct exchange *x, const struct child *c, struct str message)
{
    struct text t = { 0 };
    enum step s;

    if (!c->status && c->why != FAIL_upstream_said)
        return answer_fail(x, c->why, message);
    x->tally.why = c->why;
    dialect_error(&t, DIALECT_OLLAMA, c->status ? c->status : 500, c->why, message, STR_NONE);
    s = answer(x, c->status ? c->status : 500, dialect_error_type(DIALECT_OLLAMA), text_str(&t));
    text_free(&t);
    return s;
}

/* The last record of a stream: success, or the error that says who did what. */
static enum step end_stream(struct fanout *f, struct exchange *x)
{
    struct child *failed = first(f, FATE_FAILED);
    struct text t = { 0 };

    progress_finish(f->progress, &t);
    if (t.failed) {
        text_free(&t);
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    }
    x->tally.why = failed ? failed->why : OK;
    say(f, text_str(&t), true);
    text_free(&t);
    return STEP_FINISH;
}

static enum step answer_jointly(struct fanout *f, struct exchange *x)
{
    struct child *failed = first(f, FATE_FAILED);

    if (f->streams && (!failed || x->tally.first))
        return end_stream(f, x);
    if (failed)
        return answer_failure(x, failed, progress_error(f->progress));
    return answer(x, 200, STR("application/json; charset=utf-8"), STR("{\"status\":\"success\"}"));
}

/* "server error (on n2); succeeded on n1": the wording of joint progress, over those who had something to do. */
static struct str who_did_what(struct fanout *f)
{
    struct str *names = arena_array(&f->arena, struct str, f->n);
    struct progress *p;
    struct text none = { 0 };
    unsigned n = 0;

    for (unsigned i = 0; names && i < f->n; i++)
        if (f->child[i].fate != FATE_LACKS)
            names[n++] = f->child[i].name;
    p = names ? progress_new(&f->arena, n, names) : NULL;
    if (!p)
        return STR_NONE;
    n = 0;
    for (unsigned i = 0; i < f->n; i++)
        if (f->child[i].fate != FATE_LACKS)
            progress_end(p, n++, f->child[i].fate == FATE_DONE ? STR_NONE : f->child[i].error, &none);
    text_free(&none);
    return progress_error(p);
}

/* 200 if at least one has done it and no other failure than "not found"; 404, in a node's words, if none had it. */
static enum step answer_once(struct fanout *f, struct exchange *x)
{
    struct child *failed = first(f, FATE_FAILED), *lacks = first(f, FATE_LACKS);

    if (failed)
        return answer_failure(x, failed, f->n == 1 && failed->status ? failed->error : who_did_what(f));
    if (!count(f, FATE_DONE))
        return answer_failure(x, lacks, lacks->error);
    return answer(x, 200, STR_NONE, STR_NONE);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void ask_for_tags(struct fanout *f)
{
    struct orders o;

    for (unsigned i = 0; i < f->n && !f->ending; i++) {
        struct child *c = &f->child[i];
        if (c->fate != FATE_DONE)
            continue;
        orders_init(&o);
        c->refresh = fleet_refresh(f->worker->gateway->fleet, c->node_id, worker_now(f->worker), &o);
        orders_carry_out(f->worker, &o);
    }
}

static bool tags_are_told(const struct fanout *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->child[i].refresh && !fleet_told(f->worker->gateway->fleet, f->child[i].node_id, f->child[i].refresh))
            return false;
    return true;
}

static enum step answer_parent(struct fanout *f)
{
    struct exchange *x = f->x;
    enum step s;

    s = f->progress ? answer_jointly(f, x) : answer_once(f, x);
    fanout_free(f);
    return s;
}

static void look_again(struct exchange *x);

/* All children are over. */
static enum step settle(struct fanout *f)
{
    nsec now = worker_now(f->worker);

    if (!f->settled_by) {
        f->settled_by = now + SETTLE_TIME;
        ask_for_tags(f);
        lookup_forget_model(f->worker->gateway, f->changes);
    }
    if (now >= f->settled_by || tags_are_told(f))
        return answer_parent(f);
    exchange_pause(f->x, now + LOOK_AGAIN, look_again);
    return STEP_WAIT;
}

static void look_again(struct exchange *x)
{
    exchange_wake(x, settle(x->local));
}

static void ends_alone(struct fanout *f)
{
    if (!f->settled_by) {
        ask_for_tags(f);
        lookup_forget_model(f->worker->gateway, f->changes);
    }
    fanout_free(f);
}

void fanout_child_over(struct child *c)
{
    struct fanout *f = c->of;
    struct exchange *x = f->x;

    f->ending |= c->why == FAIL_shutting_down;
    if (f->progress)
        progress_hears_the_end(c);
    if (--f->running)
        return;
    if (x)
        exchange_wake(x, settle(f));
    else
        ends_alone(f);
}

/* The parent ends before its children: its client has left, or the workers close. */
static void parent_stops(struct exchange *x, enum fail why)
{
    struct fanout *f = x->local;

    f->x = NULL;
    f->ending |= why == FAIL_shutting_down;
    f->running++; /* ours, so that it stays until we are through */
    for (unsigned i = 0; i < f->n; i++)
        if (f->child[i].x && (f->fan->leaving_cancels || f->ending))
            exchange_cancel(f->child[i].x, why);
    if (!--f->running)
        ends_alone(f);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static enum fail prepare(struct fanout *f)
{
    struct fleet_snapshot *s = fleet_snapshot(f->worker->gateway->fleet, worker_now(f->worker));
    enum fail why = s ? f->fan->targets(f, s) : FAIL_no_memory;

    fleet_snapshot_free(&s);
    return why ? why : begin_progress(f);
}

static void name_the_nodes(const struct fanout *f)
{
    struct text t = { 0 };

    for (unsigned i = 0; i < f->n && text_str(&t).n < 512; i++)
        text_printf(&t, "%s%.*s", i ? ", " : "", STR_ARG(f->child[i].name));
    if (!t.failed)
        answer_header(f->x, STR("X-OllamaMax-Node"), text_str(&t));
    text_free(&t);
}

static enum step refuse(struct fanout *f, enum fail why)
{
    struct exchange *x = f->x;

    fanout_free(f);
    if (why == FAIL_no_node || why == FAIL_no_holder_up)
        return choose_nobody_up(x, why);
    return answer_fail(x, why, STR_NONE);
}

static void again(struct exchange *x)
{
    exchange_wake(x, fanout_enter(x));
}

enum step fanout_enter(struct exchange *x)
{
    struct fanout *f;
    enum fail why;

    if (local_must_wait(x, again))
        return STEP_WAIT;
    f = fanout_new(x);
    if (!f)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    why = prepare(f);
    if (why)
        return refuse(f, why);
    name_the_nodes(f);
    x->local = f;
    x->local_stop = parent_stops;
    f->running = f->n + 1; /* one is ours, so that none of them ends it while we start the rest */
    for (unsigned i = 0; i < f->n; i++)
        child_start(&f->child[i]);
    return --f->running ? STEP_WAIT : settle(f);
}
