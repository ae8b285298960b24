/* config/config.c - the four sources are read from the least to the most important, each over the same table.
 *
 *     defaults < file (YAML) < environment < flags        config_set is the one door: it reads, replaces or appends,
 *                                                         remembers the source, or complains with it
 *
 * All sources are read whole even where a higher one wins: a mistake in the file is worth telling also on the day a
 * flag hides it. Complaints are collected rather than returned, so that `check` shows all of them at once. */
#include "config/config.h"
#include "api/cors.h"
#include "base/slab.h"
#include "config/model_text.h"
#include "config/nearest.h"
#include "config/node_text.h"
#include "config/value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COMPLAINTS_MAX 20
#define FILE_MAX       MIB(4)
#define USUAL_FILE     "/etc/ollamamax/ollamamax.yaml"
#define KEY_FILE_MAX   KIB(4)

/* ---- complaining ------------------------------------------------------------------------------------------------- */

void source_print(const struct source *s, struct text *t)
{
    switch (s->kind) {
    case FROM_DEFAULT: text_put(t, STR("default")); break;
    case FROM_FILE:
        text_put(t, s->name);
        if (s->line)
            text_printf(t, ":%u", s->line);
        break;
    case FROM_ENVIRONMENT:
    case FROM_FLAG: text_put(t, s->name); break;
    }
}

void config_complain(struct config *c, const struct source *at, const char *format, ...)
{
    char sentence[1000];
    va_list args;
    c->misused |= at->kind == FROM_FLAG;
    if (++c->wrong > COMPLAINTS_MAX)
        return;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    source_print(at, &c->complaints);
    text_printf(&c->complaints, ": %s\n", sentence);
}

/* ---- one value --------------------------------------------------------------------------------------------------- */

static size_t field_size(const struct setting *s)
{
    static const size_t sizes[] = {
#define SETTING(key, type, field, ...) sizeof(setting_##type),
#define ALSO(key, of)
#include "config/setting.def"
#undef SETTING
#undef ALSO
    };
    return sizes[s->id];
}

/* A higher source forgets what lower ones said; so does a second value where there is one only. */
static void make_room(struct config *c, const struct setting *s, const struct source *from)
{
    if (s->type->between && c->source[s->id].kind == from->kind)
        return;
    memset((char *)c + s->field, 0, field_size(s));
    c->text[s->id] = STR_NONE;
}

static void keep_text(struct config *c, const struct setting *s, struct str value)
{
    struct str before = c->text[s->id];
    char *both = arena_take(&c->arena, before.n + 2 + value.n);
    if (!both)
        return;
    char *at = before.n ? put_str(put_str(both, before), STR(", ")) : both;
    c->text[s->id] = str_span(both, put_str(at, value));
}

static void settle(struct config *c, const struct setting *s, struct str value, const struct source *from)
{
    keep_text(c, s, value);
    c->source[s->id] = *from;
}

void config_set(struct config *c, const struct setting *s, struct str value, const struct source *from)
{
    struct text why = { 0 };
    make_room(c, s, from);
    if (!s->type->between && !value.n) {
        settle(c, s, value, from);
    } else if (setting_read(s, &c->arena, value, (char *)c + s->field, &why)) {
        settle(c, s, value, from);
    } else if (s->type->is_secret) {
        config_complain(c, from, "%s: what is there %.*s", s->key, STR_ARG(text_str(&why)));
    } else if (s->type->between) {
        config_complain(c, from, "%s: \"%.*s\": %.*s", s->key, STR_ARG(value), STR_ARG(text_str(&why)));
    } else {
        config_complain(c, from, "%s: \"%.*s\" %.*s", s->key, STR_ARG(value), STR_ARG(text_str(&why)));
    }
    text_free(&why);
}

bool config_set_once(struct config *c, const struct setting *s, const struct source *from)
{
    const struct source *before = &c->source[s->id];
    if (before->kind != from->kind)
        return true;
    config_complain(c, from, "%s was set before, in line %u", s->key, before->line);
    return false;
}

void config_add_node(struct config *c, const struct node_spec *spec, const struct source *from)
{
    const struct setting *s = &settings[SETTING_nodes];
    make_room(c, s, from);
    if (setting_add_node(&c->arena, &c->nodes, spec))
        settle(c, s, spec->url, from);
}

