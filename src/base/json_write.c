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

/* Puts the comma that is due before a value or a key. */
static void begin_item(struct json_out *j)
{
    if (j->keyed || j->depth == 0) {
        j->keyed = false;
        return;
    }
    uint32_t bit = 1u << (j->depth - 1);
    if (j->comma & bit)
        text_putc(j->to, ',');
    j->comma |= bit;
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
void json_key(struct json_out *j, const char *key)
{
    assume(j->depth > 0 && !j->keyed && !(j->array >> (j->depth - 1) & 1));
    begin_item(j);
    text_put3(j->to, STR("\""), str_of(key), STR("\":"));
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

void json_put_f64(struct json_out *j, double v)
{
    char z[32] = "null";
    int n = 4;
    for (int digits = 15; isfinite(v) && digits <= 17; digits++) {
        n = snprintf(z, sizeof z, "%.*g", digits, v);
        if (strtod(z, NULL) == v)
            break;
    }
    json_put_raw(j, (struct str){ z, (size_t)n });
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

static size_t plain_words(struct str s)
{
    size_t at = 0;
    for (uint64_t w; s.n - at >= sizeof w; at += sizeof w) {
        memcpy(&w, s.p + at, sizeof w);
        if (not_plain(w))
            break;
    }
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
    if (plain_bytes(s) == s.n) {
        text_put3(t, STR("\""), s, STR("\""));
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
