/* cli/serve.c - the order in which things are made, and the reverse in which they go:
 *
 *     configuration, log -> fleet, its nodes -> gateway -> listeners -> run ... -> gateway, fleet, configuration
 *
 * The sockets listen before the loop runs, so whoever asks in between waits in the backlog and is answered by the first
 * turn. Nothing that waits for a node or a name happens before it: what nodes say is reported later, by a timer, when
 * the first round of probes is in. */
#include "cli/serve.h"
#include "base/log.h"
#include "base/slab.h"
#include "bench/pool_trace.h"
#include "cli/cli.h"
#include "cli/greeting.h"
#include "cli/notify.h"
#include "cli/port_owner.h"
#include "config/live.h"
#include "dashboard/dashboard.h"
#include "gateway/gateway.h"
#include "net/loop.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY   MSEC(20)
#define LOOK_AT_MOST SECOND(3)

struct serving {
    struct live *live;
    struct fleet *fleet;
    struct access_log *access_log;
    struct gateway *gateway;
    char *ca_file; /* the gateway keeps the pointer; configurations come and go */
    struct text history_file;
    struct greeting greeting;
    const char *headline;
    struct timer ready, nodes, watchdog;
    nsec began, watchdog_every;
};

static struct loop *loop_of(struct serving *s)
{
    return gateway_loop(s->gateway, 0);
}

/* ---- what the loop does for us ----------------------------------------------------------------------------------- */

/* The first turn: signals are received from now on. */
static void is_ready(struct timer *t)
{
    struct serving *s = CONTAINER(t, struct serving, ready);
    unsigned workers = config_workers(live_config(s->live));
    if (s->headline)
        greeting_say(&s->greeting, "%s", s->headline);
    greeting_say(&s->greeting, "OllamaMax %s, %u worker%s", OLLAMAMAX_VERSION, workers, workers == 1 ? "" : "s");
    greeting_addresses(&s->greeting);
    notify("READY=1");
}

static void look_at_nodes(struct timer *t)
{
    struct serving *s = CONTAINER(t, struct serving, nodes);
    nsec now = loop_now(loop_of(s));
    if (fleet_knows(s->fleet) || now >= s->began + LOOK_AT_MOST)
        greeting_nodes(&s->greeting, s->fleet);
    else
        loop_timer_set(loop_of(s), t, now + LOOK_EVERY);
}

static void is_alive(struct timer *t)
{
    struct serving *s = CONTAINER(t, struct serving, watchdog);
    notify("WATCHDOG=1");
    loop_timer_set(loop_of(s), t, loop_now(loop_of(s)) + s->watchdog_every);
}

static void is_stopping(int signo, void *arg)
{
    notify("STOPPING=1");
}

static void set_timers(struct serving *s)
{
    s->began = loop_now(loop_of(s));
    s->ready.fire = is_ready;
    s->nodes.fire = look_at_nodes;
    s->watchdog.fire = is_alive;
    s->watchdog_every = notify_watchdog();
    loop_timer_set(loop_of(s), &s->ready, s->began);
    loop_timer_set(loop_of(s), &s->nodes, s->began + LOOK_EVERY);
    if (s->watchdog_every)
        loop_timer_set(loop_of(s), &s->watchdog, s->began);
    loop_on_signal(loop_of(s), SIGTERM, is_stopping, s);
    loop_on_signal(loop_of(s), SIGINT, is_stopping, s);
}

