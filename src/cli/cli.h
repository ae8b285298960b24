/* cli/cli.h - what can be typed after `ollamamax`. main.c holds the table of commands; one file each below. */
#pragma once
#include "config/config.h"

enum { CLI_GOOD, CLI_FAILED, CLI_MISUSED }; /* exit codes */
struct command {
    const char *name, *args, *says;    /* NULL says: not shown in the short help */
    int (*run)(int argc, char **argv); /* words after the command; returns an exit code */
    const char *flags;                 /* for its --help, a line each; "": the settings; NULL: there are none */
};
/* Runs what argv asks for; the table ends with a row without a name. */
int cli_run(const struct command *commands, int argc, char **argv);

/* NULL, and said on stderr, when something is wrong: *out_code is the exit code. Notes are said too. */
struct config *cli_load(const struct config_args *args, int *out_code);
/* To stdout; CLI_GOOD, or CLI_FAILED when memory was out or nobody takes it. */
int cli_print(struct text *t);
/* May colour be used on this descriptor? (a terminal, no NO_COLOR) */
bool cli_colours(int fd);

int cli_serve(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_simnode(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_simulate(int argc, char **argv);
int cli_replay(const char *file, bool json); /* simulate --replay: 0 if all was ordered as the first time */
int cli_status(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_cache(int argc, char **argv);
int cli_version(int argc, char **argv);
int cli_settings(int argc, char **argv);
