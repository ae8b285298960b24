/* sim/sim_model.c - what is loaded, who may use it, and what has to go: Ollama's scheduler as its users feel it.
 *
 *     want --loaded, same context--------------------------> slot? --yes--> sim_run_slotted
 *       '--else--> pending --the first alone--> load .......--^      '--no--> waiting, unbounded
 *                  (512, then "busy")   needs room: evict
 *
 * Rules, from ollama-api section 4: a request for a loaded model passes by the pending ones; loads are serial, so
 * everything pending stands behind the one that loads; the victim is the idle model with the shortest keep_alive, else
 * the busy one with the shortest, which is waited for; a model needs all of its room in VRAM, or the card for itself;
 * who leaves takes along the load he started, and the next in line starts it anew. Another num_ctx is another load, and
 * so is another num_gpu and the like. */
#include "sim/sim.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define PENDING_MAX      512
#define LOADED_MAX       3
#define KEEP_ALIVE_USUAL SECOND(300)
#define PROMPT_KEPT      KIB(256) /* bytes of a prompt that the prefix cache remembers */

static void schedule(struct simnode *n);
static void timed(struct timer *t);

/* ---- the shelf --------------------------------------------------------------------------------------------------- */

static bool names_one_of(struct str name, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_find(name, str_of(words[i])) >= 0)
            return true;
    return false;
}

static unsigned abilities(struct str key)
{
    static const char *const embedders[] = { "embed", "bge-", "minilm", "arctic" };
    static const char *const thinkers[] = { "qwen3", "deepseek-r1", "gpt-oss", "magistral" };
    if (names_one_of(key, embedders, ARRAY_LEN(embedders)))
        return CAN_EMBED;
    unsigned can = CAN_COMPLETE | CAN_USE_TOOLS | CAN_INSERT;
    return names_one_of(key, thinkers, ARRAY_LEN(thinkers)) ? can | CAN_THINK : can;
}

/* "8b" in a tag is eight thousand million weights of about five bits. */
uint64_t sim_model_guess_size(struct str name)
{
    double billions = 3;
    for (size_t i = 0; i < name.n; i++)
        if ((name.p[i] | 0x20) == 'b' && i > 0 && name.p[i - 1] >= '0' && name.p[i - 1] <= '9') {
            size_t from = i;
            while (from > 0 && (name.p[from - 1] == '.' || (name.p[from - 1] >= '0' && name.p[from - 1] <= '9')))
                from--;
            billions = atof(name.p + from); /* ends at the 'b' */
        }
    return abilities(name) & CAN_EMBED ? 274000000 : (uint64_t)(billions * 0.65e9);
}

uint32_t sim_model_parameters(const struct sim_model *m)
{
    return (uint32_t)((double)m->size / 0.65e6);
}

