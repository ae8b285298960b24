/* redis/resp.h - Redis' protocol (RESP2) over bytes: commands written, replies read. No socket; one thread.
 *
 * Replies are parsed by hiredis' reader, which is fed with whatever came, and lie in memory of the reader's own until
 * the next call. What a server may make us keep is bounded: a reply is at most RESP_REPLY_MOST bytes, arrays hold at
 * most RESP_ARRAY_MOST. */
#pragma once
#include "base/fail.h"
#include "base/str.h"
#include <sys/uio.h>

#define RESP_REPLY_MOST MIB(2)
#define RESP_ARRAY_MOST 16384

enum resp_kind { RESP_NIL, RESP_STRING, RESP_STATUS, RESP_ERROR, RESP_NUMBER, RESP_ARRAY };
struct resp {
    enum resp_kind kind;
    struct str text;    /* STRING, STATUS, ERROR; a NUL behind */
    int64_t number;     /* NUMBER */
    struct resp **item; /* ARRAY */
    unsigned n;
};
struct resp_reader;
struct resp_reader *resp_reader_new(void); /* NULL when memory is out */
void resp_reader_free(struct resp_reader **r);
/* More bytes have come. A failure is for good: FAIL_no_memory, FAIL_upstream_garbage (not RESP, or too much of it). */
enum fail resp_feed(struct resp_reader *r, struct str bytes);
/* The next whole reply; *out NULL: more bytes are needed. Valid until the next call. */
enum fail resp_next(struct resp_reader *r, const struct resp **out);

/* A command as pieces to be written: the arguments stay where they are. */
#define RESP_ARGS_MOST 8
struct resp_command {
    struct iovec piece[2 * RESP_ARGS_MOST + 1];
    int n;
    char frame[24 * (RESP_ARGS_MOST + 1)]; /* lengths and line ends */
};
void resp_command(struct resp_command *c, const struct str *args, unsigned n);
