/* cache/rule.c - questions in the order in which their answers help: what the operator decided, what the client wants,
 * what the request is, and only then what chance has to do with it.
 *
 * A temperature counts only where it is written: without one Ollama takes the model's own, which is rarely 0 and known
 * to nobody here, and the /v1 routes take 1. A seed counts on the routes that hand it on; /v1/messages and
 * /v1/responses do not know the word. -1 is "random" to Ollama, and so is 2^32 - 1 to the runner below it. */
#include "cache/rule.h"

#define SEED_MOST 0xFFFFFFFEll

static const struct {
    struct str word, sentence;
} rules[] = {
#define RULE(name, word, sentence) [RULE_##name] = { STR(word), STR(sentence) },
#include "cache/rule.def"
#undef RULE
};

struct str rule_word(enum rule r)
{
    assume((unsigned)r < RULE_COUNT);
    return rules[r].word;
}

struct str rule_sentence(enum rule r)
{
    assume((unsigned)r < RULE_COUNT);
    return rules[r].sentence;
}

struct rules rules_usual(void)
{
    return (struct rules){
        .enabled = true, .ttl = SECOND(30), .stale = SECOND(30), .stale_if_error = SECOND(300), .negative = SECOND(2)
    };
}

/* --- routes --- */

enum { KEPT = 1, VECTORS = 2, SEEDED = 4 };
static const unsigned char traits[ROUTE_COUNT] = {
    [ROUTE_generate] = KEPT | SEEDED,       [ROUTE_chat] = KEPT | SEEDED,    [ROUTE_embed] = KEPT | VECTORS,
    [ROUTE_embeddings] = KEPT | VECTORS,    [ROUTE_v1_chat] = KEPT | SEEDED, [ROUTE_v1_completions] = KEPT | SEEDED,
    [ROUTE_v1_embeddings] = KEPT | VECTORS, [ROUTE_v1_responses] = KEPT,     [ROUTE_v1_messages] = KEPT,
};

static bool has(const struct route *route, unsigned trait)
{
    return traits[route->id] & trait;
}

bool rule_knows(enum route_id route)
{
    return route < ROUTE_COUNT && traits[route] & KEPT;
}

/* --- asking --- */

static bool is_empty(struct json v)
{
    return v.kind == JSON_BAD || (v.kind == JSON_STRING && v.raw.n == 2);
}

static bool is_load(const struct rule_ask *ask)
{
    const struct peek *p = ask->peek;
    if (has(ask->route, VECTORS))
        return p->inputs == 0;
    return p->empty_prompt || (ask->route->id == ROUTE_v1_completions && is_empty(p->prompt));
}

/* A search is done by the node, and finds something else tomorrow. */
static bool searches_web(const struct rule_ask *ask)
{
    struct json_walk w = json_walk(json_get(json_skim(ask->body, NULL), STR("tools")));
    while (json_next(&w)) {
        struct json type = json_get(w.value, STR("type"));
        if (type.kind != JSON_STRING || str_chr(type.raw, '\\') >= 0 || str_starts(type.raw, STR("\"web_")))
            return true;
    }
    return false;
}

static enum rule judge_tools(const struct rules *r, const struct rule_ask *ask)
{
    if (!ask->peek->has_tools)
        return RULE_fine;
    if (!r->route[ask->route->id].tools)
        return RULE_tools;
    return searches_web(ask) ? RULE_web_search : RULE_fine;
}

static enum rule judge_chance(const struct rules *r, const struct rule_ask *ask)
{
    const struct peek *p = ask->peek;
    double temperature;
    int64_t seed;
    if (has(ask->route, VECTORS) || r->route[ask->route->id].any)
        return RULE_fine;
    if (json_f64(p->temperature, &temperature) && temperature == 0)
        return RULE_fine;
    if (!has(ask->route, SEEDED) || !json_i64(p->seed, &seed))
        return RULE_temperature;
    return seed >= 0 && seed <= SEED_MOST ? RULE_fine : RULE_no_seed;
}

enum rule rule_asking(const struct rules *r, const struct rule_ask *ask)
{
    if (!r->enabled)
        return RULE_disabled;
    if (!has(ask->route, KEPT) || r->route[ask->route->id].off)
        return RULE_route;
    if (ask->control.no_store)
        return RULE_no_store;
    if (ask->cloud)
        return RULE_cloud;
    if (!ask->has_digest)
        return RULE_digest;
    if (ask->pinned)
        return RULE_node;
    if (is_load(ask))
        return RULE_load;
    enum rule why = judge_tools(r, ask);
    if (!why)
        why = judge_chance(r, ask);
    return why || !ask->control.no_cache ? why : RULE_no_cache;
}

nsec rule_max_age(const struct control *c)
{
    return c->no_cache ? -1 : c->max_age;
}

/* --- keeping --- */

static enum rule judge_end(const struct route *route, const struct rule_answer *a)
{
    if (a->mark != MARK_DONE)
        return RULE_truncated;
    if (has(route, VECTORS))
        return RULE_fine;
    switch (a->reason) {
    case REASON_STOP:
    case REASON_LENGTH:
    case REASON_TOOLS: return RULE_fine;
    case REASON_NONE: return RULE_truncated;
    default: return RULE_reason;
    }
}

/* What another node, or the same one later, would not answer otherwise. */
static bool is_lasting_error(const struct rule_answer *a)
{
    return (a->status == 404 || a->status == 400) && (a->said == SAID_CLIENT_ERROR || a->said == SAID_NO_MODEL);
}

enum rule rule_keeping(const struct rules *r, const struct route *route, const struct rule_answer *answer,
                       struct cache_keep *out)
{
    nsec own = r->route[route->id].ttl;
    if (answer->status != 200) {
        out->negative = true;
        out->ttl = r->negative;
        out->stale = out->stale_if_error = 0;
        return is_lasting_error(answer) && r->negative > 0 ? RULE_fine : RULE_status;
    }
    out->negative = false;
    out->ttl = own ? own : r->ttl;
    out->stale = r->stale;
    out->stale_if_error = r->stale_if_error;
    return answer->continued ? RULE_continued : judge_end(route, answer);
}
