/* cli/ask.h - one question to a running gateway: a blocking GET for commands that show something. */
#pragma once
#include "base/buf.h"
#include "cli/place.h"
#include "net/addr.h"

/* The body of an answer to GET path goes to *out_body, within `patience` for each read. OK with *out_status, or
 * FAIL_connect_refused, _connect_failed, _upstream_garbage, _body_too_large. `key` (may be empty) is an admin key. */
enum fail ask_get(const struct addr *to, const char *path, struct str key, nsec patience, int *out_status,
                  struct buf *out_body);
/* The same to a place: `path` without its prefix. */
enum fail ask_place(const struct place *p, const char *path, nsec patience, int *out_status, struct buf *out_body);
enum fail ask_delete(const struct place *p, const char *path, nsec patience, int *out_status, struct buf *out_body);
