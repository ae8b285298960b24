/* Each input is parsed from a block of exactly its size, so that a sanitizer sees one byte read too many, and at every
 * cut: a shorter input may only be told to wait, or what the whole is told. */
#include "net/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LIMIT KIB(64)
typedef enum http_parse parser(struct str in, size_t limit, struct http_head *out, enum fail *why);

/* The block of the last head parsed; its strings point there until the next. */
static char *block;

static struct str in_block(struct str in)
{
    free(block);
    block = malloc(in.n ? in.n : 1);
    assert_non_null(block);
    if (in.n)
        memcpy(block, in.p, in.n);
    return (struct str){ block, in.n };
}

struct verdict {
    enum http_parse parse;
    enum fail why;
    size_t bytes;
};
static struct verdict verdict_of(parser *parse, struct str in, size_t limit, struct http_head *h)
{
    enum fail why = OK;
    enum http_parse got = parse(in_block(in), limit, h, &why);
    return (struct verdict){ got, why, got == HTTP_DONE ? h->bytes : 0 };
}

static void expect_same_at_every_cut(parser *parse, struct str in, size_t limit)
{
    static struct http_head h;
    struct verdict whole = verdict_of(parse, in, limit, &h);
    for (size_t n = 0; n < in.n; n++) {
        struct verdict cut = verdict_of(parse, str_take(in, n), limit, &h);
        if (cut.parse == HTTP_MORE)
            assert_true(whole.parse != HTTP_DONE || n < whole.bytes);
        else
            assert_memory_equal(&cut, &whole, sizeof cut);
    }
}

static void expect_done(parser *parse, struct str in, struct http_head *h)
{
    expect_same_at_every_cut(parse, in, LIMIT);
    struct verdict v = verdict_of(parse, in, LIMIT, h);
    if (v.parse != HTTP_DONE)
        fail_msg("not done (%d, %.*s): %.*s", v.parse, STR_ARG(fail_name(v.why)), STR_ARG(in));
}

static void expect_bad(parser *parse, struct str in, enum fail why)
{
    static struct http_head h;
    expect_same_at_every_cut(parse, in, LIMIT);
    struct verdict v = verdict_of(parse, in, LIMIT, &h);
    if (v.parse != HTTP_BAD || v.why != why)
        fail_msg("%s (%.*s): %.*s", v.parse == HTTP_BAD ? "bad, but otherwise" : "not bad", STR_ARG(fail_name(v.why)),
                 STR_ARG(in));
}

static void expect_text(struct str got, const char *expected)
{
    assert_non_null(got.p);
    if (!str_eq(got, str_of(expected)))
        fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(got), expected);
}

static void reads_a_request(void **state)
{
    static struct http_head h;
    struct str in =
        STR("POST /api/chat?a=1&b HTTP/1.1\r\nHost: gpu1:11434\r\ncontent-length:5\r\nX-Thing: \t a b \t\r\nEmpty:\r\n"
            "Blank:  \t\r\n\r\nhello");
    expect_done(http_parse_request, in, &h);
    assert_int_equal(h.method, M_POST);
    expect_text(h.method_text, "POST");
    expect_text(h.target, "/api/chat?a=1&b");
    expect_text(h.path, "/api/chat");
    expect_text(h.query, "a=1&b");
    assert_null(h.authority.p);
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.bytes, in.n - 5);
    assert_int_equal(h.n, 5);
    expect_text(h.field[0].name, "Host");
    expect_text(h.field[0].value, "gpu1:11434");
    expect_text(h.field[1].name, "content-length");
    expect_text(h.field[1].value, "5");
    expect_text(h.field[2].value, "a b");
    expect_text(h.field[3].value, "");
    expect_text(h.field[4].value, "");
    assert_int_equal(h.field[1].id, H_CONTENT_LENGTH);
    assert_int_equal(h.field[2].id, H_OTHER);
    expect_text(http_get(&h, H_HOST), "gpu1:11434");
    assert_null(http_get(&h, H_COOKIE).p);
    assert_true(http_has(&h, H_CONTENT_LENGTH) && http_has(&h, H_HOST) && !http_has(&h, H_COOKIE));
}

static void a_head_without_fields(void **state)
{
    static struct http_head h;
    expect_done(http_parse_request, STR("GET / HTTP/1.0\r\n\r\n"), &h);
    assert_int_equal(h.n, 0);
    assert_int_equal(h.minor, 0);
    assert_null(h.query.p);
    assert_int_equal(h.seen, 0);
}

