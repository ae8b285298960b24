/* net/http_opinion.c - both parsers over one message, and the first difference.
 *
 * Ours goes first: what it refuses needs no opinion. llhttp is then given the same bytes in one call, with callbacks
 * that compare as they come. It is built as Debian builds it, in its loose mode, which is what Node.js servers run.
 * What the two may disagree about is written down in two functions: is_matter_of_taste and has_extension_after_value.
 */
#include "net/http_opinion.h"

#include "net/http_body.h"
#include "net/http_chars.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

struct witness {
    llhttp_t parser;
    llhttp_settings_t settings;
    const struct http_head *head;
    struct str target, name, value; /* spans of the one input, so they only grow */
    uint32_t fields;
    size_t body_bytes;
    char *body;
    bool bodyless; /* a 204, 304 or 1xx: llhttp wants to be told */
    bool in_body, in_trailers, complete;
    const char *difference;
};

static int part(struct witness *w, const char *difference)
{
    if (!w->difference)
        w->difference = difference;
    return HPE_USER;
}

static int extend(struct str *s, const char *at, size_t n)
{
    *s = s->n ? (struct str){ s->p, (size_t)(at + n - s->p) } : (struct str){ at, n };
    return 0;
}

static struct witness *witness_of(llhttp_t *p)
{
    return CONTAINER(p, struct witness, parser);
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    return extend(&witness_of(p)->target, at, n);
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
    struct witness *w = witness_of(p);
    w->in_trailers = w->in_body;
    return w->in_body ? 0 : extend(&w->name, at, n);
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct witness *w = witness_of(p);
    return w->in_body ? 0 : extend(&w->value, at, n);
}

static int on_field(llhttp_t *p)
{
    struct witness *w = witness_of(p);
    if (w->in_body)
        return 0;
    if (w->fields == w->head->n)
        return part(w, "llhttp sees more fields");
    const struct http_field *f = &w->head->field[w->fields++];
    if (!str_eq(f->name, w->name))
        return part(w, "llhttp sees another field name");
    if (!str_eq(f->value, str_trim_blank(w->value)))
        return part(w, "llhttp sees another field value");
    w->name = w->value = STR_NONE;
    return 0;
}

static int on_head(llhttp_t *p)
{
    struct witness *w = witness_of(p);
    w->in_body = true;
    if (w->fields != w->head->n)
        return part(w, "llhttp sees fewer fields");
    if (p->http_major != 1 || p->http_minor != w->head->minor)
        return part(w, "llhttp sees another version");
    return w->bodyless;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct witness *w = witness_of(p);
    memcpy(w->body + w->body_bytes, at, n);
    w->body_bytes += n;
    return 0;
}

static int on_complete(llhttp_t *p)
{
    witness_of(p)->complete = true;
    return HPE_PAUSED;
}

static void call_witness(struct witness *w, llhttp_type_t type)
{
    llhttp_settings_init(&w->settings);
    w->settings.on_url = on_url;
    w->settings.on_header_field = on_name;
    w->settings.on_header_value = on_value;
    w->settings.on_header_value_complete = on_field;
    w->settings.on_headers_complete = on_head;
    w->settings.on_body = on_body;
    w->settings.on_message_complete = on_complete;
    llhttp_init(&w->parser, type, &w->settings);
}

/* What our own decoder makes of the body after the head. */
struct ours {
    enum http_step step;
    char *body;
    size_t body_bytes, used;
};

static void decode(const struct http_frame *f, struct str in, size_t head_bytes, struct ours *o)
{
    struct http_body b;
    struct str rest = str_drop(in, head_bytes), piece;
    http_body_init(&b, f);
    while ((o->step = http_body_next(&b, &rest, &piece)) == BODY_DATA) {
        memcpy(o->body + o->body_bytes, piece.p, piece.n);
        o->body_bytes += piece.n;
    }
    o->used = in.n - rest.n;
}

/* Where llhttp is stricter and the RFC is with us: methods it has not heard of, minor versions above 1, a tab after a
 * length or a coding (OWS, RFC 9110 section 5.6.3). */
