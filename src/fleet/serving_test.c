/* fleet/serving_test.c - tickets that wait for a slot, and the loads that the fleet does itself. */
#include "fleet/fleet_fixture.h"

static struct machine *cold_machine(struct world *w, const char *host, const char *models)
{
    struct machine *m = world_machine(w, host, models);
    models_body(m->ps, sizeof m->ps, "");
    return m;
}

static struct world *cold(unsigned machines, int slots)
{
    struct world *w = world_new();
    char host[16];
    for (unsigned i = 1; i <= machines; i++) {
        snprintf(host, sizeof host, "gpu%u", i);
        cold_machine(w, host, "x:1 y:1");
        world_add_spec(w, (struct node_spec){ .url = str_of(host), .slots = slots });
    }
    world_settle(w);
    return w;
}

static void fifty_wait_for_one_load(void **state)
{
    struct world *w = cold(3, 0);
    struct ticket t[50];
    for (unsigned i = 0; i < 50; i++) {
        t[i] = ticket_for(KEY("x:1"));
        assert_int_equal(world_ask(w, &t[i]), VERDICT_WAITS);
    }
    assert_int_equal(w->loads, 1);
    assert_str(w->task[0].spelled, "x:1");
    assert_true(w->task[0].patience >= SECOND(300));
    struct ticket *leaver = &t[0]; /* who asked first leaves: the load goes on */
    orders_init(&w->out);
    assert_true(fleet_cancel(w->f, leaver, w->now, &w->out));
    carry_out(w);
    world_elapse(w, SECOND(1));
    world_tasks_end(w, OK, "");
    for (unsigned i = 1; i < 50; i++) {
        assert_int_equal(t[i].verdict, VERDICT_GRANTED);
        assert_true(t[i].lease.known_loaded);
        world_end(w, &t[i], OK);
    }
    assert_int_equal(w->loads, 1);
    world_elapse(w, SECOND(5)); /* ps says the same */
    assert_int_equal(w->loads, 1);
    world_free(w);
}

static void a_load_that_fails_everywhere_is_told(void **state)
{
    struct world *w = cold(2, 0);
    struct ticket t = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    world_tasks_end(w, FAIL_load_failed, "model requires more system memory");
    assert_int_equal(w->loads, 2); /* the other one was tried */
    assert_int_equal(t.verdict, VERDICT_REFUSED);
    assert_int_equal(t.refused, FAIL_load_failed);
    assert_string_equal(t.said, "model requires more system memory");
    world_free(w);
}

static void slots_are_waited_for(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = 2 });
    world_settle(w);
    struct ticket t[4];
    for (unsigned i = 0; i < 4; i++) {
        t[i] = ticket_for(KEY("x:1"));
        assert_int_equal(world_ask(w, &t[i]), i < 2 ? VERDICT_GRANTED : VERDICT_WAITS);
    }
    world_end(w, &t[0], OK);
    assert_int_equal(t[2].verdict, VERDICT_GRANTED);
    assert_true(t[2].announced);
    assert_int_equal(t[3].verdict, VERDICT_WAITS);
    world_end(w, &t[1], OK);
    world_end(w, &t[2], OK);
    world_end(w, &t[3], OK);
    world_free(w);
}

/* A client that left while its node worked: the node may work on for a little while. */
static void a_cancelled_lease_drains(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = 1 });
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1")), next = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    struct attempt_end left = { .why = FAIL_client_gone, .client_left = true, .was_sent = true };
    orders_init(&w->out);
    fleet_end(w->f, &t.lease, &left, w->now, &w->out);
    carry_out(w);
    assert_int_equal(world_ask(w, &next), VERDICT_WAITS);
    world_elapse(w, MSEC(200));
    assert_int_equal(next.verdict, VERDICT_GRANTED);
    world_end(w, &next, OK);
    world_free(w);
}

static struct attempt_end whole_answer(struct world *w)
{
    struct attempt_end e = { .status = 200, .was_sent = true, .ended = w->now };
    figures_clear(&e.figures);
    return e;
}

/* Ten pairs, each asked at once and answered after 0.1 s; how many slots are known then. */
static uint32_t slots_after(struct world *w, struct attempt_end (*made)(struct world *w))
{
    uint32_t slots = 0;
    for (int i = 0; i < 10; i++) {
        struct ticket t[2] = { ticket_for(KEY("x:1")), ticket_for(KEY("x:1")) };
        world_ask(w, &t[0]);
        world_ask(w, &t[1]);
        world_elapse(w, MSEC(100));
        for (int k = 0; k < 2; k++) {
            struct attempt_end e = made(w);
            slots = t[k].lease.slots;
            orders_init(&w->out);
            fleet_end(w->f, &t[k].lease, &e, w->now, &w->out);
            carry_out(w);
        }
    }
    return slots;
}

