/* bench/bench.h - `ollamamax bench [NAME]`: what was promised, measured. */
#pragma once
#include "base/str.h"

struct bench_options {
    const char *gateway; /* the program that is measured */
    const char *json;    /* file, or "-" for the standard output; NULL: none */
    unsigned rounds;
    bool quick; /* under half a minute, and rougher */
    bool haproxy, nginx;
    const char *trace; /* cache: of keys; NULL: drawn workloads */
    size_t capacity;   /* cache: in values */
    unsigned shards;   /* cache: 0 = usual */
};
/* What follows `bench` on the command line, `help` among it. The exit status: 0 when it ran, whatever it found; 1 when
 * it could not; 2 for wrong use, said on stderr. */
int bench_run(int argc, char **argv);
