/* base/stamp.c - calendars without the C library's.
 *
 * gmtime and strftime know locales, locks and years we do not need; every answer of a cache carries a fresh moment, so
 * writing one is plain arithmetic. Days are counted from 1 March of year 0, so that the leap day is the last of its
 * year and a month's first day is a linear formula: (153 * month + 2) / 5. The Gregorian calendar repeats after 400
 * years. */
#include "base/stamp.h"
#include "base/buf.h"

#define DAYS_PER_400_YEARS 146097
#define EPOCH_DAY          719468 /* 1970-01-01 counted from 0000-03-01 */
#define DAY                SECOND(86400)

struct date {
    int64_t year;
    int month, day; /* 1.. */
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}
static int64_t floor_rest(int64_t a, int64_t b)
{
    return a % b < 0 ? a % b + b : a % b;
}

static struct date date_of(int64_t days_since_1970)
{
    int64_t day = days_since_1970 + EPOCH_DAY;
    int64_t era = floor_div(day, DAYS_PER_400_YEARS);
    int64_t of_era = day - era * DAYS_PER_400_YEARS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (DAYS_PER_400_YEARS - 1)) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (int)(5 * of_year + 2) / 153; /* from March */
    struct date d = { .year = era * 400 + year + (month >= 10), .month = month < 10 ? month + 3 : month - 9 };
    d.day = (int)of_year - (153 * month + 2) / 5 + 1;
    return d;
}

static int64_t days_of(struct date d)
{
    int64_t year = d.year - (d.month <= 2);
    int64_t era = floor_div(year, 400), of_era = year - era * 400;
    int64_t of_year = (153 * (d.month > 2 ? d.month - 3 : d.month + 9) + 2) / 5 + d.day - 1;
    return era * DAYS_PER_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAY;
}

/* --- writing --- */

static char *put_year(char *at, int64_t year)
{
    return put_pair(put_pair(at, (unsigned)(year / 100 % 100)), (unsigned)(year % 100));
}

static char *put_char(char *at, char c)
{
    *at = c;
    return at + 1;
}

static char *put_time_of_day(char *at, unsigned seconds)
{
    at = put_pair(at, seconds / 3600);
    at = put_pair(put_char(at, ':'), seconds / 60 % 60);
    return put_pair(put_char(at, ':'), seconds % 60);
}

/* Go prints the fraction without its trailing zeros, and none at all for a whole second. */
static char *put_fraction(char *at, unsigned nanoseconds)
{
    if (nanoseconds == 0)
        return at;
    at = put_char(put_char(at, '.'), (char)('0' + nanoseconds / 100000000));
    at = put_pair(at, nanoseconds / 1000000 % 100);
    at = put_pair(at, nanoseconds / 10000 % 100);
    at = put_pair(at, nanoseconds / 100 % 100);
    at = put_pair(at, nanoseconds % 100);
    while (at[-1] == '0')
        at--;
    return at;
}

size_t stamp_rfc3339(nsec wall, char out[36])
{
    int64_t days = floor_div(wall, DAY), rest = floor_rest(wall, DAY);
    struct date d = date_of(days);
    char *at = put_year(out, d.year);
    at = put_pair(put_char(at, '-'), (unsigned)d.month);
    at = put_pair(put_char(at, '-'), (unsigned)d.day);
    at = put_time_of_day(put_char(at, 'T'), (unsigned)(rest / SECOND(1)));
    at = put_char(put_fraction(at, (unsigned)(rest % SECOND(1))), 'Z');
    return (size_t)(at - out);
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

size_t stamp_http(nsec wall, char out[32])
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    int64_t days = floor_div(wall, DAY), rest = floor_rest(wall, DAY);
    struct date d = date_of(days);
    memcpy(out, weekdays + 3 * floor_rest(days, 7), 3);
    memcpy(out + 3, ", ", 2);
    char *at = put_char(put_pair(out + 5, (unsigned)d.day), ' ');
    memcpy(at, months + 3 * (d.month - 1), 3);
    at = put_year(put_char(at + 3, ' '), d.year);
    at = put_time_of_day(put_char(at, ' '), (unsigned)(rest / SECOND(1)));
    memcpy(at, " GMT", 4);
    return (size_t)(at + 4 - out);
}

