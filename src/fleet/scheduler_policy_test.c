/* fleet/scheduler_policy_test.c - the small policies, and what is learnt. */
#include "fleet/scheduler_fixture.h"

static void choices_are(enum scheduler_policy policy, const double *weight, uint32_t nodes, const char *want)
{
    char got[32] = "";
    fleet_begin(nodes, 1, policy);
    add_warm_nodes(nodes, 100);
    for (uint32_t n = 0; n < nodes; n++) {
        struct scheduler_node is = usual_node(n, 100);
        is.weight = weight[n];
        scheduler_node(fleet, n, &is, 0, &orders);
    }
    for (uint32_t i = 0; i < strlen(want); i++) {
        ask(0, 100, 1 + i);
        got[i] = (char)('a' + granted_node());
    }
    assert_string_equal(got, want);
    scheduler_free(&fleet);
}

static void turns(void **state)
{
    choices_are(SCHEDULER_round_robin, (double[]){ 1, 1, 1 }, 3, "abcabc");
    choices_are(SCHEDULER_weighted_round_robin, (double[]){ 5, 1, 1 }, 3, "aabacaaaabacaa");
    choices_are(SCHEDULER_least_loaded, (double[]){ 1, 1, 1 }, 3, "abcabc");
    choices_are(SCHEDULER_least_loaded, (double[]){ 2, 1 }, 2, "abaaba");
}

static void rendezvous_is_by_weight_and_moves_little(void **state)
{
    uint32_t to[4] = { 0 }, moved = 0;
    fleet_begin(4, 1, SCHEDULER_rendezvous);
    add_warm_nodes(4, 0);
    struct scheduler_node heavy = usual_node(0, 0);
    heavy.weight = 3;
    scheduler_node(fleet, 0, &heavy, 0, &orders);
    struct job j = { .pin = NONE };
    static uint32_t before[6000];
    uint32_t wait_for;
    for (uint32_t k = 0; k < 6000; k++) {
        j.key = mix(k + 1);
        to[before[k] = scheduler_rendezvous(fleet, &j, 1, &wait_for)]++;
    }
    assert_in_range(to[0], 2850, 3150);
    for (int n = 1; n < 4; n++)
        assert_in_range(to[n], 900, 1100);
    struct scheduler_node gone = { .up = false };
    scheduler_node(fleet, 3, &gone, at(2), &orders);
    for (uint32_t k = 0; k < 6000; k++) {
        j.key = mix(k + 1);
        moved += scheduler_rendezvous(fleet, &j, 2, &wait_for) != before[k];
    }
    assert_int_equal(moved, to[3]);
    scheduler_free(&fleet);
}

static void two_choices_avoid_the_crowd(void **state)
{
    fleet_begin(2, 1, SCHEDULER_p2c);
    add_warm_nodes(2, 100);
    for (int i = 0; i < 40; i++)
        ask(0, 100, 1);
    assert_int_equal(scheduler_inflight(fleet, 0, 0), 20);
    scheduler_free(&fleet);
}

static void a_peak_of_latency_is_avoided_and_forgotten(void **state)
{
    fleet_begin(2, 1, SCHEDULER_p2c_ewma);
    add_warm_nodes(2, 100);
    ewma_learn(fleet, 0, 0.5, 1);
    ewma_learn(fleet, 1, 0.4, 1);
    ewma_learn(fleet, 0, 5, 2); /* slow once */
    for (int i = 0; i < 5; i++) {
        end(ask(0, 100, 2.1), 2.5);
        assert_int_equal(fleet->machine[0].leases, NONE);
    }
    assert_true(fleet->machine[0].latency_at < 2.2);
    scheduler_free(&fleet);
}

static void late_takes_the_fastest_free_slot(void **state)
{
    fleet_begin(3, 1, SCHEDULER_late);
    add_warm_nodes(3, 1);
    double weight[] = { 0.5, 2, 1 };
    for (uint32_t n = 0; n < 3; n++) {
        struct scheduler_node is = usual_node(n, 1);
        is.weight = weight[n];
        scheduler_node(fleet, n, &is, 0, &orders);
    }
    uint32_t want[] = { 1, 2, 0 };
    for (int i = 0; i < 3; i++) {
        ask(0, 100, 1);
        assert_int_equal(granted_node(), want[i]);
    }
    scheduler_free(&fleet);
}

