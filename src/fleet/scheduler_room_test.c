/* fleet/scheduler_room_test.c - room costs nothing until it is used, grows without a trace, and is used again. */
#include "base/slab.h"
#include "base/sys.h"
#include "fleet/scheduler_fixture.h"
#include <malloc.h>

static void begin_with_room(uint32_t nodes, uint32_t models, uint32_t tickets)
{
    struct scheduler_settings set;
    scheduler_settings_default(&set);
    set.nodes = nodes, set.models = models, set.tickets = tickets;
    fleet = scheduler_new(&set, 0);
    assert_non_null(fleet);
    scheduler_orders_init(&orders);
}

static void introduce(uint32_t nodes, uint32_t models)
{
    for (uint32_t m = 0; m < models; m++)
        scheduler_model(fleet, m, 8000000000, SCHEDULER_POLICIES, 0);
    add_warm_nodes(nodes, 2);
}

static void room_that_is_not_used_costs_nothing(void **state)
{
#if !defined PLAIN_MEMORY && !defined __SANITIZE_THREAD__ /* sanitizers touch what they watch */
    mallopt(M_PERTURB, 0);                                /* meson has malloc fill what it gives */
    size_t before = sys_rss();
    begin_with_room(1000, 2000, 16384);
    introduce(3, 3);
    for (int i = 0; i < 20; i++)
        end(ask(0, 100, 1 + i), 1.5 + i);
    assert_true(sys_rss() - before < KIB(1024));
    fleet_end();
#endif
}

static void choices_look_only_at_nodes_in_use(void **state)
{
    begin_with_room(1000, 8, 256);
    introduce(5, 2);
    assert_int_equal(fleet->nodes, 5);
    assert_int_equal(fleet->width, 8);
    struct prefix_hint stale = { 900, 100 }; /* of a node that was never here */
    struct scheduler_ask a = usual_ask(0, 100);
    a.hint = &stale, a.hints = 1;
    ask_with(&a, 1);
    assert_in_range(granted_node(), 0, 4);
    a.pin = 900;
    ask_with(&a, 1);
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why, FAIL_no_holder_up);
    fleet_end();
}

/* The same hundred asks, on a fleet that grows in the middle, or does not. */
static void grow_or_not(bool grows, uint32_t *out_granted)
{
    struct scheduler_room *room = NULL;
    begin_with_room(grows ? 4 : 64, grows ? 2 : 16, 256);
    introduce(4, 2);
    uint64_t held[100];
    for (int i = 0; i < 100; i++) {
        if (i == 50 && grows) {
            room = scheduler_room_new(64, 16);
            assert_non_null(room);
            scheduler_move(fleet, room);
            scheduler_room_free(&room);
        }
        if (i == 60) {
            struct scheduler_node is = usual_node(6, 2);
            scheduler_model(fleet, 5, 1, SCHEDULER_POLICIES, 0);
            add_node(6, &is);
            scheduler_note(fleet, 6, 0, true, at(i), &orders);
        }
        held[i] = ask((uint32_t)i % 2, 100 + 37 * (uint32_t)i, i);
        out_granted[i] = granted_node();
        if (i >= 5)
            end(held[i - 5], i + 0.5);
    }
    fleet_end();
}

static void growing_changes_no_decision(void **state)
{
    uint32_t grown[100], not [100];
    grow_or_not(true, grown);
    grow_or_not(false, not );
    assert_memory_equal(grown, not, sizeof not );
}

static void less_room_than_there_is_is_let_pass(void **state)
{
    begin_with_room(8, 8, 16);
    introduce(8, 8);
    struct scheduler_room *room = scheduler_room_new(4, 100);
    scheduler_move(fleet, room);
    scheduler_room_free(&room);
    assert_null(room);
    assert_true(end(ask(7, 100, 1), 2));
    fleet_end();
}

static void no_memory_is_no_room(void **state)
{
    memory_fail_at(1);
    assert_null(scheduler_room_new(8, 8));
    memory_fail_at(0);
}

/* ---- numbers that are used again --------------------------------------------------------------------------------- */

static void a_model_is_forgotten_when_nobody_needs_it(void **state)
{
    fleet_begin(1, 2, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    struct scheduler_figures f = { .output_tokens = 7, .decode_took = SECOND(70) };
    uint64_t a = ask(1, 100, 1), b = ask(1, 100, 1);
    assert_false(scheduler_forget_model(fleet, 1, at(2)));
    scheduler_end(fleet, a, &f, at(3), &orders);
    assert_false(scheduler_forget_model(fleet, 1, at(3)));
    scheduler_end(fleet, b, &f, at(4), &orders);
    assert_true(scheduler_forget_model(fleet, 1, at(5)));
    assert_int_equal(fleet->machine[0].held, 1);
    scheduler_model(fleet, 1, 5, SCHEDULER_POLICIES, 0);
    assert_false(scheduler_resident(fleet, 0, 1));
    assert_int_equal(learn_output(fleet, 1, 100), 200);
    assert_float_equal(fleet->decode_s[at_pair(fleet, 0, 1)], 1.0 / 45, 1e-6);
    ask(1, 100, 6); /* nobody holds it any more */
    assert_int_equal(ordered(ORDER_REFUSE, 0)->why, FAIL_no_holder_up);
    fleet_end();
}

static void a_model_that_loads_is_not_forgotten(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    struct scheduler_node is = usual_node(0, 1);
    add_node(0, &is);
    uint64_t a = ask(0, 100, 1);
    assert_int_equal(count_of(ORDER_LOAD), 1);
    scheduler_cancel(fleet, a, at(2), &orders);
    assert_false(scheduler_forget_model(fleet, 0, at(2)));
    scheduler_loaded(fleet, 0, 0, false, 0, at(3), &orders);
    assert_true(scheduler_forget_model(fleet, 0, at(3)));
    fleet_end();
}

static void another_machine_under_the_number_starts_anew(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 2);
    struct scheduler_figures f = { .prefill_tokens = 100, .prefill_took = SECOND(50) };
    uint64_t old = ask(0, 100, 1);
    scheduler_end(fleet, ask(0, 100, 1), &f, at(2), &orders);
    struct scheduler_node is = usual_node(0, 2);
    is.id = 77;
    scheduler_orders_init(&orders);
    scheduler_node(fleet, 0, &is, at(3), &orders);
    assert_false(scheduler_resident(fleet, 0, 0));
    assert_int_equal(fleet->pair[0].seen, 0);
    assert_int_equal(scheduler_inflight(fleet, 0, 0), 1); /* of the one before; still to be ended */
    assert_true(end(old, 4));
    fleet_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_that_is_not_used_costs_nothing),
        cmocka_unit_test(choices_look_only_at_nodes_in_use),
        cmocka_unit_test(growing_changes_no_decision),
        cmocka_unit_test(less_room_than_there_is_is_let_pass),
        cmocka_unit_test(no_memory_is_no_room),
        cmocka_unit_test(a_model_is_forgotten_when_nobody_needs_it),
        cmocka_unit_test(a_model_that_loads_is_not_forgotten),
        cmocka_unit_test(another_machine_under_the_number_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
