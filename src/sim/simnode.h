/* sim/simnode.h - a simulated node: an HTTP server that speaks Ollama's API with stated speeds and computes nothing.
 *
 * For tests, `bench`, `demo` and people who want to try a fleet without one. What it says is labelled: every answer
 * carries X-OllamaMax-Simulated: 1, its models are of the family `simulated`, its texts begin with "[simulated]".
 *
 * Any number of nodes may share one loop (one thread); they run as well in the simulated world of the plays. A node is
 * used from its loop's thread only. Given the same requests at the same times it behaves the same way: texts follow
 * from the prompt alone, ids from `seed`, durations from the rates and the loop's clock. */
#pragma once
#include "net/loop.h"

enum sim_kind { SIM_OLLAMA, SIM_LLAMACPP, SIM_VLLM, SIM_OPENAI, SIM_KINDS };
/* "ollama", "llamacpp", "vllm", "openai". */
bool sim_kind_of(struct str name, enum sim_kind *out);
struct str sim_kind_name(enum sim_kind k);

struct simnode_model {
    struct str name;
    uint64_t size; /* bytes; 0: guessed from the name ("8b") */
};
/* Strings and models are copied by simnode_open. */
struct simnode_spec {
    struct addr listen;
    struct str name; /* for the log and /sim/stats */
    const struct simnode_model *models;
    unsigned n_models;
    enum sim_kind kind;
    unsigned
        slots; /* requests that one model answers at once (embedding models: 1); more wait, first come first served */
    uint64_t load_rate;     /* bytes/s, of loads and of pulls; 0 = at once, as with all the rates */
    double prefill, decode; /* tokens/s of one request */
    uint64_t vram;          /* bytes */
    nsec latency;           /* added before every answer */
    uint64_t seed;
};
/* No models, no address; the speeds of a mid-size graphics card (interface.md). */
struct simnode_spec simnode_spec_usual(void);
struct simnode;
/* Once per process, before the first node and after the last; conn_pools_init and the pools of base/ come before. */
void simnode_pools_init(void);
void simnode_pools_done(void);
/* Listens; accepts while the loop runs. FAIL_no_memory, FAIL_bad_model_name, or what listener_open says. */
enum fail simnode_open(struct loop *l, const struct simnode_spec *spec, struct simnode **out, struct addr *out_bound);
/* Resets what is running. Not from within a callback of the node's own. */
void simnode_close(struct simnode **n);

struct simnode_stats {
    uint64_t requests;                                                      /* answered or refused, probes included */
    uint64_t works;                                                         /* of them model work */
    uint64_t aborted;                                                       /* model work whose client left */
    uint64_t tokens;                                                        /* said */
    uint64_t loads, unloads, load_aborts, evictions, expiries, prefix_hits; /* unloads: for any reason */
    unsigned active, queued; /* model work: in a slot; waiting for a slot or a load */
    unsigned connections, loaded;
};
void simnode_stats(const struct simnode *n, struct simnode_stats *out);
