/* fleet/model_rules.c - one arena with all of it, and a map from keys to rows. */
#include "fleet/model_rules.h"
#include "api/name.h"
#include "base/map.h"
#include "base/slab.h"
#include <stdatomic.h>
#include <stdlib.h>

struct model_rules {
    _Atomic int refs;
    unsigned n;
    struct model_rule *row;
    struct map by_key;
    struct label_table labels;
    struct arena arena;
};

struct model_rule model_rule_none(struct str name)
{
    return (struct model_rule){
        .name = name, .policy = SCHEDULER_POLICIES, .slots = NOT_SAID, .ttl = NOT_SAID, .max_wait = NOT_SAID
    };
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static enum fail copy_texts(struct model_rules *r, struct model_rule *row)
{
    struct str *fallback = arena_array(&r->arena, struct str, row->fallbacks + 1);
    row->name = str_dup(&r->arena, row->name);
    row->labels = row->labels.n ? str_dup(&r->arena, row->labels) : STR_NONE;
    for (unsigned i = 0; fallback && i < row->fallbacks; i++)
        fallback[i] = str_dup(&r->arena, row->fallback[i]);
    row->fallback = fallback;
    return r->arena.failed ? FAIL_no_memory : OK;
}

static enum fail enter(struct model_rules *r, struct model_rule *row)
{
    struct name name;
    assume(!name_parse(row->name, &name));
    row->key = str_dup(&r->arena, name_key(&name));
    if (!row->key.p)
        return FAIL_no_memory;
    row->hash = str_hash(row->key);
    enum fail f = labels_add(&r->labels, &r->arena, row->labels);
    row->labels_bits = labels_bits(&r->labels, row->labels);
    return f ? f : map_put(&r->by_key, row->key, row);
}

static enum fail fill(struct model_rules *r, const struct model_rule *v, unsigned n)
{
    enum fail f = OK;
    r->row = arena_array(&r->arena, struct model_rule, n + 1);
    if (!r->row)
        return FAIL_no_memory;
    for (; r->n < n && !f; r->n++) {
        r->row[r->n] = v[r->n];
        f = copy_texts(r, &r->row[r->n]);
        f = f ? f : enter(r, &r->row[r->n]);
    }
    return f;
}

enum fail model_rules_new(const struct model_rule *v, unsigned n, struct model_rules **out)
{
    struct model_rules *r = *out = memory_strikes() ? NULL : calloc(1, sizeof *r);
    if (!r)
        return FAIL_no_memory;
    r->refs = 1;
    enum fail f = fill(r, v, n);
    if (f)
        model_rules_unref(out);
    return f;
}

/* ---- holding ----------------------------------------------------------------------------------------------------- */

struct model_rules *model_rules_ref(struct model_rules *r)
{
    if (r)
        r->refs++;
    return r;
}

void model_rules_unref(struct model_rules **at)
{
    struct model_rules *r = *at;
    *at = NULL;
    if (!r || --r->refs)
        return;
    map_free(&r->by_key);
    arena_done(&r->arena);
    free(r);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

const struct model_rule *model_rules_find(const struct model_rules *r, struct str key, uint64_t hash)
{
    return r ? map_get_hashed(&r->by_key, key, hash) : NULL;
}

unsigned model_rules_count(const struct model_rules *r)
{
    return r ? r->n : 0;
}

const struct model_rule *model_rules_row(const struct model_rules *r, unsigned i)
{
    assume(i < model_rules_count(r));
    return &r->row[i];
}

uint64_t model_rules_labels(const struct model_rules *r, struct str node_labels)
{
    return r ? labels_bits(&r->labels, node_labels) : 0;
}
