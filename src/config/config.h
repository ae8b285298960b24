/* config/config.h - what the operator wants: flags, before the environment, before the file, before defaults.
 *
 * Made whole by config_load and not changed afterwards; a reload makes another. All of it lies in its arena. */
#pragma once
#include "config/setting.h"
#include "fleet/fleet.h"
#include "gateway/settings.h"

enum source_kind { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };
struct source {
    enum source_kind kind;
    struct str name; /* the file, the variable or the flag */
    unsigned line;   /* of the file */
};
struct config {
#define SETTING(key, type, field, ...) setting_##type field;
#define ALSO(key, of)
#include "config/setting.def"
#undef SETTING
#undef ALSO
    struct arena arena;
    struct source source[SETTING_COUNT];
    struct str text[SETTING_COUNT]; /* as written; items of a list with ", " between them */
    struct str file;                /* that was read; empty: none */
    struct model_rules *rules;      /* what follows from models, fallbacks and preload; NULL: nothing */
    struct text complaints, notes;  /* a line each: what is wrong; what should be known */
    unsigned wrong;                 /* complaints so far */
    bool misused;                   /* some of them are about flags */
};
struct config_args {
    int argc;
    char **argv;     /* flags only, the first at [0] */
    bool takes_file; /* `check FILE`: a word that is no flag is the configuration file */
};
/* NULL when memory is out. Otherwise look at `wrong`: what could be read has been read. */
struct config *config_load(const struct config_args *args);
void config_free(struct config **c);

/* What the rooms are told. The fleet's borrows from c, and takes a reference on the rules; the gateway's is whole by
 * itself: FAIL_no_memory. */
void config_fleet(const struct config *c, struct fleet_settings *out);
enum fail config_gateway(const struct config *c, struct gateway_settings **out);
/* Resolved from "auto". */
unsigned config_workers(const struct config *c);
/* Level, format (`terminal`: what auto means) and file of base/log.h. */
void config_log(const struct config *c, bool terminal);
bool config_logs_json(const struct config *c, bool terminal);
/* The folder to be written to; empty: nobody says where. It may not exist yet. */
void config_state_dir(const struct config *c, struct text *out);
/* "key = value   # where from", a line each. */
void config_print(const struct config *c, struct text *t);
/* "flag --listen", "/etc/x.yaml:12", "default"; appended. */
void source_print(const struct source *s, struct text *t);

/* ---- for the readers of this room ------------------------------------------------------------------------------- */
/* One value for a setting. Sources come in rising order of precedence; the first value of a higher one replaces. */
void config_set(struct config *c, const struct setting *s, struct str value, const struct source *from);
void config_complain(struct config *c, const struct source *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* False, and said, when this source has set it before (files: a key that is there twice). */
bool config_set_once(struct config *c, const struct setting *s, const struct source *from);
/* A node made piece by piece (YAML mappings). */
void config_add_node(struct config *c, const struct node_spec *spec, const struct source *from);
/* A model likewise; `text` as it would be written in one word. */
void config_add_model(struct config *c, const struct model_rule *m, struct str text, const struct source *from);
/* A rule of alerts likewise. */
void config_add_rule(struct config *c, const struct alert_rule *r, struct str text, const struct source *from);
/* config/yaml_file.c */
void yaml_file_read(struct config *c, struct str path, struct str bytes);
