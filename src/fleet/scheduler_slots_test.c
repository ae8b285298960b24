/* fleet/scheduler_slots_test.c - slots that nobody tells, learnt in simulated time.
 *
 * A node that serves N requests at once, in order, and says nothing of those that wait inside; clients that ask again
 * as soon as they are answered, or at chance moments. Whatever is learnt, never more than one is sent above it. */
#include "fleet/scheduler_fixture.h"
#include <math.h>

#define CLIENTS_MOST 32

/* ---- a node ------------------------------------------------------------------------------------------------------ */

struct request {
    uint64_t ticket;
    double granted, began, ends; /* began 0: waits inside; ends INFINITY: likewise */
    bool there;
};
static struct {
    struct request request[64];
    uint32_t slots, order[64], waiting; /* those that wait inside, in order */
    double now, service, varies;        /* mean; 0: all alike, 1: as 1 to 19 */
    enum { TELLS_DURATIONS, TELLS_LENGTHS, TELLS_NOTHING } tells;
    uint64_t chance;
    uint32_t over; /* most that were there above what was proven */
} node;

static double chance(void)
{
    return (double)(mix(node.chance += 0x9e3779b97f4a7c15) >> 11) / 9007199254740992.0;
}

static double draw_service(void)
{
    return node.service * (1 - node.varies * 0.9 + node.varies * 1.8 * chance());
}

static uint32_t running(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(node.request); i++)
        n += node.request[i].there && node.request[i].began > 0;
    return n;
}

static void begin_those_that_can(void)
{
    while (node.waiting && running() < node.slots) {
        struct request *r = &node.request[node.order[0]];
        memmove(node.order, node.order + 1, --node.waiting * sizeof *node.order);
        r->began = node.now, r->ends = node.now + draw_service();
    }
}

static void come(uint64_t ticket)
{
    uint32_t i = 0;
    while (node.request[i].there)
        i++;
    assert_true(i < ARRAY_LEN(node.request));
    node.request[i] = (struct request){ .ticket = ticket, .granted = node.now, .ends = INFINITY, .there = true };
    node.order[node.waiting++] = i;
    begin_those_that_can();
}

static void obey(void)
{
    for (uint32_t i = 0; i < orders.n; i++)
        if (orders.order[i].verb == ORDER_GRANT)
            come(orders.order[i].ticket);
    uint32_t there = scheduler_inflight(fleet, 0, 0), proven = scheduler_slots(fleet, 0, 0);
    node.over = MAX(node.over, there > proven ? there - proven : 0);
}

static void ask_one(void)
{
    ask(0, 200, node.now);
    obey();
}

static void end_one(struct request *r)
{
    double served = r->ends - r->began, waited = r->began - r->granted;
    struct scheduler_figures f = { .output_tokens = node.tells == TELLS_NOTHING ? 0 : (uint32_t)(50 * served) };
    if (node.tells == TELLS_DURATIONS)
        f.decode_took = at(served), f.waited_inside = at(waited);
    r->there = false;
    begin_those_that_can();
    scheduler_orders_init(&orders);
    scheduler_end(fleet, r->ticket, &f, at(node.now + 0.0005), &orders); /* the way back takes a moment */
    obey();
}

