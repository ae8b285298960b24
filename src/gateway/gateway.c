/* The gateway: workers, listeners, and the way in and out of running. */
#include "base/log.h"
#include "gateway/flight.h"
#include "gateway/gateway_private.h"
#include "gateway/socket.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void pools_init(void)
{
    exchange_pools_init();
    client_pools_init();
    node_conn_pools_init();
    probe_pools_init();
    task_pools_init();
    fanout_pools_init();
    flight_pools_init();
    socket_pools_init();
    socket_call_pools_init();
    redis_pools_init();
}

static void pools_done(void)
{
    socket_call_pools_done();
    socket_pools_done();
    redis_pools_done();
    flight_pools_done();
    fanout_pools_done();
    probe_pools_done();
    task_pools_done();
    node_conn_pools_done();
    client_pools_done();
    exchange_pools_done();
}

static void make_instance(struct gateway *g)
{
    uint64_t r = sys_random_u64();

    snprintf(g->instance, sizeof g->instance, "%016llx", (unsigned long long)r);
}

/* Written without a look at the request, which may not even be there yet. */
static void make_refusal(struct gateway *g)
{
    struct str why = fail_sentence(FAIL_no_descriptors);

    snprintf(g->full, sizeof g->full,
             "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\nRetry-After: 1\r\n"
             "Content-Length: %zu\r\nConnection: close\r\n\r\n{\"error\":\"%.*s\"}",
             why.n + 12, STR_ARG(why));
}

struct gateway *gateway_new(const struct gateway_parts *parts)
{
    struct gateway *g = memory_strikes() ? NULL : calloc(1, sizeof *g);
    struct gateway_settings *s = parts->settings;

    if (!g) {
        gateway_settings_free(&s);
        return NULL;
    }
    pools_init();
    g->fleet = parts->fleet;
    g->access_log = parts->access_log;
    g->settings = parts->settings;
    g->ca_file = parts->ca_file;
    g->tls_insecure = parts->tls_insecure;
    g->page = parts->page;
    g->reload = parts->reload;
    g->reload_arg = parts->reload_arg;
    g->started_wall = sys_wall();
    pthread_mutex_init(&g->settings_lock, NULL);
    blob_places_init(&g->blobs);
    make_instance(g);
    make_refusal(g);
    if (!lookup_open(g) && !shared_open(g))
        g->feed = feed_new(g);
    if (!g->feed) {
        gateway_free(&g);
        return NULL;
    }
    for (g->workers = 0; g->workers < parts->workers; g->workers++) {
        g->worker[g->workers] = worker_new(g, g->workers);
        if (!g->worker[g->workers]) {
            gateway_free(&g);
            return NULL;
        }
    }
    memory_open(g);
    g->lookout = lookout_new(g->worker[0], g->workers, parts->history_file);
    if (!g->lookout)
        gateway_free(&g);
    return g;
}

