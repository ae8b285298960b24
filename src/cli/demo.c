/* cli/demo.c - the gateway before three simulated nodes, for a first look without a single graphics card.
 *
 * The nodes are real HTTP servers on loopback, on ports that the system gives, all on one thread with a loop of its
 * own; the gateway is the one that `serve` runs, and is told of them by --node flags. Who gives --node flags of his own
 * gets those nodes as well. That nodes are simulated is said first, in the start-up text and by each answer's header.
 */
#include "base/log.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "cli/serve.h"
#include "cli/simnode.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES     3
#define OWN_WORDS (NODES * 2 + 1)

static const struct simnode_model models[] = {
    {{ "llama3.2:latest", 15 },   2019393189u},
    { { "qwen3:8b", 8 },          5225388164u},
    { { "nomic-embed-text", 16 }, 274302450u },
};

static const struct demo_node {
    struct str name;
    unsigned n_models, slots;
    double prefill, decode;
    uint64_t vram;
} table[NODES] = {
    {{ "fast", 4 },    3, 4, 4000, 90, 24ull << 30},
    { { "middle", 6 }, 3, 2, 2000, 45, 12ull << 30},
    { { "small", 5 },  1, 1, 600,  18, 6ull << 30 },
};

struct demo {
    struct loop *loop;
    struct simnode *node[NODES];
    struct addr at[NODES];
    pthread_t thread;
    bool running;
    char address[NODES][160];
    char **words;
};

static bool open_nodes(struct demo *d)
{
    for (unsigned i = 0; i < NODES; i++) {
        const struct demo_node *row = &table[i];
        struct simnode_spec spec = simnode_spec_usual();
        spec.name = row->name;
        spec.models = models;
        spec.n_models = row->n_models;
        spec.slots = row->slots;
        spec.prefill = row->prefill;
        spec.decode = row->decode;
        spec.vram = row->vram;
        spec.seed = i + 1;
        (void)addr_listen(STR("127.0.0.1:0"), 0, &spec.listen);
        if (simnode_open(d->loop, &spec, &d->node[i], &d->at[i]))
            return false;
    }
    return true;
}

static void *run_nodes(void *arg)
{
    struct demo *d = arg;
    loop_run(d->loop, NULL, NULL);
    return NULL;
}

/* Signals belong to the gateway's first worker. */
static bool start_thread(struct demo *d)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    d->running = pthread_create(&d->thread, NULL, run_nodes, d) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return d->running;
}

/* The flags of the user, and before them a --node for each of ours. */
static bool write_flags(struct demo *d, int argc, char **argv, struct config_args *out)
{
    d->words = calloc((size_t)argc + OWN_WORDS, sizeof *d->words);
    if (!d->words)
        return false;
    int n = 0;
    for (unsigned i = 0; i < NODES; i++) {
        char at[64];
        addr_text(&d->at[i], at);
        snprintf(d->address[i], sizeof d->address[i], "http://%s,name=%.*s,vram=%lluGiB,labels=simulated:yes", at,
                 STR_ARG(table[i].name), (unsigned long long)(table[i].vram >> 30));
        d->words[n++] = "--node";
        d->words[n++] = d->address[i];
    }
    for (int i = 0; i < argc; i++)
        d->words[n++] = argv[i];
    *out = (struct config_args){ .argc = n, .argv = d->words };
    return true;
}

/* The nodes' loop has the last number, which no worker may have as well. */
static bool leaves_room(const struct config_args *args)
{
    struct config *c = config_load(args);
    bool room = !c || config_workers(c) < SYS_WORKERS_MAX;
    config_free(&c);
    if (!room)
        fprintf(stderr, "ollamamax: a demo has at most %d workers\n", SYS_WORKERS_MAX - 1);
    return room;
}

static void stop_nodes(struct demo *d)
{
    if (d->running) {
        loop_stop(d->loop);
        pthread_join(d->thread, NULL);
    }
    for (unsigned i = 0; i < NODES; i++)
        simnode_close(&d->node[i]);
    if (d->loop)
        loop_free(&d->loop);
    free(d->words);
}

static int serve(struct demo *d, int argc, char **argv)
{
    struct config_args args;
    d->loop = loop_new(SYS_WORKERS_MAX - 1);
    if (!d->loop || !open_nodes(d) || !write_flags(d, argc, argv, &args)) {
        log_error("the simulated nodes cannot be started: memory or descriptors are out");
        return CLI_FAILED;
    }
    if (!leaves_room(&args))
        return CLI_MISUSED;
    if (!start_thread(d)) {
        log_error("the simulated nodes cannot be started: threads are out");
        return CLI_FAILED;
    }
    return serve_run(&args, "This is a demonstration: the three nodes behind it are SIMULATED and compute nothing. "
                            "`ollamamax serve --node HOST` is the real thing.");
}

int cli_demo(int argc, char **argv)
{
    struct demo d = { 0 };
    simnode_pools_init();
    int code = serve(&d, argc, argv);
    stop_nodes(&d);
    simnode_pools_done();
    return code;
}
