/* config/setting.c - the rows of setting.def in memory, how they are found, and how each type is read.
 *
 *     key "timeouts.first_byte"   flag "--timeouts-first-byte"   variable "OLLAMAMAX_TIMEOUTS_FIRST_BYTE"
 *
 * The three names are the same letters with other separators, so a flag or variable is compared letter by letter with
 * the key and nothing is built at start. */
#include "config/setting.h"
#include "config/alert_text.h"
#include "config/config.h"
#include "config/model_text.h"
#include "config/nearest.h"
#include "config/node_text.h"
#include "fleet/scheduler.h"
#include "gateway/errand.h"
#include "net/http_chars.h"
#include "redis/target.h"
#include <ctype.h>
#include <stdio.h>

/* ---- how each type is read --------------------------------------------------------------------------------------- */

#define ITEMS_FIRST 8

/* Room for one more of `size`: the array doubles at powers of two. NULL when memory is out. */
static void *grown(struct arena *a, void *v, unsigned n, size_t size)
{
    if (v && (n < ITEMS_FIRST || (n & (n - 1))))
        return v;
    void *more = arena_take_array(a, size, MAX(2 * n, ITEMS_FIRST));
    if (more && n)
        memcpy(more, v, n * size);
    return more;
}

static bool says(struct text *why, const char *sentence)
{
    text_put(why, str_of(sentence));
    return false;
}

static bool short_of_memory(struct text *why)
{
    return says(why, fail_sentence(FAIL_no_memory).p);
}

static bool read_onoff(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    return value_onoff(text, field) || says(why, "is neither on nor off");
}

static bool read_count(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    return value_count(text, field) || says(why, "is not a number");
}

static bool read_duration(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    return value_duration(text, field) || says(why, "is not a duration, such as 30s, 5min or 1h30m");
}

static bool read_size(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    return value_size(text, field) || says(why, "is not a size, such as 256MiB or 1GB");
}

static bool read_share(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    return value_share(text, field) || says(why, "is not a budget, such as 20% + 1/s");
}

static bool read_choice(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    int chosen = value_choice(str_of(s->takes), text);
    if (chosen < 0)
        text_printf(why, "is none of %s", s->takes);
    else
        *(setting_choice *)field = chosen;
    return chosen >= 0;
}

static bool read_text(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct str *to = field;
    const char *kept = str_z(a, text);
    *to = (struct str){ kept, text.n };
    return kept || short_of_memory(why);
}

static bool read_redis(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct redis_target ignored;
    const char *reason = "";
    if (str_eq_nocase(text, STR("none"))) {
        *(struct str *)field = STR_NONE;
        return true;
    }
    if (redis_target_read(text, a, &ignored, &reason))
        return read_text(s, a, text, field, why);
    return says(why, reason);
}

static bool read_policy(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    enum scheduler_policy p;
    if (scheduler_policy_named(text, &p))
        return read_text(s, a, scheduler_policy_name(p), field, why);
    text_put(why, STR("is no policy; there are"));
    for (p = 0; p < SCHEDULER_POLICIES; p++)
        text_printf(why, "%s %.*s", p ? "," : "", STR_ARG(scheduler_policy_name(p)));
    return false;
}

static bool read_item(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct str_list *list = field;
    struct str *v = grown(a, list->v, list->n, sizeof *v), kept = str_dup(a, text);
    if (!v || !kept.p)
        return short_of_memory(why);
    list->v = v;
    list->v[list->n++] = kept;
    return true;
}

static bool read_address(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct addr ignored;
    if (addr_listen(text, DEFAULT_PORT, &ignored))
        return read_item(s, a, text, field, why);
    return says(why, "is not an address, such as 127.0.0.1:13100, [::1]:13100 or 13100");
}

static bool read_receiver(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct errand_to ignored;
    if (errand_to_read(text, &ignored))
        return read_item(s, a, text, field, why);
    return says(why, "is not an address, such as https://host/path or http://host:9093");
}

