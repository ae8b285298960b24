/* What a second's bulletin says to dashboards (web/FEED.md), of a fleet that the test makes up around a real gateway:
 * all that is promised is there, nothing is said twice, and nothing is lost for want of memory. */
#include "gateway/frames.h"
#include "machine.h"
#include "observe/pulse.h"

static struct frames *frames;
static struct history *history;
static struct alerts *alerts;
static struct requests *requests;
static struct pulse pulse;
static struct fleet_snapshot *seen;
static struct bulletin *bulletin;
static struct text told; /* the frames of one topic, as an array */

static void open_sight(void)
{
    begin(1, 2, 0);
    model_add(&machines[0], "m:latest");
    know();
    frames = frames_new();
    history = history_new();
    alerts = alerts_new(SECOND(3600));
    requests = requests_new(1);
    seen = fleet_snapshot(fleet, world_now());
    assert_true(frames && history && alerts && requests && seen && fleet_snapshot_serves(fleet, seen));
}

static void close_sight(void)
{
    text_free(&told);
    bulletin_unref(&bulletin);
    fleet_snapshot_free(&seen);
    requests_free(&requests);
    alerts_free(&alerts);
    history_free(&history);
    frames_free(&frames);
    assert_null(frames);
    finish();
}

/* The next second. */
static void write_bulletin(void)
{
    world_elapse(SECOND(1));
    nsec wall = sys_wall();
    struct sight sight = { gate, seen, &pulse, history, alerts, requests, MIB(512), world_now(), wall };
    bulletin_unref(&bulletin);
    bulletin = bulletin_new(1, world_now());
    assert_non_null(bulletin);
    pulse_clear(&pulse, wall);
    pulse.total[TOTAL_REQUESTS] = 12;
    pulse.total[TOTAL_ERRORS] = 3;
    pulse.gauge[GAUGE_rss_bytes] = 4096;
    frames_write(frames, bulletin, &sight);
}

static struct json frames_of(enum feed_topic topic)
{
    struct str piece[FEED_TOPICS];
    unsigned n = bulletin_look(bulletin, FORM_VALUES, FEED_BIT(topic), piece);
    text_free(&told);
    text_putc(&told, '[');
    if (n)
        text_put(&told, str_take(piece[0], piece[0].n - 1));
    text_putc(&told, ']');
    struct json all = json_parse(text_str(&told), NULL);
    if (all.kind != JSON_ARRAY)
        fail_msg("no JSON: %.*s", STR_ARG(text_str(&told)));
    return all;
}

static unsigned count(struct json list)
{
    struct json_walk w = json_walk(list);
    unsigned n = 0;
    while (json_next(&w))
        n++;
    return n;
}

static struct json nth(struct json list, unsigned i)
{
    struct json_walk w = json_walk(list);
    while (json_next(&w))
        if (!i--)
            return w.value;
    fail_msg("not so many in %.*s", STR_ARG(list.raw));
    return list;
}

