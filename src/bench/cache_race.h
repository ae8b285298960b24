/* bench/cache_race.h - threads that get and set 4 KB bodies by Zipf's law: our cache beside a locked LRU. */
#pragma once
#include "base/fail.h"

#define CACHE_RACE_THREADS_MOST 4
struct cache_race;
enum cache_racer { RACE_OURS, RACE_LRU, RACE_LRU_COUNTED, RACERS }; /* the last is the second, by references */
/* Fills both. `keys` that fit all, `operations` for each thread. NULL when memory is out. */
struct cache_race *cache_race_new(uint32_t keys, size_t operations);
void cache_race_free(struct cache_race **r);
/* Operations a second of all threads together, one of 20 a set. */
double cache_race_run(struct cache_race *r, enum cache_racer who, unsigned threads);
/* CPU nanoseconds of a hit, of one thread alone. */
double cache_race_hit_ns(struct cache_race *r, enum cache_racer who);