static struct request *next_end(void)
{
    struct request *best = NULL;
    for (uint32_t i = 0; i < ARRAY_LEN(node.request); i++)
        if (node.request[i].there && (!best || node.request[i].ends < best->ends))
            best = &node.request[i];
    return best;
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static void meet(uint32_t slots, double service, double varies, int tells)
{
    fleet_begin(1, 1, SCHEDULER_eta);
    struct scheduler_node is = usual_node(0, 0);
    scheduler_node(fleet, 0, &is, 0, &orders);
    scheduler_holds(fleet, 0, 0, true, SLOTS_LEARNT, 0, 0, &orders);
    scheduler_note(fleet, 0, 0, true, 0, &orders);
    memset(&node, 0, sizeof node);
    node.slots = slots, node.service = service, node.varies = varies, node.tells = tells, node.now = 1;
    node.chance = slots * 1000 + (uint64_t)(varies * 10) + (uint64_t)tells;
}

static void turn_until(double moment)
{
    for (; floor(node.now) < floor(moment); node.now = floor(node.now) + 1) {
        turn(node.now);
        obey();
    }
}

/* As many as ask again at once, for so many answers. */
static void keep_asking(uint32_t clients, uint32_t answers)
{
    for (uint32_t i = scheduler_inflight(fleet, 0, 0) + scheduler_waiting(fleet, 0); i < clients; i++)
        ask_one();
    for (uint32_t i = 0; i < answers; i++) {
        struct request *r = next_end();
        turn_until(r->ends);
        node.now = r->ends;
        end_one(r);
        ask_one();
    }
}

static void over(void)
{
    assert_true(node.over <= 1);
    for (struct request *r; (r = next_end()) && r->ends < INFINITY;) {
        node.now = r->ends;
        end_one(r);
    }
    fleet_end();
}

/* ---- what is learnt ---------------------------------------------------------------------------------------------- */

static void learns(double service, double varies, int tells, uint32_t answers)
{
    static const uint32_t sizes[] = { 1, 2, 4, 8 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        meet(sizes[i], service, varies, tells);
        keep_asking(CLIENTS_MOST, answers);
        assert_int_equal(scheduler_slots(fleet, 0, 0), sizes[i]);
        over();
    }
}

static void durations_prove_slots(void **state)
{
    learns(2, 0, TELLS_DURATIONS, 500);
    learns(2, 1, TELLS_DURATIONS, 500);
    learns(0.05, 0.5, TELLS_DURATIONS, 500);
}

static void times_prove_slots_of_answers_alike(void **state)
{
    learns(0.02, 0, TELLS_NOTHING, 1000);
    learns(0.02, 0.1, TELLS_NOTHING, 1000);
    learns(1, 0.3, TELLS_NOTHING, 1000);
}

static void times_prove_slots_when_lengths_explain_them(void **state)
{
    learns(2, 0.5, TELLS_LENGTHS, 1000);
    learns(4, 1, TELLS_LENGTHS, 1000);
}

/* Slower, and rather too few than too many. */
static void times_of_which_nothing_is_known_prove_some(void **state)
{
    static const uint32_t sizes[] = { 1, 2, 4, 8 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        meet(sizes[i], 1, 1, TELLS_NOTHING);
        keep_asking(CLIENTS_MOST, 1000);
        assert_in_range(scheduler_slots(fleet, 0, 0), (sizes[i] + 1) / 2, sizes[i]);
        over();
    }
}

static void fewer_slots_are_noticed(void **state)
{
    for (int tells = TELLS_DURATIONS; tells <= TELLS_NOTHING; tells++) {
        meet(8, 1, 0.1, tells);
        keep_asking(CLIENTS_MOST, 1000);
        assert_int_equal(scheduler_slots(fleet, 0, 0), 8);
        node.slots = 2;
        keep_asking(CLIENTS_MOST, 1000);
        assert_in_range(scheduler_slots(fleet, 0, 0), 2,
                        tells == TELLS_NOTHING ? 3 : 2); /* the pace is taken for new */
        node.slots = 4;
        node.over = 0;
        keep_asking(CLIENTS_MOST, 10000);
        assert_int_equal(scheduler_slots(fleet, 0, 0), 4);
        over();
    }
}

/* With a proven slot free for each, nothing is tried, and nothing is forgotten. */
static void quiet_times_change_nothing(void **state)
{
    meet(4, 1, 0.5, TELLS_DURATIONS);
    keep_asking(CLIENTS_MOST, 500);
    while (scheduler_inflight(fleet, 0, 0) + scheduler_waiting(fleet, 0) > 1) {
        struct request *r = next_end();
        turn_until(r->ends);
        node.now = r->ends;
        end_one(r);
    }
    keep_asking(1, 500);
    assert_int_equal(scheduler_slots(fleet, 0, 0), 4);
    over();
}

/* What ends at once was hardly served: an answer to an empty prompt. */
static void what_ends_at_once_proves_nothing(void **state)
{
    meet(1, 1, 0, TELLS_NOTHING);
    keep_asking(1, 20);
    keep_asking(2, 1);
    for (int i = 0; i < 10; i++) {
        struct request *r = &node.request[node.order[0]];
        assert_true(node.waiting == 1);
        node.waiting = 0;
        node.now += 0.01;
        r->began = r->ends = node.now;
        end_one(r);
        ask_one();
    }
    assert_int_equal(scheduler_slots(fleet, 0, 0), 1);
    over();
}

/* The second of two says that it waited, while the first is still there: not for a slot of ours. */
static void what_others_cost_proves_nothing(void **state)
{
    struct scheduler_figures f = { .output_tokens = 50, .decode_took = SECOND(1), .waited_inside = MSEC(600) };
    meet(2, 1, 0, TELLS_DURATIONS);
    uint64_t first = ask(0, 200, 1), second = ask(0, 200, 1);
    scheduler_end(fleet, second, &f, at(2.6), &orders);
    second = ask(0, 200, 2.7);
    assert_int_equal(granted_ticket(), second); /* it may go on probing */
    end(first, 3);
    scheduler_end(fleet, second, &f, at(4.3), &orders); /* the first had ended when it began */
    ask(0, 200, 5);
    ask(0, 200, 5);
    assert_null(ordered(ORDER_GRANT, 0));
    turn(70);
    assert_int_equal(count_of(ORDER_GRANT), 1);
    scheduler_free(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_prove_slots),
        cmocka_unit_test(times_prove_slots_of_answers_alike),
        cmocka_unit_test(times_prove_slots_when_lengths_explain_them),
        cmocka_unit_test(times_of_which_nothing_is_known_prove_some),
        cmocka_unit_test(fewer_slots_are_noticed),
        cmocka_unit_test(quiet_times_change_nothing),
        cmocka_unit_test(what_ends_at_once_proves_nothing),
        cmocka_unit_test(what_others_cost_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
