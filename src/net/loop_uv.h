/* net/loop_uv.h - what the files of net_world share: the loop and a watched descriptor. Nobody else includes this. */
#pragma once
#include "net/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#define SIGNALS_MAX 8

struct signal_watch {
    uv_signal_t uv;
    struct loop *loop; /* NULL: free */
    void (*got)(int signo, void *arg);
    void *arg;
};

/* Sockets whose events may wait for each other (lazy_uv.c). */
struct lazy {
    int epoll; /* -1: nobody has been lazy yet */
    uv_poll_t poll;
    struct timer tick; /* pending: the clock serves them, and `poll` is stopped */
    nsec served;
    unsigned in_a_row;   /* wake-ups for them that came soon after the one before */
    unsigned idle_ticks; /* that found nothing */
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t turn_end;
    uv_idle_t no_wait; /* active: the next turn does not wait */
    uv_timer_t alarm;  /* wakes for the earliest timer, or earlier */
    uv_async_t wake;
    nsec alarm_due; /* NEVER: not set */

    unsigned no;
    bool awake; /* `now` belongs to this turn */
    nsec now;
    nsec wall_offset, wall_read_at;
    struct timers timers;
    struct lazy lazy;
    void (*each_turn)(void *arg);
    void *each_turn_arg;
    struct signal_watch signals[SIGNALS_MAX];

    unsigned watches, jobs; /* open and on their way */
    struct mail jobs_done;  /* posted by lanes */
    pthread_mutex_t finished_lock;
    struct list finished;

    /* Written by other threads: a cache line of its own. */
    _Alignas(64) struct mail *_Atomic mailbox;
    atomic_bool asleep; /* senders must wake */
    atomic_bool stopping;
};

/* First thing in every callback that libuv makes from its wait. */
void loop_wakes(struct loop *l);

/* One descriptor in the loop's epoll set: a socket's, or a listener's (then embedded in a `struct porch`). */
struct watch {
    uv_poll_t poll;
    struct loop *loop;
    struct sock *sock; /* NULL: closed, or a listener's */
    int fd;
    unsigned wanted;     /* SOCK_ bits the owner asked for */
    unsigned registered; /* what epoll knows */
    bool lazy;           /* it is the lazy ones' epoll that knows */
    struct addr peer;
};
/* What epoll has found: told to the owner if it is wanted, else not asked for again. */
void watch_tell(struct watch *w, unsigned came);

/* lazy_uv.c */
void lazy_init(struct loop *l);
void lazy_close(struct loop *l);
/* Has the lazy ones' epoll look for `bits` (0: no more) instead of w->registered. False if the system refuses. */
bool lazy_register(struct watch *w, unsigned bits);

/* The pool of watches lives as long as any loop. */
void watch_pool_ref(void);
void watch_pool_unref(void);

/* lane.c: gives finished jobs back. */
void loop_jobs_done(struct mail *m, unsigned bits);
