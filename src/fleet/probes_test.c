/* fleet/probes_test.c - when is who asked what. */
#include "fleet/fleet_fixture.h"

static void first_the_name_then_the_version_then_the_rest(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    assert_int_equal(m->asked[PROBE_RESOLVE], 1);
    assert_int_equal(m->asked[PROBE_VERSION], 1);
    assert_int_equal(m->asked[PROBE_TAGS], 1);
    assert_int_equal(m->asked[PROBE_PS], 1);
    assert_true(fleet_knows(w->f));
    assert_int_equal(node_at(w, "gpu1")->state, NODE_UP);
    world_free(w);
}

static void literal_addresses_are_never_resolved(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "10.1.1.1", "x:1");
    world_elapse(w, SECOND(100));
    assert_int_equal(m->asked[PROBE_RESOLVE], 0);
    assert_true(m->asked[PROBE_VERSION] > 10);
    world_free(w);
}

static void in_between(unsigned got, unsigned least, unsigned most)
{
    assert_in_range(got, least, most);
}

static void intervals_hold(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_elapse(w, SECOND(120));
    in_between(m->asked[PROBE_RESOLVE], 4, 6);
    in_between(m->asked[PROBE_VERSION], 24, 27);
    in_between(m->asked[PROBE_TAGS], 4, 6);
    in_between(m->asked[PROBE_PS], 60, 66);
    world_free(w);
}

static void only_ollama_is_asked_what_is_loaded(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "x:1");
    m->kind = NODE_VLLM;
    world_add(w, "gpu1");
    world_elapse(w, SECOND(10));
    assert_int_equal(m->asked[PROBE_PS], 0);
    world_free(w);
}

static void one_probe_of_a_kind_at_a_time(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    m->silent = true;
    unsigned before = m->asked[PROBE_VERSION];
    world_elapse(w, SECOND(60));
    assert_int_equal(m->asked[PROBE_VERSION], before + 1);
    assert_int_equal(w->lies, 4);
    world_free(w);
}

static void a_thousand_nodes_are_asked_in_a_trickle(void **state)
{
    struct world *w = world_new();
    char host[32];
    unsigned at_once = 0, most = 0, asked = 0;
    nsec next = NEVER;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(host, sizeof host, "10.9.%u.%u", i / 250, i % 250);
        struct node_spec spec = { .url = str_of(host), .slots = -1 };
        uint64_t id;
        const char *why;
        orders_init(&w->out);
        assert_int_equal(fleet_add(w->f, &spec, false, w->now, &id, &why, &w->out), OK);
        carry_out(w); /* nobody is there: refused */
    }
    for (nsec start = w->now; w->now < start + SECOND(20); w->now += MSEC(1)) {
        bool more = true;
        for (at_once = 0; more; carry_out(w)) {
            orders_init(&w->out);
            fleet_turn(w->f, w->now, &w->out);
            more = w->out.more;
            at_once += w->out.probes;
            next = w->out.next_turn;
        }
        most = MAX(most, at_once);
        asked += at_once;
        assert_true(next > w->now);
    }
    in_between(asked, 4000, 5500);
    assert_true(most <= 16);
    world_free(w);
}

static void orders_have_room_for_sixteen(void **state)
{
    struct world *w = world_new();
    char host[32];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(host, sizeof host, "10.0.1.%u", i + 1);
        world_machine(w, host, "x:1")->silent = true;
        world_add(w, host);
    }
    w->now += SECOND(1);
    orders_init(&w->out);
    fleet_turn(w->f, w->now, &w->out);
    assert_int_equal(w->out.probes, ORDERS_PROBES);
    assert_true(w->out.more);
    assert_true(w->out.next_turn <= w->now);
    carry_out(w);
    world_turn(w);
    assert_int_equal(w->lies, 40);
    world_free(w);
}

static void a_refresh_asks_now_and_again_after_what_is_under_way(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_node(w, "gpu2", "x:1");
    world_settle(w);
    unsigned before = m->asked[PROBE_TAGS];
    m->silent = true;
    for (int i = 0; i < 2; i++) {
        orders_init(&w->out);
        fleet_refresh(w->f, node_at(w, "gpu1")->id, w->now, &w->out);
        carry_out(w);
    }
    assert_int_equal(m->asked[PROBE_TAGS], before + 1);
    m->silent = false;
    world_miss(w, OK);
    assert_int_equal(m->asked[PROBE_TAGS], before + 2);
    unsigned other = w->machine[1].asked[PROBE_TAGS];
    orders_init(&w->out);
    fleet_refresh(w->f, 0, w->now, &w->out);
    carry_out(w);
    assert_int_equal(w->machine[1].asked[PROBE_TAGS], other + 1);
    world_free(w);
}

static void a_refresh_is_told_by_an_answer_that_was_asked_for_after_it(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    uint64_t id = node_at(w, "gpu1")->id, refresh[2];
    m->silent = true;
    for (int i = 0; i < 2; i++) {
        orders_init(&w->out);
        refresh[i] = fleet_refresh(w->f, id, w->now, &w->out);
        carry_out(w);
    }
    assert_false(fleet_told(w->f, id, refresh[0]));
    world_miss(w, OK); /* the first question is answered; the second, due meanwhile, lies */
    assert_true(fleet_told(w->f, id, refresh[0]));
    assert_false(fleet_told(w->f, id, refresh[1]));
    m->silent = false;
    world_miss(w, OK);
    assert_true(fleet_told(w->f, id, refresh[1]));
    assert_true(fleet_told(w->f, id + 1000, refresh[1]));
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_the_name_then_the_version_then_the_rest),
        cmocka_unit_test(literal_addresses_are_never_resolved),
        cmocka_unit_test(intervals_hold),
        cmocka_unit_test(only_ollama_is_asked_what_is_loaded),
        cmocka_unit_test(one_probe_of_a_kind_at_a_time),
        cmocka_unit_test(a_thousand_nodes_are_asked_in_a_trickle),
        cmocka_unit_test(orders_have_room_for_sixteen),
        cmocka_unit_test(a_refresh_asks_now_and_again_after_what_is_under_way),
        cmocka_unit_test(a_refresh_is_told_by_an_answer_that_was_asked_for_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
