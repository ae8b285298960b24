#include "observe/meter_fixture.h"

#include "base/slab.h"
#include "base/sys.h"

#include <pthread.h>
#include <stdatomic.h>

static struct meter *m;

static int each_begin(void **state)
{
    m = meter_new();
    return m ? 0 : -1;
}

static int each_end(void **state)
{
    meter_free(&m);
    return m ? -1 : 0;
}

static void a_chat_is_counted_everywhere(void **state)
{
    struct record r = chat_record("llama3", "gpu1");
    meter_record(m, &r);
    meter_record(m, &r);
    static const char *const lines[] = {
        "ollamamax_requests_total{route=\"chat\",method=\"POST\",code=\"200\",model=\"llama3\"} 2",
        "ollamamax_request_duration_seconds_bucket{route=\"chat\",le=\"1.28\"} 0",
        "ollamamax_request_duration_seconds_bucket{route=\"chat\",le=\"2.56\"} 2",
        "ollamamax_request_duration_seconds_bucket{route=\"chat\",le=\"+Inf\"} 2",
        "ollamamax_request_duration_seconds_sum{route=\"chat\"} 3.000000",
        "ollamamax_request_duration_seconds_count{route=\"chat\"} 2",
        "ollamamax_time_to_first_token_seconds_bucket{model=\"llama3\",le=\"0.1\"} 0",
        "ollamamax_time_to_first_token_seconds_bucket{model=\"llama3\",le=\"0.25\"} 2",
        "ollamamax_inter_token_seconds_sum{model=\"llama3\"} 0.056000",
        "ollamamax_queue_wait_seconds_sum{model=\"llama3\"} 0.010000",
        "ollamamax_added_seconds_bucket{le=\"0.00005\"} 0",
        "ollamamax_added_seconds_bucket{le=\"0.0001\"} 2",
        "ollamamax_tokens_total{model=\"llama3\",node=\"gpu1\",type=\"input\"} 22",
        "ollamamax_tokens_total{model=\"llama3\",node=\"gpu1\",type=\"output\"} 100",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!meter_shows(m, lines[i]))
            fail_msg("not there: %s", lines[i]);
    struct text page = page_of(&m, 1, false);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_model_load_seconds"), 0);
    text_free(&page);
}

static void others_than_clients_count_towards_nodes_only(void **state)
{
    struct record r = chat_record("llama3", "gpu1");
    r.owner = OWNER_FLEET;
    r.load_us = 4000000;
    meter_record(m, &r);
    struct text page = page_of(&m, 1, false);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_requests_total"), 0);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_request_duration_seconds"), 0);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_queue_wait_seconds"), 0);
    assert_true(has_line(text_str(&page), "ollamamax_tokens_total{model=\"llama3\",node=\"gpu1\",type=\"output\"} 50"));
    assert_true(has_line(text_str(&page), "ollamamax_model_load_seconds_sum{model=\"llama3\"} 4.000000"));
    text_free(&page);
}

/* What is unknown or does not apply is left out of its family. */
static void nothing_is_made_up(void **state)
{
    struct record r = chat_record("llama3", "gpu1");
    r.tokens_in = r.tokens_out = -1;
    r.first_us = UINT32_MAX;
    r.records = 1;
    r.load_us = 300000;
    meter_record(m, &r);
    struct record whole = chat_record("llama3", "gpu1");
    whole.stream = false;
    whole.tokens_in = whole.tokens_out = 0;
    whole.retried = true;
    meter_record(m, &whole);
    struct text page = page_of(&m, 1, false);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_tokens_total"), 0);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_time_to_first_token_seconds"), 0);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_inter_token_seconds"), 0);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_model_load_seconds"), 0);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_added_seconds"), 0);
    assert_true(has_line(text_str(&page), "ollamamax_queue_wait_seconds_count{model=\"llama3\"} 2"));
    text_free(&page);
}

static void our_own_answers_have_no_model(void **state)
{
    struct record r = {
        .total_us = 90, .first_us = 80, .added_us = 80, .status = 200, .route = ROUTE_livez, .method = M_GET
    };
    meter_record(m, &r);
    assert_true(meter_shows(m, "ollamamax_requests_total{route=\"livez\",method=\"GET\",code=\"200\",model=\"\"} 1"));
    assert_true(meter_shows(m, "ollamamax_added_seconds_bucket{le=\"0.0001\"} 1"));
    assert_false(meter_shows(m, "ollamamax_queue_wait_seconds_count{model=\"\"} 1"));
    r.route = ROUTE_NONE;
    r.status = 404;
    r.method = M_OTHER;
    meter_record(m, &r);
    assert_true(meter_shows(m, "ollamamax_requests_total{route=\"none\",method=\"other\",code=\"404\",model=\"\"} 1"));
}

