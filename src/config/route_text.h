/* config/route_text.h - how people write what the cache does on one route: `/v1/chat/completions,keep=all,ttl=10min`.
 */
#pragma once
#include "base/buf.h"
#include "cache/rule.h"

struct route_choice {
    enum route_id route;
    struct rule_route rule;
};
/* False with why it is wrong. Pure; any thread. */
bool route_text_read(struct route_choice *out, struct str text, struct text *why);