void gateway_free(struct gateway **at)
{
    struct gateway *g = *at;

    *at = NULL;
    for (unsigned i = 0; i < g->listeners; i++)
        listener_close(&g->listener[i]);
    if (g->lookout)
        lookout_stop(g->lookout);
    memory_close(g);
    for (unsigned i = 0; i < g->workers; i++)
        worker_close(g->worker[i]);
    for (unsigned i = 0; i < g->workers; i++)
        worker_last_mails(g->worker[i]);
    for (unsigned i = 0; i < g->workers; i++)
        worker_free(&g->worker[i]);
    lookout_free(&g->lookout);
    feed_free(&g->feed);
    lookup_close(g);
    shared_close(g);
    settings_free_all(g);
    pthread_mutex_destroy(&g->settings_lock);
    blob_places_done(&g->blobs);
    free(g);
    pools_done();
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

static void accepted(struct listener *ln, int handle, const struct addr *from)
{
    worker_deal(ln->arg, handle, from);
}

enum fail gateway_listen(struct gateway *g, const struct addr *at, struct addr *bound)
{
    struct listener *ln = &g->listener[g->listeners];
    enum fail f;

    if (g->listeners == LISTENERS_MAX)
        return FAIL_bad_setting;
    *ln = (struct listener){ .accepted = accepted, .arg = g->worker[0], .refusal = str_of(g->full) };
    f = listener_open(g->worker[0]->loop, ln, at, bound);
    g->listeners += f == OK;
    return f;
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static void ask_to_end(int signo, void *arg)
{
    struct gateway *g = arg;

    if (atomic_load(&g->draining)) {
        gateway_stop(g);
        return;
    }
    log_info("signal %d: finishing what runs (again to end at once)", signo);
    gateway_drain(g);
}

static void reload(int signo, void *arg)
{
    struct gateway *g = arg;
    struct text says = { 0 };

    if (g->access_log)
        access_log_reopen(g->access_log);
    log_reopen();
    if (g->reload && g->reload(g->reload_arg, &says))
        log_error("reload: %.*s", STR_ARG(text_str(&says)));
    else if (g->reload)
        log_info("reload: %.*s", STR_ARG(text_str(&says)));
    text_free(&says);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct loop *gateway_loop(struct gateway *g, unsigned worker)
{
    return g->worker[worker]->loop;
}

void gateway_start(struct gateway *g)
{
    fleet_turn_soon(g->worker[0], worker_now(g->worker[0]));
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;

    loop_run(w->loop, NULL, NULL);
    return NULL;
}

void gateway_run(struct gateway *g)
{
    struct loop *first = g->worker[0]->loop;
    sigset_t all, before;

    loop_on_signal(first, SIGTERM, ask_to_end, g);
    loop_on_signal(first, SIGINT, ask_to_end, g);
    loop_on_signal(first, SIGHUP, reload, g);
    gateway_start(g);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are worker 0's */
    for (unsigned i = 1; i < g->workers; i++)
        assume(!pthread_create(&g->worker[i]->thread, NULL, run_worker, g->worker[i]));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    loop_run(first, NULL, NULL);
    for (unsigned i = 1; i < g->workers; i++)
        pthread_join(g->worker[i]->thread, NULL);
    for (unsigned i = g->workers; i-- > 0;) /* the caller's own at the end */
        worker_take_last_mail(g->worker[i]);
}

static void tell_all(struct gateway *g, unsigned bits)
{
    for (unsigned i = 0; i < g->workers; i++)
        loop_post(g->worker[i]->loop, &g->worker[i]->control, bits);
}

/* Listeners stay open, so that late clients get a clear refusal rather than a refused connection; /readyz says 503. */
void gateway_drain(struct gateway *g)
{
    atomic_store(&g->draining, true);
    tell_all(g, CONTROL_DRAIN);
}

void gateway_stop(struct gateway *g)
{
    tell_all(g, CONTROL_STOP);
}

enum fail gateway_configure(struct gateway *g, struct gateway_settings *s)
{
    enum fail f = settings_publish(g, s);

    if (f)
        return f;
    lookup_configure(g, s);
    tell_all(g, CONTROL_SETTINGS);
    atomic_store(&g->worker[0]->fleet_due, 0); /* now */
    loop_post(g->worker[0]->loop, &g->worker[0]->control, CONTROL_FLEET);
    return OK;
}

/* ---- for checks -------------------------------------------------------------------------------------------------- */

struct gateway_count gateway_count(struct gateway *g)
{
    struct gateway_count c = { 0 };

    for (unsigned i = 0; i < g->workers; i++) {
        struct worker *w = g->worker[i];
        c.clients += atomic_load(&w->n_clients);
        c.exchanges += w->n_exchanges;
        c.node_conns += w->n_node_conns;
        c.idle_conns += w->n_idle_conns;
    }
    return c;
}

void gateway_on_record(struct gateway *g, void (*seen)(const struct record *r, void *arg), void *arg)
{
    g->on_record = seen;
    g->on_record_arg = arg;
}
