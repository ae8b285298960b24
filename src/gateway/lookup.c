/* The lookup stage: may the answer come from the cache, and if not, why not.
 *
 *     rule --no--> the road, `fwd=bypass; detail=...`
 *       |
 *      key --> look --HIT, STALE--> follow the tape that was kept        (STALE: and one of us asks anew, for nobody)
 *               |------JOIN-------> follow the running one
 *               |------LEAD-------> start a flight, and follow it
 *               '------PASS-------> the road, alone
 *
 * What is not cacheable costs one rule here and a few words in the answer. The digest of the model is taken from notes
 * of the worker's own as long as no node's models have changed, so a hit takes no lock of the fleet's; the key of a
 * body that came before is remembered with it (cache/memo.h).
 *
 * One entry serves all who ask the same, streamed or not and in either dialect (gateway/retell.h); who asks in a way in
 * which it cannot be said goes to a node alone. */
#include "cache/key.h"
#include "cache/memo.h"
#include "gateway/flight.h"
#include "gateway/gateway_private.h"

#define CONTEXT_MOST 512

/* ---- what is said about it --------------------------------------------------------------------------------------- */

static void say(struct exchange *x, enum record_cache record, const struct status *status)
{
    struct str detail = str_take(status->detail, sizeof x->tally.detail.cache - 1);

    x->lookup.asked = true;
    x->lookup.status = *status;
    x->tally.cache = record;
    *put_str(x->tally.detail.cache, detail) = 0;
}

static enum step go_alone(struct exchange *x, enum status_kind kind, enum rule why)
{
    say(x, CACHED_BYPASS, &(struct status){ .kind = kind, .detail = rule_word(why) });
    return x->in.control.only_if_cached ? answer_fail(x, FAIL_not_cached, STR_NONE) : STEP_NEXT;
}

static enum step bypass(struct exchange *x, enum rule why)
{
    return go_alone(x, STATUS_BYPASS, why);
}

/* Why a new answer is fetched for it. */
static enum status_kind kind_of_miss(const struct exchange *x)
{
    if (x->in.control.no_cache)
        return STATUS_REQUEST;
    if (!x->lookup.rescue)
        return STATUS_MISS;
    return x->in.control.max_age == NEVER ? STATUS_STALE : STATUS_REQUEST;
}

static void say_found(struct exchange *x, const struct cache_look *l)
{
    static const enum record_cache records[] = {
        [CACHE_HIT] = CACHED_HIT, [CACHE_STALE] = CACHED_STALE, [CACHE_JOIN] = CACHED_JOINED, [CACHE_LEAD] = CACHED_MISS
    };
    bool kept = l->found == CACHE_HIT || l->found == CACHE_STALE;
    struct status s = { .kind = kept ? STATUS_HIT : kind_of_miss(x),
                        .ttl = l->ttl,
                        .collapsed = l->found == CACHE_JOIN };

    x->lookup.age = l->age;
    say(x, records[l->found], &s);
}

/* ---- rule -------------------------------------------------------------------------------------------------------- */

static bool is_never_kept(const struct exchange *x)
{
    return x->route.rule && x->route.rule->ttl == 0;
}

static enum rule judge(const struct exchange *x)
{
    struct rule_ask ask = { .route = x->route.row,
                            .peek = &x->route.peek,
                            .body = x->in.body,
                            .control = x->in.control,
                            .cloud = x->route.cloud,
                            .has_digest = true, /* which is asked for only when all else is well */
                            .pinned = x->ticket.pin.n > 0 };

    if (x->in.goes_on.n)
        return RULE_continued;
    return is_never_kept(x) ? RULE_disabled : rule_asking(&x->settings->cache, &ask);
}

/* ---- key --------------------------------------------------------------------------------------------------------- */

static struct str tenant_of(const struct exchange *x)
{
    return x->settings->cache_is_shared ? STR_NONE : x->in.tenant;
}

static enum key_reader reader_of(const struct exchange *x, const struct model_digest *d)
{
    return x->ticket.ollama_only || d->ollama ? KEY_READ_AS_GO : KEY_READ_TO_THE_LETTER;
}

/* All that the key depends on besides the body; too much of it is empty. */
static struct str context_of(const struct key_ask *ask, char *room)
{
    size_t n = ask->digest.n + ask->tenant.n + 3;
    char *at = room;

    if (n > CONTEXT_MOST)
        return STR_NONE;
    *at++ = (char)ask->route->id;
    *at++ = (char)ask->reader;
    *at++ = (char)ask->digest.n;
    at = put_str(at, ask->digest);
    return str_span(room, put_str(at, ask->tenant));
}

static const struct cache_key *find_key(struct exchange *x, const struct model_digest *d)
{
    struct memo *memo = x->worker->gateway->memo;
    struct cache_key *key = arena_new(&x->arena, struct cache_key);
    char context_room[CONTEXT_MOST];
    struct key_ask ask = {
        .route = x->route.row,
        .body = x->in.body,
        .digest = {d->text, d->n},
        .tenant = tenant_of(x),
        .reader = reader_of(x, d)
    };
    struct str context = context_of(&ask, context_room);

    if (!key)
        return NULL;
    if (context.n && memo_find(memo, context, ask.body, key))
        return key;
    if (key_of(&ask, &x->arena, key))
        return NULL;
    if (context.n)
        memo_keep(memo, context, ask.body, key);
    return key;
}

bool lookup_streams(const struct exchange *x)
{
    enum tri said = x->route.peek.stream;

    return said == TRI_TRUE || (said == TRI_UNSET && x->route.row->flags & ROUTE_STREAMS);
}

/* ---- look -------------------------------------------------------------------------------------------------------- */

static struct cache_ask ask_of(const struct exchange *x)
{
    const struct control *c = &x->in.control;

