#include "observe/meter_fixture.h"
#include "observe/metrics_page.h"

#include <math.h>

static void who_wants_open_metrics(void **state)
{
    static const struct {
        const char *accept;
        bool open;
    } rows[] = {
        {"",                                                                                                       false},
        { "*/*",                                                                                                   false},
        { "text/plain",                                                                                            false},
        { "application/openmetrics-text",                                                                          true },
        { "Application/OpenMetrics-Text; Version=1.0.0",                                                           true },
        { "application/openmetrics-text; version=0.0.1",                                                           false},
        { "application/openmetrics-text;q=0",                                                                      false},
        { "application/openmetrics-text;q=0.000, */*",                                                             false},
 /* what Prometheus 2.42 and 3.0 send */
        { "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/"
          "plain;version=0.0.4;q=0.5,"
          "*/*;q=0.1",                                                                                    true },
        { "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/"
          "openmetrics-text;version=0.0.1;q=0.5,"
          "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", true },
        { "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5",                            false},
        { "text/plain;q=0.4,application/openmetrics-text;q=0.45",                                                  true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (metrics_wants_open(str_of(rows[i].accept)) != rows[i].open)
            fail_msg("Accept: %s", rows[i].accept);
}

static void content_types(void **state)
{
    assert_true(str_eq(metrics_content_type(false), STR("text/plain; version=0.0.4; charset=utf-8")));
    assert_true(str_eq(metrics_content_type(true), STR("application/openmetrics-text; version=1.0.0; charset=utf-8")));
}

static void expect_head(bool open_metrics, enum meter_family f, const char *expected)
{
    struct text t = { 0 };
    struct metrics_page p = { .to = &t, .open_metrics = open_metrics };
    metrics_family(&p, f);
    assert_true(str_eq(text_str(&t), str_of(expected)));
    text_free(&t);
}

static void heads_of_families(void **state)
{
    expect_head(
        false, FAMILY_retries,
        "# HELP ollamamax_retries_total Attempts that were sent elsewhere\n# TYPE ollamamax_retries_total counter\n");
    expect_head(true, FAMILY_retries,
                "# HELP ollamamax_retries Attempts that were sent elsewhere\n# TYPE ollamamax_retries counter\n"
                "# UNIT ollamamax_retries retries\n");
    expect_head(false, FAMILY_memory_bytes,
                "# HELP ollamamax_memory_bytes Memory by kind\n# TYPE ollamamax_memory_bytes gauge\n");
    expect_head(true, FAMILY_memory_bytes,
                "# HELP ollamamax_memory_bytes Memory by kind\n# TYPE ollamamax_memory_bytes gauge\n"
                "# UNIT ollamamax_memory_bytes bytes\n");
    expect_head(true, FAMILY_node_up,
                "# HELP ollamamax_node_up 1 when the node takes work\n# TYPE ollamamax_node_up gauge\n");
}

static void expect_sample(const struct metric_label *labels, unsigned n, double value, const char *expected)
{
    struct text t = { 0 };
    struct metrics_page p = { .to = &t };
    metrics_sample(&p, FAMILY_node_up, labels, n, value);
    struct str got = text_str(&t);
    if (!str_eq(got, str_of(expected)))
        fail_msg("got %.*s", STR_ARG(got));
    text_free(&t);
}

static void samples(void **state)
{
    struct metric_label two[] = {
        {"node",   STR("gpu1")  },
        { "model", STR("llama3")}
    };
    expect_sample(NULL, 0, 1, "ollamamax_node_up 1\n");
    expect_sample(two, 1, 0, "ollamamax_node_up{node=\"gpu1\"} 0\n");
    expect_sample(two, 2, 12, "ollamamax_node_up{node=\"gpu1\",model=\"llama3\"} 12\n");
}

static void values(void **state)
{
    expect_sample(NULL, 0, 0.1, "ollamamax_node_up 0.1\n");
    expect_sample(NULL, 0, -2.5, "ollamamax_node_up -2.5\n");
    expect_sample(NULL, 0, 33554432000.0, "ollamamax_node_up 33554432000\n");
    expect_sample(NULL, 0, 1e300, "ollamamax_node_up 1e+300\n");
    expect_sample(NULL, 0, 0.1 + 0.2, "ollamamax_node_up 0.30000000000000004\n");
    expect_sample(NULL, 0, NAN, "ollamamax_node_up NaN\n");
    expect_sample(NULL, 0, INFINITY, "ollamamax_node_up +Inf\n");
    expect_sample(NULL, 0, -INFINITY, "ollamamax_node_up -Inf\n");
}

static void label_values_are_escaped(void **state)
{
    static const struct {
        struct str value;
        const char *written;
    } rows[] = {
        {STR("a\"b\\c\nd"),      "a\\\"b\\\\c\\nd"             },
        { STR("\"} 1\nevil 2"),  "\\\"} 1\\nevil 2"            },
        { STR("Zürich 東京"), "Zürich 東京"              },
        { STR("cut \xE6\x9D"),   "cut \xEF\xBF\xBD\xEF\xBF\xBD"},
        { STR("\xFFx"),          "\xEF\xBF\xBDx"               },
        { STR(""),               ""                            },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char expected[128];
        struct metric_label label = { "node", rows[i].value };
        snprintf(expected, sizeof expected, "ollamamax_node_up{node=\"%s\"} 1\n", rows[i].written);
        expect_sample(&label, 1, 1, expected);
    }
}

static void ends(void **state)
{
    struct text t = { 0 };
    metrics_end(&(struct metrics_page){ .to = &t });
    assert_int_equal(text_str(&t).n, 0);
    metrics_end(&(struct metrics_page){ .to = &t, .open_metrics = true });
    assert_true(str_eq(text_str(&t), STR("# EOF\n")));
    text_free(&t);
}

/* Rows that somebody adds keep the rules: help texts need no escape, counters are named so, seconds and bytes are in
 * the names. */
static void the_table_keeps_the_rules(void **state)
{
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const struct metric *m = metric_of((enum meter_family)f);
        assert_true(m->help.n > 0 && str_chr(m->help, '\\') < 0 && str_chr(m->help, '"') < 0 &&
                    str_chr(m->help, '\n') < 0);
        assert_int_equal(str_ends(m->name, STR("_total")), m->type == TYPE_COUNTER);
        assert_true(m->unit.n > 0);
        struct str name = m->type == TYPE_COUNTER ? str_take(m->name, m->name.n - 6) : m->name;
        assert_int_equal(str_eq(m->unit, STR("seconds")), str_ends(name, STR("_seconds")));
        assert_int_equal(str_eq(m->unit, STR("bytes")), str_ends(name, STR("_bytes")));
    }
}

int main(void)
{
    buf_pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wants_open_metrics),
        cmocka_unit_test(content_types),
        cmocka_unit_test(heads_of_families),
        cmocka_unit_test(samples),
        cmocka_unit_test(values),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(ends),
        cmocka_unit_test(the_table_keeps_the_rules),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
