/* bench/request.h - requests as bytes, and single ones asked the plain way. */
#pragma once
#include "base/arena.h"

/* A blocking connection to 127.0.0.1, or -1. */
int request_dial(uint16_t port);
/* A request to POST /api/chat for that model (bench/backend.h) whose body has that many bytes, 160 at least; it lies in
 * the arena. Empty when memory is out. All models but `chat` are asked for a stream. */
struct str request_chat(struct arena *a, const char *model, size_t body_bytes);
/* A POST of JSON; it lies in the arena. Empty when memory is out. */
struct str request_post(struct arena *a, const char *path, const char *json);
/* GET of a path over a connection of its own: the status, 0 if there was no answer; the body is appended. */
struct buf;
int request_get(uint16_t port, const char *path, struct buf *out_body);
