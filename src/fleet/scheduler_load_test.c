/* fleet/scheduler_load_test.c - cold loads, replicas, what is thrown out. Models of 8 GB load in 4 s. */
#include "fleet/scheduler_fixture.h"
#include <math.h>

static void cold_fleet(uint32_t nodes, uint32_t models, uint32_t slots, uint32_t held)
{
    fleet_begin(nodes, models, SCHEDULER_eta);
    for (uint32_t m = 0; m < models; m++)
        scheduler_model(fleet, m, 8000000000, SCHEDULER_POLICIES, 0);
    for (uint32_t n = 0; n < nodes; n++) {
        struct scheduler_node is = usual_node(n, slots);
        is.held = held;
        add_node(n, &is);
    }
}

static void loaded(uint32_t node, uint32_t model, bool good, double now)
{
    scheduler_orders_init(&orders);
    scheduler_loaded(fleet, node, model, good, SECOND(4), at(now), &orders);
}

static uint32_t load_node(void)
{
    const struct scheduler_order *o = ordered(ORDER_LOAD, 0);
    return o ? o->node : NONE;
}

static void fifty_at_once_are_one_load(void **state)
{
    cold_fleet(6, 1, 1, 0);
    uint32_t loads = 0, node = NONE;
    for (int i = 0; i < 50; i++) {
        ask(0, 100, 1);
        loads += count_of(ORDER_LOAD);
        node = load_node() != NONE ? load_node() : node;
    }
    assert_int_equal(loads, 1);
    loaded(node, 0, true, 6);
    assert_int_equal(granted_node(), node);
    assert_int_equal(scheduler_waiting(fleet, 0), 49);
    scheduler_free(&fleet);
}

static void a_load_survives_those_who_asked_for_it(void **state)
{
    cold_fleet(1, 1, 1, 0);
    uint64_t a = ask(0, 100, 1), b = ask(0, 100, 1);
    assert_true(scheduler_cancel(fleet, a, at(2), &orders));
    assert_int_equal(count_of(ORDER_UNLOAD), 0);
    loaded(0, 0, true, 5);
    assert_int_equal(granted_ticket(), b);
    scheduler_free(&fleet);
}

static void a_failed_load_goes_elsewhere_and_is_not_hurried(void **state)
{
    cold_fleet(2, 1, 1, 0);
    ask(0, 100, 1);
    uint32_t first = load_node();
    loaded(first, 0, false, 2);
    assert_int_equal(load_node(), 1 - first);
    loaded(1 - first, 0, false, 3);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    turn(6);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    turn(7.1);
    assert_int_equal(load_node(), first);
    scheduler_free(&fleet);
}

static void one_node_loads_one_model_at_a_time_longest_wait_first(void **state)
{
    cold_fleet(1, 3, 1, 0);
    ask(0, 100, 1);
    assert_int_equal(ordered(ORDER_LOAD, 0)->model, 0);
    ask(2, 100, 2);
    ask(1, 100, 3);
    assert_int_equal(orders.n, 0);
    loaded(0, 0, true, 5);
    assert_int_equal(ordered(ORDER_LOAD, 0)->model, 2);
    scheduler_free(&fleet);
}

/* Fills the places of one node with models 0 and 1, of which 0 is asked for more often. */
static void two_held(void)
{
    cold_fleet(1, 3, 8, 2);
    double now = 1;
    for (uint32_t m = 0; m < 2; m++) {
        uint64_t t = ask(m, 100, now);
        loaded(0, m, true, now + 4);
        end(t, now + 5);
        now += 10;
    }
    for (int i = 0; i < 3; i++)
        end(ask(0, 100, now + i), now + i + 0.5);
}

static void the_model_that_is_worth_least_goes(void **state)
{
    two_held();
    ask(2, 100, 40);
    assert_int_equal(ordered(ORDER_UNLOAD, 0)->model, 1);
    assert_int_equal(ordered(ORDER_LOAD, 0)->model, 2);
    scheduler_free(&fleet);
}

