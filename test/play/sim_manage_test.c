/* A simulated node's models being managed, its faults, and its connections: pipelines, pieces, and memory. */
#include "sim_rig.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" /* sha256 of "hello" */
#define CHAT  "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"options\":{\"num_predict\":4}}"
#define BUSY  "{\"error\":\"server busy, please try again.  maximum pending requests exceeded\"}"
#define SENT  "{\"status\":\"success\"}"

static void open_quick(void)
{
    begin();
    struct simnode_spec s = spec_with("m=1000");
    s.load_rate = s.prefill = s.decode = 0;
    open_node(s);
}

/* ---- models ---- */
static void pull_shows_progress_and_ends_well(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1000");
    s.load_rate = 130000000;
    open_node(s);
    nsec start = world_now();
    struct reply a = get_answer("POST /api/pull", "{\"name\":\"fresh:2b\"}");
    assert_int_equal(a.status, 200);
    assert_true(world_now() - start > SECOND(9) && world_now() - start < SECOND(11));
    assert_true(str_starts(a.body, STR("{\"status\":\"pulling manifest\"}\n{\"status\":\"pulling ")));
    assert_holds(a.body, "\"total\":1300000000,\"completed\":650000000}");
    assert_true(str_ends(
        a.body, STR("{\"status\":\"verifying sha256 digest\"}\n{\"status\":\"writing manifest\"}\n" SENT "\n")));
    assert_holds(get_answer("GET /api/tags", NULL).body, "\"fresh:2b\"");
    assert_answer(get_answer("POST /api/pull", "{\"model\":\"other:1b\",\"stream\":false}"), 200, SENT);
    finish();
}

static void pull_of_an_unknown_model_fails_as_ollama_does(void **state)
{
    open_quick();
    assert_answer(get_answer("POST /api/pull", "{\"model\":\"nosuch\"}"), 200,
                  "{\"status\":\"pulling manifest\"}\n{\"error\":\"pull model manifest: file does not exist\"}\n");
    assert_answer(get_answer("POST /api/pull", "{\"model\":\"nosuch\",\"stream\":false}"), 500,
                  "{\"error\":\"pull model manifest: file does not exist\"}");
    finish();
}

static void a_pull_ends_with_its_client(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1000");
    s.load_rate = 1000;
    open_node(s);
    struct peer *p = ask("POST /api/pull", "{\"name\":\"fresh:2b\"}");
    world_elapse(SECOND(5));
    assert_true(peer_received(p).n > 0);
    peer_close(p, CLOSE_RESET);
    world_elapse(SECOND(1));
    assert_int_equal(stats().connections, 0);
    finish();
}

static void models_are_copied_created_and_deleted(void **state)
{
    open_quick();
    assert_answer(get_answer("POST /api/copy", "{\"source\":\"m\",\"destination\":\"n\"}"), 200, "");
    assert_int_equal(get_answer("POST /api/chat", "{\"model\":\"n\",\"messages\":[]}").status, 200);
    assert_answer(get_answer("DELETE /api/delete", "{\"model\":\"n\"}"), 200, "");
    assert_answer(get_answer("DELETE /api/delete", "{\"name\":\"n\"}"), 404, "{\"error\":\"model 'n' not found\"}");
    assert_true(str_ends(get_answer("POST /api/create", "{\"model\":\"made\",\"from\":\"m\"}").body, STR(SENT "\n")));
    assert_holds(get_answer("GET /api/tags", NULL).body, "\"made:latest\"");
    assert_int_equal(get_answer("POST /api/create", "{\"model\":\"made\"}").status, 400);
    assert_true(str_ends(get_answer("POST /api/push", "{\"model\":\"m\"}").body, STR(SENT "\n")));
    finish();
}

/* ---- blobs ---- */
static void blobs_are_checked_by_their_digest(void **state)
{
    open_quick();
    assert_int_equal(get_answer("HEAD /api/blobs/sha256:" HELLO, NULL).status, 404);
    assert_int_equal(get_answer("HEAD /api/blobs/sha256:12", NULL).status, 400);
    assert_int_equal(get_answer("POST /api/blobs/sha256:" HELLO, "wrong").status, 400);
    assert_answer(get_answer("POST /api/blobs/sha256-" HELLO, "hello"), 201, "");
    assert_int_equal(get_answer("HEAD /api/blobs/sha256:" HELLO, NULL).status, 200);
    assert_true(
        str_ends(get_answer("POST /api/create", "{\"model\":\"f\",\"files\":{\"a.gguf\":\"sha256:" HELLO "\"}}").body,
                 STR(SENT "\n")));
    assert_int_equal(get_answer("POST /api/create", "{\"model\":\"f\",\"files\":{\"a.gguf\":\"sha256:0\"}}").status,
                     400);
    finish();
}

