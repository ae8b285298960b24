/* The pools on and off, by the switch that people have (memory.pools), in one run:
 *
 *     gateway, pools on   -- requests --> how often did it ask malloc, how much CPU
 *     gateway, pools off  -- requests --> the same; and what it took and gave back, one after another, is recorded
 *     the recorded sequence           --> here, once with pools, once with malloc, timed
 *     both under callgrind            --> instructions inside malloc, calloc, realloc and free
 *     streams that come and go        --> what stays resident of what is not used any more
 *
 * The gateway counts its calls of malloc by itself (base/heap.h). Now and then it allocates beside requests: a snapshot
 * of the fleet each second. What it does so while idle is subtracted. */
#include "bench/memory_bench.h"

#include "base/slab.h"
#include "base/sys.h"
#include "bench/bench.h"
#include "bench/load.h"
#include "bench/memory_churn.h"
#include "bench/pool_trace.h"
#include "bench/request.h"
#include "bench/rig.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum row_no {
    TAKES_ON,
    TAKES_STREAM,
    TAKES_OFF,
    POOLS_NS,
    MALLOC_NS,
    SAVED,
    CPU_ON,
    CPU_OFF,
    INSTRUCTIONS_ON,
    INSTRUCTIONS_OFF,
    CHURN_ON,
    CHURN_OFF,
    ROWS
};
static const struct promise promises[ROWS] = {
    [TAKES_ON] = {"heap_takes",         "malloc per 1,000 requests", "1",  OF_ITSELF,  AT_MOST,  1,  0},
    [TAKES_STREAM] = { "heap_takes_stream", "malloc per 1,000 streams",  "1",  OF_ITSELF,  AT_MOST,  1,  0},
    [TAKES_OFF] = { "heap_takes_off",    "the same, pools off",       "1",  OF_NOTHING, AT_MOST,  0,  0},
    [POOLS_NS] = { "pools_ns",          "a request's, by pools",     "ns", OF_NOTHING, AT_MOST,  0,  0},
    [MALLOC_NS] = { "malloc_ns",         "a request's, by malloc",    "ns", OF_NOTHING, AT_MOST,  0,  0},
    [SAVED] = { "saved",             "saved by the pools",        "%",  OF_ITSELF,  AT_LEAST, 80, 0},
    [CPU_ON] = { "cpu_on_us",         "CPU per request",           "us", OF_NOTHING, AT_MOST,  0,  0},
    [CPU_OFF] = { "cpu_off_us",        "the same, pools off",       "us", OF_NOTHING, AT_MOST,  0,  0},
    [INSTRUCTIONS_ON] = { "instructions_on",   "instructions in malloc",    "1",  OF_ITSELF,  AT_MOST,  10, 0},
    [INSTRUCTIONS_OFF] = { "instructions_off",  "the same, pools off",       "1",  OF_NOTHING, AT_MOST,  0,  0},
    [CHURN_ON] = { "resident_on",       "resident/live, churned",    "1",  OF_NOTHING, AT_MOST,  0,  0},
    [CHURN_OFF] = { "resident_off",      "the same, pools off",       "1",  OF_NOTHING, AT_MOST,  0,  0},
};
static struct row rows[ROWS];

struct size {
    uint64_t requests;
    unsigned passes, streams;
    bool callgrind;
};
static const struct size whole = { 20000, 400, 4000, true };
static const struct size quick = { 4000, 100, 1000, false };
#define CONNECTIONS 16
#define IDLE_S      4
#define RECORDED    400 /* requests of a sequence */
#define COUNTED     500 /* and under callgrind */

struct memory_bench {
    const struct size *size;
    struct report *report;
    struct rig rig;
    struct arena arena;
    struct str chat, burst;
    struct pool_sequence *sequence;
    unsigned round, events;
    bool tell;
};

static void note(const struct memory_bench *b, enum row_no row, double value)
{
    rows[row].sample[WAY_OURS][b->round] = value;
}

static void tell(const struct memory_bench *b, const char *what)
{
    if (b->tell)
        fprintf(stderr, "round %u of %u: %s\n", b->round + 1, b->report->rounds, what);
}

/* ---- requests to a running gateway ------------------------------------------------------------------------------- */

static enum fail send_requests(struct way *w, struct str request, uint64_t n, unsigned connections, nsec *out_cpu)
{
    struct load_plan p = { .port = w->port,
                           .connections = connections,
                           .request = request,
                           .requests = n,
                           .seed = 1,
                           .patience = SECOND(120),
                           .charge = &w->child };
    struct load_result r;
    enum fail f = load_once(&p, &r);
    f = f ? f : r.failed ? FAIL_upstream_error : OK;
    *out_cpu = r.cpu;
    load_result_free(&r);
    return f;
}

static double takes(const struct way *w)
{
    return way_metric(w, "ollamamax_heap_takes_total");
}

/* What it takes by itself, a second; the page that says so takes some too. */
static double takes_when_idle(const struct way *w, double *out_page)
{
    double first = takes(w);
    *out_page = takes(w) - first;
    first = takes(w);
    usleep(IDLE_S * 1000000);
    return (takes(w) - first - *out_page) / IDLE_S;
}

