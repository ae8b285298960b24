/* cache/wheel.c - one turn is a little over four minutes. What is due later waits in the last slot of the turn and is
 * put again when that comes: for an hour that is fifteen times, cheaper than wheels within wheels. A heap was rejected:
 * it costs a logarithm and a pointer's move for each of many entries that are mostly evicted before they expire. */
#include "cache/wheel.h"

void wheel_init(struct wheel *w)
{
    *w = (struct wheel){ 0 };
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
}

static struct list *slot_of(struct wheel *w, int64_t tick)
{
    return &w->slots[tick & (WHEEL_SLOTS - 1)];
}

static void insert(struct wheel *w, struct wheel_item *item)
{
    int64_t tick = item->due / WHEEL_TICK + 1;
    tick = MIN(MAX(tick, w->at + 1), w->at + WHEEL_SLOTS);
    list_push(slot_of(w, tick), &item->link);
    w->n++;
}

void wheel_put(struct wheel *w, struct wheel_item *item, nsec due, nsec now)
{
    if (!w->n)
        w->at = now / WHEEL_TICK;
    item->due = due;
    insert(w, item);
}

void wheel_take(struct wheel *w, struct wheel_item *item)
{
    list_del(&item->link);
    w->n--;
}

static struct wheel_item *first_in(struct list *slot)
{
    struct list *link = list_first(slot);
    return link ? CONTAINER(link, struct wheel_item, link) : NULL;
}

struct wheel_item *wheel_next(struct wheel *w, nsec now)
{
    while (w->n && w->at < now / WHEEL_TICK) {
        struct wheel_item *item = first_in(slot_of(w, w->at + 1));
        if (!item) {
            w->at++;
            continue;
        }
        wheel_take(w, item);
        if (item->due <= now)
            return item;
        insert(w, item);
    }
    return NULL;
}
