/* observe/record_json.c - names and units of a record's members, in one place. Times are milliseconds with three
 * digits, written without a detour over floating point. */
#include "observe/record_json.h"

void record_json_text(struct json_out *j, const char *key, struct str s)
{
    json_key(j, key);
    if (s.n)
        json_put_str(j, s);
    else
        json_put_null(j);
}

void record_json_ms(struct json_out *j, const char *key, uint32_t us)
{
    char z[16], *end = put_u64(z, us / 1000);
    json_key(j, key);
    *end++ = '.';
    for (unsigned rest = us % 1000, place = 100; place; rest %= place, place /= 10)
        *end++ = (char)('0' + rest / place);
    json_put_raw(j, str_span(z, end));
}

void record_json_known(struct json_out *j, const char *key, int64_t v)
{
    json_key(j, key);
    if (v >= 0)
        json_put_i64(j, v);
    else
        json_put_null(j);
}

struct str record_id(const struct record *r, char number[17])
{
    return r->request_id.len ? record_text(r->request_id) : str_span(number, put_hex(number, r->id));
}

void record_json_times(struct json_out *j, const struct record *r)
{
    record_json_ms(j, "total_ms", r->total_us);
    record_json_ms(j, "queued_ms", r->queued_us);
    record_json_ms(j, "connect_ms", r->connect_us);
    record_json_ms(j, "node_ms", r->node_us);
    if (r->first_us != UINT32_MAX)
        record_json_ms(j, "first_ms", r->first_us);
    else
        record_json_text(j, "first_ms", STR_NONE);
}

void record_json_amounts(struct json_out *j, const struct record *r)
{
    record_json_known(j, "tokens_in", r->tokens_in);
    record_json_known(j, "tokens_out", r->tokens_out);
    json_key(j, "bytes_in");
    json_put_u64(j, r->bytes_in);
    json_key(j, "bytes_out");
    json_put_u64(j, r->bytes_out);
}

void record_json_flags(struct json_out *j, const struct record *r)
{
    json_key(j, "stream");
    json_put_bool(j, r->stream);
    json_key(j, "simulated");
    json_put_bool(j, r->simulated);
    if (r->continued) {
        json_key(j, "continued");
        json_put_bool(j, true);
    }
}