static void reads(struct json v, const char *raw)
{
    if (!str_eq(v.raw, str_of(raw)))
        fail_msg("%.*s instead of %s", STR_ARG(v.raw), raw);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* Members and their kinds: s text, n number, N number or null, o object, a array. No others. */
static void has_shape(struct json object, const char *shape)
{
    char text[1000], *at = text, *word;
    unsigned n = 0;
    snprintf(text, sizeof text, "%s", shape);
    while ((word = strsep(&at, " "))) {
        char kind = word[0];
        struct json v = json_get(object, str_of(word + 2));
        bool good = kind == 's'   ? v.kind == JSON_STRING
                    : kind == 'n' ? v.kind == JSON_NUMBER
                    : kind == 'N' ? v.kind == JSON_NUMBER || v.kind == JSON_NULL
                    : kind == 'o' ? v.kind == JSON_OBJECT
                                  : v.kind == JSON_ARRAY;
        if (!good)
            fail_msg("%s of %.*s", word, STR_ARG(object.raw));
        n++;
    }
    if (count(object) != n)
        fail_msg("more than `%s` in %.*s", shape, STR_ARG(object.raw));
}

static void the_metrics_of_a_second_are_all_there(void **state)
{
    open_sight();
    seen->node[0].inflight = 2;
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_METRICS)), 1);
    struct json m = nth(frames_of(FEED_METRICS), 0), nodes = json_get(m, STR("nodes"));
    char t[24];
    has_shape(m, "s:type n:t s:version s:status n:uptime_s o:now o:totals a:nodes a:cells o:queue o:alerts o:cache "
                 "o:memory");
    snprintf(t, sizeof t, "%lld", (long long)(sys_wall() / SECOND(1) - 1));
    reads(json_get(m, STR("type")), "\"metrics\"");
    reads(json_get(m, STR("t")), t);
    reads(json_get(m, STR("version")), "\"" OLLAMAMAX_VERSION "\"");
    has_shape(json_get(m, STR("totals")), "n:requests n:errors N:tokens_in N:tokens_out");
    reads(json_get(json_get(m, STR("totals")), STR("requests")), "12");
    reads(json_get(json_get(m, STR("totals")), STR("errors")), "3");
    assert_int_equal(count(nodes), 2);
    has_shape(nth(nodes, 0), "s:id s:state n:inflight n:tokens_per_s N:ttft_p95_ms");
    reads(nth(nodes, 0), "{\"id\":\"n1\",\"state\":\"up\",\"inflight\":2,\"tokens_per_s\":0,\"ttft_p95_ms\":null}");
    has_shape(json_get(m, STR("queue")), "n:waiting n:oldest_ms a:models");
    has_shape(json_get(m, STR("alerts")), "n:firing n:pending");
    has_shape(json_get(m, STR("cache")), "N:hit_ratio n:saved_gpu_s n:entries n:bytes");
    reads(json_get(json_get(m, STR("cache")), STR("hit_ratio")), "null");
    reads(json_get(m, STR("memory")), "{\"rss\":4096,\"limit\":536870912,\"pressure\":\"none\"}");
    close_sight();
}

static void each_series_has_its_newest_point(void **state)
{
    open_sight();
    write_bulletin();
    struct json now = json_get(nth(frames_of(FEED_METRICS), 0), STR("now"));
    assert_int_equal(count(now), SERIES_COUNT);
    for (int i = 0; i < SERIES_COUNT; i++)
        reads(json_get(now, series_of((enum series)i)->name), "null"); /* not known, never 0 */
    close_sight();
}

static bool is_one_line(struct str frame)
{
    return str_chr(frame, '\n') < 0 && str_chr(frame, '\r') < 0;
}

static void a_frame_is_one_line_whatever_nodes_are_called(void **state)
{
    struct str piece[FEED_TOPICS];
    open_sight();
    seen->node[0].last_error_text = STR("a\r\nb\"\\\x01\xff");
    seen->node[0].version = STR("1\n2");
    seen->node[1].labels = STR("x=\"\n\"");
    write_bulletin();
    for (unsigned i = 0; i < FEED_TOPICS; i++)
        (void)frames_of((enum feed_topic)i);
    assert_int_equal(bulletin_look(bulletin, FORM_EVENTS, FEED_ALL, piece), 1);
    unsigned events = 0;
    for (ssize_t at; (at = str_find(piece[0], STR("\n\n"))) >= 0; events++) {
        struct str event = str_take(piece[0], (size_t)at);
        assert_true(str_starts(event, STR("data:{")) && is_one_line(event));
        piece[0] = str_drop(piece[0], (size_t)at + 2);
    }
    assert_int_equal(piece[0].n, 0);
    assert_int_equal(events, 3); /* metrics and two nodes */
    close_sight();
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static void nodes_are_told_when_they_change(void **state)
{
    open_sight();
    write_bulletin();
    struct json all = frames_of(FEED_NODES);
    assert_int_equal(count(all), 2);
    reads(json_get(nth(all, 0), STR("type")), "\"node_update\"");
    reads(json_get(json_get(nth(all, 0), STR("node")), STR("id")), "\"n1\"");
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_NODES)), 0);
    seen->node[0].inflight = 5; /* in each second's metrics */
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_NODES)), 0);
    seen->node[1].weight = 3;
    write_bulletin();
    all = frames_of(FEED_NODES);
    assert_int_equal(count(all), 1);
    reads(json_get(json_get(nth(all, 0), STR("node")), STR("id")), "\"n2\"");
    reads(json_get(json_get(nth(all, 0), STR("node")), STR("weight")), "3");
    seen->node[0].state = NODE_DOWN;
    seen->n = 1;
    write_bulletin();
    all = frames_of(FEED_NODES);
    assert_int_equal(count(all), 2);
    reads(json_get(json_get(nth(all, 0), STR("node")), STR("state")), "\"down\"");
    reads(nth(all, 1), "{\"type\":\"node_update\",\"removed\":\"n2\"}");
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_NODES)), 0);
    seen->n = 2;
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_NODES)), 1);
    close_sight();
}

