/* config/value.c - numbers with units, read with integers only, so that "0.1s" is 100 ms and not a little less.
 *
 *     value = { number unit }      number = digits [ "." digits ]      a table of units gives what one is worth
 *
 * strtod was rejected: it takes "inf", "0x1p3" and, with a locale, commas; none of them is a setting. */
#include "config/value.h"

#define BILLION 1000000000u

struct number {
    uint64_t whole;
    uint32_t billionths;
};
struct unit {
    struct str name;
    int64_t worth;
};

static const struct unit durations[] = {
    {STR("us"),   USEC(1)      },
    { STR("ms"),  MSEC(1)      },
    { STR("s"),   SECOND(1)    },
    { STR("min"), SECOND(60)   },
    { STR("m"),   SECOND(60)   },
    { STR("h"),   SECOND(3600) },
    { STR("d"),   SECOND(86400)},
};
static const struct unit sizes[] = {
    {STR("B"),    1            },
    { STR("KiB"), 1ll << 10    },
    { STR("MiB"), 1ll << 20    },
    { STR("GiB"), 1ll << 30    },
    { STR("TiB"), 1ll << 40    },
    { STR("KB"),  1000         },
    { STR("MB"),  1000000      },
    { STR("GB"),  1000000000   },
    { STR("TB"),  1000000000000},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(struct str s)
{
    size_t n = 0;
    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n;
}

/* Takes a number off the front of *s. Digits behind the ninth place of a fraction do not count. */
static bool take_number(struct str *s, struct number *out)
{
    size_t n = digits(*s);
    *out = (struct number){ 0 };
    if (!str_u64(str_take(*s, n), &out->whole))
        return false;
    *s = str_drop(*s, n);
    if (!s->n || s->p[0] != '.')
        return true;
    *s = str_drop(*s, 1);
    n = digits(*s);
    uint32_t place = BILLION / 10;
    for (size_t i = 0; i < n; i++, place /= 10)
        out->billionths += (uint32_t)(s->p[i] - '0') * place;
    *s = str_drop(*s, n);
    return n > 0;
}

static struct str take_unit(struct str *s)
{
    size_t n = 0;
    while (n < s->n && !is_digit(s->p[n]))
        n++;
    struct str unit = str_take(*s, n);
    *s = str_drop(*s, n);
    return str_trim(unit);
}

static const struct unit *unit_named(const struct unit *units, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(units[i].name, name))
            return &units[i];
    return NULL;
}

/* number * unit, or false when it does not fit. */
static bool worth(const struct number *n, int64_t unit, int64_t *out)
{
    __int128 v = (__int128)n->whole * unit + (__int128)n->billionths * unit / BILLION;
    if (v > INT64_MAX)
        return false;
    *out = (int64_t)v;
    return true;
}

bool value_onoff(struct str s, bool *out)
{
    int on = value_choice(STR("off|false|no|on|true|yes"), s);
    if (on >= 0)
        *out = on >= 3;
    return on >= 0;
}

bool value_count(struct str s, int64_t *out)
{
    uint64_t v;
    if (!str_u64(s, &v) || v > INT64_MAX)
        return false;
    *out = (int64_t)v;
    return true;
}

bool value_number(struct str s, double *out)
{
    struct number n;
    if (!take_number(&s, &n) || s.n)
        return false;
    *out = (double)n.whole + n.billionths / 1e9;
    return true;
}

bool value_duration(struct str s, nsec *out)
{
    struct number n;
    int64_t sum = 0, last = INT64_MAX, part;
    if (str_eq(s, STR("0"))) {
        *out = 0;
        return true;
    }
    if (!s.n)
        return false;
    while (s.n) {
        const struct unit *u = take_number(&s, &n) ? unit_named(durations, ARRAY_LEN(durations), take_unit(&s)) : NULL;
        if (!u || u->worth >= last || !worth(&n, u->worth, &part) || __builtin_add_overflow(sum, part, &sum))
            return false;
        last = u->worth;
    }
    *out = sum;
    return true;
}

bool value_size(struct str s, int64_t *out)
{
    struct number n;
    if (!take_number(&s, &n))
        return false;
    const struct unit *u = s.n ? unit_named(sizes, ARRAY_LEN(sizes), take_unit(&s)) : &sizes[0];
    return u && !s.n && worth(&n, u->worth, out);
}

bool value_rate(struct str s, int64_t *out)
{
    return str_ends(s, STR("/s")) && value_size(str_take(s, s.n - 2), out);
}

static bool take_share(struct str term, struct share *to)
{
    double v;
    bool percent = str_ends(term, STR("%")), rate = str_ends(term, STR("/s"));
    struct str number = str_trim(str_take(term, term.n - (percent ? 1 : rate ? 2 : 0)));
    if (!(percent || rate) || !value_number(number, &v))
        return false;
    if (percent)
        to->ratio += v / 100;
    else
        to->rate += v;
    return true;
}

bool value_share(struct str s, struct share *out)
{
    struct share sum = { 0 };
    if (!s.n || str_ends(s, STR("+")))
        return false;
    while (s.n)
        if (!take_share(str_trim(str_cut(&s, '+')), &sum))
            return false;
    *out = sum;
    return true;
}

int value_choice(struct str words, struct str s)
{
    for (int i = 0; words.n; i++)
        if (str_eq_nocase(str_cut(&words, '|'), s))
            return i;
    return -1;
}
