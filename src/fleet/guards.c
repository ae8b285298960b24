/* fleet/guards.c - breakers of nodes, and of nodes with one model: who must not be asked for now (scheduling, section
 * 5).
 *
 * A breaker is made when something fails, and reused when it has been closed and quiet for long, so that a fleet in
 * health has none and looks at none. What they say becomes bars of the scheduler, worked out per model: an open one
 * bars, one in trial does while its probe is on its way. When more than half of the nodes that have the model would be
 * barred, none is: then the penalties for failures, which the scheduler keeps itself, choose the least bad. */
#include "fleet/fleet_state.h"

#define QUIET SECOND(60)

static struct guard *find(struct fleet *f, uint64_t node, uint64_t model)
{
    for (uint32_t i = 0; i < f->guards; i++)
        if (f->guard[i].node == node && f->guard[i].model == model)
            return &f->guard[i];
    return NULL;
}

static bool is_spent(const struct guard *g, nsec now)
{
    return !g->node || (g->breaker.state == BREAKER_CLOSED && now - g->used > QUIET);
}

/* NULL when all are in use: what has no breaker is not barred. */
static struct guard *make(struct fleet *f, uint64_t node, uint64_t model, nsec now)
{
    uint32_t at = 0;
    while (at < f->guards && !is_spent(&f->guard[at], now))
        at++;
    if (at == GUARDS_MAX)
        return NULL;
    f->guards = MAX(f->guards, at + 1);
    f->guard[at] = (struct guard){ .node = node, .model = model };
    return &f->guard[at];
}

/* ---- attempts ---------------------------------------------------------------------------------------------------- */

static void learn(struct fleet *f, struct guard *g, bool good, nsec began, nsec now)
{
    g->used = now;
    if (breaker_learn(&g->breaker, good, began, now, ++f->guard_chance * 0x9e3779b97f4a7c15))
        f->guards_news = true;
    f->guards_news |= g->breaker.state != BREAKER_CLOSED; /* a probe has come back */
}

static void learn_for(struct fleet *f, uint64_t node, uint64_t model, bool good, nsec began, nsec now)
{
    struct guard *g = find(f, node, model);
    if (!g && !good)
        g = make(f, node, model, now);
    if (g)
        learn(f, g, good, began, now);
}

static void drop_for(struct fleet *f, uint64_t node, uint64_t model, nsec began)
{
    struct guard *g = find(f, node, model);
    if (!g)
        return;
    breaker_drop(&g->breaker, began);
    f->guards_news |= g->breaker.state != BREAKER_CLOSED;
}

void guards_learn(struct fleet *f, const struct lease *l, const struct attempt_end *e, nsec now)
{
    uint64_t node = l->node->id;
    bool good = !e->why && !e->client_left, bad = !e->client_left && fail_counts_against_node(e->why);
    if (!f->guards && !bad)
        return;
    if (!good && !bad) {
        drop_for(f, node, l->model, l->granted);
        drop_for(f, node, 0, l->granted);
        return;
    }
    learn_for(f, node, l->model, good, l->granted, now);
    learn_for(f, node, 0, good, l->granted, now);
}

void guards_take(struct fleet *f, const struct node *n, uint64_t model, nsec now)
{
    for (uint32_t i = 0; i < f->guards; i++) {
        struct guard *g = &f->guard[i];
        if (g->node == n->id && (!g->model || g->model == model) && breaker_take_probe(&g->breaker, now))
            f->guards_news = true;
    }
}

/* ---- bars -------------------------------------------------------------------------------------------------------- */

static unsigned count(const struct node_set *s)
{
    unsigned n = 0;
    for (unsigned w = 0; w < NODE_WORDS; w++)
        n += (unsigned)__builtin_popcountll(s->word[w]);
    return n;
}

/* How many of them answer. */
static unsigned count_able(const struct fleet *f, const struct node_set *s)
{
    unsigned n = 0;
    for (unsigned w = 0; w < NODE_WORDS; w++)
        n += (unsigned)__builtin_popcountll(s->word[w] & (f->up.word[w] | f->suspect.word[w]));
    return n;
}

struct node_set guards_bars(struct fleet *f, uint64_t model, const struct node_set *holds, nsec now)
{
    struct node_set bars = { 0 };
    for (uint32_t i = 0; i < f->guards; i++) {
        const struct guard *g = &f->guard[i];
        if (!g->node || (g->model && g->model != model) || breaker_allows(&g->breaker, now))
            continue;
        const struct node *n = roster_by_id(f, g->node);
        if (n && set_has(holds, n->no))
            set_put(&bars, n->no, true);
    }
    return 2 * count(&bars) > count_able(f, holds) ? (struct node_set){ 0 } : bars;
}

nsec guards_next(const struct fleet *f, nsec now)
{
    nsec next = NEVER;
    for (uint32_t i = 0; i < f->guards; i++)
        if (f->guard[i].node)
            next = MIN(next, breaker_next_change(&f->guard[i].breaker, now));
    return next;
}

uint32_t guards_opens(struct fleet *f, uint64_t node, uint64_t model)
{
    const struct guard *g = find(f, node, model);
    return g ? g->breaker.opens : 0;
}

enum breaker_state guards_state(struct fleet *f, uint64_t node, uint64_t model, nsec now)
{
    const struct guard *g = find(f, node, model);
    return g ? breaker_state(&g->breaker, now) : BREAKER_CLOSED;
}
