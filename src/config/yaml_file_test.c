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
                          "is no policy; there are round_robin, weighted_round_robin, least_loaded");
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
        cmocka_unit_test_setup(many_nodes_are_all_kept, fixture_each),
        cmocka_unit_test_setup(a_list_may_be_one_word, fixture_each),
        cmocka_unit_test_setup(other_names_are_taken, fixture_each),
        cmocka_unit_test_setup(nothing_keeps_the_default, fixture_each),
        cmocka_unit_test_setup(unknown_keys_are_told_with_the_nearest, fixture_each),
        cmocka_unit_test_setup(wrong_values_are_told_with_their_line, fixture_each),
        cmocka_unit_test_setup(keys_are_there_once, fixture_each),
        cmocka_unit_test_setup(what_is_not_yaml_is_told_once, fixture_each),
        cmocka_unit_test_setup(all_mistakes_are_told_up_to_twenty, fixture_each),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
