/* cli/top_state.h - the fleet as `top` shows it, read out of the gateway's own answers. Pure: bytes in, a state out.
 *
 * Strings point into the answers' bodies or the state's arena, so the answers are kept as long as the state. What an
 * answer does not say (an older gateway, a room that is not there) is NAN, empty, or has no rows. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

enum top_answer {
    TOP_HEALTH,
    TOP_NODES,
    TOP_HISTORY,
    TOP_REQUESTS,
    TOP_QUEUE,
    TOP_ALERTS,
    TOP_CACHE,
    TOP_MEMORY,
    TOP_ANSWERS
};
/* What is asked for it, and its name in `top --json`. */
const char *top_answer_path(enum top_answer a);
const char *top_answer_name(enum top_answer a);
struct top_answers {
    struct buf body[TOP_ANSWERS]; /* empty: there is no such room */
    enum fail failed;             /* the first that kept the gateway from being asked */
    int refused;                  /* 401 or 403: it wants a key */
};
void top_answers_free(struct top_answers *a);

#define TOP_POINTS 120
struct top_series {
    unsigned n; /* oldest first */
    float v[TOP_POINTS];
};
enum top_figure { TOP_REQUEST_RATE, TOP_ERROR_RATE, TOP_TOKEN_RATE, TOP_FIRST_TOKEN, TOP_INFLIGHT, TOP_FIGURES };
struct top_model {
    struct str name, breaker, expires;
    bool loaded;
    double size, vram, slots, inflight, prefill, decode;
};
struct top_node {
    struct str id, url, kind, state, breaker, version, labels, error;
    bool simulated;
    double weight, inflight, slots, requests, errors, vram;
    double tokens_rate, first_token; /* newest known */
    unsigned models, loaded;
    struct top_model *model;
};
struct top_request {
    struct str id, at, method, route, model, node, code, cache;
    double status, total, queued, first, tokens, tries; /* milliseconds */
    struct json json;                                   /* the whole record */
};
struct top_waiting {
    struct str model;
    double waiting, oldest, eta; /* milliseconds; of the last one */
};
struct top_alert {
    struct str name, state, severity, message, node, model, since;
    double value, threshold;
};
struct top_state {
    struct arena arena;
    bool good; /* health was understood */
    struct str status, version;
    double uptime, queue, inflight, nodes_up, nodes_total;
    double requests, errors, tokens_in, tokens_out;
    double cache_ratio, cache_entries, cache_saved, rss, limit;
    struct top_series series[TOP_FIGURES];
    unsigned nodes, n_requests, n_waiting, n_alerts, firing;
    struct top_node *node;
    struct top_request *request;
    struct top_waiting *waiting;
    struct top_alert *alert;
};
/* Always leaves a state that can be shown; rows for which memory is out are missing. */
void top_state_read(struct top_state *s, const struct top_answers *a);
void top_state_done(struct top_state *s);
