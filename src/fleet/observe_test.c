/* fleet/observe_test.c - what probes find, and what happens to what they bring. */
#include "fleet/fleet_fixture.h"

static struct world *one_node(void)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    return w;
}

/* As if the probe had been ordered. */
static void observe(struct world *w, struct observation *ob)
{
    struct node *n = node_at(w, "gpu1");
    n->pins++;
    n->probing |= ob->what;
    orders_init(&w->out);
    fleet_observe(w->f, n, ob, w->now, &w->out);
}

static struct inventory *bodied(const char *names)
{
    char body[4000];
    return read_body(models_body(body, sizeof body, names), 0);
}

static void a_new_inventory_is_taken_over(void **state)
{
    struct world *w = one_node();
    struct observation ob = { .what = PROBE_TAGS, .inventory = bodied("y:1") };
    observe(w, &ob);
    assert_null(ob.inventory);
    assert_true(w->out.views_changed);
    assert_str(world_serve(w, KEY("y:1")), "gpu1");
    struct ticket x = ticket_for(KEY("x:1"));
    world_ask(w, &x);
    assert_int_equal(x.refused, OK); /* the refresh brought it back */
    world_end(w, &x, OK);
    world_free(w);
}

static void the_same_inventory_stays_with_the_caller(void **state)
{
    struct world *w = one_node();
    struct observation ob = { .what = PROBE_TAGS, .inventory = bodied("x:1") };
    struct inventory *mine = ob.inventory;
    observe(w, &ob);
    assert_ptr_equal(ob.inventory, mine);
    assert_false(w->out.views_changed);
    inventory_free(&ob.inventory);
    world_free(w);
}

static void a_node_that_has_gone_takes_nothing(void **state)
{
    struct world *w = one_node();
    struct node *n = fleet_pin_named(w->f, STR("gpu1"));
    n->probing |= PROBE_TAGS;
    orders_init(&w->out);
    fleet_remove(w->f, STR("gpu1"), w->now, &w->out);
    struct observation ob = { .what = PROBE_TAGS, .inventory = bodied("y:1") };
    orders_init(&w->out);
    fleet_observe(w->f, n, &ob, w->now, &w->out);
    assert_non_null(ob.inventory);
    inventory_free(&ob.inventory);
    assert_int_equal(w->f->living, 0);
    world_free(w);
}

static void many_models_make_the_index_grow(void **state)
{
    struct world *w = one_node();
    for (unsigned round = 0; round < 20; round++) {
        char names[1000];
        size_t n = 0;
        for (unsigned i = 0; i < 30; i++)
            n += (size_t)snprintf(names + n, sizeof names - n, "m%u:%u ", i, round);
        names[n - 1] = 0;
        char *body = malloc(20000);
        struct observation ob = { .what = PROBE_TAGS, .inventory = read_body(models_body(body, 20000, names), 0) };
        free(body);
        observe(w, &ob);
        assert_null(ob.inventory);
    }
    assert_str(world_serve(w, KEY("m29:19")), "gpu1");
    assert_int_equal(residency_short_of(w->f->residency, 30) < 200, true); /* what is gone was forgotten */
    world_free(w);
}

static void a_kind_that_was_told_is_not_probed_away(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = -1, .kind = NODE_LMSTUDIO });
    world_settle(w);
    assert_int_equal(node_at(w, "gpu1")->kind, NODE_LMSTUDIO);
    world_free(w);
}

static void a_missing_model_has_its_node_asked_again(void **state)
{
    struct world *w = one_node();
    struct machine *m = &w->machine[0];
    struct ticket t = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    unsigned before = m->asked[PROBE_TAGS];
    models_body(m->tags, sizeof m->tags, "");
    world_end(w, &t, FAIL_upstream_no_model);
    assert_int_equal(m->asked[PROBE_TAGS], before + 1);
    assert_int_equal(node_at(w, "gpu1")->state, NODE_UP);
    assert_int_equal(node_at(w, "gpu1")->errors, 0);
    world_free(w);
}

static void an_empty_resolution_is_a_failure(void **state)
{
    struct world *w = one_node();
    struct observation ob = { .what = PROBE_RESOLVE };
    observe(w, &ob);
    assert_int_equal(node_at(w, "gpu1")->last_error, FAIL_unresolved);
    assert_int_equal(node_at(w, "gpu1")->state, NODE_UP);
    world_free(w);
}

/* So many models that the index must grow as well. */
static void memory_runs_out(void **state)
{
    struct world *w = one_node();
    bool taken = false;
    char names[400];
    size_t n = 0;
    for (unsigned i = 0; i < 40; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%sm%u:1", i ? " " : "", i);
    for (uint64_t nth = 1; !taken; nth++) {
        char body[12000];
        struct observation ob = { .what = PROBE_TAGS,
                                  .inventory = read_body(models_body(body, sizeof body, names), 0) };
        memory_fail_at(nth);
        observe(w, &ob);
        memory_fail_at(0);
        taken = !ob.inventory;
        inventory_free(&ob.inventory);
        assert_int_equal(node_at(w, "gpu1")->state, NODE_UP);
        carry_out(w);
        assert_true(nth < 50);
    }
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_inventory_is_taken_over),
        cmocka_unit_test(the_same_inventory_stays_with_the_caller),
        cmocka_unit_test(a_node_that_has_gone_takes_nothing),
        cmocka_unit_test(many_models_make_the_index_grow),
        cmocka_unit_test(a_kind_that_was_told_is_not_probed_away),
        cmocka_unit_test(a_missing_model_has_its_node_asked_again),
        cmocka_unit_test(an_empty_resolution_is_a_failure),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
