/* WebSockets and event streams, played: what is asked over one socket, who may, what each second brings, and how it
 * ends. */
#include "machine.h"
#include "net/websocket_fixture.h"

#define UPGRADE                                                                                                        \
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"                           \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define CHAT "\"path\":\"/api/chat\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

/* ---- a client ---------------------------------------------------------------------------------------------------- */

static struct peer *shake(const char *fields)
{
    struct peer *p = world_connect(&gate_at, NULL);
    peer_sendf(p, "GET /ws HTTP/1.1\r\n%s\r\n", fields);
    return p;
}

static struct peer *dial(void)
{
    struct peer *p = shake("Host: localhost\r\n" UPGRADE);
    assert_int_equal(status_of(p), 101);
    assert_true(got(p, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    peer_eat(p, peer_received(p).n);
    return p;
}

static void send_frame(struct peer *p, unsigned opcode, struct str payload)
{
    struct text t = { 0 };
    frame_put(&t, opcode, true, payload);
    peer_send(p, text_str(&t));
    text_free(&t);
}

static void tell(struct peer *p, const char *message)
{
    send_frame(p, FRAME_TEXT, str_of(message));
}

/* The payload of the first frame, which is eaten; its first byte in *out_kind. Frames must come within 20 s. */
static bool no_frame(void *arg)
{
    struct str in = peer_received(arg);
    const uint8_t *b = (const uint8_t *)in.p;
    size_t n = in.n < 2 ? 0 : b[1] < 126 ? 2u + b[1] : 0;
    if (in.n >= 4 && b[1] == 126)
        n = 4u + ((unsigned)b[2] << 8 | b[3]);
    if (in.n >= 10 && b[1] == 127)
        n = 10u + ((size_t)b[6] << 24 | (unsigned)b[7] << 16 | (unsigned)b[8] << 8 | b[9]);
    return !n || in.n < n;
}

static unsigned frame_kind;
static char frame[100000];
static const char *next_frame(struct peer *p)
{
    if (!world_run_while(no_frame, p, SECOND(20)))
        fail_msg("no frame in %zu bytes", peer_received(p).n);
    struct str in = peer_received(p);
    unsigned head = (uint8_t)in.p[1] < 126 ? 2 : (uint8_t)in.p[1] == 126 ? 4 : 10;
    size_t n = head == 2 ? (uint8_t)in.p[1] : 0;
    for (unsigned i = 2; i < head; i++)
        n = n << 8 | (uint8_t)in.p[i];
    assert_true(n < sizeof frame);
    frame_kind = (uint8_t)in.p[0];
    memcpy(frame, in.p + head, n);
    frame[n] = 0;
    peer_eat(p, head + n);
    return frame;
}

static bool next_has(struct peer *p, const char *text)
{
    bool has_it = strstr(next_frame(p), text) != NULL;
    if (!has_it)
        print_message("`%s` is not in: %.300s\n", text, frame);
    return has_it;
}

/* Of the frames that come, the first with this text. */
static const char *frame_with(struct peer *p, const char *text)
{
    while (!strstr(next_frame(p), text))
        ;
    return frame;
}

static void open_fleet(uint64_t seed)
{
    begin(seed, 1, 0);
    machines[0].serves = true;
    model_add(&machines[0], "m:latest");
    know();
}

static void streams(struct machine *m)
{
    peer_sendf(m->work, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void one_more(struct machine *m, const char *word, bool done)
{
    char record[200];
    snprintf(record, sizeof record,
             "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"done\":%s%s}", word,
             done ? "true" : "false", done ? ",\"done_reason\":\"stop\",\"eval_count\":7" : "");
    says(m, record);
    if (done)
        peer_sendf(m->work, "0\r\n\r\n");
}

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

static void only_what_is_a_websocket_becomes_one(void **state)
{
    static const char *wrong[] = {
        "Host: localhost\r\n",
        "Host: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: short\r\n",
    };
    open_fleet(1);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        struct peer *p = shake(wrong[i]);
        assert_int_equal(status_of(p), 426);
        assert_true(got(p, "Sec-WebSocket-Version: 13\r\n") && got(p, "Upgrade: websocket\r\n"));
        peer_close(p, CLOSE_FIN);
    }
    struct peer *foreign = shake("Host: localhost\r\nOrigin: https://evil.example\r\n" UPGRADE);
    assert_int_equal(status_of(foreign), 403);
    peer_close(foreign, CLOSE_FIN);
    finish();
}

static void the_protocol_is_picked_and_the_key_never_echoed(void **state)
{
    gate_key = "s\xc3\xa9same>?";
    open_fleet(1);
    struct peer *p = shake("Host: far.example\r\n" UPGRADE
                           "Sec-WebSocket-Protocol: ollamamax.v1, ollamamax.bearer.c8Opc2FtZT4_\r\n");
    assert_int_equal(status_of(p), 101);
    assert_true(got(p, "Sec-WebSocket-Protocol: ollamamax.v1\r\n"));
    assert_false(got(p, "bearer"));
    peer_eat(p, peer_received(p).n);
    tell(p, "{\"type\":\"get_nodes\",\"id\":1}");
    assert_true(next_has(p, "\"id\":1,\"status\":200") && strstr(frame, "\"nodes\":[{\"id\":\"n1\""));
    peer_close(p, CLOSE_FIN);

    struct peer *none = shake("Host: localhost\r\n" UPGRADE);
    assert_int_equal(status_of(none), 101);
    peer_eat(none, peer_received(none).n);
    tell(none, "{\"type\":\"get_nodes\",\"id\":2}");
    assert_true(next_has(none, "\"type\":\"error\",\"id\":2,\"status\":401,\"code\":\"unauthorized\""));
    tell(none, "{\"type\":\"subscribe\",\"topics\":[\"metrics\"]}");
    assert_true(next_has(none, "\"code\":\"unauthorized\""));
    peer_close(none, CLOSE_FIN);
    finish();
    gate_key = NULL;
}

/* ---- inference --------------------------------------------------------------------------------------------------- */

static void an_answer_comes_in_chunks_and_a_response(void **state)
{
    EACH_SEED
    {
        open_fleet(seed);
        struct peer *p = dial();
        tell(p, "{\"type\":\"inference\",\"id\":\"a\"," CHAT "}");
        await_work(&machines[0]);
        streams(&machines[0]);
        one_more(&machines[0], "Hel", false);
        assert_string_equal(next_frame(p),
                            "{\"type\":\"stream_chunk\",\"id\":\"a\",\"data\":{\"model\":\"m\",\"message\":"
                            "{\"role\":\"assistant\",\"content\":\"Hel\"},\"done\":false}}");
        one_more(&machines[0], "lo", true);
        assert_true(next_has(p, "\"content\":\"lo\"},\"done\":true"));
        assert_true(next_has(p, "{\"type\":\"response\",\"id\":\"a\",\"status\":200,"));
        assert_true(strstr(frame, "\"node\":\"n1\"") && strstr(frame, "\"attempts\":1") &&
                    strstr(frame, "\"body\":null"));
        peer_close(p, CLOSE_FIN);
        finish();
    }
}

static void two_at_once_keep_apart(void **state)
{
    EACH_SEED
    {
        open_fleet(seed);
        struct peer *p = dial(), *first;
        tell(p, "{\"type\":\"inference\",\"id\":1," CHAT "}");
        await_work(&machines[0]);
        first = machines[0].work;
        machines[0].work = NULL;
        tell(p, "{\"type\":\"inference\",\"id\":2," CHAT "}");
        tell(p, "{\"type\":\"inference\",\"id\":1," CHAT "}");
        assert_true(next_has(
            p, "\"id\":1,\"status\":409,\"code\":\"conflict\",\"error\":\"an inference with this id is under way\""));
        await_work(&machines[0]);
        streams(&machines[0]);
        one_more(&machines[0], "second", true);
        assert_true(next_has(p, "\"id\":2,\"data\":"));
        assert_true(next_has(p, "\"type\":\"response\",\"id\":2"));
        machines[0].work = first;
        streams(&machines[0]);
        one_more(&machines[0], "first", true);
        assert_true(next_has(p, "\"id\":1,\"data\":"));
        assert_true(next_has(p, "\"type\":\"response\",\"id\":1"));
        peer_close(p, CLOSE_FIN);
        finish();
    }
}

static void in_one_piece_it_is_the_response(void **state)
{
    open_fleet(3);
    struct peer *p = dial();
    tell(p, "{\"type\":\"inference\",\"id\":\"x\",\"path\":\"/v1/chat/"
            "completions\",\"body\":{\"model\":\"m\",\"messages\":[]}}");
    await_work(&machines[0]);
    respond(machines[0].work, 200, "{\"object\":\"chat.completion\",\"choices\":[]}");
    assert_true(next_has(p, "\"type\":\"response\",\"id\":\"x\",\"status\":200"));
    assert_true(strstr(frame, "\"body\":{\"object\":\"chat.completion\",\"choices\":[]}}"));
    peer_close(p, CLOSE_FIN);
    finish();
}

static void failures_are_told_by_id(void **state)
{
    open_fleet(4);
    struct peer *p = dial();
    tell(p, "{\"type\":\"inference\",\"id\":1,\"path\":\"/api/chat\",\"body\":{\"model\":\"nope\",\"messages\":[]}}");
    assert_true(next_has(p, "\"type\":\"error\",\"id\":1,\"status\":404"));
    tell(p, "{\"type\":\"inference\",\"id\":2,\"path\":\"/api/tags\",\"body\":{}}");
    assert_true(next_has(p, "\"id\":2,\"status\":400,\"code\":\"bad_value\""));
    tell(p, "{\"type\":\"inference\"," CHAT "}");
    assert_true(next_has(p, "needs an id"));
    tell(p, "{\"type\":\"dance\",\"id\":3}");
    assert_true(next_has(p, "\"id\":3,\"status\":400"));
    tell(p, "[1]");
    assert_true(next_has(p, "\"code\":\"bad_json\""));
    tell(p, "{\"type\":\"cancel\",\"id\":9}");
    assert_true(next_has(p, "\"id\":9,\"status\":404"));
    tell(p, "{\"type\":\"inference\",\"id\":4," CHAT "}");
    await_work(&machines[0]);
    streams(&machines[0]);
    one_more(&machines[0], "half", false);
    assert_true(next_has(p, "stream_chunk"));
    peer_close(machines[0].work, CLOSE_RESET);
    assert_true(next_has(p, "\"type\":\"error\",\"id\":4,\"status\":502,\"code\":\"upstream_cut\""));
    peer_close(p, CLOSE_FIN);
    finish();
}

static bool still_open(void *p)
{
    return peer_is_open(p);
}

static void a_cancel_closes_the_nodes_connection_and_no_other(void **state)
{
    EACH_SEED
    {
        open_fleet(seed);
        struct peer *p = dial();
        tell(p, "{\"type\":\"inference\",\"id\":\"a\"," CHAT "}");
        await_work(&machines[0]);
        streams(&machines[0]);
        one_more(&machines[0], "Hel", false);
        assert_true(next_has(p, "stream_chunk"));
        tell(p, "{\"type\":\"cancel\",\"id\":\"a\"}");
        assert_true(next_has(p, "\"type\":\"error\",\"id\":\"a\",\"status\":499,\"code\":\"client_gone\""));
        assert_true(world_run_while(still_open, machines[0].work, SECOND(5)));
        tell(p, "{\"type\":\"get_nodes\"}");
        assert_true(next_has(p, "\"type\":\"response\",\"status\":200"));
        peer_close(p, CLOSE_FIN);
        finish();
    }
}

static void leaving_cancels_all_that_runs(void **state)
{
    EACH_SEED
    {
        open_fleet(seed);
        struct peer *p = dial();
        tell(p, "{\"type\":\"inference\",\"id\":\"a\"," CHAT "}");
        await_work(&machines[0]);
        peer_close(p, seed % 2 ? CLOSE_FIN : CLOSE_RESET);
        assert_true(world_run_while(still_open, machines[0].work, SECOND(5)));
        finish();
    }
}

/* Who does not read gets no more than a window for each; the node is read no further; and nothing of it is lost. */
static void a_slow_reader_holds_up_its_own_stream(void **state)
{
    static char words[8000];
    open_fleet(5);
    struct peer *p = dial();
    memset(words, 'w', sizeof words - 1);
    tell(p, "{\"type\":\"inference\",\"id\":\"a\"," CHAT "}");
    await_work(&machines[0]);
    streams(&machines[0]);
    peer_stall(p, true);
    for (unsigned i = 0; i < 400; i++) { /* 3 MB */
        char record[8200];
        snprintf(record, sizeof record, "{\"n\":%u,\"message\":{\"content\":\"%s\"},\"done\":false}", i, words);
        says(&machines[0], record);
    }
    one_more(&machines[0], "end", true);
    world_elapse(SECOND(2));
    assert_true(buf_bytes_live() < MIB(4));
    peer_stall(p, false);
    for (unsigned i = 0; i < 400; i++) {
        char n[24];
        snprintf(n, sizeof n, "{\"n\":%u,", i);
        assert_true(next_has(p, n));
    }
    assert_true(next_has(p, "\"content\":\"end\""));
    assert_true(next_has(p, "\"type\":\"response\""));
    peer_close(p, CLOSE_FIN);
    finish();
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static void nodes_come_and_go(void **state)
{
    open_fleet(6);
    struct peer *p = dial();
    tell(p, "{\"type\":\"add_node\",\"id\":1,\"node\":{\"url\":\"http://10.0.0.9:11434\",\"name\":\"n9:b\"}}");
    assert_true(next_has(p, "\"id\":1,\"status\":201") && strstr(frame, "\"id\":\"n9:b\""));
    tell(p, "{\"type\":\"remove_node\",\"id\":2,\"node\":\"n9:b\"}");
    assert_true(next_has(p, "\"type\":\"response\",\"id\":2,\"status\":204"));
    tell(p, "{\"type\":\"remove_node\",\"id\":3,\"node\":\"n9:b\"}");
    assert_true(next_has(p, "\"type\":\"error\",\"id\":3,\"status\":404,\"code\":\"node_unknown\""));
    peer_close(p, CLOSE_FIN);
    finish();
}

/* ---- each second ------------------------------------------------------------------------------------------------- */

static void subscribers_are_told_each_second(void **state)
{
    EACH_SEED
    {
        open_fleet(seed);
        struct peer *p = dial(), *q = dial();
        tell(p, "{\"type\":\"subscribe\",\"topics\":[\"metrics\",\"node_update\",\"alert\",\"request\"]}");
        tell(q, "{\"type\":\"subscribe\",\"topics\":[\"metrics\"]}");
        assert_true(next_has(p, "{\"type\":\"metrics\",\"t\":"));
        assert_true(strstr(frame, "\"nodes\":[{\"id\":\"n1\",\"state\":\"up\",\"inflight\":0"));
        assert_true(next_has(p, "{\"type\":\"node_update\",\"node\":{\"id\":\"n1\""));
        assert_true(next_has(q, "{\"type\":\"metrics\"") && next_has(q, "{\"type\":\"metrics\""));
        tell(p, "{\"type\":\"inference\",\"id\":1," CHAT "}");
        await_work(&machines[0]);
        frame_with(p, "\"cells\":[{\"node\":\"n1\",\"model\":\"m:latest\",\"inflight\":1");
        streams(&machines[0]);
        one_more(&machines[0], "x", true);
        frame_with(p, "{\"type\":\"request\",\"requests\":[{");
        assert_true(strstr(frame, "\"model\":\"m\"") && strstr(frame, "\"skipped\":0"));
        goes_away(&machines[0]);
        frame_with(p, "{\"type\":\"node_update\",\"node\":{\"id\":\"n1\",");
        assert_true(strstr(frame, "\"state\":\"suspect\"") || strstr(frame, "\"state\":\"down\""));
        tell(p, "{\"type\":\"subscribe\",\"topics\":[]}");
        world_elapse(SECOND(2));
        peer_eat(p, peer_received(p).n);
        world_elapse(SECOND(5));
        assert_int_equal(peer_received(p).n, 0);
        peer_close(p, CLOSE_FIN);
        peer_close(q, CLOSE_FIN);
        finish();
    }
}

static void a_subscriber_that_sleeps_is_let_go_with_little_memory(void **state)
{
    open_fleet(7);
    struct peer *p = dial();
    tell(p, "{\"type\":\"subscribe\",\"topics\":[\"metrics\"]}");
    assert_true(next_has(p, "metrics"));
    peer_stall(p, true);
    for (unsigned i = 0; i < 50; i++) {
        world_elapse(SECOND(1));
        assert_true(buf_bytes_live() < MIB(2));
    }
    world_elapse(SECOND(60)); /* pings are not answered */
    assert_int_equal(gateway_count(gate).clients, 0);
    peer_close(p, CLOSE_FIN);
    finish();
}

static void nobody_there_is_noticed_by_pings(void **state)
{
    open_fleet(8);
    struct peer *p = dial();
    world_elapse(SECOND(31));
    next_frame(p);
    assert_int_equal(frame_kind, 0x89);
    send_frame(p, FRAME_PONG, STR(""));
    world_elapse(SECOND(40));
    assert_true(peer_is_open(p));
    assert_int_equal(gateway_count(gate).clients, 1);
    world_elapse(SECOND(40));
    assert_int_equal(gateway_count(gate).clients, 0);
    peer_close(p, CLOSE_FIN);
    finish();
}

static struct peer *get(const char *path, const char *accept)
{
    struct peer *p = world_connect(&gate_at, NULL);
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n", path, accept);
    return p;
}

static void event_streams_bring_the_same(void **state)
{
    EACH_SEED
    {
        open_fleet(seed);
        struct peer *p = get("/api/events?topics=metrics,node_update", "text/event-stream");
        await(p, "data:{\"type\":\"metrics\"");
        assert_true(got(p, "HTTP/1.1 200") && got(p, "Content-Type: text/event-stream; charset=utf-8\r\n"));
        await(p, "data:{\"type\":\"node_update\",\"node\":{\"id\":\"n1\"");
        struct peer *poll = get("/api/events", "application/json");
        await(poll, "]}");
        assert_true(got(poll, "{\"frames\":[{\"type\":\"metrics\""));
        struct peer *bad = get("/api/events?topics=weather", "text/event-stream");
        assert_int_equal(status_of(bad), 400);
        peer_close(bad, CLOSE_FIN);
        peer_close(poll, CLOSE_FIN);
        peer_close(p, CLOSE_FIN);
        finish();
    }
}

static void who_only_polls_gets_frames_too(void **state)
{
    open_fleet(9);
    for (unsigned i = 0; i < 3; i++) {
        struct peer *p = get("/api/events?topics=metrics", "application/json");
        await(p, "]}");
        assert_true(got(p, "{\"frames\":[{\"type\":\"metrics\""));
        peer_close(p, CLOSE_FIN);
        world_elapse(SECOND(1));
    }
    finish();
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static bool still_runs(void *arg)
{
    bool runs = false;
    for (unsigned i = 0; i < gate->workers; i++)
        runs |= world_is_attached(gateway_loop(gate, i));
    return runs;
}

static void a_drain_lets_what_runs_end_and_says_goodbye(void **state)
{
    EACH_SEED
    {
        open_fleet(seed);
        struct peer *busy = dial(), *idle = dial(), *watching = get("/api/events", "text/event-stream");
        await(watching, "data:");
        tell(idle, "{\"type\":\"subscribe\",\"topics\":[\"metrics\"]}");
        tell(busy, "{\"type\":\"inference\",\"id\":1," CHAT "}");
        await_work(&machines[0]);
        gateway_drain(gate);
        frame_with(idle, "\x03\xe9");
        assert_int_equal(frame_kind, 0x88);
        await(watching, "0\r\n\r\n");
        tell(busy, "{\"type\":\"inference\",\"id\":2," CHAT "}");
        assert_true(next_has(busy, "\"id\":2,\"status\":503,\"code\":\"shutting_down\""));
        streams(&machines[0]);
        one_more(&machines[0], "x", true);
        assert_true(next_has(busy, "stream_chunk") && next_has(busy, "\"type\":\"response\""));
        next_frame(busy);
        assert_int_equal(frame_kind, 0x88);
        peer_close(busy, CLOSE_FIN);
        peer_close(idle, CLOSE_FIN);
        peer_close(watching, CLOSE_FIN);
        assert_true(world_run_while(still_runs, NULL, SECOND(60)));
        finish();
    }
}

static void faults_and_goodbyes_close_the_connection(void **state)
{
    open_fleet(10);
    struct peer *p = dial(), *q = dial();
    send_frame(p, FRAME_CLOSE, STR("\x03\xe8"));
    next_frame(p);
    assert_int_equal(frame_kind, 0x88);
    peer_send(q, STR("\x81\x01x")); /* not masked */
    next_frame(q);
    assert_int_equal(frame_kind, 0x88);
    peer_close(p, CLOSE_FIN);
    peer_close(q, CLOSE_FIN);
    world_elapse(SECOND(5));
    assert_int_equal(gateway_count(gate).clients, 0);
    finish();
}

/* Whatever cannot be allocated: the socket goes on or breaks, and nothing is left behind. */
static bool with_a_failure(uint64_t nth)
{
    open_fleet(2);
    memory_fail_at(nth);
    struct peer *p = shake("Host: localhost\r\n" UPGRADE), *e = get("/api/events", "text/event-stream");
    tell(p, "{\"type\":\"subscribe\",\"topics\":[\"metrics\",\"node_update\",\"alert\",\"request\"]}");
    tell(p, "{\"type\":\"inference\",\"id\":1," CHAT "}");
    tell(p, "{\"type\":\"get_nodes\",\"id\":2}");
    world_elapse(SECOND(2));
    if (machines[0].work && peer_is_open(machines[0].work)) {
        streams(&machines[0]);
        one_more(&machines[0], "x", true);
    }
    world_elapse(SECOND(2));
    bool struck = memory_takes() >= nth;
    peer_close(p, CLOSE_FIN);
    peer_close(e, CLOSE_FIN);
    world_elapse(MSEC(100)); /* no message is under way */
    finish();
    return struck;
}

static void each_allocation_may_fail(void **state)
{
    uint64_t nth = 1;
    while (with_a_failure(nth))
        nth++;
    assert_true(nth > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_a_websocket_becomes_one),
        cmocka_unit_test(the_protocol_is_picked_and_the_key_never_echoed),
        cmocka_unit_test(an_answer_comes_in_chunks_and_a_response),
        cmocka_unit_test(two_at_once_keep_apart),
        cmocka_unit_test(in_one_piece_it_is_the_response),
        cmocka_unit_test(failures_are_told_by_id),
        cmocka_unit_test(a_cancel_closes_the_nodes_connection_and_no_other),
        cmocka_unit_test(leaving_cancels_all_that_runs),
        cmocka_unit_test(a_slow_reader_holds_up_its_own_stream),
        cmocka_unit_test(nodes_come_and_go),
        cmocka_unit_test(subscribers_are_told_each_second),
        cmocka_unit_test(a_subscriber_that_sleeps_is_let_go_with_little_memory),
        cmocka_unit_test(nobody_there_is_noticed_by_pings),
        cmocka_unit_test(event_streams_bring_the_same),
        cmocka_unit_test(who_only_polls_gets_frames_too),
        cmocka_unit_test(a_drain_lets_what_runs_end_and_says_goodbye),
        cmocka_unit_test(faults_and_goodbyes_close_the_connection),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
