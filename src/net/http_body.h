/* net/http_body.h - bodies off the wire and onto it: length, chunked (with trailers) and to-EOF (RFC 9112 sections 6
 * and 7).
 *
 * The decoder takes whatever arrived and hands out slices of it, in place. It refuses bad chunk sizes (signs, blanks
 * inside, overflow past 2^62, more than 16 digits), sizes without digits, missing CRLF after data, chunk extensions
 * above 4 KiB in all, trailers above 16 KiB, and bare CR or LF. Trailers are checked and dropped. Pure; any thread. */
#pragma once
#include "net/http_head.h"

struct http_body {
    enum http_framing framing;
    uint64_t left; /* of the length, or of the running chunk */
    uint8_t state, digits;
    uint32_t extra; /* bytes of extensions or trailers so far */
};
void http_body_init(struct http_body *b, const struct http_frame *f);
enum http_step { BODY_DATA, BODY_MORE, BODY_END, BODY_BAD };
/* One step over *in, which is shortened by what was used: BODY_DATA with a non-empty *out slice (call again), BODY_MORE
 * (all of *in is used), BODY_END (what is left in *in belongs to the next message), BODY_BAD. */
enum http_step http_body_next(struct http_body *b, struct str *in, struct str *out);
/* The connection was closed by its peer: a proper end for BODY_TO_EOF and for a body that is done (true), else a cut.
 */
bool http_body_eof_is_end(const struct http_body *b);
static inline bool http_body_done(const struct http_body *b)
{
    return b->framing == BODY_NONE;
}

/* Chunked, outwards: the line before a chunk of n > 0 bytes; returns its length (at most 18). CRLF follows the data. */
size_t http_chunk_line(uint64_t n, char out[20]);
#define HTTP_CRLF       STR("\r\n")
#define HTTP_LAST_CHUNK STR("0\r\n\r\n")
