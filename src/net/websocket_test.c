/* What a WebSocket makes of frames: good ones, torn ones, and those that no client may send. */
#include "base/slab.h"
#include "net/websocket.h"
#include "net/websocket_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct text heard, said; /* messages with a bar behind each; frames of its own */
static struct buf kept;
static bool keeps, holds;
static size_t most_held;

static void message(void *arg, struct buf *text)
{
    text_put(&heard, buf_str(text));
    text_putc(&heard, '|');
    if (keeps) {
        kept = *text;
        *text = (struct buf){ 0 };
    }
}

static void write_frames(void *arg, struct str frames)
{
    text_put(&said, frames);
}

static bool may_hold(void *arg, size_t bytes)
{
    most_held = MAX(most_held, bytes);
    return holds;
}

static const struct websocket_events events = { message, write_frames, may_hold };

static int set_up(void **state)
{
    buf_pools_init();
    holds = true;
    keeps = false;
    most_held = 0;
    *state = websocket_new(100000, &events, NULL);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    struct websocket *w = *state;

    websocket_free(&w);
    text_free(&heard);
    text_free(&said);
    buf_free(&kept);
    heard = said = (struct text){ 0 };
    buf_pools_done();
    return 0;
}

static bool take(void **state, struct text *t)
{
    bool goes_on = websocket_take(*state, text_str(t));

    text_free(t);
    *t = (struct text){ 0 };
    return goes_on;
}

static void assert_heard(const char *messages)
{
    assert_true(str_eq(text_str(&heard), str_of(messages)));
}

/* The last thing said is a close with this code; 0: with none. */
static void assert_closed(unsigned code)
{
    struct str s = text_str(&said);
    size_t at = 0;

    assert_true(s.n >= 2);
    while (at + 2 + (uint8_t)s.p[at + 1] < s.n)
        at += 2 + (uint8_t)s.p[at + 1];
    assert_int_equal((uint8_t)s.p[at], 0x88);
    assert_int_equal((uint8_t)s.p[at + 1], code ? 2 + str_drop(s, at + 4).n : 0);
    if (code)
        assert_int_equal((uint8_t)s.p[at + 2] << 8 | (uint8_t)s.p[at + 3], code);
}

/* ---- good frames ------------------------------------------------------------------------------------------------- */

static void a_message_in_one_frame(void **state)
{
    struct text t = { 0 };

    frame_put(&t, FRAME_TEXT, true, STR("{\"type\":\"x\"}"));
    frame_put(&t, FRAME_TEXT, true, STR(""));
    assert_true(take(state, &t));
    assert_heard("{\"type\":\"x\"}||");
    assert_int_equal(text_str(&said).n, 0);
}

static void fragments_with_a_ping_in_between(void **state)
{
    struct text t = { 0 };

    frame_put(&t, FRAME_TEXT, false, STR("Gr\xc3"));
    frame_put(&t, FRAME_PING, true, STR("still there?"));
    frame_put(&t, FRAME_CONTINUES, false, STR("\xbc\xc3\x9f"));
    frame_put(&t, FRAME_CONTINUES, true, STR("e"));
    assert_true(take(state, &t));
    assert_heard("Gr\xc3\xbc\xc3\x9f"
                 "e|");
    assert_true(str_eq(text_str(&said), STR("\x8a\x0cstill there?")));
}

static void torn_anywhere_it_is_the_same(void **state)
{
    struct text t = { 0 };

    frame_put(&t, FRAME_TEXT, false, STR("one "));
    frame_put(&t, FRAME_PONG, true, STR("p"));
    frame_put(&t, FRAME_CONTINUES, true, STR("message"));
    frame_put(&t, FRAME_TEXT, true, STR("another"));
    struct str all = text_str(&t);
    for (size_t step = 1; step <= all.n; step++) {
        struct websocket *w = websocket_new(100, &events, NULL);
        for (size_t at = 0; at < all.n; at += step)
            assert_true(websocket_take(w, str_take(str_drop(all, at), step)));
        websocket_free(&w);
        assert_heard("one message|another|");
        text_free(&heard);
        heard = (struct text){ 0 };
    }
    text_free(&t);
}

static void lengths_in_all_three_sizes(void **state)
{
    static const size_t sizes[] = { 125, 126, 65535, 65536 };

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct text t = { 0 };
        char *bytes = malloc(sizes[i]);
        memset(bytes, 'a', sizes[i]);
        frame_put(&t, FRAME_TEXT, true, (struct str){ bytes, sizes[i] });
        assert_true(take(state, &t));
        assert_int_equal(text_str(&heard).n, sizes[i] + 1);
        text_free(&heard);
        heard = (struct text){ 0 };
        free(bytes);
    }
}

