/* observe/meter.c - what a record adds to which family.
 *
 *     record --names--> numbers of model and node --> requests, tokens       one look-up each in the worker's own index
 *                                                 `-> histograms by number   an array of pointers, filled on first use
 *
 * Each worker has a meter of its own, so no counter is ever shared between two writers and none needs a locked
 * instruction. Only the names are shared (observe/name_table.h): they come with the first meter and go with the last.
 *
 * What counts: requests and their times only for clients' requests; tokens and load times for whoever caused them,
 * since the node did the work all the same, but once: not for each client that is answered from a tape. Time to first
 * token only for streams: an answer in one piece has no first token that anybody sees. The gateway's own time only for
 * requests without a second attempt, as a record knows the times of the last one only. */
#include "observe/meter_state.h"

#include "base/slab.h"

#include <pthread.h>
#include <stdlib.h>

#define LOAD_LEAST_US 300000 /* below, the model was there already */

const struct meter_histogram_row meter_histograms[HISTOGRAM_COUNT] = {
#define METRIC_HISTOGRAM(id, name, by, bounds, help) [HISTOGRAM_##id] = { FAMILY_##id, BY_##by, BOUNDS_##bounds },
#include "observe/metric.def"
};

/* --- life --- */

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static struct meter_names names; /* of all meters there are */
static unsigned meters_alive;

static void free_names(void)
{
    name_table_free(&names.models);
    name_table_free(&names.nodes);
}

static bool hold_names(void)
{
    pthread_mutex_lock(&names_lock);
    if (meters_alive == 0) {
        names.models = name_table_new(METER_MODELS);
        names.nodes = name_table_new(METER_NODES);
    }
    bool ok = names.models && names.nodes;
    if (ok)
        meters_alive++;
    else
        free_names();
    pthread_mutex_unlock(&names_lock);
    return ok;
}

static void let_names_go(void)
{
    pthread_mutex_lock(&names_lock);
    if (--meters_alive == 0)
        free_names();
    pthread_mutex_unlock(&names_lock);
}

struct meter *meter_new(void)
{
    struct meter *m = memory_strikes() ? NULL : calloc(1, sizeof *m);
    if (m && !hold_names()) {
        free(m);
        return NULL;
    }
    if (m)
        m->names = &names;
    return m;
}

static void free_histograms(struct meter *m)
{
    for (unsigned h = 0; h < HISTOGRAM_COUNT; h++)
        for (int i = 0; i < METER_LABELS; i++) {
            struct histogram *one = atomic_load_explicit(&m->histogram[h][i], memory_order_relaxed);
            histogram_free(&one);
        }
}

static void free_nodes(struct meter *m)
{
    for (size_t i = 0; i < ARRAY_LEN(m->node); i++)
        free(atomic_load_explicit(&m->node[i], memory_order_relaxed));
}

void meter_free(struct meter **m)
{
    if (!*m)
        return;
    free_histograms(*m);
    free_nodes(*m);
    label_sets_done(&(*m)->requests);
    label_sets_done(&(*m)->tokens);
    label_sets_done(&(*m)->upstream_errors);
    free(*m);
    *m = NULL;
    let_names_go();
}

/* --- small counters --- */

static void add(_Atomic uint64_t *count, uint64_t n)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

void meter_add(struct meter *m, enum meter_counter c, uint64_t n)
{
    add(&m->counter[c], n);
}

void meter_retry(struct meter *m, enum fail reason)
{
    add(&m->retries[reason], 1);
    add(&m->total[TOTAL_RETRIES], 1);
}

/* Records hold a node's name cut off; others must look for the same one. */
unsigned meter_node_number(struct meter *m, struct str node, bool learn)
{
    return name_table_number(m->names->nodes, str_take(node, RECORD_NODE - 1), learn);
}

void meter_upstream_error(struct meter *m, struct str node, enum fail kind)
{
    unsigned number = meter_node_number(m, node, true);
    add(&m->total[TOTAL_UPSTREAM_ERRORS], 1);
    label_sets_add(&m->upstream_errors, meter_key(number, kind, 0, 0), meter_key(NAME_OTHER, kind, 0, 0), 1, 0);
}

