/* fleet/queue_test.c - who waits, in which order. */
#include "fleet/fleet_fixture.h"

#define MANY 12

static struct world *busy_world(struct ticket *holder)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = 1 });
    world_settle(w);
    *holder = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, holder), VERDICT_GRANTED);
    return w;
}

static void an_empty_queue(void **state)
{
    struct world *w = world_new();
    struct fleet_queue *q = fleet_queue(w->f, w->now);
    assert_int_equal(q->n, 0);
    fleet_queue_free(&q);
    assert_null(q);
    world_free(w);
}

/* Bands, tenants and lengths at random: position 1 goes first each time, whoever has left before. */
static void the_order_shown_is_the_order_served(void **state)
{
    struct ticket holder, t[MANY];
    struct world *w = busy_world(&holder);
    char id[MANY][8];
    for (unsigned i = 0; i < MANY; i++) {
        uint64_t r = (i + 1) * 0x9e3779b97f4a7c15 >> 32;
        t[i] = ticket_for(KEY("x:1"));
        t[i].band = (enum band)(r % 3), t[i].tenant = 1 + (r >> 4) % 3, t[i].prompt_tokens = 10u << (r >> 8) % 10;
        t[i].request_id = (struct str){ id[i], (size_t)snprintf(id[i], sizeof id[i], "r%u", i) };
        assert_int_equal(world_ask(w, &t[i]), VERDICT_WAITS);
        world_elapse(w, MSEC(300));
    }
    struct ticket *served = &holder;
    for (unsigned left = MANY; left; left--) {
        struct fleet_queue *q = fleet_queue(w->f, w->now);
        assert_int_equal(q->n, left);
        unsigned first = (unsigned)atoi(q->waiter[0].request_id.p + 1);
        assert_str(q->waiter[0].model, "x:1");
        assert_int_equal(q->waiter[0].tenant, t[first].tenant);
        assert_int_equal(q->waiter[0].band, t[first].band);
        assert_true(llabs(q->waiter[0].waited - (w->now - t[first].arrived)) < USEC(1));
        for (unsigned i = 0; i < left; i++) {
            assert_int_equal(q->waiter[i].position, i + 1);
            assert_true(q->waiter[i].eta != NEVER && (!i || q->waiter[i].eta >= q->waiter[i - 1].eta));
        }
        fleet_queue_free(&q);
        world_end(w, served, OK);
        assert_int_equal(t[first].verdict, VERDICT_GRANTED);
        served = &t[first];
    }
    world_end(w, served, OK);
    world_free(w);
}

static void a_cold_model_has_no_estimate(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "x:1");
    models_body(m->ps, sizeof m->ps, "");
    world_add(w, "gpu1");
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    struct fleet_queue *q = fleet_queue(w->f, w->now);
    assert_int_equal(q->n, 1);
    assert_true(q->waiter[0].eta == NEVER);
    fleet_queue_free(&q);
    world_tasks_end(w, OK, "");
    assert_int_equal(t.verdict, VERDICT_GRANTED);
    world_end(w, &t, OK);
    world_free(w);
}

static void memory_runs_out(void **state)
{
    struct ticket holder, t = ticket_for(KEY("x:1"));
    struct world *w = busy_world(&holder);
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    struct fleet_queue *q = NULL;
    for (uint64_t nth = 1; !q; nth++) {
        memory_fail_at(nth);
        q = fleet_queue(w->f, w->now);
        memory_fail_at(0);
        assert_true(nth < 50);
    }
    fleet_queue_free(&q);
    world_end(w, &holder, OK);
    world_end(w, &t, OK);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue),
        cmocka_unit_test(the_order_shown_is_the_order_served),
        cmocka_unit_test(a_cold_model_has_no_estimate),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
