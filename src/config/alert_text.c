/* config/alert_text.c - one table of what can be said of an alert rule, for the form with commas and for YAML mappings.
 *
 * What a rule looks at is checked against what there is: a rule that can never fire because of a slip in a name would
 * be found out only when it should have. */
#include "config/alert_text.h"

#include "config/nearest.h"
#include "config/value.h"
#include "observe/metrics_page.h"
#include "observe/signals.h"

#include <math.h>
#include <stdio.h>

#define NAME_MOST 48 /* with "rule " before it, it is a value's name */

struct alert_rule alert_text_none(void)
{
    return (struct alert_rule){ .threshold = NAN, .clear = NAN };
}

/* ---- one fact ---------------------------------------------------------------------------------------------------- */

static bool keep(char *into, size_t room, const char *what, struct str value, struct text *why)
{
    if (value.n < room) {
        *put_str(into, value) = 0;
        return true;
    }
    text_printf(why, "%s is longer than %zu bytes", what, room - 1);
    return false;
}

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

static bool set_name(struct alert_rule *r, struct str value, struct text *why)
{
    if (is_word(value) && value.n <= NAME_MOST)
        return keep(r->name, sizeof r->name, "name", value, why);
    text_printf(why, "name \"%.*s\" is not a word of letters, digits and \"_\", at most %d", STR_ARG(value), NAME_MOST);
    return false;
}

static bool complain_when(struct str value, struct str fault, struct text *why)
{
    text_printf(why, "\"%.*s\" is not understood", STR_ARG(value));
    if (fault.n)
        text_printf(why, " from \"%.*s\" on", STR_ARG(fault));
    text_put(why, STR("; write it as queue > 10 or node_inflight{node=\"gpu1\"} > 5"));
    return false;
}

static bool set_when(struct alert_rule *r, struct str value, struct text *why)
{
    struct str fault;
    return !alert_rule_read(r, value, &fault) || complain_when(value, fault, why);
}

static bool set_metric(struct alert_rule *r, struct str value, struct text *why)
{
    struct str fault;
    return !alert_rule_read_metric(r, value, &fault) || complain_when(value, fault, why);
}

static bool set_number(double *to, const char *what, struct str value, struct text *why)
{
    bool negative = str_starts(value, STR("-"));
    double v;
    if (value_number(str_drop(value, negative), &v)) {
        *to = negative ? -v : v;
        return true;
    }
    text_printf(why, "%s \"%.*s\" is not a number", what, STR_ARG(value));
    return false;
}

static bool set_threshold(struct alert_rule *r, enum alert_compare compare, const char *what, struct str value,
                          struct text *why)
{
    if (!isnan(r->threshold)) {
        text_put(why, STR("one of above, below and when is enough"));
        return false;
    }
    r->compare = compare;
    return set_number(&r->threshold, what, value, why);
}

static bool set_above(struct alert_rule *r, struct str value, struct text *why)
{
    return set_threshold(r, ALERT_ABOVE, "above", value, why);
}

static bool set_below(struct alert_rule *r, struct str value, struct text *why)
{
    return set_threshold(r, ALERT_BELOW, "below", value, why);
}

static bool set_clear(struct alert_rule *r, struct str value, struct text *why)
{
    return set_number(&r->clear, "clear", value, why);
}

static bool set_time(nsec *to, const char *what, struct str value, nsec most, struct text *why)
{
    nsec v;
    if (value_duration(value, &v) && v <= most) {
        *to = v;
        return true;
    }
    text_printf(why, "%s \"%.*s\" is not a duration such as 30s, at most %d h", what, STR_ARG(value),
                (int)(most / SECOND(3600)));
    return false;
}

static bool set_for(struct alert_rule *r, struct str value, struct text *why)
{
    return set_time(&r->lasts, "for", value, SECOND(86400), why);
}

static bool set_keep(struct alert_rule *r, struct str value, struct text *why)
{
    return set_time(&r->keeps, "keep", value, SECOND(86400), why);
}

static bool set_rate(struct alert_rule *r, struct str value, struct text *why)
{
    if (!set_time(&r->rate, "rate", value, SECOND(86400), why))
        return false;
    if (r->rate >= SECOND(10))
        return true;
    text_put(why, STR("rate is per second over a time of 10s at least"));
    return false;
}

