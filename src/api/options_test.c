/* api/options_test.c - one text for all spellings. */
#include "api/options.h"
#include "base/slab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static struct options read_body(enum route_id id, const char *body)
{
    struct peek p;
    struct options o;
    struct str detail;
    if (peek_body(route_row(id), str_of(body), &arena, &p, &detail))
        fail_msg("%s: %.*s", body, STR_ARG(detail));
    options_read(&o, &p, str_of(body));
    return o;
}

static void gives(const char *body, const char *want)
{
    struct options o = read_body(ROUTE_generate, body);
    if (!str_eq(options_text(&o), str_of(want)))
        fail_msg("%s: \"%.*s\" instead of \"%s\"", body, STR_ARG(options_text(&o)), want);
    assert_true((o.hash != 0) == (*want != 0));
}

static void options_that_load_are_picked_in_one_order(void **state)
{
    gives("{\"options\":{\"num_ctx\":8192}}", "{\"num_ctx\":8192}");
    gives("{\"options\":{\"seed\":1,\"num_gpu\":0,\"temperature\":0.5,\"num_batch\":64,\"num_ctx\":4096}}",
          "{\"num_ctx\":4096,\"num_batch\":64,\"num_gpu\":0}");
    gives("{\"options\":{\"use_mmap\":false,\"draft_num_predict\":4,\"num_thread\":8,\"main_gpu\":1}}",
          "{\"main_gpu\":1,\"num_thread\":8,\"draft_num_predict\":4,\"use_mmap\":false}");
}

static void what_loads_nothing_is_nothing(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"options\":{}}",
        "{\"options\":null}",
        "{\"options\":{\"temperature\":0,\"seed\":7,\"num_predict\":10,\"stop\":[\"num_ctx\"]}}",
        "{\"options\":{\"num_ctx\":null}}",
        "{\"options\":{\"num_ctx\":\"8192\",\"use_mmap\":1}}",
        "{\"options\":{\"num_gpu\":-1}}",
        "{\"options\":{\"NUM_CTX\":8192}}",
        "{\"num_ctx\":8192}",
        "{\"options\":{\"num_ctx\":8192},\"options\":null}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        gives(bodies[i], "");
}

static void numbers_are_read_as_the_node_reads_them(void **state)
{
    static const char *const same[] = { "8192", "8192.0", "8.192e3", "8192.9", "81920e-1", " 8192 " };
    char body[100];
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        snprintf(body, sizeof body, "{\"options\":{\"num_ctx\":%s}}", same[i]);
        gives(body, "{\"num_ctx\":8192}");
    }
    gives("{\"options\":{\"num_ctx\":-1}}", "{\"num_ctx\":-1}");
    gives("{\"options\":{\"num_ctx\":1e300}}", "{\"num_ctx\":1000000000000000000}");
    gives("{\"options\":{\"num_ctx\":-1e300}}", "{\"num_ctx\":-1000000000000000000}");
    gives("{\"options\":{\"num_ctx\":9223372036854775807}}", "{\"num_ctx\":1000000000000000000}");
}

static void several_options_are_merged_as_the_node_merges_them(void **state)
{
    gives("{\"options\":{\"num_ctx\":1,\"num_gpu\":2},\"Options\":{\"num_ctx\":3}}", "{\"num_ctx\":3,\"num_gpu\":2}");
    gives("{\"options\":{\"num_ctx\":1},\"options\":null,\"options\":{\"num_gpu\":2}}", "{\"num_gpu\":2}");
    gives("{\"options\":{\"num_ctx\":1,\"num_ctx\":2}}", "{\"num_ctx\":2}");
    gives("{\"options\":{\"num_ctx\":1},\"options\":{\"num_ctx\":null}}", "");
    gives("{\"options\":{\"n\\u0075m_ctx\":5}}", "{\"num_ctx\":5}");
}

static void the_longest_fits(void **state)
{
    static const char all[] = "{\"options\":{\"num_ctx\":-1e18,\"num_batch\":-1e18,\"num_gpu\":1e18,\"main_gpu\":-1e18,"
                              "\"num_thread\":-1e18,\"draft_num_predict\":-1e18,\"use_mmap\":false}}";
    struct options o = read_body(ROUTE_chat, all);
    assert_true(o.n > 200 && o.n <= OPTIONS_TEXT);
    assert_int_equal(json_parse(options_text(&o), NULL).kind, JSON_OBJECT);
}

static void the_shift_of_the_context_counts_too(void **state)
{
    struct options none = read_body(ROUTE_chat, "{}"), on = read_body(ROUTE_chat, "{\"shift\":true}"),
                   off = read_body(ROUTE_chat, "{\"shift\":false}"),
                   both = read_body(ROUTE_chat, "{\"shift\":false,\"options\":{\"num_ctx\":1}}");
    assert_int_equal(none.hash, 0);
    assert_true(on.hash && off.hash && both.hash);
    assert_true(on.hash != off.hash && off.hash != both.hash);
    assert_int_equal(both.shift, TRI_FALSE);
}

