/* Why numbers in a hash, and not messages. PUBLISH reaches who is connected at that moment: a gateway that was cut off
 * for a second would serve for half a minute what it was told to forget, and never learn it. A stream of events with a
 * position to go on from heals that, but needs trimming, and who comes after the trimming has to forget everything. A
 * number per tag is state: whoever reads it later knows all that was missed, in whatever order things happened, and
 * reading it twice does no harm. It costs one small HGETALL a second and gateway, and a delay of up to a second before
 * others drop what lies in their own memory; what lies in Redis is judged by the same numbers.
 *
 * If the hash is lost (a Redis without persistence, restarted; or FLUSHALL) its numbers would begin again and an old
 * answer could look current. So it has a random id, which is part of every stamp: another id, and nothing that was
 * stored before is believed, and everything here forgotten.
 *
 * What is forgotten here is told to Redis as soon as it listens (`owed`). Until then nothing of that tag is believed or
 * stored: the numbers here would be too old.
 *
 * Numbers are read before cache_end and cache_forget is called before they change, so whoever stores an answer under
 * the new numbers has learnt from cache_end that it is not outdated (gateway/lookup_shared.c). */
#include "redis/generations.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/slab.h"
#include <pthread.h>
#include <stdlib.h>

struct tag {
    uint64_t number;
    unsigned owed; /* times forgotten here that are still to be told */
    size_t n;
    char name[];
};
struct generations {
    pthread_mutex_t lock;
    struct map tags;
    uint64_t id; /* 0: not known */
    nsec read_at;
};

struct generations *generations_new(void)
{
    struct generations *g = memory_strikes() ? NULL : calloc(1, sizeof *g);

    if (g)
        pthread_mutex_init(&g->lock, NULL);
    return g;
}

static void drop_tags(struct generations *g)
{
    map_each (slot, &g->tags)
        free(slot->value);
    map_free(&g->tags);
    g->tags = (struct map){ 0 };
}

