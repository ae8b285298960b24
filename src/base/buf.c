/* base/buf.c - blocks in five sizes, four times apart, and above them malloc.
 *
 * Four times apart because a buffer that outgrows its class is on its way to a body, and each step copies: 4 KiB to 1
 * MiB is four copies. Above 1 MiB the machine's page tables move memory for us (realloc), growing by half.
 *
 * Bytes move to the front of their block only when at least a quarter of them has been eaten before, or when they are
 * few: so each byte is moved a bounded number of times, whatever sizes a peer sends. */
#include "base/buf.h"

#include "base/slab.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    size_t bytes;
} classes[] = {
    {"buf 4K",    KIB(4)  },
    { "buf 16K",  KIB(16) },
    { "buf 64K",  KIB(64) },
    { "buf 256K", KIB(256)},
    { "buf 1M",   MIB(1)  },
};
static struct slab pools[ARRAY_LEN(classes)];
static _Atomic int64_t large_bytes; /* in blocks above the largest class */

void buf_pools_init(void)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        slab_init(&pools[i], classes[i].name, classes[i].bytes);
}

void buf_pools_done(void)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        slab_done(&pools[i]);
    assume(atomic_load(&large_bytes) == 0 && "a large buffer is not freed");
}

size_t buf_bytes_live(void)
{
    size_t bytes = (size_t)atomic_load_explicit(&large_bytes, memory_order_relaxed);
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        bytes += (size_t)slab_live(&pools[i]) * classes[i].bytes;
    return bytes;
}

/* The smallest class of at least n bytes, or NULL. */
static struct slab *class_for(size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (n <= classes[i].bytes)
            return &pools[i];
    return NULL;
}

static void count_large(size_t more, size_t less)
{
    atomic_fetch_add_explicit(&large_bytes, (int64_t)more - (int64_t)less, memory_order_relaxed);
}

static void give_block(char *block, size_t cap)
{
    struct slab *pool = class_for(cap);
    if (pool) {
        slab_give(pool, &block);
        return;
    }
    count_large(0, cap);
    free(block);
}

/* A buffer of a known length gets just that, in pages; one that grows gets half as much again. */
static size_t large_cap(const struct buf *b, size_t need)
{
    size_t cap = b->cap ? MAX(need, b->cap + b->cap / 2) : need;
    return (cap + KIB(4) - 1) & ~(KIB(4) - 1);
}

static enum fail grow_large(struct buf *b, size_t need)
{
    size_t cap = large_cap(b, need), old = class_for(b->cap) ? 0 : b->cap;
    char *block = memory_strikes() ? NULL : realloc(old ? b->block : NULL, cap);
    if (!block)
        return FAIL_no_memory;
    if (!old && b->block) {
        memcpy(block, b->block, b->end);
        give_block(b->block, b->cap);
    }
    count_large(cap, old);
    b->block = block;
    b->cap = cap;
    return OK;
}

static enum fail grow_pooled(struct buf *b, struct slab *pool)
{
    char *block = slab_take(pool);
    if (!block)
        return FAIL_no_memory;
    struct str data = buf_str(b);
    if (data.n)
        memcpy(block, data.p, data.n);
    buf_free(b);
    *b = (struct buf){ .block = block, .end = data.n, .cap = pool->object_bytes };
    return OK;
}

static void move_to_front(struct buf *b)
{
    size_t n = buf_len(b);
    memmove(b->block, b->block + b->start, n);
    b->start = 0;
    b->end = n;
}

enum fail buf_reserve(struct buf *b, size_t n)
{
    if (likely(buf_room(b) >= n))
        return OK;
    size_t len = buf_len(b);
    if (n > PTRDIFF_MAX - KIB(4) - b->end)
        return FAIL_no_memory;
    if (b->block && b->cap - len >= n && (b->start >= len / 4 || len <= KIB(4))) {
        move_to_front(b);
        return OK;
    }
    struct slab *pool = class_for(MAX(len + n, b->cap + 1));
    return pool ? grow_pooled(b, pool) : grow_large(b, b->end + n);
}

