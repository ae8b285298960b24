/* fleet/scheduler_policy.c - the table of policies, and what all of them ask of a node. Each policy is a small file of
 * its own. Late ones (late, eta) see free slots only; the others too, but for simulations in which they bind on arrival
 * to any node and the request queues there. */
#include "fleet/scheduler_state.h"

static const struct {
    const char *name, *says;
    scheduler_choose *choose;
    bool binds;
} policies[] = {
#define SCHEDULER_POLICY(name, choose, binds, says) { #name, says, choose, binds },
#include "fleet/scheduler_policy.def"
#undef SCHEDULER_POLICY
};

struct str scheduler_policy_name(enum scheduler_policy p)
{
    return p < SCHEDULER_POLICIES ? str_of(policies[p].name) : STR_NONE;
}

const char *scheduler_policy_says(enum scheduler_policy p)
{
    return p < SCHEDULER_POLICIES ? policies[p].says : "";
}

bool scheduler_policy_named(struct str name, enum scheduler_policy *out)
{
    for (unsigned i = 0; i < SCHEDULER_POLICIES; i++)
        if (str_eq(name, str_of(policies[i].name))) {
            *out = (enum scheduler_policy)i;
            return true;
        }
    return false;
}

uint32_t policy_choose(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    return policies[policy_of(s, j->model)].choose(s, j, now, out_wait_for);
}

uint32_t policy_would(struct scheduler *s, const struct job *j, double now, uint32_t *out_wait_for)
{
    uint64_t chance = s->chance, turns = s->turns;
    for (uint32_t n = 0; n < s->nodes; n++)
        s->turn_was[n] = s->machine[n].turn;
    uint32_t node =
        j->state == JOB_WAITS ? dispatch_would(s, j, now, out_wait_for) : policy_choose(s, j, now, out_wait_for);
    for (uint32_t n = 0; n < s->nodes; n++)
        s->machine[n].turn = s->turn_was[n];
    s->chance = chance, s->turns = turns;
    return node;
}

bool policy_binds(const struct scheduler *s, uint32_t model)
{
    return s->settings.binds && policies[policy_of(s, model)].binds;
}

static bool was_tried(const struct job *j, uint32_t node)
{
    for (uint32_t i = 0; i < j->not_on_n; i++)
        if (j->not_on[i] == node)
            return true;
    return false;
}

enum scheduler_excluded policy_bars(const struct scheduler *s, const struct job *j, uint32_t node)
{
    if (j->pin != NONE && j->pin != node)
        return EXCLUDED_PINNED;
    if (was_tried(j, node))
        return EXCLUDED_TRIED;
    return (s->labels[node] & j->labels) == j->labels ? EXCLUDED_NOT : EXCLUDED_LABEL;
}

static bool takes(const struct scheduler *s, const struct job *j, uint32_t node, bool binds)
{
    if (!binds)
        return ledger_free(s, node, j->model);
    const struct machine *m = &s->machine[node];
    return m->up && !m->draining && s->pair[at_pair(s, node, j->model)].holds;
}

/* Those that the caller shuns are out while there are others. */
static void leave_out_shunned(struct scheduler *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->candidates; i++)
        kept += s->machine[s->candidate[i]].penalty < (float)SCHEDULER_SHUNNED;
    if (!kept || kept == s->candidates)
        return;
    kept = 0;
    for (uint32_t i = 0; i < s->candidates; i++)
        if (s->machine[s->candidate[i]].penalty < (float)SCHEDULER_SHUNNED)
            s->candidate[kept++] = s->candidate[i];
    s->candidates = kept;
}

uint32_t policy_gather(struct scheduler *s, const struct job *j)
{
    bool binds = policy_binds(s, j->model);
    s->candidates = 0;
    for (uint32_t n = 0; n < s->nodes; n++)
        if (takes(s, j, n, binds) && policy_may(s, j, n))
            s->candidate[s->candidates++] = n;
    leave_out_shunned(s);
    return s->candidates;
}