static struct attempt_end chat(struct world *w)
{
    struct attempt_end e = whole_answer(w);
    e.figures.total = MSEC(99), e.figures.prompt_eval = MSEC(9), e.figures.eval = MSEC(90);
    return e;
}

static struct attempt_end mistake(struct world *w)
{
    struct attempt_end e = whole_answer(w);
    e.status = 400;
    return e;
}

/* Said from what: llama-server times the parts, and it is not known when they began. */
static struct attempt_end timings(struct world *w)
{
    struct attempt_end e = chat(w);
    e.figures.total = -1;
    return e;
}

static void whole_answers_teach_slots(void **state)
{
    struct attempt_end (*const made[])(struct world * w) = { chat, timings, mistake };
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        struct world *w = cold(1, -1);
        struct ticket t = ticket_for(KEY("x:1"));
        world_ask(w, &t);
        world_tasks_end(w, OK, "");
        world_end(w, &t, OK);
        uint32_t slots = slots_after(w, made[i]);
        if (made[i] == mistake)
            assert_int_equal(slots, 1);
        else
            assert_in_range(slots, 2, 12);
        world_free(w);
    }
}

static void deadlines_end_a_wait(void **state)
{
    struct world *w = cold(1, 0);
    struct ticket t = ticket_for(KEY("x:1"));
    t.deadline = w->now + SECOND(2);
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    world_elapse(w, MSEC(1900));
    assert_int_equal(t.verdict, VERDICT_WAITS);
    world_elapse(w, MSEC(200));
    assert_int_equal(t.verdict, VERDICT_REFUSED);
    assert_int_equal(t.refused, FAIL_deadline);
    assert_true(t.retry_after_s >= 1);
    world_free(w);
}

static void a_full_queue_refuses(void **state)
{
    struct world *w = cold(1, 1);
    w->settings.queue_max = 3;
    fleet_configure(w->f, &w->settings);
    struct ticket t[4];
    for (unsigned i = 0; i < 4; i++) {
        t[i] = ticket_for(KEY("x:1"));
        world_ask(w, &t[i]);
    }
    assert_int_equal(t[3].verdict, VERDICT_REFUSED);
    assert_int_equal(t[3].refused, FAIL_queue_full);
    world_tasks_end(w, OK, "");
    for (unsigned i = 0; i < 3; i++)
        world_end(w, &t[i], OK);
    world_free(w);
}

static void a_shut_queue_keeps_those_that_wait(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = 1 });
    world_settle(w);
    struct ticket t[3];
    for (unsigned i = 0; i < 2; i++) {
        t[i] = ticket_for(KEY("x:1"));
        assert_int_equal(world_ask(w, &t[i]), i ? VERDICT_WAITS : VERDICT_GRANTED);
    }
    fleet_shut_queue(w->f, true);
    t[2] = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t[2]), VERDICT_REFUSED);
    assert_int_equal(t[2].refused, FAIL_memory_short);
    assert_true(t[2].retry_after_s >= 1);
    world_end(w, &t[0], OK);
    assert_int_equal(t[1].verdict, VERDICT_GRANTED);
    fleet_shut_queue(w->f, false);
    t[2] = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t[2]), VERDICT_WAITS);
    world_end(w, &t[1], OK);
    world_end(w, &t[2], OK);
    world_free(w);
}

/* While all spoke Ollama it said nothing of it. */
static void who_waits_for_ollama_is_not_given_a_node_that_speaks_otherwise(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = 1 });
    world_settle(w);
    struct ticket t[2];
    for (unsigned i = 0; i < 2; i++) {
        t[i] = ticket_for(KEY("x:1"));
        t[i].ollama_only = true;
        assert_int_equal(world_ask(w, &t[i]), i ? VERDICT_WAITS : VERDICT_GRANTED);
    }
    world_machine(w, "gpu2", "x:1")->kind = NODE_VLLM;
    world_add(w, "gpu2");
    world_settle(w);
    assert_int_equal(t[1].verdict, VERDICT_WAITS);
    world_end(w, &t[0], OK);
    assert_int_equal(t[1].verdict, VERDICT_GRANTED);
    assert_str(t[1].lease.node->name, "gpu1");
    world_end(w, &t[1], OK);
    world_free(w);
}

