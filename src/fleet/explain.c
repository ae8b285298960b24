/* fleet/explain.c - a dry run of fleet_ask: which node, by which terms, and why not the others.
 *
 * The road is the one that a ticket goes (choice.c, then the scheduler), with questions in place of orders, so that the
 * request that follows gets the node that was said, if nothing happens in between. A model that no node could serve is
 * not introduced to the scheduler: then the reasons are the nodes' own. */
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include <stdlib.h>

struct held {
    struct fleet_explained is; /* what the caller sees */
    struct node **node;        /* pinned while it is made */
    struct scheduler_explained *shown;
    uint32_t room;
};

static void held_free(struct held **h)
{
    if (*h)
        arena_done(&(*h)->is.arena);
    free(*h);
    *h = NULL;
}

void fleet_explained_free(struct fleet_explained **e)
{
    struct held *h = *e ? CONTAINER(*e, struct held, is) : NULL;
    held_free(&h);
    *e = NULL;
}

static struct held *held_new(uint32_t room)
{
    struct held *h = memory_strikes() ? NULL : calloc(1, sizeof *h);
    if (!h)
        return NULL;
    struct arena *a = &h->is.arena;
    arena_init(a);
    h->room = room;
    h->is.node = h->is.waits_for = h->is.loads_on = SCHEDULER_NONE;
    h->node = arena_array(a, struct node *, room);
    h->shown = arena_array(a, struct scheduler_explained, room);
    h->is.candidate = arena_array(a, struct fleet_candidate, room);
    if (a->failed)
        held_free(&h);
    return h;
}

/* ---- under the lock ---------------------------------------------------------------------------------------------- */

/* Why a node would not serve a model that the scheduler does not know. */
static enum scheduler_excluded own_reason(const struct node *n)
{
    return n->state == NODE_DRAINING ? EXCLUDED_DRAINING : health_answers(n) ? EXCLUDED_NO_MODEL : EXCLUDED_DOWN;
}

static void show_own_reasons(struct fleet *f, struct held *h)
{
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i])
            h->shown[i] = (struct scheduler_explained){ .excluded = own_reason(f->node[i]) };
}

/* Places become candidates: those in use, in the same order. */
static uint32_t candidate_of(const struct fleet *f, uint32_t place)
{
    uint32_t n = 0;
    if (place == SCHEDULER_NONE)
        return SCHEDULER_NONE;
    for (uint32_t i = 0; i < place; i++)
        n += f->node[i] != NULL;
    return n;
}

static void take_candidates(struct fleet *f, struct held *h)
{
    for (uint32_t i = 0; i < f->places; i++) {
        if (!f->node[i])
            continue;
        h->node[h->is.n] = f->node[i];
        h->is.candidate[h->is.n++].is = h->shown[i];
        f->node[i]->pins++;
    }
}

static void look(struct fleet *f, const struct ticket *t, struct held *h, nsec now, struct orders *out)
{
    struct scheduler_would would = { SCHEDULER_NONE, SCHEDULER_NONE, SCHEDULER_NONE };
    struct choice c = choice_make(f, t, now);
    uint32_t v = serving_explain(f, t, c.node != NULL, now, &would, h->shown, out);
    h->is.policy = v == SCHEDULER_NONE ? f->settings.policy : scheduler_policy_of(f->scheduler, v);
    if (v == SCHEDULER_NONE)
        show_own_reasons(f, h);
    if (!c.node || v == SCHEDULER_NONE)
        h->is.refused = c.node ? FAIL_queue_full : c.why_not;
    if (!h->is.refused) {
        h->is.node = candidate_of(f, would.node);
        h->is.waits_for = candidate_of(f, would.waits_for);
        h->is.loads_on = candidate_of(f, would.loads_on);
    }
    take_candidates(f, h);
}

/* ---- outside ------------------------------------------------------------------------------------------------------
 */

struct fleet_explained *fleet_explain(struct fleet *f, const struct ticket *t, nsec now, struct orders *out)
{
    struct held *h = NULL;
    fleet_lock(f);
    while (!h || h->room < f->places) {
        uint32_t want = f->places + 8;
        fleet_unlock(f);
        held_free(&h);
        h = held_new(want);
        if (!h)
            return NULL;
        fleet_lock(f);
    }
    look(f, t, h, now, out);
    fleet_settle(f, now, out);
    fleet_unlock(f);
    for (uint32_t i = 0; i < h->is.n; i++) {
        h->is.candidate[i].node = str_dup(&h->is.arena, h->node[i]->name);
        fleet_unpin(f, &h->node[i]);
    }
    struct fleet_explained *e = &h->is;
    if (e->arena.failed)
        fleet_explained_free(&e);
    return e;
}
