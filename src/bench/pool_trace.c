/* A trace is a file of a fixed size that both processes map: the one counts up, the other reads, and nothing has to be
 * flushed or asked for. Objects are told apart by their address; a sequence gives each address a place of its own in an
 * array, so that a pass looks nothing up. */
#include "bench/pool_trace.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/slab.h"
#include "base/sys.h"
#include "bench/statistics.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS_MAX ((size_t)1 << 20)
#define SIZES_MAX  24
#define ARENAS_MAX 4096

struct pool_trace {
    _Atomic size_t n;
    struct pool_event event[EVENTS_MAX];
};

/* ---- writing and reading ----------------------------------------------------------------------------------------- */

static struct pool_trace *written;

static void note(const void *arena, size_t bytes, const void *object, bool taken)
{
    size_t at = atomic_fetch_add(&written->n, 1);

    if (at < EVENTS_MAX)
        written->event[at] =
            (struct pool_event){ (uint64_t)(uintptr_t)object, (uint64_t)(uintptr_t)arena, (uint32_t)bytes, taken };
}

static void *map_file(const char *file, int flags)
{
    int fd = open(file, flags | O_RDWR | O_CLOEXEC, 0600);
    void *at = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct pool_trace)) == 0)
        at = mmap(NULL, sizeof(struct pool_trace), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return at == MAP_FAILED ? NULL : at;
}

void pool_trace_write(const char *file)
{
    written = map_file(file, O_CREAT);
    if (written)
        slab_watch(note);
}

struct pool_trace *pool_trace_open(const char *file)
{
    return map_file(file, 0);
}

void pool_trace_close(struct pool_trace **t)
{
    if (*t)
        munmap(*t, sizeof **t);
    *t = NULL;
}

size_t pool_trace_events(const struct pool_trace *t)
{
    return MIN(atomic_load(&t->n), EVENTS_MAX);
}

/* ---- a sequence -------------------------------------------------------------------------------------------------- */

/* What one object is: `arena` counts from 1 (0: of a slab, then `pool` says of which). */
struct kind {
    uint32_t bytes;
    uint16_t arena;
    uint8_t pool;
};
struct operation {
    struct kind kind;
    uint32_t place;
    bool take;
};
struct place {
    void *object;
    struct kind first, last; /* of the first and of the last object there: malloc gives an address again */
    bool before;             /* the first one is taken before the sequence begins */
};
struct pool_sequence {
    struct operation *operation;
    struct place *place;
    size_t operations, places, takes;
    size_t bytes[SIZES_MAX]; /* of the slabs */
    uint64_t arena_is[ARENAS_MAX];
    struct arena arena[ARENAS_MAX];
    unsigned sizes, arenas;
};

static uint8_t pool_of(struct pool_sequence *s, size_t bytes)
{
    for (unsigned i = 0; i < s->sizes; i++)
        if (s->bytes[i] == bytes)
            return (uint8_t)i;
    assume(s->sizes < SIZES_MAX);
    s->bytes[s->sizes] = bytes;
    return (uint8_t)s->sizes++;
}

static uint16_t arena_of(struct pool_sequence *s, uint64_t arena)
{
    for (unsigned i = s->arenas; i-- > 0;)
        if (s->arena_is[i] == arena)
            return (uint16_t)(i + 1);
    assume(s->arenas < ARENAS_MAX);
    s->arena_is[s->arenas] = arena;
    return (uint16_t)++s->arenas;
}

static struct kind kind_of(struct pool_sequence *s, const struct pool_event *e)
{
    return (struct kind){ e->bytes, e->arena ? arena_of(s, e->arena) : 0, e->arena ? 0 : pool_of(s, e->bytes) };
}

/* An object that is given back again is one that was taken before. An address that comes again is another object. */
static bool place_of(struct pool_sequence *s, struct map *places, const struct pool_event *e, uint32_t *out)
{
    struct str key = { (const char *)&e->object, sizeof e->object };
    struct place *p = map_get(places, key);

    if (!p) {
        p = &s->place[s->places++];
        p->first = kind_of(s, e);
        p->before = !e->taken;
        if (map_put(places, key, p))
            return false;
    }
    p->last = kind_of(s, e);
    *out = (uint32_t)(p - s->place);
    return true;
}