static bool is_all(struct str s, enum http_chars what)
{
    for (size_t i = 0; i < s.n; i++)
        if (!http_is(s.p[i], what))
            return false;
    return s.n > 0;
}

static bool read_header(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct str value = text, name = str_trim(str_cut(&value, '='));
    if (is_all(name, CHAR_TOKEN) && is_all(str_trim(value), CHAR_VALUE))
        return read_item(s, a, text, field, why);
    return says(why, "is no header, such as Authorization=Bearer KEY");
}

static bool read_collector(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct errand_to ignored;
    if (str_eq_nocase(text, STR("none"))) {
        *(struct str *)field = STR_NONE;
        return true;
    }
    if (errand_to_read(text, &ignored))
        return read_text(s, a, text, field, why);
    return says(why, "is not an address, such as http://host:4318 or https://host/v1/traces");
}

bool setting_add_node(struct arena *a, struct node_list *list, const struct node_spec *n)
{
    struct node_spec *v = grown(a, list->v, list->n, sizeof *v);
    if (!v)
        return false;
    list->v = v;
    list->v[list->n++] = *n;
    return true;
}

static bool read_node(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct node_spec n = node_text_none();
    if (!node_text_read(&n, a, text, why))
        return false;
    return setting_add_node(a, field, &n) || short_of_memory(why);
}

static bool read_name(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    return model_text_name(text, why) && read_item(s, a, text, field, why);
}

static bool read_alias(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct alias_list *list = field;
    struct alias one;
    if (!model_text_alias(&one, a, text, why) || !aliases_may_add(list->v, list->n, &one, why))
        return false;
    struct alias *v = grown(a, list->v, list->n, sizeof *v);
    if (!v)
        return short_of_memory(why);
    list->v = v;
    list->v[list->n++] = one;
    return true;
}

bool setting_add_model(struct arena *a, struct model_list *list, const struct model_rule *m, struct text *why)
{
    for (unsigned i = 0; i < list->n; i++)
        if (model_text_same(list->v[i].name, m->name)) {
            text_printf(why, "\"%.*s\" is there twice", STR_ARG(m->name));
            return false;
        }
    struct model_rule *v = grown(a, list->v, list->n, sizeof *v);
    if (!v)
        return short_of_memory(why);
    list->v = v;
    list->v[list->n++] = *m;
    return true;
}

static bool read_fallbacks(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct model_rule m;
    return model_text_fallbacks(&m, a, text, why) && setting_add_model(a, field, &m, why);
}

static bool read_model(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct model_rule m;
    return model_text_read(&m, a, text, why) && setting_add_model(a, field, &m, why);
}

static bool read_route(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct route_list *list = field;
    struct route_choice one;
    if (!route_text_read(&one, text, why))
        return false;
    for (unsigned i = 0; i < list->n; i++)
        if (list->v[i].route == one.route) {
            text_printf(why, "%.*s is there twice", STR_ARG(route_row(one.route)->path));
            return false;
        }
    struct route_choice *v = grown(a, list->v, list->n, sizeof *v);
    if (!v)
        return short_of_memory(why);
    list->v = v;
    list->v[list->n++] = one;
    return true;
}

bool setting_add_rule(struct arena *a, struct rule_list *list, const struct alert_rule *r, struct text *why)
{
    for (unsigned i = 0; i < list->n; i++)
        if (!strcmp(list->v[i].name, r->name)) {
            text_printf(why, "rule %s is there twice", r->name);
            return false;
        }
    if (list->n == ALERT_RULES_USER) {
        text_printf(why, "more than %d rules", ALERT_RULES_USER);
        return false;
    }
    struct alert_rule *v = grown(a, list->v, list->n, sizeof *v);
    if (!v)
        return short_of_memory(why);
    list->v = v;
    list->v[list->n++] = *r;
    return true;
}

static bool read_rule(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct alert_rule r;
    return alert_text_read(&r, text, why) && setting_add_rule(a, field, &r, why);
}

