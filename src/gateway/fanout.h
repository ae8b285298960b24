/* gateway/fanout.h - one request that several nodes carry out: what the files of a fan-out share.
 *
 * A fan-out is owned by nobody: it ends after its last child. Its parent, the client's exchange, waits in the local
 * stage and lends it the way to the client; when the client leaves, the route's row says whether the children are
 * cancelled (pull) or go on without it. So everything the children need lies in the fan-out, not in the parent. One
 * worker's; not shared. */
#pragma once
#include "gateway/gateway_private.h"

enum fate { FATE_OPEN, FATE_DONE, FATE_LACKS /* 404 */, FATE_FAILED };
struct child {
    struct fanout *of;
    struct exchange *x; /* NULL: not started, or over */
    uint64_t node_id;
    struct str name;
    struct str absent; /* "down", "draining": it has the model but cannot be asked, and is so named in the answer */
    bool streams;      /* answers record by record */
    enum fate fate;
    int status; /* of a node's error answer; 0: none */
    enum fail why;
    struct str error; /* a sentence */
    struct buf body;  /* of an answer that does not stream */
    uint64_t refresh; /* the fleet's number of it, once its tags are asked for again */
};
struct fanout {
    const struct fan *fan; /* the route's row */
    struct worker *worker;
    struct exchange *x; /* the parent; NULL once its client has left */
    struct arena arena;
    struct str key, pin;         /* of the model that decides who is asked; the node's name if only that one may be */
    struct str changes;          /* key of the model that is another afterwards */
    struct json files, adapters; /* create */
    struct str method, path, forward, request_id, traceparent, via; /* of the requests to the nodes */
    struct buf body;
    struct progress *progress; /* joint progress; NULL on routes that just answer */
    bool streams;              /* the client wants it as a stream */
    bool ending;               /* the workers are being closed: nothing new begins */
    unsigned n, running;
    struct child *child;
    nsec settled_by; /* tags are waited for until then; 0: not yet */
};

/* fanout_targets.c: who is asked. Fills f->child. FAIL_no_node, FAIL_no_holder_up, FAIL_node_unknown, FAIL_no_memory.
 */
enum fail targets_pull(struct fanout *f, const struct fleet_snapshot *s);
enum fail targets_create(struct fanout *f, const struct fleet_snapshot *s);
enum fail targets_copy(struct fanout *f, const struct fleet_snapshot *s);
enum fail targets_delete(struct fanout *f, const struct fleet_snapshot *s);
/* The node that gets blobs, and builds what has no other home: the one that got the last blob while it is up, else the
 * first that is up. NULL: none. `pin`: only the node of that name. */
const struct node_view *targets_build_node(struct gateway *g, const struct fleet_snapshot *s, struct str pin);

/* fanout_child.c: starts one; it may be over when this returns. */
void child_start(struct child *c);
/* fanout.c: what a child tells. */
void fanout_hears(struct child *c, struct str records); /* whole records of progress */
void fanout_child_over(struct child *c); /* fate, status, why and error are set; f may be gone afterwards */
