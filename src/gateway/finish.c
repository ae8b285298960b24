/* The record is made once, at the exit, from what the stages left in their sections; nothing is measured here but the
 * end. Of an answer of our own that is its first byte: what made it ran within one turn. */
#include "gateway/finish.h"
#include "gateway/gateway_private.h"
#include <endian.h>

static uint32_t micros(nsec from, nsec to)
{
    nsec us = from && to > from ? (to - from) / 1000 : 0;

    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX - 1;
}

static void put_times(const struct exchange *x, struct record *r)
{
    nsec connected = x->up.sent ? x->up.sent : worker_now(x->worker);

    r->total_us = micros(x->in.at, MAX(worker_now(x->worker), x->tally.first));
    r->queued_us = micros(1, x->tally.queued + 1);
    r->connect_us = x->up.connect_ns ? micros(1, x->up.connect_ns + 1) : 0;
    r->node_us = micros(connected, x->up.first_byte);
    r->first_us = x->tally.first ? micros(x->in.at, x->tally.first) : UINT32_MAX;
    if (x->tally.first)
        r->added_us = r->first_us - MIN(r->first_us, r->queued_us + r->connect_us + r->node_us);
    r->load_us = x->up.figures.load > 0 ? (uint32_t)MIN(x->up.figures.load / 1000, UINT32_MAX) : 0;
    r->records = x->tally.records;
    if (r->records > 1)
        r->gap_us = micros(x->tally.first, x->tally.last) / (r->records - 1);
}

/* What this node has counted as its prompt, and the nodes before it had said, is a part of the answer. */
static void put_tokens(const struct exchange *x, struct record *r)
{
    int64_t in = MIN(x->up.figures.prompt_tokens, INT32_MAX), out = MIN(x->up.figures.output_tokens, INT32_MAX);
    int64_t before = x->again.before;

    r->tokens_in = (int32_t)(in > before ? in - before : in);
    r->tokens_out = (int32_t)(out >= 0 ? MIN(out + before, INT32_MAX) : out);
}

static void put_names(const struct exchange *x, struct record *r)
{
    struct str from = x->owner_kind == OWNER_CLIENT ? str_take(client_address(x), sizeof r->client - 1) : STR_NONE;

    record_put(r->model, x->route.asked.n ? x->route.asked : x->route.model);
    record_put(r->node, str_of(x->up.node_name));
    record_put(r->request_id, x->in.request_id);
    if (from.n)
        memcpy(r->client, from.p, from.n);
}

/* ---- what the list of requests shows beyond the record ------------------------------------------------------------
 */

void finish_attempt(struct exchange *x, enum fail why)
{
    nsec began = MAX(x->tally.granted, x->in.at);
    struct request_try a = { .node = str_of(x->up.node_name),
                             .why = why,
                             .status = x->up.status,
                             .start = began - x->in.at,
                             .took = worker_now(x->worker) - began,
                             .connect = x->up.connect_ns };

    request_detail_attempt(&x->tally.detail, &a);
}

static void put_decision(const struct decision *d, struct request_decision *to)
{
    struct str by = str_take(str_of(d->by ? d->by : "eta"), sizeof to->policy - 1);

    *to = (struct request_decision){ .total = d->total,
                                     .slot = d->slot,
                                     .load = d->load,
                                     .prefill = d->prefill,
                                     .decode = d->decode,
                                     .penalty = d->penalty,
                                     .candidates = d->candidates,
                                     .hedged = d->hedged };
    *put_str(to->policy, by) = 0;
    to->next = (struct request_next){ .total = d->next.total,
                                      .slot = d->next.slot,
                                      .prefill = d->next.prefill,
                                      .decode = d->next.decode,
                                      .penalty = d->next.penalty };
    memcpy(to->next.node, d->next.node, sizeof to->next.node);
}
_Static_assert(RECORD_NODE == sizeof((struct decision_next *)0)->node, "names are cut off alike");

