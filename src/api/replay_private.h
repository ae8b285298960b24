/* api/replay_private.h - what the files of the replay share.
 *
 *     replay.c           records out of bytes, and who reads them    replay_patch.c      the same answer, names changed
 *     replay_talk.c      reads /api/generate, chat, /v1/chat ...     replay_say.c        says them
 *     replay_messages.c  /v1/messages in the other shape             replay_responses.c  /v1/responses likewise
 *     replay_vectors.c   embeddings in the other dialect */
#pragma once
#include "api/replay.h"

struct replay_tongue {
    enum route_id route;
    /* The JSON of a stream's record, which is no error; the last words of a stream are not JSON and not given in. */
    void (*record)(struct replay *r, struct json data, struct text *out);
    void (*whole)(struct replay *r, struct json body, struct text *out); /* likewise of a whole answer */
    void (*end)(struct replay *r, struct text *out);                     /* the rest, when all is read */
};

/* A part of an answer: insides of JSON strings, elements of arrays. */
struct replay_piece {
    struct str words, thoughts, calls, logprobs;
};
void replay_native_record(struct replay *r, struct json data, struct text *out);
void replay_native_whole(struct replay *r, struct json body, struct text *out);
void replay_openai_record(struct replay *r, struct json data, struct text *out);
void replay_openai_whole(struct replay *r, struct json body, struct text *out);
void replay_say(struct replay *r, const struct replay_piece *p, struct text *out);
void replay_say_end(struct replay *r, struct text *out);

void replay_messages_record(struct replay *r, struct json data, struct text *out);
void replay_messages_whole(struct replay *r, struct json body, struct text *out);
void replay_messages_end(struct replay *r, struct text *out);
void replay_responses_record(struct replay *r, struct json data, struct text *out);
void replay_responses_whole(struct replay *r, struct json body, struct text *out);
void replay_responses_end(struct replay *r, struct text *out);
void replay_embed_whole(struct replay *r, struct json body, struct text *out);
void replay_v1_embeddings_whole(struct replay *r, struct json body, struct text *out);

/* A record or a body with fresh names; `data` is the JSON in it. */
void replay_patch(struct replay *r, struct str record, struct str data, struct text *out);
/* The object of an answer with fresh names, without record. */
void replay_patch_answer(struct replay *r, struct str object, struct text *out);

/* ---- small words ------------------------------------------------------------------------------------------------- */
static inline void replay_fail(struct replay *r, enum fail f)
{
    if (!r->failed)
        r->failed = f;
}
/* Between the quotes, or the brackets; nothing for anything else. */
static inline struct str replay_inside(struct json v)
{
    bool has = v.kind == JSON_STRING || v.kind == JSON_ARRAY;
    return has ? (struct str){ v.raw.p + 1, v.raw.n - 2 } : STR_NONE;
}
static inline bool replay_is_text(struct json v, struct str text)
{
    return v.kind == JSON_STRING && str_eq(replay_inside(v), text);
}
/* Neither absent, nor null, false, "", [] or {}. */
bool replay_is_filled(struct json v);
void replay_join(struct text *list, struct str elements); /* with a comma, if there are any before */
void replay_put_quoted(struct text *t, struct str inside);
void replay_put_id(struct replay *r, struct text *t);      /* a JSON string, as the client's dialect has it */
void replay_put_stamp(struct replay *r, struct text *t);   /* created_at of /api, a JSON string */
void replay_put_seconds(struct replay *r, struct text *t); /* created */
/* A count of the figures; an unknown one is 0. */
static inline uint64_t replay_count(int64_t figure)
{
    return figure > 0 ? (uint64_t)figure : 0;
}
