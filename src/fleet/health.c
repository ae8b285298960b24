/* fleet/health.c - is a node up? (scheduling.md 5)
 *
 *                 any answer                      one miss             two misses
 *      starting ─────────────> up ────────────────────────> suspect ──────────────> down
 *         │                    ^  connect failure of an attempt ─────────────────────^ │
 *         │                    └─────────────────── any answer ──────────────────────┘ │
 *         └── two misses, or no address connects ─────────────────────────────────────>
 *
 * Health is kept apart from draining, so that an operator who undrains a node gets it back as it is. What is shown and
 * chosen by, node->state and the fleet's sets, is made from both in one place, health_show. */
#include "fleet/fleet_state.h"

bool health_is_connect_failure(enum fail why)
{
    return why == FAIL_connect_refused || why == FAIL_connect_failed || why == FAIL_connect_timeout ||
           why == FAIL_unresolved;
}

static enum node_state state_of(const struct node *n)
{
    if (!roster_in_place(n))
        return NODE_REMOVED;
    return n->drains ? NODE_DRAINING : n->health;
}

void health_show(struct fleet *f, struct node *n, nsec now)
{
    enum node_state s = state_of(n);
    lineup_outdate(f, n);
    if (n->state != s) {
        n->state = s;
        n->state_since = now;
        f->news = true;
    }
    if (!roster_in_place(n))
        return;
    set_put(&f->up, n->no, s == NODE_UP);
    set_put(&f->suspect, n->no, s == NODE_SUSPECT);
    set_put(&f->ollama, n->no, n->kind == NODE_OLLAMA);
    set_put(&f->present, n->no, !n->remove_when_idle);
}

static void becomes(struct fleet *f, struct node *n, enum node_state health, nsec now)
{
    bool answered = health_answers(n);
    n->health = health;
    if (answered != health_answers(n))
        views_outdate(f, SHOWS_PS | SHOWS_VERSION);
    if (health == NODE_DOWN)
        n->due_fade = now + GRACE;
    health_show(f, n, now);
    probes_schedule(f, n);
}

static void comes_up(struct fleet *f, struct node *n, nsec now)
{
    bool knew_it = health_answers(n);
    n->due_fade = NEVER;
    if (!knew_it)
        n->lineup_changed = now;
    if (n->health == NODE_DOWN)
        n->warm_since = now;
    if (n->faded)
        views_outdate(f, SHOWS_TAGS);
    n->faded = false;
    becomes(f, n, NODE_UP, now);
    if (!knew_it)
        probes_refresh(f, n, now);
}

void health_answered(struct fleet *f, struct node *n, nsec now)
{
    n->misses = n->connect_fails = 0;
    n->last_seen = now;
    if (n->health != NODE_UP)
        comes_up(f, n, now);
}

void health_missed(struct fleet *f, struct node *n, nsec now)
{
    n->misses++;
    if (n->misses >= 2 && n->health != NODE_DOWN)
        becomes(f, n, NODE_DOWN, now);
    else if (n->health == NODE_UP)
        becomes(f, n, NODE_SUSPECT, now);
}

void health_lost(struct fleet *f, struct node *n, nsec now)
{
    n->misses = MAX(n->misses, 2u);
    if (n->health != NODE_DOWN)
        becomes(f, n, NODE_DOWN, now);
}

void health_heard(struct fleet *f, struct node *n)
{
    if (n->heard)
        return;
    n->heard = true;
    f->unheard--;
    f->news = true;
}

/* ---- ends of attempts and tasks -------------------------------------------------------------------------------- */

/* An end that can only come from a node that works right now. A stream that broke began when it did. */
static bool proves_life(enum fail why)
{
    return why == OK || why == FAIL_upstream_busy || why == FAIL_upstream_no_model;
}

static void lost_connection(struct fleet *f, struct node *n, const struct addr *used, nsec now)
{
    if (n->addrs && addr_eq(&n->addr[n->addr_next], used))
        node_next_address(n);
    if (n->health != NODE_DOWN)
        n->due_version = now; /* perhaps only this address */
    health_lost(f, n, now);
    probes_resolve_again(f, n, now);
}

void health_learn_end(struct fleet *f, struct node *n, const struct addr *used, enum fail why, struct str text,
                      nsec now)
{
    if (unlikely(fail_counts_against_node(why))) {
        n->errors++;
        node_note_error(n, why, text, now);
    }
    if (likely(proves_life(why)))
        health_answered(f, n, now);
    else if (health_is_connect_failure(why))
        lost_connection(f, n, used, now);
    if (unlikely(why == FAIL_upstream_no_model))
        n->due_tags = now;
}
