/* sim/simulate_test.c - the virtual fleet: by hand, by a drawn trace, and, where OLLAMAMAX_TRACES names the folder, by
 * the real ones, against the figures that scheduling.md and its data promise. */
#include "base/sys.h"
#include "sim/simulate.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct simulate_spec spec;
static struct simulate_result r;

static int usual(void **state)
{
    simulate_spec_default(&spec);
    return 0;
}

static struct simulate_result run_seeds(uint32_t seeds)
{
    static struct simulate_result each[3];
    for (uint32_t i = 0; i < seeds; i++) {
        spec.seed = i + 1;
        assert_int_equal(simulate_run(&spec, &each[i]), OK);
    }
    return simulate_mean(each, seeds);
}

/* ---- by hand ----------------------------------------------------------------------------------------------------- */

static void one_slot_serves_in_turn(void **state)
{
    struct trace_request q[] = {
        {.at = 0,          .in = 2000, .out = 45},
        { .at = SECOND(1), .in = 4000, .out = 90}
    };
    struct trace t = { .request = q, .n = 2, .tenants = 1, .models = 1 };
    spec.trace = &t, spec.nodes = 1, spec.slots = 1;
    assert_int_equal(simulate_run(&spec, &r), OK);
    assert_float_equal(r.ttft.p50, 1, 1e-6); /* the lower of two */
    assert_float_equal(r.ttft.max, 3, 1e-6); /* waits 1 s, prefill 2 s */
    assert_float_equal(r.e2e.max, 5, 1e-6);
    assert_float_equal(r.queue.max, 1, 1e-6);
    assert_float_equal(r.load, 6, 1e-6);
    assert_int_equal(r.served, 2);
}

static void a_cached_beginning_is_not_evaluated_again(void **state)
{
    struct trace_request q[] = {
        {.at = 0,           .in = 2048, .out = 45, .path = 0, .blocks = 4},
        { .at = SECOND(10), .in = 2048, .out = 45, .path = 0, .blocks = 4},
        { .at = SECOND(20), .in = 2048, .out = 45, .path = 4, .blocks = 4}
    };
    uint64_t hash[] = { 1, 2, 3, 4, 1, 2, 8, 9 };
    struct trace t = { .request = q, .n = 3, .tenants = 1, .models = 1, .hash = hash, .hashes = 8 };
    spec.trace = &t, spec.cache_blocks = 100, spec.prefill = 1024;
    assert_int_equal(simulate_run(&spec, &r), OK);
    assert_float_equal(r.ttft.max, 2, 1e-6);
    assert_float_equal(r.ttft.mean, (2 + 0 + 1) / 3.0, 1e-6);
    assert_float_equal(r.prefix_hit, 0.5, 1e-9);
    assert_float_equal(r.prefix_bound, 0.5, 1e-9);
}

static void a_cold_model_is_loaded_first(void **state)
{
    struct trace_request q[] = {
        {.at = 0, .in = 2000, .out = 45,       .model = 1 },
        { .at = SECOND(1),      .in = 2000, .out = 45}
    };
    struct trace t = { .request = q, .n = 2, .tenants = 1, .models = 2 };
    spec.trace = &t, spec.nodes = 1, spec.models = 2, spec.hold = 1, spec.slots = 2;
    assert_int_equal(simulate_run(&spec, &r), OK);
    assert_int_equal(r.loads, 2);
    assert_int_equal(r.evictions, 1);
    assert_float_equal(r.ttft.p50, 5, 1e-6);  /* 8 GB at 2 GB/s, then 1 s */
    assert_float_equal(r.ttft.max, 10, 1e-3); /* waits until 6 s, 4 s of load, 1 s */
}

static void a_node_that_dies_loses_no_request_that_has_not_begun(void **state)
{
    struct trace_request q[40];
    for (int i = 0; i < 40; i++)
        q[i] = (struct trace_request){ .at = MSEC(100 * i), .in = 4000, .out = 45 };
    struct trace t = { .request = q, .n = 40, .tenants = 1, .models = 1 };
    spec.trace = &t, spec.nodes = 4, spec.slots = 4;
    spec.kill[0] = (struct simulate_kill){ 0, 1.55, 6 }, spec.kills = 1;
    assert_int_equal(simulate_run(&spec, &r), OK);
    assert_true(r.retried > 0);
    assert_int_equal(r.failed, 0); /* nobody had a token yet */
    assert_int_equal(r.served, 40);
}