void config_add_model(struct config *c, const struct model_rule *m, struct str text, const struct source *from)
{
    const struct setting *s = &settings[SETTING_models];
    struct text why = { 0 };
    make_room(c, s, from);
    if (setting_add_model(&c->arena, &c->models, m, &why))
        settle(c, s, text, from);
    else
        config_complain(c, from, "models: %.*s", STR_ARG(text_str(&why)));
    text_free(&why);
}

void config_add_rule(struct config *c, const struct alert_rule *r, struct str text, const struct source *from)
{
    const struct setting *s = &settings[SETTING_alerts_rules];
    struct text why = { 0 };
    make_room(c, s, from);
    if (setting_add_rule(&c->arena, &c->alerts_rules, r, &why))
        settle(c, s, text, from);
    else
        config_complain(c, from, "alerts.rules: %.*s", STR_ARG(text_str(&why)));
    text_free(&why);
}

/* Flags and variables hold lists as words. */
static void set_words(struct config *c, const struct setting *s, struct str value, const struct source *from)
{
    size_t n;
    if (!s->type->between) {
        config_set(c, s, str_trim(value), from);
        return;
    }
    for (; value.n; value = str_drop(value, n + 1)) {
        for (n = 0; n < value.n && !strchr(s->type->between, value.p[n]); n++)
            ;
        if (str_trim(str_take(value, n)).n)
            config_set(c, s, str_trim(str_take(value, n)), from);
    }
}

/* ---- the sources ------------------------------------------------------------------------------------------------- */

static void read_defaults(struct config *c)
{
    struct source from = { .kind = FROM_DEFAULT };
    for (size_t i = 0; i < SETTING_COUNT; i++)
        set_words(c, &settings[i], str_of(settings[i].preset), &from);
    assume(!c->wrong || c->arena.failed);
}

static void read_variable(struct config *c, const struct setting *s, const char *name)
{
    const char *value = sys_env(name);
    struct source from = { FROM_ENVIRONMENT, str_dup(&c->arena, str_of(name)), 0 };
    if (value && *value)
        set_words(c, s, str_of(value), &from);
}

static bool is_variable(struct str name)
{
    char known[SETTING_NAME_ROOM];
    for (size_t i = 0; i < SETTING_COUNT; i++)
        for (unsigned nth = 0; setting_variable(&settings[i], nth, known); nth++)
            if (str_eq(name, str_of(known)))
                return true;
    return str_eq(name, STR("OLLAMAMAX_CONFIG"));
}

/* Others may have variables of that beginning, so a slip is worth a note and no complaint. */
static void note_slip(struct config *c, struct str name)
{
    char known[SETTING_NAME_ROOM], best[SETTING_NAME_ROOM] = "";
    struct nearest n = nearest_to(name);
    n.distance = 3;
    for (size_t i = 0; i < SETTING_COUNT; i++)
        for (unsigned nth = 0; setting_variable(&settings[i], nth, known); nth++) {
            nearest_offer(&n, str_of(known));
            if (n.best.p == known)
                memcpy(best, known, sizeof best);
            n.best = str_of(best);
        }
    if (n.best.n)
        text_printf(&c->notes, "%.*s in the environment is no setting; did you mean %s?\n", STR_ARG(name), best);
}

static void note_slips(struct config *c)
{
    for (char **v = environ; *v; v++) {
        struct str rest = str_of(*v), name = str_cut(&rest, '=');
        if (str_starts(name, STR("OLLAMAMAX_")) && !is_variable(name))
            note_slip(c, name);
    }
}

/* Of another program, where a number alone is in seconds. */
static void read_seconds(struct config *c, const struct setting *s, const char *name)
{
    const char *value = sys_env(name);
    struct source from = { FROM_ENVIRONMENT, str_dup(&c->arena, str_of(name)), 0 };
    char text[40];
    int64_t ignored;
    if (!value || !*value)
        return;
    bool bare = value_count(str_of(value), &ignored);
    snprintf(text, sizeof text, "%.30s%s", value, bare ? "s" : "");
    config_set(c, s, str_of(text), &from);
}

