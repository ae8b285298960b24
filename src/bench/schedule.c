/* Policies side by side.
 *
 *      traces ──> simulate, the gateway's own scheduler on a virtual clock ──> first tokens, loads, prefixes, spread
 *      Poisson ─> 8 live simulated nodes of uneven speed behind a gateway   ──> the same policies, in real time
 *      asks ────> the scheduler alone                                       ──> what a decision costs
 *
 * One table says under which conditions requests come, another what is looked at in the outcome; a run is made when
 * the first row asks for it. Conditions are those of docs/scheduling-figures.md. Without traces the promises, which
 * were made for them, are not run; the policies are then compared on drawn requests at the same load. */
#include "bench/schedule.h"

#include "base/sys.h"
#include "bench/bench.h"
#include "bench/decision_cost.h"
#include "bench/report.h"
#include "bench/request.h"
#include "bench/simfleet.h"
#include "sim/simulate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- conditions -------------------------------------------------------------------------------------------------- */

enum from { AZURE, MOONCAKE, FROM };
static const struct {
    const char *file;
    enum trace_format format;
} files[FROM] = {
    [AZURE] = {"azure-llm-2023-conv.csv",         TRACE_AZURE   },
    [MOONCAKE] = { "mooncake-conversation.jsonl.gz", TRACE_MOONCAKE},
};

enum setup_no {
    EVEN,
    EVEN_FULL,
    UNEVEN,
    UNEVEN_FULL,
    ONE,
    ONE_UNEVEN,
    PREFIX,
    PREFIX_SMALL,
    PREFIX_FULL,
    MODELS_6,
    MODELS_24,
    OVERLOAD,
    GREEDY,
    GREEDY_NOT,
    GREEDY_ONE,
    GREEDY_ONE_NOT,
    SETUPS
};
enum arrivals { TRACED, OVERLOADED, GREEDY_COMES, GREEDY_GONE }; /* the last three are drawn */
static const struct setup {
    enum from from;
    enum arrivals arrivals;
    double rate, load; /* rate-scale of the trace; the load that this is, for drawn requests */
    uint32_t slots, bound, cache_blocks, models;
    bool uneven;
} setups[SETUPS] = {
    [EVEN] = {AZURE,     TRACED,       .8,    .73, 4, 0,   0,    0,  false},
    [EVEN_FULL] = { AZURE,    TRACED,       1,     .91, 4, 0,   0,    0,  false},
    [UNEVEN] = { AZURE,    TRACED,       1,     .81, 4, 0,   0,    0,  true },
    [UNEVEN_FULL] = { AZURE,    TRACED,       1.124, .91, 4, 0,   0,    0,  true },
    [ONE] = { AZURE,    TRACED,       .2,    .73, 1, 0,   0,    0,  false},
    [ONE_UNEVEN] = { AZURE,    TRACED,       .25,   .81, 1, 0,   0,    0,  true },
    [PREFIX] = { MOONCAKE, TRACED,       .8,    0,   4, 0,   4096, 0,  false},
    [PREFIX_SMALL] = { MOONCAKE, TRACED,       .8,    0,   4, 0,   1024, 0,  false},
    [PREFIX_FULL] = { MOONCAKE, TRACED,       1,     0,   4, 0,   4096, 0,  false},
    [MODELS_6] = { AZURE,    TRACED,       .6,    0,   4, 0,   0,    6,  false},
    [MODELS_24] = { AZURE,    TRACED,       .2,    0,   4, 0,   0,    24, false},
    [OVERLOAD] = { AZURE,    OVERLOADED,   1,     0,   4, 512, 0,    0,  false},
    [GREEDY] = { AZURE,    GREEDY_COMES, 1,     0,   4, 128, 0,    0,  false},
    [GREEDY_NOT] = { AZURE,    GREEDY_GONE,  1,     0,   4, 128, 0,    0,  false},
    [GREEDY_ONE] = { AZURE,    GREEDY_COMES, 1,     0,   1, 128, 0,    0,  false},
    [GREEDY_ONE_NOT] = { AZURE,    GREEDY_GONE,  1,     0,   1, 128, 0,    0,  false},
};
static const struct trace_phase overload[] = {
    {.7,   300},
    { 1.5, 60 },
    { .7,  300}
};
static const struct trace_phase greedy = { 2, 1800 }, normal = { .15, 1800 };
#define NORMAL_TENANTS 4 /* the first is the greedy one */

