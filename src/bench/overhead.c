/* The overhead of a gateway, measured in pairs.
 *
 *      load --------------------------> node        direct
 *      load -----> proxy -------------> node        ours, HAProxy, nginx: each alone on its core
 *
 * Every round has four phases, and each of them walks all ways, the first of which moves on with each round: what is
 * compared lies seconds apart, as machines in clouds are quicker at one moment than at the next.
 *
 *      chat     16 connections, open loop, Poisson: 1 KB up, 310 bytes down        latency and CPU
 *      prompt   the same with 96 KB up                                             CPU
 *      paced    64 streams, a record each 20 ms                                    first record and CPU
 *      burst    8 streams,  records as fast as the node writes                     CPU
 *
 * All ways get one rate: half of what the slowest can do in a closed loop, or less if requests pile up then, found at
 * the start. Taking each way's own capacity was rejected: a proxy that is asked more often sleeps less, and its CPU per
 * request falls for that reason. What a process takes while nothing is asked (start, memory, memory per open stream) is
 * measured on fresh ones. */
#include "bench/overhead.h"

#include "base/sys.h"
#include "bench/load.h"
#include "bench/request.h"
#include "bench/rig.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum row_no {
    CHAT_P50,
    CHAT_P90,
    CHAT_P99,
    CHAT_P999,
    FIRST_P50,
    FIRST_P99,
    CPU_CHAT,
    CPU_PROMPT,
    CPU_PACED,
    CPU_BURST,
    START,
    RSS_IDLE,
    RSS_STREAM,
    LOCK_TAKES,
    LOCK_WAITS,
    HOPS,
    FAILED,
    ROWS
};
static const struct promise promises[ROWS] = {
    [CHAT_P50] = {"added_p50_us",              "added p50",                "us", OF_RATIO_TO_HAPROXY, AT_MOST, 1.0,  0   },
    [CHAT_P90] = { "added_p90_us",             "added p90",                "us", OF_NOTHING,          AT_MOST, 0,    0   },
    [CHAT_P99] = { "added_p99_us",             "added p99",                "us", OF_RATIO_TO_HAPROXY, AT_MOST, 1.1,  0   },
    [CHAT_P999] = { "added_p999_us",            "added p99.9",              "us", OF_NOTHING,          AT_MOST, 0,    0   },
    [FIRST_P50] = { "added_first_token_us",     "added first token p50",    "us", OF_ITSELF,           BELOW,   1000, 0   },
    [FIRST_P99] = { "added_first_token_p99_us", "added first token p99",    "us", OF_NOTHING,          AT_MOST, 0,    0   },
    [CPU_CHAT] = { "cpu_chat_us",              "CPU per 1 KB chat",        "us", OF_RATIO_TO_HAPROXY, AT_MOST, 1.0,  0.9 },
    [CPU_PROMPT] = { "cpu_prompt_us",            "CPU per 96 KB prompt",     "us", OF_RATIO_TO_HAPROXY, AT_MOST, 1.0,  0   },
    [CPU_PACED] = { "cpu_paced_us",             "CPU per paced chunk",      "us", OF_RATIO_TO_HAPROXY, AT_MOST, 0.9,  0.75},
    [CPU_BURST] = { "cpu_burst_us",             "CPU per burst chunk",      "us", OF_RATIO_TO_HAPROXY, AT_MOST, 0.6,  0   },
    [START] = { "start_to_livez_ms",        "/livez after start",       "ms", OF_ITSELF,           BELOW,   50,   0   },
    [RSS_IDLE] = { "rss_idle_mb",              "RSS idle",                 "MB", OF_ITSELF,           BELOW,   12,   0   },
    [RSS_STREAM] = { "rss_stream_kb",            "RSS per open stream",      "KB", OF_ITSELF,           BELOW,   15,   0   },
    [LOCK_TAKES] = { "lock_takes",               "fleet lock takes/request", "1",  OF_NOTHING,          AT_MOST, 0,    0   },
    [LOCK_WAITS] = { "lock_waits",               "fleet lock waits/request", "1",  OF_NOTHING,          AT_MOST, 0,    0   },
    [HOPS] = { "thread_hops",              "thread hops/request",      "1",  OF_NOTHING,          AT_MOST, 0,    0   },
    [FAILED] = { "failed",                   "failed answers",           "1",  OF_ITSELF,           AT_MOST, 0,    0   },
};
static struct row rows[ROWS];

