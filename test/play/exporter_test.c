/* Requests on their way to a collector of traces, played: what it is told, and that nobody waits for it. */
#include "base/stamp.h"
#include "gateway/exporter.h"
#include "observe/otlp.h"
#include "talk.h"

/* ---- a collector ------------------------------------------------------------------------------------------------- */

#define COLLECTOR "http://10.0.9.1:4318"

static struct {
    struct addr at;
    int status;              /* what it answers; 0: nothing, ever */
    const char *more, *body; /* of its answers: header lines, and what it says */
    unsigned calls, spans, most;
    nsec when[128];
    char head[1024];
    struct text last; /* body */
} collector;

static unsigned spans_in(struct str body)
{
    const struct str key = STR("\"spanId\":\"");
    unsigned n = 0;
    for (ssize_t at; (at = str_find(body, key)) >= 0; n++)
        body = str_drop(body, (size_t)at + key.n);
    return n;
}

static void forget_last(void)
{
    text_free(&collector.last);
    collector.last = (struct text){ 0 };
}

static void note(struct str head, struct str body)
{
    unsigned n = spans_in(body);
    assert_true(collector.calls < ARRAY_LEN(collector.when));
    collector.when[collector.calls++] = world_now();
    snprintf(collector.head, sizeof collector.head, "%.*s", STR_ARG(head));
    forget_last();
    text_put(&collector.last, body);
    collector.most = MAX(collector.most, n);
    if (collector.status == 200)
        collector.spans += n;
}

static void collector_hears(struct peer *p)
{
    struct str in = peer_received(p);
    ssize_t end = str_find(in, STR("\r\n\r\n"));
    if (end < 0 || in.n < (size_t)end + 4 + length_of(str_take(in, (size_t)end)))
        return;
    note(str_take(in, (size_t)end + 4), str_drop(in, (size_t)end + 4));
    peer_eat(p, in.n);
    if (collector.status)
        peer_sendf(p, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                   collector.status, collector.more, strlen(collector.body), collector.body);
}

static void collector_left(struct peer *p, bool reset)
{
    peer_close(p, CLOSE_FIN);
}

static void collector_met(struct peer *p, void *arg)
{
    p->on_data = collector_hears;
    p->on_close = collector_left;
}

static void add_collector(int status)
{
    forget_last();
    memset(&collector, 0, sizeof collector);
    collector.at = world_addr("10.0.9.1:4318");
    collector.status = status;
    collector.more = "";
    collector.body = "{}";
    world_listen(&collector.at, collector_met, NULL);
}

static bool was_told(const char *text)
{
    return str_find(text_str(&collector.last), str_of(text)) >= 0;
}

static bool fewer_calls(void *arg)
{
    return collector.calls < *(unsigned *)arg;
}

static void await_calls(unsigned n)
{
    if (!world_run_while(fewer_calls, &n, SECOND(400)))
        fail_msg("%u calls rather than %u", collector.calls, n);
}

static uint64_t counted(enum exporter_result result)
{
    return exporter_count(lookout_exporter(gate->lookout), result);
}

/* ---- the play ---------------------------------------------------------------------------------------------------- */

static char asked[4096]; /* the head of the last chat that came to the machine */

static void machine_is_asked(struct peer *p)
{
    if (str_starts(peer_received(p), STR("POST /")))
        snprintf(asked, sizeof asked, "%.*s", STR_ARG(peer_received(p)));
    machine_hears(p);
}

static void asked_met(struct peer *p, void *arg)
{
    machine_met(p, arg);
    p->on_data = machine_is_asked;
}

static const char *key; /* header lines that the collector wants */

static void tell(const char *url)
{
    struct gateway_settings *s = gateway_settings_new();
    assert_non_null(s);
    s->otlp = str_of(url);
    s->otlp_headers = str_of(key ? key : "");
    assert_int_equal(gateway_configure(gate, s), OK);
    world_elapse(SECOND(2)); /* taken over with the next second */
}

static void begin_play(uint64_t seed)
{
    pools_begin();
    world_new(seed);
    open_gate(2, 0);
    machines_n = 0;
    add_machine("n1");
    machines[0].serves = true;
    model_add(&machines[0], "m:latest");
    world_unlisten(&machines[0].at);
    world_listen(&machines[0].at, asked_met, &machines[0]);
    gateway_start(gate);
    know();
}

