/* fleet/probes.c - which node is asked what, and when.
 *
 * Each node has four dues: its name, /api/version, /api/tags, /api/ps. An order moves the due on by one interval and
 * marks the probe as under way, so that there is at most one of a kind per node; what becomes due meanwhile is ordered
 * when the answer is in. The least due of each node lies in one array, f->due, which is all that a turn reads.
 *
 * Intervals are shortened by up to a sixteenth, a different part for each node, and first probes start over half a
 * second: a thousand nodes are asked in a steady trickle, and simulations repeat exactly because only the node's id
 * decides.
 *
 * Only the version probe counts as missed: a node that answers but is slow to list its models is not down. A refused
 * connection is proof whatever was asked. A name with several addresses (localhost: ::1 and 127.0.0.1) has failed when
 * each has. */
#include "fleet/fleet_state.h"

#define LISTING_TIME SECOND(2)

static const unsigned kinds[] = { PROBE_RESOLVE, PROBE_VERSION, PROBE_TAGS, PROBE_PS };

nsec *probes_due(struct node *n, unsigned what)
{
    switch (what) {
    case PROBE_RESOLVE: return &n->due_resolve;
    case PROBE_VERSION: return &n->due_version;
    case PROBE_TAGS: return &n->due_tags;
    default: return &n->due_ps;
    }
}

static nsec interval_of(const struct fleet *f, unsigned what)
{
    switch (what) {
    case PROBE_RESOLVE: return f->settings.resolve_interval;
    case PROBE_VERSION: return f->settings.health_interval;
    case PROBE_TAGS: return f->settings.tags_interval;
    default: return f->settings.ps_interval;
    }
}

/* Only Ollama tells what is loaded. */
bool probes_tell_ps(const struct node *n)
{
    return n->kind == NODE_OLLAMA || n->kind == NODE_UNKNOWN;
}

static bool may_ask(const struct node *n, unsigned what)
{
    if (n->probing & what)
        return false;
    switch (what) {
    case PROBE_RESOLVE: return true;
    case PROBE_VERSION: return n->addrs > 0;
    case PROBE_TAGS: return n->addrs > 0 && health_answers(n);
    default: return n->addrs > 0 && health_answers(n) && probes_tell_ps(n);
    }
}

static nsec spread(const struct node *n, nsec interval)
{
    uint64_t part = (n->id * 0x9E3779B97F4A7C15u) >> 56;
    return interval - interval / 16 * (nsec)part / 256;
}

void probes_schedule(struct fleet *f, struct node *n)
{
    if (!roster_in_place(n))
        return;
    nsec next = n->due_fade;
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
        if (may_ask(n, kinds[k]))
            next = MIN(next, *probes_due(n, kinds[k]));
    f->due[n->no] = next;
}

void probes_begin(struct fleet *f, struct node *n, nsec now)
{
    nsec start = now + (nsec)((n->id - 1) % NODES_MAX) * USEC(500);
    n->due_version = start;
    n->due_resolve = n->addrs ? NEVER : start; /* a literal address has no name to resolve */
    probes_schedule(f, n);
}

void probes_refresh(struct fleet *f, struct node *n, nsec now)
{
    n->due_tags = n->due_ps = now;
    probes_schedule(f, n);
}

void probes_resolve_again(struct fleet *f, struct node *n, nsec now)
{
    if (n->due_resolve != NEVER)
        n->due_resolve = MIN(n->due_resolve, MAX(now, n->resolved_at + RESOLVE_PAUSE));
    probes_schedule(f, n);
}

/* ---- orders ----------------------------------------------------------------------------------------------------- */

/* Whether it lives is asked of a node impatiently; a listing may take it longer. */
static nsec patience(const struct fleet *f, unsigned what)
{
    return what == PROBE_VERSION ? f->settings.health_timeout : MAX(f->settings.health_timeout, LISTING_TIME);
}

static void order_one(struct fleet *f, struct node *n, unsigned what, nsec now, struct orders *out)
{
    struct probe_order *o = &out->probe[out->probes++];
    *o = (struct probe_order){ .node = n, .what = what, .kind = n->kind, .patience = patience(f, what) };
    if (what != PROBE_RESOLVE)
        o->addr = n->addr[n->addr_next];
    if (what == PROBE_TAGS) {
        n->round_asked = f->round;
        n->tags_asked = f->refreshes;
    }
    if (what == PROBE_PS)
        n->ps_sent = now;
    n->pins++;
    n->probing |= what;
    *probes_due(n, what) = now + spread(n, interval_of(f, what));
}

static void fade(struct fleet *f, struct node *n)
{
    n->due_fade = NEVER;
    n->faded = true;
    views_outdate(f, SHOWS_TAGS | SHOWS_VERSION);
}

void probes_order(struct fleet *f, struct node *n, nsec now, struct orders *out)
{
    if (!roster_in_place(n) || f->due[n->no] > now)
        return;
    if (n->due_fade <= now)
        fade(f, n);
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
        if (!may_ask(n, kinds[k]) || *probes_due(n, kinds[k]) > now)
            continue;
        if (out->probes == ORDERS_PROBES) {
            out->more = true;
            break;
        }
        order_one(f, n, kinds[k], now, out);
    }
    probes_schedule(f, n);
}

void probes_order_all(struct fleet *f, nsec now, struct orders *out)
{
    for (uint32_t i = 0; i < f->places && !out->more; i++)
        if (f->due[i] <= now)
            probes_order(f, f->node[i], now, out);
}

nsec probes_next(const struct fleet *f)
{
    nsec next = NEVER;
    for (uint32_t i = 0; i < f->places; i++)
        next = MIN(next, f->due[i]);
    return next;
}

uint64_t fleet_refresh(struct fleet *f, uint64_t node_id, nsec now, struct orders *out)
{
    fleet_lock(f);
    uint64_t refresh = ++f->refreshes;
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && (!node_id || f->node[i]->id == node_id))
            probes_refresh(f, f->node[i], now);
    probes_order_all(f, now, out);
    fleet_settle(f, now, out);
    fleet_unlock(f);
    return refresh;
}

bool fleet_told(struct fleet *f, uint64_t node_id, uint64_t refresh)
{
    fleet_lock(f);
    const struct node *n = roster_by_id(f, node_id);
    bool told = !n || !health_answers(n) || n->tags_told >= refresh;
    fleet_unlock(f);
    return told;
}
