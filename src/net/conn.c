/* net/conn.c - a connection: the plain path adds a few branches to the sock, everything else is for the unusual.
 *
 *     conn_write --> socket (or TLS) takes all of it: done, nothing is kept
 *           '------> takes less: the rest as pieces, oldest first --> SOCK_WRITE --> pieces out --> drained
 *
 * There is no output buffer: bytes are offered to the kernel where they lie, and only what it refuses is kept, as a
 * reference (LASTING) or as a copy in pooled blocks (FLEETING). An idle connection holds this struct, nothing more.
 *
 * What the owner must hear without an event of the socket (bytes that TLS has decrypted already, a write that found the
 * connection broken) comes through `nudge`, a timer due at once: so every callback comes from the loop.
 *
 * A callback may close the connection and reuse its memory. So each is the last thing done in its event; if two are
 * due, one waits for a nudge. */
#include "net/conn.h"

#include "base/slab.h"
#include "net/tls.h"

#define WINDOW      64      /* pieces offered to the socket in one call */
#define PIECE_BYTES KIB(64) /* one copied piece holds at most this */

struct conn_piece {
    struct conn_piece *next;
    struct str lasting; /* the owner's bytes; or, when `own` has a block: */
    struct buf own;     /* copied ones */
};
static struct slab pieces;

void conn_pools_init(void)
{
    slab_init(&pieces, "conn_piece", sizeof(struct conn_piece));
    tls_pools_init();
}

void conn_pools_done(void)
{
    slab_done(&pieces);
    tls_pools_done();
}

/* --- what is pending --- */

static struct str piece_bytes(const struct conn_piece *p)
{
    return p->own.block ? buf_str(&p->own) : p->lasting;
}

static void pop_piece(struct conn *c)
{
    struct conn_piece *p = c->out_first;
    c->out_first = p->next;
    if (!p->next)
        c->out_last = NULL;
    c->out_bytes -= piece_bytes(p).n;
    buf_free(&p->own);
    slab_give(&pieces, &p);
}

static struct conn_piece *push_piece(struct conn *c)
{
    struct conn_piece *p = slab_take0(&pieces);
    if (!p)
        return NULL;
    if (c->out_last)
        c->out_last->next = p;
    else
        c->out_first = p;
    return c->out_last = p;
}

static void drop_pieces(struct conn *c)
{
    while (c->out_first)
        pop_piece(c);
}

static void eat_pieces(struct conn *c, size_t n)
{
    while (n > 0 && n >= piece_bytes(c->out_first).n) {
        n -= piece_bytes(c->out_first).n;
        pop_piece(c);
    }
    if (n == 0)
        return;
    c->out_bytes -= n;
    if (c->out_first->own.block)
        buf_eat(&c->out_first->own, n);
    else
        c->out_first->lasting = str_drop(c->out_first->lasting, n);
}

static enum fail keep_reference(struct conn *c, struct str bytes)
{
    struct conn_piece *p = push_piece(c);
    if (!p)
        return FAIL_no_memory;
    p->lasting = bytes;
    c->out_bytes += bytes.n;
    return OK;
}

static struct buf *copy_room(struct conn *c, size_t wanted)
{
    struct conn_piece *p = c->out_last;
    if (p && p->own.block && buf_room(&p->own) > 0)
        return &p->own;
    p = push_piece(c);
    if (!p || buf_reserve(&p->own, MIN(wanted, PIECE_BYTES)))
        return NULL;
    return &p->own;
}

static enum fail keep_copy(struct conn *c, struct str bytes)
{
    while (bytes.n > 0) {
        struct buf *b = copy_room(c, bytes.n);
        if (!b)
            return FAIL_no_memory;
        struct str part = str_take(bytes, buf_room(b));
        enum fail f = buf_append(b, part);
        assume(!f);
        c->out_bytes += part.n;
        bytes = str_drop(bytes, part.n);
    }
    return OK;
}

/* --- what is watched, and what is told --- */

static unsigned needs(const struct conn *c)
{
    if (c->opening)
        return c->read_needs;
    return (c->watching & SOCK_HUP) | (c->watching & SOCK_READ ? c->read_needs : 0) |
           (c->out_first ? c->write_needs : 0);
}

static void update_watch(struct conn *c)
{
    unsigned bits = needs(c);
    sock_watch(&c->sock, bits & SOCK_WRITE ? bits : bits | (c->watching & SOCK_LAZY));
}

static bool tls_can_read(const struct conn *c)
{
    return c->tls && tls_has_pending(c->tls);
}

static void nudge(struct conn *c)
{
    if (!timer_pending(&c->nudge))
        loop_timer_set(c->sock.loop, &c->nudge, loop_now(c->sock.loop));
}

static enum fail break_off(struct conn *c, enum fail f)
{
    c->broken = true;
    drop_pieces(c);
    update_watch(c);
    nudge(c);
    return f;
}

