/* fleet/lineup.c - what the scheduler was told: which models there are, which nodes, and who has what.
 *
 * The scheduler knows numbers, the fleet names and inventories. A node's number is its place, a model's the place of
 * its variant. Nothing is told when it happens: what changes marks its node as stale, and before the call ends the node
 * is compared with what the scheduler knows, so that there is one place that tells, whatever happened. A whole
 * comparison is some bits per node and model.
 *
 *      tags ─> holds        ps, our own loads ─> resident        breakers ─> barred        health ─> up, shunned
 *
 * /api/ps names what is loaded, not with which options: it is believed for the variant without options, and for one
 * with options only while a load of ours made it so. What it said before our last load or unload there is history. */
#include "fleet/fleet_state.h"

/* ---- variants ---------------------------------------------------------------------------------------------------- */

static uint64_t key_of(const struct ticket *t)
{
    uint64_t k = t->model_hash ^ (t->options ? t->options->hash : 0) * 0x9e3779b97f4a7c15;
    return k ? k : 1;
}

static bool is_idle(const struct fleet *f, uint32_t v)
{
    if (f->variant[v].tasks || scheduler_waiting(f->scheduler, v))
        return false;
    for (uint32_t n = 0; n < f->places; n++)
        if (scheduler_inflight(f->scheduler, n, v))
            return false;
    return true;
}

/* A free place, or that of the one that was not asked for longest. */
static uint32_t place_for_one(struct fleet *f, nsec now)
{
    uint32_t oldest = SCHEDULER_NONE;
    if (f->variants < VARIANTS_MAX)
        return f->variants++;
    for (uint32_t v = 0; v < VARIANTS_MAX; v++)
        if ((oldest == SCHEDULER_NONE || f->variant[v].used < f->variant[oldest].used) && is_idle(f, v))
            oldest = v;
    if (oldest != SCHEDULER_NONE)
        scheduler_forget_model(f->scheduler, oldest, now);
    return oldest;
}

static void copy_text(char *into, size_t room, struct str text)
{
    text = str_take(text, room - 1);
    if (text.n)
        memcpy(into, text.p, text.n);
    into[text.n] = 0;
}

static void tell_pair(struct fleet *f, struct node *n, uint32_t v, nsec now, struct scheduler_orders *so);
static void tell_bars(struct fleet *f, uint32_t v, nsec now, struct scheduler_orders *so);
static void tell_model(struct fleet *f, uint32_t v);

static void enter(struct fleet *f, uint32_t v, const struct ticket *t, nsec now, struct scheduler_orders *so)
{
    struct variant *is = &f->variant[v];
    *is = (struct variant){ .name = t->model_hash, .used = now, .embeds = t->embeds };
    if (t->options)
        is->options = *t->options;
    copy_text(is->spelled, sizeof is->spelled, t->spelled.n ? t->spelled : t->model);
    f->variant_key[v] = key_of(t);
    tell_model(f, v);
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i])
            tell_pair(f, f->node[i], v, now, so);
    tell_bars(f, v, now, so);
}

static uint32_t find(const struct fleet *f, const struct ticket *t)
{
    uint64_t key = key_of(t);
    for (uint32_t v = 0; v < f->variants; v++)
        if (f->variant_key[v] == key)
            return v;
    return SCHEDULER_NONE;
}

uint32_t lineup_find(struct fleet *f, const struct ticket *t, nsec now, struct scheduler_orders *so)
{
    uint32_t v = find(f, t);
    if (likely(v != SCHEDULER_NONE)) {
        f->variant[v].used = now;
        return v;
    }
    v = place_for_one(f, now);
    if (v != SCHEDULER_NONE)
        enter(f, v, t, now, so);
    return v;
}

uint32_t lineup_look(struct fleet *f, const struct ticket *t, bool may_enter, nsec now, struct scheduler_orders *so)
{
    uint32_t v = find(f, t);
    if (v != SCHEDULER_NONE || !may_enter || f->variants == VARIANTS_MAX)
        return v;
    enter(f, v = f->variants++, t, now, so);
    return v;
}

/* What the operator says of it; NULL: nothing. */
static const struct model_rule *rule_of(const struct fleet *f, uint64_t name)
{
    for (unsigned i = 0; i < model_rules_count(f->settings.rules); i++)
        if (model_rules_row(f->settings.rules, i)->hash == name)
            return model_rules_row(f->settings.rules, i);
    return NULL;
}

static void tell_model(struct fleet *f, uint32_t v)
{
    const struct model_rule *rule = rule_of(f, f->variant[v].name);
    enum scheduler_policy policy = rule ? rule->policy : SCHEDULER_POLICIES;
    scheduler_model(f->scheduler, v, f->variant[v].bytes, policy, f->variant[v].name);
    f->variant[v].labels = rule ? rule->labels_bits : 0;
}

void lineup_rules_changed(struct fleet *f)
{
    for (uint32_t v = 0; v < f->variants; v++)
        if (f->variant_key[v])
            tell_model(f, v);
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i])
            lineup_forget_slots(f, f->node[i]);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

