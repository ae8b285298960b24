/* api/aliases.c - names in a sorted array, patterns in the order in which they are to be tried; both resolved to the
 * end of their chain when the table is made, so that a request costs one search.
 *
 * Names are compared by the key that Ollama itself would use (api/name.h), hence `gpt-4o` is also `GPT-4o:latest`. What
 * is no model name, such as `claude@20240229`, or names a source (`m:cloud`), is compared letter by letter in lower
 * case. Patterns look at what the client wrote and at its complete form, since `qwen3:*` should catch `qwen3`. A hash
 * table was rejected: it has to grow while settings are read, and nobody has so many aliases that a search shows. */
#include "api/aliases.h"
#include <stdlib.h>

/* What a name is compared by. */
struct spelled {
    char text[NAME_MAX_BYTES];
    size_t n;
};
static inline struct str spelled_str(const struct spelled *s)
{
    return (struct str){ s->text, s->n };
}

static bool take_lower(struct spelled *out, struct str text)
{
    if (text.n == 0 || text.n > sizeof out->text)
        return false;
    for (size_t i = 0; i < text.n; i++)
        out->text[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] | 0x20) : text.p[i];
    out->n = text.n;
    return true;
}

/* False: nothing that could be a name. */
static bool spell(struct spelled *out, struct str name)
{
    struct name parsed;
    if (name_parse(name, &parsed) || parsed.source != SOURCE_NONE)
        return take_lower(out, str_trim(name));
    return take_lower(out, name_key(&parsed));
}

static bool is_pattern(struct str name)
{
    return str_chr(name, '*') >= 0;
}

/* ---- one more ---------------------------------------------------------------------------------------------------- */

static bool same_name(struct str a, struct str b)
{
    struct spelled one, other;
    bool both = is_pattern(a) ? is_pattern(b) && take_lower(&one, str_trim(a)) && take_lower(&other, str_trim(b))
                              : !is_pattern(b) && spell(&one, a) && spell(&other, b);
    return both && str_eq(spelled_str(&one), spelled_str(&other));
}

static bool says(struct text *why, const char *format, struct str name)
{
    text_printf(why, format, STR_ARG(name));
    return false;
}

static bool name_is_good(struct str name, struct text *why)
{
    struct spelled ignored;
    ssize_t star = str_chr(name, '*');
    if (!str_trim(name).n)
        return says(why, "\"%.*s\" is no name", name);
    if (star >= 0 && star != str_rchr(name, '*'))
        return says(why, "\"%.*s\" has more than one *", name);
    return take_lower(&ignored, str_trim(name)) || says(why, "\"%.*s\" is too long for a name", str_take(name, 100));
}

static bool model_is_good(struct str model, struct text *why)
{
    struct name parsed;
    return !name_parse(model, &parsed) || says(why, "stands for \"%.*s\", which is no model name", model);
}

static const struct alias *find_same(const struct alias *v, unsigned n, struct str name)
{
    for (unsigned i = 0; i < n; i++)
        if (same_name(v[i].name, name))
            return &v[i];
    return NULL;
}

/* Those before have no loop, so one can only come back to the new one. */
static bool makes_a_loop(const struct alias *v, unsigned n, const struct alias *next)
{
    const struct alias *at = next;
    if (is_pattern(next->name) || same_name(next->model, next->name))
        return false;
    while ((at = find_same(v, n, at->model)) && !same_name(at->model, at->name))
        if (same_name(at->model, next->name))
            return true;
    return false;
}

