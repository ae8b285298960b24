/* base/scan.h - the moves of the JSON scanner, to be built into the loops that read every request and every answer.
 * Others use base/json.h, whose json_next is scan_next behind a call.
 *
 * Inline is what well-behaved writers send: short strings without an escaped quote, short numbers. The rest is a call
 * into scan.c with all it needs in registers: a struct handed over in memory, written in halves and read as a whole,
 * makes the processor wait longer than the work takes. For the same reason numbers are read byte by byte: a guess at
 * their length is mostly right, while a leap must have ended before the next can begin. Pure; any thread. */
#pragma once
#include "base/json.h"
#include "base/leap.h"

/* What is still to be read; `at` never passes `end`, and stays at the fault when something is wrong. */
struct scan {
    const char *at, *end;
    uint64_t keys; /* see struct json */
    bool strict;   /* string contents are looked at */
};
/* Where a move ended, and what it found. JSON_BAD: at the fault. */
struct scanned {
    const char *at;
    enum json_kind kind;
};
/* Any string, from its opening quote to behind its closing one. */
struct scanned scan_any_string(const char *at, const char *end, bool strict);
/* Any value; adds to *keys. */
struct scanned scan_any_value(const char *at, const char *end, bool strict, uint64_t *keys);
/* A member's key in *out_key, to behind its colon, after the comma if one is due. JSON_STRING, or JSON_BAD. */
struct scanned scan_any_key(const char *at, const char *end, bool strict, bool comma, struct str *out_key);
/* The four digits of \uXXXX, or -1. */
int32_t scan_hex_four(const char *p, const char *end);

static inline bool scan_here(const struct scan *s, char c)
{
    return s->at < s->end && *s->at == c;
}
static inline bool scan_take(struct scan *s, char c)
{
    bool is = scan_here(s, c);
    s->at += is;
    return is;
}

static inline bool scan_is_blank(char c)
{
    return (unsigned char)c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}
static inline void scan_blank(struct scan *s)
{
    while (s->at < s->end && scan_is_blank(*s->at))
        s->at++;
}

/* Bytes that must be there for a leap from the one behind `at`, and for a look at the three that follow what it finds:
 * a quote, say, and then the colon, a blank and the value. */
#define SCAN_ROOM (LEAP + 3)

/* The quote that ends the short string beginning at p, where there is room; NULL if that takes a closer look. */
static inline const char *scan_quote(const char *p, const char *end)
{
    for (int leaps = 4; leaps > 0; leaps--) {
        unsigned quotes = leap_equal(p, '"');
        if (quotes) {
            p += (unsigned)__builtin_ctz(quotes);
            return p[-1] == '\\' ? NULL : p;
        }
        p += LEAP;
        if (end - p < SCAN_ROOM)
            break;
    }
    return NULL;
}

static inline bool scan_string(struct scan *s)
{
    const char *p = s->at + 1, *quote = s->end - p >= SCAN_ROOM && !s->strict ? scan_quote(p, s->end) : NULL;
    if (quote) {
        s->at = quote + 1;
        return true;
    }
    struct scanned string = scan_any_string(s->at, s->end, s->strict);
    s->at = string.at;
    return string.kind;
}

static inline bool scan_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}
static inline const char *scan_digits(const char *p, const char *end)
{
    while (p < end && scan_is_digit(*p))
        p++;
    return p;
}

/* A number without exponent, and not at the end of the text; leaves s alone if it is another. */
static inline bool scan_plain_number(struct scan *s)
{
    const char *from = s->at + scan_here(s, '-'), *p = scan_digits(from, s->end), *point = p;
    if (p == from || p == s->end || (*from == '0' && p - from > 1))
        return false;
    if (*p == '.' && ((p = scan_digits(point + 1, s->end)) == point + 1 || p == s->end))
        return false;
    if ((*p | 0x20) == 'e')
        return false;
    s->at = p;
    return true;
}

