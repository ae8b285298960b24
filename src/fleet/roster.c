/* fleet/roster.c - who is in: nodes added, changed, drained, removed, pinned.
 *
 * A node that is removed loses its name at once (the operator may add it again), gets no new work and leaves the views,
 * but is shown as draining until its last lease has come back. Then it leaves its place, and when the last pin is given
 * back too, its memory goes. Nobody but the fleet compares places; to the world a node is its id, which is never
 * reused. */
#include "fleet/fleet_state.h"

struct node *roster_named(struct fleet *f, struct str name)
{
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && !f->node[i]->remove_when_idle && str_eq(f->node[i]->name, name))
            return f->node[i];
    return NULL;
}

struct node *roster_by_id(struct fleet *f, uint64_t id)
{
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && f->node[i]->id == id && !f->node[i]->remove_when_idle)
            return f->node[i];
    return NULL;
}

/* What follows from a change; by the next turn when nobody is there to carry orders out. */
static void order(struct fleet *f, nsec now, struct orders *out)
{
    if (out)
        fleet_settle(f, now, out);
}

/* ---- adding ----------------------------------------------------------------------------------------------------- */

static bool place_taken(struct fleet *f, const struct node *n)
{
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && !f->node[i]->remove_when_idle && node_same_place(f->node[i], n))
            return true;
    return false;
}

/* The name given, or the first of the default ones that is free; empty if none is. */
static struct str free_name(struct fleet *f, const struct node *n)
{
    if (n->name.n)
        return roster_named(f, n->name) ? STR_NONE : n->name;
    struct str name;
    for (unsigned nth = 0; (name = node_default_name(n, nth)).n; nth++)
        if (!roster_named(f, name))
            return name;
    return STR_NONE;
}

static uint32_t free_place(const struct fleet *f)
{
    for (uint32_t i = 0; i < f->places; i++)
        if (!f->node[i])
            return i;
    return f->places < NODES_MAX ? f->places : NO_PLACE;
}

static void take_place(struct fleet *f, struct node *n, uint32_t no, nsec now)
{
    if (!f->nodes && !f->first_over)
        f->first_until = now + f->settings.first_round;
    n->no = no;
    n->id = ++f->last_id;
    n->added = n->state_since = now;
    f->node[no] = n;
    f->places = MAX(f->places, no + 1);
    f->nodes++;
    f->living++;
    f->unheard++;
    health_show(f, n, now);
    probes_begin(f, n, now);
}

static enum fail admit(struct fleet *f, struct node *n, nsec now, const char **why)
{
    struct str name = free_name(f, n);
    uint32_t no = free_place(f);
    *why = place_taken(f, n) ? "a node with this URL exists already"
           : !name.n         ? "a node of this name exists already"
                             : NULL;
    if (*why)
        return FAIL_conflict;
    if (no == NO_PLACE) {
        *why = "a fleet has at most 1024 nodes";
        return FAIL_bad_setting;
    }
    n->name = name;
    take_place(f, n, no, now);
    return OK;
}

enum fail fleet_add(struct fleet *f, const struct node_spec *spec, bool at_run_time, nsec now, uint64_t *out_id,
                    const char **why, struct orders *out)
{
    struct node *n = node_new(spec, why);
    if (!n)
        return *why ? FAIL_bad_setting : FAIL_no_memory;
    n->added_at_run_time = at_run_time;
    fleet_lock(f);
    enum fail bad = admit(f, n, now, why);
    if (!bad) {
        *out_id = n->id;
        if (out)
            probes_order(f, n, now, out);
        order(f, now, out);
    }
    fleet_unlock(f);
    if (bad)
        node_free(&n);
    return bad;
}

/* ---- changing, removing ----------------------------------------------------------------------------------------- */

