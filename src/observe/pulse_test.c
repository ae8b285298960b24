#include "observe/meter_fixture.h"
#include "observe/pulse.h"

#include <math.h>

static struct meter *meters[2];
static struct pulse pulse;
static const struct gist_copy nothing;

static int each_begin(void **state)
{
    for (int i = 0; i < 2; i++)
        meters[i] = meter_new();
    pulse_clear(&pulse, SECOND(1));
    return meters[0] && meters[1] ? 0 : -1;
}

static int each_end(void **state)
{
    for (int i = 0; i < 2; i++)
        meter_free(&meters[i]);
    return 0;
}

static double half_of(enum pulse_time t)
{
    return gist_quantile(&nothing, &pulse.time[t], 0.5);
}

static void nothing_is_known_at_first(void **state)
{
    for (int i = 0; i < TOTAL_COUNT; i++)
        assert_true(isnan(pulse.total[i]));
    for (int i = 0; i < GAUGE_COUNT; i++)
        assert_true(isnan(pulse.gauge[i]));
    pulse_meters(&pulse, meters, 2);
    assert_true(pulse.total[TOTAL_REQUESTS] == 0);
    assert_true(isnan(pulse.total[TOTAL_SAVED_SECONDS])); /* nobody has said */
}

static void workers_add_up(void **state)
{
    struct record r = chat_record("llama3", "gpu1");
    meter_record(meters[0], &r);
    meter_record(meters[1], &r);
    r.status = 502;
    meter_record(meters[1], &r);
    r.status = 200;
    r.in_band_error = true;
    r.cache = CACHED_MISS;
    meter_record(meters[0], &r);
    meter_retry(meters[0], FAIL_upstream_reset);
    meter_upstream_error(meters[1], STR("gpu1"), FAIL_upstream_reset);
    pulse_meters(&pulse, meters, 2);
    assert_true(pulse.total[TOTAL_REQUESTS] == 4 && pulse.total[TOTAL_ERRORS] == 2);
    assert_true(pulse.total[TOTAL_TOKENS_IN] == 33 && pulse.total[TOTAL_TOKENS_OUT] == 150);
    assert_true(pulse.total[TOTAL_RETRIES] == 1 && pulse.total[TOTAL_UPSTREAM_ERRORS] == 1);
    assert_true(pulse.total[TOTAL_CACHE_LOOKUPS] == 1 && pulse.total[TOTAL_CACHE_HITS] == 0);
    assert_true(fabs(half_of(TIME_FIRST_TOKEN) - 120000) < 3800);
    assert_true(fabs(half_of(TIME_DURATION) - 1500000) < 47000);
    assert_true(fabs(half_of(TIME_QUEUE_WAIT) - 5000) < 160);
    assert_true(fabs(half_of(TIME_ADDED) - 100) < 4);
    assert_true(isnan(half_of(TIME_OWN_ANSWER)));
}

/* Who only looks at the gateway is no load, but waits for its answers. */
static void our_own_operations_are_no_requests(void **state)
{
    struct record r = {
        .total_us = 90, .first_us = 80, .added_us = 80, .status = 200, .route = ROUTE_metrics, .method = M_GET
    };
    meter_record(meters[0], &r);
    r.status = 503;
    r.route = ROUTE_readyz;
    meter_record(meters[0], &r);
    pulse_meters(&pulse, meters, 2);
    assert_true(pulse.total[TOTAL_REQUESTS] == 0 && pulse.total[TOTAL_ERRORS] == 0);
    assert_true(fabs(half_of(TIME_OWN_ANSWER) - 80) < 3);
}

static void hits_are_own_answers(void **state)
{
    struct record r = chat_record("llama3", "");
    r.attempts = 0;
    r.queued_us = 0;
    r.first_us = 150;
    for (int i = CACHED_HIT; i <= CACHED_BYPASS; i++) {
        r.cache = (uint8_t)i;
        meter_record(meters[0], &r);
    }
    pulse_meters(&pulse, meters, 2);
    assert_true(pulse.total[TOTAL_CACHE_HITS] == 3 && pulse.total[TOTAL_CACHE_LOOKUPS] == 4);
    assert_true(fabs(half_of(TIME_OWN_ANSWER) - 150) < 5);
}

static void nodes_have_their_own(void **state)
{
    struct pulse_node *one = pulse_add_node(&pulse, STR("gpu1")), *idle = pulse_add_node(&pulse, STR("gpu2"));
    struct record r = chat_record("llama3", "gpu1");
    meter_record(meters[0], &r);
    meter_record(meters[1], &r);
    r.owner = OWNER_FLEET; /* loading a model says nothing about answers */
    r.node_us = 9000000;
    meter_record(meters[0], &r);
    pulse_meters(&pulse, meters, 2);
    assert_true(one->tokens == 150 && idle->tokens == 0);
    assert_true(fabs(gist_quantile(&nothing, &one->first, 1) - 114900) < 3700);
    assert_true(isnan(gist_quantile(&nothing, &idle->first, 0.5)));
}

int main(void)
{
    buf_pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_known_at_first, each_begin, each_end),
        cmocka_unit_test_setup_teardown(workers_add_up, each_begin, each_end),
        cmocka_unit_test_setup_teardown(our_own_operations_are_no_requests, each_begin, each_end),
        cmocka_unit_test_setup_teardown(hits_are_own_answers, each_begin, each_end),
        cmocka_unit_test_setup_teardown(nodes_have_their_own, each_begin, each_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