/* ---- drawn ------------------------------------------------------------------------------------------------------- */

static void every_policy_serves_everybody(void **state)
{
    struct trace t;
    assert_int_equal(trace_chat(&t, 3000, 0.25, 5), OK);
    spec.trace = &t, spec.cache_blocks = 10;
    for (unsigned p = 0; p < SCHEDULER_POLICIES; p++) {
        struct simulate_result again;
        spec.policy = (enum scheduler_policy)p;
        assert_int_equal(simulate_run(&spec, &r), OK);
        assert_int_equal(simulate_run(&spec, &again), OK);
        assert_int_equal(r.served, 3000);
        assert_true(r.ttft.p99 < 12);
        assert_memory_equal(&r, &again, sizeof r);
    }
    trace_free(&t);
}

static void eta_is_better_than_the_others(void **state)
{
    struct trace t;
    double p99[SCHEDULER_POLICIES];
    assert_int_equal(trace_chat(&t, 6000, 0.19, 5), OK);
    spec.trace = &t, spec.speeds = 4;
    memcpy(spec.speed, (double[]){ 2, 1, 1, 0.5 }, 4 * sizeof(double));
    for (unsigned p = 0; p < SCHEDULER_POLICIES; p++) {
        spec.policy = (enum scheduler_policy)p;
        assert_int_equal(simulate_run(&spec, &r), OK);
        p99[p] = r.ttft.p99;
    }
    for (unsigned p = 0; p < SCHEDULER_late; p++)
        assert_true(p99[SCHEDULER_eta] < p99[p]);
    trace_free(&t);
}

static void many_models_are_loaded_seldom(void **state)
{
    struct trace t;
    assert_int_equal(trace_chat(&t, 4000, 0.35, 5), OK);
    spec.trace = &t, spec.models = 6, spec.hold = 2;
    uint32_t loads[SCHEDULER_POLICIES];
    enum scheduler_policy pair[] = { SCHEDULER_least_loaded, SCHEDULER_eta };
    for (int i = 0; i < 2; i++) {
        spec.policy = pair[i];
        assert_int_equal(simulate_run(&spec, &r), OK);
        assert_int_equal(r.served, 4000);
        loads[pair[i]] = r.loads;
    }
    assert_in_range(loads[SCHEDULER_eta], 6, 24);
    assert_true(loads[SCHEDULER_least_loaded] > 20 * loads[SCHEDULER_eta]);
    trace_free(&t);
}

static void a_thousand_nodes_are_no_trouble(void **state)
{
    struct trace t;
    assert_int_equal(trace_chat(&t, 20000, 0.005, 5), OK);
    spec.trace = &t, spec.nodes = 1000, spec.slots = 1;
    assert_int_equal(simulate_run(&spec, &r), OK);
    assert_int_equal(r.served, 20000);
    trace_free(&t);
}

/* ---- too much ---------------------------------------------------------------------------------------------------- */

static bool real_trace(struct trace *t, const char *name, enum trace_format format);

/* Lengths of the real conversations where they are at hand (true), else drawn ones. */
static bool some_lengths(struct trace *t)
{
    if (real_trace(t, "azure-llm-2023-conv.csv", TRACE_AZURE))
        return true;
    assert_int_equal(trace_chat(t, 20000, 1, 5), OK);
    return false;
}

static void an_overload_is_shed_and_over_soon(void **state)
{
    const struct trace_phase phases[] = {
        {0.7,  300},
        { 1.5, 60 },
        { 0.7, 300}
    };
    struct trace lengths;
    some_lengths(&lengths);
    double useful = 0, waited = 0, recovered = 0, worst = 0;
    spec.shed = true, spec.bound = 512, spec.overload_begins = 300, spec.overload_ends = 360;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct trace t = { 0 };
        uint64_t chance = seed * 1000003;
        assert_int_equal(trace_poisson(&t, &lengths, phases, 3, 0, simulate_full_rate(&spec, &lengths), &chance), OK);
        trace_sort(&t);
        spec.trace = &t;
        assert_int_equal(simulate_run(&spec, &r), OK);
        useful += r.useful / 20, waited += r.queue.p99 / 20, recovered += r.recovery / 20;
        worst = fmax(worst, r.recovery);
        trace_free(&t);
    }
    trace_free(&lengths);
    assert_true(useful >= 0.97);
    assert_true(waited <= 8);
    assert_true(recovered <= 10 && worst <= 20);
}

