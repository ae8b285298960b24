/* config/yaml_file.c - libyaml's events walked over the table of settings.
 *
 *     listen: [a, b]                  path "listen"            a row: its values are set
 *     timeouts:                       path "timeouts"          the first part of rows: one level deeper
 *       conect: 2s                    path "timeouts.conect"   neither: complaint with the nearest row
 *     aliases: {gpt-4o: qwen3:8b}     path "aliases"           a row whose keys are names: becomes gpt-4o=qwen3:8b
 *
 * A tree was rejected: it would have to carry the lines, and the walk needs no more than the path and one event. After
 * a mistake the value is skipped and the walk goes on; only bad YAML ends it. Anchors, tags and several documents are
 * not for settings. */
#include "config/alert_text.h"
#include "config/config.h"
#include "config/model_text.h"
#include "config/node_text.h"
#include <stdio.h>
#include <yaml.h>

#define PATH_ROOM 256
struct reader {
    struct config *c;
    yaml_parser_t yaml;
    yaml_event_t event; /* the one being looked at */
    struct source at;
    bool over;
};

static void complain_syntax(struct reader *r)
{
    const char *problem = r->yaml.problem ? r->yaml.problem : "memory is out";
    r->at.line = (unsigned)r->yaml.problem_mark.line + 1;
    config_complain(r->c, &r->at, "not YAML: %s%s%s", problem, r->yaml.context ? ", " : "",
                    r->yaml.context ? r->yaml.context : "");
}

static yaml_event_type_t next(struct reader *r)
{
    if (r->over)
        return YAML_STREAM_END_EVENT;
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->yaml, &r->event)) {
        complain_syntax(r);
        r->event = (yaml_event_t){ .type = YAML_STREAM_END_EVENT };
    }
    r->over = r->event.type == YAML_STREAM_END_EVENT;
    if (!r->over)
        r->at.line = (unsigned)r->event.start_mark.line + 1;
    return r->event.type;
}

static struct str scalar(const struct reader *r)
{
    return (struct str){ (const char *)r->event.data.scalar.value, r->event.data.scalar.length };
}

/* `key:` with nothing behind it, or null. */
static bool is_nothing(const struct reader *r)
{
    bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct str s = scalar(r);
    return plain && (!s.n || str_eq(s, STR("~")) || str_eq_nocase(s, STR("null")));
}

/* The value that begins with the event at hand. */
static void skip(struct reader *r)
{
    int depth = 0;
    for (;;) {
        yaml_event_type_t t = r->event.type;
        depth += t == YAML_SEQUENCE_START_EVENT || t == YAML_MAPPING_START_EVENT;
        depth -= t == YAML_SEQUENCE_END_EVENT || t == YAML_MAPPING_END_EVENT;
        if (depth <= 0 || r->over)
            return;
        next(r);
    }
}

