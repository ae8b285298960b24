/* cli/bench.c - the benches have a room of their own; here they get their command. */
#include "bench/bench.h"
#include "cli/cli.h"

int cli_bench(int argc, char **argv)
{
    return bench_run(argc, argv);
}
