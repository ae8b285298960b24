/* Sockets and listeners of net/loop.h over simulated wires.
 *
 * `hot` holds the watches on which something may hold; a turn looks only at those, and drops the ones where nothing
 * does. A closed watch is dead at once and freed at the next turn, since the turn in progress may still have it in its
 * hand. Handles are numbers that no descriptor has, so that a handle used as one is noticed. */
#include "base/slab.h"
#include "world_inside.h"
#include <stdlib.h>

#define ACCEPT_PAUSE MSEC(100)
#define FIRST_HANDLE 1000000

struct watch {
    struct list link, hot;
    struct loop *loop;
    struct sock *sock;   /* either */
    struct listener *ln; /* or; both NULL: dead */
    struct end *end;
    struct place *place;
    unsigned watching, seen;
    struct event resume; /* pending: the listener pauses */
};
struct handle {
    struct list link;
    int no;
    struct end *end;
};
static struct list handles;
static int handles_made;

/* ---- watches ---- */
static void make_hot(struct watch *w)
{
    if (!list_linked(&w->hot))
        list_push(&loop_watches(w->loop)->hot, &w->hot);
    loop_rouse(w->loop);
}

static unsigned what_holds(const struct watch *w)
{
    if (w->ln)
        return w->place->n_waiting && !event_pending(&w->resume) ? SOCK_READ : 0;
    return end_ready(w->end) & w->watching;
}

static void end_stirs(struct end *e)
{
    struct watch *w = e->owner;
    if (what_holds(w))
        make_hot(w);
}

static void place_stirs(struct place *p)
{
    struct watch *w = p->owner;
    if (what_holds(w))
        make_hot(w);
}

static struct watch *watch_new(struct loop *l)
{
    loop_own_thread(l);
    struct watch *w = memory_strikes() ? NULL : world_alloc(sizeof *w);
    if (!w)
        return NULL;
    w->loop = l;
    list_push(&loop_watches(l)->open, &w->link);
    return w;
}

static void watch_dies(struct watch *w)
{
    loop_own_thread(w->loop);
    event_cancel(&w->resume);
    list_del_if(&w->hot);
    list_del(&w->link);
    list_push(&loop_watches(w->loop)->dead, &w->link);
    w->sock = NULL;
    w->ln = NULL;
    descriptor_give();
}

/* ---- sockets ---- */
static void sock_begin(struct sock *s, struct watch *w, struct end *end, void (*ready)(struct sock *, unsigned))
{
    *s = (struct sock){ .loop = w->loop, .watch = w, .ready = ready };
    w->sock = s;
    w->end = end;
    end->owner = w;
    end->wake = end_stirs;
}

enum fail sock_dial(struct loop *l, struct sock *s, const struct addr *to, void (*ready)(struct sock *, unsigned))
{
    enum fail f = FAIL_no_memory;
    *s = (struct sock){ 0 };
    if (!descriptor_take())
        return FAIL_no_descriptors;
    struct watch *w = watch_new(l);
    struct end *end = w ? end_dial(to, NULL, &f) : NULL;
    if (end) {
        sock_begin(s, w, end, ready);
        w->watching = SOCK_WRITE;
        return OK;
    }
    if (w)
        watch_dies(w);
    else
        descriptor_give();
    return f;
}

enum fail sock_dialed(struct sock *s)
{
    assume(!s->watch->end->opening);
    return s->watch->end->failed;
}

void sock_watch(struct sock *s, unsigned events)
{
    struct watch *w = s->watch;
    loop_own_thread(w->loop);
    w->watching = events & ~SOCK_LAZY;
    if (what_holds(w))
        make_hot(w);
}

ssize_t sock_read(struct sock *s, void *into, size_t room)
{
    loop_own_thread(s->loop);
    return end_read(s->watch->end, into, room);
}

ssize_t sock_writev(struct sock *s, const struct iovec *v, int n)
{
    loop_own_thread(s->loop);
    return end_write(s->watch->end, v, n);
}

void sock_shutdown(struct sock *s)
{
    loop_own_thread(s->loop);
    end_shut(s->watch->end);
}

void sock_close(struct sock *s, bool reset)
{
    struct watch *w = s->watch;
    if (!w)
        return;
    s->watch = NULL;
    end_close(w->end, reset);
    watch_dies(w);
}

struct addr sock_peer(const struct sock *s)
{
    return s->watch->end->peer;
}

/* ---- listeners and handles ---- */
static void listener_resumes(struct event *e)
{
    struct watch *w = CONTAINER(e, struct watch, resume);
    if (what_holds(w))
        make_hot(w);
}

enum fail listener_open(struct loop *l, struct listener *ln, const struct addr *at, struct addr *bound)
{
    if (addr_port(at) != 0 && addr_port(at) < 1024)
        return FAIL_port_denied;
    if (!descriptor_take())
        return FAIL_no_descriptors;
    struct watch *w = watch_new(l);
    if (!w) {
        descriptor_give();
        return FAIL_no_memory;
    }
    w->ln = ln;
    w->resume.happen = listener_resumes;
    w->place = place_open(at, place_stirs, w);
    if (!w->place) {
        watch_dies(w);
        return FAIL_address_in_use;
    }
    ln->loop = l;
    ln->watch = w;
    *bound = w->place->at;
    return OK;
}

