/* Every worker has connections of its own, and each would log the same trouble; so the lines are written here, once for
 * all, and again only after the trouble had passed. */
#include "redis/board.h"
#include "base/log.h"
#include "base/slab.h"
#include "base/sys.h"
#include <stdlib.h>

struct redis_board {
    _Atomic uint64_t count[REDIS_COUNTS];
    _Atomic unsigned connections[REDIS_BREAKERS];
    _Atomic(struct histogram *) took[SYS_WORKERS_MAX]; /* each written by its worker */
    _Atomic bool in_trouble;
    _Atomic unsigned errors; /* rows of `errors` that were logged */
};

struct str redis_count_name(enum redis_count c)
{
    static const struct str name[REDIS_COUNTS] = {
#define REDIS_COUNT(id, text) { #id, sizeof #id - 1 },
#include "redis/count.def"
#undef REDIS_COUNT
    };

    return name[c];
}

struct str redis_breaker_name(enum redis_breaker b)
{
    static const struct str name[] = {
        [REDIS_CLOSED] = {"closed", 6},
          [REDIS_TRIAL] = { "trial", 5},
          [REDIS_OPEN] = { "open",  4}
    };

    return name[b];
}

struct redis_board *redis_board_new(void)
{
    return memory_strikes() ? NULL : calloc(1, sizeof(struct redis_board));
}

void redis_board_free(struct redis_board **at)
{
    struct redis_board *b = *at;

    *at = NULL;
    for (unsigned i = 0; b && i < SYS_WORKERS_MAX; i++) {
        struct histogram *h = atomic_load(&b->took[i]);
        histogram_free(&h);
    }
    free(b);
}

void redis_board_add(struct redis_board *b, enum redis_count c)
{
    atomic_fetch_add_explicit(&b->count[c], 1, memory_order_relaxed);
}

void redis_board_took(struct redis_board *b, unsigned worker, nsec took)
{
    struct histogram *h = atomic_load_explicit(&b->took[worker], memory_order_relaxed);

    if (!h) {
        h = histogram_new(BOUNDS_ADDED);
        atomic_store_explicit(&b->took[worker], h, memory_order_release);
    }
    if (h)
        histogram_record(h, (uint32_t)MIN(took / 1000, INT32_MAX));
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void say_if_well(struct redis_board *b)
{
    if (atomic_load(&b->connections[REDIS_OPEN]) || atomic_load(&b->connections[REDIS_TRIAL]))
        return;
    if (atomic_exchange(&b->in_trouble, false))
        log_info("Redis answers again: answers are shared");
}

void redis_board_moved(struct redis_board *b, enum redis_breaker from, enum redis_breaker to)
{
    if (to < REDIS_BREAKERS)
        atomic_fetch_add(&b->connections[to], 1);
    if (from < REDIS_BREAKERS)
        atomic_fetch_sub(&b->connections[from], 1);
    if (to == REDIS_CLOSED)
        say_if_well(b);
}

void redis_board_trouble(struct redis_board *b, struct str where, struct str what)
{
    if (!atomic_exchange(&b->in_trouble, true))
        log_warn("Redis at %.*s: %.*s; answers are not shared until it is well again", STR_ARG(where), STR_ARG(what));
}

/* ---- error replies ----------------------------------------------------------------------------------------------- */

static const struct error {
    struct str word;
    enum redis_count count;
    bool of_connection, of_storing; /* the connection is of no use now; answers cannot be stored */
} errors[] = {
    {{ "WRONGTYPE", 9 },     REDIS_wrong_type, false, false},
    { { "OOM", 3 },          REDIS_full,       false, true },
    { { "READONLY", 8 },     REDIS_read_only,  false, true },
    { { "MISCONF", 7 },      REDIS_read_only,  false, true },
    { { "NOREPLICAS", 10 },  REDIS_read_only,  false, true },
    { { "LOADING", 7 },      REDIS_refused,    true,  false},
    { { "NOAUTH", 6 },       REDIS_refused,    true,  false},
    { { "MASTERDOWN", 10 },  REDIS_refused,    true,  false},
    { { "CLUSTERDOWN", 11 }, REDIS_refused,    true,  false},
    { { "NOPERM", 6 },       REDIS_refused,    false, false},
    { { "", 0 },             REDIS_refused,    false, false}, /* any other */
};

static unsigned row_of(struct str error)
{
    unsigned i = 0;

    while (!str_starts(error, errors[i].word))
        i++;
    return i;
}

bool redis_board_error(struct redis_board *b, struct str error)
{
    unsigned row = row_of(error), bit = 1u << row;

    redis_board_add(b, errors[row].count);
    if (!errors[row].of_connection && !(atomic_fetch_or(&b->errors, bit) & bit))
        log_warn("Redis says: %.*s; requests go on without it", STR_ARG(str_take(error, 200)));
    return errors[row].of_connection;
}

void redis_board_stored(struct redis_board *b)
{
    unsigned passed = 0;

    redis_board_add(b, REDIS_stored);
    for (unsigned i = 0; i < ARRAY_LEN(errors); i++)
        passed |= errors[i].of_storing ? 1u << i : 0;
    if ((atomic_load_explicit(&b->errors, memory_order_relaxed) & passed) &&
        (atomic_fetch_and(&b->errors, ~passed) & passed))
        log_info("Redis takes answers again");
}

/* ---- shown ------------------------------------------------------------------------------------------------------- */

void redis_board_look(const struct redis_board *b, struct redis_board_look *out)
{
    struct histogram_spread spread = { 0 };

    *out = (struct redis_board_look){ .breaker = REDIS_TRIAL };
    for (unsigned i = 0; i < REDIS_COUNTS; i++)
        out->count[i] = atomic_load_explicit(&b->count[i], memory_order_relaxed);
    for (unsigned i = 0; i < REDIS_BREAKERS; i++)
        out->connections[i] = atomic_load(&b->connections[i]);
    for (unsigned i = 0; i < SYS_WORKERS_MAX; i++) {
        const struct histogram *h = atomic_load_explicit(&b->took[i], memory_order_acquire);
        if (h)
            histogram_spread_up(&spread, h);
    }
    out->p50 = USEC(histogram_quantile(&spread, 0.5));
    out->p99 = USEC(histogram_quantile(&spread, 0.99));
    if (out->connections[REDIS_CLOSED])
        out->breaker = REDIS_CLOSED;
    if (out->connections[REDIS_TRIAL])
        out->breaker = REDIS_TRIAL;
    if (out->connections[REDIS_OPEN])
        out->breaker = REDIS_OPEN;
}
