#include "observe/alert.h"

#include "base/slab.h"
#include "base/sys.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define WALL   SECOND(1700000000)
#define REPEAT SECOND(3600)
static struct alerts *alerts;
static struct alert_event event[ALERT_EVENTS];
static struct alert_values values;

/* Above 10 for 5 s; until it has been below 8 for 3 s. */
static const struct alert_rule hot = { .name = "hot",
                                       .value = "heat",
                                       .threshold = 10,
                                       .clear = 8,
                                       .lasts = SECOND(5),
                                       .keeps = SECOND(3),
                                       .message = "{node} has {value}, more than {threshold}{nonsense}: {detail}" };

static int each_begin(void **state)
{
    alerts = alerts_new(REPEAT);
    return alerts && !alerts_configure(alerts, REPEAT, &hot, 1) ? 0 : -1;
}

static int each_end(void **state)
{
    alerts_free(&alerts);
    return alerts ? -1 : 0;
}

static void say(const char *node, double heat)
{
    alert_values_add(&values, (struct alert_value){
                                  .name = STR("heat"), .node = str_of(node), .value = heat, .detail = STR("fan") });
}

/* Events of second `s`; NAN: nothing is said of gpu1. */
static unsigned at(int64_t s, double heat)
{
    if (!isnan(heat))
        say("gpu1", heat);
    unsigned n = alerts_evaluate(alerts, SECOND(100 + s), WALL + SECOND(s), &values, event);
    values.n = 0;
    return n;
}

/* Says nothing until `to`, then returns the events of `to`. */
static unsigned steady(int64_t from, int64_t to, double heat)
{
    for (int64_t s = from; s < to; s++)
        assert_int_equal(at(s, heat), 0);
    return at(to, heat);
}

static void fires_once_and_ends_once(void **state)
{
    assert_int_equal(steady(0, 10, 10), 0); /* not above */
    assert_int_equal(steady(11, 16, 11), 1);
    assert_int_equal(event[0].told, ALERT_FIRED);
    assert_int_equal(event[0].alert.state, ALERT_FIRING);
    assert_int_equal(event[0].alert.fired, WALL + SECOND(16));
    assert_string_equal(event[0].alert.message, "gpu1 has 11, more than 10: fan");
    assert_int_equal(steady(17, 50, 9), 0); /* below the threshold, above `clear`: still */
    assert_int_equal(steady(51, 52, 7), 0);
    assert_int_equal(at(53, 7), 1);
    assert_int_equal(event[0].told, ALERT_OVER);
    assert_int_equal(event[0].alert.state, ALERT_RESOLVED);
    assert_int_equal(event[0].alert.ended, WALL + SECOND(53));
    assert_int_equal(steady(54, 200, 7), 0);
}

static void what_does_not_last_is_not_told(void **state)
{
    assert_int_equal(steady(0, 4, 11), 0);
    assert_int_equal(at(5, 10), 0);
    assert_int_equal(steady(6, 10, 11), 0); /* counts anew */
    assert_int_equal(at(11, 11), 1);
}

static void what_is_not_known_is_well(void **state)
{
    assert_int_equal(steady(0, 5, 11), 1);
    assert_int_equal(steady(6, 8, NAN), 1); /* kept three seconds from 5 on */
    assert_int_equal(event[0].told, ALERT_OVER);
}

static void told_again_after_the_repeat_interval(void **state)
{
    assert_int_equal(steady(0, 5, 11), 1);
    assert_int_equal(steady(6, 5 + 3600, 11), 1);
    assert_int_equal(event[0].told, ALERT_REPEATED);
    assert_int_equal(steady(6 + 3600, 5 + 7200, 11), 1);
}

static void each_node_has_its_own(void **state)
{
    for (int64_t s = 0; s <= 5; s++) {
        say("gpu2", s ? 11 : 0);
        assert_int_equal(at(s, 11), s == 5);
    }
    assert_string_equal(event[0].alert.node, "gpu1");
    say("gpu2", 11);
    assert_int_equal(at(6, 11), 1);
    assert_string_equal(event[0].alert.node, "gpu2");
}