void listener_close(struct listener *ln)
{
    struct watch *w = ln->watch;
    if (!w)
        return;
    ln->watch = NULL;
    place_close(&w->place);
    watch_dies(w);
}

static struct handle *handle_of(int no)
{
    struct handle *open = NULL;
    list_each (link, &handles)
        if (CONTAINER(link, struct handle, link)->no == no)
            open = CONTAINER(link, struct handle, link);
    assume(open);
    return open;
}

static struct end *handle_give(int no)
{
    struct handle *h = handle_of(no);
    struct end *end = h->end;
    list_del(&h->link);
    free(h);
    return end;
}

static int handle_new(struct end *end)
{
    struct handle *h = world_alloc(sizeof *h);
    *h = (struct handle){ .no = FIRST_HANDLE + ++handles_made, .end = end };
    list_push(&handles, &h->link);
    return h->no;
}

/* The reserve descriptor takes the connection in, so that the client learns, and lets it go. */
static void turn_away(struct watch *w)
{
    struct end *end = place_accept(w->place);
    struct addr from = end->peer;
    end_close(end, false);
    event_set(&w->resume, world_now() + ACCEPT_PAUSE);
    w->ln->accepted(w->ln, -1, &from);
}

static void accept_some(struct watch *w)
{
    for (uint64_t n = 1 + chance(4); n && w->ln && what_holds(w); n--) {
        if (!descriptor_take()) {
            turn_away(w);
            return;
        }
        struct end *end = place_accept(w->place);
        struct addr from = end->peer;
        w->ln->accepted(w->ln, handle_new(end), &from);
    }
}

void handle_close(int no)
{
    end_close(handle_give(no), false);
    descriptor_give();
}

void handle_refuse(int no, struct str bytes)
{
    struct end *end = handle_of(no)->end;
    char unread[4096];
    while (end_read(end, unread, sizeof unread) > 0)
        ; /* or the close would reset, and the answer be lost */
    for (ssize_t n = 1; n > 0 && bytes.n; bytes = str_drop(bytes, n > 0 ? (size_t)n : 0))
        n = end_write(end, &(struct iovec){ (char *)(uintptr_t)bytes.p, bytes.n }, 1);
    handle_close(no);
}

enum fail sock_adopt(struct loop *l, struct sock *s, int handle, const struct addr *from,
                     void (*ready)(struct sock *, unsigned))
{
    struct watch *w = watch_new(l);
    assume(addr_eq(&handle_of(handle)->end->peer, from));
    if (!w) {
        *s = (struct sock){ 0 };
        handle_close(handle);
        return FAIL_no_memory;
    }
    sock_begin(s, w, handle_give(handle), ready);
    return OK;
}

/* ---- a turn ---- */
static size_t gather(struct watches *ws)
{
    size_t n = 0;
    list_each_safe (link, &ws->hot) {
        struct watch *w = CONTAINER(link, struct watch, hot);
        if (!(w->seen = what_holds(w))) {
            list_del(link);
            continue;
        }
        if (n == ws->batch_cap) {
            ws->batch_cap = MAX(64, 2 * ws->batch_cap);
            ws->batch = realloc(ws->batch, ws->batch_cap * sizeof *ws->batch);
            assume(ws->batch);
        }
        ws->batch[n++] = w;
    }
    return n;
}

static void shuffle(struct watch **batch, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)chance(i);
        struct watch *w = batch[j];
        batch[j] = batch[i - 1];
        batch[i - 1] = w;
    }
}

void watches_tell(struct watches *ws)
{
    size_t n = gather(ws);
    shuffle(ws->batch, n);
    for (size_t i = 0; i < n; i++) {
        struct watch *w = ws->batch[i];
        if (w->ln)
            accept_some(w);
        else if (w->sock && (w->seen & w->watching))
            w->sock->ready(w->sock, w->seen & w->watching);
    }
}

bool watches_any_ready(const struct watches *ws)
{
    list_each (link, &ws->hot)
        if (what_holds(CONTAINER(link, struct watch, hot)))
            return true;
    return false;
}

void watches_bury(struct watches *ws)
{
    for (struct list *link; (link = list_pop(&ws->dead));)
        free(CONTAINER(link, struct watch, link));
}

/* ---- life ---- */
void watches_init(struct watches *ws)
{
    *ws = (struct watches){ 0 };
    list_init(&ws->open);
    list_init(&ws->hot);
    list_init(&ws->dead);
}

void watches_done(struct watches *ws)
{
    for (struct list *link; (link = list_pop(&ws->open));)
        list_push(&ws->dead, link);
    watches_bury(ws);
    free(ws->batch);
}

void handles_begin(void)
{
    list_init(&handles);
    handles_made = 0;
}

void handles_end(void)
{
    for (struct list *link; (link = list_pop(&handles));)
        free(CONTAINER(link, struct handle, link));
}

unsigned handles_leaks(FILE *to)
{
    return tell_leaks(to, "handles", &handles);
}