/* Whoever looks at the gateway would soon see nothing but himself: operations are not kept. */
static void keep_request(struct exchange *x, const struct record *r)
{
    struct gateway *g = x->worker->gateway;

    if (x->owner_kind != OWNER_CLIENT || (x->route.row && x->route.row->kind == KIND_OPS))
        return;
    x->tally.detail.span = x->in.span;
    x->tally.detail.parent = x->in.parent;
    if (x->up.attempts)
        put_decision(&x->ticket.decision, &x->tally.detail.decision);
    requests_put(lookout_requests(g->lookout), x->worker->no, r, &x->tally.detail);
}

/* Eight hexadecimal digits, all at once: each becomes its value, pairs become bytes, which move together. */
static uint32_t bytes_of_hex(const char *hex)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t w;

    memcpy(&w, hex, sizeof w);
    w = le64toh(w);
    w = (w & ones * 0x0f) + 9 * (w >> 6 & ones); /* letters have bit 6 */
    w = (w << 4 | w >> 8) & 0x00ff00ff00ff00ff;
    w = (w | w >> 8) & 0x0000ffff0000ffff;
    return htole32((uint32_t)(w | w >> 16));
}

/* 00-<32 hex>-<16 hex>-<2 hex>, which forward.c has checked, or made. */
static void put_trace(const struct exchange *x, struct record *r)
{
    if (x->in.traceparent.n < 3 + 2 * RECORD_TRACE)
        return;
    for (unsigned i = 0; i < RECORD_TRACE; i += 4) {
        uint32_t four = bytes_of_hex(x->in.traceparent.p + 3 + 2 * i);
        memcpy(r->trace + i, &four, sizeof four);
    }
}

/* ---- the exit ---------------------------------------------------------------------------------------------------- */

/* Whoever leaves in the middle has been denied nothing. */
static bool broke_off(const struct exchange *x)
{
    return x->out.head_sent && x->out.stream && x->tally.why && x->tally.why != FAIL_client_gone;
}

void finish_record(struct exchange *x)
{
    struct gateway *g = x->worker->gateway;
    struct record r = {
        .wall = x->in.wall,
        .id = x->id,
        .bytes_in = x->in.body.n + x->tally.bytes_in,
        .bytes_out = x->tally.bytes_out,
        .status = (uint16_t)x->tally.status,
        .why = (uint16_t)x->tally.why,
        .route = x->route.row ? (uint8_t)x->route.row->id : ROUTE_NONE,
        .method = (uint8_t)x->in.method,
        .attempts = (uint8_t)MIN(x->up.attempts, 255u),
        .owner = (uint8_t)x->owner_kind,
        .cache = (uint8_t)x->tally.cache,
        .stream = x->out.stream,
        .simulated = x->up.simulated,
        .retried = x->up.attempts > 1,
        .continued = x->again.n > 0,
        .in_band_error = x->up.failed_in_band || broke_off(x),
    };

    if (!r.status)
        r.status = x->tally.why ? (uint16_t)fail_status(x->tally.why) : 200;
    put_times(x, &r);
    put_names(x, &r);
    put_tokens(x, &r);
    put_trace(x, &r);
    if (r.why == FAIL_client_gone && x->owner_kind != OWNER_TAPE)
        meter_add(x->worker->meter, COUNT_client_aborts, 1);
    if (r.in_band_error && x->owner_kind != OWNER_TAPE)
        meter_add(x->worker->meter, COUNT_in_band_errors, 1);
    if (x->settings->observe) {
        meter_record(x->worker->meter, &r);
        keep_request(x, &r);
    }
    if (g->access_log && x->owner_kind == OWNER_CLIENT && !access_log_put(g->access_log, x->worker->no, &r))
        meter_add(x->worker->meter, COUNT_records_dropped, 1);
    if (g->on_record)
        g->on_record(&r, g->on_record_arg);
}
