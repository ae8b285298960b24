/* config/live.c - a reload is: read a second configuration, compare, tell each room, keep the second.
 *
 *     old nodes   a   b   c=1            same address and name: weight, slots, vram and labels are changed in place
 *     new nodes   a       c=2   d        gone: removed (drains);  new: added;  others that operators added stay
 *
 * Nothing is applied of a configuration that has a mistake: half of an operator's intention is nobody's. The fleet is
 * told without orders (it may be any thread here); gateway_configure has worker 0 carry them out. */
#include "config/live.h"
#include "base/slab.h"
#include "config/node_text.h"
#include "gateway/gateway.h"
#include <pthread.h>
#include <stdlib.h>

struct live {
    struct config *config;
    uint64_t *id; /* of config->nodes in the fleet; 0: not there */
    struct config_args args;
    struct fleet *fleet;
    struct gateway *gateway;
    bool terminal;
    pthread_mutex_t lock; /* one reload at a time */
};

struct live *live_new(struct config **c, const struct config_args *args, struct fleet *f)
{
    struct live *l = memory_strikes() ? NULL : calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->id = calloc((*c)->nodes.n + 1, sizeof *l->id);
    if (!l->id) {
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    l->args = *args;
    l->fleet = f;
    l->config = *c;
    *c = NULL;
    return l;
}

void live_free(struct live **at)
{
    struct live *l = *at;
    *at = NULL;
    if (!l)
        return;
    config_free(&l->config);
    pthread_mutex_destroy(&l->lock);
    free(l->id);
    free(l);
}

void live_attach(struct live *l, struct gateway *g, bool terminal)
{
    l->gateway = g;
    l->terminal = terminal;
}

const struct config *live_config(const struct live *l)
{
    return l->config;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static uint64_t add_node(struct fleet *f, const struct node_spec *n, struct text *says)
{
    const char *why = NULL;
    uint64_t id = 0;
    enum fail bad = fleet_add(f, n, false, sys_now(), &id, &why, NULL);
    if (bad)
        text_printf(says, "%snode %.*s is left out: %s", buf_len(&says->buf) ? "; " : "", STR_ARG(n->url),
                    why ? why : fail_sentence(bad).p);
    return bad ? 0 : id;
}

void live_add_nodes(struct live *l, struct text *says)
{
    for (unsigned i = 0; i < l->config->nodes.n; i++)
        l->id[i] = add_node(l->fleet, &l->config->nodes.v[i], says);
}

static struct str name_of(const struct fleet_snapshot *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->node[i].id == id)
            return s->node[i].name;
    return STR_NONE;
}

struct node_counts {
    unsigned added, removed, changed;
};

/* The old node that the new one continues, or -1. */
static int predecessor(const struct live *l, const struct node_spec *n)
{
    for (unsigned i = 0; i < l->config->nodes.n; i++)
        if (l->id[i] && node_text_same_place_and_name(&l->config->nodes.v[i], n))
            return (int)i;
    return -1;
}

static void change_node(struct live *l, const struct node_spec *before, const struct node_spec *n, struct str name,
                        struct node_counts *counts)
{
    struct node_change change = NODE_CHANGE_NOTHING;
    change.weight = n->weight;
    change.slots = n->slots;
    change.vram = (int64_t)n->vram;
    change.labels = n->labels.n ? n->labels : STR("");
    if (!name.n || (before->weight == n->weight && before->slots == n->slots && before->vram == n->vram &&
                    str_eq(before->labels, n->labels)))
        return;
    counts->changed += fleet_change(l->fleet, name, &change, sys_now(), NULL) == OK;
}

static void keep_nodes(struct live *l, const struct config *next, const struct fleet_snapshot *s, uint64_t *id,
                       struct node_counts *counts)
{
    for (unsigned i = 0; i < next->nodes.n; i++) {
        int was = predecessor(l, &next->nodes.v[i]);
        if (was < 0)
            continue;
        id[i] = l->id[was];
        l->id[was] = 0;
        change_node(l, &l->config->nodes.v[was], &next->nodes.v[i], name_of(s, id[i]), counts);
    }
}

static void remove_rest(struct live *l, const struct fleet_snapshot *s, struct node_counts *counts)
{
    for (unsigned i = 0; i < l->config->nodes.n; i++) {
        struct str name = l->id[i] ? name_of(s, l->id[i]) : STR_NONE;
        if (!name.n || fleet_remove(l->fleet, name, sys_now(), NULL))
            continue;
        gateway_forget_node(l->gateway, name);
        counts->removed++;
    }
}

static void add_rest(struct live *l, const struct config *next, uint64_t *id, struct node_counts *counts,
                     struct text *says)
{
    for (unsigned i = 0; i < next->nodes.n; i++)
        if (!id[i]) {
            id[i] = add_node(l->fleet, &next->nodes.v[i], says);
            counts->added += id[i] != 0;
        }
}

static enum fail apply_nodes(struct live *l, const struct config *next, struct text *says)
{
    struct node_counts counts = { 0 };
    uint64_t *id = calloc(next->nodes.n + 1, sizeof *id);
    struct fleet_snapshot *s = fleet_snapshot(l->fleet, sys_now());
    if (!id || !s) {
        free(id);
        fleet_snapshot_free(&s);
        return FAIL_no_memory;
    }
    keep_nodes(l, next, s, id, &counts);
    remove_rest(l, s, &counts);
    add_rest(l, next, id, &counts, says);
    free(l->id);
    l->id = id;
    fleet_snapshot_free(&s);
    text_printf(says, "%s%u nodes (%u added, %u removed, %u changed)", buf_len(&says->buf) ? "; " : "", next->nodes.n,
                counts.added, counts.removed, counts.changed);
    return OK;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void say_changed(const struct config *before, const struct config *next, bool is_live, struct text *says)
{
    const char *lead = is_live ? "; changed: " : "; needs a restart: ";
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (settings[i].live == is_live && i != SETTING_nodes && !str_eq(before->text[i], next->text[i])) {
            text_printf(says, "%s%s", lead, settings[i].key);
            lead = ", ";
        }
}

/* Everything that can fail for want of memory comes before the first change. */
static enum fail apply(struct live *l, const struct config *next, struct text *says)
{
    struct fleet_settings fleet;
    struct gateway_settings *gateway;
    enum fail f = config_gateway(next, &gateway);
    if (f)
        return f;
    config_fleet(next, &fleet);
    f = apply_nodes(l, next, says);
    if (!f)
        fleet_configure(l->fleet, &fleet);
    f = f ? f : gateway_configure(l->gateway, gateway);
    if (f)
        gateway_settings_free(&gateway);
    config_log(next, l->terminal);
    return f;
}

static enum fail take_over(struct live *l, struct config **next, struct text *says)
{
    enum fail f = apply(l, *next, says);
    if (f) {
        text_put(says, fail_sentence(f));
        return f;
    }
    say_changed(l->config, *next, true, says);
    say_changed(l->config, *next, false, says);
    struct config *before = l->config;
    l->config = *next;
    *next = before;
    return OK;
}

enum fail live_reload(void *live, struct text *says)
{
    struct live *l = live;
    enum fail f = FAIL_no_memory;
    pthread_mutex_lock(&l->lock);
    struct config *next = config_load(&l->args);
    if (!next) {
        text_put(says, fail_sentence(f));
    } else if (next->wrong) {
        f = FAIL_bad_setting;
        text_put(says, STR("nothing was changed: "));
        text_put(says, str_trim(text_str(&next->complaints)));
    } else {
        f = take_over(l, &next, says);
    }
    config_free(&next);
    pthread_mutex_unlock(&l->lock);
    return f;
}
