/* net/http_head.c - one pass over a head, from its first byte to its empty line.
 *
 *   GET /api/tags?x=1 HTTP/1.1 CRLF   Host: gpu1:11434 CRLF   Accept: * / * CRLF   CRLF
 *   method  target    version         name  value             ...                  the end: HTTP_DONE
 *
 * No state is kept between calls: a head nearly always arrives in one piece, so to begin again costs less than to
 * remember. It also makes the answer depend on the bytes alone and not on how they were cut: whatever is wrong is
 * reported at the first byte that proves it, and what lies beyond `limit` is not looked at.
 *
 * Speed comes from leaps of 16 bytes (SSE2, part of every x86-64) to the first byte that *may* end a name, a value or a
 * target; the table of net/http_chars.h then decides. Other machines take the same road without the leaps. Wider
 * registers were left out: values are short. Known names are found in a table of 256 slots by length and three letters,
 * then compared eight bytes at a time; a chain of comparisons cost as much as the rest of the parse. */
#include "net/http_head.h"

#include "net/addr.h"
#include "net/http_chars.h"

#if defined(__SSE2__) && !defined(HTTP_SCALAR)
#include <emmintrin.h>
#define LEAPS true
#else
#define LEAPS false
#endif

struct cursor {
    const char *p, *end;
    enum fail why;
};
static inline enum http_parse refuse(struct cursor *c, enum fail why)
{
    c->why = why;
    return HTTP_BAD;
}

#if defined(__SSE2__) && !defined(HTTP_SCALAR)
/* Bytes of x within [from, from + span], unsigned. */
static inline __m128i between(__m128i x, char from, char span)
{
    __m128i offset = _mm_sub_epi8(x, _mm_set1_epi8(from));
    return _mm_cmpeq_epi8(_mm_min_epu8(offset, _mm_set1_epi8(span)), offset);
}
static inline __m128i equal(__m128i x, char c)
{
    return _mm_cmpeq_epi8(x, _mm_set1_epi8(c));
}

static inline __m128i ends_value(__m128i x)
{
    return _mm_or_si128(_mm_andnot_si128(equal(x, '\t'), between(x, 0, 0x1f)), equal(x, 0x7f));
}
static inline __m128i ends_target(__m128i x)
{
    __m128i visible = between(x, '!', '~' - '!');
    return _mm_or_si128(_mm_andnot_si128(visible, _mm_set1_epi8(-1)), equal(x, '#'));
}
/* Knows only the letters, digits and '-' that names are made of; the table knows the rest. */
static inline __m128i ends_name(__m128i x)
{
    __m128i letter = between(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 'z' - 'a');
    __m128i digit = between(x, '0', '9' - '0');
    return _mm_andnot_si128(_mm_or_si128(_mm_or_si128(letter, digit), equal(x, '-')), _mm_set1_epi8(-1));
}
#define LEAP(p, end, ends)                                                                                             \
    for (; (end) - (p) >= 16; (p) += 16) {                                                                             \
        int stops = _mm_movemask_epi8(ends(_mm_loadu_si128((const void *)(p))));                                       \
        if (stops) {                                                                                                   \
            (p) += __builtin_ctz((unsigned)stops);                                                                     \
            break;                                                                                                     \
        }                                                                                                              \
    }
#else
#define LEAP(p, end, ends)
#endif

static inline const char *while_table(const char *p, const char *end, enum http_chars what)
{
    while (p < end && http_is(*p, what))
        p++;
    return p;
}
static inline const char *name_end(const char *p, const char *end)
{
    LEAP(p, end, ends_name)
    return while_table(p, end, CHAR_TOKEN);
}
static inline const char *value_end(const char *p, const char *end)
{
    LEAP(p, end, ends_value)
    return while_table(p, end, CHAR_VALUE);
}
static inline const char *target_end(const char *p, const char *end)
{
    LEAP(p, end, ends_target)
    return while_table(p, end, CHAR_TARGET);
}

/* Names of the table */

static const struct str names[H_COUNT] = {
#define HEADER(id, name) [H_##id] = { name, sizeof(name) - 1 },
#include "net/http_head.def"
#undef HEADER
};
_Static_assert(H_COUNT <= 64, "http_head.seen has a bit for each");
static uint8_t slots[256]; /* header_id, H_OTHER = empty; a taken slot's next is tried */

