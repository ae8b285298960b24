/* cache/rule.h - whether a request may be answered from the cache, whether its answer may be kept, how long, and if not
 * why.
 *
 * By default what a node would answer the same way again: temperature 0, a fixed seed, embeddings. More where a route
 * is opted in. Never what is not known to be whole. Pure; any thread. */
#pragma once
#include "api/peek.h"
#include "api/record.h"
#include "api/route.h"
#include "cache/cache.h"
#include "cache/control.h"

enum rule {
#define RULE(name, word, sentence) RULE_##name,
#include "cache/rule.def"
#undef RULE
    RULE_COUNT
};
/* "temperature": for Cache-Status and metrics. And for people. */
struct str rule_word(enum rule r);
struct str rule_sentence(enum rule r);

/* Settings, for as long as a configuration lives. */
struct rule_route {
    bool off;
    bool any;   /* chance is no obstacle */
    bool tools; /* turns with tools too */
    nsec ttl;   /* 0: the common one */
};
struct rules {
    bool enabled;
    nsec ttl, stale, stale_if_error;
    nsec negative; /* how long a 404 or 400 is kept; 0: not at all */
    struct rule_route route[ROUTE_COUNT];
};
/* Are answers of this route kept at all? */
bool rule_knows(enum route_id route);
/* On; 30 s, 30 s, 300 s, 2 s; no route opted in. */
struct rules rules_usual(void);

struct rule_ask {
    const struct route *route;
    const struct peek *peek; /* of `body` */
    struct str body;
    struct control control;
    bool cloud;      /* the model's name or its node says so */
    bool has_digest; /* of the model */
    bool pinned;     /* to one node */
};
/* RULE_fine or RULE_no_cache: look the key up and keep the answer, in the latter case without being answered; max_age
 * for cache_ask then is rule_max_age. Any other: the cache is bypassed. Whether the request has a key, key_of says
 * (RULE_body). */
enum rule rule_asking(const struct rules *r, const struct rule_ask *ask);
nsec rule_max_age(const struct control *c);

struct rule_answer {
    int status;
    enum said said;        /* of an error: record_said */
    enum record_mark mark; /* how it ended; of a stream the worst that was found in it */
    int reason;            /* of its figures */
    bool continued;        /* on another node */
};
/* RULE_fine: keep it, with what is filled in of *out (ttl, stale, stale_if_error, negative). Size and value are the
 * store's to judge. */
enum rule rule_keeping(const struct rules *r, const struct route *route, const struct rule_answer *answer,
                       struct cache_keep *out);