static bool set_choice(int *to, const char *what, const char *words, struct str value, struct text *why)
{
    *to = value_choice(str_of(words), value);
    if (*to < 0)
        text_printf(why, "%s \"%.*s\" is none of %s", what, STR_ARG(value), words);
    return *to >= 0;
}

static bool set_severity(struct alert_rule *r, struct str value, struct text *why)
{
    int chosen;
    bool good = set_choice(&chosen, "severity", "warning|critical", value, why);
    r->severity = good ? (enum alert_severity)chosen : r->severity;
    return good;
}

static bool set_unit(struct alert_rule *r, struct str value, struct text *why)
{
    int chosen;
    bool good = set_choice(&chosen, "unit", "number|share|ms", value, why);
    r->unit = good ? (enum alert_unit)chosen : r->unit;
    return good;
}

static bool set_message(struct alert_rule *r, struct str value, struct text *why)
{
    return keep(r->message, sizeof r->message, "message", value, why);
}

static bool set_labels(struct alert_rule *r, struct str value, struct text *why)
{
    for (r->labels = 0; value.n; r->labels++) {
        struct str text = str_cut(&value, '+'), name = str_cut(&text, ':');
        if (r->labels == ALERT_LABELS || !is_word(name) || !text.n) {
            text_printf(why, "labels are at most %d, of the form name:value+name:value", ALERT_LABELS);
            return false;
        }
        struct alert_label *l = &r->label[r->labels];
        if (!keep(l->name, sizeof l->name, "a label", name, why) ||
            !keep(l->value, sizeof l->value, "a label", text, why))
            return false;
    }
    return true;
}

static const struct {
    struct str key;
    bool (*set)(struct alert_rule *r, struct str value, struct text *why);
} facts[] = {
    {STR("name"),      set_name    },
    { STR("metric"),   set_metric  },
    { STR("above"),    set_above   },
    { STR("below"),    set_below   },
    { STR("when"),     set_when    },
    { STR("clear"),    set_clear   },
    { STR("for"),      set_for     },
    { STR("keep"),     set_keep    },
    { STR("rate"),     set_rate    },
    { STR("severity"), set_severity},
    { STR("unit"),     set_unit    },
    { STR("message"),  set_message },
    { STR("labels"),   set_labels  },
};

bool alert_text_set(struct alert_rule *r, struct str key, struct str value, struct text *why)
{
    struct nearest n = nearest_to(key);
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        if (str_eq(key, facts[i].key))
            return facts[i].set(r, value, why);
        nearest_offer(&n, facts[i].key);
    }
    text_printf(why, "\"%.*s\" is nothing that can be said of an alert rule; ", STR_ARG(key));
    if (n.best.n)
        text_printf(why, "did you mean %.*s?", STR_ARG(n.best));
    else
        for (size_t i = 0; i < ARRAY_LEN(facts); i++)
            text_printf(why, "%s%.*s", i ? ", " : "there are ", STR_ARG(facts[i].key));
    return false;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static bool lacks(const struct alert_rule *r, const char *what, struct text *why)
{
    text_printf(why, *r->name ? "rule %s has no %s" : "a rule%s has no %s", r->name, what);
    return false;
}

static bool is_free_name(const struct alert_rule *r, struct text *why)
{
    unsigned n;
    const struct alert_rule *built_in = alert_rules_built_in(&n);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(built_in[i].name, r->name) == 0) {
            text_printf(why, "%s is the name of a rule that is built in", r->name);
            return false;
        }
    return true;
}

/* Names are lent for the call. */
struct offered {
    struct nearest nearest;
    char best[128];
};
static void offer(struct str name, void *arg)
{
    struct offered *o = arg;
    nearest_offer(&o->nearest, name);
    if (o->nearest.best.p == name.p && name.n < sizeof o->best)
        o->nearest.best = str_span(o->best, put_str(o->best, name));
}

static bool is_unknown(const struct alert_rule *r, struct text *why)
{
    struct offered o = { .nearest = nearest_to(str_of(r->value)) };
    signals_names(offer, &o);
    metrics_names(offer, &o);
    text_printf(why, "rule %s: there is no metric %s", r->name, r->value);
    if (o.nearest.best.n)
        text_printf(why, "; did you mean %.*s?", STR_ARG(o.nearest.best));
    else
        text_put(why, STR("; docs/metrics.md lists them"));
    return false;
}

