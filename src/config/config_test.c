#include "config/config_fixture.h"

static void expect_flag_complaint(char **words, const char *says)
{
    struct config *c = fixture_load_words(words, false);
    struct str got = text_str(&c->complaints);
    if (c->wrong != 1 || !c->misused || str_find(got, str_of(says)) < 0)
        fail_msg("expected %s, got %u: %.*s", says, c->wrong, STR_ARG(got));
    config_free(&c);
}
#define expect_misuse(says, ...) expect_flag_complaint((char *[]){ __VA_ARGS__, NULL }, says)

static void nothing_has_to_be_set(void **state)
{
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    expect_good(c);
    assert_int_equal(c->listen.n, 2);
    assert_true(str_eq(c->listen.v[1], STR("[::1]:13100")));
    assert_int_equal(c->nodes.n, 1);
    assert_true(str_eq(c->nodes.v[0].url, STR("http://localhost:11434")));
    assert_true(str_eq(c->policy, STR("eta")));
    assert_int_equal(c->timeouts_load, SECOND(300));
    assert_int_equal(c->limits_bodies, 1ll << 30);
    assert_int_equal(c->pull_replicas, 0);
    assert_int_equal(c->log_level, 1);
    assert_true(c->retry_budget.ratio == 0.2 && c->retry_budget.rate == 1);
    assert_in_range(config_workers(c), 1, 8);
    assert_false(c->misused);
    config_free(&c);
}

static void flags_win_over_variables_over_the_file_over_defaults(void **state)
{
    fixture_write("timeouts: {connect: 3s, load: 3s, total: 3s}\nlisten: 1\n");
    setenv("OLLAMAMAX_TIMEOUTS_CONNECT", "4s", 1);
    setenv("OLLAMAMAX_TIMEOUTS_LOAD", "4s", 1);
    setenv("OLLAMAMAX_LISTEN", "2 3,4", 1);
    struct config *c = load_flags("--config", fixture_file, "--timeouts-connect", "5s");
    expect_good(c);
    assert_int_equal(c->timeouts_connect, SECOND(5));
    assert_int_equal(c->timeouts_load, SECOND(4));
    assert_int_equal(c->timeouts_total, SECOND(3));
    assert_int_equal(c->timeouts_inter_chunk, SECOND(300));
    assert_int_equal(c->listen.n, 3);
    assert_int_equal(c->source[SETTING_timeouts_connect].kind, FROM_FLAG);
    assert_true(str_eq(c->source[SETTING_timeouts_load].name, STR("OLLAMAMAX_TIMEOUTS_LOAD")));
    assert_int_equal(c->source[SETTING_timeouts_total].line, 1);
    assert_int_equal(c->source[SETTING_timeouts_inter_chunk].kind, FROM_DEFAULT);
    config_free(&c);
}

static void a_mistake_is_told_though_a_higher_source_wins(void **state)
{
    fixture_write("workers: many\n");
    struct config *c = load_flags("--workers", "2", "--config", fixture_file);
    assert_int_equal(c->wrong, 1);
    assert_int_equal(c->workers, 2);
    config_free(&c);
}

static void repeated_flags_append_to_lists_and_replace_values(void **state)
{
    struct config *c = load_flags("--node", "gpu1,weight=2,name=x", "--nodes=gpu2", "--node", "gpu3 gpu4", "--workers",
                                  "1", "--workers=3", "--origins", "https://a,https://b", "--listen=0");
    expect_good(c);
    assert_int_equal(c->nodes.n, 4);
    assert_true(str_eq(c->nodes.v[0].name, STR("x")));
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->origins.n, 2);
    assert_int_equal(c->listen.n, 1);
    config_free(&c);
}

static void switches_need_no_value(void **state)
{
    struct config *c =
        load_flags("--tls-insecure", "--memory-pools", "off", "--observe-metrics-public", "--log-access=no");
    expect_good(c);
    assert_true(c->tls_insecure && !c->memory_pools && c->observe_metrics_public && !c->log_access);
    config_free(&c);
}

static void misuse_is_told_with_a_suggestion(void **state)
{
    expect_misuse("--worker: there is no such flag; did you mean --workers?", "--worker", "3");
    expect_misuse("did you mean --timeouts-connect?", "--timeout-conect=3s");
    expect_misuse("--banana: there is no such flag\n", "--banana");
    expect_misuse("--workers: a value is missing", "--workers");
    expect_misuse("--config: a value is missing", "--config");
    expect_misuse("gpu1: this is no flag", "gpu1");
    expect_misuse("-n: this is no flag", "-n");
    expect_misuse("--workers: workers: \"x\" is not a number, nor \"auto\"", "--workers", "x");
    expect_misuse("--node: nodes: \"gpu1,x=1\"", "--node", "gpu1,x=1");
}

