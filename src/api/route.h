/* api/route.h - which route a method and a path are, from the table route.def. Pure; any thread.
 * Paths match exactly after `//` and a trailing `/` are collapsed (Ollama redirects those; a 301 turns POST into GET in
 * many clients, so we do not). Case-sensitive. */
#pragma once
#include "api/dialect.h"
#include "base/arena.h"
#include "base/str.h"
#include "net/http_head.h"

enum route_id {
#define ROUTE(id, path, methods, dialect, kind, model_in, flags) ROUTE_##id,
#include "api/route.def"
#undef ROUTE
    ROUTE_COUNT,
    ROUTE_NONE = ROUTE_COUNT
};
enum route_kind {
    KIND_LOCAL,  /* from memory: views of the fleet, liveness */
    KIND_MODEL,  /* model work on the node that the fleet chooses */
    KIND_ASK,    /* any one node that has the model, as it is */
    KIND_FANOUT, /* several nodes, joint answer */
    KIND_BLOB,   /* streamed to the build node */
    KIND_FIXED,  /* always the same node: identity is a node's own */
    KIND_OPS     /* our own operations */
};
enum model_in { IN_NOWHERE, IN_BODY, IN_BODY_OR_NAME, IN_SOURCE, IN_MULTIPART, IN_PATH };
enum { ROUTE_NO_RETRY = 1, ROUTE_STREAMS = 2, ROUTE_ZSTD = 4, ROUTE_OWN = 8, ROUTE_PROBE = 16 };
struct route {
    enum route_id id;
    struct str name;  /* "v1_chat": metrics and records */
    struct str path;  /* as in the table */
    bool rest;        /* the path ended in '*' */
    unsigned methods; /* 1 << enum http_method */
    enum dialect dialect;
    enum route_kind kind;
    enum model_in model_in;
    unsigned flags;
};
const struct route *route_row(enum route_id id);
struct route_found {
    const struct route *route; /* NULL: no such path */
    bool wrong_method;         /* the path is known, the method is not: 405 with `allow` */
    struct str rest;           /* what '*' stood for, still escaped; points into path */
};
/* `path` must be already tidy (route_tidy). OPTIONS is not looked up here: CORS answers it (api/cors.h). */
struct route_found route_find(enum http_method method, struct str path);
/* Collapses repeated slashes and a trailing one; an empty path is "/". In place when nothing changes, else a copy in
 * the arena (NULL bytes when memory is out). */
struct str route_tidy(struct arena *a, struct str path);
/* "GET, HEAD": the Allow value of a route; at most 64 bytes into out. */
size_t route_allow(const struct route *r, char out[64]);
/* The dialect an unknown path should be answered in: Anthropic under /v1/messages, OpenAI under /v1/, else Ollama. */
enum dialect route_dialect_of(struct str path);
/* Does the path become a known one with /v1 in front? ("/chat/completions") - for the hint in the 404. */
bool route_lacks_v1(struct str path);
