/* observe/access_log.c - records wait in rings until a thread of its own writes them as lines.
 *
 *     worker 0 --put--> ring 0 --.
 *     worker 1 --put--> ring 1 --+--> thread: every 100 ms, or when a ring is half full --> lines --one write--> file
 *
 * A record is copied, not formatted, on the worker: 256 bytes. Ring ends are counters that only grow; the worker owns
 * `put`, the thread owns `taken`, each on a cache line of its own, so neither waits for the other. A worker whose ring
 * is full drops the record and says so. Lines of several workers are in order for each worker only; `ts` tells the
 * rest.
 *
 * The thread owns all it needs from the start: no allocation can fail while it runs. Where a file cannot be written to,
 * that is told once until it works again, and the records of that time are lost; a request is never held up by its log.
 */
#include "observe/access_log.h"

#include "base/log.h"
#include "base/slab.h"
#include "base/sys.h"
#include "observe/access_line.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define RING_RECORDS 1024u
#define SWEEP_EVERY  MSEC(100)
#define LINES_BYTES  KIB(64)
#define STDERR       2
#define CACHE_LINE   64

struct ring {
    _Alignas(CACHE_LINE) _Atomic uint64_t put;
    _Alignas(CACHE_LINE) _Atomic uint64_t taken;
    struct record record[RING_RECORDS];
};
struct access_log {
    char *path; /* NULL: stderr */
    unsigned workers;
    struct ring *rings;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool closing; /* under the lock */
    _Atomic bool reopen;
    _Atomic size_t rotate_at; /* 0: never */
    unsigned keep;
    /* the thread's own */
    int fd;
    bool failing;
    struct text lines; /* over block */
    char block[LINES_BYTES];
};

/* --- the worker's end --- */

bool access_log_put(struct access_log *l, unsigned no, const struct record *r)
{
    assume(no < l->workers);
    struct ring *ring = &l->rings[no];
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    uint64_t waiting = put - atomic_load_explicit(&ring->taken, memory_order_acquire);
    if (waiting == RING_RECORDS)
        return false;
    ring->record[put % RING_RECORDS] = *r;
    atomic_store_explicit(&ring->put, put + 1, memory_order_release);
    if (waiting == RING_RECORDS / 2)
        pthread_cond_signal(&l->wake); /* a lost one costs nothing but the wait for the next sweep */
    return true;
}

/* --- the thread --- */

static void tell_once(struct access_log *l, enum fail f)
{
    if (f && !l->failing)
        log_error("access log %s cannot be written; requests are served all the same, their lines are lost",
                  l->path ? l->path : "on stderr");
    if (!f && l->failing)
        log_info("access log is written again");
    l->failing = f != OK;
}

static void write_lines(struct access_log *l)
{
    assume(!l->lines.failed && l->lines.buf.block == l->block);
    if (buf_len(&l->lines.buf) == 0)
        return;
    tell_once(l, sys_append(l->fd, text_str(&l->lines)));
    l->lines.buf.end = 0;
}

static void sweep_ring(struct access_log *l, struct ring *ring)
{
    uint64_t at = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    uint64_t end = atomic_load_explicit(&ring->put, memory_order_acquire);
    for (; at < end; at++) {
        if (buf_room(&l->lines.buf) < ACCESS_LINE_MOST)
            write_lines(l);
        l->lines.buf.end += access_line(buf_tail(&l->lines.buf), &ring->record[at % RING_RECORDS]);
        atomic_store_explicit(&ring->taken, at + 1, memory_order_release);
    }
}

static void sweep(struct access_log *l)
{
    for (unsigned i = 0; i < l->workers; i++)
        sweep_ring(l, &l->rings[i]);
    write_lines(l);
}

/* Keeps the open file if its successor cannot be opened. */
static void open_again(struct access_log *l)
{
    int next = l->path ? sys_open_append(l->path) : STDERR;
    if (next < 0) {
        log_error("access log %s cannot be opened; lines go on where they went", l->path);
        return;
    }
    sys_close_file(l->fd);
    l->fd = next;
}

