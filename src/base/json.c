/* base/json.c - values found by the scanner (base/scan.h): walked, and read as text and numbers.
 *
 * Nothing is kept of a container but where it begins and ends; whoever wants a member scans again. That is cheap
 * because the scanner leaps from quote to quote, and a gateway asks few questions. A text is decoded only if it has
 * escapes, a number only if it is asked for: plain digits at once, the rest as digits and a power of ten, so that 3e2
 * is a whole number and 2^53 + 1 stays exact. */
#include "base/json.h"
#include "base/scan.h"
#include "base/utf8.h"
#include <math.h>
#include <stdlib.h>

#define NUMBER_MAX       400
#define PLAIN_DIGITS_MAX 18
#define RUNE_NONE        0xFFFDu
#define IS_HIGH_HALF(r)  ((r) >= 0xD800 && (r) < 0xDC00)
#define IS_LOW_HALF(r)   ((r) >= 0xDC00 && (r) < 0xE000)

static struct json first_value(struct str text, bool strict, struct str *out_rest)
{
    struct scan s = { .at = text.p, .end = text.p + text.n, .strict = strict };
    scan_blank(&s);
    const char *from = s.at;
    enum json_kind kind = scan_value(&s);
    if (out_rest)
        *out_rest = str_span(s.at, s.end);
    return (struct json){ .kind = kind, .raw = str_span(from, s.at), .keys = s.keys };
}

struct json json_parse(struct str text, struct str *out_rest)
{
    return first_value(text, true, out_rest);
}
struct json json_skim(struct str text, struct str *out_rest)
{
    return first_value(text, false, out_rest);
}

bool json_may_hold(struct json container, struct str key)
{
    return container.keys & scan_key_bit(key.p, key.n);
}

/* --- walking --- */

struct json_walk json_walk(struct json container)
{
    if (container.kind != JSON_OBJECT && container.kind != JSON_ARRAY)
        return (struct json_walk){ .at = JSON_AT_END };
    return (struct json_walk){ .rest = str_drop(container.raw, 1), .object = container.kind == JSON_OBJECT };
}

struct json_walk json_walk_text(struct str text)
{
    return scan_walk(text);
}

bool json_next(struct json_walk *w)
{
    return scan_next(w);
}

struct json json_get(struct json object, struct str name)
{
    struct json found = { .kind = JSON_BAD };
    if (object.kind != JSON_OBJECT)
        return found;
    struct json_walk w = json_walk(object);
    while (scan_next(&w))
        if (json_key_is(w.key, name))
            found = w.value;
    return found;
}

/* --- text --- */

static char *utf8_put(char *at, uint32_t rune)
{
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    int n = rune < 0x80 ? 1 : rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, rune >>= 6)
        at[i] = (char)(0x80 | (rune & 0x3F));
    at[0] = (char)(lead[n] | rune);
    return at + n;
}