static void cancel_timers(struct serving *s)
{
    loop_timer_cancel(loop_of(s), &s->ready);
    loop_timer_cancel(loop_of(s), &s->nodes);
    loop_timer_cancel(loop_of(s), &s->watchdog);
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

static void say_in_use(const char *text, uint16_t port)
{
    char owner[PORT_OWNER_ROOM];
    if (port_owner(port, owner))
        log_error("%s is in use by %s; stop it, or use another port: --listen 127.0.0.1:%u", text, owner, port + 1);
    else
        log_error("%s is in use by another program; stop it, or use another port: --listen 127.0.0.1:%u", text,
                  port + 1);
}

static void say_why_not(const struct addr *at, enum fail f, int error)
{
    char text[64];
    addr_text(at, text);
    if (f == FAIL_address_in_use)
        say_in_use(text, addr_port(at));
    else
        log_error("cannot listen on %s: %s", text, f == FAIL_io_error ? strerror(error) : fail_sentence(f).p);
}

static bool is_missing_six(const struct config *c, const struct addr *at, enum fail f)
{
    return c->source[SETTING_listen].kind == FROM_DEFAULT && at->any.sa_family == AF_INET6 && f == FAIL_io_error;
}

static bool listen_on(struct serving *s, const struct config *c, struct str text)
{
    struct addr at;
    struct greeting *g = &s->greeting;
    assume(addr_listen(text, DEFAULT_PORT, &at));
    if (g->n_bound == ARRAY_LEN(g->bound)) {
        log_error("at most %zu addresses to listen on", ARRAY_LEN(g->bound));
        return false;
    }
    enum fail f = gateway_listen(s->gateway, &at, &g->bound[g->n_bound]);
    if (is_missing_six(c, &at, f)) {
        log_info("no IPv6 here: not listening on %.*s", STR_ARG(text));
        return true;
    }
    g->n_bound += f == OK;
    if (f)
        say_why_not(&at, f, errno);
    return f == OK;
}

static bool listen_on_all(struct serving *s, const struct config *c)
{
    for (unsigned i = 0; i < c->listen.n; i++)
        if (!listen_on(s, c, c->listen.v[i]))
            return false;
    return s->greeting.n_bound > 0;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Of the process, before anything is made. */
static void prepare(struct serving *s, const struct config *c)
{
    signal(SIGPIPE, SIG_IGN);
    sys_raise_descriptors();
    slab_plain(!c->memory_pools);
    if (sys_env(POOL_TRACE_VARIABLE))
        pool_trace_write(sys_env(POOL_TRACE_VARIABLE)); /* `bench memory` listens */
    s->greeting.terminal = isatty(STDERR_FILENO) && !config_logs_json(c, true);
    s->greeting.has_key = c->admin_key.n > 0;
    config_log(c, isatty(STDERR_FILENO));
}

static bool make_fleet(struct serving *s, struct config **c, const struct config_args *args)
{
    struct fleet_settings settings_of_fleet;
    struct text says = { 0 };
    config_fleet(*c, &settings_of_fleet);
    s->fleet = fleet_new(&settings_of_fleet, sys_now());
    s->live = s->fleet ? live_new(c, args, s->fleet) : NULL;
    if (!s->live)
        return false;
    live_add_nodes(s->live, &says);
    if (buf_len(&says.buf))
        log_warn("%.*s", STR_ARG(text_str(&says)));
    text_free(&says);
    return true;
}

static void open_access_log(struct serving *s, const struct config *c)
{
    if (!c->log_access)
        return;
    s->access_log = access_log_open(c->log_file.n ? c->log_file.p : NULL, config_workers(c));
    if (s->access_log && c->log_rotate)
        access_log_rotate(s->access_log, (size_t)c->log_rotate, (unsigned)c->log_keep);
    if (!s->access_log)
        log_warn("there is no access log: %s cannot be opened", c->log_file.n ? c->log_file.p : "stderr");
}

/* With its parents, but none of the root's: a home that does not exist is not made. What is there already is well. */
static bool make_folder(char *path)
{
    char *first = strchr(path + 1, '/');
    for (char *at = first ? first + 1 : path + strlen(path); *at; at++)
        if (*at == '/') {
            *at = 0;
            (void)mkdir(path, 0755);
            *at = '/';
        }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* A demonstration leaves nothing behind. Where nothing can be written the history ends with the process. */
static const char *history_file(struct serving *s, const struct config *c)
{
    struct text *t = &s->history_file;
    bool told = c->source[SETTING_state_dir].kind != FROM_DEFAULT;
    if (!c->observe_history || (s->headline && !told))
        return NULL;
    config_state_dir(c, t);
    text_putc(t, 0);
    if (t->failed || !*t->buf.block)
        return NULL;
    if (!make_folder(t->buf.block)) {
        log_line(told ? LOG_WARN : LOG_INFO, "the history will not be kept: %s cannot be made: %s", t->buf.block,
                 strerror(errno));
        return NULL;
    }
    t->buf.end--;
    text_put(t, STR("/history"));
    text_putc(t, 0);
    return t->failed ? NULL : t->buf.block;
}

static bool make_gateway(struct serving *s, const struct config *c)
{
    struct gateway_parts parts = { .fleet = s->fleet,
                                   .access_log = s->access_log,
                                   .workers = config_workers(c),
                                   .tls_insecure = c->tls_insecure,
                                   .page = dashboard_find,
                                   .reload = live_reload,
                                   .reload_arg = s->live,
                                   .history_file = history_file(s, c) };
    s->ca_file = c->tls_ca_file.n ? strdup(c->tls_ca_file.p) : NULL;
    parts.ca_file = s->ca_file;
    if (config_gateway(c, &parts.settings))
        return false;
    s->gateway = gateway_new(&parts);
    if (s->gateway)
        live_attach(s->live, s->gateway, isatty(STDERR_FILENO));
    return s->gateway != NULL;
}

static bool make(struct serving *s, struct config **c, const struct config_args *args)
{
    prepare(s, *c);
    bool made = make_fleet(s, c, args);
    if (made) {
        open_access_log(s, live_config(s->live));
        made = make_gateway(s, live_config(s->live));
    }
    if (!made)
        log_error("the gateway cannot be made: memory or descriptors are out");
    return made && listen_on_all(s, live_config(s->live));
}

static void unmake(struct serving *s)
{
    if (s->gateway)
        gateway_free(&s->gateway);
    access_log_close(&s->access_log);
    live_free(&s->live);
    fleet_free(&s->fleet);
    free(s->ca_file);
    text_free(&s->history_file);
    loop_lanes_done();
}

/* ---- serving ----------------------------------------------------------------------------------------------------- */

static void run(struct serving *s)
{
    set_timers(s);
    gateway_run(s->gateway);
    cancel_timers(s);
    greeting_say(&s->greeting, "ended");
}

int serve_run(const struct config_args *args, const char *headline)
{
    struct serving s = { .headline = headline };
    int code;
    struct config *c = cli_load(args, &code);
    if (!c)
        return code;
    bool made = make(&s, &c, args);
    if (made)
        run(&s);
    unmake(&s);
    config_free(&c);
    return made ? CLI_GOOD : CLI_FAILED;
}

int cli_serve(int argc, char **argv)
{
    struct config_args args = { .argc = argc, .argv = argv };
    return serve_run(&args, NULL);
}
