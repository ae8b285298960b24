/* gateway/bulletin.h - the frames of one second, in every form in which they go out: made once, on worker 0, then only
 * read, by as many as look.
 *
 * Counted references; any thread. web/FEED.md says what is in the frames. */
#pragma once
#include "base/buf.h"
#include <stdatomic.h>

enum feed_topic { FEED_METRICS, FEED_NODES, FEED_ALERTS, FEED_REQUESTS, FEED_TOPICS };
#define FEED_BIT(topic) (1u << (topic))
#define FEED_ALL        (FEED_BIT(FEED_TOPICS) - 1)
/* Frames of a WebSocket; events of an event stream; values with a comma behind each. */
enum feed_form { FORM_SOCKET, FORM_EVENTS, FORM_VALUES, FEED_FORMS };

/* "metrics,alert" as bits; empty: all. False: there is no such topic. */
bool feed_topics(struct str list, unsigned *out);
/* The name of one: false if there is none. */
bool feed_topic(struct str name, enum feed_topic *out);

struct bulletin;
/* Empty, with one reference. NULL when memory is out. */
struct bulletin *bulletin_new(uint64_t number, nsec made);
struct bulletin *bulletin_ref(struct bulletin *b);
void bulletin_unref(struct bulletin **b);
/* While it is made: topics in their order, and of each as many frames as there are. Frames are JSON in one line. False:
 * there is no memory, and nothing of this one is in it. */
bool bulletin_add(struct bulletin *b, enum feed_topic topic, struct str frame);

uint64_t bulletin_number(const struct bulletin *b); /* one more each second */
nsec bulletin_made(const struct bulletin *b);       /* monotonic */
/* Those of the wanted topics, in one piece where they lie together; returns how many pieces. */
unsigned bulletin_look(const struct bulletin *b, enum feed_form form, unsigned topics, struct str out[FEED_TOPICS]);
