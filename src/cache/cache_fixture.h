/* cache/cache_fixture.h - for tests: a cache under a clock that they turn, and tapes written in one go. */
#pragma once
#include "base/buf.h"
#include "base/slab.h"
#include "cache/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static inline void nobody_wakes(struct tape_writer *w) {}

static inline struct tape *tape_running(size_t cap)
{
    static struct tape_writer writer = { nobody_wakes };
    struct tape *t = tape_new(&writer, cap, true);
    assert_non_null(t);
    return t;
}

static inline void tape_write(struct tape *t, size_t n)
{
    char *bytes = calloc(1, n);
    assert_non_null(bytes);
    assert_int_equal(tape_begin(t, STR("head")), OK);
    assert_int_equal(tape_append(t, (struct str){ bytes, n }), OK);
    free(bytes);
}

static inline void tape_finish(struct tape *t, size_t n, enum fail why)
{
    tape_write(t, n);
    tape_end(t, why, false);
}

static inline struct cache_key key_no(uint64_t no)
{
    struct cache_key k = { { 0 } };
    memcpy(k.bytes, &no, sizeof no);
    return k;
}

static inline struct cache_ask ask_for(uint64_t no, nsec now)
{
    return (struct cache_ask){ .key = key_no(no), .now = now, .max_age = NEVER, .join = true };
}

static inline struct cache_keep keep_for(nsec ttl)
{
    return (struct cache_keep){ .ttl = ttl, .stale = SECOND(30), .stale_if_error = SECOND(300) };
}

/* Looks with a new tape, which must become the flight. */
static inline uint64_t lead(struct cache *c, struct cache_ask ask, struct tape **out)
{
    struct cache_look l;
    *out = tape_running(MIB(4));
    ask.lead = *out;
    assert_int_equal(cache_look(c, &ask, &l), CACHE_LEAD);
    assert_ptr_equal(l.tape, *out);
    assert_true(l.flight != 0);
    tape_unref(&l.tape);
    return l.flight;
}

static inline enum cache_kept fill(struct cache *c, uint64_t no, nsec now, size_t bytes, const struct cache_keep *keep)
{
    struct cache_key key = key_no(no);
    struct tape *t;
    uint64_t flight = lead(c, ask_for(no, now), &t);
    tape_finish(t, bytes, OK);
    tape_unref(&t);
    return cache_end(c, &key, flight, keep, now);
}

static inline enum cache_found found(struct cache *c, struct cache_ask ask, struct cache_look *out)
{
    struct cache_look l;
    enum cache_found f = cache_look(c, &ask, &l);
    tape_unref(&l.tape);
    if (out)
        *out = l;
    return f;
}

static inline struct cache_stats stats_of(struct cache *c)
{
    struct cache_stats s;
    cache_stats(c, &s);
    return s;
}

static inline int pools_begin(void **state)
{
    tape_pools_init();
    return 0;
}

/* Fails if anything was not given back. */
static inline int pools_end(void **state)
{
    tape_pools_done();
    return 0;
}
