/* observe/requests.h - the last 10,000 requests, each with its stages, attempts and the decision that chose its node.
 *
 * A worker writes without a lock into a block of its own and takes a new one every 64 requests; who looks holds one
 * block at a time, which is then not taken again until he has gone on. 7 MB made once, of which only what is used is
 * touched. Which records are kept is the caller's choice. */
#pragma once
#include "base/json.h"
#include "observe/record.h"

#define REQUESTS_KEPT    10000
#define REQUEST_ATTEMPTS 4
/* What a record has no room for; zero is nothing. */
struct request_attempt {
    char node[RECORD_NODE];     /* NUL-terminated, cut off */
    uint16_t why;               /* enum fail; OK: it answered */
    uint16_t status;            /* of the node's answer; 0: none */
    uint32_t start_us, took_us; /* since the request's head */
    uint32_t connect_us;        /* 0: a kept connection */
};
/* Who came second, where nodes are compared by time. */
struct request_next {
    char node[RECORD_NODE]; /* NUL-terminated, cut off; empty: no other node could have taken it */
    float total, slot, prefill, decode, penalty;
};
/* Why this node: expected seconds by reason, weighted, as in X-OllamaMax-Decision. */
struct request_decision {
    char policy[24];                                   /* NUL-terminated; empty: nothing was decided */
    float total, slot, load, prefill, decode, penalty; /* of policies that count them; else 0 */
    uint32_t candidates;
    bool hedged; /* this node was asked because another was late */
    struct request_next next;
};
struct request_detail {
    uint8_t attempts; /* of these; of more than there is room for the last one is kept as the last */
    struct request_attempt attempt[REQUEST_ATTEMPTS];
    struct request_decision decision; /* of the last attempt */
    char cache[24];                   /* why the cache did not answer: "temperature"; NUL-terminated */
    uint64_t span, parent; /* of the trace (observe/otlp.h); span 0: it is not exported, parent 0: there is none */
};
struct request_try {
    struct str node;
    enum fail why;
    int status;
    nsec start, took, connect;
};
void request_detail_attempt(struct request_detail *d, const struct request_try *a);

struct requests;
/* NULL when memory is out. */
struct requests *requests_new(unsigned workers);
void requests_free(struct requests **r);
/* From worker `no` only. detail NULL: none. */
void requests_put(struct requests *r, unsigned no, const struct record *record, const struct request_detail *detail);

/* For one who wants them all, each once: those that were put since it was asked last, at first since it was made. Those
 * of one worker come in their order. One thread at a time for each reader; made and freed while there are `requests`.
 */
struct requests_reader;
typedef void requests_seen(const struct record *r, const struct request_detail *d, void *arg);
/* NULL when memory is out. */
struct requests_reader *requests_reader_new(struct requests *r);
void requests_reader_free(struct requests_reader **reader);
/* How many have been written over unseen meanwhile. */
uint64_t requests_read(struct requests_reader *reader, requests_seen *seen, void *arg);

/* What is looked for; empty strings and zeros: anything. */
struct requests_filter {
    unsigned limit;         /* at most REQUESTS_MOST */
    struct str model, node; /* node: any that was tried */
    unsigned status_least, status_most;
    bool failed; /* status 400 and above, or broken in the middle */
};
#define REQUESTS_USUAL 50
#define REQUESTS_MOST  1000
/* "404", "5xx", "error"; false if it is none of these. */
bool requests_filter_status(struct requests_filter *f, struct str text);
/* {"requests":[record,...]}, those that ended last first. Any thread. */
enum fail requests_render(struct requests *r, struct text *t, const struct requests_filter *f);
/* The same as one array, of those that ended within [from, until); *out_more: how many more there were than `most`. */
enum fail requests_put_ended(struct requests *r, struct json_out *j, nsec from, nsec until, unsigned most,
                             unsigned *out_more);
/* One record by its id, the newest of that id; FAIL_no_such_object. */
enum fail requests_render_one(struct requests *r, struct text *t, struct str id);
/* A record as both show it, and as the dashboard reads it (web/src/feed.ts: RequestRecord). */
void request_json(struct json_out *j, const struct record *r, const struct request_detail *d);
