/* fleet/scheduler_ring_test.c - what was recorded runs again to the very same orders. */
#include "base/slab.h"
#include "base/sys.h"
#include "fleet/scheduler_fixture.h"
#include "fleet/scheduler_ring.h"
#include <stdlib.h>

enum { NODES = 5, MODELS = 4, KEPT = 160000 };

static uint64_t chance;
static uint32_t below(uint32_t n)
{
    chance += 0x9e3779b97f4a7c15;
    return (uint32_t)(mix(chance) % n);
}

/* ---- a random run, whose orders are kept as one number each ------------------------------------------------------ */

static uint64_t kept[KEPT]; /* by input */
static uint32_t inputs;
static uint64_t ticket[64]; /* some that may live */
static double now;
static uint32_t ordered_of[ORDER_UNLOAD + 1]; /* so that nothing is shown by a run in which nothing happens */

static uint64_t digest(const struct scheduler_orders *o)
{
    uint64_t sum = mix((uint64_t)o->n << 1 | o->more) ^ (uint64_t)o->next_turn;
    for (uint32_t i = 0; i < o->n; i++) {
        const struct scheduler_order *x = &o->order[i];
        sum = mix(sum ^ x->ticket) + mix(x->owner ^ (uint64_t)x->node << 32 ^ x->model) + x->verb + x->why;
        sum = mix(sum ^ x->matched_tokens ^ (uint64_t)x->retry_after_s << 40);
        uint32_t total;
        memcpy(&total, &x->terms.total, sizeof total);
        sum ^= total;
    }
    return sum;
}

static void keep(void)
{
    assert_true(inputs < KEPT);
    for (uint32_t i = 0; i < orders.n; i++)
        ordered_of[orders.order[i].verb]++;
    kept[inputs++] = digest(&orders);
    while (orders.more) {
        scheduler_orders_init(&orders);
        scheduler_turn(fleet, at(now), &orders);
        kept[inputs++] = digest(&orders);
    }
}

static void do_end(uint64_t t)
{
    struct scheduler_figures f = { .failed = below(20) == 0,
                                   .output_tokens = 1 + below(800),
                                   .prefill_tokens = 100,
                                   .prefill_took = MSEC(10 + below(100)),
                                   .decode_took = MSEC(100 + below(9000)),
                                   .waited_inside = below(3) ? 0 : MSEC(below(2000)) };
    scheduler_end(fleet, t, &f, at(now), &orders);
}

static void do_ask(bool only_explains)
{
    struct scheduler_ask a = usual_ask(below(MODELS), below(4) ? below(2000) : below(30000));
    struct prefix_hint hint[9];
    uint32_t tried[2] = { below(NODES), below(NODES) };
    a.hint = hint, a.hints = below(3) ? 0 : below(10);
    for (uint32_t i = 0; i < a.hints; i++)
        hint[i] = (struct prefix_hint){ below(NODES + 1), below(a.prompt_tokens + 1) };
    a.not_on = tried, a.not_on_n = below(8) ? 0 : 2;
    a.labels = below(20) == 0, a.pin = below(20) ? NONE : below(NODES);
    a.tenant = below(4), a.band = (enum band)below(3), a.key = below(1000), a.owner = inputs;
    a.output_tokens = below(500), a.deadline = below(8) ? NEVER : at(now + below(30));
    uint64_t *t = &ticket[below(ARRAY_LEN(ticket))];
    if (only_explains)
        scheduler_explain(fleet, &a, at(now), NULL, 0);
    else if (job_of(fleet, *t) == NONE)
        *t = scheduler_ask(fleet, &a, at(now), &orders);
    else
        do_end(*t);
}

/* Mostly of what it was told to load. */
static void do_loaded(uint32_t n, uint32_t m)
{
    if (fleet->machine[n].loading != NONE && below(10))
        m = fleet->machine[n].loading;
    scheduler_loaded(fleet, n, m, below(6) > 0, SECOND(below(5)), at(now), &orders);
}

