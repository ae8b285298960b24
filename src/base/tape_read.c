/* Readers: seats, cursors, and who is told. The story is at the top of base/tape.c. */
#include "base/tape_inside.h"

#include "base/sys.h"

#define NO_READER UINT64_MAX /* as a front or a tail */

/* ---- seats ------------------------------------------------------------------------------------------------------- */

/* Patient readers want all of it, however far behind they are; so does who will keep it, if there is no reader. */
bool tape_somebody_is_near(struct tape *t)
{
    uint64_t length = atomic_load(&t->length);

    list_each (l, &t->seats) {
        uint64_t front = atomic_load(&CONTAINER(l, struct tape_seat, link)->front);
        if (front == NO_READER || length - front <= TAPE_BEHIND)
            return true;
    }
    return list_empty(&t->seats);
}

/* Of a tape that will not be kept: blocks that lie before every cursor. One that ends at a cursor stays, since that
 * reader has yet to go from it to the next. */
static void free_what_all_have_read(struct tape *t)
{
    struct tape_block *next, *unused;
    uint64_t tail = NO_READER;

    pthread_mutex_lock(&t->lock);
    unused = t->first;
    list_each (l, &t->seats)
        tail = MIN(tail, atomic_load(&CONTAINER(l, struct tape_seat, link)->tail));
    while (t->first && (next = tape_block_next(t->first)) && next->from < tail) {
        tape_count(t, 0, t->first->size);
        t->first = next;
    }
    next = t->first;
    pthread_mutex_unlock(&t->lock);
    while (unused != next) {
        struct tape_block *gone = unused;
        unused = tape_block_next(gone);
        tape_block_free(gone);
    }
}

static void resume_writer(struct tape *t)
{
    pthread_mutex_lock(&t->lock);
    if (atomic_load(&t->paused) && t->writer && tape_somebody_is_near(t)) {
        atomic_store(&t->paused, false);
        t->writer->wake(t->writer);
    }
    pthread_mutex_unlock(&t->lock);
}

/* Says where this worker's readers are. */
static void seat_note(struct tape_seat *s)
{
    uint64_t front = 0, tail = NO_READER;
    bool hurried = false;

    if (s->walking) /* some of them are elsewhere; tape_turn notes them all */
        return;
    list_each (l, &s->readers) {
        const struct tape_reader *r = CONTAINER(l, struct tape_reader, link);
        hurried |= !r->patient;
        front = r->patient ? front : MAX(front, r->at);
        tail = MIN(tail, r->at);
    }
    atomic_store(&s->tail, tail);
    atomic_store(&s->front, hurried ? front : NO_READER);
    if (tape_is_oversize(s->tape))
        free_what_all_have_read(s->tape);
    if (atomic_load(&s->tape->paused))
        resume_writer(s->tape);
}

static void seat_vacate(struct tape_seat *s)
{
    struct tape *t = s->tape;
    struct tape_block *unused = NULL;

    pthread_mutex_lock(&t->lock);
    list_del(&s->link);
    if (list_empty(&t->seats)) {
        unused = t->old;
        t->old = NULL;
        if (t->writer)
            t->writer->wake(t->writer);
    }
    pthread_mutex_unlock(&t->lock);
    tape_chain_free(unused);
    s->tape = NULL;
    s->vacated(s);
    tape_unref(&t);
}

/* Readers may leave, and others join, while this goes through them. */
static void tell_readers(struct tape_seat *s)
{
    bool over = atomic_load(&s->tape->state) != RUNNING;
    struct list untold, *l;

    list_move(&untold, &s->readers);
    while ((l = list_pop(&untold))) {
        struct tape_reader *r = CONTAINER(l, struct tape_reader, link);
        list_push(&s->readers, l);
        if (!r->patient || over)
            r->ready(r);
    }
}

void tape_turn(struct tape_seat *s)
{
    if (!s->tape)
        return;
    atomic_store(&s->armed, true); /* before looking */
    s->walking = true;
    tell_readers(s);
    s->walking = false;
    if (list_empty(&s->readers))
        seat_vacate(s);
    else
        seat_note(s);
}

/* ---- joining and leaving ----------------------------------------------------------------------------------------- */

static struct tape_seat *own_seat(struct tape *t)
{
    list_each (l, &t->seats) {
        struct tape_seat *s = CONTAINER(l, struct tape_seat, link);
        if (s->worker == sys_worker_no())
            return s;
    }
    return NULL;
}

/* Its cursors are at the beginning until it says better. */
static void seat_open(struct tape *t, struct tape_seat *s)
{
    s->tape = t;
    s->worker = sys_worker_no();
    s->walking = false;
    list_init(&s->readers);
    atomic_store(&s->armed, true);
    atomic_store(&s->front, 0);
    list_push(&t->seats, &s->link);
}

/* On a tape that runs, under its lock. */
static struct tape_seat *sit_down(struct tape *t, struct tape_reader *r, struct tape_seat **spare)
{
    struct tape_seat *s = own_seat(t);

