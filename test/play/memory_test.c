/* Memory that runs short, played: the steps in their order and back, what each refuses, and that nothing accepted is
 * lost. How much is in use is what the simulated machine says. */
#include "talk.h"

#define LIMIT MIB(1000)

static struct peer *client[64];
static unsigned clients;

static void use(unsigned percent)
{
    world_machine(2, LIMIT / 100 * percent, LIMIT);
    world_elapse(MSEC(600));
}

static void begin_play(uint64_t seed)
{
    want_n = clients = 0;
    pools_begin();
    world_new(seed);
    world_machine(2, LIMIT / 100 * 10, LIMIT);
    open_gate(2, 0);
    machines_n = 0;
    machine_slots = 1;
    add_machine("n1");
    machines[0].serves = machines[0].apart = true;
    model_add(&machines[0], "m:latest");
    gateway_start(gate);
    know();
}

static void end_play(void)
{
    use(10);
    for (unsigned i = 0; i < clients; i++)
        if (peer_is_open(client[i]))
            peer_close(client[i], CLOSE_FIN);
    world_elapse(SECOND(1));
    finish();
}

static struct peer *keep(struct peer *p)
{
    assert_true(clients < ARRAY_LEN(client));
    return client[clients++] = p;
}

static struct peer *asks(const char *path, const char *body)
{
    return keep(ask("POST", path, body));
}

/* ---- what the gateway says of itself ----------------------------------------------------------------------------- */

static bool has_no_end(void *p)
{
    return !got_whole(p);
}

static const char *page(const char *path)
{
    struct peer *p = keep(ask("GET", path, ""));
    assert_true(world_run_while(has_no_end, p, SECOND(5)));
    assert_int_equal(status_of(p), 200);
    return got_text;
}

static void assert_page(const char *path, const char *part)
{
    const char *text = page(path);
    if (!strstr(text, part))
        fail_msg("`%s` is not in %s: %s", part, path, text);
}

static void assert_step(const char *name)
{
    char memory[64], metric[64];
    snprintf(memory, sizeof memory, "\"pressure\":\"%s\"", name);
    snprintf(metric, sizeof metric, "\nollamamax_memory_pressure %d\n", atoi(name));
    assert_page("/api/memory", memory);
    assert_page("/metrics", metric);
}

static struct cache_stats stats(void)
{
    struct cache_stats s;
    cache_stats(gate->cache, &s);
    return s;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

#define COLD "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],\"options\":{\"temperature\":0}}"

static void answers(struct peer *p)
{
    want_n = 0;
    await_work(&machines[0]);
    opens(&machines[0]);
    tells_word(&machines[0], 1);
    tells_end(&machines[0]);
    machines[0].work = NULL;
    assert_true(world_run_while(has_no_end, p, SECOND(5)));
    assert_got_all(p);
}

static struct peer *asks_cold(const char *content)
{
    char body[200];
    snprintf(body, sizeof body, COLD, content);
    return asks("/api/chat", body);
}

static bool is_kept(const char *content)
{
    struct peer *p = asks_cold(content);
    world_elapse(MSEC(100));
    if (got_whole(p))
        return true;
    answers(p);
    return false;
}

/* A head that promises `n` bytes. */
static struct peer *promises(const char *path, size_t n)
{
    struct peer *p = keep(world_connect(&gate_at, NULL));
    peer_sendf(p,
               "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               path, n);
    world_elapse(MSEC(50));
    return p;
}

static void assert_short(struct peer *p, const char *form)
{
    assert_true(world_run_while(has_no_end, p, SECOND(5)));
    assert_int_equal(status_of(p), 503);
    assert_true(got(p, "\r\nRetry-After: "));
    if (!strstr(got_text, form) || !strstr(got_text, "short of memory"))
        fail_msg("`%s` is not in %s", form, got_text);
}

/* ---- plays ------------------------------------------------------------------------------------------------------- */

static void steps_come_and_go_in_order(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        size_t size = stats().size;
        assert_step("none");
        assert_page("/api/memory", "\"limit\":1048576000");
        use(74);
        assert_step("none");
        use(76);
        assert_step("75");
        assert_int_equal(stats().size, size / 4);
        use(86);
        assert_step("85");
        use(93);
        assert_step("92");
        use(83);
        assert_step("92");
        use(81);
        assert_step("85");
        use(74);
        assert_step("75");
        assert_int_equal(stats().size, size / 4);
        use(64);
        assert_step("none");
        assert_int_equal(stats().size, size);
        end_play();
    }
}

static void cache_fills_stop_at_85(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        answers(asks_cold("a"));
        assert_true(is_kept("a"));
        use(86);
        assert_true(is_kept("a")); /* what is kept is still given */
        assert_false(is_kept("b"));
        assert_false(is_kept("b"));
        use(60);
        assert_false(is_kept("b"));
        assert_true(is_kept("b"));
        end_play();
    }
}

