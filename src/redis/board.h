/* redis/board.h - what the clients of all workers say together: counts, times, how their connections are, and the few
 * lines of log about it. Any thread; values are only added up. */
#pragma once
#include "observe/histogram.h"
#include "redis/resp.h"

enum redis_count {
#define REDIS_COUNT(id, text) REDIS_##id,
#include "redis/count.def"
#undef REDIS_COUNT
    REDIS_COUNTS
};
struct str redis_count_name(enum redis_count c);
/* closed: answers. trial: being connected and tried. open: resting after failures. */
enum redis_breaker { REDIS_CLOSED, REDIS_TRIAL, REDIS_OPEN, REDIS_BREAKERS };
struct str redis_breaker_name(enum redis_breaker b);

struct redis_board;
struct redis_board *redis_board_new(void); /* NULL when memory is out */
void redis_board_free(struct redis_board **b);

void redis_board_add(struct redis_board *b, enum redis_count c);
/* A reply came in time, on this worker. */
void redis_board_took(struct redis_board *b, unsigned worker, nsec took);
/* A connection has become this; REDIS_BREAKERS: it is none (any more). */
void redis_board_moved(struct redis_board *b, enum redis_breaker from, enum redis_breaker to);
/* Something is wrong with it: logged once, until all connections answer again, which is logged as well. */
void redis_board_trouble(struct redis_board *b, struct str where, struct str what);
/* An error reply: counted, and the first of its kind logged. True: it speaks of the whole connection, which is of no
 * use now. */
bool redis_board_error(struct redis_board *b, struct str error);
/* An answer was stored: what kept others from being has passed. */
void redis_board_stored(struct redis_board *b);

struct redis_board_look {
    uint64_t count[REDIS_COUNTS];
    unsigned connections[REDIS_BREAKERS];
    enum redis_breaker breaker; /* the worst of them; TRIAL when there are none */
    nsec p50, p99;              /* of replies that came in time */
};
void redis_board_look(const struct redis_board *b, struct redis_board_look *out);
