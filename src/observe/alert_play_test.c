/* Each built-in alert in made-up time: a play in which it fires and ends at the second it should, and one in which it
 * must stay silent. The whole way is played: pulse, history, signals, rules. */
#include "observe/signals.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START 1700000000
static struct history *history;
static struct signals *signals;
static struct alerts *alerts;
static struct pulse pulse;
static struct alert_values values;

/* What a play saw of one alert: seconds since START, 0: never. */
struct seen {
    const char *name, *node, *model;
    int64_t fired, ended;
    unsigned events;
    char message[512];
};
static struct seen seen;
static unsigned others; /* events of other alerts */

static int each_begin(void **state)
{
    history = history_new();
    signals = signals_new();
    alerts = alerts_new(SECOND(4 * 3600));
    memset(&pulse, 0, sizeof pulse);
    pulse_clear(&pulse, 0);
    for (int i = 0; i < TOTAL_OF_METERS; i++)
        pulse.total[i] = 0;
    others = 0;
    return history && signals && alerts ? 0 : -1;
}

static int each_end(void **state)
{
    history_free(&history);
    signals_free(&signals);
    alerts_free(&alerts);
    return 0;
}

static void watch(const char *name, const char *node, const char *model)
{
    seen = (struct seen){ .name = name, .node = node, .model = model };
}

static void note(const struct alert_event *e, int64_t s)
{
    const struct alert *a = &e->alert;
    if (strcmp(a->name, seen.name) || strcmp(a->node, seen.node) || strcmp(a->model, seen.model)) {
        others++;
        return;
    }
    seen.events++;
    if (e->told == ALERT_FIRED)
        seen.fired = s;
    if (e->told == ALERT_OVER)
        seen.ended = s;
    memcpy(seen.message, a->message, sizeof seen.message);
}

/* The second `s` is over; `values` may hold what the fleet says of it. */
static void second(int64_t s)
{
    struct alert_event event[ALERT_EVENTS];
    pulse.wall = SECOND(START + s);
    history_sample(history, &pulse);
    signals_add(signals, history, &pulse, &values);
    unsigned n = alerts_evaluate(alerts, SECOND(1000 + s), pulse.wall, &values, event);
    for (unsigned i = 0; i < n; i++)
        note(&event[i], s);
    values.n = 0;
}

static void took(struct gist_copy *c, uint32_t us)
{
    struct gist g = { 0 };
    gist_record(&g, us);
    gist_add(c, &g);
}

static void assert_fired(int64_t fired, int64_t ended)
{
    assert_int_equal(seen.fired, fired);
    assert_int_equal(seen.ended, ended);
    assert_int_equal(seen.events, 2);
    assert_null(strchr(seen.message, '{'));
}

static void assert_silent(void)
{
    assert_int_equal(seen.events, 0);
}

/* --- memory --- */

static void memory_high(void **state)
{
    watch("memory_high", "", "");
    for (int64_t s = 1; s <= 300; s++) {
        pulse.gauge[GAUGE_memory_share] = s < 100 ? 0.5 : s < 150 ? 0.8 : s < 200 ? 0.7 : 0.6;
        second(s);
    }
    assert_fired(110, 229);
    assert_non_null(strstr(seen.message, "memory is at 70 %"));
}

static void memory_that_is_soon_given_back(void **state)
{
    watch("memory_high", "", "");
    for (int64_t s = 1; s <= 300; s++) {
        pulse.gauge[GAUGE_memory_share] = s % 11 ? 0.9 : 0.75;
        second(s);
    }
    assert_silent();
}

/* --- own answers --- */

static void api_slow(void **state)
{
    watch("api_slow", "", "");
    for (int64_t s = 1; s <= 400; s++) {
        took(&pulse.time[TIME_OWN_ANSWER], s < 100 || s >= 160 ? 1000 : 2450000);
        second(s);
    }
    /* 2.45 s in three of 60 seconds is a mean above 100 ms: at 102; below 50 ms with one of 60 left: at 218 */
    assert_fired(132, 277);
    assert_non_null(strstr(seen.message, "check cache health"));
}

static void one_slow_answer_now_and_then(void **state)
{
    watch("api_slow", "", "");
    for (int64_t s = 1; s <= 600; s++) {
        took(&pulse.time[TIME_OWN_ANSWER], s % 31 ? 1000 : 2450000);
        second(s);
    }
    assert_silent();
}

/* --- nodes and models --- */

static void node_down(void **state)
{
    struct pulse_node *n = pulse_add_node(&pulse, STR("gpu1"));
    pulse_add_node(&pulse, STR("gpu2"));
    strcpy(n->detail, "connection refused");
    watch("node_down", "gpu1", "");
    for (int64_t s = 1; s <= 300; s++) {
        n->down = s >= 100 && s <= 150;
        second(s);
    }
    assert_fired(110, 170);
    assert_string_equal(seen.message, "node gpu1 is down: connection refused; see that Ollama runs there and can be "
                                      "reached from here, or remove the node");
    assert_int_equal(others, 0);
}

