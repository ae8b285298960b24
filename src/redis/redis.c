/* Which connection a key is asked on, and what becomes of questions whose key has moved.
 *
 *     key -> slot -> node -> link -> (MOVED: the map learns) -> link of the right node -> reply
 *
 * A redirected question goes on within the time it was given. What stores is not redirected: the map has learnt, the
 * next one arrives. After a MOVED, and when a node is lost, the whole map is asked for, once a second at most. */
#include "redis/redis.h"
#include "base/slab.h"
#include "redis/link.h"
#include <stdio.h>
#include <stdlib.h>

#define REDIRECTS_MOST 3
#define SLOTS_EVERY    SECOND(1)

void redis_pools_init(void)
{
    redis_link_pools_init();
}

void redis_pools_done(void)
{
    redis_link_pools_done();
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool name_it(struct redis *r)
{
    struct text t = { 0 };
    bool good;

    redis_target_print(r->plan.target, &t);
    good = !t.failed;
    if (good)
        *put_str(r->name, str_take(text_str(&t), sizeof r->name - 1)) = 0;
    text_free(&t);
    return good;
}

struct redis *redis_open(const struct redis_plan *plan)
{
    struct redis *r = memory_strikes() ? NULL : calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->plan = *plan;
    r->slots_asked = -SLOTS_EVERY;
    slots_init(&r->slots, plan->target->host, plan->target->port);
    if (!name_it(r) || !redis_link_of(r, 0)) {
        free(r);
        return NULL;
    }
    redis_link_connect_soon(r->link[0]);
    return r;
}

static void free_links(struct redis *r)
{
    for (unsigned i = 0; i < SLOTS_NODES; i++)
        redis_link_free(&r->link[i]);
}

void redis_close(struct redis **at)
{
    struct redis *r = *at;

    *at = NULL;
    if (!r)
        return;
    r->closed = true;
    free_links(r);
    if (!r->jobs)
        free(r);
}

void redis_job_done(struct redis *r)
{
    struct redis_plan plan = r->plan;

    r->jobs--;
    if (r->closed) {
        free_links(r);
        if (!r->jobs)
            free(r);
    }
    plan.job(plan.arg, false);
}

/* ---- the map ----------------------------------------------------------------------------------------------------- */

static void ask_for_slots(struct redis *r, struct redis_link *at)
{
    static const struct str args[] = {
        {"CLUSTER", 7},
        { "SLOTS",  5}
    };
    nsec now = loop_now(r->plan.loop);

    if (now - r->slots_asked < SLOTS_EVERY)
        return;
    r->slots_asked = now;
    (void)redis_link_send(at, CALL_SLOTS, NULL, args, 2); /* lost: asked again at the next need */
}

void redis_slots_doubtful(struct redis *r)
{
    for (unsigned i = 0; i < r->slots.nodes && !r->closed; i++)
        if (r->link[i] && r->link[i]->state == LINK_UP) {
            ask_for_slots(r, r->link[i]);
            return;
        }
}

bool redis_has_slots(const struct redis *r, unsigned node)
{
    return memchr(r->slots.of, (int)node, SLOTS) != NULL;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* Its connection if it can be asked now; one that has none yet begins to make it. */
static struct redis_link *usable(struct redis *r, unsigned node)
{
    struct redis_link *l = redis_link_of(r, node);

    if (l && l->state == LINK_IDLE)
        redis_link_connect(l);
    return l && l->state == LINK_UP ? l : NULL;
}

static struct redis_link *link_for(struct redis *r, struct str key)
{
    return usable(r, r->slots.of[slots_of_key(key)]);
}

static void too_late(struct timer *t)
{
    struct redis_query *q = CONTAINER(t, struct redis_query, timer);
    struct redis_link *l = q->call ? q->call->on : NULL;

    if (q->call)
        q->call->query = NULL;
    q->call = NULL;
    redis_board_add(q->redis->plan.board, REDIS_late);
    if (l)
        redis_link_is_late(l);
    redis_query_ends(q, REDIS_LATE, NULL);
}

bool redis_ask(struct redis *r, struct redis_query *q, const struct str *args, unsigned n, nsec patience)
{
    struct redis_link *l = link_for(r, args[1]);
    struct redis_call *c = l ? redis_link_send(l, CALL_QUERY, q, args, n) : NULL;

    if (!c)
        return false;
    *q = (struct redis_query){ .done = q->done, .redis = r, .call = c, .timer.fire = too_late, .asked = c->sent };
    if (n == 2) {
        q->word = args[0];
        q->key = args[1];
    }
    loop_timer_set(r->plan.loop, &q->timer, c->sent + patience);
    return true;
}

static void put_away(struct redis_query *q)
{
    loop_timer_cancel(q->redis->plan.loop, &q->timer);
    q->redis = NULL;
    q->call = NULL;
}

void redis_drop(struct redis_query *q)
{
    if (!q->redis)
        return;
    if (q->call)
        q->call->query = NULL;
    put_away(q);
}

void redis_query_ends(struct redis_query *q, enum redis_outcome how, const struct resp *reply)
{
    put_away(q);
    q->done(q, how, reply);
}

void redis_store(struct redis *r, struct str key, struct str value, nsec ttl, bool replace)
{
    char digits[24];
    struct str ms = str_span(digits, put_u64(digits, (uint64_t)MAX(ttl / MSEC(1), 1)));
    struct str args[] = { STR("SET"), key, value, STR("PX"), ms, STR("NX") };
    struct redis_link *l = link_for(r, key);

    if (!l || !redis_link_send(l, CALL_STORE, NULL, args, replace ? 5 : 6))
        redis_board_add(r->plan.board, REDIS_dropped);
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

/* Asks once more, where the key is now. False: that is not possible. */
static bool ask_elsewhere(struct redis_query *q, unsigned node, bool asking)
{
    struct redis *r = q->redis;
    struct redis_link *l = q->word.n && q->redirects < REDIRECTS_MOST ? usable(r, node) : NULL;
    struct str args[] = { q->word, q->key };

    if (!l || (asking && !redis_link_send(l, CALL_ASKING, NULL, &STR("ASKING"), 1)))
        return false;
    q->redirects++;
    q->call = redis_link_send(l, CALL_QUERY, q, args, 2);
    return q->call != NULL;
}

/* True: the error was a redirect, and has been dealt with. */
static bool redirected(struct redis_link *l, struct redis_query *q, struct str error)
{
    struct redis *r = l->redis;
    unsigned node;
    bool asking;

    if (!slots_redirect(&r->slots, error, l->node, &asking, &node))
        return false;
    redis_board_add(r->plan.board, REDIS_moved);
    if (!asking)
        ask_for_slots(r, l);
    if (q && !ask_elsewhere(q, node, asking))
        redis_query_ends(q, REDIS_AWAY, NULL);
    return true;
}

static void took_slots(struct redis_link *l, const struct resp *reply)
{
    (void)slots_take(&l->redis->slots, reply, l->node); /* not in cluster mode: an error, and nothing changes */
}

static void stored(struct redis_link *l, const struct resp *reply)
{
    if (reply->kind == RESP_NIL)
        redis_board_add(l->redis->plan.board, REDIS_present);
    else
        redis_board_stored(l->redis->plan.board);
}

static void answered(struct redis_link *l, struct redis_query *q, const struct resp *reply)
{
    const struct redis_plan *p = &l->redis->plan;

    if (!q)
        return; /* too late, or dropped */
    redis_board_took(p->board, loop_no(p->loop), loop_now(p->loop) - q->asked);
    redis_query_ends(q, REDIS_ANSWERED, reply);
}

static void refused(struct redis_link *l, struct redis_query *q, const struct resp *reply)
{
    bool useless = redis_board_error(l->redis->plan.board, reply->text);

    if (q)
        redis_query_ends(q, REDIS_REFUSED, reply);
    if (useless)
        redis_link_fails(l, reply->text);
}

void redis_replied(struct redis_link *l, enum call_kind kind, struct redis_query *q, const struct resp *reply)
{
    if (kind == CALL_SLOTS)
        took_slots(l, reply);
    else if (reply->kind == RESP_ERROR && redirected(l, q, reply->text))
        return;
    else if (reply->kind == RESP_ERROR)
        refused(l, q, reply);
    else if (kind == CALL_STORE)
        stored(l, reply);
    else if (kind == CALL_QUERY)
        answered(l, q, reply);
}