enum type_id {
    TYPE_onoff,
    TYPE_count,
    TYPE_duration,
    TYPE_size,
    TYPE_share,
    TYPE_choice,
    TYPE_policy,
    TYPE_path,
    TYPE_secret,
    TYPE_redis,
    TYPE_collector,
    TYPE_list,
    TYPE_addresses,
    TYPE_nodes,
    TYPE_names,
    TYPE_receivers,
    TYPE_headers,
    TYPE_aliases,
    TYPE_fallbacks,
    TYPE_models,
    TYPE_routes,
    TYPE_rules
};
#define BLANKS " \t\r\n"
#define COMMAS "," BLANKS
static const struct setting_type types[] = {
  /*                   example                  reader          between secret */
    [TYPE_onoff] = {"on|off",               read_onoff,     NULL,   false},
    [TYPE_count] = { "N",                   read_count,     NULL,   false},
    [TYPE_duration] = { "30s",                 read_duration,  NULL,   false},
    [TYPE_size] = { "64MiB",               read_size,      NULL,   false},
    [TYPE_share] = { "20%+1/s",             read_share,     NULL,   false},
    [TYPE_choice] = { "WORD",                read_choice,    NULL,   false},
    [TYPE_policy] = { "NAME",                read_policy,    NULL,   false},
    [TYPE_path] = { "FILE",                read_text,      NULL,   false},
    [TYPE_secret] = { "TEXT",                read_text,      NULL,   true },
    [TYPE_redis] = { "URL",                 read_redis,     NULL,   true },
    [TYPE_collector] = { "URL",                 read_collector, NULL,   true },
    [TYPE_list] = { "TEXT",                read_item,      COMMAS, false},
    [TYPE_addresses] = { "ADDRESS",             read_address,   COMMAS, false},
    [TYPE_nodes] = { "NODE",                read_node,      BLANKS, false},
    [TYPE_names] = { "MODEL",               read_name,      COMMAS, false},
    [TYPE_receivers] = { "URL",                 read_receiver,  COMMAS, true },
    [TYPE_headers] = { "NAME=VALUE",          read_header,    ",",    true },
    [TYPE_aliases] = { "NAME=MODEL",          read_alias,     COMMAS, false},
    [TYPE_fallbacks] = { "MODEL=MODEL,...",     read_fallbacks, BLANKS, false},
    [TYPE_models] = { "MODEL,KEY=VALUE,...", read_model,     BLANKS, false},
    [TYPE_routes] = { "PATH,KEY=VALUE,...",  read_route,     BLANKS, false},
    [TYPE_rules] = { "KEY=VALUE,...",       read_rule,      BLANKS, false},
};

