/* net/websocket.h - the server's side of a WebSocket (RFC 6455): a stranger's bytes in, whole text messages out.
 *
 * No socket and no clock inside: bytes are given to it, and what it has to say by itself (pongs, a close) goes through
 * `write`. Frames of data are made by websocket_head, so one frame may be written to many. Text only, no extensions.
 * Frames are read by libwslay; messages are gathered in pooled buffers. Threads: the owning worker only. */
#pragma once
#include "base/buf.h"

struct websocket;
/* Each is called from within websocket_take, where the websocket must not be freed. */
struct websocket_events {
    /* A whole message, valid UTF-8. Lent for the call; who keeps the block leaves an empty buffer. */
    void (*message)(void *arg, struct buf *text);
    /* Frames of its own; all bytes are taken. Also from websocket_close. */
    void (*write)(void *arg, struct str frames);
    /* So many bytes of an unfinished message are in memory; false: that is too much, it is ended with 1013. */
    bool (*may_hold)(void *arg, size_t bytes);
};
/* 1009 ends who sends a message of more than `message_max` bytes, or announces one. NULL when memory is out. */
struct websocket *websocket_new(size_t message_max, const struct websocket_events *on, void *arg);
void websocket_free(struct websocket **w);
/* All of `in`. False: it is over, by the peer's close or by its fault, and the closing frame has been written; close
 * the connection when that has gone out. */
bool websocket_take(struct websocket *w, struct str in);
/* Says goodbye; nothing that comes is read any more. `reason`: at most 123 bytes. Once. */
enum websocket_code {
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_NOT_TEXT = 1003,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_TRY_LATER = 1013
};
void websocket_close(struct websocket *w, enum websocket_code code, struct str reason);

/* The head of an unmasked, unfragmented frame; payload follows. Returns its length. */
enum websocket_kind { WEBSOCKET_TEXT = 1, WEBSOCKET_PING = 9 };
#define WEBSOCKET_HEAD 10
size_t websocket_head(enum websocket_kind kind, uint64_t payload, char out[WEBSOCKET_HEAD]);
/* The answer to a client's Sec-WebSocket-Key, 28 characters and a NUL; false: it is no such key (section 4.2.1). */
bool websocket_answer(struct str key, char out[29]);