static void a_busy_model_is_not_thrown_out(void **state)
{
    two_held();
    ask(1, 100, 39);
    ask(2, 100, 40);
    assert_int_equal(ordered(ORDER_UNLOAD, 0)->model, 0);
    scheduler_free(&fleet);
}

static void after_five_seconds_the_cheapest_busy_one_drains(void **state)
{
    two_held();
    ask(0, 100, 38);
    uint64_t busy = ask(1, 100, 39);
    ask(2, 100, 40);
    turn(44);
    assert_int_equal(orders.n, 0);
    turn(45.1);
    assert_int_equal(orders.n, 0);
    ask(1, 100, 46); /* must wait now */
    assert_int_equal(count_of(ORDER_GRANT), 0);
    assert_true(end(busy, 47));
    assert_int_equal(ordered(ORDER_UNLOAD, 0)->model, 1);
    assert_int_equal(ordered(ORDER_LOAD, 0)->model, 2);
    scheduler_free(&fleet);
}

static void a_model_of_two_nodes_is_cheaper(void **state)
{
    cold_fleet(2, 3, 8, 2);
    for (uint32_t n = 0; n < 2; n++)
        scheduler_note(fleet, n, 0, true, at(1), &orders);
    scheduler_note(fleet, 0, 1, true, at(1), &orders);
    scheduler_note(fleet, 1, 2, true, at(1), &orders);
    for (int i = 0; i < 2; i++)
        end(ask(0, 100, 2 + i), 2.5 + i); /* twice 0.3 is less than once */
    end(ask(1, 100, 5), 6);
    end(ask(2, 100, 7), 8);
    scheduler_orders_init(&orders);
    assert_int_equal(scheduler_load(fleet, 0, 2, at(9), &orders), OK);
    assert_int_equal(ordered(ORDER_UNLOAD, 0)->model, 0);
    scheduler_free(&fleet);
}

static void a_replica_starts_after_two_seconds_of_pressure(void **state)
{
    cold_fleet(2, 1, 1, 0);
    scheduler_note(fleet, 0, 0, true, at(1), &orders);
    for (int i = 0; i < 10; i++)
        ask(0, 4000, 2); /* 4 s each: 36 s of work for a load of 4 s */
    assert_int_equal(count_of(ORDER_LOAD), 0);
    turn(3.5);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    turn(4.6);
    assert_int_equal(load_node(), 1);
    turn(5.2);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    scheduler_free(&fleet);
}

static void a_replica_spares_what_has_just_come(void **state)
{
    cold_fleet(2, 2, 1, 1);
    scheduler_note(fleet, 0, 0, true, at(1), &orders);
    scheduler_note(fleet, 1, 1, true, at(1), &orders);
    for (int i = 0; i < 20; i++)
        ask(0, 4000, 2);
    for (double now = 2.5; now < 30.5; now += 0.5) {
        turn(now);
        assert_int_equal(count_of(ORDER_LOAD), 0);
    }
    turn(31.5);
    assert_int_equal(ordered(ORDER_UNLOAD, 0)->model, 1);
    assert_int_equal(load_node(), 1);
    scheduler_free(&fleet);
}

static void a_pin_loads_where_it_points(void **state)
{
    cold_fleet(2, 1, 1, 0);
    scheduler_note(fleet, 0, 0, true, at(1), &orders);
    struct scheduler_ask a = usual_ask(0, 100);
    a.pin = 1;
    uint64_t t = ask_with(&a, 2);
    assert_int_equal(load_node(), 1);
    loaded(1, 0, true, 6);
    assert_int_equal(granted_ticket(), t);
    scheduler_free(&fleet);
}

