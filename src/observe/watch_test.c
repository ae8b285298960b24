#include "observe/watch.h"

#include "base/buf.h"
#include "base/slab.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct watch *watch;
static struct alert_values values;

static int each_begin(void **state)
{
    watch = watch_new();
    values.n = 0;
    return watch ? 0 : -1;
}

static int each_end(void **state)
{
    watch_free(&watch);
    return watch ? -1 : 0;
}

static struct alert_rule rule(const char *metric)
{
    struct alert_rule r = { .value = "rule busy", .name = "busy" };
    snprintf(r.metric, sizeof r.metric, "%s", metric);
    return r;
}

static void look(const char *page, nsec now)
{
    values.n = 0;
    watch_page(watch, str_of(page), now, &values);
}

static void assert_value(unsigned at, const char *node, const char *model, double value)
{
    assert_true(at < values.n);
    assert_true(str_eq(values.value[at].name, STR("rule busy")));
    assert_true(str_eq(values.value[at].node, str_of(node)));
    assert_true(str_eq(values.value[at].model, str_of(model)));
    assert_true(values.value[at].value == value);
}

static const char page[] = "# HELP ollamamax_tokens_total Tokens\n"
                           "# TYPE ollamamax_tokens_total counter\n"
                           "ollamamax_tokens_total{model=\"a\",node=\"n1\",type=\"input\"} 1\n"
                           "ollamamax_tokens_total{model=\"a\",node=\"n1\",type=\"output\"} 20\n"
                           "ollamamax_tokens_total{model=\"b}\\\" c\",node=\"n1\",type=\"output\"} 300\n"
                           "ollamamax_queue_requests 7\n"
                           "ollamamax_queue_wait_seconds_sum{model=\"a\"} 1.5\n";

static void samples_of_one_node_and_model_are_one(void **state)
{
    struct alert_rule r = rule("tokens_total");
    assert_int_equal(watch_configure(watch, &r, 1), OK);
    look(page, 0);
    assert_int_equal(values.n, 2);
    assert_value(0, "n1", "a", 21);
    assert_value(1, "n1", "b}\\\" c", 300);
    r.wheres = 1;
    strcpy(r.where[0].name, "type");
    strcpy(r.where[0].value, "output");
    assert_int_equal(watch_configure(watch, &r, 1), OK);
    look(page, 0);
    assert_value(0, "n1", "a", 20);
    r = rule("queue_requests");
    assert_int_equal(watch_configure(watch, &r, 1), OK);
    look(page, 0);
    assert_int_equal(values.n, 1);
    assert_value(0, "", "", 7);
    look("", 0);
    assert_int_equal(values.n, 0);
}

static void only_what_is_watched_is_wanted(void **state)
{
    struct alert_rule r[3] = { rule("queue_wait_seconds_sum"), rule("queue_requests"), rule("") };
    assert_true(watch_is_idle(watch));
    assert_int_equal(watch_configure(watch, &r[2], 1), OK); /* of a series: not ours */
    assert_true(watch_is_idle(watch));
    assert_int_equal(watch_configure(watch, r, 2), OK);
    assert_false(watch_is_idle(watch));
    assert_true(watch_wants(STR("queue_wait_seconds"), watch));
    assert_true(watch_wants(STR("queue_requests"), watch));
    assert_false(watch_wants(STR("queue_wait"), watch));
    assert_false(watch_wants(STR("requests_total"), watch));
}

static void count_to(double v, nsec now)
{
    char text[80];
    snprintf(text, sizeof text, "ollamamax_retries_total{reason=\"x\"} %g\n", v);
    look(text, now);
}

/* Ten a second for a minute, then none: after thirty seconds none are within the time. */
static void a_rate_is_growth_within_its_time(void **state)
{
    struct alert_rule r = rule("retries_total");
    r.rate = SECOND(28);
    assert_int_equal(watch_configure(watch, &r, 1), OK);
    count_to(0, SECOND(1));
    assert_true(isnan(values.value[0].value));
    for (int s = 1; s <= 60; s++) {
        count_to(10 * s, SECOND(1 + s));
        assert_true(fabs(values.value[0].value - 10) < 1e-9);
    }
    for (int s = 61; s <= 75; s++)
        count_to(600, SECOND(1 + s));
    assert_true(values.value[0].value > 3 && values.value[0].value < 6);
    for (int s = 76; s <= 92; s++)
        count_to(600, SECOND(1 + s));
    assert_true(values.value[0].value == 0);
    count_to(4, SECOND(100)); /* begun anew */
    assert_true(isnan(values.value[0].value));
    count_to(14, SECOND(105));
    assert_true(values.value[0].value == 2);
}

static void what_stays_keeps_its_past(void **state)
{
    struct alert_rule r[2] = { rule("retries_total"), rule("queue_requests") };
    r[0].rate = SECOND(60);
    assert_int_equal(watch_configure(watch, r, 1), OK);
    count_to(0, SECOND(1));
    assert_int_equal(watch_configure(watch, r, 2), OK);
    count_to(10, SECOND(6));
    assert_true(values.value[0].value == 2);
    assert_int_equal(watch_configure(watch, NULL, 0), OK);
    assert_true(watch_is_idle(watch));
}

static void strange_lines_are_let_pass(void **state)
{
    struct alert_rule r = rule("tokens_total");
    assert_int_equal(watch_configure(watch, &r, 1), OK);
    look("\n#\nollamamax_tokens_total\nollamamax_tokens_total{\nollamamax_tokens_total{a=\"\nollamamax_tokens_total{}} "
         "1\n"
         "ollamamax_tokens_total{node=\"x\\\"} 2\nollamamax_tokens_total{node} 1\nother 3\nollamamax_",
         0);
    assert_true(values.n <= 2);
}

static void groups_are_bounded_and_memory_may_fail(void **state)
{
    struct alert_rule r = rule("node_up");
    struct text t = { 0 };
    buf_pools_init();
    assert_int_equal(watch_configure(watch, &r, 1), OK);
    for (int i = 0; i < 2 * WATCH_GROUPS; i++)
        text_printf(&t, "ollamamax_node_up{node=\"n%d\"} 1\n", i);
    text_putc(&t, 0);
    look(text_str(&t).p, 0);
    assert_int_equal(values.n, WATCH_GROUPS);
    text_free(&t);
    buf_pools_done();
    strcpy(r.metric, "clients_open");
    memory_fail_at(1);
    assert_int_equal(watch_configure(watch, &r, 1), FAIL_no_memory);
    memory_fail_at(1);
    assert_null(watch_new());
    memory_fail_at(0);
    assert_true(watch_is_idle(watch));
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, each_begin, each_end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(samples_of_one_node_and_model_are_one),
        EACH(only_what_is_watched_is_wanted),
        EACH(a_rate_is_growth_within_its_time),
        EACH(what_stays_keeps_its_past),
        EACH(strange_lines_are_let_pass),
        EACH(groups_are_bounded_and_memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
