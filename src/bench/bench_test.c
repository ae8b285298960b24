/* The words behind `bench`: wrong ones are refused before anything is started. */
#include "bench/bench.h"

#include "base/arena.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int exit_of(char **words)
{
    int n = 0;

    while (words[n])
        n++;
    return bench_run(n, words);
}

static void wrong_words_are_misuse(void **state)
{
    assert_int_equal(exit_of((char *[]){ "nothing", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--fast", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--rounds", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--rounds", "0", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--rounds=51", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--rounds=3x", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--peers", "caddy", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--peers=", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--json=", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "--gateway", "/nowhere/at/all", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "cache", "--trace=/nowhere/a.lis", "--capacity=5", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "cache", "--trace=/dev/null", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "cache", "--capacity=5", NULL }), 2);
    assert_int_equal(exit_of((char *[]){ "cache", "--shards=17", NULL }), 2);
}

static void help_is_good(void **state)
{
    assert_int_equal(exit_of((char *[]){ "help", NULL }), 0);
}

static void a_gateway_that_does_not_start_is_a_failure(void **state)
{
    char *words[] = { "overhead", "--quick", "--peers=none", "--rounds=1", "--gateway=/bin/false", NULL };

    arena_pools_init();
    buf_pools_init();
    assert_int_equal(exit_of(words), 1);
    buf_pools_done();
    arena_pools_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_are_misuse),
        cmocka_unit_test(help_is_good),
        cmocka_unit_test(a_gateway_that_does_not_start_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
