/* fleet/health_test.c - up, suspect, down, and back. */
#include "fleet/fleet_fixture.h"

static enum node_state state_at(struct world *w, const char *host)
{
    return node_at(w, host)->state;
}

static struct machine *settled(struct world *w)
{
    struct machine *m = world_node(w, "gpu1", "x:1");
    world_settle(w);
    return m;
}

static void one_miss_is_suspect_two_are_down(void **state)
{
    struct world *w = world_new();
    struct machine *m = settled(w);
    m->fails = FAIL_first_byte_timeout;
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_SUSPECT);
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
    m->fails = OK;
    unsigned tags = m->asked[PROBE_TAGS];
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_UP);
    assert_int_equal(m->asked[PROBE_TAGS], tags + 1);
    world_free(w);
}

static void an_unreachable_host_has_two_chances(void **state)
{
    struct world *w = world_new();
    settled(w)->fails = FAIL_connect_timeout;
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_SUSPECT);
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
    world_free(w);
}

static void slow_listings_are_no_misses(void **state)
{
    struct world *w = world_new();
    settled(w);
    struct node *n = node_at(w, "gpu1");
    for (int i = 0; i < 3; i++) {
        struct observation ob = { .what = PROBE_PS, .failed = FAIL_first_byte_timeout };
        n->pins++, n->probing |= PROBE_PS;
        orders_init(&w->out);
        fleet_observe(w->f, n, &ob, w->now, &w->out);
        carry_out(w);
    }
    assert_int_equal(n->state, NODE_UP);
    assert_int_equal(n->last_error, FAIL_first_byte_timeout);
    world_free(w);
}

static void our_own_troubles_teach_nothing(void **state)
{
    struct world *w = world_new();
    struct machine *m = settled(w);
    m->fails = FAIL_no_memory;
    world_elapse(w, SECOND(20));
    assert_int_equal(state_at(w, "gpu1"), NODE_UP);
    assert_int_equal(node_at(w, "gpu1")->last_error, OK);
    world_free(w);
}

static void refused_is_down_at_once(void **state)
{
    struct world *w = world_new();
    struct machine *m = settled(w);
    m->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
    assert_string_equal(node_at(w, "gpu1")->last_error_text, "the node refused the connection");
    m->fails = OK;
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_UP);
    world_free(w);
}

static void an_attempt_that_cannot_connect_is_down_at_once(void **state)
{
    const enum fail fails[] = { FAIL_connect_refused, FAIL_connect_failed, FAIL_connect_timeout, FAIL_unresolved };
    for (unsigned i = 0; i < ARRAY_LEN(fails); i++) {
        struct world *w = world_new();
        struct machine *m = settled(w);
        struct ticket t = ticket_for(KEY("x:1"));
        assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
        m->silent = true;
        world_end(w, &t, fails[i]);
        assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
        assert_int_equal(node_at(w, "gpu1")->errors, 1);
        m->silent = false;
        world_miss(w, OK); /* it was probed at once */
        assert_int_equal(state_at(w, "gpu1"), NODE_UP);
        world_free(w);
    }
}

static void an_answer_brings_it_up_and_a_broken_one_does_not(void **state)
{
    struct world *w = world_new();
    struct machine *m = settled(w);
    struct ticket a = ticket_for(KEY("x:1")), b = a, c = a;
    world_ask(w, &a), world_ask(w, &b), world_ask(w, &c);
    m->fails = FAIL_first_byte_timeout;
    world_elapse(w, SECOND(10));
    assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
    world_end(w, &a, FAIL_upstream_cut);
    assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
    struct attempt_end left = { .why = OK, .client_left = true };
    orders_init(&w->out);
    fleet_end(w->f, &b.lease, &left, w->now, &w->out);
    assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
    world_end(w, &c, OK);
    assert_int_equal(state_at(w, "gpu1"), NODE_UP);
    world_free(w);
}

