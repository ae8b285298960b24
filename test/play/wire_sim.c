/* The simulated network: wires between two ends, with what real sockets do and tests on loopback never see.
 *
 *      end 0 (dialled) --pipe 0--> end 1 (accepted)         pipe:  read <= arrived <= written <= freed + window
 *                      <--pipe 1--                                 reader | in flight | writer
 *
 * Bytes a writer hands over are cut into segments, each with an arrival of its own, in order. Room comes back to the
 * writer one delay after the reader took the bytes. A FIN is the last segment; a RST overtakes what it pleases:
 * segments still in flight are partly lost. As with Linux, closing with unread bytes resets, writing to somebody who is
 * gone is answered with RST, and what arrived before a RST can still be read. Without ends, a wire is buried at once
 * and freed by the next step.
 *
 * Rejected: real sockets in a network namespace (no control over time), and a model of packets with loss and
 * retransmission: to a stream socket all of that is delay. */
#include "world_inside.h"
#include <stdlib.h>

#define RETRY_AT_FIRST SECOND(1)
#define SYN_RETRIES    6
#define RETRANSMIT     MSEC(200)

struct segment {
    struct list link;
    nsec due;
    size_t n;
    bool fin;
};
struct pipe {
    struct wire *wire;
    struct event arrival, ack;
    struct list flying;
    char *data; /* [read, written) starts at data + start */
    size_t start, cap;
    uint64_t read, arrived, written, freed, cut_at;
    nsec last_due;
    bool fin_arrived;
};
struct wire {
    struct list link;
    unsigned no, tries;
    struct addr to;
    struct link manner;
    size_t segment, window;
    struct end ends[2];
    struct pipe pipes[2]; /* [i] is written by end i */
    struct event syn, verdict, resets[2];
    bool buried;
};

static struct {
    struct list wires, graves;
    unsigned wires_made;
} net;

static nsec delay(const struct wire *w)
{
    return chance_between(w->manner.delay_min, w->manner.delay_max);
}

/* Nothing passes while one of the two is a black hole: the packet comes again later. */
static bool held_back(struct wire *w, struct event *packet)
{
    if (!is_dark(&w->to) && !is_dark(&w->ends[0].own))
        return false;
    event_set(packet, world_now() + RETRANSMIT);
    return true;
}

/* ---- pipes ---- */
static struct pipe *pipe_out(const struct end *e)
{
    return &e->wire->pipes[e->side];
}
static struct pipe *pipe_in(const struct end *e)
{
    return &e->wire->pipes[!e->side];
}
static struct end *other_end(const struct end *e)
{
    return &e->wire->ends[!e->side];
}
static unsigned end_no(const struct end *e)
{
    return 2 * e->wire->no + e->side;
}

static void wake(struct end *e)
{
    if (e->wake)
        e->wake(e);
}

static void next_arrival(struct pipe *p)
{
    struct list *first = list_first(&p->flying);
    if (first)
        event_set(&p->arrival, CONTAINER(first, struct segment, link)->due);
    else
        event_cancel(&p->arrival);
}

static void launch(struct pipe *p, size_t n, bool fin)
{
    struct segment *s = world_alloc(sizeof *s);
    nsec due = world_now() + delay(p->wire);
    p->last_due = MAX(p->last_due, due);
    *s = (struct segment){ .due = p->last_due, .n = n, .fin = fin };
    bool alone = list_empty(&p->flying);
    list_push(&p->flying, &s->link);
    if (alone)
        next_arrival(p);
}

static void launch_in_segments(struct pipe *p, size_t n)
{
    while (n) {
        size_t least = MIN(p->wire->manner.segment_min, p->wire->segment);
        size_t size = (size_t)chance_between((nsec)least, (nsec)p->wire->segment);
        size = MIN(n, size);
        launch(p, size, false);
        n -= size;
    }
}

/* All but the first `keep` segments are lost. */
static void lose(struct pipe *p, uint64_t keep)
{
    uint64_t reach = p->arrived;
    list_each_safe (link, &p->flying) {
        struct segment *s = CONTAINER(link, struct segment, link);
        if (keep && keep--) {
            reach += s->n;
            p->last_due = s->due;
            continue;
        }
        list_del(link);
        free(s);
    }
    p->written = reach;
    next_arrival(p);
}

