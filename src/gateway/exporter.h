/* gateway/exporter.h - requests on their way to a collector of traces (observe.otlp), over OTLP/HTTP as JSON.
 *
 * Once a second the requests that have ended are copied from observe/requests.h into a queue of EXPORTER_QUEUE; batches
 * of at most EXPORTER_BATCH spans leave one after the other, a connection each. A batch that was not taken is sent
 * again, as OTLP has it, only where no answer came or it was 429, 502, 503 or 504: after Retry-After, where that is
 * told, else after 1 s, 2 s, 4 s ... 60 s, give or take a quarter. Meanwhile what has no room in the queue
 * is dropped and counted; no request ever waits. What is left when the process ends is told in haste:
 * exporter_finish.
 *
 * A request is told unless its client's `traceparent` says that it is not sampled. Operations are not, nor are requests
 * while observe.enabled is off. Without a collector nothing is kept and nothing is done. Worker 0, but for what says
 * so. */
#pragma once
#include "gateway/settings.h"
#include "observe/requests.h"

#define EXPORTER_QUEUE 4096
#define EXPORTER_BATCH 512

struct worker;
struct exporter;
/* NULL when memory is out. */
struct exporter *exporter_new(struct worker *first, struct requests *requests);
/* All requests have ended, and the process is about to: they are told at once, batch after batch, until nothing is left
 * or one was not taken. Then `done`, once, from the loop or before this returns; not any more after exporter_stop. */
void exporter_finish(struct exporter *e, void (*done)(void *arg), void *arg);
/* Nothing is sent any more; before the loop goes. */
void exporter_stop(struct exporter *e);
void exporter_free(struct exporter **e);
/* Another collector, or none, takes effect with the next turn; what waited for the one before is dropped. */
void exporter_configure(struct exporter *e, const struct gateway_settings *s);
/* Once a second: what has ended is taken over, and sent if it is time. */
void exporter_turn(struct exporter *e);

/* For /metrics: spans by what became of them. FAILED: the collector refused them for good. Any thread. */
enum exporter_result { EXPORTER_EXPORTED, EXPORTER_FAILED, EXPORTER_DROPPED, EXPORTER_RESULTS };
uint64_t exporter_count(struct exporter *e, enum exporter_result result);
/* Requests for which the collector was asked in vain, and will be again. Any thread. */
uint64_t exporter_retries(struct exporter *e);
