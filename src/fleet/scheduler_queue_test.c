/* fleet/scheduler_queue_test.c - who goes first, who is dropped, who may not even wait. */
#include "fleet/scheduler_fixture.h"

/* One slot, taken from second 1 on; returns the lease. */
static uint64_t one_busy_slot(enum scheduler_policy policy)
{
    fleet_begin(1, 1, policy);
    add_warm_nodes(1, 1);
    return ask(0, 100, 1);
}

static uint64_t ask_as(uint64_t tenant, enum band band, uint32_t prompt, double now)
{
    struct scheduler_ask a = usual_ask(0, prompt);
    a.tenant = tenant, a.band = band;
    return ask_with(&a, now);
}

/* Ends the lease and returns who got the slot. */
static uint64_t next_after(uint64_t lease, double now)
{
    assert_true(end(lease, now));
    return granted_ticket();
}

static void short_ones_overtake_but_nobody_starves(void **state)
{
    uint64_t lease = one_busy_slot(SCHEDULER_eta);
    uint64_t longer = ask(0, 40000, 2); /* 22 s of work */
    uint64_t shorter = ask(0, 100, 3);  /* 2 s */
    lease = next_after(lease, 4);
    assert_int_equal(lease, shorter);
    uint64_t late = ask(0, 100, 40); /* waited 1 / 4.3 against 39 / 24 */
    lease = next_after(lease, 41);
    assert_int_equal(lease, longer);
    assert_int_equal(next_after(lease, 60), late);
    scheduler_free(&fleet);
}

static void other_policies_keep_the_order_of_arrival(void **state)
{
    uint64_t lease = one_busy_slot(SCHEDULER_late);
    uint64_t longer = ask(0, 40000, 2);
    ask(0, 100, 3);
    assert_int_equal(next_after(lease, 4), longer);
    scheduler_free(&fleet);
}

static void bands_come_before_everything(void **state)
{
    uint64_t lease = one_busy_slot(SCHEDULER_eta);
    uint64_t batch = ask_as(1, BAND_BATCH, 100, 2), normal = ask_as(2, BAND_NORMAL, 100, 3);
    uint64_t high = ask_as(3, BAND_HIGH, 9000, 4);
    lease = next_after(lease, 100);
    assert_int_equal(lease, high);
    lease = next_after(lease, 101);
    assert_int_equal(lease, normal);
    assert_int_equal(next_after(lease, 102), batch);
    scheduler_free(&fleet);
}

static void tenants_share_by_tokens(void **state)
{
    uint64_t lease = one_busy_slot(SCHEDULER_eta);
    uint32_t served[2] = { 0 };
    for (int i = 0; i < 40; i++)
        ask_as(7, BAND_NORMAL, 20000, 2); /* twice the tokens of the other's */
    for (int i = 0; i < 40; i++)
        ask_as(8, BAND_NORMAL, 9900, 2);
    for (int i = 0; i < 30; i++) {
        lease = next_after(lease, 10 + i);
        served[fleet->tenant[fleet->job[job_of(fleet, lease)].tenant].id - 7]++;
    }
    assert_in_range(served[0], 9, 11);
    assert_in_range(served[1], 19, 21);
    scheduler_free(&fleet);
}

static void a_modest_tenant_passes_a_greedy_one(void **state)
{
    uint64_t lease = one_busy_slot(SCHEDULER_eta);
    for (int i = 0; i < 60; i++)
        ask_as(7, BAND_NORMAL, 1000, 2);
    for (int i = 0; i < 20; i++)
        lease = next_after(lease, 10 + i);
    for (int i = 0; i < 5; i++) { /* again and again, within its credit */
        uint64_t modest = ask_as(8, BAND_NORMAL, 1000, 40 + i);
        lease = next_after(lease, 40.5 + i);
        assert_int_equal(lease, modest);
    }
    scheduler_free(&fleet);
}

static void a_full_queue_drops_the_newest_of_the_greediest(void **state)
{
    one_busy_slot(SCHEDULER_eta);
    fleet->settings.bound = 4;
    ask_as(7, BAND_NORMAL, 100, 2);
    ask_as(7, BAND_NORMAL, 100, 3);
    uint64_t newest = ask_as(7, BAND_NORMAL, 100, 4);
    ask_as(8, BAND_NORMAL, 100, 5);
    ask_as(9, BAND_NORMAL, 100, 6);
    const struct scheduler_order *o = ordered(ORDER_REFUSE, 0);
    assert_non_null(o);
    assert_int_equal(o->ticket, newest);
    assert_int_equal(o->why, FAIL_queue_full);
    assert_in_range(o->retry_after_s, 1, 60);
    assert_int_equal(scheduler_waiting(fleet, 0), 4);
    fleet_end();
}

static void a_deadline_ends_the_wait(void **state)
{
    one_busy_slot(SCHEDULER_eta);
    struct scheduler_ask a = usual_ask(0, 100);
    a.deadline = at(30);
    uint64_t t = ask_with(&a, 2);
    assert_true(orders.next_turn <= at(30));
    turn(29);
    assert_int_equal(orders.n, 0);
    turn(30.1);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->ticket, t);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why, FAIL_deadline);
    fleet_end();
}

static void a_deadline_that_cannot_be_met_is_refused_at_once(void **state)
{
    one_busy_slot(SCHEDULER_eta);
    for (int i = 0; i < 10; i++)
        ask(0, 20000, 2);
    struct scheduler_ask a = usual_ask(0, 100);
    a.deadline = at(10);
    ask_with(&a, 3);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why, FAIL_deadline);
    fleet_end();
}

static void the_door_sheds_long_waits_only_if_told(void **state)
{
    one_busy_slot(SCHEDULER_eta);
    for (int i = 0; i < 5; i++)
        ask(0, 6000, 2); /* 5 s each */
    assert_int_equal(count_of(ORDER_REFUSE), 0);
    fleet->settings.shed = true;
    ask(0, 6000, 2);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why, FAIL_queue_full);
    struct scheduler_ask other = usual_ask(0, 6000);
    other.tenant = 5; /* whose own queue is empty */
    ask_with(&other, 2);
    assert_int_equal(count_of(ORDER_REFUSE), 0);
    fleet_end();
}

static void a_wait_has_an_end(void **state)
{
    one_busy_slot(SCHEDULER_eta);
    fleet->settings.max_wait = SECOND(600);
    ask(0, 100, 2);
    turn(601);
    assert_int_equal(count_of(ORDER_REFUSE), 0);
    turn(603);
    assert_int_equal(count_of(ORDER_REFUSE), 1);
    fleet_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_ones_overtake_but_nobody_starves),
        cmocka_unit_test(other_policies_keep_the_order_of_arrival),
        cmocka_unit_test(bands_come_before_everything),
        cmocka_unit_test(tenants_share_by_tokens),
        cmocka_unit_test(a_modest_tenant_passes_a_greedy_one),
        cmocka_unit_test(a_full_queue_drops_the_newest_of_the_greediest),
        cmocka_unit_test(a_deadline_ends_the_wait),
        cmocka_unit_test(a_deadline_that_cannot_be_met_is_refused_at_once),
        cmocka_unit_test(the_door_sheds_long_waits_only_if_told),
        cmocka_unit_test(a_wait_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
