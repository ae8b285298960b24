#include "net/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct http_head head;

static void read_request(const char *version, const char *fields)
{
    static char text[4096];
    enum fail why;
    int n = snprintf(text, sizeof text, "POST / %s\r\n%s\r\n", version, fields);
    if (http_parse_request((struct str){ text, (size_t)n }, KIB(64), &head, &why) != HTTP_DONE)
        fail_msg("no head: %s", text);
}

static void read_response(const char *version_and_status, const char *fields)
{
    static char text[4096];
    enum fail why;
    int n = snprintf(text, sizeof text, "%s\r\n%s\r\n", version_and_status, fields);
    if (http_parse_response((struct str){ text, (size_t)n }, KIB(64), &head, &why) != HTTP_DONE)
        fail_msg("no head: %s", text);
}

#define ONE_ONE "HTTP/1.1"
#define ONE_0   "HTTP/1.0"
#define A       "Host: a\r\n"
#define CL(n)   "Content-Length: " n "\r\n"
#define TE(c)   "Transfer-Encoding: " c "\r\n"

static const struct {
    const char *version, *fields;
    enum fail fail;
    enum http_framing framing;
    uint64_t length;
    bool keep_alive, expect_continue;
} requests[] = {
  /* how long */
    {ONE_ONE,  A,                                                 OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_ONE, A CL("5"),                                         OK,                      BODY_LENGTH,  5,                 true,  false},
    { ONE_ONE, A CL("0"),                                         OK,                      BODY_LENGTH,  0,                 true,  false},
    { ONE_ONE, A CL("0007"),                                      OK,                      BODY_LENGTH,  7,                 true,  false},
    { ONE_ONE, A CL("4611686018427387904"),                       OK,                      BODY_LENGTH,  (uint64_t)1 << 62, true,  false},
    { ONE_ONE, A TE("chunked"),                                   OK,                      BODY_CHUNKED, 0,                 true,  false},
    { ONE_ONE, A TE("Chunked"),                                   OK,                      BODY_CHUNKED, 0,                 true,  false},
 /* lengths nobody may guess at */
    { ONE_ONE, A CL("5") TE("chunked"),                           FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("chunked") CL("5"),                           FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("5") CL("5"),                                 FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("5") CL("6"),                                 FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("5, 5"),                                      FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("+5"),                                        FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("-5"),                                        FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("5 5"),                                       FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("5;"),                                        FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("0x5"),                                       FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("5.0"),                                       FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL(""),                                          FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("4611686018427387905"),                       FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("18446744073709551616"),                      FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A CL("99999999999999999999999999"),                FAIL_bad_request,        0,            0,                 false, false},
 /* codings */
    { ONE_ONE, A TE("xchunked"),                                  FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("chunkedx"),                                  FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("gzip"),                                      FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("gzip, chunked"),                             FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("chunked, gzip"),                             FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("chunked, chunked"),                          FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("chunked,"),                                  FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("\"chunked\""),                               FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("identity"),                                  FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE(""),                                          FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("chunked") TE("chunked"),                     FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A TE("identity") TE("chunked"),                    FAIL_bad_request,        0,            0,                 false, false},
    { ONE_0,   A TE("chunked"),                                   FAIL_bad_request,        0,            0,                 false, false},
 /* Host */
    { ONE_ONE, "",                                                FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, A A,                                               FAIL_bad_request,        0,            0,                 false, false},
    { ONE_0,   A A,                                               FAIL_bad_request,        0,            0,                 false, false},
    { ONE_0,   "",                                                OK,                      BODY_NONE,    0,                 false, false},
    { ONE_ONE, "Host:\r\n",                                       OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_ONE, "Host: gpu-1.example_x.org:11434\r\n",             OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_ONE, "Host: [::1]\r\n",                                 OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_ONE, "Host: [::ffff:1.2.3.4]:80\r\n",                   OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_ONE, "Host: a b\r\n",                                   FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: a/b\r\n",                                   FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: u@a\r\n",                                   FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: a:b\r\n",                                   FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: a:80:80\r\n",                               FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: a:65536\r\n",                               FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: :80\r\n",                                   FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: ::1\r\n",                                   FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: [::1\r\n",                                  FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: [gpu1]\r\n",                                FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: a%zz\r\n",                                  FAIL_bad_request,        0,            0,                 false, false},
    { ONE_ONE, "Host: g\xc3\xbc\r\n",                             FAIL_bad_request,        0,            0,                 false, false},
    { ONE_0,   "Host: a b\r\n",                                   FAIL_bad_request,        0,            0,                 false, false},
 /* staying connected */
    { ONE_ONE, A "Connection: close\r\n",                         OK,                      BODY_NONE,    0,                 false, false},
    { ONE_ONE, A "Connection: Upgrade, CLOSE\r\n",                OK,                      BODY_NONE,    0,                 false, false},
    { ONE_ONE, A "Connection: x\r\nConnection: close\r\n",        OK,                      BODY_NONE,    0,                 false, false},
    { ONE_ONE, A "Connection: keep-alive, close\r\n",             OK,                      BODY_NONE,    0,                 false, false},
    { ONE_ONE, A "Connection: \",close\r\n",                      OK,                      BODY_NONE,    0,                 false, false},
    { ONE_ONE, A "Connection: closed\r\n",                        OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_ONE, A "Connection:\r\n",                               OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_ONE, A "Connection: Upgrade\r\nUpgrade: h2c\r\n",       OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_0,   A "Connection: Keep-Alive\r\n",                    OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_0,   A "Connection: keep-alive, close\r\n",             OK,                      BODY_NONE,    0,                 false, false},
    { ONE_0,   A,                                                 OK,                      BODY_NONE,    0,                 false, false},
 /* expectations */
    { ONE_ONE, A CL("5") "Expect: 100-continue\r\n",              OK,                      BODY_LENGTH,  5,                 true,  true },
    { ONE_ONE, A CL("5") "Expect: 100-Continue\r\n",              OK,                      BODY_LENGTH,  5,                 true,  true },
    { ONE_ONE, A TE("chunked") "Expect: 100-continue\r\n",        OK,                      BODY_CHUNKED, 0,                 true,  true },
    { ONE_ONE, A CL("0") "Expect: 100-continue\r\n",              OK,                      BODY_LENGTH,  0,                 true,  false},
    { ONE_ONE, A "Expect: 100-continue\r\n",                      OK,                      BODY_NONE,    0,                 true,  false},
    { ONE_0,   A CL("5") "Expect: 100-continue\r\n",              OK,                      BODY_LENGTH,  5,                 false, false},
    { ONE_ONE, A CL("5") "Expect: 200-ok\r\n",                    FAIL_expectation_failed, 0,            0,                 false, false},
    { ONE_ONE, A CL("5") "Expect: 100-continue, x\r\n",           FAIL_expectation_failed, 0,            0,                 false, false},
    { ONE_ONE, A CL("5") "Expect: 100-continue\r\nExpect: x\r\n", FAIL_expectation_failed, 0,            0,                 false, false},
};