static void read_environment(struct config *c)
{
    char name[SETTING_NAME_ROOM];
    read_variable(c, &settings[SETTING_origins], "OLLAMA_ORIGINS");
    read_seconds(c, &settings[SETTING_cache_ttl], "REDIS_CACHE_TTL");
    read_variable(c, &settings[SETTING_cache_redis], "REDIS_URL");
    for (size_t i = 0; i < SETTING_COUNT; i++)
        for (unsigned nth = 0; setting_variable(&settings[i], nth, name); nth++)
            read_variable(c, &settings[i], name);
    note_slips(c);
}

static void read_file(struct config *c, const char *path)
{
    struct buf bytes = { 0 };
    c->file = str_dup(&c->arena, str_of(path));
    struct source from = { .kind = FROM_FILE, .name = c->file };
    enum fail f = sys_read_file(path, FILE_MAX, &bytes);
    if (f)
        config_complain(c, &from, "cannot be read: %s", f == FAIL_io_error ? strerror(errno) : "it is too large");
    else
        yaml_file_read(c, c->file, buf_str(&bytes));
    buf_free(&bytes);
}

/* ---- flags ------------------------------------------------------------------------------------------------------- */

/* One word of the command line taken apart. */
struct flag {
    struct str name, value; /* "listen"; after '=' */
    bool has_value;
};

static bool take_flag(const char *word, struct flag *f)
{
    struct str rest = str_of(word);
    if (!str_starts(rest, STR("--")))
        return false;
    rest = str_drop(rest, 2);
    f->has_value = str_chr(rest, '=') >= 0;
    f->name = str_cut(&rest, '=');
    f->value = rest;
    return true;
}

static void complain_unknown_flag(struct config *c, struct str word)
{
    struct source from = { FROM_FLAG, word, 0 };
    struct nearest n = nearest_to(word);
    char name[SETTING_NAME_ROOM], best[SETTING_NAME_ROOM] = "";
    for (unsigned i = 0; setting_flag_name(i, name); i++) {
        nearest_offer(&n, str_of(name));
        if (n.best.p == name)
            memcpy(best, name, sizeof best);
        n.best = str_of(best);
    }
    nearest_offer(&n, STR("--config"));
    if (n.best.n)
        config_complain(c, &from, "there is no such flag; did you mean %.*s?", STR_ARG(n.best));
    else
        config_complain(c, &from, "there is no such flag");
}

/* The value of a flag: behind '=', or the next word; on/off may be left out for on. Returns how many words were used.
 */
static int flag_value(const struct config_args *args, int i, const struct setting *s, struct flag *f)
{
    const char *next = i + 1 < args->argc ? args->argv[i + 1] : NULL;
    bool ignored, switches = s && s->type == settings[SETTING_tls_insecure].type;
    if (f->has_value)
        return 1;
    if (switches && !(next && value_onoff(str_of(next), &ignored))) {
        f->value = STR("on");
        f->has_value = true;
        return 1;
    }
    f->has_value = next != NULL;
    f->value = str_of(next);
    return 2;
}

/* What follows an unknown flag is taken for its value. */
static int words_of_unknown(const struct config_args *args, int i, const struct flag *f)
{
    return f->has_value || i + 1 == args->argc || args->argv[i + 1][0] == '-' ? 1 : 2;
}

static int read_flag(struct config *c, const struct config_args *args, int i)
{
    struct flag f;
    struct str word = str_of(args->argv[i]);
    if (!take_flag(args->argv[i], &f)) {
        struct source from = { FROM_FLAG, word, 0 };
        if (!args->takes_file || str_starts(word, STR("-")))
            config_complain(c, &from, "this is no flag; flags begin with --");
        return 1;
    }
    bool is_config = str_eq(f.name, STR("config"));
    const struct setting *s = is_config ? NULL : setting_of_flag(f.name);
    if (!s && !is_config) {
        complain_unknown_flag(c, str_take(word, 2 + f.name.n));
        return words_of_unknown(args, i, &f);
    }
    int used = flag_value(args, i, s, &f);
    struct source from = { FROM_FLAG, str_dup(&c->arena, str_take(word, 2 + f.name.n)), 0 };
    if (!f.has_value || (!f.value.n && is_config))
        config_complain(c, &from, "a value is missing after it");
    else if (s)
        set_words(c, s, f.value, &from);
    return used;
}

static void read_flags(struct config *c, const struct config_args *args)
{
    for (int i = 0; i < args->argc;)
        i += read_flag(c, args, i);
}

