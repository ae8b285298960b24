#include "config/config_fixture.h"

static void groups_and_dotted_keys_are_the_same(void **state)
{
    struct config *c =
        load_file("timeouts:\n  connect: 3s\n  total: none\nhealth.interval: 7s\nobserve: {enabled: off}\n");
    expect_good(c);
    assert_int_equal(c->timeouts_connect, SECOND(3));
    assert_int_equal(c->timeouts_total, 0);
    assert_int_equal(c->health_interval, SECOND(7));
    assert_false(c->observe_enabled);
    assert_int_equal(c->source[SETTING_timeouts_connect].kind, FROM_FILE);
    assert_int_equal(c->source[SETTING_timeouts_connect].line, 2);
    config_free(&c);
}

static void nodes_are_words_or_mappings(void **state)
{
    struct config *c = load_file("nodes:\n"
                                 "  - gpu1:11434,weight=2\n"
                                 "  - {url: http://gpu2, name: b, slots: 4}\n"
                                 "  - url: gpu3\n"
                                 "    max_inflight: 8\n"
                                 "    kind: ollama\n"
                                 "    weight:\n"
                                 "    labels: {zone: a, disk: ssd}\n");
    expect_good(c);
    assert_int_equal(c->nodes.n, 3);
    assert_true(str_eq(c->nodes.v[0].url, STR("gpu1:11434")) && c->nodes.v[0].weight == 2);
    assert_true(str_eq(c->nodes.v[1].name, STR("b")) && c->nodes.v[1].slots == 4);
    assert_true(str_eq(c->nodes.v[2].url, STR("gpu3")));
    assert_int_equal(c->nodes.v[2].max_inflight, 8);
    assert_true(str_eq(c->nodes.v[2].labels, STR("zone:a+disk:ssd")));
    assert_int_equal(c->nodes.v[2].slots, -1);
    config_free(&c);
}

static void rules_of_alerts_are_mappings(void **state)
{
    struct config *c = load_file("alerts:\n"
                                 "  webhook: https://hooks.example/secret\n"
                                 "  repeat: 1h\n"
                                 "  rules:\n"
                                 "    - name: errors\n"
                                 "      metric: requests_total{code=\"500\"}\n"
                                 "      rate: 5min\n"
                                 "      above: 0.1\n"
                                 "      for: 1min\n"
                                 "      message: \"{model} fails {value} times a second, look there\"\n"
                                 "      labels: {team: ml, zone: a}\n"
                                 "    - {name: busy, when: queue > 10}\n");
    expect_good(c);
    assert_int_equal(c->alerts_rules.n, 2);
    assert_string_equal(c->alerts_rules.v[0].metric, "requests_total");
    assert_string_equal(c->alerts_rules.v[0].message, "{model} fails {value} times a second, look there");
    assert_int_equal(c->alerts_rules.v[0].labels, 2);
    assert_string_equal(c->alerts_rules.v[1].value, "queue");
    struct gateway_settings *s;
    assert_int_equal(config_gateway(c, &s), OK);
    assert_int_equal(s->n_alert_rules, 2);
    assert_int_equal(s->receivers, 1);
    assert_true(str_find(s->summary, STR("secret")) < 0);
    gateway_settings_free(&s);
    struct text t = { 0 };
    config_print(c, &t);
    assert_true(str_find(text_str(&t), STR("secret")) < 0);
    text_free(&t);
    config_free(&c);
}

static void wrong_rules_of_alerts_are_named_with_their_line(void **state)
{
    struct config *c = load_file("alerts:\n"
                                 "  rules:\n"
                                 "    - name: busy\n"
                                 "      when: queu > 10\n"
                                 "    - name: idle\n"
                                 "      abov: 10\n"
                                 "    - {name: a, when: queue > 1}\n"
                                 "    - {name: a, when: queue > 2}\n"
                                 "  webhook: ftp://secret\n");
    assert_int_equal(c->wrong, 4);
    struct str said = text_str(&c->complaints);
    assert_true(str_find(said, STR(":3: alerts.rules: rule busy: there is no metric queu; did you mean queue?")) > 0);
    assert_true(str_find(said, STR(":6: alerts.rules: \"abov\" is nothing that can be said of an alert rule")) > 0);
    assert_true(str_find(said, STR(":8: alerts.rules: rule a is there twice")) > 0);
    assert_true(str_find(said, STR(":9: alerts.webhook: what is there is not an address")) > 0);
    assert_true(str_find(said, STR("secret")) < 0);
    config_free(&c);
}

