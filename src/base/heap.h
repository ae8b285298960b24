/* base/heap.h - how often malloc was asked: what shows that a request asks it for nothing.
 *
 * Counted is every malloc, calloc, realloc and free of the process, libraries included, by functions of these names in
 * front of glibc's own. Sanitizers, valgrind (PLAIN_MEMORY) and other C libraries bring what must not be hidden: there
 * nothing is counted. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct heap_count {
    uint64_t takes, gives; /* pieces of memory; realloc is a take, and a give if it had a piece */
};
bool heap_is_counted(void);
struct heap_count heap_count(void);
