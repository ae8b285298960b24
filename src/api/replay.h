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
 * Works on a stream while it runs: whoever follows a tape gives in what it reads there. Pure; one per client, embedded;
 * any thread, one at a time. */
#pragma once
#include "api/peek.h"
#include "api/record.h"
#include "api/route.h"
#include "base/buf.h"

struct replay_from {
    const struct route *route;
    enum record_form form; /* FORM_WHOLE: one body */
};
struct replay_to {
    const struct route *route;
    bool stream;
    bool wants_usage; /* stream_options.include_usage */
    struct str model; /* as the client has it in its request: a JSON string, quotes included; lent */
    nsec wall;        /* now */
    uint64_t chance;  /* for ids; the same for all records of one answer */
};
struct replay {
    struct replay_from from;
    struct replay_to to;
    enum fail failed;  /* the first; nothing more is said then */
    bool same;         /* route and shape */
    bool begun, ended; /* something was said; the last record was read */
    bool usage;        /* counts were found */
    struct text held;  /* a record that has not come whole; the whole body, if that is what comes */
    /* Said so far, if the client gets it in one piece: insides of JSON strings, elements of arrays. */
    struct text words, thoughts, calls, logprobs;
    struct text rest; /* members that only the end has, as they were */
    struct text reason;
    struct figures figures;
    bool native_thoughts; /* the member for them is called reasoning_content, not reasoning */
    unsigned blocks;      /* calls or content blocks so far */
};
/* Can an answer of one route be said on another at all? */
bool replay_can(const struct route *from, const struct route *to);
void replay_init(struct replay *r, const struct replay_from *from, const struct replay_to *to);
/* The next bytes of the answer; what can be said already is appended to *out. FAIL_no_memory; FAIL_bad_value: it cannot
 * be said in that way, ask a node. An answer that has all come should be said whole into *out before any of it goes. */
enum fail replay_take(struct replay *r, struct str bytes, struct text *out);
/* All has come: the rest. FAIL_bad_value also if it had no proof of its end, or no counts where they are wanted. */
enum fail replay_end(struct replay *r, struct text *out);
void replay_done(struct replay *r);
/* The Content-Type of what is said. */
struct str replay_type(const struct replay_to *to);

/* The body to ask a node with, so that the answer can be said to everybody: an OpenAI stream tells its counts only on
 * request. The body itself if nothing has to change, NULL bytes when memory is out. */
struct str replay_ask(struct arena *a, const struct route *route, const struct peek *p, struct str body);
