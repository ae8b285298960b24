/* fleet/fits.c - what a node cannot hold together, learnt from what it threw out.
 *
 * Ollama makes room for a load by itself, and throws out what was idle longest, not what is cheapest to miss. So when a
 * load of ours made it drop a model that nobody unloaded and whose time was not over, all that it had then and the new
 * one do not fit: less than these bytes is taken for its memory from then on, and the scheduler makes room before it
 * loads, by its own rules. With three models and more it may as well be their number (OLLAMA_MAX_LOADED_MODELS), which
 * would say nothing about bytes, so that is what is learnt. Sizes are those of the files, on both sides.
 *
 * What the operator says of its memory (`vram`) counts from the start; what was learnt, if it is less.
 *
 * Either may be wrong, for other programs use the memory too: it is forgotten after an hour, when the node goes down,
 * and as soon as the node shows more. */
#include "fleet/fleet_state.h"

#define BELIEVED      SECOND(3600)
#define MAYBE_COUNTED 3 /* models: Ollama's usual limit for one GPU */

void fits_forget(struct node *n)
{
    n->fits_bytes = 0;
    n->fits_models = 0;
}

uint64_t fits_at_most(const struct node *n)
{
    return n->vram && n->fits_bytes ? MIN(n->vram, n->fits_bytes) : MAX(n->vram, n->fits_bytes);
}

static bool is_listed(const struct listing *l, uint64_t name)
{
    for (uint32_t i = 0; l && i < l->inventory->n; i++)
        if (l->inventory->model[i].hash == name)
            return true;
    return false;
}

/* A load of ours was under way at some time between the two listings, and no unload. */
static bool was_loading(const struct node *n, nsec before)
{
    return n->load_began <= n->ps_asked && n->load_ended >= before && n->load_began > n->unload_ended &&
           n->unload_ended < before;
}

struct held {
    uint64_t bytes;
    uint32_t models;
    bool lost; /* one of these has been thrown out */
};

/* What was there, as the scheduler still knows it, with the one that was loaded. */
static struct held all_held(const struct fleet *f, const struct node *n, const struct listing *was,
                            const struct listing *is, nsec wall)
{
    struct held h = { 0 };
    for (uint32_t v = 0; v < f->variants; v++) {
        const struct variant *of = &f->variant[v];
        bool there = f->variant_key[v] && scheduler_resident(f->scheduler, n->no, v);
        if (!there && v != n->load_variant)
            continue;
        h.bytes += of->bytes;
        h.models++;
        for (uint32_t i = 0; v != n->load_variant && i < was->inventory->n; i++) {
            const struct inventory_model *m = &was->inventory->model[i];
            h.lost |= m->hash == of->name && m->expires > wall && !is_listed(is, of->name);
        }
    }
    return h;
}

static void believe(struct fleet *f, struct node *n, const struct held *h, nsec now)
{
    if (h->models > MAYBE_COUNTED)
        n->fits_models = h->models - 1;
    else if (h->bytes)
        n->fits_bytes = h->bytes - 1;
    n->fits_until = now + BELIEVED;
    lineup_outdate(f, n);
}

/* It has more than was thought to fit. */
static bool is_disproved(const struct fleet *f, const struct node *n, const struct listing *is)
{
    uint64_t bytes = 0;
    uint32_t models = 0;
    for (uint32_t v = 0; v < f->variants; v++)
        if (f->variant_key[v] && scheduler_resident(f->scheduler, n->no, v) && is_listed(is, f->variant[v].name))
            bytes += f->variant[v].bytes, models++;
    return (n->fits_bytes && bytes > n->fits_bytes) || (n->fits_models && models > n->fits_models);
}

void fits_learn(struct fleet *f, struct node *n, const struct listing *was, const struct listing *is, nsec before,
                nsec wall, nsec now)
{
    bool believes = n->fits_bytes || n->fits_models;
    if (believes && (now >= n->fits_until || is_disproved(f, n, is))) {
        fits_forget(n);
        lineup_outdate(f, n);
    }
    if (!was || was == is || !was_loading(n, before))
        return;
    struct held h = all_held(f, n, was, is, wall);
    if (h.lost)
        believe(f, n, &h, now);
}