static bool is_matter_of_taste(struct str in, const struct http_head *h)
{
    const char *version = h->status ? in.p : h->target.p + h->target.n + 1;
    if ((!h->status && h->method == M_OTHER) || version[7] > '1')
        return true;
    for (uint32_t i = 0; i < h->n; i++) {
        const struct http_field *f = &h->field[i];
        bool frames = f->id == H_CONTENT_LENGTH || f->id == H_TRANSFER_ENCODING;
        for (const char *p = f->value.p + f->value.n; frames && *p != '\r'; p++)
            if (*p == '\t')
                return true;
    }
    return false;
}

/* llhttp heeds Content-Length and Transfer-Encoding among the trailers, which we drop unread (RFC 9110 section 6.5.1).
 */
static bool minds_a_trailer(const struct witness *w, enum llhttp_errno said)
{
    return w->in_trailers && (said == HPE_INVALID_TRANSFER_ENCODING || said == HPE_INVALID_CONTENT_LENGTH ||
                              said == HPE_UNEXPECTED_CONTENT_LENGTH);
}

/* After a chunk extension's unquoted value llhttp 8.1 knows no further extension ("1;a=b;c"); RFC 9112 section 7.1.1
 * does. */
static bool has_extension_after_value(struct str body)
{
    for (size_t i = 0; i < body.n; i++) {
        size_t value = i + 1;
        while (body.p[i] == '=' && value < body.n && http_is(body.p[value], CHAR_TOKEN))
            value++;
        if (value > i + 1 && value < body.n && body.p[value] == ';')
            return true;
    }
    return false;
}

static const char *compare_ends(struct witness *w, struct str in, const struct ours *o, enum llhttp_errno said)
{
    if (w->difference)
        return w->difference;
    if (w->parser.upgrade)
        return NULL; /* its body is nobody's HTTP any more */
    if (minds_a_trailer(w, said))
        return NULL;
    if (said == HPE_INVALID_CHUNK_SIZE && has_extension_after_value(str_drop(in, w->head->bytes)))
        return NULL;
    if (said != HPE_OK && said != HPE_PAUSED)
        return llhttp_get_error_reason(&w->parser);
    if (o->body_bytes != w->body_bytes || memcmp(o->body, w->body, o->body_bytes) != 0)
        return "llhttp sees another body";
    if (w->complete != (o->step == BODY_END))
        return "only one of both sees the end";
    if (w->complete && (size_t)(llhttp_get_error_pos(&w->parser) - in.p) != o->used)
        return "llhttp sees another end";
    return NULL;
}

static const char *compare_request_line(const struct witness *w)
{
    if (!str_eq(w->target, w->head->target))
        return "llhttp sees another target";
    struct str method = str_of(llhttp_method_name(w->parser.method));
    return str_eq(method, w->head->method_text) ? NULL : "llhttp sees another method";
}

static const char *compare_status(const struct witness *w)
{
    return w->parser.status_code == w->head->status ? NULL : "llhttp sees another status";
}

static const char *compare(struct str in, const struct http_head *h, const struct http_frame *f, llhttp_type_t type)
{
    struct ours o = { .body = malloc(in.n) };
    bool bodyless = type == HTTP_RESPONSE && f->framing == BODY_NONE;
    struct witness w = { .head = h, .body = malloc(in.n), .bodyless = bodyless };
    assume(o.body && w.body);
    decode(f, in, h->bytes, &o);
    call_witness(&w, type);
    const char *difference = NULL;
    if (o.step != BODY_BAD)
        difference = compare_ends(&w, in, &o, llhttp_execute(&w.parser, in.p, in.n));
    if (!difference && w.in_body)
        difference = type == HTTP_REQUEST ? compare_request_line(&w) : compare_status(&w);
    free(o.body);
    free(w.body);
    return difference;
}

const char *http_opinion_on_request(struct str in)
{
    static struct http_head h;
    struct http_frame f;
    enum fail why;
    if (http_parse_request(in, KIB(64), &h, &why) != HTTP_DONE || http_request_frame(&h, &f))
        return NULL;
    return is_matter_of_taste(in, &h) ? NULL : compare(in, &h, &f, HTTP_REQUEST);
}

const char *http_opinion_on_response(struct str in)
{
    static struct http_head h;
    struct http_frame f;
    enum fail why;
    if (http_parse_response(in, KIB(64), &h, &why) != HTTP_DONE || http_response_frame(&h, M_GET, &f))
        return NULL;
    return is_matter_of_taste(in, &h) ? NULL : compare(in, &h, &f, HTTP_RESPONSE);
}
