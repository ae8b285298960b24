/* fleet/observe.c - what probes find.
 *
 * An inventory is compared with the one before and wrapped as a listing before the lock is taken: there is only one
 * probe of a kind per node, so its observer is the only one who replaces it, and the node is pinned. Under the lock
 * remain the swap of a pointer and the bits of the index; the old listing is given up after it. */
#include "fleet/fleet_state.h"

/* What is made before the lock and left over after it. */
struct delivery {
    struct listing *listing; /* new; then the one it replaced */
    bool same;
    struct residency *spare;
};

static struct listing **listing_of(struct node *n, unsigned what)
{
    return what == PROBE_TAGS ? &n->tags : &n->ps;
}

static void soon(struct fleet *f, nsec *due, nsec now)
{
    *due = MIN(*due, now + f->settings.health_interval);
}

/* Has it said all that a choice needs, or failed to? What is loaded counts: else a model would be loaded twice. */
static void heard_perhaps(struct fleet *f, struct node *n)
{
    if (n->tags_over && (n->ps_over || !probes_tell_ps(n)))
        health_heard(f, n);
}

/* A probe that we could not make or keep says nothing about the node. */
static bool our_own_fault(enum fail why)
{
    return why == FAIL_no_memory || why == FAIL_no_descriptors || why == FAIL_shutting_down;
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

static void could_not_resolve(struct fleet *f, struct node *n, nsec now)
{
    soon(f, &n->due_resolve, now);
    if (n->addrs)
        return; /* the addresses of before may well be right */
    health_lost(f, n, now);
    health_heard(f, n);
}

static void could_not_connect(struct fleet *f, struct node *n, const struct observation *ob, nsec now)
{
    node_next_address(n);
    if (++n->connect_fails < n->addrs) {
        n->due_version = now;
        return;
    }
    n->connect_fails = 0;
    probes_resolve_again(f, n, now);
    if (ob->failed == FAIL_connect_refused)
        health_lost(f, n, now);
    else if (ob->what == PROBE_VERSION)
        health_missed(f, n, now);
    health_heard(f, n);
}

static void learn_failure(struct fleet *f, struct node *n, const struct observation *ob, nsec now)
{
    if (our_own_fault(ob->failed)) {
        soon(f, probes_due(n, ob->what), now);
        return;
    }
    node_note_error(n, ob->failed, ob->error_text, now);
    if (ob->what == PROBE_RESOLVE) {
        could_not_resolve(f, n, now);
    } else if (health_is_connect_failure(ob->failed)) {
        could_not_connect(f, n, ob, now);
    } else if (ob->what == PROBE_VERSION) {
        health_missed(f, n, now);
        health_heard(f, n);
    }
    if (ob->what == PROBE_TAGS)
        soon(f, &n->due_tags, now);
}

/* ---- findings --------------------------------------------------------------------------------------------------- */

static void learn_addresses(struct fleet *f, struct node *n, const struct observation *ob, nsec now)
{
    n->resolved_at = now;
    if (!node_set_addresses(n, ob->found, ob->founds))
        return;
    n->connect_fails = 0;
    n->due_version = MIN(n->due_version, now);
}

static void learn_version(struct fleet *f, struct node *n, const struct observation *ob, nsec now)
{
    struct str version = str_take(ob->version, sizeof n->version - 1);
    if (!str_eq(version, str_of(n->version)) || (!n->kind_told && ob->kind != NODE_UNKNOWN && ob->kind != n->kind))
        views_outdate(f, SHOWS_VERSION);
    memcpy(n->version, version.p ? version.p : "", version.n);
    n->version[version.n] = 0;
    n->simulated = ob->simulated;
    if (!n->kind_told && ob->kind != NODE_UNKNOWN && n->kind != ob->kind) {
        n->kind = ob->kind;
        atomic_fetch_add_explicit(&f->models_changed, 1, memory_order_release);
    }
    f->news = true;
    health_show(f, n, now);
    health_answered(f, n, now);
}

/* What it does not say any more may still be so. */
static void learn_props(struct fleet *f, struct node *n, const struct observation *ob)
{
    if (ob->context)
        n->told_context = ob->context;
    if (!ob->slots || ob->slots == n->told_slots)
        return;
    n->told_slots = ob->slots;
    lineup_forget_slots(f, n);
}

static void learn_inventory(struct fleet *f, struct node *n, unsigned what, struct delivery *d, nsec wall, nsec now)
{
    struct listing **mine = listing_of(n, what);
    nsec before = n->ps_asked;
    *(what == PROBE_TAGS ? &n->tags_at : &n->ps_at) = now;
    if (what == PROBE_TAGS)
        n->tags_told = n->tags_asked;
    else
        n->ps_asked = n->ps_sent;
    lineup_outdate(f, n);
    health_answered(f, n, now);
    if (what == PROBE_PS)
        fits_learn(f, n, *mine, d->listing ? d->listing : *mine, before, wall, now);
    if (d->same || !d->listing)
        return;
    if (!n->remove_when_idle)
        residency_update(f->residency, what == PROBE_TAGS ? PLANE_HAS : PLANE_LOADED, n->no, *mine, d->listing);
    struct listing *was = *mine;
    *mine = d->listing;
    d->listing = was;
    views_outdate(f, what == PROBE_TAGS ? SHOWS_TAGS : SHOWS_PS);
}

static void learn_finding(struct fleet *f, struct node *n, const struct observation *ob, struct delivery *d, nsec now)
{
    switch (ob->what) {
    case PROBE_RESOLVE: learn_addresses(f, n, ob, now); break;
    case PROBE_VERSION: learn_version(f, n, ob, now); break;
    default:
        learn_props(f, n, ob);
        learn_inventory(f, n, ob->what, d, ob->wall, now);
        break;
    }
}

static void learn(struct fleet *f, struct node *n, struct observation *ob, struct delivery *d, nsec now)
{
    if (ob->what == PROBE_RESOLVE && !ob->failed && !ob->founds)
        ob->failed = FAIL_unresolved;
    if (ob->failed)
        learn_failure(f, n, ob, now);
    else
        learn_finding(f, n, ob, d, now);
    n->tags_over |= ob->what == PROBE_TAGS;
    n->ps_over |= ob->what == PROBE_PS;
    heard_perhaps(f, n);
    if (ob->what == PROBE_TAGS) {
        n->round_told = n->round_asked;
        f->news = true;
    }
}

/* ---- around it -------------------------------------------------------------------------------------------------- */

/* Wraps what was found; false when memory is out: then nothing was learnt. */
static bool wrap(struct node *n, struct observation *ob, struct delivery *d)
{
    if (ob->failed || !(ob->what & (PROBE_TAGS | PROBE_PS)) || !ob->inventory)
        return true;
    d->same = listing_same(*listing_of(n, ob->what), ob->inventory);
    if (d->same)
        return true; /* the caller keeps its own */
    d->listing = listing_new(ob->inventory);
    return d->listing != NULL;
}

/* Takes the lock with room in the index for the listing; false when memory is out. */
static bool lock_with_room(struct fleet *f, struct delivery *d)
{
    uint32_t want;
    fleet_lock(f);
    while (d->listing && (want = residency_short_of(f->residency, d->listing->inventory->n)) != 0) {
        if (d->spare && residency_short_of(d->spare, want) == 0) {
            residency_move(d->spare, f->residency);
            struct residency *was = f->residency;
            f->residency = d->spare;
            d->spare = was;
            break;
        }
        fleet_unlock(f);
        residency_free(&d->spare);
        d->spare = residency_new(want);
        bool none = !d->spare;
        fleet_lock(f);
        if (none)
            return false;
    }
    return true;
}

void fleet_observe(struct fleet *f, struct node *n, struct observation *ob, nsec now, struct orders *out)
{
    struct delivery d = { 0 };
    bool remembered = wrap(n, ob, &d);
    if (!lock_with_room(f, &d))
        remembered = false;
    assume(n->pins > 0 && (n->probing & ob->what));
    n->probing &= ~ob->what;
    n->pins--;
    bool taken = false;
    if (!remembered) {
        ob->failed = FAIL_no_memory;
    } else if (d.listing && roster_in_place(n)) {
        taken = true;
        ob->inventory = NULL;
    }
    if (roster_in_place(n))
        learn(f, n, ob, &d, now);
    probes_schedule(f, n);
    probes_order(f, n, now, out);
    roster_release(f, n, now);
    fleet_settle(f, now, out);
    fleet_unlock(f);
    if (taken)
        listing_unref(&d.listing);
    residency_free(&d.spare);
}