static void a_node_that_restarts(void **state)
{
    struct pulse_node *n = pulse_add_node(&pulse, STR("gpu1"));
    watch("node_down", "gpu1", "");
    for (int64_t s = 1; s <= 300; s++) {
        n->down = s % 20 < 10; /* ten seconds of down are not more than nine between two looks */
        second(s);
    }
    assert_silent();
}

/* Down and up again within 20 s is one alert, not three. */
static void a_node_that_flaps(void **state)
{
    struct pulse_node *n = pulse_add_node(&pulse, STR("gpu1"));
    watch("node_down", "gpu1", "");
    for (int64_t s = 1; s <= 400; s++) {
        n->down = s >= 100 && s <= 200 && s % 30 < 15;
        second(s);
    }
    assert_fired(130, 214); /* down from 120, 150 and 180 on for 15 s each; the five seconds from 100 on are too few */
}

static void a_removed_node_is_no_longer_down(void **state)
{
    struct pulse_node *n = pulse_add_node(&pulse, STR("gpu1"));
    watch("node_down", "gpu1", "");
    n->down = true;
    for (int64_t s = 1; s <= 100; s++) {
        pulse.nodes = s <= 50;
        second(s);
    }
    assert_fired(11, 70);
}

static void say_model(const char *model, double nodes)
{
    alert_values_add(&values,
                     (struct alert_value){ .name = STR("model_nodes_up"), .model = str_of(model), .value = nodes });
}

static void model_without_node(void **state)
{
    watch("model_without_node", "", "llama3:8b");
    for (int64_t s = 1; s <= 300; s++) {
        say_model("llama3:8b", s >= 100 && s <= 150 ? 0 : 2);
        say_model("qwen:7b", 1);
        second(s);
    }
    assert_fired(110, 170);
    assert_non_null(strstr(seen.message, "ollama pull llama3:8b"));
    assert_int_equal(others, 0);
}

static void a_model_that_is_soon_back(void **state)
{
    watch("model_without_node", "", "llama3:8b");
    for (int64_t s = 1; s <= 300; s++) {
        say_model("llama3:8b", s % 20 < 10 ? 0 : 1);
        second(s);
    }
    assert_silent();
}

/* --- waiting --- */

static void queue_wait(void **state)
{
    watch("queue_wait", "", "");
    for (int64_t s = 1; s <= 300; s++) {
        pulse.gauge[GAUGE_queue_oldest_ms] = s < 100 || s > 160 ? 0 : 12000;
        second(s);
    }
    assert_fired(130, 220);
}

static void waits_that_are_usual(void **state)
{
    watch("queue_wait", "", "");
    for (int64_t s = 1; s <= 300; s++) {
        pulse.gauge[GAUGE_queue_oldest_ms] = s % 40 < 30 ? 12000 : 3000; /* at most 30 s long */
        took(&pulse.time[TIME_QUEUE_WAIT], 9000000);
        second(s);
    }
    assert_silent();
}

/* --- errors --- */

static void requests_in_a_second(unsigned n, unsigned errors)
{
    pulse.total[TOTAL_REQUESTS] += n;
    pulse.total[TOTAL_ERRORS] += errors;
}

/* After an hour without, each second one of ten: 519 errors are 1.44 % of an hour's requests, at 3600 + 519; from 4200
 * on none: 43 errors are left in five minutes at 4456. */
static void error_budget_fast(void **state)
{
    watch("error_budget_fast", "", "");
    for (int64_t s = 0; s <= 5000; s++) {
        requests_in_a_second(10, s > 3600 && s < 4200);
        second(s);
    }
    assert_fired(4119, 4515);
}

static void errors_within_the_budget(void **state)
{
    watch("error_budget_fast", "", "");
    for (int64_t s = 0; s <= 8000; s++) {
        requests_in_a_second(10, s % 20 == 0); /* half a percent: the slow one's business, if it lasted */
        second(s);
    }
    assert_silent();
}

static void a_few_errors_of_few_requests(void **state)
{
    watch("error_budget_fast", "", "");
    for (int64_t s = 0; s <= 8000; s++) {
        requests_in_a_second(s % 1000 == 0, s % 1000 == 0);
        second(s);
    }
    assert_silent();
    assert_int_equal(others, 1); /* eight of eight in two hours: that is for the slow one */
}

/* Six hours without, then one of ten: 1296 errors are 0.6 % of 6 hours, at 21600 + 1296. After 23000 none: with whole
 * steps of 10 s the last with more than 0.6 % of half an hour ends at 24690. */
static void error_budget_slow(void **state)
{
    watch("error_budget_slow", "", "");
    for (int64_t s = 0; s <= 25000; s++) {
        requests_in_a_second(10, s > 21600 && s <= 23000);
        second(s);
    }
    assert_fired(22896, 24750);
}