/* The mean p95 of the first four tenants; nobody refuses them. */
static double share(const struct trace *lengths, const double *load, uint32_t tenants, uint64_t seed)
{
    struct trace t = { 0 };
    uint64_t chance = seed * 1000003;
    double p95 = 0;
    for (uint32_t i = 0; i < tenants; i++) {
        struct trace_phase p = { load[i], 1800 };
        assert_int_equal(trace_poisson(&t, lengths, &p, 1, i, simulate_full_rate(&spec, lengths), &chance), OK);
    }
    trace_sort(&t);
    spec.trace = &t, spec.bound = 128;
    assert_int_equal(simulate_run(&spec, &r), OK);
    trace_free(&t);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(r.tenant[i].refused, 0);
        p95 += r.tenant[i].ttft.p95 / 4;
    }
    assert_true(tenants == 4 || r.tenant[4].refused > 0);
    return p95;
}

static void a_greedy_tenant_harms_nobody_else(void **state)
{
    const double load[] = { .15, .15, .15, .15, 2 };
    struct trace lengths;
    bool real = some_lengths(&lengths);
    const double at_most[] = { 4, real ? 1.3 : 1.6 }; /* drawn prompts are shorter, so waits weigh more */
    for (int many = 0; many < 2; many++) {
        double crowded = 0, alone = 0;
        spec.slots = many ? 4 : 1;
        for (uint64_t seed = 1; seed <= 3; seed++) {
            crowded += share(&lengths, load, 5, seed);
            alone += share(&lengths, load, 4, seed);
        }
        assert_true(crowded <= at_most[many] * alone);
    }
    trace_free(&lengths);
}

/* ---- spread ------------------------------------------------------------------------------------------------------ */

/* Work over weight, as the promise names it (scheduling, section 6), at loads of 0.7 and more. */
static struct simulate_result spread_of(enum scheduler_policy policy, const struct trace *lengths, double load,
                                        bool uneven)
{
    const double speeds[] = { 2, 2, 1, 1, 1, 1, .5, .5 };
    struct trace t = { 0 };
    struct simulate_result mean;
    uint64_t chance = 11;
    struct trace_phase p = { load, 3600 };
    simulate_spec_default(&spec);
    if (uneven)
        memcpy(spec.speed, speeds, sizeof speeds), spec.speeds = 8;
    assert_int_equal(trace_poisson(&t, lengths, &p, 1, 0, simulate_full_rate(&spec, lengths), &chance), OK);
    spec.trace = &t, spec.policy = policy;
    mean = run_seeds(1);
    trace_free(&t);
    return mean;
}

static void work_is_spread_by_weight(void **state)
{
    struct trace lengths;
    assert_int_equal(trace_chat(&lengths, 20000, 0.2, 5), OK);
    for (enum scheduler_policy p = 0; p < SCHEDULER_POLICIES; p++) {
        assert_true(spread_of(p, &lengths, 0.73, false).cv_work < 0.20);
        assert_true(spread_of(p, &lengths, 0.91, false).cv_work < 0.20);
    }
    assert_true(spread_of(SCHEDULER_eta, &lengths, 0.73, false).cv_work <= 0.06);
    assert_true(spread_of(SCHEDULER_eta, &lengths, 0.81, true).cv_work <= 0.25);
    assert_true(spread_of(SCHEDULER_eta, &lengths, 0.91, true).cv_work <= 0.10);
    for (int uneven = 0; uneven < 2; uneven++)
        assert_true(spread_of(SCHEDULER_weighted_round_robin, &lengths, 0.73, uneven).cv_work <= 0.02);
    trace_free(&lengths);
}

/* ---- real traces ------------------------------------------------------------------------------------------------- */

static bool real_trace(struct trace *t, const char *name, enum trace_format format)
{
    char file[512];
    const char *folder = sys_env("OLLAMAMAX_TRACES");
    if (!folder || !*folder) {
        print_message("%s: not run (OLLAMAMAX_TRACES)\n", name);
        return false;
    }
    snprintf(file, sizeof file, "%s/%s", folder, name);
    assert_int_equal(trace_read(t, file, format, 0), OK);
    return true;
}

