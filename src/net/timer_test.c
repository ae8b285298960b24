/* net/timer_test.c - the heap against a plain list, and timers that set and cancel each other while they fire. */
#include "net/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 500

struct alarm {
    struct timer timer;
    unsigned fired;
    nsec wanted; /* when the model says; NEVER: not pending */
};
static struct alarm alarms[MANY];
static struct timers heap;
static nsec clock_now, last_due;
static unsigned fired;

static void on_alarm(struct timer *t)
{
    struct alarm *a = CONTAINER(t, struct alarm, timer);
    assert_false(timer_pending(t));
    assert_true(t->due >= last_due);
    assert_true(a->wanted <= clock_now);
    last_due = t->due;
    a->wanted = NEVER;
    a->fired++;
    fired++;
}

static void set(struct alarm *a, nsec due)
{
    a->timer.fire = on_alarm;
    a->wanted = due;
    timers_set(&heap, &a->timer, due);
}

static void run(nsec now)
{
    clock_now = now;
    last_due = INT64_MIN;
    timers_run(&heap, now);
}

static int fresh(void **state)
{
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        alarms[i] = (struct alarm){ .wanted = NEVER };
    fired = 0;
    return 0;
}
static int emptied(void **state)
{
    (void)state;
    timers_free(&heap);
    assert_null(heap.heap);
    return 0;
}

static void an_empty_heap_is_never_due(void **state)
{
    (void)state;
    assert_int_equal(timers_next(&heap), NEVER);
    run(SECOND(1));
    assert_int_equal(fired, 0);
}

static void a_timer_fires_once_and_not_early(void **state)
{
    (void)state;
    set(&alarms[0], 100);
    assert_int_equal(timers_next(&heap), 100);
    run(99);
    assert_int_equal(fired, 0);
    assert_true(timer_pending(&alarms[0].timer));
    run(100);
    assert_int_equal(fired, 1);
    run(200);
    assert_int_equal(fired, 1);
}

static void setting_again_moves(void **state)
{
    (void)state;
    set(&alarms[0], 100);
    set(&alarms[1], 150);
    set(&alarms[0], 300);
    assert_int_equal(timers_next(&heap), 150);
    set(&alarms[0], 50);
    assert_int_equal(timers_next(&heap), 50);
    run(50);
    assert_int_equal(alarms[0].fired, 1);
    assert_int_equal(alarms[1].fired, 0);
}

static void a_cancelled_timer_is_silent(void **state)
{
    (void)state;
    set(&alarms[0], 10);
    set(&alarms[1], 20);
    timers_cancel(&heap, &alarms[0].timer);
    timers_cancel(&heap, &alarms[0].timer);
    run(100);
    assert_int_equal(alarms[0].fired, 0);
    assert_int_equal(alarms[1].fired, 1);
}

static nsec model_next(void)
{
    nsec next = NEVER;
    for (size_t i = 0; i < MANY; i++)
        next = MIN(next, alarms[i].wanted);
    return next;
}

static void random_sets_moves_and_cancels_agree_with_a_list(void **state)
{
    (void)state;
    srand(7);
    nsec now = 0;
    for (int step = 0; step < 60000; step++) {
        struct alarm *a = &alarms[rand() % MANY];
        if (rand() % 4) {
            set(a, now + rand() % 1000);
        } else {
            timers_cancel(&heap, &a->timer);
            a->wanted = NEVER;
        }
        if (rand() % 16 == 0)
            run(now += rand() % 100);
        assert_int_equal(timers_next(&heap), model_next());
    }
    run(now + 1000);
    assert_int_equal(timers_next(&heap), NEVER);
}

static void again(struct timer *t)
{
    fired++;
    timers_set(&heap, t, clock_now - 5);
}
static void set_while_firing_waits_for_the_next_round(void **state)
{
    (void)state;
    struct timer t = { .fire = again };
    timers_set(&heap, &t, 10);
    run(10);
    assert_int_equal(fired, 1);
    assert_true(timer_pending(&t));
    assert_int_equal(timers_next(&heap), 11);
    run(11);
    assert_int_equal(fired, 2);
    timers_cancel(&heap, &t);
}

static struct timer victim;
static void never_fires(struct timer *t)
{
    (void)t;
    fail();
}
static void cancels_victim(struct timer *t)
{
    (void)t;
    timers_cancel(&heap, &victim);
}
static void cancelled_while_firing_stays_silent(void **state)
{
    (void)state;
    struct timer killer = { .fire = cancels_victim };
    victim = (struct timer){ .fire = never_fires };
    timers_set(&heap, &victim, 11);
    timers_set(&heap, &killer, 10);
    run(20);
    assert_false(timer_pending(&victim));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, emptied)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_heap_is_never_due),
        TEST(a_timer_fires_once_and_not_early),
        TEST(setting_again_moves),
        TEST(a_cancelled_timer_is_silent),
        TEST(random_sets_moves_and_cancels_agree_with_a_list),
        TEST(set_while_firing_waits_for_the_next_round),
        TEST(cancelled_while_firing_stays_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