static void many_nodes_are_all_kept(void **state)
{
    struct text t = { 0 };
    text_put(&t, STR("nodes:\n"));
    for (int i = 0; i < 100; i++)
        text_printf(&t, "- gpu%d\n", i);
    text_putc(&t, 0);
    struct config *c = load_file(text_str(&t).p);
    expect_good(c);
    assert_int_equal(c->nodes.n, 100);
    assert_true(str_eq(c->nodes.v[99].url, STR("gpu99")));
    config_free(&c);
    text_free(&t);
}

static void a_list_may_be_one_word(void **state)
{
    struct config *c = load_file("listen: 127.0.0.1:1\nnode: gpu1\norigins: [https://a, https://b]\n");
    expect_good(c);
    assert_int_equal(c->listen.n, 1);
    assert_true(str_eq(c->listen.v[0], STR("127.0.0.1:1")));
    assert_int_equal(c->nodes.n, 1);
    assert_int_equal(c->origins.n, 2);
    config_free(&c);
}

static void other_names_are_taken(void **state)
{
    struct config *c = load_file("balance: {policy: round_robin}\n");
    expect_good(c);
    assert_true(str_eq(c->policy, STR("round_robin")));
    config_free(&c);
}

static void stands_for(const struct config *c, const char *name, const char *model)
{
    struct gateway_settings *s;
    assert_int_equal(config_gateway(c, &s), OK);
    assert_true(str_eq(aliases_resolve(s->aliases, str_of(name)), str_of(model)));
    gateway_settings_free(&s);
}

static void aliases_are_a_mapping(void **state)
{
    struct config *c = load_file("aliases:\n  gpt-4o: qwen3:8b\n  claude-*: gpt-4o\n  nothing:\n  '*': llama3.2\n");
    expect_good(c);
    assert_int_equal(c->aliases.n, 3);
    assert_true(str_eq(c->text[SETTING_aliases], STR("gpt-4o=qwen3:8b, claude-*=gpt-4o, *=llama3.2")));
    stands_for(c, "GPT-4o", "qwen3:8b");
    stands_for(c, "claude-3", "qwen3:8b");
    config_free(&c);
    c = load_file("aliases: [a=b, c=d]\n");
    expect_good(c);
    stands_for(c, "c", "d");
    config_free(&c);
}

static const struct model_rule *rule_of(const struct config *c, const char *model)
{
    struct name name;
    assert_int_equal(name_parse(str_of(model), &name), OK);
    return model_rules_find(c->rules, name_key(&name), str_hash(name_key(&name)));
}

static void what_holds_for_a_model_is_one_rule(void **state)
{
    struct config *c = load_file("preload: [nomic-embed-text, qwen3:32b]\n"
                                 "fallbacks:\n"
                                 "  qwen3:32b: [qwen3:8b, llama3.2]\n"
                                 "  qwen3:8b: llama3.2\n"
                                 "models:\n"
                                 "  Qwen3:32b:\n"
                                 "    policy: late\n"
                                 "    slots: 2\n"
                                 "    num_ctx: 16384\n"
                                 "    ttl: 5min\n"
                                 "    max_wait: 30s\n"
                                 "    labels: {zone: a, disk: ssd}\n"
                                 "  llama3.2: {labels: zone:a, slots: }\n");
    expect_good(c);
    const struct model_rule *big = rule_of(c, "qwen3:32b"), *small = rule_of(c, "llama3.2");
    assert_int_equal(big->policy, SCHEDULER_late);
    assert_int_equal(big->slots, 2);
    assert_int_equal(big->num_ctx, 16384);
    assert_int_equal(big->ttl, SECOND(300));
    assert_int_equal(big->max_wait, SECOND(30));
    assert_true(big->preload && str_eq(big->labels, STR("zone:a+disk:ssd")));
    assert_int_equal(big->fallbacks, 2);
    assert_true(str_eq(big->fallback[1], STR("llama3.2")));
    assert_int_equal(small->slots, NOT_SAID);
    assert_int_equal(small->labels_bits & ~big->labels_bits, 0);
    assert_true(rule_of(c, "nomic-embed-text:latest")->preload);
    assert_int_equal(rule_of(c, "qwen3:8b")->fallbacks, 1);
    assert_int_equal(model_rules_count(c->rules), 4);
    assert_true(str_starts(c->text[SETTING_models], STR("Qwen3:32b,policy=late,slots=2,num_ctx=16384,ttl=5min,")));
    assert_int_equal(c->source[SETTING_models].line, 13);
    config_free(&c);
}

