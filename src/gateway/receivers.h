/* gateway/receivers.h - alerts on their way out: to webhooks, and to Alertmanagers.
 *
 * One queue for each receiver, of RECEIVER_QUEUE alerts; what an alert is now replaces what was to be told of it
 * before. One POST at a time for each; one that fails is tried again after 1 s, 2 s, 4 s ... 60 s, give or take a
 * quarter, until it is taken or pushed out by newer ones. An Alertmanager is told all that fires, each minute again, as
 * its API wants it. Receivers do not wait for each other, and nothing waits for them. Worker 0, but for what says so.
 */
#pragma once
#include "base/json.h"
#include "gateway/settings.h"
#include "observe/alert.h"

#define RECEIVER_QUEUE 64

struct worker;
struct receivers;
/* NULL when memory is out. */
struct receivers *receivers_new(struct worker *first);
/* Nothing is sent any more; before the loop goes. */
void receivers_stop(struct receivers *r);
void receivers_free(struct receivers **r);
/* The receivers of these settings from now on. Those that stay keep their queues. */
void receivers_configure(struct receivers *r, const struct gateway_settings *s);
void receivers_tell(struct receivers *r, const struct alert_event *e, unsigned n);
/* Once a second: what is due is sent. */
void receivers_turn(struct receivers *r, struct alerts *a);

/* For GET /api/alerts: [{"kind","to","waiting","sent","failed","dropped","last":"204" or what was in the way}]. `to` is
 * without what may be secret in an address. Any thread. */
void receivers_json(struct receivers *r, struct json_out *j);
/* For /metrics. Any thread. */
enum receiver_result { RECEIVER_SENT, RECEIVER_FAILED, RECEIVER_DROPPED, RECEIVER_RESULTS };
uint64_t receivers_count(struct receivers *r, enum receiver_kind kind, enum receiver_result result);

/* An alert for a test, to all receivers, once, past the queues. Begun, asked and dropped on any thread; it begins
 * within a second and takes at most five more. NULL when memory is out. */
struct trial;
struct trial *trial_new(struct receivers *r);
bool trial_is_over(const struct trial *t);
/* {"ok":true,"receivers":[{"kind","to","ok","status","says"}]} */
void trial_json(const struct trial *t, struct json_out *j);
void trial_drop(struct trial **t);
