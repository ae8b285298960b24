/* net/http_body.c - the end of a body, found one step at a time.
 *
 *            +-> DIGIT -> SIZE -+-> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -+
 *   start ---+      extensions -+      | size 0                           |
 *            +------------------------ | <---------------------------------+
 *                                      +-> LINE -> NAME -> VALUE -> VALUE_LF -> LINE ... LINE -> END_LF
 *
 * Data is handed out where it lies. Everything around it is a handful of bytes per chunk, so it is read one byte at a
 * time by one function per state: the answer cannot depend on how the bytes were cut. A decoder that looked for whole
 * lines would be no faster and would need a buffer. Trailers have the grammar of fields; extensions that of RFC 9112
 * section 7.1.1 without its "bad white space", which nobody sends and parsers disagree about. */
#include "net/http_body.h"

#include "net/http_chars.h"

#define CHUNK_MAX       ((uint64_t)1 << 62)
#define SIZE_DIGITS_MAX 16
#define EXTENSIONS_MAX  KIB(4)
#define TRAILERS_MAX    KIB(16)

enum state {
    DIGIT, /* the first of a size */
    SIZE,
    EXT_NAME_FIRST,
    EXT_NAME,
    EXT_VALUE_FIRST,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* of a trailer, or the last */
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    END,
    BROKEN,
};

void http_body_init(struct http_body *b, const struct http_frame *f)
{
    *b = (struct http_body){ .framing = f->framing, .left = f->length, .state = DIGIT };
    if (b->framing == BODY_LENGTH && !b->left)
        b->framing = BODY_NONE;
}

bool http_body_eof_is_end(const struct http_body *b)
{
    return b->framing == BODY_TO_EOF || b->framing == BODY_NONE;
}

static enum state add_digit(struct http_body *b, char c)
{
    int digit = http_hex(c);
    if (digit < 0 || b->digits == SIZE_DIGITS_MAX || b->left > CHUNK_MAX >> 4)
        return BROKEN;
    b->digits++;
    b->left = b->left << 4 | (uint64_t)digit;
    return b->left > CHUNK_MAX ? BROKEN : SIZE;
}

/* What may follow a size, a name of an extension or a value of one. */
static enum state after_item(char c)
{
    if (c == '\r')
        return SIZE_LF;
    return c == ';' ? EXT_NAME_FIRST : BROKEN;
}

static enum state in_extension(enum state at, char c)
{
    bool token = http_is(c, CHAR_TOKEN);
    switch (at) {
    case EXT_NAME_FIRST: return token ? EXT_NAME : BROKEN;
    case EXT_NAME:
        if (c == '=')
            return EXT_VALUE_FIRST;
        return token ? EXT_NAME : after_item(c);
    case EXT_VALUE_FIRST:
        if (c == '"')
            return EXT_QUOTED;
        return token ? EXT_VALUE : BROKEN;
    case EXT_VALUE: return token ? EXT_VALUE : after_item(c);
    case EXT_QUOTED:
        if (c == '"')
            return EXT_QUOTED_END;
        return http_is(c, CHAR_VALUE) && c != '\\' ? EXT_QUOTED : BROKEN;
    default: return after_item(c);
    }
}

/* The line of a size is over: data follows, or the trailers of the last chunk. */
static enum state begin_chunk(struct http_body *b)
{
    if (b->left)
        return DATA;
    b->extra = 0;
    return LINE;
}

static enum state begin_size(struct http_body *b)
{
    b->left = 0;
    b->digits = 0;
    return DIGIT;
}

static enum state in_trailers(enum state at, char c)
{
    switch (at) {
    case LINE:
        if (c == '\r')
            return END_LF;
        return http_is(c, CHAR_TOKEN) ? NAME : BROKEN;
    case NAME:
        if (c == ':')
            return VALUE;
        return http_is(c, CHAR_TOKEN) ? NAME : BROKEN;
    case VALUE:
        if (c == '\r')
            return VALUE_LF;
        return http_is(c, CHAR_VALUE) ? VALUE : BROKEN;
    case VALUE_LF: return c == '\n' ? LINE : BROKEN;
    default: return c == '\n' ? END : BROKEN;
    }
}

static enum state after_byte(struct http_body *b, char c)
{
    enum state at = b->state;
    switch (at) {
    case DIGIT: return add_digit(b, c);
    case SIZE: return http_is(c, CHAR_HEX) ? add_digit(b, c) : after_item(c);
    case SIZE_LF: return c == '\n' ? begin_chunk(b) : BROKEN;
    case DATA_CR: return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF: return c == '\n' ? begin_size(b) : BROKEN;
    case EXT_NAME_FIRST ... EXT_QUOTED_END: return ++b->extra > EXTENSIONS_MAX ? BROKEN : in_extension(at, c);
    case LINE ... END_LF: return ++b->extra > TRAILERS_MAX ? BROKEN : in_trailers(at, c);
    default: return BROKEN;
    }
}

static enum http_step hand_out(struct http_body *b, struct str *in, struct str *out)
{
    if (!in->n)
        return BODY_MORE;
    *out = b->framing == BODY_TO_EOF ? *in : str_take(*in, MIN(b->left, SIZE_MAX));
    *in = str_drop(*in, out->n);
    if (b->framing != BODY_TO_EOF)
        b->left -= out->n;
    return BODY_DATA;
}

static enum http_step next_of_length(struct http_body *b, struct str *in, struct str *out)
{
    enum http_step step = hand_out(b, in, out);
    if (!b->left)
        b->framing = BODY_NONE;
    return step;
}

static enum http_step next_of_chunk(struct http_body *b, struct str *in, struct str *out)
{
    enum http_step step = hand_out(b, in, out);
    if (!b->left)
        b->state = DATA_CR;
    return step;
}

static enum http_step next_chunked(struct http_body *b, struct str *in, struct str *out)
{
    size_t used = 0;
    while (used < in->n && b->state != DATA && b->state != BROKEN && b->state != END)
        b->state = (uint8_t)after_byte(b, in->p[used++]);
    *in = str_drop(*in, used);
    switch (b->state) {
    case DATA: return next_of_chunk(b, in, out);
    case BROKEN: return BODY_BAD;
    case END: b->framing = BODY_NONE; return BODY_END;
    default: return BODY_MORE;
    }
}

enum http_step http_body_next(struct http_body *b, struct str *in, struct str *out)
{
    switch (b->framing) {
    case BODY_LENGTH: return next_of_length(b, in, out);
    case BODY_CHUNKED: return next_chunked(b, in, out);
    case BODY_TO_EOF: return hand_out(b, in, out);
    default: return BODY_END;
    }
}

size_t http_chunk_line(uint64_t n, char out[20])
{
    size_t digits = 1;
    while (digits < 16 && n >> (4 * digits))
        digits++;
    for (size_t i = digits; i--; n >>= 4)
        out[i] = "0123456789abcdef"[n & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
