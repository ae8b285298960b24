/* fleet/roster_test.c - nodes come, change and go. */
#include "fleet/fleet_fixture.h"

static enum fail add(struct world *w, const char *url, const char *name, const char **why)
{
    struct node_spec spec = { .url = str_of(url), .name = str_of(name), .slots = -1 };
    uint64_t id;
    orders_init(&w->out);
    enum fail bad = fleet_add(w->f, &spec, true, w->now, &id, why, &w->out);
    carry_out(w);
    return bad;
}

static enum fail removes(struct world *w, const char *name)
{
    orders_init(&w->out);
    enum fail bad = fleet_remove(w->f, str_of(name), w->now, &w->out);
    carry_out(w);
    return bad;
}

static void names_and_places_are_taken_once(void **state)
{
    struct world *w = world_new();
    const char *why;
    assert_int_equal(add(w, "gpu1", NULL, &why), OK);
    assert_int_equal(add(w, "http://GPU1:11434/", "other", &why), FAIL_conflict);
    assert_non_null(strstr(why, "URL"));
    assert_int_equal(add(w, "gpu2", "gpu1", &why), FAIL_conflict);
    assert_non_null(strstr(why, "name"));
    assert_int_equal(add(w, "gpu1:1", NULL, &why), OK);
    assert_int_equal(add(w, "http://gpu1:11434/prefix", NULL, &why), OK);
    assert_str(node_at(w, "gpu1")->name, "gpu1");
    assert_str(w->f->node[1]->name, "gpu1:1");
    assert_str(w->f->node[2]->name, "gpu1:11434");
    assert_int_equal(add(w, "ftp://x", NULL, &why), FAIL_bad_setting);
    assert_non_null(why);
    assert_int_equal(w->f->nodes, 3);
    world_free(w);
}

static void there_is_an_end_to_nodes(void **state)
{
    struct world *w = world_new();
    const char *why;
    char url[32];
    for (unsigned i = 0; i < NODES_MAX; i++) {
        snprintf(url, sizeof url, "10.0.%u.%u", i / 256, i % 256);
        assert_int_equal(add(w, url, NULL, &why), OK);
    }
    assert_int_equal(add(w, "10.1.0.0", NULL, &why), FAIL_bad_setting);
    assert_non_null(strstr(why, "1024"));
    assert_int_equal(removes(w, "10.0.1.7"), OK);
    assert_int_equal(add(w, "10.1.0.0", NULL, &why), OK);
    assert_int_equal(node_at(w, "10.1.0.0")->no, 256 + 7);
    world_free(w);
}

static void a_removed_node_goes_with_its_last_lease(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1")), late = t;
    assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
    assert_int_equal(removes(w, "gpu1"), OK);
    assert_int_equal(t.lease.node->state, NODE_DRAINING);
    assert_int_equal(removes(w, "gpu1"), FAIL_node_unknown);
    assert_int_equal(world_ask(w, &late), VERDICT_REFUSED);
    world_add(w, "gpu1"); /* its name is free */
    assert_int_equal(w->f->nodes, 2);
    world_end(w, &t, OK);
    assert_int_equal(w->f->nodes, 1);
    assert_int_equal(w->f->living, 1);
    assert_int_equal(node_at(w, "gpu1")->id, 2);
    world_free(w);
}

/* A place is used again; what the node before it had is not. */
static void a_new_node_inherits_nothing(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    removes(w, "gpu1");
    models_body(m->tags, sizeof m->tags, "y:1"); /* told while it drains */
    orders_init(&w->out);
    fleet_refresh(w->f, 0, w->now, &w->out);
    carry_out(w);
    world_end(w, &t, OK);
    world_node(w, "gpu2", "z:1");
    world_settle(w);
    assert_int_equal(node_at(w, "gpu2")->no, 0);
    struct ticket y = ticket_for(KEY("y:1"));
    world_ask(w, &t), world_ask(w, &y); /* a refresh, then: */
    assert_int_equal(t.refused, FAIL_model_not_found);
    assert_int_equal(y.refused, FAIL_model_not_found);
    assert_str(world_serve(w, KEY("z:1")), "gpu2");
    world_free(w);
}

static void a_pin_keeps_a_removed_node_in_memory(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    struct node *n = fleet_pin_named(w->f, STR("gpu1"));
    assert_non_null(n);
    removes(w, "gpu1");
    assert_int_equal(n->state, NODE_REMOVED);
    assert_str(n->name, "gpu1");
    assert_int_equal(w->f->nodes, 0);
    assert_int_equal(w->f->living, 1);
    fleet_unpin(w->f, &n);
    assert_null(n);
    assert_int_equal(w->f->living, 0);
    assert_null(fleet_pin_named(w->f, STR("gpu1")));
    world_free(w);
}

