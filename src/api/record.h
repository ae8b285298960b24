/* api/record.h - the records of a stream: where one ends, which is the last, and what the last one tells.
 *
 * NDJSON: a record ends with '\n'. SSE: a record ends with an empty line; lines end with "\n", "\r\n" or "\r" in any
 * mixture, as the HTML standard has it. A body of another type is one record. Pure; any thread. */
#pragma once
#include "api/dialect.h"
#include "base/json.h"
#include "base/str.h"

enum record_form { FORM_WHOLE, FORM_NDJSON, FORM_SSE };
/* From the answer's Content-Type. */
enum record_form record_form_of(struct str content_type);

/* Bytes of `in` up to and including the end of its last complete record (0: none), and how many records end in it.
 * `tail` is what was held back before `in`: at least its last byte, if anything was (SSE separators may straddle).
 * Empty lines between records are passed on and not counted. FORM_WHOLE: always 0, only the end of the body ends it. */
size_t record_whole(enum record_form form, struct str tail, struct str in, unsigned *out_records);
/* Cuts the first record off; what has no end is one too. And the JSON in it: of an event the data, of a line the line.
 */
struct str record_cut(enum record_form form, struct str *rest);
struct str record_data(enum record_form form, struct str record);
/* Where the last of several whole records begins. */
size_t record_last(enum record_form form, struct str records);

enum record_mark {
    MARK_NONE,
    MARK_DONE,  /* proof of a complete answer: done:true, status success, [DONE], message_stop,
                   response.completed/incomplete */
    MARK_ERROR, /* an error record: {"error":...}, data: {"error":...}, event: error, response.failed */
    MARK_HOLLOW /* Ollama's re-encoded error: an OpenAI chunk with model "" - to be dropped; the stream will end without
                   [DONE] */
};
/* What the final record (or an unstreamed answer) of a node says; -1 where absent. Durations in nanoseconds. */
struct figures {
    int64_t total, load, prompt_eval, eval; /* *_duration; the last two: llama-server's timings too */
    int64_t prompt_tokens, output_tokens;   /* prompt_eval_count, eval_count; usage.* of the other dialects */
    enum { REASON_NONE, REASON_STOP, REASON_LENGTH, REASON_LOAD, REASON_UNLOAD, REASON_TOOLS, REASON_OTHER } reason;
};
void figures_clear(struct figures *f);
/* Looks at one or more whole records and keeps the figures found in any of them (the last wins; Anthropic's first ones
 * are an estimate). An error in any record wins, then a proof of the end in any; MARK_HOLLOW speaks of the last record
 * alone (record_last). Nothing is kept between calls, so the caller combines: the first MARK_ERROR of a stream sticks,
 * whatever comes (vLLM sends [DONE] after an error), and a MARK_DONE with REASON_NONE has no finish_reason before it.
 * Cheap for ordinary records: one look at each key, and the scanner only where a word that matters stands.
 * `out_error`, on MARK_ERROR: its message as a JSON string (json_text decodes it), or the whole error value if it has
 * none; may be kind JSON_BAD. It points into `records`. May be NULL. */
enum record_mark record_look(enum dialect d, enum record_form form, struct str records, struct figures *f,
                             struct json *out_error);
/* The same for a whole unstreamed body. Native generate and chat need done:true for MARK_DONE; other answers
 * (embeddings have no `done`) are whole by their length. A body that is no JSON object: MARK_NONE. */
enum record_mark record_look_whole(enum dialect d, struct str body, struct figures *f, struct json *out_error);
/* What an error answer of a node means for whoever may try elsewhere (ollama-api 2.4), from its status and body. A
 * status below 400 stands for an error record inside an answer, and is read as 500. SAID_OWN_FAULT: a 5xx that is the
 * request's own doing (option type, template, bad schema), neither retried nor counted. A 400 whose text is a runner's
 * failure is SAID_FAILURE. */
enum said { SAID_FAILURE, SAID_BUSY, SAID_OWN_FAULT, SAID_NO_MODEL, SAID_CLIENT_ERROR };
enum said record_said(int status, struct str body);
