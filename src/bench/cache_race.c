/* What each thread will ask for is drawn before the clock runs. A get delivers the body's bytes, copied once; a set
 * makes a body, copies the bytes in and puts it in its place: ours by the road every answer takes (a flight, its tape,
 * its end), which is two turns at the shard's lock. Both sides keep everything, so that what is compared is threads and
 * not hit ratios. */
#include "bench/cache_race.h"

#include "base/sys.h"
#include "bench/key_trace.h"
#include "bench/locked_lru.h"
#include "cache/cache.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define CAPACITY   MIB(256)
#define BODY_BYTES 4000 /* with what belongs to a block, 4 KiB */
#define SET_EACH   20
#define SET_BIT    (1u << 31)

struct cache_race {
    struct cache *ours;
    struct lru *lru;
    uint32_t keys;
    size_t operations;
    struct key_trace plan[CACHE_RACE_THREADS_MOST]; /* SET_BIT: a set */
};
struct runner {
    struct cache_race *race;
    const struct key_trace *plan;
    const struct contestant *who;
    pthread_barrier_t *start;
    pthread_t thread;
    unsigned no;
    uint64_t seen; /* bytes */
};

static struct cache_key key_of(uint32_t key)
{
    struct cache_key k;
    key_trace_hash(key, k.bytes);
    return k;
}

/* ---- the two ----------------------------------------------------------------------------------------------------- */

static void nobody_waits(struct tape_writer *w) {}

static size_t read_tape(struct tape *t, char *out)
{
    struct tape_reader reader = { 0 };
    bool last;
    if (!tape_join(t, &reader, NULL)) {
        tape_unref(&t);
        return 0;
    }
    tape_head(&reader);
    struct str body = tape_look(&reader, &last);
    memcpy(out, body.p, MIN(body.n, BODY_BYTES));
    tape_leave(&reader);
    return body.n;
}

static size_t get_ours(struct cache_race *r, const struct cache_key *key, char *out)
{
    struct cache_ask ask = { .key = *key, .max_age = NEVER, .join = true };
    struct cache_look l;
    if (cache_look(r->ours, &ask, &l) == CACHE_HIT)
        return read_tape(l.tape, out);
    tape_unref(&l.tape);
    return 0;
}

static void set_ours(struct cache_race *r, const struct cache_key *key, struct str body)
{
    static struct tape_writer writer = { nobody_waits };
    struct cache_keep keep = { .ttl = SECOND(1000000) };
    struct cache_ask ask = { .key = *key, .max_age = -1, .join = true };
    struct cache_look l = { 0 };
    ask.lead = tape_new(&writer, cache_item_cap(r->ours), true);
    if (!ask.lead)
        return;
    cache_look(r->ours, &ask, &l);
    bool good = tape_begin(ask.lead, STR("h")) == OK && tape_append(ask.lead, body) == OK;
    tape_end(ask.lead, good ? OK : FAIL_no_memory, false);
    if (l.found == CACHE_LEAD)
        cache_end(r->ours, key, l.flight, &keep, 0);
    tape_unref(&l.tape);
    tape_unref(&ask.lead);
}

static size_t get_lru(struct cache_race *r, const struct cache_key *key, char *out)
{
    return lru_copy(r->lru, key->bytes, out, BODY_BYTES);
}

static size_t get_lru_counted(struct cache_race *r, const struct cache_key *key, char *out)
{
    struct lru_body *body = lru_get(r->lru, key->bytes);
    size_t n = body ? MIN(body->n, BODY_BYTES) : 0;
    if (body)
        memcpy(out, body->bytes, n);
    lru_unref(&body);
    return n;
}

static void set_lru(struct cache_race *r, const struct cache_key *key, struct str body)
{
    lru_set(r->lru, key->bytes, body.p, body.n);
}

