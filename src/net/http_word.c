/* net/http_word.c - the small vocabulary of HTTP: methods, reasons, escapes and query parameters. */
#include "net/http_chars.h"
#include "net/http_head.h"

/* Method names are case-sensitive (RFC 9110 section 9.1): "get" is a method of its own, and not one we know. */
static const struct str methods[] = {
    [M_GET] = {"GET",      3},
      [M_HEAD] = { "HEAD",    4},
      [M_POST] = { "POST",    4},
    [M_PUT] = { "PUT",     3},
      [M_PATCH] = { "PATCH",   5},
      [M_DELETE] = { "DELETE",  6},
    [M_OPTIONS] = { "OPTIONS", 7},
      [M_CONNECT] = { "CONNECT", 7},
      [M_TRACE] = { "TRACE",   5},
};

enum http_method http_method_of(struct str text)
{
    enum http_method m = M_GET;
    while (m < M_OTHER && !str_eq(methods[m], text))
        m++;
    return m;
}

struct str http_method_text(enum http_method m)
{
    return m < M_OTHER ? methods[m] : STR("");
}

/* RFC 9110 section 15, RFC 6585, and 499 as nginx named it. */
static const struct {
    int status;
    struct str text;
} reasons[] = {
#define REASON(status, text)                                                                                           \
    {                                                                                                                  \
        status,                                                                                                        \
        {                                                                                                              \
            text, sizeof(text) - 1                                                                                     \
        }                                                                                                              \
    }
    REASON(200, "OK"),
    REASON(100, "Continue"),
    REASON(101, "Switching Protocols"),
    REASON(201, "Created"),
    REASON(202, "Accepted"),
    REASON(203, "Non-Authoritative Information"),
    REASON(204, "No Content"),
    REASON(205, "Reset Content"),
    REASON(206, "Partial Content"),
    REASON(300, "Multiple Choices"),
    REASON(301, "Moved Permanently"),
    REASON(302, "Found"),
    REASON(303, "See Other"),
    REASON(304, "Not Modified"),
    REASON(307, "Temporary Redirect"),
    REASON(308, "Permanent Redirect"),
    REASON(400, "Bad Request"),
    REASON(401, "Unauthorized"),
    REASON(402, "Payment Required"),
    REASON(403, "Forbidden"),
    REASON(404, "Not Found"),
    REASON(405, "Method Not Allowed"),
    REASON(406, "Not Acceptable"),
    REASON(407, "Proxy Authentication Required"),
    REASON(408, "Request Timeout"),
    REASON(409, "Conflict"),
    REASON(410, "Gone"),
    REASON(411, "Length Required"),
    REASON(412, "Precondition Failed"),
    REASON(413, "Content Too Large"),
    REASON(414, "URI Too Long"),
    REASON(415, "Unsupported Media Type"),
    REASON(416, "Range Not Satisfiable"),
    REASON(417, "Expectation Failed"),
    REASON(421, "Misdirected Request"),
    REASON(422, "Unprocessable Content"),
    REASON(425, "Too Early"),
    REASON(426, "Upgrade Required"),
    REASON(428, "Precondition Required"),
    REASON(429, "Too Many Requests"),
    REASON(431, "Request Header Fields Too Large"),
    REASON(499, "Client Closed Request"),
    REASON(500, "Internal Server Error"),
    REASON(501, "Not Implemented"),
    REASON(502, "Bad Gateway"),
    REASON(503, "Service Unavailable"),
    REASON(504, "Gateway Timeout"),
    REASON(505, "HTTP Version Not Supported"),
    REASON(507, "Insufficient Storage"),
    REASON(511, "Network Authentication Required"),
    REASON(529, "Overloaded"),
#undef REASON
};

struct str http_reason(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return STR("");
}

static inline int escaped_byte(struct str in, size_t at)
{
    int high = at + 2 < in.n ? http_hex(in.p[at + 1]) : -1;
    int low = at + 2 < in.n ? http_hex(in.p[at + 2]) : -1;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool http_unescape(struct str in, char *out, size_t *out_n)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '%') {
            out[n++] = in.p[i];
            continue;
        }
        int byte = escaped_byte(in, i);
        if (byte <= 0)
            return false;
        out[n++] = (char)byte;
        i += 2;
    }
    *out_n = n;
    return true;
}

struct str http_query(struct str query, struct str name)
{
    while (query.n) {
        struct str value = str_cut(&query, '&');
        if (str_eq(str_cut(&value, '='), name))
            return value;
    }
    return STR_NONE;
}