static void a_probe_outlives_its_node(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1")->silent = true;
    world_add(w, "gpu1");
    removes(w, "gpu1");
    assert_int_equal(w->f->living, 1);
    assert_true(fleet_knows(w->f));
    world_miss(w, OK);
    assert_int_equal(w->f->living, 0);
    world_free(w);
}

static void weight_and_slots_change(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    struct node *n = node_at(w, "gpu1");
    struct node_change c = { .weight = 2.5, .slots = 4, .drain = -1 },
                       keep = { .weight = -1, .slots = -2, .drain = -1 };
    orders_init(&w->out);
    assert_int_equal(fleet_change(w->f, STR("gpu1"), &c, w->now, &w->out), OK);
    assert_int_equal(fleet_change(w->f, STR("gpu1"), &keep, w->now, &w->out), OK);
    assert_true(n->weight == 2.5);
    assert_int_equal(n->slots, 4);
    assert_int_equal(n->state, NODE_UP);
    assert_int_equal(fleet_change(w->f, STR("gpu9"), &c, w->now, &w->out), FAIL_node_unknown);
    world_free(w);
}

static void pins_of_holders(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    struct machine *m = world_node(w, "gpu2", "x:1 y:1");
    world_node(w, "gpu3", "y:1");
    world_settle(w);
    struct node *n[8];
    m->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(6));
    assert_int_equal(fleet_pin_holders(w->f, STR(KEY("x:1")), false, n, 8, w->now), 2);
    fleet_unpin(w->f, &n[0]), fleet_unpin(w->f, &n[1]);
    assert_int_equal(fleet_pin_holders(w->f, STR(KEY("x:1")), true, n, 8, w->now), 1);
    assert_str(n[0]->name, "gpu1");
    fleet_unpin(w->f, &n[0]);
    assert_int_equal(fleet_pin_holders(w->f, STR_NONE, false, n, 8, w->now), 2);
    fleet_unpin(w->f, &n[0]), fleet_unpin(w->f, &n[1]);
    assert_int_equal(fleet_pin_holders(w->f, STR_NONE, true, n, 1, w->now), 1);
    fleet_unpin(w->f, &n[0]);
    world_free(w);
}

/* As a configuration is put in before there is a gateway, and changed by a reload: the next turn orders. */
static void changes_without_orders_wait_for_the_turn(void **state)
{
    struct world *w = world_new();
    struct node_spec spec = { .url = STR("gpu1"), .slots = -1 };
    struct node_change drain = { .weight = -1, .slots = -2, .drain = 1 };
    const char *why = NULL;
    uint64_t id;
    struct machine *m = world_machine(w, "gpu1", "llama3");
    assert_int_equal(fleet_add(w->f, &spec, false, w->now, &id, &why, NULL), OK);
    assert_int_equal(m->asked[PROBE_VERSION], 0);
    world_settle(w);
    assert_true(m->asked[PROBE_VERSION] > 0);
    assert_int_equal(fleet_change(w->f, STR("gpu1"), &drain, w->now, NULL), OK);
    assert_int_equal(w->f->node[0]->state, NODE_DRAINING);
    assert_int_equal(fleet_remove(w->f, STR("gpu1"), w->now, NULL), OK);
    world_settle(w);
    assert_int_equal(w->f->nodes, 0);
    world_free(w);
}

static void memory_runs_out_while_adding(void **state)
{
    struct world *w = world_new();
    enum fail bad = FAIL_no_memory;
    for (uint64_t nth = 1; bad; nth++) {
        struct node_spec spec = { .url = STR("10.0.0.1"), .labels = STR("a:b"), .slots = -1 };
        uint64_t id;
        const char *why;
        orders_init(&w->out);
        memory_fail_at(nth);
        bad = fleet_add(w->f, &spec, true, w->now, &id, &why, &w->out);
        memory_fail_at(0);
        assert_true(bad == OK || bad == FAIL_no_memory);
        assert_int_equal(w->f->nodes, bad ? 0 : 1);
        carry_out(w);
        assert_true(nth < 50);
    }
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_places_are_taken_once),
        cmocka_unit_test(there_is_an_end_to_nodes),
        cmocka_unit_test(a_removed_node_goes_with_its_last_lease),
        cmocka_unit_test(a_new_node_inherits_nothing),
        cmocka_unit_test(a_pin_keeps_a_removed_node_in_memory),
        cmocka_unit_test(a_probe_outlives_its_node),
        cmocka_unit_test(weight_and_slots_change),
        cmocka_unit_test(pins_of_holders),
        cmocka_unit_test(changes_without_orders_wait_for_the_turn),
        cmocka_unit_test(memory_runs_out_while_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
