/* A simulated node as a scheduler: slots, loads, evictions, expiry, leaving. All times are exact in this world, but for
 * what the network takes (less than SLACK). */
#include "sim_rig.h"

#define SLACK MSEC(200)
#define CHAT(model, text, options)                                                                                     \
    "{\"model\":\"" model "\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}],\"stream\":false,"           \
    "\"options\":{" options "}}"

static nsec began;
static void assert_took(nsec expected)
{
    nsec took = world_now() - began;
    if (took < expected || took > expected + SLACK)
        fail_msg("expected %lld ms, took %lld", (long long)(expected / MSEC(1)), (long long)(took / MSEC(1)));
}
/* Timers are never early, and late by a turn. */
static void assert_about(int64_t got, int64_t expected)
{
    if (got < expected || got > expected + MSEC(5))
        fail_msg("expected %lld, got %lld", (long long)expected, (long long)got);
}
static struct reply await(struct peer *p)
{
    struct reply a = answer_within(p, M_POST, SECOND(3600));
    assert_true(a.whole);
    return a;
}

static void figures_are_those_of_the_stated_speeds(void **state)
{
    struct simnode_spec s = spec_with("m=2000");
    begin();
    s.load_rate = 1000;
    s.prefill = 10;
    s.decode = 5;
    open_node(s);
    struct reply a = get_answer("POST /api/chat", CHAT("m", "hello", "\"num_predict\":10"));
    assert_int_equal(a.status, 200);
    int64_t prompt = number_in(a.body, "prompt_eval_count");
    assert_true(prompt > 5);
    assert_about(number_in(a.body, "load_duration"), SECOND(2));
    assert_about(number_in(a.body, "prompt_eval_duration"), prompt * MSEC(100));
    assert_int_equal(number_in(a.body, "eval_count"), 10);
    assert_about(number_in(a.body, "eval_duration"), SECOND(2));
    assert_about(number_in(a.body, "total_duration"), SECOND(4) + prompt * MSEC(100));
    assert_holds(a.body, "\"done_reason\":\"length\"");
    assert_holds(a.body, "\"content\":\"[simulated] ");
    finish();
}

static void one_slot_serves_in_order(void **state)
{
    struct simnode_spec s = spec_with("m=1");
    struct peer *p[4];
    begin();
    s.prefill = s.load_rate = 0;
    s.decode = 10;
    open_node(s);
    get_answer("POST /api/generate", "{\"model\":\"m\"}");
    began = world_now();
    for (int i = 0; i < 4; i++) {
        p[i] = ask("POST /api/chat", CHAT("m", "hello", "\"num_predict\":10"));
        world_elapse(MSEC(20));
    }
    assert_int_equal(stats().active, 1);
    assert_int_equal(stats().queued, 3);
    for (int i = 0; i < 4; i++) {
        struct reply a = await(p[i]);
        assert_took(SECOND(i + 1));
        int64_t waited = number_in(a.body, "total_duration") - number_in(a.body, "eval_duration");
        assert_true(waited >= SECOND(i) - SLACK && waited <= SECOND(i) + SLACK);
        assert_int_equal(number_in(a.body, "load_duration"), -1);
    }
    assert_int_equal(stats().queued, 0);
    finish();
}

static void two_slots_work_at_once(void **state)
{
    struct simnode_spec s = spec_with("m=1");
    begin();
    s.slots = 2;
    s.prefill = s.load_rate = 0;
    s.decode = 10;
    open_node(s);
    struct peer *a = ask("POST /api/chat", CHAT("m", "hello", "\"num_predict\":10"));
    struct peer *b = ask("POST /api/chat", CHAT("m", "hello", "\"num_predict\":10"));
    began = world_now();
    await(a);
    await(b);
    assert_took(SECOND(1));
    finish();
}

