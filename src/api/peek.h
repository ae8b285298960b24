/* api/peek.h - what the gateway needs to know of a request body, found in one pass without building a tree.
 *
 * Keys match case-insensitively, escapes in keys count, the last duplicate wins, and what follows the first JSON value
 * is ignored: exactly as the node's decoder reads it (Go encoding/json), or access rules could be bypassed. Raw slices
 * point into the body; decoded texts into the arena, only when they had escapes. Pure; any thread. */
#pragma once
#include "api/route.h"
#include "base/arena.h"
#include "base/fail.h"
#include "base/json.h"

enum tri { TRI_UNSET, TRI_FALSE, TRI_TRUE };
struct peek {
    struct str model;       /* decoded; of "model" if non-empty, else "name" where the route allows; copy: "source" */
    struct str model_raw;   /* its bytes in the body, quotes included: where an alias is put in; NULL if absent */
    struct str destination; /* copy */
    struct str from;        /* create */
    struct json files;      /* create: {"path":"sha256:..."} */
    struct json adapters;
    enum tri stream, shift; /* shift: native, of the context */
    struct json keep_alive; /* kind JSON_BAD if absent */
    struct json options; /* the object, likewise; the last one of several, which the node merges: see the next three */
    bool options_again;  /* there were several: api/options.h reads them all */
    /* At the effective place for the dialect: options.* (native) or top level (/v1); null is absent. */
    struct json temperature, seed, num_ctx;
    struct json format;                  /* or response_format, text.format */
    struct json messages, prompt, input; /* raw, for lengths and hashes; `input` also of /v1/responses */
    bool empty_prompt;                   /* native: no prompt / no messages: load or (keep_alive 0) unload */
    bool has_tools, has_images, wants_usage, think_set, raw; /* has_images: a hint, see peek.c */
    uint32_t max_tokens; /* num_predict / max_tokens / max_output_tokens; 0 = unset */
    uint32_t inputs;     /* embedding routes: number of inputs */
    size_t text_bytes; /* bytes of all that becomes the prompt (prompt, messages, input, system, tools) as they stand in
                        * the body, less images: the estimate of prompt tokens is text_bytes / 4 */
};
/* FAIL_missing_body (empty or blank), FAIL_bad_json (syntax, not an object, or model/stream of a wrong type): *detail
 * then says what, as Ollama words it where a client may look ("missing request body"). A wrong type elsewhere is the
 * node's to refuse. */
enum fail peek_body(const struct route *r, struct str body, struct arena *a, struct peek *out, struct str *detail);
/* The model of a multipart/form-data body (first field "model" that is no file), boundary from the Content-Type. Forms
 * that the node could read in another way than we do are FAIL_bad_value. The node prefers a `model` in the query string
 * to the form's: whoever routes by this must not pass one on. */
enum fail peek_multipart(struct str content_type, struct str body, struct arena *a, struct peek *out,
                         struct str *detail);
/* The body with another model name in place of model_raw (for aliases and normalised names); in the arena. */
struct str peek_replace_model(struct arena *a, struct str body, const struct peek *p, struct str model);

/* keep_alive as Ollama reads it: a number is seconds, a string a Go duration, negative forever (NEVER), null unset.
 * FAIL_bad_value for "300" (missing unit) and other nonsense. */
enum fail keep_alive_read(struct json v, bool *out_set, nsec *out);
