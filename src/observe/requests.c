/* observe/requests.c - blocks of 64 requests that go round among the workers.
 *
 *     worker 0 -> [block 7: 41 written]        free:  4  1  9 ...  the one that was taken longest ago is taken next
 *     worker 1 -> [block 3: 12 written]        held by a reader: 5
 *
 * A ring per worker would keep the last 10,000 only if each were 10,000 long, since nobody knows which worker will be
 * busy; one ring for all would be a counter that all write to. With blocks the lock is taken once in 64 requests, the
 * whole memory serves whoever is busy, and no request that a reader looks at is written over, which a seqlock could
 * only find out afterwards. */
#include "observe/requests.h"

#include "base/slab.h"
#include "observe/record_json.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BLOCK_REQUESTS 64
struct kept {
    struct record record;
    struct request_detail detail;
};
struct block {
    _Atomic unsigned n;
    /* under the lock */
    uint64_t turn; /* when it was taken; 0: never */
    bool held;     /* by a writer */
    uint64_t laps; /* how often it was taken */
    unsigned readers;
    struct kept kept[BLOCK_REQUESTS];
};
struct writer {
    _Alignas(64) struct block *block; /* the worker's own */
};
struct requests {
    pthread_mutex_t lock;
    uint64_t turns;
    unsigned blocks, workers;
    struct block *block;
    struct writer *writer;
};

/* --- life --- */

struct requests *requests_new(unsigned workers)
{
    struct requests *r = memory_strikes() ? NULL : calloc(1, sizeof *r);
    if (!r)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    r->workers = workers;
    r->blocks = (REQUESTS_KEPT + BLOCK_REQUESTS - 1) / BLOCK_REQUESTS + 2 * workers; /* one to write, one to read */
    r->block = memory_strikes() ? NULL : calloc(r->blocks, sizeof *r->block);
    r->writer = memory_strikes() ? NULL : aligned_alloc(_Alignof(struct writer), workers * sizeof *r->writer);
    for (unsigned i = 0; r->writer && i < workers; i++)
        r->writer[i].block = NULL;
    if (!r->block || !r->writer)
        requests_free(&r);
    return r;
}

void requests_free(struct requests **r)
{
    if (!*r)
        return;
    pthread_mutex_destroy(&(*r)->lock);
    free((*r)->block);
    free((*r)->writer);
    free(*r);
    *r = NULL;
}

/* --- writing --- */

static struct block *oldest_free(struct requests *r)
{
    struct block *best = NULL;
    for (unsigned i = 0; i < r->blocks; i++) {
        struct block *b = &r->block[i];
        if (!b->held && !b->readers && (!best || b->turn < best->turn))
            best = b;
    }
    return best;
}

/* NULL when readers hold all there are. */
static struct block *take_block(struct requests *r, struct block *full)
{
    pthread_mutex_lock(&r->lock);
    struct block *b = oldest_free(r);
    if (b) {
        b->held = true;
        b->turn = ++r->turns;
        b->laps++;
        atomic_store_explicit(&b->n, 0, memory_order_relaxed);
        if (full)
            full->held = false;
    }
    pthread_mutex_unlock(&r->lock);
    return b;
}

static bool is_full(struct block *b)
{
    return atomic_load_explicit(&b->n, memory_order_relaxed) == BLOCK_REQUESTS;
}

void requests_put(struct requests *r, unsigned no, const struct record *record, const struct request_detail *detail)
{
    static const struct request_detail none;
    assume(no < r->workers);
    struct writer *w = &r->writer[no];
    if (!w->block || is_full(w->block)) {
        struct block *next = take_block(r, w->block);
        if (!next)
            return;
        w->block = next;
    }
    unsigned n = atomic_load_explicit(&w->block->n, memory_order_relaxed);
    w->block->kept[n].record = *record;
    w->block->kept[n].detail = detail ? *detail : none;
    atomic_store_explicit(&w->block->n, n + 1, memory_order_release);
}

static uint32_t micros(nsec t)
{
    return (uint32_t)MIN(MAX(t, 0) / 1000, (nsec)UINT32_MAX);
}

void request_detail_attempt(struct request_detail *d, const struct request_try *a)
{
    unsigned at = MIN(d->attempts, REQUEST_ATTEMPTS - 1u);
    struct request_attempt *to = &d->attempt[at];
    *to = (struct request_attempt){ .why = (uint16_t)a->why,
                                    .status = (uint16_t)a->status,
                                    .start_us = micros(a->start),
                                    .took_us = micros(a->took),
                                    .connect_us = micros(a->connect) };
    *put_str(to->node, str_take(a->node, sizeof to->node - 1)) = 0;
    d->attempts = (uint8_t)(at + 1);
}

