/* fleet/prefix.h - which node has the beginning of a prompt in its cache, as far as we can know.
 *
 * A prompt is a path of block hashes, each standing for everything up to its end (1 KB of message bytes, or 512 tokens
 * in traces). Per node the blocks are kept as the node keeps them: the least recently used of a capacity, or the last
 * prompt of each slot. Nothing expires by age; what belongs to a model goes with its residency. Memory is taken once.
 * Not thread-safe: one lock of its own around it, never the fleet's (a long prompt is hundreds of probes). */
#pragma once
#include "base/types.h"

struct prefix;
struct prefix_hint {
    uint32_t node, tokens; /* how much of the prompt it has, in tokens */
};
/* `blocks` in all nodes together. NULL when memory is out. */
struct prefix *prefix_new(uint32_t nodes, uint32_t blocks);
void prefix_free(struct prefix **p);
/* How many blocks this node's cache has; 0: as many as there is memory for. */
void prefix_capacity(struct prefix *p, uint32_t node, uint32_t blocks);

/* The hashes of a text's whole blocks, each over all before it; returns how many of `max`. */
uint32_t prefix_path(const char *text, size_t bytes, uint64_t model, uint64_t *out, uint32_t max);
/* The nodes with the longest beginnings, longest first, in blocks times `block_tokens`; returns how many of `max`. */
uint32_t prefix_find(const struct prefix *p, const uint64_t *path, uint32_t n, uint32_t block_tokens,
                     struct prefix_hint *out, uint32_t max);
/* How many blocks of the path this node has. */
uint32_t prefix_matched(const struct prefix *p, uint32_t node, const uint64_t *path, uint32_t n);
/* The node has evaluated the whole path. `model` is what prefix_forget names. */
void prefix_put(struct prefix *p, uint32_t node, uint32_t model, const uint64_t *path, uint32_t n);
/* It has evaluated it in a slot that now holds nothing else; `was` what that slot held before (may be empty). */
void prefix_replace(struct prefix *p, uint32_t node, uint32_t model, const uint64_t *was, uint32_t was_n,
                    const uint64_t *path, uint32_t n);
/* The node no longer has this model loaded (UINT32_MAX: any). */
void prefix_forget(struct prefix *p, uint32_t node, uint32_t model);
