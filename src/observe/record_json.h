/* observe/record_json.h - a record's members as JSON, for the access log and the list of requests, which call the same
 * things the same. Pure; any thread. */
#pragma once
#include "base/json.h"
#include "observe/record.h"

/* total_ms, queued_ms, connect_ms, node_ms, first_ms */
void record_json_times(struct json_out *j, const struct record *r);
/* tokens_in, tokens_out, bytes_in, bytes_out */
void record_json_amounts(struct json_out *j, const struct record *r);
/* stream, simulated; continued, if it was */
void record_json_flags(struct json_out *j, const struct record *r);
/* One member: null for empty text, for a negative number; microseconds as milliseconds. */
void record_json_text(struct json_out *j, const char *key, struct str s);
void record_json_known(struct json_out *j, const char *key, int64_t v);
void record_json_ms(struct json_out *j, const char *key, uint32_t us);
/* What the request is known by: its own id, else the exchange's in hex, which is written into `number`. */
struct str record_id(const struct record *r, char number[17]);