static void errors_that_have_ended(void **state)
{
    watch("error_budget_slow", "", "");
    for (int64_t s = 0; s <= 25000; s++) {
        requests_in_a_second(10, s > 21600 && s <= 21600 + 1200);
        second(s);
    }
    assert_silent();
}

/* --- breakers --- */

static void say_opens(double opens)
{
    alert_values_add(&values, (struct alert_value){ .name = STR("breaker_opens"),
                                                    .node = STR("gpu1"),
                                                    .model = STR("llama3"),
                                                    .value = opens,
                                                    .detail = STR("llama3") });
}

static void breaker_flapping(void **state)
{
    watch("breaker_flapping", "gpu1", "llama3");
    for (int64_t s = 1; s <= 2500; s++) {
        say_opens((s >= 100) + (s >= 200) + (s >= 300));
        second(s);
    }
    assert_fired(300, 900);
    assert_non_null(strstr(seen.message, "the breaker of llama3 on gpu1"));
}

static void a_breaker_that_opens_now_and_then(void **state)
{
    watch("breaker_flapping", "gpu1", "llama3");
    for (int64_t s = 1; s <= 5000; s++) {
        say_opens(floor((double)s / 301));
        second(s);
    }
    assert_silent();
}

/* --- the cache --- */

static void lookups(double ratio)
{
    pulse.total[TOTAL_CACHE_LOOKUPS] += 100;
    pulse.total[TOTAL_CACHE_HITS] += 100 * ratio;
}

/* 0.8 for 40 minutes, then 0.1 for 10: half of the usual when 172 of 300 seconds are bad, at 2572; back above 70 % of
 * it with 198 good seconds. */
static void cache_hit_drop(void **state)
{
    watch("cache_hit_drop", "", "");
    for (int64_t s = 0; s <= 4000; s++) {
        lookups(s > 2400 && s <= 3000 ? 0.1 : 0.8);
        second(s);
    }
    assert_fired(2872, 3257);
}

static void caches_with_nothing_to_lose(void **state)
{
    watch("cache_hit_drop", "", "");
    for (int64_t s = 0; s <= 4000; s++) {
        lookups(s > 2400 ? 0 : 0.04);
        second(s);
    }
    assert_silent();
}

static void a_cache_that_is_new(void **state)
{
    watch("cache_hit_drop", "", "");
    for (int64_t s = 0; s <= 1700; s++) {
        lookups(s > 900 ? 0.1 : 0.8);
        second(s);
    }
    assert_silent();
}

/* --- slow nodes --- */

/* Eight times its usual time: three times in the mean of a minute after 18 s, at 2418; below twice with 52 good
 * seconds of 60. */
static void node_slow(void **state)
{
    struct pulse_node *n = pulse_add_node(&pulse, STR("gpu1"));
    watch("node_slow", "gpu1", "");
    n->tokens = 0;
    for (int64_t s = 0; s <= 4000; s++) {
        took(&n->first, s > 2400 && s <= 3000 ? 1 << 20 : 1 << 17);
        second(s);
    }
    assert_fired(2538, 3111);
    assert_int_equal(others, 0);
}

/* Slower than others it has always been; and of one that is new nobody knows what is usual. */
static void nodes_that_are_as_they_are(void **state)
{
    struct pulse_node *quick = pulse_add_node(&pulse, STR("gpu1")), *slow = pulse_add_node(&pulse, STR("gpu2"));
    watch("node_slow", "gpu2", "");
    for (int64_t s = 0; s <= 4000; s++) {
        took(&quick->first, 1 << 14);
        took(&slow->first, s % 5 ? 1 << 20 : 1 << 21);
        second(s);
    }
    struct pulse_node *new = pulse_add_node(&pulse, STR("gpu3"));
    for (int64_t s = 4001; s <= 5500; s++) {
        took(&quick->first, 1 << 14);
        took(&slow->first, 1 << 20);
        took(&new->first, s > 4800 ? 1 << 20 : 1 << 14);
        second(s);
    }
    assert_silent();
    assert_int_equal(others, 0);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, each_begin, each_end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(memory_high),
        PLAY(memory_that_is_soon_given_back),
        PLAY(api_slow),
        PLAY(one_slow_answer_now_and_then),
        PLAY(node_down),
        PLAY(a_node_that_restarts),
        PLAY(a_node_that_flaps),
        PLAY(a_removed_node_is_no_longer_down),
        PLAY(model_without_node),
        PLAY(a_model_that_is_soon_back),
        PLAY(queue_wait),
        PLAY(waits_that_are_usual),
        PLAY(error_budget_fast),
        PLAY(errors_within_the_budget),
        PLAY(a_few_errors_of_few_requests),
        PLAY(error_budget_slow),
        PLAY(errors_that_have_ended),
        PLAY(breaker_flapping),
        PLAY(a_breaker_that_opens_now_and_then),
        PLAY(cache_hit_drop),
        PLAY(caches_with_nothing_to_lose),
        PLAY(a_cache_that_is_new),
        PLAY(node_slow),
        PLAY(nodes_that_are_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