/* Token bytes that differ in bit 0x20 only are letters in both cases, or not of our names: these are letters, digits,
 * '-'. */
static inline unsigned slot_of(const char *name, size_t n)
{
    unsigned letters = (unsigned)(unsigned char)name[0] | (unsigned)(unsigned char)name[n / 2] << 8 |
                       (unsigned)(unsigned char)name[n - 1] << 16;
    return (((letters | 0x202020) ^ (unsigned)n << 24) * 0x9E3779B1u) >> 24;
}

/* Before main, so that no reader needs a lock or an order of initialisation; from then on it is only read. */
__attribute__((constructor)) static void fill_slots(void)
{
    for (unsigned id = H_OTHER + 1; id < H_COUNT; id++) {
        unsigned slot = slot_of(names[id].p, names[id].n);
        while (slots[slot])
            slot = (slot + 1) % ARRAY_LEN(slots);
        slots[slot] = (uint8_t)id;
    }
}

static inline uint64_t folded8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w | 0x2020202020202020u;
}
static inline uint32_t folded4(const char *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w | 0x20202020u;
}

/* The last word overlaps the one before it, so nothing beyond n is read. */
static inline bool same_name(const char *a, const char *b, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (folded8(a + i) != folded8(b + i))
                return false;
        return folded8(a + n - 8) == folded8(b + n - 8);
    }
    if (n >= 4)
        return folded4(a) == folded4(b) && folded4(a + n - 4) == folded4(b + n - 4);
    for (size_t i = 0; i < n; i++)
        if ((a[i] | 0x20) != (b[i] | 0x20))
            return false;
    return true;
}

static inline enum header_id identify(const char *name, size_t n)
{
    for (unsigned slot = slot_of(name, n);; slot = (slot + 1) % ARRAY_LEN(slots)) {
        enum header_id id = slots[slot];
        if (id == H_OTHER || (names[id].n == n && same_name(name, names[id].p, n)))
            return id;
    }
}

/* Fields */

