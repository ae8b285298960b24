/* The benches, one row each, and how they are asked for. */
#include "bench/bench.h"

#include "base/sys.h"
#include "bench/cache_bench.h"
#include "bench/failover.h"
#include "bench/memory_bench.h"
#include "bench/overhead.h"
#include "bench/schedule.h"
#include "cache/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct bench {
    const char *name, *help;
    enum fail (*run)(const struct bench_options *o, struct report *out);
} benches[] = {
    {"overhead",  "what the gateway adds to requests: time, CPU, memory; beside HAProxy and nginx", overhead_run    },
    { "cache",    "hit ratios of the response cache on traces of keys, and several threads on it",  cache_bench_run },
    { "schedule", "policies side by side, simulated and live, against what is promised of them",    schedule_run    },
    { "failover", "8 simulated nodes under load, of which one dies, hangs, fails, and comes back",  failover_run    },
    { "memory",   "what the pools of memory save, and that a request asks malloc for nothing",      memory_bench_run},
};

#define ROUNDS_USUAL 5
#define ROUNDS_QUICK 3

static int bench_help(void)
{
    puts("ollamamax bench [NAME] [--quick] [--rounds N] [--peers haproxy,nginx|none] [--json FILE|-] [--gateway "
         "FILE]\n"
         "                     [--trace FILE --capacity N] [--shards N]\n");
    for (size_t i = 0; i < ARRAY_LEN(benches); i++)
        printf("  %-12s %s\n", benches[i].name, benches[i].help);
    puts("\nWithout a name all of them run. --quick takes about half a minute and is rougher; --gateway measures "
         "another\n"
         "program than this one; --trace, --capacity and --shards are for `cache`; docs/bench.md says what is in the\n"
         "figures.");
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

static bool read_rounds(struct bench_options *o, const char *value)
{
    uint64_t n;

    if (!str_u64(str_of(value), &n) || n < 1 || n > REPORT_ROUNDS_MAX)
        return false;
    o->rounds = (unsigned)n;
    return true;
}

static bool read_peers(struct bench_options *o, const char *value)
{
    struct str rest = str_of(value);

    o->haproxy = o->nginx = false;
    if (str_eq(rest, STR("none")))
        return true;
    while (rest.n) {
        struct str peer = str_cut(&rest, ',');
        if (str_eq(peer, STR("haproxy")))
            o->haproxy = true;
        else if (str_eq(peer, STR("nginx")))
            o->nginx = true;
        else
            return false;
    }
    return o->haproxy || o->nginx;
}

static bool read_json(struct bench_options *o, const char *value)
{
    o->json = value;
    return *value != 0;
}

static bool read_gateway(struct bench_options *o, const char *value)
{
    o->gateway = value;
    return access(value, X_OK) == 0;
}

static bool read_trace(struct bench_options *o, const char *value)
{
    o->trace = value;
    return access(value, R_OK) == 0;
}

static bool read_capacity(struct bench_options *o, const char *value)
{
    uint64_t n;

    if (!str_u64(str_of(value), &n) || n < 1 || n > 100000000)
        return false;
    o->capacity = (size_t)n;
    return true;
}

static bool read_shards(struct bench_options *o, const char *value)
{
    uint64_t n;

    if (!str_u64(str_of(value), &n) || n < 1 || n > CACHE_SHARDS_MOST)
        return false;
    o->shards = (unsigned)n;
    return true;
}

static const struct flag {
    const char *name, *takes;
    bool (*read)(struct bench_options *o, const char *value);
} flags[] = {
    {"--rounds",    "a number from 1 to 50",                 read_rounds  },
    { "--peers",    "haproxy, nginx, haproxy,nginx or none", read_peers   },
    { "--json",     "a file, or - for the standard output",  read_json    },
    { "--gateway",  "a program",                             read_gateway },
    { "--trace",    "a file that can be read",               read_trace   },
    { "--capacity", "a number of values",                    read_capacity},
    { "--shards",   "a number from 1 to 16",                 read_shards  },
};

static const struct flag *flag_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (str_eq(name, str_of(flags[i].name)))
            return &flags[i];
    return NULL;
}