bool aliases_may_add(const struct alias *v, unsigned n, const struct alias *next, struct text *why)
{
    if (!name_is_good(next->name, why) || !model_is_good(next->model, why))
        return false;
    if (n >= ALIASES_MAX)
        return says(why, "\"%.*s\" is one alias too many", next->name);
    if (find_same(v, n, next->name))
        return says(why, "\"%.*s\" has an alias already", next->name);
    if (makes_a_loop(v, n, next))
        return says(why, "\"%.*s\" leads back to itself", next->name);
    return true;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

struct exact {
    struct str key, model; /* model: empty if it stands for itself */
};
struct pattern {
    struct str begin, end, model; /* in lower case */
    unsigned place;
};
struct aliases {
    struct exact *exact;
    struct pattern *pattern; /* the first that fits wins */
    unsigned exacts, patterns;
};

static int by_key(const void *a, const void *b)
{
    struct str one = ((const struct exact *)a)->key, other = ((const struct exact *)b)->key;
    int order = memcmp(one.p, other.p, MIN(one.n, other.n));
    return order ? order : (one.n > other.n) - (one.n < other.n);
}

static int by_length(const void *a, const void *b)
{
    const struct pattern *one = a, *other = b;
    if (one->begin.n != other->begin.n)
        return one->begin.n < other->begin.n ? 1 : -1;
    if (one->end.n != other->end.n)
        return one->end.n < other->end.n ? 1 : -1;
    return one->place < other->place ? -1 : 1;
}

static const struct exact *find_exact(const struct aliases *t, struct str name)
{
    struct spelled s;
    if (!t->exacts || !spell(&s, name))
        return NULL;
    struct exact sought = { .key = spelled_str(&s) };
    return bsearch(&sought, t->exact, t->exacts, sizeof sought, by_key);
}

static bool add_exact(struct aliases *t, struct arena *a, const struct alias *from)
{
    struct spelled s;
    struct exact *e = &t->exact[t->exacts++];
    assume(spell(&s, from->name));
    e->key = str_dup(a, spelled_str(&s));
    e->model = same_name(from->name, from->model) ? STR_NONE : str_dup(a, str_trim(from->model));
    return !a->failed;
}

static bool add_pattern(struct aliases *t, struct arena *a, const struct alias *from, unsigned place)
{
    struct spelled s;
    struct pattern *p = &t->pattern[t->patterns++];
    assume(take_lower(&s, str_trim(from->name)));
    p->end = str_dup(a, spelled_str(&s));
    p->begin = str_cut(&p->end, '*');
    p->model = str_dup(a, str_trim(from->model));
    p->place = place;
    return !a->failed;
}

static struct str end_of_chain(const struct aliases *t, struct str model)
{
    const struct exact *e;
    while ((e = find_exact(t, model)) && e->model.n)
        model = e->model;
    return model;
}

/* Once all are sorted in. One that was resolved before only shortens the way. */
static void resolve_all(struct aliases *t)
{
    for (unsigned i = 0; i < t->exacts; i++)
        if (t->exact[i].model.n)
            t->exact[i].model = end_of_chain(t, t->exact[i].model);
    for (unsigned i = 0; i < t->patterns; i++)
        t->pattern[i].model = end_of_chain(t, t->pattern[i].model);
}

struct aliases *aliases_new(struct arena *a, const struct alias *v, unsigned n)
{
    struct aliases *t = arena_new(a, struct aliases);
    if (!t || !(t->exact = arena_array(a, struct exact, n + 1)) ||
        !(t->pattern = arena_array(a, struct pattern, n + 1)))
        return NULL;
    for (unsigned i = 0; i < n; i++)
        if (!(is_pattern(v[i].name) ? add_pattern(t, a, &v[i], i) : add_exact(t, a, &v[i])))
            return NULL;
    qsort(t->exact, t->exacts, sizeof *t->exact, by_key);
    qsort(t->pattern, t->patterns, sizeof *t->pattern, by_length);
    resolve_all(t);
    return t;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static bool fits(const struct pattern *p, struct str name)
{
    return name.n >= p->begin.n + p->end.n && str_starts(name, p->begin) && str_ends(name, p->end);
}

static struct str find_pattern(const struct aliases *t, struct str name)
{
    struct spelled written, complete = { .n = 0 };
    struct name parsed;
    if (!t->patterns || !take_lower(&written, str_trim(name)))
        return STR_NONE;
    if (!name_parse(name, &parsed) && parsed.source == SOURCE_NONE)
        take_lower(&complete, name_show(&parsed));
    for (unsigned i = 0; i < t->patterns; i++)
        if (fits(&t->pattern[i], spelled_str(&written)) || (complete.n && fits(&t->pattern[i], spelled_str(&complete))))
            return t->pattern[i].model;
    return STR_NONE;
}

struct str aliases_resolve(const struct aliases *t, struct str name)
{
    if (!t)
        return STR_NONE;
    const struct exact *e = find_exact(t, name);
    return e ? e->model : find_pattern(t, name);
}
