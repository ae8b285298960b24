/* base/str.h - borrowed bytes: a pointer and a length, not NUL-terminated, never owned.
 * Whoever keeps one longer than the call copies it into an arena of its own (str_dup). Pure; any thread. */
#pragma once
#include "base/types.h"
#include <string.h>

struct arena;
struct str {
    const char *p;
    size_t n;
};
#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
#define STR_NONE     ((struct str){ NULL, 0 })
/* For printf: "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z)
{
    return (struct str){ z, z ? strlen(z) : 0 };
}
static inline struct str str_span(const char *from, const char *to)
{
    return (struct str){ from, (size_t)(to - from) };
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
/* Without the first n bytes / only the first n bytes; n may exceed the length. */
static inline struct str str_drop(struct str s, size_t n)
{
    n = MIN(n, s.n);
    return n ? (struct str){ s.p + n, s.n - n } : s;
}
static inline struct str str_take(struct str s, size_t n)
{
    return (struct str){ s.p, MIN(n, s.n) };
}
/* ASCII letters compare equal in either case. */
bool str_same_nocase(const char *a, const char *b, size_t n);
static inline bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && str_same_nocase(a.p, b.p, a.n);
}
static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_take(s, prefix.n), prefix);
}
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Position of the first byte c / last byte c / first occurrence of needle, or -1. */
ssize_t str_chr(struct str s, char c);
ssize_t str_rchr(struct str s, char c);
ssize_t str_find(struct str s, struct str needle);
/* Without spaces and tabs (str_trim: all ASCII white space) at both ends. */
struct str str_trim_blank(struct str s);
struct str str_trim(struct str s);
/* Cut at the first `sep`: returns what is before it and leaves what follows in *rest; all of it when there is none. */
struct str str_cut(struct str *rest, char sep);
/* Does a list like "a, B;q=1, c" (RFC 9110 section 5.6.1) hold the token, in any case, parameters ignored? */
bool str_list_has(struct str list, struct str token);
/* Copies. str_dup gives NULL bytes when the arena is out of memory; str_z also appends a NUL. */
struct str str_dup(struct arena *a, struct str s);
char *str_z(struct arena *a, struct str s);
/* Whole of s is an unsigned decimal that fits: true and *out. No sign, no space, at least one digit. */
bool str_u64(struct str s, uint64_t *out);
/* 64-bit XXH3, seeded per process (sys_random) so that strangers cannot choose collisions. */
uint64_t str_hash(struct str s);
uint64_t str_hash_nocase(struct str s);
