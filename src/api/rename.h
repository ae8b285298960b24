/* api/rename.h - an answer in which the model has the name that the client asked for (ollama-api section 6, item 7).
 *
 * Only for answers to requests that went out under another name than they came in with (aliases, fallbacks). Bytes go
 * through in pieces of any size, nothing is gathered: the value of `model` is replaced at the top level of each record,
 * and where a dialect has it one level down (Anthropic's message_start: message.model; response.model of Responses).
 * Other bytes stay as they are. An empty value stays empty: it is how Ollama marks a hollow chunk. Keys with escapes
 * are not ours; no server writes them. Pure; one per answer, embedded. */
#pragma once
#include "api/record.h"
#include "base/buf.h"

struct rename {
    struct str to;    /* the name as a JSON string, quotes included; lent */
    struct str above; /* the member that may hold `model` as well; empty: none */
    enum record_form form;
    enum { LINE_BEGINS, LINE_DATA, LINE_OTHER } line; /* of an event stream */
    uint32_t depth;
    uint8_t begun;            /* bytes of the line that are "data:" so far */
    uint8_t key_n;            /* of key; one more than its room: longer, or not ours */
    bool after_cr;            /* a '\n' now is the same line's end */
    bool in_string, escaped;  /* inside a string; behind a backslash */
    bool object, inside;      /* the outermost value is an object; and the one in it is that of `above` */
    bool key_next, at_key;    /* a string at this place would be a key; this one is */
    bool at_name, name_empty; /* this string is replaced; nothing has come of it yet */
    char key[8];
};
void rename_init(struct rename *r, enum dialect d, enum record_form form, struct str to);
/* The next bytes. Returns `in` itself if nothing in them changes, else what is then in `out`, which must come in empty
 * and is the caller's to free; NULL bytes, and out->failed, when memory is out. */
struct str rename_take(struct rename *r, struct str in, struct text *out);