static void large_bodies_are_refused_at_85_in_the_clients_words(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        use(84);
        assert_int_equal(peer_received(promises("/api/chat", MIB(2))).n, 0); /* waits for its bytes */
        use(86);
        assert_short(promises("/api/chat", MIB(2)), "{\"error\":\"");
        assert_short(promises("/v1/chat/completions", MIB(2)), "{\"error\":{\"message\":\"");
        assert_short(promises("/v1/messages", MIB(2)), "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"");
        assert_int_equal(peer_received(promises("/api/chat", KIB(900))).n, 0);
        use(70);
        assert_int_equal(peer_received(promises("/api/chat", MIB(2))).n, 0);
        end_play();
    }
}

static void what_is_promised_must_fit(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        use(80); /* 12 % are left below 92 %: 120 MiB */
        assert_int_equal(peer_received(promises("/api/chat", MIB(60))).n, 0);
        struct peer *second = promises("/api/chat", MIB(59));
        assert_int_equal(peer_received(second).n, 0);
        assert_short(promises("/api/chat", MIB(2)), "{\"error\":\"");
        peer_close(second, CLOSE_RESET);
        world_elapse(MSEC(50));
        assert_int_equal(peer_received(promises("/api/chat", MIB(50))).n, 0);
        end_play();
    }
}

static void a_body_without_a_length_is_refused_when_it_grows_large(void **state)
{
    static char piece[KIB(600)];
    memset(piece, ' ', sizeof piece);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        use(86);
        struct peer *p = keep(world_connect(&gate_at, NULL));
        peer_sendf(p, "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (unsigned i = 0; i < 2; i++) {
            peer_sendf(p, "%zx\r\n", sizeof piece);
            peer_send(p, (struct str){ piece, sizeof piece });
            peer_sendf(p, "\r\n");
            world_elapse(MSEC(300));
            if (i == 0)
                assert_int_equal(peer_received(p).n, 0);
        }
        assert_short(p, "{\"error\":\"");
        end_play();
    }
}

/* Not one of them is large, and limits.bodies would let them all in. */
static void many_small_bodies_leave_room_for_the_rest(void **state)
{
    static char half[KIB(900)];
    memset(half, ' ', sizeof half);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        unsigned refused = 0;
        begin_play(seed);
        atomic_load(&gate->settings)->memory_limit = MIB(16);
        for (unsigned i = 0; i < 20; i++)
            peer_send(promises("/api/chat", MIB(1)), (struct str){ half, sizeof half });
        world_elapse(MSEC(200));
        for (unsigned i = 0; i < clients; i++)
            if (got_whole(client[i])) {
                assert_int_equal(status_of(client[i]), 503);
                assert_true(got(client[i], "\r\nRetry-After: ") && strstr(got_text, "memory.limit"));
                refused++;
            }
        assert_in_range(refused, 4, 6); /* 14 MiB of 900 KiB each */
        atomic_load(&gate->settings)->memory_limit = LIMIT;
        end_play();
    }
}

/* One slot: the second waits. Who waits when memory runs short is served all the same; who comes then is not let in. */
static void the_queue_shuts_at_92_and_loses_nobody(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        struct peer *runs = asks_cold("runs");
        await_work(&machines[0]);
        opens(&machines[0]);
        tells_word(&machines[0], 1);
        struct peer *waits = asks_cold("waits");
        world_elapse(MSEC(100));
        use(93);
        assert_short(asks_cold("late"), "{\"error\":\"");
        assert_int_equal(peer_received(waits).n, 0);
        tells_end(&machines[0]);
        machines[0].work = NULL;
        assert_true(world_run_while(has_no_end, runs, SECOND(5)));
        assert_got_all(runs);
        answers(waits);
        answers(asks_cold("a slot is free"));
        end_play();
    }
}

static void a_machine_that_is_nearly_out_of_memory_counts(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        world_memory_available(0.06);
        use(10);
        assert_step("none");
        world_memory_available(0.04);
        use(10);
        assert_step("85");
        world_memory_available(0.06);
        use(10);
        assert_step("85");
        world_memory_available(0.08);
        use(10);
        assert_step("none");
        end_play();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_come_and_go_in_order),
        cmocka_unit_test(cache_fills_stop_at_85),
        cmocka_unit_test(large_bodies_are_refused_at_85_in_the_clients_words),
        cmocka_unit_test(what_is_promised_must_fit),
        cmocka_unit_test(a_body_without_a_length_is_refused_when_it_grows_large),
        cmocka_unit_test(many_small_bodies_leave_room_for_the_rest),
        cmocka_unit_test(the_queue_shuts_at_92_and_loses_nobody),
        cmocka_unit_test(a_machine_that_is_nearly_out_of_memory_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