static void unload_goes_to_every_holder(void **state)
{
    cold_fleet(3, 1, 1, 0);
    for (uint32_t n = 0; n < 2; n++)
        scheduler_note(fleet, n, 0, true, at(1), &orders);
    uint64_t t = ask(0, 100, 2);
    uint32_t busy = granted_node();
    scheduler_orders_init(&orders);
    scheduler_unload(fleet, 0, at(3), &orders);
    assert_int_equal(count_of(ORDER_UNLOAD), 1);
    assert_int_equal(ordered(ORDER_UNLOAD, 0)->node, 1 - busy);
    assert_true(end(t, 4));
    assert_int_equal(ordered(ORDER_UNLOAD, 0)->node, busy);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    fleet_end();
}

static void memory_of_the_node_counts(void **state)
{
    fleet_begin(1, 3, SCHEDULER_eta);
    for (uint32_t m = 0; m < 3; m++)
        scheduler_model(fleet, m, m == 2 ? 16000000000 : 8000000000, SCHEDULER_POLICIES, 0);
    struct scheduler_node is = usual_node(0, 4);
    is.vram = 20000000000;
    add_node(0, &is);
    for (uint32_t m = 0; m < 2; m++)
        scheduler_note(fleet, 0, m, true, at(1), &orders);
    ask(2, 100, 2);
    assert_int_equal(count_of(ORDER_UNLOAD), 2);
    assert_int_equal(ordered(ORDER_LOAD, 0)->model, 2);
    scheduler_free(&fleet);
}

static void a_node_that_goes_takes_its_loads_with_it(void **state)
{
    cold_fleet(2, 1, 1, 0);
    ask(0, 100, 1);
    uint32_t first = load_node();
    struct scheduler_node is = usual_node(first, 1);
    is.up = false;
    scheduler_orders_init(&orders);
    scheduler_node(fleet, first, &is, at(2), &orders);
    assert_int_equal(load_node(), 1 - first);
    loaded(first, 0, true, 3); /* too late, and not believed */
    assert_false(scheduler_resident(fleet, first, 0));
    fleet_end();
}

static void one_that_only_a_barred_node_has_is_cold(void **state)
{
    cold_fleet(2, 1, 0, 0);
    scheduler_note(fleet, 0, 0, true, at(1), &orders);
    scheduler_bar(fleet, 0, 0, true, at(2), &orders);
    ask(0, 100, 3);
    assert_int_equal(load_node(), 1);
    loaded(1, 0, true, 7);
    assert_int_equal(granted_node(), 1);
    struct scheduler_node is = usual_node(1, 0);
    is.draining = true;
    scheduler_node(fleet, 1, &is, at(8), &orders);
    scheduler_bar(fleet, 0, 0, false, at(9), &orders);
    ask(0, 100, 10);
    assert_int_equal(granted_node(), 0);
    fleet_end();
}

/* ---- siblings: one file, options that force a reload --------------------------------------------------------------
 */

/* Models 0 and 1 are one family, 2 is another's; 0 is loaded on node 0. */
static void siblings(uint32_t nodes, uint32_t slots, uint32_t held)
{
    cold_fleet(nodes, 3, slots, held);
    for (uint32_t m = 0; m < 2; m++)
        scheduler_model(fleet, m, 8000000000, SCHEDULER_POLICIES, 5);
    scheduler_note(fleet, 0, 0, true, at(0.5), &orders);
}

static void a_sibling_is_dropped_by_the_node_itself(void **state)
{
    siblings(1, 4, 2);
    ask(1, 100, 1);
    assert_int_equal(count_of(ORDER_UNLOAD), 0);
    assert_int_equal(ordered(ORDER_LOAD, 0)->model, 1);
    assert_false(scheduler_resident(fleet, 0, 0));
    loaded(0, 1, true, 5);
    assert_int_equal(granted_node(), 0);
    scheduler_note(fleet, 0, 0, true, at(6), &orders); /* somebody else had it reloaded */
    assert_false(scheduler_resident(fleet, 0, 1));
    assert_int_equal(fleet->machine[0].held, 1);
    fleet_end();
}

