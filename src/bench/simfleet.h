/* bench/simfleet.h - simulated nodes and a gateway before them, processes of their own, on free ports of 127.0.0.1.
 *
 * Nodes may be killed, stopped and started again while it serves. Nothing is pinned to cores: nodes only wait. */
#pragma once
#include "base/arena.h"
#include "bench/child.h"
#include "bench/load.h"

#define SIMFLEET_NODES 8
#define SIMFLEET_MODEL "llama3.2"
struct simfleet {
    const char *program; /* our own: serve, simnode */
    char directory[64];
    unsigned slots; /* of each node, told to the gateway */
    double decode;  /* tokens per second, of a node of speed 1; prompts take no time */
    double speed[SIMFLEET_NODES];
    const char *policy;
    struct simfleet_node {
        uint16_t port;
        struct child child;
    } node[SIMFLEET_NODES];
    uint16_t port;
    struct child front;
    struct arena arena;
};
/* Starts all with the model loaded everywhere, and waits until the gateway knows it. The caller has set program, slots,
 * decode, speed and policy. FAIL_total_timeout: something does not start. */
enum fail simfleet_open(struct simfleet *s);
/* Kills whatever is left of it, waits, starts it on the same port, with the model loaded. */
enum fail simfleet_restart(struct simfleet *s, unsigned node);
/* Faults as `POST /sim/faults` takes them. */
enum fail simfleet_fault(struct simfleet *s, unsigned node, const char *json);
/* Also after a failed simfleet_open. */
void simfleet_close(struct simfleet *s);
/* The sum of a metric of the gateway, over the rows whose labels contain `labels`. */
double simfleet_metric(const struct simfleet *s, const char *name, const char *labels);

/* A load on the gateway, in a process of its own, so that this one can do something to the nodes meanwhile. */
struct simfleet_load {
    struct child child;
    struct load_sum {
        enum fail failed;
        bool over;
        uint64_t done, wrong;
        double first_p50, first_p99, whole_p50, whole_p99, whole_max; /* milliseconds */
    } * sum;                                                          /* shared */
};
/* The plan's port is filled in. */
enum fail simfleet_load_start(struct simfleet *s, struct simfleet_load *l, const struct load_plan *p);
/* Waits for its end. */
struct load_sum simfleet_load_end(struct simfleet_load *l);
