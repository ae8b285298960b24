/* gateway/frames.h - what a second's bulletin says (web/FEED.md), written from what worker 0 has just looked at.
 *
 * Remembers what dashboards were told last, so that nodes and alerts are told again only when something of them has
 * changed. Worker 0 only. */
#pragma once
#include "fleet/fleet.h"
#include "gateway/bulletin.h"
#include "observe/alert.h"
#include "observe/history.h"
#include "observe/requests.h"

struct gateway;
/* Lent for the call. */
struct sight {
    struct gateway *gateway;
    const struct fleet_snapshot *fleet; /* with what nodes serve */
    const struct pulse *pulse;
    struct history *history;
    struct alerts *alerts;
    struct requests *requests;
    size_t memory_limit;
    nsec now, wall; /* just after a full second */
};
struct frames;
/* NULL when memory is out. */
struct frames *frames_new(void);
void frames_free(struct frames **f);
/* What there is no memory to tell is told the next time. */
void frames_write(struct frames *f, struct bulletin *b, const struct sight *s);
