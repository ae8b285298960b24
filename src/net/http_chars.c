/* net/http_chars.c - the table of bytes. One row per run of bytes with equal rights; a byte without a row may stand
 * nowhere. */
#include "net/http_chars.h"

/* Each name stands for the rights of its kind: `MARK` may be anywhere, `TEXT` in values and targets only. */
enum {
    TEXT = CHAR_VALUE | CHAR_TARGET,
    TEXT_HOST = TEXT | CHAR_HOST,
    NAME = TEXT | CHAR_TOKEN,
    MARK = NAME | CHAR_HOST,
    DIGIT = MARK | CHAR_DIGIT | CHAR_HEX,
    HEX = MARK | CHAR_HEX,
};
const uint8_t http_chars[256] = {
    ['\t'] = CHAR_VALUE,
    [' '] = CHAR_VALUE,
    ['!'] = MARK,
    ['"'] = TEXT,
    ['#'] = CHAR_TOKEN | CHAR_VALUE,
    ['$' ... '\''] = MARK,
    ['(' ... ')'] = TEXT_HOST,
    ['*' ... '+'] = MARK,
    [','] = TEXT_HOST,
    ['-' ... '.'] = MARK,
    ['/'] = TEXT,
    ['0' ... '9'] = DIGIT,
    [':'] = TEXT,
    [';'] = TEXT_HOST,
    ['<'] = TEXT,
    ['='] = TEXT_HOST,
    ['>' ... '@'] = TEXT,
    ['A' ... 'F'] = HEX,
    ['G' ... 'Z'] = MARK,
    ['[' ... ']'] = TEXT,
    ['^'] = NAME,
    ['_'] = MARK,
    ['`'] = NAME,
    ['a' ... 'f'] = HEX,
    ['g' ... 'z'] = MARK,
    ['{'] = TEXT,
    ['|'] = NAME,
    ['}'] = TEXT,
    ['~'] = MARK,
    [0x80 ... 0xff] = CHAR_VALUE,
};
