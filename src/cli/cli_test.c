/* The parsing of words, with a table of its own; what is printed is caught in a file. */
#include "base/slab.h"
#include "cli/cli.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int ran, given;
static char *first;

static int run_it(int argc, char **argv)
{
    ran++;
    given = argc;
    first = argc ? argv[0] : NULL;
    return 7;
}
static const struct command commands[] = {
    {"serve",    "[FLAGS]", "the gateway", run_it, ""                              },
    { "version", "",        "the version", run_it, NULL                            },
    { "top",     "",        "at a glance", run_it, "  --once   a flag of its own\n"},
    { "secret",  "",        NULL,          run_it, NULL                            },
    { NULL,      NULL,      NULL,          NULL,   NULL                            },
};

/* Runs these words; what went to stdout and stderr together is in `said`. */
static char said[32768];
static int words(char **v)
{
    int argc = 0, out = dup(1), err = dup(2);
    FILE *f = tmpfile();
    while (v[argc])
        argc++;
    fflush(stdout);
    ran = 0;
    dup2(fileno(f), 1);
    dup2(fileno(f), 2);
    int code = cli_run(commands, argc, v);
    fflush(stdout);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    rewind(f);
    said[fread(said, 1, sizeof said - 1, f)] = 0;
    fclose(f);
    return code;
}
#define type(...) words((char *[]){ "ollamamax", ##__VA_ARGS__, NULL })
static void expect_said(const char *part)
{
    if (!strstr(said, part))
        fail_msg("expected \"%s\", got \"%s\"", part, said);
}

static void a_command_gets_the_words_behind_it(void **state)
{
    assert_int_equal(type("serve", "--node", "a"), 7);
    assert_int_equal(ran, 1);
    assert_int_equal(given, 2);
    assert_string_equal(first, "--node");
    assert_int_equal(type("--version"), 7);
    assert_int_equal(ran, 1);
    assert_int_equal(type("secret"), 7);
}

static void nothing_and_help_are_the_short_help(void **state)
{
    static char *const asked[] = { NULL, "help", "--help", "-h" };
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        assert_int_equal(words((char *[]){ "ollamamax", asked[i], NULL }), CLI_GOOD);
        assert_int_equal(ran, 0);
        expect_said("ollamamax serve [FLAGS]");
        assert_null(strstr(said, "secret"));
    }
}

static void each_command_has_help(void **state)
{
    assert_int_equal(type("serve", "--workers", "x", "--help"), CLI_GOOD);
    assert_int_equal(ran, 0);
    expect_said("--timeouts-connect");
    expect_said("--node NODE");
    assert_int_equal(type("help", "version"), CLI_GOOD);
    expect_said("the version");
    assert_null(strstr(said, "--node"));
    assert_int_equal(type("top", "--once", "--help"), CLI_GOOD);
    expect_said("at a glance.\n\n  --once   a flag of its own\n");
    assert_null(strstr(said, "--node"));
    assert_int_equal(type("help", "versoin"), CLI_MISUSED);
    expect_said("did you mean version?");
}

static void what_is_no_command_is_misuse(void **state)
{
    assert_int_equal(type("serv"), CLI_MISUSED);
    expect_said("there is no command serv; did you mean serve?");
    assert_int_equal(type("--node=gpu1"), CLI_MISUSED);
    expect_said("did you mean ollamamax serve --node=gpu1?");
    assert_int_equal(type("banana"), CLI_MISUSED);
    expect_said("`ollamamax help` lists them");
    assert_int_equal(ran, 0);
}

static void colours_are_for_terminals_that_want_them(void **state)
{
    int fd = fileno(tmpfile());
    assert_false(cli_colours(fd));
    close(fd);
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    buf_pools_done();
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gets_the_words_behind_it),
        cmocka_unit_test(nothing_and_help_are_the_short_help),
        cmocka_unit_test(each_command_has_help),
        cmocka_unit_test(what_is_no_command_is_misuse),
        cmocka_unit_test(colours_are_for_terminals_that_want_them),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
