/* gateway/lookout.h - what the gateway remembers of itself: the last requests, the history of its figures, its alerts.
 *
 * Worker 0 takes a look just after each full second: one snapshot of the fleet, one sum over all meters. Workers put
 * their records in by themselves (finish.c). Everything is made with the gateway, for its life; it allocates nothing
 * later but the snapshot, and a look that finds no memory for that is left out. */
#pragma once
#include "gateway/gateway.h"
#include "observe/requests.h"
#include "observe/signals.h"

struct worker;
struct exporter;
struct receivers;
struct lookout;
/* history_file: read now, written every minute and at the end; NULL: the history ends with the process. NULL when
 * memory is out. */
struct lookout *lookout_new(struct worker *first, unsigned workers, const char *history_file);
void lookout_stop(struct lookout *l); /* looks no more; worker 0, before its loop goes */
void lookout_free(struct lookout **l);
/* For the routes that show them; any thread. */
struct requests *lookout_requests(struct lookout *l);
struct history *lookout_history(struct lookout *l);
struct alerts *lookout_alerts(struct lookout *l);
struct receivers *lookout_receivers(struct lookout *l);
struct exporter *lookout_exporter(struct lookout *l);
