/* Answers to and from Redis.
 *
 * Redis is asked by the writer of a flight, not by the clients that wait for it: so all who ask the same at the same
 * time share the one question as they share the one answer, and what comes back goes onto the tape like a node's bytes,
 * with the same keeping afterwards. Rejected: asking before the flight begins, which needs a second place where many
 * wait for one.
 *
 * An answer is stored with NX: of two gateways that asked their nodes at the same time the first stays, and who reads
 * later gets the same as others. Unless it is known to be of no use: forgotten since, damaged, or not wanted by the
 * request that fetched a new one (no-cache).
 *
 * Its age is by the wall clock of who made it; Redis lets it go when its time is over whatever clocks say, so clocks
 * that differ cost answers, and never give old ones. */
#include "gateway/shared.h"
#include "gateway/flight.h"
#include "gateway/gateway_private.h"
#include "gateway/shared_state.h"
#include "redis/entry.h"

#define KEY_PREFIX "omx:v1:"
#define KEY_MOST   (sizeof KEY_PREFIX - 1 + 64)

struct question {
    struct redis_query query;
    struct exchange *x;
    char key[KEY_MOST];
};

static struct str key_text(const uint8_t key[32], char out[KEY_MOST])
{
    static const char hex[] = "0123456789abcdef";
    char *at = put_str(out, STR(KEY_PREFIX));

    for (unsigned i = 0; i < 32; i++) {
        *at++ = hex[key[i] >> 4];
        *at++ = hex[key[i] & 15];
    }
    return str_span(out, at);
}

static void count(const struct worker *w, enum redis_count c)
{
    redis_board_add(w->gateway->shared->board, c);
}

/* ---- may it be used? --------------------------------------------------------------------------------------------- */

static nsec age_of(const struct worker *w, const struct redis_entry *e)
{
    return MAX(loop_wall(w->loop) - e->made, 0);
}

static bool is_current(const struct exchange *x, const struct redis_entry *e)
{
    struct worker *w = x->worker;
    struct generations_stamp now;
    nsec age = age_of(w, e);

    return generations_of(w->gateway->shared->generations, x->ticket.model, e->node, worker_now(w), &now) &&
           generations_same(&now, &e->stamp) && age < e->ttl && age <= rule_max_age(&x->in.control);
}

static enum route_id route_named(struct str name)
{
    enum route_id id = 0;

    while (id < ROUTE_COUNT && !(route_row(id)->kind == KIND_MODEL && str_eq(route_row(id)->name, name)))
        id++;
    return id;
}

static bool is_usable(const struct exchange *x, struct str bytes, struct redis_entry *out)
{
    const struct flight *f = x->owner;

    if (!redis_entry_read(bytes, f->key, out) || route_named(out->route) == ROUTE_COUNT) {
        count(x->worker, REDIS_damaged);
        return false;
    }
    if (!is_current(x, out)) {
        count(x->worker, REDIS_outdated);
        return false;
    }
    count(x->worker, REDIS_hit);
    return true;
}

/* ---- onto the tape ----------------------------------------------------------------------------------------------- */

static void keep_by(const struct exchange *x, const struct redis_entry *e, struct cache_keep *out)
{
    *out = (struct cache_keep){
        .age = age_of(x->worker, e),
        .ttl = MIN(e->ttl - age_of(x->worker, e), SHARED_TTL),
        .stale = x->settings->cache.stale,
        .stale_if_error = x->settings->cache.stale_if_error,
        .saved_s = (double)e->saved / 1e9,
        .random = worker_random(x->worker),
        .tags = {cache_tag_model(x->ticket.model), lookup_tag_node(e->node)}
    };
}

/* It is nobody's miss after all. */
static void tell_leader(const struct exchange *x, const struct redis_entry *e)
{
    struct exchange *leader = ((struct flight *)x->owner)->leader;
    nsec age = age_of(x->worker, e);

    if (!leader)
        return;
    leader->lookup.age = age;
    leader->lookup.status = (struct status){ .kind = STATUS_HIT, .ttl = e->ttl - age, .detail = STR("shared") };
    leader->tally.cache = CACHED_HIT;
    cache_count_shared(x->worker->gateway->cache, lookup_class(leader->route.row), (double)e->saved / 1e9);
}

static void describe(struct exchange *x, const struct redis_entry *e)
{
    struct str node = str_take(e->node, sizeof x->up.node_name - 1);

    x->out.status = x->up.status = e->status;
    x->out.content_type = e->content_type;
    x->out.headers = e->headers;
    x->out.length = e->length;
    x->out.stream = e->stream;
    x->out.from_node = true;
    x->up.form = (enum record_form)e->form;
    x->up.dialect = (enum dialect)e->dialect;
    x->up.simulated = e->simulated;
    *put_str(x->up.node_name, node) = 0;
    x->route.model = str_dup(&x->arena, e->model);
}

static enum step give(struct exchange *x, const struct redis_entry *e)
{
    struct flight *f = x->owner;

    f->shared.found = true;
    f->shared.route = (uint8_t)route_named(e->route);
    f->shared.asked_stream = e->asked_stream;
    f->shared.asked_usage = e->asked_usage;
    f->shared.wall = e->wall;
    f->shared.chance = e->chance;
    keep_by(x, e, &f->shared.keep);
    *put_str(x->tally.detail.cache, STR("shared")) = 0;
    describe(x, e);
    tell_leader(x, e);
    x->sink->head(x);
    x->sink->push(x, e->body, true);
    x->out.complete = true;
    x->out.content_type = x->out.headers = STR_NONE; /* they lay in the reply */
    return STEP_FINISH;
}

