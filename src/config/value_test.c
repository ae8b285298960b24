#include "config/value.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static nsec duration(const char *text)
{
    nsec v = -1;
    value_duration(str_of(text), &v);
    return v;
}

static int64_t size(const char *text)
{
    int64_t v = -1;
    value_size(str_of(text), &v);
    return v;
}

static void durations_add_up_their_units(void **state)
{
    assert_int_equal(duration("30s"), SECOND(30));
    assert_int_equal(duration("5min"), SECOND(300));
    assert_int_equal(duration("5m"), SECOND(300));
    assert_int_equal(duration("1h30m"), SECOND(5400));
    assert_int_equal(duration("1h 30m"), SECOND(5400));
    assert_int_equal(duration("250ms"), MSEC(250));
    assert_int_equal(duration("0.1s"), MSEC(100));
    assert_int_equal(duration("1.5h"), SECOND(5400));
    assert_int_equal(duration("2d"), SECOND(2 * 86400));
    assert_int_equal(duration("7 us"), USEC(7));
    assert_int_equal(duration("0"), 0);
}

static void durations_that_are_none(void **state)
{
    static const char *const bad[] = { "",     "30",  "s",   "-3s",  "3x",   "3s4", "30m1h",
                                       "1s1s", "1.s", ".5s", "0x1s", "1e3s", "inf", "999999999d" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (duration(bad[i]) != -1)
            fail_msg("\"%s\" was read as a duration", bad[i]);
}

static void sizes_in_both_systems(void **state)
{
    assert_int_equal(size("4096"), 4096);
    assert_int_equal(size("64KiB"), 65536);
    assert_int_equal(size("256MiB"), 256 << 20);
    assert_int_equal(size("1.5GiB"), 3ll << 29);
    assert_int_equal(size("2 TiB"), 2ll << 40);
    assert_int_equal(size("1GB"), 1000000000);
    assert_int_equal(size("10kb"), 10000);
}

static void sizes_that_are_none(void **state)
{
    static const char *const bad[] = { "", "MiB", "1K", "1MiB2", "-1", "1 2", "99999999TiB" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (size(bad[i]) != -1)
            fail_msg("\"%s\" was read as a size", bad[i]);
}

static void rates_are_sizes_per_second(void **state)
{
    int64_t v = -1;
    assert_true(value_rate(STR("2GiB/s"), &v));
    assert_int_equal(v, 2ll << 30);
    assert_false(value_rate(STR("2GiB"), &v));
    assert_false(value_rate(STR("/s"), &v));
}

static void shares_have_two_parts_in_any_order(void **state)
{
    struct share s = { -1, -1 };
    assert_true(value_share(STR("20% + 1/s"), &s));
    assert_true(s.ratio == 0.2 && s.rate == 1);
    assert_true(value_share(STR("0.5/s+10%"), &s));
    assert_true(s.ratio == 0.1 && s.rate == 0.5);
    assert_true(value_share(STR("5%"), &s));
    assert_true(s.ratio == 0.05 && s.rate == 0);
    assert_false(value_share(STR(""), &s));
    assert_false(value_share(STR("5"), &s));
    assert_false(value_share(STR("5% +"), &s));
    assert_false(value_share(STR("x%"), &s));
    assert_false(value_share(STR("%"), &s));
    assert_true(s.ratio == 0.05 && s.rate == 0);
}

static void switches_have_six_words(void **state)
{
    bool v = false;
    assert_true(value_onoff(STR("on"), &v) && v);
    assert_true(value_onoff(STR("OFF"), &v) && !v);
    assert_true(value_onoff(STR("Yes"), &v) && v);
    assert_true(value_onoff(STR("false"), &v) && !v);
    assert_true(value_onoff(STR("true"), &v) && v);
    assert_true(value_onoff(STR("no"), &v) && !v);
    assert_false(value_onoff(STR("1"), &v));
    assert_false(value_onoff(STR(""), &v));
}

static void numbers_and_choices(void **state)
{
    int64_t n;
    double d;
    assert_true(value_count(STR("0"), &n) && n == 0);
    assert_false(value_count(STR("-1"), &n));
    assert_false(value_count(STR("18446744073709551615"), &n));
    assert_true(value_number(STR("0.25"), &d) && d == 0.25);
    assert_false(value_number(STR("1,5"), &d));
    assert_int_equal(value_choice(STR("auto|text|json"), STR("JSON")), 2);
    assert_int_equal(value_choice(STR("auto|text|json"), STR("js")), -1);
    assert_int_equal(value_choice(STR("auto|text|json"), STR("")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_add_up_their_units), cmocka_unit_test(durations_that_are_none),
        cmocka_unit_test(sizes_in_both_systems),        cmocka_unit_test(sizes_that_are_none),
        cmocka_unit_test(rates_are_sizes_per_second),   cmocka_unit_test(shares_have_two_parts_in_any_order),
        cmocka_unit_test(switches_have_six_words),      cmocka_unit_test(numbers_and_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