static void frames_of_requests(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct http_frame f = { .length = 77, .keep_alive = true };
        read_request(requests[i].version, requests[i].fields);
        enum fail got = http_request_frame(&head, &f);
        if (got != requests[i].fail)
            fail_msg("%.*s for %s %s", STR_ARG(fail_name(got)), requests[i].version, requests[i].fields);
        if (got)
            continue;
        if (f.framing != requests[i].framing || f.length != requests[i].length ||
            f.keep_alive != requests[i].keep_alive || f.expect_continue != requests[i].expect_continue)
            fail_msg("framing %d, length %llu, keep %d, expect %d for %s %s", f.framing, (unsigned long long)f.length,
                     f.keep_alive, f.expect_continue, requests[i].version, requests[i].fields);
    }
}

static const struct {
    enum http_method to;
    const char *line, *fields;
    enum fail fail;
    enum http_framing framing;
    uint64_t length;
    bool keep_alive;
} responses[] = {
    {M_GET,      "HTTP/1.1 200 OK",                  CL("5"),                               OK,                    BODY_LENGTH,  5, true },
    { M_GET,     "HTTP/1.1 200 OK",                  CL("0"),                               OK,                    BODY_LENGTH,  0, true },
    { M_POST,    "HTTP/1.1 200 OK",                  TE("chunked"),                         OK,                    BODY_CHUNKED, 0, true },
    { M_POST,    "HTTP/1.1 200 OK",                  TE("chunked") "Connection: close\r\n", OK,                    BODY_CHUNKED, 0, false},
    { M_GET,     "HTTP/1.1 200 OK",                  "",                                    OK,                    BODY_TO_EOF,  0, false},
    { M_GET,     "HTTP/1.0 200 OK",                  "Connection: keep-alive\r\n",          OK,                    BODY_TO_EOF,  0, false},
    { M_GET,     "HTTP/1.0 200 OK",                  "Connection: keep-alive\r\n" CL("3"),  OK,                    BODY_LENGTH,  3, true },
    { M_GET,     "HTTP/1.0 200 OK",                  CL("3"),                               OK,                    BODY_LENGTH,  3, false},
    { M_HEAD,    "HTTP/1.1 200 OK",                  CL("5"),                               OK,                    BODY_NONE,    0, true },
    { M_HEAD,    "HTTP/1.1 200 OK",                  TE("chunked"),                         OK,                    BODY_NONE,    0, true },
    { M_HEAD,    "HTTP/1.1 200 OK",                  "",                                    OK,                    BODY_NONE,    0, true },
    { M_GET,     "HTTP/1.1 204 No Content",          "",                                    OK,                    BODY_NONE,    0, true },
    { M_GET,     "HTTP/1.1 204 No Content",          CL("5"),                               OK,                    BODY_NONE,    0, true },
    { M_GET,     "HTTP/1.1 304 Not Modified",        CL("5"),                               OK,                    BODY_NONE,    0, true },
    { M_GET,     "HTTP/1.1 100 Continue",            "",                                    OK,                    BODY_NONE,    0, true },
    { M_GET,     "HTTP/1.1 101 Switching Protocols", "",                                    OK,                    BODY_NONE,    0, false},
    { M_CONNECT, "HTTP/1.1 200 OK",                  CL("5"),                               OK,                    BODY_TO_EOF,  0, false},
    { M_CONNECT, "HTTP/1.1 407 No",                  CL("5"),                               OK,                    BODY_LENGTH,  5, true },
    { M_GET,     "HTTP/1.1 200 OK",                  CL("5") CL("5"),                       FAIL_upstream_garbage, 0,            0, false},
    { M_GET,     "HTTP/1.1 200 OK",                  CL("5") TE("chunked"),                 FAIL_upstream_garbage, 0,            0, false},
    { M_GET,     "HTTP/1.1 200 OK",                  TE("gzip"),                            FAIL_upstream_garbage, 0,            0, false},
    { M_GET,     "HTTP/1.0 200 OK",                  TE("chunked"),                         FAIL_upstream_garbage, 0,            0, false},
    { M_HEAD,    "HTTP/1.1 200 OK",                  CL("+5"),                              FAIL_upstream_garbage, 0,            0, false},
};

