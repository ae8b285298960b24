/* cache/status.c - one member of a structured list: a token and its parameters. Times are rounded down, so that what is
 * stale never shows a ttl of 0, and what is fresh never one it does not have. */
#include "cache/status.h"
#include "base/buf.h"

#define DETAIL_MOST 32

static const struct str fates[] = {
    [STATUS_HIT] = {"hit",          3 },
      [STATUS_BYPASS] = { "fwd=bypass",  10},
      [STATUS_REQUEST] = { "fwd=request", 11},
    [STATUS_MISS] = { "fwd=miss",    8 },
      [STATUS_STALE] = { "fwd=stale",   9 },
};

static int64_t seconds_of(nsec t)
{
    return t / SECOND(1) - (t % SECOND(1) < 0);
}

static char *put_seconds(char *at, int64_t seconds)
{
    if (seconds < 0)
        *at++ = '-';
    return put_u64(at, (uint64_t)(seconds < 0 ? -seconds : seconds));
}

/* RFC 8941 section 3.3.4, of which ours need this much. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char low = (char)(s.p[i] | 0x20);
        bool letter = low >= 'a' && low <= 'z';
        if (!letter && (i == 0 || !((s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-' || s.p[i] == '_')))
            return false;
    }
    return s.n > 0 && s.n <= DETAIL_MOST;
}

size_t status_put(const struct status *s, char out[STATUS_ROOM])
{
    assume((unsigned)s->kind < ARRAY_LEN(fates));
    char *at = put_str(put_str(out, STR("OllamaMax; ")), fates[s->kind]);
    if (s->kind == STATUS_HIT)
        at = put_seconds(put_str(at, STR("; ttl=")), seconds_of(s->ttl));
    if (s->stored)
        at = put_str(at, STR("; stored"));
    if (s->collapsed)
        at = put_str(at, STR("; collapsed"));
    if (is_token(s->detail))
        at = put_str(put_str(at, STR("; detail=")), s->detail);
    return (size_t)(at - out);
}

size_t status_put_age(nsec age, char out[STATUS_AGE_ROOM])
{
    return (size_t)(put_seconds(out, seconds_of(MAX(age, 0))) - out);
}