/* ---- alerts ------------------------------------------------------------------------------------------------------ */

static void add_rule(void)
{
    struct alert_rule r = { .name = "busy", .lasts = SECOND(2), .message = "busy" };
    struct str fault;
    assert_int_equal(alert_rule_read(&r, STR("queue > 10"), &fault), OK);
    r.clear = r.threshold;
    r.keeps = SECOND(1);
    assert_int_equal(alerts_configure(alerts, SECOND(3600), &r, 1), OK);
}

/* The next second of a queue that is so long. */
static void queue_is(double v)
{
    static struct alert_values values;
    static struct alert_event events[ALERT_EVENTS];
    values.n = 0;
    alert_values_add(&values, (struct alert_value){ .name = STR("queue"), .value = v });
    (void)alerts_evaluate(alerts, world_now(), sys_wall(), &values, events);
    write_bulletin();
}

static void is_told_as(const char *state)
{
    struct json all = frames_of(FEED_ALERTS), alert = json_get(nth(all, 0), STR("alert"));
    assert_int_equal(count(all), 1);
    reads(json_get(alert, STR("id")), "\"busy::\"");
    reads(json_get(alert, STR("state")), state);
}

static void alerts_are_told_when_they_change(void **state)
{
    unsigned seconds = 0;
    open_sight();
    add_rule();
    queue_is(0);
    assert_int_equal(count(frames_of(FEED_ALERTS)), 0);
    queue_is(11);
    is_told_as("\"pending\"");
    queue_is(12);
    assert_int_equal(count(frames_of(FEED_ALERTS)), 0);
    queue_is(0);
    assert_int_equal(count(frames_of(FEED_ALERTS)), 1);
    reads(nth(frames_of(FEED_ALERTS), 0), "{\"type\":\"alert\",\"removed\":\"busy::\"}");
    for (unsigned i = 0; i < 2; i++)
        queue_is(11);
    queue_is(11);
    is_told_as("\"firing\"");
    reads(json_get(json_get(nth(frames_of(FEED_METRICS), 0), STR("alerts")), STR("firing")), "1");
    do
        queue_is(0);
    while (!count(frames_of(FEED_ALERTS)) && ++seconds < 5);
    is_told_as("\"resolved\"");
    close_sight();
}

static void silences_are_told_all_at_once(void **state)
{
    open_sight();
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_ALERTS)), 0);
    struct alert_silence s = { .until = sys_wall() + SECOND(3600), .name = "busy", .comment = "known\n" };
    assert_int_equal(alerts_silence(alerts, &s), OK);
    write_bulletin();
    struct json all = frames_of(FEED_ALERTS);
    assert_int_equal(count(all), 1);
    assert_int_equal(count(json_get(nth(all, 0), STR("silences"))), 1);
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_ALERTS)), 0);
    assert_true(alerts_unsilence(alerts, s.id));
    write_bulletin();
    reads(json_get(nth(frames_of(FEED_ALERTS), 0), STR("silences")), "[]");
    close_sight();
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void request_ends(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct record r = { .wall = sys_wall() + MSEC(1) * i, .id = i + 1, .status = 200, .route = ROUTE_chat };
        requests_put(requests, 0, &r, NULL);
    }
}