/* path.1 -> path.2, ...; the oldest is lost. Where that cannot be, the file grows on. */
static void put_aside(const struct access_log *l)
{
    char from[PATH_MAX], to[PATH_MAX];
    for (unsigned i = l->keep; i > 0; i--) {
        int n =
            i > 1 ? snprintf(from, sizeof from, "%s.%u", l->path, i - 1) : snprintf(from, sizeof from, "%s", l->path);
        int m = snprintf(to, sizeof to, "%s.%u", l->path, i);
        if (n < (int)sizeof from && m < (int)sizeof to)
            (void)sys_rename(from, to);
    }
}

static void rotate_if_due(struct access_log *l)
{
    size_t most = atomic_load_explicit(&l->rotate_at, memory_order_acquire);
    if (!most || !l->path || sys_file_bytes(l->fd) < most)
        return;
    put_aside(l);
    open_again(l);
    log_reopen();
}

/* False: it is time to go, after one more sweep. */
static bool sleep_until_due(struct access_log *l)
{
    nsec due = sys_now() + SWEEP_EVERY;
    struct timespec until = { .tv_sec = due / SECOND(1), .tv_nsec = due % SECOND(1) };
    pthread_mutex_lock(&l->lock);
    if (!l->closing)
        pthread_cond_timedwait(&l->wake, &l->lock, &until);
    bool stay = !l->closing;
    pthread_mutex_unlock(&l->lock);
    return stay;
}

static void *thread_main(void *arg)
{
    struct access_log *l = arg;
    bool stay;
    pthread_setname_np(pthread_self(), "access_log");
    do {
        stay = sleep_until_due(l);
        sweep(l);
        if (atomic_exchange(&l->reopen, false))
            open_again(l);
        rotate_if_due(l);
    } while (stay);
    return NULL;
}

/* --- life --- */

/* Not zeroed: a ring nobody uses takes two cache lines of memory. */
static struct ring *rings_new(unsigned workers)
{
    struct ring *rings = memory_strikes() ? NULL : aligned_alloc(CACHE_LINE, workers * sizeof *rings);
    for (unsigned i = 0; rings && i < workers; i++) {
        atomic_init(&rings[i].put, 0);
        atomic_init(&rings[i].taken, 0);
    }
    return rings;
}

static void free_all(struct access_log *l)
{
    sys_close_file(l->fd);
    free(l->rings);
    free(l->path);
    free(l);
}

static bool take_resources(struct access_log *l, const char *path)
{
    bool to_stderr = !path || strcmp(path, "-") == 0;
    l->rings = rings_new(l->workers);
    l->path = to_stderr || memory_strikes() ? NULL : strdup(path);
    if (!l->rings || (!to_stderr && !l->path))
        return false;
    l->fd = to_stderr ? STDERR : sys_open_append(path);
    return l->fd >= 0;
}

/* Waits are measured on the clock that sys_now reads. Signals are for the threads that expect them. */
static bool start_thread(struct access_log *l)
{
    pthread_condattr_t monotonic;
    sigset_t all, before;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&l->lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&l->thread, NULL, thread_main, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

struct access_log *access_log_open(const char *path, unsigned workers)
{
    struct access_log *l = memory_strikes() ? NULL : calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->workers = workers;
    l->fd = -1;
    l->lines.buf = (struct buf){ .block = l->block, .cap = sizeof l->block };
    if (take_resources(l, path) && start_thread(l))
        return l;
    free_all(l);
    return NULL;
}

void access_log_close(struct access_log **l)
{
    if (!*l)
        return;
    pthread_mutex_lock(&(*l)->lock);
    (*l)->closing = true;
    pthread_cond_signal(&(*l)->wake);
    pthread_mutex_unlock(&(*l)->lock);
    pthread_join((*l)->thread, NULL);
    pthread_cond_destroy(&(*l)->wake);
    pthread_mutex_destroy(&(*l)->lock);
    free_all(*l);
    *l = NULL;
}

void access_log_rotate(struct access_log *l, size_t bytes, unsigned keep)
{
    l->keep = keep;
    atomic_store_explicit(&l->rotate_at, bytes, memory_order_release);
}

void access_log_reopen(struct access_log *l)
{
    atomic_store(&l->reopen, true);
    pthread_cond_signal(&l->wake);
}
