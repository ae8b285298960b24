/* A worker: its loop, its connections, and the few things done once per turn or once per second. */
#include "gateway/exporter.h"
#include "gateway/gateway_private.h"
#include "gateway/lookout.h"
#include "gateway/shared.h"
#include <stdlib.h>

/* ---- chance ------------------------------------------------------------------------------------------------------ */

/* xorshift128+ (Vigna 2014): ids and jitter, nothing secret. */
uint64_t worker_random(struct worker *w)
{
    uint64_t a = w->random[0], b = w->random[1];

    w->random[0] = b;
    a ^= a << 23;
    w->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return w->random[1] + b;
}

/* ---- the fleet's turns, on worker 0 ------------------------------------------------------------------------------ */

static void take_fleet_turn(struct worker *w)
{
    struct orders o;

    atomic_store(&w->fleet_due, NEVER);
    orders_init(&o);
    fleet_turn(w->gateway->fleet, worker_now(w), &o);
    orders_carry_out(w, &o);
}

static void fleet_timer_fired(struct timer *t)
{
    take_fleet_turn(CONTAINER(t, struct worker, fleet_timer));
}

void fleet_turn_soon(struct worker *w, nsec due)
{
    struct worker *first = w->gateway->worker[0];
    nsec before = atomic_load_explicit(&first->fleet_due, memory_order_relaxed);

    do
        if (due >= before)
            return;
    while (!atomic_compare_exchange_weak(&first->fleet_due, &before, due)); /* an earlier wish of another's stays */
    if (w == first)
        loop_timer_set(w->loop, &w->fleet_timer, due);
    else
        loop_post(first->loop, &first->control, CONTROL_FLEET);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void drain_is_over(struct timer *t)
{
    struct worker *w = CONTAINER(t, struct worker, drain_timer);

    clients_close_all(w);
    gateway_stop(w->gateway);
}

void worker_maybe_drained(struct worker *w)
{
    struct worker *first = w->gateway->worker[0];

    if (w->draining && !w->stopping && list_empty(&w->clients))
        loop_post(first->loop, &first->control, CONTROL_DRAINED);
}

static void begin_drain(struct worker *w)
{
    w->draining = true;
    feed_end(w);
    clients_drain(w);
    loop_timer_set(w->loop, &w->drain_timer, worker_now(w) + worker_settings(w)->drain_grace);
    worker_maybe_drained(w);
}

static void all_is_told(void *arg)
{
    gateway_stop(arg);
}

static void end_if_drained(struct gateway *g)
{
    unsigned clients = 0;

    for (unsigned i = 0; i < g->workers; i++)
        clients += atomic_load_explicit(&g->worker[i]->n_clients, memory_order_relaxed);
    if (!clients)
        exporter_finish(lookout_exporter(g->lookout), all_is_told, g);
}

static void stop_when_idle(struct worker *w)
{
    w->stopping = true;
    if (!w->jobs)
        loop_stop(w->loop);
}

/* The last posts of one worker may find another already stopped. When no thread is left to post, each takes what lies
 * in its mailbox. */
void worker_take_last_mail(struct worker *w)
{
    do {
        stop_when_idle(w);
        loop_run(w->loop, NULL, NULL);
    } while (w->jobs);
}

void worker_job_begins(struct worker *w)
{
    w->jobs++;
}

void worker_job_ends(struct worker *w)
{
    w->jobs--;
    if (w->stopping)
        stop_when_idle(w);
}

static void told(struct mail *m, unsigned bits)
{
    struct worker *w = CONTAINER(m, struct worker, control);

    if (w->closed)
        return;
    if (bits & CONTROL_SETTINGS)
        settings_take(w);
    if (bits & CONTROL_SHARED)
        shared_told(w);
    if (bits & CONTROL_FLEET)
        loop_timer_set(w->loop, &w->fleet_timer, atomic_load(&w->fleet_due));
    if (bits & CONTROL_DRAIN)
        begin_drain(w);
    if ((bits & CONTROL_DRAINED) && !w->stopping)
        end_if_drained(w->gateway);
    if (bits & CONTROL_STOP)
        stop_when_idle(w);
}

/* ---- connections handed over by the worker that accepts ---------------------------------------------------------- */

static bool handoff_take(struct handoff *h, struct handed *out)
{
    bool any;

    pthread_mutex_lock(&h->lock);
    any = h->n > 0;
    if (any)
        *out = h->queue[--h->n];
    pthread_mutex_unlock(&h->lock);
    return any;
}

static void handed_over(struct mail *m, unsigned bits)
{
    struct worker *w = CONTAINER(m, struct worker, handoff.mail);
    struct handed h;

    while (handoff_take(&w->handoff, &h)) {
        atomic_fetch_sub_explicit(&w->n_clients, 1,
                                  memory_order_relaxed); /* counted when it was dealt; client_accept counts anew */
        client_accept(w, h.handle, &h.from);
    }
}

static bool handoff_put(struct handoff *h, int handle, const struct addr *from)
{
    bool room;

    pthread_mutex_lock(&h->lock);
    if (h->n == h->cap) {
        struct handed *more = memory_strikes() ? NULL : realloc(h->queue, (h->cap * 2 + 16) * sizeof *more);
        h->queue = more ? more : h->queue;
        h->cap = more ? h->cap * 2 + 16 : h->cap;
    }
    room = h->n < h->cap;
    if (room)
        h->queue[h->n++] = (struct handed){ handle, *from };
    pthread_mutex_unlock(&h->lock);
    return room;
}

static struct worker *least_busy(struct gateway *g)
{
    struct worker *best = g->worker[0];
    unsigned fewest = atomic_load_explicit(&best->n_clients, memory_order_relaxed);

    for (unsigned i = 1; i < g->workers; i++) {
        unsigned n = atomic_load_explicit(&g->worker[i]->n_clients, memory_order_relaxed);
        if (n < fewest) {
            fewest = n;
            best = g->worker[i];
        }
    }
    return best;
}

/* One socket, dealt to the worker with fewest: SO_REUSEPORT spreads few connections badly (busiest over mean 1.5-2). */
void worker_deal(struct worker *accepting, int handle, const struct addr *from)
{
    struct worker *to = least_busy(accepting->gateway);

    if (handle < 0) {
        meter_add(accepting->meter, COUNT_connections_refused, 1);
        return;
    }
    if (to == accepting) {
        client_accept(to, handle, from);
        return;
    }
    atomic_fetch_add_explicit(&to->n_clients, 1, memory_order_relaxed); /* before it may be taken off again */
    if (handoff_put(&to->handoff, handle, from)) {
        loop_post(to->loop, &to->handoff.mail, 1);
    } else {
        atomic_fetch_sub_explicit(&to->n_clients, 1, memory_order_relaxed);
        handle_close(handle);
    }
}

/* ---- once a turn, once a second ---------------------------------------------------------------------------------- */

static void due_timer_fired(struct timer *t)
{
    clients_flush_due(CONTAINER(t, struct worker, due_timer));
}

static void tidy(struct timer *t)
{
    struct worker *w = CONTAINER(t, struct worker, tidy_timer);

    node_conns_tidy(w);
    if (w->no == 0) {
        settings_sweep(w->gateway);
        lookup_tidy(w->gateway, worker_now(w));
    }
    loop_timer_set(w->loop, &w->tidy_timer, worker_now(w) + SECOND(1));
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct worker *worker_new(struct gateway *g, unsigned no)
{
    struct worker *w = memory_strikes() ? NULL : calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->gateway = g;
    w->no = no;
    w->loop = loop_new(no);
    w->meter = meter_new();
    if (!w->loop || !w->meter) {
        worker_free(&w);
        return NULL;
    }
    list_init(&w->clients);
    list_init(&w->exchanges);
    list_init(&w->due);
    pthread_mutex_init(&w->handoff.lock, NULL);
    w->handoff.mail.deliver = handed_over;
    w->control.deliver = told;
    feed_seat_init(&w->feed);
    w->due_timer.fire = due_timer_fired;
    w->fleet_timer.fire = fleet_timer_fired;
    w->tidy_timer.fire = tidy;
    w->drain_timer.fire = drain_is_over;
    atomic_store(&w->fleet_due, NEVER);
    settings_take(w);
    sys_random(w->random, sizeof w->random);
    w->random[0] |= 1;
    loop_timer_set(w->loop, &w->tidy_timer, worker_now(w) + SECOND(1));
    return w;
}

/* Everything that still runs is cancelled; owners are told. On the worker's own thread, or when its loop no longer
 * runs. */
void worker_close(struct worker *w)
{
    struct handed h;

    w->closed = true;
    while (handoff_take(&w->handoff, &h))
        handle_close(h.handle);
    clients_close_all(w);
    while (!list_empty(&w->exchanges))
        exchange_cancel(CONTAINER(list_first(&w->exchanges), struct exchange, link), FAIL_shutting_down);
    node_conns_close_idle(w);
    shared_worker_close(w);
    loop_timer_cancel(w->loop, &w->due_timer);
    loop_timer_cancel(w->loop, &w->fleet_timer);
    loop_timer_cancel(w->loop, &w->tidy_timer);
    loop_timer_cancel(w->loop, &w->drain_timer);
}

/* Others post as long as they run, also to a loop that has stopped already; such mail finds everything over. */
void worker_last_mails(struct worker *w)
{
    while (mail_is_posted(&w->control) || mail_is_posted(&w->handoff.mail) || mail_is_posted(&w->feed.mail) ||
           w->ghosts) {
        loop_stop(w->loop);
        loop_run(w->loop, NULL, NULL);
    }
}

void worker_free(struct worker **at)
{
    struct worker *w = *at;

    *at = NULL;
    node_pools_free(w);
    tls_context_free(&w->tls);
    meter_free(&w->meter);
    if (w->loop)
        loop_free(&w->loop);
    free(w->handoff.queue);
    pthread_mutex_destroy(&w->handoff.lock);
    free(w);
}
