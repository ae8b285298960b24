/* cache/cache.h - answers kept in memory, and the flights that bring them (design: section 5 and decision 3).
 *
 * A map from a key, SHA-256 over what a request means, to a tape (base/tape.h). A tape in the map is a flight while it
 * runs and the entry once it has ended well, without a copy. Each key has at most one value and one flight; one probe
 * under one lock says which way a request goes, and a hit shares that lock with others. Up to 16 shards, each with a
 * lock of its own, under which there is no I/O and no callback. Any thread; `now` is passed in and never runs
 * backwards.
 *
 *      look --- HIT, STALE --> read the tape                   (STALE and `refresh`: somebody should lead; see below)
 *       |------ JOIN --------> read the tape while it runs     (tape_join refuses: look again, `refused` its flight)
 *       |------ MISS --------> make a tape and a writer for it, look again with both
 *       |        '--- LEAD --> the tape is the flight: whoever writes it ends it here, once, with cache_end
 *       '------ PASS --------> to a node alone; nothing is kept
 *
 * Memory: values, entries and the index stay within the size given. A flight's tape and a value that was dropped while
 * somebody reads it belong to who reads them; memory of entries that went is kept for others, uncounted. Evicted is by
 * S3-FIFO (cache/s3fifo.h), what has expired first. */
#pragma once
#include "base/fail.h"
#include "base/tape.h"

struct cache;
struct cache_key {
    uint8_t bytes[32];
};
struct cache_plan {
    size_t bytes;
    unsigned shards; /* 0: as many as have 16 MiB each, 1 to 16 */
    uint64_t seed;   /* chance: strangers must not know which keys share a bucket */
    bool admission;  /* an answer far cheaper per byte than what would have to go must be asked for twice */
    bool unit_size;  /* for traces: `bytes` is a number of values, each weighs 1 whatever its size */
};
#define CACHE_SHARDS_MOST 16
/* NULL when memory is out. Free: nobody calls any more; what is being read stays with its readers. */
struct cache *cache_new(const struct cache_plan *plan);
void cache_free(struct cache **c);

/* ---- asking ------------------------------------------------------------------------------------------------------ */
#define CACHE_CLASSES 9 /* of routes, for the statistics */
enum cache_found { CACHE_NEW, CACHE_HIT, CACHE_STALE, CACHE_JOIN, CACHE_MISS, CACHE_LEAD, CACHE_PASS };
struct cache_ask {
    struct cache_key key;
    nsec now;
    nsec max_age;         /* of the client: older values are not for it, nor stale ones. NEVER: any; -1: none at all */
    bool join;            /* may follow a running flight; else PASS while there is one */
    uint8_t class;        /* < CACHE_CLASSES */
    enum cache_found was; /* of a further look for the same request: what the last one found; each counts once */
    uint64_t model;       /* cache_tag of its model: a flight started before that was forgotten takes nobody */
    uint64_t refused;     /* the flight whose tape did not take this reader; 0: none */
    struct tape *lead;    /* a new tape to become the flight, made with cache_item_cap; NULL: only looking */
};
enum cache_pass { CACHE_PASS_NOT, CACHE_PASS_REFUSED, CACHE_PASS_ALONE, CACHE_PASS_NO_MEMORY };
struct cache_look {
    enum cache_found found;
    enum cache_pass why;
    struct tape *tape; /* to be read, with a reference: HIT, STALE, JOIN, LEAD */
    uint64_t flight; /* JOIN: its number. LEAD, STALE: not 0 when `lead` became the flight, to be ended by its writer */
    nsec age, ttl;   /* HIT, STALE; a stale one's ttl is negative */
    bool negative;   /* a kept 404 or 400 */
    bool refresh;    /* STALE and nobody refreshes it: look again with `lead`, if it may */
    bool rescue;     /* JOIN, MISS, LEAD, PASS: should it fail, cache_rescue has an older answer */
};
enum cache_found cache_look(struct cache *c, const struct cache_ask *ask, struct cache_look *out);
/* No node could answer: the last good value, while it may stand in (stale-if-error). Gives tape, age, ttl; false: none.
 */
bool cache_rescue(struct cache *c, const struct cache_key *key, nsec now, struct cache_look *out);
/* How many bytes a tape may have to be kept: 1/16 of a shard. For tape_new. */
size_t cache_item_cap(const struct cache *c);

/* ---- filling ----------------------------------------------------------------------------------------------------- */
#define CACHE_TAGS 4
struct cache_keep {
    nsec ttl, stale, stale_if_error; /* the last two count from the end of the first; the ttl loses up to 10 % by */
    uint64_t random;                 /* this: answers of one moment do not end in one */
    nsec age;                        /* that it has already (from another gateway) */
    double saved_s;                  /* GPU-seconds each hit spares; 0: not known */
    uint32_t saved_tokens;           /* and tokens that no node has to write */
    uint64_t tags[CACHE_TAGS];       /* cache_tag of its model and nodes; 0: none */
    bool negative;
};
/* Why it is not kept. UNPROVEN: the tape did not end well. LOST: what it may depend on was forgotten, or another flight
 * took its place. POOR: admission. NO_ROOM: larger than the cap, or nothing more could go. */
enum cache_kept { CACHE_KEPT, CACHE_UNWANTED, CACHE_UNPROVEN, CACHE_LOST, CACHE_REFUSED, CACHE_POOR, CACHE_NO_ROOM };
/* The flight is over: once for each, after tape_end. `keep` NULL: not to be kept (failed, or its end forbids it); the
 * value it would have replaced stays. */
enum cache_kept cache_end(struct cache *c, const struct cache_key *key, uint64_t flight, const struct cache_keep *keep,
                          nsec now);

/* ---- forgetting -------------------------------------------------------------------------------------------------- */
#define CACHE_EVERYTHING 0 /* the tag of all */
uint64_t cache_tag_model(struct str name);
uint64_t cache_tag_node(uint64_t id);
/* Values of this tag go now, whoever reads one reads on; flights that began before are not kept, and those of the model
 * take nobody any more. Returns how many values went. */
uint64_t cache_forget(struct cache *c, uint64_t tag);
/* From time to time (once a second): expired values go even if nobody needs the room. */
void cache_sweep(struct cache *c, nsec now);

/* ---- pressure ---------------------------------------------------------------------------------------------------- */
/* All memory from now on, index included; what is too much goes before this returns. The index stays as it was made. */
void cache_resize(struct cache *c, size_t bytes);
/* No new flights, and running ones are not kept; hits and joins go on. */
void cache_refuse_fills(struct cache *c, bool on);

/* ---- statistics -------------------------------------------------------------------------------------------------- */
/* The flight that a request of this class leads brought an answer which another gateway had: it was no miss after all.
 */
void cache_count_shared(struct cache *c, uint8_t class, double saved_s);
struct cache_count {
    uint64_t requests; /* the sum of these six */
    uint64_t hits, stale, joins, shared, misses, passes;
    uint64_t negative; /* of the hits */
    uint64_t saved_tokens;
    double saved_s; /* GPU-seconds */
};
struct cache_stats {
    struct cache_count all, by_class[CACHE_CLASSES];
    size_t size, bytes, index_bytes; /* bytes: all that counts, index included */
    uint64_t entries, flights;
    uint64_t filled, refreshed, evicted, expired, forgotten, poor, rescues;
    /* What a cache without end or expiry would have answered: requests less the keys ever seen, which are estimated
     * (HyperLogLog) with a relative standard error of `distinct_error`. */
    double distinct, distinct_error, best_possible;
};
void cache_stats(struct cache *c, struct cache_stats *out);