/* How much of everything. */
#define CONNECTIONS 16
#define STREAMS     64
#define BURSTS      8 /* at once: with more, the node's one core cannot write several records a millisecond to each */
#define LOAD_SHARE  0.5
#define PILED_UP_US 500
#define HELD        9500
struct size {
    nsec chat, prompt, calibration, settling;
    unsigned records, bursts_per_connection, held;
    double streams_per_second;
};
static const struct size whole = { SECOND(2), SECOND(1), MSEC(500), MSEC(800), 51, 16, HELD, 64 };
static const struct size quick = { MSEC(400), MSEC(200), MSEC(100), MSEC(200), 26, 4, 1000, 256 };

struct overhead {
    const struct size *size;
    struct report *report;
    struct rig rig;
    struct arena arena;
    struct str chat, prompt, paced, burst, held;
    double chat_rate, prompt_rate; /* per second */
    unsigned round;
    bool tell;
};

static void tell(const struct overhead *o, const char *what, const char *way)
{
    if (o->tell)
        fprintf(stderr, "round %u of %u: %-10s %s\n", o->round + 1, o->report->rounds, way, what);
}

static double *sample(const struct overhead *o, enum row_no row, enum way_id way)
{
    return &rows[row].sample[way][o->round];
}

/* ---- phases ------------------------------------------------------------------------------------------------------ */

/* What all plans have in common. Everything in a round comes at the same moments on all ways. */
static struct load_plan plan_for(const struct overhead *o, const struct way *w)
{
    return (struct load_plan){ .port = w->port,
                               .connections = CONNECTIONS,
                               .shape = ARRIVAL_POISSON,
                               .seed = o->round + 1,
                               .patience = SECOND(10),
                               .charge = w->id == WAY_DIRECT ? NULL : &w->child };
}

static enum fail run(struct overhead *o, const struct way *w, const struct load_plan *p, struct load_result *out)
{
    enum fail f = load_once(p, out);
    double *failed = sample(o, FAILED, w->id);

    *failed = (isnan(*failed) ? 0 : *failed) + (double)out->failed;
    return f;
}

static void note_cpu(struct overhead *o, const struct way *w, enum row_no row, nsec cpu, uint64_t pieces)
{
    if (w->id != WAY_DIRECT && pieces)
        *sample(o, row, w->id) = (double)cpu / 1e3 / (double)pieces;
}

/* For now the whole time; what is added follows when all ways of the round are known. */
static void note_time(struct overhead *o, const struct way *w, enum row_no row, const double *us, uint64_t n, double q)
{
    *sample(o, row, w->id) = statistics_percentile(us, n, q);
}

static const char *const counters[] = { "ollamamax_fleet_lock_takes_total", "ollamamax_fleet_lock_waits_total",
                                        "ollamamax_thread_hops_total" };
static void read_counters(const struct way *w, double out[ARRAY_LEN(counters)])
{
    for (size_t i = 0; i < ARRAY_LEN(counters); i++)
        out[i] = w->id == WAY_OURS ? way_metric(w, counters[i]) : NAN;
}

static void note_counters(struct overhead *o, const struct way *w, const double *before, uint64_t requests)
{
    double after[ARRAY_LEN(counters)];

    read_counters(w, after);
    for (size_t i = 0; i < ARRAY_LEN(counters) && requests; i++)
        *sample(o, LOCK_TAKES + (enum row_no)i, w->id) = (after[i] - before[i]) / (double)requests;
}

static enum fail measure_chat(struct overhead *o, const struct way *w)
{
    static const struct {
        enum row_no row;
        double share;
    } percentiles[] = {
        {CHAT_P50,   0.5  },
        { CHAT_P90,  0.9  },
        { CHAT_P99,  0.99 },
        { CHAT_P999, 0.999}
    };
    struct load_plan p = plan_for(o, w);
    struct load_result r;
    double before[ARRAY_LEN(counters)];

