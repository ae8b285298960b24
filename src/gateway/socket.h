/* gateway/socket.h - a client's connection that has become a WebSocket: /ws (interface 3).
 *
 * Messages are JSON objects with a `type`. What is asked walks the road from the door as if it had come by HTTP, one
 * exchange each and many at once, so whatever holds for requests (who may, where to, cache, records) holds here:
 *     inference {id, path, body}                -> stream_chunk {id, data} ..., response {id, status, node, body}
 *     get_nodes, add_node {body}, remove_node {node}                        -> response
 *     cancel {id}                               -> error {id, code: "client_gone"} for what it ended
 *     subscribe {topics}                        -> the frames of those topics, each second; [] ends it
 * and error {id?, error, code, status} ends what failed. Owned by its client; lives on one worker. */
#pragma once
#include "gateway/client.h"
#include "gateway/feed.h"
#include "net/websocket.h"

#define SOCKET_CALLS 64 /* under way at once */
#define SOCKET_ID    72 /* bytes of an id, as it was spelled */

struct socket {
    struct client *client;
    struct websocket *websocket;
    struct list calls, due; /* all; those with frames that wait for the wire, the next one first */
    unsigned n_calls;
    struct feed_reader reader;
    unsigned topics;                                    /* FEED_BIT()s of what it has subscribed to */
    struct timer timer;                                 /* pings */
    nsec heard, pinged;                                 /* pinged: 0 if an answer to the last one has come */
    size_t counted;                                     /* of an unfinished message towards limits.bodies */
    struct str host, origin, authorization, user_agent; /* of the handshake; in `kept` */
    struct buf kept;
    bool loopback, ending, closing;
};
void socket_pools_init(void);
void socket_pools_done(void);

/* ---- for client.c ------------------------------------------------------------------------------------------------ */
/* The handshake has been answered. */
void socket_open(struct socket *s);
/* All that has come. False: it is over, and what it said last is pending. */
bool socket_take(struct socket *s, struct str in);
void socket_drained(struct socket *s);
/* No more messages; closes when what runs is over. */
void socket_drain(struct socket *s);
/* Cancels what runs. Not from within socket_take. */
void socket_free(struct socket **s);

/* ---- socket_call.c ----------------------------------------------------------------------------------------------- */
/* A message asks for something: `id` as JSON, empty if it has none. */
struct call_wish {
    struct str id, path;
    enum http_method method;
    struct str body;  /* inside `text`, or empty */
    struct buf *text; /* the message: its block may be taken over with the body */
};
void socket_call_pools_init(void);
void socket_call_pools_done(void);
void call_begin(struct socket *s, const struct call_wish *wish);
/* The one with this id is cancelled; false: there is none. */
bool call_cancel(struct socket *s, struct str id);
void calls_cancel_all(struct socket *s);
/* As much as the wire takes now, a few frames of each call in turn. */
void calls_pump(struct socket *s);
/* {"type":"error",...} at once. */
void socket_error(struct socket *s, struct str id, enum fail why, struct str message);
/* One text frame around what the text holds, at once; frees it. */
void socket_say(struct socket *s, struct text *t);
