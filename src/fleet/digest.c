/* fleet/digest.c - which model a name means: the digest that all nodes which have it agree on.
 *
 * Where they do not agree the name means two models, and whoever keeps answers by meaning must not keep these: the next
 * request may go to the other node. Nodes that are down count too, since they come back with what they have. Asked for
 * seldom: callers remember the answer until fleet_models_changed moves. */
#include "fleet/fleet_state.h"

uint64_t fleet_models_changed(const struct fleet *f)
{
    return atomic_load_explicit(&f->models_changed, memory_order_acquire);
}

/* The node's own entries of the model; false: its digest is another than those before, or none. */
static bool agrees(const struct node *n, uint64_t model, struct model_digest *out)
{
    const struct inventory *i = n->tags ? n->tags->inventory : NULL;
    bool good = i != NULL;
    for (uint32_t at = 0; i && at < i->n; at++) {
        const struct inventory_model *m = &i->model[at];
        if (m->hash != model)
            continue;
        out->cloud |= m->source == SOURCE_CLOUD;
        good &= m->digest.n > 0 && m->digest.n <= sizeof out->text;
        if (good && !out->n)
            out->n = (uint32_t)(put_str(out->text, m->digest) - out->text);
        good = good && str_eq((struct str){ out->text, out->n }, m->digest);
    }
    return good;
}

static void find_digest(const struct fleet *f, uint64_t model, struct model_digest *out)
{
    const struct holders *h = residency_find(f->residency, model);
    bool good = h != NULL;
    for (uint32_t i = 0; h && i < f->places; i++) {
        if (!f->node[i] || !set_has(&h->has, i))
            continue;
        good &= agrees(f->node[i], model, out);
        out->ollama &= set_has(&f->ollama, i);
    }
    if (!good)
        out->n = 0;
}

void fleet_digest(struct fleet *f, uint64_t model, struct model_digest *out)
{
    *out = (struct model_digest){ .ollama = true };
    fleet_lock(f);
    out->changed = atomic_load_explicit(&f->models_changed, memory_order_relaxed);
    find_digest(f, model, out);
    fleet_unlock(f);
}
