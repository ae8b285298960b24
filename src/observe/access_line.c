/* observe/access_line.c - written with a cursor, not with json_out.
 *
 * Every request has its line, so this is the one JSON document on the hot path. There is always room for the longest
 * line, so nothing is asked on the way; a name comes with its comma, quotes and colon and is copied as one vector of 16
 * bytes. A sixth of the instructions that json_out takes for the same. The names and units are those of record_json.c,
 * which a test compares. */
#include "observe/access_line.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/stamp.h"
#include "observe/record_json.h"

#define NAME_ROOM 16
struct name {
    char text[NAME_ROOM - 1];
    uint8_t n;
};
#define NAMES(N)                                                                                                       \
    N(TS, "ts")                                                                                                        \
    N(ID, "id")                                                                                                        \
    N(METHOD, "method")                                                                                                \
    N(ROUTE, "route")                                                                                                  \
    N(MODEL, "model")                                                                                                  \
    N(NODE, "node")                                                                                                    \
    N(STATUS, "status")                                                                                                \
    N(WHY, "why")                                                                                                      \
    N(CLIENT, "client")                                                                                                \
    N(TOTAL_MS, "total_ms")                                                                                            \
    N(QUEUED_MS, "queued_ms")                                                                                          \
    N(CONNECT_MS, "connect_ms")                                                                                        \
    N(NODE_MS, "node_ms")                                                                                              \
    N(FIRST_MS, "first_ms")                                                                                            \
    N(TOKENS_IN, "tokens_in")                                                                                          \
    N(TOKENS_OUT, "tokens_out")                                                                                        \
    N(BYTES_IN, "bytes_in")                                                                                            \
    N(BYTES_OUT, "bytes_out")                                                                                          \
    N(ATTEMPTS, "attempts")                                                                                            \
    N(STREAM, "stream")                                                                                                \
    N(SIMULATED, "simulated")                                                                                          \
    N(CONTINUED, "continued")
#define AS_NUMBER(id, key) id,
#define AS_NAME(id, key)   { ",\"" key "\":", sizeof(",\"" key "\":") - 1 },
enum { NAMES(AS_NUMBER) };
static const struct name names[] = { NAMES(AS_NAME) };

static char *put_name(char *at, unsigned which)
{
    memcpy(at, &names[which], NAME_ROOM);
    return at + names[which].n;
}

static char *put_null(char *at)
{
    return put_str(at, STR("null"));
}

static char *put_escaped(char *at, struct str s)
{
    struct text t = {
        .buf = {.block = at, .cap = ACCESS_LINE_MOST}
    };
    json_quote(&t, s);
    return at + buf_len(&t.buf);
}

/* Of ours: nothing to escape. */
static char *put_own(char *at, unsigned name, struct str s)
{
    at = put_name(at, name);
    if (!s.n)
        return put_null(at);
    *at++ = '"';
    at = put_str(at, s);
    *at++ = '"';
    return at;
}

static char *put_text(char *at, unsigned name, struct str s)
{
    return json_is_plain(s) ? put_own(at, name, s) : put_escaped(put_name(at, name), s);
}

static char *put_number(char *at, unsigned name, uint64_t v)
{
    return put_u64(put_name(at, name), v);
}

static char *put_known(char *at, unsigned name, int64_t v)
{
    return v >= 0 ? put_number(at, name, (uint64_t)v) : put_null(put_name(at, name));
}

static char *put_ms(char *at, unsigned name, uint32_t us)
{
    at = put_number(at, name, us / 1000);
    *at++ = '.';
    *at++ = (char)('0' + us % 1000 / 100);
    return put_pair(at, us % 100);
}

static char *put_flag(char *at, unsigned name, bool is)
{
    at = put_name(at, name);
    return is ? put_str(at, STR("true")) : put_str(at, STR("false"));
}

static char *put_who(char *at, const struct record *r)
{
    char stamp[36], number[17];
    at = put_own(at, TS, (struct str){ stamp, stamp_rfc3339(r->wall, stamp) });
    at = put_text(at, ID, record_id(r, number));
    at = put_own(at, METHOD, http_method_text((enum http_method)r->method));
    at = put_own(at, ROUTE, r->route < ROUTE_COUNT ? route_row((enum route_id)r->route)->name : STR_NONE);
    at = put_text(at, MODEL, record_text(r->model));
    at = put_text(at, NODE, record_text(r->node));
    at = put_number(at, STATUS, r->status);
    at = put_own(at, WHY, r->why ? fail_name((enum fail)r->why) : STR_NONE);
    return put_text(at, CLIENT, (struct str){ r->client, strnlen(r->client, sizeof r->client) });
}

static char *put_times(char *at, const struct record *r)
{
    at = put_ms(at, TOTAL_MS, r->total_us);
    at = put_ms(at, QUEUED_MS, r->queued_us);
    at = put_ms(at, CONNECT_MS, r->connect_us);
    at = put_ms(at, NODE_MS, r->node_us);
    return r->first_us != UINT32_MAX ? put_ms(at, FIRST_MS, r->first_us) : put_null(put_name(at, FIRST_MS));
}

static char *put_amounts(char *at, const struct record *r)
{
    at = put_known(at, TOKENS_IN, r->tokens_in);
    at = put_known(at, TOKENS_OUT, r->tokens_out);
    at = put_number(at, BYTES_IN, r->bytes_in);
    at = put_number(at, BYTES_OUT, r->bytes_out);
    return put_number(at, ATTEMPTS, r->attempts);
}

static char *put_flags(char *at, const struct record *r)
{
    at = put_flag(at, STREAM, r->stream);
    at = put_flag(at, SIMULATED, r->simulated);
    return r->continued ? put_flag(at, CONTINUED, true) : at;
}

size_t access_line(char line[ACCESS_LINE_MOST], const struct record *r)
{
    char *at = put_flags(put_amounts(put_times(put_who(line, r), r), r), r);
    line[0] = '{'; /* where the first name has its comma */
    *at++ = '}';
    *at++ = '\n';
    return (size_t)(at - line);
}