#define RESTART false
#define LIVE    true
const struct setting settings[SETTING_COUNT] = {
#define SETTING(key, type, name, preset, takes, applies, help)                                                         \
    { SETTING_##name, key, &types[TYPE_##type], preset, takes, help, applies, offsetof(struct config, name) },
#define ALSO(key, of)
#include "config/setting.def"
#undef SETTING
#undef ALSO
};
static const struct other_name {
    const char *key, *of;
} other_names[] = {
#define SETTING(key, ...)
#define ALSO(key, of) { key, of },
#include "config/setting.def"
#undef SETTING
#undef ALSO
};

/* ---- what it takes ----------------------------------------------------------------------------------------------- */

struct limits {
    struct str word; /* that stands for 0 */
    struct str least, most;
};

/* "none|1s..1h" */
static struct limits limits_of(const struct setting *s)
{
    struct str range = str_of(s->takes);
    struct limits l = { 0 };
    if (str_chr(range, '|') >= 0)
        l.word = str_cut(&range, '|');
    ssize_t dots = str_find(range, STR(".."));
    if (dots >= 0) {
        l.least = str_take(range, (size_t)dots);
        l.most = str_drop(range, (size_t)dots + 2);
    }
    return l;
}

static bool has_limits(const struct setting *s)
{
    return strstr(s->takes, "..") != NULL;
}

static bool within(const struct setting *s, const struct limits *l, int64_t v)
{
    struct text ignored = { 0 };
    int64_t least = 0, most = 0;
    bool good = s->type->read(s, NULL, l->least, &least, &ignored) && s->type->read(s, NULL, l->most, &most, &ignored);
    text_free(&ignored);
    assume(good);
    return v >= least && v <= most;
}

static bool read_limited(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    struct limits l = limits_of(s);
    int64_t v = 0;
    if (l.word.n && str_eq_nocase(text, l.word)) {
        *(int64_t *)field = 0;
        return true;
    }
    if (!s->type->read(s, a, text, &v, why)) {
        if (l.word.n)
            text_printf(why, ", nor \"%.*s\"", STR_ARG(l.word));
        return false;
    }
    if (!within(s, &l, v)) {
        text_printf(why, "is not within %.*s and %.*s", STR_ARG(l.least), STR_ARG(l.most));
        return false;
    }
    *(int64_t *)field = v;
    return true;
}

bool setting_read(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why)
{
    return (has_limits(s) ? read_limited : s->type->read)(s, a, text, field, why);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const struct setting *row_of(struct str key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (str_eq(key, str_of(settings[i].key)))
            return &settings[i];
    return NULL;
}

const struct setting *setting_named(struct str key)
{
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
        if (str_eq(key, str_of(other_names[i].key)))
            return row_of(str_of(other_names[i].of));
    return row_of(key);
}

/* Every key and other name: 0, 1, ... until NULL. */
static const char *name_at(size_t nth)
{
    if (nth < SETTING_COUNT)
        return settings[nth].key;
    nth -= SETTING_COUNT;
    return nth < ARRAY_LEN(other_names) ? other_names[nth].key : NULL;
}

bool setting_is_group(struct str key)
{
    const char *name;
    for (size_t i = 0; (name = name_at(i)); i++)
        if (str_starts(str_of(name), key) && name[key.n] == '.')
            return true;
    return false;
}

static bool separates(char c)
{
    return c == '.' || c == '_' || c == '-';
}

static bool flag_is(struct str flag, const char *key)
{
    size_t i = 0;
    for (; i < flag.n && key[i]; i++)
        if (separates(key[i]) ? flag.p[i] != '-' : flag.p[i] != key[i])
            return false;
    return i == flag.n && !key[i];
}

const struct setting *setting_of_flag(struct str flag)
{
    const char *name;
    for (size_t i = 0; (name = name_at(i)); i++)
        if (flag_is(flag, name))
            return setting_named(str_of(name));
    return NULL;
}

struct str setting_nearest(struct str key)
{
    struct nearest n = nearest_to(key);
    const char *name;
    for (size_t i = 0; (name = name_at(i)); i++)
        nearest_offer(&n, str_of(name));
    return n.best;
}

static void put_flag(const char *key, char out[SETTING_NAME_ROOM])
{
    snprintf(out, SETTING_NAME_ROOM, "--%s", key);
    for (char *at = out; *at; at++)
        if (separates(*at))
            *at = '-';
}

bool setting_flag_name(unsigned nth, char out[SETTING_NAME_ROOM])
{
    const char *name = name_at(nth);
    if (name)
        put_flag(name, out);
    return name != NULL;
}

static const char *other_name(const struct setting *s, unsigned nth)
{
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
        if (!strcmp(other_names[i].of, s->key) && nth-- == 0)
            return other_names[i].key;
    return NULL;
}

void setting_flag(const struct setting *s, char out[SETTING_NAME_ROOM])
{
    const char *singular = s->type->between ? other_name(s, 0) : NULL;
    put_flag(singular ? singular : s->key, out);
}

bool setting_variable(const struct setting *s, unsigned nth, char out[SETTING_NAME_ROOM])
{
    const char *name = nth ? other_name(s, nth - 1) : s->key;
    if (!name)
        return false;
    snprintf(out, SETTING_NAME_ROOM, "OLLAMAMAX_%s", name);
    for (char *at = out; *at; at++)
        *at = separates(*at) ? '_' : (char)toupper((unsigned char)*at);
    return true;
}