static void a_model_may_have_its_own_policy(void **state)
{
    fleet_begin(2, 2, SCHEDULER_eta);
    add_warm_nodes(2, 8);
    scheduler_model(fleet, 1, 0, SCHEDULER_round_robin, 0);
    uint32_t first;
    ask(1, 100, 1), first = granted_node();
    ask(1, 100, 1);
    assert_int_equal(granted_node(), 1 - first);
    scheduler_free(&fleet);
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

static void rates_of_a_node_are_learnt(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 1);
    struct scheduler_ask a = usual_ask(0, 1000);
    a.pin = 0;
    struct scheduler_figures f = {
        .prefill_tokens = 1000, .output_tokens = 50, .prefill_took = SECOND(5), .decode_took = SECOND(5)
    };
    for (int i = 0; i < 4; i++)
        scheduler_end(fleet, ask_with(&a, 1 + 20 * i), &f, at(11 + 20 * i), &orders);
    assert_float_equal(fleet->prefill_s[0], 0.005, 1e-5);
    assert_float_equal(fleet->decode_s[0], 0.1, 1e-4);
    ask(0, 1000, 100); /* twice 5 s of prefill here; the other is not known, and taken for usual */
    assert_int_equal(granted_node(), 1);
    scheduler_free(&fleet);
}

static void a_failed_answer_teaches_no_rates(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    struct scheduler_figures f = { .failed = true, .prefill_tokens = 1, .prefill_took = SECOND(100) };
    scheduler_end(fleet, ask(0, 100, 1), &f, at(2), &orders);
    assert_float_equal(fleet->prefill_s[0], 1.0 / 2000, 1e-6);
    scheduler_free(&fleet);
}

static void lengths_are_learnt_by_class(void **state)
{
    fleet_begin(1, 2, SCHEDULER_eta);
    add_warm_nodes(1, 1);
    assert_int_equal(learn_output(fleet, 0, 100), 200); /* nothing known */
    for (int i = 0; i < 20; i++) {
        struct scheduler_figures f = { .output_tokens = i % 2 ? 40 : 900 };
        scheduler_end(fleet, ask(0, i % 2 ? 100 : 5000, 10 * i + 1), &f, at(10 * i + 2), &orders);
    }
    assert_int_equal(learn_output(fleet, 0, 100), 40);
    assert_int_equal(learn_output(fleet, 0, 5000), 900);
    assert_in_range(learn_output(fleet, 0, 600), 400, 540); /* a class of its own without answers: the mean of all */
    assert_int_equal(learn_output(fleet, 1, 100), 200);
    scheduler_free(&fleet);
}

static void slots_are_learnt_from_tokens_that_overlap(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    struct scheduler_node is = usual_node(0, 0);
    scheduler_node(fleet, 0, &is, 0, &orders);
    scheduler_holds(fleet, 0, 0, true, SLOTS_LEARNT, 0, 0, &orders);
    scheduler_note(fleet, 0, 0, true, 0, &orders);
    uint64_t t[4];
    for (int i = 0; i < 4; i++)
        t[i] = ask(0, 100, 1);
    assert_int_equal(scheduler_inflight(fleet, 0, 0), 2); /* one proven, one to probe */
    scheduler_first(fleet, t[0], at(2));
    scheduler_first(fleet, t[1], at(2));
    assert_int_equal(scheduler_slots(fleet, 0, 0), 2);
    end(t[0], 3);
    assert_int_equal(count_of(ORDER_GRANT), 2);
    scheduler_free(&fleet);
}

static void a_probe_that_waited_is_not_repeated_soon(void **state)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    struct scheduler_node is = usual_node(0, 0);
    scheduler_node(fleet, 0, &is, 0, &orders);
    scheduler_holds(fleet, 0, 0, true, SLOTS_LEARNT, 0, 0, &orders);
    scheduler_note(fleet, 0, 0, true, 0, &orders);
    uint64_t a = ask(0, 100, 1), b = ask(0, 100, 1);
    struct scheduler_figures waited = { .output_tokens = 10, .waited_inside = SECOND(3) };
    end(a, 4);
    scheduler_end(fleet, b, &waited, at(8), &orders);
    a = ask(0, 100, 9);
    assert_int_equal(granted_ticket(), a);
    ask(0, 100, 9);
    assert_int_equal(count_of(ORDER_GRANT), 0);
    turn(50);
    assert_int_equal(count_of(ORDER_GRANT), 0);
    turn(69);
    assert_int_equal(count_of(ORDER_GRANT), 1);
    scheduler_free(&fleet);
}

/* ---- explanations ------------------------------------------------------------------------------------------------ */

static struct scheduler_explained shown[8];

static struct scheduler_would explain(const struct scheduler_ask *a, double now)
{
    return scheduler_explain(fleet, a, at(now), shown, ARRAY_LEN(shown));
}

