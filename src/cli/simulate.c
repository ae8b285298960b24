/* cli/simulate.c - a trace through the gateway's own scheduler on a virtual clock.
 *
 * Its flags are no settings of the gateway, so they have a table of their own. Requests come from a file (--trace), or
 * are drawn (--phases, --tenants: Poisson at stated loads, lengths from the trace if one is given). */
#include "sim/simulate.h"
#include "cli/cli.h"
#include "config/nearest.h"
#include "config/value.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS_MOST  100
#define PHASES_MOST 32

struct wanted {
    struct simulate_spec spec;
    const char *trace, *replay;
    enum trace_format format;
    uint32_t limit, seeds;
    struct trace_phase phase[PHASES_MOST], tenant[SIMULATE_TENANTS];
    uint32_t phases, tenants;
    double lasts;
    bool json;
};

/* ---- flags ------------------------------------------------------------------------------------------------------- */

static bool read_u32(struct str v, uint32_t least, uint32_t most, uint32_t *out)
{
    int64_t n;
    if (!value_count(v, &n) || n < least || n > most)
        return false;
    *out = (uint32_t)n;
    return true;
}
static bool read_positive(struct str v, double *out)
{
    char text[32] = "0"; /* ".5" is a number here as in the traces' own tools */
    if (!v.n || v.n + 2 > sizeof text)
        return false;
    memcpy(text + (*v.p == '.'), v.p, v.n);
    return value_number(str_of(text), out) && *out > 0;
}
static bool read_list(struct str v, double *out, uint32_t most, uint32_t *out_n)
{
    for (*out_n = 0; v.n && *out_n < most;)
        if (!read_positive(str_cut(&v, ','), &out[(*out_n)++]))
            return false;
    return *out_n > 0 && !v.n;
}
static bool read_phases(struct str v, struct trace_phase *out, uint32_t *out_n)
{
    for (*out_n = 0; v.n && *out_n < PHASES_MOST; ++*out_n) {
        struct str seconds = str_cut(&v, ','), load = str_cut(&seconds, ':');
        if (!read_positive(load, &out[*out_n].load) || !read_positive(seconds, &out[*out_n].lasts))
            return false;
    }
    return *out_n > 0 && !v.n;
}

static bool read_trace(struct wanted *w, struct str v)
{
    w->trace = v.p;
    return v.n > 0;
}
static bool read_format(struct wanted *w, struct str v)
{
    return trace_format_named(v, &w->format);
}
static bool read_nodes(struct wanted *w, struct str v)
{
    return read_u32(v, 1, 100000, &w->spec.nodes);
}
static bool read_slots(struct wanted *w, struct str v)
{
    return read_u32(v, 1, 10000, &w->spec.slots);
}
static bool read_speeds(struct wanted *w, struct str v)
{
    return read_list(v, w->spec.speed, SIMULATE_SPEEDS, &w->spec.speeds);
}
static bool read_prefill(struct wanted *w, struct str v)
{
    return read_positive(v, &w->spec.prefill);
}
static bool read_decode(struct wanted *w, struct str v)
{
    return read_positive(v, &w->spec.decode);
}
static bool read_policy(struct wanted *w, struct str v)
{
    return scheduler_policy_named(v, &w->spec.policy);
}
static bool read_rate_scale(struct wanted *w, struct str v)
{
    return read_positive(v, &w->spec.rate_scale);
}
static bool read_models(struct wanted *w, struct str v)
{
    return read_u32(v, 1, 10000, &w->spec.models);
}
static bool read_hold(struct wanted *w, struct str v)
{
    return read_u32(v, 0, 10000, &w->spec.hold);
}
static bool read_sizes(struct wanted *w, struct str v)
{
    return read_list(v, w->spec.size_gb, SIMULATE_SPEEDS, &w->spec.sizes);
}
static bool read_load_rate(struct wanted *w, struct str v)
{
    return read_positive(v, &w->spec.load_rate);
}
static bool read_seed(struct wanted *w, struct str v)
{
    return str_u64(v, &w->spec.seed);
}
static bool read_seeds(struct wanted *w, struct str v)
{
    return read_u32(v, 1, SEEDS_MOST, &w->seeds);
}
static bool read_limit(struct wanted *w, struct str v)
{
    return read_u32(v, 1, 100000000, &w->limit);
}
static bool read_bound(struct wanted *w, struct str v)
{
    return read_u32(v, 0, 100000000, &w->spec.bound);
}
static bool read_phase_list(struct wanted *w, struct str v)
{
    return read_phases(v, w->phase, &w->phases);
}
static bool read_lasts(struct wanted *w, struct str v)
{
    return read_positive(v, &w->lasts);
}
static bool read_cache_blocks(struct wanted *w, struct str v)
{
    w->spec.last_prompt = str_eq(v, STR("slots"));
    return w->spec.last_prompt || read_u32(v, 0, 1 << 24, &w->spec.cache_blocks);
}
static bool read_tenants(struct wanted *w, struct str v)
{
    double load[SIMULATE_TENANTS];
    bool good = read_list(v, load, SIMULATE_TENANTS, &w->tenants);
    for (uint32_t i = 0; good && i < w->tenants; i++)
        w->tenant[i].load = load[i];
    return good;
}
static bool read_shed(struct wanted *w, struct str v)
{
    w->spec.shed = str_eq(v, STR("door"));
    return w->spec.shed || str_eq(v, STR("off"));
}
/* "3@100": dies then; "3@100-160": and comes back. */
static bool read_kill(struct wanted *w, struct str v)
{
    struct simulate_kill *k = &w->spec.kill[w->spec.kills];
    if (w->spec.kills == SIMULATE_KILLS || !read_u32(str_cut(&v, '@'), 0, 100000, &k->node))
        return false;
    w->spec.kills++;
    k->back = 0;
    return read_positive(str_cut(&v, '-'), &k->at) && (!v.n || read_positive(v, &k->back));
}
static bool read_replay(struct wanted *w, struct str v)
{
    w->replay = v.p;
    return v.n > 0;
}
static bool read_json(struct wanted *w, struct str v)
{
    w->json = true;
    return true;
}