static void clocks_that_are_set(void **state)
{
    for (int64_t s = 0; s <= 5; s++) {
        say("gpu1", 11);
        nsec set = s >= 3 ? -SECOND(86400) : 0;
        assert_int_equal(alerts_evaluate(alerts, SECOND(100 + s), WALL + SECOND(s) + set, &values, event), s == 5);
        values.n = 0;
    }
    assert_int_equal(event[0].alert.fired, WALL + SECOND(5) - SECOND(86400));
}

/* --- silences --- */

static struct alert_silence silence_until(int64_t s, const char *node)
{
    struct alert_silence q = { .until = WALL + SECOND(s) };
    strcpy(q.name, "hot");
    strcpy(q.node, node);
    assert_int_equal(alerts_silence(alerts, &q), OK);
    return q;
}

static void a_silence_delays_the_telling(void **state)
{
    at(0, 0);
    silence_until(30, "");
    assert_int_equal(steady(1, 29, 11), 0);
    assert_int_equal(at(30, 11), 1);
    assert_int_equal(event[0].told, ALERT_FIRED);
    assert_int_equal(event[0].alert.fired, WALL + SECOND(6));
}

static void a_silence_of_another_node(void **state)
{
    at(0, 0);
    silence_until(30, "gpu2");
    assert_int_equal(steady(1, 6, 11), 1);
}

/* What was never told need not be told to be over; what was told is, silence or not. */
static void ends_under_a_silence(void **state)
{
    at(0, 0);
    struct alert_silence q = silence_until(1000, "gpu1");
    assert_int_equal(steady(1, 10, 11), 0);
    assert_int_equal(steady(11, 30, 0), 0);
    assert_true(alerts_unsilence(alerts, q.id));
    assert_false(alerts_unsilence(alerts, q.id));
    assert_int_equal(steady(31, 36, 11), 1);
    silence_until(1000, "gpu1");
    assert_int_equal(steady(37, 39, 0), 1);
    assert_int_equal(event[0].told, ALERT_OVER);
}

static void silences_are_bounded(void **state)
{
    at(0, 0);
    for (int i = 0; i < ALERT_SILENCES; i++)
        silence_until(10, "gpu1");
    struct alert_silence q = { .until = WALL + SECOND(10) };
    assert_int_equal(alerts_silence(alerts, &q), FAIL_bad_value);
    at(11, 0);
    assert_int_equal(alerts_silence(alerts, &q), OK);
}

static void reading_silences(void **state)
{
    struct alert_silence q;
    const char *why;
    assert_int_equal(
        alert_silence_read(
            &q,
            STR("{\"name\":\"node_down\",\"labels\":{\"node\":\"gpu1\",\"team\":\"ml\"},\"duration\":\"1h30m\","
                "\"comment\":\"new fan\"}"),
            WALL, &why),
        OK);
    assert_string_equal(q.name, "node_down");
    assert_string_equal(q.node, "gpu1");
    assert_string_equal(q.model, "");
    assert_int_equal(q.until, WALL + SECOND(5400));
    assert_int_equal(alert_silence_read(&q, STR("{\"duration_s\":3600}"), WALL, &why), OK);
    assert_int_equal(q.until, WALL + SECOND(3600));
    assert_int_equal(alert_silence_read(&q, STR("[]"), WALL, &why), FAIL_bad_json);
    static const char *const bad[] = { "{}",
                                       "{\"duration\":\"-1h\"}",
                                       "{\"duration\":5}",
                                       "{\"duration_s\":9e18}",
                                       "{\"duration_s\":0}",
                                       "{\"duration\":\"9999999h\"}",
                                       "{\"duration\":\"1h\",\"name\":7}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(alert_silence_read(&q, str_of(bad[i]), WALL, &why), FAIL_bad_value);
        assert_non_null(why);
    }
}

/* --- bounds --- */

/* More than fit into the events of one look come with the next. */
static void many_at_once(void **state)
{
    char name[400][16];
    unsigned told = 0;
    for (int i = 0; i < 400; i++)
        snprintf(name[i], sizeof name[i], "gpu-%d", i);
    for (int64_t s = 0; s <= 30; s++) {
        for (int i = 0; i < 400; i++)
            say(name[i], 11);
        unsigned n = at(s, NAN);
        assert_true(n <= ALERT_EVENTS && (n == 0 || s >= 5));
        told += n;
    }
    assert_int_equal(told, ALERTS_MOST);
    for (int64_t s = 31; s <= 60; s++)
        told += at(s, NAN);
    assert_int_equal(told, 2 * ALERTS_MOST); /* all told to be over */
    assert_int_equal(steady(61, 65, 11), 0);
    assert_int_equal(at(66, 11), 1); /* in the place of one that is over */
}

