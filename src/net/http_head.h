/* net/http_head.h - strict HTTP/1.1 heads: requests and responses parsed in place, and written (RFC 9112, RFC 9110).
 *
 * The parser works on bytes at hand and keeps no state: call again with more. It refuses what lets two parsers
 * disagree: bare CR, bare LF as line end, obs-fold, white space before a colon or between start line and fields, NUL
 * and other controls in values, spaces in the request target, empty or non-token names. Header strings point into the
 * input. Pure; any thread. */
#pragma once
#include "base/fail.h"
#include "base/str.h"

/* Headers the program looks at; the rest are H_OTHER. One table (http_head.def): HEADER(id, "Name"). */
enum header_id {
#define HEADER(id, name) H_##id,
#include "net/http_head.def"
#undef HEADER
    H_COUNT
};
enum http_method { M_GET, M_HEAD, M_POST, M_PUT, M_PATCH, M_DELETE, M_OPTIONS, M_CONNECT, M_TRACE, M_OTHER };

struct http_field {
    struct str name, value; /* value without blanks around it */
    enum header_id id;
};
#define HTTP_FIELDS_MAX 100
struct http_head {
    /* request */
    enum http_method method;
    struct str method_text, target; /* target as sent */
    struct str path, query;         /* of origin-form and absolute-form; "*" of asterisk-form; query without '?' */
    struct str authority; /* of absolute-form, which overrides Host (RFC 9112 section 3.2.2), and of CONNECT */
    /* response */
    int status;
    struct str reason;
    /* both */
    int minor; /* HTTP/1.minor, 0 or 1 (a higher minor is read as 1) */
    uint32_t n;
    size_t bytes;                             /* whole head with its empty line */
    uint64_t seen;                            /* bit per header_id: present */
    struct http_field field[HTTP_FIELDS_MAX]; /* only the first n are ever written */
};
enum http_parse { HTTP_MORE, HTTP_DONE, HTTP_BAD };
/* Leading empty lines before a request are skipped (RFC 9112 section 2.2), counted in bytes. `limit`: largest head
 * accepted. HTTP_BAD: *why is FAIL_bad_request, FAIL_head_too_large, FAIL_bad_version. HTTP_MORE only if no prefix of
 * the input is already wrong or too long. Callers bound the cost of slow arrival by the limit: a head is at most 64
 * KiB. */
enum http_parse http_parse_request(struct str in, size_t limit, struct http_head *out, enum fail *why);
enum http_parse http_parse_response(struct str in, size_t limit, struct http_head *out, enum fail *why);
/* All strings of the head point into bytes that were copied elsewhere: move them along. */
void http_head_rebase(struct http_head *h, const char *old_base, const char *new_base);
/* First field of that id, NULL bytes if absent. */
struct str http_get(const struct http_head *h, enum header_id id);
static inline bool http_has(const struct http_head *h, enum header_id id)
{
    return (h->seen >> id) & 1;
}

/* How the body after a head is delimited (RFC 9112 section 6). */
enum http_framing { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_EOF };
struct http_frame {
    enum http_framing framing;
    uint64_t length; /* of BODY_LENGTH */
    bool keep_alive; /* the connection may be used again after this message */
    bool expect_continue;
    uint32_t keep_alive_timeout_s; /* of a response's Keep-Alive: timeout=N; 0 = not given */
};
/* Refuses: Content-Length together with Transfer-Encoding, repeated or listed or signed or overflowing Content-Length,
 * a Transfer-Encoding other than exactly one "chunked", any Transfer-Encoding in HTTP/1.0, an HTTP/1.1 request without
 * exactly one Host or with an invalid one, an expectation other than 100-continue (FAIL_expectation_failed). */
enum fail http_request_frame(const struct http_head *h, struct http_frame *out);
/* `to`: the method of the request that is answered; HEAD, 1xx, 204 and 304 have no body. FAIL_upstream_garbage: refused
 * as above. */
enum fail http_response_frame(const struct http_head *h, enum http_method to, struct http_frame *out);

/* Field names that concern one connection only and are never forwarded (RFC 9110 section 7.6.1), those listed in
 * Connection included. */
bool http_is_hop_by_hop(const struct http_head *h, const struct http_field *f);
struct str http_reason(int status); /* "" if unknown */
enum http_method http_method_of(struct str text);
struct str http_method_text(enum http_method m);
/* Percent-decodes a path segment into `out` (room for in.n); false on a bad escape or an encoded NUL. */
bool http_unescape(struct str in, char *out, size_t *out_n);
/* Value of a query parameter, still escaped; NULL bytes if absent; "" if given without '='. */
struct str http_query(struct str query, struct str name);
