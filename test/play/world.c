/* The clock of the plays: one queue of events, and the seed.
 *
 *      test code, peers, workers' turns  --event_set(due)-->  heap by (due, order)  --world_step-->  time jumps there,
 * it happens
 *
 * A worker's turn is an event like a packet's arrival: what runs next is whatever was drawn to be next, so there is no
 * scheduler apart from chance itself. Delays are drawn in nanoseconds, ties go by order of setting; no decision looks
 * at an address in memory, the real clock or real randomness. Rejected: threads under a lock-step scheduler (slow, and
 * a debugger loses the thread), and a queue in rounds without time (timeouts are half of what plays are about). */
#include "world_inside.h"
#include <stdarg.h>
#include <stdlib.h>

struct cue {
    struct event event;
    struct list link;
    void (*call)(void *arg);
    void *arg;
};

static struct {
    bool on, happening;
    nsec now;
    uint64_t chance, hash, orders;
    struct event **heap;
    uint32_t n, cap;
    struct list cues;
    FILE *told;
} world;

/* ---- the heap ---- */
static bool before(const struct event *a, const struct event *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(struct event *e, uint32_t at)
{
    world.heap[at] = e;
    e->at = at + 1;
}

static void rise(struct event *e, uint32_t at)
{
    for (; at > 0 && before(e, world.heap[(at - 1) / 2]); at = (at - 1) / 2)
        put(world.heap[(at - 1) / 2], at);
    put(e, at);
}

static void sink(struct event *e, uint32_t at)
{
    for (uint32_t child; (child = 2 * at + 1) < world.n; at = child) {
        if (child + 1 < world.n && before(world.heap[child + 1], world.heap[child]))
            child++;
        if (!before(world.heap[child], e))
            break;
        put(world.heap[child], at);
    }
    put(e, at);
}

void event_cancel(struct event *e)
{
    if (!event_pending(e))
        return;
    uint32_t at = e->at - 1;
    struct event *last = world.heap[--world.n];
    e->at = 0;
    if (last == e)
        return;
    if (at > 0 && before(last, world.heap[(at - 1) / 2]))
        rise(last, at);
    else
        sink(last, at);
}

void event_set(struct event *e, nsec due)
{
    event_cancel(e);
    if (world.n == world.cap) {
        world.cap = world.cap ? 2 * world.cap : 64;
        world.heap = realloc(world.heap, world.cap * sizeof *world.heap);
        assume(world.heap);
    }
    e->due = MAX(due, world.now);
    e->order = ++world.orders;
    rise(e, world.n++);
}

/* ---- chance ---- */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t chance(uint64_t n)
{
    world.chance += 0x9e3779b97f4a7c15u;
    return n ? scramble(world.chance) % n : 0;
}

bool one_in(unsigned n)
{
    return n && chance(n) == 0;
}

nsec chance_between(nsec least, nsec most)
{
    return most > least ? least + (nsec)chance((uint64_t)(most - least) + 1) : least;
}

size_t chance_scaled(size_t least, size_t most)
{
    size_t doublings = 0;
    while ((least << doublings) < most && doublings < 40)
        doublings++;
    size_t top = least << chance(doublings + 1);
    top = MIN(top, most);
    return (size_t)chance_between((nsec)(least + (top - least) / 2), (nsec)top);
}

void *world_alloc(size_t n)
{
    void *p = calloc(1, n);
    assume(p);
    return p;
}

/* ---- the trace ---- */
uint64_t digest(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    while (n--)
        h = (h ^ *p++) * 0x100000001b3u;
    return h;
}

void trace(const char *what, uint64_t a, uint64_t b)
{
    uint64_t line[] = { world.hash, (uint64_t)world.now, a, b };
    world.hash = digest(digest(0xcbf29ce484222325u, line, sizeof line), what, strlen(what));
    if (world.told)
        fprintf(world.told, "%12.6f ms  %-14s %5lu %lu\n", (double)world.now / 1e6, what, (unsigned long)a,
                (unsigned long)b);
}

uint64_t world_hash(void)
{
    return world.hash;
}
void world_tell(FILE *to)
{
    world.told = to;
}

/* ---- life ---- */
static void world_drop(void)
{
    loops_end();
    peers_end();
    wires_end();
    places_end();
    sys_end();
    list_each_safe (link, &world.cues)
        free(CONTAINER(link, struct cue, link));
    free(world.heap);
    memset(&world, 0, sizeof world);
}

void world_new(uint64_t seed)
{
    if (world.on)
        world_drop();
    (void)str_hash(STR("")); /* its seed is drawn once per process: before any world, so that all worlds see the same */
    world.on = true;
    world.now = SECOND(1000);
    world.chance = scramble(seed + 1);
    world.hash = scramble(seed);
    list_init(&world.cues);
    sys_begin(seed);
    places_begin();
    wires_begin();
    peers_begin();
    loops_begin();
}

unsigned world_leaks(FILE *to)
{
    return loops_leaks(to) + sys_leaks(to);
}

void world_free(void)
{
    assume(world.on);
    unsigned leaks = world_leaks(stderr);
    assume(leaks == 0);
    world_drop();
}

/* ---- time ---- */
nsec world_now(void)
{
    return world.now;
}

bool world_step(void)
{
    wires_sweep();
    if (world.n == 0)
        return false;
    struct event *e = world.heap[0];
    event_cancel(e);
    assume(!world.happening); /* no callback may step the world that called it */
    world.now = e->due;
    world.happening = true;
    e->happen(e);
    world.happening = false;
    return true;
}

void world_run_until(nsec deadline)
{
    while (world.n > 0 && world.heap[0]->due <= deadline)
        world_step();
    world.now = MAX(world.now, deadline);
}

void world_elapse(nsec span)
{
    world_run_until(world.now + span);
}

bool world_run_while(bool (*cond)(void *arg), void *arg, nsec at_most)
{
    nsec deadline = at_most > NEVER - world.now ? NEVER : world.now + at_most;
    while (cond(arg)) {
        if (world.n == 0 || world.heap[0]->due > deadline)
            return false;
        world_step();
    }
    return true;
}

static void cue_comes(struct event *e)
{
    struct cue *c = CONTAINER(e, struct cue, event);
    void (*call)(void *) = c->call;
    void *arg = c->arg;
    list_del(&c->link);
    free(c);
    trace("cue", 0, 0);
    call(arg);
}

void world_after(nsec span, void (*call)(void *arg), void *arg)
{
    struct cue *c = world_alloc(sizeof *c);
    *c = (struct cue){ .event.happen = cue_comes, .call = call, .arg = arg };
    list_push(&world.cues, &c->link);
    event_set(&c->event, world.now + span);
}