static void end_play(void)
{
    forget_last();
    finish();
}

static void versions(unsigned n)
{
    while (n--) {
        struct peer *p = ask("GET", "/api/version", "");
        await(p, "version");
        peer_close(p, CLOSE_FIN);
    }
}

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static struct peer *traced_chat(const char *flags)
{
    static const char body[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    struct peer *p = world_connect(&gate_at, NULL);
    peer_sendf(p,
               "POST /api/chat HTTP/1.1\r\nHost: localhost\r\ntraceparent: 00-" TRACE "-" PARENT
               "-%s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
               flags, strlen(body), body);
    return p;
}

static void is_answered(struct peer *p)
{
    want_n = 0;
    await_work(&machines[0]);
    opens(&machines[0]);
    tells_end(&machines[0]);
    machines[0].work = NULL;
    world_elapse(MSEC(50));
    assert_got_all(p);
    peer_close(p, CLOSE_FIN);
}

/* ---- plays ------------------------------------------------------------------------------------------------------- */

static void a_request_is_told_with_its_attempt(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        add_collector(200);
        tell(COLLECTOR);
        is_answered(traced_chat("01"));
        await_calls(1);
        assert_non_null(strstr(collector.head, "POST /v1/traces HTTP/1.1\r\nHost: 10.0.9.1:4318\r\n"));
        assert_non_null(strstr(collector.head, "\r\nContent-Type: application/json\r\n"));
        assert_int_equal(collector.spans, 2);
        assert_true(was_told("\"traceId\":\"" TRACE "\",\"spanId\":\""));
        assert_true(was_told("\"parentSpanId\":\"" PARENT "\",\"name\":\"POST /api/chat\",\"kind\":2,"));
        assert_true(was_told("{\"key\":\"gen_ai.request.model\",\"value\":{\"stringValue\":\"m\"}}"));
        char *at = strstr(asked, "traceparent: 00-" TRACE "-"), attempt[64]; /* what the node was told */
        assert_non_null(at);
        snprintf(attempt, sizeof attempt, "\"spanId\":\"%.16s\",\"parentSpanId\":\"", at + 49);
        assert_true(was_told(attempt));
        assert_memory_equal(at + 65, "-01\r\n", 5);
        world_elapse(SECOND(5));
        assert_int_equal(collector.calls, 1); /* told once, and nothing else is */
        assert_true(counted(EXPORTER_EXPORTED) == 2 && counted(EXPORTER_DROPPED) + counted(EXPORTER_FAILED) == 0);
        end_play();
    }
}

/* The node hears the client's own word, and operations and what is not sampled are nobody's business. */
static void what_is_not_told(void **state)
{
    begin_play(3);
    add_collector(200);
    is_answered(traced_chat("01")); /* there is no collector yet */
    assert_non_null(strstr(asked, "traceparent: 00-" TRACE "-" PARENT "-01\r\n"));
    tell(COLLECTOR);
    is_answered(traced_chat("00"));
    assert_non_null(strstr(asked, "traceparent: 00-" TRACE "-" PARENT "-00\r\n"));
    struct peer *p = ask("GET", "/metrics", "");
    await(p, "ollamamax_otlp_spans_total{result=\"dropped\"} 0");
    peer_close(p, CLOSE_FIN);
    world_elapse(SECOND(5));
    assert_int_equal(collector.calls, 0);
    versions(1); /* without a traceparent: a root of our own */
    await_calls(1);
    assert_true(was_told("\"name\":\"GET /api/version\""));
    assert_false(was_told("parentSpanId"));
    tell("");
    versions(1);
    world_elapse(SECOND(5));
    assert_int_equal(collector.calls, 1);
    end_play();
}

