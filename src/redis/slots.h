/* redis/slots.h - where a key lives in a Redis cluster (redis.io: cluster specification). Pure; one thread.
 *
 * A key belongs to one of 16,384 slots: CRC16 of it, or of what stands between the first { and the next } if there is
 * something. A map says which node has a slot; nodes are numbers here, their addresses a table of at most
 * SLOTS_NODES. Node 0 is the one that the settings name; at first it has all. */
#pragma once
#include "redis/resp.h"

#define SLOTS       16384
#define SLOTS_NODES 64
#define SLOTS_HOST  256
struct slots_node {
    char host[SLOTS_HOST]; /* empty: node 0 at a unix socket */
    uint16_t port;
};
struct slots {
    struct slots_node node[SLOTS_NODES];
    unsigned nodes;
    uint8_t of[SLOTS]; /* node of each slot */
};
/* A host that is too long is unknown, as that of a socket is. */
void slots_init(struct slots *s, struct str host, uint16_t port);
unsigned slots_of_key(struct str key);
/* "MOVED 3999 127.0.0.1:6381" or "ASK 3999 10.0.0.2:6381". `asked`: who said so; a reply without a host means its. For
 * MOVED the slot is the named node's from now on. False: it is neither, or cannot be read, or there are too many
 * nodes. */
bool slots_redirect(struct slots *s, struct str error, unsigned asked, bool *out_ask, unsigned *out_node);
/* The reply of CLUSTER SLOTS by `asked`, whole: slots nobody has stay as they were. False: it is none, nothing has
 * changed. */
bool slots_take(struct slots *s, const struct resp *reply, unsigned asked);
