/* api/keep_alive.c - how long a model stays loaded, as Ollama's api.Duration and Go's time.ParseDuration read it.
 *
 *     300   0.5   -1   "5m"   "1h30m"   "-1m"   "1.5h"   "0"   null
 *
 * A string is a sum of decimal numbers, each with a unit; only "0" needs none. Anything below zero is forever, and so
 * is a number too large for Go's 63 bits of nanoseconds (there it becomes whatever the machine's conversion gives;
 * nobody can mean that). */
#include "api/peek.h"

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns",         1            },
    { "us",        1000         },
    { "\xc2\xb5s", 1000         },
    { "\xce\xbcs", 1000         },
    { "ms",        1000000      },
    { "s",         1000000000   },
    { "m",         60000000000  },
    { "h",         3600000000000},
};

static bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* Digits at the front of s; false if they do not fit. */
static bool take_digits(struct str *s, uint64_t *out)
{
    *out = 0;
    for (; s->n > 0 && is_digit(*s->p); *s = str_drop(*s, 1)) {
        *out = *out * 10 + (uint64_t)(*s->p - '0');
        if (*out > (uint64_t)INT64_MAX)
            return false;
    }
    return true;
}

/* What follows the point, in units of 1 / *out_scale; digits that no longer fit are dropped. */
static uint64_t take_fraction(struct str *s, double *out_scale)
{
    uint64_t value = 0;
    for (*out_scale = 1; s->n > 0 && is_digit(*s->p); *s = str_drop(*s, 1))
        if (value < (uint64_t)INT64_MAX / 10 - 1) {
            value = value * 10 + (uint64_t)(*s->p - '0');
            *out_scale *= 10;
        }
    return value;
}

static uint64_t take_unit(struct str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '.' && !is_digit(s->p[n]))
        n++;
    struct str name = str_take(*s, n);
    *s = str_drop(*s, n);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (str_eq(name, str_of(units[i].name)))
            return units[i].ns;
    return 0;
}

/* One "1.5h" of the sum. */
static bool take_term(struct str *s, uint64_t *out_ns)
{
    uint64_t whole, fraction = 0;
    double scale = 1;
    size_t before = s->n;
    if (!take_digits(s, &whole))
        return false;
    bool digits = s->n < before;
    if (s->n > 0 && *s->p == '.') {
        *s = str_drop(*s, 1);
        before = s->n;
        fraction = take_fraction(s, &scale);
        digits = digits || s->n < before;
    }
    uint64_t unit = take_unit(s);
    if (!digits || unit == 0 || __builtin_mul_overflow(whole, unit, out_ns))
        return false;
    *out_ns += (uint64_t)((double)fraction * ((double)unit / scale));
    return *out_ns <= 1ull << 63;
}

static bool read_duration(struct str s, nsec *out)
{
    bool minus = s.n > 0 && *s.p == '-';
    uint64_t sum = 0, term;
    if (s.n > 0 && (minus || *s.p == '+'))
        s = str_drop(s, 1);
    bool zero = str_eq(s, STR("0"));
    if (s.n == 0)
        return false;
    while (s.n > 0 && !zero) {
        if (!take_term(&s, &term) || (sum += term) > 1ull << 63)
            return false;
    }
    if (!minus && sum > (uint64_t)INT64_MAX)
        return false;
    *out = minus && sum > 0 ? NEVER : (nsec)sum;
    return true;
}

static bool read_text(struct json v, nsec *out)
{
    struct arena scratch;
    arena_init(&scratch);
    struct str s = json_text(&scratch, v);
    bool good = s.p && read_duration(s, out);
    arena_done(&scratch);
    return good;
}

static bool read_seconds(struct json v, nsec *out)
{
    double seconds;
    if (!json_f64(v, &seconds))
        return false;
    bool forever = seconds < 0 || seconds * 1e9 >= 9.2e18;
    *out = forever ? NEVER : (nsec)(seconds * 1e9);
    return true;
}

enum fail keep_alive_read(struct json v, bool *out_set, nsec *out)
{
    *out_set = false;
    if (v.kind == JSON_BAD || v.kind == JSON_NULL)
        return OK;
    *out_set = v.kind == JSON_NUMBER ? read_seconds(v, out) : v.kind == JSON_STRING && read_text(v, out);
    return *out_set ? OK : FAIL_bad_value;
}
