/* A fleet of simulated nodes, each a process, so that one can be killed as a machine fails: without a word.
 *
 * A node that is started again loads the model by itself, as one does that is used by somebody else as well: what is
 * measured is how work comes back to it, not whether the gateway would rather load the model there. */
#include "bench/simfleet.h"

#include "base/buf.h"
#include "base/sys.h"
#include "bench/backend.h"
#include "bench/request.h"
#include "bench/statistics.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define START_PATIENCE SECOND(10)

static enum fail run(struct simfleet *s, struct child *c, const char *name, const char *const *argv)
{
    char state[128], log[160];
    char *env[] = { "PATH=/usr/bin:/bin", "NO_COLOR=1", state, NULL };

    snprintf(state, sizeof state, "STATE_DIRECTORY=%s", s->directory);
    snprintf(log, sizeof log, "%s/%s.log", s->directory, name);
    return child_exec(c, -1, (char *const *)argv, env, log);
}

static enum fail wait_until(struct child *c, uint16_t port, const char *page)
{
    nsec give_up = sys_now() + START_PATIENCE;

    for (;;) {
        struct buf body = { 0 };
        int status = request_get(port, page, &body);
        buf_free(&body);
        if (status == 200)
            return OK;
        if (children_interrupted())
            return FAIL_client_gone;
        if (!child_alive(c) || sys_now() > give_up)
            return FAIL_total_timeout;
        usleep(2000);
    }
}

