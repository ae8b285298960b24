/* The words that describe simulated nodes, and what a wrong one is answered. */
#include "base/slab.h"
#include "cli/cli.h"
#include "cli/simnode.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static void models_with_and_without_size(void **state)
{
    struct simnode_model m;
    assert_true(simnode_model_read(STR("llama3.2"), &m));
    assert_true(str_eq(m.name, STR("llama3.2")));
    assert_int_equal(m.size, 0);
    assert_true(simnode_model_read(STR("hf.co/ns/m:Q4=1.5GiB"), &m));
    assert_true(str_eq(m.name, STR("hf.co/ns/m:Q4")));
    assert_int_equal(m.size, 3ull << 29);
    assert_false(simnode_model_read(STR(""), &m));
    assert_false(simnode_model_read(STR("a b"), &m));
    assert_false(simnode_model_read(STR("m=large"), &m));
}

static char said[4096];
static int words(char **v)
{
    int argc = 0, err = dup(2);
    FILE *f = tmpfile();
    while (v[argc])
        argc++;
    fflush(stderr);
    dup2(fileno(f), 2);
    int code = cli_simnode(argc, v);
    fflush(stderr);
    dup2(err, 2);
    close(err);
    rewind(f);
    said[fread(said, 1, sizeof said - 1, f)] = 0;
    fclose(f);
    return code;
}
#define type(...) words((char *[]){ __VA_ARGS__, NULL })

static void wrong_words_are_named(void **state)
{
    assert_int_equal(type("--modle", "m"), CLI_MISUSED);
    assert_non_null(strstr(said, "did you mean --model?"));
    assert_int_equal(type("--slots", "none"), CLI_MISUSED);
    assert_non_null(strstr(said, "--slots wants a number"));
    assert_int_equal(type("--slots=0"), CLI_MISUSED);
    assert_int_equal(type("--kind=gpt"), CLI_MISUSED);
    assert_non_null(strstr(said, "ollama, llamacpp, vllm or openai"));
    assert_int_equal(type("--load-rate", "2GiB"), CLI_MISUSED);
    assert_int_equal(type("--decode"), CLI_MISUSED);
    assert_int_equal(type("model"), CLI_MISUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_with_and_without_size),
        cmocka_unit_test(wrong_words_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
