/* api/dialect.h - how each family of clients wants to be told: errors with a status, and errors inside a running
 * stream. Sources: Ollama server routes and openai/anthropic compat layers (2026-08); SDK behaviour as in
 * docs/clients.md. Pure. */
#pragma once
#include "base/buf.h"
#include "base/fail.h"
#include "base/str.h"

enum dialect { DIALECT_OLLAMA, DIALECT_OPENAI, DIALECT_RESPONSES, DIALECT_ANTHROPIC, DIALECT_OWN };

struct str dialect_name(enum dialect d);
/* The JSON body of an error answer: {"error":"..."}; {"error":{"message","type","param":null,"code":null}};
 * {"type":"error","error":{"type","message"},"request_id":"req_..."}; {"error":"...","code":"row"} (our own).
 * The type follows from the status: 400 invalid_request_error, 404 not_found_error, ... (ollama-api, section 0). An
 * empty message: the failure's sentence. `request_id` goes out as it is, so that it can be found in the records; only
 * Anthropic's shape has it. */
void dialect_error(struct text *t, enum dialect d, int status, enum fail why, struct str message,
                   struct str request_id);
/* The record that ends a stream which broke after its first byte, so that the client's library raises an error:
 * NDJSON {"error":...} line; `data: {"error":{...}}` event; `event: error` (Anthropic); `event: response.failed` with
 * the error also at the top level, where the openai libraries raise APIError (Responses). `sse`: the running stream is
 * SSE. Never followed by [DONE]. */
void dialect_error_record(struct text *t, enum dialect d, bool sse, enum fail why, struct str message,
                          struct str request_id);
/* "application/json; charset=utf-8" (Ollama, own) or "application/json". */
struct str dialect_error_type(enum dialect d);