static void digest_of(const struct sim_model *m, char out[65])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    char text[NAME_MAX_BYTES + 32];
    unsigned n = 0;
    int length = snprintf(text, sizeof text, "%.*s %llu", STR_ARG(name_key(&m->name)), (unsigned long long)m->size);
    EVP_Digest(text, (size_t)length, hash, &n, EVP_sha256(), NULL);
    for (unsigned i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

struct sim_model *sim_model_add(struct simnode *n, const struct name *name, uint64_t size)
{
    struct sim_model *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->node = n;
    m->name = *name;
    m->size = size ? size : sim_model_guess_size(name_show(name));
    m->modified = loop_wall(n->loop);
    m->can = abilities(name_key(name));
    m->dimensions = m->can & CAN_EMBED ? 768 : 1024;
    m->n_slots = m->can & CAN_EMBED ? 1 : n->slots;
    m->keep_alive = KEEP_ALIVE_USUAL;
    m->timer.fire = timed;
    list_init(&m->waiting);
    list_init(&m->free_slots);
    digest_of(m, m->digest);
    m->slots = calloc(m->n_slots, sizeof *m->slots);
    if (!m->slots || map_put(&n->by_key, name_key(&m->name), m)) {
        free(m->slots);
        free(m);
        return NULL;
    }
    for (unsigned i = 0; i < m->n_slots; i++)
        list_push(&m->free_slots, &m->slots[i].free);
    list_push_front(&n->models, &m->link);
    return m;
}

static void unload(struct sim_model *m)
{
    if (m->residency == MODEL_OUT)
        return;
    assume(m->active == 0 && list_empty(&m->waiting));
    struct simnode *n = m->node;
    n->vram_used -= sim_model_vram(m);
    n->stats.loaded -= m->residency == MODEL_LOADED;
    n->stats.unloads += m->residency == MODEL_LOADED;
    m->residency = MODEL_OUT;
    m->leaving = false;
    m->keep_alive = KEEP_ALIVE_USUAL;
    loop_timer_cancel(n->loop, &m->timer);
    for (unsigned i = 0; i < m->n_slots; i++)
        buf_free(&m->slots[i].prompt);
}

void sim_models_unload(struct simnode *n)
{
    list_each (l, &n->models)
        unload(CONTAINER(l, struct sim_model, link));
}

static void free_model(struct sim_model *m)
{
    unload(m);
    free(m->slots);
    free(m);
}

/* A deleted model goes with its last user. */
static void drop_user(struct sim_model *m)
{
    m->users--;
    if (m->deleted && m->users == 0)
        free_model(m);
}

void sim_model_delete(struct sim_model **at)
{
    struct sim_model *m = *at;
    *at = NULL;
    map_del(&m->node->by_key, name_key(&m->name));
    list_del(&m->link);
    struct simnode *n = m->node;
    m->deleted = true;
    m->users++;
    drop_user(m);
    schedule(n);
}

static struct sim_model *find_exactly(const struct simnode *n, struct str name)
{
    list_each (l, (struct list *)&n->models) {
        struct sim_model *m = CONTAINER(l, struct sim_model, link);
        if (str_eq(name_show(&m->name), name))
            return m;
    }
    return NULL;
}

struct sim_model *sim_model_find(const struct simnode *n, struct str name)
{
    struct name parsed;
    if (n->kind == SIM_LLAMACPP && !list_empty(&n->models))
        return CONTAINER(n->models.next, struct sim_model, link);
    if (n->kind != SIM_OLLAMA) /* names to the letter; ours may lack the tag */
        return find_exactly(n, name) ? find_exactly(n, name)
                                     : (name_parse(name, &parsed) ? NULL : find_exactly(n, name_show(&parsed)));
    return name_parse(name, &parsed) ? NULL : map_get(&n->by_key, name_key(&parsed));
}

uint64_t sim_model_vram(const struct sim_model *m)
{
    return MIN(m->size, m->node->vram);
}

/* ---- loads ------------------------------------------------------------------------------------------------------- */

bool sim_is_idle(const struct sim_model *m)
{
    return m->active == 0 && list_empty(&m->waiting);
}

static void go_idle(struct sim_model *m)
{
    struct simnode *n = m->node;
    if (m->residency != MODEL_LOADED || !sim_is_idle(m))
        return;
    if (m->keep_alive == 0 || m->leaving || m->deleted) {
        n->stats.expiries += !m->leaving;
        unload(m);
        schedule(n);
        return;
    }
    m->expires = m->keep_alive == NEVER ? NEVER : loop_now(n->loop) + m->keep_alive;
    if (m->expires == NEVER)
        loop_timer_cancel(n->loop, &m->timer);
    else
        loop_timer_set(n->loop, &m->timer, m->expires);
}

static void is_loaded(struct sim_model *m)
{
    m->residency = MODEL_LOADED;
    m->count.loads++;
    m->node->stats.loads++;
    m->node->stats.loaded++;
    m->users++; /* who runs now may be the last, and done before schedule returns */
    schedule(m->node);
    go_idle(m);
    drop_user(m);
}

static void timed(struct timer *t)
{
    struct sim_model *m = CONTAINER(t, struct sim_model, timer);
    if (m->residency == MODEL_LOADING) {
        is_loaded(m);
    } else if (sim_is_idle(m)) {
        m->node->stats.expiries++;
        unload(m);
        schedule(m->node);
    }
}

bool sim_model_suits(const struct sim_run *r)
{
    const struct sim_model *m = r->model;
    return m->residency == MODEL_LOADED && m->context == r->context && m->manner == r->manner;
}

static nsec load_time(const struct sim_model *m)
{
    const struct simnode *n = m->node;
    if (n->load_rate == 0)
        return 0;
    return (nsec)((double)m->size / (double)n->load_rate * 1e9 * MAX(n->fault.slow_load, 1.0));
}

static void begin_load(struct sim_run *r)
{
    struct sim_model *m = r->model;
    struct simnode *n = m->node;
    r->stage = RUN_LOADING;
    m->residency = MODEL_LOADING;
    m->context = r->context;
    m->manner = r->manner;
    m->keep_alive = KEEP_ALIVE_USUAL;
    n->vram_used += sim_model_vram(m);
    if (load_time(m) > 0)
        loop_timer_set(n->loop, &m->timer, loop_now(n->loop) + load_time(m));
    else
        is_loaded(m);
}

/* Whom Ollama would send away: the idle one with the shortest keep_alive, else the busy one with the shortest. */
static struct sim_model *victim(struct simnode *n, const struct sim_model *but)
{
    struct sim_model *found = NULL;
    list_each (l, &n->models) {
        struct sim_model *m = CONTAINER(l, struct sim_model, link);
        if (m->residency != MODEL_LOADED || m == but)
            continue;
        bool better = !found || sim_is_idle(m) > sim_is_idle(found) ||
                      (sim_is_idle(m) == sim_is_idle(found) && m->keep_alive < found->keep_alive);
        found = better ? m : found;
    }
    return found;
}

static bool fits(const struct simnode *n, const struct sim_model *m)
{
    return n->vram_used + sim_model_vram(m) <= n->vram && n->stats.loaded < LOADED_MAX;
}

/* False: somebody has to finish first. */
static bool make_room(struct simnode *n, struct sim_model *wanted)
{
    while (!fits(n, wanted)) {
        struct sim_model *m = victim(n, wanted);
        if (!m)
            return n->vram_used == 0;
        if (!sim_is_idle(m)) {
            m->leaving = true;
            return false;
        }
        n->stats.evictions++;
        unload(m);
    }
    return true;
}

static void take_from_pending(struct sim_run *r)
{
    struct simnode *n = r->model->node;
    list_del(&r->link);
    n->n_pending--;
    n->stats.queued--;
}

/* The first in line: true if it has got what it wants, and the next may come. */
static bool serve_first(struct simnode *n, struct sim_run *r)
{
    struct sim_model *m = r->model;
    if (m->residency == MODEL_LOADING)
        return false;
    if (sim_model_suits(r)) {
        take_from_pending(r);
        sim_run_loaded(r);
        return true;
    }
    if (m->residency == MODEL_LOADED && !sim_is_idle(m)) {
        m->leaving = true;
        return false;
    }
    unload(m);
    if (!make_room(n, m))
        return false;
    begin_load(r);
    return m->residency == MODEL_LOADED;
}

/* Called whenever something may have become possible, also from within itself. */
static void schedule(struct simnode *n)
{
    if (n->scheduling)
        return;
    n->scheduling = true;
    while (!list_empty(&n->pending) && serve_first(n, CONTAINER(list_first(&n->pending), struct sim_run, link)))
        ;
    n->scheduling = false;
}

enum fail sim_model_want(struct sim_run *r)
{
    struct sim_model *m = r->model;
    struct simnode *n = m->node;
    bool at_once = sim_model_suits(r);
    if (!at_once && n->n_pending >= PENDING_MAX)
        return FAIL_queue_full;
    m->users++;
    m->count.requests++;
    if (at_once) {
        sim_run_loaded(r);
        return OK;
    }
    r->stage = RUN_PENDING;
    list_push(&n->pending, &r->link);
    n->n_pending++;
    n->stats.queued++;
    schedule(n);
    return OK;
}

void sim_model_pin(struct sim_model *m)
{
    m->residency = MODEL_LOADED;
    m->keep_alive = m->expires = NEVER;
    m->context = m->can & CAN_EMBED ? 2048 : 8192;
    m->node->vram_used += sim_model_vram(m);
    m->node->stats.loaded++;
}

void sim_model_keep(struct sim_model *m, nsec keep_alive)
{
    m->keep_alive = keep_alive;
    go_idle(m);
}

/* ---- slots, and the prefix cache --------------------------------------------------------------------------------- */

static size_t common_prefix(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n), i = 0;
    while (i + 64 <= n && memcmp(a.p + i, b.p + i, 64) == 0)
        i += 64;
    while (i < n && a.p[i] == b.p[i])
        i++;
    return i;
}