void generations_free(struct generations **at)
{
    struct generations *g = *at;

    *at = NULL;
    if (!g)
        return;
    drop_tags(g);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void generations_reset(struct generations *g)
{
    pthread_mutex_lock(&g->lock);
    drop_tags(g);
    g->id = 0;
    pthread_mutex_unlock(&g->lock);
}

/* NULL when memory is out. */
static struct tag *tag_add(struct generations *g, struct str name)
{
    struct tag *t = map_get(&g->tags, name);

    if (t)
        return t;
    t = memory_strikes() ? NULL : calloc(1, sizeof *t + name.n + 1);
    if (!t)
        return NULL;
    t->n = name.n;
    memcpy(t->name, name.p, name.n);
    if (!map_put(&g->tags, (struct str){ t->name, t->n }, t))
        return t;
    free(t);
    return NULL;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static bool number_of(const struct generations *g, struct str kind, struct str name, uint64_t *out)
{
    char text[GENERATIONS_TAG_MOST];
    const struct tag *t;

    *out = 0;
    if (kind.n + name.n > sizeof text)
        return false;
    t = map_get(&g->tags, str_span(text, put_str(put_str(text, kind), name)));
    if (t)
        *out = t->number;
    return !t || !t->owed;
}

static bool is_fresh(const struct generations *g, nsec now)
{
    return g->id && now - g->read_at < GENERATIONS_FRESH;
}

bool generations_known(struct generations *g, nsec now)
{
    bool known;

    pthread_mutex_lock(&g->lock);
    known = is_fresh(g, now);
    pthread_mutex_unlock(&g->lock);
    return known;
}

bool generations_of(struct generations *g, struct str model, struct str node, nsec now, struct generations_stamp *out)
{
    bool known;

    pthread_mutex_lock(&g->lock);
    out->id = g->id;
    known = is_fresh(g, now) && number_of(g, STR("all"), STR_NONE, &out->of[GENERATION_ALL]) &&
            number_of(g, STR("model:"), model, &out->of[GENERATION_MODEL]) &&
            number_of(g, STR("node:"), node, &out->of[GENERATION_NODE]);
    pthread_mutex_unlock(&g->lock);
    return known;
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */

void generations_owe(struct generations *g, struct str name)
{
    struct tag *t;

    pthread_mutex_lock(&g->lock);
    t = name.n <= GENERATIONS_TAG_MOST ? tag_add(g, name) : NULL;
    if (!t)
        t = tag_add(g, STR("all"));
    if (t)
        t->owed++;
    else
        g->id = 0; /* not even that: nothing is believed until the hash has been read anew */
    pthread_mutex_unlock(&g->lock);
}

bool generations_owed(struct generations *g, unsigned nth, char out[GENERATIONS_TAG_MOST + 1], unsigned *out_times)
{
    bool found = false;

    pthread_mutex_lock(&g->lock);
    map_each (slot, &g->tags) {
        const struct tag *t = slot->value;
        if (found || !t->owed || nth--)
            continue;
        memcpy(out, t->name, t->n);
        out[t->n] = 0;
        *out_times = t->owed;
        found = true;
    }
    pthread_mutex_unlock(&g->lock);
    return found;
}

bool generations_paid(struct generations *g, struct str name, unsigned times, uint64_t number)
{
    struct tag *t;
    bool others = false;

    pthread_mutex_lock(&g->lock);
    t = map_get(&g->tags, name);
    if (t) {
        others = number != t->number + 1;
        t->number = number;
        t->owed -= MIN(t->owed, times);
    }
    pthread_mutex_unlock(&g->lock);
    return others;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool is_hash(const struct resp *r)
{
    if (r->kind != RESP_ARRAY || r->n % 2)
        return false;
    for (unsigned i = 0; i < r->n; i++)
        if (r->item[i]->kind != RESP_STRING)
            return false;
    return true;
}

static bool hex_u64(struct str s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) || s.n > 16)
            return false;
        *out = *out << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return s.n > 0 && *out;
}

static bool find_id(const struct resp *r, uint64_t *out)
{
    for (unsigned i = 0; i < r->n; i += 2)
        if (str_eq(r->item[i]->text, STR(REDIS_ID)))
            return hex_u64(r->item[i + 1]->text, out);
    return false;
}

/* Has it changed? Asked for each field before anything is taken over. */
static bool is_news(struct generations *g, struct str name, uint64_t number)
{
    const struct tag *t;
    uint64_t known;

    pthread_mutex_lock(&g->lock);
    t = map_get(&g->tags, name);
    known = t ? t->number : 0;
    pthread_mutex_unlock(&g->lock);
    return number != known;
}

static bool take_number(struct generations *g, struct str name, uint64_t number)
{
    struct tag *t;

    pthread_mutex_lock(&g->lock);
    t = tag_add(g, name);
    if (t)
        t->number = number;
    pthread_mutex_unlock(&g->lock);
    return t != NULL;
}

static bool take_tags(struct generations *g, const struct resp *r, void (*forgotten)(void *arg, struct str tag),
                      void *arg)
{
    bool all = true;

    for (unsigned i = 0; i < r->n; i += 2) {
        struct str name = r->item[i]->text;
        uint64_t number;
        if (name.n > GENERATIONS_TAG_MOST || !str_u64(r->item[i + 1]->text, &number) || !is_news(g, name, number))
            continue;
        if (forgotten)
            forgotten(arg, name);
        all &= take_number(g, name, number);
    }
    return all;
}

/* Numbers of the last hash mean nothing in this one; what is owed still is. */
static void begin_anew(struct generations *g)
{
    pthread_mutex_lock(&g->lock);
    g->id = 0;
    map_each (slot, &g->tags)
        ((struct tag *)slot->value)->number = 0;
    pthread_mutex_unlock(&g->lock);
}

static bool is_known(struct generations *g, uint64_t id)
{
    bool same;

    pthread_mutex_lock(&g->lock);
    same = g->id == id;
    pthread_mutex_unlock(&g->lock);
    return same;
}

enum generations_read generations_take(struct generations *g, const struct resp *r, nsec now,
                                       void (*forgotten)(void *arg, struct str tag), void *arg)
{
    uint64_t id;
    bool all;

    if (!is_hash(r))
        return GENERATIONS_NONSENSE;
    if (!find_id(r, &id))
        return GENERATIONS_NAMELESS;
    if (r->n / 2 > GENERATIONS_TAGS_MOST)
        return GENERATIONS_TOO_MANY;
    if (!is_known(g, id)) {
        forgotten(arg, STR("all"));
        begin_anew(g);
        forgotten = NULL;
    }
    all = take_tags(g, r, forgotten, arg);
    pthread_mutex_lock(&g->lock);
    g->id = all ? id : 0;
    g->read_at = now;
    pthread_mutex_unlock(&g->lock);
    return GENERATIONS_READ;
}
