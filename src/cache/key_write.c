/* cache/key_write.c - tokens into a hash: each begins with its kind, and each text with its length, so that no two
 * sequences of them are written alike.
 *
 *     's' 'S'  a text without its escapes, or as it stands       'd' 'D'  a number, -number: digits and a power of ten
 *     'v'      a number as it stands                             true, false, null and punctuation are themselves
 *
 * The one-shot and EVP interfaces of OpenSSL allocate at each call, hence its older one. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "cache/key_write.h"
#include "base/scan.h"
#include "cache/cache.h"

/* --- the hash --- */

static void flush(struct key_writer *w)
{
    SHA256_Update(&w->sha, w->stage, w->staged);
    w->staged = 0;
}

void key_writer_init(struct key_writer *w, struct arena *a)
{
    w->arena = a;
    w->failed = OK;
    w->staged = 0;
    SHA256_Init(&w->sha);
}

void key_writer_end(struct key_writer *w, struct cache_key *out)
{
    flush(w);
    SHA256_Final(out->bytes, &w->sha);
}

static void put(struct key_writer *w, struct str s)
{
    if (s.n > KEY_STAGE_BYTES - w->staged)
        flush(w);
    if (s.n > KEY_STAGE_BYTES) {
        SHA256_Update(&w->sha, s.p, s.n);
        return;
    }
    put_str(w->stage + w->staged, s);
    w->staged += s.n;
}

void key_put_mark(struct key_writer *w, char c)
{
    if (w->staged == KEY_STAGE_BYTES)
        flush(w);
    w->stage[w->staged++] = c;
}

static void put_count(struct key_writer *w, uint64_t n)
{
    char bytes[8];
    for (unsigned i = 0; i < sizeof bytes; i++, n >>= 8)
        bytes[i] = (char)(n & 0xFF);
    put(w, (struct str){ bytes, sizeof bytes });
}

void key_put_sized(struct key_writer *w, char mark, struct str s)
{
    key_put_mark(w, mark);
    put_count(w, s.n);
    put(w, s);
}

/* --- texts and numbers --- */

struct str key_read_text(struct key_writer *w, struct json string, bool *out_odd)
{
    struct str text = json_text(w->arena, string);
    if (!text.p)
        w->failed = FAIL_no_memory;
    bool decoded = text.p != string.raw.p + 1;
    *out_odd = decoded && str_find(text, STR("\xEF\xBF\xBD")) >= 0;
    return *out_odd ? string.raw : text;
}

static void put_text(struct key_writer *w, struct json string)
{
    bool odd;
    struct str text = key_read_text(w, string, &odd);
    key_put_sized(w, odd ? 'S' : 's', text);
}

/* digits * 10^scale; the first and the last digit are not 0, so there are none in a zero. */
struct decimal {
    bool minus;
    struct str digits; /* the point may be among them */
    uint64_t count;
    int64_t scale;
};

static int64_t read_exponent(struct str s)
{
    bool minus = str_starts(s, STR("-"));
    int64_t value = 0;
    for (s = str_drop(s, minus || str_starts(s, STR("+"))); s.n; s = str_drop(s, 1))
        value = value * 10 + (*s.p - '0');
    return minus ? -value : value;
}

#define EXPONENT_BYTES_MAX 12

static struct str strip_zeros(struct str digits, int64_t *scale)
{
    while (digits.n && (*digits.p == '0' || *digits.p == '.'))
        digits = str_drop(digits, 1);
    while (digits.n && (digits.p[digits.n - 1] == '0' || digits.p[digits.n - 1] == '.'))
        *scale += digits.p[--digits.n] == '0';
    return digits;
}

/* False: an exponent as nobody writes it. */
static bool read_decimal(struct str number, struct decimal *out)
{
    size_t mantissa = 0;
    while (mantissa < number.n && (number.p[mantissa] | 0x20) != 'e')
        mantissa++;
    struct str exponent = str_drop(number, mantissa + 1);
    if (exponent.n > EXPONENT_BYTES_MAX)
        return false;
    out->minus = str_starts(number, STR("-"));
    struct str digits = str_drop(str_take(number, mantissa), out->minus);
    ssize_t point = str_chr(digits, '.');
    out->scale = read_exponent(mantissa < number.n ? exponent : STR_NONE);
    out->scale -= point < 0 ? 0 : (int64_t)digits.n - point - 1;
    out->digits = strip_zeros(digits, &out->scale);
    out->count = out->digits.n - (str_chr(out->digits, '.') >= 0);
    return true;
}

void key_put_number(struct key_writer *w, struct str number)
{
    struct decimal d;
    if (!read_decimal(number, &d)) {
        key_put_sized(w, 'v', number);
        return;
    }
    key_put_mark(w, d.minus ? 'D' : 'd');
    put_count(w, d.count);
    struct str after = d.digits, before = str_cut(&after, '.');
    put(w, before);
    put(w, after);
    put_count(w, d.count ? (uint64_t)d.scale : 0);
}

/* --- values nobody reads for us: one token after the other --- */

static void put_string_token(struct key_writer *w, struct scan *s)
{
    const char *from = s->at;
    bool good = scan_string(s);
    assume(good);
    put_text(w, (struct json){ .kind = JSON_STRING, .raw = str_span(from, s->at) });
}

static bool is_in_number(char c)
{
    return scan_is_digit(c) || c == '-' || c == '+' || c == '.' || (c | 0x20) == 'e';
}

static void put_number_token(struct key_writer *w, struct scan *s)
{
    const char *from = s->at;
    while (s->at < s->end && is_in_number(*s->at))
        s->at++;
    key_put_sized(w, 'v', str_span(from, s->at));
}

/* true, false and null are their letters, punctuation is itself: none begins like another token. */
void key_put_opaque(struct key_writer *w, struct json v)
{
    struct scan s = { .at = v.raw.p, .end = v.raw.p + v.raw.n };
    if (v.kind == JSON_STRING) {
        put_text(w, v);
        return;
    }
    while (s.at < s.end && !w->failed) {
        if (*s.at == '"')
            put_string_token(w, &s);
        else if (*s.at == '-' || scan_is_digit(*s.at))
            put_number_token(w, &s);
        else if (!scan_is_blank(*s.at++))
            key_put_mark(w, s.at[-1]);
    }
}
