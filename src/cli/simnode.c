/* cli/simnode.c - one simulated node in the foreground, until a signal ends it.
 *
 * Its flags are no settings of the gateway, so they have a table of their own. */
#include "cli/simnode.h"
#include "api/name.h"
#include "base/log.h"
#include "cli/cli.h"
#include "config/nearest.h"
#include "config/value.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define MODELS_MAX 256

struct wanted {
    struct simnode_spec spec;
    struct simnode_model models[MODELS_MAX];
};

/* ---- flags ------------------------------------------------------------------------------------------------------- */

bool simnode_model_read(struct str text, struct simnode_model *out)
{
    struct name name;
    int64_t size = 0;
    *out = (struct simnode_model){ .name = str_cut(&text, '=') };
    if (name_parse(out->name, &name) || (text.n && !value_size(text, &size)))
        return false;
    out->size = (uint64_t)size;
    return true;
}

static bool read_listen(struct wanted *w, struct str v)
{
    return addr_listen(v, 11434, &w->spec.listen);
}
static bool read_model(struct wanted *w, struct str v)
{
    return w->spec.n_models < MODELS_MAX && simnode_model_read(v, &w->models[w->spec.n_models++]);
}
static bool read_name(struct wanted *w, struct str v)
{
    w->spec.name = v;
    return v.n > 0;
}
static bool read_kind(struct wanted *w, struct str v)
{
    return sim_kind_of(v, &w->spec.kind);
}
static bool read_slots(struct wanted *w, struct str v)
{
    int64_t n;
    bool good = value_count(v, &n) && n > 0 && n <= 100000;
    w->spec.slots = good ? (unsigned)n : 1;
    return good;
}
static bool read_load_rate(struct wanted *w, struct str v)
{
    int64_t rate = 0;
    bool good = str_eq(v, STR("0")) || value_rate(v, &rate);
    w->spec.load_rate = (uint64_t)rate;
    return good;
}
static bool read_vram(struct wanted *w, struct str v)
{
    int64_t bytes = 0;
    bool good = value_size(v, &bytes) && bytes > 0;
    w->spec.vram = (uint64_t)bytes;
    return good;
}
static bool read_prefill(struct wanted *w, struct str v)
{
    return value_number(v, &w->spec.prefill) && w->spec.prefill >= 0;
}
static bool read_decode(struct wanted *w, struct str v)
{
    return value_number(v, &w->spec.decode) && w->spec.decode >= 0;
}
static bool read_latency(struct wanted *w, struct str v)
{
    return value_duration(v, &w->spec.latency) && w->spec.latency >= 0;
}
static bool read_seed(struct wanted *w, struct str v)
{
    return str_u64(v, &w->spec.seed);
}

static const struct flag {
    struct str name;
    bool (*read)(struct wanted *w, struct str value);
    const char *expects;
} flags[] = {
    {{ "listen", 6 },     read_listen,    "an address: 127.0.0.1:11434, or port 0 for any" },
    { { "model", 5 },     read_model,     "a model: llama3.2, or llama3.2:latest=2GiB"     },
    { { "name", 4 },      read_name,      "a name"                                         },
    { { "kind", 4 },      read_kind,      "ollama, llamacpp, vllm or openai"               },
    { { "slots", 5 },     read_slots,     "a number of requests at once, for each model"   },
    { { "load-rate", 9 }, read_load_rate, "bytes per second: 2GiB/s; 0: loads take no time"},
    { { "prefill", 7 },   read_prefill,   "tokens per second of a prompt; 0: no time"      },
    { { "decode", 6 },    read_decode,    "tokens per second of an answer; 0: no time"     },
    { { "vram", 4 },      read_vram,      "a size: 24GiB"                                  },
    { { "latency", 7 },   read_latency,   "a duration before each answer: 5ms"             },
    { { "seed", 4 },      read_seed,      "a number"                                       },
};

static const struct flag *flag_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (str_eq(flags[i].name, name))
            return &flags[i];
    return NULL;
}

static void say_unknown(const char *word, struct str name)
{
    struct nearest n = nearest_to(name);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        nearest_offer(&n, flags[i].name);
    fprintf(stderr, "ollamamax: simnode has no flag %s", word);
    if (n.best.n)
        fprintf(stderr, "; did you mean --%.*s?\n", STR_ARG(n.best));
    else
        fprintf(stderr, "; `ollamamax simnode help` lists them\n");
}

static int help(void)
{
    struct text t = { 0 };
    text_put(&t, STR("ollamamax simnode [FLAGS]: an HTTP server that speaks Ollama's API and computes nothing\n\n"));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        text_printf(&t, "  --%-12.*s %s\n", STR_ARG(flags[i].name), flags[i].expects);
    text_put(
        &t,
        STR("\nPOST /sim/faults {\"stall_ms\", \"reset_after_bytes\", \"status\", \"count\", \"busy\", \"slow_load\", "
            "\"die\"} makes trouble; GET /sim/stats counts.\n"));
    return cli_print(&t);
}

/* "--flag value" and "--flag=value". */
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
        if (!joined)
            value = str_of(++i < argc ? argv[i] : "");
        if (!f->read(w, value)) {
            fprintf(stderr, "ollamamax: --%.*s wants %s\n", STR_ARG(name), f->expects);
            return false;
        }
    }
    return true;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void stop(int signo, void *arg)
{
    loop_stop(arg);
}

static void say_start(const struct wanted *w, const struct addr *at)
{
    char text[64];
    addr_text(at, text);
    struct str kind = sim_kind_name(w->spec.kind);
    log_info("a SIMULATED node (as %.*s) is listening on http://%s, with %u models; it computes nothing", STR_ARG(kind),
             text, w->spec.n_models);
}

static int run(const struct wanted *w, struct loop *l)
{
    struct simnode *n;
    struct addr bound;
    char text[64];
    addr_text(&w->spec.listen, text);
    enum fail f = simnode_open(l, &w->spec, &n, &bound);
    if (f) {
        fprintf(stderr, "ollamamax: no simulated node at %s: %.*s\n", text, STR_ARG(fail_sentence(f)));
        return CLI_FAILED;
    }
    loop_on_signal(l, SIGTERM, stop, l);
    loop_on_signal(l, SIGINT, stop, l);
    say_start(w, &bound);
    loop_run(l, NULL, NULL);
    simnode_close(&n);
    return CLI_GOOD;
}

int cli_simnode(int argc, char **argv)
{
    struct wanted w = { .spec = simnode_spec_usual() };
    if (argc == 1 && !strcmp(argv[0], "help"))
        return help();
    w.spec.models = w.models;
    (void)addr_listen(STR("127.0.0.1:11434"), 11434, &w.spec.listen);
    if (!read_flags(&w, argc, argv))
        return CLI_MISUSED;
    if (w.spec.n_models == 0)
        w.models[w.spec.n_models++] = (struct simnode_model){ .name = STR("llama3.2:latest") };
    signal(SIGPIPE, SIG_IGN);
    sys_raise_descriptors();
    log_configure(LOG_INFO, !isatty(STDERR_FILENO), NULL);
    struct loop *l = loop_new(0);
    if (!l)
        return CLI_FAILED;
    simnode_pools_init();
    int code = run(&w, l);
    loop_free(&l);
    simnode_pools_done();
    return code;
}
