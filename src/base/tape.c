/* base/tape.c - a chain of blocks that grows at one end.
 *
 *     first -> [head|records....] -> [records......] -> [records..    ]      length: published with each append
 *                    ^ a reader's cursor    ^ another's           ^ the writer's, always at the end
 *
 * Bytes below `length` never change and never move while a seat is taken, so readers need no lock: they load the
 * length, and then everything before it is theirs to read. The lock guards who is there (seats, the writer) and what a
 * new reader is given (the first block); it is held for a few instructions, by the writer once per append and by a
 * worker when it comes and goes.
 *
 * Nobody sleeps through an append: a seat arms itself before it looks at the length, the writer stores the length
 * before it looks who is armed, all in one order (seq_cst). One wake is then at most one too many, never one too few.
 * The same holds for a paused writer and the seats' fronts.
 *
 * Blocks grow from 4 to 64 KiB with the tape. At a good end the bytes move once more, into a block that fits them (the
 * whole tape if it is at most 64 KiB, so that a hit is served in one piece; else the last block), because a cache pays
 * for memory, not for bytes. Readers that are under way go on in the old blocks, which go when the last seat does.
 * Rejected: a ring per reader (a copy each), and readers that hold references on blocks (an atomic pair for each block
 * and reader; the only blocks that go early are those of a tape too large to be kept, and there the seats' tails say
 * what all have read). */
#include "base/tape_inside.h"

#include "base/slab.h"

#define FIT_WHOLE_MAX (KIB(64) - BLOCK_HEAD)

static struct slab tapes;

void tape_pools_init(void)
{
    slab_init(&tapes, "tape", sizeof(struct tape));
    tape_blocks_init();
}

void tape_pools_done(void)
{
    slab_done(&tapes);
    tape_blocks_done();
}

/* The writer's view of the length: it alone changes it. */
static uint64_t length_of(const struct tape *t)
{
    return atomic_load_explicit(&t->length, memory_order_relaxed);
}

/* ---- references -------------------------------------------------------------------------------------------------- */

