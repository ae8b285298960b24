/* The textbook: found things move to the front of the list, things go from its end. */
#include "bench/locked_lru.h"

#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct item {
    struct item *chain;
    struct list link; /* the newest first */
    uint8_t key[32];
    struct lru_body *body;
};
struct lru {
    pthread_mutex_t lock;
    struct item **buckets;
    size_t mask, bytes, limit;
    struct list order;
};

struct lru *lru_new(size_t bytes, size_t usual_body)
{
    size_t buckets = 1024;
    struct lru *l = calloc(1, sizeof *l);
    while (buckets < bytes / usual_body)
        buckets *= 2;
    if (l)
        l->buckets = calloc(buckets, sizeof(struct item *));
    if (!l || !l->buckets) {
        free(l);
        return NULL;
    }
    l->mask = buckets - 1;
    l->limit = bytes;
    list_init(&l->order);
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

static struct item **bucket_of(struct lru *l, const uint8_t key[32])
{
    uint64_t hash;
    memcpy(&hash, key, sizeof hash); /* keys are hashes */
    return &l->buckets[hash & l->mask];
}

static struct item *find(struct lru *l, const uint8_t key[32])
{
    struct item *i = *bucket_of(l, key);
    while (i && memcmp(i->key, key, 32) != 0)
        i = i->chain;
    return i;
}

void lru_unref(struct lru_body **b)
{
    if (*b && atomic_fetch_sub_explicit(&(*b)->refs, 1, memory_order_acq_rel) == 1)
        free(*b);
    *b = NULL;
}

static size_t cost(const struct item *i)
{
    return sizeof *i + sizeof *i->body + i->body->n;
}

static void drop(struct lru *l, struct item *i)
{
    struct item **at = bucket_of(l, i->key);
    while (*at != i)
        at = &(*at)->chain;
    *at = i->chain;
    list_del(&i->link);
    l->bytes -= cost(i);
    lru_unref(&i->body);
    free(i);
}

static struct lru_body *find_and_move(struct lru *l, const uint8_t key[32])
{
    struct item *i = find(l, key);
    if (!i)
        return NULL;
    list_del(&i->link);
    list_push_front(&l->order, &i->link);
    return i->body;
}

struct lru_body *lru_get(struct lru *l, const uint8_t key[32])
{
    pthread_mutex_lock(&l->lock);
    struct lru_body *body = find_and_move(l, key);
    if (body)
        atomic_fetch_add_explicit(&body->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&l->lock);
    return body;
}

size_t lru_copy(struct lru *l, const uint8_t key[32], char *out, size_t room)
{
    pthread_mutex_lock(&l->lock);
    struct lru_body *body = find_and_move(l, key);
    size_t n = body && body->n <= room ? body->n : 0;
    if (n)
        memcpy(out, body->bytes, n);
    pthread_mutex_unlock(&l->lock);
    return n;
}

static void insert(struct lru *l, struct item *i)
{
    struct item *old = find(l, i->key), **bucket = bucket_of(l, i->key);
    if (old)
        drop(l, old);
    i->chain = *bucket;
    *bucket = i;
    list_push_front(&l->order, &i->link);
    l->bytes += cost(i);
    while (l->bytes > l->limit && !list_empty(&l->order))
        drop(l, CONTAINER(list_last(&l->order), struct item, link));
}

bool lru_set(struct lru *l, const uint8_t key[32], const char *body, size_t n)
{
    struct item *i = malloc(sizeof *i);
    if (!i || !(i->body = malloc(sizeof *i->body + n))) {
        free(i);
        return false;
    }
    atomic_init(&i->body->refs, 1);
    i->body->n = n;
    memcpy(i->body->bytes, body, n);
    memcpy(i->key, key, sizeof i->key);
    pthread_mutex_lock(&l->lock);
    insert(l, i);
    pthread_mutex_unlock(&l->lock);
    return true;
}

void lru_free(struct lru **at)
{
    struct lru *l = *at;
    *at = NULL;
    if (!l)
        return;
    while (!list_empty(&l->order))
        drop(l, CONTAINER(list_last(&l->order), struct item, link));
    pthread_mutex_destroy(&l->lock);
    free(l->buckets);
    free(l);
}
