/* Scripted machines: an end of a wire whose owner is the test, driven straight from the event queue.
 *
 * A peer needs no loop and no buffers' discipline: it reads all that arrives into one growing text and keeps what the
 * socket does not take. Everything that can change (something arrived, room, an end) goes through progress(), in the
 * order a program would see it; any callback may close the peer, so each step looks first whether there still is an
 * end. */
#include "world_inside.h"
#include <stdarg.h>
#include <stdlib.h>

struct pile {
    char *bytes;
    size_t start, end, cap;
};
struct peer_state {
    struct peer peer;
    struct list link;
    struct end *end; /* NULL: closed, or refused within the dial */
    enum fail refused;
    struct event again;
    struct addr own;
    struct pile in, out;
    bool opened, stalled, shutting, closing, saw_end, saw_reset;
};
struct stand {
    struct list link;
    struct place *place;
    void (*on_accept)(struct peer *p, void *arg);
    void *arg;
};
static struct list peers, stands;

/* ---- piles: always a NUL behind ---- */
static void pile_put(struct pile *p, const char *bytes, size_t n)
{
    if (p->end + n + 1 > p->cap) {
        p->cap = 2 * (p->end + n + 1);
        p->bytes = realloc(p->bytes, p->cap);
        assume(p->bytes);
    }
    if (n)
        memcpy(p->bytes + p->end, bytes, n);
    p->end += n;
    p->bytes[p->end] = 0;
}

static void pile_eat(struct pile *p, size_t n)
{
    assume(n <= p->end - p->start);
    p->start += n;
    if (p->start < p->end - p->start)
        return;
    memmove(p->bytes, p->bytes + p->start, p->end - p->start + 1);
    p->end -= p->start;
    p->start = 0;
}

static size_t pile_n(const struct pile *p)
{
    return p->end - p->start;
}

/* ---- progress ---- */
static void leave(struct peer_state *s, bool reset)
{
    struct end *end = s->end;
    s->end = NULL;
    if (end)
        end_close(end, reset);
}

static void open_if_dialled(struct peer_state *s)
{
    if (s->opened || (s->end ? s->end->opening : s->closing))
        return;
    enum fail f = s->end ? s->end->failed : s->refused;
    s->opened = true;
    s->saw_reset = f != OK;
    if (s->peer.on_open && !s->closing)
        s->peer.on_open(&s->peer, f);
}

static void flush(struct peer_state *s)
{
    while (s->end && pile_n(&s->out)) {
        struct iovec v = { s->out.bytes + s->out.start, pile_n(&s->out) };
        ssize_t n = end_write(s->end, &v, 1);
        if (n <= 0)
            return;
        pile_eat(&s->out, (size_t)n);
    }
    if (s->end && s->opened && s->closing)
        leave(s, false);
    else if (s->end && s->opened && s->shutting)
        end_shut(s->end);
}

/* True when something came. */
static bool draw(struct peer_state *s)
{
    char bytes[4096];
    bool any = false;
    for (ssize_t n; (n = end_read(s->end, bytes, sizeof bytes)) != 0; any = true) {
        s->saw_end |= n == -1;
        s->saw_reset |= n == -2;
        if (n < 0)
            break;
        pile_put(&s->in, bytes, (size_t)n);
    }
    return any;
}

static void receive(struct peer_state *s)
{
    if (!s->end || !s->opened || s->stalled || s->saw_end || s->saw_reset)
        return;
    if (draw(s) && !s->closing && s->peer.on_data)
        s->peer.on_data(&s->peer);
    if ((s->saw_end || s->saw_reset) && s->end && !s->closing && s->peer.on_close)
        s->peer.on_close(&s->peer, s->saw_reset);
}

/* A reset after the FIN was seen: no more than a fact. */
static void notice_late_reset(struct peer_state *s)
{
    if (s->end && s->end->broken && s->opened)
        s->saw_reset = s->saw_reset || s->saw_end;
}

static void progress(struct peer_state *s)
{
    open_if_dialled(s);
    flush(s);
    receive(s);
    notice_late_reset(s);
}

static void peer_wakes(struct end *e)
{
    progress(e->owner);
}
static void look_again(struct event *e)
{
    progress(CONTAINER(e, struct peer_state, again));
}

