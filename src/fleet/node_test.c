/* fleet/node_test.c */
#include "fleet/fleet_fixture.h"

static struct node *made(const char *url, const char *name)
{
    const char *why = NULL;
    struct node_spec spec = { .url = str_of(url), .name = str_of(name), .slots = -1 };
    struct node *n = node_new(&spec, &why);
    assert_non_null(n);
    return n;
}

static const char *refused(struct node_spec spec)
{
    const char *why = NULL;
    assert_null(node_new(&spec, &why));
    return why;
}

static void default_names(void **state)
{
    struct node *n = made("gpu1", NULL);
    assert_str(node_default_name(n, 0), "gpu1");
    assert_str(node_default_name(n, 1), "gpu1:11434");
    assert_int_equal(node_default_name(n, 2).n, 0);
    node_free(&n);
    n = made("gpu1:8080", NULL);
    assert_str(node_default_name(n, 0), "gpu1:8080");
    assert_int_equal(node_default_name(n, 1).n, 0);
    node_free(&n);
}

static void texts_of_a_node(void **state)
{
    struct node *n = made("http://[fe80::1%eth0]:9000/", "six");
    assert_str(n->name, "six");
    assert_str(n->host_header, "[fe80::1]:9000");
    node_free(&n);
    n = made("https://h/prefix/", NULL);
    assert_str(n->url_text, "https://h:443/prefix");
    assert_str(n->host_header, "h:443");
    assert_int_equal(n->addrs, 0);
    assert_true(n->weight == 1);
    node_free(&n);
}

static void literal_addresses_need_no_resolving(void **state)
{
    struct node *n = made("127.0.0.1:1234", NULL);
    assert_int_equal(n->addrs, 1);
    assert_int_equal(addr_port(&n->addr[0]), 1234);
    node_free(&n);
}

static void wrong_specs_say_why(void **state)
{
    assert_non_null(strstr(refused((struct node_spec){ .url = STR("http://") }), "URL"));
    assert_non_null(strstr(refused((struct node_spec){ .url = STR("a"), .name = STR("a b") }), "name"));
    assert_non_null(strstr(refused((struct node_spec){ .url = STR("a"), .name = STR("a/b") }), "name"));
    assert_non_null(strstr(refused((struct node_spec){ .url = STR("a"), .weight = -1 }), "weight"));
    assert_non_null(strstr(refused((struct node_spec){ .url = STR("a"), .weight = 0.0 / 0.0 }), "weight"));
    assert_non_null(strstr(refused((struct node_spec){ .url = STR("a"), .slots = -2 }), "slots"));
}

static void the_address_in_use_stays_in_use(void **state)
{
    struct addr a[3];
    for (unsigned i = 0; i < 3; i++) {
        char host[16];
        int len = snprintf(host, sizeof host, "10.0.0.%u", i + 1);
        addr_literal((struct str){ host, (size_t)len }, 80, &a[i]);
    }
    struct node *n = made("name", NULL);
    assert_true(node_set_addresses(n, a, 2));
    node_next_address(n);
    assert_true(addr_eq(&n->addr[n->addr_next], &a[1]));
    struct addr turned[] = { a[2], a[0], a[1] };
    assert_false(node_set_addresses(n, turned, 3));
    assert_true(addr_eq(&n->addr[n->addr_next], &a[1]));
    assert_true(node_set_addresses(n, a, 1));
    assert_int_equal(n->addr_next, 0);
    node_next_address(n);
    assert_int_equal(n->addr_next, 0);
    node_free(&n);
}

static void errors_are_cut_to_fit(void **state)
{
    struct node *n = made("a", NULL);
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    node_note_error(n, FAIL_upstream_error, (struct str){ longer, sizeof longer }, 7);
    assert_int_equal(strlen(n->last_error_text), NODE_ERROR_TEXT - 1);
    node_note_error(n, FAIL_connect_refused, STR_NONE, 8);
    assert_string_equal(n->last_error_text, "the node refused the connection");
    assert_int_equal(n->last_error_at, 8);
    node_free(&n);
}

static void every_state_has_a_name(void **state)
{
    for (enum node_state s = 0; s < NODE_STATES; s++)
        assert_true(node_state_name(s).n > 0);
}

static void memory_runs_out(void **state)
{
    struct node_spec spec = { .url = STR("http://host:1/p"), .name = STR("n"), .labels = STR("a:b") };
    bool made_it = false;
    for (uint64_t nth = 1; !made_it; nth++) {
        const char *why;
        memory_fail_at(nth);
        struct node *n = node_new(&spec, &why);
        memory_fail_at(0);
        assert_null(why);
        made_it = n != NULL;
        node_free(&n);
        assert_true(nth < 50);
    }
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_names),
        cmocka_unit_test(texts_of_a_node),
        cmocka_unit_test(literal_addresses_need_no_resolving),
        cmocka_unit_test(wrong_specs_say_why),
        cmocka_unit_test(the_address_in_use_stays_in_use),
        cmocka_unit_test(errors_are_cut_to_fit),
        cmocka_unit_test(every_state_has_a_name),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
