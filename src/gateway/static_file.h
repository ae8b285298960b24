/* gateway/static_file.h - one file that the gateway serves from the program itself: the pages of the dashboard.
 * Made at build time, read-only, for the life of the process; any thread. Whoever has them hands a lookup over at the
 * start (dashboard_find), because the gateway may not know the room. */
#pragma once
#include "base/str.h"

struct static_file {
    const char *path; /* below /dashboard/: "index.html", "assets/index-4f1c.js" */
    const char *type; /* Content-Type */
    const char *etag; /* quoted, from the bytes; a matching If-None-Match is answered with 304 */
    struct str bytes; /* as it is, for clients that accept nothing else */
    struct str gzip;  /* for Accept-Encoding: gzip; no bytes: it does not shrink */
    bool immutable; /* its name changes with its content: Cache-Control: public, max-age=31536000, immutable; the others
                       get no-cache, which asks again but keeps the bytes */
};
/* The file at a request's path, NULL: 404. `/dashboard` without the slash is no file: answered with 308 and the
 * relative `Location: dashboard/`, which holds behind any prefix. */
typedef const struct static_file *static_file_find(struct str path);

/* Sent with every one of them, as are `X-Content-Type-Options: nosniff` and `Referrer-Policy: no-referrer`: nothing
 * from elsewhere, nothing inline, no frame around the page. 'self' in connect-src covers /ws of the same origin (CSP
 * 3). */
#define STATIC_FILE_POLICY                                                                                             \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "                    \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
