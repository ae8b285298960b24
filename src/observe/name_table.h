/* observe/name_table.h - the names that may become label values: the first so many, the rest are `other`.
 * Shared by all workers, so that a name has the same number everywhere. Look-ups from any thread take no lock; learning
 * a new name takes one, at most `most` times in a table's life. Names are never forgotten. */
#pragma once
#include "base/str.h"

#define NAME_TABLE_MOST  256
#define NAME_TABLE_BYTES 55 /* longer names are cut */
enum {
    NAME_NONE,
    NAME_OTHER,
    NAME_FIRST
}; /* numbers of the empty name, of those that found no place, of the first learnt one */
struct name_table;
/* NULL when memory is out. */
struct name_table *name_table_new(unsigned most);
void name_table_free(struct name_table **t);
/* The number of a name; one not known is learnt if `learn` and there is room, else it is NAME_OTHER. */
unsigned name_table_number(struct name_table *t, struct str name, bool learn);
/* NAME_NONE: ""; NAME_OTHER: "other". Lives as long as the table. */
struct str name_table_name(const struct name_table *t, unsigned number);
