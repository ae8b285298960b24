/* Alerts on their way out, played: who is told what, when, and that nobody waits for a receiver that is dead. */
#include "base/stamp.h"
#include "gateway/receivers.h"
#include "talk.h"

/* ---- receivers --------------------------------------------------------------------------------------------------- */

struct hook {
    struct addr at;
    int status; /* what it answers; 0: nothing, ever */
    unsigned calls;
    nsec when[64];
    char last[64 * 1024]; /* head and body */
    struct peer *caller[64];
};
static struct hook hooks[3];

static void hook_hears(struct peer *p)
{
    struct hook *h = p->arg;
    struct str in = peer_received(p);
    ssize_t end = str_find(in, STR("\r\n\r\n"));
    if (end < 0 || in.n < (size_t)end + 4 + length_of(str_take(in, (size_t)end)))
        return;
    assert_true(h->calls < ARRAY_LEN(h->when));
    h->when[h->calls++] = world_now();
    snprintf(h->last, sizeof h->last, "%.*s", STR_ARG(in));
    peer_eat(p, in.n);
    if (h->status)
        respond(p, h->status, "{\"said\":\"so\"}");
}

static void hook_left(struct peer *p, bool reset)
{
    peer_close(p, CLOSE_FIN);
}

static void hook_met(struct peer *p, void *arg)
{
    p->arg = arg;
    p->on_data = hook_hears;
    p->on_close = hook_left;
}

static struct hook *add_hook(unsigned no, int status)
{
    static const char *const places[] = { "10.0.9.1:80", "10.0.9.2:9093", "10.0.9.3:8080" };
    struct hook *h = &hooks[no];
    memset(h, 0, sizeof *h);
    h->at = world_addr(places[no]);
    h->status = status;
    world_listen(&h->at, hook_met, h);
    return h;
}

/* ---- the play ---------------------------------------------------------------------------------------------------- */

#define WEBHOOK "http://10.0.9.1/hook?key=hush"
#define MANAGER "http://10.0.9.2:9093"
#define OTHER   "http://10.0.9.3:8080/other"

static void tell(const char *webhook, const char *manager, const char *other)
{
    struct gateway_settings *s = gateway_settings_new();
    assert_non_null(s);
    if (webhook)
        s->receiver[s->receivers++] = (struct receiver_spec){ RECEIVER_WEBHOOK, str_of(webhook) };
    if (manager)
        s->receiver[s->receivers++] = (struct receiver_spec){ RECEIVER_ALERTMANAGER, str_of(manager) };
    if (other)
        s->receiver[s->receivers++] = (struct receiver_spec){ RECEIVER_WEBHOOK, str_of(other) };
    assert_int_equal(gateway_configure(gate, s), OK);
}

static void begin_play(uint64_t seed)
{
    pools_begin();
    world_new(seed);
    open_gate(2, 0);
    machines_n = 0;
    add_machine("n1");
    add_machine("n2");
    for (unsigned i = 0; i < 2; i++) {
        machines[i].serves = true;
        model_add(&machines[i], "m:latest");
    }
    gateway_start(gate);
    know();
}

static void comes_back(struct machine *m)
{
    m->met = 0;
    world_listen(&m->at, machine_met, m);
}

static bool says_in(const struct hook *h, const char *text)
{
    return strstr(h->last, text) != NULL;
}

struct calls {
    struct hook *hook;
    unsigned n;
};
static bool fewer_calls(void *arg)
{
    struct calls *c = arg;
    return c->hook->calls < c->n;
}
static void await_calls(struct hook *h, unsigned n)
{
    struct calls c = { h, n };
    if (!world_run_while(fewer_calls, &c, SECOND(400)))
        fail_msg("%u calls rather than %u", h->calls, n);
}

/* Of the first alert that was told last. */
static nsec ends_at(const struct hook *h)
{
    const char *at = strstr(h->last, "\"endsAt\":\"");
    nsec wall = 0;
    assert_non_null(at);
    struct str text = str_of(at + 10);
    assert_true(stamp_parse(str_cut(&text, '"'), &wall));
    return wall;
}

/* ---- plays ------------------------------------------------------------------------------------------------------- */

