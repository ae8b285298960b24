/* base/slab.c - magazines and depot, after Bonwick and Adams, "Magazines and Vmem" (USENIX 2001).
 *
 *     worker 0: loaded ooo, spare oooo --.              .-- loaded oo, spare .. :worker 1
 *                                         depot (lock): oooo oooo oooo + loose o      <- threads that are no workers
 *
 * A worker takes from and gives to its own two magazines without lock or locked instruction; a whole magazine at a time
 * goes through the depot, so that objects given back on another worker than took them find their way home. Two
 * magazines, not one, so that a worker which takes and gives around the edge of one does not visit the depot each time.
 *
 * A magazine is a chain through the free objects themselves rather than Bonwick's array of pointers: no memory of its
 * own, so giving back cannot fail and there are no empty magazines to keep. Reading a free object's link touches the
 * line its taker is about to write anyway. Objects are single mallocs: only so can slab_trim hand memory back. What is
 * idle is told as Bonwick does: the least that lay in a depot over a while was not needed in it. Objects
 * too large for a magazine live in the depot: beside the cost of filling 256 KiB a lock is nothing.
 *
 * Counters belong to one writer each (a worker, or whoever holds the depot's lock) and are summed by readers. The peak
 * is taken where live can outgrow the past: on a miss, on a visit to the depot, and when someone looks. */
#include "base/slab.h"

#include "base/sys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SLABS_MAX        64
#define MAGAZINE_OBJECTS 64
#define MAGAZINE_BYTES   KIB(64)

struct object {
    struct object *next;
    struct object *next_chain; /* in the first object of a chain in the depot */
};
struct chain {
    struct object *top;
    size_t n;
};
typedef _Atomic uint64_t counter;

struct side {
    struct object *loaded, *spare;
    uint32_t loaded_n, spare_n;
    counter hits, misses, given, freed;
    int64_t most; /* own takes minus own gives, the most so far */
} __attribute__((aligned(64)));

struct slab_state {
    struct slab *slab; /* NULL: this state is free for another slab */
    uint32_t per_magazine;
    bool depot_only;
    _Atomic int64_t peak;
    pthread_mutex_t lock; /* guards chains and the last of the sides */
    struct chain chains;  /* full magazines; .n of them */
    size_t idle;          /* the least that the depot held since slab_reap last came */
    struct side sides[SYS_WORKERS_MAX + 1];
};

static struct slab_state states[SLABS_MAX];
static pthread_mutex_t states_lock = PTHREAD_MUTEX_INITIALIZER;
static slab_watcher *watcher;
#ifdef PLAIN_MEMORY
#define LEAST_BYTES ((size_t)1)
#define is_plain()  true
#else
#define LEAST_BYTES sizeof(struct object)
static atomic_bool plain;
#define is_plain()  atomic_load_explicit(&plain, memory_order_relaxed)
#endif

static atomic_bool watching;
static _Atomic uint64_t takes, doomed;

/* memory_strikes, of which the compiler may not make it a part of others, as another library could replace it. */
static inline bool strikes(void)
{
    if (likely(!atomic_load_explicit(&watching, memory_order_relaxed)))
        return false;
    return atomic_fetch_add(&takes, 1) + 1 == atomic_load(&doomed);
}

/* --- counting --- */

static inline uint64_t get(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}
/* The one writer adds: no locked instruction. */
static inline void add(counter *c, uint64_t n)
{
    atomic_store_explicit(c, get(c) + n, memory_order_relaxed);
}

static int64_t side_live(const struct side *w)
{
    return (int64_t)(get(&w->hits) + get(&w->misses) - get(&w->given));
}

static void note_peak(struct slab_state *st)
{
    int64_t live = slab_live(st->slab);
    int64_t peak = atomic_load_explicit(&st->peak, memory_order_relaxed);
    while (live > peak && !atomic_compare_exchange_weak(&st->peak, &peak, live))
        ;
}

static struct slab_count count(struct slab_state *st)
{
    struct slab_count c = { .name = st->slab->name, .object_bytes = st->slab->object_bytes };
    uint64_t given = 0, freed = 0;
    for (size_t i = 0; i < ARRAY_LEN(st->sides); i++) {
        const struct side *w = &st->sides[i];
        given += get(&w->given);
        freed += get(&w->freed);
        c.hits += get(&w->hits);
        c.misses += get(&w->misses);
    }
    c.live = MAX((int64_t)(c.hits + c.misses - given), 0);
    c.free = MAX((int64_t)(c.misses - freed) - c.live, 0);
    c.peak = MAX(atomic_load_explicit(&st->peak, memory_order_relaxed), c.live);
    return c;
}

