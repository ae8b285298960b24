/* cli/greeting.c - the same facts for a person in front of a terminal and for a log: there sentences without a stamp,
 * here a line each at its level, so that a node that is not there is a warning for whoever reads logs by level. */
#include "cli/greeting.h"
#include "base/log.h"
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

#define MODELS_SHOWN 6

void greeting_say(const struct greeting *g, const char *format, ...)
{
    char sentence[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (g->terminal)
        fprintf(stderr, "%s\n", sentence);
    else
        log_info("%s", sentence);
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static bool is_every_address(const struct addr *a)
{
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
}

/* Where a client on this machine finds it. */
static void put_reachable(const struct addr *a, char out[64])
{
    if (!is_every_address(a))
        addr_text(a, out);
    else
        snprintf(out, 64, a->any.sa_family == AF_INET ? "127.0.0.1:%u" : "[::1]:%u", addr_port(a));
}

static void say_what_is_open(const struct greeting *g, const struct addr *a)
{
    char text[64];
    addr_text(a, text);
    greeting_say(
        g,
        "%s is open to the network: whoever reaches it can use, pull, create and delete models, without a key; "
        "operations are for %s",
        text, g->has_key ? "those who have the admin key" : "this machine only");
}

void greeting_addresses(const struct greeting *g)
{
    char text[64];
    for (unsigned i = 0; i < g->n_bound; i++) {
        addr_text(&g->bound[i], text);
        greeting_say(g, "listening on http://%s", text);
    }
    for (unsigned i = 0; i < g->n_bound; i++)
        if (!addr_is_loopback(&g->bound[i]))
            say_what_is_open(g, &g->bound[i]);
    put_reachable(&g->bound[0], text);
    greeting_say(g, "the dashboard is at http://%s/dashboard/", text);
    if (g->terminal)
        greeting_say(g, "\n    export OLLAMA_HOST=http://%s\n", text);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static void put_models(const struct node_view *n, struct text *t)
{
    text_printf(t, ", %u model%s", n->models, n->models == 1 ? "" : "s");
    for (uint32_t i = 0; i < n->models && i < MODELS_SHOWN; i++)
        text_printf(t, "%s%.*s", i ? ", " : ": ", STR_ARG(n->model[i].show));
    if (n->models > MODELS_SHOWN)
        text_put(t, STR(", ..."));
}

static void put_node(const struct node_view *n, struct text *t)
{
    text_printf(t, "node %.*s (%.*s) is %.*s", STR_ARG(n->name), STR_ARG(n->url), STR_ARG(node_state_name(n->state)));
    if (n->state == NODE_UP || n->state == NODE_SUSPECT) {
        text_printf(t, ": %s%.*s %.*s", n->simulated ? "SIMULATED " : "", STR_ARG(node_kind_name(n->kind)),
                    STR_ARG(n->version));
        put_models(n, t);
    } else if (n->last_error_text.n) {
        text_printf(t, ": %.*s", STR_ARG(n->last_error_text));
    } else if (n->last_error) {
        text_printf(t, ": %.*s", STR_ARG(fail_sentence(n->last_error)));
    }
}

static void say_node(const struct greeting *g, const struct node_view *n)
{
    struct text t = { 0 };
    bool up = n->state == NODE_UP || n->state == NODE_SUSPECT;
    put_node(n, &t);
    if (up || g->terminal)
        greeting_say(g, "%.*s", STR_ARG(text_str(&t)));
    else
        log_warn("%.*s", STR_ARG(text_str(&t)));
    text_free(&t);
}

void greeting_nodes(const struct greeting *g, struct fleet *f)
{
    struct fleet_snapshot *s = fleet_snapshot(f, sys_now());
    for (uint32_t i = 0; s && i < s->n; i++)
        say_node(g, &s->node[i]);
    if (s && !s->up)
        greeting_say(g, "no node answers yet; each is asked again every few seconds");
    fleet_snapshot_free(&s);
}
