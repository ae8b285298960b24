/* The proxies and how they are set up, one row each.
 *
 * Equal for all: one thread, connections to the node kept and reused, no access log, nothing held back on streams. Ours
 * keeps its records and metrics on, which the peers do not have. HAProxy needs `option http-no-delay`, or it holds
 * small writes back for about 200 ms; nginx needs `proxy_buffering off`, or it collects whole buffers. nginx runs
 * without its master process, so that one process is all of it; it begins to close connections when a sixteenth of
 * worker_connections is left, hence more of them than it can have descriptors. */
#include "bench/way.h"

#include "base/buf.h"
#include "base/sys.h"
#include "bench/backend.h"
#include "bench/request.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARGUMENTS_MAX 16
struct plan {
    const char *name;
    const char *programs[3]; /* where it may be */
    const char *version_flag;
    const char *ready;                    /* a page that is 200 once it can work; NULL: any answer will do */
    const char *configuration;            /* with words to be filled in, see fill(); NULL: arguments only */
    const char *arguments[ARGUMENTS_MAX]; /* likewise */
};

static const char haproxy_configuration[] = "global\n"
                                            "  nbthread 1\n"
                                            "  maxconn 9800\n"
                                            "defaults\n"
                                            "  mode http\n"
                                            "  no log\n"
                                            "  option http-no-delay\n"
                                            "  option http-keep-alive\n"
                                            "  http-reuse always\n"
                                            "  timeout connect 2s\n"
                                            "  timeout client 300s\n"
                                            "  timeout server 300s\n"
                                            "frontend bench\n"
                                            "  bind 127.0.0.1:@port@\n"
                                            "  default_backend node\n"
                                            "backend node\n"
                                            "  server node 127.0.0.1:@node@\n";
static const char nginx_configuration[] =
    "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000;\n"
    "pid @directory@/nginx.pid; error_log @directory@/nginx.log crit;\n"
    "events { worker_connections 24000; }\n"
    "http {\n"
    "  access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s;\n"
    "  client_max_body_size 64m; client_body_buffer_size 1m;\n"
    "  client_body_temp_path @directory@/nginx_body; proxy_temp_path @directory@/nginx_proxy;\n"
    "  fastcgi_temp_path @directory@/nginx_fastcgi; uwsgi_temp_path @directory@/nginx_uwsgi; scgi_temp_path "
    "@directory@/nginx_scgi;\n"
    "  proxy_cache_path @directory@/nginx_cache keys_zone=hits:4m inactive=1h use_temp_path=off;\n"
    "  open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;\n"
    "  upstream node { server 127.0.0.1:@node@; keepalive 256; keepalive_requests 1000000000; }\n"
    "  server {\n"
    "    listen 127.0.0.1:@port@ backlog=4096;\n"
    "    location = /hit {\n"
    "      proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection \"\";\n"
    "      proxy_cache hits; proxy_cache_valid 200 1h;\n"
    "    }\n"
    "    location / {\n"
    "      proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection \"\";\n"
    "      proxy_buffering off; proxy_read_timeout 300s;\n"
    "    }\n"
    "  }\n"
    "}\n";

static const struct plan plans[WAYS] = {
    [WAY_DIRECT] = {.name = "direct"},
    [WAY_OURS] = {    .name = "ollamamax",
                    .version_flag = "version",
                    .ready = "/readyz",
                    .arguments = { "serve", "--listen", "127.0.0.1:@port@", "--workers", "1", "--node",
                                  "http://127.0.0.1:@node@,name=bench,slots=0,kind=ollama", "--log-access", "off",
                                  "--log-level", "warn", "--cache-ttl", "1h" } },
    [WAY_HAPROXY] = { .name = "haproxy",
                    .programs = { "/usr/sbin/haproxy", "/usr/local/sbin/haproxy" },
                    .version_flag = "-v",
                    .configuration = haproxy_configuration,
                    .arguments = { "-db", "-q", "-f", "@file@" } },
    [WAY_NGINX] = {   .name = "nginx",
                    .programs = { "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx" },
                    .version_flag = "-v",
                    .configuration = nginx_configuration,
                    .arguments = { "-c", "@file@" } },
};

