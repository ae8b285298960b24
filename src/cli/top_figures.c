/* cli/top_figures.c - figures of at most six characters, so that columns stay narrow. */
#include "cli/top_view.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static struct str said(struct arena *a, const char *format, ...)
{
    char text[48];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return str_dup(a, (struct str){ text, (size_t)n });
}

/* Three digits and the letter of their power of `base`. */
static struct str scaled(struct arena *a, double v, double base, const char *letters)
{
    unsigned power = 0;
    while (v >= 999.5 && letters[power + 1]) {
        v /= base;
        power++;
    }
    if (!power)
        return said(a, "%.0f", v);
    return said(a, v < 9.95 ? "%.1f%c" : "%.0f%c", v, letters[power]);
}

struct str top_count(struct arena *a, double v)
{
    return isnan(v) ? STR("-") : scaled(a, v, 1000, " kMGT");
}

struct str top_bytes(struct arena *a, double v)
{
    return isnan(v) ? STR("-") : scaled(a, v, 1024, "BKMGT");
}

struct str top_ms(struct arena *a, double v)
{
    if (isnan(v))
        return STR("-");
    if (v < 9.95)
        return said(a, "%.1fms", v);
    if (v < 999.5)
        return said(a, "%.0fms", v);
    if (v < 99950)
        return said(a, "%.1fs", v / 1000);
    return said(a, "%.0fm%02.0fs", floor(v / 60000), floor(fmod(v / 1000, 60)));
}

struct str top_figure(struct arena *a, double v)
{
    if (isnan(v))
        return STR("-");
    return v == floor(v) || v >= 9.95 ? said(a, "%.0f", v) : said(a, "%.1f", v);
}

enum top_colour top_state_colour(struct str state)
{
    static const struct {
        struct str state;
        enum top_colour colour;
    } table[] = {
        {{ "up", 2 },        TOP_GOOD },
        { { "healthy", 7 },  TOP_GOOD },
        { { "down", 4 },     TOP_BAD  },
        { { "firing", 6 },   TOP_BAD  },
        { { "open", 4 },     TOP_BAD  },
        { { "resolved", 8 }, TOP_GOOD },
        { { "closed", 6 },   TOP_PLAIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (str_eq(state, table[i].state))
            return table[i].colour;
    return state.n && !str_eq(state, STR("-")) ? TOP_WARN : TOP_PLAIN;
}
