/* fleet/preload.c - models that the operator wants loaded somewhere at all times.
 *
 * Every few seconds each of them that no node has loaded, or is loading, is ordered as if somebody had asked for it;
 * the scheduler picks the place where that costs least, and leaves it when there is none. Tickets are made with the
 * rules, outside the lock. */
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include <stdio.h>
#include <stdlib.h>

#define LOOK_EVERY SECOND(2)

struct wanted {
    struct ticket ticket;
    struct options options;
};
struct preload {
    struct model_rules *rules; /* the texts of the tickets lie in them */
    unsigned n;
    struct wanted wanted[];
};

/* A request for the model that names the context the rule gives to those that name none. */
static void read_options(struct wanted *w, uint32_t num_ctx)
{
    static const struct str path = { "/api/generate", 13 };
    struct arena a;
    struct peek p;
    struct str detail;
    char body[96];
    arena_init(&a);
    const struct route *r = route_find(M_POST, path).route;
    int n = snprintf(body, sizeof body, "{\"model\":\"m\",\"options\":{\"num_ctx\":%u}}", num_ctx);
    if (r && !peek_body(r, (struct str){ body, (size_t)n }, &a, &p, &detail))
        options_read(&w->options, &p, (struct str){ body, (size_t)n });
    arena_done(&a);
}

static void want(struct wanted *w, const struct model_rule *rule)
{
    *w = (struct wanted){
        .ticket = {.model = rule->key, .model_hash = rule->hash, .spelled = rule->name}
    };
    if (rule->num_ctx)
        read_options(w, rule->num_ctx);
}

struct preload *preload_new(const struct model_rules *r)
{
    unsigned n = 0, rows = model_rules_count(r);
    for (unsigned i = 0; i < rows; i++)
        n += model_rules_row(r, i)->preload;
    struct preload *p = !n || memory_strikes() ? NULL : calloc(1, sizeof *p + n * sizeof *p->wanted);
    if (!p)
        return NULL;
    p->rules = model_rules_ref((struct model_rules *)r);
    for (unsigned i = 0; i < rows; i++)
        if (model_rules_row(r, i)->preload)
            want(&p->wanted[p->n++], model_rules_row(r, i));
    return p;
}

void preload_free(struct preload **p)
{
    if (!*p)
        return;
    model_rules_unref(&(*p)->rules);
    free(*p);
    *p = NULL;
}

void preload_turn(struct fleet *f, nsec now, struct scheduler_orders *so)
{
    f->preload_due = f->preload ? now + LOOK_EVERY : NEVER;
    if (f->unheard && now < f->first_until)
        return; /* it may be loaded: nobody has told yet */
    for (unsigned i = 0; f->preload && i < f->preload->n; i++) {
        struct wanted *w = &f->preload->wanted[i];
        w->ticket.options = w->options.hash ? &w->options : NULL;
        uint32_t v = lineup_find(f, &w->ticket, now, so);
        if (v != SCHEDULER_NONE && !so->more)
            scheduler_load(f->scheduler, SCHEDULER_NONE, v, now, so); /* FAIL_no_node: not now */
    }
}