static void frames_of_responses(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        struct http_frame f = { .length = 77, .expect_continue = true };
        read_response(responses[i].line, responses[i].fields);
        enum fail got = http_response_frame(&head, responses[i].to, &f);
        if (got != responses[i].fail)
            fail_msg("%.*s for %s %s", STR_ARG(fail_name(got)), responses[i].line, responses[i].fields);
        if (got)
            continue;
        if (f.framing != responses[i].framing || f.length != responses[i].length ||
            f.keep_alive != responses[i].keep_alive)
            fail_msg("framing %d, length %llu, keep %d for %s %s", f.framing, (unsigned long long)f.length,
                     f.keep_alive, responses[i].line, responses[i].fields);
        assert_false(f.expect_continue);
    }
}

static void how_long_a_response_may_be_kept(void **state)
{
    static const struct {
        const char *value;
        uint32_t seconds;
    } rows[] = {
        {"timeout=5",            5         },
        { "max=100, Timeout=30", 30        },
        { "timeout=5;x",         0         },
        { "timeout=",            0         },
        { "timeout=-1",          0         },
        { "xtimeout=5",          0         },
        { "",                    0         },
        { "timeout=99999999999", UINT32_MAX},
        { "timeout = 5",         0         },
        { "max=1 , timeout=7 ",  7         },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_frame f;
        char fields[128];
        snprintf(fields, sizeof fields, CL("0") "Keep-Alive: %s\r\n", rows[i].value);
        read_response("HTTP/1.1 200 OK", fields);
        assert_int_equal(http_response_frame(&head, M_GET, &f), OK);
        assert_int_equal(f.keep_alive_timeout_s, rows[i].seconds);
    }
}

