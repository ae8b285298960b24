/* Pull, copy and delete, played over several machines. */
#include "machine.h"

/* ---- pull -------------------------------------------------------------------------------------------------------- */

static void pull_shows_the_slowest_and_succeeds_after_all(void **state)
{
    EACH_SEED
    {
        begin(seed, 2, 0);
        struct peer *c = ask("POST", "/api/pull", "{\"model\":\"m\"}"); /* before anybody is known */
        await_work(&machines[0]);
        await_work(&machines[1]);
        assert_non_null(strstr(machines[1].body, "\"stream\":true"));
        await(c, "pulling manifest");
        assert_true(got(c, "HTTP/1.1 200") && got(c, "application/x-ndjson") && got(c, "X-OllamaMax-Node: n1, n2"));
        progresses(&machines[0], 80);
        progresses(&machines[1], 30);
        await(c, "\"completed\":30");
        progresses(&machines[1], 90);
        await(c, "\"completed\":80");
        succeeds(&machines[0], "m:latest");
        world_elapse(MSEC(500));
        assert_false(got(c, "success"));
        progresses(&machines[1], 100);
        succeeds(&machines[1], "m:latest");
        await(c, "{\"status\":\"success\"}\n\r\n0\r\n\r\n");
        assert_true(tags_say("m:latest"));
        peer_close(c, CLOSE_FIN);
        finish();
    }
}

static void pull_on_one_node_failing_says_who_did_what(void **state)
{
    EACH_SEED
    {
        begin(seed, 2, 0);
        know();
        struct peer *c = ask("POST", "/api/pull", "{\"name\":\"m\"}");
        await_work(&machines[0]);
        await_work(&machines[1]);
        succeeds(&machines[0], "m:latest");
        peer_close(machines[1].work, CLOSE_RESET);
        await(c, "0\r\n\r\n");
        assert_true(got(c, "\"error\":") && got(c, "(on n2); succeeded on n1"));
        assert_false(got(c, "success\""));
        assert_true(tags_say("m:latest"));
        peer_close(c, CLOSE_FIN);
        finish();
    }
}

static void pull_unstreamed_answers_one_object(void **state)
{
    EACH_SEED
    {
        begin(seed, 2, 1);
        model_add(&machines[1], "m:latest");
        know();
        struct peer *c = ask("POST", "/api/pull", "{\"model\":\"m\",\"stream\":false}");
        await_work(&machines[1]); /* one replica: where it is already */
        progresses(&machines[1], 50);
        succeeds(&machines[1], "m:latest");
        await(c, "{\"status\":\"success\"}");
        assert_int_equal(status_of(c), 200);
        assert_int_equal(machines[0].pulls, 0);
        assert_false(got(c, "pulling") || got(c, "chunked"));

        struct peer *d = ask("POST", "/api/pull", "{\"model\":\"nowhere\",\"stream\":false}");
        await_work(&machines[0]);
        says(&machines[0], "{\"error\":\"pull model manifest: file does not exist\"}");
        peer_sendf(machines[0].work, "0\r\n\r\n");
        assert_int_equal(status_of(d), 500);
        await(d, "{\"error\":\"pull model manifest: file does not exist");
        peer_close(c, CLOSE_FIN);
        peer_close(d, CLOSE_FIN);
        finish();
    }
}

static void pull_ends_with_its_client(void **state)
{
    EACH_SEED
    {
        begin(seed, 2, 0);
        know();
        struct peer *c = ask("POST", "/api/pull", "{\"model\":\"m\"}");
        await(c, "pulling manifest");
        await_work(&machines[0]);
        await_work(&machines[1]);
        peer_close(c, seed % 2 ? CLOSE_RESET : CLOSE_FIN);
        await_true(&machines[0].closed_on_us);
        await_true(&machines[1].closed_on_us);
        finish();
    }
}

static void pull_with_all_nodes_down_names_them(void **state)
{
    EACH_SEED
    {
        begin(seed, 1, 0);
        goes_away(&machines[0]);
        struct peer *c = ask("POST", "/api/pull", "{\"model\":\"m\"}");
        await(c, "n1");
        assert_int_equal(status_of(c), 503);
        peer_close(c, CLOSE_FIN);
        finish();
    }
}

