/* fleet/queue.c - who waits for a slot, as /api/queue and the dashboard show it: a copy, put in order behind the lock.
 */
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include <math.h>
#include <stdlib.h>

#define ID_ROOM 64 /* of a request's id; longer ones are not let in at the door */

struct capacity {
    double first_free, slots;
};
struct texts {
    char id[ID_ROOM];
    uint32_t n;
    uint64_t tenant;
};
struct held {
    struct fleet_queue queue; /* what the caller sees */
    uint32_t room, n;
    struct scheduler_waiter *waiter; /* .owner: number of its texts, after the copy */
    struct texts *texts;
    struct capacity *capacity; /* by variant */
    char (*spelled)[sizeof((struct variant *)0)->spelled];
};

static void held_free(struct held **h)
{
    if (*h)
        arena_done(&(*h)->queue.arena);
    free(*h);
    *h = NULL;
}

void fleet_queue_free(struct fleet_queue **q)
{
    struct held *h = *q ? CONTAINER(*q, struct held, queue) : NULL;
    held_free(&h);
    *q = NULL;
}

static struct held *held_new(uint32_t room)
{
    struct held *h = memory_strikes() ? NULL : calloc(1, sizeof *h);
    if (!h)
        return NULL;
    struct arena *a = &h->queue.arena;
    arena_init(a);
    h->room = room;
    h->waiter = arena_array(a, struct scheduler_waiter, room);
    h->texts = arena_array(a, struct texts, room);
    h->queue.waiter = arena_array(a, struct fleet_waiter, room);
    h->capacity = arena_array(a, struct capacity, VARIANTS_MAX);
    h->spelled = arena_take_array(a, sizeof *h->spelled, VARIANTS_MAX);
    if (a->failed)
        held_free(&h);
    return h;
}

/* ---- under the lock ---------------------------------------------------------------------------------------------- */

static void copy_waiter(struct held *h, uint32_t i)
{
    const struct ticket *t = (const struct ticket *)(uintptr_t)h->waiter[i].owner; /* lives: it waits */
    struct texts *to = &h->texts[i];
    struct str id = str_take(t->request_id, sizeof to->id);
    if (id.n)
        memcpy(to->id, id.p, id.n);
    to->n = (uint32_t)id.n;
    to->tenant = t->tenant;
    h->waiter[i].owner = i;
}

static void copy_variants(struct fleet *f, struct held *h, nsec now)
{
    for (uint32_t v = 0; v < f->variants; v++)
        if (f->variant_key[v] && scheduler_waiting(f->scheduler, v)) {
            memcpy(h->spelled[v], f->variant[v].spelled, sizeof f->variant[v].spelled);
            h->capacity[v].first_free = scheduler_first_free(f->scheduler, v, now, &h->capacity[v].slots);
        }
}

static struct held *copy_state(struct fleet *f, nsec now)
{
    struct held *h = NULL;
    fleet_lock(f);
    while (!h || h->room < scheduler_waiting(f->scheduler, SCHEDULER_NONE)) {
        uint32_t want = scheduler_waiting(f->scheduler, SCHEDULER_NONE) + 64;
        fleet_unlock(f);
        held_free(&h);
        h = held_new(want);
        if (!h)
            return NULL;
        fleet_lock(f);
    }
    h->n = scheduler_waiters(f->scheduler, now, h->waiter);
    for (uint32_t i = 0; i < h->n; i++)
        copy_waiter(h, i);
    copy_variants(f, h, now);
    fleet_unlock(f);
    return h;
}

/* ---- outside ------------------------------------------------------------------------------------------------------
 */

static struct fleet_waiter show(const struct held *h, const struct scheduler_waiter *w, uint32_t position,
                                double before)
{
    const struct texts *t = &h->texts[w->owner];
    const struct capacity *c = &h->capacity[w->model];
    double eta = c->slots > 0 ? c->first_free + before / c->slots : INFINITY;
    return (struct fleet_waiter){
        .model = str_of(h->spelled[w->model]),
        .request_id = {t->id, t->n},
        .tenant = t->tenant,
        .band = w->band,
        .waited = (nsec)(w->waited * 1e9),
        .eta = eta < 1e6 ? (nsec)(eta * 1e9) : NEVER,
        .position = position
    };
}

struct fleet_queue *fleet_queue(struct fleet *f, nsec now)
{
    struct held *h = copy_state(f, now);
    double before = 0;
    uint32_t position = 0;
    if (!h)
        return NULL;
    scheduler_waiters_sort(h->waiter, h->n);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct scheduler_waiter *w = &h->waiter[i];
        if (!i || w->model != w[-1].model)
            before = position = 0;
        h->queue.waiter[i] = show(h, w, ++position, before);
        before += w->service;
    }
    h->queue.n = h->n;
    return &h->queue;
}
