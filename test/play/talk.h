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

/* The words of all that the machine said, as they stand in one string. */
static char want_words[MIB(2)];
static inline struct str words_wanted(void)
{
    struct str rest = { want, want_n };
    char *at = want_words;
    while (rest.n) {
        struct json content =
            json_get(json_get(json_parse(str_cut(&rest, '\n'), NULL), STR("message")), STR("content"));
        assert_int_equal(content.kind, JSON_STRING);
        at = put_str(at, (struct str){ content.raw.p + 1, content.raw.n - 2 });
    }
    return str_span(want_words, at);
}

/* What the machine streamed, for a client that wanted it in one piece. */
static inline void assert_got_one_piece(struct peer *p)
{
    struct str words = words_wanted(), rest;
    assert_true(got_whole(p));
    assert_int_equal(status_of(p), 200);
    assert_true(got(p, "Content-Type: application/json; charset=utf-8\r\n"));
    assert_true(got(p, "Content-Length: "));
    struct json all = json_parse((struct str){ got_text, got_n }, &rest);
    struct json content = json_get(json_get(all, STR("message")), STR("content"));
    if (rest.n || content.raw.n != words.n + 2 || memcmp(content.raw.p + 1, words.p, words.n) != 0)
        fail_msg("%s", got_text);
    assert_int_equal(json_get(all, STR("done")).kind, JSON_TRUE);
    assert_true(str_eq(json_get(all, STR("done_reason")).raw, STR("\"stop\"")));
    assert_true(str_eq(json_get(all, STR("eval_count")).raw, STR("7")));
    assert_int_equal(json_get(all, STR("created_at")).kind, JSON_STRING);
}