static const struct contestant {
    size_t (*get)(struct cache_race *r, const struct cache_key *key, char *out);
    void (*set)(struct cache_race *r, const struct cache_key *key, struct str body);
} contestants[RACERS] = {
    [RACE_OURS] = {get_ours,         set_ours},
    [RACE_LRU] = { get_lru,         set_lru },
    [RACE_LRU_COUNTED] = { get_lru_counted, set_lru },
};

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void go(struct runner *me)
{
    static const char body[BODY_BYTES] = "body";
    char out[BODY_BYTES];
    for (size_t i = 0; i < me->plan->n; i++) {
        struct cache_key key = key_of(me->plan->key[i] & ~SET_BIT);
        if (me->plan->key[i] & SET_BIT)
            me->who->set(me->race, &key, (struct str){ body, sizeof body });
        else
            me->seen += me->who->get(me->race, &key, out);
    }
}

static void *run_thread(void *arg)
{
    struct runner *me = arg;
    sys_set_worker_no(me->no);
    pthread_barrier_wait(me->start);
    go(me);
    return NULL;
}

/* This thread is the last of them; all wait for each other at the start. */
double cache_race_run(struct cache_race *r, enum cache_racer who, unsigned threads)
{
    struct runner runners[CACHE_RACE_THREADS_MOST];
    pthread_barrier_t start;
    assume(threads >= 1 && threads <= CACHE_RACE_THREADS_MOST);
    pthread_barrier_init(&start, NULL, threads);
    nsec from = sys_now();
    for (unsigned i = 0; i < threads; i++) {
        runners[i] = (struct runner){ r, &r->plan[i], &contestants[who], &start, 0, i, 0 };
        int failed = i + 1 < threads ? pthread_create(&runners[i].thread, NULL, run_thread, &runners[i]) : 0;
        assume(!failed && "a thread for the bench");
    }
    unsigned was = sys_worker_no();
    run_thread(&runners[threads - 1]);
    sys_set_worker_no(was);
    for (unsigned i = 0; i + 1 < threads; i++)
        pthread_join(runners[i].thread, NULL);
    nsec took = sys_now() - from;
    pthread_barrier_destroy(&start);
    return (double)(threads * r->operations) * 1e9 / (double)MAX(took, 1);
}

static nsec thread_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return SECOND(t.tv_sec) + t.tv_nsec;
}

double cache_race_hit_ns(struct cache_race *r, enum cache_racer who)
{
    char out[BODY_BYTES];
    uint64_t seen = 0;
    nsec from = thread_cpu();
    for (size_t i = 0; i < r->operations; i++) {
        struct cache_key key = key_of(r->plan[0].key[i] & ~SET_BIT);
        seen += contestants[who].get(r, &key, out);
    }
    nsec took = thread_cpu() - from;
    return seen ? (double)took / (double)r->operations : NAN;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static enum fail draw_plans(struct cache_race *r)
{
    enum fail f = OK;
    for (unsigned i = 0; i < CACHE_RACE_THREADS_MOST && !f; i++) {
        struct key_law law = { .population = r->keys, .exponent = 1, .seed = i + 1 };
        f = key_trace_zipf(&r->plan[i], r->operations, &law);
        for (size_t k = 0; k < r->plan[i].n; k++)
            if (key_trace_mix(k * CACHE_RACE_THREADS_MOST + i) % SET_EACH == 0)
                r->plan[i].key[k] |= SET_BIT;
    }
    return f;
}

static void fill(struct cache_race *r)
{
    static const char body[BODY_BYTES] = "body";
    for (uint32_t k = 0; k < r->keys; k++) {
        struct cache_key key = key_of(k);
        for (unsigned who = 0; who <= RACE_LRU; who++)
            contestants[who].set(r, &key, (struct str){ body, sizeof body });
    }
}

struct cache_race *cache_race_new(uint32_t keys, size_t operations)
{
    struct cache_plan plan = { .bytes = CAPACITY, .seed = 1, .admission = true };
    struct cache_race *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->keys = keys;
    r->operations = operations;
    r->ours = cache_new(&plan);
    r->lru = lru_new(CAPACITY, BODY_BYTES);
    if (!r->ours || !r->lru || draw_plans(r))
        cache_race_free(&r);
    else
        fill(r);
    return r;
}

void cache_race_free(struct cache_race **at)
{
    struct cache_race *r = *at;
    *at = NULL;
    if (!r)
        return;
    cache_free(&r->ours);
    lru_free(&r->lru);
    for (unsigned i = 0; i < CACHE_RACE_THREADS_MOST; i++)
        key_trace_free(&r->plan[i]);
    free(r);
}
