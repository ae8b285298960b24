/* base/utf8.h - which bytes are text. Pure; any thread. */
#pragma once
#include "base/str.h"

/* Bytes of the well-formed UTF-8 sequence that s, not empty, begins with (Unicode 15, table 3-7); 0 if it begins with
 * none. */
static inline size_t utf8_bytes(struct str s)
{
    const unsigned char *u = (const unsigned char *)s.p;
    if (u[0] < 0x80)
        return 1;
    size_t n = u[0] < 0xC2 ? 0 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : u[0] < 0xF5 ? 4 : 0;
    if (n == 0 || n > s.n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((u[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xF0 && u[1] < 0x90);
    bool too_high = (u[0] == 0xED && u[1] >= 0xA0) || (u[0] == 0xF4 && u[1] >= 0x90);
    return overlong || too_high ? 0 : n;
}
