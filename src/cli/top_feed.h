/* cli/top_feed.h - asks the gateway again and again, on a thread of its own, so that keys work while it does not
 * answer. */
#pragma once
#include "cli/place.h"
#include "cli/top_state.h"

/* Asks once, everything; blocks, at most some seconds. Frees what *a had. */
void top_ask(const struct place *p, struct top_answers *a);
/* What kept it from being answered, for people; NULL: nothing. */
const char *top_trouble(const struct top_answers *a);

struct top_feed;
/* Asks every `interval`. `p` stays until the end. NULL when there is no thread or memory. */
struct top_feed *top_feed_start(const struct place *p, nsec interval);
/* Readable when there is something new. */
int top_feed_fd(const struct top_feed *f);
/* Moves the newest answers into *a, freeing what it had; false: there are none. */
bool top_feed_take(struct top_feed *f, struct top_answers *a);
/* Waits for the question under way, some seconds at most. */
void top_feed_stop(struct top_feed **f);