static inline enum http_parse take_line_end(struct cursor *c)
{
    if (c->p == c->end)
        return HTTP_MORE;
    if (*c->p != '\r')
        return refuse(c, FAIL_bad_request);
    if (c->p + 1 == c->end)
        return HTTP_MORE;
    if (c->p[1] != '\n')
        return refuse(c, FAIL_bad_request);
    c->p += 2;
    return HTTP_DONE;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline void keep_field(struct http_head *h, struct str name, struct str value)
{
    enum header_id id = identify(name.p, name.n);
    h->field[h->n++] = (struct http_field){ name, value, id };
    h->seen |= (uint64_t)1 << id;
}

/* With leaps the end of the line is looked for from its start, not from the colon: whatever may stand in a name may
 * stand in a value, and two searches that do not wait for each other take the time of one. */
static inline enum http_parse take_field(struct cursor *c, struct http_head *h)
{
    const char *name = c->p, *colon = name_end(name, c->end);
    const char *stop = value_end(LEAPS ? name : colon, c->end);
    if (colon == c->end)
        return HTTP_MORE;
    if (*colon != ':' || colon == name)
        return refuse(c, FAIL_bad_request);
    c->p = stop;
    enum http_parse line = take_line_end(c);
    if (line != HTTP_DONE)
        return line;
    const char *value = colon + 1;
    while (value < stop && is_blank(*value))
        value++;
    while (stop > value && is_blank(stop[-1]))
        stop--;
    keep_field(h, str_span(name, colon), str_span(value, stop));
    return HTTP_DONE;
}

/* Works on a cursor of its own, which can live in registers: nobody else has its address. */
static enum http_parse take_fields(struct cursor *from, struct http_head *h)
{
    struct cursor c = *from;
    enum http_parse step = HTTP_DONE;
    while (step == HTTP_DONE && c.p < c.end && *c.p != '\r')
        step = h->n < HTTP_FIELDS_MAX ? take_field(&c, h) : refuse(&c, FAIL_head_too_large);
    if (step == HTTP_DONE)
        step = take_line_end(&c);
    *from = c;
    return step;
}

/* Start lines */

static inline enum http_parse take_byte(struct cursor *c, char wanted)
{
    if (c->p == c->end)
        return HTTP_MORE;
    if (*c->p != wanted)
        return refuse(c, FAIL_bad_request);
    c->p++;
    return HTTP_DONE;
}

static enum http_parse take_any_version(struct cursor *c, int *out_minor)
{
    static const char shape[8] = "HTTP/0.0";
    for (size_t i = 0; i < sizeof shape; i++, c->p++) {
        if (c->p == c->end)
            return HTTP_MORE;
        if (shape[i] == '0' ? !http_is(*c->p, CHAR_DIGIT) : *c->p != shape[i])
            return refuse(c, FAIL_bad_request);
    }
    if (c->p[-3] != '1')
        return refuse(c, FAIL_bad_version);
    *out_minor = c->p[-1] != '0';
    return HTTP_DONE;
}

static inline enum http_parse take_version(struct cursor *c, int *out_minor)
{
    if (c->end - c->p < 8 || memcmp(c->p, "HTTP/1.1", 8) != 0)
        return take_any_version(c, out_minor);
    c->p += 8;
    *out_minor = 1;
    return HTTP_DONE;
}

static inline void split_query(struct http_head *h, struct str t)
{
    const char *mark = t.n ? memchr(t.p, '?', t.n) : NULL;
    h->path = mark ? str_span(t.p, mark) : t;
    if (mark)
        h->query = str_span(mark + 1, t.p + t.n);
}

/* host ":" port, both there (RFC 9112 section 3.2.3). */
static bool read_authority_form(struct http_head *h)
{
    struct str host, port;
    h->authority = h->target;
    return addr_authority(h->target, &host, &port) && host.n && port.n;
}

/* scheme "://" authority path-and-query (section 3.2.2). A name in front of '@' is refused: it can only deceive. An
 * empty path means "/", for OPTIONS "*" (section 3.2.4). */
static bool read_absolute_form(struct http_head *h)
{
    struct str rest = h->target, host, port;
    if (str_starts_nocase(rest, STR("http://")))
        rest = str_drop(rest, 7);
    else if (str_starts_nocase(rest, STR("https://")))
        rest = str_drop(rest, 8);
    else
        return false;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    h->authority = str_take(rest, n);
    split_query(h, (struct str){ rest.p + n, rest.n - n });
    if (!h->path.n)
        h->path = h->method == M_OPTIONS && !h->query.p ? STR("*") : STR("/");
    return addr_authority(h->authority, &host, &port) && host.n;
}

static bool read_target(struct http_head *h)
{
    if (h->method == M_CONNECT)
        return read_authority_form(h);
    if (h->target.p[0] == '/') {
        split_query(h, h->target);
        return true;
    }
    if (str_eq(h->target, STR("*"))) {
        h->path = h->target;
        return h->method == M_OPTIONS;
    }
    return read_absolute_form(h);
}

static enum http_parse take_empty_lines(struct cursor *c)
{
    enum http_parse line = HTTP_DONE;
    while (line == HTTP_DONE && c->p < c->end && *c->p == '\r')
        line = take_line_end(c);
    return line;
}

static inline enum http_parse take_method(struct cursor *c, struct http_head *h)
{
    const char *start = c->p;
    c->p = while_table(start, c->end, CHAR_TOKEN);
    h->method_text = str_span(start, c->p);
    if (c->p < c->end && c->p == start)
        return refuse(c, FAIL_bad_request);
    h->method = http_method_of(h->method_text);
    return take_byte(c, ' ');
}

static inline enum http_parse take_target(struct cursor *c, struct http_head *h)
{
    const char *start = c->p;
    c->p = target_end(start, c->end);
    h->target = str_span(start, c->p);
    if (c->p < c->end && c->p == start)
        return refuse(c, FAIL_bad_request);
    return take_byte(c, ' ');
}

/* The target is judged after the version, so that the first line of HTTP/2 is told its version and not its target. */
static enum http_parse take_request_line(struct cursor *c, struct http_head *h)
{
    enum http_parse step = take_empty_lines(c);
    if (step == HTTP_DONE)
        step = take_method(c, h);
    if (step == HTTP_DONE)
        step = take_target(c, h);
    if (step == HTTP_DONE)
        step = take_version(c, &h->minor);
    if (step == HTTP_DONE)
        step = take_line_end(c);
    if (step == HTTP_DONE && !read_target(h))
        return refuse(c, FAIL_bad_request);
    return step;
}

static enum http_parse take_status(struct cursor *c, struct http_head *h)
{
    for (int digits = 0; digits < 3; digits++, c->p++) {
        if (c->p == c->end)
            return HTTP_MORE;
        if (!http_is(*c->p, CHAR_DIGIT) || (digits == 0 && *c->p == '0'))
            return refuse(c, FAIL_bad_request);
        h->status = h->status * 10 + (*c->p - '0');
    }
    return HTTP_DONE;
}

/* The reason may be missing with its space, as some servers send it; nobody needs it. */
static enum http_parse take_reason(struct cursor *c, struct http_head *h)
{
    if (c->p < c->end && *c->p == ' ') {
        const char *start = ++c->p;
        c->p = value_end(start, c->end);
        h->reason = str_span(start, c->p);
    }
    return take_line_end(c);
}

static enum http_parse take_status_line(struct cursor *c, struct http_head *h)
{
    enum http_parse step = take_version(c, &h->minor);
    if (step == HTTP_DONE)
        step = take_byte(c, ' ');
    if (step == HTTP_DONE)
        step = take_status(c, h);
    return step == HTTP_DONE ? take_reason(c, h) : step;
}

/* Each by name: for a memset of this size gcc takes `rep stos`, which costs a quarter of the whole parse. */
static inline void begin_head(struct http_head *h)
{
    h->method_text = h->target = h->path = h->query = h->authority = h->reason = STR_NONE;
    h->method = M_OTHER;
    h->status = h->minor = 0;
    h->n = 0;
    h->bytes = 0;
    h->seen = 0;
}

static inline enum http_parse parse_head(struct str in, size_t limit, struct http_head *h, enum fail *why,
                                         enum http_parse (*take_start)(struct cursor *, struct http_head *))
{
    begin_head(h);
    if (!in.n)
        return HTTP_MORE;
    struct cursor c = { in.p, in.p + MIN(in.n, limit), OK };
    enum http_parse step = take_start(&c, h);
    if (step == HTTP_DONE)
        step = take_fields(&c, h);
    if (step == HTTP_MORE && in.n >= limit)
        step = refuse(&c, FAIL_head_too_large);
    if (step == HTTP_BAD)
        *why = c.why;
    if (step == HTTP_DONE)
        h->bytes = (size_t)(c.p - in.p);
    return step;
}

enum http_parse http_parse_request(struct str in, size_t limit, struct http_head *out, enum fail *why)
{
    return parse_head(in, limit, out, why, take_request_line);
}

enum http_parse http_parse_response(struct str in, size_t limit, struct http_head *out, enum fail *why)
{
    return parse_head(in, limit, out, why, take_status_line);
}

/* What is read from it */

/* Absent strings and the literal paths of read_target stay where they are. */
static inline void move_along(struct str *s, const char *from, size_t bytes, const char *to)
{
    size_t offset = (size_t)((uintptr_t)s->p - (uintptr_t)from);
    if (s->p && offset <= bytes)
        s->p = to + offset;
}

void http_head_rebase(struct http_head *h, const char *old_base, const char *new_base)
{
    struct str *start[] = { &h->method_text, &h->target, &h->path, &h->query, &h->authority, &h->reason };
    for (size_t i = 0; i < ARRAY_LEN(start); i++)
        move_along(start[i], old_base, h->bytes, new_base);
    for (uint32_t i = 0; i < h->n; i++) {
        move_along(&h->field[i].name, old_base, h->bytes, new_base);
        move_along(&h->field[i].value, old_base, h->bytes, new_base);
    }
}

struct str http_get(const struct http_head *h, enum header_id id)
{
    if (http_has(h, id))
        for (uint32_t i = 0; i < h->n; i++)
            if (h->field[i].id == id)
                return h->field[i].value;
    return STR_NONE;
}
