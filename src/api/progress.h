/* api/progress.h - one progress stream out of several nodes' (pull, create): per digest the slowest node's `completed`,
 * never decreasing; `success` only after all; a partial failure ends with an error record that names the nodes. Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

struct progress; /* in the arena that made it */
struct progress *progress_new(struct arena *a, unsigned nodes, const struct str *node_names);
/* One whole NDJSON record of node i. Appends to `out` the records that the client should now see (often none). */
void progress_take(struct progress *p, unsigned i, struct str record, struct text *out);
/* Node i has ended: error NULL bytes = it had sent `success`. */
void progress_end(struct progress *p, unsigned i, struct str error, struct text *out);
/* All have ended: appends the last record (`{"status":"success"}` or the error that names who did what). True if all
 * succeeded. */
bool progress_finish(struct progress *p, struct text *out);
/* The message of the failure, for stream:false. */
struct str progress_error(struct progress *p);