static void a_model_is_loaded_once_for_all_who_wait(void **state)
{
    struct simnode_spec s = spec_with("m=3000");
    struct peer *p[3];
    begin();
    s.slots = 3;
    s.load_rate = 1000;
    s.prefill = s.decode = 0;
    open_node(s);
    for (int i = 0; i < 3; i++)
        p[i] = ask("POST /api/chat", CHAT("m", "hello", ""));
    began = world_now();
    world_elapse(SECOND(2));
    assert_int_equal(peer_received(p[0]).n, 0);
    assert_holds(get_answer("GET /api/ps", NULL).body, "{\"models\":[]}");
    for (int i = 0; i < 3; i++)
        await(p[i]);
    assert_took(SECOND(3));
    assert_int_equal(stats().loads, 1);
    assert_holds(get_answer("GET /api/ps", NULL).body, "\"name\":\"m:latest\"");
    finish();
}

static void loads_are_serial_and_block_other_cold_models(void **state)
{
    struct simnode_spec s = spec_with("a=2000", "b=2000");
    begin();
    s.load_rate = 1000;
    s.prefill = s.decode = 0;
    open_node(s);
    struct peer *first = ask("POST /api/chat", CHAT("a", "x", ""));
    world_elapse(MSEC(50));
    struct peer *second = ask("POST /api/chat", CHAT("b", "x", ""));
    began = world_now();
    await(first);
    assert_took(SECOND(2) - MSEC(100));
    struct reply b = await(second);
    assert_took(SECOND(4) - MSEC(100));
    assert_true(number_in(b.body, "load_duration") > MSEC(3800));
    finish();
}

static void the_idle_one_with_the_shortest_keep_alive_is_evicted(void **state)
{
    struct simnode_spec s = spec_with("a=400", "b=400", "c=400");
    begin();
    s.vram = 1000;
    s.load_rate = 0;
    open_node(s);
    get_answer("POST /api/generate", "{\"model\":\"b\",\"keep_alive\":\"10m\"}");
    get_answer("POST /api/generate", "{\"model\":\"a\",\"keep_alive\":60}");
    get_answer("POST /api/generate", "{\"model\":\"c\"}");
    struct str ps = get_answer("GET /api/ps", NULL).body;
    assert_holds(ps, "\"b:latest\"");
    assert_holds(ps, "\"c:latest\"");
    assert_false(holds(ps, "\"a:latest\""));
    assert_true(str_find(ps, STR("\"b:latest\"")) < str_find(ps, STR("\"c:latest\"")));
    assert_int_equal(stats().evictions, 1);
    finish();
}

static void a_busy_one_is_waited_for(void **state)
{
    struct simnode_spec s = spec_with("a=600", "b=600");
    begin();
    s.vram = 1000;
    s.load_rate = s.prefill = 0;
    s.decode = 10;
    open_node(s);
    struct peer *busy = ask("POST /api/chat", CHAT("a", "x", "\"num_predict\":20"));
    world_elapse(MSEC(50));
    struct peer *waits = ask("POST /api/chat", CHAT("b", "x", "\"num_predict\":10"));
    began = world_now();
    await(busy);
    assert_took(SECOND(2) - MSEC(100));
    await(waits);
    assert_took(SECOND(3) - MSEC(100));
    assert_int_equal(stats().loaded, 1);
    finish();
}

static void too_large_a_model_gets_the_card_for_itself(void **state)
{
    struct simnode_spec s = spec_with("small=100", "huge=5000");
    begin();
    s.vram = 1000;
    s.load_rate = 0;
    open_node(s);
    get_answer("POST /api/generate", "{\"model\":\"small\"}");
    get_answer("POST /api/generate", "{\"model\":\"huge\"}");
    struct str ps = get_answer("GET /api/ps", NULL).body;
    assert_false(holds(ps, "small"));
    assert_holds(ps, "\"size\":5000");
    assert_holds(ps, "\"size_vram\":1000");
    finish();
}

static void an_idle_model_leaves_when_its_time_is_over(void **state)
{
    struct simnode_spec s = spec_with("m=1", "n=1");
    begin();
    s.load_rate = s.prefill = s.decode = 0;
    open_node(s);
    get_answer("POST /api/generate", "{\"model\":\"m\",\"prompt\":\"x\",\"stream\":false}");
    get_answer("POST /api/generate", "{\"model\":\"n\",\"keep_alive\":-1}");
    world_elapse(SECOND(290));
    assert_int_equal(stats().loaded, 2);
    world_elapse(SECOND(11));
    assert_int_equal(stats().loaded, 1);
    assert_holds(get_answer("GET /api/ps", NULL).body, "\"expires_at\":\"2318-");
    assert_int_equal(stats().expiries, 1);
    get_answer("POST /api/generate", "{\"model\":\"n\",\"prompt\":\"x\",\"keep_alive\":0,\"stream\":false}");
    assert_int_equal(stats().loaded, 0);
    finish();
}