/* --- records --- */

/* A record with its names and its route looked up. */
struct looked_up {
    const struct record *r;
    const struct route *route; /* NULL: none */
    bool operations, traced;
    unsigned model, node;
};

static bool vouches_for_model(const struct record *r)
{
    return r->node.len && (r->status < 400 || r->status >= 500);
}

/* Most requests are for the model of the one before. */
static unsigned model_of(struct meter *m, const struct record *r)
{
    struct str name = record_text(r->model);
    if (m->last_model < NAME_FIRST || !str_eq(name_table_name(m->names->models, m->last_model), name))
        m->last_model = name_table_number(m->names->models, name, vouches_for_model(r));
    return m->last_model;
}

static struct looked_up look_up(struct meter *m, const struct record *r)
{
    static const uint8_t no_trace[RECORD_TRACE];
    const struct route *route = r->route < ROUTE_COUNT ? route_row(r->route) : NULL;
    return (struct looked_up){
        .r = r,
        .route = route,
        .operations = route && route->kind == KIND_OPS,
        .traced = memcmp(r->trace, no_trace, sizeof no_trace) != 0,
        .model = model_of(m, r),
        .node = name_table_number(m->names->nodes, record_text(r->node), true),
    };
}

static void time_taken(struct meter *m, const struct looked_up *l, enum meter_histogram which, unsigned label,
                       uint32_t us)
{
    _Atomic(struct histogram *) *place = &m->histogram[which][label];
    struct histogram *h = atomic_load_explicit(place, memory_order_relaxed);
    if (unlikely(!h)) {
        h = histogram_new(meter_histograms[which].bounds);
        if (!h)
            return;
        atomic_store_explicit(place, h, memory_order_release);
    }
    if (l->traced)
        histogram_record_traced(h, us, l->r->trace, l->r->wall);
    else
        histogram_record(h, us);
}

static struct meter_node *node_of(struct meter *m, unsigned number)
{
    struct meter_node *n = atomic_load_explicit(&m->node[number], memory_order_relaxed);
    if (unlikely(!n) && !memory_strikes()) {
        n = calloc(1, sizeof *n);
        atomic_store_explicit(&m->node[number], n, memory_order_release);
    }
    return n;
}

/* What the fleet asks of a node itself (an empty prompt that loads a model) says nothing about how quick its answers
 * are. */
static void watch_node(struct meter *m, const struct looked_up *l)
{
    const struct record *r = l->r;
    struct meter_node *n = l->node == NAME_NONE ? NULL : node_of(m, l->node);
    if (!n)
        return;
    add(&n->tokens, (uint64_t)MAX(r->tokens_out, 0));
    bool asked = r->owner == OWNER_CLIENT || r->owner == OWNER_TAPE;
    if (asked && r->stream && r->first_us != UINT32_MAX && r->status < 400)
        gist_record(&n->first, r->node_us);
}

/* Who is answered from a tape bears the tokens of its writer, which has a record of its own. */
static bool had_node_work(const struct record *r)
{
    return r->owner != OWNER_CLIENT || r->cache == CACHED_NONE || r->cache == CACHED_BYPASS;
}

static void count_node_work(struct meter *m, const struct looked_up *l)
{
    uint64_t in = (uint64_t)MAX(l->r->tokens_in, 0), out = (uint64_t)MAX(l->r->tokens_out, 0);
    if (in || out)
        label_sets_add(&m->tokens, meter_key(l->model, l->node, 0, 0), meter_key(NAME_OTHER, NAME_OTHER, 0, 0), in,
                       out);
    add(&m->total[TOTAL_TOKENS_IN], in);
    add(&m->total[TOTAL_TOKENS_OUT], out);
    watch_node(m, l);
    if (l->r->load_us > LOAD_LEAST_US)
        time_taken(m, l, HISTOGRAM_model_load, l->model, l->r->load_us);
}

