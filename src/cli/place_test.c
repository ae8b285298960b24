/* Which gateway is meant by what was typed. */
#include "cli/place.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct place at;
static int code;

static bool find(char **words)
{
    int n = 0;
    while (words[n])
        n++;
    return place_find(&n, words, &at, &code);
}
#define find(...) find((char *[]){ __VA_ARGS__, NULL })

static void reads_urls(void **unused)
{
    assert_true(find("--url", "http://127.0.0.1:8080/gate/"));
    assert_string_equal(at.host, "127.0.0.1:8080");
    assert_string_equal(at.prefix, "/gate");
    assert_string_equal(at.url, "http://127.0.0.1:8080/gate");
    assert_true(find("--url=127.0.0.1", "--key", "secret"));
    assert_string_equal(at.host, "127.0.0.1:13100");
    assert_string_equal(at.key, "secret");
    assert_true(find("--url", "http://127.0.0.1"));
    assert_int_equal(addr_port(&at.at), 80);
    assert_true(find("--url", "http://[::1]:7"));
    assert_string_equal(at.url, "http://[::1]:7");
}

static void takes_the_settings_otherwise(void **unused)
{
    assert_true(find("--listen", "0.0.0.0:4242", "--admin-key", "k"));
    assert_string_equal(at.url, "http://127.0.0.1:4242");
    assert_string_equal(at.key, "k");
}

static void refuses(void **unused)
{
    assert_false(find("--url", "https://gate"));
    assert_int_equal(code, CLI_MISUSED);
    assert_false(find("--url"));
    assert_false(find("--url", "http://a b"));
    assert_false(find("--url", "http://no.such.name.invalid:1"));
    assert_false(find("--wrong", "1"));
    assert_int_equal(code, CLI_MISUSED);
}

static void takes_words_out(void **unused)
{
    char *words[] = { "--a", "--once", "--b=1", "--c", "2", "x" };
    int n = ARRAY_LEN(words);
    const char *value = NULL;
    assert_true(words_take(&n, words, "--once"));
    assert_false(words_take(&n, words, "--once"));
    assert_true(words_take_value(&n, words, "--b", &value));
    assert_string_equal(value, "1");
    assert_true(words_take_value(&n, words, "--c", &value));
    assert_string_equal(value, "2");
    assert_int_equal(n, 2);
    assert_string_equal(words[1], "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_urls),
        cmocka_unit_test(takes_the_settings_otherwise),
        cmocka_unit_test(refuses),
        cmocka_unit_test(takes_words_out),
    };
    arena_pools_init();
    buf_pools_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    arena_pools_done();
    return failed;
}
