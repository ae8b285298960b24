#include "net/addr.h"

#include "base/slab.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct addr literal(const char *host, uint16_t port)
{
    struct addr a;
    if (!addr_literal(str_of(host), port, &a))
        fail_msg("no address: %s", host);
    return a;
}

static void expect_text(struct str got, const char *expected)
{
    if (!str_eq(got, str_of(expected)))
        fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(got), expected);
}

static void expect_printed(const struct addr *a, const char *with_port, const char *without)
{
    char out[64];
    size_t n = addr_text(a, out);
    expect_text((struct str){ out, n }, with_port);
    n = addr_host_text(a, out);
    expect_text((struct str){ out, n }, without);
}

static void literals_are_printed_as_they_were(void **state)
{
    struct addr a = literal("127.0.0.1", 80);
    expect_printed(&a, "127.0.0.1:80", "127.0.0.1");
    a = literal("::1", 80);
    expect_printed(&a, "[::1]:80", "::1");
    a = literal("[2001:DB8::0:1]", 65535);
    expect_printed(&a, "[2001:db8::1]:65535", "2001:db8::1");
    a = literal("fe80:1111:2222:3333:4444:5555:6666:7777%4294967295", 65535);
    expect_printed(&a, "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535",
                   "fe80:1111:2222:3333:4444:5555:6666:7777%4294967295");
    a = literal("::ffff:255.255.255.255", 1);
    expect_printed(&a, "[::ffff:255.255.255.255]:1", "::ffff:255.255.255.255");
}

static void a_scope_by_name(void **state)
{
    struct addr a = literal("fe80::1%lo", 80);
    assert_true(a.v6.sin6_scope_id > 0);
}

static void not_literals(void **state)
{
    static const char *const bad[] = { "",
                                       "gpu1",
                                       "1.2.3",
                                       "1.2.3.4.5",
                                       "256.1.1.1",
                                       "01.2.3.4x",
                                       "1.2.3.4:80",
                                       "[1.2.3.4]",
                                       "[::1",
                                       "::1]",
                                       ":::",
                                       "::1%",
                                       "1::2::3",
                                       "::g",
                                       "[]",
                                       "[::1]:80",
                                       "::1%no-such-interface-here",
                                       "::1%4294967296",
                                       " 1.2.3.4" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct addr a;
        if (addr_literal(str_of(bad[i]), 80, &a))
            fail_msg("accepted \"%s\"", bad[i]);
    }
}

static void loopback(void **state)
{
    static const char *const yes[] = { "127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1" };
    static const char *const no[] = { "128.0.0.1", "0.0.0.0", "::", "::2", "::ffff:10.0.0.1", "::127.0.0.1" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        struct addr a = literal(yes[i], 1);
        assert_true(addr_is_loopback(&a));
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        struct addr a = literal(no[i], 1);
        assert_false(addr_is_loopback(&a));
    }
}

static void equal(void **state)
{
    struct addr a = literal("10.0.0.1", 80), b = literal("10.0.0.1", 80), c = literal("10.0.0.1", 81),
                d = literal("10.0.0.2", 80);
    struct addr e = literal("fe80::1%1", 80), f = literal("fe80::1%2", 80), g = literal("fe80::1%1", 80),
                h = literal("::", 80);
    assert_true(addr_eq(&a, &b) && addr_eq(&e, &g));
    assert_false(addr_eq(&a, &c) || addr_eq(&a, &d) || addr_eq(&a, &e) || addr_eq(&e, &f) || addr_eq(&e, &h));
    assert_int_equal(addr_port(&c), 81);
    assert_int_equal(addr_port(&h), 80);
}

static void what_listen_takes(void **state)
{
    static const struct {
        const char *text, *bound;
    } rows[] = {
        {"127.0.0.1:13100", "127.0.0.1:13100"},
        { "0.0.0.0:80",     "0.0.0.0:80"     },
        { "[::1]:80",       "[::1]:80"       },
        { "[::]:80",        "[::]:80"        },
        { ":80",            "[::]:80"        },
        { "*:80",           "[::]:80"        },
        { "*",              "[::]:13100"     },
        { "80",             "127.0.0.1:80"   },
        { "0",              "127.0.0.1:0"    },
        { "localhost:80",   "127.0.0.1:80"   },
        { "LocalHost",      "127.0.0.1:13100"},
        { "10.0.0.1",       "10.0.0.1:13100" },
        { "::1",            "[::1]:13100"    },
        { "[::1]",          "[::1]:13100"    },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a;
        char out[64];
        if (!addr_listen(str_of(rows[i].text), 13100, &a))
            fail_msg("refused \"%s\"", rows[i].text);
        size_t n = addr_text(&a, out);
        expect_text((struct str){ out, n }, rows[i].bound);
    }
    static const char *const bad[] = { "",
                                       ":",
                                       "gpu1:80",
                                       "gpu1",
                                       "127.0.0.1:",
                                       "127.0.0.1:65536",
                                       "127.0.0.1:x",
                                       "65536",
                                       "-1",
                                       "127.0.0.1:80:80",
                                       "http://127.0.0.1:80",
                                       "[::1",
                                       "[::1]80",
                                       "[127.0.0.1]:80",
                                       "127.0.0.1:80 ",
                                       ":+80",
                                       "[*]:80" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct addr a;
        if (addr_listen(str_of(bad[i]), 13100, &a))
            fail_msg("accepted \"%s\"", bad[i]);
    }
}

