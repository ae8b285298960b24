/* fleet/views.c - answers about the whole fleet, rendered once per change and shared.
 *
 *      generation[id] grows with what the view shows;  view[id] remembers the generation it was rendered from
 *
 * A view that is at hand costs the lock and a reference. An old one is rendered outside the lock from listings that are
 * held meanwhile; when two threads do so at once, the newer result stays. Rejected: rendering when an inventory comes
 * in (views are asked for far less often than nodes are probed).
 *
 * Models of a node that is down stay in the tags for five minutes, and its version keeps counting as long: a client
 * that asks twice must not see models or the version flap with a node that restarts. What is loaded is gone at once. */
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include "fleet/view_render.h"
#include <stdlib.h>

struct rendered {
    struct view view;
    struct buf body;
};

void view_unref(struct view **v)
{
    if (*v && --(*v)->refs == 0) {
        struct rendered *r = CONTAINER(*v, struct rendered, view);
        buf_free(&r->body);
        free(r);
    }
    *v = NULL;
}

static struct view *view_ref(struct view *v)
{
    v->refs++;
    return v;
}

void views_outdate(struct fleet *f, unsigned what)
{
    for (unsigned id = 0; id < VIEWS; id++)
        f->generation[id] += what >> id & 1;
    if (what & SHOWS_TAGS)
        atomic_fetch_add_explicit(&f->models_changed, 1, memory_order_release);
    f->views_news = true;
}

/* ---- what a view is made from ----------------------------------------------------------------------------------- */

struct sources {
    struct listing **of;
    uint32_t n, room;
    uint64_t generation;
    char version[32];
};

static struct listing *listing_for(const struct node *n, enum view_id id)
{
    if (!n || n->remove_when_idle)
        return NULL;
    if (id == VIEW_PS)
        return health_answers(n) ? n->ps : NULL;
    return n->faded ? NULL : n->tags;
}

static void refresh_version(struct fleet *f)
{
    const char *lowest = NULL;
    for (uint32_t i = 0; i < f->places; i++) {
        const struct node *n = f->node[i];
        if (!n || n->remove_when_idle || n->faded || n->kind != NODE_OLLAMA || !n->version[0])
            continue;
        if (!lowest || version_compare(str_of(n->version), str_of(lowest)) < 0)
            lowest = n->version;
    }
    if (lowest)
        memcpy(f->version, lowest, sizeof f->version);
}

static void hold_sources(struct fleet *f, enum view_id id, struct sources *s)
{
    s->generation = f->generation[id];
    if (id == VIEW_VERSION)
        refresh_version(f);
    memcpy(s->version, f->version[0] ? f->version : "0.0.0", f->version[0] ? sizeof s->version : sizeof "0.0.0");
    for (uint32_t i = 0; i < f->places && id != VIEW_VERSION; i++) {
        struct listing *l = listing_for(f->node[i], id);
        if (l)
            s->of[s->n++] = listing_ref(l);
    }
}

/* The view at hand, if it is new; else NULL with *s filled; *s stays without room when memory is out. */
static struct view *view_or_sources(struct fleet *f, enum view_id id, struct sources *s)
{
    *s = (struct sources){ 0 };
    fleet_lock(f);
    while (!f->view[id] || f->view[id]->generation != f->generation[id]) {
        if (s->room > f->places) {
            hold_sources(f, id, s);
            fleet_unlock(f);
            return NULL;
        }
        uint32_t want = f->places + 8;
        fleet_unlock(f);
        free(s->of);
        s->of = memory_strikes() ? NULL : malloc(want * sizeof *s->of);
        s->room = s->of ? want : 0;
        if (!s->of)
            return NULL;
        fleet_lock(f);
    }
    struct view *v = view_ref(f->view[id]);
    fleet_unlock(f);
    return v;
}

static void release_sources(struct sources *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        listing_unref(&s->of[i]);
    free(s->of);
}

/* ---- rendering -------------------------------------------------------------------------------------------------- */

static enum fail render(enum view_id id, const struct sources *s, struct text *to)
{
    switch (id) {
    case VIEW_TAGS: return render_tags(to, s->of, s->n);
    case VIEW_PS: return render_ps(to, s->of, s->n);
    case VIEW_V1_MODELS: return render_v1_models(to, s->of, s->n);
    default: render_version(to, str_of(s->version)); return to->failed;
    }
}

static struct view *view_new(enum view_id id, const struct sources *s)
{
    struct rendered *r = memory_strikes() ? NULL : calloc(1, sizeof *r);
    if (!r)
        return NULL;
    struct text t = { 0 };
    if (render(id, s, &t)) {
        text_free(&t);
        free(r);
        return NULL;
    }
    r->body = t.buf;
    r->view = (struct view){ .refs = 1, .generation = s->generation, .body = buf_str(&r->body) };
    return &r->view;
}

static void keep(struct fleet *f, enum view_id id, struct view *v)
{
    struct view *old = v;
    fleet_lock(f);
    if (!f->view[id] || f->view[id]->generation < v->generation) {
        old = f->view[id];
        f->view[id] = v;
    }
    fleet_unlock(f);
    view_unref(&old);
}

struct view *fleet_view(struct fleet *f, enum view_id id, nsec wall)
{
    struct sources s;
    struct view *v = view_or_sources(f, id, &s);
    if (!v && s.room) {
        v = view_new(id, &s);
        if (v)
            keep(f, id, view_ref(v));
    }
    release_sources(&s);
    return v;
}