static enum fail count_takes(struct memory_bench *b, struct way *w, struct str request, enum row_no row,
                             enum row_no cpu_row)
{
    double page, idle;
    nsec cpu;
    enum fail f = send_requests(w, request, b->size->requests / 4, CONNECTIONS, &cpu); /* until all is warm */
    if (f)
        return f;
    idle = takes_when_idle(w, &page);
    double before = takes(w);
    nsec began = sys_now();
    f = send_requests(w, request, b->size->requests, CONNECTIONS, &cpu);
    double took = (double)(sys_now() - began) / 1e9, n = (double)b->size->requests;
    note(b, row, 1000 * fmax(takes(w) - before - page - idle * took, 0) / n);
    if (cpu_row != ROWS)
        note(b, cpu_row, (double)cpu / 1e3 / n);
    return f;
}

/* ---- on and off -------------------------------------------------------------------------------------------------- */

static enum fail run_on(struct memory_bench *b)
{
    struct way *w = &b->report->way[WAY_OURS];
    w->setting[0] = w->setting[1] = NULL;
    tell(b, "pools on");
    enum fail f = way_start(w, &b->rig.place);
    f = f ? f : count_takes(b, w, b->chat, TAKES_ON, CPU_ON);
    f = f ? f : count_takes(b, w, b->burst, TAKES_STREAM, ROWS);
    way_stop(w);
    return f;
}

static enum fail record(struct memory_bench *b, struct way *w, const char *file)
{
    nsec cpu;
    struct pool_trace *t = pool_trace_open(file);
    if (!t)
        return FAIL_io_error;
    size_t from = pool_trace_events(t);
    enum fail f = send_requests(w, b->chat, RECORDED, CONNECTIONS, &cpu);
    size_t to = pool_trace_events(t);
    b->events = (unsigned)(to - from);
    b->sequence = f ? NULL : pool_sequence_new(t, from, to);
    pool_trace_close(&t);
    return f ? f : b->sequence ? OK : FAIL_no_memory;
}

static enum fail run_off(struct memory_bench *b)
{
    char file[128], variable[192];
    struct way *w = &b->report->way[WAY_OURS];
    snprintf(file, sizeof file, "%s/pools.trace", b->rig.directory);
    snprintf(variable, sizeof variable, POOL_TRACE_VARIABLE "=%s", file);
    w->setting[0] = "OLLAMAMAX_MEMORY_POOLS=off";
    w->setting[1] = b->sequence ? NULL : variable;
    tell(b, "pools off");
    enum fail f = way_start(w, &b->rig.place);
    if (!f && !b->sequence)
        f = record(b, w, file);
    f = f ? f : count_takes(b, w, b->chat, TAKES_OFF, CPU_OFF);
    way_stop(w);
    return f;
}

/* In turns, so that a pause of the machine meets all of them. What going through the sequence costs is taken off both.
 */
static void replay(struct memory_bench *b)
{
    double ns[] = { [POOL_POOLS] = 0, [POOL_MALLOC] = 0, [POOL_NOTHING] = 0 };
    tell(b, "the recorded sequence");
    for (unsigned i = 0; i < 4 * ARRAY_LEN(ns); i++) {
        enum pool_kind by = (i + b->round) % ARRAY_LEN(ns);
        ns[by] += pool_sequence_ns(b->sequence, by, b->size->passes) / 4 / RECORDED;
    }
    double pools = ns[POOL_POOLS] - ns[POOL_NOTHING], heap = ns[POOL_MALLOC] - ns[POOL_NOTHING];
    note(b, POOLS_NS, pools);
    note(b, MALLOC_NS, heap);
    note(b, SAVED, 100 * (1 - pools / heap));
}

static void run_churn(struct memory_bench *b)
{
    tell(b, "churn");
    note(b, CHURN_ON, memory_churn(true, b->size->streams, b->round + 1));
    note(b, CHURN_OFF, memory_churn(false, b->size->streams, b->round + 1));
}

/* ---- callgrind --------------------------------------------------------------------------------------------------- */

#define VALGRIND "/usr/bin/valgrind"

static enum fail wait_until_ready(struct way *w)
{
    nsec give_up = sys_now() + SECOND(90);
    for (int status = 0; status != 200;) {
        struct buf body = { 0 };
        usleep(20000);
        status = request_get(w->port, "/readyz", &body);
        buf_free(&body);
        if (children_interrupted() || !child_alive(&w->child) || sys_now() > give_up)
            return FAIL_total_timeout;
    }
    return OK;
}

/* It writes its figures when it ends, so it is given the time for that. */
static void end_slowly(struct way *w)
{
    nsec give_up = sys_now() + SECOND(30);
    kill(w->child.pid, SIGTERM);
    while (child_alive(&w->child) && sys_now() < give_up)
        usleep(10000);
    way_stop(w);
}

