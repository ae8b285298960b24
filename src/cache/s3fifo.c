/* cache/s3fifo.c
 *
 *      new -----------> small (10 %) --- hit less than twice ---> gone, hash into the ghost
 *      new, in ghost -.      '--- hit twice or more ---.
 *                      '----------> main <-------------'--- hit: again, one hit poorer; not: gone
 *
 * LRU was rejected: it writes to a list on every hit and lets a scan empty it; ARC and LIRS because they move things on
 * hits, too; W-TinyLFU because it needs a sketch and its window tuned, for no better ratio on our traces. */
#include "cache/s3fifo.h"

#define SMALL_SHARE 10 /* a tenth */
#define PROMOTED_AT 2

enum fail s3fifo_init(struct s3fifo *q, size_t limit, size_t entries, size_t grain)
{
    *q = (struct s3fifo){ .limit = limit };
    list_init(&q->small);
    list_init(&q->main);
    return ghost_init(&q->ghost, entries, grain);
}

void s3fifo_done(struct s3fifo *q)
{
    ghost_done(&q->ghost);
}

static size_t small_limit(const struct s3fifo *q)
{
    return q->limit / SMALL_SHARE;
}

static size_t *weight_in(struct s3fifo *q, enum s3fifo_place place)
{
    return place == S3FIFO_SMALL ? &q->small_weight : &q->main_weight;
}

static uint8_t hits_of(const struct s3fifo_item *item)
{
    return atomic_load_explicit(&item->hits, memory_order_relaxed);
}

static void clear(struct s3fifo_item *item)
{
    atomic_store_explicit(&item->hits, 0, memory_order_relaxed);
}

static void enter(struct s3fifo *q, struct s3fifo_item *item, enum s3fifo_place place)
{
    list_push(place == S3FIFO_SMALL ? &q->small : &q->main, &item->link);
    item->place = (uint8_t)place;
    *weight_in(q, place) += item->weight;
}

void s3fifo_take(struct s3fifo *q, struct s3fifo_item *item)
{
    assume(item->place != S3FIFO_OUT);
    list_del(&item->link);
    *weight_in(q, item->place) -= item->weight;
    item->place = S3FIFO_OUT;
}

void s3fifo_put(struct s3fifo *q, struct s3fifo_item *item)
{
    bool known = s3fifo_remembers(q, item->hash);
    ghost_forget(&q->ghost, item->hash);
    clear(item);
    enter(q, item, known ? S3FIFO_MAIN : S3FIFO_SMALL);
}

void s3fifo_reweigh(struct s3fifo *q, struct s3fifo_item *item, size_t weight)
{
    *weight_in(q, item->place) += weight - item->weight;
    item->weight = weight;
}

bool s3fifo_remembers(const struct s3fifo *q, uint64_t hash)
{
    return ghost_has(&q->ghost, hash, q->limit - small_limit(q));
}

void s3fifo_pass(struct s3fifo *q, uint64_t hash, size_t weight)
{
    ghost_put(&q->ghost, hash, weight);
}

static struct s3fifo_item *oldest(struct list *queue)
{
    struct list *link = list_first(queue);
    return link ? CONTAINER(link, struct s3fifo_item, link) : NULL;
}

static struct s3fifo_item *evict_small(struct s3fifo *q)
{
    struct s3fifo_item *item = oldest(&q->small);
    if (!item)
        return NULL;
    s3fifo_take(q, item);
    if (hits_of(item) >= PROMOTED_AT) {
        clear(item);
        enter(q, item, S3FIFO_MAIN);
        return NULL;
    }
    ghost_put(&q->ghost, item->hash, item->weight);
    return item;
}

static struct s3fifo_item *evict_main(struct s3fifo *q)
{
    struct s3fifo_item *item;
    while ((item = oldest(&q->main)) != NULL) {
        s3fifo_take(q, item);
        uint8_t hits = hits_of(item);
        if (!hits)
            return item;
        atomic_store_explicit(&item->hits, hits - 1, memory_order_relaxed);
        enter(q, item, S3FIFO_MAIN);
    }
    return NULL;
}

struct s3fifo_item *s3fifo_evict(struct s3fifo *q)
{
    struct s3fifo_item *gone = NULL;
    while (!gone && !(list_empty(&q->small) && list_empty(&q->main))) {
        if (list_empty(&q->small) || (q->small_weight < small_limit(q) && !list_empty(&q->main)))
            gone = evict_main(q);
        else
            gone = evict_small(q);
    }
    return gone;
}
