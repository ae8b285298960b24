/* test/play/talk.h - chats word by word: what clients ask, what machines answer, and what came of it. Shared by the
 * plays of flights and of the cache. */
#pragma once
#include "machine.h"

static char want[MIB(8)]; /* what the machine said since want_n was last 0 */
static size_t want_n;

static inline struct peer *chat(const char *path, const char *model, bool stream)
{
    char body[200];
    snprintf(body, sizeof body,
             "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":%s}", model,
             stream ? "true" : "false");
    return ask("POST", path, body);
}

static inline void opens(struct machine *m)
{
    peer_sendf(m->work, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static inline void tells(struct machine *m, const char *record)
{
    says(m, record);
    want_n += (size_t)sprintf(want + want_n, "%s\n", record);
}

static inline void tells_word(struct machine *m, unsigned n)
{
    char record[160];
    snprintf(record, sizeof record,
             "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"word %u\"},\"done\":false}", n);
    tells(m, record);
}

static inline void tells_end(struct machine *m)
{
    tells(m, "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":"
             "\"stop\",\"eval_count\":7}");
    peer_sendf(m->work, "0\r\n\r\n");
}

/* Whole answer without its chunks; whole: it ended as such. */
static char got_text[MIB(8)];
static size_t got_n;
static inline bool got_whole(struct peer *p)
{
    struct http_head h;
    struct http_frame frame;
    struct http_body body;
    struct str in = peer_received(p), piece;
    enum http_step step;
    enum fail why;
    got_n = 0;
    if (http_parse_response(in, KIB(64), &h, &why) != HTTP_DONE)
        return false;
    assert_int_equal(http_response_frame(&h, M_POST, &frame), OK);
    in = str_drop(in, h.bytes);
    http_body_init(&body, &frame);
    while ((step = http_body_next(&body, &in, &piece)) == BODY_DATA) {
        memcpy(got_text + got_n, piece.p, piece.n);
        got_n += piece.n;
    }
    assert_int_not_equal(step, BODY_BAD);
    got_text[got_n] = 0;
    return step == BODY_END;
}

static inline void assert_got_all(struct peer *p)
{
    assert_true(got_whole(p));
    assert_int_equal(status_of(p), 200);
    assert_int_equal(got_n, want_n);
    assert_memory_equal(got_text, want, want_n);
}
