/* fleet/choice.c - which node serves a ticket, and if none, why not.
 *
 *      has the model  &  up (else suspect)  &  right kind  -  tried  -  full (if others remain)   ->  policy
 *
 * The first three are bit sets and-ed word by word; only their survivors are looked at. When none is left the sentence
 * a client reads must be true, since `ollama run` pulls a model after a 404: so it is said only of a model that no
 * node, also none that is down, is known to have, and never while a node might have it that has not told yet. */
#include "fleet/fleet_state.h"

static bool tried(const struct ticket *t, uint64_t id)
{
    for (unsigned i = 0; i < t->tried_n; i++)
        if (t->tried[i] == id)
            return true;
    return false;
}

static bool pinned(const struct ticket *t)
{
    return t->pin.n || t->pin_id;
}

static struct node *pin_of(struct fleet *f, const struct ticket *t)
{
    return t->pin_id ? roster_by_id(f, t->pin_id) : roster_named(f, t->pin);
}

/* Those of `among` that may serve: how many, and the one with fewest in flight. */
static struct choice gather(const struct fleet *f, const struct ticket *t, const struct node_set *has,
                            const struct node_set *among)
{
    struct choice c = { .by = pinned(t) ? "pin" : "fewest" };
    for (uint32_t w = 0; w * 64 < f->places; w++) {
        uint64_t bits = among->word[w] & (has ? has->word[w] : ~0ull) & (t->ollama_only ? f->ollama.word[w] : ~0ull);
        for (; bits; bits &= bits - 1) {
            struct node *n = f->node[w * 64 + (uint32_t)__builtin_ctzll(bits)];
            if (t->tried_n && tried(t, n->id))
                continue;
            c.candidates++;
            if (!c.node || n->inflight < c.node->inflight)
                c.node = n;
        }
    }
    return c;
}

/* Narrowed to one node. */
static struct node_set only(const struct node_set *s, const struct node *n)
{
    struct node_set one = { 0 };
    if (n && roster_in_place(n))
        set_put(&one, n->no, set_has(s, n->no));
    return one;
}

/* ---- why not ---------------------------------------------------------------------------------------------------- */

static bool might_hold(const struct node *n, nsec now)
{
    return !n->tags && now - n->added < POSSIBLE_HOLDER;
}

static bool anybody_might_hold(const struct fleet *f, nsec now)
{
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && !f->node[i]->remove_when_idle && might_hold(f->node[i], now))
            return true;
    return false;
}

static bool empty(const struct node_set *s, const struct node_set *also)
{
    uint64_t any = 0;
    for (unsigned w = 0; w < NODE_WORDS; w++)
        any |= s->word[w] & also->word[w];
    return !any;
}

static struct choice nobody(enum fail why)
{
    return (struct choice){ .why_not = why };
}

static struct choice nobody_because(struct fleet *f, const struct ticket *t, const struct node_set *has, nsec now)
{
    bool held = has && !empty(has, &f->present);
    bool answers = !empty(&f->up, &f->present) || !empty(&f->suspect, &f->present);
    if (!t->model.n || (held && !answers))
        return nobody(FAIL_no_node);
    if (held && (!empty(has, &f->up) || !empty(has, &f->suspect)))
        return nobody(FAIL_no_node); /* of another kind than the route needs */
    if (held)
        return nobody(FAIL_no_holder_up);
    struct choice c = { .unknown = true, .why_not = FAIL_model_not_found };
    if (!answers)
        c.why_not = FAIL_no_node;
    else if (anybody_might_hold(f, now))
        c.why_not = FAIL_no_holder_up;
    return c;
}

static struct choice pin_fails_because(const struct node *pin, const struct ticket *t, const struct node_set *has,
                                       nsec now)
{
    if (!pin)
        return nobody(FAIL_node_unknown);
    if (!t->model.n || (has && set_has(has, pin->no)))
        return nobody(FAIL_no_node);
    bool must_wait = might_hold(pin, now) || pin->state == NODE_DOWN;
    return (struct choice){ .unknown = true, .why_not = must_wait ? FAIL_no_node : FAIL_model_not_found };
}

static bool all_were_tried(struct fleet *f, const struct ticket *t, const struct node_set *has,
                           const struct node_set *up, const struct node_set *suspect)
{
    struct ticket fresh = *t;
    fresh.tried_n = 0;
    return t->tried_n && (gather(f, &fresh, has, up).node || gather(f, &fresh, has, suspect).node);
}

/* ---- the choice ------------------------------------------------------------------------------------------------- */

static struct choice choose_among(struct fleet *f, const struct ticket *t, const struct node_set *has,
                                  const struct node_set *up, const struct node_set *suspect)
{
    if (t->model.n && !has)
        return (struct choice){ 0 };
    struct choice c = gather(f, t, has, up);
    if (!c.node)
        c = gather(f, t, has, suspect);
    if (c.node)
        return c;
    return nobody(all_were_tried(f, t, has, up, suspect) ? FAIL_retries_exhausted : OK);
}

static struct choice choose_pinned(struct fleet *f, const struct ticket *t, const struct node_set *has, nsec now)
{
    struct node *pin = pin_of(f, t);
    struct node_set up = only(&f->up, pin), suspect = only(&f->suspect, pin);
    struct choice c = choose_among(f, t, has, &up, &suspect);
    return c.node || c.why_not ? c : pin_fails_because(pin, t, has, now);
}

struct choice choice_make(struct fleet *f, const struct ticket *t, nsec now)
{
    const struct holders *h = t->model.n ? residency_find(f->residency, t->model_hash) : NULL;
    const struct node_set *has = h ? &h->has : NULL;
    if (unlikely(pinned(t)))
        return choose_pinned(f, t, has, now);
    struct choice c = choose_among(f, t, has, &f->up, &f->suspect);
    return c.node || c.why_not ? c : nobody_because(f, t, has, now);
}
