/* net/http_frame.c - where a message ends, and whether another may follow on its connection.
 *
 * Two parsers that disagree here let a stranger smuggle a request into somebody else's connection, so what RFC 9112
 * section 6.3 lets a server repair (equal lengths sent twice, a length beside a coding) is refused instead: every
 * repair has been the hole of some proxy. One walk over the fields collects what was said; the rules for requests and
 * responses then read like the RFC. */
#include "net/addr.h"
#include "net/http_chars.h"
#include "net/http_head.h"

#define BIT(id)    ((uint64_t)1 << (id))
#define LENGTH_MAX ((uint64_t)1 << 62)
/* Of Connection values together: each field is looked for among their options, so a long list costs its square. */
#define OPTIONS_BYTES_MAX KIB(1)

struct said {
    unsigned hosts, lengths, codings;
    struct str host, length, coding, keep_alive;
    size_t options_bytes;
    bool close, persist, other_expectation, expect_continue;
};

/* The next option of a Connection value; none: empty. Options are tokens, so a quote hides no comma here. */
static struct str next_option(struct str *list)
{
    size_t from = 0;
    while (from < list->n && !http_is(list->p[from], CHAR_TOKEN))
        from++;
    size_t to = from;
    while (to < list->n && http_is(list->p[to], CHAR_TOKEN))
        to++;
    struct str option = { list->p + from, to - from };
    *list = (struct str){ list->p + to, list->n - to };
    return option;
}

static void collect_options(struct str list, struct said *s)
{
    s->options_bytes += list.n;
    if (s->options_bytes > OPTIONS_BYTES_MAX)
        return;
    for (struct str option = next_option(&list); option.n; option = next_option(&list)) {
        s->close |= str_eq_nocase(option, STR("close"));
        s->persist |= str_eq_nocase(option, STR("keep-alive"));
    }
}

static void collect(const struct http_head *h, struct said *s)
{
    *s = (struct said){ 0 };
    for (const struct http_field *f = h->field; f < h->field + h->n; f++)
        switch (f->id) {
        case H_HOST:
            s->hosts++;
            s->host = f->value;
            break;
        case H_CONTENT_LENGTH:
            s->lengths++;
            s->length = f->value;
            break;
        case H_TRANSFER_ENCODING:
            s->codings++;
            s->coding = f->value;
            break;
        case H_CONNECTION: collect_options(f->value, s); break;
        case H_EXPECT:
            if (str_eq_nocase(f->value, STR("100-continue")))
                s->expect_continue = true;
            else
                s->other_expectation = true;
            break;
        case H_KEEP_ALIVE: s->keep_alive = f->value; break;
        default: break;
        }
}

/* BODY_NONE when nothing was said; false when it cannot be trusted. */
static bool delimit(const struct said *s, int minor, struct http_frame *out)
{
    if (s->codings) {
        out->framing = BODY_CHUNKED;
        return s->codings == 1 && !s->lengths && minor > 0 && str_eq_nocase(s->coding, STR("chunked"));
    }
    if (s->lengths) {
        out->framing = BODY_LENGTH;
        return s->lengths == 1 && str_u64(s->length, &out->length) && out->length <= LENGTH_MAX;
    }
    return true;
}

static inline bool persists(const struct said *s, int minor)
{
    return !s->close && (minor > 0 || s->persist);
}

/* Missing only in HTTP/1.0; empty when the target has no authority (RFC 9112 section 3.2). */
static bool host_is_good(const struct said *s, int minor)
{
    struct str host, port;
    if (s->hosts != 1)
        return s->hosts == 0 && minor == 0;
    return !s->host.n || (addr_authority(s->host, &host, &port) && host.n);
}

enum fail http_request_frame(const struct http_head *h, struct http_frame *out)
{
    struct said s;
    collect(h, &s);
    *out = (struct http_frame){ 0 };
    if (!host_is_good(&s, h->minor) || !delimit(&s, h->minor, out))
        return FAIL_bad_request;
    if (s.options_bytes > OPTIONS_BYTES_MAX)
        return FAIL_head_too_large;
    if (s.other_expectation)
        return FAIL_expectation_failed;
    out->keep_alive = persists(&s, h->minor);
    /* An HTTP/1.0 client cannot have meant it, one without a body waits for nothing (RFC 9110 section 10.1.1). */
    bool has_body = out->framing == BODY_CHUNKED || out->length > 0;
    out->expect_continue = s.expect_continue && has_body && h->minor > 0;
    return OK;
}

static uint32_t timeout_of(struct str keep_alive)
{
    uint64_t seconds = 0;
    while (keep_alive.n) {
        struct str parameter = str_trim_blank(str_cut(&keep_alive, ','));
        if (str_starts_nocase(parameter, STR("timeout=")) && str_u64(str_drop(parameter, 8), &seconds))
            return (uint32_t)MIN(seconds, UINT32_MAX);
    }
    return 0;
}

static bool has_no_body(int status, enum http_method to)
{
    return to == M_HEAD || status < 200 || status == 204 || status == 304;
}

/* RFC 9112 section 6.3, steps 1, 2 and 8; after 101 or a tunnel the bytes are no longer HTTP. */
enum fail http_response_frame(const struct http_head *h, enum http_method to, struct http_frame *out)
{
    struct said s;
    collect(h, &s);
    *out = (struct http_frame){ 0 };
    if (!delimit(&s, h->minor, out) || s.options_bytes > OPTIONS_BYTES_MAX)
        return FAIL_upstream_garbage;
    bool tunnel = to == M_CONNECT && h->status / 100 == 2;
    if (has_no_body(h->status, to))
        *out = (struct http_frame){ 0 };
    else if (out->framing == BODY_NONE || tunnel)
        *out = (struct http_frame){ .framing = BODY_TO_EOF };
    out->keep_alive = persists(&s, h->minor) && out->framing != BODY_TO_EOF && h->status != 101;
    out->keep_alive_timeout_s = timeout_of(s.keep_alive);
    return OK;
}

/* Always of one connection / never, whatever Connection says: to drop one of these would move the end of the message or
 * its target. Trailer goes because the trailers it announces are dropped. */
#define HOP_BY_HOP                                                                                                     \
    (BIT(H_CONNECTION) | BIT(H_KEEP_ALIVE) | BIT(H_PROXY_AUTHORIZATION) | BIT(H_PROXY_CONNECTION) | BIT(H_TE) |        \
     BIT(H_TRAILER) | BIT(H_TRANSFER_ENCODING) | BIT(H_UPGRADE))
#define END_TO_END (BIT(H_HOST) | BIT(H_CONTENT_LENGTH))

/* The usual values, which name no field: asked once per field of each head, so it counts. */
static inline bool names_no_field(struct str list)
{
    return str_eq(list, STR("keep-alive")) || str_eq(list, STR("close"));
}

static bool is_option(struct str list, struct str name)
{
    if (list.n < name.n || names_no_field(list))
        return false;
    for (struct str option = next_option(&list); option.n; option = next_option(&list))
        if (str_eq_nocase(option, name))
            return true;
    return false;
}

bool http_is_hop_by_hop(const struct http_head *h, const struct http_field *f)
{
    if (BIT(f->id) & HOP_BY_HOP)
        return true;
    if (!http_has(h, H_CONNECTION) || BIT(f->id) & END_TO_END)
        return false;
    for (uint32_t i = 0; i < h->n; i++)
        if (h->field[i].id == H_CONNECTION && is_option(h->field[i].value, f->name))
            return true;
    return false;
}
