/* The breaker is the state of the connection. What is open (resting) has no connection; the trial is the handshake of a
 * new one, which ends with a PING that must be answered as quickly as a question. So no client's request is ever the
 * trial, replies that came too late go with the connection they would have come on, and a Redis that was restarted,
 * replaced or failed over is met afresh each time. Rejected: a breaker beside a kept connection, with a request as
 * trial: it has two truths about one thing, and somebody pays for the trial.
 *
 * Five late replies in a row open it, or any failure of the connection, or a reply owed for a second (which only shows
 * when few ask). Rests grow from a quarter of a second to five seconds, and are short again once a connection has been
 * good for ten. */
#include "redis/link.h"
#include "base/slab.h"
#include "net/tls.h"
#include <stdio.h>
#include <stdlib.h>

#define LATE_MOST      5
#define REST_FIRST     MSEC(250)
#define REST_MOST      SECOND(5)
#define PROVEN         SECOND(10)
#define CONNECT_WITHIN SECOND(2) /* resolving, dialling, TLS, AUTH */
#define SILENCE        SECOND(1)
#define PENDING_MOST   MIB(2) /* bytes the socket has not taken yet */
#define READ_BYTES     KIB(16)

static struct slab calls;
static const struct conn_events events;

void redis_link_pools_init(void)
{
    slab_init(&calls, "redis call", sizeof(struct redis_call));
}