static bool near(double got, double want)
{
    return fabs(got - want) <= 0.1 * want;
}

enum { EVEN, EVEN_FULL, UNEVEN, ONE, ONE_UNEVEN, COLUMNS };
static void column(int c)
{
    const double scale[] = { 0.8, 1, 1, 0.2, 0.25 }, uneven[] = { 2, 2, 1, 1, 1, 1, .5, .5 };
    simulate_spec_default(&spec);
    spec.rate_scale = scale[c], spec.slots = c >= ONE ? 1 : 4;
    if (c == UNEVEN || c == ONE_UNEVEN) {
        memcpy(spec.speed, uneven, sizeof uneven);
        spec.speeds = 8;
    }
}

/* p50 / p95 / p99 of an independent simulator; 0: collapses, not compared. */
static const struct {
    enum scheduler_policy policy;
    double want[COLUMNS][3];
} reference[] = {
    {SCHEDULER_round_robin,
     { { .55, 3.98, 7.04 }, { 3.21, 26.3, 36.4 }, { 2.98, 2271, 2748 }, { 1.59, 15.9, 27.5 }, { 0 } }              },
    { SCHEDULER_weighted_round_robin,
     { { .55, 3.98, 7.04 }, { 3.21, 26.3, 36.4 }, { .68, 6.28, 12.1 }, { 1.59, 15.9, 27.5 }, { 3.16, 25.2, 47.8 } }},
    { SCHEDULER_p2c,
     { { .54, 3.07, 5.46 }, { 2.06, 11.9, 16.8 }, { .98, 5.96, 9.43 }, { 1.99, 14.5, 21.8 }, { 4.07, 23.3, 37.3 } }},
    { SCHEDULER_least_loaded,
     { { .52, 2.05, 3.88 }, { 1.36, 10.7, 14.9 }, { .45, 3.66, 7.60 }, { .56, 9.49, 15.6 }, { 1.02, 15.7, 29.5 } } },
    { SCHEDULER_late,
     { { .52, 2.05, 2.99 }, { 1.37, 9.75, 13.7 }, { .39, 2.53, 4.92 }, { .58, 6.30, 11.3 }, { .98, 9.79, 19.9 } }  },
    { SCHEDULER_eta,
     { { .52, 2.05, 2.94 }, { 1.26, 9.42, 13.7 }, { .39, 2.21, 4.17 }, { .58, 5.68, 11.1 }, { .93, 8.68, 17.6 } }  },
};

static void named_policies_are_as_elsewhere(void **state)
{
    struct trace t;
    if (!real_trace(&t, "azure-llm-2023-conv.csv", TRACE_AZURE))
        return;
    for (size_t p = 0; p < ARRAY_LEN(reference); p++)
        for (int c = 0; c < COLUMNS; c++) {
            const double *want = reference[p].want[c];
            column(c);
            spec.trace = &t, spec.policy = reference[p].policy;
            struct simulate_result m = run_seeds(3);
            if (want[0] > 0 && !(near(m.ttft.p50, want[0]) && near(m.ttft.p95, want[1]) && near(m.ttft.p99, want[2])))
                fail_msg("%s, column %d: %.2f/%.2f/%.2f", scheduler_policy_name(spec.policy).p, c, m.ttft.p50,
                         m.ttft.p95, m.ttft.p99);
        }
    trace_free(&t);
}

static void eta_keeps_its_bounds(void **state)
{
    const double p99[COLUMNS] = { 3.1, 13.9, 4.7, 11.5, 19.5 };
    struct trace t;
    if (!real_trace(&t, "azure-llm-2023-conv.csv", TRACE_AZURE))
        return;
    for (int c = 0; c < COLUMNS; c++) {
        column(c);
        spec.trace = &t;
        struct simulate_result m = run_seeds(3);
        assert_true(m.ttft.p99 <= p99[c]);
        assert_true(c != EVEN_FULL || m.ttft.p50 <= 1.37);
        assert_true(c != UNEVEN || (m.ttft.max <= 15 && m.e2e.mean <= 4.65));
        assert_true(m.cv_work <= (c == UNEVEN || c == ONE_UNEVEN ? 0.25 : 0.06));
    }
    trace_free(&t);
}