/* A flag with its value behind `=` or in the next word; how many words were used, 0 for wrong use. */
static int read_flag(struct bench_options *o, char **word)
{
    struct str value = str_of(word[0]);
    const struct flag *f = flag_of(str_cut(&value, '='));
    bool apart = f && !strchr(word[0], '=');

    if (!f) {
        fprintf(stderr, "ollamamax bench: there is no %s\n", word[0]);
        return 0;
    }
    const char *given = apart ? word[1] : value.p;
    if (given && f->read(o, given))
        return apart ? 2 : 1;
    fprintf(stderr, "ollamamax bench: %s takes %s\n", f->name, f->takes);
    return 0;
}

static const struct bench *bench_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(benches); i++)
        if (strcmp(name, benches[i].name) == 0)
            return &benches[i];
    fprintf(stderr, "ollamamax bench: there is no bench %s; there is", name);
    for (size_t i = 0; i < ARRAY_LEN(benches); i++)
        fprintf(stderr, "%s %s", i ? "," : "", benches[i].name);
    fputc('\n', stderr);
    return NULL;
}

/* `argv` ends with NULL. */
static bool read_words(struct bench_options *o, char **argv, const struct bench **out_only)
{
    while (*argv) {
        int used = 1;
        if (strcmp(*argv, "--quick") == 0)
            o->quick = true;
        else if (**argv == '-')
            used = read_flag(o, argv);
        else
            used = (*out_only = bench_of(*argv)) != NULL;
        if (!used)
            return false;
        argv += used;
    }
    if (!o->trace != !o->capacity) {
        fprintf(stderr, "ollamamax bench: --trace and --capacity belong together\n");
        return false;
    }
    if (!o->rounds)
        o->rounds = o->quick ? ROUNDS_QUICK : ROUNDS_USUAL;
    return true;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static bool show(const struct report *r, const struct bench_options *o)
{
    bool json_only = o->json && strcmp(o->json, "-") == 0;
    struct text table = { 0 }, json = { 0 };

    report_table(r, &table);
    report_json(r, &json);
    enum fail f = table.failed ? table.failed : json.failed;
    fprintf(json_only ? stderr : stdout, "%.*s", STR_ARG(text_str(&table)));
    if (json_only)
        fwrite(text_str(&json).p, 1, text_str(&json).n, stdout);
    else if (o->json && !f)
        f = sys_write_file(o->json, text_str(&json));
    if (f)
        fprintf(stderr, "ollamamax bench: %s: %.*s\n", o->json ? o->json : "report", STR_ARG(fail_sentence(f)));
    text_free(&table);
    text_free(&json);
    return !f && fflush(stdout) == 0;
}

static bool run_one(const struct bench *b, const struct bench_options *o)
{
    struct report r;
    enum fail f = b->run(o, &r);

    if (!f)
        return show(&r, o);
    if (f == FAIL_client_gone)
        fprintf(stderr, "ollamamax bench: interrupted\n");
    else
        fprintf(stderr, "ollamamax bench: %s could not be measured (%.*s)\n", b->name, STR_ARG(fail_name(f)));
    return false;
}

int bench_run(int argc, char **argv)
{
    char self[4096];
    struct bench_options o = { .haproxy = true, .nginx = true };
    const struct bench *only = NULL;
    bool good = true;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    self[MAX(n, 0)] = 0;
    o.gateway = self;
    if (argc == 1 && strcmp(argv[0], "help") == 0)
        return bench_help();
    if (!read_words(&o, argv, &only))
        return 2;
    for (size_t i = 0; i < ARRAY_LEN(benches) && good; i++)
        if (!only || only == &benches[i])
            good = run_one(&benches[i], &o);
    return good ? 0 : 1;
}