static void refuse(struct reader *r, struct str path, const char *what)
{
    if (r->event.type == YAML_ALIAS_EVENT)
        what = "anchors and aliases are not read here";
    if (!r->over)
        config_complain(r->c, &r->at, "%.*s: %s", STR_ARG(path), what);
    skip(r);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

/* A mapping of labels is written as the form with commas has it: "k:v+k2:v2". */
static void read_labels(struct reader *r, struct text *labels)
{
    while (next(r) == YAML_SCALAR_EVENT) {
        text_printf(labels, "%s%.*s:", buf_len(&labels->buf) ? "+" : "", STR_ARG(scalar(r)));
        if (next(r) == YAML_SCALAR_EVENT)
            text_put(labels, scalar(r));
        else
            refuse(r, STR("labels"), "a label is a word");
    }
}

static void set_fact(struct reader *r, struct node_spec *n, struct str key, struct str value)
{
    struct text why = { 0 };
    if (!node_text_set(n, &r->c->arena, key, value, &why))
        config_complain(r->c, &r->at, "nodes: %.*s", STR_ARG(text_str(&why)));
    text_free(&why);
}

static void read_fact(struct reader *r, struct node_spec *n)
{
    struct str key = str_dup(&r->c->arena, scalar(r));
    struct text labels = { 0 };
    if (next(r) == YAML_SCALAR_EVENT) {
        if (!is_nothing(r))
            set_fact(r, n, key, scalar(r));
    } else if (r->event.type == YAML_MAPPING_START_EVENT && str_eq(key, STR("labels"))) {
        read_labels(r, &labels);
        set_fact(r, n, key, text_str(&labels));
    } else {
        refuse(r, key, "a node's value is a word or a number");
    }
    text_free(&labels);
}

static void read_node(struct reader *r)
{
    struct node_spec n = node_text_none();
    struct source begin = r->at;
    unsigned wrong = r->c->wrong;
    while (next(r) == YAML_SCALAR_EVENT)
        read_fact(r, &n);
    if (n.url.n)
        config_add_node(r->c, &n, &begin);
    else if (!r->over && r->c->wrong == wrong)
        config_complain(r->c, &begin, "nodes: a node needs a url");
}

/* ---- rules of alerts --------------------------------------------------------------------------------------------- */

static void set_rule_fact(struct reader *r, struct alert_rule *rule, struct str key, struct str value,
                          struct text *word)
{
    struct text why = { 0 };
    text_printf(word, "%s%.*s=%.*s", buf_len(&word->buf) ? "," : "", STR_ARG(key), STR_ARG(value));
    if (!alert_text_set(rule, key, value, &why))
        config_complain(r->c, &r->at, "alerts.rules: %.*s", STR_ARG(text_str(&why)));
    text_free(&why);
}

static void read_rule_fact(struct reader *r, struct alert_rule *rule, struct text *word)
{
    struct str key = str_dup(&r->c->arena, scalar(r));
    struct text labels = { 0 };
    if (next(r) == YAML_SCALAR_EVENT) {
        if (!is_nothing(r))
            set_rule_fact(r, rule, key, scalar(r), word);
    } else if (r->event.type == YAML_MAPPING_START_EVENT && str_eq(key, STR("labels"))) {
        read_labels(r, &labels);
        set_rule_fact(r, rule, key, text_str(&labels), word);
    } else {
        refuse(r, key, "a rule's value is a word or a number");
    }
    text_free(&labels);
}

static void read_rule(struct reader *r)
{
    struct alert_rule rule = alert_text_none();
    struct source begin = r->at;
    struct text word = { 0 }, why = { 0 };
    unsigned wrong = r->c->wrong;
    while (next(r) == YAML_SCALAR_EVENT)
        read_rule_fact(r, &rule, &word);
    if (word.failed)
        r->c->arena.failed = true;
    else if (r->c->wrong == wrong && !r->over && !alert_text_whole(&rule, &why))
        config_complain(r->c, &begin, "alerts.rules: %.*s", STR_ARG(text_str(&why)));
    else if (r->c->wrong == wrong && !r->over)
        config_add_rule(r->c, &rule, text_str(&word), &begin);
    text_free(&word);
    text_free(&why);
}

/* ---- keys that are names: aliases, fallbacks, models, routes ----------------------------------------------------- */

static void set_word(struct reader *r, const struct setting *s, struct text *word, const struct source *at)
{
    if (word->failed)
        r->c->arena.failed = true;
    else
        config_set(r->c, s, text_str(word), at);
}

static void read_alias(struct reader *r, const struct setting *s, struct str name, const struct source *at)
{
    struct text word = { 0 };
    if (r->event.type != YAML_SCALAR_EVENT) {
        refuse(r, name, "an alias stands for one model");
        return;
    }
    text_printf(&word, "%.*s=%.*s", STR_ARG(name), STR_ARG(scalar(r)));
    set_word(r, s, &word, at);
    text_free(&word);
}

static void put_list(struct reader *r, struct str name, struct text *word)
{
    const char *between = "";
    while (next(r) != YAML_SEQUENCE_END_EVENT && !r->over)
        if (r->event.type == YAML_SCALAR_EVENT) {
            text_printf(word, "%s%.*s", between, STR_ARG(scalar(r)));
            between = ",";
        } else {
            refuse(r, name, "a fallback is a model's name");
        }
}

static void read_fallbacks(struct reader *r, const struct setting *s, struct str name, const struct source *at)
{
    struct text word = { 0 };
    text_printf(&word, "%.*s=", STR_ARG(name));
    if (r->event.type == YAML_SCALAR_EVENT)
        text_put(&word, scalar(r));
    else if (r->event.type != YAML_SEQUENCE_START_EVENT)
        refuse(r, name, "its fallbacks are a list of models");
    else
        put_list(r, name, &word);
    if (r->event.type == YAML_SCALAR_EVENT || r->event.type == YAML_SEQUENCE_END_EVENT)
        set_word(r, s, &word, at);
    text_free(&word);
}

static void set_model_fact(struct reader *r, struct model_rule *m, struct str key, struct str value, struct text *word)
{
    struct text why = { 0 };
    text_printf(word, ",%.*s=%.*s", STR_ARG(key), STR_ARG(value));
    if (!model_text_set(m, &r->c->arena, key, value, &why))
        config_complain(r->c, &r->at, "models.%.*s: %.*s", STR_ARG(m->name), STR_ARG(text_str(&why)));
    text_free(&why);
}

static void read_model_fact(struct reader *r, struct model_rule *m, struct text *word)
{
    struct str key = str_dup(&r->c->arena, scalar(r));
    struct text labels = { 0 };
    if (next(r) == YAML_SCALAR_EVENT) {
        if (!is_nothing(r))
            set_model_fact(r, m, key, scalar(r), word);
    } else if (r->event.type == YAML_MAPPING_START_EVENT && str_eq(key, STR("labels"))) {
        read_labels(r, &labels);
        set_model_fact(r, m, key, text_str(&labels), word);
    } else {
        refuse(r, key, "a model's value is a word or a number");
    }
    text_free(&labels);
}

static void read_model(struct reader *r, const struct setting *s, struct str name, const struct source *at)
{
    struct model_rule m = model_rule_none(name);
    struct text word = { 0 }, why = { 0 };
    unsigned wrong = r->c->wrong;
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        refuse(r, name, "what holds for a model is a group, such as {policy: late}");
        return;
    }
    if (!model_text_name(name, &why))
        config_complain(r->c, at, "models: %.*s", STR_ARG(text_str(&why)));
    text_put(&word, name);
    while (next(r) == YAML_SCALAR_EVENT)
        read_model_fact(r, &m, &word);
    if (r->c->wrong == wrong && !r->over)
        config_add_model(r->c, &m, text_str(&word), at);
    text_free(&word);
    text_free(&why);
}

