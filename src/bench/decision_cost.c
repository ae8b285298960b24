/* An ask that is granted, timed alone, while a fleet is half busy; its end, which pays for the books, is not counted.
 * The least of five goes is taken, after one to warm up: neighbours on the machine only add. */
#include "bench/decision_cost.h"

#include "base/sys.h"
#include "bench/statistics.h"
#include "fleet/scheduler.h"

#include <math.h>

#define LASTING   128
#define DECISIONS 50000

static struct scheduler *warm_fleet(uint32_t nodes)
{
    struct scheduler_settings set;
    struct scheduler_orders out;
    scheduler_settings_default(&set);
    set.nodes = nodes, set.models = 1, set.tickets = 2 * LASTING;
    struct scheduler *s = scheduler_new(&set, 0);
    if (s)
        scheduler_model(s, 0, 0, SCHEDULER_POLICIES, 0);
    for (uint32_t i = 0; s && i < nodes; i++) {
        scheduler_orders_init(&out);
        scheduler_node(s, i, &(struct scheduler_node){ .up = true, .slots = 4, .id = i + 1 }, 0, &out);
        scheduler_holds(s, i, 0, true, SLOTS_TOLD, 0, 0, &out);
        scheduler_note(s, i, 0, true, 0, &out);
    }
    return s;
}

static uint64_t decide(struct scheduler *s, uint32_t i, uint32_t nodes, nsec now, nsec *took)
{
    struct prefix_hint hint[] = {
        {i % nodes,        300},
        { (i * 7) % nodes, 100}
    };
    struct scheduler_ask a = { .prompt_tokens = 500,
                               .output_tokens = 100,
                               .band = BAND_NORMAL,
                               .deadline = NEVER,
                               .pin = SCHEDULER_NONE,
                               .key = i,
                               .hint = hint,
                               .hints = 2 };
    struct scheduler_orders out;
    scheduler_orders_init(&out);
    nsec from = sys_now();
    uint64_t ticket = scheduler_ask(s, &a, now, &out);
    *took += sys_now() - from;
    return ticket;
}

double decision_cost_ns(uint32_t nodes)
{
    static uint64_t held[LASTING];
    static double took[DECISIONS];
    struct scheduler_figures f = { .output_tokens = 100, .prefill_tokens = 500, .prefill_took = 1, .decode_took = 1 };
    struct scheduler_orders out;
    struct scheduler *s = warm_fleet(nodes);
    memset(held, 0, sizeof held);
    for (uint32_t i = 0; s && i < DECISIONS; i++) {
        nsec now = SECOND(2) + i * MSEC(10), cost = 0;
        scheduler_orders_init(&out);
        if (held[i % LASTING])
            scheduler_end(s, held[i % LASTING], &f, now, &out);
        held[i % LASTING] = decide(s, i, nodes, now, &cost);
        took[i] = (double)cost;
    }
    if (!s)
        return NAN;
    scheduler_free(&s);
    statistics_sort(took, DECISIONS);
    return statistics_percentile(took, DECISIONS, 0.5);
}
