/* cache/status.h - how an answer and the cache met, in the words of RFC 9211 (Cache-Status) and RFC 9111 (Age).
 * Pure; any thread. */
#pragma once
#include "base/str.h"

enum status_kind {
    STATUS_HIT,     /* the answer is from the cache; stale: a negative ttl */
    STATUS_BYPASS,  /* fwd=bypass: the cache was not asked */
    STATUS_REQUEST, /* fwd=request: what it has is not what the client wants (no-cache, max-age) */
    STATUS_MISS,    /* fwd=miss */
    STATUS_STALE,   /* fwd=stale */
};
struct status {
    enum status_kind kind;
    nsec ttl;          /* HIT */
    bool stored;       /* the answer is being kept */
    bool collapsed;    /* it is the one that another request waits for as well */
    struct str detail; /* a word (cache/rule.def); may be empty */
};
/* The header's value, "OllamaMax; fwd=bypass; detail=temperature", at most STATUS_ROOM bytes; returns its length. A
 * detail that is too long for that, or no token, is left out. */
#define STATUS_ROOM 128
size_t status_put(const struct status *s, char out[STATUS_ROOM]);
/* The value of Age: whole seconds. */
#define STATUS_AGE_ROOM 24
size_t status_put_age(nsec age, char out[STATUS_AGE_ROOM]);