    p.request = p.warm = o->chat;
    p.rate = o->chat_rate;
    p.requests = (uint64_t)(p.rate * (double)o->size->chat / 1e9);
    read_counters(w, before);
    enum fail f = run(o, w, &p, &r);
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        note_time(o, w, percentiles[i].row, r.whole_us, r.done, percentiles[i].share);
    note_cpu(o, w, CPU_CHAT, r.cpu, r.done);
    note_counters(o, w, before, r.done + CONNECTIONS);
    load_result_free(&r);
    return f;
}

static enum fail measure_prompt(struct overhead *o, const struct way *w)
{
    struct load_plan p = plan_for(o, w);
    struct load_result r;

    p.request = p.warm = o->prompt;
    p.rate = o->prompt_rate;
    p.requests = (uint64_t)(p.rate * (double)o->size->prompt / 1e9);
    enum fail f = run(o, w, &p, &r);
    note_cpu(o, w, CPU_PROMPT, r.cpu, r.done);
    load_result_free(&r);
    return f;
}

static enum fail measure_paced(struct overhead *o, const struct way *w)
{
    struct load_plan p = plan_for(o, w);
    struct load_result r;

    p.connections = STREAMS;
    p.requests = STREAMS;
    p.request = o->paced;
    p.warm = o->burst;
    p.rate = o->size->streams_per_second;
    enum fail f = run(o, w, &p, &r);
    note_time(o, w, FIRST_P50, r.first_us, r.done, 0.5);
    note_time(o, w, FIRST_P99, r.first_us, r.done, 0.99);
    note_cpu(o, w, CPU_PACED, r.cpu, r.records);
    load_result_free(&r);
    return f;
}

static enum fail measure_burst(struct overhead *o, const struct way *w)
{
    struct load_plan p = plan_for(o, w);
    struct load_result r;

    if (w->id == WAY_DIRECT)
        return OK;
    p.connections = BURSTS;
    p.requests = (uint64_t)STREAMS * o->size->bursts_per_connection;
    p.request = p.warm = o->burst;
    enum fail f = run(o, w, &p, &r);
    note_cpu(o, w, CPU_BURST, r.cpu, r.records);
    load_result_free(&r);
    return f;
}

static const struct phase {
    const char *name;
    enum fail (*measure)(struct overhead *o, const struct way *w);
} phases[] = {
    {"chat",    measure_chat  },
    { "prompt", measure_prompt},
    { "paced",  measure_paced },
    { "burst",  measure_burst },
};

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static void subtract_direct(struct overhead *o)
{
    for (unsigned row = CHAT_P50; row <= FIRST_P99; row++)
        for (unsigned w = WAY_OURS; w < WAYS; w++)
            *sample(o, row, w) -= *sample(o, row, WAY_DIRECT);
}

static enum fail walk_ways(struct overhead *o, const struct phase *phase)
{
    enum fail f = OK;

    for (unsigned i = 0; i < WAYS && !f; i++) {
        enum way_id id = (o->round + i) % WAYS;
        if (!report_has(o->report, id))
            continue;
        tell(o, phase->name, way_name(id));
        f = phase->measure(o, &o->report->way[id]);
    }
    return f;
}

static enum fail walk_rounds(struct overhead *o)
{
    enum fail f = OK;

    for (o->round = 0; o->round < o->report->rounds && !f; o->round++) {
        for (size_t i = 0; i < ARRAY_LEN(phases) && !f; i++)
            f = walk_ways(o, &phases[i]);
        subtract_direct(o);
    }
    o->round = 0;
    return f;
}

/* ---- rates ------------------------------------------------------------------------------------------------------- */

/* Answers per second in a closed loop, in two steps: a few requests tell how many fill the time. */
static enum fail capacity(struct overhead *o, const struct way *w, struct str request, double *out)
{
    struct load_plan p = plan_for(o, w);
    struct load_result r;
    enum fail f = OK;