/* --- reading: each reader eats from the front, or sets `bad` --- */

struct reader {
    struct str left;
    bool bad;
};

static char peek(const struct reader *r)
{
    return r->left.n ? r->left.p[0] : 0;
}
static bool at_digit(const struct reader *r)
{
    return (unsigned)(peek(r) - '0') <= 9;
}

static int read_digits(struct reader *r, int width, int least, int most)
{
    int v = 0;
    for (int i = 0; i < width; i++) {
        r->bad |= !at_digit(r);
        v = v * 10 + (peek(r) - '0');
        r->left = str_drop(r->left, 1);
        if (r->bad)
            return least;
    }
    r->bad |= v < least || v > most;
    return v;
}

/* One of two characters. */
static char read_char(struct reader *r, char a, char b)
{
    char c = peek(r);
    r->bad |= c != a && c != b;
    r->left = str_drop(r->left, 1);
    return c;
}

static int month_length(struct date d)
{
    static const char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = d.year % 4 == 0 && (d.year % 100 != 0 || d.year % 400 == 0);
    return lengths[d.month - 1] + (leap && d.month == 2);
}

static struct date read_date(struct reader *r)
{
    struct date d = { .year = read_digits(r, 4, 0, 9999) };
    read_char(r, '-', '-');
    d.month = read_digits(r, 2, 1, 12);
    read_char(r, '-', '-');
    if (!r->bad)
        d.day = read_digits(r, 2, 1, month_length(d));
    return d;
}

static int64_t read_hour_minute(struct reader *r)
{
    int64_t hour = read_digits(r, 2, 0, 23);
    read_char(r, ':', ':');
    return (hour * 60 + read_digits(r, 2, 0, 59)) * 60;
}

/* Any number of digits; nanoseconds count. */
static int64_t read_fraction(struct reader *r)
{
    int64_t ns = 0, unit = SECOND(1) / 10;
    if (peek(r) != '.')
        return 0;
    r->left = str_drop(r->left, 1);
    r->bad |= !at_digit(r);
    for (; at_digit(r); r->left = str_drop(r->left, 1), unit /= 10)
        ns += unit * (peek(r) - '0');
    return ns;
}

static int64_t read_offset(struct reader *r)
{
    if (peek(r) == 'Z' || peek(r) == 'z') {
        r->left = str_drop(r->left, 1);
        return 0;
    }
    bool west = read_char(r, '+', '-') == '-';
    int64_t seconds = read_hour_minute(r);
    return west ? -seconds : seconds;
}

static nsec saturate(__int128 v)
{
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (nsec)v;
}

/* RFC 3339 section 5.6. A leap second is the second after it. */
bool stamp_parse(struct str s, nsec *out_wall)
{
    struct reader r = { .left = s };
    struct date d = read_date(&r);
    read_char(&r, 'T', 't');
    int64_t seconds = read_hour_minute(&r);
    read_char(&r, ':', ':');
    seconds += read_digits(&r, 2, 0, 60);
    int64_t ns = read_fraction(&r);
    seconds -= read_offset(&r);
    if (r.bad || r.left.n)
        return false;
    *out_wall = saturate(((__int128)days_of(d) * 86400 + seconds) * SECOND(1) + ns);
    return true;
}

