/* cache/key_write.h - what key.c writes a request with. Failures stay in the writer; ask once, at the end. */
#pragma once
#include "base/arena.h"
#include "base/fail.h"
#include "base/json.h"
#include <openssl/sha.h>

#define KEY_STAGE_BYTES 1024
struct key_writer {
    SHA256_CTX sha;
    struct arena *arena;
    enum fail failed;
    size_t staged;
    char stage[KEY_STAGE_BYTES];
};
struct cache_key;
void key_writer_init(struct key_writer *w, struct arena *a);
void key_writer_end(struct key_writer *w, struct cache_key *out);
void key_put_mark(struct key_writer *w, char c);
/* A kind, and bytes with their number before them. */
void key_put_sized(struct key_writer *w, char mark, struct str s);
/* 1, 1.0, 10e-1 are one; what a double would round is not rounded. */
void key_put_number(struct key_writer *w, struct str number);
/* A value nobody reads for us: a text without escapes, all else token by token, in its order, numbers as they stand. */
void key_put_opaque(struct key_writer *w, struct json v);
/* A text without its escapes. A half of a surrogate pair reads as U+FFFD for one node and may be refused by another:
 * then *out_odd, and the text as it stands, quotes included. */
struct str key_read_text(struct key_writer *w, struct json string, bool *out_odd);
