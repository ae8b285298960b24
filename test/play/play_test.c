/* All plays: each as it is written, with several seeds; then, without its expectations, with allocation 1..N failing
 * and with each connection cut at byte 1..N, both ways. A normal run takes POINTS of each, spread evenly;
 * OLLAMAMAX_SWEEP=1 takes all, or MOST. What must hold after every run holds after these too (truth.c).
 *
 *     play_test [--tell] [--only N] [--seed S] [--memory K] [--cut WIRE.up|down.BYTE] FILE...
 *
 * A failure prints the words that run it alone. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/tape.h"
#include "net/conn.h"
#include "play.h"
#include <stdio.h>
#include <stdlib.h>

#define SEEDS  5
#define POINTS 40
#define MOST   4000 /* where bodies are megabytes */

static struct {
    bool tell, single;
    unsigned only;
    uint64_t seed;
    struct harm harm;
} told = { .seed = 1 };
static unsigned passed, failed;

static void note(bool good)
{
    passed += good;
    failed += !good;
}

static bool full_sweep(void)
{
    const char *v = getenv("OLLAMAMAX_SWEEP");
    return v && *v == '1';
}

/* From 1 to n in such steps. */
static uint64_t stride(uint64_t n)
{
    uint64_t points = full_sweep() ? MOST : POINTS;
    return n <= points ? 1 : n / points;
}

static bool sweep_memory(const struct script *s, uint64_t allocations)
{
    for (uint64_t i = 1 + told.seed % stride(allocations); i <= allocations; i += stride(allocations))
        if (!play(s, told.seed, false, &(struct harm){ .memory = i }))
            return false;
    return true;
}

static bool sweep_cuts(const struct script *s, const struct played *p)
{
    uint64_t all = 0, next = 0, at = 0;
    for (unsigned i = 0; i < p->wires; i++)
        all += p->bytes[i][0] + p->bytes[i][1];
    for (unsigned i = 0; i < p->wires; i++)
        for (unsigned side = 0; side < 2; side++)
            for (uint64_t byte = 1; byte <= p->bytes[i][side]; byte++, at++) {
                if (at < next)
                    continue;
                next = at + stride(all);
                struct harm h = { .wire = i + 1, .side = side ? TO_PEER : FROM_PEER, .at = byte };
                if (!play(s, told.seed, false, &h))
                    return false;
            }
    return true;
}

static bool same_again(const struct script *s)
{
    uint64_t hash[2];
    for (unsigned i = 0; i < 2; i++) {
        play(s, told.seed, true, NULL);
        struct played p = play_counts();
        hash[i] = p.hash;
        free(p.bytes);
    }
    if (hash[0] != hash[1])
        fprintf(stderr, "'%s' is not the same the second time\n", s->title);
    return hash[0] == hash[1];
}

static bool play_all_ways(const struct script *s)
{
    for (uint64_t seed = told.seed; seed < told.seed + SEEDS; seed++)
        if (!play(s, seed, true, NULL))
            return false;
    if (!same_again(s) || !play(s, told.seed, false, NULL))
        return false;
    struct played p = play_counts();
    bool good = sweep_memory(s, p.allocations) && sweep_cuts(s, &p);
    free(p.bytes);
    return good;
}

static void play_file(const char *file)
{
    struct scripts all = scripts_load(file);
    for (unsigned i = 0; i < all.n; i++) {
        if (told.only && told.only != i + 1)
            continue;
        const struct script *s = &all.script[i];
        bool strict = !told.harm.memory && !told.harm.wire;
        note(told.single ? play(s, told.seed, strict, &told.harm) : play_all_ways(s));
    }
    scripts_free(&all);
}

static void read_cut(const char *text)
{
    char side[8];
    unsigned long long at;
    if (sscanf(text, "%u.%7[a-z].%llu", &told.harm.wire, side, &at) != 3) {
        fprintf(stderr, "--cut WIRE.up|down.BYTE\n");
        exit(2);
    }
    told.harm.side = strcmp(side, "up") == 0 ? FROM_PEER : TO_PEER;
    told.harm.at = at;
}

static int read_options(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--tell") == 0) {
            told.tell = told.single = true;
            continue;
        }
        const char *value = i + 1 < argc ? argv[++i] : "";
        told.single = true;
        if (strcmp(argv[i - 1], "--only") == 0)
            told.only = (unsigned)atoi(value);
        else if (strcmp(argv[i - 1], "--seed") == 0)
            told.seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i - 1], "--memory") == 0)
            told.harm.memory = strtoull(value, NULL, 10);
        else if (strcmp(argv[i - 1], "--cut") == 0)
            read_cut(value);
    }
    return i;
}

int main(int argc, char **argv)
{
    arena_pools_init();
    buf_pools_init();
    tape_pools_init();
    conn_pools_init();
    int i = read_options(argc, argv);
    if (told.tell)
        world_tell(stderr);
    for (; i < argc; i++)
        play_file(argv[i]);
    free(play_counts().bytes);
    conn_pools_done();
    tape_pools_done();
    buf_pools_done();
    arena_pools_done();
    printf("plays: %u passed, %u failed\n", passed, failed);
    return failed > 0;
}