static void a_webhook_is_told_when_it_begins_and_when_it_is_over(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        struct hook *h = add_hook(0, 204);
        tell(WEBHOOK, NULL, NULL);
        world_elapse(SECOND(5));
        assert_int_equal(h->calls, 0);
        goes_away(&machines[1]);
        await_calls(h, 1);
        assert_true(says_in(h, "POST /hook?key=hush HTTP/1.1\r\nHost: 10.0.9.1\r\n"));
        assert_true(says_in(h, "\r\nContent-Type: application/json\r\n"));
        assert_true(says_in(h, "\"status\":\"firing\",\"alerts\":[{\"id\":\"node_down:n2:\",\"name\":\"node_down\""));
        assert_true(says_in(h, "node n2 is down: "));
        world_elapse(SECOND(120));
        assert_int_equal(h->calls, 1); /* told once */
        comes_back(&machines[1]);
        await_calls(h, 2);
        assert_true(says_in(h, "\"status\":\"resolved\",\"alerts\":[{\"id\":\"node_down:n2:\""));
        finish();
    }
}

/* At the second after the rule's: the look is at full seconds, and the message leaves in that very turn. */
static void it_is_told_in_the_second_it_fires(void **state)
{
    begin_play(3);
    struct hook *h = add_hook(0, 200);
    tell(WEBHOOK, NULL, NULL);
    goes_away(&machines[1]);
    struct node_view view;
    nsec down = 0;
    while (!down) {
        struct fleet_snapshot *s = fleet_snapshot(fleet, world_now());
        view = s->node[1];
        down = view.state == NODE_DOWN ? world_now() : 0;
        fleet_snapshot_free(&s);
        world_elapse(MSEC(10));
    }
    await_calls(h, 1);
    /* seen at the next full second, fires ten later, on the wire within some milliseconds */
    assert_in_range(h->when[0] - down, SECOND(10) - MSEC(20), SECOND(11) + MSEC(100));
    finish();
}

static void an_alertmanager_is_told_what_fires_each_minute(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        struct hook *h = add_hook(1, 200);
        tell(NULL, MANAGER, NULL);
        goes_away(&machines[0]);
        await_calls(h, 3);
        assert_true(says_in(h, "POST /api/v2/alerts HTTP/1.1\r\nHost: 10.0.9.2:9093\r\n"));
        assert_true(says_in(h, "[{\"labels\":{\"alertname\":\"node_down\",\"severity\":\"critical\","
                               "\"source\":\"ollamamax\",\"node\":\"n1\"}"));
        assert_in_range(h->when[1] - h->when[0], SECOND(59), SECOND(61));
        assert_in_range(h->when[2] - h->when[1], SECOND(59), SECOND(61));
        comes_back(&machines[0]);
        await_calls(h, 4);
        while (ends_at(h) > sys_wall())
            await_calls(h, h->calls + 1);
        assert_true(says_in(h, "\"alertname\":\"node_down\""));
        world_elapse(SECOND(60));
        unsigned calls = h->calls;
        world_elapse(SECOND(300));
        assert_int_equal(h->calls, calls); /* nothing fires: nothing to be told */
        finish();
    }
}

/* Refused, silent, or a black hole: others are told in the same second, and requests are answered as ever. */
static void a_dead_receiver_delays_nothing(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        struct hook *dead = &hooks[0], *well = add_hook(2, 200);
        struct link hole = link_usual();
        if (seed % 3 == 0) {
            hole.answer = LINK_BLACK_HOLE;
            struct addr at = world_addr("10.0.9.1:80");
            world_link(&at, &hole);
        } else if (seed % 3 == 1) {
            dead = add_hook(0, 0);
        }
        tell(WEBHOOK, NULL, OTHER);
        goes_away(&machines[1]);
        await_calls(well, 1);
        world_elapse(SECOND(30)); /* tries and waits go on */
        nsec began = world_now();
        struct peer *p = chat("/api/chat", "m", true);
        want_n = 0;
        await_work(&machines[0]);
        assert_true(world_now() - began < MSEC(50));
        opens(&machines[0]);
        tells_end(&machines[0]);
        machines[0].work = NULL;
        world_elapse(MSEC(50));
        assert_got_all(p);
        peer_close(p, CLOSE_FIN);
        p = ask("GET", "/api/alerts", "");
        await(p, "\"kind\":\"webhook\",\"to\":\"http://10.0.9.1\",\"waiting\":1,\"sent\":0,\"failed\":");
        assert_null(strstr(peer_received(p).p, "hush"));
        peer_close(p, CLOSE_FIN);
        if (seed % 3 == 2) { /* nobody listened there: somebody does now */
            struct hook *late = add_hook(0, 200);
            await_calls(late, 1);
            assert_true(says_in(late, "node n2 is down: "));
        }
        (void)dead;
        finish();
    }
}

