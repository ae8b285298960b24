/* gateway/ops.h - the gateway's own operations (interface 3): health, nodes, models, memory, metrics, status, reload.
 * One table of handlers by route; each answers from snapshots, on the worker of the client, without asking any node. */
#pragma once
#include "base/json.h"
#include "gateway/gateway_private.h"

/* Names and values side by side, for the many small objects of these answers. */
void ops_str(struct json_out *j, const char *key, struct str value);
void ops_num(struct json_out *j, const char *key, double value);
void ops_int(struct json_out *j, const char *key, int64_t value);
void ops_bool(struct json_out *j, const char *key, bool value);
/* A parameter of the query, decoded into the arena; empty if it is absent or cannot be decoded. */
struct str ops_parameter(struct exchange *x, struct str name);
/* "healthy", "degraded", "down". */
struct str ops_status(const struct gateway *g, const struct fleet_snapshot *s);
/* May who asks so see and change operations? */
struct asker {
    bool loopback;
    struct str host, origin, authorization;
};
bool ops_may(const struct gateway_settings *settings, const struct asker *by);
/* A snapshot of the fleet, or NULL after the failure has been answered into *step. */
struct fleet_snapshot *ops_snapshot(struct exchange *x, enum step *step);
/* The same with what the nodes do with their models. */
struct fleet_snapshot *ops_snapshot_whole(struct exchange *x, enum step *step);

/* ops_nodes.c */
enum step ops_nodes(struct exchange *x);          /* GET, POST /api/nodes */
enum step ops_nodes_detailed(struct exchange *x); /* GET /api/nodes/detailed */
enum step ops_node(struct exchange *x);           /* GET, PATCH, DELETE /api/nodes/{id}, POST .../drain, .../undrain */
enum step ops_models(struct exchange *x);         /* GET /api/models */
/* ops_schedule.c */
enum step ops_explain(struct exchange *x);   /* POST /api/explain */
enum step ops_queue(struct exchange *x);     /* GET /api/queue */
enum step ops_decisions(struct exchange *x); /* GET /api/decisions */
/* ops_observe.c */
enum step ops_history(struct exchange *x);     /* GET /api/history */
enum step ops_requests(struct exchange *x);    /* GET /api/requests */
enum step ops_request(struct exchange *x);     /* GET /api/requests/{id} */
enum step ops_alerts(struct exchange *x);      /* GET /api/alerts */
enum step ops_alerts_test(struct exchange *x); /* POST /api/alerts/test */
enum step ops_silences(struct exchange *x);    /* POST /api/alerts/silences */
enum step ops_silence(struct exchange *x);     /* DELETE /api/alerts/silences/{id} */
/* events.c */
enum step ops_events(struct exchange *x); /* GET /api/events */
/* socket.c */
enum step socket_enter(struct exchange *x); /* GET /ws */
/* page.c */
enum step page_enter(struct exchange *x); /* GET /dashboard, /dashboard/... */
/* ops_cache.c */
enum step ops_cache(struct exchange *x); /* GET, DELETE /api/cache */
/* ops_memory.c */
enum step ops_memory(struct exchange *x); /* GET /api/memory */
/* ops_metrics.c */
enum step ops_metrics(struct exchange *x);
/* All but its end; any thread. The snapshot is a whole one. */
void ops_write_metrics(struct metrics_page *p, struct gateway *g, const struct fleet_snapshot *s);
