#include "config/config_fixture.h"

static void the_fleet_is_told(void **state)
{
    struct fleet_settings f;
    struct config *c = load_flags("--policy=round_robin", "--health-interval=7s", "--health-timeout=1s",
                                  "--inventory-ps=3s", "--inventory-tags=11s", "--retry-budget=10%+2/s");
    expect_good(c);
    config_fleet(c, &f);
    assert_int_equal(f.policy, SCHEDULER_round_robin);
    assert_int_equal(f.health_interval, SECOND(7));
    assert_int_equal(f.health_timeout, SECOND(1));
    assert_int_equal(f.ps_interval, SECOND(3));
    assert_int_equal(f.tags_interval, SECOND(11));
    assert_true(f.retry_budget_ratio == 0.1 && f.retry_budget_rate == 2);
    assert_int_equal(f.resolve_interval, SECOND(30));
    config_free(&c);
}

static void the_gateway_is_told(void **state)
{
    struct gateway_settings *s;
    struct config *c = load_flags("--timeouts-connect=3s", "--timeouts-load=4s", "--timeouts-first-byte=5s",
                                  "--timeouts-inter-chunk=6s", "--timeouts-total=7s", "--limits-body=1MiB",
                                  "--limits-bodies=2MiB", "--limits-headers=3KiB", "--retry-max=1", "--pull-replicas=3",
                                  "--admin-key=k", "--observe-metrics-public", "--observe-enabled=off",
                                  "--origins=https://a.example", "--observe-otlp=https://collector.example/?key=hush",
                                  "--observe-otlp-headers=Authorization = Bearer hush==, X-Scope=ours");
    expect_good(c);
    assert_int_equal(config_gateway(c, &s), OK);
    config_free(&c);
    assert_int_equal(s->connect_timeout, SECOND(3));
    assert_int_equal(s->load_timeout, SECOND(4));
    assert_int_equal(s->first_byte_timeout, SECOND(5));
    assert_int_equal(s->inter_chunk_timeout, SECOND(6));
    assert_int_equal(s->total_timeout, SECOND(7));
    assert_int_equal(s->body_max, MIB(1));
    assert_int_equal(s->bodies_max, MIB(2));
    assert_int_equal(s->head_max, KIB(3));
    assert_int_equal(s->retry_max, 1);
    assert_int_equal(s->pull_replicas, 3);
    assert_true(str_eq(s->admin_key, STR("k")) && s->metrics_public && !s->observe);
    assert_true(str_eq(s->otlp, STR("https://collector.example/?key=hush")) && str_find(s->summary, STR("hush")) < 0);
    assert_true(str_eq(s->otlp_headers, STR("Authorization: Bearer hush==\r\nX-Scope: ours\r\n")));
    assert_int_equal(cors_judge(&s->cors, STR("https://a.example"), STR("h")), CORS_ALLOWED);
    assert_int_equal(cors_judge(&s->cors, STR("https://b.example"), STR("h")), CORS_REFUSED);
    assert_true(str_find(s->summary, STR("\"timeouts.connect\":\"3s\"")) > 0);
    assert_true(str_find(s->summary, STR("\"admin_key\":\"(set)\"")) > 0);
    assert_true(str_find(s->summary, STR("inventory")) < 0);
    gateway_settings_free(&s);
}

static void the_cache_is_told(void **state)
{
    struct gateway_settings *s;
    struct config *c =
        load_flags("--cache-ttl=40s", "--cache-stale=none", "--cache-stale-if-error=1min", "--cache-scope=all",
                   "--cache-route=/api/chat,keep=all,tools=on", "--cache-route=/v1/embeddings,ttl=1h");
    expect_good(c);
    assert_int_equal(config_gateway(c, &s), OK);
    config_free(&c);
    assert_int_equal(s->cache.ttl, SECOND(40));
    assert_int_equal(s->cache.stale, 0);
    assert_int_equal(s->cache.stale_if_error, SECOND(60));
    assert_true(s->cache_is_shared);
    assert_true(s->cache.route[ROUTE_chat].any && s->cache.route[ROUTE_chat].tools && !s->cache.route[ROUTE_chat].ttl);
    assert_int_equal(s->cache.route[ROUTE_v1_embeddings].ttl, SECOND(3600));
    assert_false(s->cache.route[ROUTE_generate].any || s->cache.route[ROUTE_generate].tools);
    gateway_settings_free(&s);
}

static void defaults_are_the_rooms_own(void **state)
{
    struct fleet_settings told, own;
    struct gateway_settings *s, *usual = gateway_settings_new();
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    config_fleet(c, &told);
    fleet_settings_default(&own);
    assert_memory_equal(&told, &own, sizeof own);
    assert_int_equal(config_gateway(c, &s), OK);
    assert_int_equal(s->load_timeout, usual->load_timeout);
    assert_int_equal(s->first_byte_timeout, usual->first_byte_timeout);
    assert_int_equal(s->total_timeout, usual->total_timeout);
    assert_int_equal(s->bodies_max, usual->bodies_max);
    assert_int_equal(s->head_max, usual->head_max);
    assert_int_equal(s->retry_max, usual->retry_max);
    assert_int_equal(s->otlp.n, 0);
    assert_true(str_eq(s->summary, STR("{}")));
    gateway_settings_free(&s);
    gateway_settings_free(&usual);
    config_free(&c);
}

static void logs_are_text_on_a_terminal_only(void **state)
{
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    assert_false(config_logs_json(c, true));
    assert_true(config_logs_json(c, false));
    config_free(&c);
    c = load_flags("--log-format=text");
    assert_false(config_logs_json(c, false));
    config_free(&c);
    c = load_flags("--log-file=/tmp/x");
    assert_true(config_logs_json(c, true));
    config_free(&c);
}

static void without_memory_the_gateway_is_told_nothing(void **state)
{
    struct config *c = load_flags("--admin-key=k", "--origins=https://a");
    bool whole = false;
    for (unsigned nth = 1; !whole; nth++) {
        struct gateway_settings *s = NULL;
        memory_fail_at(nth);
        enum fail f = config_gateway(c, &s);
        whole = memory_takes() < nth;
        memory_fail_at(0);
        assert_true((f == OK) == (s != NULL));
        gateway_settings_free(&s);
        assert_true(nth < 200);
    }
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_fleet_is_told, fixture_each),
        cmocka_unit_test_setup(the_gateway_is_told, fixture_each),
        cmocka_unit_test_setup(the_cache_is_told, fixture_each),
        cmocka_unit_test_setup(defaults_are_the_rooms_own, fixture_each),
        cmocka_unit_test_setup(logs_are_text_on_a_terminal_only, fixture_each),
        cmocka_unit_test_setup(without_memory_the_gateway_is_told_nothing, fixture_each),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
