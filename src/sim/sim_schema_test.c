/* Values that schemas allow: shapes as zod, pydantic and people write them, and schemas that go in circles. */
#include "base/slab.h"
#include "sim/sim.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char said[KIB(64)];
static const char *sample(const char *schema)
{
    struct text t = { 0 };
    struct arena a;
    arena_init(&a);
    sim_schema_sample(&a, &t, json_parse(str_of(schema), NULL), 7);
    assert_int_equal(t.failed, OK);
    assert_true(text_str(&t).n < sizeof said);
    struct json v = json_parse(text_str(&t), NULL);
    assert_int_equal(v.raw.n, text_str(&t).n); /* it is one JSON value, whole */
    memcpy(said, text_str(&t).p, text_str(&t).n);
    said[text_str(&t).n] = 0;
    text_free(&t);
    arena_done(&a);
    return said;
}

static void plain_types(void **state)
{
    assert_string_equal(sample("{\"type\":\"integer\"}"), "7");
    assert_string_equal(sample("{\"type\":\"number\"}"), "7.5");
    assert_string_equal(sample("{\"type\":\"boolean\"}"), "true");
    assert_string_equal(sample("{\"type\":\"null\"}"), "null");
    assert_non_null(strstr(sample("{\"type\":\"string\"}"), "\"[simulated] "));
    assert_non_null(strstr(sample("{}"), "\"[simulated] "));
}

static void given_values_and_bounds(void **state)
{
    assert_string_equal(sample("{\"enum\":[\"celsius\",\"kelvin\"]}"), "\"celsius\"");
    assert_string_equal(sample("{\"const\":{\"a\":1}}"), "{\"a\":1}");
    assert_string_equal(sample("{\"type\":\"integer\",\"minimum\":50}"), "50");
    assert_string_equal(sample("{\"type\":\"integer\",\"maximum\":3}"), "3");
    assert_string_equal(sample("{\"type\":[\"null\",\"integer\"]}"), "7");
}

static void objects_and_arrays(void **state)
{
    assert_string_equal(sample("{\"type\":\"object\",\"properties\":{\"b\":{\"const\":1},\"a\":{\"const\":2}}}"),
                        "{\"b\":1,\"a\":2}");
    assert_string_equal(sample("{\"properties\":{\"x\":{\"const\":0}}}"), "{\"x\":0}");
    assert_string_equal(sample("{\"type\":\"array\",\"minItems\":3,\"items\":{\"const\":1}}"), "[1,1,1]");
    assert_string_equal(sample("{\"type\":\"object\"}"), "{}");
    assert_string_equal(sample("{\"properties\":{\"\\u0061\\\"\":{\"const\":1}}}"), "{\"a\\\"\":1}");
}

static void references_and_choices(void **state)
{
    assert_string_equal(
        sample("{\"$defs\":{\"N\":{\"const\":4}},\"type\":\"object\",\"properties\":{\"n\":{\"$ref\":\"#/$defs/N\"}}}"),
        "{\"n\":4}");
    assert_string_equal(sample("{\"anyOf\":[{\"type\":\"null\"},{\"const\":5}]}"), "5");
    assert_string_equal(sample("{\"allOf\":[{\"$ref\":\"#/definitions/A\"}],\"definitions\":{\"A\":{\"const\":6}}}"),
                        "6");
}

static void circles_end(void **state)
{
    sample("{\"$ref\":\"#\"}");
    sample("{\"type\":\"object\",\"properties\":{\"left\":{\"$ref\":\"#\"},\"right\":{\"$ref\":\"#\"},\"more\":"
           "{\"type\":\"array\",\"minItems\":16,\"items\":{\"$ref\":\"#\"}}}}");
    sample("{\"type\":\"array\",\"minItems\":1000000,\"items\":{\"type\":\"array\",\"minItems\":1000000}}");
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}
static int finish(void **state)
{
    buf_pools_done();
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_types),        cmocka_unit_test(given_values_and_bounds),
        cmocka_unit_test(objects_and_arrays), cmocka_unit_test(references_and_choices),
        cmocka_unit_test(circles_end),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
