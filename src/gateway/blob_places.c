/* A small table scanned from end to end: it is asked once per upload and per create, never on a hot path, and a scan of
 * 16 KiB costs less than the two lines of code that a map's eviction would need to be right. The oldest note makes
 * room. */
#include "gateway/blob_places.h"
#include <string.h>

void blob_places_init(struct blob_places *b)
{
    pthread_mutex_init(&b->lock, NULL);
}

void blob_places_done(struct blob_places *b)
{
    pthread_mutex_destroy(&b->lock);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool blob_digest_read(struct str text, uint8_t out[32])
{
    if (text.n != 71 || !str_starts(text, STR("sha256")) || (text.p[6] != ':' && text.p[6] != '-'))
        return false;
    for (int i = 0; i < 32; i++) {
        int high = hex_digit(text.p[7 + 2 * i]), low = hex_digit(text.p[8 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static struct blob_place *find(struct blob_places *b, const uint8_t digest[32])
{
    for (unsigned i = 0; i < BLOB_PLACES; i++)
        if (b->place[i].age && !memcmp(b->place[i].digest, digest, 32))
            return &b->place[i];
    return NULL;
}

static struct blob_place *oldest(struct blob_places *b)
{
    struct blob_place *old = &b->place[0];

    for (unsigned i = 1; i < BLOB_PLACES; i++)
        if (b->place[i].age < old->age)
            old = &b->place[i];
    return old;
}

static void to_front(struct blob_place *p, uint64_t node)
{
    unsigned at = 0;

    while (at < BLOB_NODES - 1 && p->node[at] != node)
        at++;
    memmove(&p->node[1], &p->node[0], at * sizeof p->node[0]);
    p->node[0] = node;
}

void blob_places_note(struct blob_places *b, const uint8_t digest[32], uint64_t node)
{
    struct blob_place *p;

    pthread_mutex_lock(&b->lock);
    p = find(b, digest);
    if (!p) {
        p = oldest(b);
        *p = (struct blob_place){ 0 };
        memcpy(p->digest, digest, 32);
    }
    to_front(p, node);
    p->age = ++b->count;
    b->latest = node;
    pthread_mutex_unlock(&b->lock);
}

bool blob_places_has(struct blob_places *b, const uint8_t digest[32], uint64_t node)
{
    const struct blob_place *p;
    bool has = false;

    pthread_mutex_lock(&b->lock);
    p = find(b, digest);
    for (unsigned i = 0; p && i < BLOB_NODES; i++)
        has |= p->node[i] == node;
    pthread_mutex_unlock(&b->lock);
    return has;
}

uint64_t blob_places_latest(struct blob_places *b)
{
    uint64_t node;

    pthread_mutex_lock(&b->lock);
    node = b->latest;
    pthread_mutex_unlock(&b->lock);
    return node;
}
