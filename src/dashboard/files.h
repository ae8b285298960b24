/* dashboard/files.h - the table that tools/embed makes of the built page (web/), or of web/placeholder where the
 * program is built without it. A few rows. For dashboard.c. */
#pragma once
#include "gateway/static_file.h"

extern const struct static_file dashboard_files[];
extern const unsigned dashboard_file_count;