/* The free slot that remembers most of this prompt; any, when prompts cost nothing. */
static struct sim_slot *best_slot(struct sim_model *m, struct str prompt, size_t *out_common)
{
    struct sim_slot *best = CONTAINER(list_first(&m->free_slots), struct sim_slot, free);
    *out_common = 0;
    if (m->node->prefill <= 0)
        return best;
    list_each (l, &m->free_slots) {
        struct sim_slot *s = CONTAINER(l, struct sim_slot, free);
        size_t common = common_prefix(prompt, buf_str(&s->prompt));
        if (common > *out_common) {
            *out_common = common;
            best = s;
        }
    }
    return best;
}

static void remember_prompt(struct sim_slot *s, struct str prompt)
{
    s->prompt.start = s->prompt.end = 0;
    (void)buf_append(&s->prompt, str_take(prompt, PROMPT_KEPT)); /* without memory it remembers nothing */
}

static void enter_slot(struct sim_run *r)
{
    struct sim_model *m = r->model;
    struct simnode *n = m->node;
    size_t common;
    r->slot = best_slot(m, r->prompt, &common);
    list_del(&r->slot->free);
    m->active++;
    n->stats.active++;
    r->reused_tokens = (uint32_t)MIN(common / 4, r->prompt_tokens - MIN(r->prompt_tokens, 1u));
    if (n->prefill > 0)
        remember_prompt(r->slot, r->prompt);
    if (r->reused_tokens >= 8) {
        m->count.prefix_hits++;
        n->stats.prefix_hits++;
    }
    sim_run_slotted(r);
}

