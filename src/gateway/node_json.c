/* Nodes as JSON: what routes answer and what dashboards are told is the same text. */
#include "gateway/node_json.h"
#include "base/stamp.h"
#include "gateway/ops.h"
#include <math.h>

#define FIRST_TOKEN_WINDOW SECOND(300)

static void put_time(struct json_out *j, const char *key, const struct node_shown *w, nsec moment)
{
    char text[36];
    nsec wall = w->wall - (w->now - moment);

    json_key(j, key);
    if (moment)
        json_put_str(j, (struct str){ text, stamp_rfc3339(wall, text) });
    else
        json_put_null(j);
}

void node_json_brief(struct json_out *j, const struct node_view *n)
{
    ops_str(j, "id", n->name);
    ops_str(j, "url", n->url);
    ops_str(j, "kind", node_kind_name(n->kind));
    ops_str(j, "state", node_state_name(n->state));
    ops_num(j, "weight", n->weight);
    ops_int(j, "inflight", n->inflight);
    json_key(j, "slots");
    if (n->slots >= 0)
        json_put_i64(j, n->slots);
    else
        json_put_null(j); /* not told and not configured */
    if (n->context)
        ops_int(j, "context", n->context);
    ops_bool(j, "simulated", n->simulated);
}

const struct inventory_model *node_view_resident(const struct node_view *n, struct str key)
{
    for (uint32_t i = 0; i < n->loaded; i++)
        if (str_eq(n->resident[i].key, key))
            return &n->resident[i];
    return NULL;
}

static void put_rate(struct json_out *j, const char *key, double rate)
{
    ops_num(j, key, rate > 0 ? round(rate * 10) / 10 : INFINITY); /* not learnt yet: null */
}

/* What requests have shown of it. */
static void put_serves(struct json_out *j, const struct node_serves *s)
{
    json_key(j, "slots");
    if (s->slots)
        json_put_u64(j, s->slots);
    else
        json_put_null(j);
    ops_int(j, "inflight", s->inflight);
    put_rate(j, "prefill_tps", s->rates.prefill);
    put_rate(j, "decode_tps", s->rates.decode);
    put_rate(j, "load_bps", s->rates.load);
    ops_str(j, "breaker", str_of(breaker_name(s->breaker)));
}

static void put_model(struct json_out *j, const struct node_view *n, const struct inventory_model *m)
{
    const struct node_serves *serves = node_view_serves(n, m->hash);
    const struct inventory_model *r = node_view_resident(n, m->key);

    json_open(j, '{');
    ops_str(j, "name", m->show);
    ops_str(j, "digest", m->digest);
    ops_bool(j, "loaded", r != NULL);
    ops_int(j, "size", (int64_t)(r ? r->size : m->size));
    ops_int(j, "size_vram", r ? (int64_t)r->size_vram : 0);
    if (r && r->expires) {
        char text[36];
        ops_str(j, "expires_at", (struct str){ text, stamp_rfc3339(r->expires, text) });
    }
    if (serves)
        put_serves(j, serves);
    json_close(j);
}

/* Mean of the last five minutes' seconds that had any. */
static void put_recent(struct json_out *j, const char *key, struct history *h, enum node_series s, const char *node)
{
    double ms = history_mean(h, (struct series_at){ (int)s, node }, FIRST_TOKEN_WINDOW);

    ops_num(j, key, round(ms * 10) / 10);
}

static void put_first_token(struct json_out *j, const struct node_view *n, struct history *h)
{
    char name[PULSE_NAME + 1];

    *put_str(name, str_take(n->name, PULSE_NAME)) = 0;
    json_key(j, "ttft_ms");
    json_open(j, '{');
    put_recent(j, "p50", h, SERIES_node_ttft_p50_ms, name);
    put_recent(j, "p95", h, SERIES_node_ttft_p95_ms, name);
    json_close(j);
}

void node_json_detailed(struct json_out *j, const struct node_view *n, const struct node_shown *w)
{
    ops_str(j, "version", n->version);
    ops_str(j, "breaker", str_of(breaker_name(n->breaker)));
    ops_str(j, "labels", n->labels);
    json_key(j, "vram_bytes");
    if (n->vram)
        json_put_u64(j, n->vram);
    else
        json_put_null(j);
    ops_int(j, "requests", (int64_t)n->requests);
    ops_int(j, "errors", (int64_t)n->errors);
    put_time(j, "state_since", w, n->state_since);
    put_time(j, "last_seen", w, n->last_seen);
    put_first_token(j, n, w->history);
    json_key(j, "last_error");
    if (n->last_error_at) {
        json_open(j, '{');
        ops_str(j, "code", fail_name(n->last_error));
        ops_str(j, "text", n->last_error_text);
        put_time(j, "at", w, n->last_error_at);
        json_close(j);
    } else {
        json_put_null(j);
    }
    json_key(j, "models");
    json_open(j, '[');
    for (uint32_t i = 0; i < n->models; i++)
        put_model(j, n, &n->model[i]);
    json_close(j);
}

/* ---- what changes rarely ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15;
    return h ^ h >> 29;
}

static uint64_t mix_model(uint64_t h, const struct node_view *n, const struct inventory_model *m)
{
    const struct node_serves *serves = node_view_serves(n, m->hash);
    const struct inventory_model *r = node_view_resident(n, m->key);

    h = mix(mix(h, m->hash), str_hash(m->digest));
    h = mix(h, r ? r->size_vram + 1 : 0);
    return serves ? mix(mix(h, serves->slots), (uint64_t)serves->breaker) : h;
}

uint64_t node_json_slow_facts(const struct node_view *n)
{
    uint64_t h =
        mix(n->id, (uint64_t)n->state << 8 | (uint64_t)n->kind << 4 | (uint64_t)n->breaker << 1 | n->simulated);

    h = mix(mix(h, (uint64_t)(n->weight * 1000)), (uint64_t)n->slots);
    h = mix(mix(mix(h, str_hash(n->url)), str_hash(n->labels)), str_hash(n->version));
    h = mix(mix(h, str_hash(n->last_error_text)), n->vram);
    for (uint32_t i = 0; i < n->models; i++)
        h = mix_model(h, n, &n->model[i]);
    return h;
}