/* ---- the file: --config, a bare word, OLLAMAMAX_CONFIG, the usual place -------------------------------------------
 */

static const char *file_flag(const struct config_args *args)
{
    struct flag f;
    const char *path = NULL;
    for (int i = 0; i < args->argc;) {
        if (!take_flag(args->argv[i], &f)) {
            path = args->takes_file ? args->argv[i] : path;
            i++;
            continue;
        }
        bool is_config = str_eq(f.name, STR("config"));
        const struct setting *s = setting_of_flag(f.name);
        i += s || is_config ? flag_value(args, i, s, &f) : words_of_unknown(args, i, &f);
        if (is_config && f.has_value)
            path = f.value.p;
    }
    return path;
}

static void find_file(struct config *c, const struct config_args *args)
{
    const char *by_flag = file_flag(args), *by_variable = sys_env("OLLAMAMAX_CONFIG");
    struct buf probe = { 0 };
    if (by_flag)
        read_file(c, by_flag);
    else if (by_variable && *by_variable)
        read_file(c, by_variable);
    else if (sys_read_file(USUAL_FILE, FILE_MAX, &probe) == OK || errno != ENOENT)
        read_file(c, USUAL_FILE);
    buf_free(&probe);
}

/* ---- what follows from it ---------------------------------------------------------------------------------------- */

static void read_admin_key(struct config *c)
{
    struct source *file = &c->source[SETTING_admin_key_file], *key = &c->source[SETTING_admin_key];
    struct buf bytes = { 0 };
    if (!c->admin_key_file.n || key->kind > file->kind)
        return;
    if (c->admin_key.n && key->kind == file->kind) {
        config_complain(c, file, "admin_key and admin_key_file are both set; one is enough");
        return;
    }
    if (sys_read_file(c->admin_key_file.p, KEY_FILE_MAX, &bytes))
        config_complain(c, file, "admin_key_file: %s cannot be read: %s", c->admin_key_file.p, strerror(errno));
    else if (!str_trim(buf_str(&bytes)).n)
        config_complain(c, file, "admin_key_file: %s is empty", c->admin_key_file.p);
    else
        c->admin_key = str_dup(&c->arena, str_trim(buf_str(&bytes)));
    buf_free(&bytes);
}

static void check_origins(struct config *c)
{
    struct cors cors;
    for (unsigned i = 0; i < c->origins.n; i++) {
        if (cors_init(&cors, c->origins.v[i]) == FAIL_bad_setting)
            config_complain(c, &c->source[SETTING_origins], "origins: \"%.*s\" has more than one *",
                            STR_ARG(c->origins.v[i]));
        cors_done(&cors);
    }
}

static bool is_listened_on(const struct config *c, const struct url *u)
{
    struct addr at, place;
    bool named_local = str_eq_nocase(u->host, STR("localhost"));
    bool local = named_local || (addr_literal(u->host, u->port, &place) && addr_is_loopback(&place));
    for (unsigned i = 0; i < c->listen.n && local; i++)
        if (addr_listen(c->listen.v[i], DEFAULT_PORT, &at) && addr_port(&at) == u->port)
            return true;
    return false;
}

/* Whoever uses the gateway exports OLLAMA_HOST with its address, and may start it in the same shell. */
static void add_usual_node(struct config *c)
{
    const char *host = sys_env("OLLAMA_HOST");
    struct node_spec n = node_text_none();
    struct source from = { host && *host ? FROM_ENVIRONMENT : FROM_DEFAULT, STR("OLLAMA_HOST"), 0 };
    struct url u;
    n.url = node_text_of_ollama_host(&c->arena, host);
    if (n.url.n && url_parse(n.url, &u) && is_listened_on(c, &u)) {
        text_printf(&c->notes, "OLLAMA_HOST (%.*s) is this gateway itself; its node is the Ollama at localhost:11434\n",
                    STR_ARG(n.url));
        n.url = node_text_of_ollama_host(&c->arena, NULL);
        from.kind = FROM_DEFAULT;
    }
    if (n.url.n)
        config_add_node(c, &n, &from);
    else if (!c->arena.failed)
        config_complain(c, &from, "\"%s\" is not where an Ollama can be", host);
}