    p.request = p.warm = request;
    p.requests = 400;
    for (unsigned step = 0; step < 2 && !f; step++) {
        f = load_once(&p, &r);
        *out = r.took > 0 ? (double)r.done * 1e9 / (double)r.took : 0;
        p.requests = MAX((uint64_t)(*out * (double)o->size->calibration / 1e9), 100);
        load_result_free(&r);
    }
    return f;
}

static enum fail slowest_capacity(struct overhead *o, struct str request, double *out)
{
    *out = INFINITY;
    for (unsigned id = 0; id < WAYS; id++) {
        double of_way;
        if (!report_has(o->report, id))
            continue;
        enum fail f = capacity(o, &o->report->way[id], request, &of_way);
        if (f)
            return f;
        *out = MIN(*out, of_way);
    }
    return OK;
}

/* The median time, on the way where it is longest. */
static enum fail slowest_median(struct overhead *o, struct str request, double rate, double *out_us)
{
    enum fail f = OK;

    *out_us = 0;
    for (unsigned id = 0; id < WAYS && !f; id++) {
        struct load_plan p = plan_for(o, &o->report->way[id]);
        struct load_result r;
        if (!report_has(o->report, id))
            continue;
        p.request = p.warm = request;
        p.rate = rate;
        p.requests = (uint64_t)(rate * (double)o->size->calibration / 1e9) + 10;
        f = load_once(&p, &r);
        *out_us = MAX(*out_us, statistics_percentile(r.whole_us, r.done, 0.5));
        load_result_free(&r);
    }
    return f;
}

/* A closed loop flatters: with all connections busy, one wake-up serves several requests. So the rate is tried, and
 * lowered as long as requests pile up on any way. The median tells: a pause of the machine does not move it. */
static enum fail find_rate(struct overhead *o, struct str request, double *out_rate)
{
    double slowest, median = 0;
    enum fail f = slowest_capacity(o, request, &slowest);

    *out_rate = MAX(slowest * LOAD_SHARE, 1);
    for (unsigned tries = 0; tries < 4 && !f; tries++) {
        f = slowest_median(o, request, *out_rate, &median);
        if (median < PILED_UP_US)
            break;
        *out_rate *= 0.7;
    }
    return f;
}

/* ---- starts and memory ------------------------------------------------------------------------------------------- */

static void settle(const struct overhead *o)
{
    usleep((useconds_t)(o->size->settling / 1000));
}

static unsigned streams_to_hold(const struct overhead *o)
{
    size_t spare = 700; /* of each process, for all else */
    size_t possible = o->rig.descriptors > spare ? (o->rig.descriptors - spare) / 2 : 0;

    return (unsigned)MAX(MIN(possible, o->size->held), 1);
}

/* Streams that have said their first record and then wait, as those of a slow model do. */
static enum fail hold_streams(struct overhead *o, const struct way *w, size_t idle)
{
    struct load_plan p = plan_for(o, w);
    struct load_result r = { 0 };

    p.connections = streams_to_hold(o);
    p.requests = p.connections;
    p.request = o->held;
    p.rate = 4000;
    p.hold = true;
    struct load *l = load_new(&p);
    enum fail f = l ? load_run(l, &r) : FAIL_no_memory;
    settle(o);
    size_t full = child_rss(&w->child);
    if (r.done == p.requests)
        *sample(o, RSS_STREAM, w->id) = ((double)full - (double)idle) / (double)r.done / 1024;
    *sample(o, FAILED, w->id) += (double)(p.requests - r.done);
    load_result_free(&r);
    load_free(&l);
    return f;
}

static enum fail measure_start(struct overhead *o, struct way *w, bool with_streams)
{
    enum fail f = way_start(w, &o->rig.place);

    if (f)
        return f;
    *sample(o, START, w->id) = (double)w->answered / 1e6;
    settle(o);
    size_t idle = child_rss(&w->child);
    *sample(o, RSS_IDLE, w->id) = (double)idle / 1e6;
    if (with_streams)
        f = hold_streams(o, w, idle);
    way_stop(w);
    return f;
}