static uint32_t utf8_rune(struct str s, size_t n)
{
    static const unsigned char payload[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    uint32_t rune = (unsigned char)s.p[0] & payload[n];
    for (size_t i = 1; i < n; i++)
        rune = rune << 6 | ((unsigned char)s.p[i] & 0x3F);
    return rune;
}

/* \uXXXX at the front of s, and the second half of a pair if there is one. */
static uint32_t take_unicode_escape(struct str *s)
{
    const char *end = s->p + s->n;
    int32_t rune = scan_hex_four(s->p + 2, end);
    if (rune < 0) {
        *s = str_drop(*s, 2);
        return 'u';
    }
    *s = str_drop(*s, 6);
    bool escape_follows = s->n >= 6 && s->p[0] == '\\' && s->p[1] == 'u';
    int32_t low = IS_HIGH_HALF(rune) && escape_follows ? scan_hex_four(s->p + 2, end) : -1;
    if (IS_LOW_HALF(low)) {
        *s = str_drop(*s, 6);
        return 0x10000u + ((uint32_t)(rune - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
    }
    return IS_HIGH_HALF(rune) || IS_LOW_HALF(rune) ? RUNE_NONE : (uint32_t)rune;
}

/* The escape at the front of s; always fewer bytes of UTF-8 than it takes. */
static uint32_t take_escape(struct str *s)
{
    static const char stands_for[128] = { ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t' };
    unsigned char c = s->n > 1 ? (unsigned char)s->p[1] : '\\';
    if (c == 'u')
        return take_unicode_escape(s);
    *s = str_drop(*s, 2);
    if (c >= 0x80)
        return '?';
    return stands_for[c] ? (unsigned char)stands_for[c] : c;
}

static uint32_t take_rune(struct str *s)
{
    if (*s->p == '\\')
        return take_escape(s);
    size_t n = utf8_bytes(*s);
    uint32_t rune = n ? utf8_rune(*s, n) : RUNE_NONE;
    *s = str_drop(*s, n ? n : 1);
    return rune;
}

static struct str inside(struct str quoted)
{
    return (struct str){ quoted.p + 1, quoted.n - 2 };
}

struct str json_text(struct arena *a, struct json string)
{
    assume(string.kind == JSON_STRING);
    struct str in = inside(string.raw);
    const char *slash = memchr(in.p, '\\', in.n);
    if (!slash)
        return in;
    char *out = arena_take(a, in.n), *at = out;
    if (!out)
        return STR_NONE;
    for (; slash; slash = in.n ? memchr(in.p, '\\', in.n) : NULL) {
        at = put_str(at, str_span(in.p, slash));
        in = str_drop(in, (size_t)(slash - in.p));
        at = utf8_put(at, take_escape(&in));
    }
    at = put_str(at, in);
    return str_span(out, at);
}

/* Go's foldName brings each rune to the smallest of its case orbit; these are the orbits that hold ASCII letters. */
static uint32_t fold(uint32_t rune)
{
    if (rune >= 'A' && rune <= 'Z')
        return rune | 0x20;
    return rune == 0x17F ? 's' : rune == 0x212A ? 'k' : rune;
}

static bool spells(struct str in, struct str name, bool folded)
{
    while (in.n > 0) {
        char utf8[4];
        uint32_t rune = take_rune(&in);
        size_t n = (size_t)(utf8_put(utf8, folded ? fold(rune) : rune) - utf8);
        if (n > name.n)
            return false;
        bool same = folded && n == 1 ? (uint32_t)utf8[0] == fold((unsigned char)*name.p) : memcmp(utf8, name.p, n) == 0;
        if (!same)
            return false;
        name = str_drop(name, n);
    }
    return name.n == 0;
}

/* Escapes, and the two letters from outside ASCII, only ever lengthen a key: of equal length it is plain ASCII or
 * something else. */
bool json_key_folds_to(struct str raw_key, struct str name)
{
    struct str in = inside(raw_key);
    return in.n == name.n ? str_eq_nocase(in, name) : in.n > name.n && spells(in, name, true);
}

bool json_key_is_exactly(struct str raw_key, struct str name)
{
    struct str in = inside(raw_key);
    if (!memchr(in.p, '\\', in.n))
        return str_eq(in, name);
    return spells(in, name, false);
}

/* --- numbers --- */

/* digits * 10^scale, the last digit not 0. */
struct decimal {
    uint64_t digits;
    int64_t scale;
};

static bool shift_decimal(uint64_t *digits, int64_t by, unsigned add)
{
    while (by-- > 0 && *digits)
        if (__builtin_mul_overflow(*digits, 10u, digits))
            return false;
    return !__builtin_add_overflow(*digits, add, digits);
}

static int64_t read_exponent(struct str s)
{
    int64_t value = 0;
    bool minus = s.p[0] == '-';
    for (s = str_drop(s, minus || s.p[0] == '+'); s.n > 0; s = str_drop(s, 1))
        value = MIN(value * 10 + (*s.p - '0'), INT32_MAX);
    return minus ? -value : value;
}

static bool read_decimal(struct str s, struct decimal *out)
{
    int64_t zeros = 0, fraction = 0;
    bool point = false;
    *out = (struct decimal){ 0 };
    for (; s.n > 0 && (*s.p | 0x20) != 'e'; s = str_drop(s, 1)) {
        if (*s.p == '.') {
            point = true;
            continue;
        }
        fraction += point;
        zeros++;
        if (*s.p == '0')
            continue;
        if (!shift_decimal(&out->digits, zeros, (unsigned)(*s.p - '0')))
            return false;
        zeros = 0;
    }
    out->scale = zeros - fraction + (s.n > 0 ? read_exponent(str_drop(s, 1)) : 0);
    return true;
}

/* Eight digits in three multiplications: pairs, fours, all; false if one is something else that numbers are made of. */
static inline bool read_eight(const char *p, uint64_t *out)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t pair = 0x000000FF000000FF;
    uint64_t x;
    memcpy(&x, p, sizeof x);
    if ((x & 0xF0F0F0F0F0F0F0F0) != 0x3030303030303030)
        return false;
    x -= 0x3030303030303030;
    x = x * 10 + (x >> 8);
    *out = ((x & pair) * 0x000F424000000064 + (x >> 16 & pair) * 0x0000271000000001) >> 32;
    return true;
#else
    return false;
#endif
}

/* Digits alone, few enough to fit. */
static inline bool read_plain(struct str s, int64_t *out)
{
    const char *p = s.p, *end = p + s.n;
    uint64_t value = 0, digit;
    if (s.n > PLAIN_DIGITS_MAX)
        return false;
    if (s.n >= 8 && read_eight(p, &value))
        p += 8;
    for (; p < end && (digit = (unsigned char)*p - (uint64_t)'0') < 10; p++)
        value = value * 10 + digit;
    *out = (int64_t)value;
    return p == end;
}

bool json_read_i64(struct str number, int64_t *out)
{
    struct decimal d;
    if (read_plain(number, out))
        return true;
    bool minus = number.p[0] == '-';
    if (!read_decimal(str_drop(number, minus), &d))
        return false;
    if (d.digits && (d.scale < 0 || !shift_decimal(&d.digits, d.scale, 0)))
        return false;
    if (d.digits > (uint64_t)INT64_MAX + minus)
        return false;
    *out = (int64_t)(minus ? 0 - d.digits : d.digits);
    return true;
}

bool json_f64(struct json v, double *out)
{
    char z[NUMBER_MAX + 1];
    if (v.kind != JSON_NUMBER || v.raw.n > NUMBER_MAX)
        return false;
    *put_str(z, v.raw) = '\0';
    double value = strtod(z, NULL);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}