static void pull_on_a_pinned_node_stays_there(void **state)
{
    begin(3, 2, 0);
    know();
    struct peer *c = world_connect(&gate_at, NULL);
    peer_sendf(c, "POST /api/pull HTTP/1.1\r\nHost: localhost\r\nX-OllamaMax-Node: n2\r\nContent-Length: "
                  "13\r\n\r\n{\"model\":\"m\"}");
    await_work(&machines[1]);
    succeeds(&machines[1], "m:latest");
    await(c, "success");
    assert_int_equal(machines[0].pulls, 0);
    peer_sendf(c, "POST /api/pull HTTP/1.1\r\nHost: localhost\r\nX-OllamaMax-Node: n9\r\nContent-Length: "
                  "13\r\n\r\n{\"model\":\"m\"}");
    await(c, "HTTP/1.1 404");
    peer_close(c, CLOSE_FIN);
    finish();
}

/* Two gateways that are each other's nodes would pull for ever. */
static void pull_tells_nodes_whom_it_has_come_through(void **state)
{
    begin(3, 1, 0);
    know();
    struct peer *c = world_connect(&gate_at, NULL);
    peer_sendf(c, "POST /api/pull HTTP/1.1\r\nHost: localhost\r\nVia: 1.1 ollamamax-cafe\r\nContent-Length: "
                  "13\r\n\r\n{\"model\":\"m\"}");
    await_work(&machines[0]);
    assert_non_null(strstr(machines[0].via, "1.1 ollamamax-cafe, 1.1 ollamamax-"));
    succeeds(&machines[0], "m:latest");
    await(c, "success");
    peer_close(c, CLOSE_FIN);
    finish();
}

/* Whoever reads slowly misses progress, never the end, and costs no memory meanwhile. */
static void a_slow_reader_of_progress_gets_the_end(void **state)
{
    begin(5, 1, 0);
    know();
    struct peer *c = ask("POST", "/api/pull", "{\"model\":\"m\"}");
    await(c, "pulling manifest");
    peer_stall(c, true);
    size_t most = 0;
    for (unsigned i = 1; i <= 20000; i++) {
        char record[120];
        snprintf(record, sizeof record,
                 "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":20000,\"completed\":%u}", i);
        says(&machines[0], record);
        if (i % 50 == 0)
            world_elapse(MSEC(5));
        most = MAX(most, buf_bytes_live());
    }
    succeeds(&machines[0], "m:latest");
    world_elapse(SECOND(1));
    assert_in_range(most, KIB(256), KIB(600));
    peer_stall(c, false);
    await(c, "{\"status\":\"success\"}");
    peer_close(c, CLOSE_FIN);
    finish();
}

/* ---- delete, copy ------------------------------------------------------------------------------------------------ */

static void delete_removes_everywhere_and_then_says_404(void **state)
{
    EACH_SEED
    {
        begin(seed, 3, 0);
        model_add(&machines[0], "m:latest");
        model_add(&machines[2], "m:latest");
        know();
        assert_true(tags_say("m:latest"));
        struct peer *c = ask("DELETE", "/api/delete", "{\"model\":\"m:latest\"}");
        assert_int_equal(status_of(c), 200);
        assert_true(got(c, "Content-Length: 0"));
        assert_false(tags_say("m:latest"));
        assert_int_equal(machines[1].deletes, 0);
        struct peer *d = ask("DELETE", "/api/delete", "{\"model\":\"m:latest\"}");
        assert_int_equal(status_of(d), 404);
        await(d, "{\"error\":\"model 'm:latest' not found\"}");
        assert_int_equal(machines[1].deletes, 1); /* nobody is known to have it: everybody says so */
        peer_close(c, CLOSE_FIN);
        peer_close(d, CLOSE_FIN);
        finish();
    }
}

static void delete_in_part_says_who_did_what(void **state)
{
    EACH_SEED
    {
        begin(seed, 3, 0);
        for (unsigned i = 0; i < 3; i++)
            model_add(&machines[i], "m:latest");
        know();
        machines[1].refuses = 500;
        struct peer *c = ask("DELETE", "/api/delete", "{\"model\":\"m:latest\"}");
        assert_int_equal(status_of(c), 500);
        await(c, "disk broken (on n2); succeeded on n1, n3");
        goes_away(&machines[1]);
        world_elapse(SECOND(12)); /* it is down now, and known to have the model still */
        struct peer *d = ask("DELETE", "/api/delete", "{\"model\":\"m:latest\"}");
        assert_int_equal(status_of(d), 503);
        await(d, "the node is down and still has the model (on n2)");
        peer_close(c, CLOSE_FIN);
        peer_close(d, CLOSE_FIN);
        finish();
    }
}

