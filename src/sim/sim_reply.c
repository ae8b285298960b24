/* sim/sim_reply.c - answers onto the wire: a head, then one body or chunks, as Go's server would frame them.
 *
 * Everything of one moment is gathered in `out` and leaves with one write: a whole answer, a record, or a burst of
 * records. A record is one chunk, since Ollama flushes after each. HTTP/1.0 gets the bytes bare and then the end of the
 * connection. */
#include "base/stamp.h"
#include "sim/sim.h"
#include <stdarg.h>
#include <stdio.h>

static const struct str kind_headers[SIM_KINDS] = {
    [SIM_OLLAMA] = {"",                       0 },
    [SIM_LLAMACPP] = { "Server: llama.cpp\r\n", 19},
    [SIM_VLLM] = { "Server: uvicorn\r\n",   17},
    [SIM_OPENAI] = { "",                      0 },
};

static struct str date_of(struct simnode *n)
{
    nsec wall = loop_wall(n->loop);
    if (wall / SECOND(1) != n->dated) {
        n->dated = wall / SECOND(1);
        stamp_http(wall, n->date);
    }
    return (struct str){ n->date, 29 };
}

static void put_line(struct text *t, struct str name, struct str value)
{
    text_put(t, name);
    text_put(t, value);
    text_put(t, HTTP_CRLF);
}

static void put_cors(struct sim_client *c)
{
    char lines[CORS_ROOM];
    if (c->origin.n)
        text_put(&c->out, str_span(lines, cors_headers(&c->node->cors, c->origin, c->method == M_OPTIONS, lines)));
}

static void put_status(struct text *t, int status)
{
    text_put(t, STR("HTTP/1.1 "));
    text_u64(t, (uint64_t)status);
    text_putc(t, ' ');
    put_line(t, http_reason(status), STR_NONE);
}

static void begin_head(struct sim_client *c, int status, struct str type)
{
    struct text *t = &c->out;
    put_status(t, status);
    if (type.n)
        put_line(t, STR("Content-Type: "), type);
    put_line(t, STR("Date: "), date_of(c->node));
    text_put(t, STR("X-OllamaMax-Simulated: 1\r\n"));
    text_put(t, kind_headers[c->node->kind]);
    if (c->extra.n)
        text_put(t, c->extra);
    put_cors(c);
    if (!c->keep_alive)
        text_put(t, STR("Connection: close\r\n"));
    else if (c->http10)
        text_put(t, STR("Connection: keep-alive\r\n"));
}

/* ---- whole answers ----------------------------------------------------------------------------------------------- */

static bool has_no_body(int status)
{
    return status == 204 || status == 304;
}

void sim_reply(struct sim_client *c, int status, struct str type, struct str body)
{
    if (c->state == CLIENT_BODY)
        c->keep_alive = false;
    begin_head(c, status, type);
    if (!has_no_body(status)) {
        text_put(&c->out, STR("Content-Length: "));
        text_u64(&c->out, body.n);
        text_put(&c->out, HTTP_CRLF);
    }
    text_put(&c->out, HTTP_CRLF);
    if (c->method != M_HEAD && !has_no_body(status))
        text_put(&c->out, body);
    sim_flush(c);
    c->record.buf.start = c->record.buf.end = 0;
    sim_client_answered(c);
}

void sim_reply_json(struct sim_client *c, struct str body)
{
    sim_reply(c, 200, c->route->dialect == DIALECT_OLLAMA ? TYPE_JSON : STR("application/json"), body);
}

static void reply_message(struct sim_client *c, int status, enum fail why, struct str message)
{
    char id[32];
    int n = snprintf(id, sizeof id, "req_%08x%016llx", (unsigned)sim_random(c->node),
                     (unsigned long long)sim_random(c->node));
    enum dialect d = c->route->dialect == DIALECT_OWN ? DIALECT_OLLAMA : c->route->dialect;
    c->record.buf.start = c->record.buf.end = 0;
    dialect_error(&c->record, d, status, why, message, (struct str){ id, (size_t)n });
    sim_reply(c, status, dialect_error_type(d), text_str(&c->record));
}

void sim_reply_error(struct sim_client *c, int status, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : MIN((size_t)n, sizeof message - 1);
    reply_message(c, status, FAIL_upstream_said, (struct str){ message, length });
}

void sim_reply_fail(struct sim_client *c, enum fail f, struct str detail)
{
    reply_message(c, fail_status(f), f, detail.n ? detail : fail_sentence(f));
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

void sim_stream_open(struct sim_client *c, struct str type, bool event_stream_headers)
{
    c->streaming = true;
    if (c->http10)
        c->keep_alive = false;
    begin_head(c, 200, type);
    if (event_stream_headers)
        text_put(&c->out, STR("Cache-Control: no-cache\r\n"));
    if (event_stream_headers && c->keep_alive)
        text_put(&c->out, STR("Connection: keep-alive\r\n"));
    if (!c->http10)
        text_put(&c->out, STR("Transfer-Encoding: chunked\r\n"));
    text_put(&c->out, HTTP_CRLF);
}

void sim_stream_record(struct sim_client *c)
{
    struct str record = text_str(&c->record);
    char line[20];
    if (!c->http10)
        text_put(&c->out, (struct str){ line, http_chunk_line(record.n, line) });
    text_put(&c->out, record);
    if (!c->http10)
        text_put(&c->out, HTTP_CRLF);
    c->record.buf.start = c->record.buf.end = 0;
}

void sim_stream_end(struct sim_client *c)
{
    if (!c->http10)
        text_put(&c->out, HTTP_LAST_CHUNK);
    sim_flush(c);
    sim_client_answered(c);
}

void sim_flush(struct sim_client *c)
{
    if (c->doomed)
        return;
    if (c->out.failed || c->record.failed) {
        sim_client_doom(c);
        return;
    }
    struct str bytes = text_str(&c->out);
    uint64_t left = c->struck.reset_at - c->answered_bytes;
    bool cut = c->struck.reset_at != NO_RESET && bytes.n >= left;
    if (cut)
        bytes.n = (size_t)left;
    struct iovec v = { (void *)bytes.p, bytes.n };
    if (bytes.n)
        (void)conn_write(&c->conn, &v, 1, FLEETING); /* a broken one is told of by the loop */
    c->answered_bytes += bytes.n;
    c->out.buf.start = c->out.buf.end = 0;
    if (cut)
        sim_client_doom(c);
}

/* ---- small writers ----------------------------------------------------------------------------------------------- */

void sim_put_stamp(struct text *t, nsec wall)
{
    char stamp[36];
    text_putc(t, '"');
    text_put(t, (struct str){ stamp, stamp_rfc3339(wall, stamp) });
    text_putc(t, '"');
}

/* Of vectors: nine digits behind the point are more than a 32-bit float has near 1. */
void sim_put_f64(struct text *t, double v)
{
    uint64_t scaled = (uint64_t)((v < 0 ? -v : v) * 1e9 + 0.5);
    char digits[32];
    char *at = digits;
    if (v < 0)
        *at++ = '-';
    at = put_u64(at, scaled / 1000000000);
    *at++ = '.';
    uint64_t fraction = scaled % 1000000000;
    for (uint64_t place = 100000000; place > fraction && place > 1; place /= 10)
        *at++ = '0';
    at = put_u64(at, fraction);
    text_put(t, str_span(digits, at));
}

void sim_put_call_id(struct text *t, const struct sim_run *r)
{
    text_printf(t, "\"call_%08x\"", (unsigned)(r->id >> 8));
}
