/* fleet/residency_test.c */
#include "fleet/fleet_fixture.h"
#include "fleet/residency.h"

static struct listing *listing_of_names(const char *names)
{
    char body[8000];
    struct inventory *i = read_body(models_body(body, sizeof body, names), 0);
    struct listing *l = listing_new(i);
    assert_non_null(l);
    return l;
}

static bool holds(struct residency *r, const char *key, uint32_t no)
{
    const struct holders *h = residency_find(r, str_hash(str_of(key)));
    return h && set_has(&h->has, no);
}

static void bits_follow_what_a_node_says(void **state)
{
    struct residency *r = residency_new(0);
    struct listing *a = listing_of_names("x:1 y:1"), *b = listing_of_names("y:1 z:1");
    residency_update(r, PLANE_HAS, 1000, NULL, a);
    residency_update(r, PLANE_HAS, 3, NULL, a);
    assert_true(holds(r, KEY("x:1"), 1000));
    assert_false(holds(r, KEY("x:1"), 999));
    residency_update(r, PLANE_HAS, 1000, a, b);
    assert_false(holds(r, KEY("x:1"), 1000));
    assert_true(holds(r, KEY("x:1"), 3));
    assert_true(holds(r, KEY("y:1"), 1000));
    assert_true(holds(r, KEY("z:1"), 1000));
    residency_update(r, PLANE_LOADED, 3, NULL, b);
    assert_false(holds(r, KEY("z:1"), 3));
    assert_true(set_has(&residency_find(r, str_hash(STR(KEY("z:1"))))->loaded, 3));
    residency_update(r, PLANE_HAS, 1000, b, NULL);
    assert_false(holds(r, KEY("z:1"), 1000));
    assert_null(residency_find(r, str_hash(STR("never seen"))));
    listing_unref(&a);
    listing_unref(&b);
    residency_free(&r);
}

static struct listing *numbered(unsigned from)
{
    char names[400];
    size_t n = 0;
    for (unsigned i = from; i < from + 20; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "m%u:1 ", i);
    names[n - 1] = 0;
    return listing_of_names(names);
}

static void a_full_table_moves_and_forgets(void **state)
{
    struct residency *r = residency_new(0);
    struct listing *one = numbered(0), *two = numbered(20);
    assert_int_equal(residency_short_of(r, 20), 0);
    residency_update(r, PLANE_HAS, 0, NULL, one);
    uint32_t want = residency_short_of(r, 20);
    assert_true(want >= 40);
    residency_update(r, PLANE_HAS, 0, one, NULL);
    assert_true(residency_short_of(r, 20) < want);
    residency_update(r, PLANE_HAS, 0, NULL, one);
    struct residency *larger = residency_new(want);
    assert_int_equal(residency_short_of(larger, want), 0);
    residency_move(larger, r);
    residency_update(larger, PLANE_HAS, 1, NULL, two);
    assert_true(holds(larger, KEY("m0:1"), 0));
    assert_true(holds(larger, KEY("m39:1"), 1));
    residency_free(&r);
    residency_free(&larger);
    listing_unref(&one);
    listing_unref(&two);
}

static void listings_compare(void **state)
{
    struct listing *a = listing_of_names("x:1 y:1"), *b = listing_of_names("x:1 y:1"), *c = listing_of_names("x:1 z:1");
    assert_true(listing_same(a, b->inventory));
    assert_false(listing_same(a, c->inventory));
    assert_false(listing_same(NULL, a->inventory));
    struct listing *held = listing_ref(a);
    listing_unref(&a);
    assert_null(a);
    assert_int_equal(held->inventory->n, 2);
    listing_unref(&held);
    listing_unref(&b);
    listing_unref(&c);
    assert_null(listing_ref(NULL));
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_follow_what_a_node_says),
        cmocka_unit_test(a_full_table_moves_and_forgets),
        cmocka_unit_test(listings_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
