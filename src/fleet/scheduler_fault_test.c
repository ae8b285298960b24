/* fleet/scheduler_fault_test.c - a node that answers 500 in 1 ms gets no more than its fair share, without any breaker.
 */
#include "fleet/scheduler_fixture.h"
#include <math.h>

enum { NODES = 6, SLOTS = 4, ASKS = 3000 };

static double penalty_of(uint32_t node)
{
    return (double)fleet->penalty[at_pair(fleet, node, 0)];
}

static void fail_once(uint32_t node, double now)
{
    struct scheduler_figures f = { .failed = true };
    struct scheduler_ask a = usual_ask(0, 100);
    a.pin = node;
    uint64_t t = ask_with(&a, now);
    scheduler_orders_init(&orders);
    assert_true(scheduler_end(fleet, t, &f, at(now), &orders));
}

static void failures_cost_and_are_forgotten(void **state)
{
    fleet_begin(2, 2, SCHEDULER_eta);
    add_warm_nodes(2, 4);
    fail_once(0, 1);
    assert_float_equal(penalty_of(0), 2.5, 1e-5);
    assert_float_equal(fleet->penalty[at_pair(fleet, 0, 1)], 0.5, 1e-5); /* the other model of the node */
    assert_float_equal(penalty_of(1), 0, 1e-9);
    assert_int_equal(orders.next_turn, at(2));
    turn(11);
    assert_float_equal(penalty_of(0), 2.5 * exp(-1), 1e-4);
    for (double now = 12; now < 60; now++)
        turn(now);
    assert_float_equal(penalty_of(0), 0, 1e-9);
    assert_int_equal(orders.next_turn, NEVER);
    fleet_end();
}

static void good_answers_take_failures_away(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 4);
    for (int i = 0; i < 100; i++)
        fail_once(0, 1);
    assert_float_equal(penalty_of(0), 30, 1e-4);
    for (int i = 0; i < 30; i++)
        end(ask(0, 100, 1), 1);
    assert_true(penalty_of(0) < 0.5);
    fleet_end();
}

static void what_the_caller_says_is_added(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 4);
    struct scheduler_node is = usual_node(0, 4);
    is.penalty = 3;
    scheduler_node(fleet, 0, &is, at(1), &orders);
    fail_once(0, 2);
    assert_float_equal(penalty_of(0), 5.5, 1e-5);
    is.up = false;
    scheduler_node(fleet, 0, &is, at(3), &orders);
    is.up = true;
    scheduler_node(fleet, 0, &is, at(4), &orders); /* another life */
    assert_float_equal(penalty_of(0), 3, 1e-5);
    fleet_end();
}

/* ---- a fleet in which node 0 fails ------------------------------------------------------------------------------- */

static struct {
    uint64_t ticket;
    double ends;
    bool fails;
} running[NODES * SLOTS];
static uint32_t to[NODES];

static void obey(double now)
{
    for (uint32_t i = 0; ordered(ORDER_GRANT, i); i++) {
        const struct scheduler_order *o = ordered(ORDER_GRANT, i);
        uint32_t r = 0;
        while (running[r].ticket)
            r++;
        to[o->node]++;
        running[r].ticket = o->ticket, running[r].fails = o->node == 0;
        running[r].ends = now + (o->node == 0 ? 0.001 : 2);
    }
}

static double next_end(uint32_t *out)
{
    double first = INFINITY;
    for (uint32_t r = 0; r < ARRAY_LEN(running); r++)
        if (running[r].ticket && running[r].ends < first)
            first = running[r].ends, *out = r;
    return first;
}

static void end_those_due(double now)
{
    uint32_t r = 0;
    for (double ends; (ends = next_end(&r)) <= now;) {
        struct scheduler_figures f = { .failed = running[r].fails, .output_tokens = 90, .decode_took = SECOND(2) };
        uint64_t ticket = running[r].ticket;
        running[r].ticket = 0;
        scheduler_orders_init(&orders);
        assert_true(scheduler_end(fleet, ticket, &f, at(ends), &orders));
        obey(ends);
    }
}

/* The share of attempts that went to node 0; a fair one is 1. Asked at `load` of what the others can do. */
static double share_of_failing(enum scheduler_policy policy, double load)
{
    uint64_t chance = 7;
    double now = 1, rate = load * (NODES - 1) * SLOTS / 2.0;
    fleet_begin(NODES, 1, policy);
    add_warm_nodes(NODES, SLOTS);
    memset(to, 0, sizeof to), memset(running, 0, sizeof running);
    for (int i = 0; i < ASKS; i++) {
        now -= log(((double)(mix(chance += 0x9e3779b97f4a7c15) >> 12) + 0.5) / 4503599627370496.0) / rate;
        end_those_due(now);
        turn(now);
        obey(now);
        ask(0, 100, now);
        obey(now);
    }
    scheduler_free(&fleet);
    return (double)to[0] * NODES / ASKS;
}

static void it_draws_no_traffic(void **state)
{
    const enum scheduler_policy all[] = { SCHEDULER_eta, SCHEDULER_p2c_ewma, SCHEDULER_least_loaded, SCHEDULER_p2c,
                                          SCHEDULER_late };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        double share = share_of_failing(all[i], 0.6);
        struct str name = scheduler_policy_name(all[i]);
        print_message("%.*s: %.2f of a fair share\n", STR_ARG(name), share);
        assert_true(share <= 1);
    }
}

/* Even when all the others are busy and somebody waits. */
static void eta_waits_rather_than_ask_it(void **state)
{
    double share = share_of_failing(SCHEDULER_eta, 0.95);
    print_message("eta, load 0.95: %.2f of a fair share\n", share);
    assert_true(share <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_cost_and_are_forgotten), cmocka_unit_test(good_answers_take_failures_away),
        cmocka_unit_test(what_the_caller_says_is_added),   cmocka_unit_test(it_draws_no_traffic),
        cmocka_unit_test(eta_waits_rather_than_ask_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
