/* fleet/choice_test.c - who may serve, and the sentence when nobody can. */
#include "fleet/fleet_fixture.h"

static enum fail refusal(struct world *w, struct ticket *t)
{
    assert_int_equal(world_ask(w, t), VERDICT_REFUSED);
    assert_null(t->lease.node);
    return t->refused;
}
static enum fail refusal_for(struct world *w, const char *key)
{
    struct ticket t = ticket_for(key);
    return refusal(w, &t);
}

static void fails_now(struct world *w, const char *host, enum fail why)
{
    machine_of(w, str_of(host))->fails = why;
    world_elapse(w, SECOND(12));
}

static struct world *three(void)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_node(w, "gpu2", "x:1 y:1");
    world_node(w, "gpu3", "y:1");
    world_settle(w);
    return w;
}

static void only_nodes_that_have_the_model(void **state)
{
    struct world *w = three();
    unsigned served[3] = { 0 };
    w->settings.policy = SCHEDULER_round_robin;
    fleet_configure(w->f, &w->settings);
    for (int i = 0; i < 20; i++) {
        struct str host = world_serve(w, KEY("x:1"));
        served[host.p[3] - '1']++;
    }
    assert_int_equal(served[0], 10);
    assert_int_equal(served[1], 10);
    assert_int_equal(served[2], 0);
    world_free(w);
}

static void the_decision_is_told(void **state)
{
    struct world *w = three();
    struct ticket t = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    assert_decided(&t, "t=0.44 slot=0 load=0 prefill=0 decode=0.44 n=2");
    assert_int_equal(t.lease.model, t.model_hash);
    assert_int_equal(addr_port(&t.lease.addr), 11434);
    assert_true(t.lease.known_loaded);
    world_end(w, &t, OK);
    world_free(w);
}

static void suspect_only_when_nobody_else_can(void **state)
{
    struct world *w = three();
    machine_of(w, STR("gpu1"))->fails = FAIL_first_byte_timeout;
    world_elapse(w, SECOND(5));
    assert_int_equal(node_at(w, "gpu1")->state, NODE_SUSPECT);
    for (int i = 0; i < 4; i++)
        assert_str(world_serve(w, KEY("x:1")), "gpu2");
    struct ticket t = ticket_for(KEY("x:1"));
    t.tried[t.tried_n++] = node_at(w, "gpu2")->id;
    world_ask(w, &t);
    assert_str(t.lease.node->name, "gpu1");
    world_end(w, &t, FAIL_upstream_reset);
    world_free(w);
}

static void no_more_than_max_inflight(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1"), world_machine(w, "gpu2", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .max_inflight = 1 });
    world_add_spec(w, (struct node_spec){ .url = STR("gpu2"), .max_inflight = 2 });
    world_settle(w);
    struct ticket t[4] = { ticket_for(KEY("x:1")), ticket_for(KEY("x:1")), ticket_for(KEY("x:1")),
                           ticket_for(KEY("x:1")) };
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world_ask(w, &t[i]), VERDICT_GRANTED);
    assert_int_equal(node_at(w, "gpu1")->inflight, 1);
    assert_int_equal(node_at(w, "gpu2")->inflight, 2);
    assert_int_equal(world_ask(w, &t[3]), VERDICT_WAITS);
    world_end(w, &t[0], OK);
    assert_int_equal(t[3].verdict, VERDICT_GRANTED);
    for (unsigned i = 1; i < 4; i++)
        world_end(w, &t[i], OK);
    world_free(w);
}

static void ollama_only(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1 y:1")->kind = NODE_VLLM;
    world_add(w, "gpu1");
    world_node(w, "gpu2", "x:1");
    world_settle(w);
    for (int i = 0; i < 4; i++) {
        struct ticket t = ticket_for(KEY("x:1"));
        t.ollama_only = true;
        assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
        assert_str(t.lease.node->name, "gpu2");
        world_end(w, &t, OK);
    }
    struct ticket y = ticket_for(KEY("y:1"));
    y.ollama_only = true;
    assert_int_equal(refusal(w, &y), FAIL_no_node);
    world_free(w);
}

static void pins(void **state)
{
    struct world *w = three();
    struct ticket t = ticket_for(KEY("x:1"));
    t.pin = STR("gpu2");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
        assert_str(t.lease.node->name, "gpu2");
        assert_decided(&t, "policy=pin inflight=0 n=1");
        world_end(w, &t, OK);
    }
    t.pin = STR_NONE;
    t.pin_id = node_at(w, "gpu1")->id;
    world_ask(w, &t);
    assert_str(t.lease.node->name, "gpu1");
    world_end(w, &t, OK);
    t.pin_id = 99;
    assert_int_equal(refusal(w, &t), FAIL_node_unknown);
    t.pin_id = node_at(w, "gpu3")->id;
    world_ask(w, &t); /* a refresh, then: */
    assert_int_equal(t.refused, FAIL_model_not_found);
    fails_now(w, "gpu1", FAIL_connect_refused);
    t.pin_id = node_at(w, "gpu1")->id;
    assert_int_equal(refusal(w, &t), FAIL_no_node);
    world_free(w);
}

