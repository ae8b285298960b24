/* Each body is decoded in one piece and byte by byte: both must hand out the same and end at the same place. */
#include "net/http_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct result {
    enum http_step step; /* the last that was not BODY_DATA */
    char data[512];
    size_t n, used;
};

static void feed(struct http_body *b, struct str piece, struct result *r)
{
    struct str out = STR_NONE;
    size_t before = piece.n;
    while ((r->step = http_body_next(b, &piece, &out)) == BODY_DATA) {
        assert_true(out.n > 0 && r->n + out.n <= sizeof r->data);
        memcpy(r->data + r->n, out.p, out.n);
        r->n += out.n;
    }
    if (r->step == BODY_MORE)
        assert_int_equal(piece.n, 0);
    r->used += before - piece.n;
}

static struct result decode(const struct http_frame *f, struct str in, size_t piece)
{
    struct http_body b;
    struct result r = { .step = BODY_MORE };
    http_body_init(&b, f);
    for (size_t at = 0; at < in.n && r.step == BODY_MORE; at += piece)
        feed(&b, str_take(str_drop(in, at), piece), &r);
    assert_int_equal(http_body_done(&b), r.step == BODY_END);
    return r;
}

static void expect_body(const struct http_frame *f, struct str in, enum http_step step, struct str data, size_t used)
{
    for (size_t piece = 1; piece <= in.n; piece++) {
        struct result r = decode(f, in, piece);
        if (r.step != step || (step != BODY_BAD && (r.used != used || !str_eq((struct str){ r.data, r.n }, data))))
            fail_msg("in pieces of %zu: step %d, used %zu, data \"%.*s\" of: %.*s", piece, r.step, r.used, (int)r.n,
                     r.data, STR_ARG(in));
    }
}

static const struct http_frame chunked = { .framing = BODY_CHUNKED };

static void expect_chunked(struct str in, const char *data, size_t left)
{
    expect_body(&chunked, in, BODY_END, str_of(data), in.n - left);
}

static void expect_refused(struct str in)
{
    expect_body(&chunked, in, BODY_BAD, STR(""), 0);
}

static void no_body(void **state)
{
    struct http_body b;
    struct http_frame none = { .framing = BODY_NONE }, empty = { .framing = BODY_LENGTH, .length = 0 };
    struct str in = STR("GET"), out;
    http_body_init(&b, &none);
    assert_true(http_body_done(&b) && http_body_eof_is_end(&b));
    assert_int_equal(http_body_next(&b, &in, &out), BODY_END);
    http_body_init(&b, &empty);
    assert_true(http_body_done(&b));
    assert_int_equal(http_body_next(&b, &in, &out), BODY_END);
    assert_int_equal(in.n, 3);
}

static void by_length(void **state)
{
    struct http_frame five = { .framing = BODY_LENGTH, .length = 5 };
    struct http_body b;
    struct str in = STR("hello"), out;
    http_body_init(&b, &five);
    assert_int_equal(http_body_next(&b, &in, &out), BODY_DATA);
    assert_true(http_body_done(&b)); /* known without another byte */
    in = STR_NONE;
    assert_int_equal(http_body_next(&b, &in, &out), BODY_END);
    http_body_init(&b, &five);
    in = STR("hel");
    assert_int_equal(http_body_next(&b, &in, &out), BODY_DATA);
    assert_int_equal(http_body_next(&b, &in, &out), BODY_MORE);
    assert_false(http_body_done(&b) || http_body_eof_is_end(&b));
    in = STR("loGET /");
    assert_int_equal(http_body_next(&b, &in, &out), BODY_DATA);
    assert_true(str_eq(out, STR("lo")));
    assert_int_equal(http_body_next(&b, &in, &out), BODY_END);
    assert_true(str_eq(in, STR("GET /")));
}

static void to_eof(void **state)
{
    struct http_frame f = { .framing = BODY_TO_EOF };
    struct http_body b;
    struct str in = STR("0\r\n\r\n"), out;
    http_body_init(&b, &f);
    assert_int_equal(http_body_next(&b, &in, &out), BODY_DATA);
    assert_true(str_eq(out, STR("0\r\n\r\n")));
    assert_int_equal(http_body_next(&b, &in, &out), BODY_MORE);
    assert_true(http_body_eof_is_end(&b));
    assert_false(http_body_done(&b));
}

