/* gateway/blob_places.h - which node has which blob that came through us: what makes HEAD, POST and create of one model
 * meet on one node.
 *
 * Bounded: the newest BLOB_PLACES uploads and finds are remembered, each with the last few nodes it was seen on. Any
 * thread. */
#pragma once
#include "base/str.h"
#include <pthread.h>

#define BLOB_PLACES                                                                                                    \
    256 /* no model has as many files; older ones are found again by the HEAD that comes before each create */
#define BLOB_NODES 4
struct blob_place {
    uint8_t digest[32];
    uint64_t node[BLOB_NODES]; /* newest first; 0 = none */
    uint64_t age;              /* when it was last noted; 0: free */
};
struct blob_places {
    pthread_mutex_t lock;
    uint64_t count;
    uint64_t latest; /* the node of the newest note */
    struct blob_place place[BLOB_PLACES];
};
void blob_places_init(struct blob_places *b); /* all zero before */
void blob_places_done(struct blob_places *b);
/* "sha256:" or "sha256-" and 64 hexadecimal digits, as Ollama takes them. */
bool blob_digest_read(struct str text, uint8_t out[32]);
/* The node has it. */
void blob_places_note(struct blob_places *b, const uint8_t digest[32], uint64_t node);
/* Was it noted that the node has it? */
bool blob_places_has(struct blob_places *b, const uint8_t digest[32], uint64_t node);
/* Where blobs went last; 0: nowhere yet. */
uint64_t blob_places_latest(struct blob_places *b);