/* When these return the owner may have closed the connection. */
static void tell_drained(struct conn *c)
{
    c->owes_drained = false;
    if (c->on->drained)
        c->on->drained(c);
}

static void tell(struct conn *c, bool can_read, bool hung_up)
{
    if (c->watching & SOCK_READ) {
        if (can_read)
            c->on->readable(c);
    } else if (hung_up && c->watching & SOCK_HUP) {
        c->on->hung_up(c);
    }
}

static void on_nudge(struct timer *t)
{
    struct conn *c = CONTAINER(t, struct conn, nudge);
    bool can_read = c->broken || tls_can_read(c);
    if (!c->owes_drained) {
        tell(c, can_read, c->broken);
        return;
    }
    if (can_read)
        nudge(c);
    tell_drained(c);
}

/* --- writing --- */

/* Pieces of v after the first `skip` bytes, at most WINDOW. */
static int window(const struct iovec *v, int n, size_t skip, struct iovec out[WINDOW])
{
    int k = 0;
    for (int i = 0; i < n && k < WINDOW; i++) {
        size_t here = MIN(skip, v[i].iov_len);
        skip -= here;
        if (v[i].iov_len > here)
            out[k++] = (struct iovec){ (char *)v[i].iov_base + here, v[i].iov_len - here };
    }
    return k;
}

static ssize_t offer_tls(struct conn *c, const struct iovec *v, int n, size_t all)
{
    size_t taken = 0;
    while (taken < all) {
        struct iovec w[WINDOW];
        unsigned want = SOCK_WRITE;
        ssize_t k = tls_writev(c->tls, w, window(v, n, taken, w), &want);
        if (k < 0)
            return k;
        c->write_needs = (uint8_t)want;
        if (k == 0)
            break;
        taken += (size_t)k;
    }
    return (ssize_t)taken;
}

static ssize_t offer(struct conn *c, const struct iovec *v, int n, size_t all)
{
    ssize_t taken = c->tls ? offer_tls(c, v, n, all) : sock_writev(&c->sock, v, n);
    if (likely(taken > 0))
        c->bytes_out += (size_t)taken;
    return taken;
}

static size_t bytes_of(const struct iovec *v, int n)
{
    size_t all = 0;
    for (int i = 0; i < n; i++)
        all += v[i].iov_len;
    return all;
}

static enum fail keep(struct conn *c, const struct iovec *v, int n, size_t skip, enum conn_life life)
{
    for (int i = 0; i < n; i++) {
        size_t here = MIN(skip, v[i].iov_len);
        skip -= here;
        struct str left = str_drop((struct str){ v[i].iov_base, v[i].iov_len }, here);
        if (left.n == 0)
            continue;
        enum fail f = life == LASTING ? keep_reference(c, left) : keep_copy(c, left);
        if (f)
            return break_off(c, f);
    }
    c->owes_drained = false;
    update_watch(c);
    return OK;
}

enum fail conn_write(struct conn *c, const struct iovec *v, int n, enum conn_life life)
{
    if (unlikely(c->broken || c->closing))
        return FAIL_client_gone;
    size_t all = bytes_of(v, n), taken = 0;
    if (likely(!c->out_first && !c->opening && all > 0)) {
        ssize_t now = offer(c, v, n, all);
        if (unlikely(now < 0))
            return break_off(c, FAIL_client_gone);
        taken = (size_t)now;
    }
    return likely(taken == all) ? OK : keep(c, v, n, taken, life);
}

static int first_pieces(const struct conn *c, struct iovec out[WINDOW], size_t *out_all)
{
    int n = 0;
    *out_all = 0;
    for (const struct conn_piece *p = c->out_first; p && n < WINDOW; p = p->next) {
        struct str bytes = piece_bytes(p);
        out[n++] = (struct iovec){ (char *)bytes.p, bytes.n };
        *out_all += bytes.n;
    }
    return n;
}

static ssize_t offer_pieces(struct conn *c)
{
    while (c->out_first) {
        struct iovec w[WINDOW];
        size_t all;
        int n = first_pieces(c, w, &all);
        ssize_t taken = offer(c, w, n, all);
        if (taken < 0)
            return taken;
        eat_pieces(c, (size_t)taken);
        if ((size_t)taken < all)
            break;
    }
    return 0;
}

static void finish_sending(struct conn *c)
{
    if (c->tls)
        tls_shutdown(c->tls);
    sock_shutdown(&c->sock);
}

static void push_out(struct conn *c)
{
    if (offer_pieces(c) < 0) {
        break_off(c, FAIL_client_gone);
        return;
    }
    update_watch(c);
    if (c->out_first)
        return;
    if (c->closing)
        finish_sending(c);
    c->owes_drained = true;
}

/* --- opening --- */

