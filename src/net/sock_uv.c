/* net/sock_uv.c - stream sockets watched through uv_poll_t, read and written by ourselves.
 *
 *     struct sock (the owner's) --> struct watch (pooled, ours) --> uv_poll_t, descriptor
 *
 * The watch exists because libuv closes handles asynchronously while sock_close must be over at once: the sock lets go
 * of its watch, the descriptor is closed after uv_close has taken it out of epoll, and the watch goes back to its pool
 * in libuv's close callback.
 *
 * Changing what epoll knows costs two system calls in libuv (remove, add), so it is avoided. Interest in reading and
 * hang-ups is registered together and kept when the owner loses it: the epoll set is narrowed only when an event comes
 * that nobody wants. A keep-alive connection goes READ -> HUP -> READ with each request and never calls epoll_ctl.
 * Interest in writing is dropped at once, since a socket is nearly always writable.
 *
 * Lazy ones are registered in an epoll set of their own (lazy_uv.c).
 *
 * On EPOLLERR libuv stops the handle and reports an error instead of events; we tell the owner all it watches, and
 * register again if it does not close: level-triggered to the end. */
#include "net/loop_uv.h"

#include "base/slab.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define ALL_EVENTS (SOCK_READ | SOCK_WRITE | SOCK_HUP)

static struct slab watches;
static pthread_mutex_t watches_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned watches_users;

void watch_pool_ref(void)
{
    pthread_mutex_lock(&watches_lock);
    if (watches_users++ == 0)
        slab_init(&watches, "watch", sizeof(struct watch));
    pthread_mutex_unlock(&watches_lock);
}

void watch_pool_unref(void)
{
    pthread_mutex_lock(&watches_lock);
    if (--watches_users == 0)
        slab_done(&watches);
    pthread_mutex_unlock(&watches_lock);
}

/* --- events --- */

static int uv_events(unsigned bits)
{
    return (bits & SOCK_READ ? UV_READABLE : 0) | (bits & SOCK_WRITE ? UV_WRITABLE : 0) |
           (bits & SOCK_HUP ? UV_DISCONNECT : 0);
}

static unsigned bits_of(int status, int events)
{
    if (status < 0)
        return ALL_EVENTS;
    return (events & UV_READABLE ? SOCK_READ : 0) | (events & UV_WRITABLE ? SOCK_WRITE : 0) |
           (events & UV_DISCONNECT ? SOCK_HUP : 0);
}

static void on_poll(uv_poll_t *h, int status, int events);

static void watch_register(struct watch *w)
{
    unsigned bits = w->wanted & SOCK_READ ? w->wanted | SOCK_HUP : w->wanted;
    if (w->lazy && lazy_register(w, bits)) {
        w->registered = bits;
        return;
    }
    w->lazy = false;
    w->registered = bits;
    int error = bits ? uv_poll_start(&w->poll, uv_events(bits), on_poll) : uv_poll_stop(&w->poll);
    assume(!error);
}

/* From one epoll set to the other. */
static void watch_move(struct watch *w)
{
    if (w->lazy)
        lazy_register(w, 0);
    else
        uv_poll_stop(&w->poll);
    w->registered = 0;
    w->lazy = !w->lazy;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct watch *w = CONTAINER(h, struct watch, poll);
    loop_wakes(w->loop);
    if (status < 0)
        w->registered = 0;
    watch_tell(w, bits_of(status, events));
}

void watch_tell(struct watch *w, unsigned came)
{
    unsigned wanted_came = came & w->wanted;
    if (wanted_came)
        w->sock->ready(w->sock, wanted_came);
    bool narrow = !wanted_came, stopped = w->registered == 0 && w->wanted;
    if (w->sock && (narrow || stopped))
        watch_register(w);
}

void sock_watch(struct sock *s, unsigned events)
{
    struct watch *w = s->watch;
    w->wanted = events & ALL_EVENTS;
    if (events & SOCK_LAZY ? !w->lazy : w->lazy && w->wanted & (SOCK_READ | SOCK_WRITE))
        watch_move(w);
    bool lacks = w->wanted & ~w->registered;
    bool would_spin = w->registered & ~w->wanted & SOCK_WRITE;
    if (lacks || would_spin)
        watch_register(w);
}

