/* How bulletins get about.
 *
 * The last few lie in a ring behind one lock that is held for a handful of instructions; workers are told by a message
 * each and take what they have not seen yet. A tape would do for one worker's readers, but it makes each reader read
 * everything: whoever looks at a dashboard wants what is now, and a tab that was asleep must not get an hour of
 * seconds. A worker that is eight seconds late misses some; its readers have taken the stream for broken long before
 * (web/src: six seconds), and begin anew with a look at everything. */
#include "gateway/feed.h"
#include "gateway/gateway_private.h"
#include <stdlib.h>

#define KEPT      8
#define ASK_AGAIN SECOND(5) /* who polls is expected within */

struct feed {
    struct gateway *gateway;
    pthread_mutex_t lock;
    uint64_t newest; /* number of the last bulletin; the first is 1 */
    struct bulletin *kept[KEPT];
    _Atomic nsec asked_until;
    _Atomic unsigned readers[SYS_WORKERS_MAX]; /* of each worker, written by it */
};

/* ---- worker 0 ---------------------------------------------------------------------------------------------------- */

bool feed_wanted(struct feed *f, nsec now)
{
    bool wanted = now < atomic_load_explicit(&f->asked_until, memory_order_relaxed);

    for (unsigned i = 0; i < f->gateway->workers; i++)
        wanted |= atomic_load_explicit(&f->readers[i], memory_order_relaxed) > 0;
    return wanted;
}

uint64_t feed_next_number(const struct feed *f)
{
    return f->newest + 1;
}

void feed_publish(struct feed *f, struct bulletin *b)
{
    struct bulletin **place = &f->kept[bulletin_number(b) % KEPT], *old = *place;

    pthread_mutex_lock(&f->lock);
    *place = b;
    f->newest = bulletin_number(b);
    pthread_mutex_unlock(&f->lock);
    bulletin_unref(&old);
    for (unsigned i = 0; i < f->gateway->workers; i++)
        if (atomic_load_explicit(&f->readers[i], memory_order_relaxed))
            loop_post(f->gateway->worker[i]->loop, &f->gateway->worker[i]->feed.mail, 1);
}

/* ---- the workers ------------------------------------------------------------------------------------------------- */

/* The first that has a higher number than `seen`; NULL: there is none. */
static struct bulletin *next_after(struct feed *f, uint64_t seen)
{
    struct bulletin *b = NULL;

    pthread_mutex_lock(&f->lock);
    if (f->newest > seen)
        b = bulletin_ref(f->kept[MAX(seen + 1, f->newest < KEPT ? 1 : f->newest - KEPT + 1) % KEPT]);
    pthread_mutex_unlock(&f->lock);
    return b;
}

static void hand_round(struct mail *m, unsigned bits)
{
    struct feed_seat *s = CONTAINER(m, struct feed_seat, mail);
    struct worker *w = CONTAINER(s, struct worker, feed);
    struct bulletin *b;

    while ((b = next_after(w->gateway->feed, s->seen))) {
        s->seen = bulletin_number(b);
        list_each_safe (l, &s->readers) {
            struct feed_reader *r = CONTAINER(l, struct feed_reader, link);
            if (r->seen < bulletin_number(b))
                r->told(r, b);
        }
        bulletin_unref(&b);
    }
}

/* Of the last second or the one before. */
static struct bulletin *latest(struct worker *w, uint64_t *out_newest)
{
    struct feed *f = w->gateway->feed;
    struct bulletin *b = NULL;

    pthread_mutex_lock(&f->lock);
    *out_newest = f->newest;
    if (f->newest)
        b = bulletin_ref(f->kept[f->newest % KEPT]);
    pthread_mutex_unlock(&f->lock);
    if (b && worker_now(w) - bulletin_made(b) > SECOND(2))
        bulletin_unref(&b);
    return b;
}

/* A message about what it begins with may still be under way. It counts as a reader before it looks, or the next
 * second might be made for nobody. */
struct bulletin *feed_join(struct worker *w, struct feed_reader *r)
{
    struct bulletin *b;

    atomic_fetch_add_explicit(&w->gateway->feed->readers[w->no], 1, memory_order_relaxed);
    b = latest(w, &r->seen);
    if (list_empty(&w->feed.readers))
        w->feed.seen = r->seen;
    r->worker = w;
    list_push(&w->feed.readers, &r->link);
    return b;
}

void feed_leave(struct feed_reader *r)
{
    list_del(&r->link);
    atomic_fetch_sub_explicit(&r->worker->gateway->feed->readers[r->worker->no], 1, memory_order_relaxed);
}

void feed_end(struct worker *w)
{
    list_each_safe (l, &w->feed.readers) {
        struct feed_reader *r = CONTAINER(l, struct feed_reader, link);
        r->over(r);
    }
}

void feed_will_ask_again(struct worker *w)
{
    atomic_store_explicit(&w->gateway->feed->asked_until, worker_now(w) + ASK_AGAIN, memory_order_relaxed);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void feed_seat_init(struct feed_seat *s)
{
    s->mail.deliver = hand_round;
    list_init(&s->readers);
}

struct feed *feed_new(struct gateway *g)
{
    struct feed *f = memory_strikes() ? NULL : calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->gateway = g;
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void feed_free(struct feed **at)
{
    struct feed *f = *at;

    *at = NULL;
    if (!f)
        return;
    for (unsigned i = 0; i < KEPT; i++)
        bulletin_unref(&f->kept[i]);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
