/* api/replay.h - an answer that was given once, said again to another client: streamed or not, in its dialect, with the
 * name of the model as it spelled it.
 *
 * Kept are text, record split, reasoning, tool calls, reasons, counts, and the durations of the original; fresh are
 * created_at, created and the answer's id. Said as it was, an answer keeps everything else too, byte for byte; in
 * another shape or dialect it keeps what both know, and is refused where that would lose something that was said.
 *
 *     from \ to        the same route      another route
 *     a stream         stream, whole       /api/chat <-> /v1/chat/completions: stream, whole
 *     a whole answer   stream, whole       the same; and /api/embed <-> /v1/embeddings
 *
 * For answers with status 200; a refusal has one shape only. Works on a stream while it runs: whoever follows a tape
 * gives in what it reads there. Pure; one per client, embedded; any thread, one at a time. */
#pragma once
#include "api/peek.h"
#include "api/record.h"
#include "api/route.h"
#include "base/buf.h"

struct replay_from {
    const struct route *route; /* KIND_MODEL with a JSON body */
    enum record_form form;     /* FORM_WHOLE: one body */
};
struct replay_to {
    const struct route *route;
    bool stream;
    bool wants_usage; /* stream_options.include_usage */
    struct str model; /* as the client has it in its request: a JSON string, quotes included; lent */
    bool as_it_was;   /* on the same route and in the same shape: times and ids too */
    nsec wall;        /* now */
    uint64_t chance;  /* for ids; the same for all records of one answer */
};
struct replay_tongue;
struct replay {
    struct replay_from from;
    struct replay_to to;
    const struct replay_tongue *tongue; /* of what is read */
    enum fail failed;                   /* the first; nothing more is said then */
    bool same;                          /* nothing but names and times changes */
    bool begun, ended;                  /* something was said; the last record was read */
    bool usage;                         /* the counts are known */
    struct text held;                   /* a record that has not come whole; the whole body, if that is what comes */
    /* What is gathered for a client that gets all in one piece: insides of JSON strings, elements of arrays. */
    struct text words, thoughts, calls, logprobs;
    struct text reason; /* why it ended: a JSON string */
    struct text rest;   /* members that only the end has, as they were */
    struct text marks;  /* members that every record has */
    struct figures figures;
    bool content_thoughts;    /* the member for them is reasoning_content, not reasoning */
    unsigned block;           /* kind of the open block of /v1/messages */
    unsigned items, sequence; /* blocks, output items, events so far */
};
/* Can an answer of one route be said on another at all? */
bool replay_can(const struct route *from, const struct route *to);
/* replay_can holds for the two. */
void replay_init(struct replay *r, const struct replay_from *from, const struct replay_to *to);
/* The next bytes of the answer; what can be said already is appended to *out. FAIL_no_memory. FAIL_bad_value: it cannot
 * be said in that way, ask a node. FAIL_upstream_said: it is an error. An answer that has all come should be said whole
 * before any of *out goes. */
enum fail replay_take(struct replay *r, struct str bytes, struct text *out);
/* All has come: the rest. FAIL_bad_value also if it has no proof of its end, or no counts and they are wanted. */
enum fail replay_end(struct replay *r, struct text *out);
void replay_done(struct replay *r);
/* The Content-Type of what is said. */
struct str replay_type(const struct replay_to *to);

/* The body to ask a node with, so that the answer can be said to everybody: an OpenAI stream tells its counts only on
 * request. The body itself if nothing has to change, NULL bytes when memory is out. */
struct str replay_ask(struct arena *a, const struct route *route, const struct peek *p, struct str body);
