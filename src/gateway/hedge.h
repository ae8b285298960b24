/* gateway/hedge.h - a second node for an embedding that is late (scheduling 5; opt-in: hedge.embeddings).
 *
 *     x: attempt --- sent --- p95 of its model ---+--- whole answer ----------------> x's sink    (second: cancelled)
 *                                                 |
 *     second: an exchange that x owns             `--- choose --- attempt --- whole -> x's sink   (first: cancelled)
 *
 * Each has its own lease and connection, and gives them back by itself; a lease that is cancelled drains. Nothing has
 * gone to x's sink before one of them is whole, so there is one answer. Only onto a node that would serve it at once
 * with the model loaded, within the retry budget, and for one embedding in a hundred. The worker's, as its exchanges.
 */
#pragma once
#include "base/fail.h"
#include "base/types.h"

#define HEDGE_MODELS 16
#define HEDGE_TIMES  64
/* How long embeddings took lately, by model; embedded in the worker. */
struct hedge_times {
    struct hedge_model {
        uint64_t model; /* hash; 0: free */
        unsigned n;     /* so far */
        uint32_t us[HEDGE_TIMES];
    } of[HEDGE_MODELS];
    uint64_t asked, hedged; /* embeddings, and those that a second node was asked for */
};
/* One has been answered. A model that finds its place taken takes it. */
void hedge_learn(struct hedge_times *t, uint64_t model, nsec took);
/* What 95 of 100 did not exceed; 0: too few to say. */
nsec hedge_expected(const struct hedge_times *t, uint64_t model);

struct exchange;

/* x's request has gone out: sets the time at which it is late, if anything is to follow from that. */
void hedge_begin(struct exchange *x);
/* x's own answer has begun, or x is over: the second is not wanted any more. */
void hedge_end(struct exchange *x);
/* x's own attempt has failed, and its lease is back: true if the second goes on in its place. Then it will be x's
 * answer, or x goes on as after `why`. */
bool hedge_goes_on(struct exchange *x, enum fail why);