static void an_explanation_has_the_terms(void **state)
{
    fleet_begin(3, 1, SCHEDULER_eta);
    add_warm_nodes(3, 1);
    struct scheduler_ask a = usual_ask(0, 1000);
    uint32_t tried[] = { 1 };
    a.not_on = tried, a.not_on_n = 1;
    struct scheduler_would would = explain(&a, 1);
    assert_float_equal(shown[0].terms.prefill, 1.0, 1e-5);
    assert_float_equal(shown[0].terms.decode, 0.1 * 100 / 45, 1e-4);
    assert_int_equal(shown[1].excluded, EXCLUDED_TRIED);
    assert_true(shown[1].terms.total > 1e30f);
    ask_with(&a, 1);
    assert_int_equal(granted_node(), would.node);
    assert_int_equal(orders.order[0].next, 2 - would.node); /* of 0 and 2: 1 was tried */
    assert_float_equal(orders.order[0].next_terms.total, shown[2 - would.node].terms.total, 1e-5);
    explain(&a, 1);
    assert_true(shown[would.node].terms.slot > 0 && shown[would.node].terms.total < 1e30f);
    assert_int_equal(shown[would.node].excluded, EXCLUDED_FULL);
    assert_int_equal(shown[would.node].inflight, 1);
    assert_int_equal(scheduler_waiting(fleet, NONE), 0);
    scheduler_free(&fleet);
}

/* The same asks with explanations between them, and without. */
static void an_explanation_changes_nothing(void **state)
{
    for (unsigned p = 0; p < SCHEDULER_POLICIES; p++) {
        uint32_t got[2][12];
        for (int explains = 0; explains < 2; explains++) {
            fleet_begin(4, 1, (enum scheduler_policy)p);
            add_warm_nodes(4, 4);
            for (uint32_t i = 0; i < 12; i++) {
                struct scheduler_ask a = usual_ask(0, 100);
                a.key = mix(i);
                struct scheduler_would would = { 0 };
                for (int again = 0; again < 3 * explains; again++)
                    would = explain(&a, 1 + i);
                ask_with(&a, 1 + i);
                got[explains][i] = granted_node();
                assert_true(!explains || would.node == granted_node());
            }
            scheduler_free(&fleet);
        }
        assert_memory_equal(got[0], got[1], sizeof got[0]);
    }
}

static void a_worthwhile_wait_is_explained(void **state)
{
    fleet_begin(2, 1, SCHEDULER_eta);
    add_warm_nodes(2, 1);
    struct scheduler_ask a = usual_ask(0, 100);
    a.pin = 0;
    ask_with(&a, 1);
    struct prefix_hint hint = { 0, 9800 };
    a = usual_ask(0, 10000), a.hint = &hint, a.hints = 1;
    struct scheduler_would would = explain(&a, 2);
    assert_int_equal(would.node, NONE);
    assert_int_equal(would.waits_for, 0);
    scheduler_free(&fleet);
}

static uint32_t node_granted_to(uint64_t ticket)
{
    for (uint32_t i = 0; i < orders.n; i++)
        if (orders.order[i].verb == ORDER_GRANT && orders.order[i].ticket == ticket)
            return orders.order[i].node;
    return NONE;
}

/* Requests of any kind, while others wait or hold slots: what was explained comes true at once, or it waits. */
static void explanations_come_true_while_others_wait(void **state)
{
    for (unsigned p = 0; p < SCHEDULER_POLICIES; p++) {
        uint64_t chance = p + 1, ticket[200];
        uint32_t waited = 0, said = 0;
        fleet_begin(4, 1, (enum scheduler_policy)p);
        add_warm_nodes(4, 1);
        for (uint32_t i = 0; i < 200; i++) {
            uint64_t r = mix(chance += 7919);
            double now = 1 + i * 0.7;
            struct prefix_hint hint = { (uint32_t)(r % 4), 9800 };
            struct scheduler_ask a = usual_ask(0, r >> 8 & 1 ? 10000 : 100);
            a.key = r, a.tenant = r >> 10 & 3, a.band = (enum band)(r >> 12 & 1);
            if (r >> 14 & 1)
                a.hint = &hint, a.hints = 1;
            bool others = scheduler_waiting(fleet, NONE) > 0;
            struct scheduler_would would = explain(&a, now);
            ticket[i] = ask_with(&a, now);
            assert_int_equal(would.node, node_granted_to(ticket[i]));
            waited += would.node == NONE, said += others && would.node != NONE;
            for (uint32_t k = 0; k < i; k++)
                if (mix(r + k) % 4 == 0)
                    end(ticket[k], now + 0.1);
        }
        assert_true(waited > 0);
        assert_true(p != SCHEDULER_eta || said > 0);
        fleet_end();
    }
}

