/* Streams come and go at random, each with objects of its own sizes; then nine of ten go for good, and idle memory is
 * given back as the gateway does it. What lies between the living cannot go back: that is fragmentation. */
#include "bench/memory_churn.h"

#include "base/slab.h"
#include "base/sys.h"
#include "bench/child.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t sizes[] = { 192, 576, 1216, 4096, 4096, 16384 }; /* of a stream, roughly */
#define OBJECTS  ARRAY_LEN(sizes)
#define TURNOVER 20 /* times that each stream is replaced */

struct churn {
    bool pools;
    unsigned streams;
    uint64_t random;
    double *result; /* shared with the parent */
};
struct stream {
    void *object[OBJECTS];
};
static struct slab slabs[OBJECTS];

static uint64_t draw(struct churn *c)
{
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return c->random >> 33;
}

/* Some have more than others: not every stream takes the large ones. */
static void begin(struct churn *c, struct stream *s)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        if (i >= 4 && draw(c) % 4)
            continue;
        s->object[i] = slab_take(&slabs[i]);
        assume(s->object[i]);
        memset(s->object[i], 1, sizes[i]);
    }
}

static void end(struct stream *s)
{
    for (size_t i = 0; i < OBJECTS; i++)
        slab_give(&slabs[i], &s->object[i]);
}

static double live_bytes(void)
{
    double bytes = 0;

    for (size_t i = 0; i < OBJECTS; i++)
        bytes += (double)slab_live(&slabs[i]) * (double)sizes[i];
    return bytes;
}

static void churn(struct churn *c, struct stream *all)
{
    for (unsigned i = 0; i < c->streams; i++)
        begin(c, &all[i]);
    for (unsigned i = 0; i < c->streams * TURNOVER; i++) {
        struct stream *s = &all[draw(c) % c->streams];
        end(s);
        begin(c, s);
    }
    for (unsigned i = 0; i < c->streams; i++)
        if (draw(c) % 10)
            end(&all[i]);
}

static void run(void *arg)
{
    struct churn *c = arg;
    struct stream *all = calloc(c->streams, sizeof *all);

    assume(all);
    memset(all, 0, c->streams * sizeof *all); /* resident before we look */
    sys_set_worker_no(0);
    slab_plain(!c->pools);
    for (size_t i = 0; i < OBJECTS; i++)
        slab_init(&slabs[i], "churn", sizes[i]);
    sys_memory_trim();
    double before = (double)sys_rss();
    churn(c, all);
    slab_trim_all(0);
    sys_memory_trim();
    *c->result = ((double)sys_rss() - before) / live_bytes();
    _exit(0);
}

double memory_churn(bool pools, unsigned streams, unsigned seed)
{
    struct churn c = { pools, streams, seed, NULL };
    struct child child = { 0 };
    double result;

    c.result = mmap(NULL, sizeof *c.result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.result == MAP_FAILED)
        return NAN;
    *c.result = NAN;
    if (!child_fork(&child, -1, run, &c))
        while (child_alive(&child))
            usleep(1000);
    result = *c.result;
    munmap(c.result, sizeof *c.result);
    return result;
}
