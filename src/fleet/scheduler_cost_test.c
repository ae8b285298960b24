/* fleet/scheduler_cost_test.c - what a decision costs: printed, and judged only by the order of magnitude, since tests
 * run on machines that are busy. `ollamamax bench schedule` judges by the promise (0.5 us among 64 nodes, 3 us among
 * 1,000). A decision is an ask that is granted; its end, which pays for the books, is shown apart. */
#include "base/sys.h"
#include "fleet/scheduler_fixture.h"

enum { ROUNDS = 20000, LASTS = 128 };

/* `labels`: that every node has, and every ask wants; 0: none. */
static void ask_often(uint32_t nodes, uint64_t labels, nsec *out_ask, nsec *out_end)
{
    static uint64_t held[LASTS];
    struct scheduler_figures f = {
        .output_tokens = 100, .prefill_tokens = 500, .prefill_took = MSEC(250), .decode_took = SECOND(2)
    };
    *out_ask = *out_end = 0;
    fleet_begin(nodes, 2, SCHEDULER_eta);
    add_warm_nodes(nodes, 4);
    for (uint32_t i = 0; i < nodes && labels; i++) {
        struct scheduler_node is = usual_node(i, 4);
        is.labels = labels;
        scheduler_node(fleet, i, &is, 0, &orders);
    }
    for (uint32_t i = 0; i < LASTS; i++)
        held[i] = ask(0, 500, 1);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct prefix_hint hint[] = {
            {i % nodes,        300},
            { (i * 7) % nodes, 100}
        };
        struct scheduler_ask a = usual_ask(0, 500);
        a.hint = hint, a.hints = 2, a.key = i, a.labels = labels;
        double now = 2 + i * 0.01;
        nsec t0 = sys_now();
        scheduler_orders_init(&orders);
        scheduler_end(fleet, held[i % LASTS], &f, at(now), &orders);
        nsec t1 = sys_now();
        held[i % LASTS] = ask_with(&a, now);
        *out_ask += sys_now() - t1, *out_end += t1 - t0;
    }
    *out_ask /= ROUNDS, *out_end /= ROUNDS;
    scheduler_free(&fleet);
}

static void a_decision_is_quick(void **state)
{
    const uint32_t sizes[] = { 8, 64, 1000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        nsec ask_takes, end_takes, limited_takes;
        ask_often(sizes[i], 1, &limited_takes, &end_takes);
        ask_often(sizes[i], 0, &ask_takes, &end_takes);
        print_message("%u nodes: decision %d ns, with labels %d ns, end %d ns\n", sizes[i], (int)ask_takes,
                      (int)limited_takes, (int)end_takes);
        assert_true(ask_takes < USEC(100) && limited_takes < USEC(100));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_decision_is_quick) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