static void in_chunks(void **state)
{
    expect_chunked(STR("0\r\n\r\n"), "", 0);
    expect_chunked(STR("5\r\nhello\r\n0\r\n\r\n"), "hello", 0);
    expect_chunked(STR("5\r\nhello\r\n00000A\r\n world\r\n\r\n\r\n000\r\n\r\n"), "hello world\r\n\r\n", 0);
    expect_chunked(STR("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", 0);
    expect_chunked(STR("0000000000000001\r\nx\r\n0\r\n\r\n"), "x", 0);
}

static void what_follows_is_not_touched(void **state)
{
    expect_chunked(STR("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), "x", 16);
    expect_chunked(STR("0\r\n\r\n\r\n"), "", 2);
}

static void data_is_handed_out_where_it_lies(void **state)
{
    struct http_body b;
    char bytes[] = "5\r\nhello\r\n0\r\n\r\n";
    struct str in = { bytes, sizeof bytes - 1 }, out;
    http_body_init(&b, &chunked);
    assert_int_equal(http_body_next(&b, &in, &out), BODY_DATA);
    assert_ptr_equal(out.p, bytes + 3);
    assert_int_equal(out.n, 5);
}

static void extensions(void **state)
{
    expect_chunked(STR("1;a\r\nx\r\n0;b\r\n\r\n"), "x", 0);
    expect_chunked(STR("1;a=b;c=\"d e;\tf\xff\";g\r\nx\r\n0\r\n\r\n"), "x", 0);
    expect_chunked(STR("1;chunk-signature=0055627c9e19\r\nx\r\n0\r\n\r\n"), "x", 0);
    static const struct str bad[] = {
#define BAD(text) { text, sizeof(text) - 1 }
        BAD("1;\r\nx\r\n"),           BAD("1 ;a\r\nx\r\n"),   BAD("1; a\r\nx\r\n"),    BAD("1;a =b\r\nx\r\n"),
        BAD("1;a=\r\nx\r\n"),         BAD("1;a=;b\r\nx\r\n"), BAD("1;a=\"b\r\nx\r\n"), BAD("1;a=\"b\"c\r\nx\r\n"),
        BAD("1;a=\"\\\"\"\r\nx\r\n"), BAD("1;a\nx\r\n"),      BAD("1;a\rx\r\n"),       BAD("1;a\x01\r\nx\r\n"),
        BAD("1;a=\"\x01\"\r\nx\r\n"), BAD("1;=b\r\nx\r\n"),   BAD("1;;\r\nx\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_refused(bad[i]);
}

static void sizes_refused(void **state)
{
    static const struct str bad[] = {
        BAD("\r\n"),
        BAD("\r\n0\r\n\r\n"),
        BAD(" 1\r\nx\r\n"),
        BAD("1 \r\nx\r\n"),
        BAD("1 1\r\nx\r\n"),
        BAD("+1\r\nx\r\n"),
        BAD("-1\r\nx\r\n"),
        BAD("0x1\r\nx\r\n"),
        BAD("g\r\n"),
        BAD("1g\r\nx\r\n"),
        BAD("1\nx\r\n"),
        BAD("1\rx\r\n"),
        BAD("\t1\r\nx\r\n"),
        BAD("1\t\r\nx\r\n"),
        BAD("1,1\r\nx\r\n"),
        BAD(";a\r\nx\r\n"),
        BAD("1\x00\r\n"),
        BAD("1h\r\nx\r\n"),
        BAD("4000000000000001\r\n"),
        BAD("8000000000000000\r\n"),
        BAD("ffffffffffffffff\r\n"),
        BAD("10000000000000000\r\n"),
        BAD("00000000000000001\r\nx\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_refused(bad[i]);
    expect_body(&chunked, STR("4000000000000000\r\nx"), BODY_MORE, STR("x"), 19); /* 2^62 is still told */
}

static void data_must_end_with_its_line(void **state)
{
    static const struct str bad[] = { BAD("1\r\nxy\r\n"), BAD("1\r\nx\n0\r\n\r\n"), BAD("1\r\nx\r0\r\n\r\n"),
                                      BAD("1\r\nx0\r\n\r\n"), BAD("1\r\nx\r\r\n0\r\n\r\n") };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_refused(bad[i]);
}

static void trailers_are_checked_and_dropped(void **state)
{
    expect_chunked(STR("1\r\nx\r\n0\r\nX-Sum: \t5 \xc3\xbc\r\nEmpty:\r\n\r\nnext"), "x", 4);
    static const struct str bad[] = {
        BAD("0\r\nA\r\n\r\n"),  BAD("0\r\nA : b\r\n\r\n"), BAD("0\r\n: b\r\n\r\n"),   BAD("0\r\n A: b\r\n\r\n"),
        BAD("0\r\nA: b\n\r\n"), BAD("0\r\nA: b\r\r\n"),    BAD("0\r\nA: \x01\r\n"),   BAD("0\r\nA: b\r\n c\r\n\r\n"),
        BAD("0\r\n\n"),         BAD("0\r\n\rx"),           BAD("0\r\nA: b\r\n\rGET"), BAD("0\r\nA\x80: b\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect_refused(bad[i]);
}
#undef BAD

/* "1;eee...\r\nx\r\n" or "0\r\nT:vvv...\r\n\r\n" with so many bytes after the first line's start. */
static enum http_step step_of_long(const char *start, size_t filler, const char *end)
{
    struct http_body b;
    struct result r = { 0 };
    size_t n = strlen(start) + filler + strlen(end);
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(strcpy(text, start) + strlen(start), 'e', filler);
    strcpy(text + n - strlen(end), end);
    http_body_init(&b, &chunked);
    feed(&b, (struct str){ text, n }, &r);
    free(text);
    return r.step;
}

static void long_extensions_and_trailers(void **state)
{
    /* counted: everything after the ';', and each byte after the line of the last size */
    assert_int_equal(step_of_long("1;", KIB(4) - 1, "\r\nx\r\n0\r\n\r\n"), BODY_END);
    assert_int_equal(step_of_long("1;", KIB(4), "\r\nx\r\n0\r\n\r\n"), BODY_BAD);
    assert_int_equal(step_of_long("0\r\nT:", KIB(16) - 6, "\r\n\r\n"), BODY_END);
    assert_int_equal(step_of_long("0\r\nT:", KIB(16) - 5, "\r\n\r\n"), BODY_BAD);
}

static void many_extensions_add_up(void **state)
{
    struct http_body b;
    struct result r = { .step = BODY_MORE };
    http_body_init(&b, &chunked);
    int chunks = 0;
    for (; r.step == BODY_MORE && chunks < 4096; chunks++) {
        r.n = 0;
        feed(&b, STR("01;a\r\nx\r\n"), &r);
    }
    assert_int_equal(r.step, BODY_BAD);
    assert_int_equal(chunks, KIB(4) / 2 + 1);
}

static void a_broken_body_stays_broken(void **state)
{
    struct http_body b;
    struct str in = STR("x"), out;
    http_body_init(&b, &chunked);
    assert_int_equal(http_body_next(&b, &in, &out), BODY_BAD);
    in = STR("0\r\n\r\n");
    assert_int_equal(http_body_next(&b, &in, &out), BODY_BAD);
    assert_false(http_body_done(&b) || http_body_eof_is_end(&b));
}

static void a_cut_is_not_an_end(void **state)
{
    struct str whole = STR("1;a=\"b\"\r\nx\r\n0\r\nA: b\r\n\r\n");
    for (size_t n = 0; n < whole.n; n++) {
        struct http_body b;
        struct result r = { .step = BODY_MORE };
        http_body_init(&b, &chunked);
        feed(&b, str_take(whole, n), &r);
        assert_int_equal(r.step, BODY_MORE);
        assert_false(http_body_eof_is_end(&b) || http_body_done(&b));
    }
}

static void chunk_lines(void **state)
{
    static const struct {
        uint64_t n;
        const char *line;
    } rows[] = {
        {1,           "1\r\n"               },
        { 15,         "f\r\n"               },
        { 16,         "10\r\n"              },
        { 0xabc,      "abc\r\n"             },
        { 4096,       "1000\r\n"            },
        { UINT64_MAX, "ffffffffffffffff\r\n"}
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[20];
        size_t n = http_chunk_line(rows[i].n, out);
        assert_int_equal(n, strlen(rows[i].line));
        assert_memory_equal(out, rows[i].line, n);
    }
}

static void what_is_written_is_read(void **state)
{
    char text[256];
    size_t n = http_chunk_line(3, text);
    n += (size_t)snprintf(text + n, sizeof text - n, "abc%.*s%.*s", STR_ARG(HTTP_CRLF), STR_ARG(HTTP_LAST_CHUNK));
    expect_chunked((struct str){ text, n }, "abc", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_body),
        cmocka_unit_test(by_length),
        cmocka_unit_test(to_eof),
        cmocka_unit_test(in_chunks),
        cmocka_unit_test(what_follows_is_not_touched),
        cmocka_unit_test(data_is_handed_out_where_it_lies),
        cmocka_unit_test(extensions),
        cmocka_unit_test(sizes_refused),
        cmocka_unit_test(data_must_end_with_its_line),
        cmocka_unit_test(trailers_are_checked_and_dropped),
        cmocka_unit_test(long_extensions_and_trailers),
        cmocka_unit_test(many_extensions_add_up),
        cmocka_unit_test(a_broken_body_stays_broken),
        cmocka_unit_test(a_cut_is_not_an_end),
        cmocka_unit_test(chunk_lines),
        cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
