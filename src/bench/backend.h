/* bench/backend.h - the node behind every way: an Ollama that costs next to nothing, in a process of its own.
 *
 * What it answers to POST /api/chat is decided by the name of the model: */
#pragma once
#include "base/fail.h"

#define BACKEND_CHAT  "chat"  /* one object of 310 bytes */
#define BACKEND_PACED "paced" /* a record at once, then one each BACKEND_PACE */
#define BACKEND_BURST "burst" /* the same records as fast as they can be written, a write each */
#define BACKEND_HELD  "held"  /* one record, then nothing until the client leaves */

#define BACKEND_PACE MSEC(20)
struct backend {
    int listener;
    unsigned records; /* of a stream, the last one among them */
};
/* A listening socket on a free port of 127.0.0.1; *out_port says which. -1: none to be had. */
int backend_listen(uint16_t *out_port);
/* A port that was free a moment ago; nobody else asks for ports at this rate. 0: none. */
uint16_t backend_free_port(void);
/* Serves until the process is ended; `arg` is a struct backend. */
void backend_run(void *arg);