    if (!s && spare && *spare) {
        s = *spare;
        *spare = NULL;
        seat_open(t, s);
    }
    if (!s)
        return NULL;
    atomic_store(&s->tail, 0);
    list_push(&s->readers, &r->link);
    r->seat = s;
    return s;
}

static bool join_running(struct tape *t, struct tape_reader *r, struct tape_seat **spare)
{
    struct tape_seat *offered = spare ? *spare : NULL, *s = NULL;
    struct tape *surplus = t;
    bool whole;

    pthread_mutex_lock(&t->lock);
    whole = tape_is_whole(t); /* since when we asked */
    if (atomic_load(&t->state) == RUNNING && !tape_is_oversize(t) && !t->closed)
        s = sit_down(t, r, spare);
    pthread_mutex_unlock(&t->lock);
    if (s)
        seat_note(s);
    if (s && s != offered) /* a seat has one reference */
        tape_unref(&surplus);
    return s || whole;
}

bool tape_join(struct tape *t, struct tape_reader *r, struct tape_seat **spare)
{
    r->tape = t;
    r->seat = NULL;
    r->block = NULL;
    r->at = 0;
    r->slow_since = NEVER;
    return tape_is_whole(t) || join_running(t, r, spare);
}

void tape_leave(struct tape_reader *r)
{
    struct tape_seat *s = r->seat;

    if (!s) {
        tape_unref(&r->tape);
        return;
    }
    r->tape = NULL;
    r->seat = NULL;
    list_del(&r->link);
    if (s->walking) /* tape_turn sees to it */
        return;
    if (list_empty(&s->readers))
        seat_vacate(s);
    else
        seat_note(s);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* From here on there is no starting over, so it takes the lock; on an ended tape nothing changes any more. */
static bool begin(struct tape_reader *r)
{
    struct tape *t = r->tape;

    if (r->block)
        return true;
    if (!r->seat) {
        r->block = t->first;
        return true;
    }
    if (!atomic_load(&t->head_n))
        return false;
    pthread_mutex_lock(&t->lock);
    r->block = atomic_load(&t->head_n) ? t->first : NULL; /* it may be starting over just now */
    t->begun |= r->block != NULL;
    pthread_mutex_unlock(&t->lock);
    return r->block != NULL;
}

struct str tape_head(struct tape_reader *r)
{
    size_t n;

    if (!begin(r))
        return STR_NONE;
    n = atomic_load(&r->tape->head_n);
    assume(r->at <= n);
    r->at = n;
    return (struct str){ r->block->bytes, n };
}

struct str tape_look(struct tape_reader *r, bool *out_last)
{
    unsigned state = atomic_load(&r->tape->state); /* before the length: once it has ended, that is final */
    uint64_t length = atomic_load(&r->tape->length), end = length;
    struct tape_block *next = tape_block_next(r->block);

    if (next && r->at == next->from && length > r->at) {
        r->block = next;
        next = tape_block_next(next);
    }
    if (next)
        end = MIN(next->from, length);
    *out_last = state == WHOLE && end == length;
    return (struct str){ r->block->bytes + (r->at - r->block->from), (size_t)(end - r->at) };
}

void tape_eat(struct tape_reader *r, size_t n)
{
    struct tape_seat *s = r->seat;

    r->at += n;
    if (!s)
        return;
    if (!r->patient && r->at > atomic_load_explicit(&s->front, memory_order_relaxed))
        atomic_store(&s->front, r->at); /* before looking */
    if (tape_is_oversize(r->tape) || atomic_load(&r->tape->paused))
        seat_note(s);
}

bool tape_has_ended(const struct tape_reader *r)
{
    return atomic_load(&r->tape->state) != RUNNING;
}

enum fail tape_failed(const struct tape_reader *r, enum tape_break *out_where)
{
    unsigned state = atomic_load(&r->tape->state);
    bool read_all = r->block && r->at == atomic_load(&r->tape->length);

    if (state < BROKEN)
        return OK;
    *out_where = (state - BROKEN) % 4;
    if (!read_all && ((r->block && !r->patient) || *out_where == TAPE_TOLD))
        return OK;
    return (enum fail)((state - BROKEN) / 4);
}

enum fail tape_slow(struct tape_reader *r, nsec now, nsec *out_due)
{
    bool runs = atomic_load(&r->tape->state) == RUNNING;
    uint64_t behind = atomic_load(&r->tape->length) - r->at;

    *out_due = NEVER;
    if (behind <= TAPE_BEHIND || (r->patient && runs)) {
        r->slow_since = NEVER;
        return OK;
    }
    if (r->slow_since == NEVER || (!runs && r->at > r->slow_at)) {
        r->slow_since = now;
        r->slow_at = r->at;
    }
    *out_due = r->slow_since + TAPE_PATIENCE;
    return now >= *out_due ? FAIL_slow_reader : OK;
}
