/* fleet/snapshot_test.c */
#include "fleet/fleet_fixture.h"

static void shows_what_is_worth_showing(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "x:1 y:1");
    models_body(m->ps, sizeof m->ps, "y:1");
    world_add_spec(w, (struct node_spec){
                          .url = STR("gpu1"), .weight = 2, .slots = 4, .labels = STR("zone:a"), .name = STR("one") });
    world_machine(w, "gpu2", "")->fails = FAIL_connect_refused;
    world_add(w, "gpu2");
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    struct fleet_snapshot *s = fleet_snapshot(w->f, w->now);
    world_end(w, &t, OK);
    orders_init(&w->out);
    fleet_remove(w->f, STR("one"), w->now, &w->out); /* the copy outlives the node */
    assert_int_equal(s->n, 2);
    assert_int_equal(s->up, 1);
    assert_int_equal(s->now, w->now);
    const struct node_view *v = &s->node[0];
    assert_str(v->name, "one");
    assert_str(v->url, "http://gpu1:11434");
    assert_str(v->labels, "zone:a");
    assert_str(v->version, "0.12.3");
    assert_int_equal(v->slots, 4);
    assert_int_equal(v->inflight, 1);
    assert_int_equal(v->state, NODE_UP);
    assert_int_equal(v->models, 2);
    assert_int_equal(v->loaded, 1);
    assert_str(v->resident[0].show, "y:1");
    assert_int_equal(s->node[1].state, NODE_DOWN);
    assert_str(s->node[1].last_error_text, "the node refused the connection");
    assert_int_equal(s->node[1].last_error, FAIL_connect_refused);
    fleet_snapshot_free(&s);
    assert_null(s);
    world_free(w);
}

/* Slots, rates, breakers: of models that were asked for. */
static void shows_what_nodes_do_with_models(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1 y:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = 4 });
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    struct attempt_end end = { .status = 200, .ended = w->now };
    end.figures =
        (struct figures){ .prompt_tokens = 1000, .prompt_eval = SECOND(1), .output_tokens = 100, .eval = SECOND(2) };
    orders_init(&w->out);
    fleet_end(w->f, &t.lease, &end, w->now, &w->out);
    for (unsigned i = 0; i < 5; i++) {
        struct ticket bad = ticket_for(KEY("x:1"));
        if (world_ask(w, &bad) == VERDICT_GRANTED)
            world_end(w, &bad, FAIL_upstream_error);
    }
    struct ticket held = ticket_for(KEY("y:1"));
    struct fleet_snapshot *s = fleet_snapshot(w->f, w->now);
    assert_true(fleet_snapshot_serves(w->f, s));
    const struct node_serves *x = node_view_serves(&s->node[0], t.model_hash);
    assert_non_null(x);
    assert_int_equal(x->slots, 4);
    assert_int_equal(x->inflight, 0);
    assert_float_equal(x->rates.prefill, 1000, 1);
    assert_float_equal(x->rates.decode, 50, 1);
    assert_true(x->rates.load == 0);
    assert_int_equal(x->breaker, BREAKER_OPEN);
    assert_int_equal(s->node[0].breaker, BREAKER_OPEN);
    assert_null(node_view_serves(&s->node[0], held.model_hash));
    fleet_snapshot_free(&s);
    world_free(w);
}

static void an_empty_fleet(void **state)
{
    struct world *w = world_new();
    struct fleet_snapshot *s = fleet_snapshot(w->f, w->now);
    assert_int_equal(s->n, 0);
    fleet_snapshot_free(&s);
    fleet_snapshot_free(&s);
    world_free(w);
}

static void memory_runs_out(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    struct fleet_snapshot *s = NULL;
    for (uint64_t nth = 1; !s; nth++) {
        memory_fail_at(nth);
        s = fleet_snapshot(w->f, w->now);
        memory_fail_at(0);
        assert_int_equal(node_at(w, "gpu1")->pins, 0);
        assert_true(nth < 50);
    }
    fleet_snapshot_free(&s);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_is_worth_showing),
        cmocka_unit_test(shows_what_nodes_do_with_models),
        cmocka_unit_test(an_empty_fleet),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