static void without_a_model_the_first_usable_node(void **state)
{
    struct world *w = three();
    for (int i = 0; i < 3; i++)
        assert_str(world_serve(w, NULL), "gpu1");
    fails_now(w, "gpu1", FAIL_connect_refused);
    for (int i = 0; i < 3; i++)
        assert_str(world_serve(w, NULL), "gpu2");
    fails_now(w, "gpu2", FAIL_connect_refused);
    fails_now(w, "gpu3", FAIL_connect_refused);
    assert_int_equal(refusal_for(w, NULL), FAIL_no_node);
    world_free(w);
}

static void all_tried(void **state)
{
    struct world *w = three();
    struct ticket t = ticket_for(KEY("x:1"));
    t.tried[t.tried_n++] = node_at(w, "gpu1")->id;
    assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
    assert_str(t.lease.node->name, "gpu2");
    world_end(w, &t, FAIL_upstream_reset);
    t.tried[t.tried_n++] = node_at(w, "gpu2")->id;
    assert_int_equal(refusal(w, &t), FAIL_retries_exhausted);
    assert_int_equal(t.retry_after_s, 0);
    world_free(w);
}

static void holders_that_are_down(void **state)
{
    struct world *w = three();
    fails_now(w, "gpu1", FAIL_connect_refused);
    fails_now(w, "gpu2", FAIL_first_byte_timeout);
    struct ticket t = ticket_for(KEY("x:1"));
    assert_int_equal(refusal(w, &t), FAIL_no_holder_up);
    assert_in_range(t.retry_after_s, 1, 5);
    assert_str(world_serve(w, KEY("y:1")), "gpu3");
    world_elapse(w, SECOND(1000)); /* what they had is remembered for good */
    assert_int_equal(refusal_for(w, KEY("x:1")), FAIL_no_holder_up);
    fails_now(w, "gpu3", FAIL_connect_refused);
    assert_int_equal(refusal_for(w, KEY("x:1")), FAIL_no_node);
    assert_int_equal(refusal_for(w, KEY("z:1")), FAIL_no_node);
    world_free(w);
}

static void no_nodes_at_all(void **state)
{
    struct world *w = world_new();
    assert_int_equal(refusal_for(w, KEY("x:1")), FAIL_no_node);
    assert_int_equal(refusal_for(w, NULL), FAIL_no_node);
    world_free(w);
}

static void draining_nodes_get_nothing(void **state)
{
    struct world *w = three();
    struct node_change drain = NODE_CHANGE_NOTHING;
    drain.drain = 1;
    orders_init(&w->out);
    fleet_change(w->f, STR("gpu1"), &drain, w->now, &w->out);
    for (int i = 0; i < 4; i++)
        assert_str(world_serve(w, KEY("x:1")), "gpu2");
    orders_init(&w->out);
    fleet_change(w->f, STR("gpu2"), &drain, w->now, &w->out);
    assert_int_equal(refusal_for(w, KEY("x:1")), FAIL_no_holder_up);
    world_free(w);
}

/* `ollama run` pulls on 404: it must not be said while a node that never told might have the model. */
static void a_node_that_never_answered_might_have_it(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_machine(w, "gpu2", "")->fails = FAIL_connect_refused;
    world_add(w, "gpu2");
    world_settle(w);
    struct ticket t = ticket_for(KEY("z:1"));
    world_ask(w, &t);
    assert_int_equal(t.refused, FAIL_no_holder_up);
    world_elapse(w, SECOND(60));
    world_ask(w, &t);
    assert_int_equal(t.refused, FAIL_model_not_found);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_nodes_that_have_the_model),
        cmocka_unit_test(the_decision_is_told),
        cmocka_unit_test(suspect_only_when_nobody_else_can),
        cmocka_unit_test(no_more_than_max_inflight),
        cmocka_unit_test(ollama_only),
        cmocka_unit_test(pins),
        cmocka_unit_test(without_a_model_the_first_usable_node),
        cmocka_unit_test(all_tried),
        cmocka_unit_test(holders_that_are_down),
        cmocka_unit_test(no_nodes_at_all),
        cmocka_unit_test(draining_nodes_get_nothing),
        cmocka_unit_test(a_node_that_never_answered_might_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
