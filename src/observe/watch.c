/* observe/watch.c - the page is read back as a scraper would read it.
 *
 * Rules could look into meters and snapshots themselves, but then each metric would be written twice: once for the page
 * and once for rules, and those that rooms add later would be missing. So worker 0 writes a page of the few families
 * that rules name, and reads it. Without such rules nothing is written.
 *
 *     line: ollamamax_tokens_total{model="m",node="n",type="output"} 4711
 *           ^ rule's metric       ^ its selection, and to whom it belongs  ^ added to that group
 */
#include "observe/watch.h"

#include "base/slab.h"

#include <math.h>
#include <stdlib.h>

#define PREFIX STR("ollamamax_")
#define POINTS 16 /* of a rate, evenly spread over its time */

struct point {
    nsec at;
    double value;
};
struct group {
    struct str node, model; /* of the page at hand */
    uint64_t key;
    double sum;
    bool seen;
    unsigned points; /* oldest first; of rules with a rate */
    struct point point[POINTS];
};
struct watched {
    struct alert_rule rule;
    unsigned n;
    struct group group[WATCH_GROUPS];
};
struct watch {
    unsigned n;
    struct watched *rule[ALERT_RULES_USER];
};

struct watch *watch_new(void)
{
    return memory_strikes() ? NULL : calloc(1, sizeof(struct watch));
}

void watch_free(struct watch **w)
{
    for (unsigned i = 0; *w && i < (*w)->n; i++)
        free((*w)->rule[i]);
    free(*w);
    *w = NULL;
}

/* --- which --- */

static bool is_same(const struct alert_rule *a, const struct alert_rule *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static struct watched *take_known(struct watch *w, const struct alert_rule *rule)
{
    for (unsigned i = 0; i < w->n; i++) {
        struct watched *known = w->rule[i];
        if (known && is_same(&known->rule, rule)) {
            w->rule[i] = NULL;
            return known;
        }
    }
    return NULL;
}

static struct watched *new_rule(const struct alert_rule *rule)
{
    struct watched *r = memory_strikes() ? NULL : calloc(1, sizeof *r);
    if (r)
        r->rule = *rule;
    return r;
}

enum fail watch_configure(struct watch *w, const struct alert_rule *rule, unsigned n)
{
    struct watch next = { 0 };
    enum fail f = OK;
    for (unsigned i = 0; i < n && i < ALERT_RULES_USER; i++) {
        if (!*rule[i].metric)
            continue;
        struct watched *r = take_known(w, &rule[i]);
        r = r ? r : new_rule(&rule[i]);
        if (r)
            next.rule[next.n++] = r;
        else
            f = FAIL_no_memory;
    }
    for (unsigned i = 0; i < w->n; i++)
        free(w->rule[i]);
    *w = next;
    return f;
}

bool watch_is_idle(const struct watch *w)
{
    return !w->n;
}

bool watch_wants(struct str family, const void *watch)
{
    const struct watch *w = watch;
    for (unsigned i = 0; i < w->n; i++) {
        struct str metric = str_of(w->rule[i]->rule.metric), rest = str_drop(metric, family.n);
        if (str_starts(metric, family) && (!rest.n || str_eq(rest, STR("_sum")) || str_eq(rest, STR("_count"))))
            return true;
    }
    return false;
}

/* --- one line --- */

struct sample {
    struct str name, labels; /* without prefix; without braces */
    double value;
};

static bool read_sample(struct str line, struct sample *out)
{
    if (!str_starts(line, PREFIX))
        return false;
    line = str_drop(line, PREFIX.n);
    size_t n = 0;
    while (n < line.n && line.p[n] != '{' && line.p[n] != ' ')
        n++;
    *out = (struct sample){ .name = str_take(line, n) };
    ssize_t end = n < line.n && line.p[n] == '{' ? str_rchr(line, '}') : (ssize_t)n - 1;
    if (end < 0)
        return false;
    if (n < (size_t)end)
        out->labels = (struct str){ line.p + n + 1, (size_t)end - n - 1 };
    struct str number = str_trim(str_drop(line, (size_t)end + 1));
    char z[40];
    if (!number.n || number.n >= sizeof z)
        return false;
    *put_str(z, number) = 0;
    out->value = strtod(z, NULL);
    return true;
}

/* The value as it is on the page, with its escapes; empty if there is no such label. */
static struct str label_of(struct str labels, struct str name)
{
    while (labels.n) {
        struct str key = str_cut(&labels, '=');
        size_t n = 1;
        while (n < labels.n && labels.p[n] != '"')
            n += labels.p[n] == '\\' ? 2 : 1;
        if (n >= labels.n)
            return STR_NONE;
        if (str_eq(key, name))
            return (struct str){ labels.p + 1, n - 1 };
        labels = str_drop(labels, n + 2); /* the quote, and the comma */
    }
    return STR_NONE;
}

static bool is_selected(const struct alert_rule *r, const struct sample *s)
{
    if (!str_eq(s->name, str_of(r->metric)))
        return false;
    for (unsigned i = 0; i < r->wheres; i++)
        if (!str_eq(label_of(s->labels, str_of(r->where[i].name)), str_of(r->where[i].value)))
            return false;
    return true;
}

/* --- groups --- */

static struct group *group_of(struct watched *r, struct str node, struct str model)
{
    uint64_t key = str_hash(node) * 3 + str_hash(model) * 5;
    for (unsigned i = 0; i < r->n; i++)
        if (r->group[i].key == key)
            return &r->group[i];
    if (r->n == WATCH_GROUPS)
        return NULL;
    r->group[r->n] = (struct group){ .key = key };
    return &r->group[r->n++];
}

static void add(struct watched *r, const struct sample *s)
{
    struct str node = label_of(s->labels, STR("node")), model = label_of(s->labels, STR("model"));
    struct group *g = group_of(r, node, model);
    if (!g)
        return;
    g->node = node;
    g->model = model;
    g->sum = g->seen ? g->sum + s->value : s->value;
    g->seen = true;
}

static void forget_unseen(struct watched *r)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < r->n; i++)
        if (r->group[i].seen)
            r->group[kept++] = r->group[i];
    r->n = kept;
}

