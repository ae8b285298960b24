/* fleet/snapshot.c - a copy of the fleet for people: operations routes, metrics, the dashboard.
 *
 * Under the lock only what can change is copied, into memory made before: numbers, and two short texts. Names and
 * labels never change and are copied after it from the pinned nodes; inventories are not copied but held. */
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include <stdlib.h>

struct texts {
    char version[32];
    char error[NODE_ERROR_TEXT];
};
struct held {
    struct fleet_snapshot shot; /* what the caller sees */
    struct node **node;         /* pinned while it is made */
    struct listing **listing;   /* two a node: tags, ps */
    struct texts *texts;
    uint32_t *place; /* where the node was */
    uint32_t room;
};

static struct held *held_new(uint32_t room)
{
    struct held *h = memory_strikes() ? NULL : calloc(1, sizeof *h);
    if (!h)
        return NULL;
    struct arena *a = &h->shot.arena;
    arena_init(a);
    h->room = room;
    h->node = arena_array(a, struct node *, room);
    h->listing = arena_array(a, struct listing *, room * 2);
    h->texts = arena_array(a, struct texts, room);
    h->place = arena_array(a, uint32_t, room);
    h->shot.node = arena_array(a, struct node_view, room);
    return h;
}

void fleet_snapshot_free(struct fleet_snapshot **s)
{
    if (!*s)
        return;
    struct held *h = CONTAINER(*s, struct held, shot);
    for (uint32_t i = 0; i < h->shot.n * 2; i++)
        listing_unref(&h->listing[i]);
    arena_done(&h->shot.arena);
    free(h);
    *s = NULL;
}

static struct node_view numbers_of(const struct node *n)
{
    return (struct node_view){ .id = n->id,
                               .state = n->state,
                               .kind = n->kind,
                               .simulated = n->simulated,
                               .added_at_run_time = n->added_at_run_time,
                               .weight = n->weight,
                               .labels = n->labels,
                               .vram = n->vram,
                               .slots = n->slots < 0 && n->told_slots ? (int)n->told_slots : n->slots,
                               .context = n->told_context,
                               .inflight = n->inflight,
                               .requests = n->requests,
                               .errors = n->errors,
                               .last_error = n->last_error,
                               .state_since = n->state_since,
                               .last_error_at = n->last_error_at,
                               .last_seen = n->last_seen };
}

static void copy_node(struct held *h, struct node *n)
{
    uint32_t i = h->shot.n++;
    struct node_view *v = &h->shot.node[i];
    *v = numbers_of(n);
    memcpy(h->texts[i].version, n->version, sizeof n->version);
    memcpy(h->texts[i].error, n->last_error_text, sizeof n->last_error_text);
    h->node[i] = n;
    h->place[i] = n->no;
    n->pins++;
    h->listing[i * 2] = listing_ref(n->tags);
    h->listing[i * 2 + 1] = listing_ref(n->ps);
    h->shot.up += n->state == NODE_UP;
}

/* NULL when memory is out. */
static struct held *copy_state(struct fleet *f, nsec now)
{
    struct held *h = NULL;
    fleet_lock(f);
    while (!h || h->room < f->places) {
        uint32_t want = f->places + 8;
        fleet_unlock(f);
        if (h)
            arena_done(&h->shot.arena);
        free(h);
        h = held_new(want);
        if (!h || h->shot.arena.failed)
            return h;
        fleet_lock(f);
    }
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i])
            copy_node(h, f->node[i]);
    h->shot.waiting = f->waiting_n + f->queued_n;
    h->shot.now = now;
    fleet_unlock(f);
    return h;
}

static void show_listing(const struct listing *l, uint32_t *out_n, const struct inventory_model **out)
{
    *out_n = l ? l->inventory->n : 0;
    *out = l ? l->inventory->model : NULL;
}

static void finish_node(struct held *h, uint32_t i)
{
    struct arena *a = &h->shot.arena;
    const struct node *n = h->node[i];
    struct node_view *v = &h->shot.node[i];
    v->name = str_dup(a, n->name);
    v->url = str_dup(a, n->url_text);
    v->labels = str_dup(a, v->labels);
    v->version = str_of(h->texts[i].version);
    v->last_error_text = str_of(h->texts[i].error);
    show_listing(h->listing[i * 2], &v->models, &v->model);
    show_listing(h->listing[i * 2 + 1], &v->loaded, &v->resident);
}

struct fleet_snapshot *fleet_snapshot(struct fleet *f, nsec now)
{
    struct held *h = copy_state(f, now);
    if (!h)
        return NULL;
    for (uint32_t i = 0; i < h->shot.n; i++) {
        finish_node(h, i);
        fleet_unpin(f, &h->node[i]);
    }
    struct fleet_snapshot *s = &h->shot;
    if (s->arena.failed)
        fleet_snapshot_free(&s);
    return s;
}

/* ---- what it does with models -------------------------------------------------------------------------------------
 */

/* Variants of one model are one to people: what is in flight is added up, the rest is that of the one that is loaded.
 */
static void add_variant(struct fleet *f, struct node_serves *is, uint32_t node, uint32_t v)
{
    is->inflight += scheduler_inflight(f->scheduler, node, v);
    if (is->model && !scheduler_resident(f->scheduler, node, v))
        return;
    is->model = f->variant[v].name;
    is->slots = scheduler_slots(f->scheduler, node, v);
    is->rates = scheduler_rates(f->scheduler, node, v);
}

static struct node_serves *entry_of(struct node_serves *all, uint32_t *n, uint64_t model)
{
    for (uint32_t i = 0; i < *n; i++)
        if (all[i].model == model)
            return &all[i];
    all[*n] = (struct node_serves){ 0 };
    return &all[(*n)++];
}

/* Those of its models that somebody has asked for; 0 when it has gone. */
static uint32_t copy_serves(struct fleet *f, struct node_view *view, uint32_t place, struct node_serves *out, nsec now)
{
    uint32_t n = 0;
    fleet_lock(f);
    bool lives = place != NO_PLACE && f->node[place] && f->node[place]->id == view->id;
    for (uint32_t v = 0; lives && v < f->variants; v++)
        if (f->variant_key[v] && set_has(&f->variant[v].holds, place))
            add_variant(f, entry_of(out, &n, f->variant[v].name), place, v);
    for (uint32_t i = 0; i < n; i++) {
        out[i].breaker = guards_state(f, view->id, out[i].model, now);
        out[i].breaker_opens = guards_opens(f, view->id, out[i].model);
    }
    view->breaker = guards_state(f, view->id, 0, now);
    view->breaker_opens = guards_opens(f, view->id, 0);
    fleet_unlock(f);
    return n;
}

bool fleet_snapshot_serves(struct fleet *f, struct fleet_snapshot *s)
{
    struct held *h = CONTAINER(s, struct held, shot);
    struct node_serves *most = arena_array(&s->arena, struct node_serves, VARIANTS_MAX);
    for (uint32_t i = 0; most && i < s->n; i++) {
        uint32_t n = copy_serves(f, &s->node[i], h->place[i], most, s->now);
        struct node_serves *kept = n ? arena_array(&s->arena, struct node_serves, n) : NULL;
        if (kept)
            memcpy(kept, most, n * sizeof *kept);
        s->node[i].serves = kept;
        s->node[i].serves_n = kept ? n : 0;
    }
    return !s->arena.failed;
}

const struct node_serves *node_view_serves(const struct node_view *v, uint64_t model)
{
    for (uint32_t i = 0; i < v->serves_n; i++)
        if (v->serves[i].model == model)
            return &v->serves[i];
    return NULL;
}