static void requests_are_told_once_at_most_sixteen(void **state)
{
    open_sight();
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_REQUESTS)), 0);
    request_ends(3);
    write_bulletin();
    struct json all = frames_of(FEED_REQUESTS);
    assert_int_equal(count(all), 1);
    has_shape(nth(all, 0), "s:type a:requests n:skipped");
    assert_int_equal(count(json_get(nth(all, 0), STR("requests"))), 3);
    reads(json_get(nth(all, 0), STR("skipped")), "0");
    write_bulletin();
    assert_int_equal(count(frames_of(FEED_REQUESTS)), 0);
    request_ends(57);
    write_bulletin();
    all = frames_of(FEED_REQUESTS);
    assert_int_equal(count(json_get(nth(all, 0), STR("requests"))), 16);
    reads(json_get(nth(all, 0), STR("skipped")), "41");
    close_sight();
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* The news of one second: two nodes, an alert, all silences, requests. */
static unsigned news(void)
{
    unsigned n = count(frames_of(FEED_NODES)) + count(frames_of(FEED_ALERTS)) + count(frames_of(FEED_REQUESTS));
    assert_true(count(frames_of(FEED_METRICS)) <= 1);
    return n;
}

/* The bulletin itself is made without a strike. */
static void write_without(unsigned piece)
{
    nsec wall = sys_wall();
    struct sight sight = { gate, seen, &pulse, history, alerts, requests, MIB(512), world_now(), wall };
    bulletin_unref(&bulletin);
    bulletin = bulletin_new(1, world_now());
    memory_fail_at(piece);
    frames_write(frames, bulletin, &sight);
    memory_fail_at(0);
}

static void news_that_found_no_memory_comes_later(void **state)
{
    unsigned lost = 0;
    for (unsigned piece = 1; piece <= 30; piece++) {
        open_sight();
        add_rule();
        struct alert_silence s = { .until = sys_wall() + SECOND(3600), .name = "x" };
        assert_int_equal(alerts_silence(alerts, &s), OK);
        static struct alert_values values;
        static struct alert_event events[ALERT_EVENTS];
        values.n = 0;
        alert_values_add(&values, (struct alert_value){ .name = STR("queue"), .value = 20 });
        (void)alerts_evaluate(alerts, world_now(), sys_wall(), &values, events);
        request_ends(2);
        world_elapse(SECOND(1));
        write_without(piece);
        unsigned first = news();
        lost += first < 5;
        write_bulletin();
        if (first + news() != 5)
            fail_msg("without piece %u: %u of 5, and then %u", piece, first, news());
        close_sight();
    }
    assert_true(lost >= 5);
}

static void without_memory_there_are_none(void **state)
{
    pools_begin();
    for (unsigned i = 1; i <= 2; i++) {
        memory_fail_at(i);
        assert_null(frames_new());
        memory_fail_at(0);
    }
    pools_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_metrics_of_a_second_are_all_there),
        cmocka_unit_test(each_series_has_its_newest_point),
        cmocka_unit_test(a_frame_is_one_line_whatever_nodes_are_called),
        cmocka_unit_test(nodes_are_told_when_they_change),
        cmocka_unit_test(alerts_are_told_when_they_change),
        cmocka_unit_test(silences_are_told_all_at_once),
        cmocka_unit_test(requests_are_told_once_at_most_sixteen),
        cmocka_unit_test(news_that_found_no_memory_comes_later),
        cmocka_unit_test(without_memory_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
