/* base/types.h - the few words every room speaks: time, sizes, and `assume`.
 *
 * Times are nanoseconds in a signed 64-bit integer. A moment (`now`, `due`) counts from an arbitrary start of the
 * monotonic clock; NEVER is later than every moment. Time is passed in, never read, except where base/sys.h says so. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef int64_t nsec;
#define NEVER     INT64_MAX
#define USEC(n)   ((nsec)(n)*1000)
#define MSEC(n)   ((nsec)(n)*1000000)
#define SECOND(n) ((nsec)(n)*1000000000)
#define KIB(n)    ((size_t)(n) << 10)
#define MIB(n)    ((size_t)(n) << 20)

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))
/* The struct that has `member` embedded at `ptr`. */
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b)                    ((a) < (b) ? (a) : (b))
#define MAX(a, b)                    ((a) > (b) ? (a) : (b))
#define likely(x)                    __builtin_expect(!!(x), 1)
#define unlikely(x)                  __builtin_expect(!!(x), 0)

/* A bug if false: prints file, line and the condition, then aborts. Kept in release builds. Never for what peers, disks
 * or memory can do: those get a row in base/fail.def. */
#define assume(cond)                                                                                                   \
    do {                                                                                                               \
        if (unlikely(!(cond)))                                                                                         \
            assume_failed(__FILE__, __LINE__, #cond);                                                                  \
    } while (0)
_Noreturn void assume_failed(const char *file, int line, const char *cond);
