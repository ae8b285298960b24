/* base/buf.h - bytes in memory: pooled blocks for input, output and bodies, and a text builder.
 *
 * `struct buf` owns one block: a size class of 4, 16, 64, 256 KiB or 1 MiB from slabs (malloc above), with the bytes
 * [start, end). Embedded, zero is empty and holds nothing. One owner at a time, any worker.
 * All buffers together are counted: buf_bytes_live(). */
#pragma once
#include "base/fail.h"
#include "base/str.h"

struct buf {
    char *block;
    size_t start, end, cap;
};
void buf_pools_init(void);
void buf_pools_done(void);

/* NULL plus 0 is undefined in C, so a buffer without a block is asked for. */
static inline struct str buf_str(const struct buf *b)
{
    return b->block ? (struct str){ b->block + b->start, b->end - b->start } : STR_NONE;
}
static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}
static inline size_t buf_room(const struct buf *b)
{
    return b->cap - b->end;
}
static inline char *buf_tail(struct buf *b)
{
    return b->block ? b->block + b->end : NULL;
}
/* At least n bytes of room behind the data; moves the data to a larger block, or to the front, when it must. */
enum fail buf_reserve(struct buf *b, size_t n);
enum fail buf_append(struct buf *b, struct str bytes);
/* Forget the first n bytes; an emptied buffer starts at its front again (and keeps its block). */
void buf_eat(struct buf *b, size_t n);
/* Give the block back; the buffer is empty and reusable. */
void buf_free(struct buf *b);
size_t buf_bytes_live(void);

/* A text builder over a buf. Write ten, ask once: `failed` keeps the first failure and later writes do nothing. */
struct text {
    struct buf buf;
    enum fail failed;
};
void text_put(struct text *t, struct str s);
/* Room for n bytes at the end, to be written and taken with text_wrote; NULL where memory is out. */
char *text_room(struct text *t, size_t n);
static inline void text_wrote(struct text *t, const char *end)
{
    t->buf.end = (size_t)(end - t->buf.block);
}
void text_putc(struct text *t, char c);
void text_u64(struct text *t, uint64_t v);
void text_i64(struct text *t, int64_t v);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct str text_str(const struct text *t)
{
    return buf_str(&t->buf);
}
static inline void text_free(struct text *t)
{
    buf_free(&t->buf);
}

/* Small fixed-size formatting for heads, headers and logs: writes decimal digits at `at`, returns the end. */
char *put_u64(char *at, uint64_t v);
extern const char put_pairs[201]; /* "000102...99" */
static inline char *put_pair(char *at, unsigned below_100)
{
    memcpy(at, put_pairs + (size_t)2 * below_100, 2);
    return at + 2;
}
char *put_hex(char *at, uint64_t v);
char *put_hex16(char *at, uint64_t v); /* all 16 digits */
static inline char *put_str(char *at, struct str s)
{
    if (s.n) /* nothing may have no bytes to point to */
        memcpy(at, s.p, s.n);
    return at + s.n;
}