int64_t slab_live(const struct slab *s)
{
    int64_t live = 0;
    for (size_t i = 0; i < ARRAY_LEN(s->state->sides); i++)
        live += side_live(&s->state->sides[i]);
    return live;
}

void slab_each(void (*visit)(const struct slab_count *c, void *arg), void *arg)
{
    pthread_mutex_lock(&states_lock);
    for (size_t i = 0; i < SLABS_MAX; i++) {
        if (!states[i].slab)
            continue;
        note_peak(&states[i]);
        struct slab_count c = count(&states[i]);
        visit(&c, arg);
    }
    pthread_mutex_unlock(&states_lock);
}

/* --- chains --- */

static inline struct object *pop(struct object **top, uint32_t *n)
{
    struct object *o = *top;
    *top = o->next;
    --*n;
    return o;
}

static inline void push(struct object **top, uint32_t *n, struct object *o)
{
    o->next = *top;
    *top = o;
    ++*n;
}

static void swap_magazines(struct side *w)
{
    struct object *top = w->loaded;
    uint32_t n = w->loaded_n;
    w->loaded = w->spare;
    w->loaded_n = w->spare_n;
    w->spare = top;
    w->spare_n = n;
}

static void depot_put(struct slab_state *st, struct object *chain)
{
    chain->next_chain = st->chains.top;
    st->chains.top = chain;
    st->chains.n++;
}

static struct object *depot_get(struct slab_state *st)
{
    struct object *chain = st->chains.top;
    if (chain) {
        st->chains.top = chain->next_chain;
        st->chains.n--;
    }
    return chain;
}

/* The depot's own side has only a loaded magazine: the loose objects that make no full chain. */
static struct side *depot_side(struct slab_state *st)
{
    return &st->sides[SYS_NO_WORKER];
}

static size_t depot_free(struct slab_state *st)
{
    return st->chains.n * st->per_magazine + depot_side(st)->loaded_n;
}

/* Objects have left the depot. Under the lock. */
static void note_idle(struct slab_state *st)
{
    st->idle = MIN(st->idle, depot_free(st));
}

/* Breaks up a full chain when there are no loose objects. */
static void loosen(struct slab_state *st)
{
    struct side *loose = depot_side(st);
    if (!loose->loaded && (loose->loaded = depot_get(st)))
        loose->loaded_n = st->per_magazine;
}

/* --- taking --- */

/* A full magazine from the depot, or its loose objects; false when there are none. */
static bool reload(struct slab_state *st, struct side *w)
{
    struct side *loose = depot_side(st);
    pthread_mutex_lock(&st->lock);
    w->loaded = depot_get(st);
    w->loaded_n = w->loaded ? st->per_magazine : 0;
    if (!w->loaded && loose->loaded) {
        w->loaded = loose->loaded;
        w->loaded_n = loose->loaded_n;
        loose->loaded = NULL;
        loose->loaded_n = 0;
    }
    note_idle(st);
    pthread_mutex_unlock(&st->lock);
    note_peak(st);
    return w->loaded_n > 0;
}

static void *take_by_worker(struct slab_state *st, struct side *w)
{
    if (unlikely(w->loaded_n == 0)) {
        if (w->spare_n)
            swap_magazines(w);
        else if (!reload(st, w))
            return NULL;
    }
    add(&w->hits, 1);
    return pop(&w->loaded, &w->loaded_n);
}

static void *take_from_depot(struct slab_state *st)
{
    struct side *loose = depot_side(st);
    void *object = NULL;
    pthread_mutex_lock(&st->lock);
    loosen(st);
    if (loose->loaded) {
        object = pop(&loose->loaded, &loose->loaded_n);
        add(&loose->hits, 1);
        note_idle(st);
    }
    pthread_mutex_unlock(&st->lock);
    note_peak(st);
    return object;
}

