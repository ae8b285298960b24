/* net/listener_uv.c - listening sockets: accept in batches, and stay calm when descriptors run out.
 *
 * One socket per address, dealt by its owner to the workers; SO_REUSEPORT would spread few connections badly (busiest
 * worker over mean 1.2-2.0). TCP_NODELAY and keep-alive are set on the listening socket: Linux lets accepted ones
 * inherit them, which saves two system calls per connection.
 *
 * Without a free descriptor accept fails and the socket stays readable: a loop would spin. So each listener keeps a
 * reserve descriptor; it is closed to make room for one accept, whose client gets the refusal instead of waiting in the
 * backlog, and opened again; when that does not help, the listener rests for 100 ms. Before it comes to that, the last
 * descriptors below the limit are left to those who are in already, whose requests need one towards a node: the system
 * gives the lowest free number, so a high one tells that few are left. */
#include "net/loop_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define ACCEPTS_PER_EVENT 64
#define BACKLOG           4096
#define REST              MSEC(100)
#define SPARED            32 /* one descriptor in so many */

struct porch {
    struct watch watch;
    struct listener *listener; /* NULL: closed */
    int reserve;               /* -1: could not be had */
    int ceiling;               /* accepted descriptors are below */
    struct timer rest;
};

static struct porch *porch_of(struct listener *ln)
{
    return CONTAINER(ln->watch, struct porch, watch);
}

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* --- accepting --- */

static void on_knock(uv_poll_t *h, int status, int events);

static void listen_again(struct timer *t)
{
    struct porch *p = CONTAINER(t, struct porch, rest);
    if (p->reserve < 0)
        p->reserve = open_reserve();
    uv_poll_start(&p->watch.poll, UV_READABLE, on_knock);
}

static void rest(struct porch *p)
{
    if (!p->listener)
        return;
    uv_poll_stop(&p->watch.poll);
    loop_timer_set(p->watch.loop, &p->rest, loop_now(p->watch.loop) + REST);
}

static int accept_one(struct porch *p, struct addr *from)
{
    socklen_t n = sizeof *from;
    return accept4(p->watch.fd, &from->any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void turn_away(struct porch *p, int handle, const struct addr *from)
{
    handle_refuse(handle, p->listener->refusal);
    p->listener->accepted(p->listener, -1, from);
}

/* False: nobody is left, or nothing to accept him with. */
static bool turn_one_away(struct porch *p)
{
    struct addr from;
    if (p->reserve >= 0)
        close(p->reserve);
    p->reserve = -1;
    int handle = accept_one(p, &from);
    if (handle >= 0)
        turn_away(p, handle, &from);
    if (p->listener)
        p->reserve = open_reserve();
    return handle >= 0 && p->listener && p->reserve >= 0;
}

static bool means_out_of_descriptors(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_knock(uv_poll_t *h, int status, int events)
{
    struct porch *p = CONTAINER(h, struct porch, watch.poll);
    loop_wakes(p->watch.loop);
    for (int i = 0; i < ACCEPTS_PER_EVENT && p->listener; i++) {
        struct addr from;
        int handle = accept_one(p, &from);
        if (handle >= p->ceiling) {
            turn_away(p, handle, &from);
        } else if (handle >= 0) {
            p->listener->accepted(p->listener, handle, &from);
        } else if (means_out_of_descriptors(errno)) {
            if (!turn_one_away(p)) {
                rest(p);
                return;
            }
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* --- opening and closing --- */

static enum fail listen_failure(int error)
{
    switch (error) {
    case EADDRINUSE: return FAIL_address_in_use;
    case EACCES:
    case EPERM: return FAIL_port_denied;
    case EMFILE:
    case ENFILE: return FAIL_no_descriptors;
    case ENOMEM:
    case ENOBUFS: return FAIL_no_memory;
    default: return FAIL_io_error;
    }
}

static enum fail bind_and_listen(int fd, const struct addr *at, struct addr *bound)
{
    bool v6 = at->any.sa_family == AF_INET6;
    int on = 1, alone = v6 && !IN6_IS_ADDR_UNSPECIFIED(&at->v6.sin6_addr); /* [::] means IPv4 too */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (v6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof alone);
    if (bind(fd, &at->any, v6 ? sizeof at->v6 : sizeof at->v4) < 0 || listen(fd, BACKLOG) < 0)
        return listen_failure(errno);
    socklen_t n = sizeof *bound;
    return getsockname(fd, &bound->any, &n) < 0 ? FAIL_io_error : OK;
}

static int highest_to_accept(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int)(limit.rlim_cur - limit.rlim_cur / SPARED);
}

static enum fail open_porch(struct loop *l, struct listener *ln, int fd)
{
    struct porch *p = calloc(1, sizeof *p);
    if (!p)
        return FAIL_no_memory;
    if (uv_poll_init(&l->uv, &p->watch.poll, fd)) {
        free(p);
        return FAIL_no_memory;
    }
    p->watch.loop = l;
    p->watch.fd = fd;
    p->listener = ln;
    p->reserve = open_reserve();
    p->ceiling = highest_to_accept();
    p->rest.fire = listen_again;
    uv_poll_start(&p->watch.poll, UV_READABLE, on_knock);
    l->watches++;
    ln->loop = l;
    ln->watch = &p->watch;
    return OK;
}

enum fail listener_open(struct loop *l, struct listener *ln, const struct addr *at, struct addr *bound)
{
    ln->watch = NULL;
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return listen_failure(errno);
    enum fail f = bind_and_listen(fd, at, bound);
    if (!f)
        f = open_porch(l, ln, fd);
    if (f)
        close(fd);
    return f;
}

static void on_closed(uv_handle_t *h)
{
    free(CONTAINER(h, struct porch, watch.poll));
}

void listener_close(struct listener *ln)
{
    if (!ln->watch)
        return;
    struct porch *p = porch_of(ln);
    ln->watch = NULL;
    p->listener = NULL;
    p->watch.loop->watches--;
    loop_timer_cancel(p->watch.loop, &p->rest);
    if (p->reserve >= 0)
        close(p->reserve);
    uv_close((uv_handle_t *)&p->watch.poll, on_closed);
    close(p->watch.fd);
}

/* --- handles nobody adopts --- */

void handle_close(int handle)
{
    close(handle);
}

/* Bytes left unread would turn our FIN into a reset, which may overtake the answer. */
static void drop_what_came(int handle)
{
    char junk[4096];
    for (int i = 0; i < 16 && recv(handle, junk, sizeof junk, MSG_DONTWAIT) > 0; i++)
        ;
}

void handle_refuse(int handle, struct str bytes)
{
    send(handle, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(handle, SHUT_WR);
    drop_what_came(handle);
    close(handle);
}
