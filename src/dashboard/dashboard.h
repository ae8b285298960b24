/* dashboard/dashboard.h - the page at /dashboard/, inside the program: nothing is read from disk, nothing is fetched.
 * The page is made from web/ at build time; what it expects from the gateway is in web/FEED.md. Pure; any thread. */
#pragma once
#include "gateway/static_file.h"

/* The file at the path of a request, "/dashboard/" being its index.html; NULL where there is none, as at "/dashboard".
 * Fits gateway/static_file.h's static_file_find. */
const struct static_file *dashboard_find(struct str path);
