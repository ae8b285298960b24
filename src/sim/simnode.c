/* sim/simnode.c - a simulated node's beginning and end, and the words for its kinds. */
#include "sim/simnode.h"
#include "sim/sim.h"
#include <stdlib.h>

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static const struct str kinds[SIM_KINDS] = {
    [SIM_OLLAMA] = {"ollama",    6},
    [SIM_LLAMACPP] = { "llamacpp", 8},
    [SIM_VLLM] = { "vllm",     4},
    [SIM_OPENAI] = { "openai",   6},
};

bool sim_kind_of(struct str name, enum sim_kind *out)
{
    for (unsigned i = 0; i < SIM_KINDS; i++)
        if (str_eq_nocase(name, kinds[i])) {
            *out = (enum sim_kind)i;
            return true;
        }
    return false;
}

struct str sim_kind_name(enum sim_kind k)
{
    return kinds[k];
}

struct simnode_spec simnode_spec_usual(void)
{
    return (struct simnode_spec){ .name = STR("simulated"),
                                  .slots = 1,
                                  .load_rate = 2ull << 30,
                                  .prefill = 2000,
                                  .decode = 45,
                                  .vram = 24ull << 30,
                                  .seed = 1 };
}

uint64_t sim_random(struct simnode *n)
{
    return sim_mix(n->random++);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void simnode_pools_init(void)
{
    sim_client_pools_init();
}
void simnode_pools_done(void)
{
    sim_client_pools_done();
}

static void fill(struct simnode *n, struct loop *l, const struct simnode_spec *spec)
{
    struct str label = str_take(spec->name, sizeof n->label - 1);
    n->loop = l;
    n->kind = spec->kind;
    if (label.n)
        memcpy(n->label, label.p, label.n);
    n->slots = MAX(spec->slots, 1u);
    n->load_rate = spec->load_rate;
    n->prefill = spec->prefill;
    n->decode = spec->decode;
    n->vram = spec->vram;
    n->latency = spec->latency;
    n->random = spec->seed << 32;
    n->checks_host = spec->kind == SIM_OLLAMA && addr_is_loopback(&spec->listen);
    list_init(&n->models);
    list_init(&n->pending);
    list_init(&n->blobs);
    list_init(&n->clients);
    sim_fault_clear(n);
}

static enum fail add_models(struct simnode *n, const struct simnode_spec *spec)
{
    for (unsigned i = spec->n_models; i-- > 0;) { /* the first is to be the newest */
        struct name name;
        if (name_parse(spec->models[i].name, &name))
            return FAIL_bad_model_name;
        struct sim_model *m = map_get(&n->by_key, name_key(&name));
        if (!m)
            m = sim_model_add(n, &name, spec->models[i].size);
        if (!m)
            return FAIL_no_memory;
        if (spec->kind != SIM_OLLAMA && m->residency == MODEL_OUT)
            sim_model_pin(m);
    }
    return OK;
}

static void discard(struct simnode *n)
{
    list_each_safe (l, &n->models) {
        struct sim_model *m = CONTAINER(l, struct sim_model, link);
        sim_model_delete(&m);
    }
    list_each_safe (l, &n->blobs)
        free(CONTAINER(l, struct sim_blob, link));
    map_free(&n->by_key);
    cors_done(&n->cors);
    free(n);
}

enum fail simnode_open(struct loop *l, const struct simnode_spec *spec, struct simnode **out, struct addr *out_bound)
{
    struct simnode *n = calloc(1, sizeof *n);
    *out = NULL;
    if (!n)
        return FAIL_no_memory;
    fill(n, l, spec);
    enum fail f = cors_init(&n->cors, STR_NONE);
    if (!f)
        f = add_models(n, spec);
    if (!f)
        f = sim_listen(n, &spec->listen, &n->at);
    if (f) {
        discard(n);
        return f;
    }
    *out = n;
    *out_bound = n->at;
    return OK;
}

void simnode_close(struct simnode **at)
{
    struct simnode *n = *at;
    *at = NULL;
    if (!n)
        return;
    if (!n->dead)
        listener_close(&n->listener);
    loop_timer_cancel(n->loop, &n->life);
    sim_clients_close(n);
    discard(n);
}

void simnode_stats(const struct simnode *n, struct simnode_stats *out)
{
    *out = n->stats;
}