static void nothing_is_left_of_the_head_before(void **state)
{
    static struct http_head h;
    expect_done(http_parse_request, STR("OPTIONS http://a:1/x?y HTTP/1.1\r\nHost: a\r\nCookie: c\r\n\r\n"), &h);
    expect_done(http_parse_request, STR("GET /z HTTP/1.0\r\nVia: v\r\n\r\n"), &h);
    assert_null(h.query.p);
    assert_null(h.authority.p);
    assert_int_equal(h.n, 1);
    assert_false(http_has(&h, H_COOKIE));
    assert_null(http_get(&h, H_HOST).p);
}

static void the_first_of_equal_fields_is_got(void **state)
{
    static struct http_head h;
    expect_done(http_parse_request, STR("GET / HTTP/1.1\r\nAccept: one\r\nACCEPT: two\r\n\r\n"), &h);
    expect_text(http_get(&h, H_ACCEPT), "one");
    assert_int_equal(h.n, 2);
}

static void empty_lines_before_a_request(void **state)
{
    static struct http_head h;
    expect_done(http_parse_request, STR("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), &h);
    assert_int_equal(h.bytes, 22);
    expect_text(h.method_text, "GET");
    expect_bad(http_parse_request, STR("\nGET / HTTP/1.1\r\n\r\n"), FAIL_bad_request);
    expect_bad(http_parse_request, STR("\rGET / HTTP/1.1\r\n\r\n"), FAIL_bad_request);
    expect_bad(http_parse_response, STR("\r\nHTTP/1.1 200 OK\r\n\r\n"), FAIL_bad_request);
}

static void known_names_in_any_case(void **state)
{
    static const char *const known[] = {
#define HEADER(id, name) name,
#include "net/http_head.def"
#undef HEADER
    };
    for (unsigned id = H_OTHER + 1; id < H_COUNT; id++)
        for (int change = 0; change < 3; change++) {
            static struct http_head h;
            char name[64], text[128];
            size_t n = strlen(known[id]);
            for (size_t i = 0; i <= n; i++) {
                bool letter = (unsigned)((known[id][i] | 0x20) - 'a') < 26;
                assert_true(letter || known[id][i] == '-' || i == n);
                name[i] = (char)(known[id][i] ^ (letter && change == 1 ? 0x20 : 0) ^
                                 (letter && change == 2 ? (i & 1) << 5 : 0));
            }
            snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s: v\r\n\r\n", name);
            expect_done(http_parse_request, str_of(text), &h);
            assert_int_equal(h.field[0].id, id);
            expect_text(http_get(&h, id), "v");
        }
}

/* One letter more, less or other than a known name is not that name. */
static void names_that_are_nearly_known(void **state)
{
    static const char *const other[] = { "Hos",
                                         "Hostt",
                                         "Hosu",
                                         "Gost",
                                         "H",
                                         "Content-Lengt",
                                         "Content-Length2",
                                         "Content_Length",
                                         "Content-Mength",
                                         "T",
                                         "TF",
                                         "Transfer.Encoding",
                                         "Transfer-Encodinh",
                                         "Dbte",
                                         "Ag",
                                         "X-Ollamamax-Attemptt",
                                         "a",
                                         "Connectiom" };
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        static struct http_head h;
        char text[128];
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s: v\r\n\r\n", other[i]);
        expect_done(http_parse_request, str_of(text), &h);
        assert_int_equal(h.field[0].id, H_OTHER);
        assert_int_equal(h.seen, 1);
    }
}

static const struct {
    const char *method, *target, *path, *query, *authority;
} forms[] = {
    {"GET",      "/",                              "/",                NULL,  NULL        },
    { "GET",     "/?",                             "/",                "",    NULL        },
    { "GET",     "/a?b?c",                         "/a",               "b?c", NULL        },
    { "GET",     "/a%20b/../c//d;e",               "/a%20b/../c//d;e", NULL,  NULL        },
    { "GET",     "/a{b}|c^\"d",                    "/a{b}|c^\"d",      NULL,  NULL        },
    { "GET",     "//evil/x",                       "//evil/x",         NULL,  NULL        },
    { "GET",     "http://gpu1:11434/api/tags?x=1", "/api/tags",        "x=1", "gpu1:11434"},
    { "GET",     "HTTPS://[::1]:80/",              "/",                NULL,  "[::1]:80"  },
    { "GET",     "http://gpu1",                    "/",                NULL,  "gpu1"      },
    { "GET",     "http://gpu1?x",                  "/",                "x",   "gpu1"      },
    { "OPTIONS", "http://gpu1",                    "*",                NULL,  "gpu1"      },
    { "OPTIONS", "http://gpu1?x",                  "/",                "x",   "gpu1"      },
    { "OPTIONS", "*",                              "*",                NULL,  NULL        },
    { "OPTIONS", "/api",                           "/api",             NULL,  NULL        },
    { "CONNECT", "gpu1:443",                       NULL,               NULL,  "gpu1:443"  },
    { "CONNECT", "[::1]:443",                      NULL,               NULL,  "[::1]:443" },
    { "BREW",    "/coffee",                        "/coffee",          NULL,  NULL        },
    { "get",     "/",                              "/",                NULL,  NULL        },
};

static void expect_text_or_none(struct str got, const char *expected)
{
    if (expected)
        expect_text(got, expected);
    else
        assert_null(got.p);
}

static void the_four_forms_of_a_target(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        static struct http_head h;
        char text[256];
        snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: h\r\n\r\n", forms[i].method, forms[i].target);
        expect_done(http_parse_request, str_of(text), &h);
        expect_text(h.method_text, forms[i].method);
        expect_text(h.target, forms[i].target);
        expect_text_or_none(h.path, forms[i].path);
        expect_text_or_none(h.query, forms[i].query);
        expect_text_or_none(h.authority, forms[i].authority);
    }
}