static double read_total(const char *file)
{
    struct buf b = { 0 };
    uint64_t total = 0;
    if (!sys_read_file(file, MIB(64), &b))
        for (struct str rest = buf_str(&b); rest.n;) {
            struct str line = str_cut(&rest, '\n');
            if (str_starts(line, STR("totals: ")))
                str_u64(str_trim(str_drop(line, 8)), &total);
        }
    buf_free(&b);
    return total ? (double)total : NAN;
}

static double instructions(struct memory_bench *b, bool pools, uint64_t requests)
{
    char file[128], out[192], log[128], listen[32], node[64];
    struct way w = { .id = WAY_OURS, .port = backend_free_port() };
    nsec cpu;
    snprintf(file, sizeof file, "%s/callgrind.out", b->rig.directory);
    snprintf(out, sizeof out, "--callgrind-out-file=%s", file);
    snprintf(log, sizeof log, "%s/callgrind.log", b->rig.directory);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", w.port);
    snprintf(node, sizeof node, "http://127.0.0.1:%u,name=bench,slots=0,kind=ollama", b->rig.place.node);
    char *argv[] = { VALGRIND,
                     "--quiet",
                     "--tool=callgrind",
                     "--collect-atstart=no",
                     "--toggle-collect=malloc",
                     "--toggle-collect=calloc",
                     "--toggle-collect=realloc",
                     "--toggle-collect=free",
                     out,
                     (char *)(uintptr_t)b->rig.place.gateway,
                     "serve",
                     "--workers",
                     "1",
                     "--listen",
                     listen,
                     "--node",
                     node,
                     "--log-access",
                     "off",
                     "--log-level",
                     "warn",
                     "--memory-pools",
                     pools ? "on" : "off",
                     NULL };
    char *env[] = { "PATH=/usr/bin:/bin", "NO_COLOR=1", NULL };
    enum fail f = child_exec(&w.child, b->rig.place.cores.proxy, argv, env, log);
    f = f ? f : wait_until_ready(&w);
    f = f ? f : send_requests(&w, b->chat, requests, 4, &cpu);
    end_slowly(&w);
    double total = f ? NAN : read_total(file);
    unlink(file);
    return total;
}

/* The difference of two runs: what a start costs, and what goes on beside requests for about as long, falls out. */
static void run_callgrind(struct memory_bench *b)
{
    if (!b->size->callgrind || access(VALGRIND, X_OK))
        return;
    for (unsigned on = 0; on < 2; on++) {
        tell(b, on ? "callgrind, pools on" : "callgrind, pools off");
        double few = instructions(b, on, COUNTED), many = instructions(b, on, 3 * COUNTED);
        note(b, on ? INSTRUCTIONS_ON : INSTRUCTIONS_OFF, fmax(many - few, 0) / (2 * COUNTED));
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static enum fail walk(struct memory_bench *b)
{
    enum fail f = OK;
    for (b->round = 0; b->round < b->report->rounds && !f; b->round++) {
        f = run_on(b);
        f = f ? f : run_off(b);
        if (f)
            return f;
        replay(b);
        run_churn(b);
        if (b->round == 0)
            run_callgrind(b);
    }
    return f;
}

static enum fail measure(struct memory_bench *b, const struct bench_options *options)
{
    enum fail f = rig_open(&b->rig, options->gateway, 51);
    if (f)
        return f;
    sys_set_worker_no(0); /* replays take as a worker takes */
    way_find(&b->report->way[WAY_OURS], WAY_OURS, &b->rig.place);
    b->chat = request_chat(&b->arena, BACKEND_CHAT, KIB(1));
    b->burst = request_chat(&b->arena, BACKEND_BURST, KIB(1));
    return b->chat.n && b->burst.n ? walk(b) : FAIL_no_memory;
}

static void state_facts(const struct memory_bench *b)
{
    struct report *r = b->report;
    report_fact(r, "rounds", "%u", r->rounds);
    report_fact(r, "requests", "%llu on %d connections", (unsigned long long)b->size->requests, CONNECTIONS);
    report_fact(r, "recorded", "%d requests, %u takes and gives", RECORDED, b->events);
    report_fact(r, "callgrind", "%s",
                !b->size->callgrind      ? "not with --quick"
                : access(VALGRIND, X_OK) ? "not here"
                                         : VALGRIND);
}

enum fail memory_bench_run(const struct bench_options *options, struct report *out)
{
    struct memory_bench b = { .size = options->quick ? &quick : &whole, .report = out, .tell = isatty(STDERR_FILENO) };
    *out = (struct report){ .bench = "memory", .rounds = options->rounds, .rows = ROWS, .row = rows, .alone = true };
    out->note = "malloc: less what the gateway takes by itself while idle (a snapshot each second). By pools, by\n"
                "malloc: what chats took and gave back, pieces of arenas too, repeated without what lay between.\n"
                "Churned: nine of ten streams have gone, idle memory has been given back.\n";
    for (unsigned i = 0; i < ROWS; i++)
        row_init(&rows[i], &promises[i]);
    arena_init(&b.arena);
    enum fail f = measure(&b, options);
    state_facts(&b);
    pool_sequence_free(&b.sequence);
    rig_close(&b.rig);
    arena_done(&b.arena);
    return f;
}