static void variables_are_not_flags(void **state)
{
    setenv("OLLAMAMAX_WORKERS", "none", 1);
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    assert_int_equal(c->wrong, 1);
    assert_false(c->misused);
    assert_true(str_starts(text_str(&c->complaints), STR("OLLAMAMAX_WORKERS: workers: \"none\" is not a number")));
    config_free(&c);
}

static void a_slip_in_a_variable_is_noted(void **state)
{
    setenv("OLLAMAMAX_WROKERS", "3", 1);
    setenv("OLLAMAMAX_SOMETHING_ELSE", "3", 1);
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    unsetenv("OLLAMAMAX_WROKERS");
    unsetenv("OLLAMAMAX_SOMETHING_ELSE");
    expect_good(c);
    assert_true(str_eq(text_str(&c->notes),
                       STR("OLLAMAMAX_WROKERS in the environment is no setting; did you mean OLLAMAMAX_WORKERS?\n")));
    config_free(&c);
}

static void the_file_is_found_by_flag_word_or_variable(void **state)
{
    fixture_write("workers: 5\n");
    struct config *c = fixture_load_words((char *[]){ "--policy", "round_robin", fixture_file, NULL }, true);
    expect_good(c);
    assert_int_equal(c->workers, 5);
    config_free(&c);
    setenv("OLLAMAMAX_CONFIG", fixture_file, 1);
    c = load_flags("--config", "/nonexistent/f.yaml");
    assert_true(c->wrong == 1 && !c->misused);
    assert_true(str_starts(text_str(&c->complaints), STR("/nonexistent/f.yaml: cannot be read: No such file")));
    config_free(&c);
    c = fixture_load_words((char *[]){ NULL }, false);
    expect_good(c);
    assert_int_equal(c->workers, 5);
    assert_true(str_eq(c->file, str_of(fixture_file)));
    config_free(&c);
}

static void ollamas_own_variables_are_read(void **state)
{
    setenv("OLLAMA_HOST", "0.0.0.0:5000", 1);
    setenv("OLLAMA_ORIGINS", "https://a, https://b", 1);
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    expect_good(c);
    assert_true(str_eq(c->nodes.v[0].url, STR("http://127.0.0.1:5000")));
    assert_true(str_eq(c->source[SETTING_nodes].name, STR("OLLAMA_HOST")));
    assert_int_equal(c->origins.n, 2);
    config_free(&c);
    setenv("OLLAMAMAX_ORIGINS", "https://c", 1);
    c = load_flags("--node", "gpu1");
    expect_good(c);
    assert_int_equal(c->nodes.n, 1);
    assert_true(str_eq(c->nodes.v[0].url, STR("gpu1")));
    config_free(&c);
}

static void a_host_that_is_the_gateway_itself_is_not_its_node(void **state)
{
    setenv("OLLAMA_HOST", "http://127.0.0.1:13100", 1);
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    expect_good(c);
    assert_true(str_eq(c->nodes.v[0].url, STR("http://localhost:11434")));
    assert_true(str_find(text_str(&c->notes), STR("is this gateway itself")) > 0);
    config_free(&c);
    setenv("OLLAMA_HOST", "gpu1:13100", 1);
    c = fixture_load_words((char *[]){ NULL }, false);
    assert_true(str_eq(c->nodes.v[0].url, STR("http://gpu1:13100")));
    assert_int_equal(c->notes.buf.end, 0);
    config_free(&c);
    setenv("OLLAMA_HOST", "no where", 1);
    c = fixture_load_words((char *[]){ NULL }, false);
    assert_int_equal(c->wrong, 1);
    assert_true(str_starts(text_str(&c->complaints), STR("OLLAMA_HOST: \"no where\"")));
    config_free(&c);
}

static void the_admin_key_may_lie_in_a_file(void **state)
{
    fixture_write("  secret-word \n");
    struct config *c = load_flags("--admin-key-file", fixture_file);
    expect_good(c);
    assert_true(str_eq(c->admin_key, STR("secret-word")));
    config_free(&c);
    c = load_flags("--admin-key-file", fixture_file, "--admin-key", "x");
    assert_int_equal(c->wrong, 1);
    config_free(&c);
    setenv("OLLAMAMAX_ADMIN_KEY_FILE", "/nonexistent/key", 1);
    c = load_flags("--admin-key", "x");
    expect_good(c);
    assert_true(str_eq(c->admin_key, STR("x")));
    config_free(&c);
    c = fixture_load_words((char *[]){ NULL }, false);
    assert_int_equal(c->wrong, 1);
    config_free(&c);
}