void redis_link_pools_done(void)
{
    slab_done(&calls);
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

static const struct {
    unsigned may;
    enum redis_breaker shown;
} states[] = {
#define BIT(state) (1u << LINK_##state)
    [LINK_IDLE] = {BIT(CONNECTING),                             REDIS_BREAKERS},
    [LINK_CONNECTING] = { BIT(GREETING) | BIT(RESTING) | BIT(IDLE),   REDIS_TRIAL   },
    [LINK_GREETING] = { BIT(TRYING) | BIT(RESTING) | BIT(IDLE),     REDIS_TRIAL   },
    [LINK_TRYING] = { BIT(UP) | BIT(RESTING) | BIT(IDLE),         REDIS_TRIAL   },
    [LINK_UP] = { BIT(RESTING) | BIT(CONNECTING) | BIT(IDLE), REDIS_CLOSED  },
    [LINK_RESTING] = { BIT(CONNECTING) | BIT(IDLE),                REDIS_OPEN    },
#undef BIT
};

static nsec now_of(const struct redis_link *l)
{
    return loop_now(l->redis->plan.loop);
}

/* `patience`: until the timer asks what has become of it; 0: it does not. */
static void move(struct redis_link *l, enum link_state to, nsec patience)
{
    enum link_state from = l->state;

    assume(states[from].may & 1u << to);
    l->state = to;
    loop_timer_cancel(l->redis->plan.loop, &l->timer);
    if (patience)
        loop_timer_set(l->redis->plan.loop, &l->timer, now_of(l) + patience);
    redis_board_moved(l->redis->plan.board, states[from].shown, states[to].shown);
}

/* ---- losing it --------------------------------------------------------------------------------------------------- */

static void let_go(struct redis_link *l, struct list *orphans)
{
    conn_close(&l->conn, true);
    resp_reader_free(&l->in);
    list_move(orphans, &l->calls);
}

static void end_calls(struct list *orphans)
{
    struct list *link;

    while ((link = list_pop(orphans))) {
        struct redis_call *c = CONTAINER(link, struct redis_call, link);
        struct redis_query *q = c->query;
        slab_give(&calls, &c);
        if (q)
            redis_query_ends(q, REDIS_AWAY, NULL);
    }
}

static nsec next_rest(const struct redis_link *l)
{
    bool was_well = l->state == LINK_UP && now_of(l) - l->up_since >= PROVEN;

    return was_well || !l->rest ? REST_FIRST : MIN(l->rest * 2, REST_MOST);
}

void redis_link_fails(struct redis_link *l, struct str why)
{
    struct list orphans;

    if (l->state == LINK_IDLE || l->state == LINK_RESTING)
        return;
    redis_board_trouble(l->redis->plan.board, str_of(l->redis->name), why); /* `why` may lie in the reader */
    l->rest = next_rest(l);
    let_go(l, &orphans);
    move(l, LINK_RESTING, l->rest);
    redis_slots_doubtful(l->redis);
    end_calls(&orphans);
}

void redis_link_is_late(struct redis_link *l)
{
    if (l->state == LINK_UP && ++l->late >= LATE_MOST)
        redis_link_fails(l, STR("replies take longer than 3 ms"));
}

/* Servers close connections that were idle for long: no failure, if it was well before. */
static void lost(struct redis_link *l)
{
    struct list orphans;

    if (l->state != LINK_UP || !list_empty(&l->calls) || now_of(l) - l->up_since < PROVEN) {
        redis_link_fails(l, STR("the connection was lost"));
        return;
    }
    let_go(l, &orphans);
    redis_link_connect(l);
}

/* ---- making it --------------------------------------------------------------------------------------------------- */

static void dial(struct redis_link *l, const struct addr *to)
{
    const struct redis_target *t = l->redis->plan.target;
    struct tls_context *tls = t->tls ? l->redis->plan.tls(l->redis->plan.arg) : NULL;
    enum fail f = t->tls && !tls ? FAIL_tls_failed : OK;

    l->in = resp_reader_new();
    if (!l->in)
        f = FAIL_no_memory;
    if (!f)
        f = conn_dial(&l->conn, l->redis->plan.loop, to, tls, str_of(l->redis->slots.node[l->node].host), &events);
    if (f)
        redis_link_fails(l, STR("it cannot be reached"));
    else
        conn_watch(&l->conn, SOCK_READ);
}

static void resolved(struct resolve *r)
{
    struct redis_link *l = CONTAINER(r, struct redis_link, resolve);
    struct redis *redis = l->redis;
    bool wanted = l->state == LINK_CONNECTING && !redis->closed;

    l->resolving = false;
    if (wanted && r->n)
        dial(l, &r->found[0]);
    else if (wanted)
        redis_link_fails(l, STR("its name cannot be resolved"));
    redis_job_done(redis);
}

static void resolve(struct redis_link *l)
{
    struct redis *r = l->redis;

    if (l->resolving)
        return; /* the last one is still under way: its answer will do */
    snprintf(l->resolve.host, sizeof l->resolve.host, "%s", r->slots.node[l->node].host);
    l->resolve.port = r->slots.node[l->node].port;
    l->resolve.done = resolved;
    l->resolving = true;
    r->jobs++;
    r->plan.job(r->plan.arg, true);
    loop_resolve(r->plan.loop, &l->resolve);
}

void redis_link_connect(struct redis_link *l)
{
    const struct slots_node *n = &l->redis->slots.node[l->node];
    struct str path = l->redis->plan.target->path;
    struct addr to;

    move(l, LINK_CONNECTING, CONNECT_WITHIN);
    l->late = l->greetings = 0;
    if (path.n && !l->node)
        addr_unix(path, &to);
    else if (!addr_literal(str_of(n->host), n->port, &to)) {
        resolve(l);
        return;
    }
    dial(l, &to);
}

void redis_link_connect_soon(struct redis_link *l)
{
    assume(l->state == LINK_IDLE);
    loop_timer_set(l->redis->plan.loop, &l->timer, now_of(l));
}

static void try_it(struct redis_link *l)
{
    move(l, LINK_TRYING, REDIS_PATIENCE);
    if (!redis_link_send(l, CALL_PING, NULL, &STR("PING"), 1))
        redis_link_fails(l, STR("the connection was lost"));
}

static void greet(struct redis_link *l, const struct str *args, unsigned n)
{
    l->greetings++;
    if (!redis_link_send(l, CALL_GREETING, NULL, args, n))
        redis_link_fails(l, STR("the connection was lost"));
}

static void greet_all(struct redis_link *l)
{
    const struct redis_target *t = l->redis->plan.target;
    char db[24];
    struct str auth[] = { STR("AUTH"), t->user, t->password };
    struct str select[] = { STR("SELECT"), str_span(db, put_u64(db, t->db)) };

    move(l, LINK_GREETING, CONNECT_WITHIN);
    if (t->password.n && !t->user.n) {
        auth[1] = t->password;
        greet(l, auth, 2);
    } else if (t->password.n) {
        greet(l, auth, 3);
    }
    if (t->db && l->state == LINK_GREETING)
        greet(l, select, 2);
    if (l->state == LINK_GREETING && !l->greetings)
        try_it(l);
}

static void opened(struct conn *c, enum fail f)
{
    struct redis_link *l = CONTAINER(c, struct redis_link, conn);

    if (f == FAIL_tls_failed)
        redis_link_fails(l, STR("the TLS handshake failed"));
    else if (f)
        redis_link_fails(l, STR("it cannot be reached"));
    else
        greet_all(l);
}

/* ---- asking and being answered ----------------------------------------------------------------------------------- */

struct redis_call *redis_link_send(struct redis_link *l, enum call_kind kind, struct redis_query *q,
                                   const struct str *args, unsigned n)
{
    struct resp_command command;
    struct redis_call *c = conn_pending(&l->conn) < PENDING_MOST ? slab_take0(&calls) : NULL;

    if (!c)
        return NULL;
    resp_command(&command, args, n);
    if (conn_write(&l->conn, command.piece, command.n, FLEETING)) {
        slab_give(&calls, &c);
        return NULL;
    }
    c->on = l;
    c->kind = kind;
    c->query = q;
    c->sent = now_of(l);
    list_push(&l->calls, &c->link);
    if (l->state == LINK_UP && !timer_pending(&l->timer))
        loop_timer_set(l->redis->plan.loop, &l->timer, c->sent + SILENCE);
    return c;
}

static void greeted(struct redis_link *l, const struct resp *reply)
{
    if (reply->kind == RESP_ERROR) {
        redis_link_fails(l, reply->text);
        return;
    }
    l->greetings--;
    if (!l->greetings)
        try_it(l);
}

static void pinged(struct redis_link *l, const struct resp *reply)
{
    if (reply->kind == RESP_ERROR) {
        redis_link_fails(l, reply->text); /* LOADING, NOAUTH */
        return;
    }
    move(l, LINK_UP, 0);
    l->up_since = now_of(l);
}

static void take_reply(struct redis_link *l, const struct resp *reply)
{
    struct list *first = list_pop(&l->calls);
    struct redis_call *c = first ? CONTAINER(first, struct redis_call, link) : NULL;
    enum call_kind kind = c ? c->kind : CALL_ASKING;
    struct redis_query *q = c ? c->query : NULL;

    if (!c) {
        redis_link_fails(l, STR("it says what nobody asked"));
        return;
    }
    if (now_of(l) - c->sent <= REDIS_PATIENCE)
        l->late = 0;
    slab_give(&calls, &c);
    if (kind == CALL_GREETING)
        greeted(l, reply);
    else if (kind == CALL_PING)
        pinged(l, reply);
    else
        redis_replied(l, kind, q, reply);
}

/* All replies that are whole. */
static void take_replies(struct redis_link *l)
{
    const struct resp *reply = NULL;
    enum fail f;

    do {
        f = resp_next(l->in, &reply);
        if (f)
            redis_link_fails(l, STR("what it says is not Redis' protocol"));
        else if (reply)
            take_reply(l, reply);
    } while (reply && l->in);
}

static void readable(struct conn *c)
{
    struct redis_link *l = CONTAINER(c, struct redis_link, conn);
    char bytes[READ_BYTES];
    ssize_t n = conn_read(c, bytes, sizeof bytes);

    if (n < 0) {
        lost(l);
        return;
    }
    if (n && resp_feed(l->in, (struct str){ bytes, (size_t)n }))
        redis_link_fails(l, STR("what it says is not Redis' protocol"));
    else if (n)
        take_replies(l);
}

static void hung_up(struct conn *c)
{
    lost(CONTAINER(c, struct redis_link, conn));
}

static const struct conn_events events = { .opened = opened, .readable = readable, .hung_up = hung_up };

/* ---- the clock --------------------------------------------------------------------------------------------------- */

/* Lazy while it is up: looks at the oldest call, if there is one. */
static void mind_silence(struct redis_link *l)
{
    struct list *first = list_first(&l->calls);
    nsec due = first ? CONTAINER(first, struct redis_call, link)->sent + SILENCE : 0;

    if (!first)
        return;
    if (now_of(l) >= due)
        redis_link_fails(l, STR("it does not answer"));
    else
        loop_timer_set(l->redis->plan.loop, &l->timer, due);
}

static void rested(struct redis_link *l)
{
    if (redis_has_slots(l->redis, l->node))
        redis_link_connect(l);
    else
        move(l, LINK_IDLE, 0);
}

static void timed(struct timer *t)
{
    struct redis_link *l = CONTAINER(t, struct redis_link, timer);

    switch (l->state) {
    case LINK_CONNECTING: redis_link_fails(l, STR("it cannot be reached")); break;
    case LINK_GREETING: redis_link_fails(l, STR("it does not answer")); break;
    case LINK_TRYING: redis_link_fails(l, STR("replies take longer than 3 ms")); break;
    case LINK_UP: mind_silence(l); break;
    case LINK_RESTING: rested(l); break;
    case LINK_IDLE: redis_link_connect(l); break;
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct redis_link *redis_link_of(struct redis *r, unsigned node)
{
    struct redis_link *l = r->link[node];

    if (l)
        return l;
    l = memory_strikes() ? NULL : calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->redis = r;
    l->node = node;
    l->timer.fire = timed;
    list_init(&l->calls);
    return r->link[node] = l;
}

/* Before the memory of its resolve may go, nothing of it is used any more. */
void redis_link_free(struct redis_link **at)
{
    struct redis_link *l = *at;
    struct list orphans;

    if (!l)
        return;
    loop_timer_cancel(l->redis->plan.loop, &l->timer);
    if (l->state != LINK_IDLE) {
        let_go(l, &orphans);
        move(l, LINK_IDLE, 0);
        end_calls(&orphans);
    }
    if (l->resolving)
        return;
    *at = NULL;
    free(l);
}
