/* base/json_write.c - the writer of base/json.h: no state but two words of bits.
 *
 * Whether a comma is due, and whether the open bracket is an array's, is one bit per depth; so a writer is a plain
 * value that needs no memory of its own and nothing to free, and 32 levels are more than any document of ours has. What
 * the caller does wrong (a key in an array, a value without a key) is a bug and assumed away; what memory does wrong
 * stays in the text builder. */
#include "base/json.h"
#include "base/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 32

/* Is a comma due before a value or a key? From now on it is. */
static bool comma_is_due(struct json_out *j)
{
    if (j->keyed || j->depth == 0) {
        j->keyed = false;
        return false;
    }
    uint32_t bit = 1u << (j->depth - 1);
    bool due = j->comma & bit;
    j->comma |= bit;
    return due;
}

static void begin_item(struct json_out *j)
{
    if (comma_is_due(j))
        text_putc(j->to, ',');
}

static void begin_value(struct json_out *j)
{
    assume(j->depth == 0 || j->keyed || (j->array >> (j->depth - 1) & 1));
    begin_item(j);
}

void json_open(struct json_out *j, char bracket)
{
    assume(j->depth < DEPTH_MAX && (bracket == '{' || bracket == '['));
    begin_value(j);
    uint32_t bit = 1u << j->depth++;
    j->comma &= ~bit;
    j->array = bracket == '[' ? j->array | bit : j->array & ~bit;
    text_putc(j->to, bracket);
}

void json_close(struct json_out *j)
{
    assume(j->depth > 0 && !j->keyed);
    j->depth--;
    text_putc(j->to, j->array >> j->depth & 1 ? ']' : '}');
}

void json_key_str(struct json_out *j, struct str key)
{
    assume(j->depth > 0 && !j->keyed && !(j->array >> (j->depth - 1) & 1));
    begin_item(j);
    json_quote(j->to, key);
    text_putc(j->to, ':');
    j->keyed = true;
}

/* A name of ours has nothing to escape. */
void json_key_plain(struct json_out *j, struct str key)
{
    assume(j->depth > 0 && !j->keyed && !(j->array >> (j->depth - 1) & 1));
    bool comma = comma_is_due(j);
    char *at = text_room(j->to, key.n + sizeof ",\"\":");
    if (at) {
        *at = ',';
        at += comma;
        *at++ = '"';
        at = put_str(at, key);
        *at++ = '"';
        *at++ = ':';
        text_wrote(j->to, at);
    }
    j->keyed = true;
}

void json_put_raw(struct json_out *j, struct str json)
{
    begin_value(j);
    text_put(j->to, json);
}

void json_put_str(struct json_out *j, struct str s)
{
    begin_value(j);
    json_quote(j->to, s);
}

void json_put_i64(struct json_out *j, int64_t v)
{
    begin_value(j);
    text_i64(j->to, v);
}

void json_put_u64(struct json_out *j, uint64_t v)
{
    begin_value(j);
    text_u64(j->to, v);
}

/* The shortest digits that are read as v again: of 15 to 17. */
static struct str digits_of(double v, char z[32])
{
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(z, 32, "%.*g", digits, v);
        if (strtod(z, NULL) == v)
            break;
    }
    return (struct str){ z, (size_t)n };
}

/* Most numbers of ours have at most six places. Both sides of the division are exact, so it gives the double that is
 * nearest to these digits, which is what a reader makes of them. */
static bool has_six_places(double v, int64_t *out_millionths)
{
    if (!(fabs(v) < 1e9))
        return false;
    *out_millionths = (int64_t)(v < 0 ? v * 1e6 - 0.5 : v * 1e6 + 0.5);
    return (double)*out_millionths / 1e6 == v && (*out_millionths || !signbit(v)); /* -0 is "-0" */
}

