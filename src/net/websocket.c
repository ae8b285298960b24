/* The state of a WebSocket's reading side is libwslay's: masks, fragments, control frames in between, lengths in three
 * sizes, UTF-8 across frames and the rules of closing are where hand-written readers go wrong, and no bytes of a
 * request pass here that are not small.
 *
 *     websocket_take -> wslay_event_recv -> started, piece, piece, ... whole -> on->message
 *                                              '-> (pong, close) wslay_event_send -> on->write
 *
 * Messages are gathered here rather than by wslay, which would hold each twice and in blocks of malloc. Frames towards
 * the peer are made without wslay: it would copy each for each peer, and the frame of a second is the same for all. */
#include "net/websocket.h"
#include "base/slab.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#define ASK_FROM KIB(16) /* messages below are bounded by the number of connections */

struct websocket {
    const struct websocket_events *on;
    void *arg;
    wslay_event_context_ptr wslay;
    struct str in; /* what is left of the bytes being taken */
    struct buf message;
    size_t message_max;
    bool in_data; /* the frame being read is one of the message */
    bool failed, closing;
};

/* ---- what wslay asks for ----------------------------------------------------------------------------------------- */

static ssize_t read_in(wslay_event_context_ptr c, uint8_t *to, size_t room, int flags, void *arg)
{
    struct websocket *w = arg;
    struct str piece = str_take(w->in, room);

    if (!piece.n) {
        wslay_event_set_error(c, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, piece.p, piece.n);
    w->in = str_drop(w->in, piece.n);
    return (ssize_t)piece.n;
}

static ssize_t write_out(wslay_event_context_ptr c, const uint8_t *bytes, size_t n, int flags, void *arg)
{
    struct websocket *w = arg;

    w->on->write(w->arg, (struct str){ (const char *)bytes, n });
    return (ssize_t)n;
}

static void started(wslay_event_context_ptr c, const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    struct websocket *w = arg;

    w->in_data = !wslay_is_ctrl_frame(frame->opcode);
    if (frame->opcode == WSLAY_BINARY_FRAME)
        websocket_close(w, WEBSOCKET_NOT_TEXT, STR("only text is understood here"));
    else if (w->in_data && frame->payload_length > w->message_max - buf_len(&w->message))
        websocket_close(w, WEBSOCKET_TOO_BIG, STR("the message is too long"));
}

static void piece(wslay_event_context_ptr c, const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
    struct websocket *w = arg;

    if (!w->in_data || w->closing)
        return;
    if (buf_append(&w->message, (struct str){ (const char *)chunk->data, chunk->data_length }))
        w->failed = true;
    else if (buf_len(&w->message) > ASK_FROM && !w->on->may_hold(w->arg, buf_len(&w->message)))
        websocket_close(w, WEBSOCKET_TRY_LATER, STR("too many messages are in memory (limits.bodies)"));
}

static void whole(wslay_event_context_ptr c, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
    struct websocket *w = arg;

    if (m->opcode != WSLAY_TEXT_FRAME || w->closing || w->failed)
        return;
    w->on->message(w->arg, &w->message);
    buf_free(&w->message);
}

/* ---- the contract ------------------------------------------------------------------------------------------------ */

static const struct wslay_event_callbacks callbacks = { .recv_callback = read_in,
                                                        .send_callback = write_out,
                                                        .on_frame_recv_start_callback = started,
                                                        .on_frame_recv_chunk_callback = piece,
                                                        .on_msg_recv_callback = whole };

struct websocket *websocket_new(size_t message_max, const struct websocket_events *on, void *arg)
{
    struct websocket *w = memory_strikes() ? NULL : calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->on = on;
    w->arg = arg;
    w->message_max = message_max;
    if (wslay_event_context_server_init(&w->wslay, &callbacks, w)) {
        free(w);
        return NULL;
    }
    wslay_event_config_set_no_buffering(w->wslay, 1);
    return w;
}

void websocket_free(struct websocket **at)
{
    struct websocket *w = *at;

    *at = NULL;
    if (!w)
        return;
    wslay_event_context_free(w->wslay);
    buf_free(&w->message);
    free(w);
}

/* For frames that are none wslay would close without a code. */
static void say_it_is_broken(struct websocket *w)
{
    w->closing = true;
    w->on->write(w->arg, STR("\x88\x02\x03\xea"));
}

/* A close that wslay has queued by itself, for a peer's fault or in answer to its own, is sent by the same call. */
bool websocket_take(struct websocket *w, struct str in)
{
    w->in = in;
    if (wslay_event_recv(w->wslay) && !w->closing)
        say_it_is_broken(w);
    if (w->closing || wslay_event_send(w->wslay))
        return false;
    return !w->failed && !wslay_event_get_close_sent(w->wslay);
}

void websocket_close(struct websocket *w, enum websocket_code code, struct str reason)
{
    if (w->closing)
        return;
    w->closing = true;
    (void)wslay_event_queue_close(w->wslay, code, (const uint8_t *)reason.p, reason.n);
    wslay_event_shutdown_read(w->wslay);
    (void)wslay_event_send(w->wslay);
}

/* ---- frames and the handshake ------------------------------------------------------------------------------------ */

size_t websocket_head(enum websocket_kind kind, uint64_t payload, char out[WEBSOCKET_HEAD])
{
    unsigned more = payload < 126 ? 0 : payload < 65536 ? 2 : 8;

    out[0] = (char)(0x80 | kind);
    out[1] = (char)(more == 0 ? payload : more == 2 ? 126 : 127);
    for (unsigned i = 0; i < more; i++)
        out[2 + i] = (char)(payload >> 8 * (more - 1 - i));
    return 2 + more;
}

/* 16 bytes in base64 are 22 characters and two '='. */
static bool is_key(struct str key)
{
    uint8_t bytes[18];

    return key.n == 24 && key.p[22] == '=' && key.p[23] == '=' && key.p[21] != '=' &&
           EVP_DecodeBlock(bytes, (const uint8_t *)key.p, 24) == 18;
}

bool websocket_answer(struct str key, char out[29])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[24 + sizeof magic];
    uint8_t digest[SHA_DIGEST_LENGTH];

    if (!is_key(key))
        return false;
    put_str(put_str(text, key), (struct str){ magic, sizeof magic });
    SHA1((const uint8_t *)text, 24 + sizeof magic - 1, digest);
    EVP_EncodeBlock((uint8_t *)out, digest, sizeof digest);
    return true;
}