static void targets_refused(void **state)
{
    static const char *const lines[] = {
        "GET  / HTTP/1.1",
        "GET / / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /a\x01 HTTP/1.1",
        "GET /a\x7f HTTP/1.1",
        "GET /a\x80 HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "GET a HTTP/1.1",
        "GET api/tags HTTP/1.1",
        "GET ftp://h/ HTTP/1.1",
        "GET http:/h/ HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://u@h/ HTTP/1.1",
        "GET http://h:x/ HTTP/1.1",
        "GET http://h:65536/ HTTP/1.1",
        "GET http://[::1/ HTTP/1.1",
        "GET http://:80/ HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT gpu1 HTTP/1.1",
        "CONNECT gpu1: HTTP/1.1",
        "CONNECT http://h:1/ HTTP/1.1",
        "CONNECT :443 HTTP/1.1",
        "GET gpu1:443 HTTP/1.1",
        "GET ? HTTP/1.1",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char text[256];
        snprintf(text, sizeof text, "%s\r\nHost: h\r\n\r\n", lines[i]);
        expect_bad(http_parse_request, str_of(text), FAIL_bad_request);
    }
}

static void request_lines_refused(void **state)
{
    static const char *const lines[] = {
        "GET /",
        "GET / ",
        "GET",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.",
        "GET / HTTP/1.1x",
        "GET / http/1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP /1.1",
        "GET / HTTPS/1.1",
        "GET /  HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET: / HTTP/1.1",
        "\"GET\" / HTTP/1.1",
        "GET / HTTP/-1.1",
        "GET / HTTP/a.1",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char text[256];
        snprintf(text, sizeof text, "%s\r\nHost: h\r\n\r\n", lines[i]);
        expect_bad(http_parse_request, str_of(text), FAIL_bad_request);
    }
}

static void versions(void **state)
{
    static struct http_head h;
    expect_done(http_parse_request, STR("GET / HTTP/1.0\r\n\r\n"), &h);
    assert_int_equal(h.minor, 0);
    expect_done(http_parse_request, STR("GET / HTTP/1.7\r\n\r\n"), &h);
    assert_int_equal(h.minor, 1);
    expect_bad(http_parse_request, STR("GET / HTTP/0.9\r\n\r\n"), FAIL_bad_version);
    expect_bad(http_parse_request, STR("GET / HTTP/3.0\r\n\r\n"), FAIL_bad_version);
    expect_bad(http_parse_request, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), FAIL_bad_version);
    expect_bad(http_parse_response, STR("HTTP/2.0 200 OK\r\n\r\n"), FAIL_bad_version);
}