enum fail buf_append(struct buf *b, struct str bytes)
{
    enum fail f = buf_reserve(b, bytes.n);
    if (f)
        return f;
    if (bytes.n)
        memcpy(buf_tail(b), bytes.p, bytes.n);
    b->end += bytes.n;
    return OK;
}

void buf_eat(struct buf *b, size_t n)
{
    assume(n <= buf_len(b));
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void buf_free(struct buf *b)
{
    if (b->block)
        give_block(b->block, b->cap);
    *b = (struct buf){ 0 };
}

/* --- text --- */

static inline bool has_room(struct text *t, size_t n)
{
    if (likely(!t->failed && buf_room(&t->buf) >= n))
        return true;
    if (!t->failed)
        t->failed = buf_reserve(&t->buf, n);
    return !t->failed;
}

char *text_room(struct text *t, size_t n)
{
    return has_room(t, n) ? buf_tail(&t->buf) : NULL;
}

void text_put(struct text *t, struct str s)
{
    if (!has_room(t, s.n))
        return;
    if (s.n)
        memcpy(buf_tail(&t->buf), s.p, s.n);
    t->buf.end += s.n;
}

void text_putc(struct text *t, char c)
{
    if (has_room(t, 1))
        t->buf.block[t->buf.end++] = c;
}

void text_u64(struct text *t, uint64_t v)
{
    if (has_room(t, 20))
        text_wrote(t, put_u64(buf_tail(&t->buf), v));
}

void text_i64(struct text *t, int64_t v)
{
    if (v < 0)
        text_putc(t, '-');
    text_u64(t, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

/* Once into what room there is; again only when that was too little. */
void text_printf(struct text *t, const char *format, ...)
{
    va_list args;
    size_t room = 64;
    for (int tries = 0; tries < 2 && has_room(t, room); tries++) {
        room = buf_room(&t->buf);
        va_start(args, format);
        int n = vsnprintf(buf_tail(&t->buf), room, format, args);
        va_end(args);
        assume(n >= 0);
        if ((size_t)n < room) {
            t->buf.end += (size_t)n;
            return;
        }
        room = (size_t)n + 1;
    }
}

const char put_pairs[201] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

/* The number of bits times log10(2), which 1233 / 4096 is to five places, is right or one too few. */
static unsigned digits_in(uint64_t v)
{
    static const uint64_t least[] = { 0,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000,
                                      100000000000000000,
                                      1000000000000000000,
                                      10000000000000000000U };
    unsigned about = (64 - (unsigned)__builtin_clzll(v | 1)) * 1233 >> 12;

    return about + (v >= least[about]);
}

char *put_u64(char *at, uint64_t v)
{
    char *end = at + digits_in(v);

    for (at = end; v >= 100; v /= 100)
        put_pair(at -= 2, (unsigned)(v % 100));
    if (v >= 10)
        put_pair(at - 2, (unsigned)v);
    else
        at[-1] = (char)('0' + v);
    return end;
}

char *put_hex(char *at, uint64_t v)
{
    unsigned n = v ? (unsigned)(67 - __builtin_clzll(v)) / 4 : 1;
    for (unsigned i = n; i-- > 0; v >>= 4)
        at[i] = "0123456789abcdef"[v & 15];
    return at + n;
}

/* Eight hex digits at once: the nibbles are spread over eight bytes, and 'a' - '9' - 1 is added where one is above 9.
 */
static char *hex8(char *at, uint32_t v)
{
    uint64_t x = v;

    x = (x << 16 | x) & 0x0000ffff0000ffff;
    x = (x << 8 | x) & 0x00ff00ff00ff00ff;
    x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;
    x += 0x3030303030303030 + ((x + 0x0606060606060606) >> 4 & 0x0101010101010101) * 0x27;
    x = __builtin_bswap64(x);
    memcpy(at, &x, 8);
    return at + 8;
}

char *put_hex16(char *at, uint64_t v)
{
    return hex8(hex8(at, (uint32_t)(v >> 32)), (uint32_t)v);
}