static void what_holds_for_a_route_of_the_cache(void **state)
{
    struct config *c = load_file("cache:\n"
                                 "  ttl: 1min\n"
                                 "  routes:\n"
                                 "    /v1/chat/completions: {keep: all, tools: on, ttl: 10min}\n"
                                 "    /api/chat:\n"
                                 "      keep: none\n");
    expect_good(c);
    assert_int_equal(c->cache_routes.n, 2);
    assert_int_equal(c->cache_routes.v[0].route, ROUTE_v1_chat);
    assert_true(c->cache_routes.v[0].rule.any && c->cache_routes.v[0].rule.tools);
    assert_int_equal(c->cache_routes.v[0].rule.ttl, SECOND(600));
    assert_true(c->cache_routes.v[1].rule.off);
    assert_true(str_eq(c->text[SETTING_cache_routes],
                       STR("/v1/chat/completions,keep=all,tools=on,ttl=10min, /api/chat,keep=none")));
    config_free(&c);
    c = load_file("cache:\n  routes:\n  - /api/chat,keep=all\n  - /api/generate,tools=on\n");
    expect_good(c);
    assert_int_equal(c->cache_routes.n, 2);
    config_free(&c);
}

static void mistakes_about_models_are_told_with_their_line(void **state)
{
    expect_file_complaint("aliases:\n  a: b\n  c: d\n  b: a\n", 4, "\"b=a\": \"b\" leads back to itself");
    expect_file_complaint("aliases:\n  a: b\n  A:latest: c\n", 3, "\"A:latest\" has an alias already");
    expect_file_complaint("aliases:\n  a*b*: b\n", 2, "has more than one *");
    expect_file_complaint("aliases:\n  a: [b]\n", 2, "a: an alias stands for one model");
    expect_file_complaint("aliases:\n  a: b c\n", 2, "stands for \"b c\", which is no model name");
    expect_file_complaint("aliases: [a]\n", 1, "a model is missing: write gpt-4o=qwen3:8b");
    expect_file_complaint("fallbacks:\n  a: [b, a]\n", 2, "\"a\" was tried already by then");
    expect_file_complaint("fallbacks:\n  a: {b: c}\n", 2, "a: its fallbacks are a list of models");
    expect_file_complaint("fallbacks:\n  a: [b, [c]]\n", 2, "a: a fallback is a model's name");
    expect_file_complaint("fallbacks:\n  a: b\n  A: c\n", 3, "\"A\" is there twice");
    expect_file_complaint("preload: [a, b c]\n", 1, "\"b c\" is no model name");
    expect_file_complaint("models:\n  a:\n    polcy: late\n", 3,
                          "models.a: \"polcy\" is nothing that can be said of a model; "
                          "did you mean policy?");
    expect_file_complaint("models:\n  a:\n    policy: fast\n", 3, "policy \"fast\" is none of round_robin,");
    expect_file_complaint("models:\n  a:\n    slots: -1\n", 3, "slots \"-1\" is not a number from 0 to 100000");
    expect_file_complaint("models:\n  a:\n    ttl: 5\n", 3, "ttl \"5\" is not a duration");
    expect_file_complaint("models:\n  a:\n    labels: x\n", 3, "are not of the form key:value+key:value");
    expect_file_complaint("models:\n  a: late\n", 2, "a: what holds for a model is a group");
    expect_file_complaint("models:\n  a: {slots: [1]}\n", 2, "slots: a model's value is a word or a number");
    expect_file_complaint("models:\n  a: {slots: 1}\n  a:latest: {slots: 2}\n", 3, "\"a:latest\" is there twice");
    expect_file_complaint("models:\n  a b: {slots: 1}\n", 2, "\"a b\" is no model name");
    expect_file_complaint("cache:\n  routes:\n    /api/chat: all\n", 3, "what holds for a route is a group");
    expect_file_complaint("cache:\n  routes:\n    /api/chat: {kep: all}\n", 3, "nothing that can be said of a route");
    expect_file_complaint("cache:\n  routes:\n    /api/chat: {ttl: [1]}\n", 3, "is a word or a duration");
    expect_file_complaint("cache:\n  routes: [\"/api/chat\", \"/api/chat,tools=on\"]\n", 2, "is there twice");
    expect_file_complaint("cache:\n  routes: {/api/tags: {keep: all}}\n", 2, "no path whose answers can be kept");
    expect_file_complaint("alises: {a: b}\n", 1, "did you mean aliases?");
    expect_file_complaint("queue: {mx: 3}\n", 1, "did you mean queue.max?");
    expect_file_complaint("queue: {shed: window}\n", 1, "queue.shed: \"window\" is none of off|door");
}

