/* config/config_fixture.h - for the tests of this room: an environment without our variables, a file to be written, and
 * a configuration read from words. */
#pragma once
#include "base/slab.h"
#include "config/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char fixture_file[] = "/tmp/ollamamax_config_XXXXXX";

static inline void fixture_clean_environment(void)
{
    char name[SETTING_NAME_ROOM];
    unsetenv("OLLAMA_HOST");
    unsetenv("OLLAMA_ORIGINS");
    unsetenv("OLLAMAMAX_CONFIG");
    unsetenv("REDIS_URL");
    for (size_t i = 0; i < SETTING_COUNT; i++)
        for (unsigned nth = 0; setting_variable(&settings[i], nth, name); nth++)
            unsetenv(name);
}

static inline int fixture_begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    fixture_clean_environment();
    int fd = mkstemp(fixture_file);
    close(fd);
    return fd < 0 ? -1 : 0;
}

static inline int fixture_end(void **state)
{
    unlink(fixture_file);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static inline int fixture_each(void **state)
{
    fixture_clean_environment();
    return 0;
}

static inline void fixture_write(const char *text)
{
    assert_int_equal(sys_write_file(fixture_file, str_of(text)), OK);
}

/* Flags up to NULL. */
static inline struct config *fixture_load_words(char **words, bool takes_file)
{
    struct config_args args = { .argv = words, .takes_file = takes_file };
    while (words[args.argc])
        args.argc++;
    struct config *c = config_load(&args);
    assert_non_null(c);
    return c;
}
#define load_flags(...) fixture_load_words((char *[]){ __VA_ARGS__, NULL }, false)
static inline struct config *load_file(const char *text)
{
    fixture_write(text);
    return load_flags("--config", fixture_file);
}

static inline void expect_good(const struct config *c)
{
    if (c->wrong)
        fail_msg("%.*s", STR_ARG(text_str(&c->complaints)));
}

/* The complaint begins with the file and this line, and says this. */
static inline void expect_file_complaint(const char *text, unsigned line, const char *says)
{
    char begin[64];
    struct config *c = load_file(text);
    snprintf(begin, sizeof begin, "%s:%u: ", fixture_file, line);
    struct str got = text_str(&c->complaints);
    if (c->wrong != 1 || !str_starts(got, str_of(begin)) || str_find(got, str_of(says)) < 0)
        fail_msg("expected %s%s, got %u: %.*s", begin, says, c->wrong, STR_ARG(got));
    assert_false(c->misused);
    config_free(&c);
}
