/* config/node_text.c - one table of what can be said of a node, for the form with commas and for YAML mappings alike.
 */
#include "config/node_text.h"
#include "config/value.h"

/* ---- one fact ---------------------------------------------------------------------------------------------------- */

static bool keep(struct str *to, struct arena *a, struct str value, struct text *why)
{
    *to = str_dup(a, value);
    if (!to->p && value.n)
        text_put(why, fail_sentence(FAIL_no_memory));
    return to->p || !value.n;
}

static bool set_url(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    struct url ignored;
    if (url_parse(value, &ignored))
        return keep(&n->url, a, value, why);
    text_printf(why, "\"%.*s\" is not where a node can be, such as gpu1, gpu1:11434 or https://host/prefix",
                STR_ARG(value));
    return false;
}

static bool set_name(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] > '~' || strchr("\",/?#", value.p[i])) {
            text_printf(why, "\"%.*s\" cannot be a node's name: it stands in paths and headers", STR_ARG(value));
            return false;
        }
    return keep(&n->name, a, value, why);
}

static bool set_weight(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    double v;
    if (value_number(value, &v) && v > 0 && v <= 1000) {
        n->weight = v;
        return true;
    }
    text_printf(why, "weight \"%.*s\" is not a number above 0, at most 1000", STR_ARG(value));
    return false;
}

static bool set_small(int *to, const char *what, struct str value, struct text *why)
{
    int64_t v;
    if (value_count(value, &v) && v <= 100000) {
        *to = (int)v;
        return true;
    }
    text_printf(why, "%s \"%.*s\" is not a number from 0 to 100000", what, STR_ARG(value));
    return false;
}

static bool set_slots(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    return set_small(&n->slots, "slots", value, why);
}

static bool set_max_inflight(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    return set_small(&n->max_inflight, "max_inflight", value, why);
}

static bool set_vram(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    int64_t v;
    if (value_size(value, &v)) {
        n->vram = (uint64_t)v;
        return true;
    }
    text_printf(why, "vram \"%.*s\" is not a size, such as 24GiB", STR_ARG(value));
    return false;
}

static bool set_labels(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    struct str rest = value;
    while (rest.n) {
        struct str label = str_cut(&rest, '+');
        if (str_chr(label, ':') <= 0) {
            text_printf(why, "labels \"%.*s\" are not of the form key:value+key:value", STR_ARG(value));
            return false;
        }
    }
    return keep(&n->labels, a, value, why);
}

static bool set_kind(struct node_spec *n, struct arena *a, struct str value, struct text *why)
{
    if (node_kind_of(value, &n->kind))
        return true;
    text_printf(why, "kind \"%.*s\" is none of ollama, llamacpp, vllm, lmstudio, openai", STR_ARG(value));
    return false;
}

static const struct {
    struct str key;
    bool (*set)(struct node_spec *n, struct arena *a, struct str value, struct text *why);
} facts[] = {
    {STR("url"),           set_url         },
    { STR("name"),         set_name        },
    { STR("weight"),       set_weight      },
    { STR("slots"),        set_slots       },
    { STR("max_inflight"), set_max_inflight},
    { STR("vram"),         set_vram        },
    { STR("labels"),       set_labels      },
    { STR("kind"),         set_kind        },
};

bool node_text_set(struct node_spec *n, struct arena *a, struct str key, struct str value, struct text *why)
{
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        if (str_eq(key, facts[i].key))
            return facts[i].set(n, a, value, why);
    text_printf(why, "\"%.*s\" is nothing that can be said of a node; there are", STR_ARG(key));
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        text_printf(why, "%s %.*s", i ? "," : "", STR_ARG(facts[i].key));
    return false;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

struct node_spec node_text_none(void)
{
    return (struct node_spec){ .slots = -1 };
}

static bool set_pair(struct node_spec *n, struct arena *a, struct str pair, struct text *why)
{
    struct str value = pair, key = str_trim(str_cut(&value, '='));
    if (str_chr(pair, '=') < 0) {
        text_printf(why, "\"%.*s\" has no \"=\"; after its address a node has name=, weight= and such", STR_ARG(pair));
        return false;
    }
    return node_text_set(n, a, key, str_trim(value), why);
}

bool node_text_read(struct node_spec *n, struct arena *a, struct str text, struct text *why)
{
    struct str rest = text;
    bool good = node_text_set(n, a, STR("url"), str_trim(str_cut(&rest, ',')), why);
    while (good && rest.n)
        good = set_pair(n, a, str_trim(str_cut(&rest, ',')), why);
    return good;
}

bool node_text_same_place_and_name(const struct node_spec *a, const struct node_spec *b)
{
    return str_eq(a->url, b->url) && str_eq(a->name, b->name) && a->kind == b->kind &&
           a->max_inflight == b->max_inflight;
}

/* ---- OLLAMA_HOST ------------------------------------------------------------------------------------------------- */

static struct str without_quotes(struct str s)
{
    s = str_trim(s);
    while (s.n && (s.p[0] == '"' || s.p[0] == '\''))
        s = str_drop(s, 1);
    while (s.n && (s.p[s.n - 1] == '"' || s.p[s.n - 1] == '\''))
        s.n--;
    return s;
}

/* A port that is none counts as not given: "gpu1:x" is "gpu1". */
static struct str without_bad_port(struct str place)
{
    uint64_t port;
    ssize_t colon = str_rchr(place, ':');
    bool in_brackets = str_ends(place, STR("]")),
         bare_v6 = colon >= 0 && str_chr(place, ':') != colon && place.p[0] != '[';
    if (colon < 0 || in_brackets || bare_v6)
        return place;
    bool good = str_u64(str_drop(place, (size_t)colon + 1), &port) && port <= UINT16_MAX;
    return good ? place : str_take(place, (size_t)colon);
}

static struct str reachable(struct str host)
{
    if (str_eq(host, STR("0.0.0.0")) || !host.n)
        return STR("127.0.0.1");
    return str_eq(host, STR("::")) ? STR("::1") : host;
}

struct str node_text_of_ollama_host(struct arena *a, const char *value)
{
    struct str s = without_quotes(str_of(value)), place = s, path;
    struct text plain = { 0 };
    struct url u;
    ssize_t scheme = str_find(s, STR("://"));
    if (scheme >= 0)
        place = str_drop(s, (size_t)scheme + 3);
    path = place;
    place = without_bad_port(str_cut(&path, '/'));
    text_put(&plain, str_take(s, scheme < 0 ? 0 : (size_t)scheme + 3));
    text_put(&plain, place.n ? place : scheme < 0 ? STR("localhost") : STR("127.0.0.1"));
    text_printf(&plain, "%s%.*s", path.n ? "/" : "", STR_ARG(path));
    struct str url = STR_NONE;
    if (!plain.failed && url_parse(text_str(&plain), &u)) {
        u.host = reachable(u.host);
        url = url_text(a, &u);
    }
    text_free(&plain);
    return url;
}
