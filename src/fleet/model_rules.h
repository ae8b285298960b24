/* fleet/model_rules.h - what the operator says of single models: `models.NAME`, `fallbacks` and `preload`.
 *
 * Made whole from the configuration and immutable; held by whoever uses it with a reference, since configurations come
 * and go. Found by the model's canonical key (api/name.h), so the spelling in the settings does not matter. Any thread.
 */
#pragma once
#include "fleet/labels.h"
#include "fleet/scheduler.h"

#define NOT_SAID (-1)
struct model_rule {
    struct str name;              /* as written */
    enum scheduler_policy policy; /* SCHEDULER_POLICIES: the fleet's */
    int slots;                    /* on each node; 0 unlimited; NOT_SAID */
    uint32_t num_ctx;             /* of native requests that name none; 0: not said */
    nsec ttl;                     /* how long its answers are kept; NOT_SAID */
    nsec max_wait;                /* for a node; NOT_SAID */
    struct str labels;            /* that a node must have: "k:v+k2:v2" */
    const struct str *fallback;   /* names of models that are tried in its place, in this order */
    unsigned fallbacks;
    bool preload;

    /* filled by model_rules_new */
    struct str key;
    uint64_t hash;        /* str_hash of it */
    uint64_t labels_bits; /* what scheduler_ask.labels must be */
};
/* A model of which nothing was said. */
struct model_rule model_rule_none(struct str name);

struct model_rules;
/* Copies. Names must have passed name_parse and be different models, labels be good. FAIL_no_memory; FAIL_bad_setting:
 * more than LABELS_MAX different labels. */
enum fail model_rules_new(const struct model_rule *v, unsigned n, struct model_rules **out);
/* NULL is let pass by all of these: no rules. */
struct model_rules *model_rules_ref(struct model_rules *r);
void model_rules_unref(struct model_rules **r);
/* NULL: nothing was said of it. */
const struct model_rule *model_rules_find(const struct model_rules *r, struct str key, uint64_t hash);
unsigned model_rules_count(const struct model_rules *r);
const struct model_rule *model_rules_row(const struct model_rules *r, unsigned i); /* as they were given */
/* What scheduler_node.labels must be for a node with these labels. */
uint64_t model_rules_labels(const struct model_rules *r, struct str node_labels);