static struct str decimal_of(int64_t millionths, char z[32])
{
    uint64_t all = millionths < 0 ? -(uint64_t)millionths : (uint64_t)millionths;
    unsigned part = (unsigned)(all % 1000000);
    char *at = put_u64(put_str(z, millionths < 0 ? STR("-") : STR_NONE), all / 1000000);
    if (part == 0)
        return str_span(z, at);
    *at++ = '.';
    at = put_pair(put_pair(put_pair(at, part / 10000), part / 100 % 100), part % 100);
    while (at[-1] == '0')
        at--;
    return str_span(z, at);
}

void json_put_f64(struct json_out *j, double v)
{
    char z[32];
    int64_t millionths;
    if (has_six_places(v, &millionths))
        json_put_raw(j, decimal_of(millionths, z));
    else
        json_put_raw(j, isfinite(v) ? digits_of(v, z) : STR("null"));
}

void json_put_bool(struct json_out *j, bool v)
{
    json_put_raw(j, v ? STR("true") : STR("false"));
}
void json_put_null(struct json_out *j)
{
    json_put_raw(j, STR("null"));
}

/* Bytes of a word with the top bit set where the byte is not ASCII, or needs an escape. In bytes above the first of
 * those it may be set in error, which costs a closer look and nothing else. */
static inline uint64_t not_plain(uint64_t w)
{
    const uint64_t ones = UINT64_MAX / 255, tops = ones << 7;
    uint64_t quote = w ^ ones * '"', back = w ^ ones * '\\';
    return (w | (w - ones * 0x20) | (quote - ones) | (back - ones)) & tops;
}

static uint64_t word_at(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Fewer than eight bytes as a word; what there is not is plain. */
static uint64_t short_word(struct str s)
{
    uint64_t w = UINT64_MAX / 255 * ' ';
    uint32_t front, back;
    if (s.n < sizeof front) {
        for (size_t i = 0; i < s.n; i++)
            w = w << 8 | (unsigned char)s.p[i];
        return w;
    }
    memcpy(&front, s.p, sizeof front);
    memcpy(&back, s.p + s.n - sizeof back, sizeof back);
    return (uint64_t)front << 32 | back;
}

bool json_is_plain(struct str s)
{
    if (s.n < sizeof(uint64_t))
        return !not_plain(short_word(s));
    for (size_t at = 0; at < s.n - sizeof(uint64_t); at += sizeof(uint64_t))
        if (not_plain(word_at(s.p + at)))
            return false;
    return !not_plain(word_at(s.p + s.n - sizeof(uint64_t)));
}

static size_t plain_words(struct str s)
{
    size_t at = 0;
    while (s.n - at >= sizeof(uint64_t) && !not_plain(word_at(s.p + at)))
        at += sizeof(uint64_t);
    return at;
}

/* Bytes at the front of s that stand for themselves in a string. */
static size_t plain_bytes(struct str s)
{
    size_t at = plain_words(s);
    while (at < s.n && s.p[at] != '"' && s.p[at] != '\\' && (unsigned char)s.p[at] >= 0x20) {
        size_t n = utf8_bytes(str_drop(s, at));
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

static void put_escaped(struct text *t, unsigned char c)
{
    static const char letter[128] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
    };
    if (c >= 0x80)
        text_put(t, STR("\xEF\xBF\xBD"));
    else if (letter[c])
        text_put(t, (struct str){
                        (const char[]){'\\', letter[c]},
                         2
        });
    else
        text_printf(t, "\\u%04x", c);
}

void json_quote(struct text *t, struct str s)
{
    if (json_is_plain(s) || plain_bytes(s) == s.n) {
        char *at = text_room(t, s.n + 2);
        if (!at)
            return;
        *at++ = '"';
        at = put_str(at, s);
        *at++ = '"';
        text_wrote(t, at);
        return;
    }
    text_putc(t, '"');
    while (s.n > 0) {
        size_t n = plain_bytes(s);
        text_put(t, str_take(s, n));
        s = str_drop(s, n);
        if (s.n > 0) {
            put_escaped(t, (unsigned char)*s.p);
            s = str_drop(s, 1);
        }
    }
    text_putc(t, '"');
}