static enum fail walk_starts(struct overhead *o)
{
    enum fail f = OK;

    for (o->round = 0; o->round < o->report->rounds && !f; o->round++)
        for (unsigned id = WAY_OURS; id < WAYS && !f; id++)
            if (report_has(o->report, id) && (id == WAY_OURS || o->round == 0)) {
                tell(o, o->round == 0 ? "start and open streams" : "start", way_name(id));
                f = measure_start(o, &o->report->way[id], o->round == 0);
            }
    o->round = 0;
    return f;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static enum fail make_requests(struct overhead *o)
{
    o->chat = request_chat(&o->arena, BACKEND_CHAT, KIB(1));
    o->prompt = request_chat(&o->arena, BACKEND_CHAT, KIB(96));
    o->paced = request_chat(&o->arena, BACKEND_PACED, KIB(1));
    o->burst = request_chat(&o->arena, BACKEND_BURST, KIB(1));
    o->held = request_chat(&o->arena, BACKEND_HELD, KIB(1));
    return o->chat.n && o->prompt.n && o->paced.n && o->burst.n && o->held.n ? OK : FAIL_no_memory;
}

/* A peer that cannot be started is not measured; ours must. */
static enum fail start_ways(struct overhead *o, const struct bench_options *options)
{
    const bool wanted[WAYS] = { true, true, options->haproxy, options->nginx };

    for (unsigned id = 0; id < WAYS; id++) {
        struct way *w = &o->report->way[id];
        if (wanted[id])
            way_find(w, id, &o->rig.place);
        if (!wanted[id] || !report_has(o->report, id))
            continue;
        enum fail f = way_start(w, &o->rig.place);
        if (f == FAIL_client_gone)
            return f;
        if (f) {
            rig_show_log(&o->rig, w);
            fprintf(stderr, "ollamamax bench: %s does not start; what it said is above\n", way_name(id));
            w->program[0] = 0;
        }
        if (f && id == WAY_OURS)
            return f;
    }
    return OK;
}

static void state_facts(struct overhead *o)
{
    const struct cores *c = &o->rig.place.cores;
    struct report *r = o->report;

    report_fact(r, "rounds", "%u", r->rounds);
    report_fact(r, "connections", "%d", CONNECTIONS);
    report_fact(r, "chat rate", "%.0f/s", o->chat_rate);
    report_fact(r, "prompt rate", "%.0f/s", o->prompt_rate);
    report_fact(r, "streams", "%d of %u records", STREAMS, o->size->records);
    report_fact(r, "open streams", "%u", streams_to_hold(o));
    if (c->proxy >= 0)
        report_fact(r, "cores", "proxy %d, load %d, node %d of %u", c->proxy, c->load, c->node, c->all);
    else
        report_fact(r, "cores", "%u, not pinned", c->all);
}

static enum fail measure(struct overhead *o, const struct bench_options *options)
{
    enum fail f = rig_open(&o->rig, options->gateway, o->size->records);

    f = f ? f : make_requests(o);
    f = f ? f : start_ways(o, options);
    f = f ? f : find_rate(o, o->chat, &o->chat_rate);
    f = f ? f : find_rate(o, o->prompt, &o->prompt_rate);
    state_facts(o);
    f = f ? f : walk_rounds(o);
    for (unsigned id = 0; id < WAYS; id++)
        way_stop(&o->report->way[id]);
    return f ? f : walk_starts(o);
}

enum fail overhead_run(const struct bench_options *options, struct report *out)
{
    struct overhead o = { .size = options->quick ? &quick : &whole, .report = out, .tell = isatty(STDERR_FILENO) };

    assume(options->rounds > 0 && options->rounds <= REPORT_ROUNDS_MAX);
    *out = (struct report){ .bench = "overhead", .rounds = options->rounds, .rows = ROWS, .row = rows };
    for (unsigned i = 0; i < ROWS; i++)
        row_init(&rows[i], &promises[i]);
    arena_init(&o.arena);
    enum fail f = measure(&o, options);
    rig_close(&o.rig);
    arena_done(&o.arena);
    return f;
}
