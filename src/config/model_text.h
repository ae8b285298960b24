/* config/model_text.h - how people write what holds for a model: `gpt-4o=qwen3:8b`, `qwen3:32b=qwen3:8b,llama3.2`,
 * `qwen3:32b,policy=late,slots=4`. Each reads the whole text or says false with why it is wrong; strings are copied. */
#pragma once
#include "api/aliases.h"
#include "base/buf.h"
#include "fleet/model_rules.h"

/* Is it a model's name? */
bool model_text_name(struct str name, struct text *why);
/* Are they the same model, however spelled? Both must be names. */
bool model_text_same(struct str a, struct str b);

/* "name=model", not yet compared with others (aliases_may_add). */
bool model_text_alias(struct alias *out, struct arena *a, struct str text, struct text *why);
/* "name=instead,instead": a rule with fallbacks alone. */
bool model_text_fallbacks(struct model_rule *out, struct arena *a, struct str text, struct text *why);
/* One of policy, slots, num_ctx, ttl, max_wait, labels. */
bool model_text_set(struct model_rule *m, struct arena *a, struct str key, struct str value, struct text *why);
/* The whole of the form with commas. */
bool model_text_read(struct model_rule *m, struct arena *a, struct str text, struct text *why);
