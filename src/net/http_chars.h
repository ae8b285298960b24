/* net/http_chars.h - which bytes may stand where in a head. For the files of net/ that read strangers' text. Pure. */
#pragma once
#include "base/types.h"

enum http_chars {
    CHAR_TOKEN = 1 << 0,  /* RFC 9110 section 5.6.2: methods, field names */
    CHAR_VALUE = 1 << 1,  /* section 5.5: visible, obs-text (0x80 and up), space and tab */
    CHAR_TARGET = 1 << 2, /* a request target: visible ASCII without '#', which starts what a client must not send */
    CHAR_HOST = 1 << 3,   /* RFC 3986 section 3.2.2, reg-name: unreserved, sub-delims, '%' */
    CHAR_DIGIT = 1 << 4,
    CHAR_HEX = 1 << 5, /* and the digits */
};
extern const uint8_t http_chars[256];
static inline bool http_is(char c, enum http_chars what)
{
    return http_chars[(unsigned char)c] & what;
}
/* Value of a digit of base 16; -1 if it is none. */
static inline int http_hex(char c)
{
    if (http_is(c, CHAR_DIGIT))
        return c - '0';
    return http_is(c, CHAR_HEX) ? (c | 0x20) - 'a' + 10 : -1;
}