static const struct flag {
    const char *name;
    bool (*read)(struct wanted *w, struct str value);
    const char *expects;
} flags[] = {
    {"trace",         read_trace,        "a file; .gz is read too"                                               },
    { "format",       read_format,       "azure, mooncake or csv (seconds,input,output[,model[,tenant]])"        },
    { "nodes",        read_nodes,        "how many nodes; usually 8"                                             },
    { "slots",        read_slots,        "requests at once on each; usually 4"                                   },
    { "speeds",       read_speeds,       "a factor for each node, repeated: 2,2,1,1,.5"                          },
    { "prefill",      read_prefill,      "tokens per second of a prompt at speed 1; usually 2000"                },
    { "decode",       read_decode,       "tokens per second of an answer at speed 1; usually 45"                 },
    { "cache-blocks", read_cache_blocks,
     "512-token blocks a node keeps, or `slots`: the last prompt of each; usually 0"                             },
    { "policy",       read_policy,
     "eta, late, least_loaded, p2c, p2c_ewma, rendezvous, round_robin or weighted_round_robin"                   },
    { "rate-scale",   read_rate_scale,   "a number that divides arrival times; usually 1"                        },
    { "models",       read_models,       "how many models share the requests (Zipf 1); usually 1"                },
    { "hold",         read_hold,         "how many of them a node holds; 0: all"                                 },
    { "sizes",        read_sizes,        "GB of each model, repeated: 8,5,14"                                    },
    { "load-rate",    read_load_rate,    "GB per second; usually 2"                                              },
    { "seed",         read_seed,         "a number"                                                              },
    { "seeds",        read_seeds,        "how many runs, with this seed and the next ones; means are shown"      },
    { "limit",        read_limit,        "how many requests of the trace"                                        },
    { "bound",        read_bound,        "how many may wait for a model; 0: all"                                 },
    { "shed",         read_shed,         "door or off: refuse on arrival when the wait would be long"            },
    { "kill",         read_kill,         "node@second, or node@second-second for one that comes back; repeatable"},
    { "phases",       read_phase_list,   "Poisson instead of the trace's arrivals: load:seconds,load:seconds"    },
    { "tenants",      read_tenants,      "a load for each tenant: 2,.15,.15 (Poisson)"                           },
    { "lasts",        read_lasts,        "seconds that --tenants send; usually 1800"                             },
    { "replay",       read_replay,       "a file from GET /api/decisions: a gateway's own decisions, run again"  },
    { "json",         read_json,         NULL                                                                    },
};

static const struct flag *flag_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (str_eq(str_of(flags[i].name), name))
            return &flags[i];
    return NULL;
}

static void say_unknown(const char *word, struct str name)
{
    struct nearest n = nearest_to(name);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        nearest_offer(&n, str_of(flags[i].name));
    fprintf(stderr, "ollamamax: simulate has no flag %s", word);
    if (n.best.n)
        fprintf(stderr, "; did you mean --%.*s?\n", STR_ARG(n.best));
    else
        fprintf(stderr, "; `ollamamax simulate help` lists them\n");
}

