/* The store by itself: three questions.
 *
 *      ratio    each request a look, each miss a flight that ends well at once. By number: every value weighs the same,
 *               no item cap, no admission, as in the literature. By bytes: values of 1 to 16 KiB, all memory counted.
 *      worth    dear small answers by Zipf's law, swept by cheap large ones: GPU-seconds saved with admission, and
 * without threads  gets and sets, ours and a locked LRU in turn (bench/cache_race.h)
 *
 * and one with them: what a hit costs over the wire, beside nginx (bench/cache_hit.h).
 *
 * Every round has other seeds for shards and sizes. Without --trace the workloads are drawn from seeds, and the traces
 * with published ratios are taken from OLLAMAMAX_TRACES if that is set. Ratios of one implementation say little: the
 * published ones were found by others, and the best possible is counted from the trace. */
#include "bench/cache_bench.h"

#include "base/sys.h"
#include "bench/cache_hit.h"
#include "bench/cache_race.h"
#include "bench/key_trace.h"
#include "cache/cache.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define SHARDS_USUAL   16
#define SIZE_LEAST     KIB(1)
#define SIZE_MOST      KIB(16)
#define SIZE_ALL_TOLD  KIB(10) /* what a value of the mean size costs */
#define WORKLOADS_MOST 6

struct workload {
    char name[32], file[256]; /* no file: by law */
    size_t n, capacity;
    struct key_law law;
    double published; /* S3-FIFO's ratio in percent; 0: not known */
    unsigned rows;    /* where its rows begin */
};
/* The last two only where a ratio was published. */
enum ratio_row { BEST, ESTIMATE, ONE, MANY, BYTES_ONE, BYTES_MANY, BYTES_OFF, ONE_OFF, MANY_OFF, RATIO_ROWS };
enum other_row {
    WORTH_OFF,
    WORTH_ON,
    WORTH_GAIN,
    OURS_2,
    LRU_2,
    FASTER_2,
    COUNTED_2,
    OURS_4,
    LRU_4,
    FASTER_4,
    COUNTED_4,
    HIT_OURS,
    HIT_LRU,
    WIRE_CPU,
    WIRE_CPU_NGINX,
    WIRE_CPU_SHARE,
    WIRE_P99,
    WIRE_P99_NGINX,
    WIRE_P99_SHARE,
    WIRE_P50,
    WIRE_P50_NGINX,
    WIRE_FAILED,
    OTHER_ROWS
};
static const struct promise ratio_promises[RATIO_ROWS] = {
    [BEST] = {"best_possible",       "best possible",     "%",  OF_NOTHING, AT_MOST, 0,   0},
    [ESTIMATE] = { "best_estimated",     "  its estimate",    "%",  OF_NOTHING, AT_MOST, 0,   0},
    [ONE] = { "one_shard",          "  1 shard",         "%",  OF_NOTHING, AT_MOST, 0,   0},
    [MANY] = { "shards",             "  sharded",         "%",  OF_NOTHING, AT_MOST, 0,   0},
    [ONE_OFF] = { "one_shard_off",      "  1 off published", "pt", OF_ITSELF,  AT_MOST, 0.5, 0},
    [MANY_OFF] = { "shards_off",         "  off published",   "pt", OF_ITSELF,  AT_MOST, 1,   0},
    [BYTES_ONE] = { "bytes_one_shard",    "  bytes, 1 shard",  "%",  OF_NOTHING, AT_MOST, 0,   0},
    [BYTES_MANY] = { "bytes_shards",       "  bytes, sharded",  "%",  OF_NOTHING, AT_MOST, 0,   0},
    [BYTES_OFF] = { "bytes_shards_below", "  bytes, below 1",  "pt", OF_ITSELF,  AT_MOST, 1,   0},
};
static const struct promise other_promises[OTHER_ROWS] = {
    [WORTH_OFF] = {"saved_plain_s",             "saved, all admitted", "GPU-s", OF_NOTHING, AT_MOST,  0,   0},
    [WORTH_ON] = { "saved_s",                  "saved, admission",    "GPU-s", OF_NOTHING, AT_MOST,  0,   0},
    [WORTH_GAIN] = { "saved_gain",               "  gain",              "x",     OF_ITSELF,  AT_LEAST, 1,   0},
    [OURS_2] = { "two_threads",              "2 threads",           "M/s",   OF_NOTHING, AT_MOST,  0,   0},
    [LRU_2] = { "two_threads_lru",          "  locked LRU",        "M/s",   OF_NOTHING, AT_MOST,  0,   0},
    [FASTER_2] = { "two_threads_gain",         "  faster by",         "x",     OF_ITSELF,  AT_LEAST, 1.5, 0},
    [COUNTED_2] = { "two_threads_lru_counted",  "  LRU, references",   "M/s",   OF_NOTHING, AT_MOST,  0,   0},
    [OURS_4] = { "four_threads",             "4 threads",           "M/s",   OF_NOTHING, AT_MOST,  0,   0},
    [LRU_4] = { "four_threads_lru",         "  locked LRU",        "M/s",   OF_NOTHING, AT_MOST,  0,   0},
    [FASTER_4] = { "four_threads_gain",        "  faster by",         "x",     OF_ITSELF,  AT_LEAST, 1.5, 0},
    [COUNTED_4] = { "four_threads_lru_counted", "  LRU, references",   "M/s",   OF_NOTHING, AT_MOST,  0,   0},
    [HIT_OURS] = { "hit_ns",                   "CPU of a hit",        "ns",    OF_NOTHING, AT_MOST,  0,   0},
    [HIT_LRU] = { "hit_ns_lru",               "  locked LRU",        "ns",    OF_NOTHING, AT_MOST,  0,   0},
    [WIRE_CPU] = { "wire_cpu_us",              "CPU of a POST's hit", "us",    OF_NOTHING, AT_MOST,  0,   0},
    [WIRE_CPU_NGINX] = { "wire_cpu_us_nginx",        "  nginx, a GET's",    "us",    OF_NOTHING, AT_MOST,  0,   0},
    [WIRE_CPU_SHARE] = { "wire_cpu_share",           "  of nginx's",        "x",     OF_ITSELF,  AT_MOST,  0.7, 0},
    [WIRE_P99] = { "wire_p99_us",              "p99 of a POST's hit", "us",    OF_NOTHING, AT_MOST,  0,   0},
    [WIRE_P99_NGINX] = { "wire_p99_us_nginx",        "  nginx, a GET's",    "us",    OF_NOTHING, AT_MOST,  0,   0},
    [WIRE_P99_SHARE] = { "wire_p99_share",           "  of nginx's",        "x",     OF_ITSELF,  AT_MOST,  1,   0},
    [WIRE_P50] = { "wire_p50_us",              "p50 of a POST's hit", "us",    OF_NOTHING, AT_MOST,  0,   0},
    [WIRE_P50_NGINX] = { "wire_p50_us_nginx",        "  nginx, a GET's",    "us",    OF_NOTHING, AT_MOST,  0,   0},
    [WIRE_FAILED] = { "wire_failed",              "failed answers",      "1",     OF_ITSELF,  AT_MOST,  0,   0},
};
static const struct size {
    size_t requests;
    size_t operations; /* of each thread */
    uint32_t keys;
} whole = { 1000000, 2000000, 50000 }, quick = { 200000, 300000, 20000 };