/* p50, p95, p99 of scheduling's reference, but for what collapses. */
static const struct reference {
    enum scheduler_policy policy;
    enum setup_no setup;
    double p50, p95, p99;
} references[] = {
    {SCHEDULER_round_robin,           EVEN,       .55,  3.98, 7.04},
    { SCHEDULER_round_robin,          EVEN_FULL,  3.21, 26.3, 36.4},
    { SCHEDULER_round_robin,          UNEVEN,     2.98, 2271, 2748},
    { SCHEDULER_round_robin,          ONE,        1.59, 15.9, 27.5},
    { SCHEDULER_weighted_round_robin, EVEN,       .55,  3.98, 7.04},
    { SCHEDULER_weighted_round_robin, EVEN_FULL,  3.21, 26.3, 36.4},
    { SCHEDULER_weighted_round_robin, UNEVEN,     .68,  6.28, 12.1},
    { SCHEDULER_weighted_round_robin, ONE,        1.59, 15.9, 27.5},
    { SCHEDULER_weighted_round_robin, ONE_UNEVEN, 3.16, 25.2, 47.8},
    { SCHEDULER_p2c,                  EVEN,       .54,  3.07, 5.46},
    { SCHEDULER_p2c,                  EVEN_FULL,  2.06, 11.9, 16.8},
    { SCHEDULER_p2c,                  UNEVEN,     .98,  5.96, 9.43},
    { SCHEDULER_p2c,                  ONE,        1.99, 14.5, 21.8},
    { SCHEDULER_p2c,                  ONE_UNEVEN, 4.07, 23.3, 37.3},
    { SCHEDULER_least_loaded,         EVEN,       .52,  2.05, 3.88},
    { SCHEDULER_least_loaded,         EVEN_FULL,  1.36, 10.7, 14.9},
    { SCHEDULER_least_loaded,         UNEVEN,     .45,  3.66, 7.60},
    { SCHEDULER_least_loaded,         ONE,        .56,  9.49, 15.6},
    { SCHEDULER_least_loaded,         ONE_UNEVEN, 1.02, 15.7, 29.5},
    { SCHEDULER_late,                 EVEN,       .52,  2.05, 2.99},
    { SCHEDULER_late,                 EVEN_FULL,  1.37, 9.75, 13.7},
    { SCHEDULER_late,                 UNEVEN,     .39,  2.53, 4.92},
    { SCHEDULER_late,                 ONE,        .58,  6.30, 11.3},
    { SCHEDULER_late,                 ONE_UNEVEN, .98,  9.79, 19.9},
};

struct schedule {
    struct trace trace[FROM];
    bool has[FROM]; /* else: drawn */
    struct {
        bool made;
        struct simulate_result is;
    } run[SETUPS][SCHEDULER_POLICIES];
    enum fail failed;
};

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static struct simulate_spec spec_of(const struct setup *c, enum scheduler_policy policy, uint64_t seed)
{
    static const double uneven[] = { 2, 2, 1, 1, 1, 1, .5, .5 }, sizes[] = { 8, 5, 14, 4, 20, 10 };
    struct simulate_spec s;
    simulate_spec_default(&s);
    s.policy = policy, s.seed = seed, s.slots = c->slots, s.rate_scale = c->rate;
    if (c->uneven)
        memcpy(s.speed, uneven, sizeof uneven), s.speeds = ARRAY_LEN(uneven);
    if (c->from == MOONCAKE)
        s.prefill = 4000, s.decode = 60, s.cache_blocks = c->cache_blocks;
    if (c->models)
        memcpy(s.size_gb, sizes, sizeof sizes), s.sizes = ARRAY_LEN(sizes), s.models = c->models, s.hold = 2;
    s.bound = c->bound;
    s.shed = c->arrivals == OVERLOADED;
    if (s.shed)
        s.overload_begins = overload[0].lasts, s.overload_ends = overload[0].lasts + overload[1].lasts;
    return s;
}

