/* Memory: looking, the steps while it is short, and giving back.
 *
 *     timer, 250 ms --> RSS / memory.limit --> steps (base/pressure.h) --> measures, a row each below
 *          '--> every 5 s: what has been idle --> on a lane: free, malloc_trim
 *
 * Own RSS counts, because that is what a control group counts and what the operator sees; the machine's own shortage
 * only when it is nearly out, since Ollama may share it and takes what it gets. Freeing the memory of 9,000 streams
 * takes malloc a tenth of a second, so it is done on a lane, where no client waits.
 *
 * A look each quarter of a second is not enough by itself: clients may promise more in one millisecond than there is.
 * So large bodies are booked when they are let in, and the sum must fit. What has arrived is counted twice until it is
 * complete, on the safe side. */
#include "gateway/memory.h"
#include "gateway/gateway_private.h"

#define LOOK_EVERY     MSEC(250)
#define GIVE_EVERY     SECOND(5)
#define GIVE_IN_NEED   SECOND(1)
#define WORTH_TRIMMING KIB(256) /* malloc keeps for itself what is less */
#define MACHINE_SHORT  0.05     /* of the machine's memory available */
#define MACHINE_GOOD   0.07

size_t memory_limit(const struct gateway *g)
{
    return atomic_load(&g->settings)->memory_limit;
}

size_t memory_bodies_most(const struct gateway_settings *s)
{
    return MIN(s->bodies_max, s->memory_limit / 8 * 7);
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

static void give_back(struct job *j)
{
    bool need = pressure_step(&CONTAINER(j, struct memory, job)->pressure) > PRESSURE_NONE;
    size_t given = slab_reap();

    if (need)
        slab_trim_all(0);
    if (need || given >= WORTH_TRIMMING)
        sys_memory_trim();
}

static void given_back(struct job *j)
{
    struct memory *m = CONTAINER(j, struct memory, job);

    m->job_runs = false;
    worker_job_ends(m->gateway->worker[0]);
}

static void give_back_if_due(struct memory *m, nsec now)
{
    struct worker *first = m->gateway->worker[0];

    if (m->job_runs || first->stopping || now - m->gave < (m->give_back.on ? GIVE_IN_NEED : GIVE_EVERY))
        return;
    m->gave = now;
    m->job_runs = true;
    worker_job_begins(first);
    loop_job(first->loop, LANE_HEAVY, &m->job);
}

/* ---- measures ---------------------------------------------------------------------------------------------------- */

static void take_give_back(struct pressure_measure *is, bool on)
{
    struct memory *m = CONTAINER(is, struct memory, give_back);

    m->gave = on ? 0 : m->gave;
}

static void take_cache_small(struct pressure_measure *is, bool on)
{
    struct memory *m = CONTAINER(is, struct memory, cache_small);

    atomic_store(&m->small_cache, on);
    lookup_resize(m->gateway);
}

static void take_cache_fixed(struct pressure_measure *is, bool on)
{
    cache_refuse_fills(CONTAINER(is, struct memory, cache_fixed)->gateway->cache, on);
}

static void take_bodies(struct pressure_measure *is, bool on)
{
    atomic_store(&CONTAINER(is, struct memory, bodies)->refuses_bodies, on);
}

static void take_queue(struct pressure_measure *is, bool on)
{
    fleet_shut_queue(CONTAINER(is, struct memory, queue)->gateway->fleet, on);
}

static void register_measures(struct memory *m)
{
    const struct {
        struct pressure_measure *measure;
        const char *name;
        enum pressure_step at;
        void (*take)(struct pressure_measure *is, bool on);
    } rows[] = {
        {&m->give_back,    "idle memory given back at once",           PRESSURE_FIRST,  take_give_back  },
        { &m->cache_small, "the cache at a quarter of its size",       PRESSURE_FIRST,  take_cache_small},
        { &m->cache_fixed, "nothing new in the cache",                 PRESSURE_SECOND, take_cache_fixed},
        { &m->bodies,      "request bodies over 1 MiB refused",        PRESSURE_SECOND, take_bodies     },
        { &m->queue,       "requests refused that would have to wait", PRESSURE_THIRD,  take_queue      },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rows[i].measure->name = rows[i].name;
        rows[i].measure->at = rows[i].at;
        rows[i].measure->take = rows[i].take;
        pressure_register(&m->pressure, rows[i].measure);
    }
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

bool memory_is_good(const struct gateway *g)
{
    return !atomic_load_explicit(&g->memory.refuses_bodies, memory_order_relaxed);
}

bool memory_takes_body(struct gateway *g, size_t n)
{
    struct memory *m = &g->memory;
    size_t most = memory_limit(g) / 100 * pressure_mark(PRESSURE_THIRD), rss = atomic_load(&m->rss);
    size_t room = most > rss ? most - rss : 0, due = atomic_load(&m->due);

    do
        if (!memory_is_good(g) || due + n > room)
            return false;
    while (!atomic_compare_exchange_weak(&m->due, &due, due + n));
    return true;
}

void memory_arrived(struct gateway *g, size_t n)
{
    atomic_fetch_sub(&g->memory.due, n);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static bool machine_is_short(struct memory *m)
{
    m->machine_is_short = sys_memory_available() < (m->machine_is_short ? MACHINE_GOOD : MACHINE_SHORT);
    return m->machine_is_short;
}

static void look(struct memory *m, nsec now)
{
    size_t limit = memory_limit(m->gateway), rss = sys_rss(), used = rss;

    atomic_store(&m->rss, rss);
    if (machine_is_short(m))
        used = MAX(used, limit / 100 * pressure_mark(PRESSURE_SECOND) + limit / 100);
    pressure_look(&m->pressure, used, limit);
    give_back_if_due(m, now);
}

static void is_due(struct timer *t)
{
    struct memory *m = CONTAINER(t, struct memory, timer);
    struct worker *first = m->gateway->worker[0];

    look(m, worker_now(first));
    loop_timer_set(first->loop, t, worker_now(first) + LOOK_EVERY);
}

void memory_open(struct gateway *g)
{
    struct memory *m = &g->memory;

    m->gateway = g;
    m->timer.fire = is_due;
    m->job = (struct job){ .work = give_back, .done = given_back };
    m->gave = worker_now(g->worker[0]);
    atomic_store(&m->rss, sys_rss());
    pressure_init(&m->pressure);
    register_measures(m);
    loop_timer_set(g->worker[0]->loop, &m->timer, worker_now(g->worker[0]) + LOOK_EVERY);
}

void memory_close(struct gateway *g)
{
    if (g->memory.gateway)
        loop_timer_cancel(g->worker[0]->loop, &g->memory.timer);
}