void lineup_outdate(struct fleet *f, const struct node *n)
{
    if (!roster_in_place(n))
        return;
    set_put(&f->stale, n->no, true);
    f->is_stale = true;
}

void lineup_forget_slots(struct fleet *f, const struct node *n)
{
    for (uint32_t v = 0; v < f->variants; v++)
        set_put(&f->variant[v].holds, n->no, false);
    lineup_outdate(f, n);
}

static void tell_node(struct fleet *f, const struct node *n, nsec now, struct scheduler_orders *so)
{
    struct scheduler_node is = { .up = n->state == NODE_UP || n->state == NODE_SUSPECT || n->state == NODE_DRAINING,
                                 .draining = n->state == NODE_DRAINING,
                                 .weight = n->weight,
                                 .share = breaker_slow_start(n->warm_since, now),
                                 .penalty = n->state == NODE_SUSPECT ? SCHEDULER_SHUNNED : 0,
                                 .slots = (uint32_t)n->max_inflight,
                                 .held = n->fits_models,
                                 .vram = fits_at_most(n),
                                 .labels = (n->kind == NODE_OLLAMA ? LABEL_OLLAMA : 0) |
                                           model_rules_labels(f->settings.rules, n->labels),
                                 .id = n->id };
    if (n->state == NODE_DRAINING)
        is.up = health_answers(n);
    scheduler_node(f->scheduler, n->no, &is, now, so);
    if (is.share < 1)
        f->warm_due = MIN(f->warm_due, now + SECOND(1));
}

static void tell_nobody_there(struct fleet *f, uint32_t no, nsec now, struct scheduler_orders *so)
{
    scheduler_node(f->scheduler, no, &(struct scheduler_node){ 0 }, now, so);
    for (uint32_t v = 0; v < f->variants; v++)
        if (set_has(&f->variant[v].holds, no)) {
            set_put(&f->variant[v].holds, no, false);
            scheduler_holds(f->scheduler, no, v, false, SLOTS_TOLD, 0, now, so);
        }
}

/* Its prompt caches went with it. When there is no room to name them all, all are forgotten. */
void lineup_lost(struct fleet *f, uint32_t node, uint32_t variant)
{
    if (f->losts == LOST_MAX)
        f->lost[0] = (struct lost){ SCHEDULER_NONE, SCHEDULER_NONE };
    else
        f->lost[f->losts++] = (struct lost){ node, variant };
}

/* ---- who holds, who has it loaded -------------------------------------------------------------------------------- */

static const struct inventory_model *listed(const struct listing *l, uint64_t name)
{
    for (uint32_t i = 0; l && i < l->inventory->n; i++)
        if (l->inventory->model[i].hash == name)
            return &l->inventory->model[i];
    return NULL;
}

static bool lists_digest(const struct listing *l, struct str digest)
{
    for (uint32_t i = 0; l && digest.n && i < l->inventory->n; i++)
        if (str_eq(l->inventory->model[i].digest, digest))
            return true;
    return false;
}

/* A copy under another name is the same model to the node. */
static bool says_loaded(const struct node *n, const struct variant *v, const struct inventory_model *has)
{
    return listed(n->ps, v->name) || (has && lists_digest(n->ps, has->digest));
}

static bool sibling_is_loaded(const struct fleet *f, const struct node *n, uint32_t v)
{
    for (uint32_t o = 0; o < f->variants; o++)
        if (o != v && f->variant_key[o] && f->variant[o].name == f->variant[v].name &&
            scheduler_resident(f->scheduler, n->no, o))
            return true;
    return false;
}

/* Only Ollama loads on demand; the others serve what they list. */
static bool loads_on_demand(const struct node *n)
{
    return n->kind == NODE_OLLAMA || n->kind == NODE_UNKNOWN;
}

static bool is_resident(const struct fleet *f, const struct node *n, uint32_t v, const struct inventory_model *has)
{
    const struct variant *is = &f->variant[v];
    bool was = scheduler_resident(f->scheduler, n->no, v);
    if (!loads_on_demand(n))
        return true;
    if (!n->ps || n->ps_asked < n->lineup_changed)
        return was;
    if (!says_loaded(n, is, has))
        return false;
    return was || (!is->options.hash && !sibling_is_loaded(f, n, v));
}

/* Said of the node, else of the model, else by the node; else to be learnt, unless the node batches without end. */
static enum scheduler_slots slots_of(const struct fleet *f, const struct node *n, uint64_t name, uint32_t *out)
{
    const struct model_rule *rule = rule_of(f, name);
    bool batches = n->kind == NODE_VLLM || n->kind == NODE_OPENAI;
    int said = n->slots >= 0 ? n->slots : rule ? rule->slots : NOT_SAID;
    if (said < 0 && n->told_slots)
        said = (int)n->told_slots;
    *out = said > 0 ? (uint32_t)said : 0;
    return said >= 0 || batches ? SLOTS_TOLD : SLOTS_LEARNT;
}

