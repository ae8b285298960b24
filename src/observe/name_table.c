/* observe/name_table.c - an open-addressed index that only grows, over rows that never move.
 *
 *     index:  [ ][3][ ][2][4][ ]      a row is written first, then its number is put into the index with release:
 *     rows:   2 "llama3"  3 "qwen"    whoever finds the number finds the name
 *
 * One table for all workers instead of one each: merging the workers' numbers is then adding arrays, and the bound
 * holds for the sum of them. Nothing is ever removed, since a counter that disappears looks like a restart to whoever
 * scrapes. */
#include "observe/name_table.h"

#include "base/slab.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define INDEX_SLOTS 1024 /* four times what there can be: probes are short */

struct name_table {
    unsigned most;
    pthread_mutex_t lock; /* for learning */
    _Atomic unsigned n;
    _Atomic uint16_t index[INDEX_SLOTS]; /* number of a name, or 0 */
    struct name_row {
        uint8_t len;
        char text[NAME_TABLE_BYTES];
    } row[NAME_TABLE_MOST];
};

struct name_table *name_table_new(unsigned most)
{
    assume(most <= NAME_TABLE_MOST);
    struct name_table *t = memory_strikes() ? NULL : calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->most = most;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void name_table_free(struct name_table **t)
{
    if (*t)
        pthread_mutex_destroy(&(*t)->lock);
    free(*t);
    *t = NULL;
}

struct str name_table_name(const struct name_table *t, unsigned number)
{
    if (number < NAME_FIRST)
        return number == NAME_OTHER ? STR("other") : STR("");
    const struct name_row *row = &t->row[number - NAME_FIRST];
    return (struct str){ row->text, row->len };
}

/* The name's number, or 0 with the free slot where it belongs. */
static unsigned look_up(struct name_table *t, struct str name, size_t *out_slot)
{
    size_t slot = str_hash(name) % INDEX_SLOTS;
    unsigned number;
    while ((number = atomic_load_explicit(&t->index[slot], memory_order_acquire)) &&
           !str_eq(name_table_name(t, number), name))
        slot = (slot + 1) % INDEX_SLOTS;
    *out_slot = slot;
    return number;
}

/* Under the lock, for a name that is in no slot. */
static unsigned append(struct name_table *t, struct str name, size_t slot)
{
    unsigned n = atomic_load_explicit(&t->n, memory_order_relaxed);
    if (n == t->most)
        return NAME_OTHER;
    t->row[n].len = (uint8_t)name.n;
    memcpy(t->row[n].text, name.p, name.n);
    atomic_store_explicit(&t->index[slot], (uint16_t)(n + NAME_FIRST), memory_order_release);
    atomic_store_explicit(&t->n, n + 1, memory_order_relaxed);
    return n + NAME_FIRST;
}

static unsigned learn_name(struct name_table *t, struct str name)
{
    size_t slot;
    pthread_mutex_lock(&t->lock);
    unsigned number = look_up(t, name, &slot);
    if (!number)
        number = append(t, name, slot);
    pthread_mutex_unlock(&t->lock);
    return number;
}

unsigned name_table_number(struct name_table *t, struct str name, bool learn)
{
    size_t slot;
    name = str_take(name, NAME_TABLE_BYTES);
    if (name.n == 0)
        return NAME_NONE;
    unsigned number = look_up(t, name, &slot);
    if (number)
        return number;
    bool full = atomic_load_explicit(&t->n, memory_order_relaxed) == t->most;
    return learn && !full ? learn_name(t, name) : NAME_OTHER;
}
