/* Any bytes from a client. Always true:
 * - in one piece, byte by byte and in uneven pieces, the same messages come out, and the same frames go back as long as
 *   there is no fault (a close takes the place of pongs that were due, and wslay sees some faults before a frame's
 * end);
 * - no message is longer than it may be;
 * - what goes back are whole control frames: pongs of what was pinged, and at most one close, the last. */
#include "net/websocket.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 300

struct result {
    struct text heard, said;
    bool goes_on;
};

static void message(void *arg, struct buf *text)
{
    struct result *r = arg;

    assume(buf_len(text) <= MOST);
    text_put(&r->heard, buf_str(text));
    text_putc(&r->heard, '\n');
}

static void write_frames(void *arg, struct str frames)
{
    text_put(&((struct result *)arg)->said, frames);
}

static bool may_hold(void *arg, size_t bytes)
{
    return true;
}

static const struct websocket_events events = { message, write_frames, may_hold };

/* Pieces of 1, 2, ... `widest`, 1, ...; 0: all at once. */
static struct result read_all(struct str in, size_t widest)
{
    struct result r = { .goes_on = true };
    struct websocket *w = websocket_new(MOST, &events, &r);

    assume(w);
    for (size_t at = 0, width = widest ? 1 : in.n; at < in.n && r.goes_on;
         at += width, width = width % (widest + 1) + 1)
        r.goes_on = websocket_take(w, str_take(str_drop(in, at), width));
    websocket_free(&w);
    return r;
}

static void expect_control_frames(const struct result *r)
{
    struct str s = text_str(&r->said);
    bool closed = false;

    while (s.n) {
        assume(!closed && s.n >= 2 && (uint8_t)s.p[1] <= 125 && s.n >= 2u + (uint8_t)s.p[1]);
        assume((uint8_t)s.p[0] == 0x8a || (uint8_t)s.p[0] == 0x88);
        closed = (uint8_t)s.p[0] == 0x88;
        s = str_drop(s, 2u + (uint8_t)s.p[1]);
    }
    assume(closed == !r->goes_on);
}

static void expect_same(const struct result *a, const struct result *b)
{
    assume(str_eq(text_str(&a->heard), text_str(&b->heard)));
    assume(!a->goes_on || !b->goes_on || str_eq(text_str(&a->said), text_str(&b->said)));
}

static void forget(struct result *r)
{
    text_free(&r->heard);
    text_free(&r->said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = { (const char *)data, size };
    struct result whole, bytes, uneven;

    buf_pools_init();
    whole = read_all(in, 0);
    bytes = read_all(in, 1);
    uneven = read_all(in, 7);
    expect_same(&whole, &bytes);
    expect_same(&whole, &uneven);
    expect_control_frames(&whole);
    expect_control_frames(&bytes);
    forget(&whole);
    forget(&bytes);
    forget(&uneven);
    buf_pools_done();
    return 0;
}