static void count_request(struct meter *m, const struct looked_up *l)
{
    const struct record *r = l->r;
    unsigned route = l->route ? l->route->id : ROUTE_NONE;
    label_sets_add(&m->requests, meter_key(route, r->method, r->status, l->model),
                   meter_key(ROUTE_NONE, M_OTHER, r->status >= 400 ? 500 : 200, NAME_OTHER), 1, 0);
    time_taken(m, l, HISTOGRAM_request_duration, route, r->total_us);
    if (r->attempts == 0 && r->why < FAIL_COUNT && fail_waiting_helps(r->why)) {
        add(&m->shed[r->why], 1);
        add(&m->total[TOTAL_SHED], 1);
    }
    if (r->cache < CACHED_RESULTS && r->cache != CACHED_NONE)
        add(&m->cache[r->cache], 1);
}

static bool failed_by_us(const struct record *r)
{
    return r->status >= 500 || r->in_band_error;
}

static void count_totals(struct meter *m, const struct looked_up *l)
{
    const struct record *r = l->r;
    bool hit = r->cache == CACHED_HIT || r->cache == CACHED_STALE || r->cache == CACHED_JOINED;
    add(&m->total[TOTAL_REQUESTS], !l->operations);
    add(&m->total[TOTAL_ERRORS], !l->operations && failed_by_us(r));
    add(&m->total[TOTAL_CACHE_HITS], hit);
    add(&m->total[TOTAL_CACHE_LOOKUPS], hit || r->cache == CACHED_MISS);
}

static bool is_model_work(const struct looked_up *l)
{
    return l->route && l->route->kind == KIND_MODEL && l->model != NAME_NONE;
}

static void count_model_times(struct meter *m, const struct looked_up *l)
{
    const struct record *r = l->r;
    if (r->attempts || r->queued_us)
        time_taken(m, l, HISTOGRAM_queue_wait, l->model, r->queued_us);
    if (r->stream && r->first_us != UINT32_MAX && r->status < 400)
        time_taken(m, l, HISTOGRAM_first_token, l->model, r->first_us);
    if (r->stream && r->records > 1)
        time_taken(m, l, HISTOGRAM_inter_token, l->model, r->gap_us);
}

/* The same times over all models, for the history. */
static void watch_model_times(struct meter *m, const struct record *r)
{
    gist_record(&m->time[TIME_DURATION], r->total_us);
    if (r->attempts || r->queued_us)
        gist_record(&m->time[TIME_QUEUE_WAIT], r->queued_us);
    if (r->stream && r->first_us != UINT32_MAX && r->status < 400)
        gist_record(&m->time[TIME_FIRST_TOKEN], r->first_us);
}

/* Where an answer waits for several nodes or for a blob's bytes, the record cannot tell whose time it was. */
static bool own_time_is_known(const struct looked_up *l)
{
    bool several = l->route && (l->route->kind == KIND_FANOUT || l->route->kind == KIND_BLOB);
    return l->r->first_us != UINT32_MAX && !l->r->retried && !several;
}

/* Of an answer that needed no node, and was no refusal for want of one, all the time is our own. */
static void watch_own_time(struct meter *m, const struct record *r)
{
    if (r->attempts)
        gist_record(&m->time[TIME_ADDED], r->added_us);
    else if (!r->queued_us && r->status < 500)
        gist_record(&m->time[TIME_OWN_ANSWER], r->first_us);
}

void meter_record(struct meter *m, const struct record *r)
{
    struct looked_up l = look_up(m, r);
    if (had_node_work(r))
        count_node_work(m, &l);
    if (r->owner != OWNER_CLIENT)
        return;
    count_request(m, &l);
    count_totals(m, &l);
    if (is_model_work(&l)) {
        count_model_times(m, &l);
        watch_model_times(m, r);
    }
    if (own_time_is_known(&l)) {
        time_taken(m, &l, HISTOGRAM_added, 0, r->added_us);
        watch_own_time(m, r);
    }
}
