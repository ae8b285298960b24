/* cache/control.h - what a client asks of the cache: the Cache-Control of a request.
 *
 * RFC 9111 section 5.2.1: no-store, no-cache, max-age, only-if-cached. Other directives are passed over (5.2.3), as are
 * max-stale and min-fresh, which a cache may. Pure; any thread. */
#pragma once
#include "base/str.h"

struct control {
    bool no_store;       /* neither answered from the cache nor kept */
    bool no_cache;       /* not answered from the cache */
    bool only_if_cached; /* not from a node either */
    nsec max_age;        /* an answer may be so old; NEVER: of any age */
};
static inline struct control control_none(void)
{
    return (struct control){ .max_age = NEVER };
}
/* Adds what one header line says; several lines count as one list. Said twice, the stricter holds. A max-age that is no
 * number of seconds is 0 (4.2.1: what is invalid is stale), one beyond 2^31 is 2^31 (1.2.2). */
void control_read(struct control *c, struct str value);
