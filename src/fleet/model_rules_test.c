/* fleet/model_rules_test.c */
#include "api/name.h"
#include "base/slab.h"
#include "fleet/model_rules.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int set_up(void **state)
{
    arena_pools_init();
    return 0;
}

static int tear_down(void **state)
{
    arena_pools_done();
    return 0;
}

static const struct model_rule *find(const struct model_rules *r, const char *spelling)
{
    struct name name;
    assert_int_equal(name_parse(str_of(spelling), &name), OK);
    return model_rules_find(r, name_key(&name), str_hash(name_key(&name)));
}

static struct model_rules *make(const struct model_rule *v, unsigned n)
{
    struct model_rules *r;
    assert_int_equal(model_rules_new(v, n, &r), OK);
    return r;
}

static void a_rule_is_found_by_any_spelling(void **state)
{
    struct str instead[] = { STR("small"), STR("tiny:1b") };
    struct model_rule v[2] = { model_rule_none(STR("Qwen3")), model_rule_none(STR("big:70b")) };
    v[0].slots = 4;
    v[1].policy = SCHEDULER_late;
    v[1].fallback = instead;
    v[1].fallbacks = 2;
    struct model_rules *r = make(v, 2);
    assert_int_equal(find(r, "qwen3:latest")->slots, 4);
    assert_int_equal(find(r, "library/QWEN3")->policy, SCHEDULER_POLICIES);
    const struct model_rule *big = find(r, "big:70B");
    assert_int_equal(big->policy, SCHEDULER_late);
    assert_int_equal(big->slots, NOT_SAID);
    assert_int_equal(big->fallbacks, 2);
    assert_true(big->fallback[1].p != instead[1].p && str_eq(big->fallback[1], STR("tiny:1b")));
    assert_null(find(r, "big"));
    assert_int_equal(model_rules_count(r), 2);
    assert_ptr_equal(model_rules_row(r, 1), big);
    model_rules_unref(&r);
    assert_null(r);
}

static void what_is_asked_of_labels_becomes_bits(void **state)
{
    struct model_rule v[3] = { model_rule_none(STR("a")), model_rule_none(STR("b")), model_rule_none(STR("c")) };
    v[0].labels = STR("zone:a");
    v[1].labels = STR("disk:ssd+zone:a");
    struct model_rules *r = make(v, 3);
    uint64_t node = model_rules_labels(r, STR("gpu:h100+zone:a"));
    assert_int_equal(find(r, "a")->labels_bits & ~node, 0);
    assert_true(find(r, "b")->labels_bits & ~node);
    assert_int_equal(find(r, "c")->labels_bits, 0);
    model_rules_unref(&r);
}

static void too_many_labels_are_refused(void **state)
{
    static char label[LABELS_MAX + 1][8];
    struct model_rule v[LABELS_MAX + 1];
    static char name[LABELS_MAX + 1][8];
    struct model_rules *r;
    for (unsigned i = 0; i <= LABELS_MAX; i++) {
        snprintf(name[i], sizeof name[i], "m%u", i);
        snprintf(label[i], sizeof label[i], "n:%u", i);
        v[i] = model_rule_none(str_of(name[i]));
        v[i].labels = str_of(label[i]);
    }
    assert_int_equal(model_rules_new(v, LABELS_MAX + 1, &r), FAIL_bad_setting);
    assert_null(r);
}

static void no_rules_are_rules_too(void **state)
{
    struct model_rules *none = NULL, *empty = make(NULL, 0);
    assert_null(find(none, "a"));
    assert_null(find(empty, "a"));
    assert_int_equal(model_rules_count(none) + model_rules_count(empty), 0);
    assert_int_equal(model_rules_labels(none, STR("a:b")), 0);
    assert_null(model_rules_ref(none));
    model_rules_unref(&none);
    model_rules_unref(&empty);
}

static void the_last_reference_frees(void **state)
{
    struct model_rule v = model_rule_none(STR("a"));
    struct model_rules *r = make(&v, 1), *other = model_rules_ref(r);
    model_rules_unref(&r);
    assert_non_null(find(other, "a"));
    model_rules_unref(&other);
}

static void memory_may_be_out(void **state)
{
    struct str instead[] = { STR("small") };
    struct model_rule v = model_rule_none(STR("a"));
    v.labels = STR("zone:a");
    v.fallback = instead;
    v.fallbacks = 1;
    enum fail f = FAIL_no_memory;
    for (unsigned nth = 1; f; nth++) {
        struct model_rules *r;
        memory_fail_at(nth);
        f = model_rules_new(&v, 1, &r);
        memory_fail_at(0);
        assert_true(f == OK ? r != NULL : f == FAIL_no_memory && !r);
        model_rules_unref(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_is_found_by_any_spelling), cmocka_unit_test(what_is_asked_of_labels_becomes_bits),
        cmocka_unit_test(too_many_labels_are_refused),     cmocka_unit_test(no_rules_are_rules_too),
        cmocka_unit_test(the_last_reference_frees),        cmocka_unit_test(memory_may_be_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
