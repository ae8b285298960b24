/* The corpus of the fuzzers and the messages below, asked of both parsers. Built only where llhttp's sources are. The
 * first argument is the directory of the corpora. */
#include "net/http_opinion.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *corpora;

static void expect_agreement(struct str in, const char *what)
{
    const char *request = http_opinion_on_request(in), *response = http_opinion_on_response(in);
    if (request || response)
        fail_msg("%s: %s", what, request ? request : response);
}

#define A "Host: a\r\n"
static const struct str messages[] = {
#define MESSAGE(text)                                                                                                  \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }
    MESSAGE("GET / HTTP/1.1\r\n" A "\r\n"),
    MESSAGE("\r\n\r\nGET /a?b=c HTTP/1.0\r\n\r\n"),
    MESSAGE("GET http://h:1/x?y HTTP/1.1\r\n" A "\r\n"),
    MESSAGE("OPTIONS * HTTP/1.1\r\n" A "\r\n"),
    MESSAGE("CONNECT a:443 HTTP/1.1\r\n" A "\r\n"),
    MESSAGE("POST / HTTP/1.1\r\n" A "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n"),
    MESSAGE("POST / HTTP/1.1\r\n" A "Content-Length: 0\r\n\r\n"),
    MESSAGE("POST / HTTP/1.1\r\n" A "Content-Length: 9\r\n\r\nhel"),
    MESSAGE("POST / HTTP/1.1\r\n" A "Transfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nT: v\r\n\r\nGET"),
    MESSAGE("POST / HTTP/1.1\r\n" A "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
    MESSAGE("GET / HTTP/1.1\r\n" A "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    MESSAGE("GET / HTTP/1.1\r\n" A "X:\r\nY: \t z \t\r\nZ: \xc3\xa4\r\n\r\n"),
    MESSAGE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\n"),
    MESSAGE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    MESSAGE("HTTP/1.1 200\r\n\r\nuntil the end"),
    MESSAGE("HTTP/1.0 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
    MESSAGE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
#undef MESSAGE
};

static bool we_take(struct str in)
{
    static struct http_head h;
    enum fail why;
    return http_parse_request(in, KIB(64), &h, &why) == HTTP_DONE ||
           http_parse_response(in, KIB(64), &h, &why) == HTTP_DONE;
}

static void good_messages(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        assert_true(we_take(messages[i])); /* or there is nothing to agree about */
        expect_agreement(messages[i], messages[i].p);
    }
}

/* The file's bytes after those of `head`. */
static void replay(const char *path, struct str head)
{
    char *bytes = malloc(KIB(64));
    FILE *file = fopen(path, "rb");
    assert_true(bytes && file);
    memcpy(bytes, head.p, head.n);
    size_t n = head.n + fread(bytes + head.n, 1, KIB(64) - head.n, file);
    fclose(file);
    expect_agreement((struct str){ bytes, n }, path);
    free(bytes);
}

static size_t replay_all(const char *room, struct str head)
{
    char path[4096];
    size_t files = 0;
    snprintf(path, sizeof path, "%s/%s", corpora, room);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s/%s", corpora, room, e->d_name);
        replay(path, head);
        files++;
    }
    closedir(dir);
    return files;
}

static void corpus_of_heads(void **state)
{
    assert_true(replay_all("net_http_head", STR("")) > 10);
}

static void corpus_of_bodies(void **state)
{
    struct str head = STR("POST / HTTP/1.1\r\n" A "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(replay_all("net_http_body", head) > 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_messages),
        cmocka_unit_test(corpus_of_heads),
        cmocka_unit_test(corpus_of_bodies),
    };
    corpora = argc > 1 ? argv[1] : "test/corpus";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
