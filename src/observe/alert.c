/* observe/alert.c - one small state machine for each rule, node and model that has been behind its threshold.
 *
 *     values of this second --rule by rule--> the slot of (rule, node, model) --> moved --> events
 *
 * A slot comes into being when its value is first behind the threshold, so a thousand quiet models take none. What a
 * slot is told and what it is are kept apart: a silence, or a list of events that is full, delays the telling and
 * nothing else. A value that is not told any more (its node was removed) counts as well again.
 *
 * Rules with a window count growth by its moments rather than in buckets of time, so that three openings are three in
 * exactly ten minutes; eight moments are enough for thresholds of a handful. */
#include "observe/alert.h"

#include "base/slab.h"
#include "observe/alert_state.h"

#include <math.h>
#include <stdlib.h>

#define RESOLVED_SHOWN SECOND(15 * 60)

void alert_values_add(struct alert_values *v, struct alert_value value)
{
    if (v->n < ALERT_VALUES)
        v->value[v->n++] = value;
}

/* --- life and rules --- */

struct alerts *alerts_new(nsec repeat)
{
    struct alerts *a = memory_strikes() ? NULL : calloc(1, sizeof *a);
    if (!a)
        return NULL;
    pthread_mutex_init(&a->lock, NULL);
    a->repeat = repeat;
    const struct alert_rule *rule = alert_rules_built_in(&a->rules);
    a->built_in = a->rules;
    memcpy(a->rule, rule, a->rules * sizeof *rule);
    return a;
}

void alerts_free(struct alerts **a)
{
    if (*a)
        pthread_mutex_destroy(&(*a)->lock);
    free(*a);
    *a = NULL;
}

static const struct alert_rule *rule_named(const struct alert_rule *v, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(v[i].name, name) == 0)
            return &v[i];
    return NULL;
}

static enum fail judge_rules(const struct alerts *a, const struct alert_rule *rule, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (rule_named(a->rule, a->built_in, rule[i].name) || rule_named(rule, i, rule[i].name))
            return FAIL_conflict;
    return n > ALERT_RULES_USER ? FAIL_bad_setting : OK;
}

static bool is_used(const struct alerts *a, const struct alert_rule *r)
{
    for (unsigned i = 0; i < ALERTS_MOST; i++)
        if (a->slot[i].key && a->slot[i].rule == r)
            return true;
    return false;
}

static void drop_gone_rules(struct alerts *a)
{
    for (unsigned i = a->built_in; i < a->rules; i++)
        if (a->gone[i] && !is_used(a, &a->rule[i])) {
            a->rule[i] = (struct alert_rule){ 0 };
            a->gone[i] = false;
        }
}

/* Its old place, or a free one. With more rules gone but not yet over than there are places, their alerts end now. */
static unsigned place_of_rule(struct alerts *a, const char *name)
{
    for (unsigned i = a->built_in; i < a->rules; i++)
        if (strcmp(a->rule[i].name, name) == 0)
            return i;
    for (unsigned i = a->built_in; i < a->rules; i++)
        if (!*a->rule[i].name)
            return i;
    if (a->rules < ALERT_RULES_MOST)
        return a->rules++;
    for (unsigned i = 0; i < ALERTS_MOST; i++)
        if (a->slot[i].key && a->gone[a->slot[i].rule - a->rule])
            a->slot[i].key = 0;
    drop_gone_rules(a);
    return place_of_rule(a, name);
}

enum fail alerts_configure(struct alerts *a, nsec repeat, const struct alert_rule *rule, unsigned n)
{
    pthread_mutex_lock(&a->lock);
    enum fail f = judge_rules(a, rule, n);
    if (!f) {
        a->repeat = repeat;
        for (unsigned i = a->built_in; i < a->rules; i++)
            a->gone[i] = *a->rule[i].name && !rule_named(rule, n, a->rule[i].name);
        drop_gone_rules(a);
        for (unsigned i = 0; i < n; i++)
            a->rule[place_of_rule(a, rule[i].name)] = rule[i];
    }
    pthread_mutex_unlock(&a->lock);
    return f;
}

/* --- silences --- */

static bool matches(const char *wanted, const char *text)
{
    return !*wanted || strcmp(wanted, text) == 0;
}

nsec alert_silenced_until(const struct alerts *a, const struct alert_slot *s)
{
    nsec until = 0;
    for (unsigned i = 0; i < a->silences; i++) {
        const struct alert_silence *q = &a->silence[i];
        if (matches(q->name, s->rule->name) && matches(q->node, s->node) && matches(q->model, s->model))
            until = MAX(until, q->until);
    }
    return until;
}

static void end_silences(struct alerts *a, nsec now)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < a->silences; i++)
        if (a->silence[i].until > now)
            a->silence[kept++] = a->silence[i];
    a->silences = kept;
}