static void draining_stays_whatever_the_health(void **state)
{
    struct world *w = world_new();
    struct machine *m = settled(w);
    struct node_change drain = { .weight = -1, .slots = -2, .drain = 1 };
    orders_init(&w->out);
    assert_int_equal(fleet_change(w->f, STR("gpu1"), &drain, w->now, &w->out), OK);
    m->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(6));
    assert_int_equal(state_at(w, "gpu1"), NODE_DRAINING);
    m->fails = OK;
    world_elapse(w, SECOND(6));
    assert_int_equal(state_at(w, "gpu1"), NODE_DRAINING);
    drain.drain = 0;
    orders_init(&w->out);
    fleet_change(w->f, STR("gpu1"), &drain, w->now, &w->out);
    assert_int_equal(state_at(w, "gpu1"), NODE_UP);
    world_free(w);
}

static void a_name_that_does_not_resolve(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "x:1");
    m->unresolvable = true;
    world_add(w, "gpu1");
    assert_int_equal(state_at(w, "gpu1"), NODE_DOWN);
    assert_true(fleet_knows(w->f));
    m->unresolvable = false;
    world_elapse(w, SECOND(5));
    assert_int_equal(state_at(w, "gpu1"), NODE_UP);
    m->unresolvable = true; /* the addresses of before are kept */
    world_elapse(w, SECOND(60));
    assert_int_equal(state_at(w, "gpu1"), NODE_UP);
    world_free(w);
}

/* localhost: ::1 refuses, 127.0.0.1 answers. */
static void every_address_is_tried_before_it_is_down(void **state)
{
    struct world *w = world_new();
    struct addr two[2];
    addr_literal(STR("::1"), 11434, &two[0]);
    addr_literal(STR("127.0.0.1"), 11434, &two[1]);
    struct machine *m = world_machine(w, "localhost", "x:1");
    m->silent = true;
    world_add(w, "localhost");
    struct node *n = w->lying[0].node;
    w->lies = 0; /* answered here */
    struct observation found = { .what = PROBE_RESOLVE, .found = two, .founds = 2 };
    orders_init(&w->out);
    fleet_observe(w->f, n, &found, w->now, &w->out);
    assert_int_equal(w->out.probes, 1);
    assert_true(addr_eq(&w->out.probe[0].addr, &two[0]));
    struct observation refused = { .what = PROBE_VERSION, .failed = FAIL_connect_refused };
    orders_init(&w->out);
    fleet_observe(w->f, n, &refused, w->now, &w->out);
    assert_int_equal(n->state, NODE_STARTING);
    assert_false(fleet_knows(w->f));
    assert_int_equal(w->out.probes, 1);
    assert_true(addr_eq(&w->out.probe[0].addr, &two[1]));
    orders_init(&w->out);
    fleet_observe(w->f, n, &refused, w->now, &w->out);
    assert_int_equal(n->state, NODE_DOWN);
    assert_true(fleet_knows(w->f));
    carry_out(w);
    world_free(w);
}

/* Ten attempts that fail on one address move on by one address, not by ten. */
static void addresses_move_once_per_failure(void **state)
{
    struct world *w = world_new();
    settled(w);
    struct node *n = node_at(w, "gpu1");
    struct addr two[2] = { n->addr[0], n->addr[0] };
    two[1].v4.sin_port = 1;
    node_set_addresses(n, two, 2);
    struct ticket t[2] = { ticket_for(KEY("x:1")), ticket_for(KEY("x:1")) };
    world_ask(w, &t[0]), world_ask(w, &t[1]);
    w->machine[0].silent = true;
    world_end(w, &t[0], FAIL_connect_refused);
    world_end(w, &t[1], FAIL_connect_refused);
    assert_int_equal(n->addr_next, 1);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_miss_is_suspect_two_are_down),
        cmocka_unit_test(an_unreachable_host_has_two_chances),
        cmocka_unit_test(slow_listings_are_no_misses),
        cmocka_unit_test(our_own_troubles_teach_nothing),
        cmocka_unit_test(refused_is_down_at_once),
        cmocka_unit_test(an_attempt_that_cannot_connect_is_down_at_once),
        cmocka_unit_test(an_answer_brings_it_up_and_a_broken_one_does_not),
        cmocka_unit_test(draining_stays_whatever_the_health),
        cmocka_unit_test(a_name_that_does_not_resolve),
        cmocka_unit_test(every_address_is_tried_before_it_is_down),
        cmocka_unit_test(addresses_move_once_per_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
