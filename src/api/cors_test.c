#include "api/cors.h"
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum cors_verdict judge(const char *configured, const char *origin, const char *host)
{
    struct cors c;
    assert_int_equal(cors_init(&c, str_of(configured)), OK);
    enum cors_verdict v = cors_judge(&c, str_of(origin), str_of(host));
    cors_done(&c);
    return v;
}

static void the_built_in_list_is_ollamas(void **state)
{
    static const char *const allowed[] = {
        "http://localhost",
        "https://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:1",
        "http://0.0.0.0:8080",
        "app://obsidian.md",
        "file://",
        "tauri://localhost",
        "vscode-webview://1a2b3c",
        "vscode-file://vscode-app",
        "HTTP://LocalHost:5173",
    };
    static const char *const refused[] = {
        "http://example.com",
        "https://localhost.evil.com",
        "http://127.0.0.2",
        "null",
        "ftp://localhost",
        "http://localhos",
        "vscode://x",
        "http://evil.com:localhost",
        "app:/x",
        "https://myapp://x",
    };
    for (unsigned i = 0; i < ARRAY_LEN(allowed); i++)
        assert_int_equal(judge("", allowed[i], "gateway:13100"), CORS_ALLOWED);
    for (unsigned i = 0; i < ARRAY_LEN(refused); i++)
        assert_int_equal(judge("", refused[i], "gateway:13100"), CORS_REFUSED);
}

static void no_origin_and_our_own_are_no_matter(void **state)
{
    assert_int_equal(judge("", "", "gateway:13100"), CORS_NONE);
    assert_int_equal(judge("", NULL, "gateway:13100"), CORS_NONE);
    assert_int_equal(judge("", "http://gateway:13100", "gateway:13100"), CORS_NONE);
    assert_int_equal(judge("", "https://Gateway:13100", "gateway:13100"), CORS_NONE);
    assert_int_equal(judge("", "http://gateway", "gateway:13100"), CORS_REFUSED);
    assert_int_equal(judge("", "http://", ""), CORS_REFUSED);
}

static void configured_patterns_count(void **state)
{
    const char *list = " https://chat.example.com , https://*.corp.example,http://10.0.0.*,, *://any.test";
    static const char *const allowed[] = { "https://chat.example.com", "https://a.b.corp.example", "http://10.0.0.7:80",
                                           "gopher://any.test", "http://localhost:1" };
    static const char *const refused[] = { "http://chat.example.com", "https://chat.example.com:8443",
                                           "https://corp.example", "http://10.0.1.7", "https://x.corp.example.net" };
    for (unsigned i = 0; i < ARRAY_LEN(allowed); i++)
        assert_int_equal(judge(list, allowed[i], "h"), CORS_ALLOWED);
    for (unsigned i = 0; i < ARRAY_LEN(refused); i++)
        assert_int_equal(judge(list, refused[i], "h"), CORS_REFUSED);
}

static void before_and_behind_a_star_do_not_overlap(void **state)
{
    assert_int_equal(judge("http://aXa*Xa", "http://aXa", "h"), CORS_REFUSED);
    assert_int_equal(judge("http://aXa*Xa", "http://aXaXa", "h"), CORS_ALLOWED);
}

static void a_star_alone_is_everyone(void **state)
{
    char out[CORS_ROOM];
    struct cors c;
    assert_int_equal(cors_init(&c, STR("http://a,*")), OK);
    assert_int_equal(cors_judge(&c, STR("null"), STR("h")), CORS_ALLOWED);
    struct str lines = str_span(out, cors_headers(&c, STR("null"), false, out));
    assert_true(str_starts(lines, STR("Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ")));
    assert_int_equal(str_find(lines, STR("Vary")), -1);
    cors_done(&c);
}

static void two_stars_are_a_wrong_setting(void **state)
{
    struct cors c;
    assert_int_equal(cors_init(&c, STR("http://*.a.*")), FAIL_bad_setting);
    cors_done(&c);
}

static void an_ordinary_answer_names_the_origin(void **state)
{
    char out[CORS_ROOM];
    struct cors c;
    assert_int_equal(cors_init(&c, STR_NONE), OK);
    struct str lines = str_span(out, cors_headers(&c, STR("http://localhost:3000"), false, out));
    assert_true(str_starts(lines, STR("Access-Control-Allow-Origin: http://localhost:3000\r\nVary: Origin\r\n")));
    assert_true(str_find(lines, STR("X-OllamaMax-Node")) > 0);
    assert_int_equal(str_find(lines, STR("Allow-Methods")), -1);
    assert_int_equal(str_find(lines, STR("Credentials")), -1);
    assert_true(str_ends(lines, STR("\r\n")));
    cors_done(&c);
}

static void a_preflight_allows_what_clients_send(void **state)
{
    static const char *const wanted[] = { "Access-Control-Max-Age: 43200\r\n",
                                          "Access-Control-Allow-Methods: GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS\r\n",
                                          "Authorization,",
                                          "x-stainless-retry-count,",
                                          "OpenAI-Beta,",
                                          "anthropic-dangerous-direct-browser-access,",
                                          "Vary: Access-Control-Request-Headers\r\n" };
    char out[CORS_ROOM];
    struct cors c;
    assert_int_equal(cors_init(&c, STR_NONE), OK);
    struct str lines = str_span(out, cors_headers(&c, STR("app://x"), true, out));
    for (unsigned i = 0; i < ARRAY_LEN(wanted); i++)
        assert_true(str_find(lines, str_of(wanted[i])) > 0);
    cors_done(&c);
}

static void the_longest_origin_fits_and_longer_is_refused(void **state)
{
    char out[CORS_ROOM], origin[CORS_ORIGIN_MAX + 1] = "app://";
    struct cors c;
    assert_int_equal(cors_init(&c, STR_NONE), OK);
    memset(origin + 6, 'x', sizeof origin - 6);
    struct str most = { origin, CORS_ORIGIN_MAX }, more = { origin, CORS_ORIGIN_MAX + 1 };
    assert_int_equal(cors_judge(&c, most, STR("h")), CORS_ALLOWED);
    assert_int_equal(cors_judge(&c, more, STR("h")), CORS_REFUSED);
    assert_in_range(cors_headers(&c, most, true, out) - out, 1000, CORS_ROOM);
    assert_in_range(cors_headers(&c, most, false, out) - out, 300, CORS_ROOM);
    cors_done(&c);
}

static void memory_may_be_out_at_any_time(void **state)
{
    struct cors c;
    memory_fail_at(1);
    assert_int_equal(cors_init(&c, STR("http://a")), FAIL_no_memory);
    memory_fail_at(0);
    cors_done(&c);
}

static int begin(void **state)
{
    arena_pools_init();
    return 0;
}

static int end(void **state)
{
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_list_is_ollamas),
        cmocka_unit_test(no_origin_and_our_own_are_no_matter),
        cmocka_unit_test(configured_patterns_count),
        cmocka_unit_test(before_and_behind_a_star_do_not_overlap),
        cmocka_unit_test(a_star_alone_is_everyone),
        cmocka_unit_test(two_stars_are_a_wrong_setting),
        cmocka_unit_test(an_ordinary_answer_names_the_origin),
        cmocka_unit_test(a_preflight_allows_what_clients_send),
        cmocka_unit_test(the_longest_origin_fits_and_longer_is_refused),
        cmocka_unit_test(memory_may_be_out_at_any_time),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
