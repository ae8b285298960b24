/* fleet/fits_test.c - what a node threw out by itself teaches what does not fit. */
#include "fleet/fleet_fixture.h"

/* What the machine has, in ps; for good, or until 1970. */
static void has_loaded(struct machine *m, const char *names, const char *until)
{
    char copy[128], *rest = copy, *name;
    size_t at = (size_t)snprintf(m->ps, sizeof m->ps, "{\"models\":[");
    snprintf(copy, sizeof copy, "%s", names);
    while ((name = strsep(&rest, " ")))
        if (*name)
            at += (size_t)snprintf(m->ps + at, sizeof m->ps - at,
                                   "%s{\"name\":\"%s\",\"model\":\"%s\",\"expires_at\":\"%s\"}",
                                   m->ps[at - 1] == '[' ? "" : ",", name, name, until);
    snprintf(m->ps + at, sizeof m->ps - at, "]}");
}

#define FOR_GOOD "2318-01-01T00:00:00Z"
#define OVER     "1969-01-01T00:00:00Z"

/* Four models of 10 bytes each. */
static struct world *one_node(struct machine **out_machine)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "");
    snprintf(m->tags, sizeof m->tags,
             "{\"models\":[{\"model\":\"a:1\",\"size\":10},{\"model\":\"b:1\",\"size\":10},"
             "{\"model\":\"c:1\",\"size\":10},{\"model\":\"d:1\",\"size\":10}]}");
    has_loaded(m, "", FOR_GOOD);
    world_add(w, "gpu1");
    world_settle(w);
    *out_machine = m;
    return w;
}

/* All tasks of ours that are under way end. */
static void tasks_end(struct world *w)
{
    while (w->tasks) {
        struct task_order o = w->task[--w->tasks];
        orders_init(&w->out);
        fleet_task_done(w->f, &o, OK, STR_NONE, 0, w->now, &w->out);
        carry_out(w);
    }
}

/* Somebody asks for it, a load of ours ends, and from then on this is loaded there. */
static void load(struct world *w, struct machine *m, const char *key, const char *then, const char *until)
{
    struct ticket t = ticket_for(key);
    if (world_ask(w, &t) == VERDICT_WAITS) {
        has_loaded(m, then, until);
        world_elapse(w, SECOND(3)); /* it is asked while it loads */
        tasks_end(w);
        world_elapse(w, SECOND(3));
        tasks_end(w); /* an unload before it, and then itself */
        world_elapse(w, SECOND(3));
    }
    assert_int_equal(t.verdict, VERDICT_GRANTED);
    world_end(w, &t, OK);
    world_elapse(w, SECOND(3));
}

static void two_that_do_not_fit_are_known_then(void **state)
{
    struct machine *m;
    struct world *w = one_node(&m);
    load(w, m, KEY("a:1"), "a:1", FOR_GOOD);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0);
    load(w, m, KEY("b:1"), "b:1", FOR_GOOD);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 19);
    assert_int_equal(w->unloads, 0);
    load(w, m, KEY("a:1"), "a:1", FOR_GOOD); /* now we make room */
    assert_int_equal(w->unloads, 1);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 19);
    world_elapse(w, SECOND(3600));
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0); /* and one day we try again */
    world_free(w);
}

static void what_the_operator_says_counts_from_the_start(void **state)
{
    struct machine *m;
    struct world *w = one_node(&m);
    struct node_change c = NODE_CHANGE_NOTHING;
    c.vram = 25;
    orders_init(&w->out);
    assert_int_equal(fleet_change(w->f, STR("gpu1"), &c, w->now, &w->out), OK);
    load(w, m, KEY("a:1"), "a:1", FOR_GOOD);
    load(w, m, KEY("b:1"), "a:1 b:1", FOR_GOOD);
    assert_int_equal(w->unloads, 0);
    load(w, m, KEY("c:1"), "b:1 c:1", FOR_GOOD);
    assert_int_equal(w->unloads, 1);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0);
    world_free(w);
}

static void those_that_fit_teach_nothing(void **state)
{
    struct machine *m;
    struct world *w = one_node(&m);
    load(w, m, KEY("a:1"), "a:1", FOR_GOOD);
    load(w, m, KEY("b:1"), "a:1 b:1", FOR_GOOD);
    load(w, m, KEY("c:1"), "a:1 b:1 c:1", FOR_GOOD);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0);
    assert_int_equal(w->unloads, 0);
    world_free(w);
}

static void one_whose_time_was_over_teaches_nothing(void **state)
{
    struct machine *m;
    struct world *w = one_node(&m);
    load(w, m, KEY("a:1"), "a:1", OVER);
    load(w, m, KEY("b:1"), "b:1", OVER);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0);
    world_free(w);
}

static void one_that_goes_by_itself_teaches_nothing(void **state)
{
    struct machine *m;
    struct world *w = one_node(&m);
    load(w, m, KEY("a:1"), "a:1", FOR_GOOD);
    load(w, m, KEY("b:1"), "a:1 b:1", FOR_GOOD);
    has_loaded(m, "b:1", FOR_GOOD);
    world_elapse(w, SECOND(10));
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0);
    world_free(w);
}

static void the_fourth_may_be_one_too_many(void **state)
{
    struct machine *m;
    struct world *w = one_node(&m);
    load(w, m, KEY("a:1"), "a:1", FOR_GOOD);
    load(w, m, KEY("b:1"), "a:1 b:1", FOR_GOOD);
    load(w, m, KEY("c:1"), "a:1 b:1 c:1", FOR_GOOD);
    load(w, m, KEY("d:1"), "b:1 c:1 d:1", FOR_GOOD);
    assert_int_equal(node_at(w, "gpu1")->fits_models, 3);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0);
    world_free(w);
}

static void a_node_that_was_down_may_be_another(void **state)
{
    struct machine *m;
    struct world *w = one_node(&m);
    load(w, m, KEY("a:1"), "a:1", FOR_GOOD);
    load(w, m, KEY("b:1"), "b:1", FOR_GOOD);
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 19);
    m->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(20));
    assert_int_equal(node_at(w, "gpu1")->fits_bytes, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_do_not_fit_are_known_then),
        cmocka_unit_test(what_the_operator_says_counts_from_the_start),
        cmocka_unit_test(those_that_fit_teach_nothing),
        cmocka_unit_test(one_whose_time_was_over_teaches_nothing),
        cmocka_unit_test(one_that_goes_by_itself_teaches_nothing),
        cmocka_unit_test(the_fourth_may_be_one_too_many),
        cmocka_unit_test(a_node_that_was_down_may_be_another),
    };
    pools_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
