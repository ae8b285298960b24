/* main.c - the commands there are, and the memory that all of them use. A new command is a row and a file in cli/. */
#include "base/slab.h"
#include "base/tape.h"
#include "cli/cli.h"
#include "net/conn.h"

static const struct command commands[] = {
    {"serve",     "[FLAGS]",           "the gateway",                                                          cli_serve,    true },
    { "demo",     "[FLAGS]",           "the same before three simulated nodes: a look without graphics cards", cli_demo,     true },
    { "check",    "[FILE] [FLAGS]",    "the settings in force, each with where it comes from; mistakes",       cli_check,    true },
    { "status",   "[--ready] [FLAGS]", "what a running gateway says about itself and its nodes",               cli_status,   true },
    { "top",      "[--once] [FLAGS]",  "the fleet at a glance, live; --once or --json for scripts",            cli_top,      true },
    { "cache",    "stats | flush",     "what the cache has spared; forgetting all, model:NAME or node:ID",     cli_cache,    true },
    { "bench",    "[NAME] [FLAGS]",    "the promises, measured; `ollamamax bench help` lists the flags",       cli_bench,    false},
    { "simnode",  "[FLAGS]",           "a simulated node; `ollamamax simnode help` lists the flags",           cli_simnode,  false},
    { "simulate", "[FLAGS]",           "a trace through the scheduler on a virtual clock",                     cli_simulate, false},
    { "version",  "",                  "the version",                                                          cli_version,  false},
    { "settings", "",                  NULL,                                                                   cli_settings, false},
    { NULL,       NULL,                NULL,                                                                   NULL,         false},
};

int main(int argc, char **argv)
{
    arena_pools_init();
    buf_pools_init();
    tape_pools_init();
    conn_pools_init();
    int code = cli_run(commands, argc, argv);
    conn_pools_done();
    tape_pools_done();
    buf_pools_done();
    arena_pools_done();
    return code;
}