static void a_place_without_the_sibling_is_cheaper(void **state)
{
    siblings(2, 4, 2);
    end(ask(0, 100, 1), 2);
    ask(1, 100, 3);
    assert_int_equal(load_node(), 1);
    assert_true(scheduler_resident(fleet, 0, 0));
    fleet_end();
}

static void the_room_of_a_sibling_is_its_own_to_have(void **state)
{
    siblings(1, 4, 1);
    ask(1, 100, 1);
    assert_int_equal(count_of(ORDER_UNLOAD), 0);
    assert_int_equal(count_of(ORDER_LOAD), 1);
    fleet_end();
}

static void a_busy_sibling_stays_until_it_has_drained(void **state)
{
    siblings(1, 4, 0);
    uint64_t busy = ask(0, 100, 1);
    ask(1, 100, 2);
    turn(6.9);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    turn(7.1);
    ask(0, 100, 8); /* must wait now */
    assert_int_equal(count_of(ORDER_GRANT), 0);
    end(busy, 9);
    assert_int_equal(ordered(ORDER_LOAD, 0)->model, 1);
    assert_int_equal(count_of(ORDER_UNLOAD), 0); /* by name it could hit the new one */
    fleet_end();
}

static void a_sibling_that_needs_no_room_any_more_is_not_missed(void **state)
{
    siblings(1, 4, 0);
    uint64_t busy = ask(0, 100, 1), other = ask(1, 100, 2);
    turn(7.1);
    assert_true(fleet->pair[0].leaving);
    scheduler_cancel(fleet, other, at(8), &orders);
    end(busy, 9);
    turn(9.1);
    assert_false(fleet->pair[0].leaving);
    ask(0, 100, 10);
    assert_int_equal(granted_node(), 0);
    fleet_end();
}

static void a_size_that_is_learnt_late_is_counted(void **state)
{
    cold_fleet(1, 2, 1, 0);
    scheduler_model(fleet, 0, 0, SCHEDULER_POLICIES, 0);
    scheduler_note(fleet, 0, 0, true, at(1), &orders);
    scheduler_model(fleet, 0, 5000, SCHEDULER_POLICIES, 0);
    assert_int_equal(fleet->machine[0].vram_used, 5000);
    scheduler_note(fleet, 0, 0, false, at(2), &orders);
    assert_int_equal(fleet->machine[0].vram_used, 0);
    fleet_end();
}

static void a_busy_sibling_bars_the_place_though_another_is_idle(void **state)
{
    siblings(1, 4, 2);
    scheduler_note(fleet, 0, 2, true, at(1), &orders);
    ask(0, 100, 2);
    ask(1, 100, 3); /* to throw out 2 would not help */
    assert_int_equal(orders.n, 0);
    fleet_end();
}

/* Both have work without end: they take turns of five seconds and more, as any two models would. */
static void siblings_do_not_play_ping_pong(void **state)
{
    uint32_t loads = 0;
    uint64_t held[2] = { 0 };
    double loaded_at = INFINITY, ends = INFINITY;
    uint32_t model = NONE;
    siblings(1, 1, 0);
    for (int i = 0; i < 50; i++)
        ask(0, 100, 1), held[0] = granted_ticket() ? granted_ticket() : held[0];
    for (int i = 0; i < 50; i++)
        ask(1, 100, 1);
    ends = 2;
    for (double now = 1.1; now < 61; now += 0.1) {
        if (now >= ends)
            end(held[0], now);
        else if (now >= loaded_at)
            loaded(0, model, true, now);
        else
            turn(now);
        if (now >= ends || now >= loaded_at)
            ends = loaded_at = INFINITY;
        if (count_of(ORDER_LOAD))
            loads++, model = ordered(ORDER_LOAD, 0)->model, loaded_at = now + 4;
        if (granted_ticket())
            held[0] = granted_ticket(), ends = now + 1;
    }
    assert_in_range(loads, 3, 12);
    fleet_end();
}