static int help(void)
{
    struct text t = { 0 };
    text_put(&t, STR("ollamamax simulate [FLAGS]: requests through the gateway's scheduler on a virtual clock\n\n"));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        text_printf(&t, "  --%-13s %s\n", flags[i].name, flags[i].expects ? flags[i].expects : "figures as JSON");
    text_put(&t, STR("\nWithout --trace, --phases and --tenants: 20,000 chat requests drawn by the seed.\n"));
    return cli_print(&t);
}

static bool read_flags(struct wanted *w, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        struct str value = str_of(argv[i]);
        bool dashed = str_starts(value, STR("--")), joined = str_chr(value, '=') >= 0;
        struct str name = str_drop(str_cut(&value, '='), dashed ? 2 : 0);
        const struct flag *f = dashed ? flag_named(name) : NULL;
        if (!f) {
            say_unknown(argv[i], name);
            return false;
        }
        if (!joined && f->expects)
            value = str_of(++i < argc ? argv[i] : "");
        if (!f->read(w, value)) {
            fprintf(stderr, "ollamamax: --%s wants %s\n", f->name, f->expects ? f->expects : "no value");
            return false;
        }
    }
    return true;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static enum fail read_or_draw(const struct wanted *w, struct trace *t)
{
    enum fail f = w->trace ? trace_read(t, w->trace, w->format, w->limit)
                           : trace_chat(t, w->limit ? w->limit : 20000, 0.2, w->spec.seed);
    if (f == FAIL_io_error)
        fprintf(stderr, "ollamamax: %s: %s\n", w->trace, strerror(errno));
    else if (f == FAIL_bad_value)
        fprintf(stderr, "ollamamax: %s, line %u: not what --format says\n", w->trace, t->bad_line);
    else if (f)
        fprintf(stderr, "ollamamax: memory is out\n");
    return f;
}

static enum fail draw_arrivals(const struct wanted *w, const struct trace *lengths, uint64_t seed, struct trace *t)
{
    double rate = simulate_full_rate(&w->spec, lengths);
    uint64_t chance = seed * 1000003;
    enum fail f = w->phases ? trace_poisson(t, lengths, w->phase, w->phases, 0, rate, &chance) : OK;
    for (uint32_t i = 0; !f && i < w->tenants; i++) {
        struct trace_phase p = { w->tenant[i].load, w->lasts };
        f = trace_poisson(t, lengths, &p, 1, i, rate, &chance);
    }
    trace_sort(t);
    return f;
}

static void find_overload(struct wanted *w)
{
    double at = 0;
    for (uint32_t i = 0; i < w->phases; at += w->phase[i++].lasts)
        if (w->phase[i].load > 1)
            w->spec.overload_begins = at, w->spec.overload_ends = at + w->phase[i].lasts;
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static void put_times(struct json_out *j, const char *name, const struct simulate_times *t)
{
    json_key(j, name);
    json_open(j, '{');
    json_key(j, "mean"), json_put_f64(j, t->mean);
    json_key(j, "p50"), json_put_f64(j, t->p50);
    json_key(j, "p95"), json_put_f64(j, t->p95);
    json_key(j, "p99"), json_put_f64(j, t->p99);
    json_key(j, "max"), json_put_f64(j, t->max);
    json_close(j);
}

static void put_tenants(struct json_out *j, const struct simulate_result *r)
{
    json_key(j, "tenants");
    json_open(j, '[');
    for (uint32_t i = 0; i < r->tenants; i++) {
        json_open(j, '{');
        put_times(j, "ttft_s", &r->tenant[i].ttft);
        json_key(j, "requests"), json_put_u64(j, r->tenant[i].requests);
        json_key(j, "refused"), json_put_u64(j, r->tenant[i].refused);
        json_close(j);
    }
    json_close(j);
}

static int print_json(const struct wanted *w, const struct simulate_result *r)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    json_open(&j, '{');
    json_key(&j, "policy"), json_put_str(&j, scheduler_policy_name(w->spec.policy));
    json_key(&j, "load"), json_put_f64(&j, r->load);
    put_times(&j, "ttft_s", &r->ttft);
    put_times(&j, "e2e_s", &r->e2e);
    put_times(&j, "queue_s", &r->queue);
    json_key(&j, "prefix_hit"), json_put_f64(&j, r->prefix_hit);
    json_key(&j, "prefix_bound"), json_put_f64(&j, r->prefix_bound);
    json_key(&j, "loads"), json_put_u64(&j, r->loads);
    json_key(&j, "evictions"), json_put_u64(&j, r->evictions);
    json_key(&j, "cv_work"), json_put_f64(&j, r->cv_work);
    json_key(&j, "cv_window"), json_put_f64(&j, r->cv_window);
    json_key(&j, "refused"), json_put_u64(&j, r->refused);
    json_key(&j, "requests"), json_put_u64(&j, r->requests);
    json_key(&j, "served"), json_put_u64(&j, r->served);
    json_key(&j, "failed"), json_put_u64(&j, r->failed);
    json_key(&j, "retried"), json_put_u64(&j, r->retried);
    if (w->spec.overload_ends > 0) {
        json_key(&j, "useful"), json_put_f64(&j, r->useful);
        json_key(&j, "recovery_s"), json_put_f64(&j, r->recovery);
        json_key(&j, "recovery_worst_s"), json_put_f64(&j, r->recovery_worst);
    }
    if (r->tenants > 1)
        put_tenants(&j, r);
    json_close(&j);
    text_putc(&t, '\n');
    return cli_print(&t);
}