static inline enum json_kind scan_value(struct scan *s)
{
    if (scan_here(s, '"'))
        return scan_string(s) ? JSON_STRING : JSON_BAD;
    if (scan_plain_number(s))
        return JSON_NUMBER;
    uint64_t keys = 0;
    struct scanned value = scan_any_value(s->at, s->end, s->strict, &keys);
    s->at = value.at;
    s->keys |= keys;
    return value.kind;
}

static inline uint64_t scan_key_bit(const char *name, size_t n)
{
    return 1ull << ((n * 5 + (n ? (unsigned char)*name | 0x20u : 0)) & 63);
}

/* A key with its colon, and with the comma and the single blanks that some writers put between them; *out_key is with
 * quotes. Leaves s alone if it is anything else. */
static inline bool scan_tight_key(struct scan *s, bool comma, struct str *out_key)
{
    if (s->end - s->at < SCAN_ROOM + 3 || s->strict || (comma && *s->at != ','))
        return false;
    const char *p = s->at + comma;
    p += *p == ' ';
    if (*p != '"')
        return false;
    const char *quote = scan_quote(p + 1, s->end);
    if (!quote || quote[1] != ':')
        return false;
    const char *value = quote + 2 + (quote[2] == ' ');
    if (scan_is_blank(*value))
        return false;
    *out_key = str_span(p, quote + 1);
    s->at = value;
    return true;
}

static inline bool scan_key(struct scan *s, bool comma, struct str *out_key)
{
    if (scan_tight_key(s, comma, out_key))
        return true;
    struct str odd = STR_NONE;
    struct scanned key = scan_any_key(s->at, s->end, s->strict, comma, &odd);
    s->at = key.at;
    *out_key = odd;
    return key.kind;
}

/* `comma`: one is due. */
static inline bool scan_comma(struct scan *s, bool comma)
{
    if (comma && !scan_take(s, ','))
        return false;
    scan_blank(s);
    return true;
}

static inline enum json_at scan_lead(struct scan *s, const struct json_walk *w, struct str *out_key)
{
    bool comma = w->at == JSON_AT_NEXT;
    scan_blank(s);
    if (scan_take(s, w->object ? '}' : ']'))
        return JSON_AT_END;
    return (w->object ? scan_key(s, comma, out_key) : scan_comma(s, comma)) ? JSON_AT_NEXT : JSON_AT_FAULT;
}

/* *to = *v, but never through memory as a whole. */
static inline void scan_keep(const struct json *v, struct json *to)
{
    to->kind = v->kind;
    to->raw.p = v->raw.p;
    to->raw.n = v->raw.n;
    to->keys = v->keys;
}

/* json_walk_text and json_next. */
static inline struct json_walk scan_walk(struct str text)
{
    struct scan s = { .at = text.p, .end = text.p + text.n };
    scan_blank(&s);
    bool object = scan_here(&s, '{'), container = object || scan_here(&s, '[');
    return (struct json_walk){ .rest = str_span(s.at + container, s.end),
                               .object = object,
                               .at = container ? JSON_AT_FIRST : JSON_AT_FAULT };
}

static inline bool scan_next(struct json_walk *w)
{
    if (w->at == JSON_AT_END || w->at == JSON_AT_FAULT)
        return false;
    struct scan s = { .at = w->rest.p, .end = w->rest.p + w->rest.n };
    w->at = scan_lead(&s, w, &w->key);
    if (w->at == JSON_AT_NEXT) {
        w->value.raw.p = s.at;
        w->value.kind = scan_value(&s);
        w->value.raw.n = (size_t)(s.at - w->value.raw.p);
        w->value.keys = s.keys;
        if (w->value.kind == JSON_BAD)
            w->at = JSON_AT_FAULT;
    }
    w->rest = str_span(s.at, s.end);
    return w->at == JSON_AT_NEXT;
}