static void do_node(uint32_t n)
{
    struct scheduler_node is = usual_node(n, 2);
    is.held = 2, is.weight = 0.5 + below(4), is.share = below(3) ? 1 : 0.3, is.penalty = below(2);
    is.up = below(6) > 0, is.labels = below(2), is.id = below(10) ? n + 1 : n + 100;
    scheduler_node(fleet, n, &is, at(now), &orders);
}

static void happen(void)
{
    uint32_t n = below(NODES), m = below(MODELS), what = below(100);
    uint64_t t = ticket[below(ARRAY_LEN(ticket))];
    now += below(1000) / 4000.0;
    scheduler_orders_init(&orders);
    if (what < 30)
        do_ask(false);
    else if (what < 60)
        do_end(t);
    else if (what < 70)
        scheduler_first(fleet, t, at(now));
    else if (what < 74)
        scheduler_cancel(fleet, t, at(now), &orders);
    else if (what < 78)
        scheduler_drain(fleet, t, at(now), &orders);
    else if (what < 88)
        do_loaded(n, m);
    else if (what < 89)
        do_node(n);
    else if (what < 90)
        scheduler_bar(fleet, n, m, below(3) == 0, at(now), &orders);
    else if (what < 91)
        scheduler_holds(fleet, n, m, below(9) > 0, SLOTS_LEARNT, 0, at(now), &orders);
    else if (what < 92)
        scheduler_note(fleet, n, m, below(2), at(now), &orders);
    else if (what < 93)
        do_ask(true);
    else if (what < 94)
        scheduler_load(fleet, below(2) ? n : NONE, m, at(now), &orders);
    else if (below(300) == 0)
        scheduler_configure(fleet, (enum scheduler_policy)below(SCHEDULER_POLICIES), below(20), below(2));
    else if (below(300) == 0)
        scheduler_unload(fleet, m, at(now), &orders);
    else if (below(300) == 0)
        scheduler_refuse_waiting(fleet, m, FAIL_load_timeout, at(now), &orders);
    else if (below(300) == 0)
        scheduler_forget_model(fleet, 3, at(now)), keep(), scheduler_orders_init(&orders),
            scheduler_model(fleet, 3, 2000000000, SCHEDULER_POLICIES, 9);
    else
        scheduler_turn(fleet, at(now), &orders);
    keep();
}

static void begin(uint64_t seed, enum scheduler_policy policy)
{
    fleet_begin(NODES, MODELS, policy);
    chance = seed, now = 1, inputs = 0;
    memset(ticket, 0, sizeof ticket), memset(ordered_of, 0, sizeof ordered_of);
    for (uint32_t m = 0; m < MODELS; m++)
        scheduler_model(fleet, m, 4000000000, SCHEDULER_POLICIES, m < 2 ? 9 : 0);
    for (uint32_t n = 0; n < NODES; n++) {
        struct scheduler_node is = usual_node(n, 2);
        is.held = 2;
        add_node(n, &is);
    }
}

/* ---- running it again -------------------------------------------------------------------------------------------- */

struct compared {
    uint32_t at, same; /* the input that comes next; how many were equal */
};

static void compare(const struct scheduler_input *in, const struct scheduler_orders *out, void *arg)
{
    struct compared *c = arg;
    c->same += kept[c->at++] == digest(out);
}

static uint32_t count_cb_inputs;
static bool same;
static void count_input(const struct scheduler_input *in, const struct scheduler_orders *out, void *arg)
{
    count_cb_inputs++;
    assert_true(in->same);
    assert_true(strlen(scheduler_call_name(in->call)) > 2);
}

static void *copy_of(const struct scheduler_ring *r, size_t *out_n)
{
    *out_n = scheduler_ring_bytes(r);
    void *bytes = malloc(*out_n);
    assert_non_null(bytes);
    assert_int_equal(scheduler_ring_copy(r, bytes, *out_n - 1), 0);
    assert_int_equal(scheduler_ring_copy(r, bytes, *out_n), *out_n);
    return bytes;
}

