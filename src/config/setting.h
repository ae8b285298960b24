/* config/setting.h - the table of settings, as the rest of this room and the help see it. Rows are config/setting.def.
 */
#pragma once
#include "api/aliases.h"
#include "base/buf.h"
#include "config/route_text.h"
#include "config/value.h"
#include "fleet/model_rules.h"
#include "fleet/node.h"
#include "observe/alert.h"

enum setting_id {
#define SETTING(key, type, field, ...) SETTING_##field,
#define ALSO(key, of)
#include "config/setting.def"
#undef SETTING
#undef ALSO
    SETTING_COUNT
};
struct str_list {
    struct str *v;
    unsigned n;
};
struct node_list {
    struct node_spec *v;
    unsigned n;
};
struct alias_list {
    struct alias *v;
    unsigned n;
};
struct model_list {
    struct model_rule *v;
    unsigned n;
};
struct route_list {
    struct route_choice *v;
    unsigned n;
};
struct rule_list {
    struct alert_rule *v;
    unsigned n;
};
/* What the field of a type is. */
typedef bool setting_onoff;
typedef int64_t setting_count, setting_size;
typedef nsec setting_duration;
typedef struct share setting_share;
typedef struct str setting_path, setting_secret, setting_policy, setting_redis, setting_collector;
typedef int setting_choice; /* place of the word among those in `takes` */
typedef struct str_list setting_list, setting_addresses, setting_names, setting_receivers, setting_headers;
typedef struct node_list setting_nodes;
typedef struct alias_list setting_aliases;
typedef struct model_list setting_fallbacks, setting_models;
typedef struct route_list setting_routes;
typedef struct rule_list setting_rules;

struct setting;
/* Reads the text into the field, appending where the field is a list; false with why it is wrong. Strings go into the
 * arena. */
typedef bool setting_reader(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why);
struct setting_type {
    const char *example; /* in place of the value in --help */
    setting_reader *read;
    const char *between; /* a list: what stands between its items in flags and variables, any of these; else NULL */
    bool is_secret;      /* or holds one: never shown */
};
struct setting {
    enum setting_id id;
    const char *key;
    const struct setting_type *type;
    const char *preset, *takes, *help;
    bool live;
    size_t field; /* offset in struct config */
};
extern const struct setting settings[SETTING_COUNT];

/* By key or other name; NULL if there is none. */
const struct setting *setting_named(struct str key);
/* Is the key the first part of others, as `timeouts`? */
bool setting_is_group(struct str key);
/* By flag without its dashes ("timeouts-connect"). */
const struct setting *setting_of_flag(struct str flag);
/* The key that was probably meant, or empty. */
struct str setting_nearest(struct str key);
/* Every name as a flag is written, for suggestions: 0, 1, ... until false. */
#define SETTING_NAME_ROOM 64
bool setting_flag_name(unsigned nth, char out[SETTING_NAME_ROOM]);
/* "--timeouts-connect", and "OLLAMAMAX_TIMEOUTS_CONNECT" of the nth name of a setting; false: it has no more. */
void setting_flag(const struct setting *s, char out[SETTING_NAME_ROOM]);
bool setting_variable(const struct setting *s, unsigned nth, char out[SETTING_NAME_ROOM]);
/* Reads one value by the row's type and checks what it takes. */
bool setting_read(const struct setting *s, struct arena *a, struct str text, void *field, struct text *why);

/* FAIL_no_memory is false. */
bool setting_add_node(struct arena *a, struct node_list *list, const struct node_spec *n);
/* False, with why, also when something was said of this model before. */
bool setting_add_model(struct arena *a, struct model_list *list, const struct model_rule *m, struct text *why);
/* False, with why, also when there are too many or the name is there already. */
bool setting_add_rule(struct arena *a, struct rule_list *list, const struct alert_rule *r, struct text *why);
#define DEFAULT_PORT 13100

/* The list for --help, and the page docs/settings.md. */
void settings_help(struct text *t);
void settings_page(struct text *t);