/* Who asks is answered at once, whatever the collector does; what has no room is counted. */
static void a_dead_collector_delays_nothing(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        begin_play(seed);
        struct link hole = link_usual();
        struct addr at = world_addr("10.0.9.1:4318");
        add_collector(0);
        if (seed == 1)
            world_unlisten(&at);
        hole.answer = LINK_BLACK_HOLE;
        if (seed == 2)
            world_link(&at, &hole);
        tell(COLLECTOR);
        versions(EXPORTER_QUEUE + 1000);
        world_elapse(SECOND(2));
        assert_in_range(counted(EXPORTER_DROPPED), 900, 1000); /* nothing was taken, and all that fits is kept */
        nsec began = world_now();
        struct peer *p = chat("/api/chat", "m", true);
        await_work(&machines[0]);
        assert_true(world_now() - began < MSEC(50));
        is_answered(p);
        world_elapse(SECOND(2));
        assert_true(counted(EXPORTER_DROPPED) == 1002);
        if (seed == 1) {
            add_collector(200);
            await_calls(EXPORTER_QUEUE / EXPORTER_BATCH);
            world_elapse(SECOND(1));
            assert_int_equal(collector.most, EXPORTER_BATCH);
            assert_int_equal(collector.spans, EXPORTER_QUEUE);
            assert_true(collector.when[7] - collector.when[0] < SECOND(1)); /* one after the other, not one a second */
            assert_true(counted(EXPORTER_EXPORTED) == EXPORTER_QUEUE);
        }
        end_play();
    }
}

static void one_that_has_no_time_is_asked_again_when_it_says(void **state)
{
    static const int statuses[] = { 429, 502, 503, 504 };
    for (uint64_t seed = 0; seed < 4; seed++) {
        begin_play(seed);
        add_collector(statuses[seed]);
        collector.more = "Retry-After: 17\r\n";
        tell(COLLECTOR "/own/path");
        versions(3);
        await_calls(1);
        assert_non_null(strstr(collector.head, "POST /own/path HTTP/1.1\r\n"));
        versions(3);
        collector.status = 200;
        await_calls(2);
        assert_in_range(collector.when[1] - collector.when[0], SECOND(17), SECOND(19));
        world_elapse(SECOND(2));
        assert_int_equal(collector.spans, 6); /* the same again, and what came meanwhile */
        assert_true(counted(EXPORTER_EXPORTED) == 6);
        assert_true(exporter_retries(lookout_exporter(gate->lookout)) == 1);
        end_play();
    }
}

static void one_that_is_only_late_is_asked_ever_more_rarely(void **state)
{
    begin_play(5);
    add_collector(503);
    tell(COLLECTOR);
    versions(1);
    await_calls(9);
    for (unsigned i = 1; i < 9; i++) {
        nsec pause = MIN(SECOND(1) << (i - 1), SECOND(60));
        assert_in_range(collector.when[i] - collector.when[i - 1], pause * 3 / 4, pause * 5 / 4 + SECOND(2));
    }
    collector.status = 200;
    await_calls(10);
    assert_int_equal(collector.spans, 1);
    end_play();
}

static void a_date_is_as_good_as_seconds(void **state)
{
    char more[64] = "Retry-After: ";
    begin_play(6);
    add_collector(503);
    size_t n = strlen(more) + stamp_http(loop_wall(gateway_loop(gate, 0)) + SECOND(40), more + strlen(more));
    snprintf(more + n, sizeof more - n, "\r\n");
    collector.more = more;
    tell(COLLECTOR);
    versions(1);
    await_calls(1);
    collector.status = 200;
    await_calls(2);
    assert_in_range(collector.when[1] - collector.when[0], SECOND(30), SECOND(42));
    end_play();
}

static void a_collector_may_want_a_key(void **state)
{
    begin_play(7);
    add_collector(401);
    key = "Authorization: Bearer old\r\nX-Scope: ours\r\n";
    tell(COLLECTOR);
    versions(1);
    await_calls(1);
    assert_non_null(strstr(collector.head, "\r\nAuthorization: Bearer old\r\nX-Scope: ours\r\n\r\n"));
    collector.status = 200;
    key = "Authorization: Bearer new\r\n"; /* nothing else has changed */
    tell(COLLECTOR);
    versions(1);
    await_calls(2);
    assert_non_null(strstr(collector.head, "\r\nAuthorization: Bearer new\r\n\r\n"));
    key = NULL;
    end_play();
}

