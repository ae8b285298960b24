/* gateway/client.h - a client's connection: requests in, answers out, one exchange at a time, pipelined ones in order.
 *
 *     IDLE -> HEAD -> BODY -> BUSY -> (IDLE | SOCKET | LINGER | closed)
 *
 * IDLE holds no buffer. BUSY keeps watching: a FIN or reset from the client cancels its exchange at once. LINGER reads
 * away what a refused request still sends, so that the client gets to read the refusal (RFC 9112 section 9.6). SOCKET:
 * all that comes is a WebSocket's (gateway/socket.h). */
#pragma once
#include "gateway/exchange.h"

enum client_state { CLIENT_IDLE, CLIENT_HEAD, CLIENT_BODY, CLIENT_BUSY, CLIENT_SOCKET, CLIENT_LINGER };
struct client {
    struct conn conn;
    struct worker *worker;
    struct list link; /* worker->clients */
    struct list due;  /* worker->due */
    struct exchange *x;
    struct socket *socket; /* of one that is becoming a WebSocket, or is one */
    enum client_state state;
    bool keep_alive, http10, head_request, chunked, loopback, doomed, pumping, draining, held;
    unsigned served;
    size_t lingered; /* bytes read away */
    nsec linger_until;
    uint64_t taken;        /* conn.bytes_out when last looked at */
    struct buf in;         /* bytes of an unfinished head, or of pipelined requests */
    struct http_body body; /* of the running request */
    struct buf out;        /* records that wait for their millisecond */
    nsec last_write;
    struct timer timer; /* lazy */
    nsec deadline;
    uint8_t peer_n;
    char peer[47]; /* the address as text, made once: each record wants it */
};
void client_pools_init(void);
void client_pools_done(void);
/* Adopts an accepted handle. */
void client_accept(struct worker *w, int handle, const struct addr *from);
/* Those that wait for their millisecond (worker->due_timer). */
void clients_flush_due(struct worker *w);
/* Drain: idle ones close, busy ones after their answer. */
void clients_drain(struct worker *w);
/* Exit: everything closes. */
void clients_close_all(struct worker *w);
/* Closes from the loop, and cancels what runs: for failures noticed inside a call of the exchange's. */
void client_doom(struct client *c);
/* What is pending goes out, then the connection ends. From the loop, or from what client.c has called. */
void client_bow_out(struct client *c);
/* The exchange is over; `whole`: the answer went out completely, so the connection may carry another. */
void client_answered(struct client *c, bool whole);
extern const struct sink_ops client_sink;