static void each_exclusion_has_its_reason(void **state)
{
    fleet_begin(8, 2, SCHEDULER_eta);
    for (uint32_t m = 0; m < 2; m++)
        scheduler_model(fleet, m, 8000000000, SCHEDULER_POLICIES, 0);
    for (uint32_t n = 0; n < 8; n++) {
        struct scheduler_node is = usual_node(n, 1);
        is.labels = 1, is.held = 1;
        is.up = n != 0, is.draining = n == 1, is.labels = n != 2;
        add_node(n, &is);
        if (n > 0 && n != 7)
            scheduler_note(fleet, n, n == 6, true, 0, &orders);
    }
    uint32_t tried[] = { 3 };
    struct scheduler_ask pinned = usual_ask(1, 100), a = usual_ask(0, 100);
    scheduler_holds(fleet, 4, 0, false, SLOTS_TOLD, 0, 0, &orders);
    scheduler_bar(fleet, 5, 0, true, 0, &orders);
    pinned.pin = 6;
    ask_with(&pinned, 1); /* so model 1 is busy on node 6, and model 0 finds no room there */
    assert_int_equal(granted_node(), 6);
    a.labels = 1, a.not_on = tried, a.not_on_n = 1;
    struct scheduler_would would = explain(&a, 2);
    enum scheduler_excluded want[] = { EXCLUDED_DOWN,     EXCLUDED_DRAINING, EXCLUDED_LABEL,   EXCLUDED_TRIED,
                                       EXCLUDED_NO_MODEL, EXCLUDED_BARRED,   EXCLUDED_NO_ROOM, EXCLUDED_NOT };
    for (uint32_t n = 0; n < 8; n++) {
        assert_int_equal(shown[n].excluded, want[n]);
        assert_true((shown[n].terms.total < 1e30f) == (n == 7));
    }
    assert_int_equal(would.node, NONE);
    assert_int_equal(would.loads_on, 7);
    assert_float_equal(shown[7].terms.load, 4, 1e-4);
    a.pin = 7;
    explain(&a, 2);
    assert_int_equal(shown[5].excluded, EXCLUDED_PINNED);
    for (unsigned e = 0; e < SCHEDULER_EXCLUDED; e++)
        assert_true(strlen(scheduler_excluded_says(e)) > 8);
    scheduler_free(&fleet);
}

static void a_load_underway_is_explained(void **state)
{
    fleet_begin(1, 2, SCHEDULER_eta);
    for (uint32_t m = 0; m < 2; m++)
        scheduler_model(fleet, m, 8000000000, SCHEDULER_POLICIES, 0);
    struct scheduler_node is = usual_node(0, 1);
    add_node(0, &is);
    ask(0, 100, 1);
    assert_int_equal(count_of(ORDER_LOAD), 1);
    struct scheduler_ask same = usual_ask(0, 100), other = usual_ask(1, 100);
    assert_int_equal(explain(&same, 2).loads_on, 0);
    assert_float_equal(shown[0].terms.load, 3, 1e-4);
    explain(&other, 2);
    assert_float_equal(shown[0].terms.load, 3 + 4, 1e-4);
    scheduler_orders_init(&orders);
    scheduler_loaded(fleet, 0, 0, false, 0, at(3), &orders);
    explain(&same, 3.5);
    assert_int_equal(shown[0].excluded, EXCLUDED_PAUSED);
    scheduler_free(&fleet);
}

static void names(void **state)
{
    enum scheduler_policy p;
    for (unsigned i = 0; i < SCHEDULER_POLICIES; i++) {
        assert_true(scheduler_policy_named(scheduler_policy_name((enum scheduler_policy)i), &p));
        assert_int_equal(p, i);
        assert_true(strlen(scheduler_policy_says(p)) > 10);
    }
    assert_false(scheduler_policy_named(STR("best"), &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns),
        cmocka_unit_test(rendezvous_is_by_weight_and_moves_little),
        cmocka_unit_test(two_choices_avoid_the_crowd),
        cmocka_unit_test(a_peak_of_latency_is_avoided_and_forgotten),
        cmocka_unit_test(late_takes_the_fastest_free_slot),
        cmocka_unit_test(a_model_may_have_its_own_policy),
        cmocka_unit_test(rates_of_a_node_are_learnt),
        cmocka_unit_test(a_failed_answer_teaches_no_rates),
        cmocka_unit_test(lengths_are_learnt_by_class),
        cmocka_unit_test(slots_are_learnt_from_tokens_that_overlap),
        cmocka_unit_test(a_probe_that_waited_is_not_repeated_soon),
        cmocka_unit_test(an_explanation_has_the_terms),
        cmocka_unit_test(an_explanation_changes_nothing),
        cmocka_unit_test(a_worthwhile_wait_is_explained),
        cmocka_unit_test(explanations_come_true_while_others_wait),
        cmocka_unit_test(each_exclusion_has_its_reason),
        cmocka_unit_test(a_load_underway_is_explained),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
