/* redis/entry.h - an answer as it lies in Redis: written by one gateway, believed by another only after a look.
 *
 * Bytes of a fixed layout, little-endian, with a version, their length and a digest over all of it and the key: what is
 * cut, damaged, of another version or lies under another key is no entry. The digest (XXH3, 128 bits) is against
 * accidents; whoever may write to the Redis may also forge. Pure; any thread. */
#pragma once
#include "base/buf.h"
#include "redis/generations.h"

#define REDIS_ENTRY_MOST KIB(256) /* larger ones stay where they are */
struct redis_entry {
    struct generations_stamp stamp;
    nsec made, ttl; /* wall clock; how long it was fresh then */
    nsec saved;     /* work that it spares */
    int64_t length; /* of the body as its head says; -1: not said */
    uint16_t status;
    uint8_t form, dialect; /* enum record_form, enum dialect */
    bool stream, simulated;
    bool asked_stream, asked_usage; /* how it was asked for, */
    nsec wall;                      /* when it began, */
    uint64_t chance;                /* and what the ids in it are made of when it is told again */
    struct str content_type, headers, node, model;
    struct str route; /* its name */
    struct str body;
};
/* Appended. */
void redis_entry_write(const struct redis_entry *e, const uint8_t key[32], struct text *out);
/* False: it is none. The texts point into `bytes`. */
bool redis_entry_read(struct str bytes, const uint8_t key[32], struct redis_entry *out);
