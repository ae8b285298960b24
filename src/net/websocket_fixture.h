/* net/websocket_fixture.h - frames as clients make them: masked. For tests. */
#pragma once
#include "base/buf.h"

enum { FRAME_CONTINUES = 0, FRAME_TEXT = 1, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9, FRAME_PONG = 10 };
/* `announced`: the length that its head says. */
static inline void frame_put_as(struct text *t, unsigned opcode, bool final, struct str payload, uint64_t announced)
{
    static const char mask[4] = { 0x12, (char)0xf3, 0x00, 0x7a };
    unsigned more = announced < 126 ? 0 : announced < 65536 ? 2 : 8;

    text_putc(t, (char)((final ? 0x80 : 0) | opcode));
    text_putc(t, (char)(0x80 | (more == 0 ? announced : more == 2 ? 126 : 127)));
    for (unsigned i = 0; i < more; i++)
        text_putc(t, (char)(announced >> 8 * (more - 1 - i)));
    text_put(t, (struct str){ mask, 4 });
    for (size_t i = 0; i < payload.n; i++)
        text_putc(t, (char)(payload.p[i] ^ mask[i % 4]));
}

static inline void frame_put(struct text *t, unsigned opcode, bool final, struct str payload)
{
    frame_put_as(t, opcode, final, payload, payload.n);
}
