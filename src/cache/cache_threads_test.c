/* Four threads do everything at once. Whoever gets a tape reads in it the key he asked for; a key has one leader at a
 * time; and at the end all memory is back. TSan sees the rest. */
#include "cache/cache_fixture.h"

#include <pthread.h>

#define THREADS 4
#define KEYS    200
#define ROUNDS  8000

static struct cache *shared;
static _Atomic int leaders[KEYS];
static _Atomic nsec clock_now = SECOND(100);

/* In threads cmocka's assertions may not jump, so bugs are assumed away. */
static void fly(uint64_t key, struct tape *t, uint64_t flight, nsec now)
{
    struct cache_key k = key_no(key);
    struct cache_keep keep = { .ttl = MSEC(50), .stale = MSEC(50), .stale_if_error = SECOND(1), .saved_s = 1 };
    char body[600] = "";
    keep.tags[0] = cache_tag_node(key % 2);
    memcpy(body, &key, sizeof key);
    assume(atomic_fetch_add(&leaders[key], 1) == 0);
    bool written = tape_begin(t, STR("head")) == OK && tape_append(t, (struct str){ body, sizeof body }) == OK;
    tape_end(t, written ? OK : FAIL_no_memory, false);
    atomic_fetch_sub(&leaders[key], 1);
    cache_end(shared, &k, flight, &keep, now);
}

static void read_back(uint64_t key, struct tape *t)
{
    struct tape_reader r = { 0 };
    uint64_t got;
    bool last;
    if (!tape_is_whole(t) || !tape_join(t, &r, NULL)) {
        tape_unref(&t);
        return;
    }
    assume(tape_head(&r).n == 4);
    struct str body = tape_look(&r, &last);
    assume(last && body.n == 600);
    memcpy(&got, body.p, sizeof got);
    assume(got == key);
    tape_leave(&r);
}

static void ask(uint64_t key)
{
    static struct tape_writer writer = { nobody_wakes };
    struct cache_ask a = ask_for(key, atomic_load(&clock_now));
    struct cache_look l;
    enum cache_found first = cache_look(shared, &a, &l);
    if (first == CACHE_MISS || l.refresh) {
        tape_unref(&l.tape);
        a.was = first;
        a.lead = tape_new(&writer, KIB(64), true);
        assume(a.lead);
        cache_look(shared, &a, &l);
        if (l.flight && l.found != CACHE_JOIN)
            fly(key, a.lead, l.flight, a.now);
        else
            tape_end(a.lead, FAIL_client_gone, false);
        tape_unref(&a.lead);
    }
    if (l.tape)
        read_back(key, l.tape);
}

static void disturb(uint64_t chance)
{
    struct cache_stats s;
    switch (chance % 5) {
    case 0: cache_resize(shared, KIB(256) + chance % KIB(256)); break;
    case 1: cache_forget(shared, cache_tag_node(chance % 3)); break;
    case 2: cache_sweep(shared, atomic_load(&clock_now)); break;
    case 3: cache_refuse_fills(shared, chance % 4 == 0); break;
    case 4: cache_stats(shared, &s); assume(s.bytes < MIB(1));
    }
}

static void *run(void *arg)
{
    uint64_t chance = (uint64_t)(uintptr_t)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        chance = chance * 6364136223846793005 + 1442695040888963407;
        uint64_t r = chance >> 33;
        atomic_fetch_add(&clock_now, USEC(5));
        ask(r % 4 ? r / 4 % KEYS : r / 4 % 4);
        if (r % 61 == 0)
            disturb(r / 61);
    }
    return NULL;
}

static void four_threads_at_once(void **state)
{
    struct cache_plan plan = { .bytes = KIB(512), .shards = 2, .seed = 1, .admission = true };
    pthread_t threads[THREADS];
    shared = cache_new(&plan);
    assert_non_null(shared);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct cache_stats s = stats_of(shared);
    assert_int_equal(s.flights, 0);
    assert_int_equal(s.all.requests, THREADS * ROUNDS);
    assert_true(s.all.hits > ROUNDS / 10 && s.filled > 100 && s.forgotten > 0);
    cache_free(&shared);
    assert_int_equal(tape_bytes_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(four_threads_at_once) };
    return cmocka_run_group_tests(tests, pools_begin, pools_end);
}
