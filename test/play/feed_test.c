/* Bulletins on their way from worker 0 to readers on two workers, in made-up time: who is told what, how often, and
 * that each bulletin is given back. */
#include "gateway/feed.h"
#include "gateway/gateway_private.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEPT 8 /* as feed.c has it */

static struct gateway *gate;
static struct feed *feed;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    world_new(1);
    gate = calloc(1, sizeof *gate);
    gate->workers = 2;
    feed = gate->feed = feed_new(gate);
    for (unsigned i = 0; i < 2; i++) {
        struct worker *w = gate->worker[i] = calloc(1, sizeof *w);
        w->gateway = gate;
        w->no = i;
        w->loop = loop_new(i);
        feed_seat_init(&w->feed);
        world_attach(w->loop, NULL, NULL);
    }
    world_elapse(SECOND(1));
    return feed ? 0 : -1;
}

static int tear_down(void **state)
{
    feed_free(&gate->feed);
    assert_null(gate->feed);
    assert_int_equal(buf_bytes_live(), 0);
    for (unsigned i = 0; i < 2; i++) {
        loop_free(&gate->worker[i]->loop);
        free(gate->worker[i]);
    }
    free(gate);
    world_free();
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static struct bulletin *numbered(uint64_t number)
{
    struct bulletin *b = bulletin_new(number, world_now());
    assert_true(bulletin_add(b, FEED_METRICS, STR("m")));
    return b;
}

static void publish(void)
{
    feed_publish(feed, numbered(feed_next_number(feed)));
}

static void seconds(unsigned n)
{
    for (; n; n--) {
        publish();
        world_elapse(SECOND(1));
    }
}

/* ---- a reader that writes down what it is told ------------------------------------------------------------------- */

struct watcher {
    struct feed_reader reader;
    uint64_t number[40];
    unsigned n, leaves_after, overs;
};

static void told(struct feed_reader *r, const struct bulletin *b)
{
    struct watcher *w = CONTAINER(r, struct watcher, reader);
    assert_int_equal(sys_worker_no(), r->worker->no);
    w->number[w->n++] = bulletin_number(b);
    if (w->n == w->leaves_after)
        feed_leave(r);
}

static void over(struct feed_reader *r)
{
    CONTAINER(r, struct watcher, reader)->overs++;
    feed_leave(r);
}

/* The number of what it begins with; 0: nothing. */
static uint64_t join(struct watcher *w, unsigned worker)
{
    w->reader = (struct feed_reader){ .told = told, .over = over };
    struct bulletin *last = feed_join(gate->worker[worker], &w->reader);
    uint64_t number = last ? bulletin_number(last) : 0;
    bulletin_unref(&last);
    return number;
}

/* Exactly those from `first` to `last`, in order. */
static void was_told(const struct watcher *w, uint64_t first, uint64_t last)
{
    assert_int_equal(w->n, last + 1 - first);
    for (unsigned i = 0; i < w->n; i++)
        assert_int_equal(w->number[i], first + i);
}

/* ---- ---- */

static void each_is_told_once_in_order(void **state)
{
    struct watcher a = { 0 }, b = { 0 }, c = { 0 };
    assert_int_equal(join(&a, 0), 0);
    assert_int_equal(join(&b, 1), 0);
    assert_int_equal(join(&c, 1), 0);
    seconds(20);
    was_told(&a, 1, 20);
    was_told(&b, 1, 20);
    was_told(&c, 1, 20);
    feed_leave(&a.reader);
    feed_leave(&b.reader);
    feed_leave(&c.reader);
}

static void what_has_been_is_the_last_seconds(void **state)
{
    struct watcher early = { 0 }, late = { 0 }, later = { 0 };
    join(&early, 1);
    seconds(12);
    assert_int_equal(join(&late, 1), 12);
    assert_int_equal(join(&later, 0), 12);
    seconds(2);
    was_told(&late, 13, 14);
    was_told(&later, 13, 14);
    feed_leave(&early.reader);
    feed_leave(&late.reader);
    feed_leave(&later.reader);
}

/* The message that tells the worker of a second is still on its way when somebody joins. */
static void whoever_begins_with_a_second_is_not_told_it_again(void **state)
{
    struct watcher early = { 0 }, late = { 0 };
    join(&early, 1);
    publish();
    publish();
    assert_int_equal(join(&late, 1), 2);
    world_elapse(SECOND(1));
    was_told(&early, 1, 2);
    assert_int_equal(late.n, 0);
    seconds(1);
    was_told(&late, 3, 3);
    feed_leave(&early.reader);
    feed_leave(&late.reader);
}

static void a_worker_that_is_late_gets_the_last_eight(void **state)
{
    for (unsigned behind = KEPT - 1; behind <= KEPT + 1; behind++) {
        struct watcher w = { 0 };
        uint64_t before = feed_next_number(feed), last = before + behind - 1;
        join(&w, 1);
        for (unsigned i = 0; i < behind; i++)
            publish();
        world_elapse(SECOND(1));
        was_told(&w, MAX(before, last - KEPT + 1), last);
        feed_leave(&w.reader);
    }
}

static void who_holds_one_keeps_it(void **state)
{
    struct str piece[FEED_TOPICS];
    publish();
    struct watcher w = {
        .reader = {.told = told, .over = over}
    };
    struct bulletin *first = feed_join(gate->worker[1], &w.reader);
    feed_leave(&w.reader);
    assert_int_equal(bulletin_number(first), 1);
    for (unsigned i = 0; i < 3 * KEPT; i++)
        publish();
    assert_int_equal(bulletin_number(first), 1);
    assert_int_equal(bulletin_look(first, FORM_VALUES, FEED_ALL, piece), 1);
    assert_true(str_eq(piece[0], STR("m,")));
    bulletin_unref(&first);
}

static void memory_does_not_grow_with_time(void **state)
{
    for (unsigned i = 0; i < KEPT; i++)
        publish();
    size_t full = buf_bytes_live();
    for (unsigned i = 0; i < 5 * KEPT; i++)
        publish();
    assert_int_equal(buf_bytes_live(), full);
}

static void nobody_begins_with_what_is_old(void **state)
{
    struct watcher w = { 0 };
    assert_int_equal(join(&w, 0), 0);
    feed_leave(&w.reader);
    publish();
    world_elapse(SECOND(1) + MSEC(500));
    assert_int_equal(join(&w, 0), 1);
    feed_leave(&w.reader);
    world_elapse(SECOND(1));
    assert_int_equal(join(&w, 0), 0);
    seconds(1);
    was_told(&w, 2, 2);
    feed_leave(&w.reader);
}

static void nothing_is_made_while_nobody_looks(void **state)
{
    struct watcher w = { 0 };
    assert_false(feed_wanted(feed, world_now()));
    for (unsigned i = 0; i < 2; i++) {
        join(&w, i);
        assert_true(feed_wanted(feed, world_now()));
        feed_leave(&w.reader);
        assert_false(feed_wanted(feed, world_now()));
    }
    feed_will_ask_again(gate->worker[1]);
    nsec now = worker_now(gate->worker[1]);
    assert_true(feed_wanted(feed, now + SECOND(4)));
    assert_false(feed_wanted(feed, now + SECOND(6)));
}

static void a_reader_may_leave_while_it_is_told(void **state)
{
    struct watcher a = { .leaves_after = 1 }, b = { 0 }, c = { .leaves_after = 2 };
    a.reader = b.reader = c.reader = (struct feed_reader){ .told = told, .over = over };
    struct watcher *all[] = { &a, &b, &c };
    for (unsigned i = 0; i < 3; i++) {
        struct bulletin *none = feed_join(gate->worker[1], &all[i]->reader);
        assert_null(none);
    }
    seconds(4);
    was_told(&a, 1, 1);
    was_told(&b, 1, 4);
    was_told(&c, 1, 2);
    feed_leave(&b.reader);
    assert_false(feed_wanted(feed, world_now()));
}

static void the_end_is_told_once_to_the_workers_own(void **state)
{
    struct watcher here[3] = { 0 }, there = { 0 };
    for (unsigned i = 0; i < 3; i++)
        join(&here[i], 1);
    join(&there, 0);
    feed_end(gate->worker[1]);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(here[i].overs, 1);
    assert_int_equal(there.overs, 0);
    seconds(1);
    was_told(&there, 1, 1);
    assert_int_equal(here[0].n, 0);
    feed_leave(&there.reader);
}

static void without_memory_there_is_none(void **state)
{
    memory_fail_at(1);
    assert_null(feed_new(gate));
    memory_fail_at(0);
    struct feed *none = NULL;
    feed_free(&none);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_is_told_once_in_order),
        TEST(what_has_been_is_the_last_seconds),
        TEST(whoever_begins_with_a_second_is_not_told_it_again),
        TEST(a_worker_that_is_late_gets_the_last_eight),
        TEST(who_holds_one_keeps_it),
        TEST(memory_does_not_grow_with_time),
        TEST(nobody_begins_with_what_is_old),
        TEST(nothing_is_made_while_nobody_looks),
        TEST(a_reader_may_leave_while_it_is_told),
        TEST(the_end_is_told_once_to_the_workers_own),
        TEST(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
