/* fleet/scheduler_fixture.h - for tests of the scheduler: a small fleet, and what was ordered. Moments are seconds. */
#pragma once
#include "fleet/scheduler_state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct scheduler *fleet;
static struct scheduler_orders orders;

static inline nsec at(double s)
{
    return (nsec)(s * 1e9);
}

static inline void fleet_begin(uint32_t nodes, uint32_t models, enum scheduler_policy policy)
{
    struct scheduler_settings set;
    scheduler_settings_default(&set);
    set.nodes = nodes, set.models = models, set.tickets = 256, set.policy = policy;
    fleet = scheduler_new(&set, 0);
    assert_non_null(fleet);
    for (uint32_t m = 0; m < models; m++)
        scheduler_model(fleet, m, 0, SCHEDULER_POLICIES, 0);
    scheduler_orders_init(&orders);
}

static inline void fleet_end(void)
{
    const char *why = "";
    if (!scheduler_sound(fleet, at(1000000), &why))
        fail_msg("%s", why);
    scheduler_free(&fleet);
}

static inline struct scheduler_node usual_node(uint32_t node, uint32_t slots)
{
    return (struct scheduler_node){ .up = true, .weight = 1, .slots = slots, .id = node + 1 };
}

static inline void add_node(uint32_t node, const struct scheduler_node *is)
{
    scheduler_node(fleet, node, is, 0, &orders);
    for (uint32_t m = 0; m < fleet->models; m++)
        if (fleet->model[m].known)
            scheduler_holds(fleet, node, m, true, SLOTS_TOLD, 0, 0, &orders);
}

/* With every model loaded. */
static inline void add_warm_nodes(uint32_t n, uint32_t slots)
{
    for (uint32_t i = 0; i < n; i++) {
        struct scheduler_node is = usual_node(i, slots);
        add_node(i, &is);
        for (uint32_t m = 0; m < fleet->models; m++)
            scheduler_note(fleet, i, m, true, 0, &orders);
    }
}

static inline struct scheduler_ask usual_ask(uint32_t model, uint32_t prompt)
{
    return (struct scheduler_ask){ .model = model,
                                   .prompt_tokens = prompt,
                                   .output_tokens = 100,
                                   .band = BAND_NORMAL,
                                   .deadline = NEVER,
                                   .pin = SCHEDULER_NONE };
}

static inline uint64_t ask_with(const struct scheduler_ask *a, double now)
{
    scheduler_orders_init(&orders);
    return scheduler_ask(fleet, a, at(now), &orders);
}

static inline uint64_t ask(uint32_t model, uint32_t prompt, double now)
{
    struct scheduler_ask a = usual_ask(model, prompt);
    return ask_with(&a, now);
}

static inline bool end(uint64_t ticket, double now)
{
    struct scheduler_figures f = { .output_tokens = 100 };
    scheduler_orders_init(&orders);
    return scheduler_end(fleet, ticket, &f, at(now), &orders);
}

static inline void turn(double now)
{
    scheduler_orders_init(&orders);
    scheduler_turn(fleet, at(now), &orders);
}

/* The nth order of this kind in the last call, or NULL. */
static inline const struct scheduler_order *ordered(enum scheduler_verb verb, uint32_t nth)
{
    for (uint32_t i = 0; i < orders.n; i++)
        if (orders.order[i].verb == verb && nth-- == 0)
            return &orders.order[i];
    return NULL;
}

static inline uint32_t count_of(enum scheduler_verb verb)
{
    uint32_t n = 0;
    while (ordered(verb, n))
        n++;
    return n;
}

static inline uint32_t granted_node(void)
{
    const struct scheduler_order *o = ordered(ORDER_GRANT, 0);
    return o ? o->node : NONE;
}

static inline uint64_t granted_ticket(void)
{
    const struct scheduler_order *o = ordered(ORDER_GRANT, 0);
    return o ? o->ticket : 0;
}