const char *way_name(enum way_id id)
{
    return plans[id].name;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* The first number with a dot in what the program says of itself. */
static void read_version(struct way *w)
{
    char command[320], said[256] = "";
    FILE *f;

    snprintf(command, sizeof command, "'%s' %s 2>&1", w->program, plans[w->id].version_flag);
    f = popen(command, "r");
    if (!f)
        return;
    if (!fgets(said, sizeof said, f))
        said[0] = 0;
    pclose(f);
    const char *dot = strchr(said, '.');
    while (dot && dot > said && dot[-1] >= '0' && dot[-1] <= '9')
        dot--;
    if (dot)
        snprintf(w->version, sizeof w->version, "%.*s", (int)strcspn(dot, " -+\n"), dot);
}

void way_find(struct way *w, enum way_id id, const struct way_place *p)
{
    const struct plan *plan = &plans[id];

    *w = (struct way){ .id = id };
    if (id == WAY_DIRECT) {
        w->port = p->node;
        return;
    }
    if (id == WAY_OURS)
        snprintf(w->program, sizeof w->program, "%s", p->gateway);
    for (size_t i = 0; i < ARRAY_LEN(plan->programs) && !w->program[0]; i++)
        if (plan->programs[i] && access(plan->programs[i], X_OK) == 0)
            snprintf(w->program, sizeof w->program, "%s", plan->programs[i]);
    if (w->program[0])
        read_version(w);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* Copies the template; @port@ is the proxy's, @node@ the node's, @directory@ ours to use, @file@ its configuration. */
static void fill(struct text *t, const char *template, const struct way *w, const struct way_place *p, const char *file)
{
    struct str rest = str_of(template);

    while (rest.n) {
        text_put(t, str_cut(&rest, '@'));
        struct str word = str_cut(&rest, '@');
        if (str_eq(word, STR("port")))
            text_u64(t, w->port);
        else if (str_eq(word, STR("node")))
            text_u64(t, p->node);
        else if (str_eq(word, STR("directory")))
            text_put(t, str_of(p->directory));
        else if (str_eq(word, STR("file")))
            text_put(t, str_of(file));
        else
            assume(word.n == 0);
    }
}

static enum fail write_configuration(const struct way *w, const struct way_place *p, const char *file)
{
    struct text t = { 0 };

    if (!plans[w->id].configuration)
        return OK;
    fill(&t, plans[w->id].configuration, w, p, file);
    enum fail f = t.failed ? t.failed : sys_write_file(file, text_str(&t));
    text_free(&t);
    return f;
}

/* An environment of its own: settings of whoever runs the bench must not reach what is measured. */
static enum fail run(struct way *w, const struct way_place *p, const char *file)
{
    char state[320], log[320];
    char *argv[ARGUMENTS_MAX + 2] = { w->program };
    char *env[] = { "PATH=/usr/bin:/bin",
                    "NO_COLOR=1",
                    state,
                    (char *)(uintptr_t)w->setting[0],
                    (char *)(uintptr_t)w->setting[1],
                    NULL };
    struct text filled[ARGUMENTS_MAX] = { 0 };
    enum fail f = OK;

    snprintf(state, sizeof state, "STATE_DIRECTORY=%s", p->directory);
    snprintf(log, sizeof log, "%s/%s.log", p->directory, way_name(w->id));
    for (size_t i = 0; i < ARGUMENTS_MAX && plans[w->id].arguments[i]; i++) {
        fill(&filled[i], plans[w->id].arguments[i], w, p, file);
        text_putc(&filled[i], 0);
        argv[i + 1] = buf_tail(&filled[i].buf) - buf_len(&filled[i].buf);
        f = f ? f : filled[i].failed;
    }
    f = f ? f : child_exec(&w->child, p->cores.proxy, argv, env, log);
    for (size_t i = 0; i < ARGUMENTS_MAX; i++)
        text_free(&filled[i]);
    return f;
}

static bool answers(const struct way *w, const char *page)
{
    struct buf body = { 0 };
    int status = request_get(w->port, page, &body);

    buf_free(&body);
    return status == 200;
}

static enum fail wait_for(struct way *w, const char *page, nsec give_up)
{
    while (!answers(w, page)) {
        if (children_interrupted())
            return FAIL_client_gone;
        if (!child_alive(&w->child) || sys_now() > give_up)
            return FAIL_total_timeout;
        usleep(200);
    }
    return OK;
}

enum fail way_start(struct way *w, const struct way_place *p)
{
    char file[320];

    if (w->id == WAY_DIRECT)
        return OK;
    w->port = backend_free_port();
    snprintf(file, sizeof file, "%s/%s.conf", p->directory, way_name(w->id));
    enum fail f = write_configuration(w, p, file);
    nsec began = sys_now();
    f = f ? f : run(w, p, file);
    f = f ? f : wait_for(w, "/livez", began + SECOND(5));
    w->answered = sys_now() - began;
    if (!f && plans[w->id].ready)
        f = wait_for(w, plans[w->id].ready, began + SECOND(10));
    if (f)
        way_stop(w);
    return f;
}

void way_stop(struct way *w)
{
    child_end(&w->child);
}

/* ---- asking it about itself -------------------------------------------------------------------------------------- */

static double number_of(struct str text)
{
    char z[64];

    snprintf(z, sizeof z, "%.*s", STR_ARG(text));
    return strtod(z, NULL);
}

double way_metric(const struct way *w, const char *name)
{
    struct buf body = { 0 };
    double value = NAN;

    if (request_get(w->port, "/metrics", &body) == 200)
        for (struct str page = buf_str(&body); page.n;) {
            struct str line = str_cut(&page, '\n');
            if (str_eq(str_cut(&line, ' '), str_of(name)))
                value = number_of(line);
        }
    buf_free(&body);
    return value;
}