/* ---- no hope ------------------------------------------------------------------------------------------------------
 */

static void hope_is_lost_when_no_node_could_load_it(void **state)
{
    cold_fleet(2, 1, 1, 0);
    ask(0, 100, 1);
    uint32_t first = load_node();
    loaded(first, 0, false, 2);
    assert_true(scheduler_hopeful(fleet, 0, at(2)));
    loaded(1 - first, 0, false, 3);
    assert_false(scheduler_hopeful(fleet, 0, at(3)));
    assert_true(scheduler_hopeful(fleet, 0, at(7.1)));
    scheduler_bar(fleet, 0, 0, true, at(8), &orders);
    scheduler_bar(fleet, 1, 0, true, at(8), &orders);
    assert_false(scheduler_hopeful(fleet, 0, at(100)));
    scheduler_free(&fleet);
}

static void a_pinned_one_loads_nowhere_else(void **state)
{
    cold_fleet(3, 1, 1, 0);
    struct scheduler_ask a = usual_ask(0, 100);
    a.pin = 2;
    ask_with(&a, 1);
    assert_int_equal(count_of(ORDER_LOAD), 1);
    assert_int_equal(load_node(), 2);
    turn(9);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    scheduler_free(&fleet);
}

static void hope_is_lost_for_one_whose_only_node_goes(void **state)
{
    cold_fleet(2, 1, 1, 0);
    scheduler_note(fleet, 0, 0, true, at(1), &orders);
    scheduler_note(fleet, 1, 0, true, at(1), &orders);
    struct scheduler_ask pinned = usual_ask(0, 100), elsewhere = pinned;
    uint64_t busy[2] = { ask(0, 100, 2), ask(0, 100, 2) };
    pinned.pin = 1;
    elsewhere.not_on = &(uint32_t){ 0 }, elsewhere.not_on_n = 1;
    ask_with(&pinned, 3), ask_with(&elsewhere, 3), ask(0, 100, 3);
    assert_int_equal(scheduler_waiting(fleet, 0), 3);
    scheduler_orders_init(&orders);
    scheduler_node(fleet, 1, &(struct scheduler_node){ .id = 2 }, at(10), &orders);
    assert_int_equal(count_of(ORDER_REFUSE), 2);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why + ordered(ORDER_REFUSE, 1)->why,
                     FAIL_no_holder_up + FAIL_retries_exhausted);
    assert_int_equal(scheduler_waiting(fleet, 0), 1);
    assert_true(end(busy[0], 11));
    assert_int_equal(granted_node(), 0);
    end(granted_ticket(), 12), end(busy[1], 12);
    fleet_end();
}

static void one_that_waits_for_a_machine_is_not_given_its_successor(void **state)
{
    cold_fleet(2, 1, 1, 0);
    scheduler_note(fleet, 1, 0, true, at(1), &orders);
    uint64_t busy = ask(0, 100, 2);
    struct scheduler_ask pinned = usual_ask(0, 100);
    struct scheduler_node successor = usual_node(1, 1);
    pinned.pin = 1;
    ask_with(&pinned, 3);
    successor.id = 99;
    scheduler_orders_init(&orders);
    scheduler_node(fleet, 1, &successor, at(10), &orders);
    assert_int_equal(count_of(ORDER_REFUSE), 1);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why, FAIL_node_unknown);
    assert_int_equal(scheduler_waiting(fleet, 0), 0);
    end(busy, 11);
    scheduler_free(&fleet);
}