void shared_retell(const struct flight *f, struct flight_head *h)
{
    h->route = f->shared.route;
    h->asked_stream = f->shared.asked_stream;
    h->asked_usage = f->shared.asked_usage;
    h->wall = f->shared.wall;
    h->chance = f->shared.chance;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static enum step take_reply(struct exchange *x, const struct resp *reply)
{
    struct flight *f = x->owner;
    struct redis_entry e;

    if (reply->kind != RESP_STRING) {
        count(x->worker, REDIS_miss);
        return STEP_NEXT;
    }
    if (is_usable(x, reply->text, &e))
        return give(x, &e);
    f->shared.replace = true;
    return STEP_NEXT;
}

static void done(struct redis_query *q, enum redis_outcome how, const struct resp *reply)
{
    struct exchange *x = CONTAINER(q, struct question, query)->x;

    x->local_stop = NULL;
    if (how == REDIS_AWAY)
        count(x->worker, REDIS_away);
    exchange_wake(x, how == REDIS_ANSWERED ? take_reply(x, reply) : STEP_NEXT);
}

static void stop(struct exchange *x, enum fail why)
{
    struct question *q = x->local;

    x->local_stop = NULL;
    redis_drop(&q->query);
}

static bool ask(struct exchange *x)
{
    const struct flight *f = x->owner;
    struct worker *w = x->worker;
    struct generations_stamp ignored;
    struct question *q = arena_new(&x->arena, struct question);

    if (!q)
        return false;
    q->x = x;
    q->query.done = done;
    if (!generations_of(w->gateway->shared->generations, x->ticket.model, STR_NONE, worker_now(w), &ignored) ||
        !redis_ask(w->shared->redis, &q->query, (struct str[]){ STR("GET"), key_text(f->key, q->key) }, 2,
                   REDIS_PATIENCE)) {
        count(w, REDIS_away);
        return false;
    }
    x->local = q;
    x->local_stop = stop;
    return true;
}

static bool is_on(const struct worker *w)
{
    return w->shared && w->shared->redis;
}

enum step shared_enter(struct exchange *x)
{
    struct flight *f = x->owner;

    if (!is_on(x->worker))
        return STEP_NEXT;
    f->shared.replace = x->in.control.no_cache;
    return !x->in.control.no_cache && ask(x) ? STEP_WAIT : STEP_NEXT;
}

/* ---- storing ----------------------------------------------------------------------------------------------------- */

bool shared_will_store(struct flight *f, const struct exchange *x, struct cache_keep *keep, struct redis_entry *out)
{
    struct worker *w = f->worker;
    nsec ttl = keep->ttl;

    if (!is_on(w))
        return false;
    keep->ttl = MIN(ttl, SHARED_TTL);
    *out = (struct redis_entry){ .made = loop_wall(w->loop), .ttl = ttl, .saved = (nsec)(keep->saved_s * 1e9) };
    return !keep->negative && generations_of(w->gateway->shared->generations, x->ticket.model, str_of(x->up.node_name),
                                             worker_now(w), &out->stamp);
}

static void never_ready(struct tape_reader *r) {}

/* A whole tape's bytes: the head into `head`, the rest into `body`. */
static bool read_tape(struct tape *t, struct text *head, struct text *body)
{
    struct tape_reader r = { .ready = never_ready };
    struct tape_seat *none = NULL;
    struct tape *held = tape_ref(t);
    bool last = false;

    if (!tape_join(held, &r, &none)) {
        tape_unref(&held);
        return false;
    }
    text_put(head, tape_head(&r));
    while (!last) {
        struct str bytes = tape_look(&r, &last);
        text_put(body, bytes);
        tape_eat(&r, bytes.n);
    }
    tape_leave(&r);
    return !head->failed && !body->failed;
}

static void describe_entry(struct str head, struct str body, struct redis_entry *e)
{
    struct flight_head h;
    struct flight_texts t;

    flight_head_read(head, &h, &t);
    e->length = h.length;
    e->status = h.status;
    e->form = h.form;
    e->dialect = h.dialect;
    e->stream = h.stream;
    e->simulated = h.simulated;
    e->asked_stream = h.asked_stream;
    e->asked_usage = h.asked_usage;
    e->wall = h.wall;
    e->chance = h.chance;
    e->route = route_row(h.route)->name;
    e->content_type = t.content_type;
    e->headers = t.headers;
    e->node = t.node;
    e->model = t.model;
    e->body = body;
}

static void send_entry(struct flight *f, const struct redis_entry *e)
{
    char key[KEY_MOST];
    struct text bytes = { 0 };

    redis_entry_write(e, f->key, &bytes);
    if (text_str(&bytes).n > REDIS_ENTRY_MOST)
        count(f->worker, REDIS_too_large);
    else if (bytes.failed)
        count(f->worker, REDIS_dropped);
    else
        redis_store(f->worker->shared->redis, key_text(f->key, key), text_str(&bytes), e->ttl, f->shared.replace);
    text_free(&bytes);
}

void shared_store(struct flight *f, const struct redis_entry *stamped)
{
    struct redis_entry e = *stamped;
    struct text head = { 0 }, body = { 0 };

    if (!tape_is_whole(f->tape) || tape_bytes(f->tape) > 2 * REDIS_ENTRY_MOST) {
        count(f->worker, REDIS_too_large);
        return;
    }
    if (read_tape(f->tape, &head, &body)) {
        describe_entry(text_str(&head), text_str(&body), &e);
        send_entry(f, &e);
    } else {
        count(f->worker, REDIS_dropped);
    }
    text_free(&head);
    text_free(&body);
}