static void what_fails_is_tried_again_ever_more_rarely(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        struct hook *h = add_hook(0, 500);
        tell(WEBHOOK, NULL, NULL);
        goes_away(&machines[1]);
        await_calls(h, 10);
        for (unsigned i = 1; i < 10; i++) {
            nsec pause = MIN(SECOND(1) << (i - 1), SECOND(60));
            assert_in_range(h->when[i] - h->when[i - 1], pause * 3 / 4, pause * 5 / 4 + SECOND(2));
        }
        h->status = 200;
        await_calls(h, 11);
        assert_true(says_in(h, "\"status\":\"firing\""));
        world_elapse(SECOND(200));
        assert_int_equal(h->calls, 11);
        finish();
    }
}

/* While it could not be told, the node came back: what is told then is the last. */
static void what_is_outdated_is_not_told(void **state)
{
    begin_play(5);
    struct hook *h = add_hook(0, 503);
    tell(WEBHOOK, NULL, NULL);
    goes_away(&machines[1]);
    await_calls(h, 7);
    comes_back(&machines[1]);
    world_elapse(SECOND(40));
    h->status = 200;
    unsigned calls = h->calls;
    await_calls(h, calls + 1);
    assert_true(says_in(h, "\"status\":\"resolved\""));
    assert_false(says_in(h, "\"state\":\"firing\""));
    world_elapse(SECOND(200));
    assert_int_equal(h->calls, calls + 1);
    finish();
}

static void a_test_says_what_each_receiver_answered(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        struct hook *first = add_hook(0, 204), *manager = add_hook(1, 400);
        tell(WEBHOOK, MANAGER, OTHER); /* where nobody listens */
        world_elapse(SECOND(2));
        struct peer *p = ask("POST", "/api/alerts/test", "");
        await(p, "]}");
        const char *all = peer_received(p).p;
        assert_non_null(strstr(all, "{\"ok\":false,\"receivers\":["));
        assert_non_null(strstr(all, "{\"kind\":\"webhook\",\"to\":\"http://10.0.9.1\",\"ok\":true,\"status\":204,"));
        assert_non_null(strstr(all,
                               "{\"kind\":\"alertmanager\",\"to\":\"http://10.0.9.2:9093\",\"ok\":false,\"status\":"
                               "400,\"says\":\"{\\\"said\\\":\\\"so\\\"}\"}"));
        assert_non_null(
            strstr(all, "{\"kind\":\"webhook\",\"to\":\"http://10.0.9.3:8080\",\"ok\":false,\"status\":0,"));
        assert_true(says_in(first, "this is a test"));
        assert_true(says_in(manager, "\"alertname\":\"test\""));
        peer_close(p, CLOSE_FIN);
        p = ask("POST", "/api/alerts/test", "");
        world_elapse(MSEC(10));
        peer_close(p, CLOSE_RESET); /* who asked does not wait for it */
        world_elapse(SECOND(8));
        tell(NULL, NULL, NULL);
        world_elapse(SECOND(2));
        p = ask("POST", "/api/alerts/test", "");
        await(p, "there is no receiver");
        peer_close(p, CLOSE_FIN);
        finish();
    }
}

static void receivers_come_and_go_with_the_settings(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_play(seed);
        struct hook *h = add_hook(0, 500), *other = add_hook(2, 200);
        tell(WEBHOOK, NULL, NULL);
        goes_away(&machines[1]);
        await_calls(h, 3);
        tell(WEBHOOK, NULL, OTHER); /* the first keeps what it could not be told */
        h->status = 200;
        await_calls(h, 4);
        assert_true(says_in(h, "\"status\":\"firing\""));
        tell(NULL, NULL, OTHER);
        comes_back(&machines[1]);
        await_calls(other, 1);
        assert_true(says_in(other, "\"status\":\"resolved\""));
        world_elapse(SECOND(60));
        assert_int_equal(h->calls, 4);
        finish();
    }
}

