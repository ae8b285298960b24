/* gateway/node_json.h - a node of a snapshot as JSON: /api/nodes, /api/nodes/detailed, and the frames of dashboards. */
#pragma once
#include "base/json.h"
#include "fleet/fleet.h"
#include "observe/history.h"

struct node_shown {
    nsec now, wall; /* of the loop: moments of the snapshot become times of day */
    struct history *history;
};
/* Members of an object that the caller opens and closes; detailed ones follow the brief ones. The snapshot must have
 * been told fleet_snapshot_serves for those. */
void node_json_brief(struct json_out *j, const struct node_view *n);
void node_json_detailed(struct json_out *j, const struct node_view *n, const struct node_shown *w);
/* Differs when anything of it does that does not change with each request: state, models, weight, breakers, slots. */
uint64_t node_json_slow_facts(const struct node_view *n);
/* The model's entry among those loaded; NULL: it is not. */
const struct inventory_model *node_view_resident(const struct node_view *n, struct str key);
