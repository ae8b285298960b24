/* A real gateway on one worker whose loop is not run: what it was told is read from the fleet. */
#include "base/tape.h"
#include "config/live.h"
#include "gateway/gateway.h"
#include "net/conn.h"

#include "config/config_fixture.h"

struct stage {
    struct fleet *fleet;
    struct gateway *gateway;
    struct live *live;
};

static struct stage open_stage(const char *file)
{
    static char *words[] = { "--config", fixture_file };
    struct stage s = { 0 };
    struct fleet_settings fleet;
    struct gateway_settings *gateway;
    struct text says = { 0 };
    fixture_write(file);
    struct config_args args = { .argc = 2, .argv = words };
    struct config *c = config_load(&args);
    expect_good(c);
    config_fleet(c, &fleet);
    s.fleet = fleet_new(&fleet, sys_now());
    assert_int_equal(config_gateway(c, &gateway), OK);
    struct gateway_parts parts = { .fleet = s.fleet, .settings = gateway, .workers = 1 };
    s.gateway = gateway_new(&parts);
    s.live = live_new(&c, &args, s.fleet);
    live_attach(s.live, s.gateway, false);
    live_add_nodes(s.live, &says);
    assert_int_equal(buf_len(&says.buf), 0);
    return s;
}

static void close_stage(struct stage *s)
{
    live_free(&s->live);
    gateway_free(&s->gateway);
    fleet_free(&s->fleet);
}

static void turn(struct stage *s)
{
    loop_stop(gateway_loop(s->gateway, 0));
    loop_run(gateway_loop(s->gateway, 0), NULL, NULL);
}

/* Reloads with this file; the sentence is compared. */
static void reload(struct stage *s, const char *file, enum fail expected, const char *sentence)
{
    struct text says = { 0 };
    fixture_write(file);
    enum fail f = live_reload(s->live, &says);
    if (f != expected || str_find(text_str(&says), str_of(sentence)) < 0)
        fail_msg("%s: %.*s", fail_name(f).p, STR_ARG(text_str(&says)));
    text_free(&says);
    turn(s);
}

/* "name/weight/slots " of each node. */
static void expect_nodes(struct stage *s, const char *expected)
{
    char got[256] = "";
    struct fleet_snapshot *f = fleet_snapshot(s->fleet, sys_now());
    for (uint32_t i = 0; i < f->n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s/%g/%d ", STR_ARG(f->node[i].name),
                 f->node[i].weight, f->node[i].slots);
    fleet_snapshot_free(&f);
    assert_string_equal(got, expected);
}

static void expect_said(struct stage *s, struct str name, uint64_t vram, struct str labels)
{
    struct fleet_snapshot *f = fleet_snapshot(s->fleet, sys_now());
    bool found = false;
    for (uint32_t i = 0; i < f->n; i++)
        if (str_eq(f->node[i].name, name))
            found = f->node[i].vram == vram && str_eq(f->node[i].labels, labels);
    fleet_snapshot_free(&f);
    assert_true(found);
}

static void nodes_come_go_and_change(void **state)
{
    struct stage s = open_stage("nodes: [127.0.0.1, 127.0.0.2, '127.0.0.3,weight=2']\n");
    struct live *l = s.live;
    expect_nodes(&s, "127.0.0.1/1/-1 127.0.0.2/1/-1 127.0.0.3/2/-1 ");
    reload(&s, "nodes: [127.0.0.1, '127.0.0.3,weight=3,slots=4', 127.0.0.4]\n", OK,
           "3 nodes (1 added, 1 removed, 1 changed)");
    expect_nodes(&s, "127.0.0.1/1/-1 127.0.0.4/1/-1 127.0.0.3/3/4 ");
    reload(&s, "nodes: [127.0.0.1, 127.0.0.3, 127.0.0.4]\n", OK, "(0 added, 0 removed, 1 changed)");
    expect_nodes(&s, "127.0.0.1/1/-1 127.0.0.4/1/-1 127.0.0.3/1/-1 ");
    reload(&s, "nodes: ['127.0.0.1,name=z', 127.0.0.3, 127.0.0.4]\n", OK, "(1 added, 1 removed, 0 changed)");
    expect_nodes(&s, "z/1/-1 127.0.0.4/1/-1 127.0.0.3/1/-1 ");
    assert_ptr_equal(l, s.live);
    reload(&s, "nodes: ['127.0.0.1,name=z', '127.0.0.3,vram=8GiB', {url: 127.0.0.4, labels: {k: v}}]\n", OK,
           "(0 added, 0 removed, 2 changed)");
    expect_said(&s, STR("127.0.0.3"), 8ull << 30, STR_NONE);
    expect_said(&s, STR("127.0.0.4"), 0, STR("k:v"));
    reload(&s, "nodes: ['127.0.0.1,name=z', 127.0.0.3, 127.0.0.4]\n", OK, "(0 added, 0 removed, 2 changed)");
    expect_said(&s, STR("127.0.0.4"), 0, STR_NONE);
    close_stage(&s);
}

static void nodes_added_at_run_time_stay(void **state)
{
    struct stage s = open_stage("nodes: [127.0.0.1, 127.0.0.2]\n");
    struct node_spec extra = { .url = STR("127.0.0.9"), .slots = -1 };
    const char *why = NULL;
    uint64_t id;
    assert_int_equal(fleet_add(s.fleet, &extra, true, sys_now(), &id, &why, NULL), OK);
    reload(&s, "nodes: [127.0.0.2]\n", OK, "(0 added, 1 removed, 0 changed)");
    expect_nodes(&s, "127.0.0.2/1/-1 127.0.0.9/1/-1 ");
    reload(&s, "nodes: [127.0.0.2, 127.0.0.9]\n", OK,
           "node 127.0.0.9 is left out: a node with this URL exists already");
    close_stage(&s);
}

static void changes_are_named(void **state)
{
    struct stage s = open_stage("nodes: [127.0.0.1]\nworkers: 1\n");
    reload(&s, "nodes: [127.0.0.1]\nworkers: 2\npolicy: round_robin\ntimeouts: {load: 9s}\n", OK,
           "; changed: policy, timeouts.load; needs a restart: workers");
    reload(&s, "nodes: [127.0.0.1]\nworkers: 2\npolicy: round_robin\ntimeouts: {load: 9s}\n", OK,
           "1 nodes (0 added, 0 removed, 0 changed)");
    close_stage(&s);
}

static void a_mistake_changes_nothing(void **state)
{
    struct stage s = open_stage("nodes: [127.0.0.1, 127.0.0.2]\n");
    reload(&s, "nodes: [127.0.0.1]\nplicy: x\n", FAIL_bad_setting, "nothing was changed: ");
    reload(&s, "nodes: [127.0.0.1]\nplicy: x\n", FAIL_bad_setting, "did you mean policy?");
    expect_nodes(&s, "127.0.0.1/1/-1 127.0.0.2/1/-1 ");
    close_stage(&s);
}

static int begin(void **state)
{
    int bad = fixture_begin(state);
    tape_pools_init();
    conn_pools_init();
    return bad;
}

static int end(void **state)
{
    loop_lanes_done();
    conn_pools_done();
    tape_pools_done();
    return fixture_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nodes_come_go_and_change, fixture_each),
        cmocka_unit_test_setup(nodes_added_at_run_time_stay, fixture_each),
        cmocka_unit_test_setup(changes_are_named, fixture_each),
        cmocka_unit_test_setup(a_mistake_changes_nothing, fixture_each),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
