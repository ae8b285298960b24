/* test/play/play.h - plays one script on a stage. */
#pragma once
#include "stage.h"

/* Plays all lines and ends the stage. `strict`: expectations count; else they only let time pass. True: all was as
 * expected and all that must hold held; false: it was told on stderr. */
bool play(const struct script *s, uint64_t seed, bool strict, const struct harm *harm);
/* What a sweep needs to know of the run just played. */
struct played {
    uint64_t allocations;
    unsigned wires;
    uint64_t (*bytes)[2]; /* of each connection; the caller frees */
    uint64_t hash;
    unsigned answers[4]; /* by state: awaited, in its body, whole, broken */
    unsigned retried;
};
struct played play_counts(void);
/* expect.c. NULL: it holds; else what it was instead (valid until the next call). */
const char *expectation_fails(const struct line *l, unsigned words);
