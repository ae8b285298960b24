/* observe/request_json.c - one request as JSON: who, where its time went, who was asked and why.
 *
 *     |--queue--|--connect--|--node--|gateway|-----stream-----|        the stages are a request's whole time, so that
 *     head                                first              last      bars drawn of them end where total_ms does
 *
 * Queue, connect and node are of the last attempt, as a record has them; the time of earlier ones is in `gateway`, and
 * in the attempts. */
#include "observe/record_json.h"
#include "observe/requests.h"

static void put_stage(struct json_out *j, const char *name, uint32_t us)
{
    json_open(j, '{');
    record_json_text(j, "name", str_of(name));
    record_json_ms(j, "ms", us);
    json_close(j);
}

static void put_stages(struct json_out *j, const struct record *r)
{
    uint32_t left = r->first_us == UINT32_MAX ? r->total_us : MIN(r->first_us, r->total_us);
    uint32_t stream = r->total_us - left, queue = MIN(r->queued_us, left);
    left -= queue;
    uint32_t connect = MIN(r->connect_us, left);
    left -= connect;
    uint32_t node = MIN(r->node_us, left);
    json_key(j, "stages");
    json_open(j, '[');
    put_stage(j, "queue", queue);
    put_stage(j, "connect", connect);
    put_stage(j, "node", node);
    put_stage(j, "gateway", left - node);
    put_stage(j, "stream", stream);
    json_close(j);
}

static void put_attempt(struct json_out *j, const struct request_attempt *a)
{
    json_open(j, '{');
    record_json_text(j, "node", str_of(a->node));
    record_json_text(j, "why", a->why ? fail_name((enum fail)a->why) : STR_NONE);
    record_json_text(j, "sentence", a->why ? fail_sentence((enum fail)a->why) : STR_NONE);
    record_json_known(j, "status", a->status ? a->status : -1);
    record_json_ms(j, "ms", a->took_us);
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

static void put_trace(struct json_out *j, const struct record *r)
{
    static const uint8_t none[RECORD_TRACE];
    static const char digit[] = "0123456789abcdef";
    char hex[2 * RECORD_TRACE];
    for (unsigned i = 0; i < RECORD_TRACE; i++) {
        hex[2 * i] = digit[r->trace[i] >> 4];
        hex[2 * i + 1] = digit[r->trace[i] & 15];
    }
    bool any = memcmp(r->trace, none, sizeof none) != 0;
    record_json_text(j, "trace", any ? (struct str){ hex, sizeof hex } : STR_NONE);
}

void request_json(struct json_out *j, const struct record *r, const struct request_detail *d)
{
    json_open(j, '{');
    record_json_who(j, r);
    record_json_text(j, "sentence", r->why ? fail_sentence((enum fail)r->why) : STR_NONE);
    put_trace(j, r);
    record_json_times(j, r);
    record_json_ms(j, "added_ms", r->added_us);
    record_json_ms(j, "load_ms", r->load_us);
    record_json_amounts(j, r);
    record_json_flags(j, r);
    json_key(j, "broken");
    json_put_bool(j, r->in_band_error);
    record_json_text(j, "cache", record_cache_name(r->cache));
    record_json_text(j, "cache_detail", str_of(d->cache));
    record_json_text(j, "decision", str_of(d->decision));
    put_stages(j, r);
    put_attempts(j, r, d);
    json_close(j);
}
