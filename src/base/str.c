/* base/str.c - looking at borrowed bytes.
 *
 * Searching is glibc's memchr, memrchr and memmem, which know the machine's vector registers. Case is ASCII's and
 * nothing else's: protocol words must not depend on a locale, so <ctype.h> is not used. The hash seed is drawn by
 * whoever asks first; all agree on it by compare-and-swap, which spares a lock, a constructor and an order of
 * initialisation. */
#include "base/str.h"

#include "base/arena.h"
#include "base/sys.h"

#include <stdatomic.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static inline unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return (unsigned)(u - 'A') < 26 ? u | 0x20 : u;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}
static inline bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool str_same_nocase(const char *a, const char *b, size_t n)
{
    if (n && memcmp(a, b, n) == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq_nocase(str_take(s, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_drop(s, s.n - suffix.n), suffix);
}

/* A position inside s, or -1; the libc's searchers must not see the NULL of an empty str. */
static ssize_t position(struct str s, const void *found)
{
    return found ? (const char *)found - s.p : -1;
}
ssize_t str_chr(struct str s, char c)
{
    return s.n ? position(s, memchr(s.p, c, s.n)) : -1;
}
ssize_t str_rchr(struct str s, char c)
{
    return s.n ? position(s, memrchr(s.p, c, s.n)) : -1;
}

ssize_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    return s.n ? position(s, memmem(s.p, s.n, needle.p, needle.n)) : -1;
}

struct str str_trim_blank(struct str s)
{
    for (; s.n && is_blank(s.p[0]); s.n--)
        s.p++;
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_trim(struct str s)
{
    for (; s.n && is_space(s.p[0]); s.n--)
        s.p++;
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    struct str all = *rest;
    ssize_t at = str_chr(all, sep);
    if (at < 0) {
        *rest = str_drop(all, all.n);
        return all;
    }
    *rest = str_drop(all, (size_t)at + 1);
    return str_take(all, (size_t)at);
}

/* Length of the list element at the front: up to a comma that is not inside a quoted string. */
static size_t element_length(struct str list)
{
    bool quoted = false;
    for (size_t i = 0; i < list.n; i++) {
        if (list.p[i] == '"')
            quoted = !quoted;
        else if (quoted && list.p[i] == '\\')
            i++;
        else if (!quoted && list.p[i] == ',')
            return i;
    }
    return list.n;
}

bool str_list_has(struct str list, struct str token)
{
    while (list.n) {
        size_t n = element_length(list);
        struct str element = str_take(list, n);
        if (token.n && str_eq_nocase(str_trim_blank(str_cut(&element, ';')), token))
            return true;
        list = str_drop(list, n + 1);
    }
    return false;
}

struct str str_dup(struct arena *a, struct str s)
{
    char *copy = arena_take(a, s.n);
    if (!copy)
        return STR_NONE;
    if (s.n)
        memcpy(copy, s.p, s.n);
    return (struct str){ copy, s.n };
}

char *str_z(struct arena *a, struct str s)
{
    char *copy = arena_take(a, s.n + 1);
    if (!copy)
        return NULL;
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    return copy;
}

/* So many digits cannot overflow. */
#define DIGITS_SAFE 19

bool str_u64(struct str s, uint64_t *out)
{
    if (s.n == 0)
        return false;
    const char *p = s.p, *end = p + s.n, *safe = p + MIN(s.n, DIGITS_SAFE);
    uint64_t v = 0, digit;
    for (; p < safe && (digit = (uint64_t)*p - '0') < 10; p++)
        v = v * 10 + digit;
    for (; p < end && (digit = (uint64_t)*p - '0') < 10; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    if (p < end)
        return false;
    *out = v;
    return true;
}

static uint64_t hash_seed(void)
{
    static _Atomic uint64_t seed; /* 0: not drawn yet */
    uint64_t have = atomic_load_explicit(&seed, memory_order_relaxed);
    if (likely(have))
        return have;
    uint64_t mine = sys_random_u64() | 1;
    return atomic_compare_exchange_strong(&seed, &have, mine) ? mine : have;
}

uint64_t str_hash(struct str s)
{
    return XXH3_64bits_withSeed(s.p, s.n, hash_seed());
}

/* Folded piece by piece; each piece's hash is the seed of the next, so length and order count. */
uint64_t str_hash_nocase(struct str s)
{
    char folded[256];
    uint64_t hash = hash_seed();
    do {
        struct str piece = str_take(s, sizeof folded);
        for (size_t i = 0; i < piece.n; i++)
            folded[i] = (char)lower(piece.p[i]);
        hash = XXH3_64bits_withSeed(folded, piece.n, hash);
        s = str_drop(s, piece.n);
    } while (s.n);
    return hash;
}
