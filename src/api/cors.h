/* api/cors.h - Cross-origin rules as Ollama has them (OLLAMA_ORIGINS; ollama-api 4.7). Pure; the list is immutable. */
#pragma once
#include "base/arena.h"
#include "base/fail.h"
#include "base/str.h"

struct cors {
    struct arena arena;
    struct str *allowed; /* patterns with at most one '*' each, or "*" alone */
    unsigned n;
    bool everyone;
};
/* Ollama's built-in list plus these (comma-separated list, as OLLAMA_ORIGINS). FAIL_bad_setting: a pattern with two
 * '*'; FAIL_no_memory. A failed one allows nobody it has not yet read, and wants cors_done all the same. */
enum fail cors_init(struct cors *c, struct str configured);
void cors_done(struct cors *c);
enum cors_verdict {
    CORS_NONE,
    CORS_ALLOWED,
    CORS_REFUSED
}; /* no Origin or same origin / add headers / 403 with empty body */
/* An Origin longer than this is refused, unless everyone is allowed: it would be echoed. */
#define CORS_ORIGIN_MAX 256
enum cors_verdict cors_judge(const struct cors *c, struct str origin, struct str host);
/* Header lines ("Name: value\r\n"...) for an allowed origin on an ordinary answer, and on a preflight's 204; at `at`,
 * returns the end. */
#define CORS_ROOM 1600
char *cors_headers(const struct cors *c, struct str origin, bool preflight, char *at);
