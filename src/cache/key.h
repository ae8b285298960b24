/* cache/key.h - under which key an answer is kept: SHA-256 over what a request means.
 *
 * Two requests have one key only if every node answers them alike; where that is not certain they have two, since a
 * wrong hit is worse than a miss. What does not change an answer is left out: `stream`, `stream_options`, `keep_alive`,
 * the spelling of the model (its digest is in), white space, escapes, the order of members that the node reads into
 * fields, values that are the documented default. /api/chat and /v1/chat/completions, and /api/embed and
 * /v1/embeddings, share a key where each member of one has its counterpart in the other (key.def). Pure; any thread. */
#pragma once
#include "api/route.h"
#include "base/arena.h"
#include "base/fail.h"

struct cache_key; /* cache/cache.h */
/* How the nodes with this model read JSON: as Go's encoding/json (Ollama), where names match in any case and Ollama's
 * defaults hold; or to the letter (all others), where nothing of that is assumed. */
enum key_reader { KEY_READ_AS_GO, KEY_READ_TO_THE_LETTER };
struct key_ask {
    const struct route *route; /* KIND_MODEL with a JSON body */
    struct str body;           /* unpacked */
    struct str digest;         /* of the model's manifest; never empty */
    struct str tenant;         /* empty: the common one */
    struct str variant;        /* what the gateway itself adds to the request and so to its meaning; mostly empty */
    enum key_reader reader;
};
/* Linear in the body. Takes from the arena what strings with escapes are decoded into, at most the body's size.
 * FAIL_bad_json, FAIL_no_memory; FAIL_bad_value: not a request whose answer may be kept (more members than a request
 * has, output for debugging). */
enum fail key_of(const struct key_ask *ask, struct arena *a, struct cache_key *out);
