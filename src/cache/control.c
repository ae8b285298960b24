/* cache/control.c - a list of directives, name or name=value, the value as a token or in quotes (RFC 9110 section
 * 5.6).
 *
 * A comma inside quotes does not end a directive; nothing else about the syntax is insisted on, because the header is
 * for everybody on the way and most of it is for others. */
#include "cache/control.h"
#include "base/types.h"

#define SECONDS_MOST (1ull << 31)

/* Cuts the next directive off, as far as the next comma outside quotes. */
static struct str next_directive(struct str *rest)
{
    bool quoted = false;
    size_t n = 0;
    for (; n < rest->n && (quoted || rest->p[n] != ','); n++) {
        if (quoted && rest->p[n] == '\\' && n + 1 < rest->n)
            n++;
        else if (rest->p[n] == '"')
            quoted = !quoted;
    }
    struct str directive = str_take(*rest, n);
    *rest = str_drop(*rest, n + 1);
    return str_trim_blank(directive);
}

static struct str unquote(struct str s)
{
    bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    return quoted ? (struct str){ s.p + 1, s.n - 2 } : s;
}

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static nsec read_seconds(struct str value)
{
    uint64_t seconds;
    if (!is_digits(value))
        return 0;
    if (!str_u64(value, &seconds) || seconds > SECONDS_MOST)
        seconds = SECONDS_MOST;
    return SECOND((nsec)seconds);
}

void control_read(struct control *c, struct str value)
{
    while (value.n) {
        struct str argument = next_directive(&value), name = str_trim_blank(str_cut(&argument, '='));
        if (str_eq_nocase(name, STR("no-store")))
            c->no_store = true;
        else if (str_eq_nocase(name, STR("no-cache")))
            c->no_cache = true;
        else if (str_eq_nocase(name, STR("only-if-cached")))
            c->only_if_cached = true;
        else if (str_eq_nocase(name, STR("max-age")))
            c->max_age = MIN(c->max_age, read_seconds(unquote(str_trim_blank(argument))));
    }
}