static void a_blob_comes_in_pieces_and_one_that_is_here_is_refused_early(void **state)
{
    open_quick();
    struct peer *p = connect_peer();
    peer_sendf(p, "POST /api/blobs/sha256:" HELLO
                  " HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    world_elapse(SECOND(1));
    assert_true(str_eq(peer_received(p), STR("HTTP/1.1 100 Continue\r\n\r\n")));
    peer_eat(p, peer_received(p).n);
    peer_sendf(p, "2\r\nhe\r\n");
    world_elapse(SECOND(1));
    peer_sendf(p, "3\r\nllo\r\n0\r\n\r\n");
    assert_int_equal(answer_within(p, M_POST, SECOND(1)).status, 201);
    peer_eat(p, peer_received(p).n);
    peer_sendf(p, "POST /api/blobs/sha256:" HELLO " HTTP/1.1\r\nHost: n\r\nContent-Length: 1000000\r\n\r\nhello");
    assert_int_equal(answer_within(p, M_POST, SECOND(1)).status, 200);
    world_elapse(SECOND(1));
    assert_true(peer_saw_end(p));
    world_elapse(SECOND(10));
    assert_int_equal(stats().connections, 0);
    finish();
}

/* ---- faults ---- */
static void faults_strike_as_often_as_told(void **state)
{
    open_quick();
    assert_answer(get_answer("POST /sim/faults", "{\"status\":500,\"count\":2}"), 200, "{}");
    assert_int_equal(get_answer("POST /api/chat", CHAT).status, 500);
    assert_int_equal(get_answer("GET /api/tags", NULL).status, 200);
    assert_int_equal(get_answer("POST /api/chat", CHAT).status, 500);
    assert_int_equal(get_answer("POST /api/chat", CHAT).status, 200);
    get_answer("POST /sim/faults", "{\"busy\":true}");
    assert_answer(get_answer("POST /api/chat", CHAT), 503, BUSY);
    get_answer("POST /sim/faults", "{\"busy\":true}");
    get_answer("POST /sim/faults", "{}");
    assert_int_equal(get_answer("POST /api/chat", CHAT).status, 200);
    assert_int_equal(get_answer("POST /sim/faults", "{\"stal_ms\":1}").status, 400);
    assert_int_equal(get_answer("POST /sim/faults", "{\"status\":200}").status, 400);
    finish();
}

static void stall_reset_and_slow_load(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1000");
    s.load_rate = 1000;
    s.prefill = s.decode = 0;
    open_node(s);
    get_answer("POST /sim/faults", "{\"slow_load\":5}");
    nsec start = world_now();
    get_answer("POST /api/chat", CHAT);
    assert_true(world_now() - start >= SECOND(5));
    get_answer("POST /sim/faults", "{\"stall_ms\":3000}");
    start = world_now();
    get_answer("POST /api/chat", CHAT);
    assert_true(world_now() - start >= SECOND(3) && world_now() - start < SECOND(4));
    get_answer("POST /sim/faults", "{\"reset_after_bytes\":300}");
    struct peer *p = ask("POST /api/chat", CHAT);
    world_elapse(SECOND(1));
    assert_true(peer_saw_reset(p));
    assert_true(peer_received(p).n <= 300);
    assert_int_equal(get_answer("POST /api/chat", CHAT).status, 200);
    finish();
}

static void a_dead_node_may_come_back(void **state)
{
    open_quick();
    get_answer("POST /api/chat", CHAT);
    assert_int_equal(stats().loaded, 1);
    struct peer *idle = connect_peer();
    world_elapse(MSEC(100));
    get_answer("POST /sim/faults", "{\"die\":5000}");
    assert_true(peer_saw_reset(idle));
    assert_int_equal(stats().loaded, 0);
    struct peer *p = connect_peer();
    world_elapse(SECOND(1));
    assert_false(peer_is_open(p));
    world_elapse(SECOND(5));
    assert_int_equal(get_answer("POST /api/chat", CHAT).status, 200);
    get_answer("POST /sim/faults", "{\"die\":true}");
    world_elapse(SECOND(3600));
    p = connect_peer();
    world_elapse(SECOND(1));
    assert_false(peer_is_open(p));
    finish();
}

static void what_was_counted_can_be_asked(void **state)
{
    open_quick();
    get_answer("POST /api/chat", CHAT);
    struct str s = get_answer("GET /sim/stats", NULL).body;
    assert_int_equal(number_in(s, "works"), 1);
    assert_int_equal(number_in(s, "loads"), 1);
    assert_int_equal(number_in(s, "tokens"), 4);
    assert_holds(s, "\"models\":{\"m:latest\":{\"requests\":1,\"loads\":1");
    finish();
}

/* ---- connections ---- */
static void pipelined_requests_are_answered_in_order(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1000");
    s.load_rate = s.prefill = 0;
    s.decode = 20;
    open_node(s);
    struct peer *p = connect_peer();
    send_request(p, "POST /api/chat", CHAT);
    send_request(p, "GET /api/version", NULL);
    send_request(p, "POST /api/chat", CHAT);
    send_request(p, "GET /api/ps", NULL);
    world_elapse(SECOND(5));
    struct str all = peer_received(p);
    static const char *const parts[] = { "\"done\":true", "0.12.6", "\"done\":true",
                                         "{\"models\":[{\"name\":\"m:latest\"" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        ssize_t at = str_find(all, str_of(parts[i]));
        assert_true(at >= 0);
        all = str_drop(all, (size_t)at + strlen(parts[i]));
    }
    peer_close(p, CLOSE_FIN);
    world_elapse(MSEC(100));
    finish();
}

static void a_request_may_arrive_byte_by_byte(void **state)
{
    static const char all[] = "POST /api/chat HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "1f\r\n{\"model\":\"m\",\"stream\":false,\"me\r\n"
                              "2f\r\nssages\":[{\"role\":\"user\",\"content\":\"hi there\"}]}\r\n0\r\n\r\n";
    open_quick();
    struct peer *p = connect_peer();
    for (size_t i = 0; i < sizeof all - 1; i++) {
        peer_send(p, (struct str){ all + i, 1 });
        world_elapse(MSEC(5));
    }
    assert_int_equal(answer_within(p, M_POST, SECOND(1)).status, 200);
    peer_close(p, CLOSE_FIN);
    world_elapse(MSEC(100));
    finish();
}

static void nonsense_is_refused_and_the_connection_ends(void **state)
{
    open_quick();
    struct peer *p = connect_peer();
    peer_sendf(p, "POST /api/chat HTTP/1.1\r\nContent-Length: +5\r\n\r\n");
    assert_int_equal(answer_within(p, M_POST, SECOND(1)).status, 400);
    world_elapse(SECOND(1));
    assert_true(peer_saw_end(p));
    world_elapse(SECOND(10));
    assert_int_equal(stats().connections, 0);
    finish();
}

static void a_slow_reader_holds_the_model_back(void **state)
{
    struct link narrow = link_usual();
    begin();
    narrow.window_min = narrow.window_max = 4096;
    struct simnode_spec s = spec_with("m=1000");
    world_link(&s.listen, &narrow);
    s.load_rate = s.prefill = s.decode = 0;
    open_node(s);
    struct peer *p = connect_peer();
    peer_stall(p, true);
    send_request(
        p, "POST /api/chat",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"options\":{\"num_predict\":20000}}");
    world_elapse(SECOND(10));
    assert_int_equal(stats().active, 1);
    assert_true(buf_bytes_live() < MIB(2));
    peer_stall(p, false);
    world_elapse(SECOND(600));
    struct reply a = answer_of(p, M_POST);
    assert_true(a.whole);
    assert_int_equal(a.records, 20001);
    peer_close(p, CLOSE_FIN);
    world_elapse(MSEC(100));
    finish();
}

static void without_memory_connections_end_and_nothing_leaks(void **state)
{
    uint64_t takes = 1;
    for (uint64_t nth = 0; nth <= takes; nth++) {
        open_quick();
        memory_fail_at(nth);
        struct peer *p = ask("POST /api/chat", CHAT);
        struct peer *q = ask("POST /v1/responses", "{\"model\":\"m\",\"input\":\"hi\",\"stream\":true}");
        struct peer *r = ask("POST /api/pull", "{\"model\":\"x\"}");
        world_elapse(SECOND(1));
        if (nth == 0)
            takes = memory_takes();
        memory_fail_at(0);
        peer_close(p, CLOSE_FIN);
        peer_close(q, CLOSE_FIN);
        peer_close(r, CLOSE_FIN);
        world_elapse(SECOND(10));
        assert_int_equal(stats().connections, 0);
        assert_int_equal(stats().active, 0);
        assert_int_equal(get_answer("POST /api/chat", CHAT).status, 200);
        finish();
    }
    assert_true(takes > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_shows_progress_and_ends_well),
        cmocka_unit_test(pull_of_an_unknown_model_fails_as_ollama_does),
        cmocka_unit_test(a_pull_ends_with_its_client),
        cmocka_unit_test(models_are_copied_created_and_deleted),
        cmocka_unit_test(blobs_are_checked_by_their_digest),
        cmocka_unit_test(a_blob_comes_in_pieces_and_one_that_is_here_is_refused_early),
        cmocka_unit_test(faults_strike_as_often_as_told),
        cmocka_unit_test(stall_reset_and_slow_load),
        cmocka_unit_test(a_dead_node_may_come_back),
        cmocka_unit_test(what_was_counted_can_be_asked),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_may_arrive_byte_by_byte),
        cmocka_unit_test(nonsense_is_refused_and_the_connection_ends),
        cmocka_unit_test(a_slow_reader_holds_the_model_back),
        cmocka_unit_test(without_memory_connections_end_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