/* Over a metric that no built-in rule looks at, and over one with a rate; gone with the next settings. */
static void rules_of_ones_own_are_told_too(void **state)
{
    static struct alert_rule rules[2] = {
        {.name = "seen",
         .value = "rule seen",
         .metric = "node_inflight",
         .compare = ALERT_BELOW,
         .threshold = 1,
         .clear = 1,
         .lasts = SECOND(3),
         .node = "n2",
         .message = "{node} rests",
         .labels = 1,
         .label = { { "team", "ml" } } },
        { .name = "many",
         .value = "rule many",
         .metric = "requests_total",
         .threshold = 1,
         .clear = 1,
         .rate = SECOND(10),
         .message = "{value} a second"},
    };
    begin_play(7);
    struct hook *h = add_hook(0, 200);
    struct gateway_settings *s = gateway_settings_new();
    s->receiver[s->receivers++] = (struct receiver_spec){ RECEIVER_WEBHOOK, STR(WEBHOOK) };
    s->alert_rules = rules;
    s->n_alert_rules = 2;
    assert_int_equal(gateway_configure(gate, s), OK);
    nsec began = world_now();
    await_calls(h, 1);
    assert_in_range(h->when[0] - began, SECOND(3), SECOND(5));
    assert_true(says_in(h, "\"id\":\"seen:n2:\",\"name\":\"seen\",\"state\":\"firing\""));
    assert_true(says_in(h, "\"message\":\"n2 rests\",\"labels\":{\"node\":\"n2\",\"team\":\"ml\"}"));
    for (unsigned i = 0; i < 40; i++) {
        struct peer *p = ask("GET", "/api/version", "");
        await(p, "version");
        peer_close(p, CLOSE_FIN);
        world_elapse(MSEC(250));
    }
    await_calls(h, 2);
    assert_true(says_in(h, "\"name\":\"many\",\"state\":\"firing\""));
    tell(WEBHOOK, NULL, NULL);
    await_calls(h, 3);
    assert_true(says_in(h, "\"status\":\"resolved\""));
    finish();
}

static bool still_runs(void *arg)
{
    return world_is_attached(gateway_loop(gate, 0)) || world_is_attached(gateway_loop(gate, 1));
}

/* Whatever is under way: looking a name up, dialling, waiting for an answer, a test. */
static void a_gateway_that_stops_leaves_nothing_behind(void **state)
{
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        begin_play(seed);
        add_hook(0, 0);
        struct addr at = world_addr("10.0.9.1:80");
        world_resolve("hooks.example", &at, 1, SECOND(2));
        tell("http://hooks.example/a", NULL, seed % 2 ? WEBHOOK : NULL);
        world_elapse(SECOND(2));
        struct peer *p = ask("POST", "/api/alerts/test", "");
        world_elapse(MSEC(100) * (nsec)(seed % 40));
        if (seed % 3 == 0)
            tell(NULL, NULL, NULL);
        world_elapse(MSEC(50) * (nsec)(seed % 30));
        gateway_stop(gate);
        assert_true(world_run_while(still_runs, NULL, SECOND(5)));
        gateway_free(&gate);
        fleet_free(&fleet);
        world_elapse(SECOND(1));
        (void)p;
        world_free();
        pools_end();
    }
}

static void each_allocation_may_fail(void **state)
{
    for (uint64_t nth = 1; nth <= 400; nth += 3) {
        begin_play(nth);
        struct hook *h = add_hook(0, 200);
        add_hook(1, 200);
        tell(WEBHOOK, MANAGER, NULL);
        goes_away(&machines[1]);
        world_elapse(SECOND(12));
        memory_fail_at(nth);
        struct peer *p = ask("POST", "/api/alerts/test", "");
        world_elapse(SECOND(20));
        memory_fail_at(0);
        world_elapse(SECOND(80));
        assert_true(h->calls >= 1);
        peer_close(p, CLOSE_FIN);
        finish();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_is_told_when_it_begins_and_when_it_is_over),
        cmocka_unit_test(it_is_told_in_the_second_it_fires),
        cmocka_unit_test(an_alertmanager_is_told_what_fires_each_minute),
        cmocka_unit_test(a_dead_receiver_delays_nothing),
        cmocka_unit_test(what_fails_is_tried_again_ever_more_rarely),
        cmocka_unit_test(what_is_outdated_is_not_told),
        cmocka_unit_test(a_test_says_what_each_receiver_answered),
        cmocka_unit_test(receivers_come_and_go_with_the_settings),
        cmocka_unit_test(rules_of_ones_own_are_told_too),
        cmocka_unit_test(a_gateway_that_stops_leaves_nothing_behind),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