static void labels_have_an_end(void **state)
{
    struct text t = { 0 };
    text_put(&t, STR("models:\n"));
    for (int i = 0; i <= LABELS_MAX; i++)
        text_printf(&t, "  m%d: {labels: 'n:%d'}\n", i, i);
    text_putc(&t, 0);
    expect_file_complaint(text_str(&t).p, LABELS_MAX + 2, "models: more than 63 different labels");
    text_free(&t);
}

static void a_rule_that_an_alias_hides_is_noted(void **state)
{
    struct config *c = load_file("aliases: {'*': qwen3:8b}\nmodels: {qwen3:8b: {slots: 1}, llama3.2: {slots: 1}}\n");
    expect_good(c);
    assert_true(
        str_eq(text_str(&c->notes), STR("llama3.2 is an alias of qwen3:8b: what models, fallbacks and preload say of "
                                        "it has no effect\n")));
    config_free(&c);
}

static void nothing_keeps_the_default(void **state)
{
    static const char *const empty[] = {
        "", "# only a comment\n", "---\n", "timeouts:\n", "timeouts:\n  connect:\nnodes: ~\n", "nodes: []\n"
    };
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        struct config *c = load_file(empty[i]);
        expect_good(c);
        assert_int_equal(c->timeouts_connect, SECOND(2));
        assert_int_equal(c->source[SETTING_timeouts_connect].kind, FROM_DEFAULT);
        config_free(&c);
    }
}

static void unknown_keys_are_told_with_the_nearest(void **state)
{
    expect_file_complaint("listen: 1\ntimeouts:\n  conect: 2s\n", 3,
                          "no setting timeouts.conect; did you mean timeouts.connect?");
    expect_file_complaint("nods: [a]\n", 1, "no setting nods; did you mean nodes?");
    expect_file_complaint("\n\nbananas: {a: [1, {b: 2}]}\nworkers: 2\n", 3, "there is no setting bananas\n");
    expect_file_complaint("policy: {a: 1}\n", 1, "policy: this is one value");
    expect_file_complaint("timeouts: 3s\n", 1, "timeouts: this is a group");
}

