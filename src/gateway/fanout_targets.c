/* Who is asked: decided from one snapshot of the fleet, which is copied for the purpose (a fan-out is rare, and may
 * take minutes).
 *
 *      pull    all Ollama nodes that are up; with pull.replicas N those that have it already, then the emptiest
 *      create  those that have every blob it names; else those that have `from`; else the build node
 *      copy    those that have the source
 *      delete  those that have the model, also when they are down: then they are named in the answer
 *
 * Where nobody is known to have what is copied or deleted, all that are up are asked, and their 404s are the truth:
 * inventories may be 30 s old. How much room a node's disk has is not to be learnt through Ollama's API: a node
 * without room says so, and is named. */
#include "gateway/fanout.h"

struct chosen {
    const struct node_view **node;
    unsigned n;
};

/* ---- what is asked of one node ----------------------------------------------------------------------------------- */

static bool may_be_asked(const struct node_view *n, struct str pin)
{
    return n->kind == NODE_OLLAMA && n->state != NODE_REMOVED && (!pin.n || str_eq(n->name, pin));
}

static bool is_up(const struct node_view *n)
{
    return n->state == NODE_UP || n->state == NODE_SUSPECT;
}

static bool has_model(const struct node_view *n, struct str key)
{
    for (uint32_t i = 0; i < n->models; i++)
        if (str_eq(n->model[i].key, key))
            return true;
    return false;
}

static bool has_blobs(struct fanout *f, struct json named, uint64_t node)
{
    struct json_walk w = json_walk(named);
    uint8_t digest[32];

    while (json_next(&w)) {
        struct str text = w.value.kind == JSON_STRING ? json_text(&f->arena, w.value) : STR_NONE;
        if (!blob_digest_read(text, digest) || !blob_places_has(&f->worker->gateway->blobs, digest, node))
            return false;
    }
    return true;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static enum fail choose_room(struct fanout *f, const struct fleet_snapshot *s, struct chosen *c)
{
    *c = (struct chosen){ .node = arena_array(&f->arena, const struct node_view *, s->n + 1) };
    return c->node ? OK : FAIL_no_memory;
}

static void choose_all_up(struct fanout *f, const struct fleet_snapshot *s, struct chosen *c)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (may_be_asked(&s->node[i], f->pin) && is_up(&s->node[i]))
            c->node[c->n++] = &s->node[i];
}

/* Returns how many of them are down. */
static unsigned choose_holders(struct fanout *f, const struct fleet_snapshot *s, bool also_down, struct chosen *c)
{
    unsigned down = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        const struct node_view *n = &s->node[i];
        if (!may_be_asked(n, f->pin) || !has_model(n, f->key))
            continue;
        down += !is_up(n);
        if (also_down || is_up(n))
            c->node[c->n++] = n;
    }
    return down;
}

static enum fail nobody(const struct fanout *f, const struct fleet_snapshot *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (str_eq(s->node[i].name, f->pin))
            return FAIL_no_node;
    return f->pin.n ? FAIL_node_unknown : FAIL_no_node;
}

/* The chosen ones become children. */
static enum fail take(struct fanout *f, const struct fleet_snapshot *s, const struct chosen *c)
{
    if (!c->n)
        return nobody(f, s);
    f->child = arena_array(&f->arena, struct child, c->n);
    if (!f->child)
        return FAIL_no_memory;
    for (unsigned i = 0; i < c->n; i++) {
        const struct node_view *n = c->node[i];
        f->child[i] = (struct child){ .of = f, .node_id = n->id, .name = str_dup(&f->arena, n->name) };
        f->child[i].absent = is_up(n) ? STR_NONE : node_state_name(n->state);
    }
    f->n = c->n;
    return f->arena.failed ? FAIL_no_memory : OK;
}

/* ---- by route ---------------------------------------------------------------------------------------------------- */

static bool emptier(const struct node_view *a, const struct node_view *b, struct str key)
{
    bool has = has_model(a, key);

    return has != has_model(b, key) ? has : a->models < b->models;
}

/* The first `most` of them, by insertion: nodes are few. */
static void keep_best(struct chosen *c, unsigned most, struct str key)
{
    for (unsigned i = 1; i < c->n; i++) {
        const struct node_view *n = c->node[i];
        unsigned at = i;
        for (; at > 0 && emptier(n, c->node[at - 1], key); at--)
            c->node[at] = c->node[at - 1];
        c->node[at] = n;
    }
    c->n = MIN(c->n, most);
}

enum fail targets_pull(struct fanout *f, const struct fleet_snapshot *s)
{
    int most = f->x->settings->pull_replicas;
    struct chosen c;
    enum fail why = choose_room(f, s, &c);

    if (why)
        return why;
    choose_all_up(f, s, &c);
    if (most > 0)
        keep_best(&c, (unsigned)most, f->key);
    return take(f, s, &c);
}

enum fail targets_delete(struct fanout *f, const struct fleet_snapshot *s)
{
    struct chosen c;
    enum fail why = choose_room(f, s, &c);

    if (why)
        return why;
    choose_holders(f, s, true, &c);
    if (!c.n)
        choose_all_up(f, s, &c);
    return take(f, s, &c);
}

enum fail targets_copy(struct fanout *f, const struct fleet_snapshot *s)
{
    struct chosen c;
    enum fail why = choose_room(f, s, &c);

    if (why)
        return why;
    if (choose_holders(f, s, false, &c) && !c.n)
        return FAIL_no_holder_up;
    if (!c.n)
        choose_all_up(f, s, &c);
    return take(f, s, &c);
}

const struct node_view *targets_build_node(struct gateway *g, const struct fleet_snapshot *s, struct str pin)
{
    const struct node_view *first = NULL;
    uint64_t latest = blob_places_latest(&g->blobs);

    for (uint32_t i = 0; i < s->n; i++) {
        const struct node_view *n = &s->node[i];
        if (!may_be_asked(n, pin) || !is_up(n))
            continue;
        if (n->id == latest)
            return n;
        if (!first || n->id < first->id)
            first = n;
    }
    return first;
}

static bool names_blobs(const struct fanout *f)
{
    struct json_walk files = json_walk(f->files), adapters = json_walk(f->adapters);

    return json_next(&files) || json_next(&adapters);
}

static void choose_with_blobs(struct fanout *f, const struct fleet_snapshot *s, struct chosen *c)
{
    choose_all_up(f, s, c);
    unsigned kept = 0;
    for (unsigned i = 0; i < c->n; i++)
        if (has_blobs(f, f->files, c->node[i]->id) && has_blobs(f, f->adapters, c->node[i]->id))
            c->node[kept++] = c->node[i];
    c->n = kept;
}

enum fail targets_create(struct fanout *f, const struct fleet_snapshot *s)
{
    const struct node_view *build;
    struct chosen c;
    enum fail why = choose_room(f, s, &c);

    if (why)
        return why;
    if (names_blobs(f))
        choose_with_blobs(f, s, &c);
    else if (f->key.n)
        choose_holders(f, s, false, &c);
    if (!c.n && (build = targets_build_node(f->worker->gateway, s, f->pin)))
        c.node[c.n++] = build;
    return take(f, s, &c);
}