/* Runs `events`, then all that the ring still has again: at least `at_least` inputs, each with the very same orders. */
static void runs_again(uint64_t seed, enum scheduler_policy policy, uint32_t events, uint32_t cells, uint32_t at_least)
{
    size_t n;
    begin(seed, policy);
    struct scheduler_ring *r = scheduler_ring_new(&fleet->settings, cells);
    assert_non_null(r);
    assert_null(scheduler_record(fleet, r));
    while (events--)
        happen();
    void *bytes = copy_of(r, &n);
    count_cb_inputs = 0;
    assert_int_equal(scheduler_replay(bytes, n, count_input, NULL, &same), OK);
    assert_in_range(count_cb_inputs, at_least, inputs);
    struct compared c = { .at = inputs - count_cb_inputs };
    assert_int_equal(scheduler_replay(bytes, n, compare, &c, &same), OK);
    assert_true(same);
    assert_int_equal(c.same, count_cb_inputs);
    assert_int_equal(c.at, inputs);
    free(bytes);
    assert_ptr_equal(scheduler_record(fleet, NULL), r);
    scheduler_ring_free(&r);
    scheduler_free(&fleet);
}

/* As the fleet does it: what one call leaves of the room is the next one's. */
static void calls_that_share_their_orders_run_again(void **state)
{
    size_t n;
    begin(9, SCHEDULER_eta);
    struct scheduler_ring *r = scheduler_ring_new(&fleet->settings, 4096);
    scheduler_record(fleet, r);
    for (int i = 0; i < 300; i++) {
        scheduler_orders_init(&orders);
        for (uint32_t node = 0; node < NODES; node++) {
            struct scheduler_node is = usual_node(node, 30);
            is.up = i % 3 > 0;
            scheduler_node(fleet, node, &is, at(now), &orders);
            for (uint32_t m = 0; is.up && m < MODELS; m++)
                scheduler_note(fleet, node, m, true, at(now), &orders);
        }
        while (orders.more) {
            scheduler_orders_init(&orders);
            scheduler_turn(fleet, at(now), &orders);
        }
        for (int k = 0; k < 150 && i % 3 == 0; k++) {
            struct scheduler_ask a = usual_ask(below(MODELS), 100);
            scheduler_orders_init(&orders);
            scheduler_ask(fleet, &a, at(now), &orders);
        }
        now += 0.1;
    }
    void *bytes = copy_of(r, &n);
    same = false;
    assert_int_equal(scheduler_replay(bytes, n, count_input, NULL, &same), OK);
    assert_true(same);
    free(bytes);
    scheduler_ring_free(&r);
    scheduler_free(&fleet);
}

static void a_hundred_thousand_events_run_again(void **state)
{
    runs_again(1, SCHEDULER_eta, 100000, 200000, 100000);
    for (unsigned verb = 0; verb < ARRAY_LEN(ordered_of); verb++)
        assert_in_range(ordered_of[verb], 20, 100000);
    assert_in_range(ordered_of[ORDER_GRANT], 3000, 100000);
}

static void after_wrapping_the_last_half_runs_again(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        runs_again(seed, SCHEDULER_eta, 3000 + 37 * (uint32_t)seed, 512, 120);
}

static void every_policy_runs_again(void **state)
{
    for (unsigned p = 0; p < SCHEDULER_POLICIES; p++)
        runs_again(50 + p, (enum scheduler_policy)p, 5000, 4096, 1000);
}

