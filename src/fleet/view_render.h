/* fleet/view_render.h - one list out of many nodes' lists (ollama-api.md 2.3). Pure: reads listings, writes text;
 * outside the lock. `of` is in the order of the nodes' places. FAIL_no_memory. */
#pragma once
#include "base/buf.h"
#include "fleet/residency.h"

/* One entry per model; where digests differ the one that most nodes have, then the newest. Newest first. */
enum fail render_tags(struct text *to, struct listing *const *of, uint32_t n);
/* The same models as {"object":"list","data":[...]}. */
enum fail render_v1_models(struct text *to, struct listing *const *of, uint32_t n);
/* One entry per model: the instance that lies in VRAM most, with the latest expires_at and the least context_length of
 * all. */
enum fail render_ps(struct text *to, struct listing *const *of, uint32_t n);
void render_version(struct text *to, struct str version);
/* Negative if a is the lower version: numbers between dots compare as numbers, a suffix ("-rc1") is lower than none. */
int version_compare(struct str a, struct str b);
