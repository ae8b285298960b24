/* cli/check.c - what would be in force, and where each value comes from; the page of settings made from the same table.
 */
#include "cli/cli.h"
#include <stdio.h>

static void put_file(const struct config *c, struct text *t)
{
    if (c->file.n)
        text_printf(t, "# file: %.*s\n", STR_ARG(c->file));
    else
        text_put(t, STR("# no configuration file\n"));
}

int cli_check(int argc, char **argv)
{
    struct config_args args = { .argc = argc, .argv = argv, .takes_file = true };
    struct text t = { 0 };
    int code;
    struct config *c = cli_load(&args, &code);
    if (!c)
        return code;
    put_file(c, &t);
    config_print(c, &t);
    config_free(&c);
    return cli_print(&t);
}

int cli_settings(int argc, char **argv)
{
    struct text t = { 0 };
    settings_page(&t);
    return cli_print(&t);
}
