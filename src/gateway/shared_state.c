/* A client of Redis for each worker, opened and closed with the settings; and on worker 0 what keeps gateways of one
 * mind about what is forgotten (redis/generations.h): once a second, and at once when something is to be told.
 *
 *     anything owed? --yes--> HINCRBY tag --> again
 *          '--no--> HGETALL --> read: wait a second
 *                      |------> no id: HSETNX --> again
 *                      '------> far too many tags: DEL --> again
 */
#include "gateway/shared_state.h"
#include "base/log.h"
#include "gateway/gateway_private.h"
#include <stdio.h>
#include <stdlib.h>

#define POLL_EVERY    SECOND(1)
#define POLL_SOON     MSEC(50) /* while there is no connection */
#define POLL_PATIENCE SECOND(1)

/* ---- of the gateway ---------------------------------------------------------------------------------------------- */

enum fail shared_open(struct gateway *g)
{
    struct shared *s = g->shared = memory_strikes() ? NULL : calloc(1, sizeof *s);

    if (!s)
        return FAIL_no_memory;
    s->board = redis_board_new();
    s->generations = generations_new();
    return s->board && s->generations ? OK : FAIL_no_memory;
}

void shared_close(struct gateway *g)
{
    if (!g->shared)
        return;
    redis_board_free(&g->shared->board);
    generations_free(&g->shared->generations);
    free(g->shared);
    g->shared = NULL;
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */

void shared_forget(struct gateway *g, struct str kind, struct str name)
{
    char tag[2 * GENERATIONS_TAG_MOST];
    char *end = put_str(tag, kind);

    if (!atomic_load(&g->shared->on))
        return;
    if (name.n)
        end = put_str(put_str(end, STR(":")), str_take(name, GENERATIONS_TAG_MOST + 1));
    generations_owe(g->shared->generations, str_span(tag, end));
    loop_post(g->worker[0]->loop, &g->worker[0]->control, CONTROL_SHARED);
}

/* Others have: it goes here too. */
static void forgotten(void *arg, struct str tag)
{
    struct gateway *g = arg;
    struct str name = tag, kind = str_cut(&name, ':');

    if (str_eq(kind, STR("model")))
        cache_forget(g->cache, cache_tag_model(name));
    else if (str_eq(kind, STR("node")))
        cache_forget(g->cache, lookup_tag_node(name));
    else
        cache_forget(g->cache, CACHE_EVERYTHING);
}

/* ---- the poll ---------------------------------------------------------------------------------------------------- */

static void poll_next(struct shared_worker *s);

static void poll_at(struct shared_worker *s, nsec span)
{
    loop_timer_set(s->worker->loop, &s->poll.timer, worker_now(s->worker) + span);
}

static void ask(struct shared_worker *s, int what, const struct str *args, unsigned n)
{
    s->poll.asks = what;
    if (!redis_ask(s->redis, &s->poll.query, args, n, POLL_PATIENCE))
        poll_at(s, POLL_SOON);
}

static void ask_to_name(struct shared_worker *s)
{
    uint64_t id = sys_random_u64() | 1;
    struct str args[] = { STR("HSETNX"), STR(REDIS_STATE), STR(REDIS_ID),
                          str_span(s->poll.id, put_hex(s->poll.id, id)) };

    ask(s, POLL_NAMES, args, 4);
}

static void ask_to_clear(struct shared_worker *s)
{
    static const struct str args[] = {
        {"DEL",        3                     },
        { REDIS_STATE, sizeof REDIS_STATE - 1}
    };

    ask(s, POLL_CLEARS, args, 2);
}

static void ask_to_read(struct shared_worker *s)
{
    static const struct str args[] = {
        {"HGETALL",    7                     },
        { REDIS_STATE, sizeof REDIS_STATE - 1}
    };

    ask(s, POLL_READS, args, 2);
}

static void ask_to_pay(struct shared_worker *s)
{
    struct str args[] = { STR("HINCRBY"), STR(REDIS_STATE), str_of(s->poll.tag), STR("1") };

    ask(s, POLL_PAYS, args, 4);
}

static void poll_next(struct shared_worker *s)
{
    if (s->poll.query.redis)
        return; /* under way: what follows it comes by itself */
    if (generations_owed(s->worker->gateway->shared->generations, 0, s->poll.tag, &s->poll.times))
        ask_to_pay(s);
    else
        ask_to_read(s);
}

static void paid(struct shared_worker *s, const struct resp *reply)
{
    struct gateway *g = s->worker->gateway;
    struct str tag = str_of(s->poll.tag);

    if (reply->kind == RESP_NUMBER &&
        generations_paid(g->shared->generations, tag, s->poll.times, (uint64_t)reply->number))
        forgotten(g, tag);
    poll_next(s);
}

static void was_read(struct shared_worker *s, const struct resp *reply)
{
    struct gateway *g = s->worker->gateway;

    switch (generations_take(g->shared->generations, reply, worker_now(s->worker), forgotten, g)) {
    case GENERATIONS_NAMELESS: ask_to_name(s); break;
    case GENERATIONS_TOO_MANY: ask_to_clear(s); break;
    default: poll_at(s, POLL_EVERY);
    }
}

static void polled(struct redis_query *q, enum redis_outcome how, const struct resp *reply)
{
    struct shared_worker *s = CONTAINER(q, struct shared_worker, poll.query);

    if (how != REDIS_ANSWERED)
        poll_at(s, how == REDIS_REFUSED ? POLL_EVERY : POLL_SOON);
    else if (s->poll.asks == POLL_PAYS)
        paid(s, reply);
    else if (s->poll.asks == POLL_READS)
        was_read(s, reply);
    else
        ask_to_read(s);
}

static void poll_due(struct timer *t)
{
    poll_next(CONTAINER(t, struct shared_worker, poll.timer));
}

void shared_told(struct worker *w)
{
    if (w->shared && w->shared->redis)
        poll_next(w->shared);
}

/* ---- of a worker ------------------------------------------------------------------------------------------------- */

static struct tls_context *tls_of(void *arg)
{
    struct tls_context *tls;

    return worker_tls(arg, true, &tls) ? NULL : tls;
}

static void job(void *arg, bool begins)
{
    if (begins)
        worker_job_begins(arg);
    else
        worker_job_ends(arg);
}

static void let_go(struct shared_worker *s)
{
    redis_drop(&s->poll.query);
    loop_timer_cancel(s->worker->loop, &s->poll.timer);
    redis_close(&s->redis);
    arena_done(&s->arena);
    arena_init(&s->arena);
    s->url = STR_NONE;
}

/* What cannot be read here was refused by config/, so only memory can be out. */
static void begin(struct shared_worker *s, struct str url)
{
    struct worker *w = s->worker;
    const char *why = "";
    struct redis_plan plan = {
        .target = &s->target, .loop = w->loop, .board = w->gateway->shared->board, .tls = tls_of, .job = job, .arg = w
    };

    s->url = str_dup(&s->arena, url);
    if (s->url.p && redis_target_read(s->url, &s->arena, &s->target, &why))
        s->redis = redis_open(&plan);
    if (!s->redis)
        log_warn("worker %u has no Redis: %s", w->no, *why ? why : "memory is out");
    else if (w->no == 0)
        poll_at(s, 0);
}

static struct shared_worker *worker_new_shared(struct worker *w)
{
    struct shared_worker *s = memory_strikes() ? NULL : calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->worker = w;
    s->poll.query.done = polled;
    s->poll.timer.fire = poll_due;
    return s;
}

void shared_configure(struct worker *w)
{
    struct str url = worker_settings(w)->redis;

    atomic_store(&w->gateway->shared->on, url.n > 0);
    if (w->closed || (!w->shared && !url.n) || (w->shared && str_eq(w->shared->url, url)))
        return;
    if (!w->shared)
        w->shared = worker_new_shared(w);
    if (!w->shared)
        return;
    let_go(w->shared);
    if (w->no == 0)
        generations_reset(w->gateway->shared->generations);
    if (url.n)
        begin(w->shared, url);
}

void shared_worker_close(struct worker *w)
{
    if (!w->shared)
        return;
    let_go(w->shared);
    free(w->shared);
    w->shared = NULL;
}

/* ---- shown ------------------------------------------------------------------------------------------------------- */

bool shared_look(struct gateway *g, struct redis_board_look *out)
{
    redis_board_look(g->shared->board, out);
    return atomic_load(&g->shared->on);
}

bool shared_is_well(const struct exchange *x, char why[SHARED_WHY])
{
    struct gateway *g = x->worker->gateway;
    struct redis_board_look s;
    char name[128];

    if (!shared_look(g, &s))
        return true;
    shared_name(x, name);
    if (s.breaker != REDIS_CLOSED)
        snprintf(why, SHARED_WHY, "%s is not well, and answers are not shared until it is; the log says why", name);
    else if (!generations_known(g->shared->generations, worker_now(x->worker)))
        snprintf(why, SHARED_WHY, "%s does not say what was forgotten, so answers are not shared; the log says why",
                 name);
    else
        return true;
    return false;
}

void shared_name(const struct exchange *x, char name[128])
{
    struct arena a = { 0 };
    struct text t = { 0 };
    struct redis_target target;
    const char *why;

    if (x->settings->redis.n && redis_target_read(x->settings->redis, &a, &target, &why))
        redis_target_print(&target, &t);
    *put_str(name, str_take(text_str(&t), 127)) = 0;
    text_free(&t);
    arena_done(&a);
}
