/* cli/top_table.h - a table for a terminal: rows of cells in an arena; sorted, filtered, fitted into a width. Pure. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

#define TOP_CELLS 11
struct top_column {
    const char *title;
    unsigned width;
    bool right;
    unsigned spare; /* in a narrow terminal the highest goes first; 0 stays */
};
enum top_colour { TOP_PLAIN, TOP_GOOD, TOP_WARN, TOP_BAD, TOP_FAINT, TOP_BOLD };
struct top_cell {
    struct str text;
    double key; /* what it is sorted by; NAN: its text */
    enum top_colour colour;
};
struct top_row {
    struct str id; /* known by it over refreshes */
    struct top_cell cell[TOP_CELLS];
};
struct top_table {
    const struct top_column *column;
    unsigned columns;
    struct top_row *row;
    unsigned rows, room;
};
/* Room for `room` rows; none when memory is out. */
struct top_table top_table(struct arena *a, const struct top_column *column, unsigned columns, size_t room);
/* A row, or a scratch one that is not shown when there is no room. */
struct top_row *top_table_row(struct top_table *t, struct str id);
/* Keeps rows that hold the text in one of their cells, in any case. */
void top_table_filter(struct top_table *t, struct str text);
/* Stable. */
void top_table_sort(struct top_table *t, unsigned column, bool falling);

struct top_paper {
    unsigned width; /* 0: as wide as it takes, for scripts */
    bool colours, ascii;
};
/* Widths of the columns in *out_width[columns], 0 for those that find no room. */
void top_table_fit(const struct top_table *t, const struct top_paper *p, unsigned *out_width);
/* One line without its line feed. */
void top_table_head(const struct top_table *t, const struct top_paper *p, const unsigned *width, int sorted,
                    struct text *to);
void top_table_line(const struct top_table *t, const struct top_paper *p, const unsigned *width, unsigned row,
                    bool chosen, struct text *to);
/* Begins a colour, and ends it; nothing on paper without. */
void top_colour(struct text *to, const struct top_paper *p, enum top_colour c);