static void a_pinned_one_gets_its_place_from_a_busy_model(void **state)
{
    cold_fleet(2, 2, 1, 1);
    scheduler_note(fleet, 0, 0, true, at(1), &orders);
    scheduler_note(fleet, 1, 1, true, at(1), &orders);
    uint64_t busy = ask(1, 100, 2);
    struct scheduler_ask a = usual_ask(0, 100);
    a.pin = 1;
    ask_with(&a, 3);
    assert_int_equal(count_of(ORDER_LOAD), 0);
    turn(9);
    assert_true(end(busy, 10));
    assert_int_equal(count_of(ORDER_UNLOAD), 1);
    assert_int_equal(load_node(), 1);
    scheduler_free(&fleet);
}

static void those_who_wait_are_refused_together(void **state)
{
    cold_fleet(1, 2, 1, 0);
    uint32_t refused = 0;
    for (int i = 0; i < 150; i++)
        ask(0, 100, 1);
    uint64_t other = ask(1, 100, 1);
    scheduler_orders_init(&orders);
    scheduler_refuse_waiting(fleet, 0, FAIL_load_timeout, at(2), &orders);
    while (true) {
        refused += count_of(ORDER_REFUSE);
        for (uint32_t i = 0; i < count_of(ORDER_REFUSE); i++)
            assert_int_equal(ordered(ORDER_REFUSE, i)->why, FAIL_load_timeout);
        if (!orders.more)
            break;
        turn(2);
    }
    assert_int_equal(refused, 150);
    assert_int_equal(scheduler_waiting(fleet, 0), 0);
    assert_int_equal(scheduler_waiting(fleet, 1), 1);
    ask(0, 100, 3); /* who comes later waits again */
    turn(4);
    assert_int_equal(scheduler_waiting(fleet, 0), 1);
    assert_true(scheduler_cancel(fleet, other, at(5), &orders));
    fleet_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_at_once_are_one_load),
        cmocka_unit_test(a_load_survives_those_who_asked_for_it),
        cmocka_unit_test(a_failed_load_goes_elsewhere_and_is_not_hurried),
        cmocka_unit_test(one_node_loads_one_model_at_a_time_longest_wait_first),
        cmocka_unit_test(the_model_that_is_worth_least_goes),
        cmocka_unit_test(a_busy_model_is_not_thrown_out),
        cmocka_unit_test(after_five_seconds_the_cheapest_busy_one_drains),
        cmocka_unit_test(a_model_of_two_nodes_is_cheaper),
        cmocka_unit_test(a_replica_starts_after_two_seconds_of_pressure),
        cmocka_unit_test(a_replica_spares_what_has_just_come),
        cmocka_unit_test(a_pin_loads_where_it_points),
        cmocka_unit_test(unload_goes_to_every_holder),
        cmocka_unit_test(memory_of_the_node_counts),
        cmocka_unit_test(a_node_that_goes_takes_its_loads_with_it),
        cmocka_unit_test(one_that_only_a_barred_node_has_is_cold),
        cmocka_unit_test(a_sibling_is_dropped_by_the_node_itself),
        cmocka_unit_test(a_place_without_the_sibling_is_cheaper),
        cmocka_unit_test(the_room_of_a_sibling_is_its_own_to_have),
        cmocka_unit_test(a_busy_sibling_stays_until_it_has_drained),
        cmocka_unit_test(a_sibling_that_needs_no_room_any_more_is_not_missed),
        cmocka_unit_test(a_size_that_is_learnt_late_is_counted),
        cmocka_unit_test(a_busy_sibling_bars_the_place_though_another_is_idle),
        cmocka_unit_test(siblings_do_not_play_ping_pong),
        cmocka_unit_test(hope_is_lost_when_no_node_could_load_it),
        cmocka_unit_test(a_pinned_one_loads_nowhere_else),
        cmocka_unit_test(hope_is_lost_for_one_whose_only_node_goes),
        cmocka_unit_test(one_that_waits_for_a_machine_is_not_given_its_successor),
        cmocka_unit_test(a_pinned_one_gets_its_place_from_a_busy_model),
        cmocka_unit_test(those_who_wait_are_refused_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