/* Counters of the last side have many writers: under the lock. */
static void count_on(struct slab_state *st, unsigned no, counter *c)
{
    if (no < SYS_NO_WORKER) {
        add(c, 1);
        return;
    }
    pthread_mutex_lock(&st->lock);
    add(c, 1);
    pthread_mutex_unlock(&st->lock);
}

static void *take_by_malloc(struct slab_state *st, unsigned no, size_t bytes)
{
    void *object = malloc(bytes);
    if (!object)
        return NULL;
    struct side *w = &st->sides[no];
    count_on(st, no, &w->misses);
    int64_t live = side_live(w);
    if (watcher && is_plain())
        watcher(NULL, bytes, object, true);
    if (!is_plain() || no == SYS_NO_WORKER) {
        note_peak(st);
    } else if (live > w->most) { /* plain takes are frequent: look at other workers' counters only on a new high */
        w->most = live;
        note_peak(st);
    }
    return object;
}

void *slab_take(struct slab *s)
{
    struct slab_state *st = s->state;
    unsigned no = sys_worker_no();
    if (strikes())
        return NULL;
    void *object = NULL;
    if (likely(!is_plain())) {
        if (likely(no < SYS_NO_WORKER && !st->depot_only))
            object = take_by_worker(st, &st->sides[no]);
        else
            object = take_from_depot(st);
    }
    return likely(object) ? object : take_by_malloc(st, no, MAX(s->object_bytes, LEAST_BYTES));
}

void *slab_take0(struct slab *s)
{
    void *object = slab_take(s);
    if (object)
        memset(object, 0, s->object_bytes);
    return object;
}

/* --- giving --- */

static void unload(struct slab_state *st, struct side *w)
{
    if (w->spare_n) {
        pthread_mutex_lock(&st->lock);
        depot_put(st, w->spare);
        pthread_mutex_unlock(&st->lock);
        w->spare = NULL;
        w->spare_n = 0;
    }
    swap_magazines(w);
}

static void give_by_worker(struct slab_state *st, struct side *w, struct object *o)
{
    if (unlikely(w->loaded_n == st->per_magazine))
        unload(st, w);
    push(&w->loaded, &w->loaded_n, o);
    add(&w->given, 1);
}

static void give_to_depot(struct slab_state *st, struct object *o)
{
    struct side *loose = depot_side(st);
    pthread_mutex_lock(&st->lock);
    push(&loose->loaded, &loose->loaded_n, o);
    if (loose->loaded_n == st->per_magazine) {
        depot_put(st, loose->loaded);
        loose->loaded = NULL;
        loose->loaded_n = 0;
    }
    add(&loose->given, 1);
    pthread_mutex_unlock(&st->lock);
}

static void give_by_free(struct slab_state *st, unsigned no, void *object)
{
    if (watcher)
        watcher(NULL, st->slab->object_bytes, object, false);
    free(object);
    count_on(st, no, &st->sides[no].given);
    count_on(st, no, &st->sides[no].freed);
}

void slab_give_(struct slab *s, void **object)
{
    struct slab_state *st = s->state;
    unsigned no = sys_worker_no();
    void *o = *object;
    *object = NULL;
    if (!o)
        return;
    if (unlikely(is_plain()))
        give_by_free(st, no, o);
    else if (likely(no < SYS_NO_WORKER && !st->depot_only))
        give_by_worker(st, &st->sides[no], o);
    else
        give_to_depot(st, o);
}

/* --- the memory behind --- */

static uint64_t free_chain(struct object *o)
{
    uint64_t n = 0;
    for (; o; n++) {
        struct object *next = o->next;
        free(o);
        o = next;
    }
    return n;
}

/* Takes out of the depot what exceeds `keep`: whole chains, linked, and in *out_loose the rest. Under the lock. */
static struct object *detach_excess(struct slab_state *st, size_t keep, struct object **out_loose)
{
    struct side *loose = depot_side(st);
    struct object *excess = NULL;
    uint32_t gone = 0;
    while (st->chains.n && depot_free(st) >= keep + st->per_magazine) {
        struct object *chain = depot_get(st);
        chain->next_chain = excess;
        excess = chain;
    }
    *out_loose = NULL;
    while (depot_free(st) > keep) {
        loosen(st);
        push(out_loose, &gone, pop(&loose->loaded, &loose->loaded_n));
    }
    return excess;
}

