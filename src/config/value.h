/* config/value.h - the words in which people write settings: `30s`, `256MiB`, `20% + 1/s`, `on`. Pure; any thread.
 * Each reads the whole of `s` or says false and leaves *out alone. */
#pragma once
#include "base/str.h"

struct share { /* "20% + 1/s": a part of what happens, and so many more per second; either may be left out */
    double ratio, rate;
};
/* on, true, yes / off, false, no; in any case. */
bool value_onoff(struct str s, bool *out);
bool value_count(struct str s, int64_t *out);
bool value_number(struct str s, double *out); /* "2", "0.5" */
/* us, ms, s, min (or m), h, d, each with a number before it, several in falling order: "1h30m", "1.5s". A number alone
 * has no unit and is refused, but for 0. */
bool value_duration(struct str s, nsec *out);
/* Bytes alone, or B, KiB, MiB, GiB, TiB (powers of 1,024), KB, MB, GB, TB (of 1,000): "1.5GiB". */
bool value_size(struct str s, int64_t *out);
/* A size per second: "2GiB/s". */
bool value_rate(struct str s, int64_t *out);
bool value_share(struct str s, struct share *out);

/* Which of the words in "auto|text|json" is s? -1: none. In any case. */
int value_choice(struct str words, struct str s);