/* What stands between a good start line and a good end. */
static void fields_refused(void **state)
{
    static const struct str lines[] = {
#define LINE(text) { text, sizeof(text) - 1 }
        LINE("Host : a\r\n"),
        LINE("Host\t: a\r\n"),
        LINE(" Host: a\r\n"),
        LINE("\tHost: a\r\n"),
        LINE("A: b\r\n folded\r\n"),
        LINE("A: b\r\n\tfolded\r\n"),
        LINE("A: b\r\n \r\n"),
        LINE("A: \r\n b\r\n"),
        LINE(": a\r\n"),
        LINE("A\r\n"),
        LINE("A b: c\r\n"),
        LINE("A(b): c\r\n"),
        LINE("A\xc3\xa4: c\r\n"),
        LINE("A\x01: c\r\n"),
        LINE("A\x00: c\r\n"),
        LINE("A: b\n"),
        LINE("A: b\rC: d\r\n"),
        LINE("A: b\r\rC: d\r\n"),
        LINE("A: b\r\r\n"),
        LINE("A: \rTransfer-Encoding: chunked\r\n"),
        LINE("A: b\x00c\r\n"),
        LINE("A: b\x7f\r\n"),
        LINE("A: \x0b\r\n"),
        LINE("A: \x0c\r\n"),
        LINE("A: \x1b[31m\r\n"),
        LINE("A: b\r\n\n"),
        LINE("A: b\r\n\rGET"),
        LINE("A long value that no leap ends early, with a control far behind: 0123456789\x02\r\n"),
        LINE("A-Very-Long-Name-That-Needs-More-Than-One-Leap\x02: b\r\n"),
        LINE("A-Very-Long-Name-That-Needs-More-Than-One-Leap-And-Ends\r\n"),
#undef LINE
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char text[256] = "GET / HTTP/1.1\r\nHost: h\r\n";
        size_t n = strlen(text);
        memcpy(text + n, lines[i].p, lines[i].n);
        memcpy(text + n + lines[i].n, "\r\n", 2);
        expect_bad(http_parse_request, (struct str){ text, n + lines[i].n + 2 }, FAIL_bad_request);
        char answer[256] = "HTTP/1.1 200 OK\r\nHost: h\r\n";
        n = strlen(answer);
        memcpy(answer + n, lines[i].p, lines[i].n);
        memcpy(answer + n + lines[i].n, "\r\n", 2);
        expect_bad(http_parse_response, (struct str){ answer, n + lines[i].n + 2 }, FAIL_bad_request);
    }
}

static void fields_accepted(void **state)
{
    static struct http_head h;
    expect_done(http_parse_request,
                STR("GET / HTTP/1.1\r\nUtf: gr\xc3\xbc\xc3\x9f\xff\r\nTab: a\tb\r\n!#$%&'*+-.^_`|~09azAZ: "
                    "odd\r\nColon: a:b: c\r\n\r\n"),
                &h);
    expect_text(h.field[0].value, "gr\xc3\xbc\xc3\x9f\xff");
    expect_text(h.field[1].value, "a\tb");
    expect_text(h.field[2].name, "!#$%&'*+-.^_`|~09azAZ");
    expect_text(h.field[2].value, "odd");
    expect_text(h.field[3].value, "a:b: c");
}

/* Every length of name and value around the width of a leap, with each byte that may end or spoil it at each place. */
static void every_length_and_place(void **state)
{
    static struct http_head h;
    for (size_t name = 1; name < 36; name++)
        for (size_t value = 0; value < 36; value++) {
            char text[160], expected[40];
            size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%.*s:%.*s\r\n\r\n", (int)name,
                                        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", (int)value,
                                        "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
            struct verdict v = verdict_of(http_parse_request, (struct str){ text, n }, LIMIT, &h);
            assert_int_equal(v.parse, HTTP_DONE);
            assert_int_equal(v.bytes, n);
            assert_int_equal(h.field[0].name.n, name);
            snprintf(expected, sizeof expected, "%.*s", (int)value, "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv");
            expect_text(h.field[0].value, expected);
        }
    for (size_t at = 0; at < 40; at++)
        for (int c = 0; c < 256; c++) {
            char text[] = "GET / HTTP/1.1\r\nn:vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n\r\n";
            text[18 + at] = (char)c;
            struct verdict v = verdict_of(http_parse_request, (struct str){ text, sizeof text - 1 }, LIMIT, &h);
            assert_int_equal(v.parse, c == '\t' || (c >= ' ' && c != 0x7f) ? HTTP_DONE : HTTP_BAD);
            char named[] = "GET / HTTP/1.1\r\nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn:v\r\n\r\n";
            named[16 + at] = (char)c;
            v = verdict_of(http_parse_request, (struct str){ named, sizeof named - 1 }, LIMIT, &h);
            bool good = (c && strchr("!#$%&'*+-.^_`|~", c)) || (c >= '0' && c <= '9') ||
                        (unsigned)((c | 0x20) - 'a') < 26 || (c == ':' && at > 0);
            assert_int_equal(v.parse, good && c < 128 ? HTTP_DONE : HTTP_BAD);
            char target[] = "GET /ttttttttttttttttttttttttttttttttttttttttttttt HTTP/1.1\r\n\r\n";
            target[5 + at] = (char)c;
            v = verdict_of(http_parse_request, (struct str){ target, sizeof target - 1 }, LIMIT, &h);
            assert_int_equal(v.parse, c > ' ' && c < 0x7f && c != '#' ? HTTP_DONE : HTTP_BAD);
        }
}

