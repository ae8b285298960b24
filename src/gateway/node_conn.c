/* Connections to nodes, one pool per node and worker.
 *
 * No pool is shared between workers: a request that finds no idle connection on its own worker dials, which costs about
 * 60 us once, rather than ask another worker for one, which costs 8-18 us of CPU and a hop each time. How many idle
 * ones are kept follows the peak in use during the last ten seconds, so a worker with steady traffic dials rarely and
 * an idle fleet holds few descriptors. */
#include "gateway/gateway_private.h"

#define PEAK_SLOTS   10 /* seconds */
#define SPARE        2
#define FIRST_TOKENS 8
#define SILENCE      SECOND(10) /* of a stream whose node is down */

struct node_pool {
    uint64_t node_id;
    struct list idle, busy; /* newest first */
    unsigned n_idle, n_busy;
    unsigned peak[PEAK_SLOTS];
    unsigned peak_at;
};
static struct slab node_conns, pools;
static const struct conn_events events;

void node_conn_pools_init(void)
{
    slab_init(&node_conns, "node connection", sizeof(struct node_conn));
    slab_init(&pools, "node pool", sizeof(struct node_pool));
}

void node_conn_pools_done(void)
{
    slab_done(&node_conns);
    slab_done(&pools);
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

/* Place of the node's pool, or of the free slot where it would be; ids grow by one, so collisions come only after 1,024
 * nodes were added and removed; an empty pool of another node then gives up its place. */
static struct node_pool **pool_place(struct worker *w, uint64_t id)
{
    struct node_pool **free_place = NULL;

    for (unsigned i = 0; i < POOLS; i++) {
        struct node_pool **p = &w->pools[(id + i) % POOLS];
        if (!*p || (*p)->node_id == id)
            return p;
        if (!(*p)->n_idle && !(*p)->n_busy && !free_place)
            free_place = p;
    }
    return free_place;
}

static struct node_pool *pool_of(struct worker *w, uint64_t id)
{
    struct node_pool **place = pool_place(w, id), *p = place ? *place : NULL;

    if (!place || (p && p->node_id == id))
        return p;
    if (!p && !(p = slab_take0(&pools)))
        return NULL;
    *p = (struct node_pool){ .node_id = id };
    list_init(&p->idle);
    list_init(&p->busy);
    *place = p;
    return p;
}

static unsigned pool_peak(const struct node_pool *p)
{
    unsigned most = p->n_busy;

    for (unsigned i = 0; i < PEAK_SLOTS; i++)
        most = MAX(most, p->peak[i]);
    return most;
}

static void busy_begins(struct node_conn *nc, struct exchange *x)
{
    struct node_pool *p = nc->pool;

    nc->x = x;
    list_push_front(&p->busy, &nc->link);
    p->n_busy++;
    p->peak[p->peak_at] = MAX(p->peak[p->peak_at], p->n_busy);
}

static void busy_ends(struct node_conn *nc)
{
    nc->x = NULL;
    list_del(&nc->link);
    nc->pool->n_busy--;
}

static void idle_begins(struct node_conn *nc)
{
    struct worker *w = nc->worker;

    list_push_front(&nc->pool->idle, &nc->link);
    nc->pool->n_idle++;
    w->n_idle_conns++;
    nc->state = NODE_CONN_IDLE;
    nc->idle_since = worker_now(w);
}

static void idle_ends(struct node_conn *nc)
{
    list_del(&nc->link);
    nc->pool->n_idle--;
    nc->worker->n_idle_conns--;
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static void destroy(struct node_conn *nc)
{
    loop_timer_cancel(nc->worker->loop, &nc->timer);
    conn_close(&nc->conn, false);
    buf_free(&nc->in);
    nc->worker->n_node_conns--;
    slab_give(&node_conns, &nc);
}

void node_conn_drop(struct node_conn *nc)
{
    if (nc->state == NODE_CONN_IDLE)
        idle_ends(nc);
    else
        busy_ends(nc);
    destroy(nc);
}

static bool fits_reuse(const struct node_conn *nc)
{
    return nc->keep_alive && !conn_pending(&nc->conn) && !nc->conn.broken &&
           nc->pool->n_idle < pool_peak(nc->pool) + SPARE;
}

void node_conn_release(struct node_conn *nc)
{
    if (!fits_reuse(nc)) {
        node_conn_drop(nc);
        return;
    }
    nc->x = NULL;
    nc->paused = nc->resting = false;
    nc->small_reads = 0;
    node_conn_listen(nc);
    if (!nc->ended) { /* proven whole, but the wire has not said so yet */
        nc->state = NODE_CONN_TAIL;
        node_conn_deadline(nc, worker_now(nc->worker) + SECOND(2), FAIL_inter_chunk_timeout);
        return;
    }
    busy_ends(nc);
    idle_begins(nc);
}

/* The first tokens are in a hurry; those that follow may share a wake-up with other streams'. */
void node_conn_listen(struct node_conn *nc)
{
    conn_watch(&nc->conn, nc->small_reads < FIRST_TOKENS ? SOCK_READ : SOCK_READ | SOCK_LAZY);
}

/* ---- the clock --------------------------------------------------------------------------------------------------- */

/* Lazy: the timer stays where it is unless the deadline comes earlier; when it fires it looks. */
void node_conn_deadline(struct node_conn *nc, nsec due, enum fail late)
{
    nc->deadline = due;
    nc->late = late;
    if (!timer_pending(&nc->timer) || nc->timer.due > due)
        loop_timer_set(nc->worker->loop, &nc->timer, due);
}

/* While a node must wait for a slow reader it is not the node that is late. */
static void reader_is_late(struct node_conn *nc)
{
    size_t waiting = nc->x->sink->waiting(nc->x);
    bool reads = waiting < nc->paused_behind;

    nc->paused_behind = waiting;
    if (reads)
        attempt_wait(nc->x, nc->x->settings->inter_chunk_timeout, nc->late);
    else
        attempt_broken(nc->x, FAIL_slow_reader);
}

static void timed(struct timer *t)
{
    struct node_conn *nc = CONTAINER(t, struct node_conn, timer);
    nsec now = worker_now(nc->worker);

    if (nc->state == NODE_CONN_IDLE)
        return; /* node_conns_tidy closes the surplus */
    if (now < nc->deadline)
        loop_timer_set(nc->worker->loop, &nc->timer, nc->deadline);
    else if (nc->x && nc->paused && nc->late != FAIL_total_timeout)
        reader_is_late(nc);
    else if (nc->x)
        attempt_broken(nc->x, nc->late);
    else
        node_conn_drop(nc);
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static struct node_conn *reuse(struct node_pool *p, nsec now)
{
    struct list *l;

    while ((l = list_first(&p->idle))) {
        struct node_conn *nc = CONTAINER(l, struct node_conn, link);
        if (!nc->idle_until || now < nc->idle_since + nc->idle_until - MSEC(500))
            return nc;
        node_conn_drop(nc); /* the node said how long it keeps them (Keep-Alive: timeout) */
    }
    return NULL;
}

static struct node_conn *take_idle(struct node_conn *nc, struct exchange *x)
{
    idle_ends(nc);
    busy_begins(nc, x);
    nc->state = NODE_CONN_SENT;
    nc->reused = true;
    nc->got_byte = nc->ended = false;
    meter_add(nc->worker->meter, COUNT_node_reuses, 1);
    return nc;
}

enum fail worker_tls(struct worker *w, bool tls, struct tls_context **out)
{
    const char *why = NULL;

    *out = NULL;
    if (tls && !w->tls)
        w->tls = tls_client_new(w->gateway->ca_file, w->gateway->tls_insecure, &why);
    if (tls)
        *out = w->tls;
    return tls && !w->tls ? FAIL_tls_failed : OK;
}

static enum fail dial(struct node_conn *nc, const struct lease *to)
{
    struct worker *w = nc->worker;
    struct tls_context *tls;
    enum fail f = worker_tls(w, to->node->url.tls, &tls);

    if (!f)
        f = conn_dial(&nc->conn, w->loop, &to->addr, tls, to->node->url.host, &events);
    if (f)
        return f;
    conn_watch(&nc->conn, SOCK_READ);
    node_conn_deadline(nc, worker_now(w) + nc->x->settings->connect_timeout, FAIL_connect_timeout);
    meter_add(w->meter, COUNT_node_dials, 1);
    return OK;
}

static struct node_conn *take_new(struct node_pool *p, struct exchange *x, enum fail *why)
{
    struct node_conn *nc = slab_take0(&node_conns);

    if (!nc) {
        *why = FAIL_no_memory;
        return NULL;
    }
    nc->worker = x->worker;
    nc->pool = p;
    nc->timer.fire = timed;
    nc->state = NODE_CONN_DIALING;
    nc->worker->n_node_conns++;
    busy_begins(nc, x);
    *why = dial(nc, &x->ticket.lease);
    if (!*why)
        return nc;
    node_conn_drop(nc);
    return NULL;
}

struct node_conn *node_conn_take(struct exchange *x, bool fresh, enum fail *why)
{
    struct node_pool *p = pool_of(x->worker, x->ticket.lease.node->id);
    struct node_conn *nc = p && !fresh ? reuse(p, worker_now(x->worker)) : NULL;

    *why = p ? OK : FAIL_no_memory;
    if (nc)
        return take_idle(nc, x);
    return p ? take_new(p, x, why) : NULL;
}

/* ---- what the socket tells --------------------------------------------------------------------------------------- */

static void opened(struct conn *c, enum fail f)
{
    struct node_conn *nc = CONTAINER(c, struct node_conn, conn);

    if (f)
        attempt_broken(nc->x, f);
    else
        attempt_connected(nc->x);
}

static void readable(struct conn *c)
{
    struct node_conn *nc = CONTAINER(c, struct node_conn, conn);

    if (nc->state == NODE_CONN_IDLE) /* a FIN, or bytes nobody asked for: either way not to be used again */
        node_conn_drop(nc);
    else
        attempt_readable(nc);
}

static void hung_up(struct conn *c)
{
    struct node_conn *nc = CONTAINER(c, struct node_conn, conn);

    if (nc->paused) /* what it sent before is still to be read, when the client has caught up */
        conn_watch(c, 0);
    else
        readable(c);
}

static void drained(struct conn *c)
{
    struct node_conn *nc = CONTAINER(c, struct node_conn, conn);

    if (nc->x && nc->x->up.on_drained)
        nc->x->up.on_drained(nc->x);
}

static const struct conn_events events = {
    .opened = opened, .readable = readable, .drained = drained, .hung_up = hung_up
};

/* ---- keeping house ----------------------------------------------------------------------------------------------- */

static void close_surplus(struct node_pool *p, unsigned keep)
{
    while (p->n_idle > keep)
        node_conn_drop(CONTAINER(list_last(&p->idle), struct node_conn, link));
}

static void close_tails(struct node_pool *p)
{
    list_each_safe (l, &p->busy) {
        struct node_conn *nc = CONTAINER(l, struct node_conn, link);
        if (nc->state == NODE_CONN_TAIL)
            node_conn_drop(nc);
    }
}

void node_conns_close_idle(struct worker *w)
{
    for (unsigned i = 0; i < POOLS; i++) {
        if (!w->pools[i])
            continue;
        close_surplus(w->pools[i], 0);
        close_tails(w->pools[i]);
    }
}

/* Oldest last: connections nobody has wanted for long, to nodes that are gone perhaps. */
static void close_old(struct node_pool *p, nsec before)
{
    struct list *l;

    while ((l = list_last(&p->idle)) && CONTAINER(l, struct node_conn, link)->idle_since < before)
        node_conn_drop(CONTAINER(l, struct node_conn, link));
}

/* They find out whether it is, and end soon by themselves; the fleet's loads and unloads do not. */
static bool is_probe(const struct exchange *x)
{
    return x->owner_kind == OWNER_FLEET && x->in.method == M_GET;
}

/* Down: who has no answer yet asks elsewhere at once; a stream that stays silent for SILENCE is ended (scheduling 5).
 */
static void mind_down(struct node_conn *nc, bool down)
{
    nsec now = worker_now(nc->worker);

    if (!nc->x || is_probe(nc->x) || nc->paused)
        return;
    if (down && nc->x->stage == STAGE_ATTEMPT)
        attempt_broken(nc->x, FAIL_node_down);
    else if (down)
        node_conn_deadline(nc, MIN(nc->deadline, now + SILENCE), FAIL_node_down);
    else if (nc->late == FAIL_node_down)
        node_conn_deadline(nc, now + nc->x->settings->inter_chunk_timeout, FAIL_inter_chunk_timeout);
}

static const struct node *leased(const struct node_pool *p)
{
    list_each (l, &p->busy) {
        const struct exchange *x = CONTAINER(l, struct node_conn, link)->x;
        if (x && !is_probe(x) && x->ticket.lease.node)
            return x->ticket.lease.node;
    }
    return NULL;
}

static void mind_node(struct worker *w, struct node_pool *p)
{
    const struct node *n = leased(p);
    bool down = n && fleet_is_down(w->gateway->fleet, n);

    list_each_safe (l, &p->busy)
        mind_down(CONTAINER(l, struct node_conn, link), down);
}

void node_conns_tidy(struct worker *w)
{
    nsec before = worker_now(w) - worker_settings(w)->node_idle_timeout;

    for (unsigned i = 0; i < POOLS; i++) {
        struct node_pool *p = w->pools[i];
        if (!p)
            continue;
        p->peak_at = (p->peak_at + 1) % PEAK_SLOTS;
        p->peak[p->peak_at] = p->n_busy;
        mind_node(w, p);
        close_surplus(p, pool_peak(p) + SPARE);
        close_old(p, before);
    }
}

/* At the worker's end; all connections must be closed. */
void node_pools_free(struct worker *w)
{
    for (unsigned i = 0; i < POOLS; i++)
        slab_give(&pools, &w->pools[i]);
}
