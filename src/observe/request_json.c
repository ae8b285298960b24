/* observe/request_json.c - one request as JSON: who, where its time went, who was asked and why.
 *
 * Stages are the record's own times: queue, connect and node of the last attempt; the time of earlier ones is in
 * `added_ms`, and in the attempts. What is drawn of them is the page's choice. */
#include "observe/record_json.h"
#include "observe/requests.h"

#include "base/stamp.h"

static struct str name_of(unsigned why)
{
    return why < FAIL_COUNT && why ? fail_name((enum fail)why) : STR("");
}

static void put_who(struct json_out *j, const struct record *r)
{
    char stamp[36], number[17];
    record_json_text(j, "id", record_id(r, number));
    record_json_text(j, "at", (struct str){ stamp, stamp_rfc3339(r->wall, stamp) });
    record_json_text(j, "method", http_method_text((enum http_method)r->method));
    json_key(j, "route");
    json_put_str(j, r->route < ROUTE_COUNT ? route_row((enum route_id)r->route)->path : STR("none"));
    json_key(j, "model");
    json_put_str(j, record_text(r->model));
    json_key(j, "node");
    json_put_str(j, record_text(r->node));
    record_json_known(j, "status", r->status);
    json_key(j, "code");
    json_put_str(j, name_of(r->why));
    record_json_text(j, "sentence", r->why ? fail_sentence((enum fail)r->why) : STR_NONE);
    record_json_text(j, "client", (struct str){ r->client, strnlen(r->client, sizeof r->client) });
}

static void put_trace(struct json_out *j, const struct record *r)
{
    static const uint8_t none[RECORD_TRACE];
    static const char digit[] = "0123456789abcdef";
    char hex[2 * RECORD_TRACE];
    for (unsigned i = 0; i < RECORD_TRACE; i++) {
        hex[2 * i] = digit[r->trace[i] >> 4];
        hex[2 * i + 1] = digit[r->trace[i] & 15];
    }
    if (memcmp(r->trace, none, sizeof none))
        record_json_text(j, "trace_id", (struct str){ hex, sizeof hex });
}

static void put_cache(struct json_out *j, const struct record *r, const struct request_detail *d)
{
    record_json_text(j, "cache", r->cache == CACHED_NONE ? STR("none") : record_cache_name(r->cache));
    if (*d->cache)
        record_json_text(j, "cache_detail", str_of(d->cache));
}

static void put_stages(struct json_out *j, const struct record *r)
{
    json_key(j, "stages");
    json_open(j, '{');
    record_json_times(j, r);
    record_json_ms(j, "added_ms", r->added_us);
    record_json_ms(j, "load_ms", r->load_us);
    json_close(j);
}

static void put_seconds(struct json_out *j, const char *key, float s)
{
    json_key(j, key);
    json_put_f64(j, (double)(int64_t)((double)s * 1e4 + 0.5) / 1e4); /* tenths of milliseconds */
}

static void put_terms(struct json_out *j, const struct request_decision *d)
{
    json_key(j, "terms");
    json_open(j, '{');
    put_seconds(j, "slot", d->slot);
    put_seconds(j, "load", d->load);
    put_seconds(j, "prefill", d->prefill);
    put_seconds(j, "decode", d->decode);
    put_seconds(j, "penalty", d->penalty);
    json_close(j);
}

static void put_next(struct json_out *j, const struct request_next *n)
{
    json_key(j, "next");
    if (!*n->node) {
        json_put_null(j);
        return;
    }
    json_open(j, '{');
    record_json_text(j, "node", str_of(n->node));
    put_seconds(j, "eta_s", n->total);
    json_key(j, "terms");
    json_open(j, '{');
    put_seconds(j, "slot", n->slot);
    put_seconds(j, "prefill", n->prefill);
    put_seconds(j, "decode", n->decode);
    put_seconds(j, "penalty", n->penalty);
    json_close(j);
    json_close(j);
}

static void put_decision(struct json_out *j, const struct record *r, const struct request_decision *d)
{
    json_key(j, "decision");
    if (!*d->policy) {
        json_put_null(j);
        return;
    }
    json_open(j, '{');
    record_json_text(j, "policy", str_of(d->policy));
    record_json_text(j, "node", record_text(r->node));
    if (d->total > 0) {
        put_seconds(j, "total_s", d->total);
        put_terms(j, d);
        if (str_eq(str_of(d->policy), STR("eta")))
            put_next(j, &d->next);
    }
    record_json_known(j, "n", d->candidates);
    if (d->hedged) {
        json_key(j, "hedged");
        json_put_bool(j, true);
    }
    json_close(j);
}

static void put_attempt(struct json_out *j, const struct request_attempt *a)
{
    json_open(j, '{');
    record_json_text(j, "node", str_of(a->node));
    record_json_ms(j, "start_ms", a->start_us);
    record_json_ms(j, "end_ms", a->start_us + MIN(a->took_us, UINT32_MAX - a->start_us));
    record_json_ms(j, "connect_ms", a->connect_us);
    record_json_text(j, "outcome", a->why ? name_of(a->why) : STR("ok"));
    if (a->why)
        record_json_text(j, "detail", fail_sentence((enum fail)a->why));
    record_json_known(j, "status", a->status ? a->status : -1);
    json_close(j);
}

static void put_attempts(struct json_out *j, const struct record *r, const struct request_detail *d)
{
    record_json_known(j, "tries", r->attempts);
    json_key(j, "attempts");
    json_open(j, '[');
    for (unsigned i = 0; i < d->attempts; i++)
        put_attempt(j, &d->attempt[i]);
    json_close(j);
}

void request_json(struct json_out *j, const struct record *r, const struct request_detail *d)
{
    json_open(j, '{');
    put_who(j, r);
    record_json_amounts(j, r);
    record_json_flags(j, r);
    put_trace(j, r);
    put_cache(j, r, d);
    put_stages(j, r);
    put_decision(j, r, &d->decision);
    put_attempts(j, r, d);
    json_close(j);
}
