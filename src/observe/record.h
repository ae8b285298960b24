/* observe/record.h - what is left of a request when it is over: one immutable record of at most 256 bytes, emitted once
 * by the one exit of the road. Metrics, access log, history and alerts consume records; nothing in observe/ calls back.
 * Pure data. */
#pragma once
#include "api/route.h"
#include "base/fail.h"

#define RECORD_MODEL   56
#define RECORD_NODE    32
#define RECORD_REQUEST 36
#define RECORD_TRACE   16
/* What the cache had to do with it. Hit, stale, joined and miss are looks, which make the hit ratio, and are answered
 * from a tape: the node's work for it is in the record of the tape's writer. */
enum record_cache {
    CACHED_NONE, /* not asked */
    CACHED_HIT,
    CACHED_STALE,
    CACHED_JOINED, /* followed somebody else's running answer */
    CACHED_MISS,
    CACHED_BYPASS, /* may not be cached */
    CACHED_RESULTS
};
static inline struct str record_cache_name(unsigned result)
{
    static const struct str name[CACHED_RESULTS] = {
        [CACHED_HIT] = {"hit",     3},
        [CACHED_STALE] = { "stale",  5},
        [CACHED_JOINED] = { "joined", 6},
        [CACHED_MISS] = { "miss",   4},
        [CACHED_BYPASS] = { "bypass", 6}
    };
    return result < CACHED_RESULTS ? name[result] : STR_NONE;
}
enum record_owner {
    OWNER_CLIENT,
    OWNER_PARENT,
    OWNER_FLEET,
    OWNER_TAPE /* what clients asked, answered onto a tape */
};             /* only a client's count as requests */
struct record {
    nsec wall;                     /* when the request's head was complete, since 1970 */
    uint64_t id;                   /* exchange id */
    uint64_t bytes_in, bytes_out;  /* bodies */
    uint32_t total_us;             /* head complete to last byte handed over */
    uint32_t queued_us;            /* waiting for a node */
    uint32_t connect_us;           /* of the last attempt; 0 = a kept connection */
    uint32_t node_us;              /* from sending to the node until its first byte, last attempt */
    uint32_t first_us;             /* until the first byte to the client; UINT32_MAX = none */
    uint32_t added_us;             /* the gateway's own time before the first byte: first - queued - connect - node */
    uint32_t load_us;              /* load_duration the node reported */
    uint32_t gap_us;               /* mean time between records of a stream */
    uint32_t records;              /* records of a stream */
    int32_t tokens_in, tokens_out; /* -1 unknown */
    uint16_t status;               /* sent, or 499 when the client left before */
    uint16_t why;                  /* enum fail */
    uint8_t route, method, attempts, owner;
    bool stream : 1, simulated : 1, retried : 1, in_band_error : 1;
    bool continued : 1; /* another node went on after the first had died in the middle */
    uint8_t cache;      /* enum record_cache */
    struct {
        uint8_t len;
        char text[RECORD_MODEL - 1];
    } model;
    struct {
        uint8_t len;
        char text[RECORD_NODE - 1];
    } node;
    struct {
        uint8_t len;
        char text[RECORD_REQUEST - 1];
    } request_id;
    char client[24];             /* address as text, NUL-terminated, cut off */
    uint8_t trace[RECORD_TRACE]; /* W3C trace id; zeros: none */
};
_Static_assert(sizeof(struct record) <= 256, "a record stays within 256 bytes");
#define record_put(field, s)                                                                                           \
    ((field).len = (uint8_t)MIN((s).n, sizeof((field).text)), memcpy((field).text, (s).p ? (s).p : "", (field).len))
#define record_text(field) ((struct str){ (field).text, (field).len })
