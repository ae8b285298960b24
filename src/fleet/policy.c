/* fleet/policy.c - the table of policies. A policy is a small pure function over the candidates, in a file of its own;
 * everything else of a choice (who may serve at all, what the lease says) is the same for all of them and lies in
 * fleet/choice.c. */
#include "fleet/policy.h"

static const struct policy policies[] = {
#define POLICY(name, choose, says) { #name, says, choose },
#include "fleet/policy.def"
#undef POLICY
};

const struct policy *policy_row(unsigned i)
{
    return i < ARRAY_LEN(policies) ? &policies[i] : NULL;
}

const struct policy *policy_named(struct str name)
{
    for (unsigned i = 0; i < ARRAY_LEN(policies); i++)
        if (str_eq(name, str_of(policies[i].name)))
            return &policies[i];
    return NULL;
}