static enum fail draw_arrivals(const struct setup *c, const struct simulate_spec *s, const struct trace *lengths,
                               struct trace *out)
{
    double rate = simulate_full_rate(s, lengths);
    uint64_t chance = s->seed * 1000003;
    struct trace_phase whole = { c->load, 3600 };
    enum fail f = OK;
    if (c->arrivals == OVERLOADED)
        f = trace_poisson(out, lengths, overload, ARRAY_LEN(overload), 0, rate, &chance);
    else if (c->arrivals == TRACED)
        f = trace_poisson(out, lengths, &whole, 1, 0, rate, &chance);
    else if (c->arrivals == GREEDY_COMES)
        f = trace_poisson(out, lengths, &greedy, 1, 0, rate, &chance);
    for (uint32_t i = 1; !f && i <= NORMAL_TENANTS && c->arrivals >= GREEDY_COMES; i++)
        f = trace_poisson(out, lengths, &normal, 1, i, rate, &chance);
    trace_sort(out);
    return f;
}

static enum fail run_once(struct schedule *o, const struct setup *c, enum scheduler_policy policy, uint64_t seed,
                          struct simulate_result *out)
{
    struct simulate_spec s = spec_of(c, policy, seed);
    struct trace drawn = { 0 };
    bool draws = c->arrivals != TRACED || !o->has[c->from];
    enum fail f = draws ? draw_arrivals(c, &s, &o->trace[c->from], &drawn) : OK;
    s.trace = draws ? &drawn : &o->trace[c->from];
    if (!o->has[c->from])
        s.rate_scale = 1;
    f = f ? f : simulate_run(&s, out);
    trace_free(&drawn);
    return f;
}

static uint32_t seeds_of(const struct setup *c)
{
    if (c->arrivals == OVERLOADED)
        return 20;
    return c->from == MOONCAKE ? 1 : 3;
}

static const struct simulate_result *run_of(struct schedule *o, enum setup_no no, enum scheduler_policy policy)
{
    const struct setup *c = &setups[no];
    struct simulate_result each[20];
    uint32_t n = seeds_of(c);
    if (o->run[no][policy].made)
        return &o->run[no][policy].is;
    for (uint32_t i = 0; i < n && !o->failed; i++)
        o->failed = children_interrupted() ? FAIL_client_gone : run_once(o, c, policy, 1 + i, &each[i]);
    if (!o->failed)
        o->run[no][policy].is = simulate_mean(each, n);
    o->run[no][policy].made = true;
    return &o->run[no][policy].is;
}

/* ---- what is looked at ------------------------------------------------------------------------------------------- */

typedef double look(struct schedule *o, enum setup_no setup, enum scheduler_policy policy);

static double first_p50(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->ttft.p50;
}
static double first_p99(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->ttft.p99;
}
static double first_max(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->ttft.max;
}
static double whole_mean(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->e2e.mean;
}
static double wait_p99(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->queue.p99;
}
static double loads(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->loads;
}
static double useful(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->useful;
}
static double recovery(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->recovery;
}
static double recovery_worst(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return run_of(o, setup, policy)->recovery_worst;
}
static double spread(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return 100 * run_of(o, setup, policy)->cv_work;
}
static double spread_window(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return 100 * run_of(o, setup, policy)->cv_window;
}
static double prefixes(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    const struct simulate_result *r = run_of(o, setup, policy);
    return 100 * r->prefix_hit / r->prefix_bound;
}
static double of_least_loaded(struct schedule *o, enum setup_no setup, enum scheduler_policy policy, look *at)
{
    return at(o, setup, policy) / at(o, setup, SCHEDULER_least_loaded);
}
static double first_p50_of(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return of_least_loaded(o, setup, policy, first_p50);
}
static double first_p99_of(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return of_least_loaded(o, setup, policy, first_p99);
}
static double loads_of(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return of_least_loaded(o, setup, policy, loads);
}