static void authorities(void **state)
{
    static const struct {
        const char *text, *host, *port;
    } rows[] = {
        {"gpu1",              "gpu1",          ""  },
        { "gpu1:80",          "gpu1",          "80"},
        { "gpu1:",            "gpu1",          ""  },
        { "1.2.3.4:1",        "1.2.3.4",       "1" },
        { "[::1]",            "::1",           ""  },
        { "[::1]:80",         "::1",           "80"},
        { "",                 "",              ""  },
        { ":80",              "",              "80"},
        { "a%41b",            "a%41b",         ""  },
        { "a~!$&'()*+,;=",    "a~!$&'()*+,;=", ""  },
        { "[fe80::1%eth0]:1", "fe80::1%eth0",  "1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str host, port;
        if (!addr_authority(str_of(rows[i].text), &host, &port))
            fail_msg("refused \"%s\"", rows[i].text);
        expect_text(host, rows[i].host);
        expect_text(port, rows[i].port);
    }
    static const char *const bad[] = { "a b",        "u@a",  "a/b",     "a?b",  "a#b",   "a:b",   "a:80:80",
                                       "a:65536",    "a:-1", "::1",     "[::1", "[]",    "[a]",   "[::1]a",
                                       "[::1]:x",    "a%4",  "a%",      "a%zz", "a\x80", "a\x01", "[::1%]",
                                       "[::1%\x01]", "a:+1", "[[::1]]", "a]",   "a: 1" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct str host, port;
        if (addr_authority(str_of(bad[i]), &host, &port))
            fail_msg("accepted \"%s\"", bad[i]);
    }
}

static const struct {
    const char *text, *whole;
} urls[] = {
    {"gpu1",                     "http://gpu1:11434"                },
    { "gpu1:8080",               "http://gpu1:8080"                 },
    { "gpu1/",                   "http://gpu1:11434"                },
    { "http://gpu1",             "http://gpu1:80"                   },
    { "https://gpu1",            "https://gpu1:443"                 },
    { "HTTPS://GPU1:1/",         "https://GPU1:1"                   },
    { "http://[fe80::1]:11434/", "http://[fe80::1]:11434"           },
    { "[::1]",                   "http://[::1]:11434"               },
    { "::1",                     "http://[::1]:11434"               },
    { "fe80::1%eth0",            "http://[fe80::1%eth0]:11434"      },
    { "https://h/prefix",        "https://h:443/prefix"             },
    { "https://h/a/b//",         "https://h:443/a/b"                },
    { "h:1/a%20b",               "http://h:1/a%20b"                 },
    { "0.0.0.0",                 "http://0.0.0.0:11434"             },
    { ":8080",                   "http://127.0.0.1:8080"            },
    { "my-gpu_2.example.org",    "http://my-gpu_2.example.org:11434"},
};

static void node_urls(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct url u;
        struct arena a;
        if (!url_parse(str_of(urls[i].text), &u))
            fail_msg("refused \"%s\"", urls[i].text);
        arena_init(&a);
        expect_text(url_text(&a, &u), urls[i].whole);
        arena_done(&a);
    }
}

static void the_parts_of_a_url(void **state)
{
    struct url u;
    assert_true(url_parse(STR("https://[::1]:8443/p/"), &u));
    assert_true(u.tls);
    expect_text(u.host, "::1");
    assert_int_equal(u.port, 8443);
    expect_text(u.prefix, "/p");
    assert_true(url_parse(STR("gpu1"), &u));
    assert_false(u.tls);
    expect_text(u.prefix, "");
}

static void not_urls(void **state)
{
    static const char *const bad[] = {
        "",       "/",         "http://", "http:///x", "ftp://h", "h:",    "h:0", "h:65536", "h:x",  "http://u:p@h/",
        "h/a b",  "h/?q",      "h#f",     "h?q",       " h",      "h ",    "a,b", "[h]",     "[::1", "h\x01",
        "h/\x80", "g\xc3\xbc", "http:/h", "http//h",   "://h",    "a%41b", ":"
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct url u;
        if (url_parse(str_of(bad[i]), &u))
            fail_msg("accepted \"%s\"", bad[i]);
    }
}

static void url_text_without_memory(void **state)
{
    struct url u;
    struct arena a;
    assert_true(url_parse(STR("gpu1"), &u));
    arena_init(&a);
    memory_fail_at(1);
    assert_null(url_text(&a, &u).p);
    memory_fail_at(0);
    arena_done(&a);
}

static int pools_up(void **state)
{
    arena_pools_init();
    return 0;
}
static int pools_down(void **state)
{
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_printed_as_they_were),
        cmocka_unit_test(a_scope_by_name),
        cmocka_unit_test(not_literals),
        cmocka_unit_test(loopback),
        cmocka_unit_test(equal),
        cmocka_unit_test(what_listen_takes),
        cmocka_unit_test(authorities),
        cmocka_unit_test(node_urls),
        cmocka_unit_test(the_parts_of_a_url),
        cmocka_unit_test(not_urls),
        cmocka_unit_test(url_text_without_memory),
    };
    return cmocka_run_group_tests(tests, pools_up, pools_down);
}