static void models_are_learnt_from_nodes_only(void **state)
{
    struct record r = chat_record("made-up", "");
    r.status = 404;
    r.why = FAIL_model_not_found;
    meter_record(m, &r);
    r = chat_record("refused", "gpu1");
    r.status = 404;
    meter_record(m, &r);
    assert_true(
        meter_shows(m, "ollamamax_requests_total{route=\"chat\",method=\"POST\",code=\"404\",model=\"other\"} 2"));
    r.status = 500;
    meter_record(m, &r);
    assert_true(
        meter_shows(m, "ollamamax_requests_total{route=\"chat\",method=\"POST\",code=\"500\",model=\"refused\"} 1"));
}

static void models_beyond_64_are_other(void **state)
{
    char name[16];
    for (int i = 0; i < 70; i++) {
        snprintf(name, sizeof name, "model-%d", i);
        struct record r = chat_record(name, "gpu1");
        meter_record(m, &r);
    }
    assert_true(meter_shows(m, "ollamamax_queue_wait_seconds_count{model=\"model-63\"} 1"));
    assert_true(meter_shows(m, "ollamamax_queue_wait_seconds_count{model=\"other\"} 6"));
    assert_true(meter_shows(m, "ollamamax_tokens_total{model=\"other\",node=\"gpu1\",type=\"output\"} 300"));
}

static void refusals_are_shed(void **state)
{
    struct record r = chat_record("llama3", "");
    r.status = 503;
    r.why = FAIL_queue_full;
    r.attempts = 0;
    meter_record(m, &r);
    assert_true(meter_shows(m, "ollamamax_shed_total{reason=\"queue_full\"} 1"));
    r.why = FAIL_upstream_busy;
    r.attempts = 2;
    meter_record(m, &r);
    struct text page = page_of(&m, 1, false);
    assert_int_equal(count_lines(text_str(&page), "ollamamax_shed_total"), 1);
    text_free(&page);
}

static void small_counters(void **state)
{
    meter_add(m, COUNT_connections, 3);
    meter_add(m, COUNT_connections, 4);
    meter_retry(m, FAIL_connect_refused);
    meter_upstream_error(m, STR("gpu1"), FAIL_upstream_cut);
    meter_upstream_error(m, STR("gpu1"), FAIL_upstream_cut);
    assert_true(meter_shows(m, "ollamamax_client_connections_total 7"));
    assert_true(meter_shows(m, "ollamamax_node_dials_total 0"));
    assert_true(meter_shows(m, "ollamamax_retries_total{reason=\"connect_refused\"} 1"));
    assert_true(meter_shows(m, "ollamamax_upstream_errors_total{node=\"gpu1\",kind=\"upstream_cut\"} 2"));
}

/* Records cut long names; errors must count under the same one. */
static void long_node_names_are_one_label(void **state)
{
    char name[64], line[160];
    memset(name, 'n', sizeof name);
    name[40] = 0;
    struct record r = chat_record("llama3", name);
    meter_record(m, &r);
    meter_upstream_error(m, str_of(name), FAIL_upstream_cut);
    name[RECORD_NODE - 1] = 0;
    snprintf(line, sizeof line, "ollamamax_upstream_errors_total{node=\"%s\",kind=\"upstream_cut\"} 1", name);
    assert_true(meter_shows(m, line));
    snprintf(line, sizeof line, "ollamamax_tokens_total{model=\"llama3\",node=\"%s\",type=\"input\"} 11", name);
    assert_true(meter_shows(m, line));
}

/* With each allocation failing in turn a sample may be lost, nothing else; the next record counts again. */
static void memory_that_is_out(void **state)
{
    struct record r = chat_record("llama3", "gpu1");
    r.load_us = 4000000;
    uint64_t takes = 1;
    for (uint64_t nth = 1; nth <= takes; nth++) {
        struct meter *fresh = meter_new();
        assert_non_null(fresh);
        memory_fail_at(nth);
        meter_record(fresh, &r);
        takes = MAX(takes, memory_takes());
        memory_fail_at(0);
        meter_record(fresh, &r);
        assert_true(meter_shows(fresh, "ollamamax_queue_wait_seconds_count{model=\"llama3\"} 2") ||
                    meter_shows(fresh, "ollamamax_queue_wait_seconds_count{model=\"llama3\"} 1"));
        meter_free(&fresh);
    }
    assert_true(takes >= 10);
}