/* ---- life ---- */
static struct peer_state *peer_at(struct end *end, bool opened)
{
    struct peer_state *s = world_alloc(sizeof *s);
    s->peer.state = s;
    s->again.happen = look_again;
    s->opened = opened;
    pile_put(&s->in, NULL, 0);
    list_push(&peers, &s->link);
    if (!end)
        return s;
    s->end = end;
    s->own = end->own;
    end->owner = s;
    end->wake = peer_wakes;
    return s;
}

static void somebody_comes(struct place *p)
{
    struct stand *stand = p->owner;
    for (struct end *end; (end = place_accept(p));) {
        struct peer_state *s = peer_at(end, true);
        s->own = end->own;
        if (stand->on_accept)
            stand->on_accept(&s->peer, stand->arg);
    }
}

void world_listen(const struct addr *at, void (*on_accept)(struct peer *p, void *arg), void *arg)
{
    struct stand *s = world_alloc(sizeof *s);
    *s = (struct stand){ .on_accept = on_accept, .arg = arg };
    s->place = place_open(at, somebody_comes, s);
    assume(s->place);
    list_push(&stands, &s->link);
}

void world_unlisten(const struct addr *at)
{
    struct place *p = place_exactly(at);
    struct stand *s = p ? p->owner : NULL;
    assume(s && p->wake == somebody_comes);
    place_close(&s->place);
    list_del(&s->link);
    free(s);
}

struct peer *world_connect(const struct addr *to, const struct addr *from)
{
    struct addr stranger = world_addr("10.9.0.1:0");
    enum fail f;
    if (!from && !addr_is_loopback(to))
        from = &stranger;
    struct end *end = end_dial(to, from, &f);
    struct peer_state *s = peer_at(end, false);
    if (end)
        return &s->peer;
    s->refused = f;
    event_set(&s->again, world_now());
    return &s->peer;
}

/* ---- what the script does ---- */
void peer_send(struct peer *p, struct str bytes)
{
    struct peer_state *s = p->state;
    assume(!s->closing && !s->shutting);
    if (!s->end)
        return;
    pile_put(&s->out, bytes.p, bytes.n);
    flush(s);
}

void peer_sendf(struct peer *p, const char *format, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&line, format, args);
    va_end(args);
    assume(n >= 0);
    peer_send(p, (struct str){ line, (size_t)n });
    free(line);
}

struct str peer_received(const struct peer *p)
{
    const struct pile *in = &p->state->in;
    return (struct str){ in->bytes + in->start, pile_n(in) };
}

void peer_eat(struct peer *p, size_t n)
{
    pile_eat(&p->state->in, n);
}

void peer_stall(struct peer *p, bool stalled)
{
    struct peer_state *s = p->state;
    s->stalled = stalled;
    event_set(&s->again, world_now());
}

void peer_shutdown(struct peer *p)
{
    p->state->shutting = true;
    flush(p->state);
}

void peer_close(struct peer *p, enum peer_close how)
{
    struct peer_state *s = p->state;
    s->closing = true;
    if (how == CLOSE_RESET || (s->end && s->end->broken))
        leave(s, how == CLOSE_RESET);
    else
        flush(s);
}

bool peer_is_open(const struct peer *p)
{
    const struct peer_state *s = p->state;
    return s->end && s->opened && !s->closing && !s->saw_reset && !s->end->broken;
}

bool peer_saw_end(const struct peer *p)
{
    return p->state->saw_end;
}
bool peer_saw_reset(const struct peer *p)
{
    return p->state->saw_reset;
}
struct addr peer_address(const struct peer *p)
{
    return p->state->own;
}

void world_cut_after(struct peer *p, uint64_t n, enum peer_side direction)
{
    if (p->state->end)
        end_cut_after(p->state->end, n, direction == TO_PEER);
}

static void peer_free(struct peer_state *s)
{
    free(s->in.bytes);
    free(s->out.bytes);
    free(s);
}

void peers_begin(void)
{
    list_init(&peers);
    list_init(&stands);
}

void peers_end(void)
{
    for (struct list *link; (link = list_pop(&peers));)
        peer_free(CONTAINER(link, struct peer_state, link));
    for (struct list *link; (link = list_pop(&stands));)
        free(CONTAINER(link, struct stand, link));
}
