/* cli/status.c - what a running gateway says about itself, for people: /api/status and /api/nodes as a table. The
 * exit code is for scripts: 0 when all is well, 1 when a node is down or nobody answers. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include <stdio.h>

#define PATIENCE SECOND(3)

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The parsed answer, whose bytes are in *body; false and said otherwise. */
static bool ask(const struct place *p, const char *path, struct buf *body, struct json *out)
{
    const char *host = p->host;
    int status = 0;
    enum fail f = ask_place(p, path, PATIENCE, &status, body);
    *out = json_parse(buf_str(body), NULL);
    if (f)
        fprintf(stderr, "ollamamax: no gateway answers at %s (%s); where is it? --url http://HOST:PORT\n", host,
                f == FAIL_connect_refused ? "connection refused" : "no answer");
    else if (status == 401 || status == 403)
        fprintf(stderr, "ollamamax: %s wants its admin key: --key, --admin-key or --admin-key-file\n", host);
    else if (status != 200 || out->kind != JSON_OBJECT)
        fprintf(stderr, "ollamamax: %s answered GET %s with %d; is it an OllamaMax?\n", host, path, status);
    return !f && status == 200 && out->kind == JSON_OBJECT;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

static struct str word(struct arena *a, struct json object, const char *key)
{
    struct json v = json_get(object, str_of(key));
    switch (v.kind) {
    case JSON_STRING: return json_text(a, v);
    case JSON_BAD:
    case JSON_NULL: return STR("-");
    default: return v.raw;
    }
}

static void put_uptime(double seconds, struct text *t)
{
    unsigned long s = (unsigned long)seconds;
    if (s >= 86400)
        text_printf(t, "%lu d %lu h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        text_printf(t, "%lu h %lu min", s / 3600, s % 3600 / 60);
    else
        text_printf(t, "%lu min %lu s", s / 60, s % 60);
}

static void put_headline(struct arena *a, const struct place *p, struct json status, struct text *t)
{
    double up = 0;
    json_f64(json_get(status, STR("uptime_s")), &up);
    text_printf(t, "OllamaMax %.*s at %s, up ", STR_ARG(word(a, status, "version")), p->url);
    put_uptime(up, t);
    text_printf(t, ", %.*s workers\n", STR_ARG(word(a, status, "workers")));
}

static const char *colour_of(struct str state)
{
    return str_eq(state, STR("up")) ? "\033[32m" : str_eq(state, STR("down")) ? "\033[31m" : "\033[33m";
}

static void put_node(struct arena *a, struct json node, bool colours, struct text *t)
{
    struct str state = word(a, node, "state");
    bool simulated = json_get(node, STR("simulated")).kind == JSON_TRUE;
    text_printf(t, "%-20.*s %s%-9.*s%s ", STR_ARG(word(a, node, "id")), colours ? colour_of(state) : "", STR_ARG(state),
                colours ? "\033[0m" : "");
    text_printf(t, "%-9.*s %6.*s %8.*s %5.*s  %.*s%s\n", STR_ARG(word(a, node, "kind")),
                STR_ARG(word(a, node, "weight")), STR_ARG(word(a, node, "inflight")), STR_ARG(word(a, node, "slots")),
                STR_ARG(word(a, node, "url")), simulated ? "  (simulated)" : "");
}

static void put_nodes(struct arena *a, struct json nodes, bool colours, struct text *t)
{
    struct json_walk w = json_walk(json_get(nodes, STR("nodes")));
    text_printf(t, "\n%-20s %-9s %-9s %6s %8s %5s  %s\n", "NODE", "STATE", "KIND", "WEIGHT", "INFLIGHT", "SLOTS",
                "URL");
    while (json_next(&w))
        put_node(a, w.value, colours, t);
}

static void put_settings(struct arena *a, struct json settings_set, struct text *t)
{
    struct json_walk w = json_walk(settings_set);
    for (bool first = true; json_next(&w); first = false) {
        struct json key = json_parse(w.key, NULL);
        text_printf(t, "%s  %.*s = %.*s\n", first ? "\nsettings that are not default:\n" : "",
                    STR_ARG(json_text(a, key)),
                    STR_ARG(w.value.kind == JSON_STRING ? json_text(a, w.value) : w.value.raw));
    }
}

static void put_warnings(struct arena *a, struct json warnings, struct text *t)
{
    struct json_walk w = json_walk(warnings);
    for (bool first = true; json_next(&w); first = false)
        if (w.value.kind == JSON_STRING)
            text_printf(t, "%s  %.*s\n", first ? "\nwarnings:\n" : "", STR_ARG(json_text(a, w.value)));
}

static int put_all(const struct place *p, struct json status, struct json nodes)
{
    struct arena a;
    struct text t = { 0 };
    arena_init(&a);
    put_headline(&a, p, status, &t);
    put_nodes(&a, nodes, cli_colours(1), &t);
    put_settings(&a, json_get(status, STR("settings")), &t);
    put_warnings(&a, json_get(status, STR("warnings")), &t);
    arena_done(&a);
    return cli_print(&t);
}

/* Scripts ask by the exit code: every node up, and the gateway not on its way out? */
static bool is_healthy(struct json status)
{
    struct json nodes = json_get(status, STR("nodes"));
    int64_t up = 0, total = 0;
    json_i64(json_get(nodes, STR("up")), &up);
    json_i64(json_get(nodes, STR("total")), &total);
    return up > 0 && up == total && json_get(status, STR("draining")).kind != JSON_TRUE;
}

/* Silent: for health checks of containers, which have no curl. */
static bool takes_work(const struct place *p)
{
    struct buf body = { 0 };
    int status = 0;
    bool good = !ask_place(p, "/readyz", PATIENCE, &status, &body) && status == 200;
    buf_free(&body);
    return good;
}

int cli_status(int argc, char **argv)
{
    bool only_ready = words_take(&argc, argv, "--ready");
    struct buf status_body = { 0 }, nodes_body = { 0 };
    struct json status, nodes;
    struct place p;
    int code;
    if (!place_find(&argc, argv, &p, &code))
        return code;
    if (only_ready)
        return takes_work(&p) ? CLI_GOOD : CLI_FAILED;
    bool told = ask(&p, "/api/status", &status_body, &status) && ask(&p, "/api/nodes", &nodes_body, &nodes);
    bool good = told && put_all(&p, status, nodes) == CLI_GOOD && is_healthy(status);
    buf_free(&status_body);
    buf_free(&nodes_body);
    return good ? CLI_GOOD : CLI_FAILED;
}