/* As in one word, which says itself what is wrong with it. */
static void read_route(struct reader *r, const struct setting *s, struct str name, const struct source *at)
{
    struct text word = { 0 };
    unsigned wrong = r->c->wrong;
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        refuse(r, name, "what holds for a route is a group, such as {keep: all}");
        return;
    }
    text_put(&word, name);
    while (next(r) == YAML_SCALAR_EVENT) {
        text_printf(&word, ",%.*s=", STR_ARG(scalar(r)));
        if (next(r) == YAML_SCALAR_EVENT)
            text_put(&word, scalar(r));
        else
            refuse(r, name, "what is said of a route is a word or a duration");
    }
    if (r->c->wrong == wrong && !r->over)
        set_word(r, s, &word, at);
    text_free(&word);
}

typedef void read_named(struct reader *r, const struct setting *s, struct str name, const struct source *at);

/* How the value of each name is read, where keys of the setting are names; NULL where they are not. */
static read_named *named_reader(const struct setting *s)
{
    switch (s->id) {
    case SETTING_aliases: return read_alias;
    case SETTING_fallbacks: return read_fallbacks;
    case SETTING_models: return read_model;
    case SETTING_cache_routes: return read_route;
    default: return NULL;
    }
}

static void read_names(struct reader *r, const struct setting *s)
{
    while (next(r) == YAML_SCALAR_EVENT) {
        struct str name = str_dup(&r->c->arena, scalar(r));
        struct source at = r->at;
        if (next(r) != YAML_SCALAR_EVENT || !is_nothing(r))
            named_reader(s)(r, s, name, &at);
    }
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void read_item(struct reader *r, const struct setting *s)
{
    if (r->event.type == YAML_SCALAR_EVENT)
        config_set(r->c, s, scalar(r), &r->at);
    else if (r->event.type == YAML_MAPPING_START_EVENT && s->id == SETTING_nodes)
        read_node(r);
    else if (r->event.type == YAML_MAPPING_START_EVENT && s->id == SETTING_alerts_rules)
        read_rule(r);
    else
        refuse(r, str_of(s->key), "an item of this list is a word");
}

static void read_list(struct reader *r, const struct setting *s)
{
    while (next(r) != YAML_SEQUENCE_END_EVENT && !r->over)
        read_item(r, s);
}

static void read_setting(struct reader *r, const struct setting *s)
{
    if (r->event.type == YAML_SCALAR_EVENT && is_nothing(r))
        return;
    if (!config_set_once(r->c, s, &r->at))
        skip(r);
    else if (r->event.type == YAML_SCALAR_EVENT)
        config_set(r->c, s, scalar(r), &r->at);
    else if (r->event.type == YAML_SEQUENCE_START_EVENT && s->type->between)
        read_list(r, s);
    else if (r->event.type == YAML_MAPPING_START_EVENT && named_reader(s))
        read_names(r, s);
    else
        refuse(r, str_of(s->key),
               s->type->between ? "this is a list" : "this is one value, neither a list nor a group");
}

static void complain_unknown(struct reader *r, const struct source *at, struct str path)
{
    struct str best = setting_nearest(path);
    if (best.n)
        config_complain(r->c, at, "there is no setting %.*s; did you mean %.*s?", STR_ARG(path), STR_ARG(best));
    else
        config_complain(r->c, at, "there is no setting %.*s", STR_ARG(path));
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static void read_group(struct reader *r, struct str path);

static void read_key(struct reader *r, struct str path, const struct source *at)
{
    const struct setting *s = setting_named(path);
    next(r);
    if (s)
        read_setting(r, s);
    else if (!setting_is_group(path)) {
        complain_unknown(r, at, path);
        skip(r);
    } else if (r->event.type == YAML_MAPPING_START_EVENT)
        read_group(r, path);
    else if (r->event.type != YAML_SCALAR_EVENT || !is_nothing(r))
        refuse(r, path, "this is a group of settings, one a line below it");
}

/* The keys of one mapping; `path` is what leads to it. */
static void read_group(struct reader *r, struct str path)
{
    char longer[PATH_ROOM];
    while (next(r) == YAML_SCALAR_EVENT) {
        struct source at = r->at;
        int n = snprintf(longer, sizeof longer, "%.*s%s%.*s", STR_ARG(path), path.n ? "." : "", STR_ARG(scalar(r)));
        read_key(r, (struct str){ longer, MIN((size_t)n, sizeof longer - 1) }, &at);
    }
    if (!r->over && r->event.type != YAML_MAPPING_END_EVENT)
        refuse(r, path, "a key is a word");
}

static void read_document(struct reader *r)
{
    next(r); /* the stream begins */
    if (next(r) != YAML_DOCUMENT_START_EVENT)
        return;
    if (next(r) == YAML_MAPPING_START_EVENT)
        read_group(r, STR_NONE);
    else if (r->event.type != YAML_SCALAR_EVENT || !is_nothing(r))
        refuse(r, STR("file"), "settings are written `key: value`");
}

void yaml_file_read(struct config *c, struct str path, struct str bytes)
{
    struct reader r = {
        .c = c, .at = {.kind = FROM_FILE, .name = path}
    };
    if (!yaml_parser_initialize(&r.yaml)) {
        c->arena.failed = true;
        return;
    }
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)(bytes.p ? bytes.p : ""), bytes.n);
    read_document(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.yaml);
}