static void growing_is_recorded(void **state)
{
    size_t n;
    begin(3, SCHEDULER_eta);
    struct scheduler_settings large = fleet->settings;
    large.nodes = 100, large.models = 50;
    struct scheduler_ring *r = scheduler_ring_new(&large, 10000);
    scheduler_record(fleet, r);
    for (int i = 0; i < 500; i++)
        happen();
    struct scheduler_room *room = scheduler_room_new(100, 50);
    scheduler_orders_init(&orders);
    scheduler_move(fleet, room);
    keep();
    scheduler_room_free(&room);
    struct scheduler_node is = usual_node(70, 2);
    scheduler_orders_init(&orders);
    scheduler_node(fleet, 70, &is, at(now), &orders);
    keep();
    for (int i = 0; i < 500; i++)
        happen();
    void *bytes = copy_of(r, &n);
    struct compared c = { 0 };
    assert_int_equal(scheduler_replay(bytes, n, compare, &c, &same), OK);
    assert_int_equal(c.same, inputs);
    free(bytes);
    scheduler_ring_free(&r);
    scheduler_free(&fleet);
}

static void one_that_is_outgrown_stops(void **state)
{
    begin(5, SCHEDULER_eta);
    struct scheduler_settings small = fleet->settings;
    small.nodes = small.models = small.tickets = 1;
    struct scheduler_ring *r = scheduler_ring_new(&small, 128);
    scheduler_record(fleet, r);
    for (int i = 0; i < 300; i++)
        happen();
    assert_int_equal(scheduler_ring_bytes(r), 0);
    assert_int_equal(scheduler_ring_copy(r, ticket, sizeof ticket), 0);
    scheduler_ring_free(&r);
    fleet->ring = NULL;
    scheduler_free(&fleet);
}

static void damage_is_noticed(void **state)
{
    size_t n;
    begin(6, SCHEDULER_eta);
    struct scheduler_ring *r = scheduler_ring_new(&fleet->settings, 1000);
    scheduler_record(fleet, r);
    for (int i = 0; i < 50; i++)
        happen();
    unsigned char *bytes = copy_of(r, &n);
    for (size_t at_byte = 0; at_byte < n; at_byte += n / 97) {
        bytes[at_byte] ^= 4;
        assert_int_equal(scheduler_replay(bytes, n, count_input, NULL, &same), FAIL_bad_value);
        bytes[at_byte] ^= 4;
    }
    for (size_t less = 1; less <= n; less += n / 13)
        assert_int_equal(scheduler_replay(bytes, n - less, count_input, NULL, &same), FAIL_bad_value);
    memory_fail_at(1);
    assert_int_equal(scheduler_replay(bytes, n, count_input, NULL, &same), FAIL_no_memory);
    memory_fail_at(1);
    assert_null(scheduler_ring_new(&fleet->settings, 1000));
    memory_fail_at(0);
    free(bytes);
    scheduler_ring_free(&r);
    scheduler_free(&fleet);
}

/* ---- what it costs ----------------------------------------------------------------------------------------------- */

static nsec cost_of_dead_ends(uint32_t n)
{
    struct scheduler_figures f = { .output_tokens = 1 };
    nsec t0 = sys_now();
    for (uint32_t i = 0; i < n; i++)
        scheduler_end(fleet, 77, &f, at(2), &orders);
    return sys_now() - t0;
}

static void recording_is_cheap(void **state)
{
    enum { N = 200000 };
    fleet_begin(64, 8, SCHEDULER_eta);
    add_warm_nodes(64, 4);
    struct scheduler_ring *r = scheduler_ring_new(&fleet->settings, 65536);
    nsec without = cost_of_dead_ends(N);
    scheduler_record(fleet, r);
    cost_of_dead_ends(65536);
    nsec with = cost_of_dead_ends(N);
    print_message("recording: %.1f ns each, images included\n", (double)(with - without) / N);
    assert_true(with < (nsec)N * USEC(2));
    scheduler_ring_free(&r);
    fleet->ring = NULL;
    scheduler_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_thousand_events_run_again),
        cmocka_unit_test(after_wrapping_the_last_half_runs_again),
        cmocka_unit_test(every_policy_runs_again),
        cmocka_unit_test(growing_is_recorded),
        cmocka_unit_test(calls_that_share_their_orders_run_again),
        cmocka_unit_test(one_that_is_outgrown_stops),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(recording_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
