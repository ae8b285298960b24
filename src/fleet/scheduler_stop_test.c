/* fleet/scheduler_stop_test.c - leases whose client has left stay counted until the node has stopped. One node, one
 * slot.
 */
#include "fleet/scheduler_fixture.h"

static uint64_t one_served(void)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    return ask(0, 100, 1);
}

static bool drain(uint64_t ticket, double now)
{
    scheduler_orders_init(&orders);
    return scheduler_drain(fleet, ticket, at(now), &orders);
}

static void it_stays_counted_until_its_time_is_over(void **state)
{
    uint64_t a = one_served(), b = ask(0, 100, 1.5);
    assert_true(drain(a, 2));
    assert_int_equal(count_of(ORDER_GRANT), 0);
    assert_int_equal(scheduler_inflight(fleet, 0, 0), 1);
    assert_true(orders.next_turn <= at(2.1) + 1000);
    turn(2.05);
    assert_int_equal(count_of(ORDER_GRANT), 0);
    turn(2.101);
    assert_int_equal(granted_ticket(), b);
    assert_false(drain(a, 2.2));
    assert_false(end(a, 2.2));
    assert_true(end(b, 3));
    fleet_end();
}

static void a_proof_ends_it_at_once(void **state)
{
    uint64_t a = one_served(), b = ask(0, 100, 1.5);
    assert_true(drain(a, 2));
    assert_true(drain(a, 2.05)); /* again: the time runs on */
    assert_true(end(a, 2.06));
    assert_int_equal(granted_ticket(), b);
    turn(3);
    assert_int_equal(scheduler_inflight(fleet, 0, 0), 1);
    assert_true(drain(b, 4));
    assert_true(scheduler_cancel(fleet, b, at(4.01), &orders));
    assert_int_equal(scheduler_inflight(fleet, 0, 0), 0);
    fleet_end();
}

static void one_that_waits_just_goes(void **state)
{
    uint64_t a = one_served(), b = ask(0, 100, 1.5);
    assert_true(drain(b, 2));
    assert_int_equal(scheduler_waiting(fleet, 0), 0);
    assert_true(end(a, 3));
    assert_int_equal(count_of(ORDER_GRANT), 0);
    fleet_end();
}

/* Drains one, and has the next one, granted when the time is over, say how long it waited inside. Returns when. */
static double drain_and_wait(double now, nsec waited_inside)
{
    struct scheduler_figures f = { .output_tokens = 10, .waited_inside = waited_inside };
    uint64_t a = ask(0, 100, now), b = ask(0, 100, now);
    drain(a, now + 1);
    turn(now + 1 + (double)fleet->pair[0].stop_s + 0.001);
    assert_int_equal(granted_ticket(), b);
    scheduler_end(fleet, b, &f, at(now + 200), &orders);
    return now + 300;
}

static void the_time_grows_fast_and_shrinks_slowly(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    assert_float_equal(fleet->pair[0].stop_s, 0.1, 1e-6);
    double now = drain_and_wait(1, SECOND(2));
    assert_float_equal(fleet->pair[0].stop_s, 2.1, 1e-5);
    for (int i = 0; i < 8; i++)
        now = drain_and_wait(now, MSEC(1));
    assert_in_range(fleet->pair[0].stop_s * 1000, 1200, 1300);
    for (int i = 0; i < 100; i++)
        now = drain_and_wait(now, MSEC(1));
    assert_float_equal(fleet->pair[0].stop_s, 0.02, 1e-5);
    for (int i = 0; i < 9; i++)
        now = drain_and_wait(now, SECOND(100));
    assert_float_equal(fleet->pair[0].stop_s, 60, 1e-3);
    fleet_end();
}

static void a_late_first_token_tells_it_too(void **state)
{
    uint64_t a = one_served(), b = ask(0, 100, 1.5);
    struct scheduler_figures f = { .output_tokens = 10 };
    drain(a, 2);
    turn(2.101);
    scheduler_first(fleet, b, at(5.101));
    scheduler_end(fleet, b, &f, at(6), &orders);
    assert_in_range(fleet->pair[0].stop_s * 1000, 2800, 3100);
    fleet_end();
}

static void who_comes_much_later_tests_nothing(void **state)
{
    uint64_t a = one_served();
    struct scheduler_figures f = { .output_tokens = 10, .waited_inside = SECOND(9) };
    drain(a, 2);
    turn(2.2);
    scheduler_end(fleet, ask(0, 100, 4), &f, at(20), &orders);
    assert_float_equal(fleet->pair[0].stop_s, 0.1, 1e-6);
    fleet_end();
}

/* It waited for one that had not stopped yet: that says nothing about how many the node serves at once. */
static void a_wait_for_one_that_stops_lowers_no_slots(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    struct scheduler_node is = usual_node(0, 0);
    scheduler_node(fleet, 0, &is, 0, &orders);
    scheduler_holds(fleet, 0, 0, true, SLOTS_LEARNT, 0, 0, &orders);
    scheduler_note(fleet, 0, 0, true, 0, &orders);
    fleet->pair[0].proven = 2, fleet->pair[0].probe_at = 1e9;
    struct scheduler_figures f = { .output_tokens = 10, .waited_inside = SECOND(1) };
    uint64_t a = ask(0, 100, 1), b = ask(0, 100, 1), c = ask(0, 100, 1);
    drain(a, 2);
    turn(2.101);
    assert_int_equal(granted_ticket(), c);
    scheduler_end(fleet, c, &f, at(5), &orders);
    assert_int_equal(scheduler_slots(fleet, 0, 0), 2);
    assert_true(end(b, 6));
    fleet_end();
}

static void many_at_once_each_have_their_time(void **state)
{
    uint64_t t[40];
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 20);
    for (int i = 0; i < 40; i++)
        t[i] = ask(0, 100, 1);
    for (int i = 0; i < 40; i++)
        assert_true(drain(t[(i * 7) % 40], 2 + 0.01 * i));
    for (int i = 0; i < 40; i++) {
        turn(2.1005 + 0.01 * i);
        assert_int_equal(scheduler_inflight(fleet, 0, 0) + scheduler_inflight(fleet, 1, 0), 39 - i);
    }
    assert_int_equal(orders.next_turn, NEVER);
    fleet_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_stays_counted_until_its_time_is_over),
        cmocka_unit_test(a_proof_ends_it_at_once),
        cmocka_unit_test(one_that_waits_just_goes),
        cmocka_unit_test(the_time_grows_fast_and_shrinks_slowly),
        cmocka_unit_test(a_late_first_token_tells_it_too),
        cmocka_unit_test(who_comes_much_later_tests_nothing),
        cmocka_unit_test(a_wait_for_one_that_stops_lowers_no_slots),
        cmocka_unit_test(many_at_once_each_have_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
