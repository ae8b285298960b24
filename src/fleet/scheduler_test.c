/* fleet/scheduler_test.c - the life of a ticket, and late binding. */
#include "fleet/scheduler_fixture.h"

/* ---- leases ------------------------------------------------------------------------------------------------------ */

static void a_free_slot_is_granted_at_once(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 1);
    uint64_t a = ask(0, 100, 1);
    assert_true(a);
    assert_int_equal(granted_ticket(), a);
    assert_int_equal(scheduler_inflight(fleet, granted_node(), 0), 1);
    assert_true(end(a, 2));
    fleet_end();
}

static void a_lease_goes_back_once(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    uint64_t a = ask(0, 100, 1);
    assert_true(end(a, 2));
    assert_false(end(a, 3));
    assert_false(scheduler_cancel(fleet, a, at(3), &orders));
    uint64_t b = ask(0, 100, 4); /* takes the same place, under another number */
    assert_false(end(a, 5));
    assert_int_equal(scheduler_inflight(fleet, 0, NONE), 1);
    assert_true(end(b, 5));
    fleet_end();
}

static void one_that_waits_is_granted_when_a_slot_frees(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    uint64_t a = ask(0, 100, 1), b = ask(0, 100, 2);
    assert_int_equal(orders.n, 0);
    assert_int_equal(scheduler_waiting(fleet, 0), 1);
    assert_false(end(b, 3)); /* has no lease to end */
    assert_true(end(a, 4));
    assert_int_equal(granted_ticket(), b);
    assert_true(end(b, 5));
    fleet_end();
}

static void who_leaves_gives_back_place_or_lease(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    uint64_t a = ask(0, 100, 1), b = ask(0, 100, 2), c = ask(0, 100, 3);
    assert_true(scheduler_cancel(fleet, b, at(4), &orders));
    scheduler_orders_init(&orders);
    assert_true(scheduler_cancel(fleet, a, at(5), &orders));
    assert_int_equal(granted_ticket(), c);
    assert_true(end(c, 6));
    fleet_end();
}

static void out_of_tickets_is_said(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    fleet->settings.bound = 0;
    for (int i = 0; i < 256; i++)
        assert_true(ask(0, 100, 1));
    assert_int_equal(ask(0, 100, 1), 0);
    for (int served = 0; served < 256; served++)
        assert_true(end(ticket_of(fleet, fleet->machine[0].leases), 2 + served));
    fleet_end();
}

/* ---- which node -------------------------------------------------------------------------------------------------- */

static void of_equals_the_one_with_fewest_in_flight(void **state)
{
    fleet_begin(3, 1, SCHEDULER_eta);
    add_warm_nodes(3, 4);
    for (int i = 0; i < 9; i++)
        ask(0, 100, 1);
    for (uint32_t n = 0; n < 3; n++)
        assert_int_equal(scheduler_inflight(fleet, n, 0), 3);
    scheduler_free(&fleet);
}

static void gateways_agree_about_equals(void **state)
{
    uint32_t first[2], differ = 0;
    for (uint64_t key = 0; key < 20; key++) {
        for (int gateway = 0; gateway < 2; gateway++) {
            fleet_begin(4, 1, SCHEDULER_eta);
            add_warm_nodes(4, 4);
            struct scheduler_ask a = usual_ask(0, 100);
            a.key = key;
            ask_with(&a, 1);
            first[gateway] = granted_node();
            scheduler_free(&fleet);
        }
        assert_int_equal(first[0], first[1]);
        differ += first[0] != 0;
    }
    assert_in_range(differ, 8, 20);
}

static void a_pin_and_what_was_tried_bind(void **state)
{
    fleet_begin(3, 1, SCHEDULER_eta);
    add_warm_nodes(3, 4);
    uint32_t tried[] = { 0, 1 };
    struct scheduler_ask a = usual_ask(0, 100);
    a.not_on = tried, a.not_on_n = 2;
    ask_with(&a, 1);
    assert_int_equal(granted_node(), 2);
    a = usual_ask(0, 100), a.pin = 1;
    ask_with(&a, 1);
    assert_int_equal(granted_node(), 1);
    a.not_on = tried, a.not_on_n = 2;
    ask_with(&a, 1);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why, FAIL_retries_exhausted);
    scheduler_free(&fleet);
}

static void labels_bind(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 1);
    struct scheduler_node is = usual_node(1, 1);
    is.labels = 2;
    scheduler_node(fleet, 1, &is, at(1), &orders);
    struct scheduler_ask a = usual_ask(0, 100);
    a.labels = 2;
    uint64_t first = ask_with(&a, 1);
    assert_int_equal(granted_node(), 1);
    ask_with(&a, 1); /* node 0 is free, and not allowed */
    assert_null(ordered(ORDER_GRANT, 0));
    ask(0, 100, 1); /* and holds up nobody else */
    assert_int_equal(granted_node(), 0);
    assert_true(end(first, 2));
    assert_int_equal(granted_node(), 1);
    scheduler_free(&fleet);
}

