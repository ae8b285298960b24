/* Nothing is handed out early, and nothing more than a tick late. */
#include "cache/wheel.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void it_hands_out_what_is_due_and_no_more(void **state)
{
    struct wheel w;
    struct wheel_item a = { .due = 0 }, b = { .due = 0 };
    wheel_init(&w);
    wheel_put(&w, &a, SECOND(105), SECOND(100));
    wheel_put(&w, &b, SECOND(110), SECOND(100));
    assert_null(wheel_next(&w, SECOND(104)));
    assert_ptr_equal(wheel_next(&w, SECOND(107)), &a);
    assert_null(wheel_next(&w, SECOND(107)));
    assert_ptr_equal(wheel_next(&w, SECOND(111)), &b);
    assert_null(wheel_next(&w, SECOND(1000)));
}

static void what_is_taken_does_not_come(void **state)
{
    struct wheel w;
    struct wheel_item a;
    wheel_init(&w);
    wheel_put(&w, &a, SECOND(5), SECOND(1));
    wheel_take(&w, &a);
    assert_null(wheel_next(&w, SECOND(50)));
}

static void what_was_due_before_it_was_put_comes_at_the_next_tick(void **state)
{
    struct wheel w;
    struct wheel_item a, b;
    wheel_init(&w);
    wheel_put(&w, &a, SECOND(900), SECOND(100));
    wheel_put(&w, &b, SECOND(50), SECOND(100));
    assert_ptr_equal(wheel_next(&w, SECOND(101)), &b);
}

/* Moments up to several turns away, asked for at uneven steps. */
static void none_early_and_none_late(void **state)
{
    enum { N = 500 };
    static struct wheel_item items[N];
    struct wheel w;
    struct wheel_item *due;
    unsigned got = 0;
    nsec before = SECOND(1000);
    wheel_init(&w);
    for (unsigned i = 0; i < N; i++)
        wheel_put(&w, &items[i], SECOND(1000) + MSEC(2711) * i, SECOND(1000));
    for (nsec now = SECOND(1000); now < SECOND(2400); before = now, now += MSEC(300) + now % MSEC(700))
        while ((due = wheel_next(&w, now)) != NULL) {
            assert_true(due->due <= now);
            assert_true(due->due >= before - WHEEL_TICK);
            got++;
        }
    assert_int_equal(got, N);
    assert_int_equal(w.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_hands_out_what_is_due_and_no_more),
        cmocka_unit_test(what_is_taken_does_not_come),
        cmocka_unit_test(what_was_due_before_it_was_put_comes_at_the_next_tick),
        cmocka_unit_test(none_early_and_none_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
