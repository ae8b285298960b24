/* config/route_text.c - a path, and behind commas what is to be otherwise there than elsewhere: a table of three facts.
 *
 * Routes are named by their paths, which people know, and not by the names in metrics. */
#include "config/route_text.h"
#include "config/nearest.h"
#include "config/value.h"

#define TTL_LEAST SECOND(1)
#define TTL_MOST  SECOND(30 * 86400)

/* ---- the path ---------------------------------------------------------------------------------------------------- */

static bool read_path(struct str path, enum route_id *out, struct text *why)
{
    struct nearest n = nearest_to(path);
    for (enum route_id id = 0; id < ROUTE_COUNT; id++) {
        if (!rule_knows(id))
            continue;
        *out = id;
        if (str_eq(route_row(id)->path, path))
            return true;
        nearest_offer(&n, route_row(id)->path);
    }
    text_printf(why, "\"%.*s\" is no path whose answers can be kept", STR_ARG(path));
    if (n.best.n)
        text_printf(why, "; did you mean %.*s?", STR_ARG(n.best));
    return false;
}

/* ---- one fact ---------------------------------------------------------------------------------------------------- */

static bool set_keep(struct rule_route *r, struct str value, struct text *why)
{
    r->any = str_eq(value, STR("all"));
    r->off = str_eq(value, STR("none"));
    if (r->any || r->off || str_eq(value, STR("usual")))
        return true;
    text_printf(why, "keep \"%.*s\" is none of usual, all, none", STR_ARG(value));
    return false;
}

static bool set_tools(struct rule_route *r, struct str value, struct text *why)
{
    if (value_onoff(value, &r->tools))
        return true;
    text_printf(why, "tools \"%.*s\" is neither on nor off", STR_ARG(value));
    return false;
}

static bool set_ttl(struct rule_route *r, struct str value, struct text *why)
{
    if (value_duration(value, &r->ttl) && r->ttl >= TTL_LEAST && r->ttl <= TTL_MOST)
        return true;
    text_printf(why, "ttl \"%.*s\" is not a duration such as 10min, from 1s to 30d", STR_ARG(value));
    return false;
}

static const struct {
    struct str key;
    bool (*set)(struct rule_route *r, struct str value, struct text *why);
} facts[] = {
    {STR("keep"),   set_keep },
    { STR("tools"), set_tools},
    { STR("ttl"),   set_ttl  },
};

static bool set_fact(struct rule_route *r, struct str pair, struct text *why)
{
    struct str value = pair, key = str_trim(str_cut(&value, '='));
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        if (str_eq(key, facts[i].key))
            return facts[i].set(r, str_trim(value), why);
    text_printf(why, "\"%.*s\" is nothing that can be said of a route; there are keep=, tools=, ttl=", STR_ARG(pair));
    return false;
}

bool route_text_read(struct route_choice *out, struct str text, struct text *why)
{
    struct str rest = text, path = str_trim(str_cut(&rest, ','));
    *out = (struct route_choice){ 0 };
    bool good = read_path(path, &out->route, why);
    while (good && rest.n)
        good = set_fact(&out->rule, str_trim(str_cut(&rest, ',')), why);
    return good;
}