static void say_times(struct text *t, const char *name, const struct simulate_times *v)
{
    text_printf(t, "%-18s %8.2f %8.2f %8.2f %8.2f %8.2f\n", name, v->mean, v->p50, v->p95, v->p99, v->max);
}

static int print_table(const struct wanted *w, const struct simulate_result *r)
{
    struct text t = { 0 };
    text_printf(&t, "%.*s, %u nodes, load %.2f, %u requests, means of %u runs\n\n",
                STR_ARG(scheduler_policy_name(w->spec.policy)), w->spec.nodes, r->load, r->requests, w->seeds);
    text_printf(&t, "%-18s %8s %8s %8s %8s %8s\n", "seconds", "mean", "p50", "p95", "p99", "max");
    say_times(&t, "first token", &r->ttft);
    say_times(&t, "whole answer", &r->e2e);
    say_times(&t, "in the queue", &r->queue);
    for (uint32_t i = 0; r->tenants > 1 && i < r->tenants; i++) {
        char name[48];
        snprintf(name, sizeof name, "tenant %u, first", i);
        say_times(&t, name, &r->tenant[i].ttft);
    }
    text_printf(&t, "\nwork per weight varies by %.1f %% between nodes; refused %u, failed %u, retried %u\n",
                100 * r->cv_work, r->refused, r->failed, r->retried);
    if (r->prefix_bound > 0)
        text_printf(&t, "prefix blocks found: %.1f %% of %.1f %% that were there to find\n", 100 * r->prefix_hit,
                    100 * r->prefix_bound);
    if (w->spec.models > 1)
        text_printf(&t, "loads %u, evictions %u\n", r->loads, r->evictions);
    if (w->spec.overload_ends > 0)
        text_printf(&t, "useful slot time under overload %.1f %%, recovered after %.1f s, worst %.1f s\n",
                    100 * r->useful, r->recovery, r->recovery_worst);
    return cli_print(&t);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static enum fail run_seed(const struct wanted *w, const struct trace *read, uint64_t seed, struct simulate_result *out)
{
    struct simulate_spec spec = w->spec;
    struct trace drawn = { 0 };
    bool draws = w->phases || w->tenants;
    enum fail f = draws ? draw_arrivals(w, read, seed, &drawn) : OK;
    spec.trace = draws ? &drawn : read;
    spec.seed = seed;
    if (!f)
        f = simulate_run(&spec, out);
    trace_free(&drawn);
    return f;
}

static int run(struct wanted *w, const struct trace *t)
{
    struct simulate_result *r = calloc(w->seeds, sizeof *r);
    enum fail f = r ? OK : FAIL_no_memory;
    for (uint32_t i = 0; !f && i < w->seeds; i++)
        f = run_seed(w, t, w->spec.seed + i, &r[i]);
    int code = CLI_FAILED;
    if (f)
        fprintf(stderr, "ollamamax: %.*s\n", STR_ARG(fail_sentence(f)));
    else {
        struct simulate_result mean = simulate_mean(r, w->seeds);
        code = w->json ? print_json(w, &mean) : print_table(w, &mean);
    }
    free(r);
    return code;
}

int cli_simulate(int argc, char **argv)
{
    struct wanted w = { .seeds = 1, .lasts = 1800 };
    struct trace t;
    simulate_spec_default(&w.spec);
    if (argc == 1 && !strcmp(argv[0], "help"))
        return help();
    if (!read_flags(&w, argc, argv))
        return CLI_MISUSED;
    if (w.replay)
        return cli_replay(w.replay, w.json);
    find_overload(&w);
    int code = read_or_draw(&w, &t) ? CLI_FAILED : run(&w, &t);
    trace_free(&t);
    return code;
}
