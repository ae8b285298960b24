/* fleet/view_render_test.c */
#include "fleet/fleet_fixture.h"
#include "fleet/view_render.h"

static struct listing *listing_read(const char *body)
{
    struct inventory *i = read_body(body, 0);
    assert_non_null(i);
    struct listing *l = listing_new(i);
    assert_non_null(l);
    return l;
}

typedef enum fail renderer(struct text *to, struct listing *const *of, uint32_t n);

static void renders(renderer *render, const char *const *bodies, uint32_t n, const char *want)
{
    struct listing *of[8];
    struct text t = { 0 };
    for (uint32_t i = 0; i < n; i++)
        of[i] = listing_read(bodies[i]);
    assert_int_equal(render(&t, of, n), OK);
    assert_str(text_str(&t), want);
    text_free(&t);
    for (uint32_t i = 0; i < n; i++)
        listing_unref(&of[i]);
}

#define A_OLD                                                                                                          \
    "{\"name\":\"a:1\",\"model\":\"a:1\",\"modified_at\":\"2026-01-01T00:00:00Z\",\"digest\":\"d1\", \"odd\" : [1] }"
#define A_NEW "{\"name\":\"A:1\",\"model\":\"A:1\",\"modified_at\":\"2026-03-01T00:00:00Z\",\"digest\":\"d2\"}"
#define B_MID                                                                                                          \
    "{\"name\":\"b:latest\",\"model\":\"b:latest\",\"modified_at\":\"2026-02-01T00:00:00Z\",\"digest\":\"d3\"}"
#define LIST(x) "{\"models\":[" x "]}"

static void nothing_is_an_empty_list(void **state)
{
    renders(render_tags, NULL, 0, LIST(""));
    renders(render_ps, NULL, 0, LIST(""));
    renders(render_v1_models, NULL, 0, "{\"object\":\"list\",\"data\":[]}");
}

static void tags_are_one_entry_per_model_newest_first(void **state)
{
    renders(render_tags, (const char *[]){ LIST(A_OLD), LIST(B_MID "," A_OLD) }, 2, LIST(B_MID "," A_OLD));
}

static void the_digest_that_most_have_then_the_newest(void **state)
{
    renders(render_tags, (const char *[]){ LIST(A_NEW), LIST(A_OLD), LIST(A_OLD) }, 3, LIST(A_OLD));
    renders(render_tags, (const char *[]){ LIST(A_OLD), LIST(A_NEW) }, 2, LIST(A_NEW));
}

static void v1_models_say_who_made_them(void **state)
{
    renders(render_v1_models,
            (const char *[]){ LIST("{\"name\":\"me/own:2\",\"modified_at\":\"1970-01-01T00:00:09Z\"}," B_MID) }, 1,
            "{\"object\":\"list\",\"data\":["
            "{\"id\":\"b:latest\",\"object\":\"model\",\"created\":1769904000,\"owned_by\":\"library\"},"
            "{\"id\":\"me/own:2\",\"object\":\"model\",\"created\":9,\"owned_by\":\"me\"}]}");
}

#define PS(expires, size, vram, rest)                                                                                  \
    "{\"name\":\"a:1\",\"model\":\"a:1\",\"size\":" size ",\"digest\":\"d\",\"expires_at\":\"" expires                 \
    "\",\"size_vram\":" vram rest "}"
#define AT(hour) "2026-01-01T" hour ":00:00.5+02:00"

static void ps_takes_the_best_instance_and_mends_it(void **state)
{
    renders(render_ps,
            (const char *[]){ LIST(PS(AT("10"), "10", "5", ",\"context_length\":4096")),
                              LIST(PS(AT("08"), "12", "12", ", \"context_length\" : 8192 ,\"new\":{}")) },
            2, LIST(PS(AT("10"), "12", "12", ", \"context_length\" : 4096 ,\"new\":{}")));
}

static void ps_mends_in_any_order(void **state)
{
    renders(
        render_ps,
        (const char *[]){
            LIST("{\"context_length\":9,\"name\":\"a:1\",\"expires_at\":\"" AT("08") "\",\"size\":1,\"size_vram\":1}"),
            LIST(PS(AT("10"), "10", "5", ",\"context_length\":4")) },
        2, LIST("{\"context_length\":4,\"name\":\"a:1\",\"expires_at\":\"" AT("10") "\",\"size\":1,\"size_vram\":1}"));
}

static void ps_leaves_alone_what_needs_no_mending(void **state)
{
    renders(render_ps, (const char *[]){ LIST(PS(AT("10"), "10", "10", "")), LIST(PS(AT("08"), "9", "0", "")) }, 2,
            LIST(PS(AT("10"), "10", "10", "")));
    renders(
        render_ps,
        (const char *[]){ LIST(PS(AT("10"), "10", "10", "")), LIST(PS(AT("08"), "9", "0", ",\"context_length\":1")) },
        2, LIST(PS(AT("10"), "10", "10", "")));
}

static void ps_latest_expiry_first(void **state)
{
#define B_PS "{\"name\":\"b:1\",\"expires_at\":\"2318-01-01T00:00:00Z\",\"size\":1,\"size_vram\":1}"
    renders(render_ps, (const char *[]){ LIST(PS(AT("10"), "10", "10", "") "," B_PS) }, 1,
            LIST(B_PS "," PS(AT("10"), "10", "10", "")));
}

static int compare(const char *a, const char *b)
{
    int c = version_compare(str_of(a), str_of(b));
    return (c > 0) - (c < 0);
}

static void versions_compare_as_numbers(void **state)
{
    assert_int_equal(compare("0.9.10", "0.12.3"), -1);
    assert_int_equal(compare("0.12.3", "0.12.3"), 0);
    assert_int_equal(compare("0.12.10", "0.12.9"), 1);
    assert_int_equal(compare("1", "1.0.0"), 0);
    assert_int_equal(compare("0.12.3-rc1", "0.12.3"), -1);
    assert_int_equal(compare("0.12.3-rc1", "0.12.3-rc2"), -1);
    assert_int_equal(compare("0.12.3-rc1", "0.12.2"), 1);
    assert_int_equal(compare("", "0.0.1"), -1);
    assert_int_equal(compare("99999999999999999999999", "1"), 1);
}

static void memory_runs_out(void **state)
{
    renderer *all[] = { render_tags, render_v1_models, render_ps };
    struct listing *of[2] = { listing_read(LIST(A_OLD "," B_MID)), listing_read(LIST(A_NEW)) };
    for (unsigned r = 0; r < ARRAY_LEN(all); r++) {
        enum fail bad = FAIL_no_memory;
        for (uint64_t nth = 1; bad; nth++) {
            struct text t = { 0 };
            memory_fail_at(nth);
            bad = all[r](&t, of, 2);
            memory_fail_at(0);
            assert_true(bad == OK || bad == FAIL_no_memory);
            text_free(&t);
            assert_true(nth < 50);
        }
    }
    listing_unref(&of[0]);
    listing_unref(&of[1]);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_an_empty_list),
        cmocka_unit_test(tags_are_one_entry_per_model_newest_first),
        cmocka_unit_test(the_digest_that_most_have_then_the_newest),
        cmocka_unit_test(v1_models_say_who_made_them),
        cmocka_unit_test(ps_takes_the_best_instance_and_mends_it),
        cmocka_unit_test(ps_mends_in_any_order),
        cmocka_unit_test(ps_leaves_alone_what_needs_no_mending),
        cmocka_unit_test(ps_latest_expiry_first),
        cmocka_unit_test(versions_compare_as_numbers),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
