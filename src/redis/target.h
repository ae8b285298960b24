/* redis/target.h - which Redis: the words of `cache.redis` and REDIS_URL, taken apart.
 *
 *     redis://[[user]:password@]host[:port][/db]     rediss:// likewise, over TLS
 *     unix://[[user]:password@]/path/of/the/socket[?db=N]
 *
 * User and password may hold %XX (RFC 3986 section 2.1). Pure; any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

#define REDIS_PORT 6379
struct redis_target {
    bool tls;
    struct str host; /* empty: a unix socket */
    uint16_t port;
    struct str path; /* of the unix socket */
    struct str user, password;
    unsigned db;
};
/* Strings go into the arena. False with why (static text): it is no such URL, or memory is out. */
bool redis_target_read(struct str text, struct arena *a, struct redis_target *out, const char **why);
/* As it may be shown to people: never the password. */
void redis_target_print(const struct redis_target *t, struct text *to);