/* --- rates --- */

static void drop_oldest(struct group *g)
{
    memmove(&g->point[0], &g->point[1], --g->points * sizeof *g->point);
}

static double rate_of(struct group *g, nsec within, nsec now)
{
    struct point *last = g->points ? &g->point[g->points - 1] : NULL;
    if (last && g->sum < last->value)
        g->points = 0;
    while (g->points > 1 && now - g->point[1].at >= within) /* the oldest is the last that is old enough */
        drop_oldest(g);
    if (!g->points || now - g->point[g->points - 1].at >= within / (POINTS - 2)) {
        if (g->points == POINTS)
            drop_oldest(g);
        g->point[g->points++] = (struct point){ now, g->sum };
    }
    nsec passed = now - g->point[0].at;
    return passed ? (g->sum - g->point[0].value) / ((double)passed / 1e9) : NAN;
}

/* --- the page --- */

static void tell(struct watched *r, nsec now, struct alert_values *out)
{
    forget_unseen(r);
    for (unsigned i = 0; i < r->n; i++) {
        struct group *g = &r->group[i];
        double value = r->rule.rate ? rate_of(g, r->rule.rate, now) : g->sum;
        alert_values_add(out, (struct alert_value){
                                  .name = str_of(r->rule.value), .node = g->node, .model = g->model, .value = value });
        g->seen = false;
    }
}

void watch_page(struct watch *w, struct str page, nsec now, struct alert_values *out)
{
    struct sample s;
    while (page.n)
        if (read_sample(str_cut(&page, '\n'), &s))
            for (unsigned i = 0; i < w->n; i++)
                if (is_selected(&w->rule[i]->rule, &s))
                    add(w->rule[i], &s);
    for (unsigned i = 0; i < w->n; i++)
        tell(w->rule[i], now, out);
}
