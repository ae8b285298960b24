/* base/heap.c - malloc and its family, counted and passed on.
 *
 * A function in the program comes before the one of the same name in a library, for all libraries too (ELF symbol
 * interposition), and glibc keeps its own reachable as __libc_malloc: so counting needs no LD_PRELOAD, no allocator of
 * ours, and is there in the very program that people run. It costs a relaxed increment in memory of the worker's own.
 * Rejected: mallinfo2 (says what is in use, not how often it was asked for), and the linker's --wrap (does not see what
 * libraries do). */
#include "base/heap.h"

#include "base/sys.h"

#include <stdatomic.h>
#include <stdlib.h>

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OTHER_MALLOC
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || defined PLAIN_MEMORY || !defined __GLIBC__
#define OTHER_MALLOC
#endif

static struct side {
    _Atomic uint64_t takes, gives;
} __attribute__((aligned(64))) sides[SYS_WORKERS_MAX + 1];

struct heap_count heap_count(void)
{
    struct heap_count c = { 0 };
    for (unsigned i = 0; i < ARRAY_LEN(sides); i++) {
        c.takes += atomic_load_explicit(&sides[i].takes, memory_order_relaxed);
        c.gives += atomic_load_explicit(&sides[i].gives, memory_order_relaxed);
    }
    return c;
}

#ifdef OTHER_MALLOC
bool heap_is_counted(void)
{
    return false;
}
#else
bool heap_is_counted(void)
{
    return true;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

/* A worker's count has one writer; the last side is of all other threads. */
static inline void count(unsigned no, _Atomic uint64_t *n)
{
    if (no < SYS_NO_WORKER)
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

static inline void count_take(void)
{
    unsigned no = sys_worker_no();
    count(no, &sides[no].takes);
}

static inline void count_give(void)
{
    unsigned no = sys_worker_no();
    count(no, &sides[no].gives);
}

void *malloc(size_t n)
{
    count_take();
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    count_take();
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    count_take();
    if (p)
        count_give();
    return __libc_realloc(p, n);
}

void free(void *p)
{
    if (!p)
        return;
    count_give();
    __libc_free(p);
}
#endif
