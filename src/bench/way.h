/* bench/way.h - the ways from the load to the node: straight, and through each proxy that is measured.
 *
 * A proxy runs alone on its core, listens on a free port of 127.0.0.1 and knows one node. */
#pragma once
#include "bench/child.h"

enum way_id { WAY_DIRECT, WAY_OURS, WAY_HAPROXY, WAY_NGINX, WAYS };
const char *way_name(enum way_id id); /* "direct", "ollamamax", ... */

/* Where proxies find what they need. */
struct way_place {
    const char *directory; /* for configurations and what they say */
    const char *gateway;   /* our program */
    uint16_t node;         /* the port of the node */
    struct cores cores;
};
struct way {
    enum way_id id;
    char program[256]; /* its path; empty: not there, and not measured */
    char version[64];
    uint16_t port;
    struct child child;     /* none for the direct way */
    nsec answered;          /* from its start to its first answer */
    const char *setting[2]; /* more of its environment, "NAME=value"; NULL: none */
};
/* Finds the program. */
void way_find(struct way *w, enum way_id id, const struct way_place *p);
/* Starts it and waits until it answers, ours until it knows the node. FAIL_total_timeout: it did not within 5 s,
 * or ended; what it said lies in "<directory>/<name>.log". */
enum fail way_start(struct way *w, const struct way_place *p);
void way_stop(struct way *w);
/* A value of ours from /metrics, without labels; NAN when there is none. */
double way_metric(const struct way *w, const char *name);
