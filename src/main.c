/* main.c - the commands there are, and the memory that all of them use. A new command is a row and a file in cli/. */
#include "base/slab.h"
#include "base/tape.h"
#include "cli/cli.h"
#include "net/conn.h"

#define ASKS                                                                                                           \
    "  --url URL                       the gateway to ask, http://gate:13100; else the one that the settings name,\n"  \
    "                                  which may be given as to `ollamamax serve`\n"                                   \
    "  --key KEY                       its admin key; else admin_key of the settings\n"
static const char status_flags[] =
    ASKS "  --ready                         says nothing; exit code 0 when at least one node can take work\n";
static const char top_flags[] = ASKS "  --once                          tables, once, for scripts\n"
                                     "  --json                          the gateway's own answers, once\n"
                                     "  --interval 1s                   how often it is asked\n"
                                     "\n"
                                     "Keys: h shows them, q ends it.\n";

static const struct command commands[] = {
    {"serve",     "[FLAGS]",        "the gateway",                                                          cli_serve,    ""          },
    { "demo",     "[FLAGS]",        "the same before three simulated nodes: a look without graphics cards", cli_demo,     ""          },
    { "check",    "[FILE] [FLAGS]", "the settings in force, each with where it comes from; mistakes",       cli_check,    ""          },
    { "status",   "[FLAGS]",        "what a running gateway says about itself and its nodes",               cli_status,   status_flags},
    { "top",      "[FLAGS]",        "the fleet at a glance, live; --once or --json for scripts",            cli_top,      top_flags   },
    { "cache",    "stats | flush",  "what the cache has spared; forgetting all, model:NAME or node:ID",     cli_cache,    ASKS        },
    { "bench",    "[NAME] [FLAGS]", "the promises, measured; `ollamamax bench help` lists the flags",       cli_bench,    NULL        },
    { "simnode",  "[FLAGS]",        "a simulated node; `ollamamax simnode help` lists the flags",           cli_simnode,  NULL        },
    { "simulate", "[FLAGS]",        "a trace through the scheduler on a virtual clock",                     cli_simulate, NULL        },
    { "version",  "",               "the version",                                                          cli_version,  NULL        },
    { "settings", "",               NULL,                                                                   cli_settings, NULL        },
    { NULL,       NULL,             NULL,                                                                   NULL,         NULL        },
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
