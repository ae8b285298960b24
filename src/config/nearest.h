/* config/nearest.h - which word did they mean? Offer every word there is, then ask. Pure. */
#pragma once
#include "base/str.h"

struct nearest {
    struct str meant; /* what was written */
    struct str best;  /* what comes nearest so far; empty: nothing does */
    unsigned distance;
};
struct nearest nearest_to(struct str meant);
/* Words further away than a third of what was written (at least two letters) are no suggestion. Strings are borrowed.
 */
void nearest_offer(struct nearest *n, struct str word);
