/* cli/glyph.c - names come from nodes, and nodes are strangers to the terminal: a model called "\033]0;..." must not
 * steer it. wcwidth() is not used: it asks the locale, which a program that starts under cron does not have. */
#include "cli/glyph.h"
#include <math.h>

/* ---- characters -------------------------------------------------------------------------------------------------- */

/* One character off the front of s; 0: it must not be shown. */
static uint32_t take(struct str *s)
{
    const unsigned char *p = (const unsigned char *)s->p;
    unsigned n = *p < 0x80                 ? 1
                 : *p >= 0xf0 && *p < 0xf5 ? 4
                 : *p >= 0xe0 && *p < 0xf0 ? 3
                 : *p >= 0xc2 && *p < 0xe0 ? 2
                                           : 0;
    uint32_t c = n == 1 ? *p : n ? *p & (0x7fu >> n) : 0;
    if (!n || n > s->n) {
        *s = str_drop(*s, 1);
        return 0;
    }
    for (unsigned i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *s = str_drop(*s, i);
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    *s = str_drop(*s, n);
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ? 0 : c;
}

static const struct {
    uint32_t from, to;
    unsigned width;
} widths[] = {
    {0x300,    0x36f,   0},
    { 0x200b,  0x200f,  0},
    { 0x1100,  0x115f,  2},
    { 0x2e80,  0xa4cf,  2},
    { 0xac00,  0xd7a3,  2},
    { 0xf900,  0xfaff,  2},
    { 0xfe00,  0xfe0f,  0},
    { 0xfe30,  0xfe6f,  2},
    { 0xff00,  0xff60,  2},
    { 0xffe0,  0xffe6,  2},
    { 0x1f300, 0x1faff, 2},
    { 0x20000, 0x3fffd, 2},
};

static unsigned width_of(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(widths); i++)
        if (c >= widths[i].from && c <= widths[i].to)
            return widths[i].width;
    return 1;
}

static bool is_shown(uint32_t c, bool ascii)
{
    return c && !(ascii && c > 0x7e);
}

static unsigned width_in(struct str s, bool ascii)
{
    unsigned width = 0;
    while (s.n) {
        uint32_t c = take(&s);
        width += is_shown(c, ascii) ? width_of(c) : 1;
    }
    return width;
}

unsigned glyph_width(struct str s)
{
    return width_in(s, false);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static void put_blanks(struct text *t, unsigned n)
{
    while (n--)
        text_putc(t, ' ');
}

/* As much as fits into `width`; returns what it took. */
static unsigned put_part(struct text *t, struct str s, unsigned width, bool ascii)
{
    unsigned used = 0;
    while (s.n) {
        struct str before = s;
        uint32_t c = take(&s);
        bool shown = is_shown(c, ascii);
        unsigned w = shown ? width_of(c) : 1;
        if (used + w > width)
            break;
        text_put(t, shown ? str_take(before, before.n - s.n) : STR("?"));
        used += w;
    }
    return used;
}

void glyph_put(struct text *t, struct str s, unsigned width, bool right, bool ascii)
{
    unsigned whole = width_in(s, ascii);
    if (whole <= width) {
        put_blanks(t, right ? width - whole : 0);
        put_part(t, s, width, ascii);
        put_blanks(t, right ? 0 : width - whole);
    } else if (width) {
        unsigned used = put_part(t, s, width - 1, ascii);
        text_put(t, ascii ? STR("~") : STR("…"));
        put_blanks(t, width - 1 - used);
    }
}

/* ---- figures as pictures ----------------------------------------------------------------------------------------- */

void glyph_put_spark(struct text *t, const float *v, unsigned n, unsigned width, bool ascii)
{
    static const char *const fine[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }, *const plain[] = {
        "_", ".", ":", "-", "=", "+", "*", "#"
    };
    unsigned from = n > width ? n - width : 0;
    float most = 0;
    for (unsigned i = from; i < n; i++)
        most = v[i] > most ? v[i] : most;
    put_blanks(t, width - (n - from));
    for (unsigned i = from; i < n; i++) {
        unsigned level = most > 0 && v[i] > 0 ? (unsigned)ceilf(v[i] / most * 7) : 0;
        text_put(t, isnan(v[i]) ? STR(" ") : str_of((ascii ? plain : fine)[MIN(level, 7u)]));
    }
}

void glyph_put_bar(struct text *t, double share, unsigned width, bool ascii)
{
    unsigned full = share > 0 ? (unsigned)(MIN(share, 1) * width + 0.5) : 0;
    for (unsigned i = 0; i < width; i++)
        text_put(t, i < full ? (ascii ? STR("#") : STR("█")) : (ascii ? STR(".") : STR("░")));
}