static void memory_that_is_out(void **state)
{
    memory_fail_at(1);
    assert_null(alerts_new(REPEAT));
    memory_fail_at(0);
}

/* --- users' rules --- */

static void reading_rules(void **state)
{
    struct alert_rule r = { 0 };
    struct str fault;
    assert_int_equal(alert_rule_read(&r, STR(" node_inflight{node=\"gpu1\", model = \"llama3:8b\"} > 2.5e1 "), &fault),
                     OK);
    assert_string_equal(r.value, "node_inflight");
    assert_string_equal(r.node, "gpu1");
    assert_string_equal(r.model, "llama3:8b");
    assert_int_equal(r.compare, ALERT_ABOVE);
    assert_true(r.threshold == 25);
    r = (struct alert_rule){ 0 };
    assert_int_equal(alert_rule_read(&r, STR("nodes_up<=2"), &fault), OK);
    assert_int_equal(alert_rule_read_metric(&r, STR("requests_total{code=\"500\",model=\"m\"}"), &fault), OK);
    assert_string_equal(r.value, "requests_total");
    assert_string_equal(r.where[0].name, "code");
    assert_string_equal(r.where[0].value, "500");
    assert_int_equal(alert_rule_read_metric(&r, STR("queue > 5"), &fault), FAIL_bad_setting);
    assert_true(r.compare == ALERT_BELOW && 2 < r.threshold && r.threshold < 2.000001);
    static const char *const bad[] = { "",
                                       "queue",
                                       "queue >",
                                       "queue > x",
                                       "queue > 5 6",
                                       "queue == 5",
                                       "queue{ > 5",
                                       "queue{a=\"1\",b=\"2\",c=\"3\",d=\"4\",e=\"5\"} > 5",
                                       "queue{node=gpu1} > 5",
                                       "> 5",
                                       "queue > nan" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(alert_rule_read(&r, str_of(bad[i]), &fault), FAIL_bad_setting);
}

static void a_rule_of_ones_own(void **state)
{
    struct alert_rule r = { .name = "gpu2_warm", .labels = 1, .label = { { "team", "ml" } } };
    struct str fault;
    assert_int_equal(alert_rule_read(&r, STR("heat{node=\"gpu2\"} > 5"), &fault), OK);
    assert_int_equal(alerts_configure(alerts, REPEAT, &r, 1), OK);
    say("gpu2", 6);
    assert_int_equal(at(0, 6), 1); /* at once, gpu2 alone */
    assert_string_equal(event[0].alert.name, "gpu2_warm");
    assert_string_equal(event[0].alert.message, "heat is 6, above 5");
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    alert_json(&j, &event[0].alert);
    assert_true(str_find(text_str(&t), STR("\"labels\":{\"node\":\"gpu2\",\"team\":\"ml\"}")) > 0);
    text_free(&t);
}

static void rules_that_cannot_be(void **state)
{
    static struct alert_rule r[ALERT_RULES_USER + 1];
    for (int i = 0; i <= ALERT_RULES_USER; i++) {
        r[i] = hot;
        snprintf(r[i].name, sizeof r[i].name, "rule-%d", i);
    }
    assert_int_equal(alerts_configure(alerts, REPEAT, r, ALERT_RULES_USER + 1), FAIL_bad_setting);
    strcpy(r[1].name, "rule-0");
    assert_int_equal(alerts_configure(alerts, REPEAT, r, 2), FAIL_conflict);
    strcpy(r[1].name, "node_down");
    assert_int_equal(alerts_configure(alerts, REPEAT, r, 2), FAIL_conflict);
    assert_int_equal(steady(0, 5, 11), 1); /* the old ones still hold */
    assert_string_equal(event[0].alert.name, "hot");
}

/* A rule that is changed goes on; one that has gone is over, and its place can be taken often. */
static void rules_that_change(void **state)
{
    struct alert_rule r = hot;
    assert_int_equal(steady(0, 5, 11), 1);
    r.clear = 12;
    assert_int_equal(alerts_configure(alerts, REPEAT, &r, 1), OK);
    assert_int_equal(steady(6, 8, 11), 1);
    assert_int_equal(event[0].told, ALERT_OVER);
    r = hot;
    assert_int_equal(alerts_configure(alerts, REPEAT, &r, 1), OK);
    assert_int_equal(steady(9, 14, 11), 1);
    assert_int_equal(alerts_configure(alerts, REPEAT, NULL, 0), OK);
    assert_int_equal(steady(15, 17, 11), 1);
    assert_int_equal(event[0].told, ALERT_OVER);
    for (int64_t s = 24; s < 2000; s++) {
        snprintf(r.name, sizeof r.name, "hot-%d", (int)s);
        assert_int_equal(alerts_configure(alerts, REPEAT, &r, 1), OK);
        unsigned n = at(s, 11);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(event[i].told, ALERT_OVER);
    }
}

/* --- as JSON --- */

static void count_rule(struct str name, unsigned firing, void *arg)
{
    unsigned *seen = arg;
    seen[0]++;
    if (str_eq(name, STR("hot")))
        seen[1] = firing;
}

static void assert_names(const char *expected)
{
    struct text t = { 0 }, got = { 0 };
    struct json_out whole = { .to = &t };
    json_open(&whole, '{');
    alerts_json(alerts, &whole);
    json_close(&whole);
    struct json_walk w = json_walk(json_get(json_parse(text_str(&t), NULL), STR("alerts")));
    while (json_next(&w)) {
        text_put(&got, json_get(json_get(w.value, STR("labels")), STR("node")).raw);
        text_put(&got, json_get(w.value, STR("state")).raw);
    }
    text_putc(&got, 0);
    assert_string_equal(text_str(&got).p, expected);
    text_free(&t);
    text_free(&got);
}

static void those_that_fire_come_first(void **state)
{
    unsigned seen[2] = { 0 };
    assert_names("");
    for (int64_t s = 0; s <= 20; s++) {
        say("gpu0", s < 8 ? 11 : 0);
        say("gpu2", s >= 16 ? 11 : 0);
        at(s, 11);
    }
    assert_names("\"gpu1\"\"firing\"\"gpu2\"\"pending\"\"gpu0\"\"resolved\"");
    alerts_each_rule(alerts, count_rule, seen);
    assert_int_equal(seen[0], 11);
    assert_int_equal(seen[1], 1);
    struct alert firing[4];
    assert_int_equal(alerts_firing(alerts, firing, 4), 1);
    assert_string_equal(firing[0].node, "gpu1");
    at(20 + 900, 11);
    assert_names("\"gpu1\"\"firing\""); /* what is over is shown for 15 minutes */
}

static void the_bodies_receivers_get(void **state)
{
    struct text t = { 0 };
    assert_int_equal(steady(0, 5, 11), 1);
    struct alert told[2] = { event[0].alert };
    alert_put_webhook(&t, told, 1);
    text_putc(&t, 0);
    assert_string_equal(text_str(&t).p,
                        "{\"version\":\"1\",\"source\":\"ollamamax\",\"status\":\"firing\",\"alerts\":[{\"id\":\"hot:"
                        "gpu1:\",\"name\":\"hot\",\"state\":"
                        "\"firing\",\"severity\":\"warning\",\"since\":\"2023-11-14T22:13:25Z\","
                        "\"value\":11,\"threshold\":10,\"message\":\"gpu1 has 11, more than 10: "
                        "fan\",\"labels\":{\"node\":"
                        "\"gpu1\"},\"fired\":\"2023-11-14T22:13:25Z\",\"ended\":null,\"silenced_until\":null}]}");
    text_free(&t);
    t = (struct text){ 0 };
    steady(6, 8, 0);
    told[1] = event[0].alert;
    alert_put_alertmanager(&t, told, 2, WALL + SECOND(8), STR("http://gateway:13100/dashboard/"));
    text_putc(&t, 0);
    assert_string_equal(
        text_str(&t).p,
        "[{\"labels\":{\"alertname\":\"hot\",\"severity\":\"warning\",\"source\":\"ollamamax\",\"node\":\"gpu1\"},"
        "\"annotations\":{\"summary\":\"gpu1 has 11, more than 10: fan\"},\"startsAt\":\"2023-11-14T22:13:25Z\","
        "\"endsAt\":\"2023-11-14T22:18:28Z\",\"generatorURL\":\"http://gateway:13100/dashboard/\"},"
        "{\"labels\":{\"alertname\":\"hot\",\"severity\":\"warning\",\"source\":\"ollamamax\",\"node\":\"gpu1\"},"
        "\"annotations\":{\"summary\":\"gpu1 has 11, more than 10: fan\"},\"startsAt\":\"2023-11-14T22:13:25Z\","
        "\"endsAt\":\"2023-11-14T22:13:28Z\",\"generatorURL\":\"http://gateway:13100/dashboard/\"}]");
    text_free(&t);
}

static void a_test_alert(void **state)
{
    struct alert a;
    struct text t = { 0 };
    alert_for_test(&a, WALL);
    alert_put_alertmanager(&t, &a, 1, WALL, STR_NONE);
    assert_true(str_find(text_str(&t), STR("\"alertname\":\"test\"")) > 0);
    assert_true(str_find(text_str(&t), STR("nothing is wrong")) > 0);
    text_free(&t);
}

/* Messages of the built-in rules name only what can be filled in. */
static void built_in_rules_are_sound(void **state)
{
    unsigned n;
    const struct alert_rule *r = alert_rules_built_in(&n);
    for (unsigned i = 0; i < n; i++) {
        struct str rest = str_of(r[i].message);
        assert_true(strlen(r[i].message) < sizeof r->message - 1 && strlen(r[i].message) > 60);
        assert_true(r[i].compare == ALERT_ABOVE ? r[i].clear <= r[i].threshold : r[i].clear >= r[i].threshold);
        str_cut(&rest, '{');
        while (rest.n) {
            struct str name = str_cut(&rest, '}');
            assert_true(str_eq(name, STR("value")) || str_eq(name, STR("node")) || str_eq(name, STR("model")) ||
                        str_eq(name, STR("detail")));
            str_cut(&rest, '{');
        }
    }
}

static void what_it_costs(void **state)
{
    nsec best = NEVER;
    char name[64][16];
    for (int i = 0; i < 64; i++)
        snprintf(name[i], sizeof name[i], "gpu-%d", i);
    for (int64_t s = 0; s < 50; s++) {
        for (int i = 0; i < 64; i++)
            for (int k = 0; k < 6; k++)
                alert_values_add(&values, (struct alert_value){ .name = k ? STR("node_inflight") : STR("node_down"),
                                                                .node = str_of(name[i]),
                                                                .value = 1 });
        nsec start = sys_now();
        at(s, 11);
        best = MIN(best, sys_now() - start);
    }
    print_message("384 values against 11 rules, 65 of them bad: %d us\n", (int)(best / 1000));
    assert_true(best < MSEC(20));
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, each_begin, each_end)
int main(void)
{
    buf_pools_init();
    arena_pools_init();
    const struct CMUnitTest tests[] = {
        EACH(fires_once_and_ends_once),
        EACH(what_does_not_last_is_not_told),
        EACH(what_is_not_known_is_well),
        EACH(told_again_after_the_repeat_interval),
        EACH(each_node_has_its_own),
        EACH(clocks_that_are_set),
        EACH(a_silence_delays_the_telling),
        EACH(a_silence_of_another_node),
        EACH(ends_under_a_silence),
        EACH(silences_are_bounded),
        EACH(reading_silences),
        EACH(many_at_once),
        EACH(memory_that_is_out),
        EACH(reading_rules),
        EACH(a_rule_of_ones_own),
        EACH(rules_that_cannot_be),
        EACH(rules_that_change),
        EACH(those_that_fire_come_first),
        EACH(the_bodies_receivers_get),
        EACH(a_test_alert),
        EACH(built_in_rules_are_sound),
        EACH(what_it_costs),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_pools_done();
    buf_pools_done();
    return failed;
}
