/* Tapes among real threads, for TSan: two writers and four workers with many readers each, who come, go and dawdle, and
 * check each byte. */
#include "base/slab.h"
#include "base/sys.h"
#include "base/tape.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define WORKERS    4
#define WRITERS    2
#define READERS    16 /* per worker */
#define TAPES      60 /* per writer */
#define TAPES_MOST (100 * TAPES)

struct head { /* of each tape: what will be on it */
    uint64_t salt, length;
};
struct board { /* where a writer hangs out its tape, as a cache would */
    pthread_mutex_t lock;
    struct tape *tape;
};
struct author {
    struct tape_writer writer;
    struct board board;
    sem_t called;
    unsigned no, seed;
    unsigned whole, deserted, restarted, waited;
    char bytes[100000];
};
struct worker {
    sem_t mail;
    struct seat *seats; /* this worker's, all that there are */
    unsigned no, seed;
    uint64_t heard, refused;
};
struct seat {
    struct tape_seat seat;
    struct worker *worker;
    struct seat *next;
    _Atomic bool woken;
    bool free;
};
struct follower {
    struct tape_reader reader;
    struct worker *worker;
    struct head head;
    uint64_t at;
    unsigned dawdles; /* looks that it lets pass */
    bool on, has_head;
};
static struct author authors[WRITERS];
static struct worker workers[WORKERS];
static _Atomic unsigned writing;

/* Of whole tapes and of broken ones, by readers. Who meets what is up to the machine, so writers go on until both were
 * met. */
static _Atomic unsigned completed, broken;
static bool seen_enough(void)
{
    return completed > 50 && broken > 0;
}

static unsigned roll(unsigned *seed, unsigned sides)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % sides;
}
static char byte_at(uint64_t salt, uint64_t at)
{
    return (char)((salt + at) * 31 + at / 251);
}

/* ---- writers ----------------------------------------------------------------------------------------------------- */

static void author_called(struct tape_writer *w)
{
    sem_post(&CONTAINER(w, struct author, writer)->called);
}

static void hang_out(struct board *b, struct tape *t)
{
    struct tape *old;
    pthread_mutex_lock(&b->lock);
    old = b->tape;
    b->tape = t;
    pthread_mutex_unlock(&b->lock);
    tape_unref(&old);
}

static void wait_for(sem_t *s, long ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (sem_timedwait(s, &until) == 0)
        ; /* all that was said so far */
}

static void append_some(struct author *a, struct tape *t, const struct head *h, uint64_t *at, unsigned *seed)
{
    size_t n = roll(seed, 50) ? roll(seed, 3000) + 1 : roll(seed, sizeof a->bytes) + 1;
    n = MIN(n, h->length - *at);
    for (size_t i = 0; i < n; i++)
        a->bytes[i] = byte_at(h->salt, *at + i);
    assert_int_equal(tape_append(t, (struct str){ a->bytes, n }), OK);
    *at += n;
}

static enum fail write_all(struct author *a, struct tape *t, const struct head *h, unsigned *seed)
{
    uint64_t at = 0, breaks_at = roll(seed, 5) ? UINT64_MAX : h->length / 2;
    assert_int_equal(tape_begin(t, (struct str){ (const char *)h, sizeof *h }), OK);
    while (at < h->length) {
        if (at >= breaks_at)
            return FAIL_upstream_cut;
        if (tape_credit(t)) {
            append_some(a, t, h, &at, seed);
        } else {
            a->waited++;
            wait_for(&a->called, 1000000);
        }
        if (roll(seed, 20) == 0)
            wait_for(&a->called, 200000);
        if (roll(seed, 50) == 0 && !tape_wanted(t))
            return FAIL_client_gone;
    }
    return OK;
}

