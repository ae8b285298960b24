/* fleet/explain_test.c - dry runs of fleet_ask. */
#include "fleet/fleet_fixture.h"
#include <math.h>

static struct fleet_explained *explain(struct world *w, const struct ticket *t)
{
    orders_init(&w->out);
    struct fleet_explained *e = fleet_explain(w->f, t, w->now, &w->out);
    assert_non_null(e);
    carry_out(w);
    return e;
}

static void add(struct world *w, const char *host, int slots, const char *loaded)
{
    struct machine *m = world_machine(w, host, "x:1 y:1");
    models_body(m->ps, sizeof m->ps, loaded);
    world_add_spec(w, (struct node_spec){ .url = str_of(host), .slots = slots });
}

static void the_request_that_follows_gets_that_node(void **state)
{
    struct world *w = world_new();
    add(w, "gpu1", 1, "x:1");
    add(w, "gpu2", 1, "x:1");
    add(w, "gpu3", 1, "");
    world_settle(w);
    struct ticket t[3];
    for (unsigned i = 0; i < 3; i++) {
        t[i] = ticket_for(KEY("x:1"));
        t[i].key = 77 * i, t[i].prompt_tokens = 1000;
        struct fleet_explained *e = explain(w, &t[i]);
        assert_int_equal(e->refused, OK);
        assert_int_equal(e->policy, SCHEDULER_eta);
        assert_int_equal(e->n, 3);
        assert_int_equal(world_ask(w, &t[i]), i < 2 ? VERDICT_GRANTED : VERDICT_WAITS);
        if (i < 2)
            assert_true(str_eq(e->candidate[e->node].node, t[i].lease.node->name));
        else
            assert_int_equal(e->node, SCHEDULER_NONE);
        fleet_explained_free(&e);
        assert_null(e);
    }
    world_end(w, &t[0], OK);
    world_end(w, &t[1], OK);
    world_end(w, &t[2], OK);
    world_free(w);
}

static void the_others_have_their_reasons(void **state)
{
    struct world *w = world_new();
    add(w, "gpu1", 1, "x:1");
    add(w, "gpu2", 1, "x:1");
    world_machine(w, "gpu3", "x:1")->fails = FAIL_connect_refused;
    world_add(w, "gpu3");
    world_node(w, "gpu4", "y:1");
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
    struct fleet_explained *e = explain(w, &t);
    uint32_t busy = str_eq(t.lease.node->name, STR("gpu1")) ? 0 : 1;
    assert_str(e->candidate[0].node, "gpu1");
    assert_int_equal(e->candidate[busy].is.excluded, EXCLUDED_FULL);
    assert_true(e->candidate[busy].is.terms.slot > 0);
    assert_int_equal(e->node, 1 - busy);
    assert_int_equal(e->candidate[2].is.excluded, EXCLUDED_DOWN);
    assert_int_equal(e->candidate[3].is.excluded, EXCLUDED_NO_MODEL);
    fleet_explained_free(&e);
    world_end(w, &t, OK);
    world_free(w);
}

static void nothing_begins(void **state)
{
    struct world *w = world_new();
    add(w, "gpu1", 1, "");
    world_settle(w);
    struct ticket t = ticket_for(KEY("y:1"));
    for (unsigned i = 0; i < 3; i++) {
        struct fleet_explained *e = explain(w, &t);
        assert_int_equal(e->node, SCHEDULER_NONE);
        assert_int_equal(e->loads_on, 0);
        assert_true(e->candidate[0].is.terms.load > 0);
        fleet_explained_free(&e);
        world_elapse(w, SECOND(6));
    }
    assert_int_equal(w->loads, 0);
    assert_int_equal(w->f->queued_n + w->f->waiting_n, 0);
    assert_int_equal(w->f->variants, 1);
    world_free(w);
}

/* Nobody has it: it is not even introduced, and no node is asked for news. */
static void an_unknown_model_stays_unknown(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    unsigned asked = m->asked[PROBE_TAGS];
    struct ticket t = ticket_for(KEY("nope:1"));
    struct fleet_explained *e = explain(w, &t);
    assert_int_equal(e->refused, FAIL_model_not_found);
    assert_int_equal(e->n, 1);
    assert_int_equal(e->candidate[0].is.excluded, EXCLUDED_NO_MODEL);
    assert_int_equal(w->f->variants, 0);
    assert_int_equal(m->asked[PROBE_TAGS], asked);
    fleet_explained_free(&e);
    world_free(w);
}

static void nobody_is_thrown_out_for_it(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct options o = { 0 };
    for (unsigned i = 0; i < VARIANTS_MAX; i++) {
        struct ticket t = ticket_for(KEY("x:1"));
        o.hash = i + 1, t.options = &o;
        fleet_explained_free(&(struct fleet_explained *){ explain(w, &t) });
    }
    struct ticket t = ticket_for(KEY("x:1"));
    struct fleet_explained *e = explain(w, &t);
    assert_int_equal(e->refused, FAIL_queue_full);
    fleet_explained_free(&e);
    o.hash = 1, t.options = &o;
    e = explain(w, &t);
    assert_int_equal(e->refused, OK);
    fleet_explained_free(&e);
    world_free(w);
}

static void memory_runs_out(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1"));
    struct fleet_explained *e = NULL;
    for (uint64_t nth = 1; !e; nth++) {
        orders_init(&w->out);
        memory_fail_at(nth);
        e = fleet_explain(w->f, &t, w->now, &w->out);
        memory_fail_at(0);
        carry_out(w);
        assert_int_equal(node_at(w, "gpu1")->pins, 0);
        assert_true(nth < 50);
    }
    fleet_explained_free(&e);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_that_follows_gets_that_node),
        cmocka_unit_test(the_others_have_their_reasons),
        cmocka_unit_test(nothing_begins),
        cmocka_unit_test(an_unknown_model_stays_unknown),
        cmocka_unit_test(nobody_is_thrown_out_for_it),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