static void wrong_values_are_told_with_their_line(void **state)
{
    expect_file_complaint("timeouts:\n  connect: fast\n", 2, "timeouts.connect: \"fast\" is not a duration");
    expect_file_complaint("timeouts:\n  total: 5\n", 2, "is not a duration, such as 30s, 5min or 1h30m, nor \"none\"");
    expect_file_complaint("workers: 65\n", 1, "is not within 1 and 64");
    expect_file_complaint("policy: fastest\n", 1,
                          "is no policy; there are round_robin, weighted_round_robin, least_loaded, p2c");
    expect_file_complaint("log:\n\n  level: loud\n", 3, "log.level: \"loud\" is none of debug|info|warn|error");
    expect_file_complaint("listen:\n- 127.0.0.1:1\n- example.com:80\n", 3, "is not an address");
    expect_file_complaint("limits: {body: 1}\n", 1, "is not within 1KiB and 64GiB");
    expect_file_complaint("retry: {budget: some}\n", 1, "is not a budget");
    expect_file_complaint("memory.pools: maybe\n", 1, "is neither on nor off");
    expect_file_complaint("origins: ['https://*.a.*']\n", 1, "has more than one *");
    expect_file_complaint("nodes:\n- gpu1\n- {url: gpu2, wieght: 2}\n", 3, "nothing that can be said of a node");
    expect_file_complaint("nodes:\n- {name: a}\n", 2, "a node needs a url");
    expect_file_complaint("nodes:\n- [gpu1]\n", 2, "an item of this list is a word");
    expect_file_complaint("nodes: {url: gpu1}\n", 1, "nodes: this is a list");
}

static void keys_are_there_once(void **state)
{
    expect_file_complaint("workers: 1\nlisten: 1\nworkers: 2\n", 3, "workers was set before, in line 1");
    expect_file_complaint("policy: round_robin\nbalance.policy: round_robin\n", 2, "policy was set before, in line 1");
    expect_file_complaint("nodes: [a, b]\nnode: c\n", 2, "nodes was set before, in line 1");
}

static void what_is_not_yaml_is_told_once(void **state)
{
    expect_file_complaint("listen: [1\n", 2, "not YAML");
    expect_file_complaint("workers: 2\n\tpolicy: x\n", 2, "not YAML");
    expect_file_complaint("- a\n", 1, "settings are written `key: value`");
    expect_file_complaint("word\n", 1, "settings are written `key: value`");
    expect_file_complaint("workers: *x\n", 1, "anchors and aliases");
    expect_file_complaint("[a]: 2\n", 1, "a key is a word");
}

static void all_mistakes_are_told_up_to_twenty(void **state)
{
    struct text t = { 0 };
    for (int i = 0; i < 30; i++)
        text_printf(&t, "wrong%d: 1\n", i);
    text_putc(&t, 0);
    struct config *c = load_file(text_str(&t).p);
    assert_int_equal(c->wrong, 30);
    size_t lines = 0;
    struct str rest = text_str(&c->complaints);
    for (; rest.n; lines++)
        str_cut(&rest, '\n');
    assert_int_equal(lines, 20);
    config_free(&c);
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(groups_and_dotted_keys_are_the_same, fixture_each),
        cmocka_unit_test_setup(nodes_are_words_or_mappings, fixture_each),
        cmocka_unit_test_setup(rules_of_alerts_are_mappings, fixture_each),
        cmocka_unit_test_setup(wrong_rules_of_alerts_are_named_with_their_line, fixture_each),
        cmocka_unit_test_setup(many_nodes_are_all_kept, fixture_each),
        cmocka_unit_test_setup(a_list_may_be_one_word, fixture_each),
        cmocka_unit_test_setup(other_names_are_taken, fixture_each),
        cmocka_unit_test_setup(aliases_are_a_mapping, fixture_each),
        cmocka_unit_test_setup(what_holds_for_a_model_is_one_rule, fixture_each),
        cmocka_unit_test_setup(what_holds_for_a_route_of_the_cache, fixture_each),
        cmocka_unit_test_setup(mistakes_about_models_are_told_with_their_line, fixture_each),
        cmocka_unit_test_setup(labels_have_an_end, fixture_each),
        cmocka_unit_test_setup(a_rule_that_an_alias_hides_is_noted, fixture_each),
        cmocka_unit_test_setup(nothing_keeps_the_default, fixture_each),
        cmocka_unit_test_setup(unknown_keys_are_told_with_the_nearest, fixture_each),
        cmocka_unit_test_setup(wrong_values_are_told_with_their_line, fixture_each),
        cmocka_unit_test_setup(keys_are_there_once, fixture_each),
        cmocka_unit_test_setup(what_is_not_yaml_is_told_once, fixture_each),
        cmocka_unit_test_setup(all_mistakes_are_told_up_to_twenty, fixture_each),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