static size_t pipe_room(const struct pipe *p)
{
    uint64_t used = p->written - p->freed;
    return used >= p->wire->window ? 0 : p->wire->window - (size_t)used;
}

static void store(struct pipe *p, const char *bytes, size_t n)
{
    size_t held = (size_t)(p->written - p->read);
    if (held)
        memmove(p->data, p->data + p->start, held);
    p->start = 0;
    if (held + n > p->cap) {
        p->cap = MAX(2 * p->cap, held + n);
        p->data = realloc(p->data, p->cap);
        assume(p->data);
    }
    memcpy(p->data + held, bytes, n);
    p->written += n;
}

/* Bytes the other program has taken make room for the writer. */
static void ack_arrives(struct event *e)
{
    struct pipe *p = CONTAINER(e, struct pipe, ack);
    if (held_back(p->wire, e))
        return;
    trace("room", p->wire->no, p->read);
    p->freed = p->read;
    wake(&p->wire->ends[p - p->wire->pipes]);
}

static void cut(struct wire *w)
{
    trace("cut", w->no, 0);
    for (int i = 0; i < 2; i++) {
        w->ends[i].broken = true;
        lose(&w->pipes[i], 0);
        event_cancel(&w->resets[i]);
    }
    for (int i = 0; i < 2; i++)
        wake(&w->ends[i]);
}

static void send_reset(struct end *from)
{
    struct pipe *out = pipe_out(from);
    size_t flying = 0;
    list_each (link, &out->flying)
        flying++;
    trace("send_reset", end_no(from), flying);
    from->broken = true;
    lose(out, chance(flying + 1));
    nsec due = world_now() + delay(from->wire);
    out->last_due = list_empty(&out->flying) ? due : MAX(due, out->last_due);
    event_set(&from->wire->resets[!from->side], out->last_due);
}

static void reset_arrives(struct end *at, struct event *e)
{
    if (held_back(at->wire, e))
        return;
    if (!list_empty(&pipe_in(at)->flying)) { /* they were retransmitted: the reset comes after them */
        event_set(e, world_now() + RETRANSMIT);
        return;
    }
    trace("reset", end_no(at), 0);
    at->broken = true;
    lose(pipe_out(at), 0);
    wake(at);
}

static void reset_arrives_at_0(struct event *e)
{
    reset_arrives(&CONTAINER(e, struct wire, resets[0])->ends[0], e);
}
static void reset_arrives_at_1(struct event *e)
{
    reset_arrives(&CONTAINER(e, struct wire, resets[1])->ends[1], e);
}

static void segment_arrives(struct event *e)
{
    struct pipe *p = CONTAINER(e, struct pipe, arrival);
    struct end *to = &p->wire->ends[p - p->wire->pipes == 0];
    struct segment *s = CONTAINER(list_first(&p->flying), struct segment, link);
    if (held_back(p->wire, e))
        return;
    bool severed = p->arrived + s->n > p->cut_at || (s->n && p->arrived + s->n == p->cut_at);
    size_t n = severed ? (size_t)(p->cut_at - MIN(p->cut_at, p->arrived)) : s->n;
    list_del(&s->link);
    trace(s->fin ? "fin" : "segment", end_no(to), n);
    p->arrived += n;
    p->fin_arrived |= s->fin;
    bool nobody_home = to->gone && s->n;
    free(s);
    next_arrival(p);
    if (severed)
        cut(p->wire);
    else if (nobody_home && !to->broken)
        send_reset(to);
    else
        wake(to);
}

/* ---- dialling ---- */
static void verdict_arrives(struct event *e)
{
    struct wire *w = CONTAINER(e, struct wire, verdict);
    struct end *dialler = &w->ends[0];
    if (dialler->failed != FAIL_connect_timeout && held_back(w, e))
        return;
    trace("dialled", w->no, dialler->failed);
    dialler->opening = false;
    dialler->broken |= dialler->failed != OK;
    wake(dialler);
}

static void decide(struct wire *w, enum fail f, nsec after)
{
    w->ends[0].failed = f;
    event_set(&w->verdict, world_now() + after);
    w->pipes[1].last_due = world_now() + after; /* nothing comes back before the connection stands */
}