static void *author_runs(void *arg)
{
    struct author *a = arg;
    unsigned seed = a->seed;
    sys_set_worker_no(WORKERS + a->no);
    for (unsigned i = 0; i < TAPES || (!seen_enough() && i < TAPES_MOST); i++) {
        struct head h = { roll(&seed, 1000), roll(&seed, 4) ? roll(&seed, 200000) : roll(&seed, 4000000) };
        struct tape *t = tape_new(&a->writer, roll(&seed, 3) ? MIB(1) : KIB(100), roll(&seed, 4) == 0);
        hang_out(&a->board, tape_ref(t));
        enum fail f = write_all(a, t, &h, &seed);
        if (f == FAIL_upstream_cut && tape_restart(t)) {
            a->restarted++;
            f = write_all(a, t, &h, &seed);
        }
        tape_end(t, f, TAPE_CLEAN);
        a->whole += f == OK;
        a->deserted += f == FAIL_client_gone;
        tape_unref(&t);
    }
    hang_out(&a->board, NULL);
    writing--;
    return NULL;
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

static void seat_woken(struct tape_seat *ts)
{
    struct seat *s = CONTAINER(ts, struct seat, seat);
    atomic_store(&s->woken, true);
    sem_post(&s->worker->mail);
}
static void seat_vacated(struct tape_seat *ts)
{
    struct seat *s = CONTAINER(ts, struct seat, seat);
    atomic_store(&s->woken, false);
    s->free = true;
}

static struct seat *spare_seat(struct worker *w)
{
    for (struct seat *s = w->seats; s; s = s->next)
        if (s->free)
            return s;
    struct seat *s = calloc(1, sizeof *s);
    s->seat.wake = seat_woken;
    s->seat.vacated = seat_vacated;
    s->worker = w;
    s->free = true;
    s->next = w->seats;
    w->seats = s;
    return s;
}

static void part(struct follower *f)
{
    tape_leave(&f->reader);
    f->on = false;
}

static void take_head(struct follower *f)
{
    struct str head = f->has_head ? STR_NONE : tape_head(&f->reader);
    if (!head.n)
        return;
    assert_int_equal(head.n, sizeof f->head);
    memcpy(&f->head, head.p, head.n);
    f->has_head = true;
}

/* True: there is more. */
static bool hear(struct follower *f)
{
    bool last;
    struct str s = tape_look(&f->reader, &last);
    size_t n = s.n > 1 && roll(&f->worker->seed, 8) == 0 ? s.n / 2 : s.n;
    for (size_t i = 0; i < n; i++)
        if (s.p[i] != byte_at(f->head.salt, f->at + i))
            abort();
    f->at += n;
    f->worker->heard += n;
    tape_eat(&f->reader, n);
    if (!last || n < s.n)
        return n > 0;
    if (f->at != f->head.length)
        abort();
    atomic_fetch_add(&completed, 1);
    part(f);
    return false;
}

static void ready(struct tape_reader *r)
{
    struct follower *f = CONTAINER(r, struct follower, reader);
    enum tape_break where;
    if (f->dawdles && f->dawdles--)
        return;
    take_head(f);
    while (f->has_head && f->on && hear(f))
        ;
    if (f->on && tape_failed(&f->reader, &where)) {
        atomic_fetch_add(&broken, 1);
        part(f);
    }
    if (f->on && roll(&f->worker->seed, 100) == 0)
        part(f);
    else if (f->on && roll(&f->worker->seed, 30) == 0)
        f->dawdles = roll(&f->worker->seed, 200);
}

static void join(struct worker *w, struct follower *f)
{
    struct board *b = &authors[roll(&w->seed, WRITERS)].board;
    struct tape_seat *spare = &spare_seat(w)->seat, *offered = spare;
    struct tape *t;
    pthread_mutex_lock(&b->lock);
    t = b->tape ? tape_ref(b->tape) : NULL;
    pthread_mutex_unlock(&b->lock);
    if (!t)
        return;
    *f = (struct follower){
        .reader = {.ready = ready, .patient = roll(&w->seed, 4) == 0},
          .worker = w
    };
    f->on = tape_join(t, &f->reader, &spare);
    if (!spare)
        CONTAINER(offered, struct seat, seat)->free = false;
    if (f->on && !f->reader.patient)
        ready(&f->reader);
    w->refused += !f->reader.tape;
    if (!f->on && f->reader.tape == t)
        tape_unref(&t);
}

static void take_turns(struct worker *w)
{
    for (struct seat *s = w->seats; s; s = s->next)
        if (!s->free && atomic_exchange(&s->woken, false))
            tape_turn(&s->seat);
}

/* Whoever dawdles is not told again when the tape has ended. */
static void look_after(struct follower *f)
{
    if (f->on && (f->dawdles || !f->reader.seat) && (!f->reader.patient || !f->reader.seat)) {
        f->dawdles = 0;
        ready(&f->reader);
    }
}

static void *worker_runs(void *arg)
{
    struct worker *w = arg;
    struct follower *f = calloc(READERS, sizeof *f);
    sys_set_worker_no(w->no);
    while (writing) {
        unsigned i = roll(&w->seed, READERS);
        if (!f[i].on)
            join(w, &f[i]);
        else
            look_after(&f[i]);
        take_turns(w);
        wait_for(&w->mail, 50000);
    }
    for (unsigned i = 0; i < READERS; i++)
        if (f[i].on)
            part(&f[i]);
    while (w->seats) {
        struct seat *s = w->seats;
        assert_true(s->free);
        w->seats = s->next;
        free(s);
    }
    free(f);
    return NULL;
}

static void every_reader_gets_every_byte(void **state)
{
    pthread_t id[WORKERS + WRITERS];
    uint64_t heard = 0;
    tape_pools_init();
    writing = WRITERS;
    for (unsigned i = 0; i < WRITERS; i++) {
        authors[i] = (struct author){ .writer = { author_called }, .no = i, .seed = 77 + i };
        pthread_mutex_init(&authors[i].board.lock, NULL);
        sem_init(&authors[i].called, 0, 0);
        assert_int_equal(pthread_create(&id[WORKERS + i], NULL, author_runs, &authors[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ .no = i, .seed = 1000 + i };
        sem_init(&workers[i].mail, 0, 0);
        assert_int_equal(pthread_create(&id[i], NULL, worker_runs, &workers[i]), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(id); i++)
        pthread_join(id[i], NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        heard += workers[i].heard;
    for (unsigned i = 0; i < WRITERS; i++)
        print_message("writer: %u whole, %u deserted, %u started over, %u waits\n", authors[i].whole,
                      authors[i].deserted, authors[i].restarted, authors[i].waited);
    print_message("readers: %llu bytes, %u whole tapes, %u broken\n", (unsigned long long)heard, completed, broken);
    assert_true(seen_enough());
    assert_int_equal(tape_bytes_live(), 0);
    tape_pools_done();
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(every_reader_gets_every_byte) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
