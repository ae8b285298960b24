/* observe/otlp.h - requests as OpenTelemetry traces: the JSON of an ExportTraceServiceRequest, as OTLP/HTTP 1.x wants
 * it (ids in lower-case hex, 64-bit numbers as strings, enums as numbers).
 *
 * One server span for each request; below it one client span for each attempt of which something was kept
 * (REQUEST_ATTEMPTS). Span ids are not made here: the request's is in its detail, and those of attempts follow from it,
 * so that the node was told in `traceparent` the very id that is exported later, and a batch that is sent again says
 * the same again. Pure; any thread. */
#pragma once
#include "base/json.h"
#include "observe/requests.h"

/* The span id of the attempt with this number, from 1; never 0. */
uint64_t otlp_attempt_span(uint64_t span, unsigned number);
/* How many spans it becomes: 0 where it is not traced (no span id, or memory was out when the trace id was made). */
unsigned otlp_spans(const struct record *r, const struct request_detail *d);

/* begin, put for each request, end: one JSON object. `instance`: which gateway this is. */
void otlp_begin(struct json_out *j, struct str instance);
void otlp_put(struct json_out *j, const struct record *r, const struct request_detail *d);
void otlp_end(struct json_out *j);
/* How many spans the collector says it did not take, in its answer to a request that went well: {"partialSuccess":
 * {"rejectedSpans":"3"}}. The answer may be cut off. */
uint64_t otlp_rejected(struct str answer);