static void begin_open(struct conn *c)
{
    update_watch(c);
    if (c->out_first)
        push_out(c);
    else if (c->closing)
        finish_sending(c);
    if (c->owes_drained || tls_can_read(c))
        nudge(c);
}

static void finish_opening(struct conn *c, enum fail f)
{
    c->opening = false;
    c->read_needs = SOCK_READ;
    if (f)
        break_off(c, f);
    else
        begin_open(c);
    if (c->on->opened)
        c->on->opened(c, f);
}

static void go_on_opening(struct conn *c)
{
    enum fail f = OK;
    bool done = true;
    unsigned want = SOCK_READ;
    if (c->dialing)
        f = sock_dialed(&c->sock);
    c->dialing = false;
    if (!f && c->tls)
        f = tls_handshake(c->tls, &done, &want);
    if (f || done) {
        finish_opening(c, f);
        return;
    }
    c->read_needs = (uint8_t)want;
    update_watch(c);
}

static void on_ready(struct sock *s, unsigned events)
{
    struct conn *c = CONTAINER(s, struct conn, sock);
    if (unlikely(c->opening)) {
        go_on_opening(c);
        return;
    }
    if (unlikely(c->out_first && events & c->write_needs))
        push_out(c);
    if (unlikely(c->owes_drained)) {
        if (events == SOCK_WRITE) {
            tell_drained(c);
            return;
        }
        nudge(c);
    }
    tell(c, events & c->read_needs, events & SOCK_HUP);
}

static void reset_state(struct conn *c, const struct conn_events *on)
{
    *c = (struct conn){ .on = on, .nudge.fire = on_nudge, .read_needs = SOCK_READ, .write_needs = SOCK_WRITE };
}

static enum fail add_tls(struct conn *c, struct tls_context *tls, struct str server_name)
{
    if (!tls)
        return OK;
    c->tls = tls_new(tls, &c->sock, server_name);
    if (c->tls)
        return OK;
    sock_close(&c->sock, true);
    return FAIL_no_memory;
}

enum fail conn_dial(struct conn *c, struct loop *l, const struct addr *to, struct tls_context *tls,
                    struct str server_name, const struct conn_events *on)
{
    reset_state(c, on);
    enum fail f = sock_dial(l, &c->sock, to, on_ready);
    if (!f)
        f = add_tls(c, tls, server_name);
    if (f)
        return f;
    c->dialing = c->opening = true;
    c->read_needs = SOCK_WRITE;
    return OK;
}

enum fail conn_adopt(struct conn *c, struct loop *l, int handle, const struct addr *from, struct tls_context *tls,
                     const struct conn_events *on)
{
    reset_state(c, on);
    enum fail f = sock_adopt(l, &c->sock, handle, from, on_ready);
    if (!f)
        f = add_tls(c, tls, STR_NONE);
    if (f || !tls)
        return f;
    c->opening = true;
    update_watch(c);
    return OK;
}

/* --- reading, watching, closing --- */

void conn_watch(struct conn *c, unsigned what)
{
    if (c->watching == what)
        return;
    c->watching = (uint8_t)what;
    if (c->opening)
        return;
    update_watch(c);
    if (unlikely(c->broken || tls_can_read(c)))
        nudge(c);
}

struct addr conn_peer(const struct conn *c)
{
    return sock_peer(&c->sock);
}

const char *conn_tls_trouble(const struct conn *c)
{
    return c->tls ? tls_trouble(c->tls) : "";
}

static ssize_t read_tls(struct conn *c, void *into, size_t room)
{
    unsigned want = SOCK_READ;
    if (c->opening)
        return 0;
    ssize_t n = tls_read(c->tls, into, room, &want);
    if (unlikely(want != c->read_needs)) {
        c->read_needs = (uint8_t)want;
        update_watch(c);
    }
    if (tls_can_read(c))
        nudge(c);
    return n;
}

ssize_t conn_read(struct conn *c, void *into, size_t room)
{
    ssize_t n = c->tls ? read_tls(c, into, room) : sock_read(&c->sock, into, room);
    if (likely(n > 0)) {
        c->bytes_in += (size_t)n;
        return n;
    }
    if (unlikely(n == -2 && !c->broken))
        break_off(c, FAIL_client_gone);
    return c->broken ? -2 : n;
}

void conn_shutdown(struct conn *c)
{
    if (c->closing || c->broken)
        return;
    c->closing = true;
    if (!c->out_first && !c->opening)
        finish_sending(c);
}

void conn_close(struct conn *c, bool reset)
{
    if (!conn_is_open(c))
        return;

    loop_timer_cancel(c->sock.loop, &c->nudge);
    drop_pieces(c);
    if (c->tls && !reset && !c->broken && !c->opening && !c->closing)
        tls_shutdown(c->tls);
    tls_free(&c->tls);
    sock_close(&c->sock, reset);
}
