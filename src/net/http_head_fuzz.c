/* Any bytes, as a request and as a response. Always true:
 * - a shorter input is told to wait, or what the whole is told; the same with less allowed;
 * - with leaps and without, the same head is read;
 * - a head that is moved reads the same;
 * - whoever else parses what we take (llhttp, where it is) reads the same. */
#include "net/http_head.h"

#include <stdlib.h>

/* The parser once more under other names, as machines without SSE2 run it. */
#define HTTP_SCALAR
#define http_parse_request  scalar_parse_request
#define http_parse_response scalar_parse_response
#define http_head_rebase    scalar_head_rebase
#define http_get            scalar_get
typedef enum http_parse parser(struct str in, size_t limit, struct http_head *out, enum fail *why);
parser scalar_parse_request, scalar_parse_response;
void scalar_head_rebase(struct http_head *h, const char *old_base, const char *new_base);
struct str scalar_get(const struct http_head *h, enum header_id id);
#include "net/http_head.c"
#undef http_parse_request
#undef http_parse_response
#undef http_head_rebase
#undef http_get
#ifdef HTTP_OPINION
#include "net/http_opinion.h"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT KIB(8)
struct verdict {
    enum http_parse parse;
    enum fail why;
    size_t bytes;
};

/* From a block of exactly this size, so that reading too far is seen. */
static struct verdict verdict_of(parser *parse, struct str in, size_t limit)
{
    static struct http_head h;
    enum fail why = OK;
    char *block = malloc(in.n + 1);
    memcpy(block + 1, in.p, in.n);
    enum http_parse got = parse((struct str){ block + 1, in.n }, limit, &h, &why);
    free(block);
    return (struct verdict){ got, why, got == HTTP_DONE ? h.bytes : 0 };
}

static void expect_cut_to_agree(parser *parse, struct str in, size_t n, struct verdict whole)
{
    struct verdict cut = verdict_of(parse, str_take(in, n), LIMIT);
    if (cut.parse == HTTP_MORE)
        assume(whole.parse != HTTP_DONE || n < whole.bytes);
    else
        assume(memcmp(&cut, &whole, sizeof cut) == 0);
    struct verdict limited = verdict_of(parse, in, n);
    if (whole.parse == HTTP_DONE && whole.bytes <= n)
        assume(memcmp(&limited, &whole, sizeof limited) == 0);
    else
        assume(limited.parse == HTTP_BAD || (limited.parse == HTTP_MORE && n > in.n));
}

static bool same_str(struct str a, struct str b)
{
    return str_eq(a, b) && !a.p == !b.p;
}

static void expect_same(const struct http_head *a, const struct http_head *b)
{
    assume(a->n == b->n && a->seen == b->seen && a->bytes == b->bytes && a->minor == b->minor &&
           a->status == b->status);
    assume(a->method == b->method && same_str(a->method_text, b->method_text) && same_str(a->target, b->target));
    assume(same_str(a->path, b->path) && same_str(a->query, b->query) && same_str(a->authority, b->authority));
    assume(same_str(a->reason, b->reason));
    for (uint32_t i = 0; i < a->n; i++) {
        assume(same_str(a->field[i].name, b->field[i].name) && same_str(a->field[i].value, b->field[i].value));
        assume(a->field[i].id == b->field[i].id);
    }
}

static void move_and_compare(parser *parse, struct str in, const struct http_head *h)
{
    static struct http_head moved;
    enum fail why;
    char *from = malloc(in.n), *to = malloc(in.n);
    memcpy(from, in.p, in.n);
    memcpy(to, in.p, in.n);
    parse((struct str){ from, in.n }, LIMIT, &moved, &why);
    http_head_rebase(&moved, from, to);
    free(from);
    expect_same(h, &moved);
    free(to);
}

static void use_head(const struct http_head *h)
{
    struct http_frame f;
    char *out = malloc(h->path.n + 1);
    size_t n;
    if (http_unescape(h->path, out, &n))
        assume(n <= h->path.n);
    free(out);
    http_query(h->query, STR("a"));
    http_request_frame(h, &f);
    http_response_frame(h, h->method, &f);
    for (uint32_t i = 0; i < h->n; i++) {
        http_is_hop_by_hop(h, &h->field[i]);
        assume(http_get(h, h->field[i].id).p);
    }
}

static void try_as(parser *parse, parser *scalar, struct str in)
{
    static struct http_head h, other;
    enum fail why = OK, other_why = OK;
    enum http_parse got = parse(in, LIMIT, &h, &why);
    assume(got == scalar(in, LIMIT, &other, &other_why) && why == other_why);
    struct verdict whole = { got, why, got == HTTP_DONE ? h.bytes : 0 };
    for (size_t n = 0; n < in.n; n += 1 + in.n / 64)
        expect_cut_to_agree(parse, in, n, whole);
    if (got != HTTP_DONE)
        return;
    expect_same(&h, &other);
    move_and_compare(parse, in, &h);
    use_head(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = { (const char *)data, size };
    try_as(http_parse_request, scalar_parse_request, in);
    try_as(http_parse_response, scalar_parse_response, in);
#ifdef HTTP_OPINION
    assume(!http_opinion_on_request(in));
    assume(!http_opinion_on_response(in));
#endif
    return 0;
}
