/* Any bytes, as a chunked body, as one of a length and as one to the end. Always true:
 * - in one piece, byte by byte and in uneven pieces, the same data comes out and the same bytes are used;
 * - data lies inside the input, and no step is empty;
 * - whoever else decodes what we take (llhttp, where it is) sees the same body. */
#include "net/http_body.h"

#include <stdlib.h>
#ifdef HTTP_OPINION
#include "net/http_opinion.h"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    enum http_step step;
    char *data;
    size_t n, used;
};

static void feed(struct http_body *b, struct str piece, struct result *r)
{
    struct str rest = piece, out = STR_NONE;
    while ((r->step = http_body_next(b, &rest, &out)) == BODY_DATA) {
        assume(out.n && out.p >= piece.p && out.p + out.n == rest.p);
        memcpy(r->data + r->n, out.p, out.n);
        r->n += out.n;
    }
    assume(r->step != BODY_MORE || !rest.n);
    r->used += piece.n - rest.n;
}

/* Pieces of 1, 2, ... `widest`, 1, ...; 0: all at once. */
static struct result decode(const struct http_frame *f, struct str in, size_t widest)
{
    struct http_body b;
    struct result r = { .step = BODY_MORE, .data = malloc(in.n + 1) };
    http_body_init(&b, f);
    for (size_t at = 0, width = widest ? 1 : in.n; at < in.n && r.step == BODY_MORE;
         at += width, width = width % (widest + 1) + 1)
        feed(&b, str_take(str_drop(in, at), width), &r);
    return r;
}

static void expect_same(const struct result *a, const struct result *b)
{
    assume(a->step == b->step && a->n == b->n && memcmp(a->data, b->data, a->n) == 0);
    assume(a->used == b->used);
}

static void try_as(struct http_frame f, struct str in)
{
    struct result whole = decode(&f, in, 0), bytes = decode(&f, in, 1), uneven = decode(&f, in, 7);
    expect_same(&whole, &bytes);
    expect_same(&whole, &uneven);
    free(whole.data);
    free(bytes.data);
    free(uneven.data);
}

#ifdef HTTP_OPINION
static void ask_opinion(struct str in)
{
    struct str head = STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    char *message = malloc(head.n + in.n);
    memcpy(message, head.p, head.n);
    memcpy(message + head.n, in.p, in.n);
    assume(!http_opinion_on_request((struct str){ message, head.n + in.n }));
    free(message);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = { (const char *)data, size };
    if (!size)
        return 0;
    try_as((struct http_frame){ .framing = BODY_CHUNKED }, in);
    try_as((struct http_frame){ .framing = BODY_LENGTH, .length = size / 2 }, in);
    try_as((struct http_frame){ .framing = BODY_TO_EOF }, in);
#ifdef HTTP_OPINION
    ask_opinion(in);
#endif
    return 0;
}
