/* dashboard/dashboard.c - finds a file of the page by its path.
 *
 * The files are in the program, as they are and gzipped: a page that shows what is wrong must not depend on a folder
 * that somebody forgot to install. Gzipped ones are packed as well as can be at build time, so serving one costs no
 * more than the write; the others are for the few clients that take nothing else, and cost pages of the program that
 * are never touched. A handful of rows: nothing faster than looking through them is worth its lines. Paths are compared
 * whole, so nothing outside the table can be named. */
#include "dashboard/dashboard.h"
#include "dashboard/files.h"

const struct static_file *dashboard_find(struct str path)
{
    struct str root = STR("/dashboard/"), name = str_drop(path, root.n);

    if (!str_starts(path, root))
        return NULL;
    if (!name.n)
        name = STR("index.html");
    for (unsigned i = 0; i < dashboard_file_count; i++)
        if (str_eq(str_of(dashboard_files[i].path), name))
            return &dashboard_files[i];
    return NULL;
}