static void show_log(const struct simfleet *s, const char *name)
{
    char path[160];
    struct buf said = { 0 };

    snprintf(path, sizeof path, "%s/%s.log", s->directory, name);
    if (sys_read_file(path, KIB(64), &said) == OK)
        fprintf(stderr, "ollamamax bench: %s does not start:\n%.*s", name, STR_ARG(buf_str(&said)));
    buf_free(&said);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static enum fail ask_once(struct simfleet *s, uint16_t port, const char *path, const char *json)
{
    struct load_result r;
    struct load_plan p = { .port = port,
                           .connections = 1,
                           .request = request_post(&s->arena, path, json),
                           .requests = 1,
                           .patience = SECOND(10) };
    enum fail f = p.request.n ? load_once(&p, &r) : FAIL_no_memory;
    bool good = !f && r.done == 1;

    if (p.request.n)
        load_result_free(&r);
    return good ? OK : f ? f : FAIL_connect_failed;
}

static enum fail start_node(struct simfleet *s, unsigned i)
{
    char listen[32], slots[16], decode[32], name[16];
    const char *argv[] = { s->program,    "simnode", "--listen",  listen, "--model",  SIMFLEET_MODEL, "--slots", slots,
                           "--load-rate", "0",       "--prefill", "0",    "--decode", decode,         NULL };
    struct simfleet_node *n = &s->node[i];

    snprintf(listen, sizeof listen, "127.0.0.1:%u", n->port);
    snprintf(slots, sizeof slots, "%u", s->slots);
    snprintf(decode, sizeof decode, "%.3f", s->decode * s->speed[i]);
    snprintf(name, sizeof name, "node%u", i);
    enum fail f = run(s, &n->child, name, argv);
    f = f ? f : wait_until(&n->child, n->port, "/api/version");
    if (f == FAIL_total_timeout)
        show_log(s, name);
    return f ? f : ask_once(s, n->port, "/api/generate", "{\"model\":\"" SIMFLEET_MODEL "\",\"stream\":false}");
}

enum fail simfleet_restart(struct simfleet *s, unsigned node)
{
    child_end(&s->node[node].child);
    return start_node(s, node);
}

enum fail simfleet_fault(struct simfleet *s, unsigned node, const char *json)
{
    return ask_once(s, s->node[node].port, "/sim/faults", json);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static enum fail start_front(struct simfleet *s)
{
    char listen[32], node[SIMFLEET_NODES][64];
    const char *argv[12 + 2 * SIMFLEET_NODES] = { s->program, "serve",        "--listen", listen,        "--policy",
                                                  s->policy,  "--log-access", "off",      "--log-level", "warn" };
    unsigned n = 10;

    s->port = backend_free_port();
    snprintf(listen, sizeof listen, "127.0.0.1:%u", s->port);
    for (unsigned i = 0; i < SIMFLEET_NODES; i++) {
        snprintf(node[i], sizeof node[i], "http://127.0.0.1:%u,name=n%u,slots=%u,weight=%g", s->node[i].port, i,
                 s->slots, s->speed[i]);
        argv[n++] = "--node";
        argv[n++] = node[i];
    }
    enum fail f = run(s, &s->front, "gateway", argv);
    f = f ? f : wait_until(&s->front, s->port, "/readyz");
    if (f == FAIL_total_timeout)
        show_log(s, "gateway");
    return f;
}

/* Who is up may not have told yet what it has loaded. */
static enum fail wait_for_all(struct simfleet *s)
{
    nsec give_up = sys_now() + START_PATIENCE;

    while (simfleet_metric(s, "ollamamax_model_loaded", "") < SIMFLEET_NODES) {
        if (children_interrupted())
            return FAIL_client_gone;
        if (sys_now() > give_up)
            return FAIL_total_timeout;
        usleep(20000);
    }
    return OK;
}

enum fail simfleet_open(struct simfleet *s)
{
    const char *temporary = sys_env("TMPDIR");
    enum fail f = OK;

    children_init();
    sys_raise_descriptors();
    arena_init(&s->arena);
    snprintf(s->directory, sizeof s->directory, "%.40s/ollamamax-bench-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(s->directory)) {
        s->directory[0] = 0;
        return FAIL_io_error;
    }
    for (unsigned i = 0; i < SIMFLEET_NODES && !f; i++) {
        s->node[i].port = backend_free_port();
        f = start_node(s, i);
    }
    f = f ? f : start_front(s);
    return f ? f : wait_for_all(s);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

void simfleet_close(struct simfleet *s)
{
    child_end(&s->front);
    for (unsigned i = 0; i < SIMFLEET_NODES; i++)
        child_end(&s->node[i].child);
    if (s->directory[0])
        (void)nftw(s->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_done(&s->arena);
}

double simfleet_metric(const struct simfleet *s, const char *name, const char *labels)
{
    struct buf body = { 0 };
    double sum = 0;

    if (request_get(s->port, "/metrics", &body) == 200)
        for (struct str page = buf_str(&body); page.n;) {
            struct str line = str_cut(&page, '\n'), value = str_drop(line, (size_t)str_rchr(line, ' ') + 1);
            struct str row = str_take(line, line.n - value.n);
            bool named = str_starts(row, str_of(name)) && strchr("{ ", row.p[strlen(name)]);
            if (named && str_find(row, str_of(labels)) >= 0)
                sum += strtod(value.p, NULL);
        }
    buf_free(&body);
    return sum;
}

/* ---- the load ---------------------------------------------------------------------------------------------------- */

struct running {
    struct load_plan plan;
    struct load_sum *sum;
};

static void run_load(void *arg)
{
    struct running *r = arg;
    struct load_sum *s = r->sum;
    struct load_result got;

    s->failed = load_once(&r->plan, &got);
    s->done = got.done, s->wrong = r->plan.requests - got.done;
    s->first_p50 = statistics_percentile(got.first_us, got.done, 0.5) / 1e3;
    s->first_p99 = statistics_percentile(got.first_us, got.done, 0.99) / 1e3;
    s->whole_p50 = statistics_percentile(got.whole_us, got.done, 0.5) / 1e3;
    s->whole_p99 = statistics_percentile(got.whole_us, got.done, 0.99) / 1e3;
    s->whole_max = got.done ? got.whole_us[got.done - 1] / 1e3 : 0;
    s->over = true;
}

enum fail simfleet_load_start(struct simfleet *s, struct simfleet_load *l, const struct load_plan *p)
{
    struct running r = { .plan = *p };

    *l = (struct simfleet_load){ 0 };
    l->sum = mmap(NULL, sizeof *l->sum, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (l->sum == MAP_FAILED) {
        l->sum = NULL;
        return FAIL_no_memory;
    }
    *l->sum = (struct load_sum){ 0 };
    r.sum = l->sum;
    r.plan.port = s->port;
    return child_fork(&l->child, -1, run_load, &r);
}

struct load_sum simfleet_load_end(struct simfleet_load *l)
{
    struct load_sum sum = { .failed = FAIL_no_memory };

    if (!l->sum)
        return sum;
    while (child_alive(&l->child) && !children_interrupted())
        usleep(5000);
    child_end(&l->child);
    sum = *l->sum;
    if (!sum.over)
        sum.failed = FAIL_client_gone;
    munmap(l->sum, sizeof *l->sum);
    l->sum = NULL;
    return sum;
}
