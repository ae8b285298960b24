/* api/route.c - the path table and the quickest way through it.
 *
 * The table has some forty rows and each request asks it once, so neither forty comparisons nor a radix tree: a tree
 * pays off with thousands of routes and parameters in the middle, of which we have none. The exact paths lie in an
 * open-addressed table of 128 slots, filled once before main. The hash is the last eight bytes of the path and its
 * length, times one odd constant: what tells our paths apart is at their end ("/api/chat", "/api/show"), and reading
 * eight bytes costs the same for every path.
 *
 *     path --last 8 bytes, length--> slot --> row --one memcmp--> found
 *                                      `--empty--> the four rows that end in '*', one prefix comparison each
 *
 * A perfect hash made by a generator was rejected: one more step in the build to save at most one probe. */
#include "api/route.h"
#include "base/arena.h"
#include "base/buf.h"

enum {
    GET = 1 << M_GET,
    HEAD = 1 << M_HEAD,
    POST = 1 << M_POST,
    PATCH = 1 << M_PATCH,
    DELETE = 1 << M_DELETE,
};
enum { N = ROUTE_NO_RETRY, S = ROUTE_STREAMS, Z = ROUTE_ZSTD, O = ROUTE_OWN, P = ROUTE_PROBE };

#define SLOTS     128
#define TAILS_MAX 8
#define NO_ROW    ROUTE_COUNT

static const struct route rows[ROUTE_COUNT] = {
#define ROUTE(row, row_path, row_methods, row_dialect, row_kind, row_model_in, row_flags)                              \
    [ROUTE_##row] = {                                                                                                  \
        .id = ROUTE_##row,                                                                                             \
        .name = {#row,      sizeof(#row) - 1    },                                                                            \
        .path = { row_path, sizeof(row_path) - 1},                                                                    \
        .rest = row_path[sizeof(row_path) - 2] == '*',                                                                 \
        .methods = row_methods,                                                                                        \
        .dialect = DIALECT_##row_dialect,                                                                              \
        .kind = KIND_##row_kind,                                                                                       \
        .model_in = IN_##row_model_in,                                                                                 \
        .flags = row_flags                                                                                             \
    },
#include "api/route.def"
#undef ROUTE
};

static struct index {
    uint8_t slot[SLOTS];     /* row of an exact path, or NO_ROW */
    uint8_t tail[TAILS_MAX]; /* rows that end in '*' */
    unsigned tails;
} index_of_paths;

static unsigned slot_of(struct str path)
{
    uint64_t last = 0;
    if (path.n >= sizeof last)
        memcpy(&last, path.p + path.n - sizeof last, sizeof last);
    else if (path.n)
        memcpy(&last, path.p, path.n);
    return (unsigned)(((last ^ path.n) * 0x9E3779B97F4A7C15u) >> 57);
}

/* Before main, and so before any thread: nothing reads it earlier, nothing writes it later. */
__attribute__((constructor)) static void index_fill(void)
{
    memset(index_of_paths.slot, NO_ROW, sizeof index_of_paths.slot);
    for (unsigned i = 0; i < ROUTE_COUNT; i++) {
        if (rows[i].rest) {
            assume(index_of_paths.tails < TAILS_MAX);
            index_of_paths.tail[index_of_paths.tails++] = (uint8_t)i;
            continue;
        }
        unsigned s = slot_of(rows[i].path);
        while (index_of_paths.slot[s] != NO_ROW)
            s = (s + 1) % SLOTS;
        index_of_paths.slot[s] = (uint8_t)i;
    }
}

const struct route *route_row(enum route_id id)
{
    assume(id < ROUTE_COUNT);
    return &rows[id];
}

static const struct route *exact(struct str path)
{
    for (unsigned s = slot_of(path); index_of_paths.slot[s] != NO_ROW; s = (s + 1) % SLOTS) {
        const struct route *r = &rows[index_of_paths.slot[s]];
        if (str_eq(r->path, path))
            return r;
    }
    return NULL;
}

static bool has_rest(const struct route *r, struct str path, struct str *out_rest)
{
    size_t fixed = r->path.n - 1;
    if (path.n <= fixed || memcmp(path.p, r->path.p, fixed) != 0)
        return false;
    *out_rest = (struct str){ path.p + fixed, path.n - fixed };
    return true;
}

static const struct route *with_tail(struct str path, struct str *out_rest)
{
    for (unsigned i = 0; i < index_of_paths.tails; i++) {
        const struct route *r = &rows[index_of_paths.tail[i]];
        if (has_rest(r, path, out_rest))
            return r;
    }
    return NULL;
}

struct route_found route_find(enum http_method method, struct str path)
{
    struct route_found f = { .route = exact(path) };
    if (!f.route)
        f.route = with_tail(path, &f.rest);
    f.wrong_method = f.route && !(f.route->methods & (1u << method));
    return f;
}

static bool is_tidy(struct str path)
{
    if (path.n == 0 || (path.n > 1 && path.p[path.n - 1] == '/'))
        return false;
    for (const char *p = memchr(path.p, '/', path.n), *end = path.p + path.n; p;) {
        const char *next = p + 1 < end ? memchr(p + 1, '/', (size_t)(end - p - 1)) : NULL;
        if (next == p + 1)
            return false;
        p = next;
    }
    return true;
}

struct str route_tidy(struct arena *a, struct str path)
{
    if (is_tidy(path))
        return path;
    char *copy = arena_take(a, path.n + 1);
    if (!copy)
        return STR_NONE;
    size_t n = 0;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] != '/' || n == 0 || copy[n - 1] != '/')
            copy[n++] = path.p[i];
    if (n > 1 && copy[n - 1] == '/')
        n--;
    if (n == 0)
        copy[n++] = '/';
    return (struct str){ copy, n };
}

size_t route_allow(const struct route *r, char out[64])
{
    static const struct {
        unsigned method;
        struct str text;
    } words[] = {
        {GET,     { "GET", 3 }   },
        { HEAD,   { "HEAD", 4 }  },
        { POST,   { "POST", 4 }  },
        { PATCH,  { "PATCH", 5 } },
        { DELETE, { "DELETE", 6 }},
    };
    char *at = out;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        if (!(r->methods & words[i].method))
            continue;
        if (at != out)
            at = put_str(at, STR(", "));
        at = put_str(at, words[i].text);
    }
    return (size_t)(at - out);
}

enum dialect route_dialect_of(struct str path)
{
    if (str_starts(path, STR("/v1/messages")))
        return DIALECT_ANTHROPIC;
    return str_starts(path, STR("/v1/")) ? DIALECT_OPENAI : DIALECT_OLLAMA;
}

bool route_lacks_v1(struct str path)
{
    for (unsigned i = 0; i < ROUTE_COUNT; i++) {
        struct route under = rows[i];
        struct str rest;
        if (!str_starts(under.path, STR("/v1/")))
            continue;
        under.path = str_drop(under.path, 3);
        if (under.rest ? has_rest(&under, path, &rest) : str_eq(under.path, path))
            return true;
    }
    return false;
}