/* The loop is for answers that end at once: they come back here before enter_slot returns. */
static void give_slots(struct sim_model *m)
{
    if (m->giving)
        return;
    m->giving = true;
    m->users++;
    while (!list_empty(&m->waiting) && !list_empty(&m->free_slots)) {
        struct sim_run *r = CONTAINER(list_pop(&m->waiting), struct sim_run, link);
        m->node->stats.queued--;
        enter_slot(r);
    }
    m->giving = false;
    drop_user(m);
}

void sim_model_want_slot(struct sim_run *r)
{
    struct sim_model *m = r->model;
    if (list_empty(&m->waiting) && !list_empty(&m->free_slots)) {
        enter_slot(r);
        return;
    }
    r->stage = RUN_WAITING;
    list_push(&m->waiting, &r->link);
    m->node->stats.queued++;
}

static void leave_slot(struct sim_run *r)
{
    struct sim_model *m = r->model;
    list_push_front(&m->free_slots, &r->slot->free);
    r->slot = NULL;
    m->active--;
    m->node->stats.active--;
    give_slots(m);
}

static void abort_load(struct sim_run *r)
{
    take_from_pending(r);
    r->model->node->stats.load_aborts++;
    unload(r->model);
}

void sim_model_leave(struct sim_run *r)
{
    struct sim_model *m = r->model;
    struct simnode *n = m->node;
    if (r->stage == RUN_LOADING)
        abort_load(r);
    else if (r->stage == RUN_PENDING)
        take_from_pending(r);
    else if (r->stage == RUN_WAITING) {
        list_del(&r->link);
        n->stats.queued--;
    } else if (r->slot)
        leave_slot(r);
    r->stage = RUN_NONE;
    r->model = NULL;
    go_idle(m);
    drop_user(m);
    schedule(n);
}
