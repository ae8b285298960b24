/* bench/locked_lru.h - what our cache is measured against: a hash table and a list under one lock. Any thread.
 *
 * Two ways to get: a copy made under the lock, as in the plain thing, where a body may go as soon as the lock is free;
 * or a counted reference, to be read behind it. */
#pragma once
#include "base/types.h"

struct lru;
struct lru_body {
    _Atomic unsigned refs;
    size_t n;
    char bytes[];
};
/* NULL when memory is out. */
struct lru *lru_new(size_t bytes, size_t usual_body);
void lru_free(struct lru **l);
/* How many bytes were copied to `out`; 0: not there, or it has not the room. */
size_t lru_copy(struct lru *l, const uint8_t key[32], char *out, size_t room);
/* With a reference; NULL: not there. */
struct lru_body *lru_get(struct lru *l, const uint8_t key[32]);
/* False when memory is out. */
bool lru_set(struct lru *l, const uint8_t key[32], const char *body, size_t n);
void lru_unref(struct lru_body **b);