/* What was said of a model in several settings becomes one rule. */
static struct model_rule *rule_of(struct model_rule *v, unsigned *n, struct str name)
{
    for (unsigned i = 0; i < *n; i++)
        if (model_text_same(v[i].name, name))
            return &v[i];
    v[*n] = model_rule_none(name);
    return &v[(*n)++];
}

static unsigned merge_rules(const struct config *c, struct model_rule *v)
{
    unsigned n = 0;
    for (; n < c->models.n; n++)
        v[n] = c->models.v[n];
    for (unsigned i = 0; i < c->fallbacks.n; i++) {
        struct model_rule *rule = rule_of(v, &n, c->fallbacks.v[i].name);
        rule->fallback = c->fallbacks.v[i].fallback;
        rule->fallbacks = c->fallbacks.v[i].fallbacks;
    }
    for (unsigned i = 0; i < c->preload.n; i++)
        rule_of(v, &n, c->preload.v[i])->preload = true;
    return n;
}

static void make_rules(struct config *c)
{
    unsigned most = c->models.n + c->fallbacks.n + c->preload.n;
    struct model_rule *v = most ? arena_array(&c->arena, struct model_rule, most) : NULL;
    enum fail f = v ? model_rules_new(v, merge_rules(c, v), &c->rules) : OK;
    if (f == FAIL_bad_setting)
        config_complain(c, &c->source[SETTING_models], "models: more than %d different labels", LABELS_MAX);
    else if (f)
        c->arena.failed = true;
}

/* What is said of a name that nobody can reach is said in vain. */
static void note_hidden(struct config *c)
{
    struct aliases *aliases = c->aliases.n ? aliases_new(&c->arena, c->aliases.v, c->aliases.n) : NULL;
    for (unsigned i = 0; i < model_rules_count(c->rules); i++) {
        struct str name = model_rules_row(c->rules, i)->name, stands_for = aliases_resolve(aliases, name);
        if (stands_for.n && !model_text_same(name, stands_for))
            text_printf(&c->notes,
                        "%.*s is an alias of %.*s: what models, fallbacks and preload say of it has no effect\n",
                        STR_ARG(name), STR_ARG(stands_for));
    }
}

static void check_receivers(struct config *c)
{
    if (c->alerts_webhook.n + c->alerts_alertmanager.n > RECEIVERS_MOST)
        config_complain(c, &c->source[SETTING_alerts_webhook], "alerts: more than %d receivers", RECEIVERS_MOST);
}

/* The default nodes are none, so that their source reads as what it is. */
static void complete(struct config *c)
{
    read_admin_key(c);
    check_origins(c);
    check_receivers(c);
    make_rules(c);
    note_hidden(c);
    if (!c->nodes.n && c->source[SETTING_nodes].kind == FROM_DEFAULT)
        add_usual_node(c);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct config *config_load(const struct config_args *args)
{
    struct config *c = memory_strikes() ? NULL : calloc(1, sizeof *c);
    if (!c)
        return NULL;
    read_defaults(c);
    find_file(c, args);
    read_environment(c);
    read_flags(c, args);
    complete(c);
    if (c->arena.failed || c->complaints.failed || c->notes.failed)
        config_free(&c);
    return c;
}

void config_free(struct config **at)
{
    struct config *c = *at;
    *at = NULL;
    if (!c)
        return;
    model_rules_unref(&c->rules);
    text_free(&c->complaints);
    text_free(&c->notes);
    arena_done(&c->arena);
    free(c);
}

/* ---- shown ------------------------------------------------------------------------------------------------------- */

static void print_value(const struct config *c, const struct setting *s, struct text *t)
{
    struct str text = c->text[s->id];
    if (s->id == SETTING_workers)
        text_printf(t, "%u", config_workers(c));
    else if (s->type->is_secret && (text.n || (s->id == SETTING_admin_key && c->admin_key.n)))
        text_put(t, STR("(set)"));
    else
        text_put(t, text.n ? text : STR("(none)"));
}

void config_print(const struct config *c, struct text *t)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        size_t before = buf_len(&t->buf);
        text_printf(t, "%-22s = ", settings[i].key);
        print_value(c, &settings[i], t);
        size_t width = buf_len(&t->buf) - before;
        text_printf(t, "%*s# ", width < 44 ? (int)(44 - width) : 2, "");
        source_print(&c->source[i], t);
        text_putc(t, '\n');
    }
}
