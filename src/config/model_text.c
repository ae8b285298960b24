/* config/model_text.c - one table of what can be said of a model, for the form with commas and for YAML mappings alike;
 * and the two forms that only name models. No model's name has a comma or a "=", so they separate without quotes. */
#include "config/model_text.h"
#include "api/name.h"
#include "config/nearest.h"
#include "config/value.h"

static bool short_of_memory(struct text *why)
{
    text_put(why, fail_sentence(FAIL_no_memory));
    return false;
}

static bool keep(struct str *to, struct arena *a, struct str value, struct text *why)
{
    *to = str_dup(a, value);
    return to->p || !value.n || short_of_memory(why);
}

bool model_text_name(struct str name, struct text *why)
{
    struct name ignored;
    if (!name_parse(name, &ignored))
        return true;
    text_printf(why, "\"%.*s\" is no model name", STR_ARG(name));
    return false;
}

bool model_text_same(struct str a, struct str b)
{
    struct name one, other;
    return !name_parse(a, &one) && !name_parse(b, &other) && str_eq(name_key(&one), name_key(&other));
}

/* ---- one fact ---------------------------------------------------------------------------------------------------- */

static bool set_policy(struct model_rule *m, struct arena *a, struct str value, struct text *why)
{
    if (scheduler_policy_named(value, &m->policy))
        return true;
    text_printf(why, "policy \"%.*s\" is none of", STR_ARG(value));
    for (enum scheduler_policy p = 0; p < SCHEDULER_POLICIES; p++)
        text_printf(why, "%s %.*s", p ? "," : "", STR_ARG(scheduler_policy_name(p)));
    return false;
}

static bool read_number(const char *what, struct str value, int64_t least, int64_t most, int64_t *out, struct text *why)
{
    if (value_count(value, out) && *out >= least && *out <= most)
        return true;
    text_printf(why, "%s \"%.*s\" is not a number from %lld to %lld", what, STR_ARG(value), (long long)least,
                (long long)most);
    return false;
}

static bool set_slots(struct model_rule *m, struct arena *a, struct str value, struct text *why)
{
    int64_t v = 0;
    bool good = read_number("slots", value, 0, 100000, &v, why);
    m->slots = good ? (int)v : m->slots;
    return good;
}

static bool set_num_ctx(struct model_rule *m, struct arena *a, struct str value, struct text *why)
{
    int64_t v = 0;
    bool good = read_number("num_ctx", value, 4, 100000000, &v, why);
    m->num_ctx = good ? (uint32_t)v : m->num_ctx;
    return good;
}

static bool read_time(const char *what, struct str value, nsec *out, struct text *why)
{
    nsec v;
    if (value_duration(value, &v) && v <= SECOND(30 * 86400)) {
        *out = v;
        return true;
    }
    text_printf(why, "%s \"%.*s\" is not a duration such as 30s, at most 30d", what, STR_ARG(value));
    return false;
}

static bool set_ttl(struct model_rule *m, struct arena *a, struct str value, struct text *why)
{
    return read_time("ttl", value, &m->ttl, why);
}

static bool set_max_wait(struct model_rule *m, struct arena *a, struct str value, struct text *why)
{
    return read_time("max_wait", value, &m->max_wait, why);
}

static bool set_labels(struct model_rule *m, struct arena *a, struct str value, struct text *why)
{
    if (labels_are_good(value))
        return keep(&m->labels, a, value, why);
    text_printf(why, "labels \"%.*s\" are not of the form key:value+key:value", STR_ARG(value));
    return false;
}

static const struct {
    struct str key;
    bool (*set)(struct model_rule *m, struct arena *a, struct str value, struct text *why);
} facts[] = {
    {STR("policy"),    set_policy  },
    { STR("slots"),    set_slots   },
    { STR("num_ctx"),  set_num_ctx },
    { STR("ttl"),      set_ttl     },
    { STR("max_wait"), set_max_wait},
    { STR("labels"),   set_labels  },
};

static void say_unknown(struct str key, struct text *why)
{
    struct nearest n = nearest_to(key);
    text_printf(why, "\"%.*s\" is nothing that can be said of a model; ", STR_ARG(key));
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        nearest_offer(&n, facts[i].key);
    if (n.best.n) {
        text_printf(why, "did you mean %.*s?", STR_ARG(n.best));
        return;
    }
    text_put(why, STR("there are"));
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        text_printf(why, "%s %.*s", i ? "," : "", STR_ARG(facts[i].key));
}

bool model_text_set(struct model_rule *m, struct arena *a, struct str key, struct str value, struct text *why)
{
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        if (str_eq(key, facts[i].key))
            return facts[i].set(m, a, value, why);
    say_unknown(key, why);
    return false;
}

/* ---- the forms --------------------------------------------------------------------------------------------------- */

static bool set_pair(struct model_rule *m, struct arena *a, struct str pair, struct text *why)
{
    struct str value = pair, key = str_trim(str_cut(&value, '='));
    if (str_chr(pair, '=') >= 0)
        return model_text_set(m, a, key, str_trim(value), why);
    text_printf(why, "\"%.*s\" has no \"=\"; after its name a model has policy=, slots= and such", STR_ARG(pair));
    return false;
}

bool model_text_read(struct model_rule *m, struct arena *a, struct str text, struct text *why)
{
    struct str rest = text, name = str_trim(str_cut(&rest, ','));
    *m = model_rule_none(name);
    bool good = model_text_name(name, why) && keep(&m->name, a, name, why);
    while (good && rest.n)
        good = set_pair(m, a, str_trim(str_cut(&rest, ',')), why);
    return good;
}

/* What is before the "=", and after it. */
static bool cut_pair(struct str text, struct str *out_name, struct str *out_rest, struct text *why)
{
    *out_rest = text;
    *out_name = str_trim(str_cut(out_rest, '='));
    *out_rest = str_trim(*out_rest);
    if (out_rest->n)
        return true;
    text_put(why, STR("a model is missing: write gpt-4o=qwen3:8b"));
    return false;
}

bool model_text_alias(struct alias *out, struct arena *a, struct str text, struct text *why)
{
    struct str name, model;
    return cut_pair(text, &name, &model, why) && keep(&out->name, a, name, why) && keep(&out->model, a, model, why);
}

static bool add_fallback(struct str *list, unsigned n, struct arena *a, struct str of, struct str name,
                         struct text *why)
{
    bool twice = model_text_same(of, name);
    if (!model_text_name(name, why))
        return false;
    for (unsigned i = 0; i < n; i++)
        twice |= model_text_same(list[i], name);
    if (!twice)
        return keep(&list[n], a, name, why);
    text_printf(why, "\"%.*s\" was tried already by then", STR_ARG(name));
    return false;
}

#define FALLBACKS_MAX 16

bool model_text_fallbacks(struct model_rule *out, struct arena *a, struct str text, struct text *why)
{
    struct str name, rest, *list = arena_array(a, struct str, FALLBACKS_MAX);
    unsigned n = 0;
    if (!list)
        return short_of_memory(why);
    if (!cut_pair(text, &name, &rest, why) || !model_text_name(name, why))
        return false;
    for (; rest.n; n++) {
        struct str one = str_trim(str_cut(&rest, ','));
        if (n == FALLBACKS_MAX) {
            text_printf(why, "more than %d models in its place", FALLBACKS_MAX);
            return false;
        }
        if (!add_fallback(list, n, a, name, one, why))
            return false;
    }
    *out = model_rule_none(name);
    out->fallback = list;
    out->fallbacks = n;
    return keep(&out->name, a, name, why);
}
