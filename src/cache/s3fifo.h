/* cache/s3fifo.h - in which order things go when room is needed: S3-FIFO by weight.
 *
 * Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction" (SOSP 2023): newcomers enter a small
 * queue (10 %); at its end those hit twice move to the main queue, the others go and leave their hash in a ghost as
 * long as the main queue; who comes back while the ghost knows it enters the main queue at once. At the main queue's
 * end a hit buys another round. A hit moves nothing: it is one increment.
 *
 * Embedded; items are embedded in what is kept. Weights are in the owner's unit. Not thread-safe. */
#pragma once
#include "base/list.h"
#include "cache/ghost.h"
#include <stdatomic.h>

enum s3fifo_place { S3FIFO_OUT, S3FIFO_SMALL, S3FIFO_MAIN };
struct s3fifo_item {
    struct list link;
    uint64_t hash; /* the owner's, well mixed */
    size_t weight;
    _Atomic uint8_t hits;
    uint8_t place;
};
struct s3fifo {
    struct list small, main; /* the oldest first */
    size_t small_weight, main_weight, limit;
    struct ghost ghost;
};
#define S3FIFO_HITS_MOST 3 /* a counter of two bits */
/* `limit` of all weights together; the ghost for about `entries` hashes; `grain`: the least weight that matters. */
enum fail s3fifo_init(struct s3fifo *q, size_t limit, size_t entries, size_t grain);
void s3fifo_done(struct s3fifo *q);
/* The item is in no queue; hash and weight are set. What is in its way must have gone before. */
void s3fifo_put(struct s3fifo *q, struct s3fifo_item *item);
/* Leaves its queue for another reason than room, and is not remembered. */
void s3fifo_take(struct s3fifo *q, struct s3fifo_item *item);
void s3fifo_reweigh(struct s3fifo *q, struct s3fifo_item *item, size_t weight);
/* Did it go lately? Then it is let in whatever it is worth. Does not forget. */
bool s3fifo_remembers(const struct s3fifo *q, uint64_t hash);
/* As if it had been in the small queue and had gone. */
void s3fifo_pass(struct s3fifo *q, uint64_t hash, size_t weight);
/* Removes and returns who goes next; NULL when there is nobody. */
struct s3fifo_item *s3fifo_evict(struct s3fifo *q);
/* The only one that several threads may do at once; a hit lost among them does not matter. */
static inline void s3fifo_hit(struct s3fifo_item *item)
{
    uint8_t hits = atomic_load_explicit(&item->hits, memory_order_relaxed);
    if (hits < S3FIFO_HITS_MOST)
        atomic_store_explicit(&item->hits, hits + 1, memory_order_relaxed);
}
static inline size_t s3fifo_weight(const struct s3fifo *q)
{
    return q->small_weight + q->main_weight;
}
