/* cli/cli.c - finds the command in the table, or says what was probably meant. getopt is not used: flags are settings,
 * and the table of settings reads them. */
#include "cli/cli.h"
#include "config/nearest.h"
#include <stdio.h>
#include <unistd.h>

/* ---- help -------------------------------------------------------------------------------------------------------- */

static int short_help(const struct command *commands)
{
    struct text t = { 0 };
    text_put(&t, STR("OllamaMax: one address in front of all your Ollama machines.\n\n"));
    for (const struct command *c = commands; c->name; c++)
        if (c->says) {
            char usage[64];
            snprintf(usage, sizeof usage, "%s %s", c->name, c->args);
            text_printf(&t, "  ollamamax %-22s %s\n", usage, c->says);
        }
    text_put(&t, STR("\nollamamax serve --node gpu1 --node gpu2 is all it takes; `ollamamax serve --help` lists the "
                     "settings.\n"));
    return cli_print(&t);
}

static int command_help(const struct command *c)
{
    struct text t = { 0 };
    text_printf(&t, "ollamamax %s %s\n\n%s.\n", c->name, c->args, c->says ? c->says : "For those who work on it");
    if (c->flags) {
        text_printf(&t, "\n%s", c->flags);
        if (!*c->flags)
            settings_help(&t);
    }
    return cli_print(&t);
}

static bool asks_for_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static const struct command *command_named(const struct command *commands, const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static int unknown(const struct command *commands, const char *word)
{
    struct nearest n = nearest_to(str_of(word));
    struct str flag = str_of(word);
    for (const struct command *c = commands; c->name; c++)
        nearest_offer(&n, str_of(c->name));
    fprintf(stderr, "ollamamax: there is no command %s", word);
    if (str_starts(flag, STR("--")) && setting_of_flag(str_drop(str_cut(&flag, '='), 2)))
        fprintf(stderr, "; did you mean ollamamax serve %s?\n", word);
    else if (n.best.n)
        fprintf(stderr, "; did you mean %.*s?\n", STR_ARG(n.best));
    else
        fprintf(stderr, "; `ollamamax help` lists them\n");
    return CLI_MISUSED;
}

static int help(const struct command *commands, int argc, char **argv)
{
    if (!argc)
        return short_help(commands);
    const struct command *c = command_named(commands, argv[0]);
    return c ? command_help(c) : unknown(commands, argv[0]);
}

static int run(const struct command *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (asks_for_help(argv[i]))
            return command_help(c);
    return c->run(argc, argv);
}

int cli_run(const struct command *commands, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "help";
    if (asks_for_help(word))
        word = "help";
    if (!strcmp(word, "--version"))
        word = "version";
    if (!strcmp(word, "help"))
        return help(commands, MAX(argc - 2, 0), argv + 2);
    const struct command *c = command_named(commands, word);
    return c ? run(c, argc - 2, argv + 2) : unknown(commands, word);
}

/* ---- helps for commands ------------------------------------------------------------------------------------------ */

struct config *cli_load(const struct config_args *args, int *out_code)
{
    struct config *c = config_load(args);
    if (!c) {
        fprintf(stderr, "ollamamax: memory is out\n");
        *out_code = CLI_FAILED;
        return NULL;
    }
    fprintf(stderr, "%.*s%.*s", STR_ARG(text_str(&c->notes)), STR_ARG(text_str(&c->complaints)));
    *out_code = c->misused ? CLI_MISUSED : c->wrong ? CLI_FAILED : CLI_GOOD;
    if (c->wrong)
        config_free(&c);
    return c;
}

int cli_print(struct text *t)
{
    struct str s = text_str(t);
    bool good = !t->failed && fwrite(s.p ? s.p : "", 1, s.n, stdout) == s.n && fflush(stdout) == 0;
    text_free(t);
    return good ? CLI_GOOD : CLI_FAILED;
}

bool cli_colours(int fd)
{
    const char *no = sys_env("NO_COLOR");
    return isatty(fd) && !(no && *no);
}
