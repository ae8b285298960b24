/* fleet/views_test.c - when views change, and when they must not. */
#include "fleet/fleet_fixture.h"

static bool shows(struct world *w, enum view_id id, const char *what)
{
    struct view *v = fleet_view(w->f, id, 0);
    assert_non_null(v);
    bool found = str_find(v->body, str_of(what)) >= 0;
    view_unref(&v);
    assert_null(v);
    return found;
}

static void views_are_shared_until_something_changes(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct view *a = fleet_view(w->f, VIEW_TAGS, 0);
    world_elapse(w, SECOND(100)); /* probed often, always the same */
    struct view *b = fleet_view(w->f, VIEW_TAGS, 0);
    assert_ptr_equal(a, b);
    view_unref(&b);
    models_body(m->tags, sizeof m->tags, "x:1 y:1");
    orders_init(&w->out);
    fleet_refresh(w->f, 0, w->now, &w->out);
    carry_out(w);
    b = fleet_view(w->f, VIEW_TAGS, 0);
    assert_true(b->generation > a->generation);
    assert_true(str_find(a->body, STR("y:1")) < 0); /* who holds the old one still reads it */
    assert_true(str_find(b->body, STR("y:1")) >= 0);
    view_unref(&a);
    view_unref(&b);
    assert_true(shows(w, VIEW_V1_MODELS, "\"id\":\"y:1\""));
    world_free(w);
}

static void orders_tell_that_views_changed(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1")->silent = true;
    world_add(w, "gpu1");
    struct node *n = w->lying[0].node;
    w->lies = 0;
    struct addr found;
    addr_literal(STR("10.0.0.1"), 1, &found);
    struct observation name = { .what = PROBE_RESOLVE, .found = &found, .founds = 1 };
    orders_init(&w->out);
    fleet_observe(w->f, n, &name, w->now, &w->out);
    assert_false(w->out.views_changed);
    struct observation version = { .what = PROBE_VERSION, .version = STR("0.1.2"), .kind = NODE_OLLAMA };
    orders_init(&w->out);
    fleet_observe(w->f, n, &version, w->now, &w->out);
    assert_true(w->out.views_changed);
    carry_out(w);
    assert_true(shows(w, VIEW_VERSION, "0.1.2"));
    world_free(w);
}

static void models_of_a_node_that_is_down_stay_for_five_minutes(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "x:1");
    models_body(m->ps, sizeof m->ps, "x:1");
    world_add(w, "gpu1");
    world_node(w, "gpu2", "y:1");
    world_settle(w);
    assert_true(shows(w, VIEW_PS, "x:1"));
    m->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(10));
    assert_false(shows(w, VIEW_PS, "x:1"));
    world_elapse(w, SECOND(280));
    assert_true(shows(w, VIEW_TAGS, "x:1"));
    world_elapse(w, SECOND(20));
    assert_false(shows(w, VIEW_TAGS, "x:1"));
    assert_true(shows(w, VIEW_TAGS, "y:1"));
    m->fails = OK;
    world_elapse(w, SECOND(6));
    assert_true(shows(w, VIEW_TAGS, "x:1"));
    assert_true(shows(w, VIEW_PS, "x:1"));
    orders_init(&w->out);
    fleet_remove(w->f, STR("gpu1"), w->now, &w->out);
    assert_false(shows(w, VIEW_TAGS, "x:1"));
    world_free(w);
}

static void the_lowest_version_that_does_not_flap(void **state)
{
    struct world *w = world_new();
    assert_true(shows(w, VIEW_VERSION, "{\"version\":\"0.0.0\"}"));
    struct machine *low = world_machine(w, "gpu1", "x:1"), *high = world_machine(w, "gpu2", "x:1"),
                   *other = world_machine(w, "gpu3", "x:1");
    strcpy(low->version, "0.9.10"), strcpy(high->version, "0.12.0"), strcpy(other->version, "0.0.1");
    other->kind = NODE_VLLM;
    world_add(w, "gpu1"), world_add(w, "gpu2"), world_add(w, "gpu3");
    world_settle(w);
    assert_true(shows(w, VIEW_VERSION, "\"0.9.10\""));
    low->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(30));
    assert_true(shows(w, VIEW_VERSION, "\"0.9.10\"")); /* a restart does not show */
    world_elapse(w, SECOND(300));
    assert_true(shows(w, VIEW_VERSION, "\"0.12.0\""));
    high->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(400));
    assert_true(shows(w, VIEW_VERSION, "\"0.12.0\"")); /* the last that was known */
    world_free(w);
}

static void memory_runs_out(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    for (enum view_id id = 0; id < VIEWS; id++) {
        struct view *v = NULL;
        for (uint64_t nth = 1; !v; nth++) {
            memory_fail_at(nth);
            v = fleet_view(w->f, id, 0);
            memory_fail_at(0);
            assert_true(nth < 50);
        }
        view_unref(&v);
    }
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_shared_until_something_changes),
        cmocka_unit_test(orders_tell_that_views_changed),
        cmocka_unit_test(models_of_a_node_that_is_down_stay_for_five_minutes),
        cmocka_unit_test(the_lowest_version_that_does_not_flap),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
