/* net/conn.h - a byte stream to a client or to a node: plain or TLS, with what the socket does not take at once kept in
 * order.
 *
 * Embedded in its owner (a client connection, a node connection); lives on one worker. The owner reads when told and
 * writes when it likes; nothing is copied that the socket takes at once. Callbacks come from the loop only. After
 * conn_close no callback follows and the struct may be reused. Threads: the owning worker only. */
#pragma once
#include "base/buf.h"
#include "net/loop.h"

struct conn;
struct tls_context;
/* An owner that never needs one leaves it NULL. In each it may do anything with any connection, also close and reuse
 * this one. */
struct conn_events {
    /* Dialled (and TLS shaken hands), or failed. Accepted: the handshake is over; never for plain. */
    void (*opened)(struct conn *c, enum fail f);
    void (*readable)(struct conn *c); /* call conn_read now; also at EOF; each turn while it holds */
    void (*drained)(struct conn *c);  /* all that was pending has been written */
    void (*hung_up)(struct conn *c);  /* while not reading: the peer closed or reset; each turn while watched */
};
struct conn_piece;
struct conn {
    struct sock sock;
    struct tls *tls; /* NULL: plain */
    const struct conn_events *on;
    struct conn_piece *out_first, *out_last; /* what the socket has not taken yet */
    size_t out_bytes;
    uint64_t bytes_in, bytes_out;    /* of the owner's, without TLS's own; out: taken by the socket */
    struct timer nudge;              /* for what the owner must be told without an event of the socket */
    uint8_t watching;                /* SOCK_ bits the owner wants (READ or HUP); WRITE is conn's own */
    uint8_t read_needs, write_needs; /* SOCK_ bits reading and writing wait for: TLS may cross them */
    bool dialing, opening, broken, closing, owes_drained;
};
void conn_pools_init(void);
void conn_pools_done(void);
/* `tls`: NULL for plain; `server_name` for SNI and certificate check. `opened` follows from the loop unless a failure
 * is returned (then the connection is closed). FAIL_tls_failed: conn_tls_trouble says more. What is written before goes
 * out after it. */
enum fail conn_dial(struct conn *c, struct loop *l, const struct addr *to, struct tls_context *tls,
                    struct str server_name, const struct conn_events *on);
/* Accepted: watches nothing at first. `opened` follows with TLS only. FAIL_no_memory closes the handle. */
enum fail conn_adopt(struct conn *c, struct loop *l, int handle, const struct addr *from, struct tls_context *tls,
                     const struct conn_events *on);
/* SOCK_READ: `readable` when bytes or EOF are there; with SOCK_LAZY a little late when many are. SOCK_HUP: only
 * `hung_up`. 0: neither (nothing is noticed). */
void conn_watch(struct conn *c, unsigned what);
struct addr conn_peer(const struct conn *c);
/* Why the handshake failed, in OpenSSL's words ("self-signed certificate"); until conn_close. "" if nothing is known.
 */
const char *conn_tls_trouble(const struct conn *c);
/* As sock_read: > 0, 0 = nothing now, -1 = EOF, -2 = broken. What came before a reset is read first. TLS: EOF without
 * the peer's close_notify is -2 (cut off); may leave decrypted bytes behind; `readable` then follows from the loop by
 * itself. */
ssize_t conn_read(struct conn *c, void *into, size_t room);
/* Writes, or queues what is not taken. FLEETING bytes are copied when queued; LASTING ones must stay unchanged until
 * `drained` or conn_close. Pieces already queued go first. On a broken connection the bytes are dropped and
 * FAIL_client_gone is returned (also by later calls); the owner learns of it by `readable`/`hung_up` too.
 * FAIL_no_memory breaks the connection. */
enum conn_life { FLEETING, LASTING };
enum fail conn_write(struct conn *c, const struct iovec *v, int n, enum conn_life life);
static inline size_t conn_pending(const struct conn *c)
{
    return c->out_bytes;
}
/* FIN after what is pending; later writes fail with FAIL_client_gone. */
void conn_shutdown(struct conn *c);
/* Nothing happens on a closed one. Drops what is pending. reset: RST, so that nobody takes a broken answer for a whole
 * one. */
void conn_close(struct conn *c, bool reset);
static inline bool conn_is_open(const struct conn *c)
{
    return sock_is_open(&c->sock);
}
