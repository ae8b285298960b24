/* cli/glyph.h - text for terminals: how wide it is, cut and filled to a width, nothing in it that steers a terminal.
 * Pure; any thread. */
#pragma once
#include "base/buf.h"

/* Columns that s takes once it is made harmless. */
unsigned glyph_width(struct str s);
/* Exactly `width` columns of s: harmless (controls and what is not UTF-8 become '?'), cut with a mark, filled up with
 * blanks behind, or before (`right`). */
void glyph_put(struct text *t, struct str s, unsigned width, bool right, bool ascii);
/* The last `width` of n values as bars against the greatest of them; NAN: a blank. */
void glyph_put_spark(struct text *t, const float *v, unsigned n, unsigned width, bool ascii);
/* `width` columns, a share of them filled. */
void glyph_put_bar(struct text *t, double share, unsigned width, bool ascii);
