/* What becomes of an answer when its flight is over, and what is forgotten.
 *
 * Kept is what proved itself: 200, whole, ended by stop or length, from the very model that was asked for; and for a
 * moment what a node says is wrong with the request, since all others would say so too. A name may come to mean another
 * model while an answer runs; so the digest is compared again at the end. */
#include "cache/memo.h"
#include "gateway/flight.h"
#include "gateway/gateway_private.h"

#define SIZE_USUAL MIB(256)
#define SIZE_SHORT 4  /* of its size: what is left of it while memory is short */
#define MEMO_SHARE 64 /* of the cache's size: keys of bodies that may come again */

/* ---- life -------------------------------------------------------------------------------------------------------- */

static size_t size_of(const struct gateway_settings *s)
{
    return s->cache_size ? s->cache_size : MIN(SIZE_USUAL, s->memory_limit / 20);
}

enum fail lookup_open(struct gateway *g)
{
    size_t size = size_of(atomic_load(&g->settings));
    struct cache_plan plan = { .bytes = size, .seed = sys_random_u64(), .admission = true };

    pthread_mutex_init(&g->known_lock, NULL);
    pthread_mutex_init(&g->resize_lock, NULL);
    g->cache = cache_new(&plan);
    g->memo = memo_new(MAX(size / MEMO_SHARE, (size_t)MEMO_LEAST), sys_random_u64());
    return g->cache && g->memo ? OK : FAIL_no_memory;
}

void lookup_close(struct gateway *g)
{
    cache_free(&g->cache);
    memo_free(&g->memo);
    pthread_mutex_destroy(&g->known_lock);
    pthread_mutex_destroy(&g->resize_lock);
}

/* Not under the lock of the settings, for which a worker may wait. */
void lookup_resize(struct gateway *g)
{
    pthread_mutex_lock(&g->resize_lock);
    size_t size = size_of(atomic_load(&g->settings));
    cache_resize(g->cache, atomic_load(&g->memory.small_cache) ? size / SIZE_SHORT : size);
    pthread_mutex_unlock(&g->resize_lock);
}

void lookup_configure(struct gateway *g, const struct gateway_settings *s)
{
    lookup_resize(g);
    if (!s->cache.enabled)
        cache_forget(g->cache, CACHE_EVERYTHING);
}

void lookup_tidy(struct gateway *g, nsec now)
{
    cache_sweep(g->cache, now);
}

/* ---- routes and models ------------------------------------------------------------------------------------------- */

static const enum route_id classes[CACHE_CLASSES] = {
    ROUTE_generate,       ROUTE_chat,          ROUTE_embed,        ROUTE_embeddings,  ROUTE_v1_chat,
    ROUTE_v1_completions, ROUTE_v1_embeddings, ROUTE_v1_responses, ROUTE_v1_messages,
};

uint8_t lookup_class(const struct route *r)
{
    for (uint8_t i = 0; i < CACHE_CLASSES; i++)
        if (classes[i] == r->id)
            return i;
    return 0;
}

const struct route *lookup_route(unsigned class)
{
    return route_row(classes[class]);
}

static struct str text_of(const struct model_digest *d)
{
    return (struct str){ d->text, d->n };
}

/* True if the name meant another model when some worker last asked. */
static bool means_another(struct gateway *g, const struct known *now)
{
    struct known *k = &g->known[now->model % KNOWN];
    bool another;

    pthread_mutex_lock(&g->known_lock);
    another = k->model == now->model && k->digest.n && !str_eq(text_of(&k->digest), text_of(&now->digest));
    if (now->digest.n && (k->model != now->model || now->digest.changed >= k->digest.changed))
        *k = *now;
    pthread_mutex_unlock(&g->known_lock);
    return another;
}

const struct model_digest *lookup_digest(struct worker *w, struct str model, uint64_t hash)
{
    struct known *k = &w->known[hash % KNOWN];

    if (k->model == hash && k->digest.changed == fleet_models_changed(w->gateway->fleet))
        return &k->digest;
    k->model = hash;
    fleet_digest(w->gateway->fleet, hash, &k->digest);
    if (means_another(w->gateway, k))
        lookup_forget_model(w->gateway, model);
    return &k->digest;
}

/* ---- keeping ----------------------------------------------------------------------------------------------------- */

/* What the node says it has worked, else how long it took. */
static double work_of(const struct exchange *x)
{
    int64_t total = x->up.figures.total;

    if (total <= 0)
        total = x->up.sent ? MAX(0, worker_now(x->worker) - x->up.sent) : 0;
    return (double)total / 1e9;
}

uint64_t lookup_tag_node(struct str name)
{
    return cache_tag_node(str_hash(str_take(name, RECORD_NODE - 1)));
}

static bool is_of_the_model_asked(struct flight *f, const struct exchange *x)
{
    const struct model_digest *d = lookup_digest(f->worker, x->ticket.model, x->ticket.model_hash);

    return !x->route.fell_back && d->n && f->digest == str_hash(text_of(d));
}

static bool may_keep(struct flight *f, const struct exchange *x, enum fail why, struct cache_keep *out)
{
    const struct model_rule *rule = x ? x->route.rule : NULL;
    struct rule_answer a = { 0 };

    if (!x || why || !is_of_the_model_asked(f, x))
        return false;
    a.status = x->out.status;
    a.mark = x->up.proven ? MARK_DONE : MARK_NONE;
    a.reason = x->up.figures.reason;
    if (a.status != 200)
        a.said = record_said(a.status, x->up.said);
    if (rule_keeping(&x->settings->cache, x->route.row, &a, out))
        return false;
    if (rule && rule->ttl != NOT_SAID && !out->negative)
        out->ttl = rule->ttl;
    return out->ttl > 0;
}

static void describe_keep(struct flight *f, const struct exchange *x, struct cache_keep *keep)
{
    keep->random = worker_random(f->worker);
    keep->saved_s = work_of(x);
    keep->saved_tokens = (uint32_t)MIN(MAX(x->up.figures.output_tokens, 0), UINT32_MAX);
    keep->tags[0] = cache_tag_model(x->ticket.model);
    keep->tags[1] = lookup_tag_node(str_of(x->up.node_name));
}

/* It proved itself to the gateway that stored it. */
static bool take_shared(const struct flight *f, enum fail why, struct cache_keep *out)
{
    *out = f->shared.keep;
    return !why;
}

void lookup_landed(struct flight *f, const struct exchange *x, enum fail why)
{
    struct cache_keep keep = { 0 };
    struct redis_entry entry;
    struct cache_key key;
    enum cache_kept kept;
    bool keeps, shares;

    memcpy(key.bytes, f->key, sizeof key.bytes);
    keeps = f->shared.found ? take_shared(f, why, &keep) : may_keep(f, x, why, &keep);
    if (keeps && !f->shared.found)
        describe_keep(f, x, &keep);
    shares = keeps && !f->shared.found && shared_will_store(f, x, &keep, &entry);
    kept = cache_end(f->worker->gateway->cache, &key, f->number, keeps ? &keep : NULL, worker_now(f->worker));
    if (shares && kept != CACHE_LOST && kept != CACHE_UNPROVEN)
        shared_store(f, &entry);
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */

void lookup_forget_model(struct gateway *g, struct str key)
{
    shared_forget(g, STR("model"), key);
    cache_forget(g->cache, cache_tag_model(key));
}

void gateway_forget_node(struct gateway *g, struct str name)
{
    shared_forget(g, STR("node"), str_take(name, RECORD_NODE - 1));
    cache_forget(g->cache, lookup_tag_node(name));
}
