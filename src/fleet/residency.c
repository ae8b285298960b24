/* fleet/residency.c - listings, and the index model -> nodes.
 *
 * The index is asked with each request and changed with each inventory that differs, so it is one flat table of bit
 * sets, a bit per place in the fleet:
 *
 *      hash of the key ──> slot { model, has:    0000...0101
 *                                        loaded: 0000...0001 }
 *
 * and a choice is `has & up`, word by word. An inventory changes it in place: bits of the old one are cleared, bits of
 * the new one set, 40 probes for a node with 20 models. A full table is replaced by a larger one that the caller has
 * made before it took the lock; slots of models that nobody has any more are dropped then. Rejected: rebuilding an
 * immutable index outside the lock for every change (20,000 insertions for 1,000 nodes, and an answer that lags behind
 * what the node said). */
#include "fleet/residency.h"
#include "base/slab.h"
#include <stdlib.h>

struct residency {
    uint32_t cap, used; /* cap is a power of two; used counts slots of models that nobody has any more too */
    struct holders slot[];
};

/* ---- listings -------------------------------------------------------------------------------------------------- */

struct listing *listing_new(struct inventory *i)
{
    struct listing *l = arena_take(&i->arena, sizeof *l);
    if (!l)
        return NULL;
    l->refs = 1;
    l->inventory = i;
    return l;
}

void listing_unref(struct listing **l)
{
    if (*l && --(*l)->refs == 0) {
        struct inventory *i = (*l)->inventory;
        inventory_free(&i);
    }
    *l = NULL;
}

bool listing_same(const struct listing *l, const struct inventory *i)
{
    if (!l || l->inventory->n != i->n)
        return false;
    for (uint32_t m = 0; m < i->n; m++)
        if (!str_eq(l->inventory->model[m].key, i->model[m].key) ||
            !str_eq(l->inventory->model[m].raw, i->model[m].raw))
            return false;
    return true;
}

/* ---- the index ------------------------------------------------------------------------------------------------- */

static uint32_t cap_for(uint32_t models)
{
    uint32_t cap = 64;
    while (cap / 2 < models)
        cap *= 2;
    return cap;
}

struct residency *residency_new(uint32_t models)
{
    if (models > UINT32_MAX / 4 || memory_strikes())
        return NULL;
    uint32_t cap = cap_for(models);
    struct residency *r = calloc(1, sizeof *r + cap * sizeof *r->slot);
    if (r)
        r->cap = cap;
    return r;
}

void residency_free(struct residency **r)
{
    free(*r);
    *r = NULL;
}

/* The model's slot, or the free one where it would be. There always is one: the table is at most half full. */
static const struct holders *probe(const struct residency *r, uint64_t model)
{
    uint32_t at = (uint32_t)model & (r->cap - 1);
    while (r->slot[at].model && r->slot[at].model != model)
        at = (at + 1) & (r->cap - 1);
    return &r->slot[at];
}

const struct holders *residency_find(const struct residency *r, uint64_t model)
{
    const struct holders *h = probe(r, model);
    return h->model ? h : NULL;
}

static bool anybody(const struct holders *h)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < NODE_WORDS; i++)
        any |= h->has.word[i] | h->loaded.word[i];
    return any != 0;
}

uint32_t residency_short_of(const struct residency *r, uint32_t more)
{
    if (r->used + (uint64_t)more <= r->cap / 2)
        return 0;
    uint64_t live = more;
    for (uint32_t i = 0; i < r->cap; i++)
        live += r->slot[i].model && anybody(&r->slot[i]);
    return (uint32_t)MIN(live + live / 2, UINT32_MAX);
}

static struct holders *claim(struct residency *r, uint64_t model)
{
    struct holders *h = (struct holders *)probe(r, model);
    if (!h->model) {
        assume(r->used < r->cap / 2);
        h->model = model;
        r->used++;
    }
    return h;
}

void residency_move(struct residency *to, const struct residency *from)
{
    for (uint32_t i = 0; i < from->cap; i++)
        if (from->slot[i].model && anybody(&from->slot[i]))
            *claim(to, from->slot[i].model) = from->slot[i];
}

static struct node_set *plane_of(struct holders *h, enum plane plane)
{
    return plane == PLANE_HAS ? &h->has : &h->loaded;
}

void residency_update(struct residency *r, enum plane plane, uint32_t no, const struct listing *was,
                      const struct listing *is)
{
    for (uint32_t m = 0; was && m < was->inventory->n; m++)
        set_put(plane_of(claim(r, was->inventory->model[m].hash), plane), no, false);
    for (uint32_t m = 0; is && m < is->inventory->n; m++)
        set_put(plane_of(claim(r, is->inventory->model[m].hash), plane), no, true);
}