static void when_the_last_holder_goes_those_that_wait_are_told(void **state)
{
    struct world *w = world_new();
    struct machine *m = world_machine(w, "gpu1", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = 1 });
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1")), next = ticket_for(KEY("x:1"));
    world_ask(w, &t), world_ask(w, &next);
    m->fails = FAIL_connect_refused;
    world_end(w, &t, FAIL_connect_refused);
    assert_int_equal(next.verdict, VERDICT_REFUSED);
    assert_int_equal(next.refused, FAIL_no_holder_up);
    world_free(w);
}

static void unloads_wherever_it_is(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1"), world_node(w, "gpu2", "x:1"), world_node(w, "gpu3", "y:1");
    world_settle(w);
    world_serve(w, KEY("x:1"));
    orders_init(&w->out);
    struct ticket stop = ticket_for(KEY("x:1"));
    assert_int_equal(fleet_unload(w->f, &stop, w->now, &w->out), 2);
    carry_out(w);
    assert_int_equal(w->unloads, 2);
    assert_false(fleet_unloaded(w->f, stop.model_hash));
    world_tasks_end(w, OK, "");
    assert_true(fleet_unloaded(w->f, stop.model_hash));
    struct ticket t = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS); /* loaded anew */
    world_tasks_end(w, OK, "");
    world_end(w, &t, OK);
    world_free(w);
}

static void options_make_a_variant(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct options big = { .hash = 7, .n = 16, .text = "{\"num_ctx\":8192}" };
    struct ticket plain = ticket_for(KEY("x:1")), t = ticket_for(KEY("x:1"));
    t.options = &big;
    assert_int_equal(world_ask(w, &plain), VERDICT_GRANTED);
    world_end(w, &plain, OK);
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    assert_int_equal(w->loads, 1);
    assert_string_equal(w->task[0].options->text, big.text);
    world_tasks_end(w, OK, "");
    assert_int_equal(t.verdict, VERDICT_GRANTED);
    world_end(w, &t, OK);
    world_elapse(w, SECOND(5)); /* ps goes on naming it */
    assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
    world_end(w, &t, OK);
    assert_int_equal(world_ask(w, &plain), VERDICT_WAITS); /* the other way of loading it has gone */
    world_tasks_end(w, OK, "");
    world_end(w, &plain, OK);
    world_free(w);
}

static void keep_alive_zero_is_a_model_gone(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct ticket t = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    struct attempt_end end = { .why = OK, .status = 200, .unloads = true };
    orders_init(&w->out);
    fleet_end(w->f, &t.lease, &end, w->now, &w->out);
    carry_out(w);
    assert_int_equal(world_ask(w, &t), VERDICT_WAITS);
    assert_int_equal(w->loads, 1);
    world_tasks_end(w, OK, "");
    world_end(w, &t, OK);
    world_free(w);
}

static void beginnings_lead_to_the_node_that_has_them(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1"), world_node(w, "gpu2", "x:1");
    world_settle(w);
    uint64_t path[20];
    for (unsigned i = 0; i < 20; i++)
        path[i] = 1000 + i;
    struct ticket t = ticket_for(KEY("x:1"));
    t.path = path, t.path_n = 20, t.prompt_tokens = 5200, t.key = 5;
    fleet_hints(w->f, &t);
    assert_int_equal(t.hints, 0);
    world_ask(w, &t);
    struct str first = t.lease.node->name;
    fleet_keep_prompt(w->f, &t);
    world_end(w, &t, OK);
    for (uint64_t key = 0; key < 8; key++) {
        t.key = key;
        fleet_hints(w->f, &t);
        assert_int_equal(t.hints, 1);
        assert_int_equal(t.hint[0].tokens, 20 * 256);
        world_ask(w, &t);
        assert_true(str_eq(t.lease.node->name, first));
        assert_int_equal(t.lease.matched, 20 * 256);
        world_end(w, &t, OK);
    }
    orders_init(&w->out);
    fleet_unload(w->f, &t, w->now, &w->out);
    carry_out(w);
    world_tasks_end(w, OK, "");
    world_elapse(w, SECOND(4));
    fleet_hints(w->f, &t);
    assert_int_equal(t.hints, 0);
    world_free(w);
}

static struct model_rules *rules_for(struct model_rule rule)
{
    struct model_rules *r = NULL;
    assert_int_equal(model_rules_new(&rule, 1, &r), OK);
    return r;
}

