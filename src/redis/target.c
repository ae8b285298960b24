/* The form is that of redis-cli and of the client libraries (the IANA registration of redis: and rediss:), so what
 * people have in REDIS_URL works as it is. Fields of a query other than `db` are refused rather than ignored: somebody
 * who wrote `?timeout=1` should learn that it does nothing. */
#include "redis/target.h"
#include "net/addr.h"
#include "net/http_chars.h"

#define DB_MOST   1000000
#define PATH_MOST 100 /* of a socket, by the kernel */
#define HOST_MOST 253

static bool says(const char **why, const char *sentence)
{
    *why = sentence;
    return false;
}

/* The %XX of s resolved, in the arena; NULL bytes: memory is out, or an escape is none, or stands for NUL. */
static struct str unescaped(struct arena *a, struct str s)
{
    char *out = arena_take(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; out && i < s.n; i++, n++) {
        out[n] = s.p[i];
        if (s.p[i] != '%')
            continue;
        int high = i + 2 < s.n ? http_hex(s.p[i + 1]) : -1, low = high < 0 ? -1 : http_hex(s.p[i + 2]);
        if (low < 0 || high + low == 0)
            return STR_NONE;
        out[n] = (char)(high << 4 | low);
        i += 2;
    }
    return out ? (struct str){ out, n } : STR_NONE;
}

static bool read_who(struct str who, struct arena *a, struct redis_target *t, const char **why)
{
    struct str user = str_cut(&who, ':');

    t->user = unescaped(a, user);
    t->password = unescaped(a, who);
    if (!t->user.p || !t->password.p)
        return says(why, "has a user or password whose %XX cannot be read");
    if (t->user.n && !t->password.n)
        return says(why, "names a user but no password: write redis://user:password@host, or :password@host");
    return true;
}

static bool read_db(struct str text, struct redis_target *t, const char **why)
{
    uint64_t db = 0;

    if (text.n && (!str_u64(text, &db) || db > DB_MOST))
        return says(why, "has a database that is no number");
    t->db = (unsigned)db;
    return true;
}

static bool read_query(struct str query, struct redis_target *t, const char **why)
{
    if (!query.n)
        return true;
    if (!str_starts(query, STR("db=")))
        return says(why, "has fields behind `?` other than db=NUMBER");
    return read_db(str_drop(query, 3), t, why);
}

static bool read_unix(struct str place, struct arena *a, struct redis_target *t, const char **why)
{
    struct str path = str_cut(&place, '?');

    t->path = unescaped(a, path);
    if (!path.n || path.p[0] != '/' || !t->path.p || t->path.n > PATH_MOST)
        return says(why, "is not a socket: write unix:///path/of/the/socket, of at most 100 bytes");
    return read_query(place, t, why);
}

static bool read_host(struct str place, struct arena *a, struct redis_target *t, const char **why)
{
    struct str before = str_cut(&place, '?'), authority = str_cut(&before, '/'), host, port;
    uint64_t number = REDIS_PORT;

    if (!addr_authority(authority, &host, &port) || (port.n && (!str_u64(port, &number) || !number)))
        return says(why, "has no host and port that can be read");
    if (host.n > HOST_MOST)
        return says(why, "has a host whose name is too long");
    t->host = str_dup(a, host.n ? host : STR("127.0.0.1"));
    t->port = (uint16_t)number;
    if (!t->host.p)
        return says(why, "does not fit into memory");
    return read_db(before, t, why) && read_query(place, t, why);
}

bool redis_target_read(struct str text, struct arena *a, struct redis_target *t, const char **why)
{
    bool is_unix = str_starts_nocase(text, STR("unix://"));
    ssize_t at;

    *t = (struct redis_target){ .tls = str_starts_nocase(text, STR("rediss://")) };
    if (!is_unix && !t->tls && !str_starts_nocase(text, STR("redis://")))
        return says(why, "is not an address such as redis://host:6379, rediss://host or unix:///path");
    text = str_drop(text, is_unix ? 7 : t->tls ? 9 : 8);
    at = str_rchr(text, '@');
    if (at >= 0 && !read_who(str_take(text, (size_t)at), a, t, why))
        return false;
    text = str_drop(text, (size_t)(at + 1));
    return is_unix ? read_unix(text, a, t, why) : read_host(text, a, t, why);
}

void redis_target_print(const struct redis_target *t, struct text *to)
{
    bool six = str_chr(t->host, ':') >= 0;

    text_put(to, t->path.n ? STR("unix://") : t->tls ? STR("rediss://") : STR("redis://"));
    if (t->password.n)
        text_printf(to, "%.*s:***@", STR_ARG(t->user));
    if (t->path.n)
        text_printf(to, "%.*s", STR_ARG(t->path));
    else
        text_printf(to, "%s%.*s%s:%u", six ? "[" : "", STR_ARG(t->host), six ? "]" : "", t->port);
    if (t->db)
        text_printf(to, t->path.n ? "?db=%u" : "/%u", t->db);
}