static void establish(struct wire *w, struct place *p)
{
    decide(w, OK, delay(w));
    w->ends[1].gone = false;
    list_push(&p->waiting, &w->ends[1].waiting);
    p->n_waiting++;
    p->wake(p);
}

static void try_again(struct wire *w)
{
    if (++w->tries > SYN_RETRIES)
        decide(w, FAIL_connect_timeout, 0);
    else
        event_set(&w->syn, world_now() + (RETRY_AT_FIRST << (w->tries - 1)));
}

static void syn_arrives(struct event *e)
{
    struct wire *w = CONTAINER(e, struct wire, syn);
    const struct link *manner = manner_of(&w->to);
    struct place *p = place_that_answers(&w->to);
    trace("syn", w->no, manner->answer);
    bool full = manner->answer == LINK_OPEN && p && p->n_waiting >= manner->backlog;
    if (full || is_dark(&w->to) || is_dark(&w->ends[0].own))
        try_again(w);
    else if (manner->answer == LINK_NO_ROUTE)
        decide(w, FAIL_connect_failed, delay(w));
    else if (manner->answer == LINK_REFUSE || !p)
        decide(w, FAIL_connect_refused, delay(w));
    else
        establish(w, p);
}

/* As real systems do it now and then: within the call, when the refusal needs no wire. */
static enum fail fails_at_once(const struct addr *to)
{
    const struct link *manner = manner_of(to);
    if (manner->answer == LINK_NO_ROUTE && one_in(2))
        return FAIL_connect_failed;
    bool refused = manner->answer == LINK_REFUSE || (manner->answer == LINK_OPEN && !place_that_answers(to));
    if (refused && addr_is_loopback(to) && one_in(4))
        return FAIL_connect_refused;
    return OK;
}

static void wire_init(struct wire *w, const struct addr *to, const struct addr *from)
{
    *w = (struct wire){
        .no = ++net.wires_made,
        .to = *to,
        .manner = *manner_of(to),
        .syn.happen = syn_arrives,
        .verdict.happen = verdict_arrives,
        .resets = {{ .happen = reset_arrives_at_0 }, { .happen = reset_arrives_at_1 }}
    };
    w->segment = chance_scaled(w->manner.segment_min, w->manner.segment_max);
    w->window = chance_scaled(w->manner.window_min, w->manner.window_max);
    for (unsigned i = 0; i < 2; i++) {
        w->ends[i] = (struct end){ .wire = w, .side = i, .own = i ? *to : *from, .peer = i ? *from : *to };
        w->pipes[i] = (struct pipe){ .wire = w,
                                     .arrival.happen = segment_arrives,
                                     .ack.happen = ack_arrives,
                                     .cut_at = i ? w->manner.cut_down : w->manner.cut_up };
        list_init(&w->pipes[i].flying);
    }
    w->ends[0].opening = true;
    w->ends[1].gone = true;
}

static struct addr own_address(const struct addr *to)
{
    const char *host = !addr_is_loopback(to) ? "10.0.0.1:0" : to->any.sa_family == AF_INET6 ? "[::1]:0" : "127.0.0.1:0";
    return world_addr(host);
}

struct end *end_dial(const struct addr *to, const struct addr *from, enum fail *f)
{
    struct addr own = from ? *from : own_address(to);
    if ((*f = fails_at_once(to)))
        return NULL;
    if (addr_port(&own) == 0)
        addr_set_port(&own, fresh_port());
    struct wire *w = world_alloc(sizeof *w);
    wire_init(w, to, &own);
    list_push(&net.wires, &w->link);
    event_set(&w->syn, world_now() + delay(w));
    trace("dial", w->no, addr_port(to));
    return &w->ends[0];
}

/* ---- what an owner of an end does ---- */
unsigned end_ready(const struct end *e)
{
    const struct pipe *in = pipe_in(e), *out = pipe_out(e);
    unsigned ready = 0;
    if (e->opening)
        return 0;
    if (e->broken)
        return SOCK_READ | SOCK_WRITE | SOCK_HUP;
    if (in->arrived > in->read || in->fin_arrived)
        ready |= SOCK_READ;
    if (in->fin_arrived)
        ready |= SOCK_HUP;
    if (e->shut || pipe_room(out) * 3 >= e->wire->window)
        ready |= SOCK_WRITE;
    return ready;
}