static void what_is_to_be_preloaded_is(void **state)
{
    struct world *w = cold(2, 0);
    struct model_rule rule = model_rule_none(STR("x:1"));
    rule.preload = true;
    w->settings.rules = rules_for(rule);
    fleet_configure(w->f, &w->settings);
    world_elapse(w, SECOND(1));
    assert_int_equal(w->loads, 1);
    world_tasks_end(w, OK, "");
    struct ticket t = ticket_for(KEY("x:1"));
    assert_int_equal(world_ask(w, &t), VERDICT_GRANTED);
    world_end(w, &t, OK);
    world_elapse(w, SECOND(10));
    assert_int_equal(w->loads, 1);
    orders_init(&w->out);
    fleet_unload(w->f, &t, w->now, &w->out);
    carry_out(w);
    world_tasks_end(w, OK, "");
    world_elapse(w, SECOND(3));
    assert_int_equal(w->loads, 2); /* nobody asked */
    world_tasks_end(w, OK, "");
    model_rules_unref(&w->settings.rules);
    world_free(w);
}

static void rules_say_slots_and_labels(void **state)
{
    struct world *w = world_new();
    world_machine(w, "gpu1", "x:1"), world_machine(w, "gpu2", "x:1");
    world_add_spec(w, (struct node_spec){ .url = STR("gpu1"), .slots = -1, .labels = STR("zone:a") });
    world_add_spec(w, (struct node_spec){ .url = STR("gpu2"), .slots = -1, .labels = STR("zone:b") });
    world_settle(w);
    struct model_rule rule = model_rule_none(STR("x:1"));
    rule.slots = 2, rule.labels = STR("zone:b");
    w->settings.rules = rules_for(rule);
    fleet_configure(w->f, &w->settings);
    world_elapse(w, MSEC(10));
    struct ticket t[3];
    for (unsigned i = 0; i < 3; i++) {
        t[i] = ticket_for(KEY("x:1"));
        assert_int_equal(world_ask(w, &t[i]), i < 2 ? VERDICT_GRANTED : VERDICT_WAITS);
    }
    assert_str(t[0].lease.node->name, "gpu2");
    assert_str(t[1].lease.node->name, "gpu2");
    for (unsigned i = 0; i < 3; i++)
        world_end(w, &t[i], OK);
    model_rules_unref(&w->settings.rules);
    world_free(w);
}

static void five_failures_in_a_row_open_the_breaker(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1"), world_node(w, "gpu2", "x:1");
    w->settings.policy = SCHEDULER_round_robin;
    fleet_configure(w->f, &w->settings);
    world_settle(w);
    struct node *bad = node_at(w, "gpu1");
    unsigned to_bad = 0;
    for (int i = 0; i < 30; i++) {
        struct ticket t = ticket_for(KEY("x:1"));
        world_ask(w, &t);
        bool is_bad = t.lease.node == bad;
        to_bad += is_bad;
        world_end(w, &t, is_bad ? FAIL_upstream_error : OK);
    }
    assert_int_equal(to_bad, 5);
    assert_int_equal(guards_state(w->f, bad->id, str_hash(STR(KEY("x:1"))), w->now), BREAKER_OPEN);
    world_elapse(w, SECOND(7)); /* 5 s, give or take a fifth: one probe */
    struct ticket probe[4];
    to_bad = 0;
    for (int i = 0; i < 4; i++) {
        probe[i] = ticket_for(KEY("x:1"));
        world_ask(w, &probe[i]);
        to_bad += probe[i].lease.node == bad;
    }
    assert_int_equal(to_bad, 1);
    for (int i = 0; i < 4; i++)
        world_end(w, &probe[i], OK);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_wait_for_one_load),
        cmocka_unit_test(a_load_that_fails_everywhere_is_told),
        cmocka_unit_test(slots_are_waited_for),
        cmocka_unit_test(a_cancelled_lease_drains),
        cmocka_unit_test(whole_answers_teach_slots),
        cmocka_unit_test(deadlines_end_a_wait),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(a_shut_queue_keeps_those_that_wait),
        cmocka_unit_test(who_waits_for_ollama_is_not_given_a_node_that_speaks_otherwise),
        cmocka_unit_test(when_the_last_holder_goes_those_that_wait_are_told),
        cmocka_unit_test(unloads_wherever_it_is),
        cmocka_unit_test(options_make_a_variant),
        cmocka_unit_test(keep_alive_zero_is_a_model_gone),
        cmocka_unit_test(what_is_to_be_preloaded_is),
        cmocka_unit_test(rules_say_slots_and_labels),
        cmocka_unit_test(five_failures_in_a_row_open_the_breaker),
        cmocka_unit_test(beginnings_lead_to_the_node_that_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
