/* gateway/shared_state.h - what shared.c and shared_state.c know of each other. */
#pragma once
#include "gateway/shared.h"

struct shared {
    _Atomic bool on; /* a Redis is set */
    struct redis_board *board;
    struct generations *generations;
};
/* The one question at a time about what was forgotten, on worker 0. */
struct shared_poll {
    struct redis_query query;
    struct timer timer;
    enum { POLL_READS, POLL_PAYS, POLL_NAMES, POLL_CLEARS } asks;
    char tag[GENERATIONS_TAG_MOST + 1], id[17];
    unsigned times;
};
struct shared_worker {
    struct worker *worker;
    struct arena arena; /* of the two below */
    struct str url;
    struct redis_target target;
    struct redis *redis;
    struct shared_poll poll;
};