static void what_cannot_be_http_is_told_at_once(void **state)
{
    static struct http_head h;
    static const struct {
        struct str in;
        parser *parse;
    } early[] = {
        {{ "\x16", 1 },                      http_parse_request }, /* TLS */
        { { "\x16\x03\x01\x02\x00\x01", 6 }, http_parse_request },
        { { "\0", 1 },                       http_parse_request },
        { { "{", 1 },                        http_parse_request },
        { { "GET /\n", 6 },                  http_parse_request },
        { { "GET / F", 7 },                  http_parse_request },
        { { "GET / HTTP/1.1\n", 15 },        http_parse_request },
        { { "GET / HTTP/1.1\r\nA\x01", 18 }, http_parse_request },
        { { "HTTP/1.1 2x", 11 },             http_parse_response},
        { { "SSH-2.0", 7 },                  http_parse_response},
    };
    for (size_t i = 0; i < ARRAY_LEN(early); i++) {
        struct verdict v = verdict_of(early[i].parse, early[i].in, LIMIT, &h);
        assert_int_equal(v.parse, HTTP_BAD);
        assert_int_equal(v.why, FAIL_bad_request);
    }
}

static void more_is_asked_for_only_then(void **state)
{
    static struct http_head h;
    struct str in = STR("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (size_t n = 0; n < in.n; n++)
        assert_int_equal(verdict_of(http_parse_request, str_take(in, n), LIMIT, &h).parse, HTTP_MORE);
    assert_int_equal(verdict_of(http_parse_request, in, LIMIT, &h).parse, HTTP_DONE);
    enum fail why = OK;
    assert_int_equal(http_parse_request(STR_NONE, LIMIT, &h, &why), HTTP_MORE);
}

static void the_limit(void **state)
{
    static struct http_head h;
    struct str in = STR("GET /aaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: a\r\n\r\nbody\x01");
    size_t head = in.n - 5;
    for (size_t limit = 0; limit < in.n; limit++) {
        expect_same_at_every_cut(http_parse_request, in, limit);
        struct verdict v = verdict_of(http_parse_request, in, limit, &h);
        assert_int_equal(v.parse, limit < head ? HTTP_BAD : HTTP_DONE);
        assert_int_equal(v.why, limit < head ? FAIL_head_too_large : OK);
    }
}

static size_t with_fields(char *text, size_t room, int count)
{
    size_t n = (size_t)snprintf(text, room, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, room - n, "A%d: b\r\n", i);
    return n + (size_t)snprintf(text + n, room - n, "\r\n");
}

static void as_many_fields_as_there_is_room_for(void **state)
{
    static struct http_head h;
    char text[2048];
    size_t n = with_fields(text, sizeof text, HTTP_FIELDS_MAX);
    expect_done(http_parse_request, (struct str){ text, n }, &h);
    assert_int_equal(h.n, HTTP_FIELDS_MAX);
    expect_text(h.field[99].name, "A99");
    n = with_fields(text, sizeof text, HTTP_FIELDS_MAX + 1);
    expect_bad(http_parse_request, (struct str){ text, n }, FAIL_head_too_large);
}

static void a_pipelined_request_is_left_alone(void **state)
{
    static struct http_head h;
    struct str in = STR("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost : bad\r\n\r\n");
    expect_done(http_parse_request, in, &h);
    assert_int_equal(h.bytes, 28);
    expect_text(h.path, "/1");
}

static void reads_a_response(void **state)
{
    static struct http_head h;
    expect_done(http_parse_response, STR("HTTP/1.1 404 Not Found \xc3\xa4\r\nContent-Length: 0\r\n\r\n"), &h);
    assert_int_equal(h.status, 404);
    expect_text(h.reason, "Not Found \xc3\xa4");
    expect_text(http_get(&h, H_CONTENT_LENGTH), "0");
    expect_done(http_parse_response, STR("HTTP/1.0 200 \r\n\r\n"), &h);
    assert_int_equal(h.minor, 0);
    expect_text(h.reason, "");
    expect_done(http_parse_response, STR("HTTP/1.1 999\r\n\r\n"), &h);
    assert_int_equal(h.status, 999);
}

static void status_lines_refused(void **state)
{
    static const char *const lines[] = {
        "HTTP/1.1",         "HTTP/1.1 ",       "HTTP/1.1 20",      "HTTP/1.1 2000 OK",    "HTTP/1.1  200 OK",
        "HTTP/1.1 099 Low", "HTTP/1.1 -20 x",  "HTTP/1.1 200\tOK", "HTTP/1.1 20x OK",     "HTTP/1.1200 OK",
        "HTTP 200 OK",      "http/1.1 200 OK", "ICY 200 OK",       "HTTP/1.1 200 O\x01K",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char text[128];
        snprintf(text, sizeof text, "%s\r\n\r\n", lines[i]);
        expect_bad(http_parse_response, str_of(text), FAIL_bad_request);
    }
}

static void rebase_moves_everything(void **state)
{
    static struct http_head h;
    struct str in = STR("GET http://h:1/p?q HTTP/1.1\r\nHost: a\r\nEmpty:\r\n\r\n");
    char old[128], new[128];
    enum fail why;
    memcpy(old, in.p, in.n);
    assert_int_equal(http_parse_request((struct str){ old, in.n }, LIMIT, &h, &why), HTTP_DONE);
    memcpy(new, old, sizeof new);
    memset(old, '?', sizeof old);
    http_head_rebase(&h, old, new);
    expect_text(h.method_text, "GET");
    expect_text(h.target, "http://h:1/p?q");
    expect_text(h.path, "/p");
    expect_text(h.query, "q");
    expect_text(h.authority, "h:1");
    assert_null(h.reason.p);
    expect_text(h.field[0].name, "Host");
    expect_text(h.field[0].value, "a");
    assert_true(h.field[1].value.p > new &&h.field[1].value.p < new + in.n);
}

static void rebase_leaves_what_was_not_in_the_input(void **state)
{
    static struct http_head h;
    char old[] = "OPTIONS http://h HTTP/1.1\r\n\r\n", new[sizeof old];
    enum fail why;
    assert_int_equal(http_parse_request((struct str){ old, sizeof old - 1 }, LIMIT, &h, &why), HTTP_DONE);
    memcpy(new, old, sizeof new);
    http_head_rebase(&h, old, new);
    expect_text(h.path, "*");
    assert_null(h.query.p);
    assert_ptr_equal(h.authority.p, new + 15);
}

static int free_block(void **state)
{
    free(block);
    block = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request),
        cmocka_unit_test(a_head_without_fields),
        cmocka_unit_test(nothing_is_left_of_the_head_before),
        cmocka_unit_test(the_first_of_equal_fields_is_got),
        cmocka_unit_test(empty_lines_before_a_request),
        cmocka_unit_test(known_names_in_any_case),
        cmocka_unit_test(names_that_are_nearly_known),
        cmocka_unit_test(the_four_forms_of_a_target),
        cmocka_unit_test(targets_refused),
        cmocka_unit_test(request_lines_refused),
        cmocka_unit_test(versions),
        cmocka_unit_test(fields_refused),
        cmocka_unit_test(fields_accepted),
        cmocka_unit_test(every_length_and_place),
        cmocka_unit_test(what_cannot_be_http_is_told_at_once),
        cmocka_unit_test(more_is_asked_for_only_then),
        cmocka_unit_test(the_limit),
        cmocka_unit_test(as_many_fields_as_there_is_room_for),
        cmocka_unit_test(a_pipelined_request_is_left_alone),
        cmocka_unit_test(reads_a_response),
        cmocka_unit_test(status_lines_refused),
        cmocka_unit_test(rebase_moves_everything),
        cmocka_unit_test(rebase_leaves_what_was_not_in_the_input),
    };
    return cmocka_run_group_tests(tests, NULL, free_block);
}