enum fail alerts_silence(struct alerts *a, struct alert_silence *s)
{
    enum fail f = OK;
    pthread_mutex_lock(&a->lock);
    s->id = ++a->next_silence;
    if (a->silences < ALERT_SILENCES) {
        a->silence[a->silences] = *s;
        a->silence[a->silences++].until -= a->ahead;
    } else {
        f = FAIL_bad_value;
    }
    pthread_mutex_unlock(&a->lock);
    return f;
}

bool alerts_unsilence(struct alerts *a, uint64_t id)
{
    bool found = false;
    pthread_mutex_lock(&a->lock);
    for (unsigned i = 0; i < a->silences && !found; i++)
        if (a->silence[i].id == id) {
            a->silence[i] = a->silence[--a->silences];
            found = true;
        }
    pthread_mutex_unlock(&a->lock);
    return found;
}

/* --- slots --- */

static uint64_t key_of(const struct alerts *a, const struct alert_rule *r, const struct alert_value *v)
{
    uint64_t key = str_hash(v->node) * 3 + str_hash(v->model) * 5 + (uint64_t)(r - a->rule);
    return key ? key : 1;
}

static struct alert_slot *find(struct alerts *a, uint64_t key)
{
    for (unsigned i = 0; i < ALERTS_MOST; i++)
        if (a->slot[i].key == key)
            return &a->slot[i];
    return NULL;
}

/* A free one, else that of an alert which has been over for longest. */
static struct alert_slot *room(struct alerts *a)
{
    struct alert_slot *best = NULL;
    for (unsigned i = 0; i < ALERTS_MOST; i++) {
        struct alert_slot *s = &a->slot[i];
        if (!s->key)
            return s;
        if (s->state == ALERT_RESOLVED && (!best || s->since < best->since))
            best = s;
    }
    return best;
}

static struct alert_slot *new_slot(struct alerts *a, uint64_t key, const struct alert_rule *r,
                                   const struct alert_value *v)
{
    struct alert_slot *s = room(a);
    if (!s)
        return NULL;
    *s = (struct alert_slot){ .key = key, .rule = r, .count = v->value - 1 }; /* it has grown just now */
    *put_str(s->node, str_take(v->node, ALERT_NAME - 1)) = 0;
    *put_str(s->model, str_take(v->model, ALERT_NAME - 1)) = 0;
    return s;
}

/* --- comparing --- */

static bool behind(const struct alert_rule *r, double value, double limit)
{
    return r->compare == ALERT_ABOVE ? value > limit : value < limit; /* false for NAN */
}

/* The moments at which a count grew, newest first; how many of them lie within the window. */
static double growths(struct alert_slot *s, double count, nsec now)
{
    double grown = isnan(count) ? 0 : MIN(count - s->count, (double)ALERT_GROWTHS);
    unsigned n = 0;
    for (; grown >= 1; grown--) {
        memmove(&s->growth[1], &s->growth[0], sizeof s->growth - sizeof *s->growth);
        s->growth[0] = now;
    }
    s->count = isnan(count) ? s->count : count;
    while (n < ALERT_GROWTHS && s->growth[n] && now - s->growth[n] < s->rule->window)
        n++;
    return n;
}

/* --- moving --- */

static void move(struct alert_slot *s, enum alert_state to, nsec now)
{
    s->state = to;
    s->since = now;
}

static void become_bad(struct alert_slot *s, nsec now)
{
    s->bad = now;
    if (s->state == ALERT_INACTIVE || s->state == ALERT_RESOLVED) {
        move(s, ALERT_PENDING, now);
        s->fired = s->ended = 0;
    }
    if (s->state == ALERT_PENDING && now - s->since >= s->rule->lasts) {
        move(s, ALERT_FIRING, now);
        s->fired = now;
    }
}

static void become_good(struct alert_slot *s, nsec now)
{
    if (s->state == ALERT_PENDING)
        move(s, ALERT_INACTIVE, now);
    if (s->state == ALERT_FIRING && now - s->bad >= s->rule->keeps) {
        move(s, ALERT_RESOLVED, now);
        s->ended = now;
    }
}

static void judge(struct alert_slot *s, double value, nsec now)
{
    double limit = s->state == ALERT_FIRING ? s->rule->clear : s->rule->threshold;
    if (behind(s->rule, value, limit)) {
        s->value = value; /* the last bad one is also what is told when it is over */
        become_bad(s, now);
    } else {
        become_good(s, now);
    }
}

static void take_value(struct alerts *a, const struct alert_rule *r, const struct alert_value *v, nsec now)
{
    uint64_t key = key_of(a, r, v);
    struct alert_slot *s = find(a, key);
    bool matters = r->window ? v->value > 0 : behind(r, v->value, r->threshold);
    if (!s && matters)
        s = new_slot(a, key, r, v);
    if (!s)
        return;
    s->seen = true;
    *put_str(s->detail, str_take(v->detail, sizeof s->detail - 1)) = 0;
    judge(s, r->window ? growths(s, v->value, now) : v->value, now);
}