static bool is_dropped(const char *name)
{
    for (uint32_t i = 0; i < head.n; i++)
        if (str_eq(head.field[i].name, str_of(name)))
            return http_is_hop_by_hop(&head, &head.field[i]);
    fail_msg("no field %s", name);
    return false;
}

static void hop_by_hop_by_name(void **state)
{
    read_request(
        ONE_ONE,
        A "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: X\r\n"
          "Upgrade: h2c\r\nTransfer-Encoding: chunked\r\nProxy-Authorization: b\r\nAccept: */*\r\nclose: 1\r\n"
          "X-Secret: 1\r\n");
    static const char *const dropped[] = { "Connection", "Keep-Alive", "Proxy-Connection",  "TE",
                                           "Trailer",    "Upgrade",    "Transfer-Encoding", "Proxy-Authorization" };
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
        assert_true(is_dropped(dropped[i]));
    static const char *const kept[] = { "Host", "Accept", "X-Secret", "close" };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        assert_false(is_dropped(kept[i]));
}

static void hop_by_hop_by_connection(void **state)
{
    read_request(
        ONE_ONE,
        A "Connection: close, x-SECRET\r\nConnection: Cookie,Content-Length , host\r\nX-Secret: 1\r\nCookie: c\r\n"
          "X-Secre: 1\r\nX-Secret2: 1\r\nContent-Length: 5\r\n");
    assert_true(is_dropped("X-Secret"));
    assert_true(is_dropped("Cookie"));
    assert_false(is_dropped("X-Secre"));
    assert_false(is_dropped("X-Secret2"));
    assert_false(is_dropped("Host"));
    assert_false(is_dropped("Content-Length"));
}

/* Two values that are short enough each. */
static void options_are_not_endless(void **state)
{
    char fields[2048];
    struct http_frame frame;
    (void)state;
    snprintf(fields, sizeof fields, "Host: a\r\nConnection: %0512d\r\nConnection: %0512d\r\n", 0, 0);
    read_request("HTTP/1.1", fields);
    assert_int_equal(http_request_frame(&head, &frame), OK);
    snprintf(fields, sizeof fields, "Host: a\r\nConnection: %0512d\r\nConnection: %0513d\r\n", 0, 0);
    read_request("HTTP/1.1", fields);
    assert_int_equal(http_request_frame(&head, &frame), FAIL_head_too_large);
    read_response("HTTP/1.1 200 OK", fields);
    assert_int_equal(http_response_frame(&head, M_GET, &frame), FAIL_upstream_garbage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_requests),
        cmocka_unit_test(frames_of_responses),
        cmocka_unit_test(how_long_a_response_may_be_kept),
        cmocka_unit_test(hop_by_hop_by_name),
        cmocka_unit_test(hop_by_hop_by_connection),
        cmocka_unit_test(options_are_not_endless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