static struct row rows[WORKLOADS_MOST * RATIO_ROWS + OTHER_ROWS];
static struct promise promises[ARRAY_LEN(rows)];
static char keys[ARRAY_LEN(rows)][64], names[ARRAY_LEN(rows)][64];

struct cache_bench {
    const struct bench_options *options;
    const struct size *size;
    struct report *report;
    struct workload workload[WORKLOADS_MOST];
    unsigned workloads, round, others; /* others: where the other rows begin */
    bool tell;
};

static void tell(const struct cache_bench *b, const char *what)
{
    if (b->tell)
        fprintf(stderr, "round %u of %u: %s\n", b->round + 1, b->report->rounds, what);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void add_row(struct report *r, const struct promise *p, const char *of, bool first)
{
    unsigned at = r->rows++;
    assume(at < ARRAY_LEN(rows));
    snprintf(keys[at], sizeof keys[at], "%s%s%s", of, *of ? "_" : "", p->key);
    snprintf(names[at], sizeof names[at], "%s%s%s", first ? of : "", first ? " " : "", p->name);
    promises[at] = *p;
    promises[at].key = keys[at];
    promises[at].name = names[at];
    row_init(&rows[at], &promises[at]);
}

static void add_rows(struct cache_bench *b)
{
    for (unsigned w = 0; w < b->workloads; w++) {
        unsigned n = b->workload[w].published > 0 ? RATIO_ROWS : ONE_OFF;
        b->workload[w].rows = b->report->rows;
        for (unsigned i = 0; i < n; i++)
            add_row(b->report, &ratio_promises[i], b->workload[w].name, i == BEST);
    }
    b->others = b->report->rows;
    for (unsigned i = 0; i < OTHER_ROWS; i++)
        add_row(b->report, &other_promises[i], "", false);
}

static void note_ratio(const struct cache_bench *b, unsigned workload, enum ratio_row row, double value)
{
    rows[b->workload[workload].rows + row].sample[WAY_OURS][b->round] = value;
}

static void note_other(const struct cache_bench *b, enum other_row row, double value)
{
    rows[b->others + row].sample[WAY_OURS][b->round] = value;
}

/* ---- one cache, one trace ---------------------------------------------------------------------------------------- */

struct trial {
    const struct key_trace *trace;
    struct cache_plan plan;
    size_t (*size)(uint64_t key);
    double (*saved_s)(uint64_t key); /* NULL: not known */
    struct cache *cache;
    struct tape *unit; /* when size does not matter, one tape serves for all */
};

static void nobody_waits(struct tape_writer *w) {}

static struct tape *write_tape(size_t n)
{
    static struct tape_writer writer = { nobody_waits };
    static const char bytes[KIB(64)];
    struct tape *t = tape_new(&writer, sizeof bytes, true);
    if (!t)
        return NULL;
    bool good = tape_begin(t, STR("h")) == OK && tape_append(t, (struct str){ bytes, n }) == OK;
    tape_end(t, good ? OK : FAIL_no_memory, false);
    return t;
}

static struct cache_key key_of(uint32_t key)
{
    struct cache_key k;
    key_trace_hash(key, k.bytes);
    return k;
}

static enum fail fill(const struct trial *t, struct cache_ask *ask, uint32_t key)
{
    struct cache_keep keep = { .ttl = SECOND(1000000), .saved_s = t->saved_s ? t->saved_s(key) : 0 };
    struct cache_look l;
    ask->was = CACHE_MISS;
    ask->lead = t->unit ? tape_ref(t->unit) : write_tape(t->size(key));
    if (!ask->lead)
        return FAIL_no_memory;
    if (cache_look(t->cache, ask, &l) == CACHE_LEAD)
        cache_end(t->cache, &ask->key, l.flight, &keep, 0);
    tape_unref(&l.tape);
    tape_unref(&ask->lead);
    return OK;
}

static enum fail walk(const struct trial *t)
{
    enum fail f = OK;
    for (size_t i = 0; i < t->trace->n && !f; i++) {
        struct cache_ask ask = { .key = key_of(t->trace->key[i]), .max_age = NEVER };
        struct cache_look l;
        if (cache_look(t->cache, &ask, &l) == CACHE_MISS)
            f = fill(t, &ask, t->trace->key[i]);
        tape_unref(&l.tape);
    }
    return f;
}

static enum fail try(struct trial *t, struct cache_stats *out)
{
    *out = (struct cache_stats){ 0 };
    t->cache = cache_new(&t->plan);
    t->unit = t->plan.unit_size ? write_tape(1) : NULL;
    bool made = t->cache && (t->unit || !t->plan.unit_size);
    enum fail f = made ? walk(t) : FAIL_no_memory;
    if (!f)
        cache_stats(t->cache, out);
    tape_unref(&t->unit);
    cache_free(&t->cache);
    return f;
}

/* ---- ratios ------------------------------------------------------------------------------------------------------ */

static size_t size_between(uint64_t key)
{
    return SIZE_LEAST + key_trace_mix(key * 7919) % (SIZE_MOST - SIZE_LEAST + 1);
}

static double percent(const struct cache_stats *s)
{
    return 100 * (double)s->all.hits / (double)MAX(s->all.requests, 1);
}

static unsigned shards_of(const struct cache_bench *b)
{
    return b->options->shards ? b->options->shards : SHARDS_USUAL;
}

static enum fail find_ratio(struct cache_bench *b, unsigned w, const struct key_trace *trace, enum ratio_row row)
{
    bool by_bytes = row == BYTES_ONE || row == BYTES_MANY, single = row == ONE || row == BYTES_ONE;
    size_t capacity = b->workload[w].capacity;
    struct trial t = { .trace = trace, .size = size_between };
    struct cache_stats s;
    t.plan.bytes = by_bytes ? capacity * SIZE_ALL_TOLD : capacity;
    t.plan.unit_size = !by_bytes;
    t.plan.shards = single ? 1 : shards_of(b);
    t.plan.seed = b->round + 1;
    enum fail f = try(&t, &s);
    note_ratio(b, w, row, percent(&s));
    note_ratio(b, w, ESTIMATE, 100 * s.best_possible / (double)MAX(s.all.requests, 1));
    return f;
}

static double ratio(const struct cache_bench *b, unsigned w, enum ratio_row row)
{
    return rows[b->workload[w].rows + row].sample[WAY_OURS][b->round];
}

static enum fail find_ratios(struct cache_bench *b, unsigned w, const struct key_trace *trace)
{
    static const enum ratio_row found[] = { ONE, MANY, BYTES_ONE, BYTES_MANY };
    double published = b->workload[w].published;
    enum fail f = OK;
    for (size_t i = 0; i < ARRAY_LEN(found) && !f; i++)
        f = find_ratio(b, w, trace, found[i]);
    note_ratio(b, w, BEST, 100 * (double)(trace->n - trace->distinct) / (double)trace->n);
    if (published > 0) {
        note_ratio(b, w, ONE_OFF, fabs(ratio(b, w, ONE) - published));
        note_ratio(b, w, MANY_OFF, fabs(ratio(b, w, MANY) - published));
    }
    note_ratio(b, w, BYTES_OFF, MAX(ratio(b, w, BYTES_ONE) - ratio(b, w, BYTES_MANY), 0));
    return f;
}

static enum fail walk_workload(struct cache_bench *b, unsigned w)
{
    const struct workload *of = &b->workload[w];
    struct key_trace trace;
    tell(b, of->name);
    enum fail f = *of->file ? key_trace_read(&trace, of->file) : key_trace_zipf(&trace, of->n, &of->law);
    f = f ? f : find_ratios(b, w, &trace);
    key_trace_free(&trace);
    return f;
}

/* ---- worth ------------------------------------------------------------------------------------------------------- */

#define DEAR_KEYS 20000

/* A chat's answer, and a batch of embeddings. */
static size_t size_by_worth(uint64_t key)
{
    return key < DEAR_KEYS ? 1000 + key_trace_mix(key) % 3000 : KIB(48);
}

static double saved_by_worth(uint64_t key)
{
    return key < DEAR_KEYS ? 2 + (double)(key_trace_mix(key) % 4) : 0.2;
}

static enum fail walk_worth(struct cache_bench *b)
{
    struct key_law law = { DEAR_KEYS, 0.8, 2000, 200, b->round + 1 };
    struct key_trace trace;
    double saved[2] = { NAN, NAN };
    tell(b, "worth");
    enum fail f = key_trace_zipf(&trace, b->size->requests / 2, &law);
    for (unsigned admission = 0; admission < 2 && !f; admission++) {
        struct trial t = { .trace = &trace, .size = size_by_worth, .saved_s = saved_by_worth };
        struct cache_stats s;
        t.plan = (struct cache_plan){ .bytes = MIB(16), .seed = b->round + 1, .admission = admission };
        f = try(&t, &s);
        saved[admission] = s.all.saved_s;
    }
    key_trace_free(&trace);
    note_other(b, WORTH_OFF, saved[0]);
    note_other(b, WORTH_ON, saved[1]);
    note_other(b, WORTH_GAIN, saved[1] / saved[0]);
    return f;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void race(struct cache_bench *b, struct cache_race *r, unsigned threads, enum other_row first)
{
    double rate[RACERS];
    for (unsigned i = 0; i < RACERS; i++) {
        enum cache_racer who = (b->round + i) % RACERS;
        rate[who] = cache_race_run(r, who, threads) / 1e6;
    }
    note_other(b, first, rate[RACE_OURS]);
    note_other(b, first + 1, rate[RACE_LRU]);
    note_other(b, first + 2, rate[RACE_OURS] / rate[RACE_LRU]);
    note_other(b, first + 3, rate[RACE_LRU_COUNTED]);
}

static enum fail walk_race(struct cache_bench *b)
{
    struct cache_race *r = cache_race_new(b->size->keys, b->size->operations);
    if (!r)
        return FAIL_no_memory;
    for (b->round = 0; b->round < b->report->rounds; b->round++) {
        tell(b, "threads");
        race(b, r, 2, OURS_2);
        race(b, r, 4, OURS_4);
        note_other(b, HIT_OURS, cache_race_hit_ns(r, RACE_OURS));
        note_other(b, HIT_LRU, cache_race_hit_ns(r, RACE_LRU));
    }
    cache_race_free(&r);
    return OK;
}

/* ---- over the wire ----------------------------------------------------------------------------------------------- */

static void note_wire(struct cache_bench *b, const struct cache_hit_sample *ours, const struct cache_hit_sample *nginx)
{
    note_other(b, WIRE_CPU, ours->cpu_us);
    note_other(b, WIRE_CPU_NGINX, nginx->cpu_us);
    note_other(b, WIRE_CPU_SHARE, ours->cpu_us / nginx->cpu_us);
    note_other(b, WIRE_P99, ours->p99_us);
    note_other(b, WIRE_P99_NGINX, nginx->p99_us);
    note_other(b, WIRE_P99_SHARE, ours->p99_us / nginx->p99_us);
    note_other(b, WIRE_P50, ours->p50_us);
    note_other(b, WIRE_P50_NGINX, nginx->p50_us);
    note_other(b, WIRE_FAILED, (double)(ours->failed + nginx->failed));
}

/* One round in slices of a twentieth of a second, in turn: a machine that is taken away for some milliseconds, as
 * virtual ones are ten times a second, spoils the p99 of a slice, not of the round. */
#define SLICES 32
struct slices {
    double cpu[SLICES], p50[SLICES], p99[SLICES];
    uint64_t failed;
};

static enum fail run_slice(struct cache_hit *h, enum way_id id, unsigned seed, unsigned slice, struct slices *out)
{
    struct cache_hit_sample s;
    enum fail f = cache_hit_run(h, id, seed, &s);

    out->cpu[slice] = s.cpu_us, out->p50[slice] = s.p50_us, out->p99[slice] = s.p99_us;
    out->failed += s.failed;
    return f;
}

static struct cache_hit_sample middle_of(const struct slices *of)
{
    return (struct cache_hit_sample){ .cpu_us = spread_of(of->cpu, SLICES).median,
                                      .p50_us = spread_of(of->p50, SLICES).median,
                                      .p99_us = spread_of(of->p99, SLICES).median,
                                      .failed = of->failed };
}

/* Who goes first changes with each slice. */
static enum fail run_round(struct cache_hit *h, unsigned round, struct cache_hit_sample out[WAYS])
{
    static const enum way_id ids[] = { WAY_OURS, WAY_NGINX };
    struct slices slices[WAYS] = { 0 };
    enum fail f = OK;

    for (unsigned i = 0; i < SLICES * 2 && !f; i++) {
        unsigned slice = i / 2;
        enum way_id id = ids[(i + slice) % 2];
        f = run_slice(h, id, round * SLICES + slice, slice, &slices[id]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        out[ids[i]] = middle_of(&slices[ids[i]]);
    return f;
}

static enum fail walk_wire(struct cache_bench *b)
{
    struct cache_hit h;
    struct cache_hit_sample s[WAYS];
    enum fail f = cache_hit_open(&h, b->options);

    for (b->round = 0; b->round < b->report->rounds && !f; b->round++) {
        tell(b, "hits over the wire");
        f = run_round(&h, b->round, s);
        if (!f)
            note_wire(b, &s[WAY_OURS], &s[WAY_NGINX]);
    }
    if (!f)
        report_fact(b->report, "wire", "%.0f hits/s on 16 connections, 1 KB up, 310 bytes down", h.rate);
    cache_hit_close(&h);
    return f;
}

/* ---- workloads --------------------------------------------------------------------------------------------------- */

/* S3-FIFO with a small queue of 10 %, counters of two bits, promotion at two hits, a ghost as long as the main queue.
 */
static const struct published {
    const char *file, *name;
    size_t capacity;
    double ratio;
} published[] = {
    {"arc-OLTP.lis.zst",        "oltp_1000",  1000,  40.84},
    { "arc-OLTP.lis.zst",       "oltp_5000",  5000,  55.88},
    { "arc-OLTP.lis.zst",       "oltp_15000", 15000, 66.04},
    { "cache2k-web07.trace.xz", "web07_1000", 1000,  54.11},
};

static struct workload *add_workload(struct cache_bench *b, const char *name, size_t capacity)
{
    struct workload *w = &b->workload[b->workloads++];
    assume(b->workloads <= WORKLOADS_MOST);
    snprintf(w->name, sizeof w->name, "%s", name);
    w->capacity = capacity;
    return w;
}

static void add_drawn(struct cache_bench *b)
{
    struct workload *plain = add_workload(b, "zipf", 5000), *swept = add_workload(b, "swept", 5000);
    plain->n = swept->n = b->size->requests;
    plain->law = (struct key_law){ 50000, 0.9, 0, 0, 1 };
    swept->law = (struct key_law){ 50000, 0.9, 5000, 2000, 2 };
}

static void add_published(struct cache_bench *b, const char *folder)
{
    for (size_t i = 0; i < ARRAY_LEN(published); i++) {
        struct workload *w = add_workload(b, published[i].name, published[i].capacity);
        snprintf(w->file, sizeof w->file, "%s/%s", folder, published[i].file);
        w->published = published[i].ratio;
    }
}

static void add_trace(struct cache_bench *b, const char *file, size_t capacity)
{
    struct workload *w = add_workload(b, "trace", capacity);
    snprintf(w->file, sizeof w->file, "%s", file);
    for (size_t i = 0; i < ARRAY_LEN(published); i++)
        if (published[i].capacity == capacity && str_ends(str_of(file), str_of(published[i].file))) {
            w->published = published[i].ratio;
            snprintf(w->name, sizeof w->name, "%s", published[i].name);
        }
}

static void choose_workloads(struct cache_bench *b)
{
    const char *folder = sys_env("OLLAMAMAX_TRACES");
    if (b->options->trace) {
        add_trace(b, b->options->trace, b->options->capacity);
        return;
    }
    add_drawn(b);
    if (folder && *folder)
        add_published(b, folder);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void state_facts(const struct cache_bench *b)
{
    struct report *r = b->report;
    unsigned cores = sys_cores();
    report_fact(r, "rounds", "%u", r->rounds);
    report_fact(r, "shards", "%u", shards_of(b));
    for (unsigned w = 0; w < b->workloads; w++)
        report_fact(r, b->workload[w].name, "capacity %zu values, or %zu MiB", b->workload[w].capacity,
                    b->workload[w].capacity * SIZE_ALL_TOLD >> 20);
    report_fact(r, "threads", "95 gets, 5 sets, Zipf 1.0, 4 KB, %u keys", b->size->keys);
    report_fact(r, "cores", "%u%s", cores, cores < 4 ? ", so 4 threads share them" : "");
}

enum fail cache_bench_run(const struct bench_options *options, struct report *out)
{
    static struct cache_bench b; /* the report names its workloads */
    enum fail f = OK;
    b = (struct cache_bench){ .options = options, .size = options->quick ? &quick : &whole, .report = out };
    b.tell = isatty(STDERR_FILENO);
    *out = (struct report){ .bench = "cache", .rounds = options->rounds, .row = rows, .alone = true };
    out->note = "Ratios are hits of all requests; `off published` is the distance to what others found for S3-FIFO.";
    choose_workloads(&b);
    add_rows(&b);
    state_facts(&b);
    for (b.round = 0; b.round < out->rounds && !f; b.round++) {
        for (unsigned w = 0; w < b.workloads && !f; w++)
            f = walk_workload(&b, w);
        f = f ? f : walk_worth(&b);
    }
    f = f ? f : walk_race(&b);
    return f ? f : walk_wire(&b);
}