static void delete_goes_on_without_its_client(void **state)
{
    EACH_SEED
    {
        begin(seed, 1, 0);
        model_add(&machines[0], "m:latest");
        know();
        machines[0].hold_delete = true;
        struct peer *c = ask("DELETE", "/api/delete", "{\"model\":\"m:latest\"}");
        await_work(&machines[0]);
        unsigned asked = machines[0].asked_tags;
        peer_close(c, CLOSE_RESET);
        world_elapse(SECOND(1));
        assert_false(machines[0].closed_on_us);
        remove_model(&machines[0], machines[0].work);
        world_elapse(SECOND(1));
        assert_true(machines[0].asked_tags > asked);
        assert_false(tags_say("m:latest"));
        finish();
    }
}

static void a_copy_is_usable_at_once_wherever_its_source_was(void **state)
{
    EACH_SEED
    {
        begin(seed, 3, 0);
        model_add(&machines[0], "m:latest");
        model_add(&machines[1], "m:latest");
        know();
        struct peer *c = ask("POST", "/api/copy", "{\"source\":\"m:latest\",\"destination\":\"new:latest\"}");
        assert_int_equal(status_of(c), 200);
        assert_true(tags_say("new:latest"));
        assert_true(has(&machines[0], "new:latest") && has(&machines[1], "new:latest"));
        assert_int_equal(machines[2].copies, 0);
        struct peer *d = ask("POST", "/api/copy", "{\"source\":\"none\",\"destination\":\"x\"}");
        assert_int_equal(status_of(d), 404);
        await(d, "{\"error\":\"model \\\"none\\\" not found\"}");
        peer_close(c, CLOSE_FIN);
        peer_close(d, CLOSE_FIN);
        finish();
    }
}

/* ---- every allocation fails once --------------------------------------------------------------------------------- */

static void drive(struct machine *m)
{
    if (m->work && peer_is_open(m->work))
        succeeds(m, "m:latest");
    m->work = NULL;
}

/* One of each, with whatever comes out of it; the checks are finish()'s. False: no allocation was left to fail. */
static bool one_of_each(uint64_t nth)
{
    begin(7, 2, 0);
    model_add(&machines[0], "old:latest");
    know();
    memory_fail_at(nth);
    struct peer *c[] = { ask("POST", "/api/pull", "{\"model\":\"m\"}"), upload("Content-Length: 5\r\n"),
                         ask("POST", "/api/copy", "{\"source\":\"old:latest\",\"destination\":\"new\"}"),
                         ask("DELETE", "/api/delete", "{\"model\":\"old:latest\"}") };
    world_elapse(MSEC(100));
    peer_sendf(c[1], "hello");
    world_elapse(MSEC(100));
    drive(&machines[0]);
    drive(&machines[1]);
    world_elapse(SECOND(3));
    bool struck = memory_takes() >= nth;
    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        if (peer_is_open(c[i]))
            assert_true(got(c[i], "HTTP/1.1 "));
        peer_close(c[i], CLOSE_FIN);
    }
    finish();
    return struck;
}

static void each_allocation_may_fail(void **state)
{
    uint64_t nth = 1;
    while (one_of_each(nth))
        nth++;
    assert_true(nth > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_shows_the_slowest_and_succeeds_after_all),
        cmocka_unit_test(pull_on_one_node_failing_says_who_did_what),
        cmocka_unit_test(pull_unstreamed_answers_one_object),
        cmocka_unit_test(pull_ends_with_its_client),
        cmocka_unit_test(pull_with_all_nodes_down_names_them),
        cmocka_unit_test(pull_on_a_pinned_node_stays_there),
        cmocka_unit_test(pull_tells_nodes_whom_it_has_come_through),
        cmocka_unit_test(a_slow_reader_of_progress_gets_the_end),
        cmocka_unit_test(delete_removes_everywhere_and_then_says_404),
        cmocka_unit_test(delete_in_part_says_who_did_what),
        cmocka_unit_test(delete_goes_on_without_its_client),
        cmocka_unit_test(a_copy_is_usable_at_once_wherever_its_source_was),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