static void what_is_refused_is_not_told_again(void **state)
{
    static const int statuses[] = { 400, 401, 404, 413, 500, 501 };
    for (uint64_t seed = 0; seed < ARRAY_LEN(statuses); seed++) {
        begin_play(seed);
        add_collector(statuses[seed]);
        tell(COLLECTOR);
        versions(2);
        await_calls(1);
        world_elapse(SECOND(100));
        assert_int_equal(collector.calls, 1);
        assert_true(counted(EXPORTER_FAILED) == 2);
        collector.status = 200;
        collector.body = "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"too old\"}}";
        versions(3);
        await_calls(2);
        world_elapse(SECOND(100));
        assert_int_equal(collector.calls, 2);
        assert_true(counted(EXPORTER_FAILED) == 3 && counted(EXPORTER_EXPORTED) == 2);
        end_play();
    }
}

static bool still_runs(void *arg)
{
    return world_is_attached(gateway_loop(gate, 0)) || world_is_attached(gateway_loop(gate, 1));
}

/* The gateway has ended by itself. */
static void close_play(void)
{
    gateway_free(&gate);
    fleet_free(&fleet);
    world_elapse(SECOND(1));
    forget_last();
    world_free();
    pools_end();
}

/* Whatever is under way: looking the name up, dialling, waiting; and while the collector changes. */
static void a_gateway_that_stops_leaves_nothing_behind(void **state)
{
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        begin_play(seed);
        add_collector(0);
        world_resolve("collector.example", &collector.at, 1, SECOND(2));
        tell(seed % 2 ? COLLECTOR : "http://collector.example:4318");
        versions(2);
        world_elapse(MSEC(100) * (nsec)(seed % 40));
        if (seed % 3 == 0)
            tell(seed % 2 ? "" : COLLECTOR);
        world_elapse(MSEC(50) * (nsec)(seed % 30));
        gateway_stop(gate);
        assert_true(world_run_while(still_runs, NULL, SECOND(5)));
        close_play();
    }
}

static void ends(nsec within)
{
    gateway_drain(gate);
    if (!world_run_while(still_runs, NULL, within))
        fail_msg("it runs still");
    close_play();
}

/* All of it, in as many batches as it takes; but nobody waits for a collector that takes none. */
static void what_is_left_is_told_before_the_end(void **state)
{
    static const struct {
        int status;
        unsigned spans, calls;
    } rows[] = {
        {200,  600, 2},
        { 503, 0,   1},
        { 400, 0,   2}
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        begin_play(i);
        add_collector(rows[i].status);
        tell(COLLECTOR);
        world_elapse(SECOND(1) - loop_wall(gateway_loop(gate, 0)) % SECOND(1) + MSEC(10)); /* a second has just begun */
        versions(600);
        assert_int_equal(collector.calls, 0);
        ends(SECOND(1));
        assert_int_equal(collector.spans, rows[i].spans);
        assert_int_equal(collector.calls, rows[i].calls);
    }
    begin_play(4);
    add_collector(0);
    tell(COLLECTOR);
    versions(1);
    ends(SECOND(11)); /* until its time is up */
    assert_int_equal(collector.calls, 1);
}

static void each_allocation_may_fail(void **state)
{
    for (uint64_t nth = 1; nth <= 120; nth++) {
        begin_play(nth);
        add_collector(200);
        if (nth % 2)
            tell(COLLECTOR);
        versions(2);
        memory_fail_at(nth);
        world_elapse(SECOND(3));
        memory_fail_at(0);
        tell(COLLECTOR);
        versions(1);
        world_elapse(SECOND(5));
        assert_true(collector.calls >= 1);
        assert_in_range(counted(EXPORTER_EXPORTED), 1, collector.spans); /* told twice where no answer could be read */
        assert_true(counted(EXPORTER_FAILED) == 0);
        end_play();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_with_its_attempt),
        cmocka_unit_test(what_is_not_told),
        cmocka_unit_test(a_dead_collector_delays_nothing),
        cmocka_unit_test(one_that_has_no_time_is_asked_again_when_it_says),
        cmocka_unit_test(one_that_is_only_late_is_asked_ever_more_rarely),
        cmocka_unit_test(a_date_is_as_good_as_seconds),
        cmocka_unit_test(a_collector_may_want_a_key),
        cmocka_unit_test(what_is_refused_is_not_told_again),
        cmocka_unit_test(a_gateway_that_stops_leaves_nothing_behind),
        cmocka_unit_test(what_is_left_is_told_before_the_end),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
