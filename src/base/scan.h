/* base/scan.h - the moves of the JSON scanner, to be built into the loops that read every request and every answer.
 * Others use base/json.h, whose json_next is scan_next behind a call.
 *
 * Inline is what well-behaved writers send: short strings without an escaped quote, whole numbers. The rest is a call
 * into scan.c with a copy of the scan, so that the loop's own stays in registers. Pure; any thread. */
#pragma once
#include "base/json.h"
#include "base/leap.h"

/* What is still to be read; `at` never passes `end`, and stays at the fault when something is wrong. */
struct scan {
    const char *at, *end;
    uint64_t keys; /* see struct json */
    bool strict;   /* string contents are looked at */
};
/* Any string, from its opening quote to behind its closing one; any value; whatever may stand in front of one in a
 * walk. False, JSON_BAD, JSON_AT_FAULT: at the fault. */
bool scan_any_string(struct scan *s);
enum json_kind scan_any_value(struct scan *s);
enum json_at scan_any_lead(struct scan *s, const struct json_walk *w, struct str *out_key);
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

/* Bytes that must be there for a leap, and for a look at what follows what it finds. */
#define SCAN_ROOM (LEAP + 2)

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
    struct scan copy = *s;
    bool good = scan_any_string(&copy);
    s->at = copy.at;
    return good;
}

/* Digits, fewer than a leap, that end a whole number; false if it is another, or the text ends too soon to tell. */
static inline bool scan_whole_number(struct scan *s)
{
    const char *p = s->at;
    if (s->end - p < LEAP)
        return false;
    unsigned n = (unsigned)__builtin_ctz(~leap_digits(p));
    if (n - 1 >= LEAP - 1 || p[n] == '.' || (p[n] | 0x20) == 'e' || (*p == '0' && n > 1))
        return false;
    s->at = p + n;
    return true;
}

static inline enum json_kind scan_value(struct scan *s)
{
    if (scan_here(s, '"'))
        return scan_string(s) ? JSON_STRING : JSON_BAD;
    if (scan_whole_number(s))
        return JSON_NUMBER;
    struct scan copy = *s;
    enum json_kind kind = scan_any_value(&copy);
    s->at = copy.at;
    s->keys = copy.keys;
    return kind;
}

static inline uint64_t scan_key_bit(const char *name, size_t n)
{
    return 1ull << ((n * 5 + (n ? (unsigned char)*name | 0x20u : 0)) & 63);
}

/* A key with its colon, and no blank behind it; *out_key is with quotes. Leaves s alone if it is anything else. */
static inline bool scan_tight_key(struct scan *s, bool comma, struct str *out_key)
{
    if (s->end - s->at < SCAN_ROOM + 2 || s->strict || (comma && *s->at != ','))
        return false;
    const char *p = s->at + comma;
    if (*p != '"')
        return false;
    const char *quote = scan_quote(p + 1, s->end);
    if (!quote || quote[1] != ':' || (unsigned char)quote[2] <= ' ')
        return false;
    *out_key = str_span(p, quote + 1);
    s->at = quote + 2;
    return true;
}

static inline enum json_at scan_lead(struct scan *s, const struct json_walk *w, struct str *out_key)
{
    if (w->object && scan_tight_key(s, w->at == JSON_AT_NEXT, out_key))
        return JSON_AT_NEXT;
    struct scan copy = *s;
    struct json_walk where = { .object = w->object, .at = w->at };
    struct str key = *out_key;
    enum json_at at = scan_any_lead(&copy, &where, &key);
    s->at = copy.at;
    *out_key = key;
    return at;
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
