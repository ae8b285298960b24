/* The driver. One table of stages, one loop that walks it, one exit.
 *
 * Explicit state rather than coroutines: an exchange can be inspected, cancelled and simulated at every point where it
 * waits. The price is that a stage which waits must leave everything it needs in the exchange; the sections of the
 * struct are the record of that. */
#include "gateway/exchange.h"
#include "gateway/finish.h"
#include "gateway/gateway_private.h"
#include "gateway/node_conn.h"

static struct slab exchanges;

static const struct {
    const char *name;
    enum step (*enter)(struct exchange *x);
} road[] = {
    [STAGE_DOOR] = {"door",     door_enter   },
      [STAGE_ROUTE] = { "route",   route_enter  },
    [STAGE_LOCAL] = { "local",   local_enter  },
      [STAGE_LOOKUP] = { "lookup",  lookup_enter },
    [STAGE_CHOOSE] = { "choose",  choose_enter },
      [STAGE_ATTEMPT] = { "attempt", attempt_enter},
    [STAGE_RELAY] = { "relay",   relay_enter  },
};

void exchange_pools_init(void)
{
    slab_init(&exchanges, "exchange", sizeof(struct exchange));
}

void exchange_pools_done(void)
{
    slab_done(&exchanges);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void delivered(struct mail *m, unsigned bits)
{
    struct exchange *x = CONTAINER(m, struct exchange, mail);

    x->ticket.announced = false;
    if (x->over) {
        x->worker->ghosts--;
        slab_give(&exchanges, &x);
        return;
    }
    choose_decided(x);
}

static void timer_fired(struct timer *t)
{
    struct exchange *x = CONTAINER(t, struct exchange, timer);

    x->timed(x);
}

struct exchange *exchange_new(struct worker *w, enum record_owner kind, void *owner, const struct sink_ops *sink)
{
    struct exchange *x = slab_take0(&exchanges);

    if (!x)
        return NULL;
    x->mail.deliver = delivered;
    x->timer.fire = timer_fired;
    x->worker = w;
    x->owner_kind = kind;
    x->owner = owner;
    x->sink = sink;
    x->id = ++w->next_id << 8 | w->no;
    x->settings = settings_pin(w);
    x->out.length = -1;
    x->in.at = worker_now(w);
    x->in.wall = loop_wall(w->loop);
    x->in.control = control_none();
    figures_clear(&x->up.figures);
    list_push(&w->exchanges, &x->link);
    w->n_exchanges++;
    return x;
}

/* The one exit: everything is given back here and nowhere else. */
static void finish(struct exchange *x)
{
    struct worker *w = x->worker;

    hedge_end(x);
    assume(!x->over && !x->up.conn && !x->ticket.lease.node);
    x->over = true;
    loop_timer_cancel(w->loop, &x->timer);
    finish_record(x);
    x->sink->ended(x, x->tally.why);
    list_del(&x->link);
    w->n_exchanges--;
    body_release(x);
    buf_free(&x->up.hold);
    continue_done(x);
    arena_done(&x->arena);
    settings_unpin(w, x->settings);
    if (x->ticket.announced) /* a grant is on its way here, and its delivery frees the exchange */
        w->ghosts++;
    else
        slab_give(&exchanges, &x);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static void move(struct exchange *x, enum step s)
{
    switch (s) {
    case STEP_NEXT: x->stage++; break;
    case STEP_AGAIN:
        assume(!x->out.head_sent); /* the one backward edge: while not one byte has gone to the sink */
        x->stage = STAGE_CHOOSE;
        break;
    case STEP_GO_ON:
        assume(x->again.n);
        x->stage = STAGE_CHOOSE;
        break;
    case STEP_FINISH: x->stage = STAGE_FINISH; break;
    case STEP_WAIT: break;
    }
}

static void walk(struct exchange *x)
{
    while (x->stage != STAGE_FINISH) {
        enum step s = road[x->stage].enter(x);
        if (s == STEP_WAIT)
            return;
        move(x, s);
    }
    finish(x);
}

void exchange_pause(struct exchange *x, nsec due, void (*timed)(struct exchange *x))
{
    x->timed = timed;
    loop_timer_set(x->worker->loop, &x->timer, due);
}

void exchange_start(struct exchange *x, enum stage from)
{
    x->stage = from;
    walk(x);
}

void exchange_wake(struct exchange *x, enum step s)
{
    if (s == STEP_WAIT)
        return;
    move(x, s);
    walk(x);
}

static void stop_what_runs(struct exchange *x, enum fail why)
{
    choose_cancel(x);
    if (x->up.conn || x->ticket.lease.node)
        attempt_over(x, why, why == FAIL_client_gone || why == FAIL_shutting_down);
    if (x->local_stop)
        x->local_stop(x, why);
}

void exchange_cancel(struct exchange *x, enum fail why)
{
    x->tally.why = why;
    stop_what_runs(x, why);
    x->stage = STAGE_FINISH;
    finish(x);
}

void exchange_fail(struct exchange *x, enum fail why)
{
    stop_what_runs(x, why);
    exchange_wake(x, answer_fail(x, why, STR_NONE));
}