static bool is_meant(const struct alert_rule *r, const struct alert_value *v)
{
    return str_eq(v->name, str_of(r->value)) && (!*r->node || str_eq(v->node, str_of(r->node))) &&
           (!*r->model || str_eq(v->model, str_of(r->model)));
}

static void take_values(struct alerts *a, const struct alert_values *v, nsec now)
{
    for (unsigned i = 0; i < a->rules; i++)
        for (unsigned k = 0; k < v->n && *a->rule[i].name && !a->gone[i]; k++)
            if (is_meant(&a->rule[i], &v->value[k]))
                take_value(a, &a->rule[i], &v->value[k], now);
}

/* --- telling --- */

/* A count stays, or it could not be seen growing. */
static void forget(struct alert_slot *s, nsec now)
{
    bool shown = s->state == ALERT_RESOLVED && now - s->since < RESOLVED_SHOWN;
    if (s->state == ALERT_PENDING || s->state == ALERT_FIRING || shown || s->told)
        return;
    if (s->rule->window && s->seen)
        s->state = ALERT_INACTIVE;
    else
        s->key = 0;
}

/* What receivers should hear of it now, if anything. */
static bool is_due(const struct alerts *a, const struct alert_slot *s, nsec now, enum alert_told *out)
{
    if (s->told && s->state != ALERT_FIRING) {
        *out = ALERT_OVER;
        return s->state != ALERT_PENDING; /* comes back: told when it fires again, or has gone */
    }
    *out = s->told ? ALERT_REPEATED : ALERT_FIRED;
    bool late = s->told && now - s->sent >= a->repeat;
    return s->state == ALERT_FIRING && (!s->told || late) && !alert_silenced_until(a, s);
}

static void tell(const struct alerts *a, struct alert_slot *s, enum alert_told told, nsec now, struct alert_event *out)
{
    out->told = told;
    alert_of_slot(a, s, &out->alert);
    s->told = told != ALERT_OVER;
    s->sent = now;
}

unsigned alerts_evaluate(struct alerts *a, nsec now, nsec wall, const struct alert_values *v, struct alert_event *out)
{
    unsigned events = 0;
    pthread_mutex_lock(&a->lock);
    a->ahead = wall - now;
    end_silences(a, now);
    for (unsigned i = 0; i < ALERTS_MOST; i++)
        a->slot[i].seen = false;
    take_values(a, v, now);
    for (unsigned i = 0; i < ALERTS_MOST; i++) {
        struct alert_slot *s = &a->slot[i];
        enum alert_told told;
        if (!s->key)
            continue;
        if (!s->seen)
            judge(s, NAN, now);
        if (events < ALERT_EVENTS && is_due(a, s, now, &told))
            tell(a, s, told, now, &out[events++]);
        forget(s, now);
    }
    pthread_mutex_unlock(&a->lock);
    return events;
}

/* --- looking --- */

unsigned alerts_firing(struct alerts *a, struct alert *out, unsigned most)
{
    unsigned n = 0;
    pthread_mutex_lock(&a->lock);
    for (unsigned i = 0; i < ALERTS_MOST && n < most; i++)
        if (a->slot[i].key && a->slot[i].told && a->slot[i].state == ALERT_FIRING &&
            !alert_silenced_until(a, &a->slot[i]))
            alert_of_slot(a, &a->slot[i], &out[n++]);
    pthread_mutex_unlock(&a->lock);
    return n;
}

void alerts_each(struct alerts *a, void (*visit)(const struct alert *alert, void *arg), void *arg)
{
    struct alert alert;
    pthread_mutex_lock(&a->lock);
    for (unsigned i = 0; i < ALERTS_MOST; i++)
        if (a->slot[i].key && a->slot[i].state != ALERT_INACTIVE) {
            alert_of_slot(a, &a->slot[i], &alert);
            visit(&alert, arg);
        }
    pthread_mutex_unlock(&a->lock);
}

void alerts_each_rule(struct alerts *a, void (*visit)(struct str name, unsigned firing, void *arg), void *arg)
{
    unsigned firing[ALERT_RULES_MOST] = { 0 };
    pthread_mutex_lock(&a->lock);
    for (unsigned i = 0; i < ALERTS_MOST; i++)
        if (a->slot[i].key && a->slot[i].state == ALERT_FIRING)
            firing[a->slot[i].rule - a->rule]++;
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->rules; i++)
        if (*a->rule[i].name && !a->gone[i])
            visit(str_of(a->rule[i].name), firing[i], arg);
}