static void turns_by_weight_are_even(void **state)
{
    struct trace t;
    if (!real_trace(&t, "azure-llm-2023-conv.csv", TRACE_AZURE))
        return;
    for (int c = EVEN; c <= UNEVEN; c++) {
        column(c);
        spec.trace = &t, spec.policy = SCHEDULER_weighted_round_robin;
        struct simulate_result m = run_seeds(1);
        assert_true(m.cv_work <= 0.02);
        assert_true(c == UNEVEN || m.cv_window <= 0.04); /* slow nodes get too few of a window's to judge it by */
    }
    trace_free(&t);
}

static struct simulate_result mooncake(const struct trace *t, enum scheduler_policy policy, double scale,
                                       uint32_t cache)
{
    simulate_spec_default(&spec);
    spec.trace = t, spec.policy = policy, spec.rate_scale = scale, spec.cache_blocks = cache;
    spec.prefill = 4000, spec.decode = 60;
    return run_seeds(1);
}

static void prefixes_are_found(void **state)
{
    struct trace t;
    if (!real_trace(&t, "mooncake-conversation.jsonl.gz", TRACE_MOONCAKE))
        return;
    struct simulate_result eta = mooncake(&t, SCHEDULER_eta, 0.8, 4096);
    struct simulate_result least = mooncake(&t, SCHEDULER_least_loaded, 0.8, 4096);
    assert_float_equal(eta.prefix_bound, 0.3664, 0.0001);
    assert_true(eta.prefix_hit >= 0.80 * eta.prefix_bound);
    assert_true(eta.ttft.p99 <= 0.92 * least.ttft.p99);
    assert_true(eta.ttft.p50 <= 0.70 * least.ttft.p50);
    eta = mooncake(&t, SCHEDULER_eta, 0.8, 1024);
    assert_true(eta.prefix_hit >= 0.42 * eta.prefix_bound);
    eta = mooncake(&t, SCHEDULER_eta, 1, 4096);
    assert_true(eta.prefix_hit >= 0.70 * eta.prefix_bound);
    trace_free(&t);
}

static struct simulate_result models(const struct trace *t, enum scheduler_policy policy, uint32_t n, double scale)
{
    const double sizes[] = { 8, 5, 14, 4, 20, 10 };
    simulate_spec_default(&spec);
    spec.trace = t, spec.policy = policy, spec.rate_scale = scale, spec.models = n, spec.hold = 2;
    memcpy(spec.size_gb, sizes, sizeof sizes);
    spec.sizes = 6;
    return run_seeds(3);
}

static void models_stay_where_they_are(void **state)
{
    struct trace t;
    if (!real_trace(&t, "azure-llm-2023-conv.csv", TRACE_AZURE))
        return;
    struct simulate_result six = models(&t, SCHEDULER_eta, 6, 0.6), many = models(&t, SCHEDULER_eta, 24, 0.2);
    struct simulate_result least = models(&t, SCHEDULER_least_loaded, 24, 0.2);
    assert_true(six.loads <= 24 && six.ttft.p99 <= 4);
    assert_true(many.loads <= 3200 && many.loads <= 0.22 * least.loads);
    assert_true(many.ttft.p99 <= 9);
    trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_slot_serves_in_turn, usual),
        cmocka_unit_test_setup(a_cached_beginning_is_not_evaluated_again, usual),
        cmocka_unit_test_setup(a_cold_model_is_loaded_first, usual),
        cmocka_unit_test_setup(a_node_that_dies_loses_no_request_that_has_not_begun, usual),
        cmocka_unit_test_setup(every_policy_serves_everybody, usual),
        cmocka_unit_test_setup(eta_is_better_than_the_others, usual),
        cmocka_unit_test_setup(many_models_are_loaded_seldom, usual),
        cmocka_unit_test_setup(a_thousand_nodes_are_no_trouble, usual),
        cmocka_unit_test_setup(an_overload_is_shed_and_over_soon, usual),
        cmocka_unit_test_setup(a_greedy_tenant_harms_nobody_else, usual),
        cmocka_unit_test(named_policies_are_as_elsewhere),
        cmocka_unit_test(work_is_spread_by_weight),
        cmocka_unit_test(eta_keeps_its_bounds),
        cmocka_unit_test(turns_by_weight_are_even),
        cmocka_unit_test(prefixes_are_found),
        cmocka_unit_test(models_stay_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