/* --- reading --- */

static void hold(struct requests *r, struct block *b, uint64_t *out_turn)
{
    pthread_mutex_lock(&r->lock);
    b->readers++;
    *out_turn = b->turn;
    pthread_mutex_unlock(&r->lock);
}

static void let_go(struct requests *r, struct block *b)
{
    pthread_mutex_lock(&r->lock);
    b->readers--;
    pthread_mutex_unlock(&r->lock);
}

/* A request that fits, and where it was seen. */
struct found {
    nsec ended;
    uint64_t turn; /* its block's then */
    uint32_t block, at;
};
/* The newest of those seen, at most `most`: a heap with the oldest of them on top. */
struct newest {
    struct buf block;
    struct found *found;
    unsigned n, most, met;
};

static void sink(struct newest *h, unsigned at)
{
    for (unsigned child = 2 * at + 1; child < h->n; child = 2 * at + 1) {
        if (child + 1 < h->n && h->found[child + 1].ended < h->found[child].ended)
            child++;
        if (h->found[at].ended <= h->found[child].ended)
            return;
        struct found f = h->found[at];
        h->found[at] = h->found[child];
        h->found[child] = f;
        at = child;
    }
}

static void keep(struct newest *h, struct found f)
{
    h->met++;
    if (h->n < h->most) {
        h->found[h->n++] = f;
        for (unsigned i = h->n / 2; h->n == h->most && i-- > 0;) /* a heap once it is full */
            sink(h, i);
    } else if (f.ended > h->found[0].ended) {
        h->found[0] = f;
        sink(h, 0);
    }
}

static int newest_first(const void *a, const void *b)
{
    nsec x = ((const struct found *)a)->ended, y = ((const struct found *)b)->ended;
    return (x < y) - (x > y);
}

typedef bool fits(const struct kept *k, const void *wanted);

static void look_through(struct requests *r, struct newest *h, fits *fit, const void *wanted)
{
    for (uint32_t i = 0; i < r->blocks; i++) {
        struct block *b = &r->block[i];
        uint64_t turn;
        hold(r, b, &turn);
        unsigned n = atomic_load_explicit(&b->n, memory_order_acquire);
        for (uint32_t at = 0; at < n; at++)
            if (fit(&b->kept[at], wanted)) {
                const struct record *k = &b->kept[at].record;
                keep(h, (struct found){ k->wall + USEC(k->total_us), turn, i, at });
            }
        let_go(r, b);
    }
    if (h->n)
        qsort(h->found, h->n, sizeof *h->found, newest_first);
}

static enum fail find(struct requests *r, struct newest *h, unsigned most, fits *fit, const void *wanted)
{
    *h = (struct newest){ .most = most };
    enum fail f = buf_reserve(&h->block, most * sizeof *h->found);
    if (f)
        return f;
    h->found = (struct found *)(void *)h->block.block;
    look_through(r, h, fit, wanted);
    return OK;
}

/* False: its block has been taken for others meanwhile, as it was the oldest. */
static bool put_found(struct requests *r, struct json_out *j, const struct found *f)
{
    struct block *b = &r->block[f->block];
    uint64_t turn;
    hold(r, b, &turn);
    if (turn == f->turn)
        request_json(j, &b->kept[f->at].record, &b->kept[f->at].detail);
    let_go(r, b);
    return turn == f->turn;
}

/* --- all of them, once --- */

/* How far a block was seen. One that was never taken is as good as seen to its end. */
struct mark {
    uint64_t lap;
    unsigned at;
};
struct requests_reader {
    struct requests *of;
    struct mark mark[];
};

static uint64_t hold_lap(struct requests *r, struct block *b)
{
    pthread_mutex_lock(&r->lock);
    b->readers++;
    uint64_t lap = b->laps;
    pthread_mutex_unlock(&r->lock);
    return lap;
}

struct requests_reader *requests_reader_new(struct requests *r)
{
    size_t room = sizeof(struct requests_reader) + r->blocks * sizeof(struct mark);
    struct requests_reader *reader = memory_strikes() ? NULL : malloc(room);
    if (!reader)
        return NULL;
    reader->of = r;
    for (unsigned i = 0; i < r->blocks; i++) {
        struct block *b = &r->block[i];
        uint64_t lap = hold_lap(r, b);
        unsigned n = atomic_load_explicit(&b->n, memory_order_acquire);
        reader->mark[i] = (struct mark){ lap, lap ? n : BLOCK_REQUESTS };
        let_go(r, b);
    }
    return reader;
}

void requests_reader_free(struct requests_reader **reader)
{
    free(*reader);
    *reader = NULL;
}