static int read_month(struct reader *r)
{
    ssize_t at = r->left.n < 3 ? -1 : str_find((struct str){ months, sizeof months - 1 }, str_take(r->left, 3));
    r->left = str_drop(r->left, 3);
    r->bad |= at < 0 || at % 3;
    return r->bad ? 1 : (int)at / 3 + 1;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
bool stamp_parse_http(struct str s, nsec *out_wall)
{
    struct reader r = { .left = str_drop(s, 5) };
    struct date d = { .day = read_digits(&r, 2, 1, 31) };
    read_char(&r, ' ', ' ');
    d.month = read_month(&r);
    read_char(&r, ' ', ' ');
    d.year = read_digits(&r, 4, 0, 9999);
    read_char(&r, ' ', ' ');
    int64_t seconds = read_hour_minute(&r);
    read_char(&r, ':', ':');
    seconds += read_digits(&r, 2, 0, 60);
    if (r.bad || !str_eq(r.left, STR(" GMT")) || str_find(str_take(s, 5), STR(", ")) != 3 || d.day > month_length(d))
        return false;
    *out_wall = saturate(((__int128)days_of(d) * 86400 + seconds) * SECOND(1));
    return true;
}

static const struct {
    struct str name;
    nsec length;
} units[] = {
    {STR("ns"),       1           },
    { STR("us"),      USEC(1)     },
    { STR("\u00b5s"), USEC(1)     }, /* micro sign */
    { STR("\u03bcs"), USEC(1)     }, /* Greek letter mu */
    { STR("ms"),      MSEC(1)     },
    { STR("s"),       SECOND(1)   },
    { STR("m"),       SECOND(60)  },
    { STR("h"),       SECOND(3600)},
};

/* The unit is all up to the next number, as Go has it: "1hx2m" is none. */
static nsec read_unit(struct reader *r)
{
    size_t n = 0;
    while (n < r->left.n && r->left.p[n] != '.' && (unsigned)(r->left.p[n] - '0') > 9)
        n++;
    struct str name = str_take(r->left, n);
    r->left = str_drop(r->left, n);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (str_eq(units[i].name, name))
            return units[i].length;
    r->bad = true;
    return 0;
}

/* Stays at the largest nsec instead of overflowing. */
static __int128 read_whole(struct reader *r)
{
    __int128 v = 0;
    for (; at_digit(r); r->left = str_drop(r->left, 1))
        v = MIN(v * 10 + (peek(r) - '0'), (__int128)INT64_MAX);
    return v;
}

/* The digits behind a point, of `unit`; what comes after the 18th is less than a nanosecond. */
static __int128 read_part(struct reader *r, nsec unit)
{
    __int128 part = 0;
    int64_t scale = 1;
    for (; at_digit(r); r->left = str_drop(r->left, 1)) {
        if (scale < SECOND(1000000000)) {
            scale *= 10;
            part = part * 10 + (peek(r) - '0');
        }
    }
    return part * unit / scale;
}

/* One "1.5h": the unit comes last, so the digits behind the point are read after it. */
static __int128 read_term(struct reader *r)
{
    struct str before = r->left;
    __int128 whole = read_whole(r);
    size_t digits = before.n - r->left.n;
    struct reader part = { 0 };
    if (peek(r) == '.') {
        r->left = str_drop(r->left, 1);
        part.left = r->left;
        while (at_digit(r))
            r->left = str_drop(r->left, 1);
        part.left.n -= r->left.n;
        digits += part.left.n;
    }
    r->bad |= digits == 0;
    nsec unit = read_unit(r);
    return whole * unit + read_part(&part, unit);
}

bool stamp_go_duration(struct str s, nsec *out)
{
    struct reader r = { .left = s };
    bool negative = peek(&r) == '-';
    if (negative || peek(&r) == '+')
        r.left = str_drop(r.left, 1);
    if (str_eq(r.left, STR("0"))) {
        *out = 0;
        return true;
    }
    __int128 total = 0;
    r.bad = r.left.n == 0;
    while (r.left.n && !r.bad) {
        total += read_term(&r);
        total = MIN(total, (__int128)INT64_MAX + 1);
    }
    if (r.bad)
        return false;
    *out = saturate(negative ? -total : total);
    return true;
}
