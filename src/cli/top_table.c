/* cli/top_table.c - the first column takes what room is left, as that is where names are, then the last, where
 * lists and sentences are. In a script's table every
 * column is as wide as its widest cell, so no name is cut. */
#include "cli/top_table.h"
#include "cli/glyph.h"
#include <math.h>
#include <stdlib.h>

#define GAP        2
#define FIRST_MOST 48
#define LAST_LEAST 12

struct top_table top_table(struct arena *a, const struct top_column *column, unsigned columns, size_t room)
{
    struct top_row *row = arena_array(a, struct top_row, room + 1);
    return (struct top_table){ .column = column, .columns = columns, .row = row, .room = row ? (unsigned)room : 0 };
}

struct top_row *top_table_row(struct top_table *t, struct str id)
{
    static struct top_row scratch;
    struct top_row *r = t->rows < t->room ? &t->row[t->rows++] : &scratch;
    *r = (struct top_row){ .id = id };
    for (unsigned i = 0; i < TOP_CELLS; i++)
        r->cell[i].key = NAN;
    return r;
}

/* ---- which rows, in which order ---------------------------------------------------------------------------------- */

static bool holds(struct str text, struct str part)
{
    for (size_t i = 0; i + part.n <= text.n; i++)
        if (str_eq_nocase(str_take(str_drop(text, i), part.n), part))
            return true;
    return false;
}

static bool row_holds(const struct top_table *t, const struct top_row *r, struct str part)
{
    for (unsigned i = 0; i < t->columns; i++)
        if (holds(r->cell[i].text, part))
            return true;
    return false;
}

void top_table_filter(struct top_table *t, struct str text)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < t->rows; i++)
        if (row_holds(t, &t->row[i], text))
            t->row[kept++] = t->row[i];
    t->rows = kept;
}

static int by_text(struct str a, struct str b)
{
    int c = memcmp(a.p ? a.p : "", b.p ? b.p : "", MIN(a.n, b.n));
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* What has no figure comes last among figures. */
static int compare(const struct top_cell *a, const struct top_cell *b)
{
    if (isnan(a->key) && isnan(b->key))
        return by_text(a->text, b->text);
    if (isnan(a->key) || isnan(b->key))
        return isnan(b->key) ? 1 : -1;
    return (a->key > b->key) - (a->key < b->key);
}

/* By insertion: stable, and a fleet is no longer than that. */
void top_table_sort(struct top_table *t, unsigned column, bool falling)
{
    for (unsigned i = 1; i < t->rows; i++) {
        struct top_row r = t->row[i];
        unsigned at = i;
        for (; at; at--) {
            int c = compare(&t->row[at - 1].cell[column], &r.cell[column]);
            if ((falling ? -c : c) <= 0)
                break;
            t->row[at] = t->row[at - 1];
        }
        t->row[at] = r;
    }
}

/* ---- widths ------------------------------------------------------------------------------------------------------ */

static unsigned widest(const struct top_table *t, unsigned column)
{
    unsigned width = glyph_width(str_of(t->column[column].title));
    for (unsigned i = 0; i < t->rows; i++)
        width = MAX(width, glyph_width(t->row[i].cell[column].text));
    return width;
}

static unsigned all_of(const unsigned *width, unsigned n)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += width[i] ? width[i] + (i ? GAP : 0) : 0;
    return sum;
}

static int most_spare(const struct top_table *t, const unsigned *width)
{
    int found = -1;
    for (unsigned i = 0; i < t->columns; i++)
        if (width[i] && t->column[i].spare && (found < 0 || t->column[i].spare > t->column[found].spare))
            found = (int)i;
    return found;
}

/* The last column, where sentences and lists are, gives way before others go; false: it cannot. */
static bool shrink_last(const struct top_table *t, unsigned *width, unsigned too_much)
{
    unsigned last = t->columns - 1;
    if (t->column[last].right || width[last] < LAST_LEAST + too_much)
        return false;
    width[last] -= too_much;
    return true;
}

static void grow(const struct top_table *t, unsigned column, unsigned most, unsigned *width, unsigned *left)
{
    unsigned wants = MIN(widest(t, column), most), more = wants > width[column] ? MIN(wants - width[column], *left) : 0;
    width[column] += more;
    *left -= more;
}

void top_table_fit(const struct top_table *t, const struct top_paper *p, unsigned *out_width)
{
    int spare;
    unsigned used;
    for (unsigned i = 0; i < t->columns; i++)
        out_width[i] = p->width ? t->column[i].width : widest(t, i);
    if (!p->width)
        return;
    while ((used = all_of(out_width, t->columns)) > p->width && !shrink_last(t, out_width, used - p->width) &&
           (spare = most_spare(t, out_width)) >= 0)
        out_width[spare] = 0;
    used = all_of(out_width, t->columns);
    if (used > p->width) {
        out_width[0] -= MIN(used - p->width, out_width[0] - 1);
        return;
    }
    unsigned left = p->width - used, last = t->columns - 1;
    grow(t, 0, FIRST_MOST, out_width, &left);
    if (out_width[last] && !t->column[last].right)
        grow(t, last, p->width, out_width, &left);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

void top_colour(struct text *to, const struct top_paper *p, enum top_colour c)
{
    static const char *const code[] = { [TOP_PLAIN] = "\033[0m", [TOP_GOOD] = "\033[32m", [TOP_WARN] = "\033[33m",
                                        [TOP_BAD] = "\033[31m",  [TOP_FAINT] = "\033[2m", [TOP_BOLD] = "\033[1m" };
    if (p->colours)
        text_put(to, str_of(code[c]));
}

static bool is_last(const unsigned *width, unsigned column, unsigned columns)
{
    for (unsigned i = column + 1; i < columns; i++)
        if (width[i])
            return false;
    return true;
}

static void put_cell(const struct top_table *t, const struct top_paper *p, const unsigned *width, unsigned column,
                     struct str text, struct text *to)
{
    bool right = t->column[column].right, last = is_last(width, column, t->columns);
    unsigned room = width[column];
    if (column)
        glyph_put(to, STR_NONE, GAP, false, p->ascii);
    if (last && !right)
        room = MIN(room, glyph_width(text)); /* no blanks at a line's end */
    glyph_put(to, text, room, right, p->ascii);
}

void top_table_head(const struct top_table *t, const struct top_paper *p, const unsigned *width, int sorted,
                    struct text *to)
{
    for (unsigned i = 0; i < t->columns; i++) {
        if (!width[i])
            continue;
        top_colour(to, p, (int)i == sorted ? TOP_BOLD : TOP_FAINT);
        put_cell(t, p, width, i, str_of(t->column[i].title), to);
        top_colour(to, p, TOP_PLAIN);
    }
}

void top_table_line(const struct top_table *t, const struct top_paper *p, const unsigned *width, unsigned row,
                    bool chosen, struct text *to)
{
    if (chosen && p->colours)
        text_put(to, STR("\033[7m"));
    for (unsigned i = 0; i < t->columns; i++) {
        const struct top_cell *c = &t->row[row].cell[i];
        bool coloured = c->colour && !chosen;
        if (!width[i])
            continue;
        if (coloured)
            top_colour(to, p, c->colour);
        put_cell(t, p, width, i, c->text, to);
        if (coloured)
            top_colour(to, p, TOP_PLAIN);
    }
    if (chosen)
        top_colour(to, p, TOP_PLAIN);
}