/* A line "key = value # source", however many blanks are between. */
static void expect_row(struct str page, const char *key, const char *value, const char *source)
{
    while (page.n) {
        struct str rest = str_cut(&page, '\n'), name = str_trim(str_cut(&rest, '=')),
                   shown = str_trim(str_cut(&rest, '#'));
        if (!str_eq(name, str_of(key)))
            continue;
        if (!str_eq(shown, str_of(value)) || !str_eq(str_trim(rest), str_of(source)))
            fail_msg("%s is %.*s from %.*s", key, STR_ARG(shown), STR_ARG(rest));
        return;
    }
    fail_msg("%s is not shown", key);
}

static void check_shows_values_and_sources_but_no_secrets(void **state)
{
    struct text t = { 0 };
    char line[64];
    fixture_write("timeouts:\n  connect: 3s\n");
    setenv("OLLAMAMAX_RETRY_MAX", "1", 1);
    setenv("REDIS_URL", "redis://me:hush@cache/2", 1);
    struct config *c = load_flags("--config", fixture_file, "--admin-key=topsecret", "--node", "a", "--node",
                                  "b,slots=2", "--workers", "3");
    expect_good(c);
    config_print(c, &t);
    expect_row(text_str(&t), "cache.redis", "(set)", "REDIS_URL");
    assert_true(str_eq(c->cache_redis, STR("redis://me:hush@cache/2")));
    assert_true(str_find(text_str(&t), STR("hush")) < 0);
    snprintf(line, sizeof line, "%s:2", fixture_file);
    expect_row(text_str(&t), "timeouts.connect", "3s", line);
    expect_row(text_str(&t), "retry.max", "1", "OLLAMAMAX_RETRY_MAX");
    expect_row(text_str(&t), "nodes", "a, b,slots=2", "--node");
    expect_row(text_str(&t), "workers", "3", "--workers");
    expect_row(text_str(&t), "admin_key", "(set)", "--admin-key");
    expect_row(text_str(&t), "timeouts.total", "none", "default");
    expect_row(text_str(&t), "log.file", "(none)", "default");
    assert_true(str_find(text_str(&t), STR("topsecret")) < 0);
    text_free(&t);
    config_free(&c);
}

static void every_allocation_may_fail(void **state)
{
    fixture_write("timeouts: {connect: 3s}\nnodes: [a, {url: b, labels: {k: v}}]\nwrong: 1\n");
    char *words[] = { "--config", fixture_file, "--listen", "1", NULL };
    bool whole = false;
    for (unsigned nth = 1; !whole; nth++) {
        struct config_args args = { .argc = 4, .argv = words };
        memory_fail_at(nth);
        struct config *c = config_load(&args);
        whole = memory_takes() < nth;
        memory_fail_at(0);
        if (whole)
            assert_int_equal(c->wrong, 1);
        config_free(&c);
        assert_true(nth < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_has_to_be_set, fixture_each),
        cmocka_unit_test_setup(flags_win_over_variables_over_the_file_over_defaults, fixture_each),
        cmocka_unit_test_setup(a_mistake_is_told_though_a_higher_source_wins, fixture_each),
        cmocka_unit_test_setup(repeated_flags_append_to_lists_and_replace_values, fixture_each),
        cmocka_unit_test_setup(switches_need_no_value, fixture_each),
        cmocka_unit_test_setup(misuse_is_told_with_a_suggestion, fixture_each),
        cmocka_unit_test_setup(variables_are_not_flags, fixture_each),
        cmocka_unit_test_setup(a_slip_in_a_variable_is_noted, fixture_each),
        cmocka_unit_test_setup(the_file_is_found_by_flag_word_or_variable, fixture_each),
        cmocka_unit_test_setup(ollamas_own_variables_are_read, fixture_each),
        cmocka_unit_test_setup(a_host_that_is_the_gateway_itself_is_not_its_node, fixture_each),
        cmocka_unit_test_setup(the_admin_key_may_lie_in_a_file, fixture_each),
        cmocka_unit_test_setup(check_shows_values_and_sources_but_no_secrets, fixture_each),
        cmocka_unit_test_setup(every_allocation_may_fail, fixture_each),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