static double normal_p95(const struct simulate_result *r)
{
    double sum = 0;
    for (uint32_t i = 1; i <= NORMAL_TENANTS; i++)
        sum += r->tenant[i].ttft.p95;
    return sum / NORMAL_TENANTS;
}
/* The next setup is the same without the greedy one. */
static double p95_beside_greed(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    return normal_p95(run_of(o, setup, policy)) / normal_p95(run_of(o, setup + 1, policy));
}
static double normal_refused(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i <= NORMAL_TENANTS; i++)
        n += run_of(o, setup, policy)->tenant[i].refused;
    return n;
}

static double off_by(double is, double reference)
{
    return 100 * fabs(is / reference - 1);
}
/* By how much it misses the reference at most, in percent. */
static double off(struct schedule *o, enum setup_no setup, enum scheduler_policy policy)
{
    double worst = 0;
    for (size_t i = 0; i < ARRAY_LEN(references); i++) {
        const struct reference *r = &references[i];
        if (r->policy != policy)
            continue;
        const struct simulate_times *t = &run_of(o, r->setup, policy)->ttft;
        worst = fmax(worst, fmax(off_by(t->p50, r->p50), fmax(off_by(t->p95, r->p95), off_by(t->p99, r->p99))));
    }
    return worst;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static const struct line {
    struct promise promise;
    look *at;
    enum setup_no setup;
    enum scheduler_policy policy;
} lines[] = {
#define ETA(key, name, unit, bound, limit, at, setup)                                                                  \
    {                                                                                                                  \
        { key, name, unit, OF_ITSELF, bound, limit, 0 }, at, setup, SCHEDULER_eta                                      \
    }
#define WRR(key, name, limit, at, setup)                                                                               \
    {                                                                                                                  \
        { key, name, "%", OF_ITSELF, AT_MOST, limit, 0 }, at, setup, SCHEDULER_weighted_round_robin                    \
    }
#define OFF(policy)                                                                                                    \
    {                                                                                                                  \
        { "off_" #policy, #policy ", off by", "%", OF_ITSELF, AT_MOST, 10, 0 }, off, EVEN, SCHEDULER_##policy          \
    }
    OFF(round_robin),
    OFF(weighted_round_robin),
    OFF(p2c),
    OFF(least_loaded),
    OFF(late),
    ETA("even_p99", "even .73, p99", "s", AT_MOST, 3.1, first_p99, EVEN),
    ETA("even_full_p99", "even .91, p99", "s", AT_MOST, 13.9, first_p99, EVEN_FULL),
    ETA("even_full_p50", "even .91, p50", "s", AT_MOST, 1.37, first_p50, EVEN_FULL),
    ETA("uneven_p99", "uneven .81, p99", "s", AT_MOST, 4.7, first_p99, UNEVEN),
    ETA("uneven_max", "uneven .81, slowest", "s", AT_MOST, 15, first_max, UNEVEN),
    ETA("uneven_whole", "uneven .81, whole, mean", "s", AT_MOST, 4.65, whole_mean, UNEVEN),
    ETA("one_p99", "one slot .73, p99", "s", AT_MOST, 11.5, first_p99, ONE),
    ETA("one_uneven_p99", "one slot, uneven .81, p99", "s", AT_MOST, 19.5, first_p99, ONE_UNEVEN),
    ETA("prefix", "prefixes, of the bound", "%", AT_LEAST, 80, prefixes, PREFIX),
    ETA("prefix_p99", "prefixes, p99/least_loaded", "1", AT_MOST, .92, first_p99_of, PREFIX),
    ETA("prefix_p50", "prefixes, p50/least_loaded", "1", AT_MOST, .70, first_p50_of, PREFIX),
    ETA("prefix_small", "prefixes, 1,024 blocks", "%", AT_LEAST, 42, prefixes, PREFIX_SMALL),
    ETA("prefix_full", "prefixes, load .93", "%", AT_LEAST, 70, prefixes, PREFIX_FULL),
    ETA("models_6", "6 models, loads", "1", AT_MOST, 24, loads, MODELS_6),
    ETA("models_6_p99", "6 models, p99", "s", AT_MOST, 4, first_p99, MODELS_6),
    ETA("models_24", "24 models, loads", "1", AT_MOST, 3200, loads, MODELS_24),
    ETA("models_24_of", "24 models, /least_loaded", "1", AT_MOST, .22, loads_of, MODELS_24),
    ETA("models_24_p99", "24 models, p99", "s", AT_MOST, 9, first_p99, MODELS_24),
    ETA("overload_useful", "overload, of use", "1", AT_LEAST, .97, useful, OVERLOAD),
    ETA("overload_wait", "overload, wait p99", "s", AT_MOST, 8, wait_p99, OVERLOAD),
    ETA("overload_recovery", "overload, recovery", "s", AT_MOST, 10, recovery, OVERLOAD),
    ETA("overload_worst", "overload, worst recovery", "s", AT_MOST, 20, recovery_worst, OVERLOAD),
    ETA("greedy_p95", "beside a greedy one, p95", "1", AT_MOST, 1.3, p95_beside_greed, GREEDY),
    ETA("greedy_one_p95", "the same, p95, one slot", "1", AT_MOST, 4, p95_beside_greed, GREEDY_ONE),
    ETA("greedy_refused", "beside it, refused", "1", AT_MOST, 0, normal_refused, GREEDY),
    ETA("greedy_one_refused", "the same, refused, one slot", "1", AT_MOST, 0, normal_refused, GREEDY_ONE),
    ETA("spread", "spread, even .73", "%", AT_MOST, 6, spread, EVEN),
    ETA("spread_uneven", "spread, uneven .81", "%", AT_MOST, 25, spread, UNEVEN),
    ETA("spread_uneven_full", "spread, uneven .91", "%", AT_MOST, 10, spread, UNEVEN_FULL),
    WRR("spread_wrr", "spread, weighted_round_robin", 2, spread, UNEVEN),
    WRR("spread_wrr_window", "the same, per window of 400", 4, spread_window, EVEN),
};

/* Policies side by side: p99 of the first token under each of these, and live. */
static const enum setup_no beside[] = { EVEN, EVEN_FULL, UNEVEN, ONE, ONE_UNEVEN };
static const char *const beside_names[] = { "even .73", "even .91", "uneven .81", "one slot .73", "one, uneven .81" };
enum { LIVE_P50 = ARRAY_LEN(beside), LIVE_P99, LIVE_SPREAD, COLUMNS };
static const struct {
    const char *name, *key, *unit;
} live_columns[] = {
    {"live p50",     "live_p50",    "ms"},
    { "live p99",    "live_p99",    "ms"},
    { "live spread", "live_spread", "%" },
};
static const struct promise costs[] = {
    {"decision_64",    "a decision, 64 nodes",    "ns", OF_ITSELF, BELOW, 500,  0},
    { "decision_1000", "a decision, 1,000 nodes", "ns", OF_ITSELF, BELOW, 3000, 0},
};

#define ROWS (ARRAY_LEN(lines) + ARRAY_LEN(costs) + SCHEDULER_POLICIES * COLUMNS)
static struct row rows[ROWS];
static struct promise columns[SCHEDULER_POLICIES][COLUMNS];
static char names[SCHEDULER_POLICIES][COLUMNS][48], keys[SCHEDULER_POLICIES][COLUMNS][48];

static struct row *column(enum scheduler_policy p, int c)
{
    return &rows[ARRAY_LEN(lines) + ARRAY_LEN(costs) + (size_t)p * COLUMNS + (size_t)c];
}

static void note(struct row *r, double v)
{
    r->sample[WAY_OURS][0] = v;
}

static void init_columns(void)
{
    for (enum scheduler_policy p = 0; p < SCHEDULER_POLICIES; p++)
        for (int c = 0; c < COLUMNS; c++) {
            bool live = c >= LIVE_P50;
            struct str policy = scheduler_policy_name(p);
            snprintf(names[p][c], sizeof names[p][c], "%.*s, %s", STR_ARG(policy),
                     live ? live_columns[c - LIVE_P50].name : beside_names[c]);
            if (live)
                snprintf(keys[p][c], sizeof keys[p][c], "%.*s_%s", STR_ARG(policy), live_columns[c - LIVE_P50].key);
            else
                snprintf(keys[p][c], sizeof keys[p][c], "%.*s_%d", STR_ARG(policy), c);
            columns[p][c] = (struct promise){ .key = keys[p][c],
                                              .name = names[p][c],
                                              .unit = live ? live_columns[c - LIVE_P50].unit : "s",
                                              .of = OF_NOTHING };
            row_init(column(p, c), &columns[p][c]);
        }
}

/* ---- live -------------------------------------------------------------------------------------------------------- */

#define LIVE_SLOTS  4
#define LIVE_DECODE 200.0
#define LIVE_TOKENS 40
#define LIVE_LOAD   0.81

static double live_spread(const struct simfleet *s)
{
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < SIMFLEET_NODES; i++) {
        char labels[48];
        snprintf(labels, sizeof labels, "node=\"n%u\",type=\"output\"", i);
        double v = simfleet_metric(s, "ollamamax_tokens_total", labels) / s->speed[i];
        sum += v, squares += v * v;
    }
    double mean = sum / SIMFLEET_NODES;
    return mean > 0 ? 100 * sqrt(fmax(0, squares / SIMFLEET_NODES - mean * mean)) / mean : NAN;
}

static enum fail live_load(struct simfleet *s, nsec lasts, struct load_sum *out)
{
    struct simfleet_load l = { 0 };
    struct load_plan p = { .connections = 512, .shape = ARRIVAL_POISSON, .seed = 7, .patience = SECOND(30) };
    double speeds = 0;
    char body[256];

    for (unsigned i = 0; i < SIMFLEET_NODES; i++)
        speeds += s->speed[i];
    p.rate = LIVE_LOAD * speeds * LIVE_SLOTS * LIVE_DECODE / LIVE_TOKENS;
    p.requests = (uint64_t)(p.rate * (double)lasts / 1e9);
    snprintf(body, sizeof body,
             "{\"model\":\"" SIMFLEET_MODEL "\",\"options\":{\"num_predict\":%d},\"messages\":[{\"role\":\"user\","
             "\"content\":\"What is the capital of France?\"}]}",
             LIVE_TOKENS);
    p.request = request_post(&s->arena, "/api/chat", body);
    enum fail f = p.request.n ? simfleet_load_start(s, &l, &p) : FAIL_no_memory;
    *out = simfleet_load_end(&l);
    return f ? f : out->failed;
}

static enum fail run_live(const struct bench_options *options, enum scheduler_policy policy)
{
    static const double uneven[SIMFLEET_NODES] = { 2, 2, 1, 1, 1, 1, .5, .5 };
    struct simfleet s = { .program = options->gateway,
                          .slots = LIVE_SLOTS,
                          .decode = LIVE_DECODE,
                          .policy = scheduler_policy_name(policy).p };
    struct load_sum sum;
    memcpy(s.speed, uneven, sizeof uneven);
    enum fail f = simfleet_open(&s);
    f = f ? f : live_load(&s, options->quick ? SECOND(3) : SECOND(20), &sum);
    if (!f) {
        note(column(policy, LIVE_P50), sum.first_p50);
        note(column(policy, LIVE_P99), sum.first_p99);
        note(column(policy, LIVE_SPREAD), live_spread(&s));
    }
    simfleet_close(&s);
    return f;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static enum fail find_traces(struct schedule *o)
{
    const char *folder = sys_env("OLLAMAMAX_TRACES");
    for (enum from i = 0; i < FROM; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder ? folder : "", files[i].file);
        o->has[i] = folder && access(path, R_OK) == 0;
        enum fail f =
            o->has[i] ? trace_read(&o->trace[i], path, files[i].format, 0) : trace_chat(&o->trace[i], 20000, 0.2, 1);
        if (f)
            return f;
    }
    return OK;
}

static enum fail look_at_lines(struct schedule *o)
{
    for (size_t i = 0; i < ARRAY_LEN(lines) && !o->failed; i++)
        if (o->has[setups[lines[i].setup].from])
            note(&rows[i], lines[i].at(o, lines[i].setup, lines[i].policy));
    return o->failed;
}

static enum fail put_beside(struct schedule *o)
{
    for (enum scheduler_policy p = 0; p < SCHEDULER_POLICIES; p++)
        for (size_t c = 0; c < ARRAY_LEN(beside) && !o->failed; c++)
            note(column(p, (int)c), first_p99(o, beside[c], p));
    return o->failed;
}

static bool runs_live(const struct bench_options *options, enum scheduler_policy p)
{
    return !options->quick || p == SCHEDULER_eta || p == SCHEDULER_late || p == SCHEDULER_least_loaded;
}

static enum fail put_live(const struct bench_options *options, bool tell)
{
    enum fail f = OK;
    for (enum scheduler_policy p = 0; p < SCHEDULER_POLICIES && !f; p++) {
        if (!runs_live(options, p))
            continue;
        if (tell)
            fprintf(stderr, "live: %.*s\n", STR_ARG(scheduler_policy_name(p)));
        f = run_live(options, p);
    }
    return f;
}

static void state_facts(struct report *r, const struct schedule *o)
{
    report_fact(r, "nodes", "8; uneven: speeds 2,2,1,1,1,1,.5,.5");
    for (enum from i = 0; i < FROM; i++)
        report_fact(r, i == AZURE ? "requests" : "prefixes", "%s",
                    o->has[i]    ? files[i].file
                    : i == AZURE ? "drawn: OLLAMAMAX_TRACES names no folder with traces"
                                 : "not run");
    report_fact(r, "seeds", "%u; overload %u", seeds_of(&setups[EVEN]), seeds_of(&setups[OVERLOAD]));
    report_fact(r, "live", "%d slots, %.0f tokens/s at speed 1, answers of %d, load %.2f", LIVE_SLOTS, LIVE_DECODE,
                LIVE_TOKENS, LIVE_LOAD);
}

enum fail schedule_run(const struct bench_options *options, struct report *out)
{
    struct schedule *o = calloc(1, sizeof *o);
    if (!o)
        return FAIL_no_memory;
    *out = (struct report){ .bench = "schedule", .rounds = 1, .rows = ROWS, .row = rows, .alone = true };
    out->note = "First tokens unless another thing is named; p99 where policies stand side by side.";
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        row_init(&rows[i], &lines[i].promise);
    for (size_t i = 0; i < ARRAY_LEN(costs); i++)
        row_init(&rows[ARRAY_LEN(lines) + i], &costs[i]);
    init_columns();
    children_init();
    enum fail f = find_traces(o);
    state_facts(out, o);
    f = f ? f : look_at_lines(o);
    f = f ? f : put_beside(o);
    note(&rows[ARRAY_LEN(lines)], decision_cost_ns(64));
    note(&rows[ARRAY_LEN(lines) + 1], decision_cost_ns(1000));
    f = f ? f : put_live(options, isatty(STDERR_FILENO));
    for (enum from i = 0; i < FROM; i++)
        trace_free(&o->trace[i]);
    free(o);
    return f;
}