static void a_message_may_be_kept(void **state)
{
    struct text t = { 0 };

    keeps = true;
    frame_put(&t, FRAME_TEXT, true, STR("mine"));
    assert_true(take(state, &t));
    assert_true(str_eq(buf_str(&kept), STR("mine")));
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void a_message_too_long_ends_it_before_it_has_come(void **state)
{
    struct text t = { 0 };

    frame_put_as(&t, FRAME_TEXT, true, STR("begins"), 100001);
    assert_false(take(state, &t));
    assert_closed(WEBSOCKET_TOO_BIG);
}

static void fragments_count_together(void **state)
{
    struct text t = { 0 };
    static char bytes[60000];

    memset(bytes, 'a', sizeof bytes);
    frame_put(&t, FRAME_TEXT, false, (struct str){ bytes, sizeof bytes });
    assert_true(take(state, &t));
    assert_int_equal(most_held, sizeof bytes);
    frame_put(&t, FRAME_CONTINUES, true, (struct str){ bytes, sizeof bytes });
    assert_false(take(state, &t));
    assert_closed(WEBSOCKET_TOO_BIG);
    assert_heard("");
}

static void where_memory_is_short_it_may_come_again_later(void **state)
{
    struct text t = { 0 };
    static char bytes[60000];

    holds = false;
    memset(bytes, 'a', sizeof bytes);
    frame_put(&t, FRAME_TEXT, true, (struct str){ bytes, sizeof bytes });
    assert_false(take(state, &t));
    assert_closed(WEBSOCKET_TRY_LATER);
    assert_heard("");
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *what, *bytes;
    size_t n;
    unsigned code;
} faults[] = {
#define BYTES(s) s, sizeof s - 1
    {"not masked",                  BYTES("\x81\x01x"),                          1002},
    { "a reserved bit",             BYTES("\xc1\x81\0\0\0\0x"),                  1002},
    { "an unknown opcode",          BYTES("\x83\x80\0\0\0\0"),                   1002},
    { "nothing to continue",        BYTES("\x80\x80\0\0\0\0"),                   1002},
    { "a message inside a message", BYTES("\x01\x81\0\0\0\0x\x81\x80\0\0\0\0"),  1002},
    { "a fragmented ping",          BYTES("\x09\x80\0\0\0\0"),                   1002},
    { "a long ping",                BYTES("\x89\xfe\0\x7e\0\0\0\0"),             1002},
    { "a length that is negative",  BYTES("\x81\xff\xff\0\0\0\0\0\0\0\0\0\0\0"), 1002},
    { "a length in too many bytes", BYTES("\x81\xfe\0\x05\0\0\0\0hello"),        1002},
    { "text that is none",          BYTES("\x81\x82\0\0\0\0\xc3\x28"),           1007},
    { "text that breaks off",       BYTES("\x81\x81\0\0\0\0\xc3"),               1007},
    { "bytes",                      BYTES("\x82\x81\0\0\0\0x"),                  1003},
    { "a close of one byte",        BYTES("\x88\x81\0\0\0\0x"),                  0   },
    { "a close nobody may send",    BYTES("\x88\x82\0\0\0\0\x03\xed"),           1002},
#undef BYTES
};

static void faults_end_it_with_their_code(void **state)
{
    for (unsigned i = 0; i < ARRAY_LEN(faults); i++) {
        struct websocket *w = websocket_new(1000, &events, NULL);
        print_message("%s\n", faults[i].what);
        assert_false(websocket_take(w, (struct str){ faults[i].bytes, faults[i].n }));
        assert_closed(faults[i].code);
        assert_heard("");
        websocket_free(&w);
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void a_close_is_answered_with_its_code(void **state)
{
    struct text t = { 0 };

    frame_put(&t, FRAME_CLOSE, true,
              STR("\x03\xe8"
                  "bye"));
    frame_put(&t, FRAME_TEXT, true, STR("too late"));
    assert_false(take(state, &t));
    assert_closed(1000);
    assert_heard("");
}

static void a_close_of_ours_reads_no_more(void **state)
{
    struct text t = { 0 };

    websocket_close(*state, WEBSOCKET_GOING_AWAY, STR("the gateway is shutting down"));
    assert_closed(1001);
    frame_put(&t, FRAME_TEXT, true, STR("too late"));
    assert_false(take(state, &t));
    assert_heard("");
}

static void memory_that_is_out_ends_it(void **state)
{
    struct text t = { 0 };
    struct websocket *none;

    frame_put(&t, FRAME_TEXT, true, STR("x"));
    memory_fail_at(1);
    assert_false(websocket_take(*state, text_str(&t)));
    memory_fail_at(1);
    none = websocket_new(10, &events, NULL);
    assert_null(none);
    memory_fail_at(0);
    text_free(&t);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static void heads_are_as_short_as_can_be(void **state)
{
    char head[WEBSOCKET_HEAD];

    assert_int_equal(websocket_head(WEBSOCKET_TEXT, 125, head), 2);
    assert_memory_equal(head, "\x81\x7d", 2);
    assert_int_equal(websocket_head(WEBSOCKET_TEXT, 126, head), 4);
    assert_memory_equal(head, "\x81\x7e\x00\x7e", 4);
    assert_int_equal(websocket_head(WEBSOCKET_TEXT, 65536, head), 10);
    assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\1\0\0", 10);
    assert_int_equal(websocket_head(WEBSOCKET_PING, 0, head), 2);
    assert_memory_equal(head, "\x89\x00", 2);
}

static void the_handshake_is_that_of_the_standard(void **state)
{
    char answer[29];

    assert_true(websocket_answer(STR("dGhlIHNhbXBsZSBub25jZQ=="), answer)); /* RFC 6455 section 1.3 */
    assert_string_equal(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(websocket_answer(STR("dGhlIHNhbXBsZSBub25jZQ="), answer));
    assert_false(websocket_answer(STR("dGhlIHNhbXBsZSBub25jZTE="), answer)); /* 17 bytes */
    assert_false(websocket_answer(STR("dGhlIHNhbXBsZSBub2!jZQ=="), answer));
    assert_false(websocket_answer(STR_NONE, answer));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_message_in_one_frame),        CASE(fragments_with_a_ping_in_between),
        CASE(torn_anywhere_it_is_the_same),  CASE(lengths_in_all_three_sizes),
        CASE(a_message_may_be_kept),         CASE(a_message_too_long_ends_it_before_it_has_come),
        CASE(fragments_count_together),      CASE(where_memory_is_short_it_may_come_again_later),
        CASE(faults_end_it_with_their_code), CASE(a_close_is_answered_with_its_code),
        CASE(a_close_of_ours_reads_no_more), CASE(memory_that_is_out_ends_it),
        CASE(heads_are_as_short_as_can_be),  CASE(the_handshake_is_that_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
