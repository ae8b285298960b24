#include "config/alert_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int begin(void **state)
{
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    buf_pools_done();
    return 0;
}

static struct alert_rule good(const char *text)
{
    struct alert_rule r;
    struct text why = { 0 };
    if (!alert_text_read(&r, str_of(text), &why))
        fail_msg("%s: %.*s", text, STR_ARG(text_str(&why)));
    text_free(&why);
    return r;
}

static void bad(const char *text, const char *because)
{
    struct alert_rule r;
    struct text why = { 0 };
    assert_false(alert_text_read(&r, str_of(text), &why));
    if (str_find(text_str(&why), str_of(because)) < 0)
        fail_msg("%s: %.*s", text, STR_ARG(text_str(&why)));
    text_free(&why);
}

static void a_rule_over_a_series(void **state)
{
    struct alert_rule r = good("name=busy,when=queue > 10,for=30s,clear=5,keep=1min,severity=critical,labels=team:ml");
    assert_string_equal(r.name, "busy");
    assert_string_equal(r.value, "queue");
    assert_string_equal(r.metric, "");
    assert_true(r.compare == ALERT_ABOVE && r.threshold == 10 && r.clear == 5);
    assert_true(r.lasts == SECOND(30) && r.keeps == SECOND(60) && r.severity == ALERT_CRITICAL);
    assert_string_equal(r.message, "queue is {value}, above {threshold}");
    assert_string_equal(r.label[0].name, "team");
    assert_string_equal(r.label[0].value, "ml");
}

static void a_rule_over_a_metric(void **state)
{
    struct alert_rule r =
        good("name=errs,metric=ollamamax_requests_total{code=\"500\",model=\"m\"},rate=1min,above=0.5");
    assert_string_equal(r.value, "rule errs");
    assert_string_equal(r.metric, "requests_total");
    assert_string_equal(r.model, "m");
    assert_int_equal(r.wheres, 1);
    assert_string_equal(r.where[0].name, "code");
    assert_string_equal(r.where[0].value, "500");
    assert_true(r.rate == SECOND(60) && r.threshold == 0.5 && r.clear == 0.5);
    assert_string_equal(r.message, "ollamamax_requests_total per second is {value}, above {threshold}");
    r = good("name=up,metric=node_up,below=1,message=node {node} is away");
    assert_true(r.compare == ALERT_BELOW);
    assert_string_equal(r.message, "node {node} is away");
    assert_string_equal(good("name=q,when=queue_wait_seconds_count>5").metric, "queue_wait_seconds_count");
    good("name=q,when=queue_wait_seconds_sum{model=\"m\"}>5");
    good("name=q,when=tokens_total{type=\"output\",node=\"n\"}>5");
    good("name=q,when=request_duration_seconds_sum{route=\"chat\"}>5");
}

static void what_is_wrong_is_said(void **state)
{
    bad("when=queue>5", "a rule has no name");
    bad("name=a", "rule a has no metric");
    bad("name=a,metric=queue", "rule a has no above or below");
    bad("name=a b,when=queue>5", "not a word");
    bad("name=a,when=queu>5", "there is no metric queu; did you mean queue?");
    bad("name=a,when=queue_wait_seconds>5", "did you mean queue_wait_seconds_sum?");
    bad("name=a,when=queue is 5", "not understood from \"is 5\" on");
    bad("name=a,metric=queue > 5,above=5", "not understood");
    bad("name=a,metric=queue,above=five", "above \"five\" is not a number");
    bad("name=a,metric=queue,above=5,below=3", "is enough");
    bad("name=a,when=queue>5,clear=7", "clear must not be on the other side of 5");
    bad("name=a,when=queue>5,for=soon", "for \"soon\" is not a duration");
    bad("name=a,when=queue>5,rate=1min", "and no rate");
    bad("name=a,when=retries_total>5,rate=1s", "10s at least");
    bad("name=a,when=queue>5,severity=bad", "none of warning|critical");
    bad("name=a,when=queue>5,mesage=x", "did you mean message?");
    bad("name=a,when=queue>5,labels=team", "name:value");
    bad("name=node_down,when=queue>5", "built in");
    bad("name=a,when=requests_total{cod=\"500\"}>5", "requests_total has no label cod;");
    bad("name=a,when=tokens_total{type=\"input\",kind=\"x\"}>5", "tokens_total has no label kind;");
    bad("name=a,when=queue_requests{node=\"n\"}>5", "queue_requests has no label node;");
    bad("name=a,when=queue_wait_seconds_sum{route=\"chat\"}>5", "has no label route;");
    bad("name=a,when=queue>5,message={nod} waits", "message has {nod}; there are {value}");
    bad("name=a,when=queue>5,message=it is {value", "message has {value; there are");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_over_a_series),
        cmocka_unit_test(a_rule_over_a_metric),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
