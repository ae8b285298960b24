/* gateway/gateway.h - the front door as the rest of the program sees it: made, run, drained.
 *
 * Owns the workers (one loop and thread each, worker 0 is the caller's), the listeners and the settings; the fleet and
 * the access log are lent by whoever made them and must outlive it. A play makes one with loops of the simulated world
 * and turns them itself. */
#pragma once
#include "fleet/fleet.h"
#include "gateway/settings.h"
#include "gateway/static_file.h"
#include "observe/access_log.h"

struct gateway;
struct loop;
struct gateway_parts {
    struct fleet *fleet;
    struct access_log *access_log;     /* NULL: none */
    struct gateway_settings *settings; /* taken over */
    unsigned workers;
    const char *ca_file; /* for https nodes; NULL = the system's */
    bool tls_insecure;
    /* POST /api/reload and SIGHUP: reads the configuration again and calls gateway_configure; the sentence for a person
     * comes back. */
    enum fail (*reload)(void *arg, struct text *says);
    void *reload_arg;
    const char *history_file; /* keeps the history over a restart; NULL: none */
    static_file_find *page;   /* of /dashboard/; NULL: there is none */
};
/* NULL when memory is out. Loops exist afterwards, threads do not. */
struct gateway *gateway_new(const struct gateway_parts *parts);
void gateway_free(struct gateway **g);
/* Listens, accepting begins with the run. *bound tells the port that 0 became. */
enum fail gateway_listen(struct gateway *g, const struct addr *at, struct addr *bound);
/* Starts the other workers' threads and runs worker 0 here until gateway_stop or the end of a drain. Handles SIGTERM
 * and SIGINT (drain; the second ends at once), SIGHUP (reload, logs). */
void gateway_run(struct gateway *g);
/* Any thread: /readyz says 503, new model work is refused, idle connections close, what runs is finished for at most
 * the settings' drain_grace; then gateway_run returns. */
void gateway_drain(struct gateway *g);
void gateway_stop(struct gateway *g);
/* Publishes new settings: taken over, unless FAIL_no_memory. Also turns the fleet soon, whose nodes and settings may
 * have changed with them. Any thread. */
enum fail gateway_configure(struct gateway *g, struct gateway_settings *s);

/* The node has been removed: what it answered is not given again. Any thread. */
void gateway_forget_node(struct gateway *g, struct str name);

/* For plays, which turn the loops themselves. */
struct loop *gateway_loop(struct gateway *g, unsigned worker);
void gateway_start(struct gateway *g); /* first probes are ordered; gateway_run does it itself */

/* For checks at the end of plays and at exit. */
struct gateway_count {
    unsigned clients, exchanges, node_conns, idle_conns;
};
struct gateway_count gateway_count(struct gateway *g);
/* Called with every record, on the worker that ends it (plays; NULL: nobody). */
void gateway_on_record(struct gateway *g, void (*seen)(const struct record *r, void *arg), void *arg);
