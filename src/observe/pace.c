/* observe/pace.c - eleven totals of each pair go round; the newest less the oldest is what ten seconds brought.
 *
 *     pair (model, node):  [ 0 ][ 0 ][ 40 ][ 40 ][ 96 ] ...      a pair first met had none before: zero is right
 *
 * Pairs are never forgotten: there are no more of them than label sets in the meters, and the table is of one size. */
#include "observe/pace.h"

#include "base/slab.h"
#include "observe/meter_state.h"

#include <stdlib.h>

#define TOTALS (PACE_SECONDS + 1)
struct pair {
    uint64_t key; /* as in the meters, plus 1; 0: free */
    uint64_t total[TOTALS];
};
struct pace {
    const struct meter_names *names;
    int64_t second;
    unsigned samples, newest; /* samples in a row, and where the last one is */
    struct pair pair[PACE_PAIRS];
};

struct pace *pace_new(void)
{
    return memory_strikes() ? NULL : calloc(1, sizeof(struct pace));
}

void pace_free(struct pace **p)
{
    free(*p);
    *p = NULL;
}

/* NULL: there is no more room. */
static struct pair *pair_of(struct pace *p, uint64_t key)
{
    unsigned at = (unsigned)((key * 0x9e3779b97f4a7c15) >> 54);
    for (unsigned i = 0; i < PACE_PAIRS; i++, at++) {
        struct pair *pair = &p->pair[at % PACE_PAIRS];
        if (!pair->key)
            pair->key = key + 1;
        if (pair->key == key + 1)
            return pair;
    }
    return NULL;
}

static void add_meter(struct pace *p, const struct meter *m)
{
    uint32_t n = label_sets_n(&m->tokens);
    for (uint32_t i = 0; i < n; i++) {
        const struct label_set *set = label_sets_nth(&m->tokens, i);
        struct pair *pair = pair_of(p, set->key);
        if (pair)
            pair->total[p->newest] += label_set_count(set, 1);
    }
}

void pace_sample(struct pace *p, int64_t second, struct meter *const *meters, unsigned n)
{
    p->samples = second == p->second + 1 ? MIN(p->samples + 1, (unsigned)TOTALS) : 1;
    p->second = second;
    p->names = meters[0]->names;
    p->newest = (p->newest + 1) % TOTALS;
    for (unsigned i = 0; i < PACE_PAIRS; i++)
        p->pair[i].total[p->newest] = 0;
    for (unsigned i = 0; i < n; i++)
        add_meter(p, meters[i]);
}

void pace_each(const struct pace *p, void (*visit)(struct str model, struct str node, double tokens_per_s, void *arg),
               void *arg)
{
    unsigned spans = p->samples ? p->samples - 1 : 0, oldest = (p->newest + TOTALS - spans) % TOTALS;
    for (unsigned i = 0; spans && i < PACE_PAIRS; i++) {
        const struct pair *pair = &p->pair[i];
        uint64_t wrote = pair->total[p->newest] - pair->total[oldest];
        if (pair->key && wrote)
            visit(name_table_name(p->names->models, meter_key_part(pair->key - 1, 0)),
                  name_table_name(p->names->nodes, meter_key_part(pair->key - 1, 1)), (double)wrote / spans, arg);
    }
}
