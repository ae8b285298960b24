/* fleet/decision.c - the terms of a decision as a line of text: made once per answer, so by hand. */
#include "base/str.h"
#include "fleet/ticket.h"

static char *put_seconds(char *at, const char *name, float s)
{
    uint64_t hundredths = s > 0 ? (uint64_t)(MIN(s, 1e6f) * 100 + 0.5f) : 0;
    at = put_u64(put_str(at, str_of(name)), hundredths / 100);
    if (hundredths % 100) {
        *at++ = '.';
        *at++ = (char)('0' + hundredths / 10 % 10);
        if (hundredths % 10)
            *at++ = (char)('0' + hundredths % 10);
    }
    return at;
}

unsigned decision_write(const struct decision *d, char *into)
{
    char *at = into;
    if (!d->by) {
        at = put_seconds(at, "t=", d->total);
        at = put_seconds(at, " slot=", d->slot);
        at = put_seconds(at, " load=", d->load);
        at = put_seconds(at, " prefill=", d->prefill);
        at = put_seconds(at, " decode=", d->decode);
        if (d->penalty > 0)
            at = put_seconds(at, " penalty=", d->penalty);
    } else {
        at = put_str(put_str(at, STR("policy=")), str_of(d->by));
        at = put_u64(put_str(at, STR(" inflight=")), d->inflight);
    }
    at = put_u64(put_str(at, STR(" n=")), d->candidates);
    if (d->hedged)
        at = put_str(at, STR(" hedge=1"));
    return (unsigned)(at - into);
}
