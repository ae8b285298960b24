/* fleet/caches.c - what lies in the nodes' prompt caches, as far as what we sent them tells.
 *
 * The index (fleet/prefix.h) has a lock of its own, never taken together with the fleet's: a long prompt is hundreds of
 * probes. A request asks it before it asks the fleet, and tells it where it went after the grant, since from then on
 * the node evaluates the prompt.
 *
 * Ollama and llama-server keep the last prompt of each slot; a new request takes the slot whose prompt begins most like
 * its own, else one that is free, else the oldest (ollamarunner cache.go LoadCacheSlot). That is played here with the
 * slots that the scheduler knows. Nodes that batch keep blocks as long as there is room. */
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include <stdlib.h>

#define BLOCKS       65536
#define BLOCK_TOKENS 256
#define PROMPTS      1024 /* in slots of all nodes together */
#define PROMPT_MOST  64   /* blocks of a prompt in a slot that are told apart */
#define SLOTS_MOST   64

struct prompt { /* the last one of a slot */
    uint32_t node, variant, n;
    uint64_t turn; /* 0: free */
    uint64_t path[PROMPT_MOST];
};
struct caches {
    pthread_mutex_t lock;
    struct prefix *index;
    uint64_t turns;
    uint32_t used; /* one past the last prompt that was ever used */
    struct prompt prompt[PROMPTS];
};

struct caches *caches_new(void)
{
    struct caches *c = memory_strikes() ? NULL : calloc(1, sizeof *c);
    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->index = prefix_new(NODES_MAX, BLOCKS);
    if (!c->index)
        caches_free(&c);
    return c;
}

void caches_free(struct caches **c)
{
    if (!*c)
        return;
    prefix_free(&(*c)->index);
    pthread_mutex_destroy(&(*c)->lock);
    free(*c);
    *c = NULL;
}

void fleet_hints(struct fleet *f, struct ticket *t)
{
    struct caches *c = f->caches;
    t->hints = 0;
    if (!t->path_n)
        return;
    pthread_mutex_lock(&c->lock);
    t->hints = prefix_find(c->index, t->path, t->path_n, BLOCK_TOKENS, t->hint, TICKET_HINTS);
    pthread_mutex_unlock(&c->lock);
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static uint32_t alike(const struct prompt *p, const struct ticket *t)
{
    uint32_t n = 0;
    while (n < p->n && n < t->path_n && p->path[n] == t->path[n])
        n++;
    return n;
}

struct slots { /* of one node and variant */
    struct prompt *most_alike, *oldest;
    uint32_t alike, n;
};

static struct slots look_at_slots(struct caches *c, uint32_t node, const struct ticket *t)
{
    struct slots s = { 0 };
    for (uint32_t i = 0; i < c->used; i++) {
        struct prompt *p = &c->prompt[i];
        if (!p->turn || p->node != node || p->variant != t->lease.variant)
            continue;
        s.n++;
        if (alike(p, t) > s.alike)
            s.most_alike = p, s.alike = alike(p, t);
        if (!s.oldest || p->turn < s.oldest->turn)
            s.oldest = p;
    }
    return s;
}

static struct prompt *free_one(struct caches *c)
{
    for (uint32_t i = 0; i < c->used; i++)
        if (!c->prompt[i].turn)
            return &c->prompt[i];
    return c->used < PROMPTS ? &c->prompt[c->used++] : NULL;
}

static void replace(struct caches *c, struct prompt *p, uint32_t node, const struct ticket *t)
{
    uint32_t n = MIN(t->path_n, PROMPT_MOST), was = p->turn ? p->n : 0;
    prefix_replace(c->index, node, t->lease.variant, p->path, was, t->path, n);
    *p = (struct prompt){ .node = node, .variant = t->lease.variant, .n = n, .turn = ++c->turns };
    memcpy(p->path, t->path, n * sizeof *p->path);
}

static void keep_in_slot(struct caches *c, uint32_t node, const struct ticket *t)
{
    struct slots s = look_at_slots(c, node, t);
    struct prompt *p = s.most_alike;
    if (!p && s.n < MIN(t->lease.slots, SLOTS_MOST))
        p = free_one(c);
    p = p ? p : s.oldest;
    if (p)
        replace(c, p, node, t);
}

void fleet_keep_prompt(struct fleet *f, const struct ticket *t)
{
    struct caches *c = f->caches;
    const struct lease *l = &t->lease;
    if (!t->path_n || !l->number)
        return;
    pthread_mutex_lock(&c->lock);
    if (l->slots)
        keep_in_slot(c, l->node->no, t);
    else
        prefix_put(c->index, l->node->no, l->variant, t->path, t->path_n);
    pthread_mutex_unlock(&c->lock);
}

void caches_forget(struct caches *c, uint32_t node, uint32_t variant)
{
    pthread_mutex_lock(&c->lock);
    for (uint32_t n = 0; n < NODES_MAX; n++)
        if (node == SCHEDULER_NONE || n == node)
            prefix_forget(c->index, n, variant);
    for (uint32_t i = 0; i < c->used; i++)
        if ((node == SCHEDULER_NONE || c->prompt[i].node == node) &&
            (variant == SCHEDULER_NONE || c->prompt[i].variant == variant))
            c->prompt[i].turn = 0;
    pthread_mutex_unlock(&c->lock);
}
