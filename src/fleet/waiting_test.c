/* fleet/waiting_test.c - tickets that wait, and the retry budget. */
#include "fleet/fleet_fixture.h"

static void waits_for_the_first_round(void **state)
{
    struct world *w = world_new();
    struct machine *a = world_machine(w, "gpu1", "x:1"), *b = world_machine(w, "gpu2", "x:1");
    a->silent = b->silent = true;
    world_add(w, "gpu1"), world_add(w, "gpu2");
    world_elapse(w, MSEC(10));
    struct ticket t = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    assert_false(fleet_knows(w->f));
    assert_int_equal(w->f->waiting_n, 1);
    a->silent = false, b->silent = false;
    world_miss(w, OK);
    assert_true(fleet_knows(w->f));
    assert_int_equal(w->decided, 1);
    assert_int_equal(t.verdict, VERDICT_GRANTED);
    assert_int_equal(t.decision.candidates, 2);
    world_end(w, &t, OK);
    world_free(w);
}

static void waits_a_second_for_it_at_most(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_machine(w, "gpu2", "x:1")->silent = true;
    world_add(w, "gpu2");
    struct ticket t = ticket_for(KEY("x:1"));
    orders_init(&w->out);
    assert_int_equal(fleet_ask(w->f, &t, w->now, &w->out), VERDICT_WAITS);
    assert_true(w->out.next_turn <= w->now + SECOND(1));
    world_elapse(w, MSEC(990));
    assert_int_equal(t.verdict, VERDICT_WAITS);
    world_elapse(w, MSEC(10));
    assert_int_equal(t.verdict, VERDICT_GRANTED);
    world_end(w, &t, OK);
    struct ticket next = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &next), VERDICT_GRANTED);
    world_end(w, &next, OK);
    world_free(w);
}

static void an_unknown_model_is_asked_for_once_more(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    unsigned before = m->asked[PROBE_TAGS];
    models_body(m->tags, sizeof m->tags, "x:1 z:1"); /* pulled behind our back */
    m->silent = true;
    struct ticket t = ticket_for(KEY("z:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    assert_int_equal(m->asked[PROBE_TAGS], before + 1);
    m->silent = false;
    world_miss(w, OK);
    assert_int_equal(t.verdict, VERDICT_GRANTED);
    world_end(w, &t, OK);
    world_free(w);
}

static void refreshes_are_coalesced(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    unsigned before = m->asked[PROBE_TAGS];
    m->silent = true;
    struct ticket t[50];
    for (unsigned i = 0; i < 50; i++) {
        t[i] = ticket_for(KEY("z:1"));
        assert_int_equal(world_ask(w, &t[i]), VERDICT_WAITS);
    }
    m->silent = false;
    world_miss(w, OK);
    assert_int_equal(w->decided, 50);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(t[i].refused, FAIL_model_not_found);
    struct ticket late = ticket_for(KEY("other:1"));
    assert_int_equal(world_ask(w, &late), VERDICT_REFUSED); /* just asked: known */
    assert_int_equal(late.refused, FAIL_model_not_found);
    assert_int_equal(m->asked[PROBE_TAGS], before + 1);
    world_elapse(w, SECOND(1));
    world_ask(w, &late);
    assert_int_equal(m->asked[PROBE_TAGS], before + 2);
    world_free(w);
}

static void a_node_that_hangs_holds_it_up_for_two_seconds(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    struct machine *m = world_node(w, "gpu2", "x:1");
    world_settle(w);
    m->silent = true;
    struct ticket t = ticket_for(KEY("z:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    world_elapse(w, MSEC(1990));
    assert_int_equal(t.verdict, VERDICT_WAITS);
    world_elapse(w, MSEC(10));
    assert_int_equal(t.verdict, VERDICT_REFUSED);
    assert_int_equal(t.refused, FAIL_model_not_found);
    world_free(w);
}

/* An answer that was ordered before the round began proves nothing. */
static void an_old_probe_does_not_count_for_the_round(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    m->silent = true;
    orders_init(&w->out);
    fleet_refresh(w->f, 0, w->now, &w->out);
    carry_out(w);
    struct ticket t = ticket_for(KEY("z:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    world_miss(w, OK);
    assert_int_equal(t.verdict, VERDICT_WAITS);
    world_miss(w, OK);
    assert_int_equal(t.verdict, VERDICT_REFUSED);
    world_free(w);
}

static void deadlines_end_a_wait(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1")->silent = true;
    world_add(w, "gpu1");
    struct ticket t = ticket_for(KEY("x:1"));
    t.deadline = w->now + MSEC(100);
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    world_elapse(w, MSEC(100));
    assert_int_equal(t.refused, FAIL_deadline);
    assert_true(t.retry_after_s >= 1);
    assert_int_equal(world_ask(w, &t), VERDICT_REFUSED);
    world_free(w);
}

static void cancelled_while_waiting_and_after_the_grant(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "x:1");
    m->silent = true;
    world_add(w, "gpu1");
    struct ticket a = ticket_for(KEY("x:1")), b = a;
    world_ask(w, &a), world_ask(w, &b);
    orders_init(&w->out);
    assert_true(fleet_cancel(w->f, &a, w->now, &w->out));
    assert_int_equal(w->f->waiting_n, 1);
    m->silent = false;
    world_miss(w, OK);
    assert_int_equal(b.verdict, VERDICT_GRANTED);
    assert_true(b.announced && !a.announced);
    orders_init(&w->out);
    assert_false(fleet_cancel(w->f, &b, w->now, &w->out));
    assert_null(b.lease.node);
    assert_int_equal(b.refused, FAIL_client_gone);
    assert_int_equal(node_at(w, "gpu1")->inflight, 0);
    assert_int_equal(node_at(w, "gpu1")->requests, 0);
    world_free(w);
}

static unsigned retries_allowed(struct world *w, unsigned asks)
{
    unsigned allowed = 0;
    for (unsigned i = 0; i < asks; i++) {
        struct ticket t = ticket_for(KEY("x:1"));
        t.retry_counts = true;
        t.tried_n = 1;
        if (world_ask(w, &t) != VERDICT_GRANTED) {
            assert_int_equal(t.refused, FAIL_retries_exhausted);
            continue;
        }
        allowed++;
        world_end(w, &t, OK);
    }
    return allowed;
}

static void retries_have_a_budget(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    assert_int_equal(retries_allowed(w, 100), 10);
    w->now += SECOND(3);
    assert_int_equal(retries_allowed(w, 100), 3);
    for (unsigned i = 0; i < 26; i++)
        world_serve(w, KEY("x:1"));
    assert_int_equal(retries_allowed(w, 100), 5);
    for (unsigned i = 0; i < 1000; i++)
        world_serve(w, KEY("x:1"));
    assert_int_equal(retries_allowed(w, 100), 10);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_the_first_round),
        cmocka_unit_test(waits_a_second_for_it_at_most),
        cmocka_unit_test(an_unknown_model_is_asked_for_once_more),
        cmocka_unit_test(refreshes_are_coalesced),
        cmocka_unit_test(a_node_that_hangs_holds_it_up_for_two_seconds),
        cmocka_unit_test(an_old_probe_does_not_count_for_the_round),
        cmocka_unit_test(deadlines_end_a_wait),
        cmocka_unit_test(cancelled_while_waiting_and_after_the_grant),
        cmocka_unit_test(retries_have_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