static void unload_never_loads(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1");
    s.load_rate = 0;
    open_node(s);
    assert_holds(get_answer("POST /api/generate", "{\"model\":\"m\",\"keep_alive\":0}").body,
                 "\"done_reason\":\"unload\"");
    assert_int_equal(stats().loads, 0);
    assert_holds(get_answer("POST /api/chat", "{\"model\":\"m\",\"messages\":[]}").body, "\"done_reason\":\"load\"");
    assert_int_equal(stats().loaded, 1);
    assert_holds(get_answer("POST /api/chat", "{\"model\":\"m\",\"messages\":[],\"keep_alive\":\"0\"}").body,
                 "\"done_reason\":\"unload\"");
    assert_int_equal(stats().loaded, 0);
    finish();
}

static void another_context_is_another_load(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1000");
    s.load_rate = 1000;
    s.prefill = s.decode = 0;
    open_node(s);
    get_answer("POST /api/chat", CHAT("m", "x", "\"num_ctx\":8192"));
    get_answer("POST /api/chat", CHAT("m", "x", "\"num_ctx\":8192"));
    assert_int_equal(stats().loads, 1);
    assert_holds(get_answer("GET /api/ps", NULL).body, "\"context_length\":8192");
    get_answer("POST /api/chat", CHAT("m", "x", ""));
    assert_int_equal(stats().loads, 2);
    assert_holds(get_answer("GET /api/ps", NULL).body, "\"context_length\":32768");
    finish();
}

static void other_load_options_are_another_load(void **state)
{
    struct simnode_spec s = spec_with("m=1000");
    begin();
    s.load_rate = 1000;
    s.prefill = s.decode = 0;
    open_node(s);
    get_answer("POST /api/chat", CHAT("m", "x", "\"num_gpu\":2"));
    get_answer("POST /api/chat", CHAT("m", "x", "\"seed\":1,\"num_gpu\":2.0,\"num_ctx\":32768"));
    assert_int_equal(stats().loads, 1);
    struct reply a = get_answer("POST /api/chat", CHAT("m", "x", "\"num_gpu\":2,\"use_mmap\":false"));
    assert_about(number_in(a.body, "load_duration"), SECOND(1));
    assert_int_equal(stats().loads, 2);
    assert_int_equal(stats().unloads, 1);
    get_answer("POST /api/generate", "{\"model\":\"m\",\"shift\":false}");
    assert_int_equal(stats().loads, 3);
    get_answer("POST /api/generate", "{\"model\":\"m\",\"keep_alive\":0}");
    assert_int_equal(stats().unloads, 3);
    finish();
}

static void who_leaves_frees_his_slot_at_once(void **state)
{
    struct simnode_spec s = spec_with("m=1");
    begin();
    s.load_rate = s.prefill = 0;
    s.decode = 10;
    open_node(s);
    struct peer *leaver = ask("POST /api/chat", CHAT("m", "x", "\"num_predict\":1000"));
    world_elapse(MSEC(300));
    struct peer *next = ask("POST /api/chat", CHAT("m", "x", "\"num_predict\":10"));
    struct peer *bored = ask("POST /api/chat", CHAT("m", "x", "\"num_predict\":10"));
    world_elapse(MSEC(100));
    assert_int_equal(stats().queued, 2);
    peer_close(bored, CLOSE_RESET);
    peer_close(leaver, CLOSE_FIN);
    began = world_now();
    await(next);
    assert_took(SECOND(1));
    assert_int_equal(stats().aborted, 2);
    assert_int_equal(stats().active, 0);
    assert_int_equal(stats().queued, 0);
    finish();
}