struct tape *tape_ref(struct tape *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tape_unref(struct tape **at)
{
    struct tape *t = *at;

    *at = NULL;
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    assume(!t->writer && list_empty(&t->seats));
    tape_chain_free(t->first);
    pthread_mutex_destroy(&t->lock);
    slab_give(&tapes, &t);
}

size_t tape_bytes(const struct tape *t)
{
    return atomic_load_explicit(&t->memory, memory_order_relaxed);
}

bool tape_is_whole(const struct tape *t)
{
    return atomic_load(&t->state) == WHOLE && !tape_is_oversize(t);
}

bool tape_is_oversize(const struct tape *t)
{
    return atomic_load(&t->oversize);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct tape *tape_new(struct tape_writer *w, size_t cap, bool refreshes)
{
    struct tape *t = slab_take0(&tapes);

    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    atomic_init(&t->memory, sizeof *t);
    t->cap = cap;
    t->refreshes = refreshes;
    t->writer = w;
    list_init(&t->seats);
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

/* Small tapes begin with small blocks; what would fill most of a block gets one that fits. */
static size_t room_for(uint64_t so_far, size_t n)
{
    size_t size = so_far < KIB(4) ? KIB(4) : so_far < KIB(32) ? KIB(16) : KIB(64);

    return n > (size - BLOCK_HEAD) / 2 ? tape_block_size(n) - BLOCK_HEAD : size - BLOCK_HEAD;
}

static struct tape_block *grow(struct tape *t, size_t n)
{
    struct tape_block *b = tape_block_new(room_for(length_of(t), n), length_of(t));

    if (!b)
        return NULL;
    tape_count(t, b->size, 0);
    pthread_mutex_lock(&t->lock);
    if (t->last)
        atomic_store_explicit(&t->last->next, b, memory_order_release);
    else
        t->first = b;
    t->last = b;
    pthread_mutex_unlock(&t->lock);
    return b;
}

/* Behind all others, in one piece; not yet published. */
static enum fail put(struct tape *t, struct str bytes)
{
    struct tape_block *b = t->last;
    size_t used = b ? (size_t)(length_of(t) - b->from) : 0;

    if (!b || b->size - BLOCK_HEAD - used < bytes.n) {
        b = grow(t, bytes.n);
        used = 0;
    }
    if (!b)
        return FAIL_no_memory;
    memcpy(b->bytes + used, bytes.p, bytes.n);
    return OK;
}

static void wake_seats(struct tape *t)
{
    list_each (l, &t->seats) {
        struct tape_seat *s = CONTAINER(l, struct tape_seat, link);
        if (atomic_load(&s->armed) && atomic_exchange(&s->armed, false))
            s->wake(s);
    }
}

enum fail tape_begin(struct tape *t, struct str head)
{
    enum fail f;

    assume(head.n && !length_of(t));
    f = put(t, head);
    if (f)
        return f;
    atomic_store(&t->length, head.n);
    atomic_store(&t->head_n, (uint32_t)head.n);
    return OK;
}

enum fail tape_append(struct tape *t, struct str bytes)
{
    enum fail f = bytes.n ? put(t, bytes) : OK;

    if (f || !bytes.n)
        return f;
    assume(t->head_n);
    atomic_store(&t->length, length_of(t) + bytes.n);
    pthread_mutex_lock(&t->lock);
    if (length_of(t) > t->cap)
        atomic_store(&t->oversize, true);
    wake_seats(t);
    pthread_mutex_unlock(&t->lock);
    return OK;
}

bool tape_credit(struct tape *t)
{
    bool near;

    if (length_of(t) <= TAPE_BEHIND)
        return true;
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->paused, true); /* before looking: a front that moves meanwhile finds it */
    near = tape_somebody_is_near(t);
    if (near)
        atomic_store(&t->paused, false);
    pthread_mutex_unlock(&t->lock);
    return near;
}

bool tape_wanted(struct tape *t)
{
    bool wanted;

    pthread_mutex_lock(&t->lock);
    wanted = !list_empty(&t->seats) || (t->refreshes && !tape_is_oversize(t));
    t->closed |= !wanted;
    pthread_mutex_unlock(&t->lock);
    return wanted;
}

bool tape_restart(struct tape *t)
{
    struct tape_block *unsaid = NULL;
    bool begun;

    pthread_mutex_lock(&t->lock);
    begun = t->begun;
    if (!begun) {
        unsaid = t->first;
        t->first = t->last = NULL;
        atomic_store(&t->head_n, 0);
        atomic_store(&t->length, 0);
    }
    pthread_mutex_unlock(&t->lock);
    tape_count(t, 0, tape_chain_size(unsaid));
    tape_chain_free(unsaid);
    return !begun;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void replace(struct tape *t, struct tape_block *from, struct tape_block *fit)
{
    struct tape_block *before = t->first;

    if (from == t->first) {
        t->first = fit;
    } else {
        while (before->next != from)
            before = before->next;
        atomic_store_explicit(&before->next, fit, memory_order_release);
    }
    t->last = fit;
}

/* Into memory that fits. Returns what may be freed: the old blocks, if nobody can be reading there. Without memory all
 * stays as it is. */
static struct tape_block *fit(struct tape *t)
{
    uint64_t length = length_of(t);
    struct tape_block *from = length <= FIT_WHOLE_MAX ? t->first : t->last, *fitting;

    if (!from || (from == t->last && from->size <= tape_block_size((size_t)(length - from->from))))
        return NULL;
    fitting = tape_block_new((size_t)(length - from->from), from->from);
    if (!fitting)
        return NULL;
    tape_chain_copy(fitting, from, length);
    tape_count(t, fitting->size, tape_chain_size(from));
    replace(t, from, fitting);
    if (list_empty(&t->seats))
        return from;
    t->old = from;
    return NULL;
}

void tape_end(struct tape *t, enum fail why, enum tape_break where)
{
    struct tape_block *unused = NULL;

    pthread_mutex_lock(&t->lock);
    assume(t->writer);
    t->writer = NULL;
    if (!why && !tape_is_oversize(t))
        unused = fit(t);
    atomic_store(&t->state, why ? BROKEN + 4 * (unsigned)why + where : WHOLE);
    wake_seats(t);
    pthread_mutex_unlock(&t->lock);
    tape_chain_free(unused);
}