static bool apply(struct fleet *f, struct node *n, const struct node_change *c, nsec now)
{
    struct str labels = c->labels.p && !str_eq(c->labels, n->labels) ? str_dup(&n->arena, c->labels) : n->labels;
    if (c->labels.n && !labels.p)
        return false;
    n->labels = labels;
    if (c->vram >= 0)
        n->vram = (uint64_t)c->vram;
    if (c->weight >= 0)
        n->weight = c->weight > 0 ? c->weight : 1;
    if (c->slots >= -1 && c->slots != n->slots) {
        n->slots = c->slots;
        lineup_forget_slots(f, n);
    }
    if (c->drain >= 0)
        n->drains = c->drain > 0;
    lineup_outdate(f, n);
    health_show(f, n, now);
    return true;
}

enum fail fleet_change(struct fleet *f, struct str name, const struct node_change *c, nsec now, struct orders *out)
{
    fleet_lock(f);
    struct node *n = roster_named(f, name);
    enum fail failed = !n ? FAIL_node_unknown : apply(f, n, c, now) ? OK : FAIL_no_memory;
    order(f, now, out);
    fleet_unlock(f);
    return failed;
}

static void leave_choices(struct fleet *f, struct node *n, nsec now)
{
    n->drains = n->remove_when_idle = true;
    residency_update(f->residency, PLANE_HAS, n->no, n->tags, NULL);
    residency_update(f->residency, PLANE_LOADED, n->no, n->ps, NULL);
    health_heard(f, n);
    health_show(f, n, now);
    views_outdate(f, SHOWS_TAGS | SHOWS_PS | SHOWS_VERSION);
}

enum fail fleet_remove(struct fleet *f, struct str name, nsec now, struct orders *out)
{
    fleet_lock(f);
    struct node *n = roster_named(f, name);
    if (n) {
        leave_choices(f, n, now);
        roster_release(f, n, now);
    }
    order(f, now, out);
    fleet_unlock(f);
    return n ? OK : FAIL_node_unknown;
}

static void leave_place(struct fleet *f, struct node *n, nsec now)
{
    serving_drop_tasks(f, n);
    lineup_outdate(f, n);
    set_put(&f->up, n->no, false);
    set_put(&f->suspect, n->no, false);
    set_put(&f->ollama, n->no, false);
    set_put(&f->present, n->no, false);
    f->node[n->no] = NULL;
    f->due[n->no] = NEVER;
    while (f->places && !f->node[f->places - 1])
        f->places--;
    f->nodes--;
    n->no = NO_PLACE;
    health_show(f, n, now);
}

static void free_if_last(struct fleet *f, struct node *n)
{
    if (roster_in_place(n) || n->inflight || n->pins)
        return;
    n->next_gone = f->gone;
    f->gone = n;
    f->living--;
}

void roster_release(struct fleet *f, struct node *n, nsec now)
{
    if (n->remove_when_idle && !n->inflight && roster_in_place(n))
        leave_place(f, n, now);
    free_if_last(f, n);
}

/* ---- pins ------------------------------------------------------------------------------------------------------- */

static bool wanted_by_pin(const struct node *n, const struct holders *h, bool any_model, bool up_only)
{
    if (n->remove_when_idle || ((up_only || any_model) && !health_answers(n)))
        return false;
    return any_model || (h && set_has(&h->has, n->no));
}

unsigned fleet_pin_holders(struct fleet *f, struct str key, bool up_only, struct node **out, unsigned max, nsec now)
{
    uint64_t model = key.n ? str_hash(key) : 0;
    unsigned n = 0;
    fleet_lock(f);
    const struct holders *h = key.n ? residency_find(f->residency, model) : NULL;
    for (uint32_t i = 0; i < f->places && n < max; i++)
        if (f->node[i] && wanted_by_pin(f->node[i], h, !key.n, up_only)) {
            out[n] = f->node[i];
            out[n++]->pins++;
        }
    fleet_unlock(f);
    return n;
}

struct node *fleet_pin_named(struct fleet *f, struct str name)
{
    fleet_lock(f);
    struct node *n = roster_named(f, name);
    if (n)
        n->pins++;
    fleet_unlock(f);
    return n;
}

void fleet_unpin(struct fleet *f, struct node **n)
{
    if (!*n)
        return;
    fleet_lock(f);
    assume((*n)->pins > 0);
    (*n)->pins--;
    free_if_last(f, *n);
    fleet_unlock(f);
    *n = NULL;
}
