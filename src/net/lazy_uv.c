/* net/lazy_uv.c - sockets whose events may wait a moment for others of their kind.
 *
 *     the loop's epoll set <-- poll -- the lazy ones' epoll set <-- their sockets
 *                              ^
 *                              '-- stopped while the clock serves them, every two milliseconds
 *
 * Waking a thread for 200 bytes costs several times what reading and writing them does, and a hundred streams of
 * tokens wake it for each token. As network cards do with their interrupts, wake-ups are moderated: a lone event is
 * told at once, and when they follow each other within a millisecond the clock takes over and serves all that came
 * since its last tick, until some find nothing. A token of a stream that has begun is two milliseconds late then, at
 * the most; waiting one saved half as much. New connections, first tokens and everything else that is not lazy wake
 * the loop as ever. Rejected: napping before each wait (delays those too), and taking each stream out of epoll for a
 * while (two system calls a token). */
#include "net/loop_uv.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NEAR       MSEC(1)
#define ROW        4 /* so many wake-ups, each so near the one before: the clock takes over */
#define TICK       MSEC(2)
#define IDLE_TICKS 2 /* so many that find nothing: the lone event is told at once again */
#define AT_ONCE    128

static uint32_t epoll_events(unsigned bits)
{
    return (bits & SOCK_READ ? EPOLLIN : 0) | (bits & SOCK_WRITE ? EPOLLOUT : 0) | (bits & SOCK_HUP ? EPOLLRDHUP : 0);
}

static unsigned bits_of(uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP))
        return SOCK_READ | SOCK_WRITE | SOCK_HUP;
    return (events & EPOLLIN ? SOCK_READ : 0) | (events & EPOLLOUT ? SOCK_WRITE : 0) |
           (events & EPOLLRDHUP ? SOCK_HUP : 0);
}

/* ---- serving ----------------------------------------------------------------------------------------------------- */

/* How many had something. A watch that is closed meanwhile lives until libuv's next turn, and wants nothing. */
static int serve(struct loop *l)
{
    struct epoll_event came[AT_ONCE];
    int n = epoll_wait(l->lazy.epoll, came, AT_ONCE, 0);

    for (int i = 0; i < n; i++)
        watch_tell(came[i].data.ptr, bits_of(came[i].events));
    l->lazy.served = l->now;
    return n;
}

static void on_lazy(uv_poll_t *h, int status, int events)
{
    struct loop *l = h->data;

    (void)status, (void)events;
    loop_wakes(l);
    l->lazy.in_a_row = l->now - l->lazy.served < NEAR ? l->lazy.in_a_row + 1 : 0;
    serve(l);
    if (l->lazy.in_a_row < ROW)
        return;
    uv_poll_stop(h);
    loop_timer_set(l, &l->lazy.tick, l->now + TICK);
}

static void wait_for_them(struct loop *l)
{
    int error = uv_poll_start(&l->lazy.poll, UV_READABLE, on_lazy);

    assume(!error);
    l->lazy.in_a_row = l->lazy.idle_ticks = 0;
}

static void on_tick(struct timer *t)
{
    struct loop *l = CONTAINER(t, struct loop, lazy.tick);

    l->lazy.idle_ticks = serve(l) ? 0 : l->lazy.idle_ticks + 1;
    if (l->lazy.idle_ticks < IDLE_TICKS)
        loop_timer_set(l, t, l->now + TICK);
    else
        wait_for_them(l);
}

/* ---- the set ----------------------------------------------------------------------------------------------------- */

void lazy_init(struct loop *l)
{
    l->lazy = (struct lazy){ .epoll = -1, .tick.fire = on_tick };
}

static bool open_set(struct loop *l)
{
    if (l->lazy.epoll >= 0)
        return true;
    l->lazy.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->lazy.epoll < 0)
        return false;
    if (uv_poll_init(&l->uv, &l->lazy.poll, l->lazy.epoll)) {
        close(l->lazy.epoll);
        l->lazy.epoll = -1;
        return false;
    }
    l->lazy.poll.data = l;
    wait_for_them(l);
    return true;
}

void lazy_close(struct loop *l)
{
    if (l->lazy.epoll < 0)
        return;
    loop_timer_cancel(l, &l->lazy.tick);
    uv_poll_stop(&l->lazy.poll);
    close(l->lazy.epoll);
}

bool lazy_register(struct watch *w, unsigned bits)
{
    struct epoll_event look_for = { .events = epoll_events(bits), .data.ptr = w };
    int change = !w->registered ? EPOLL_CTL_ADD : bits ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    if (w->registered == bits)
        return true;
    return open_set(w->loop) && epoll_ctl(w->loop->lazy.epoll, change, w->fd, &look_for) == 0;
}
