/* api/inventory.h - what a node says it has (/api/tags, /v1/models) and has loaded (/api/ps), read once into one block
 * of memory. Made on a worker from a probe's answer, handed to the fleet whole, freed by whoever replaces it. Immutable
 * after reading. */
#pragma once
#include "api/name.h"
#include "base/arena.h"
#include "base/fail.h"

struct inventory_model {
    struct str key;          /* canonical (api/name.h) */
    uint64_t hash;           /* str_hash(key) */
    struct str show;         /* display name */
    struct str id;           /* as the node spells it: what it wants to be asked for (vLLM: to the letter) */
    enum name_source source; /* SOURCE_CLOUD: an entry that runs elsewhere; its key may be that of a local model too */
    struct str digest;
    nsec modified; /* wall */
    uint64_t size, size_vram;
    nsec expires;            /* wall; ps only */
    uint32_t context_length; /* ps: as loaded; /v1/models: the most it takes, where the server says so */
    struct str raw;          /* the node's own JSON object, as it was */
};
struct inventory {
    struct arena arena;
    uint32_t n;
    struct inventory_model *model;
    nsec taken; /* when, loop time */
};
/* A body of /api/tags or /api/ps. NULL: *why (FAIL_bad_json, FAIL_no_memory). Entries that cannot be read are left out;
 * what an entry does not say is empty or 0. The name is `model`, or `name` where that is absent or empty. */
struct inventory *inventory_read(struct str body, nsec now, enum fail *why);
/* A body of /v1/models of a node that is no Ollama: entries get synthesised tags objects, with a digest that depends on
 * the id alone. An id that is a path (llama-server's) is named by its last part. */
struct inventory *inventory_read_openai(struct str body, nsec now, enum fail *why);
void inventory_free(struct inventory **i);
/* What a llama-server says of itself, in its /props or (an array, one entry each) its /slots: how many requests it
 * serves at once, and how many tokens each of them may have (0: not said). False if the body says neither. */
bool props_read(struct str body, uint32_t *out_slots, uint32_t *out_context);
/* The version string of /api/version; NULL bytes if it is none. In the arena. */
struct str version_read(struct arena *a, struct str body);
/* Kind of a node from its answers, in the order of ollama-api 5.4. */
enum node_kind { NODE_UNKNOWN, NODE_OLLAMA, NODE_LLAMACPP, NODE_VLLM, NODE_LMSTUDIO, NODE_OPENAI };
struct str node_kind_name(enum node_kind k);
/* From a setting, in any case; false for any other word, "unknown" too. */
bool node_kind_of(struct str name, enum node_kind *out);