static void routes_of_v1_have_none(void **state)
{
    struct options o = read_body(ROUTE_v1_chat, "{\"options\":{\"num_ctx\":8192},\"shift\":true,\"num_ctx\":1}");
    assert_int_equal(o.hash, 0);
    assert_int_equal(o.n, 0);
}

static void a_load_is_asked_for_in_the_same_words(void **state)
{
    struct options o = read_body(ROUTE_chat, "{\"shift\":true,\"options\":{\"num_gpu\":3,\"num_ctx\":8}}");
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    json_open(&j, '{');
    options_put(&o, &j);
    json_close(&j);
    assert_true(str_eq(text_str(&t), STR("{\"options\":{\"num_ctx\":8,\"num_gpu\":3},\"shift\":true}")));
    text_putc(&t, 0);
    struct options again = read_body(ROUTE_generate, text_str(&t).p);
    assert_int_equal(again.hash, o.hash);
    text_free(&t);
}

/* ---- any spelling ------------------------------------------------------------------------------------------------ */

static uint64_t dice = 1;

static unsigned roll(unsigned sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % sides;
}

static const char *const names[] = { "num_ctx",    "num_batch", "num_gpu",     "main_gpu",
                                     "num_thread", "use_mmap",  "temperature", "seed" };

static void put_wild_value(struct text *t, unsigned name, unsigned value)
{
    static const char *const forms[] = { "%u", "%u.0", "%ue0", "%u0e-1", "%u.4" };
    if (name == 5)
        text_put(t, value & 1 ? STR("true") : STR("false"));
    else
        text_printf(t, forms[roll(ARRAY_LEN(forms))], value + 1);
}

static void put_wild_key(struct text *t, const char *name)
{
    if (roll(4) == 0)
        text_printf(t, "\"\\u%04x%s\":", (unsigned)name[0], name + 1);
    else
        text_printf(t, "%s\"%s\"%s:%s", roll(2) ? " " : "", name, roll(2) ? "\n" : "", roll(2) ? "\t" : "");
}

/* The same values in any order, with earlier ones that are overruled, over one or two objects. */
static void write_spelling(struct text *t, const unsigned *value, unsigned given)
{
    unsigned at[ARRAY_LEN(names)], n = ARRAY_LEN(names), split = roll(n + 1);
    for (unsigned i = 0; i < n; i++)
        at[i] = i;
    for (unsigned i = n - 1; i > 0; i--) {
        unsigned k = roll(i + 1), was = at[i];
        at[i] = at[k], at[k] = was;
    }
    text_put(t, STR("{\"options\":{\"top_k\":1"));
    for (unsigned i = 0; i < n; i++) {
        if (i == split)
            text_put(t, STR("},\"model\":\"m\",\"OPTIONS\":{\"min_p\":0"));
        if (!(given >> at[i] & 1))
            continue;
        if (roll(3) == 0)
            text_printf(t, ",\"%s\":null", names[at[i]]);
        text_putc(t, ',');
        put_wild_key(t, names[at[i]]);
        put_wild_value(t, at[i], value[at[i]]);
    }
    text_put(t, STR("}}"));
    text_putc(t, 0);
}

static void any_spelling_gives_one_text(void **state)
{
    for (int round = 0; round < 2000; round++) {
        unsigned value[ARRAY_LEN(names)], given = roll(1u << ARRAY_LEN(names));
        struct options o[2];
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            value[i] = roll(100000);
        for (int k = 0; k < 2; k++) {
            struct text t = { 0 };
            write_spelling(&t, value, given);
            o[k] = read_body(ROUTE_generate, text_str(&t).p);
            text_free(&t);
        }
        assert_true(str_eq(options_text(&o[0]), options_text(&o[1])));
        assert_int_equal(o[0].hash, o[1].hash);
        assert_int_equal(o[0].hash != 0, (given & 0x3F) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_load_are_picked_in_one_order),
        cmocka_unit_test(what_loads_nothing_is_nothing),
        cmocka_unit_test(numbers_are_read_as_the_node_reads_them),
        cmocka_unit_test(several_options_are_merged_as_the_node_merges_them),
        cmocka_unit_test(the_longest_fits),
        cmocka_unit_test(the_shift_of_the_context_counts_too),
        cmocka_unit_test(routes_of_v1_have_none),
        cmocka_unit_test(a_load_is_asked_for_in_the_same_words),
        cmocka_unit_test(any_spelling_gives_one_text),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