static void who_leaves_takes_his_load_along(void **state)
{
    struct simnode_spec s = spec_with("m=10000");
    begin();
    s.load_rate = 1000;
    s.prefill = s.decode = 0;
    open_node(s);
    struct peer *leaver = ask("POST /api/chat", CHAT("m", "x", ""));
    world_elapse(SECOND(6));
    struct peer *next = ask("POST /api/chat", CHAT("m", "x", ""));
    world_elapse(SECOND(1));
    peer_close(leaver, CLOSE_RESET);
    began = world_now();
    await(next);
    assert_took(SECOND(10));
    assert_int_equal(stats().load_aborts, 1);
    assert_int_equal(stats().loads, 1);
    finish();
}

static void the_prefix_cache_saves_prefill(void **state)
{
    struct simnode_spec s = spec_with("m=1");
    char first[3000], second[3200], filler[2001];
    begin();
    s.load_rate = s.decode = 0;
    s.prefill = 100;
    open_node(s);
    memset(filler, 'x', 2000);
    filler[2000] = 0;
    snprintf(first, sizeof first,
             "{\"model\":\"m\",\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", filler);
    snprintf(second, sizeof second,
             "{\"model\":\"m\",\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"},{\"role\":"
             "\"user\",\"content\":\"more\"}]}",
             filler);
    assert_true(number_in(get_answer("POST /api/chat", first).body, "prompt_eval_duration") > SECOND(5));
    struct reply a = get_answer("POST /api/chat", second);
    assert_true(number_in(a.body, "prompt_eval_count") > 500);
    assert_true(number_in(a.body, "prompt_eval_duration") < SECOND(1));
    assert_int_equal(stats().prefix_hits, 1);
    finish();
}

static void the_pending_queue_ends_with_busy(void **state)
{
    enum { N = 514 };
    static struct peer *p[N];
    begin();
    struct simnode_spec s = spec_with("m=100000");
    s.load_rate = 1;
    open_node(s);
    for (int i = 0; i < N; i++)
        p[i] = ask("POST /api/generate", "{\"model\":\"m\",\"prompt\":\"x\"}");
    world_elapse(SECOND(30)); /* the listener's backlog is short */
    unsigned busy = 0;
    for (int i = 0; i < N; i++)
        if (peer_received(p[i]).n) {
            assert_answer(answer_of(p[i], M_POST), 503,
                          "{\"error\":\"server busy, please try again.  maximum pending requests exceeded\"}");
            busy++;
        }
    assert_int_equal(stats().connections, N);
    assert_int_equal(stats().queued, 512);
    assert_int_equal(busy, 2);
    finish();
}

static void a_deleted_model_serves_those_who_have_it(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1");
    s.load_rate = s.prefill = 0;
    s.decode = 10;
    open_node(s);
    struct peer *p = ask("POST /api/chat", CHAT("m", "x", "\"num_predict\":10"));
    world_elapse(MSEC(100));
    assert_int_equal(get_answer("DELETE /api/delete", "{\"model\":\"m\"}").status, 200);
    assert_int_equal(get_answer("POST /api/chat", CHAT("m", "x", "")).status, 404);
    assert_int_equal(await(p).status, 200);
    world_elapse(MSEC(100));
    assert_int_equal(stats().loaded, 0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_the_stated_speeds),
        cmocka_unit_test(one_slot_serves_in_order),
        cmocka_unit_test(two_slots_work_at_once),
        cmocka_unit_test(a_model_is_loaded_once_for_all_who_wait),
        cmocka_unit_test(loads_are_serial_and_block_other_cold_models),
        cmocka_unit_test(the_idle_one_with_the_shortest_keep_alive_is_evicted),
        cmocka_unit_test(a_busy_one_is_waited_for),
        cmocka_unit_test(too_large_a_model_gets_the_card_for_itself),
        cmocka_unit_test(an_idle_model_leaves_when_its_time_is_over),
        cmocka_unit_test(unload_never_loads),
        cmocka_unit_test(another_context_is_another_load),
        cmocka_unit_test(other_load_options_are_another_load),
        cmocka_unit_test(who_leaves_frees_his_slot_at_once),
        cmocka_unit_test(who_leaves_takes_his_load_along),
        cmocka_unit_test(the_prefix_cache_saves_prefill),
        cmocka_unit_test(the_pending_queue_ends_with_busy),
        cmocka_unit_test(a_deleted_model_serves_those_who_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