static void tell_holds(struct fleet *f, struct node *n, uint32_t v, bool holds, nsec now, struct scheduler_orders *so)
{
    uint32_t slots;
    enum scheduler_slots how = slots_of(f, n, f->variant[v].name, &slots);
    set_put(&f->variant[v].holds, n->no, holds);
    scheduler_holds(f->scheduler, n->no, v, holds, how, slots, now, so);
}

static void learn_size(struct fleet *f, uint32_t v, const struct inventory_model *has)
{
    if (has->size <= f->variant[v].bytes)
        return;
    f->variant[v].bytes = has->size;
    tell_model(f, v);
}

static void tell_pair(struct fleet *f, struct node *n, uint32_t v, nsec now, struct scheduler_orders *so)
{
    const struct inventory_model *has = n->remove_when_idle ? NULL : listed(n->tags, f->variant[v].name);
    if (has)
        learn_size(f, v, has);
    if (set_has(&f->variant[v].holds, n->no) != (has != NULL))
        tell_holds(f, n, v, has != NULL, now, so);
    bool resident = has && health_answers(n) && is_resident(f, n, v, has);
    bool was = scheduler_resident(f->scheduler, n->no, v);
    if (was && !resident)
        lineup_lost(f, n->no, v);
    if (resident != was)
        scheduler_note(f->scheduler, n->no, v, resident, now, so);
}

/* ---- who must not be asked ----------------------------------------------------------------------------------------
 */

static void tell_bars(struct fleet *f, uint32_t v, nsec now, struct scheduler_orders *so)
{
    struct variant *is = &f->variant[v];
    struct node_set bars = { 0 };
    if (f->guards)
        bars = guards_bars(f, is->name, &is->holds, now);
    for (unsigned w = 0; w < NODE_WORDS; w++)
        for (uint64_t differ = bars.word[w] ^ is->barred.word[w]; differ; differ &= differ - 1) {
            uint32_t no = w * 64 + (uint32_t)__builtin_ctzll(differ);
            scheduler_bar(f->scheduler, no, v, set_has(&bars, no), now, so);
        }
    is->barred = bars;
}

/* ---- telling -------------------------------------------------------------------------------------------------------
 */

static void tell_all_of(struct fleet *f, uint32_t no, nsec now, struct scheduler_orders *so)
{
    struct node *n = f->node[no];
    if (!n) {
        tell_nobody_there(f, no, now, so);
        return;
    }
    if (!health_answers(n))
        fits_forget(n);
    tell_node(f, n, now, so);
    if (!health_answers(n)) {
        serving_drop_tasks(f, n);
        lineup_lost(f, no, SCHEDULER_NONE);
    }
    for (uint32_t v = 0; v < f->variants; v++)
        if (f->variant_key[v])
            tell_pair(f, n, v, now, so);
}

/* Those that came back get a larger share with each second. */
static void warm_up(struct fleet *f, nsec now, struct scheduler_orders *so)
{
    f->warm_due = NEVER;
    for (uint32_t i = 0; i < f->places; i++)
        if (f->node[i] && f->node[i]->warm_since != NEVER) {
            tell_node(f, f->node[i], now, so);
            if (breaker_slow_start(f->node[i]->warm_since, now) >= 1)
                f->node[i]->warm_since = NEVER;
        }
}

void lineup_turn(struct fleet *f, nsec now, struct scheduler_orders *so)
{
    if (f->is_stale)
        lineup_tell(f, now, so);
    else if (f->guards_news || now >= f->guards_due)
        lineup_tell_bars(f, now, so);
    if (now >= f->warm_due)
        warm_up(f, now, so);
}

static bool all_speak_ollama(const struct fleet *f)
{
    uint64_t others = 0;
    for (unsigned w = 0; w < NODE_WORDS; w++)
        others |= f->present.word[w] & ~f->ollama.word[w];
    return !others;
}

/* A limit costs each choice something, so none is told while every node speaks Ollama. When one comes that does not,
 * those who wait must be told before it is. */
static void look_who_speaks(struct fleet *f, nsec now)
{
    bool was = f->is_mixed;
    f->is_mixed = !all_speak_ollama(f);
    if (was || !f->is_mixed)
        return;
    list_each (link, &f->queued) {
        const struct ticket *t = CONTAINER(link, struct ticket, link);
        if (t->ollama_only)
            scheduler_require(f->scheduler, t->number, LABEL_OLLAMA, now);
    }
}

void lineup_tell(struct fleet *f, nsec now, struct scheduler_orders *so)
{
    f->is_stale = false;
    look_who_speaks(f, now);
    for (unsigned w = 0; w < NODE_WORDS; w++)
        for (; f->stale.word[w]; f->stale.word[w] &= f->stale.word[w] - 1)
            tell_all_of(f, w * 64 + (uint32_t)__builtin_ctzll(f->stale.word[w]), now, so);
    lineup_tell_bars(f, now, so);
}

void lineup_tell_bars(struct fleet *f, nsec now, struct scheduler_orders *so)
{
    f->guards_news = false;
    for (uint32_t v = 0; v < f->variants; v++)
        if (f->variant_key[v])
            tell_bars(f, v, now, so);
    f->guards_due = guards_next(f, now);
}
