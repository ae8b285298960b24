/* config/page.c - the table as people read it: below --help, and as docs/settings.md. */
#include "config/setting.h"
#include "fleet/scheduler.h"

static bool is_policy(const struct setting *s)
{
    return s->id == SETTING_policy;
}

/* "auto, or 1..64"; the policies; the words of a choice. */
static void put_takes(const struct setting *s, const char *between, struct text *t)
{
    for (enum scheduler_policy p = 0; is_policy(s) && p < SCHEDULER_POLICIES; p++)
        text_printf(t, "%s%.*s", p ? between : "", STR_ARG(scheduler_policy_name(p)));
    struct str rest = str_of(s->takes);
    for (bool first = true; rest.n; first = false) {
        struct str word = str_cut(&rest, '|');
        text_printf(t, "%s%.*s", first ? "" : between, STR_ARG(word));
    }
}

static bool takes_words(const struct setting *s)
{
    return s->takes[0] || is_policy(s);
}

/* ---- for --help -------------------------------------------------------------------------------------------------- */

#define HELP_COLUMN 34
#define HELP_WIDTH  110

/* Wraps at blanks; every line begins in the column of help. */
static void put_wrapped(struct text *t, struct str words)
{
    size_t column = HELP_COLUMN;
    while (words.n) {
        struct str word = str_cut(&words, ' ');
        if (column + 1 + word.n > HELP_WIDTH && column > HELP_COLUMN) {
            text_printf(t, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        text_printf(t, "%s%.*s", column > HELP_COLUMN ? " " : "", STR_ARG(word));
        column += word.n + 1;
    }
    text_putc(t, '\n');
}

static void help_line(const struct setting *s, struct text *t)
{
    char flag[SETTING_NAME_ROOM];
    struct text about = { 0 };
    setting_flag(s, flag);
    size_t before = buf_len(&t->buf);
    text_printf(t, "  %s %s", flag, s->type->example);
    size_t width = buf_len(&t->buf) - before;
    text_printf(t, "%*s", width < HELP_COLUMN - 1 ? (int)(HELP_COLUMN - width) : 2, "");
    text_put(&about, str_of(s->help));
    if (takes_words(s)) {
        text_put(&about, STR(": "));
        put_takes(s, ", ", &about);
    }
    if (s->preset[0])
        text_printf(&about, " [%s]", s->preset);
    put_wrapped(t, text_str(&about));
    text_free(&about);
}

void settings_help(struct text *t)
{
    text_put(t, STR("Settings, each with its default. `--timeouts-connect 2s` = OLLAMAMAX_TIMEOUTS_CONNECT=2s =\n"
                    "`timeouts.connect: 2s` in the file; lists are repeated as flags and have blanks in variables.\n\n"
                    "  --config FILE                   else OLLAMAMAX_CONFIG, else /etc/ollamamax/ollamamax.yaml if "
                    "there is one\n"));
    for (size_t i = 0; i < SETTING_COUNT; i++)
        help_line(&settings[i], t);
}

/* ---- docs/settings.md -------------------------------------------------------------------------------------------- */

static void put_default(const struct setting *s, struct text *t)
{
    struct str words = str_of(s->preset);
    if (!words.n)
        text_put(t, STR("none"));
    for (bool first = true; words.n; first = false) {
        struct str word = s->type->between ? str_cut(&words, ' ') : words;
        text_printf(t, "%s`%.*s`", first ? "" : ", ", STR_ARG(word));
        words = s->type->between ? words : STR_NONE;
    }
}

static void page_row(const struct setting *s, struct text *t)
{
    char flag[SETTING_NAME_ROOM], variable[SETTING_NAME_ROOM];
    setting_flag(s, flag);
    setting_variable(s, 0, variable);
    text_printf(t, "| `%s` | `%s` `%s` | ", s->key, flag, variable);
    put_default(s, t);
    text_put(t, STR(" | "));
    if (takes_words(s))
        put_takes(s, ", ", t);
    else
        text_put(t, str_of(s->type->example));
    text_printf(t, " | %s%s |\n", s->help, s->live ? "" : " (after a restart)");
}

void settings_page(struct text *t)
{
    text_put(
        t,
        STR("# Settings\n\n"
            "Made from `src/config/setting.def` by `ollamamax settings`; a test compares. Nothing has to be set.\n"
            "Flags come before variables, variables before the file (`--config FILE`, else `OLLAMAMAX_CONFIG`, else\n"
            "`/etc/ollamamax/ollamamax.yaml` if it exists), the file before defaults. `ollamamax check` prints what\n"
            "is in force and where each value comes from.\n\n"
            "Lists are YAML lists, repeated flags, and in variables words with blanks between them. A node can be a\n"
            "mapping: `{url: gpu1, weight: 2, name: a, slots: 4, max_inflight: 8, vram: 24GiB, labels: {k: v}, kind: "
            "ollama}`.\n"
            "`aliases`, `fallbacks`, `models` and `cache.routes` can be mappings by name: `aliases: {gpt-4o: "
            "qwen3:8b}`,\n"
            "`fallbacks: {qwen3:32b: [qwen3:8b]}`, `models: {qwen3:32b: {policy: late, slots: 4}}`,\n"
            "`cache: {routes: {/v1/chat/completions: {keep: all, ttl: 10min}}}`.\n"
            "`OLLAMA_ORIGINS` is read for `origins`, `OLLAMA_HOST` where no node is named.\n\n"
            "SIGHUP and `POST /api/reload` read everything again. What needs a restart is marked, and the answer\n"
            "to a reload names what of it has changed.\n\n"
            "| key | flag and variable | default | takes | |\n|---|---|---|---|---|\n"));
    for (size_t i = 0; i < SETTING_COUNT; i++)
        page_row(&settings[i], t);
}