    return (struct cache_ask){ .key = *x->lookup.key,
                               .now = worker_now(x->worker),
                               .max_age = rule_max_age(c),
                               .join = x->settings->coalesce && !c->no_cache && !c->only_if_cached,
                               .class = lookup_class(x->route.row),
                               .was = x->lookup.status.collapsed ? CACHE_JOIN : CACHE_NEW,
                               .model = cache_tag_model(x->ticket.model) };
}

static bool is_lead(const struct cache_look *l)
{
    return l->found == CACHE_LEAD || (l->found == CACHE_STALE && l->flight);
}

/* Looks; and where nothing is there, or what is there is old, looks again with a flight to be. NULL: x starts none. */
static struct flight *look(struct exchange *x, struct cache_ask *ask, struct cache_look *l)
{
    struct cache *c = x->worker->gateway->cache;
    struct flight *f = NULL;

    cache_look(c, ask, l);
    ask->was = l->found;
    if ((l->found == CACHE_MISS || l->refresh) && !x->in.control.only_if_cached)
        f = flight_new(x->worker, cache_item_cap(c), l->refresh);
    if (!f)
        return NULL;
    tape_unref(&l->tape);
    ask->lead = f->tape;
    cache_look(c, ask, l);
    ask->lead = NULL;
    ask->was = l->found;
    if (!is_lead(l))
        flight_drop(&f);
    return f;
}

static void start(struct exchange *x, struct flight *f, const struct cache_look *l)
{
    const struct model_digest *d = lookup_digest(x->worker, x->ticket.model, x->ticket.model_hash);

    f->over = lookup_landed;
    f->number = l->flight;
    f->digest = str_hash((struct str){ d->text, d->n });
    memcpy(f->key, x->lookup.key->bytes, sizeof f->key);
    flight_start(f, x);
}

static enum rule why_alone(const struct cache_look *l)
{
    return l->found == CACHE_PASS && l->why == CACHE_PASS_ALONE ? RULE_alone : RULE_pressure;
}

static enum step go_past(struct exchange *x, const struct cache_look *l)
{
    bool absent = l->found == CACHE_MISS && x->in.control.only_if_cached;

    return go_alone(x, kind_of_miss(x), absent ? RULE_fine : why_alone(l));
}

/* What is kept cannot be said to x, but what its own flight brings can. */
static enum fail join_own(struct exchange *x, struct flight *f)
{
    struct tape *own = tape_ref(f->tape);
    enum fail why = flight_join(x, own, !lookup_streams(x));

    if (why)
        tape_unref(&own);
    else
        say(x, CACHED_MISS, &(struct status){ .kind = STATUS_STALE });
    return why;
}

/* What was found is followed, by a flight that was started here or elsewhere. FAIL_no_such_object: it takes nobody.
 * FAIL_bad_value: see flight_join. */
static enum fail join(struct exchange *x, struct flight *f, struct cache_look *l)
{
    enum fail why = flight_join(x, l->tape, !lookup_streams(x));

    if (why)
        tape_unref(&l->tape);
    if (why == FAIL_bad_value && f)
        why = join_own(x, f);
    if (f)
        start(x, f, l);
    return why;
}

static enum step look_up(struct exchange *x)
{
    struct cache_ask ask = ask_of(x);
    struct cache_look l;
    enum fail why;

    do {
        struct flight *f = look(x, &ask, &l);
        x->lookup.rescue = l.rescue;
        if (!l.tape)
            return go_past(x, &l);
        say_found(x, &l);
        why = join(x, f, &l);
        ask.refused = l.flight;
    } while (why == FAIL_no_such_object);
    if (why == FAIL_bad_value)
        return lookup_alone(x);
    return why ? answer_fail(x, why, STR_NONE) : flight_follow(x);
}

enum step lookup_alone(struct exchange *x)
{
    return go_alone(x, kind_of_miss(x), RULE_shape);
}

/* Who asks for an answer of now would rather know that there is none. */
bool lookup_rescue(struct exchange *x, enum fail why)
{
    nsec most = rule_max_age(&x->in.control);
    struct cache_look l;

    if (!x->lookup.rescue || fail_status(why) < 500 || most < 0)
        return false;
    x->lookup.rescue = false;
    if (!cache_rescue(x->worker->gateway->cache, x->lookup.key, worker_now(x->worker), &l))
        return false;
    if (l.age > most || flight_join(x, l.tape, !lookup_streams(x))) {
        tape_unref(&l.tape);
        return false;
    }
    x->lookup.age = l.age;
    say(x, CACHED_STALE, &(struct status){ .kind = STATUS_HIT, .ttl = l.ttl, .detail = STR("stale-if-error") });
    return true;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static void again(struct exchange *x)
{
    exchange_wake(x, lookup_enter(x));
}

static enum step ask_cache(struct exchange *x)
{
    const struct model_digest *d = lookup_digest(x->worker, x->ticket.model, x->ticket.model_hash);

    if (!d->n && local_must_wait(x, again))
        return STEP_WAIT;
    if (d->cloud)
        return bypass(x, RULE_cloud);
    if (!d->n)
        return bypass(x, RULE_digest);
    x->lookup.key = find_key(x, d);
    return x->lookup.key ? look_up(x) : bypass(x, RULE_body);
}

enum step lookup_enter(struct exchange *x)
{
    enum rule why;

    if (x->owner_kind == OWNER_TAPE)
        return shared_enter(x);
    if (x->route.row->kind != KIND_MODEL || x->owner_kind != OWNER_CLIENT)
        return STEP_NEXT;
    why = judge(x);
    return why == RULE_fine || why == RULE_no_cache ? ask_cache(x) : bypass(x, why);
}