static void nothing_goes_to_a_node_that_is_down_or_drains(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 8);
    struct scheduler_node is = usual_node(0, 8);
    is.up = false;
    scheduler_node(fleet, 0, &is, at(1), &orders);
    for (int i = 0; i < 8; i++) {
        ask(0, 100, 1);
        assert_int_equal(granted_node(), 1);
    }
    is = usual_node(1, 9), is.draining = true;
    scheduler_node(fleet, 1, &is, at(2), &orders);
    ask(0, 100, 2);
    assert_null(ordered(ORDER_GRANT, 0));
    scheduler_free(&fleet);
}

static void a_node_that_starts_slowly_gets_little(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 8);
    struct scheduler_node is = usual_node(0, 8);
    is.share = 0.1;
    scheduler_node(fleet, 0, &is, at(1), &orders);
    for (int i = 0; i < 8; i++)
        ask(0, 1000, 1);
    assert_int_equal(scheduler_inflight(fleet, 0, 0), 0);
    assert_int_equal(scheduler_inflight(fleet, 1, 0), 8);
    scheduler_free(&fleet);
}

static void a_barred_pair_is_left_alone(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 4);
    scheduler_bar(fleet, 0, 0, true, at(1), &orders);
    for (int i = 0; i < 4; i++) {
        ask(0, 100, 1);
        assert_int_equal(granted_node(), 1);
    }
    ask(0, 100, 2);
    assert_null(ordered(ORDER_GRANT, 0));
    scheduler_orders_init(&orders);
    scheduler_bar(fleet, 0, 0, false, at(3), &orders);
    assert_int_equal(granted_node(), 0);
    scheduler_free(&fleet);
}

/* ---- waiting for a busy node ------------------------------------------------------------------------------------- */

/* Node 0 is busy for a moment longer and has the whole prompt; node 1 is free and would take 2 x 5 s for it. */
static uint64_t busy_with_prefix(uint32_t *out_matched_node)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 1);
    struct scheduler_ask a = usual_ask(0, 100);
    a.pin = 0;
    *out_matched_node = 0;
    return ask_with(&a, 1);
}

static struct scheduler_ask long_prompt(const struct prefix_hint *hint)
{
    struct scheduler_ask a = usual_ask(0, 10000);
    a.hint = hint, a.hints = 1;
    return a;
}

static void a_prefix_is_worth_waiting_for(void **state)
{
    uint32_t node;
    uint64_t before = busy_with_prefix(&node);
    struct prefix_hint hint = { node, 9800 };
    struct scheduler_ask a = long_prompt(&hint);
    uint64_t waits = ask_with(&a, 2);
    assert_null(ordered(ORDER_GRANT, 0));
    ask(0, 100, 2.1); /* is held up by nobody */
    assert_int_equal(granted_node(), 1);
    assert_true(end(before, 3));
    assert_int_equal(granted_ticket(), waits);
    assert_int_equal(granted_node(), 0);
    assert_int_equal(ordered(ORDER_GRANT, 0)->matched_tokens, 9800);
    scheduler_free(&fleet);
}

static void who_waits_reserves_the_slot(void **state)
{
    uint32_t node;
    busy_with_prefix(&node);
    struct prefix_hint hint = { node, 9800 };
    struct scheduler_ask a = long_prompt(&hint);
    for (int i = 0; i < 8; i++)
        ask_with(&a, 2);
    /* Each reckons with those before it: some of them find node 1 nearer. */
    assert_int_equal(scheduler_inflight(fleet, 1, 0), 1);
    assert_int_equal(scheduler_waiting(fleet, 0), 7);
    scheduler_free(&fleet);
}

static void a_little_better_is_not_worth_waiting_for(void **state)
{
    uint32_t node;
    busy_with_prefix(&node);
    struct prefix_hint hint = { node, 2000 };
    struct scheduler_ask a = long_prompt(&hint);
    ask_with(&a, 2);
    assert_int_equal(granted_node(), 1);
    scheduler_free(&fleet);
}

static void more_than_eight_are_not_looked_at(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 1);
    struct scheduler_ask a = usual_ask(0, 100);
    a.pin = 0;
    for (int i = 0; i < 9; i++)
        ask_with(&a, 1 + 0.01 * i); /* one is served, eight wait for node 0 */
    ask(0, 100, 1.2);
    assert_null(ordered(ORDER_GRANT, 0));
    scheduler_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_free_slot_is_granted_at_once),
        cmocka_unit_test(a_lease_goes_back_once),
        cmocka_unit_test(one_that_waits_is_granted_when_a_slot_frees),
        cmocka_unit_test(who_leaves_gives_back_place_or_lease),
        cmocka_unit_test(out_of_tickets_is_said),
        cmocka_unit_test(of_equals_the_one_with_fewest_in_flight),
        cmocka_unit_test(gateways_agree_about_equals),
        cmocka_unit_test(a_pin_and_what_was_tried_bind),
        cmocka_unit_test(labels_bind),
        cmocka_unit_test(nothing_goes_to_a_node_that_is_down_or_drains),
        cmocka_unit_test(a_node_that_starts_slowly_gets_little),
        cmocka_unit_test(a_barred_pair_is_left_alone),
        cmocka_unit_test(a_prefix_is_worth_waiting_for),
        cmocka_unit_test(who_waits_reserves_the_slot),
        cmocka_unit_test(a_little_better_is_not_worth_waiting_for),
        cmocka_unit_test(more_than_eight_are_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
