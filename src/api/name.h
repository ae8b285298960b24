/* api/name.h - model names as Ollama reads them: one canonical key per model whatever the spelling.
 * Rules: Ollama types/model/name.go and its cloud suffixes (2026-08). Pure; any thread. */
#pragma once
#include "base/arena.h"
#include "base/fail.h"
#include "base/str.h"

#define NAME_MAX_BYTES 600
enum name_source { SOURCE_NONE, SOURCE_LOCAL, SOURCE_CLOUD };
struct name {
    char key[NAME_MAX_BYTES]; /* lower-cased "host/namespace/model:tag", always complete: what maps are keyed by */
    size_t key_n;
    char
        show[NAME_MAX_BYTES]; /* shortest display form, spelling kept, tag always: "llama3.2:latest", "hf.co/ns/m:Q4" */
    size_t show_n;
    enum name_source source;
};
static inline struct str name_key(const struct name *n)
{
    return (struct str){ n->key, n->key_n };
}
static inline struct str name_show(const struct name *n)
{
    return (struct str){ n->show, n->show_n };
}
/* FAIL_model_required (empty), FAIL_bad_model_name, FAIL_source_twice. */
enum fail name_parse(struct str text, struct name *out);