static bool fill(struct pool_sequence *s, const struct pool_event *e, size_t n)
{
    struct map places = { 0 };
    bool good = true;

    for (size_t i = 0; i < n && good; i++) {
        struct operation *o = &s->operation[s->operations];
        good = place_of(s, &places, &e[i], &o->place);
        o->kind = kind_of(s, &e[i]);
        o->take = e[i].taken;
        s->takes += o->take;
        s->operations++;
    }
    map_free(&places);
    return good;
}

struct pool_sequence *pool_sequence_of(const struct pool_event *e, size_t n)
{
    struct pool_sequence *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->operation = calloc(n + 1, sizeof *s->operation);
    s->place = calloc(n + 1, sizeof *s->place);
    if (!s->operation || !s->place || !fill(s, e, n))
        pool_sequence_free(&s);
    return s;
}

struct pool_sequence *pool_sequence_new(const struct pool_trace *t, size_t from, size_t to)
{
    return pool_sequence_of(t->event + from, to - from);
}

void pool_sequence_free(struct pool_sequence **s)
{
    if (!*s)
        return;
    free((*s)->operation);
    free((*s)->place);
    free(*s);
    *s = NULL;
}

size_t pool_sequence_takes(const struct pool_sequence *s)
{
    return s->takes;
}

/* ---- a pass ------------------------------------------------------------------------------------------------------ */

static struct slab pools[SIZES_MAX];

static inline void *take(struct pool_sequence *s, enum pool_kind by, struct kind k)
{
    void *object = by == POOL_NOTHING  ? s
                   : by == POOL_MALLOC ? malloc(k.bytes)
                   : k.arena           ? arena_take(&s->arena[k.arena - 1], k.bytes)
                                       : slab_take(&pools[k.pool]);
    assume(object);
    return object;
}

/* An arena goes as a whole, with the first of its pieces. */
static inline void give(struct pool_sequence *s, enum pool_kind by, struct kind k, void **object)
{
    if (by == POOL_MALLOC)
        free(*object);
    else if (by == POOL_POOLS && !k.arena)
        slab_give(&pools[k.pool], object);
    else if (by == POOL_POOLS && s->arena[k.arena - 1].blocks)
        arena_done(&s->arena[k.arena - 1]);
    *object = NULL;
}

static void take_what_was_there(struct pool_sequence *s, enum pool_kind by)
{
    for (size_t i = 0; i < s->places; i++)
        if (s->place[i].before)
            s->place[i].object = take(s, by, s->place[i].first);
}

static void give_what_is_left(struct pool_sequence *s, enum pool_kind by)
{
    for (size_t i = 0; i < s->places; i++)
        if (s->place[i].object)
            give(s, by, s->place[i].last, &s->place[i].object);
    for (size_t i = 0; i < s->arenas; i++)
        arena_done(&s->arena[i]);
}

static void run(struct pool_sequence *s, enum pool_kind by)
{
    for (size_t i = 0; i < s->operations; i++) {
        const struct operation *o = &s->operation[i];
        if (o->take)
            s->place[o->place].object = take(s, by, o->kind);
        else
            give(s, by, o->kind, &s->place[o->place].object);
    }
}

static double pass(struct pool_sequence *s, enum pool_kind by)
{
    take_what_was_there(s, by);
    nsec began = sys_now();
    run(s, by);
    nsec took = sys_now() - began;
    give_what_is_left(s, by);
    return (double)took;
}

double pool_sequence_ns(struct pool_sequence *s, enum pool_kind by, unsigned passes)
{
    double *ns = calloc(passes, sizeof *ns), median = 0;

    for (unsigned i = 0; i < s->sizes && by == POOL_POOLS; i++)
        slab_init(&pools[i], "replay", s->bytes[i]);
    for (unsigned i = 0; i < passes && ns; i++)
        ns[i] = pass(s, by);
    for (unsigned i = 0; i < s->sizes && by == POOL_POOLS; i++)
        slab_done(&pools[i]);
    if (ns) {
        statistics_sort(ns, passes);
        median = statistics_percentile(ns, passes, 0.5);
    }
    free(ns);
    return median;
}