static bool has_label(const struct alert_rule *r, struct str label, struct text *why)
{
    if (!label.n || metrics_have_label(str_of(r->metric), label))
        return true;
    text_printf(why, "rule %s: %s has no label %.*s; docs/metrics.md lists those that it has", r->name, r->metric,
                STR_ARG(label));
    return false;
}

static bool has_labels(const struct alert_rule *r, struct text *why)
{
    bool good =
        has_label(r, *r->node ? STR("node") : STR_NONE, why) && has_label(r, *r->model ? STR("model") : STR_NONE, why);
    for (unsigned i = 0; good && i < r->wheres; i++)
        good = has_label(r, str_of(r->where[i].name), why);
    return good;
}

/* Series of the history and signals are told by themselves; any other is looked for on the page of metrics. */
static bool find_value(struct alert_rule *r, struct text *why)
{
    struct str name = str_of(r->value);
    if (signals_know(name)) {
        if (!r->wheres && !r->rate)
            return true;
        text_printf(why, "rule %s: of %s only node and model can be told, and no rate", r->name, r->value);
        return false;
    }
    name = str_starts(name, STR("ollamamax_")) ? str_drop(name, 10) : name;
    if (!metrics_know(name))
        return is_unknown(r, why);
    *put_str(r->metric, name) = 0;
    snprintf(r->value, sizeof r->value, "rule %.*s", NAME_MOST, r->name);
    return has_labels(r, why);
}

/* What is in braces is filled in when it is told: a slip would be seen in the message that matters. */
static bool check_message(const struct alert_rule *r, struct text *why)
{
    static const struct str known[] = { STR("value"), STR("threshold"), STR("node"), STR("model"), STR("detail") };
    struct str rest = str_of(r->message);
    for (ssize_t at; (at = str_chr(rest, '{')) >= 0;) {
        rest = str_drop(rest, (size_t)at + 1);
        bool ends = str_chr(rest, '}') >= 0, found = false;
        struct str name = str_cut(&rest, '}');
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            found |= ends && str_eq(name, known[i]);
        if (!found) {
            text_printf(why,
                        "rule %s: message has {%.*s%s; there are {value}, {threshold}, {node}, {model} and {detail}",
                        r->name, STR_ARG(name), ends ? "}" : "");
            return false;
        }
    }
    return true;
}

static bool check_clear(struct alert_rule *r, struct text *why)
{
    r->clear = isnan(r->clear) ? r->threshold : r->clear;
    if (r->compare == ALERT_ABOVE ? r->clear <= r->threshold : r->clear >= r->threshold)
        return true;
    text_printf(why, "rule %s: clear must not be on the other side of %g", r->name, r->threshold);
    return false;
}

bool alert_text_whole(struct alert_rule *r, struct text *why)
{
    if (!*r->name)
        return lacks(r, "name", why);
    if (!*r->value)
        return lacks(r, "metric", why);
    if (isnan(r->threshold))
        return lacks(r, "above or below", why);
    if (!*r->message) /* before the metric's name is replaced */
        snprintf(r->message, sizeof r->message, "%s%s is {value}, %s {threshold}", r->value,
                 r->rate ? " per second" : "", r->compare == ALERT_ABOVE ? "above" : "below");
    return is_free_name(r, why) && find_value(r, why) && check_clear(r, why) && check_message(r, why);
}

/* Up to the next comma outside of braces. */
static struct str cut_fact(struct str *rest)
{
    size_t n = 0;
    for (int depth = 0; n < rest->n && (depth || rest->p[n] != ','); n++)
        depth += (rest->p[n] == '{') - (rest->p[n] == '}');
    struct str fact = str_take(*rest, n);
    *rest = str_drop(*rest, MIN(n + 1, rest->n));
    return fact;
}

bool alert_text_read(struct alert_rule *r, struct str text, struct text *why)
{
    bool good = true;
    *r = alert_text_none();
    while (good && text.n) {
        struct str value = cut_fact(&text), key = str_trim(str_cut(&value, '='));
        good = alert_text_set(r, key, str_trim(value), why);
    }
    return good && alert_text_whole(r, why);
}