static size_t perhaps_less(const struct end *e, size_t n)
{
    return n > 1 && one_in(e->wire->manner.partial) ? 1 + (size_t)chance(n - 1) : n;
}

static size_t take(struct end *e, void *into, size_t n)
{
    struct pipe *in = pipe_in(e);
    memcpy(into, in->data + in->start, n);
    in->start += n;
    in->read += n;
    if (!event_pending(&in->ack))
        event_set(&in->ack, world_now() + delay(e->wire));
    trace("read", end_no(e), n);
    return n;
}

ssize_t end_read(struct end *e, void *into, size_t room)
{
    struct pipe *in = pipe_in(e);
    size_t there = (size_t)(in->arrived - in->read);
    assume(room > 0);
    if (there)
        return (ssize_t)take(e, into, perhaps_less(e, MIN(there, room)));
    if (e->broken)
        return -2;
    return in->fin_arrived ? -1 : 0;
}

ssize_t end_write(struct end *e, const struct iovec *v, int n)
{
    struct pipe *out = pipe_out(e);
    size_t all = 0, taken = 0;
    uint64_t h = 0;
    if (e->broken || e->shut)
        return -2;
    for (int i = 0; i < n; i++)
        all += v[i].iov_len;
    size_t most = e->opening ? 0 : perhaps_less(e, MIN(all, pipe_room(out)));
    for (int i = 0; i < n && taken < most; i++) {
        size_t part = MIN(v[i].iov_len, most - taken);
        if (part)
            store(out, v[i].iov_base, part);
        h = digest(h, v[i].iov_base, part);
        taken += part;
    }
    trace("write", end_no(e), h ^ taken);
    launch_in_segments(out, taken);
    return (ssize_t)taken;
}

void end_shut(struct end *e)
{
    if (e->shut || e->broken || e->opening)
        return;
    e->shut = true;
    trace("shut", end_no(e), 0);
    launch(pipe_out(e), 0, true);
}

static void bury(struct wire *w)
{
    list_del(&w->link);
    list_push(&net.graves, &w->link);
    w->buried = true;
    event_cancel(&w->syn);
    event_cancel(&w->verdict);
    for (int i = 0; i < 2; i++) {
        event_cancel(&w->resets[i]);
        event_cancel(&w->pipes[i].ack);
        lose(&w->pipes[i], 0);
    }
}

void end_close(struct end *e, bool reset)
{
    struct pipe *in = pipe_in(e);
    trace(reset ? "close_reset" : "close", end_no(e), 0);
    e->gone = true;
    e->wake = NULL;
    list_del_if(&e->waiting);
    if (other_end(e)->gone)
        bury(e->wire);
    else if (e->broken)
        return;
    else if (reset || e->opening || in->arrived > in->read)
        send_reset(e);
    else
        end_shut(e);
}

void end_cut_after(struct end *e, uint64_t n, bool inbound)
{
    struct pipe *p = inbound ? pipe_in(e) : pipe_out(e);
    p->cut_at = n;
    if (p->arrived >= n && !e->wire->buried)
        cut(e->wire);
}

/* ---- life ---- */
static void wire_free(struct wire *w)
{
    for (int i = 0; i < 2; i++) {
        lose(&w->pipes[i], 0);
        event_cancel(&w->pipes[i].arrival);
        event_cancel(&w->pipes[i].ack);
        event_cancel(&w->resets[i]);
        free(w->pipes[i].data);
    }
    event_cancel(&w->syn);
    event_cancel(&w->verdict);
    free(w);
}

void wires_sweep(void)
{
    for (struct list *link; (link = list_pop(&net.graves));)
        wire_free(CONTAINER(link, struct wire, link));
}

void wires_begin(void)
{
    memset(&net, 0, sizeof net);
    list_init(&net.wires);
    list_init(&net.graves);
}

void wires_end(void)
{
    wires_sweep();
    for (struct list *link; (link = list_pop(&net.wires));)
        wire_free(CONTAINER(link, struct wire, link));
}