void slab_trim(struct slab *s, size_t keep)
{
    struct slab_state *st = s->state;
    struct object *loose;
    pthread_mutex_lock(&st->lock);
    struct object *excess = detach_excess(st, keep, &loose);
    note_idle(st);
    pthread_mutex_unlock(&st->lock);

    uint64_t freed = free_chain(loose);
    while (excess) {
        struct object *chain = excess;
        excess = chain->next_chain;
        freed += free_chain(chain);
    }
    pthread_mutex_lock(&st->lock);
    add(&depot_side(st)->freed, freed);
    pthread_mutex_unlock(&st->lock);
}

/* What has been idle goes, and what is left begins to be watched. */
static size_t reap(struct slab *s)
{
    struct slab_state *st = s->state;
    pthread_mutex_lock(&st->lock);
    size_t idle = st->idle, keep = depot_free(st) - MIN(idle, depot_free(st));
    st->idle = keep;
    pthread_mutex_unlock(&st->lock);
    if (idle)
        slab_trim(s, keep);
    return idle * s->object_bytes;
}

size_t slab_reap(void)
{
    size_t bytes = 0;
    pthread_mutex_lock(&states_lock);
    for (size_t i = 0; i < SLABS_MAX; i++)
        if (states[i].slab)
            bytes += reap(states[i].slab);
    pthread_mutex_unlock(&states_lock);
    return bytes;
}

void slab_trim_all(size_t keep_bytes)
{
    pthread_mutex_lock(&states_lock);
    for (size_t i = 0; i < SLABS_MAX; i++)
        if (states[i].slab)
            slab_trim(states[i].slab, keep_bytes / MAX(states[i].slab->object_bytes, 1));
    pthread_mutex_unlock(&states_lock);
}

/* --- life --- */

static struct slab_state *free_state(void)
{
    for (size_t i = 0; i < SLABS_MAX; i++)
        if (!states[i].slab)
            return &states[i];
    return NULL;
}

void slab_init(struct slab *s, const char *name, size_t object_bytes)
{
    pthread_mutex_lock(&states_lock);
    struct slab_state *st = free_state();
    assume(st && "more slabs than SLABS_MAX");
    *s = (struct slab){ .name = name, .object_bytes = object_bytes, .state = st };
    memset(st, 0, sizeof *st);
    st->per_magazine = (uint32_t)MIN(MAGAZINE_BYTES / MAX(object_bytes, 1), (size_t)MAGAZINE_OBJECTS);
    st->depot_only = st->per_magazine == 0;
    st->per_magazine = MAX(st->per_magazine, 1);
    pthread_mutex_init(&st->lock, NULL);
    st->slab = s;
    pthread_mutex_unlock(&states_lock);
}

static void assume_all_given(const struct slab *s)
{
    char message[160];
    int64_t live = slab_live(s);
    if (live == 0)
        return;
    snprintf(message, sizeof message, "slab \"%s\" is done with %lld objects not given back", s->name, (long long)live);
    assume_failed(__FILE__, __LINE__, message);
}

void slab_done(struct slab *s)
{
    struct slab_state *st = s->state;
    assume_all_given(s);
    pthread_mutex_lock(&states_lock);
    slab_trim(s, 0);
    for (size_t i = 0; i < SYS_WORKERS_MAX; i++) {
        free_chain(st->sides[i].loaded);
        free_chain(st->sides[i].spare);
    }
    pthread_mutex_destroy(&st->lock);
    st->slab = NULL;
    s->state = NULL;
    pthread_mutex_unlock(&states_lock);
}

void slab_plain(bool on)
{
#ifndef PLAIN_MEMORY
    atomic_store_explicit(&plain, on, memory_order_relaxed);
#endif
}

bool slab_is_plain(void)
{
    return is_plain();
}

void slab_watch(slab_watcher *seen)
{
    watcher = seen;
}

void slab_tell(const void *arena, size_t bytes, const void *object, bool taken)
{
    if (unlikely(watcher) && is_plain())
        watcher(arena, bytes, object, taken);
}

/* --- failing on purpose --- */

void memory_fail_at(uint64_t nth)
{
    atomic_store(&takes, 0);
    atomic_store(&doomed, nth);
    atomic_store(&watching, true);
}

uint64_t memory_takes(void)
{
    return atomic_load(&takes);
}

bool memory_strikes(void)
{
    return strikes();
}