/* --- opening --- */

static void on_closed(uv_handle_t *h)
{
    struct watch *w = CONTAINER(h, struct watch, poll);
    slab_give(&watches, &w);
}

static enum fail take_in(struct loop *l, struct sock *s, int fd, const struct addr *peer,
                         void (*ready)(struct sock *, unsigned))
{
    struct watch *w = slab_take(&watches);
    if (!w)
        return FAIL_no_memory;
    *w = (struct watch){ .loop = l, .sock = s, .fd = fd, .peer = *peer };
    if (uv_poll_init(&l->uv, &w->poll, fd)) {
        slab_give(&watches, &w);
        return FAIL_no_memory;
    }
    l->watches++;
    *s = (struct sock){ .loop = l, .watch = w, .ready = ready };
    return OK;
}

static enum fail dial_failure(int error)
{
    switch (error) {
    case 0: return OK;
    case ECONNREFUSED: return FAIL_connect_refused;
    case ETIMEDOUT: return FAIL_connect_timeout;
    case EMFILE:
    case ENFILE: return FAIL_no_descriptors;
    case ENOBUFS:
    case ENOMEM: return FAIL_no_memory;
    default: return FAIL_connect_failed;
    }
}

static socklen_t addr_bytes(const struct addr *a)
{
    if (a->any.sa_family == AF_UNIX)
        return sizeof a->un;
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

static enum fail connect_begin(int fd, const struct addr *to)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(fd, &to->any, addr_bytes(to)) == 0 || errno == EINPROGRESS)
        return OK;
    return dial_failure(errno);
}

enum fail sock_dial(struct loop *l, struct sock *s, const struct addr *to, void (*ready)(struct sock *, unsigned))
{
    s->watch = NULL;
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return dial_failure(errno);
    enum fail f = connect_begin(fd, to);
    if (!f)
        f = take_in(l, s, fd, to, ready);
    if (f) {
        close(fd);
        return f;
    }
    sock_watch(s, SOCK_WRITE);
    return OK;
}

enum fail sock_dialed(struct sock *s)
{
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(s->watch->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    return dial_failure(error);
}

enum fail sock_adopt(struct loop *l, struct sock *s, int handle, const struct addr *from,
                     void (*ready)(struct sock *, unsigned))
{
    s->watch = NULL;
    enum fail f = take_in(l, s, handle, from, ready);
    if (f)
        close(handle);
    return f;
}

struct addr sock_peer(const struct sock *s)
{
    return s->watch->peer;
}

/* --- bytes --- */

static inline bool means_later(int error)
{
    return error == EAGAIN || error == EINTR;
}

ssize_t sock_read(struct sock *s, void *into, size_t room)
{
    assume(room > 0);
    ssize_t n = recv(s->watch->fd, into, room, 0);
    if (n > 0)
        return n;
    if (n == 0)
        return -1;
    return means_later(errno) ? 0 : -2;
}

static inline ssize_t send_pieces(int fd, const struct iovec *v, int n)
{
    if (n == 1) /* the usual case, and cheaper in the kernel */
        return send(fd, v->iov_base, v->iov_len, MSG_NOSIGNAL);
    struct msghdr m = { .msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)MIN(n, IOV_MAX) };
    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

ssize_t sock_writev(struct sock *s, const struct iovec *v, int n)
{
    ssize_t taken = send_pieces(s->watch->fd, v, n);
    if (taken >= 0)
        return taken;
    return means_later(errno) ? 0 : -2;
}

/* --- closing --- */

void sock_shutdown(struct sock *s)
{
    shutdown(s->watch->fd, SHUT_WR);
}

void sock_close(struct sock *s, bool reset)
{
    struct watch *w = s->watch;
    if (!w)
        return;
    s->watch = NULL;
    w->sock = NULL;
    w->wanted = 0;
    w->loop->watches--;
    if (reset)
        setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    uv_close((uv_handle_t *)&w->poll, on_closed);
    close(w->fd);
}