/* A writer only leaves a full block, so what was missed of it can be counted. */
static uint64_t catch_up(struct mark *m, uint64_t lap)
{
    uint64_t missed = lap == m->lap ? 0 : (lap - m->lap - 1) * BLOCK_REQUESTS + BLOCK_REQUESTS - m->at;
    if (lap != m->lap)
        *m = (struct mark){ lap, 0 };
    return missed;
}

uint64_t requests_read(struct requests_reader *reader, requests_seen *seen, void *arg)
{
    struct requests *r = reader->of;
    uint64_t missed = 0;
    for (unsigned i = 0; i < r->blocks; i++) {
        struct block *b = &r->block[i];
        struct mark *m = &reader->mark[i];
        missed += catch_up(m, hold_lap(r, b));
        unsigned n = atomic_load_explicit(&b->n, memory_order_acquire);
        for (; m->lap && m->at < n; m->at++)
            seen(&b->kept[m->at].record, &b->kept[m->at].detail, arg);
        let_go(r, b);
    }
    return missed;
}

/* --- which --- */

/* Of longer names a record has room for the beginning. */
static bool is_of_model(const struct record *r, struct str model)
{
    return str_eq(record_text(r->model), str_take(model, sizeof r->model.text));
}

static bool was_tried(const struct kept *k, struct str name)
{
    struct str node = str_take(name, RECORD_NODE - 1);
    bool any = str_eq(record_text(k->record.node), node);
    for (unsigned i = 0; i < k->detail.attempts; i++)
        any |= str_eq(str_of(k->detail.attempt[i].node), node);
    return any;
}

static bool fits_filter(const struct kept *k, const void *wanted)
{
    const struct requests_filter *f = wanted;
    const struct record *r = &k->record;
    return (!f->model.n || is_of_model(r, f->model)) && (!f->node.n || was_tried(k, f->node)) &&
           r->status >= f->status_least && (!f->status_most || r->status <= f->status_most) &&
           (!f->failed || r->status >= 400 || r->in_band_error);
}

static bool has_id(const struct kept *k, const void *wanted)
{
    char number[17];
    return str_eq(record_id(&k->record, number), *(const struct str *)wanted);
}

bool requests_filter_status(struct requests_filter *f, struct str text)
{
    uint64_t status;
    if (str_eq(text, STR("error"))) {
        f->failed = true;
    } else if (text.n == 3 && str_eq(str_drop(text, 1), STR("xx")) && text.p[0] >= '1' && text.p[0] <= '5') {
        f->status_least = (unsigned)(text.p[0] - '0') * 100;
        f->status_most = f->status_least + 99;
    } else if (str_u64(text, &status) && status >= 100 && status <= 599) {
        f->status_least = f->status_most = (unsigned)status;
    } else {
        return false;
    }
    return true;
}

/* --- what is asked --- */

enum fail requests_render(struct requests *r, struct text *t, const struct requests_filter *f)
{
    struct newest h;
    struct json_out j = { .to = t };
    enum fail failed = find(r, &h, MIN(MAX(f->limit, 1u), (unsigned)REQUESTS_MOST), fits_filter, f);
    if (failed)
        return failed;
    json_open(&j, '{');
    json_key(&j, "requests");
    json_open(&j, '[');
    for (unsigned i = 0; i < h.n; i++)
        put_found(r, &j, &h.found[i]);
    json_close(&j);
    json_close(&j);
    buf_free(&h.block);
    return t->failed;
}

struct span {
    nsec from, until;
};

static bool ended_within(const struct kept *k, const void *wanted)
{
    const struct span *s = wanted;
    nsec ended = k->record.wall + USEC(k->record.total_us);
    return ended >= s->from && ended < s->until;
}

enum fail requests_put_ended(struct requests *r, struct json_out *j, nsec from, nsec until, unsigned most,
                             unsigned *out_more)
{
    struct newest h;
    struct span span = { from, until };
    enum fail failed = find(r, &h, most, ended_within, &span);
    *out_more = 0;
    if (failed)
        return failed;
    *out_more = h.met - h.n;
    json_open(j, '[');
    for (unsigned i = 0; i < h.n; i++)
        put_found(r, j, &h.found[i]);
    json_close(j);
    buf_free(&h.block);
    return OK;
}

enum fail requests_render_one(struct requests *r, struct text *t, struct str id)
{
    struct newest h;
    struct json_out j = { .to = t };
    enum fail failed = find(r, &h, 1, has_id, &id);
    if (failed)
        return failed;
    bool found = h.n && put_found(r, &j, &h.found[0]);
    buf_free(&h.block);
    return found ? t->failed : FAIL_no_such_object;
}