static void no_meter_without_memory(void **state)
{
    meter_free(&m); /* the names go with it */
    for (uint64_t nth = 1; nth <= 3; nth++) {
        memory_fail_at(nth);
        assert_null(meter_new());
    }
    memory_fail_at(4);
    m = meter_new();
    memory_fail_at(0);
    assert_non_null(m);
}

/* Two workers count while a third thread looks: totals are right at the end, and no page is inconsistent. */
#define RECORDS_EACH 20000
static _Atomic int writing;

static void *write_records(void *arg)
{
    static const char *const models[] = { "llama3", "qwen", "phi", "gemma" };
    char node[16];
    for (int i = 0; i < RECORDS_EACH; i++) {
        snprintf(node, sizeof node, "gpu%d", i % 50);
        struct record r = chat_record(models[i % 4], node);
        r.total_us = (uint32_t)i;
        meter_record(arg, &r);
    }
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

static void two_writers_and_a_reader(void **state)
{
    struct meter *meters[2] = { m, meter_new() };
    pthread_t threads[2];
    atomic_store(&writing, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_records, meters[i]), 0);
    do {
        struct text page = page_of(meters, 2, true);
        assert_true(str_ends(text_str(&page), STR("# EOF\n")));
        text_free(&page);
    } while (atomic_load(&writing));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    struct text page = page_of(meters, 2, false);
    assert_true(has_line(text_str(&page),
                         "ollamamax_requests_total{route=\"chat\",method=\"POST\",code=\"200\",model=\"phi\"} 10000"));
    assert_true(has_line(text_str(&page), "ollamamax_request_duration_seconds_count{route=\"chat\"} 40000"));
    assert_true(
        has_line(text_str(&page), "ollamamax_tokens_total{model=\"llama3\",node=\"gpu8\",type=\"output\"} 20000"));
    text_free(&page);
    meter_free(&meters[1]);
}

/* Best of some rounds, so that a busy machine does not fail it; sanitizers make it ten times slower. */
static void a_record_costs_little(void **state)
{
    struct record records[64];
    nsec best = NEVER;
    for (int i = 0; i < 64; i++) {
        char model[16], node[16];
        snprintf(model, sizeof model, "model-%d:latest", i % 20);
        snprintf(node, sizeof node, "gpu%d", i);
        records[i] = chat_record(model, node);
        records[i].total_us = 1000u * (uint32_t)i;
    }
    for (int round = 0; round < 50; round++) {
        nsec start = sys_now();
        for (int i = 0; i < 64 * 20; i++)
            meter_record(m, &records[i % 64]);
        best = MIN(best, (sys_now() - start) / (64 * 20));
    }
    print_message("a record costs %d ns\n", (int)best);
    assert_true(best < 5000);
}

int main(void)
{
    buf_pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_chat_is_counted_everywhere, each_begin, each_end),
        cmocka_unit_test_setup_teardown(others_than_clients_count_towards_nodes_only, each_begin, each_end),
        cmocka_unit_test_setup_teardown(nothing_is_made_up, each_begin, each_end),
        cmocka_unit_test_setup_teardown(our_own_answers_have_no_model, each_begin, each_end),
        cmocka_unit_test_setup_teardown(models_are_learnt_from_nodes_only, each_begin, each_end),
        cmocka_unit_test_setup_teardown(models_beyond_64_are_other, each_begin, each_end),
        cmocka_unit_test_setup_teardown(refusals_are_shed, each_begin, each_end),
        cmocka_unit_test_setup_teardown(small_counters, each_begin, each_end),
        cmocka_unit_test_setup_teardown(long_node_names_are_one_label, each_begin, each_end),
        cmocka_unit_test_setup_teardown(memory_that_is_out, each_begin, each_end),
        cmocka_unit_test_setup_teardown(no_meter_without_memory, each_begin, each_end),
        cmocka_unit_test_setup_teardown(two_writers_and_a_reader, each_begin, each_end),
        cmocka_unit_test_setup_teardown(a_record_costs_little, each_begin, each_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
